"""What a built book weighs and how soon it shows: run by hand, `python tests/benchmarks/pages.py RECIPE [rows]`.

Chromium opens the index, the results and the rationale explorer from disk and offline; then the explorer again with its
questions repeated up to so many rows. Printed are, for each, the bytes of all files that the page loaded, the time to the
first contentful paint, and for the explorer the time until it can be used and that of one filter; the best of ROUNDS.
"""

from __future__ import annotations

import base64
import gzip
import itertools
import json
import re
import sys
from pathlib import Path
from urllib.parse import unquote, urlsplit

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
import browser as browsing

from scicot_utils import paths

ROUNDS = 3
PAGES = ("index", "results", "notebooks/10_rationale_explorer")
PAINT = "performance.getEntriesByName('first-contentful-paint')[0]?.startTime"
DATA = re.compile(r'(<script type="application/gzip" data-explorer="data">)([A-Za-z0-9+/=]+)')
FILTER = """() => {
  const select = [...document.querySelectorAll('.explorer-filters select')].at(-1), start = performance.now();
  select.value = 'wrong';
  select.dispatchEvent(new Event('change', {bubbles: true}));
  return performance.now() - start;
}"""


def larger(page: Path, rows: int) -> Path:
    """A copy of the explorer's page beside it, its questions repeated up to `rows`."""
    text = page.read_text(encoding="utf-8")
    data = json.loads(gzip.decompress(base64.b64decode(DATA.search(text)[2])))
    questions = itertools.islice(itertools.cycle(data["questions"]), rows)
    data["questions"] = [question | {"id": f"{question['id']}-{i}"} for i, question in enumerate(questions)]
    packed = base64.b64encode(gzip.compress(json.dumps(data, ensure_ascii=False).encode(), 9)).decode()
    copy = page.with_name("larger.html")
    copy.write_text(DATA.sub(lambda match: match[1] + packed, text), encoding="utf-8")
    return copy


def measure(browser, page: Path) -> dict[str, float]:
    """Bytes loaded, and milliseconds: the least of ROUNDS, each in a browser context of its own."""
    rounds = []
    for _ in range(ROUNDS):
        opened = browsing.Opened(browser, "light")
        loaded: set[str] = set()
        opened.page.on("requestfinished", lambda request, loaded=loaded: loaded.add(request.url))
        opened.go(page)
        explorer = opened.page.locator(browsing.EXPLORER).count()
        measures = {"usable": opened.page.evaluate("performance.now()")} if explorer else {}
        measures["first paint"] = opened.page.evaluate(PAINT)
        if explorer:
            measures["filter"] = opened.page.evaluate(FILTER)
        files = {Path(unquote(urlsplit(url).path)) for url in loaded if url.startswith("file:")}
        rounds.append(measures | {"bytes": sum(file.stat().st_size for file in files)})
        opened.close()
    return {name: min(measures[name] for measures in rounds) for name in rounds[0]}


def report(name: str, page: Path, measures: dict[str, float]) -> None:
    times = ", ".join(f"{measure} {value:.0f} ms" for measure, value in measures.items() if measure != "bytes")
    size = page.stat().st_size / 1e6
    print(
        f"{name}: {measures['bytes'] / 1e6:.2f} MB with all that it loads ({size:.2f} MB the page itself), {times}",
        flush=True,
    )


if __name__ == "__main__":
    site, rows = paths.OUTPUTS / sys.argv[1] / "site", int(sys.argv[2]) if len(sys.argv) > 2 else 5000
    with browsing.chromium() as browser:
        for name in PAGES:
            report(name, site / f"{name}.html", measure(browser, site / f"{name}.html"))
        copy = larger(site / f"{PAGES[-1]}.html", rows)
        report(f"{PAGES[-1]} with {rows} rows", copy, measure(browser, copy))
        copy.unlink()
