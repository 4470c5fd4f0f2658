"""Command line of the pipeline. It validates a recipe, runs Snakemake on it under a lock and collects its metrics. It
also shows, cleans, exports and imports a teacher's cache, and exports the results of a finished run.
"""

from __future__ import annotations

import argparse
import fcntl
import json
import os
import sys
from pathlib import Path

from scicot_utils import ScicotError, paths, recipe

COMMANDS = {
    "check": "validate a recipe and say what it would run",
    "run": "validate a recipe, then run Snakemake on it; further arguments go to Snakemake",
    "where": "print the path of the built book",
    "metrics": "gather the recipe's runs into metrics.csv (a step of the pipeline)",
    "keep": "copy the results of a finished run, small enough to be committed, to outputs/reference",
}
CACHE_COMMANDS = {
    "cache": "show what a recipe's cache holds, and all that was spent through it",
    "forget": "delete from a recipe's cache the responses incomplete for one reason, so that they are asked again",
}
FILE_COMMANDS = {
    "export-cache": "write the teacher's responses in a recipe's cache, or in a damaged cache file, as JSON lines",
    "import-cache": "load a file written by export-cache into a recipe's cache",
    "batch-write": "write the requests that are still to be asked as a provider's batch file",
    "batch-read": "store the result file of a batch in a recipe's cache",
}
EXPORTS = {
    "pairs": "the training pairs of an arm, as a provider's fine-tuning file of JSON lines",
    "rationales": "the teacher's rationales with their questions, as a Hugging Face dataset folder",
    "student": "an arm's fine-tuned student with its card, as a Hugging Face model folder",
}


