"""Statistics of MicroSci's questions and facts, and its export as a dataset folder."""

from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from scicot_utils import tables
from scicot_utils.microsci.facts import load_world
from scicot_utils.microsci.pretraining import options_line
from scicot_utils.microsci.reasoning import FORMS, Solver
from scicot_utils.tables import Row
from scicot_utils.tasks.checks import splits_of, squeeze

FRONT_MATTER = {  # for the embedded benchmark's dataset card; LICENSE gives this licence for embedded data
    "pretty_name": "MicroSci",
    "license": "cc-by-4.0",
    "language": ["en"],
    "task_categories": ["multiple-choice", "question-answering"],
    "tags": ["synthetic", "science", "multi-hop", "reasoning"],
}


def entities(rows: Iterable[Row]) -> set[str]:
    """The entities that MicroSci questions are about: their subjects, and their options if these are entities."""
    world = load_world()
    solver = Solver(world)
    names = set()
    for row in rows:
        query = solver.read(row["question"])
        names |= world.entities.keys() & {query.about, *row["choices"]["text"]}
    return names


def entities_shared(rows: list[Row]) -> list[Row]:
    """For each split but train: the numbers of its entities and of the words in their names, and how many of them also
    occur in training questions.
    """
    names = {split: entities(row for row in rows if row["split"] == split) for split in ("train", *splits_of(rows)[1:])}
    words = {split: {word for name in names[split] for word in squeeze(name).split()} for split in names}
    return [
        {
            "split": split,
            "things": len(names[split]),
            "of them in training questions": len(names[split] & names["train"]),
            "words of their names": len(words[split]),
            "of them in names of training": len(words[split] & words["train"]),
        }
        for split in splits_of(rows)[1:]
    ]


def forms(rows: list[Row]) -> list[Row]:
    """Each form of MicroSci's questions: its hops, its number of questions per split, an example and its proof."""
    summary = []
    for name, form in FORMS.items():
        questions = [row for row in rows if row["group"] == name]
        example = dict.fromkeys(("example", "answer", "proof"), "")
        if questions:
            question, options = questions[0]["question"], questions[0]["choices"]["text"]
            example["example"] = f"{question} {options_line(options)}"
            example |= {"answer": questions[0]["answer"], "proof": " ".join(questions[0]["proof"])}
        sizes = {split: sum(row["split"] == split for row in questions) for split in splits_of(rows)}
        summary.append({"form": name, "hops": form.hops} | sizes | example)
    return summary


def facts() -> list[Row]:
    """Number of facts in MicroSci by table, and number of entities by domain."""
    world = load_world()
    counts = world.counts()
    domains = Counter(map(world.domain, world.entities))
    return [
        *({"what": "facts", "of": table, "number": number} for table, number in counts.items()),
        *({"what": "things", "of": domain, "number": number} for domain, number in domains.items()),
        {"what": "facts", "of": "all", "number": sum(counts.values())},
    ]


def export_dataset(rows: list[Row], folder: Path, card: str) -> list[Path]:
    """Write the embedded benchmark as a Hugging Face dataset folder. `card`: its README without front matter."""
    return tables.write_dataset("questions", rows, folder, FRONT_MATTER, card)
