"""The teacher and the prompt that a recipe names, and the exemplars that a few-shot prompt needs."""

import hashlib
from collections.abc import Callable, Iterable
from dataclasses import fields

from scicot_utils.prompts import TEACHER_PROMPTS, Exemplar, TeacherPrompt, few_shot
from scicot_utils.recipe import Settings
from scicot_utils.serving.budget import Limits
from scicot_utils.serving.protocol import Teacher, TeacherError
from scicot_utils.tables import Row
from scicot_utils.tasks import EMBEDDED, symbolic
from scicot_utils.teachers import puzzles, recorded
from scicot_utils.teachers.recorded import Recorded


def open_teacher(settings: Settings) -> Teacher:
    """The teacher that a recipe names. Raises TeacherError if its file or model cannot be read."""
    if settings.teacher == "recorded":
        selection = {setting: getattr(settings, key) for setting, key in recorded.CHOSEN_BY.items()}
        return Recorded(settings.teacher_path, selection, settings.teacher_columns)
    if settings.teacher == "openai":
        from scicot_utils.serving.served import Served, Server  # imported here: only this teacher needs the client

        names = [field.name for field in fields(Server) if field.name != "price"]
        return Served(Server(**{name: getattr(settings, f"teacher_{name}") for name in names}, price=settings.price()))
    if settings.teacher == "local":
        from scicot_utils.teachers.local import Local  # imported here: it loads torch

        return Local(settings)
    from scicot_utils.microsci.teacher import Habits, Simulated  # imported here: the embedded world lies above the core

    return Simulated(Habits.of(settings))


def limits_of(settings: Settings) -> Limits:
    """The caps that a recipe sets."""
    return Limits(settings.max_usd, settings.max_requests)


def _steps(question: Row) -> str:
    return " ".join(puzzles.worked(symbolic.read(question["question"]), lambda _: None, lambda: 0))


PROOFS: dict[str, Callable[[Row], str]] = {  # dataset → a rationale as a human would write it
    EMBEDDED: lambda question: " ".join(question["proof"]),
    **dict.fromkeys(symbolic.MAKERS, _steps),
}


def need_proofs(dataset: str) -> None:
    """Raise TeacherError if a benchmark has no rationales that a few-shot prompt could show."""
    if dataset not in PROOFS:
        raise TeacherError(
            f"prompt 'few_shot_cot' needs exemplars with rationales, and none are known for {dataset}; "
            f"allowed: it with {', '.join(PROOFS)}, or another prompt"
        )


def exemplars(questions: Iterable[Row], count: int) -> list[Exemplar]:
    """`count` worked questions of the train split, from different groups as far as possible; always the same ones.

    Their rationales are the benchmark's own proofs. Raises TeacherError if it has none, or too few questions.
    """
    train = [row for row in questions if row["split"] == "train"]
    train.sort(key=lambda row: hashlib.sha256(row["id"].encode()).hexdigest())
    if len(train) < count:
        raise TeacherError(f"few-shot prompt: found {len(train)} training questions, needed: {count}")
    for dataset in dict.fromkeys(row["dataset"] for row in train):
        need_proofs(dataset)
    first_of_group = {row["group"]: row for row in reversed(train)}
    ordered = sorted(train, key=lambda row: row is not first_of_group[row["group"]])
    return [Exemplar(row, PROOFS[row["dataset"]](row)) for row in ordered[:count]]


def prompt_of(settings: Settings, questions: Iterable[Row] = (), *, name: str = "") -> TeacherPrompt:
    """The prompt that a recipe names, or the one called `name`.

    A recorded teacher has only the prompt `recorded`. If its file is an export of a cache, it has only the prompts that
    were asked then. A few-shot prompt takes its exemplars from the train split of `questions`. Without them, it can
    parse completions, but not ask. Raises TeacherError if teacher and prompt do not go together.
    """
    name = name or settings.prompt
    exported = settings.teacher == "recorded" and recorded.is_export(settings.teacher_path)
    if (settings.teacher == "recorded" and not exported) != (name == "recorded"):
        raise TeacherError(
            f"teacher '{settings.teacher}' with prompt '{name}': allowed: prompt 'recorded' with teacher "
            "'recorded', any other prompt with any other teacher, and with a recorded one whose file is a cache's export"
        )
    prompt, questions = TEACHER_PROMPTS[name], list(questions)
    if prompt.few_shot and questions:
        return few_shot(prompt, exemplars(questions, settings.few_shot_examples + 1))
    return prompt
