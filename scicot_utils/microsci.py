"""The embedded benchmark MicroSci: facts of a closed world, questions that combine them, pretraining pairs.

Pure values in, pure values out. It knows nothing of prompts, teachers or students: the texts it writes are
facts and questions; how a student is asked is written in `prompts`.
"""

from __future__ import annotations

import csv
import hashlib
import itertools
import random
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from scicot_utils import paths

SPLITS = {"train": 4, "validation": 2, "test": 2}  # entities of each kind in a split
WORDINGS = ("Which of these {}?", "Which one {}?", "Which of them {}?")
LABELS = "ABCDE"
OPTIONS = 4
WORD = re.compile(r"\([a-e]\)|-->|[a-z0-9]+(?:'[a-z]+)?|[^\sa-z0-9]")  # tokens of lower-cased text
TWO_HOPS_SHARE = 2 / 3  # of the questions, rounded; the others need a third hop, from the kind to its class


@dataclass(frozen=True)
class Kind:
    """A kind of things and the class it belongs to; `article` is empty for mass nouns."""

    name: str
    article: str
    class_name: str
    class_article: str


@dataclass(frozen=True)
class Entity:
    """A thing; it belongs to one kind, and all questions that name it belong to one split."""

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
class World:
    """All facts, in the order of the files."""

    entities: dict[str, Entity]
    kinds: dict[str, Kind]
    properties: dict[str, Property]

    @property
    def classes(self) -> dict[str, str]:
        """Class name → its article."""
        return {kind.class_name: kind.class_article for kind in self.kinds.values()}


def load_world(folder: Path = paths.MICROSCI) -> World:
    """Read and check the fact tables; a fault raises ValueError with one line that names file and value."""
    kinds = {
        row["kind"]: Kind(row["kind"], row["article"], row["class"], row["class_article"])
        for row in _rows(folder / "kinds.csv", "kind", ("kind", "article", "class", "class_article"))
    }
    groups = {*kinds, *(kind.class_name for kind in kinds.values())}
    members: dict[str, list[str]] = {kind: [] for kind in kinds}
    entity_rows = _rows(folder / "entities.csv", "entity", ("entity", "article", "kind"))
    for row in entity_rows:
        if row["kind"] not in kinds:
            raise ValueError(f"entities.csv: {row['entity']!r} is of kind {row['kind']!r}, not in kinds.csv")
        members[row["kind"]].append(row["entity"])
    split_of: dict[str, str] = {}
    for kind, names in members.items():
        if len(names) != (needed := sum(SPLITS.values())):
            raise ValueError(f"entities.csv: kind {kind!r} has {len(names)} entities; {needed} needed")
        splits = [split for split, count in SPLITS.items() for _ in range(count)]
        random.Random(f"microsci split of {kind}").shuffle(splits)  # string seeds ignore PYTHONHASHSEED
        split_of |= dict(zip(names, splits, strict=True))
    entities = {
        row["entity"]: Entity(row["entity"], row["article"], row["kind"], split_of[row["entity"]])
        for row in entity_rows
    }
    properties = {}
    for row in _rows(folder / "properties.csv", "property", ("property", "holder", "contrast")):
        contrast = tuple(row["contrast"].split(";"))
        for group in (row["holder"], *contrast):
            if group not in groups:
                raise ValueError(f"properties.csv: {row['property']!r} names {group!r}, not in kinds.csv")
        properties[row["property"]] = Property(row["property"], row["holder"], contrast)
        held = {name for name, kind in kinds.items() if row["holder"] in (name, kind.class_name)}
        for group in contrast:
            if held & {name for name, kind in kinds.items() if group in (name, kind.class_name)}:
                raise ValueError(f"properties.csv: {row['property']!r}: {group!r} is holder and contrast")
    return World(entities, kinds, properties)


def fingerprint(folder: Path = paths.MICROSCI) -> str:
    """SHA-256 of the fact tables: what was made from another world has another fingerprint."""
    digest = hashlib.sha256()
    for name in ("entities.csv", "kinds.csv", "properties.csv"):
        digest.update((folder / name).read_bytes())
    return digest.hexdigest()


