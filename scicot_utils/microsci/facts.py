"""The facts of MicroSci: read from the tables in `data/microsci`, checked, and written as sentences.

Questions are generated in `questions` and answered in `reasoning`.
"""

import csv
import hashlib
import random
from collections import Counter
from collections.abc import Container, Sequence
from dataclasses import dataclass
from pathlib import Path

from scicot_utils import paths

SPLITS = ("train", "validation", "test")  # of entities; those of a held-out domain are in none of them
HELD_OUT_DOMAINS = ("space", "body")  # never seen in fine-tuning: the transfer test `test_domain`
HELD_OUT = "held_out"
LABELS = "ABCDE"
ORDERED = {  # relations with ordered values, smallest first; the values are units
    "size": ("millimeters", "centimeters", "meters", "kilometers"),
    "mass": ("milligrams", "grams", "kilograms", "tonnes"),
}
SAYINGS = {  # relation → wordings for an entity's value, which is {}; the first is the default
    "kind": ("is {}", "counts as {}", "can be called {}"),
    "place": ("lives in {}", "is at home in {}", "can be found in {}"),
    "diet": ("eats {}", "feeds on {}", "lives on {}"),
    "material": ("is made of {}", "consists of {}", "is mostly {}"),
    "power": ("is worked by {}", "runs on {}", "takes its power from {}"),
    "measures": ("measures {}", "tells {}", "is used to find {}"),
    "size": ("is {} in size", "has a size of some {}", "reaches some {} from end to end"),
    "mass": ("weighs {}", "has a mass of some {}", "brings some {} to the scales"),
}
RELATIONS = tuple(SAYINGS)
FILES = ("entities", "kinds", "attributes", "properties", "consequences", "values", "events")


@dataclass(frozen=True)
class Kind:
    """A kind of entities and the class it belongs to. `article` is empty for mass nouns."""

    name: str
    article: str
    class_name: str
    class_article: str
    domain: str


@dataclass(frozen=True)
class Entity:
    """An entity of one kind. All questions that name it belong to one split."""

    name: str
    article: str
    kind: str
    split: str


@dataclass(frozen=True)
class Property:
    """True of every member of `holder` (a kind or a class) and of no member of the groups in `contrast`."""

    text: str
    holder: str
    contrast: tuple[str, ...]


@dataclass(frozen=True)
class Consequence:
    """What follows from a property: an effect, or a need that it meets."""

    text: str
    property: str
    need: bool


@dataclass(frozen=True)
class Value:
    """A value of a relation, such as the ocean. `rule`: what is true of it and of no other value of that relation."""

    relation: str
    name: str
    article: str
    rule: str
    event: str  # an event that would remove it; empty for none


@dataclass(frozen=True)
class World:
    """All facts, in the order of the files. `attributes`: entity → relation → value; the first relation is its kind."""

    entities: dict[str, Entity]
    kinds: dict[str, Kind]
    attributes: dict[str, dict[str, str]]
    properties: dict[str, Property]
    consequences: dict[str, Consequence]
    values: dict[tuple[str, str], Value]

    @property
    def classes(self) -> dict[str, str]:
        """Class name → its article."""
        return {kind.class_name: kind.class_article for kind in self.kinds.values()}

    def value(self, name: str, relation: str) -> str:
        """What the tables say of an entity: its kind or the value of an attribute. KeyError if they say nothing."""
        return self.attributes[name][relation]

    def groups(self, kind: str) -> tuple[str, str]:
        """The kind and its class, the groups that a member of `kind` belongs to."""
        return kind, self.kinds[kind].class_name

    def domain(self, name: str) -> str:
        """The domain of an entity, such as animals."""
        return self.kinds[self.entities[name].kind].domain

    def counts(self) -> dict[str, int]:
        """Number of atomic facts by table: its rows, and the two orders."""
        return {
            "kinds of things": len(self.entities),
            "attributes of things": sum(map(len, self.attributes.values())) - len(self.entities),
            "classes of kinds": len(self.kinds),
            "properties of kinds and classes": len(self.properties),
            "consequences of properties": len(self.consequences),
            "values of attributes": len(self.values),
            "events": sum(bool(value.event) for value in self.values.values()),
            "orders of units": len(ORDERED),
        }


