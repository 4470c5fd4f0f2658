"""Statistics of MicroSci, and its export as a dataset folder. Its questions are generated in `microsci`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from scicot_utils import microsci, tables
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
    world = microsci.load_world()
    solver = microsci.Solver(world)
    found = set()
    for row in rows:
        asked = solver.read(row["question"])
        subjects = {
            name for slot, name in zip(microsci.FORMS[asked.form].slots, asked.slots, strict=True) if slot == "entity"
        }
        found |= subjects | (world.entities.keys() & {*row["choices"]["text"]})
    return found


def entities_shared(rows: list[Row]) -> list[Row]:
    """For each split but train: the numbers of its entities and of the words in their names, and how many of them also
    occur in training questions.
    """
    trained = entities(row for row in rows if row["split"] == "train")
    trained_words = {word for name in trained for word in squeeze(name).split()}
    counts = []
    for split in splits_of(rows)[1:]:
        found = entities(row for row in rows if row["split"] == split)
        words = {word for name in found for word in squeeze(name).split()}
        counts.append(
            {
                "split": split,
                "things": len(found),
                "of them in training questions": len(found & trained),
                "words of their names": len(words),
                "of them in names of training": len(words & trained_words),
            }
        )
    return counts


def forms(rows: list[Row]) -> list[Row]:
    """Each form of MicroSci's questions: its hops, its number of questions per split, an example and its proof."""
    listed = []
    for name, form in microsci.FORMS.items():
        found = [row for row in rows if row["group"] == name]
        example = next(iter(found), None)
        listed.append(
            {"form": name, "hops": form.hops}
            | {split: sum(row["split"] == split for row in found) for split in splits_of(rows)}
            | {
                "example": ""
                if example is None
                else f"{example['question']} {microsci.options_line(example['choices']['text'])}",
                "answer": "" if example is None else example["answer"],
                "proof": "" if example is None else " ".join(example["proof"]),
            }
        )
    return listed


def facts() -> list[Row]:
    """Number of facts in MicroSci by table, and number of entities by domain."""
    world = microsci.load_world()
    counts = {
        "kinds of things": len(world.entities),
        "attributes of things": sum(map(len, world.attributes.values())),
        "classes of kinds": len(world.kinds),
        "properties of kinds and classes": len(world.properties),
        "consequences of properties": len(world.consequences),
        "values of attributes": len(world.values),
        "events": sum(bool(value.event) for value in world.values.values()),
        "orders of units": len(microsci.ORDERED),
    }
    rows = [{"what": "facts", "of": what, "number": number} for what, number in counts.items()]
    domains = Counter(map(world.domain, world.entities))
    rows += [{"what": "things", "of": domain, "number": number} for domain, number in domains.items()]
    return [*rows, {"what": "facts", "of": "all", "number": world.size()}]


def export_dataset(rows: list[Row], folder: Path, card: str) -> list[Path]:
    """Write the embedded benchmark as a Hugging Face dataset folder. `card`: its README without front matter."""
    splits = {split: [row for row in rows if row["split"] == split] for split in splits_of(rows)}
    return tables.write_dataset("questions", splits, folder, FRONT_MATTER, card)