def _rows(file: Path, key: str, columns: Sequence[str]) -> list[dict[str, str]]:
    with file.open(encoding="utf-8", newline="") as stream:
        reader = csv.DictReader(stream)
        if tuple(reader.fieldnames or ()) != tuple(columns):
            raise ValueError(f"{file.name}: columns {reader.fieldnames}; needed are {list(columns)}")
        rows = list(reader)
    seen: set[str] = set()
    for row in rows:
        if None in row.values() or None in row or not row[key] or row[key] in seen:
            raise ValueError(f"{file.name}: {row[key]!r} is empty, given twice or in a row of wrong length")
        seen.add(row[key])
    return rows


# Sentences


def _noun(article: str, name: str) -> str:
    return f"{article} {name}".strip()


def groups_phrase(world: World, kind: str) -> str:
    """A kind and its class with their articles: "a watercraft, a vehicle"."""
    entry = world.kinds[kind]
    return f"{_noun(entry.article, kind)}, {_noun(entry.class_article, entry.class_name)}"


def entity_sentence(world: World, name: str) -> str:
    """The kind and the class of an entity: "A raft is a watercraft, a vehicle."."""
    entity = world.entities[name]
    subject = _noun(entity.article, name)
    return f"{subject[0].upper()}{subject[1:]} is {groups_phrase(world, entity.kind)}."


def rule_sentence(world: World, text: str) -> str:
    """Who holds a property: "Every bird has feathers.", and for mass nouns "All meat …"."""
    holder = world.properties[text].holder
    article = world.kinds[holder].article if holder in world.kinds else world.classes[holder]
    return f"{'Every' if article else 'All'} {holder} {text}."


def belongs(world: World, name: str, group: str) -> bool:
    """Whether the entity `name` is a member of `group`, a kind or a class."""
    kind = world.kinds[world.entities[name].kind]
    return group in (kind.name, kind.class_name)


# Questions


def questions(world: World, sizes: Mapping[str, int], seed: int) -> list[dict[str, object]]:
    """Four-option questions, `sizes[split]` for each split; the same arguments always give the same list.

    All options of a question are entities of its split. The distractors come from the property's contrast so
    that the options alone do not show the answer: a question about a kind has a sibling kind and two kinds of
    another class (no odd one out), one about a class has four classes. Raises ValueError if a size asked for
    exceeds the number of different (property, set of options).
    """
    rows = []
    for split, size in sizes.items():
        if split not in SPLITS:
            raise ValueError(f"questions: unknown split {split!r}; allowed are {', '.join(SPLITS)}")
        two = round(size * TWO_HOPS_SHARE)
        by_kind = sorted(text for text, entry in world.properties.items() if entry.holder in world.kinds)
        by_class = sorted(world.properties.keys() - set(by_kind))
        drawn = [
            (group, text, *options)
            for group, texts, count in (("two_hops", by_kind, two), ("three_hops", by_class, size - two))
            for text, options in _draw(world, split, texts, count, seed)
        ]
        generator = random.Random(f"microsci {split} {seed} order")
        generator.shuffle(drawn)
        places = [index % OPTIONS for index in range(size)]  # every position is right equally often
        generator.shuffle(places)
        for index, ((group, text, gold, *distractors), place) in enumerate(zip(drawn, places, strict=True)):
            generator.shuffle(distractors)
            distractors.insert(place, gold)
            rows.append(
                {
                    "id": f"microsci-{split}-{index:05d}",
                    "dataset": "microsci",
                    "split": split,
                    "question": generator.choice(WORDINGS).format(text),
                    "choices": {"label": list(LABELS[:OPTIONS]), "text": distractors},
                    "answer": LABELS[place],
                    "group": group,
                }
            )
    return rows


def _draw(
    world: World, split: str, texts: Sequence[str], count: int, seed: int
) -> Iterator[tuple[str, tuple[str, ...]]]:
    """`count` different (property, (gold, three distractors)), the properties in turn."""
    members = {
        kind: [name for name, e in world.entities.items() if (e.kind, e.split) == (kind, split)] for kind in world.kinds
    }
    pools, available = [], 0
    for text in texts:
        kinds = _kinds_of_options(world, world.properties[text])
        sets = SPLITS[split] ** OPTIONS  # entity choices for one choice of kinds
        available += sets * len(kinds)
        numbers = random.Random(f"microsci {split} {seed} {text}").sample(
            range(sets * len(kinds)), min(count, sets * len(kinds))
        )
        pools.append([(text, _decode(number, kinds, members, SPLITS[split])) for number in numbers])
    if count > available:
        raise ValueError(f"questions: {count} of a group asked for in {split!r}; {available} are possible")
    random.Random(f"microsci {split} {seed} properties").shuffle(pools)
    turns = itertools.chain.from_iterable(itertools.zip_longest(*pools))
    return itertools.islice((turn for turn in turns if turn is not None), count)