def load_world(folder: Path = paths.MICROSCI) -> World:
    """Read and check the fact tables. Raises ValueError, one line that names file and value."""
    kind_rows = _rows(folder / "kinds.csv", ("kind", "article", "class", "class_article", "domain"))
    kinds = {row[0]: Kind(*row) for row in kind_rows}
    members: dict[str, set[str]] = {}  # kind or class → the kinds in it
    for kind in kinds.values():
        members.setdefault(kind.name, set()).add(kind.name)
        members.setdefault(kind.class_name, set()).add(kind.name)
    entity_rows = _rows(folder / "entities.csv", ("entity", "article", "kind"))
    for name, _, kind_name in entity_rows:
        _require("entities.csv", name, kind_name, kinds, "kinds.csv")
    event_rows = _rows(folder / "events.csv", ("relation", "value", "event"), key=2)
    events = {(relation, value): event for relation, value, event in event_rows}
    value_rows = _rows(folder / "values.csv", ("relation", "value", "article", "rule"), key=2)
    values = {row[:2]: Value(*row, events.get(row[:2], "")) for row in value_rows}
    for key in events:
        _require("events.csv", key[0], key, values, "values.csv")
    attributes = {name: {"kind": kind_name} for name, _, kind_name in entity_rows}
    for name, relation, value in _rows(folder / "attributes.csv", ("entity", "relation", "value"), key=2):
        _require("attributes.csv", relation, name, attributes, "entities.csv")
        _require("attributes.csv", name, relation, RELATIONS[1:], "the relations")
        allowed = ORDERED.get(relation) or [v for r, v in values if r == relation]
        if relation == "diet":
            allowed = [eaten(group) for group in members]
        _require("attributes.csv", name, value, allowed, f"the values of {relation}")
        attributes[name][relation] = value
    split_of = _splits(kinds, attributes)
    entities = {row[0]: Entity(*row, split_of[row[0]]) for row in entity_rows}
    properties = {}
    for text, holder, groups in _rows(folder / "properties.csv", ("property", "holder", "contrast")):
        contrast = tuple(groups.split(";"))
        for group in (holder, *contrast):
            _require("properties.csv", text, group, members, "kinds.csv")
        for group in contrast:
            if members[holder] & members[group]:
                raise ValueError(f"properties.csv: {text!r}: {group!r} is holder and contrast")
        properties[text] = Property(text, holder, contrast)
    consequences = {}
    for holder, sort, text in _rows(folder / "consequences.csv", ("property", "need_or_effect", "consequence")):
        _require("consequences.csv", text, holder, properties, "properties.csv")
        _require("consequences.csv", holder, sort, ("need", "effect"), "need, effect")
        consequences[text] = Consequence(text, holder, sort == "need")
    return World(entities, kinds, attributes, properties, consequences, values)


def fingerprint(folder: Path = paths.MICROSCI) -> str:
    """SHA-256 of the fact tables. It identifies the world from which something was made."""
    digest = hashlib.sha256()
    for name in FILES:
        digest.update((folder / f"{name}.csv").read_bytes())
    return digest.hexdigest()


def _splits(kinds: dict[str, Kind], attributes: dict[str, dict[str, str]]) -> dict[str, str]:
    """Entity → split. Of each kind, a quarter, and at least two, go to validation and to test; the rest go to training.

    Within a kind, an entity goes to the split in which its values are rarest so far, so that every split has some
    entity for every place, food and material. Entities of held-out domains are in none of the three.
    """
    split_of: dict[str, str] = {}
    taken: Counter[tuple[str, str, str]] = Counter()
    for kind, entry in kinds.items():
        names = [name for name, values in attributes.items() if values["kind"] == kind]
        quarter = max(2, round(len(names) / 4))
        if len(names) < 3 * 2:
            raise ValueError(f"entities.csv: kind {kind!r} has {len(names)} entities; 6 are needed, 2 for each split")
        if entry.domain in HELD_OUT_DOMAINS:
            split_of |= dict.fromkeys(names, HELD_OUT)
            continue
        free = {"validation": quarter, "test": quarter, "train": len(names) - 2 * quarter}
        random.Random(f"microsci split of {kind}").shuffle(names)  # string seeds ignore PYTHONHASHSEED
        for name in names:
            values = [item for item in attributes[name].items() if item[0] not in ("kind", *ORDERED)]
            crowding = {  # training takes twice the share of the others
                split: sum(taken[split, *item] for item in values) / (2 if split == "train" else 1)
                for split, places in free.items()
                if places
            }
            split = min(crowding, key=lambda split: (crowding[split], -free[split]))
            free[split] -= 1
            split_of[name] = split
            taken.update((split, *item) for item in values)
    return split_of