def main() -> None:
    """Parse the command line and run the command. A ScicotError ends the process with one line and exit status 1."""
    parser = argparse.ArgumentParser(prog="python -m scicot_utils", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    for name, told in {**COMMANDS, **CACHE_COMMANDS, **FILE_COMMANDS}.items():
        command = commands.add_parser(name, help=told)
        command.add_argument("recipe", help="a name in notebooks/recipes, or a path")
        if name in FILE_COMMANDS:
            command.add_argument("file", type=Path, help="the file of JSON lines")
        if name == "forget":
            command.add_argument(
                "reason", help="such as unanswered, context_length, unfinished; `cache` lists what is there"
            )
        if name.startswith("batch"):
            command.add_argument(
                "--dataset", default="", help="one of the recipe's datasets; by default the first of distill"
            )
            command.add_argument("--variant", default=recipe.MAIN, help="one of the recipe's variants")
        if name == "import-cache":
            command.add_argument(
                "--paid-elsewhere",
                action="store_true",
                help="somebody else paid for these responses: their cost does not count against the recipe's caps",
            )
        if name == "batch-read":
            command.add_argument(
                "--price-factor", type=float, default=1.0, help="price of batch mode, as a share of the listed price"
            )
    command = commands.add_parser("fetch", help="download a student from the package registry into a local folder")
    command.add_argument("student", choices=paths.FETCHED)
    command = commands.add_parser("export", help="write pairs, rationales or a student of a finished run, to publish")
    command.add_argument("recipe", help="a name in notebooks/recipes, or a path")
    command.add_argument("what", choices=EXPORTS, help="; ".join(f"{name}: {told}" for name, told in EXPORTS.items()))
    command.add_argument("place", type=Path, help="the file or folder to write; it must not exist yet")
    command.add_argument(
        "--arm",
        default="rationale_answer",
        help="arm of the pairs or the student (default: %(default)s); two_stage/stage1 is the first stage of two_stage",
    )
    command.add_argument("--dataset", default="", help="one of the recipe's datasets; by default the first of distill")
    command.add_argument("--variant", default=recipe.MAIN, help="one of the recipe's variants")
    command.add_argument("--seed", type=int, help="seed of the student; by default the recipe's first")
    command.add_argument(
        "--form", choices=("chat", "completion", "gpt3"), default="chat", help="format of the lines of pairs"
    )
    paths.have_a_home()
    given, further = parser.parse_known_args()
    if further and given.command != "run":
        parser.error(f"unknown argument(s) {' '.join(further)}")
    try:
        if given.command in (*CACHE_COMMANDS, *FILE_COMMANDS):
            print(exchange(given))
            return
        if given.command == "export":
            print(publish(given))
            return
        if given.command == "fetch":
            from scicot_utils import students  # imported here: the other commands do not need it

            print(f"Student {given.student}: {paths.relative(students.fetch(given.student))}")
            return
        if Path(given.recipe).is_file():
            given.recipe = paths.relative(Path(given.recipe).resolve())
        planned = recipe.load(given.recipe)
        if given.command in ("check", "run"):
            from scicot_utils import provenance, tasks  # imported here: the other commands do not need it

            preflight(planned)
        if given.command == "run":
            provenance.fetch(planned)
        if given.command == "check":
            read = [
                f"  {row['key']}: {row['named']}, {row['size']}, sha256 {row['sha256'][:12]}"
                for row in provenance.sources(planned)
            ]
            path = planned.questions.dataset_path
            read += [f"  {name}: {tasks.layout(name, path, planned.own)}" for name in planned.datasets]
            print("\n".join([f"{planned.name}: {planned.description}", *read, f"{len(planned.runs())} runs; valid."]))
        elif given.command == "where":
            index = paths.site(planned.name) / "index.html"
            print(f"The book: {paths.relative(index)}   open it, or `make serve RECIPE={given.recipe}`", flush=True)
        elif given.command in ("metrics", "keep"):
            from scicot_utils import report  # imported here: it loads the plotting libraries

            make = report.collect if given.command == "metrics" else report.keep
            print(f"Written: {paths.relative(make(planned))}")
        else:
            run(given.recipe, further)
    except ScicotError as error:
        sys.exit(f"error: {error}")


def exchange(given: argparse.Namespace) -> str:
    """Run a command on a teacher's cache (show, clean, export, import, batch) and return a line on what was done."""
    from scicot_utils.teachers import exchange as files  # imported here: the other commands do not need it

    if given.command == "export-cache" and ".sqlite" in given.recipe:
        return files.export_cache(Path(given.recipe), given.file)
    if given.command == "batch-read" and not 0 <= given.price_factor <= 1:
        raise ScicotError(
            f"--price-factor: found {given.price_factor:g}, allowed: 0 to 1, the share of the listed price that is paid"
        )
    planned = recipe.load(given.recipe)
    if given.command == "cache":
        return files.state(planned)
    if given.command == "forget":
        return files.forget(planned, given.reason)
    if given.command == "export-cache":
        return files.export_cache(paths.teacher_cache(planned.name), given.file)
    if given.command == "import-cache":
        return files.import_cache(planned, given.file, paid_elsewhere=given.paid_elsewhere)
    if given.command == "batch-write":
        return files.batch_write(planned, given.file, given.dataset, given.variant)
    return files.batch_read(planned, given.file, given.dataset, given.variant, given.price_factor)


def publish(given: argparse.Namespace) -> str:
    """Export part of a finished run in a form that others can use, and return a line on what was written."""
    from scicot_utils import arms, students, tables  # imported here: the other commands do not need it

    planned = recipe.load(given.recipe)
    dataset = given.dataset or planned.distill[0]
    seed = planned.seeds[0] if given.seed is None else given.seed
    maps = {name: one.maps for name, one in arms.ONE_STUDENT.items()}
    maps |= {"two_stage": (arms.ANSWER_FROM,), "two_stage/stage1": (arms.RATIONALE,)}
    for what, found, allowed in (("dataset", dataset, planned.distill), ("arm", given.arm, maps)):
        if found not in allowed:
            raise ScicotError(f"--{what}: found '{found}', allowed: {', '.join(allowed)}")
    arm, _, stage = given.arm.partition("/")
    settings = planned.settings(arm, given.variant)
    of_stage = [planned.variant_at(kind, given.variant) for kind in ("questions", "rationales")]
    questions = tables.read("questions", paths.questions(planned.name, dataset, of_stage[0]))
    judged = tables.read("rationales", paths.rationales(planned.name, dataset, of_stage[1]))
    if given.what == "rationales":
        return publish_rationales(given.place, questions, judged, settings, dataset)
    pairs = arms.pairs(maps[given.arm], arms.training_examples(questions, judged, settings), settings)
    if given.what == "pairs":
        count = students.write_pairs(pairs, given.place, given.form)
        return f"{count} training pairs of {given.arm}, on the teacher's rationales, are in {given.place}"
    variant = planned.variant_at(stage, given.variant) if stage else given.variant
    run = paths.run(planned.name, dataset, arm, variant, seed) / stage
    if not (run / "provenance.json").is_file():
        raise ScicotError(
            f"no finished run in {paths.relative(run)}; make it first, or name another arm, variant or seed"
        )
    made = json.loads((run / "provenance.json").read_text(encoding="utf-8")) | {"plumbing": planned.plumbing}
    results = [] if stage else json.loads((run / "metrics.json").read_text(encoding="utf-8"))
    own = [row for row in results if row["arm"] == arm]  # without the controls' rows
    students.publish(run / "model", given.place, made=made, results=own, example=pairs[0])
    return f"The student of {given.arm}, seed {seed}, is in {given.place}"


def publish_rationales(
    place: Path, questions: list[dict], judged: list[dict], settings: recipe.Settings, dataset: str
) -> str:
    """Write all rationales, kept or dropped, with their questions as a Hugging Face dataset folder."""
    from scicot_utils import prompts, tables  # as above

    if place.exists():
        raise ScicotError(f"{place} is there already; name a new folder")
    by_id = {row["id"]: row for row in questions}
    asked = ("id", "split", "question", "choices", "answer")
    rows = [
        {key: by_id[row["question_id"]][key] for key in asked} | {key: row[key] for key in row if key != "question_id"}
        for row in judged
    ]
    splits = {
        name: [row for row in rows if row["split"] == name] for name in dict.fromkeys(row["split"] for row in rows)
    }
    kept = sum(row["kept"] for row in rows)
    prompt = prompts.TEACHER_PROMPTS[settings.prompt].label
    teacher = f"{settings.teacher}{f', {settings.teacher_model}' if settings.teacher_model else ''}"
    card = (
        f"# Rationales for {dataset}\n\nWhat a teacher (`{teacher}`, prompt `{prompt}`, temperature {settings.temperature:g}, "
        f"{settings.samples} a question) wrote to the questions of {dataset}: {len(rows)} rationales, of which {kept} were "
        f"kept (filter `{settings.filter}`). `teacher_answer` is the label that it came to, `drop_reason` why one was not "
        "kept. Fine-tuning uses the kept ones of the split train.\n\nThe terms of the questions and of the teacher hold for "
        "them; no licence is named here, so name one before you publish them.\n"
    )
    front = {
        "pretty_name": f"Rationales for {dataset}",
        "language": ["en"],
        "tags": ["distillation", "chain-of-thought"],
    }
    tables.write_dataset("published_rationales", splits, place, front, card)
    return f"{len(rows)} rationales, {kept} of them kept, are in {place}"


def preflight(planned: recipe.Recipe) -> None:
    """Raise ScicotError for errors that schema validation cannot see: unknown names and missing files."""
    from scicot_utils import prompts, tasks, teachers  # imported here: `where` and `metrics` do not need them

    settings = planned.settings()
    for name in planned.datasets:
        tasks.preflight(name, settings.dataset_path, planned.own)
    teachers.prompt_of(settings)
    teachers.open_teacher(settings)
    used = {planned.settings(variant=variant).prompt for variant in (recipe.MAIN, *planned.variants)}
    if settings.teacher != "recorded":
        used |= {*settings.prompts_compared.split(",")}  # a recorded teacher takes part in no comparison of prompts
    if any(prompts.TEACHER_PROMPTS[name].few_shot for name in used):
        for name in planned.distill:
            teachers.need_proofs(name)
    if "options_walked" in used:
        for name in planned.distill:
            prompts.need_options({"dataset": name})
    for arm, variant in dict.fromkeys((arm, variant) for _, arm, variant, _ in planned.runs()):
        values = planned.settings(arm, variant)
        for key in ("student", "tokenizer"):
            named = getattr(values, key)
            if ("$" in named or named.startswith(("/", "~", "."))) and not Path(paths.source(named)).exists():
                raise ScicotError(f"{key}: no folder at '{named}'; set it, or the environment variable in it")


def run(reference: str, further: list[str]) -> None:
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