def _decode(
    number: int, kinds: Sequence[tuple[str, ...]], members: Mapping[str, list[str]], base: int
) -> tuple[str, ...]:
    """The options that bear a number: its last digits choose the entities, the rest their kinds."""
    number, digits = divmod(number, base**OPTIONS)
    return tuple(members[kind][digits // base**place % base] for place, kind in enumerate(kinds[number]))


def _kinds_of_options(world: World, entry: Property) -> list[tuple[str, ...]]:
    """Every choice of kinds for (gold, three distractors) that does not give the answer away."""
    classes = {kind: e.class_name for kind, e in world.kinds.items()}
    contrast = [kind for kind in world.kinds if {kind, classes[kind]} & set(entry.contrast)]
    if entry.holder in world.kinds:
        siblings = [kind for kind in contrast if classes[kind] == classes[entry.holder]]
        others = [kind for kind in contrast if kind not in siblings]
        pairs = [pair for pair in itertools.combinations(others, 2) if classes[pair[0]] == classes[pair[1]]]
        return [(entry.holder, sibling, *pair) for sibling in siblings for pair in pairs]
    threes = [t for t in itertools.combinations(contrast, 3) if len({classes[kind] for kind in t}) == 3]
    return [(kind, *three) for kind in world.kinds if classes[kind] == entry.holder for three in threes]


def property_of(world: World, question: str) -> Property:
    """The property a question text asks for, in any of the wordings; ValueError if there is none."""
    for wording in WORDINGS:
        match = re.fullmatch(re.escape(wording).replace(r"\{\}", "(.+)"), question.strip())
        if match and match[1] in world.properties:
            return world.properties[match[1]]
    raise ValueError(f"question {question!r} asks for no property of this world; the wordings are {WORDINGS}")


def solve(world: World, question: str, options: Sequence[str]) -> list[int]:
    """Indices of the options that have the property asked for, by the fact tables alone."""
    holder = property_of(world, question).holder
    return [index for index, name in enumerate(options) if belongs(world, name, holder)]


def proof(world: World, question: str, options: Sequence[str]) -> list[str]:
    """The facts that prove the answer: the sentence of each option, in order, then the rule."""
    rule = rule_sentence(world, property_of(world, question).text)
    return [*(entity_sentence(world, name) for name in options), rule]


# Pretraining: what a student must bring along, facts and generic skills, never a question about a property

PRETRAINING_MIXES: dict[str, dict[str, float]] = {  # phase → task → weight
    "merged": {"infill": 4, "tell": 5, "rule": 2, "copy": 1, "look_up": 1, "check": 4, "member": 3},
}
WORDS = (
    "answer: solution: fill: tell: rule: copy: find: check: member: so yes no --> "
    "which of these one them every all is a an the what (a) (b) (c) (d) (e) . , ? :"
)  # words of questions, tasks and rationales that no fact contains
MASK = "<mask>"


def vocabulary(world: World) -> list[str]:
    """The words of a word-level student, sorted and in lower case: of facts, tasks and questions."""
    texts = [WORDS, *(entity_sentence(world, name) for name in world.entities)]
    texts += [rule_sentence(world, text) for text in world.properties]
    return sorted({word for text in texts for word in WORD.findall(text.lower())})


def pretraining_pairs(world: World, size: int, seed: int, mix: Mapping[str, float]) -> list[tuple[str, str]]:
    """`size` (input, target) pairs, tasks drawn with the weights of `mix`; none asks for a property."""
    unknown = sorted(mix.keys() - PRETRAINING_TASKS.keys())
    if unknown:
        allowed = ", ".join(PRETRAINING_TASKS)
        raise ValueError(f"pretraining: unknown task {unknown[0]!r}; allowed are {allowed}")
    generator = random.Random(f"microsci pretraining {seed}")
    tasks = generator.choices(list(mix), weights=list(mix.values()), k=size)
    return [PRETRAINING_TASKS[task](world, generator) for task in tasks]


def options_line(options: Sequence[str]) -> str:
    """Options at their places: "(A) raft (B) robin"."""
    return " ".join(f"({label}) {option}" for label, option in zip(LABELS, options, strict=False))


def _some(world: World, generator: random.Random) -> list[str]:
    """One to five different entities, mostly four; half of the time from few kinds, as in questions."""
    count = generator.choices((1, 2, 3, 4, 5), weights=(1, 1, 2, 8, 1))[0]
    names = list(world.entities)
    if generator.random() < 0.5:
        kinds = generator.sample(list(world.kinds), 3)
        names = [name for name in names if world.entities[name].kind in kinds]
    return generator.sample(names, count)


def _infill(world: World, generator: random.Random) -> tuple[str, str]:
    if generator.random() < 0.75:
        sentence = entity_sentence(world, generator.choice(list(world.entities)))
        subject, rest = sentence.split(" is ", 1)
        kind, group = rest[:-1].split(", ")
        masked = generator.choice((f"{MASK}, {group}", f"{kind}, {MASK}", f"{MASK}, {MASK}", f"{MASK}"))
        return f"Fill: {subject} is {masked}.", sentence
    text = generator.choice(list(world.properties))
    sentence, holder = rule_sentence(world, text), world.properties[text].holder
    masked = generator.choice((sentence.replace(holder, MASK, 1), sentence.replace(text, MASK, 1)))
    return f"Fill: {masked}", sentence


def _tell(world: World, generator: random.Random) -> tuple[str, str]:
    names = _some(world, generator)
    return f"{options_line(names)} Tell:", " ".join(entity_sentence(world, name) for name in names)


def _rule(world: World, generator: random.Random) -> tuple[str, str]:
    text = generator.choice(list(world.properties))
    return f"Rule: {text}", rule_sentence(world, text)


def _copy(world: World, generator: random.Random) -> tuple[str, str]:
    words = generator.choices(vocabulary(world), k=generator.randint(1, 12))
    return f"Copy: {' '.join(words)}", " ".join(words)


def _look_up(world: World, generator: random.Random) -> tuple[str, str]:
    names = _some(world, generator)
    place = generator.randrange(len(names))
    label = f"({LABELS[place]})"
    asked, found = generator.choice(((label, names[place]), (names[place], label)))
    return f"{options_line(names)} Find: {asked}", found


def _check(world: World, generator: random.Random) -> tuple[str, str]:
    """A rule and groups → which of the groups fall under it: any number of them, none and all included."""
    entry = world.properties[generator.choice(list(world.properties))]
    held = [kind for kind, e in world.kinds.items() if entry.holder in (kind, e.class_name)]
    near = [kind for kind, e in world.kinds.items() if {kind, e.class_name} & set(entry.contrast)]
    kinds = [
        generator.choice(held if generator.random() < 0.4 else near)
        for _ in range(generator.choices((1, 2, 3, 4, 5), weights=(1, 1, 2, 8, 1))[0])
    ]
    phrases = [groups_phrase(world, kind) for kind in kinds]
    verdicts = [f"{p}, so {'yes' if kind in held else 'no'}." for p, kind in zip(phrases, kinds, strict=True)]
    rule = rule_sentence(world, entry.text)
    listed = options_line([f"{phrase}." for phrase in phrases])
    return f"{rule} {listed} Check:", f"{rule} {' '.join(verdicts)}"


def _member(world: World, generator: random.Random) -> tuple[str, str]:
    gold = generator.choice(list(world.entities))
    kind = world.kinds[world.entities[gold].kind]
    siblings = [name for name in world.entities if belongs(world, name, kind.class_name)]
    pool = siblings if generator.random() < 0.5 else list(world.entities)
    pool = [name for name in pool if world.entities[name].kind != kind.name]
    options = [gold, *generator.sample(pool, len(_some(world, generator)) - 1)]
    generator.shuffle(options)
    return f"{options_line(options)} Member: {_noun(kind.article, kind.name)}", gold


PRETRAINING_TASKS: dict[str, Callable[[World, random.Random], tuple[str, str]]] = {
    "infill": _infill,  # a fact with a hole → the fact
    "tell": _tell,  # options → the sentence of each
    "rule": _rule,  # property → the rule about it
    "copy": _copy,  # words → the same words
    "look_up": _look_up,  # options and a label → the option, or the reverse
    "check": _check,  # a rule and groups (never entities) → so yes, so no for each
    "member": _member,  # options and a kind (never a property) → the one of that kind
}