def _require(file: str, row: str, name: object, allowed: Container[object], source: str) -> None:
    if name not in allowed:
        raise ValueError(f"{file}: {row!r} names {name!r}, which is not in {source}")


def _rows(file: Path, columns: Sequence[str], key: int = 1) -> list[tuple[str, ...]]:
    """Rows of a table with these columns. The first `key` columns together identify a row."""
    with file.open(encoding="utf-8", newline="") as stream:
        header, *rows = list(filter(None, csv.reader(stream))) or [[]]
    if tuple(header) != tuple(columns):
        raise ValueError(f"{file.name}: columns {header}; needed are {list(columns)}")
    seen: set[tuple[str, ...]] = set()
    for row in rows:
        identifier = tuple(row[:key])
        if len(row) != len(columns) or not all(identifier) or identifier in seen:
            raise ValueError(f"{file.name}: {', '.join(identifier)!r} is empty, given twice or of wrong length")
        seen.add(identifier)
    return [tuple(row) for row in rows]


# Sentences


def noun(article: str, name: str) -> str:
    """A name with its article, if it has one."""
    return f"{article} {name}".strip()


def entity_noun(world: World, name: str) -> str:
    """An entity with its article: "a raft", "the Nile", "copper"."""
    return noun(world.entities[name].article, name)


def group_noun(world: World, group: str) -> str:
    """A kind or a class with its article: "a bird", "an invertebrate", "meat"."""
    return noun(world.kinds[group].article if group in world.kinds else world.classes[group], group)


def eaten(group: str) -> str:
    """The name of a group as food: its plural."""
    return group if group.endswith("fish") else f"{group}s"


def sentence(text: str) -> str:
    """`text` as a sentence: with a capital letter and a full stop."""
    return f"{text[0].upper()}{text[1:]}."


def saying(world: World, relation: str, value: str, wording: int = 0, *, with_class: bool = False) -> str:
    """What is said of an entity that has this value: "is a bird", "lives in the ocean". `with_class`: what is said of a
    member of a kind, with its class: "is a bird, a vertebrate".
    """
    if relation == "kind":
        text = group_noun(world, value)
    elif (relation, value) in world.values:
        text = noun(world.values[relation, value].article, value)
    else:
        text = value
    more = f", {group_noun(world, world.kinds[value].class_name)}" if with_class else ""
    return f"{SAYINGS[relation][wording].format(text)}{more}"


def fact(world: World, name: str, relation: str, wording: int = 0, *, value: str = "", with_class: bool = False) -> str:
    """A fact about an entity as a sentence: "A raft is made of wood.". `value`: what is said instead of what the tables
    say. `with_class`: as in `saying`.
    """
    said = saying(world, relation, value or world.value(name, relation), wording, with_class=with_class)
    return sentence(f"{entity_noun(world, name)} {said}")


def class_fact(world: World, kind: str) -> str:
    """The class of a kind: "A bird is a vertebrate."."""
    return sentence(f"{group_noun(world, kind)} is {group_noun(world, world.kinds[kind].class_name)}")


def rule(world: World, text: str) -> str:
    """Who has a property: "Every bird has feathers.", and for mass nouns "All meat …"."""
    holder = world.properties[text].holder
    return f"{'All' if group_noun(world, holder) == holder else 'Every'} {holder} {text}."


def consequence_rule(world: World, text: str) -> str:
    """What follows from a property: "What has feathers can stay warm.", "With what cuts you can open a box."."""
    entry = world.consequences[text]
    return f"With what {entry.property} you can {text}." if entry.need else f"What {entry.property} can {text}."


def value_rule(world: World, relation: str, value: str) -> str:
    """What is true of a value: "The ocean is full of salty water."."""
    entry = world.values[relation, value]
    return sentence(f"{noun(entry.article, value)} {entry.rule}")


def event_rule(world: World, relation: str, value: str) -> str:
    """What an event removes: "If the power lines fell down, there would be no electricity."."""
    return f"If {world.values[relation, value].event}, there would be no {value}."


def order_rule(relation: str) -> str:
    """The order of a relation's values, smallest first."""
    *smaller, largest = ORDERED[relation]
    return sentence(f"{', '.join(smaller)} and {largest} go from small to large")
