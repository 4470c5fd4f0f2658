"""Lessons for pretraining the embedded student: single facts, and generic reading skills.

They stand for what a pretrained language model already has. No task is a form of question, and none combines recalled
facts: where two facts are to be combined, both are given.
"""

import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from scicot_utils.microsci import facts
from scicot_utils.microsci.facts import LABELS, ORDERED, RELATIONS, SAYINGS, World
from scicot_utils.microsci.reasoning import CRITERIA, FORMS
from scicot_utils.students.words import MASK, WORD

KNOWING = {
    "infill": 5, "tell": 6, "rule": 2, "copy": 1, "look_up": 0.5, "check": 3, "member": 3, "join": 1, "order": 0.5,
}  # fmt: skip
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
DOMAIN_OF_VALUES = {"place": "earth", "material": "materials", "power": "energy", "measures": "measurement"}
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
    texts += [value for attributes in world.attributes.values() for value in attributes.values()]
    texts += [rule.target for rule in _rules(world)]
    texts += [wording for form in FORMS.values() for wording in form.wordings]
    return sorted({word for text in texts for word in WORD.findall(text.replace("{}", "").lower())})


class Probe(NamedTuple):
    """A single fact as a test item with one right answer. `domain`: the domain of the fact. `about`: the relation or the
    table that it is of.
    """

    domain: str
    about: str
    input: str
    target: str


def probes(world: World) -> list[Probe]:
    """One test item for every atomic fact of the world."""
    items = []
    for name in world.entities:
        for relation, value in world.attributes[name].items():
            whole = facts.fact(world, name, relation)
            before, _, after = whole.rpartition(value)
            items.append(Probe(world.domain(name), relation, f"Fill: {before}{MASK}{after}", whole))
    return items + _rules(world)


def _rules(world: World) -> list[Probe]:
    """One test item for every fact that is not about one entity: the part that identifies it → the fact."""
    items = []
    for kind, entry in world.kinds.items():
        whole = facts.class_fact(world, kind)
        items.append(Probe(entry.domain, "class", f"Fill: {whole.rpartition(entry.class_name)[0]}{MASK}.", whole))
    domain_of = {group: entry.domain for kind, entry in world.kinds.items() for group in world.groups(kind)}
    for text, entry in world.properties.items():
        items.append(Probe(domain_of[entry.holder], "property", f"Rule: {text}", facts.rule(world, text)))
    for text, entry in world.consequences.items():
        domain = domain_of[world.properties[entry.property].holder]
        items.append(Probe(domain, "consequence", f"Rule: {text}", facts.consequence_rule(world, text)))
    for key, value in world.values.items():
        rule = facts.value_rule(world, *key)
        items.append(Probe(DOMAIN_OF_VALUES[value.relation], "value", f"Rule: {value.rule}", rule))
    for key, value in world.values.items():
        if value.event:
            rule = facts.event_rule(world, *key)
            items.append(Probe(DOMAIN_OF_VALUES[value.relation], "event", f"Rule: {value.event}", rule))
    for relation in ORDERED:
        items.append(Probe("measurement", "order", f"Rule: {relation}", facts.order_rule(relation)))
    return items


def options_line(options: Sequence[str]) -> str:
    """Options with their labels: "(A) raft (B) robin"."""
    return " ".join(f"({label}) {option}" for label, option in zip(LABELS, options, strict=False))


class Lesson(NamedTuple):
    """`input` is read, `target` must be written, and `prefix` is a beginning of the output that is continued."""

    input: str
    target: str
    prefix: str = ""


