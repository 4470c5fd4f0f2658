"""Declarations of the benchmarks: where the questions are, how a row is converted, and what the answers are.

An entry with `make` is generated here. One with `hub` is read by `datasets`, from the hub or from a folder in the hub's
layout. One with `file` is read from a JSON file that the user has. The reading itself is done in `reading`.
"""

import functools
import random
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from scicot_utils import ScicotError
from scicot_utils.recipe import TRANSFER
from scicot_utils.tables import Row
from scicot_utils.tasks import symbolic

SPLITS = ("train", "validation", "test")
EMBEDDED = "microsci"
HELD_OUT = 0.1  # share of training questions held out as validation if a benchmark has no validation split
OPTIONS_CUE = re.compile(r" Answer (?:choices|options): ?", re.IGNORECASE)  # between a question and options in its text
TRUTH = {"true": "yes", "false": "no"}  # other words for yes and no
HO = "Ho et al. 2023, arXiv 2212.10071; questions of "


class TaskError(ScicotError):
    """A benchmark cannot be found or read."""


class RowFault(Exception):
    """A row is not a valid question; the message says why."""


@dataclass(frozen=True)
class Task:
    """One benchmark. `normalise` turns a row of the source into a row of the questions table, or None to leave it out.

    `file`: the data file of Fine-tune-CoT's code. `kojima`: the file or folder in zero_shot_cot's `dataset/`. `make`:
    generates the questions if there is no such file. `splits`: our name of a split → the source's; without a validation
    split, one in ten training questions is held out. `published`: the paper's number of questions by split.
    `train_drawn`: how many it drew from a larger train split. `tolerates`: faults of rows (`checks.fault`) that the
    benchmark is known to have and that are left in. `answers`: a kind in `prompts.answers`. `letters` and `compared_as`
    are for Fine-tune-CoT's own reading: the letters that it looks for, and how it compares numbers.
    """

    name: str
    source: str
    normalise: Callable[[Row], Row | None] = dict
    hub: str = ""
    config: str = ""
    file: str = ""
    kojima: str = ""
    make: Callable[[dict[str, int], int], list[Row]] | None = None
    splits: Mapping[str, str] = field(default_factory=lambda: {split: split for split in SPLITS})
    published: Mapping[str, int] = field(default_factory=dict)
    train_drawn: int = 0
    tolerates: tuple[str, ...] = ()
    answers: Literal["option", "number", "yes_no", "word"] = "option"
    letters: str = ""
    compared_as: Literal["number", "text"] = "number"


def question_row(key: str, question: str, answer: str, labels: Iterable[str] = (), texts: Iterable[str] = ()) -> Row:
    """A row of the questions table, without what all rows of a split share."""
    return {"id": key, "question": question, "choices": {"label": [*labels], "text": [*texts]}, "answer": answer}


# ── Multiple choice ─────────────────────────────────────────────────────────────────────────────────────────────


def _arc(row: Row) -> Row:
    """A question with its options, in any layout that its publishers or the hub use.

    Question, stem and choices are side by side, or nested as `question: {stem, choices}`. Choices are {label[],
    text[]}, [{label, text}] or [text]. Labels may be numbers.
    """
    fields = row["question"] if isinstance(row.get("question"), Mapping) else row
    question = next((fields[name] for name in ("question_stem", "stem", "question") if name in fields), None)
    choices = fields["choices"]
    if isinstance(choices, str):  # as pandas writes them into CSV files
        raise TypeError("its choices are a text: declare such a file as a benchmark of your own, own/…")
    if isinstance(choices, Mapping):
        labels, texts = list(choices["label"]), list(choices["text"])
    elif all(isinstance(choice, Mapping) for choice in choices):
        labels, texts = [choice["label"] for choice in choices], [choice["text"] for choice in choices]
    else:
        labels, texts = list("ABCDEFGH"[: len(choices)]), list(choices)
    labels = [str(label).strip() for label in labels]
    return question_row(str(row["id"]), question, str(row["answerKey"]).strip(), labels, texts)


