"""Generate the questions of MicroSci: a form, what fills its gap, one right option and three near misses.

All entities of a question belong to its split. Options are drawn so that they alone do not give the answer away. Where
the same texts recur as a set of options, each text of the set is right equally often.
"""

import hashlib
import random
from collections import Counter
from collections.abc import Callable, Container, Mapping, Sequence
from itertools import chain

from scicot_utils.microsci import facts
from scicot_utils.microsci.facts import HELD_OUT, LABELS, ORDERED, World
from scicot_utils.microsci.reasoning import COMPARED, FORMS, HELD_OUT_FORMS, TEXT_FORMS, VALUE_FORMS, Query, Solver

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
SHARE = 10  # an entity is the right option of at most 1 in 10 of a form's questions, or of 3 if they are few
PATIENCE = 400  # draws without a new question after which a form counts as exhausted

Drawn = tuple[str, list[str]]  # (what fills the gap of the wording, the options with the right one first)


class Rejected(Exception):
    """A draw does not make a fair question."""


def questions(world: World, sizes: Mapping[str, int], seed: int) -> list[dict[str, object]]:
    """Questions with four options, `sizes[split]` for each split. The same arguments always give the same list.

    They are rows of the questions table; `group` is the form. Forms come in turn. A form without new questions gives its
    turns to the others. Raises ValueError for an unknown split, and for a size that the forms cannot reach.
    """
    solver, rows = Solver(world), []
    for split, size in sizes.items():
        if split not in SPLITS:
            raise ValueError(f"questions: unknown split {split!r}; allowed are {', '.join(SPLITS)}")
        rows += _split(solver, split, size, seed)
    return rows


def _split(solver: Solver, split: str, size: int, seed: int) -> list[dict[str, object]]:
    entity_split, forms = SPLITS[split]
    rng = random.Random(f"microsci {split} {seed}")
    pool = _Pool(solver.world, entity_split, rng)
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
                    about, options = DRAWS[form](pool, form)
                except Rejected:
                    continue
                key, gold = (form, about, frozenset(options)), options[0]
                right = turns.setdefault((form, frozenset(options)), Counter())
                if form in TEXT_FORMS:
                    fair = entity_split in (HELD_OUT, _split_of_texts(options))
                else:
                    fair = gold_counts[form, gold] < most
                fair = fair and right[gold] == min(right[option] for option in options)
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
        question = solver.text(Query(form, about), rng.randrange(len(FORMS[form].wordings)))
        rows.append(
            {
                "id": f"microsci-{split}-{index:05d}",
                "dataset": "microsci",
                "split": split,
                "question": question,
                "choices": {"label": list(LABELS[:OPTIONS]), "text": options},
                "answer": LABELS[position],
                "group": form,
                "proof": solver.proof(question, options),
            }
        )
    return rows


def _split_of_texts(options: Sequence[str]) -> str:
    """The entities' split to which a set of option texts is assigned, so that no set is used in two splits."""
    number = int(hashlib.sha256("|".join(sorted(options)).encode()).hexdigest(), 16)
    return ("validation", "test", "train", "train")[number % 4]


class _Pool:
    """The entities of one split, by their values and their class, from which options are drawn with `rng`."""

    def __init__(self, world: World, split: str, rng: random.Random):
        self.world, self.split, self.rng = world, split, rng
        self.having: dict[str, dict[str, list[str]]] = {}  # relation → value → entities
        for name, entity in world.entities.items():
            if entity.split == split:
                for relation, value in world.attributes[name].items():
                    self.having.setdefault(relation, {}).setdefault(value, []).append(name)
        self.of_class: dict[str, list[str]] = {}  # class → kinds
        for kind in self.having["kind"]:
            self.of_class.setdefault(world.kinds[kind].class_name, []).append(kind)
        self.kind_properties = self.properties_of(self.having["kind"])

    def properties_of(self, groups: Container[str]) -> list[str]:
        """The properties that one of these kinds or classes has."""
        return [text for text, entry in self.world.properties.items() if entry.holder in groups]

    def lacks(self, kind: str, text: str) -> bool:
        """Whether the tables say that no member of `kind` has the property."""
        return bool({*self.world.groups(kind)} & {*self.world.properties[text].contrast})

    def four_kinds(self, text: str) -> list[str]:
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
        chosen = self.rng.choice(same_domain if same_domain and self.rng.random() < 0.5 else far)
        return [gold, self.rng.choice(near), *self.rng.sample(chosen, 2)]

    def one_of_each(self, values: Sequence[str], relation: str = "kind") -> list[str]:
        """A random entity of each kind, or with each value of another relation."""
        return [self.rng.choice(self.having[relation][value]) for value in values]

    def one_of_each_class(self, classes: Sequence[str]) -> list[str]:
        """A random entity of each class, of a random kind of it."""
        return self.one_of_each([self.rng.choice(self.of_class[name]) for name in classes])

    def with_three_others(self, gold: str, others: Sequence[str]) -> list[str]:
        """`gold` and three of the others."""
        if len(others) < OPTIONS - 1:
            raise Rejected
        return [gold, *self.rng.sample(others, OPTIONS - 1)]

    def four_values(self, relation: str, gold: str) -> list[str]:
        """Entities with four different values of a relation; the one with `gold` comes first."""
        others = [value for value in self.having[relation] if value != gold]
        return self.one_of_each(self.with_three_others(gold, others), relation)

    def members(self, class_name: str) -> list[str]:
        """The entities of a class."""
        return [name for kind in self.of_class[class_name] for name in self.having["kind"][kind]]

    def asked_about(self, groups: Sequence[Sequence[str]], texts: list[str]) -> Drawn:
        """Choose a member of one of these groups to ask about. The options are `texts`, one a group.

        The member has an article that occurs in every group, since "What is the Nile?" must not tell a water from a
        metal. Held-out domains are never trained on, so there any article will do.
        """
        articles = [[self.world.entities[name].article for name in names] for names in groups]
        common = set.intersection(*map(set, articles))
        shared = [article for article in chain.from_iterable(articles) if article in common]
        if not shared and self.split != HELD_OUT:
            raise Rejected
        gold, article = self.rng.randrange(len(groups)), self.rng.choice(shared or [""])
        members = [name for name in groups[gold] if not shared or self.world.entities[name].article == article]
        return self.rng.choice(members), [texts[gold], *texts[:gold], *texts[gold + 1 :]]