class Lessons:
    """Draws lessons: every public method is a task. The same stream always gives the same lessons."""

    def __init__(self, world: World, stream: int | str):
        self.world = world
        self.rng = random.Random(f"microsci pretraining {stream}")
        self.words = vocabulary(world)
        self.rules = _rules(world)
        self.names = {
            relation: [name for name in world.entities if relation in world.attributes[name]] for relation in RELATIONS
        }

    def _count(self) -> int:
        return self.rng.choices((1, 2, 3, 4, 5), weights=(1, 1, 2, 8, 1))[0]

    def _relation(self) -> str:
        """A random relation, weighted by its number of facts; small ones get some extra weight."""
        return self.rng.choices(RELATIONS, weights=[len(self.names[relation]) + 60 for relation in RELATIONS])[0]

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
            whole = self.rng.choice(self.rules).target
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
        statements = " ".join(facts.fact(self.world, name, relation) for name in names)
        return Lesson(f"{options_line(names)} Tell: {relation}", statements)

    def rule(self) -> Lesson:
        """The part of a rule that identifies it → the rule."""
        sizes = {"property": len(self.world.properties), "consequence": len(self.world.consequences)}
        sizes |= {"value": len(self.world.values), "event": 12, "order": 2}
        [about] = self.rng.choices(list(sizes), weights=list(sizes.values()))
        rule = self.rng.choice([rule for rule in self.rules if rule.about == about])
        return Lesson(rule.input, rule.target)

    def copy(self) -> Lesson:
        """Words → the same words."""
        words = self.rng.choices(self.words, k=self.rng.randint(1, 12))
        return Lesson(f"Copy: {' '.join(words)}", " ".join(words))

    def look_up(self) -> Lesson:
        """Options and a label → the option, or the reverse."""
        names = self._some("kind", self._count())
        index = self.rng.randrange(len(names))
        label = f"({LABELS[index]})"
        query, answer = self.rng.choice(((label, names[index]), (names[index], label)))
        return Lesson(f"{options_line(names)} Find: {query}", answer)

    def check(self) -> Lesson:
        """A rule and statements without a subject → whether each falls under the rule. Any number of them may,
        including none and all.
        """
        if self.rng.random() < 0.6:
            entry = self.world.properties[self.rng.choice(list(self.world.properties))]
            rule = facts.rule(self.world, entry.text)
            chain = entry.holder not in self.world.kinds
            covered = [kind for kind in self.world.kinds if entry.holder in self.world.groups(kind)]
            near = [kind for kind in self.world.kinds if {*self.world.groups(kind)} & {*entry.contrast}]
            sayings = {kind: facts.saying(self.world, "kind", kind, with_class=chain) for kind in (*covered, *near)}
        else:
            key = self.rng.choice(list(self.world.values))
            rule = facts.value_rule(self.world, *key)
            covered = [key[1]]
            near = [value for relation, value in self.world.values if relation == key[0] and value != key[1]]
            sayings = {value: facts.saying(self.world, key[0], value) for value in (*covered, *near)}
        chosen = [self.rng.choice(covered if self.rng.random() < 0.4 else near) for _ in range(self._count())]
        options = options_line([f"{sayings[name]}." for name in chosen])
        verdicts = " ".join(f"{sayings[name]}, so {'yes' if name in covered else 'no'}." for name in chosen)
        return Lesson(f"{rule} {options} Check:", f"{rule} {verdicts}")

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
        classes = {name: self.world.kinds[self.world.entities[name].kind].class_name for name in self.names[relation]}
        return [name for name, class_name in classes.items() if class_name == classes[gold]]

    def join(self) -> Lesson:
        """Two stated facts → one sentence."""
        name, kind = self.rng.choice(list(self.world.entities)), self.rng.choice(list(self.world.kinds))
        first = facts.fact(self.world, name, "kind", value=kind)
        if self.rng.random() < 0.6:
            joined = facts.fact(self.world, name, "kind", value=kind, with_class=True)
            return Lesson(f"{first} {facts.class_fact(self.world, kind)} Join:", joined)
        relation = self._relation()
        value = self.world.value(self.rng.choice(self.names[relation]), relation)
        second = facts.fact(self.world, name, relation, value=value)
        return Lesson(f"{first} {second} Join:", f"{first[:-1]} and {facts.saying(self.world, relation, value)}.")

    def read(self) -> Lesson:
        """One to four invented statements and one of their kinds → the entity that was said to be of that kind."""
        statements, query, name = self._kind_statements()
        return Lesson(f"{statements} Find: {query}", name)

    def read_back(self) -> Lesson:
        """As `read`, but the statements are in the student's own output."""
        statements, query, name = self._kind_statements()
        return Lesson(f"Find: {query}", name, f"{statements} -->")

    def read_own(self) -> Lesson:
        """As `read_back`, and the question is in the output, too."""
        statements, query, name = self._kind_statements()
        return Lesson("Find:", name, f"{statements} Find: {query} -->")

    def find(self) -> Lesson:
        """As `read`, for any relation and with the options listed. Sometimes the question names a class that was stated
        beside the kind.
        """
        statements, options, query, name = self._any_statements()
        context = self.rng.choice((f"{statements} {options}", f"{options} {statements}"))
        return Lesson(f"{context} Find: {query}", name)

    def find_back(self) -> Lesson:
        """As `find`, but the statements are in the student's own output."""
        statements, options, query, name = self._any_statements()
        return Lesson(f"{options} Find: {query}", name, f"{statements} -->")

    def find_own(self) -> Lesson:
        """As `find_back`, and the question is in the output, too."""
        statements, options, query, name = self._any_statements()
        return Lesson(f"{options} Find:", name, f"{statements} Find: {query} -->")

    def _kind_statements(self) -> tuple[str, str, str]:
        """(statements of the kinds of some entities, one of these kinds, the entity that is said to be of it)."""
        names = self.rng.sample(list(self.world.entities), self.rng.choice((1, 2, 2, 3, 4)))
        said = list(zip(names, self.rng.sample(list(self.world.kinds), len(names)), strict=True))
        name, kind = said[self.rng.randrange(len(names))]
        return self._statements("kind", said), facts.group_noun(self.world, kind), name

    def _any_statements(self) -> tuple[str, str, str, str]:
        """(statements, the entities as options, a description, the only entity that it fits)."""
        names = self.rng.sample(list(self.world.entities), max(2, self._count()))
        relation, chain = self._relation(), self.rng.random() < 0.5
        if relation == "kind":
            values = self.rng.sample(list(self.world.kinds), len(names))
            classes = [self.world.groups(kind)[1] for kind in values]
            by_class = chain and classes.count(classes[0]) == 1 and self.rng.random() < 0.7
            query = f"is {facts.group_noun(self.world, classes[0] if by_class else values[0])}"
        else:
            chain = False
            known = sorted({self.world.value(name, relation) for name in self.names[relation]})
            self.rng.shuffle(known)
            values = [known[0], *(self.rng.choice(known[1:]) for _ in names[1:])]
            query = facts.saying(self.world, relation, values[0])
        said = list(zip(names, values, strict=True))
        self.rng.shuffle(said)
        options = self.rng.sample([name for name, _ in said], len(said))
        return self._statements(relation, said, with_class=chain), options_line(options), query, names[0]

    def _statements(self, relation: str, said: Iterable[tuple[str, str]], *, with_class: bool = False) -> str:
        """What is said of entities, true or not, as sentences. `said`: (entity, value) pairs."""
        return " ".join(
            facts.fact(self.world, name, relation, value=value, with_class=with_class) for name, value in said
        )

    def order(self) -> Lesson:
        """Units → the largest or the smallest of them."""
        units = ORDERED[self.rng.choice(list(ORDERED))]
        drawn = self.rng.choices(units, k=self.rng.randint(2, 4))
        word, extreme = ("most", max) if self.rng.random() < 0.5 else ("least", min)
        answer = extreme(drawn, key=units.index)
        return Lesson(f"{', '.join(drawn)} Order: {word}", f"Of these {answer} are the {word}.")


TASKS = tuple(name for name in vars(Lessons) if not name.startswith("_"))


def lessons(world: World, size: int, stream: int | str, mix: Mapping[str, float]) -> list[Lesson]:
    """`size` lessons of the tasks in `mix`, drawn by its weights. Raises ValueError for an unknown task."""
    for task in mix:
        if task not in TASKS:
            raise ValueError(f"pretraining: unknown task {task!r}; allowed are {', '.join(TASKS)}")
    source = Lessons(world, stream)
    return [getattr(source, task)() for task in source.rng.choices(list(mix), weights=list(mix.values()), k=size)]