def _lettered(row: Row, texts: list[str], gold: int) -> Row:
    labels = "ABCDEFGH"[: len(texts)]
    answer = labels[gold] if 0 <= gold < len(labels) else str(gold)
    return question_row(row["id"], row["question"], answer, labels, texts)


def _sciq(row: Row) -> Row:
    """The source gives the right option separately. The order is drawn from the id, so that no place is favoured."""
    texts = [row["correct_answer"], row["distractor1"], row["distractor2"], row["distractor3"]]
    order = random.Random(f"SciQ/{row['id']}").sample(range(len(texts)), len(texts))
    return _lettered(row, [texts[index] for index in order], order.index(0))


def _scienceqa(row: Row) -> Row | None:
    """Text-only questions; None for one with an image. A hint precedes the question, which may refer to it."""
    if row.get("image") is not None:
        return None
    question = f"{row['hint']} {row['question']}" if row.get("hint") else row["question"]
    return _lettered(row | {"question": " ".join(question.split())}, list(row["choices"]), row["answer"])


def _aqua(row: Row) -> Row:
    texts = [option.split(")", 1)[-1].strip() for option in row["options"]]
    return _lettered(row, texts, "ABCDE".find(row["correct"]))


def _options_in_question(row: Row) -> Row:
    """A question whose text lists its options, as in `… Answer choices: (A) 01/05/2015, (B) 01/05/1938.`"""
    question, *tails = OPTIONS_CUE.split(re.sub(r"\s+", " ", row["question"]))
    options = tails[-1].strip() if tails else ""
    texts = re.findall(r"\([A-H]\) ?(.+?)(?=,? ?\([A-H]\)|\.?$)", options)
    return _lettered(row | {"question": question}, texts, "ABCDEFGH".find(row["answer"].strip()))


# ── Open answers ────────────────────────────────────────────────────────────────────────────────────────────────


def _open(row: Row) -> Row:
    return question_row(row["id"], " ".join(row["question"].split()), str(row["answer"]).strip())


def _yes_no(row: Row) -> Row:
    result = _open(row)
    answer = result["answer"].lower()
    return result | {"answer": TRUTH.get(answer, answer)}


def _gsm8k(row: Row) -> Row:
    return _open(row | {"answer": row["answer"].rpartition("####")[2]})


# ── Generated ───────────────────────────────────────────────────────────────────────────────────────────────────


def _microsci(sizes: dict[str, int], seed: int) -> list[Row]:
    """`sizes[split]` questions with their proofs; a transfer test of size 0 is left out."""
    from scicot_utils.microsci.facts import load_world  # imported here: the embedded world lies above the core
    from scicot_utils.microsci.questions import questions

    sizes = {split: size for split, size in sizes.items() if size or split not in TRANSFER}
    if not all(sizes.values()):
        raise TaskError("microsci is generated, so 'all' (0) has no meaning: give every split's number of questions")
    return questions(load_world(), sizes, seed)


def _symbolic(name: str, train: int, test: int, **fields: Any) -> Task:
    held_out = round(HELD_OUT * train)
    published = {"train": train - held_out, "validation": held_out, "test": test}

    def make(sizes: dict[str, int], seed: int) -> list[Row]:
        return symbolic.questions(name, {split: sizes[split] or published[split] for split in SPLITS}, seed)

    source = f"{HO}{'BIG-bench' if name == 'ShuffledObjects' else 'Kojima et al. 2022'}, made anew without dataset_path"
    return Task(name, source, make=make, published={"train": train, "test": test}, **fields)


_HELD_OUT = {"train": "train", "test": "test"}
_NO_PUBLIC_TEST = {"train": "train", "test": "validation"}
_arithmetic = functools.partial(Task, normalise=_open, answers="number", splits={})

