"""Generate the questions of MicroSci: a form, what fills its gap, one right option and three near misses.

All entities of a question belong to its split. Options are drawn so that they alone do not give the answer away. Where
the same texts recur as a set of options, each text of the set is right equally often.
"""

from __future__ import annotations

import hashlib
import random
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain

from scicot_utils.microsci import facts
from scicot_utils.microsci.facts import HELD_OUT, LABELS, ORDERED, World
from scicot_utils.microsci.reasoning import COMPARED, FORMS, HELD_OUT_FORMS, Query, Solver

OPTIONS = 4
SEEN_FORMS = tuple(form for form in FORMS if form not in HELD_OUT_FORMS)
DOMAIN_FORMS = ("kind_property", "can_do", "odd_one_out", "same_kind", "true_of")  # those that need only two classes
SPLITS: dict[str, tuple[str, tuple[str, ...]]] = {  # split of questions → split of entities, forms
    "train": ("train", SEEN_FORMS),
    "validation": ("validation", SEEN_FORMS),
    "test": ("test", SEEN_FORMS),
    "test_forms": ("test", HELD_OUT_FORMS),
    "test_domain": (HELD_OUT, DOMAIN_FORMS),
}
TEXT_FORMS = ("true_of", "classify", "home_like")  # their options are texts, not entities
SHARE = 10  # an entity is the right option of at most 1 in 10 of a form's questions, or of 3 if they are few
PATIENCE = 400  # draws without a new question after which a form counts as exhausted

Drawn = tuple[str, list[str]]  # (what fills the gap of the wording, the options with the right one first)


class Rejected(Exception):
    """A draw does not make a fair question."""


def questions(world: World, sizes: Mapping[str, int], seed: int) -> list[dict[str, object]]:
    """Questions with four options, `sizes[split]` for each split. The same arguments always give the same list.

    The rows have the columns of the questions table except `proof`; `group` is the form. Forms come in turn. A form
    without new questions gives its turns to the others. Raises ValueError for an unknown split, and for a size that the
    forms cannot reach.
    """
    rows = []
    for split, size in sizes.items():
        if split not in SPLITS:
            raise ValueError(f"questions: unknown split {split!r}; allowed are {', '.join(SPLITS)}")
        rows += _split(world, split, size, seed)
    return rows


