"""Where the seconds of a finished run went: of each notebook, its start, imports and sections. By hand, after `make book`:

    python tests/benchmarks/notebooks.py outputs/micro [an earlier run's folder]

The seconds are papermill's, from the executed notebooks, summed over all runs of a notebook. With a second folder each
line also has that run's seconds and the ratio. Runs side by side share the cores, so compare runs of one machine with
no other load.
"""

import json
import re
import sys
from collections import Counter
from datetime import datetime
from pathlib import Path

STARTING, IMPORTS, SAVING = "start of the kernel", "imports", "end"


def sections(path: Path) -> Counter:
    """Seconds by section of one executed notebook."""
    notebook = json.loads(path.read_text(encoding="utf-8"))
    run = notebook["metadata"]["papermill"]
    begin, end = datetime.fromisoformat(run["start_time"]), datetime.fromisoformat(run["end_time"])
    seconds, heading, last = Counter(), IMPORTS, begin
    for cell in notebook["cells"]:
        source = "".join(cell["source"])
        if cell["cell_type"] != "code":
            headings = re.findall(r"^##+ (.+)$", source, flags=re.MULTILINE)
            heading = headings[-1] if headings else heading
            continue
        times = cell["metadata"]["papermill"]
        started, ended = (datetime.fromisoformat(times[key]) for key in ("start_time", "end_time"))
        seconds[STARTING if last == begin else heading] += (started - last).total_seconds()
        seconds[heading] += (ended - started).total_seconds()
        last = ended
    seconds[SAVING] += (end - last).total_seconds()
    return seconds


def of_run(folder: Path) -> dict[str, tuple[int, Counter]]:
    """Runs and seconds by section for each notebook of a recipe's output folder."""
    notebooks: dict[str, tuple[int, Counter]] = {}
    for path in sorted((folder / "logs").glob("**/*.ipynb")):
        name = path.relative_to(folder / "logs").parts[0].removesuffix(".ipynb")
        runs, seconds = notebooks.get(name, (0, Counter()))
        notebooks[name] = (runs + 1, seconds + sections(path))
    if not notebooks:
        raise SystemExit(f"{folder}/logs: found no executed notebook, allowed: the output folder of a finished run")
    return notebooks


def main(folder: str, before: str = "") -> None:
    """Prints seconds by notebook and section, and those of the run `before` where they are named alike."""
    now, earlier = of_run(Path(folder)), of_run(Path(before)) if before else {}
    print(f"{'':58s} {'seconds':>8s}" + (f" {'before':>8s} {'ratio':>6s}" if before else ""))

    def line(name: str, value: float, then: float | None) -> None:
        print(f"{name:58s} {value:8.1f}" + (f" {then:8.1f} {value / then:6.2f}" if then else ""))

    for name, (runs, seconds) in now.items():
        then = earlier.get(name, (0, Counter()))[1]
        line(f"{name}, {runs} runs", seconds.total(), then.total())
        for section, value in seconds.items():
            line(f"    {section}", value, then[section])
    everything = [sum((seconds for _, seconds in run.values()), Counter()) for run in (now, earlier)]
    line("all", everything[0].total(), everything[1].total())
    for section in (STARTING, IMPORTS):
        line(f"    {section}", everything[0][section], everything[1][section])


if __name__ == "__main__":
    main(*sys.argv[1:])
