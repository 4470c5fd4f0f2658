"""Lessons for pretraining the embedded student: single facts, and generic reading skills.

They stand for what a pretrained language model already has. No task is a form of question, and none combines recalled
facts: where two facts are to be combined, both are given.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from scicot_utils.microsci import facts
from scicot_utils.microsci.facts import LABELS, ORDERED, RELATIONS, SAYINGS, World
from scicot_utils.microsci.reasoning import CRITERIA, FORMS
from scicot_utils.students.words import MASK, WORD

KNOWING = {
    "infill": 5,
    "tell": 6,
    "rule": 2,
    "copy": 1,
    "look_up": 0.5,
    "check": 3,
    "member": 3,
    "join": 1,
    "order": 0.5,
}
READING = {"read": 1, "read_back": 1, "read_own": 1, "find": 3, "find_back": 3, "find_own": 3}


@dataclass(frozen=True)
class Phase:
    """A phase of pretraining: its share of the steps, task → weight, factor and schedule of the learning rate.

    It ends early once a share `until` of held-out lessons is right in each of its tasks; 0: never.
    """

    name: str
    share: float
    mix: dict[str, float]
    learning_rate: float
    schedule: str
    until: float = 0


# To find the entity that a statement is about, the model needs a circuit that forms suddenly. It forms after some
# thousand steps if the task is practised alone on short texts, but not within nine thousand steps as one task of ten.
# The step depends on the seed, so the task is practised until it is mastered. If the question, too, is in the student's
# own output, a further circuit is needed, which forms sooner once the first one exists.
PHASES = (
    Phase("know", 0.128, KNOWING, 1, "constant_with_warmup"),
    Phase("read", 0.4, {"read": 1, "read_back": 1}, 2 / 3, "constant_with_warmup", until=0.97),
    Phase("own", 0.2, {"read": 1, "read_back": 1, "read_own": 1}, 2 / 3, "constant_with_warmup", until=0.97),
    Phase("all", 0.272, KNOWING | READING, 1, "cosine"),
)
OTHER_WORDS = (
    "answer: solution: fill: tell: rule: copy: find: check: member: join: order: most least class so yes no --> "
    "wanted is what of these are the only one them an a none stands alone and "
    "first next then also let us see think about it recall that as for here well now sure "
    "(a) (b) (c) (d) (e) . , ? :"
)  # words of tasks, questions and rationales that no fact contains


def vocabulary(world: World) -> list[str]:
    """The words of facts, tasks and questions, in lower case and sorted: the vocabulary of a word-level student."""
    texts = [OTHER_WORDS, *(facts.order_rule(relation) for relation in ORDERED), *RELATIONS, *CRITERIA.values()]
    texts += [facts.group_noun(world, group) for group in (*world.kinds, *world.classes)]
    texts += [facts.entity_noun(world, name) for name in world.entities]
    texts += [value for values in ORDERED.values() for value in values]
    texts += [saying for sayings in SAYINGS.values() for saying in sayings]
    texts += [value for found in world.attributes.values() for value in found.values()]
    texts += _rules(world)
    texts += [wording.replace("{0}", "") for form in FORMS.values() for wording in form.wordings]
    return sorted({word for text in texts for word in WORD.findall(text.replace("{}", "").lower())})


def _rules(world: World) -> list[str]:
    """Every fact that is not about one entity, as a sentence."""
    found = [facts.class_fact(world, kind) for kind in world.kinds]
    found += [facts.rule(world, text) for text in world.properties]
    found += [facts.consequence_rule(world, text) for text in world.consequences]
    found += [facts.value_rule(world, *key) for key in world.values]
    found += [facts.event_rule(world, *key) for key, value in world.values.items() if value.event]
    return found + [facts.order_rule(relation) for relation in ORDERED]


def options_line(options: Sequence[str]) -> str:
    """Options with their labels: "(A) raft (B) robin"."""
    return " ".join(f"({label}) {option}" for label, option in zip(LABELS, options, strict=False))


class Lesson(NamedTuple):
    """`input` is read, `target` must be written, and `given` is a beginning of the output that is continued."""

    input: str
    target: str
    given: str = ""


class Lessons:
    """Draws lessons of the tasks. The same stream always gives the same lessons."""

    def __init__(self, world: World, stream: int | str):
        self.world = world
        self.rng = random.Random(f"microsci pretraining {stream}")
        self.words = vocabulary(world)
        self.rules = _rules(world)
        self.names = {
            relation: [name for name in world.entities if relation == "kind" or relation in world.attributes[name]]
            for relation in RELATIONS
        }
        self.sizes = [len(self.names[relation]) for relation in RELATIONS]

    def draw(self, size: int, mix: Mapping[str, float]) -> list[Lesson]:
        """`size` lessons, with tasks drawn by the weights of `mix`. Raises ValueError for an unknown task."""
        for task in mix:
            if task not in TASKS:
                raise ValueError(f"pretraining: unknown task {task!r}; allowed are {', '.join(TASKS)}")
        return [TASKS[task](self) for task in self.rng.choices(list(mix), weights=list(mix.values()), k=size)]

    def _count(self) -> int:
        return self.rng.choices((1, 2, 3, 4, 5), weights=(1, 1, 2, 8, 1))[0]

    def _relation(self) -> str:
        """A random relation, weighted by its number of facts; small ones get some extra weight."""
        return self.rng.choices(RELATIONS, weights=[size + 60 for size in self.sizes])[0]

    def _some(self, relation: str, count: int) -> list[str]:
        """Different entities with that relation. Half of the time they are from few kinds, as in questions."""
        names = self.names[relation]
        if self.rng.random() < 0.5:
            kinds = {self.world.entities[name].kind for name in self.rng.sample(names, min(4, len(names)))}
            few = [name for name in names if self.world.entities[name].kind in kinds]
            names = few if len(few) >= count else names
        return self.rng.sample(names, count)

    def infill(self) -> Lesson:
        """A fact with a gap, in any wording → the fact."""
        if self.rng.random() < 0.6:
            relation = self._relation()
            name = self.rng.choice(self.names[relation])
            whole = facts.fact(self.world, name, relation, self.rng.randrange(len(SAYINGS[relation])))
            before, _, after = whole.rpartition(self.world.value(name, relation))
        else:
            whole = self.rng.choice(self.rules)
            words = whole[:-1].split(" ")
            start = self.rng.randrange(1, len(words))
            end = start + self.rng.randint(1, 6)
            before, after = " ".join([*words[:start], ""]), " ".join(["", *words[end:]]).rstrip() + "."
        return Lesson(f"Fill: {before}{MASK}{after}", whole)

    def tell(self) -> Lesson:
        """Options and a relation → the fact about each; or kinds → their classes."""
        if self.rng.random() < 0.12:
            kinds = self.rng.sample(list(self.world.kinds), self._count())
            return Lesson(
                f"{options_line(kinds)} Tell: class", " ".join(facts.class_fact(self.world, kind) for kind in kinds)
            )
        relation = self._relation()
        names = self._some(relation, self._count())
        told = " ".join(facts.fact(self.world, name, relation) for name in names)
        return Lesson(f"{options_line(names)} Tell: {relation}", told)

    def rule(self) -> Lesson:
        """The part of a rule that identifies it → the rule."""
        world = self.world
        which = self.rng.choices(
            ("property", "consequence", "value", "event", "order"),
            weights=(len(world.properties), len(world.consequences), len(world.values), 12, 2),
        )[0]
        if which == "property":
            text = self.rng.choice(list(world.properties))
            return Lesson(f"Rule: {text}", facts.rule(world, text))
        if which == "consequence":
            text = self.rng.choice(list(world.consequences))
            return Lesson(f"Rule: {text}", facts.consequence_rule(world, text))
        if which == "order":
            relation = self.rng.choice(list(ORDERED))
            return Lesson(f"Rule: {relation}", facts.order_rule(relation))
        keys = [key for key, value in world.values.items() if value.event or which == "value"]
        key = self.rng.choice(keys)
        if which == "event":
            return Lesson(f"Rule: {world.values[key].event}", facts.event_rule(world, *key))
        return Lesson(f"Rule: {world.values[key].rule}", facts.value_rule(world, *key))

    def copy(self) -> Lesson:
        """Words → the same words."""
        words = self.rng.choices(self.words, k=self.rng.randint(1, 12))
        return Lesson(f"Copy: {' '.join(words)}", " ".join(words))

    def look_up(self) -> Lesson:
        """Options and a label → the option, or the reverse."""
        names = self._some("kind", self._count())
        place = self.rng.randrange(len(names))
        label = f"({LABELS[place]})"
        asked, found = self.rng.choice(((label, names[place]), (names[place], label)))
        return Lesson(f"{options_line(names)} Find: {asked}", found)

    def check(self) -> Lesson:
        """A rule and statements without a subject → whether each falls under the rule. Any number of them may,
        including none and all.
        """
        if self.rng.random() < 0.6:
            entry = self.world.properties[self.rng.choice(list(self.world.properties))]
            stated = facts.rule(self.world, entry.text)
            chain = entry.holder not in self.world.kinds
            held = [kind for kind in self.world.kinds if entry.holder in self.world.groups(kind)]
            near = [kind for kind in self.world.kinds if {*self.world.groups(kind)} & {*entry.contrast}]
            said = {kind: self._groups(kind, chain=chain) for kind in (*held, *near)}
        else:
            key = self.rng.choice(list(self.world.values))
            stated = facts.value_rule(self.world, *key)
            held = [key[1]]
            near = [value for relation, value in self.world.values if relation == key[0] and value != key[1]]
            said = {value: facts.saying(self.world, key[0], value) for value in (*held, *near)}
        chosen = [self.rng.choice(held if self.rng.random() < 0.4 else near) for _ in range(self._count())]
        listed = options_line([f"{said[one]}." for one in chosen])
        verdicts = " ".join(f"{said[one]}, so {'yes' if one in held else 'no'}." for one in chosen)
        return Lesson(f"{stated} {listed} Check:", f"{stated} {verdicts}")

    def member(self) -> Lesson:
        """Options and what one fact says → the option that the fact is about."""
        relation = self._relation()
        gold = self.rng.choice(self.names[relation])
        value = self.world.value(gold, relation)
        pool = [name for name in self._near(gold, relation) if self.world.value(name, relation) != value]
        options = [gold, *self.rng.sample(pool, min(len(pool), self._count() - 1))]
        self.rng.shuffle(options)
        return Lesson(f"{options_line(options)} Member: {facts.saying(self.world, relation, value)}", gold)

    def _near(self, gold: str, relation: str) -> list[str]:
        """Half of the time only entities of the same class, else all that have the relation."""
        if self.rng.random() < 0.5:
            return self.names[relation]
        wanted = self.world.groups(self.world.entities[gold].kind)[1]
        return [n for n in self.names[relation] if self.world.groups(self.world.entities[n].kind)[1] == wanted]

    def join(self) -> Lesson:
        """Two stated facts → one sentence."""
        name = facts.entity_noun(self.world, self.rng.choice(list(self.world.entities)))
        kind = self.rng.choice(list(self.world.kinds))
        one = f"{name} {facts.saying(self.world, 'kind', kind)}"
        if self.rng.random() < 0.6:
            joined = f"{name} {self._groups(kind, chain=True)}"
            return Lesson(f"{facts.sentence(one)} {facts.class_fact(self.world, kind)} Join:", facts.sentence(joined))
        two = self._any_saying(self._relation())
        return Lesson(
            f"{facts.sentence(one)} {facts.sentence(f'{name} {two}')} Join:", facts.sentence(f"{one} and {two}")
        )

    def read(self) -> Lesson:
        """One to four invented statements and one of their kinds → the entity that was said to be of that kind."""
        told, asked, name = self._kinds_said()
        return Lesson(f"{told} Find: {asked}", name)

    def read_back(self) -> Lesson:
        """As `read`, but the statements are in the student's own output."""
        told, asked, name = self._kinds_said()
        return Lesson(f"Find: {asked}", name, f"{told} -->")

    def read_own(self) -> Lesson:
        """As `read_back`, and the question is in the output, too."""
        told, asked, name = self._kinds_said()
        return Lesson("Find:", name, f"{told} Find: {asked} -->")

    def find(self) -> Lesson:
        """As `read`, for any relation and with the options listed. Sometimes the question names a class that was stated
        beside the kind.
        """
        told, listed, asked, name = self._anything_said()
        return Lesson(self.rng.choice((f"{told} {listed} Find: {asked}", f"{listed} {told} Find: {asked}")), name)

    def find_back(self) -> Lesson:
        """As `find`, but the statements are in the student's own output."""
        told, listed, asked, name = self._anything_said()
        return Lesson(f"{listed} Find: {asked}", name, f"{told} -->")

    def find_own(self) -> Lesson:
        """As `find_back`, and the question is in the output, too."""
        told, listed, asked, name = self._anything_said()
        return Lesson(f"{listed} Find:", name, f"{told} Find: {asked} -->")

    def _kinds_said(self) -> tuple[str, str, str]:
        names = self.rng.sample(list(self.world.entities), self.rng.choice((1, 2, 2, 3, 4)))
        kinds = [facts.group_noun(self.world, kind) for kind in self.rng.sample(list(self.world.kinds), len(names))]
        told = [f"{facts.entity_noun(self.world, name)} is {kind}" for name, kind in zip(names, kinds, strict=True)]
        place = self.rng.randrange(len(names))
        return " ".join(map(facts.sentence, told)), kinds[place], names[place]

    def _anything_said(self) -> tuple[str, str, str, str]:
        names = self.rng.sample(list(self.world.entities), max(2, self._count()))
        told, asked = self._statements(names, self._relation(), chain=self.rng.random() < 0.5)
        stated = " ".join(facts.sentence(f"{facts.entity_noun(self.world, name)} {one}") for name, one in told)
        return stated, options_line(self.rng.sample([name for name, _ in told], len(told))), asked, names[0]

    def _statements(
        self, names: Sequence[str], relation: str, *, chain: bool = False
    ) -> tuple[list[tuple[str, str]], str]:
        """A statement about each name, shuffled, and a description that fits the first name only."""
        if relation == "kind":
            kinds = self.rng.sample(list(self.world.kinds), len(names))
            classes = [self.world.groups(kind)[1] for kind in kinds]
            alone = classes.count(classes[0]) == 1
            said = [self._groups(kind, chain=chain) for kind in kinds]
            by_class = chain and alone and self.rng.random() < 0.7
            asked = f"is {facts.group_noun(self.world, classes[0] if by_class else kinds[0])}"
        else:
            values = sorted({self.world.value(name, relation) for name in self.names[relation]})
            self.rng.shuffle(values)
            others = [facts.saying(self.world, relation, self.rng.choice(values[1:])) for _ in names[1:]]
            asked = facts.saying(self.world, relation, values[0])
            said = [asked, *others]
        told = list(zip(names, said, strict=True))
        self.rng.shuffle(told)
        return told, asked

    def order(self) -> Lesson:
        """Units → the largest or the smallest of them."""
        units = ORDERED[self.rng.choice(list(ORDERED))]
        shown = self.rng.choices(units, k=self.rng.randint(2, 4))
        most = self.rng.random() < 0.5
        found = (max if most else min)(shown, key=units.index)
        word = "most" if most else "least"
        return Lesson(f"{', '.join(shown)} Order: {word}", f"Of these {found} are the {word}.")

    def _groups(self, kind: str, *, chain: bool) -> str:
        said = facts.saying(self.world, "kind", kind)
        return f"{said}, {facts.group_noun(self.world, self.world.groups(kind)[1])}" if chain else said

    def _any_saying(self, relation: str) -> str:
        return facts.saying(self.world, relation, self.world.value(self.rng.choice(self.names[relation]), relation))