def _split(world: World, split: str, size: int, seed: int) -> list[dict[str, object]]:
    entity_split, forms = SPLITS[split]
    rng = random.Random(f"microsci {split} {seed}")
    solver, pool = Solver(world), _Pool(world, entity_split)
    seen: set[tuple[object, ...]] = set()
    turns: dict[tuple[object, ...], Counter[str]] = {}  # set of options → how often each was right; they take turns
    gold_counts: Counter[tuple[str, str]] = Counter()  # how often an entity was right, so that none dominates a form
    most = max(3, size // len(forms) // SHARE)
    remaining, drawn = list(forms), []
    while len(drawn) < size:
        if not remaining:
            raise ValueError(f"questions: {size} asked for in {split!r}; {len(drawn)} are possible")
        for form in tuple(remaining):
            for _ in range(PATIENCE):
                try:
                    about, options = DRAWS[form](pool, rng)
                except Rejected:
                    continue
                key, gold = (form, about, frozenset(options)), options[0]
                right = turns.setdefault((form, frozenset(options)), Counter())
                fair = right[gold] == min(right[option] for option in options)
                if form in TEXT_FORMS and entity_split not in (HELD_OUT, _split_of_texts(options)):
                    continue
                if form not in TEXT_FORMS and gold_counts[form, gold] >= most:
                    continue
                if fair and key not in seen and len(set(options)) == OPTIONS:
                    seen.add(key)
                    right[gold] += 1
                    gold_counts[form, gold] += 1
                    drawn.append((form, about, options))
                    break
            else:
                remaining.remove(form)
    drawn = drawn[:size]
    rng.shuffle(drawn)
    positions = [index % OPTIONS for index in range(size)]  # each is right equally often
    rng.shuffle(positions)
    rows = []
    for index, ((form, about, (gold, *distractors)), position) in enumerate(zip(drawn, positions, strict=True)):
        rng.shuffle(distractors)
        options = [*distractors[:position], gold, *distractors[position:]]
        rows.append(
            {
                "id": f"microsci-{split}-{index:05d}",
                "dataset": "microsci",
                "split": split,
                "question": solver.text(Query(form, about), rng.randrange(len(FORMS[form].wordings))),
                "choices": {"label": list(LABELS[:OPTIONS]), "text": options},
                "answer": LABELS[position],
                "group": form,
            }
        )
    return rows


def _split_of_texts(options: Sequence[str]) -> str:
    """The entities' split to which a set of option texts is assigned, so that no set is used in two splits."""
    number = int(hashlib.sha256("|".join(sorted(options)).encode()).hexdigest(), 16)
    return ("validation", "test", "train", "train")[number % 4]


@dataclass
class _Pool:
    """The entities of one split, by kind and by the values of their attributes."""

    world: World
    split: str

    def __post_init__(self) -> None:
        world = self.world
        self.names = [name for name, entity in world.entities.items() if entity.split == self.split]
        self.of_kind: dict[str, list[str]] = {}
        self.having: dict[str, dict[str, list[str]]] = {}
        for name in self.names:
            self.of_kind.setdefault(world.entities[name].kind, []).append(name)
            for relation, value in world.attributes[name].items():
                self.having.setdefault(relation, {}).setdefault(value, []).append(name)
        self.of_class: dict[str, list[str]] = {}
        for kind in self.of_kind:
            self.of_class.setdefault(world.kinds[kind].class_name, []).append(kind)
        self.kind_properties = [text for text, entry in world.properties.items() if entry.holder in self.of_kind]
        self.class_properties = [text for text, entry in world.properties.items() if entry.holder in self.of_class]

    def lacks(self, kind: str, text: str) -> bool:
        """Whether the tables say that no member of `kind` has the property."""
        return bool({*self.world.groups(kind)} & {*self.world.properties[text].contrast})

    def four_kinds(self, text: str, rng: random.Random) -> list[str]:
        """The kind that has a property, a kind of the same class, and two kinds of one other class. Two and two, so
        that no option stands out by its class.
        """
        gold = self.world.properties[text].holder
        own_class, domain = self.world.kinds[gold].class_name, self.world.kinds[gold].domain
        lacking = {
            name: [kind for kind in kinds if self.lacks(kind, text) and kind != gold]
            for name, kinds in self.of_class.items()
        }
        near = lacking[own_class]
        far = [kinds for name, kinds in lacking.items() if len(kinds) >= 2 and name != own_class]
        same_domain = [kinds for kinds in far if self.world.kinds[kinds[0]].domain == domain]
        if not near or not far:
            raise Rejected
        chosen = rng.choice(same_domain if same_domain and rng.random() < 0.5 else far)
        return [gold, rng.choice(near), *rng.sample(chosen, 2)]

    def one_of_each(self, kinds: Sequence[str], rng: random.Random) -> list[str]:
        """A random entity of each kind."""
        return [rng.choice(self.of_kind[kind]) for kind in kinds]

    def subject(self, groups: Sequence[Sequence[str]], rng: random.Random) -> tuple[int, str]:
        """Choose a group and one of its members to ask about: (index of the group, entity).

        The member has an article that occurs in every group, since "What is the Nile?" must not tell a water from a
        metal. Held-out domains are never trained on, so there any article will do.
        """
        articles = [[self.world.entities[name].article for name in names] for names in groups]
        common = set.intersection(*map(set, articles))
        shared = [article for article in chain.from_iterable(articles) if article in common]
        if not shared and self.split != HELD_OUT:
            raise Rejected
        gold, article = rng.randrange(len(groups)), rng.choice(shared or [""])
        members = [name for name in groups[gold] if not shared or self.world.entities[name].article == article]
        return gold, rng.choice(members)

    def four_classes(self, text: str, rng: random.Random) -> list[str]:
        """A member of the class that has a property, and members of three other classes that lack it."""
        gold = self.world.properties[text].holder
        lacking = [name for name in self.of_class if name in self.world.properties[text].contrast]
        if len(lacking) < OPTIONS - 1:
            raise Rejected
        classes = [gold, *rng.sample(lacking, OPTIONS - 1)]
        return self.one_of_each([rng.choice(self.of_class[name]) for name in classes], rng)

    def four_values(self, relation: str, gold: str, rng: random.Random) -> list[str]:
        """Entities with four different values of a relation; the one with `gold` comes first."""
        wrong = [value for value in self.having[relation] if value != gold]
        if len(wrong) < OPTIONS - 1:
            raise Rejected
        return [rng.choice(self.having[relation][value]) for value in [gold, *rng.sample(wrong, OPTIONS - 1)]]

    def members(self, class_name: str) -> list[str]:
        """The entities of a class."""
        return [name for kind in self.of_class[class_name] for name in self.of_kind[kind]]

    def animals(self, names: Sequence[str]) -> bool:
        """Whether all these entities are animals."""
        return all(self.world.domain(name) == "animals" for name in names)


def _kind_property(pool: _Pool, rng: random.Random) -> Drawn:
    text = rng.choice(pool.kind_properties)
    return text, pool.one_of_each(pool.four_kinds(text, rng), rng)


def _class_property(pool: _Pool, rng: random.Random) -> Drawn:
    text = rng.choice(pool.class_properties)
    return text, pool.four_classes(text, rng)


def _consequence(need: bool) -> Callable[[_Pool, random.Random], Drawn]:
    def draw(pool: _Pool, rng: random.Random) -> Drawn:
        entries = [entry for entry in pool.world.consequences.values() if entry.need is need]
        entry = rng.choice([entry for entry in entries if entry.property in pool.kind_properties])
        return entry.text, pool.one_of_each(pool.four_kinds(entry.property, rng), rng)

    return draw


def _example_of(pool: _Pool, rng: random.Random) -> Drawn:
    classes = rng.sample(list(pool.of_class), OPTIONS)
    return classes[0], pool.one_of_each([rng.choice(pool.of_class[name]) for name in classes], rng)


def _odd_one_out(pool: _Pool, rng: random.Random) -> Drawn:
    odd, common = rng.sample(list(pool.of_class), 2)
    members = pool.members(common)
    return "", [*pool.one_of_each([rng.choice(pool.of_class[odd])], rng), *rng.sample(members, OPTIONS - 1)]


def _same_kind(pool: _Pool, rng: random.Random) -> Drawn:
    kinds = pool.four_kinds(rng.choice(pool.kind_properties), rng)
    subject, gold = rng.sample(pool.of_kind[kinds[0]], 2)
    return subject, [gold, *pool.one_of_each(kinds[1:], rng)]


def _by_value(relation: str, *, event: bool = False) -> Callable[[_Pool, random.Random], Drawn]:
    def draw(pool: _Pool, rng: random.Random) -> Drawn:
        entries = [entry for entry in pool.world.values.values() if entry.event or not event]
        names = [entry.name for entry in entries if entry.relation == relation]
        gold = rng.choice([name for name in names if name in pool.having[relation]])
        options = pool.four_values(relation, gold, rng)
        if event and relation == "place" and not pool.animals(options):
            raise Rejected  # only animals can move away
        return f"{relation}/{gold}", options

    return draw


def _eats(pool: _Pool, rng: random.Random) -> Drawn:
    food = rng.choice(list(pool.having["diet"]))
    prey = [name for kind in pool.of_kind for name in pool.of_kind[kind]
            if food in map(facts.eaten, pool.world.groups(kind))]  # fmt: skip
    subject, options = rng.choice(prey), pool.four_values("diet", food, rng)
    if subject in options:
        raise Rejected
    return subject, options


def _compared(form: str) -> Callable[[_Pool, random.Random], Drawn]:
    relation, sign = COMPARED[form]

    def draw(pool: _Pool, rng: random.Random) -> Drawn:
        levels = [value for value in ORDERED[relation][::sign] if value in pool.having[relation]]
        best = rng.randrange(1, len(levels))
        below = [name for value in levels[:best] for name in pool.having[relation][value]]
        if len(below) < OPTIONS - 1:
            raise Rejected
        return "", [rng.choice(pool.having[relation][levels[best]]), *rng.sample(below, OPTIONS - 1)]

    return draw


def _true_of(pool: _Pool, rng: random.Random) -> Drawn:
    """Each of the four kinds must lack the properties of the others, so that any of the four texts could be right."""
    texts_of: dict[str, list[str]] = {}
    for text in pool.kind_properties:
        texts_of.setdefault(pool.world.properties[text].holder, []).append(text)
    kinds = pool.four_kinds(rng.choice(pool.kind_properties), rng)
    if not all(kind in texts_of for kind in kinds):
        raise Rejected
    texts = [rng.choice(texts_of[kind]) for kind in kinds]
    if not all(pool.lacks(kind, text) for kind, own in zip(kinds, texts, strict=True) for text in texts if text != own):
        raise Rejected
    gold, subject = pool.subject([pool.of_kind[kind] for kind in kinds], rng)
    return subject, _gold_first(texts, gold)


def _classify(pool: _Pool, rng: random.Random) -> Drawn:
    classes = rng.sample(list(pool.of_class), OPTIONS)
    gold, subject = pool.subject([pool.members(name) for name in classes], rng)
    return subject, _gold_first(classes, gold)


def _home_like(pool: _Pool, rng: random.Random) -> Drawn:
    places = rng.sample([value for value in pool.having["place"] if ("place", value) in pool.world.values], OPTIONS)
    gold, subject = pool.subject([pool.having["place"][place] for place in places], rng)
    rules = [pool.world.values["place", place].rule for place in places]
    return subject, _gold_first(rules, gold)


def _gold_first(options: list[str], gold: int) -> list[str]:
    return [options[gold], *options[:gold], *options[gold + 1 :]]


DRAWS: dict[str, Callable[[_Pool, random.Random], Drawn]] = {
    "kind_property": _kind_property,
    "class_property": _class_property,
    "needed_for": _consequence(need=True),
    "can_do": _consequence(need=False),
    "example_of": _example_of,
    "odd_one_out": _odd_one_out,
    "same_kind": _same_kind,
    "lives_where": _by_value("place"),
    "made_of": _by_value("material"),
    "worked_by": _by_value("power"),
    "measured_in": _by_value("measures"),
    "loses_home": _by_value("place", event=True),
    "stops_working": _by_value("power", event=True),
    "eats": _eats,
    "loses_food": _eats,
    **{form: _compared(form) for form in COMPARED},
    "true_of": _true_of,
    "classify": _classify,
    "home_like": _home_like,
}