TASKS = {
    task.name: task
    for task in (
        Task(EMBEDDED, "this project, scicot_utils/data/microsci", make=_microsci),
        Task("ARC-Easy", "Clark et al. 2018, arXiv 1803.05457", _arc, "allenai/ai2_arc", "ARC-Easy"),
        Task("ARC-Challenge", "Clark et al. 2018, arXiv 1803.05457", _arc, "allenai/ai2_arc", "ARC-Challenge"),
        Task("OpenBookQA", "Mihaylov et al. 2018, arXiv 1809.02789", _arc, "allenai/openbookqa", "main",
             tolerates=("two equal options",)),  # three training questions have them
        Task("SciQ", "Welbl et al. 2017, arXiv 1707.06209", _sciq, "allenai/sciq"),
        Task("QASC", "Khot et al. 2020, arXiv 1910.11473", _arc, "allenai/qasc", splits=_NO_PUBLIC_TEST),
        Task("ScienceQA", "Lu et al. 2022, arXiv 2209.09513; text only", _scienceqa, "derek-thomas/ScienceQA"),
        _symbolic("LastLetter", 350, 150, file="last_letter_concatenation.json", kojima="last_letters/last_letters.json", normalise=_open, answers="word"),
        _symbolic("CoinFlip", 350, 150, file="coin_flip.json", kojima="coin_flip/coin_flip.json", normalise=_yes_no, answers="yes_no"),
        _symbolic("ShuffledObjects", 525, 225, file="tracking_shuffled_objects.json", kojima="Bigbench_object_tracking/task.json", normalise=_options_in_question,
                  letters="ABC"),
        _arithmetic("SingleEq", f"{HO}Koncel-Kedziorski et al. 2015", file="single_eq.json", kojima="SingleEq/questions.json",
                    published={"train": 356, "test": 152}),
        _arithmetic("AddSub", f"{HO}Hosseini et al. 2014", file="addsub.json", kojima="AddSub/AddSub.json", published={"train": 276, "test": 119}),
        _arithmetic("MultiArith", f"{HO}Roy and Roth 2015", file="multiarith.json", kojima="MultiArith/MultiArith.json", compared_as="text",
                    published={"train": 420, "test": 180}),
        _arithmetic("SVAMP", f"{HO}Patel et al. 2021", file="svamp.json", kojima="SVAMP/SVAMP.json", published={"train": 700, "test": 300}),
        Task("GSM8K", f"{HO}Cobbe et al. 2021", _gsm8k, "openai/gsm8k", "main", kojima="grade-school-math", splits=_HELD_OUT, answers="number",
             compared_as="text", published={"train": 7473, "test": 1319}),
        Task("AQUA", f"{HO}Ling et al. 2017", _aqua, "deepmind/aqua_rat", "raw", kojima="AQuA", splits=_HELD_OUT, letters="ABCDE",
             train_drawn=10_000, published={"train": 10_000, "test": 254}),
        Task("DateUnderstanding", f"{HO}BIG-bench", _options_in_question, file="date_understanding.json", kojima="Bigbench_Date/task.json", splits={},
             letters="ABCDEF", published={"train": 258, "test": 111}),
        Task("CommonsenseQA", f"{HO}Talmor et al. 2019", _arc, "tau/commonsense_qa", kojima="CommonsenseQA", splits=_NO_PUBLIC_TEST,
             letters="ABCDE", published={"train": 9741, "test": 1221}, tolerates=("two equal options",)),  # of one question
        Task("StrategyQA", f"{HO}Geva et al. 2021", _yes_no, file="strategy_qa.json", kojima="StrategyQA/task.json", splits={}, answers="yes_no",
             published={"train": 1603, "test": 687}),
    )
}  # fmt: skip


def task(name: str) -> Task:
    """The declared entry of a benchmark, or a default entry for one of the user's own."""
    return TASKS.get(name) or Task(name, "a file of the user's own")