TASKS: dict[str, Callable[[Lessons], Lesson]] = {
    "infill": Lessons.infill,
    "tell": Lessons.tell,
    "rule": Lessons.rule,
    "copy": Lessons.copy,
    "look_up": Lessons.look_up,
    "check": Lessons.check,
    "member": Lessons.member,
    "join": Lessons.join,
    "read": Lessons.read,
    "read_back": Lessons.read_back,
    "read_own": Lessons.read_own,
    "find": Lessons.find,
    "find_back": Lessons.find_back,
    "find_own": Lessons.find_own,
    "order": Lessons.order,
}


def lessons(world: World, size: int, stream: int | str, mix: Mapping[str, float]) -> list[Lesson]:
    """`size` lessons of the tasks in `mix`, drawn by its weights. Raises ValueError for an unknown task."""
    return Lessons(world, stream).draw(size, mix)


@dataclass(frozen=True)
class Probe:
    """A single fact as a test item with one right answer. `domain`: the domain of the fact."""

    domain: str
    about: str
    input: str
    target: str


def probes(world: World) -> list[Probe]:
    """One test item for every atomic fact of the world."""
    found = []
    for name in world.entities:
        for relation in ("kind", *world.attributes[name]):
            whole = facts.fact(world, name, relation)
            before, _, after = whole.rpartition(world.value(name, relation))
            found.append(Probe(world.domain(name), relation, f"Fill: {before}{MASK}{after}", whole))
    for kind, entry in world.kinds.items():
        whole = facts.class_fact(world, kind)
        found.append(Probe(entry.domain, "class", f"Fill: {whole.rpartition(entry.class_name)[0]}{MASK}.", whole))
    of_group = {group: entry.domain for kind, entry in world.kinds.items() for group in world.groups(kind)}
    for text, rule in world.properties.items():
        found.append(Probe(of_group[rule.holder], "property", f"Rule: {text}", facts.rule(world, text)))
    for text, consequence in world.consequences.items():
        domain = of_group[world.properties[consequence.property].holder]
        found.append(Probe(domain, "consequence", f"Rule: {text}", facts.consequence_rule(world, text)))
    for key, value in world.values.items():
        domain = DOMAIN_OF_VALUES[key[0]]
        found.append(Probe(domain, "value", f"Rule: {value.rule}", facts.value_rule(world, *key)))
        if value.event:
            found.append(Probe(domain, "event", f"Rule: {value.event}", facts.event_rule(world, *key)))
    for relation in ORDERED:
        found.append(Probe("measurement", "order", f"Rule: {relation}", facts.order_rule(relation)))
    return found


DOMAIN_OF_VALUES = {"place": "earth", "material": "materials", "power": "energy", "measures": "measurement"}