def _kind_property(pool: _Pool, form: str) -> Drawn:
    text = pool.rng.choice(pool.kind_properties)
    return text, pool.one_of_each(pool.four_kinds(text))


def _class_property(pool: _Pool, form: str) -> Drawn:
    text = pool.rng.choice(pool.properties_of(pool.of_class))
    entry = pool.world.properties[text]
    lacking = [name for name in pool.of_class if name in entry.contrast]
    return text, pool.one_of_each_class(pool.with_three_others(entry.holder, lacking))


def _consequence(pool: _Pool, form: str) -> Drawn:
    need = FORMS[form].slot == "need"
    entries = [entry for entry in pool.world.consequences.values() if entry.need is need]
    entry = pool.rng.choice([entry for entry in entries if entry.property in pool.kind_properties])
    return entry.text, pool.one_of_each(pool.four_kinds(entry.property))


def _example_of(pool: _Pool, form: str) -> Drawn:
    classes = pool.rng.sample(list(pool.of_class), OPTIONS)
    return classes[0], pool.one_of_each_class(classes)


def _odd_one_out(pool: _Pool, form: str) -> Drawn:
    odd, common = pool.rng.sample(list(pool.of_class), 2)
    return "", [*pool.one_of_each_class([odd]), *pool.rng.sample(pool.members(common), OPTIONS - 1)]


def _same_kind(pool: _Pool, form: str) -> Drawn:
    gold_kind, *kinds = pool.four_kinds(pool.rng.choice(pool.kind_properties))
    subject, gold = pool.rng.sample(pool.having["kind"][gold_kind], 2)
    return subject, [gold, *pool.one_of_each(kinds)]


def _by_value(pool: _Pool, form: str) -> Drawn:
    relation, _, event = FORMS[form].slot.partition("_")
    entries = [entry for entry in pool.world.values.values() if entry.event or not event]
    names = [entry.name for entry in entries if entry.relation == relation]
    gold = pool.rng.choice([name for name in names if name in pool.having[relation]])
    options = pool.four_values(relation, gold)
    if form == "loses_home" and any(pool.world.domain(name) != "animals" for name in options):
        raise Rejected  # only animals can move away
    return f"{relation}/{gold}", options


def _eats(pool: _Pool, form: str) -> Drawn:
    food = pool.rng.choice(list(pool.having["diet"]))
    eaten = [kind for kind in pool.having["kind"] if food in map(facts.eaten, pool.world.groups(kind))]
    subject = pool.rng.choice([name for kind in eaten for name in pool.having["kind"][kind]])
    options = pool.four_values("diet", food)
    if subject in options:
        raise Rejected
    return subject, options


def _compared(pool: _Pool, form: str) -> Drawn:
    relation, sign = COMPARED[form]
    having = pool.having[relation]
    levels = [value for value in ORDERED[relation][::sign] if value in having]
    best = pool.rng.randrange(1, len(levels))
    below = [name for value in levels[:best] for name in having[value]]
    return "", pool.with_three_others(pool.rng.choice(having[levels[best]]), below)


def _true_of(pool: _Pool, form: str) -> Drawn:
    """Each of the four kinds must lack the properties of the others, so that any of the four texts could be right."""
    texts_of: dict[str, list[str]] = {}
    for text in pool.kind_properties:
        texts_of.setdefault(pool.world.properties[text].holder, []).append(text)
    kinds = pool.four_kinds(pool.rng.choice(pool.kind_properties))
    if not all(kind in texts_of for kind in kinds):
        raise Rejected
    texts = [pool.rng.choice(texts_of[kind]) for kind in kinds]
    if not all(pool.lacks(kind, text) for kind, own in zip(kinds, texts, strict=True) for text in texts if text != own):
        raise Rejected
    return pool.asked_about([pool.having["kind"][kind] for kind in kinds], texts)


def _classify(pool: _Pool, form: str) -> Drawn:
    classes = pool.rng.sample(list(pool.of_class), OPTIONS)
    return pool.asked_about([pool.members(name) for name in classes], classes)


def _home_like(pool: _Pool, form: str) -> Drawn:
    having, values = pool.having["place"], pool.world.values
    places = pool.rng.sample([value for value in having if ("place", value) in values], OPTIONS)
    return pool.asked_about([having[place] for place in places], [values["place", place].rule for place in places])


DRAWS: dict[str, Callable[[_Pool, str], Drawn]] = {
    "kind_property": _kind_property,
    "class_property": _class_property,
    "example_of": _example_of,
    "odd_one_out": _odd_one_out,
    "same_kind": _same_kind,
    "true_of": _true_of,
    "classify": _classify,
    "home_like": _home_like,
    **dict.fromkeys(("needed_for", "can_do"), _consequence),
    **dict.fromkeys(VALUE_FORMS, _by_value),
    **dict.fromkeys(("eats", "loses_food"), _eats),
    **dict.fromkeys(COMPARED, _compared),
}
