"""The solver: it parses a question of MicroSci and answers it from the facts, one recalled fact at a time.

It sees only the question's text and the fact tables, not how `questions` made it. With another memory than the tables,
it reasons like somebody who remembers those facts wrongly.
"""

import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from scicot_utils.microsci import facts
from scicot_utils.microsci.facts import ORDERED, World

Recall = Callable[[str, str], str]  # (entity, relation) → value; World.value, or a memory with errors


@dataclass(frozen=True)
class Form:
    """A form of question. `slot`: what fills the gap in its wordings; '' if they have none. `hops`: number of facts on
    the way to the answer.
    """

    slot: str
    hops: int
    wordings: tuple[str, str, str, str]


@dataclass(frozen=True)
class Query:
    """A parsed question: its form and what fills its gap: a name, or "relation/value"."""

    form: str
    about: str


@dataclass(frozen=True)
class Reasoning:
    """The sentences of a solution. `head`: about the question's subject. `lines`: about each option, in order; empty if
    options need no fact. `rules`: lead to the answer.

    `fits[i]`: whether option i is an answer, according to what was recalled.
    """

    head: tuple[str, ...]
    lines: tuple[str, ...]
    rules: tuple[str, ...]
    fits: tuple[bool, ...]

    @property
    def fitting(self) -> list[int]:
        """Indices of the options that are an answer."""
        return [index for index, fits in enumerate(self.fits) if fits]


CRITERIA = {  # relation → how a question describes a value by what is true of it
    "place": "lives in a place that {}",
    "material": "is made of something that {}",
    "power": "is worked by something that {}",
    "measures": "measures what {}",
}
# A form is included if a student that is given the teacher's rationale learns to answer it. One form failed this test:
# two conditions at once ("floats on water and is made of wood"), with accuracy far below 90%. Another form had too few
# sets of options for three splits: what is true of the material of a thing.
WHICH = ("Which of these {}?", "Which one {}?", "Only one of these {}. Which is it?", "Find the one that {}.")
FORMS = {
    "kind_property": Form("kind_property", 2, WHICH),
    "class_property": Form("class_property", 3, (
        "Which of the four {}?", "What here {}?", "Name the one thing that {}.", "Pick the only one that {}.")),
    "needed_for": Form("need", 3, (
        "Which of these would help to {}?", "What would you take to {}?", "To {}, which one do you need?",
        "Somebody wants to {}. What is of use?")),
    "can_do": Form("effect", 3, (
        "Which of these can {}?", "Which one is able to {}?", "Only one of these can {}. Which is it?",
        "Find the one that can {}.")),
    "example_of": Form("class", 2, (
        "Which of these is an example of {}?", "Which one can be called {}?", "Find {}.", "What here is {}?")),
    "odd_one_out": Form("", 2, (
        "Which of these does not belong with the others?", "Which is the odd one out?",
        "Three of these belong together. Which does not?", "Which one is of another group than the rest?")),
    "same_kind": Form("entity", 2, (
        "Which of these is the same kind of thing as {}?", "What belongs with {}?",
        "Which one is of one kind with {}?", "Find the one that is of the same kind as {}.")),
    "lives_where": Form("place", 2, WHICH),
    "made_of": Form("material", 2, WHICH),
    "worked_by": Form("power", 2, WHICH),
    "measured_in": Form("measures", 2, WHICH),
    "loses_home": Form("place_event", 2, (
        "If {}, which of these would lose its home?", "Which one would have nowhere to live if {}?",
        "Suppose {}. Which of these has to move?", "What would have to live elsewhere if {}?")),
    "stops_working": Form("power_event", 2, (
        "If {}, which of these would stop working?", "Which one would stand still if {}?",
        "Suppose {}. Which of these is of no use?", "What could not be used if {}?")),
    "eats": Form("entity", 2, (
        "Which of these feeds on the group that {} belongs to?", "Which one eats the group of {}?",
        "What has the group of {} as its food?", "Find the one that eats the group of {}.")),
    "loses_food": Form("entity", 2, (
        "If the whole group of {} died out, which of these would lose its food?",
        "Which one would go hungry if the group of {} died out?",
        "Suppose the whole group of {} died out. Which of these has nothing to eat?",
        "What would find no food without the group of {}?")),
    "heaviest": Form("", 2, (
        "Which of these is the heaviest?", "Which one weighs the most?", "Which has the greatest mass?",
        "Find the one with the most mass.")),
    "lightest": Form("", 2, (
        "Which of these is the lightest?", "Which one weighs the least?", "Which has the smallest mass?",
        "Find the one with the least mass.")),
    "largest": Form("", 2, (
        "Which of these is the largest?", "Which one has the greatest size?", "Which is the largest of all?",
        "Find the one with the most size.")),
    "smallest": Form("", 2, (
        "Which of these is the smallest?", "Which one has the least size?", "Which is the smallest of all?",
        "Find the one with the least size.")),
    "true_of": Form("entity", 2, (
        "What is true of {}?", "What can be said of {}?", "Which of these is right for {}?", "Which of these fits {}?")),
    "classify": Form("entity", 2, (
        "To which group does {} belong?", "What is {}?", "How would you classify {}?",
        "Which of these groups holds {}?")),
    "home_like": Form("entity", 2, (
        "What is true of the place where {} lives?", "Which of these is true of the home of {}?",
        "What can be said of the place in which {} lives?", "What do you know of the home of {}?")),
}  # fmt: skip
HELD_OUT_FORMS = ("example_of", "loses_food", "lightest")  # never seen in fine-tuning: the transfer test `test_forms`
NONE_WANTED = "Wanted is none of them."  # said if nothing in this world eats the subject's group
TEXT_FORMS = ("true_of", "classify", "home_like")  # their options are texts, not entities
VALUE_FORMS = ("lives_where", "made_of", "worked_by", "measured_in", "loses_home", "stops_working")
COMPARED = {"heaviest": ("mass", 1), "lightest": ("mass", -1), "largest": ("size", 1), "smallest": ("size", -1)}


class Solver:
    """Parses and answers questions of one world."""

    def __init__(self, world: World):
        self.world = world
        self._foods = {attributes["diet"] for attributes in world.attributes.values() if "diet" in attributes}
        self._names = self._slot_texts()
        self._patterns = []
        for name, form in FORMS.items():
            fillings = sorted(self._names[form.slot], key=len, reverse=True)
            for wording in form.wordings:
                pattern = re.escape(wording).replace(r"\{\}", f"({'|'.join(map(re.escape, fillings))})")
                self._patterns.append((name, re.compile(pattern)))

    def _slot_texts(self) -> dict[str, dict[str, str]]:
        """Kind of slot → text in a question → the name that it stands for ("relation/value" for values)."""
        world = self.world
        texts = {
            "": {},
            "kind_property": {text: text for text, entry in world.properties.items() if entry.holder in world.kinds},
            "class_property": {text: text for text, entry in world.properties.items() if entry.holder in world.classes},
            "need": {text: text for text, entry in world.consequences.items() if entry.need},
            "effect": {text: text for text, entry in world.consequences.items() if not entry.need},
            "class": {facts.group_noun(world, name): name for name in world.classes},
            "entity": {facts.entity_noun(world, name): name for name in world.entities},
        }
        for relation, criterion in CRITERIA.items():
            values = [value for value in world.values.values() if value.relation == relation]
            texts[relation] = {criterion.format(value.rule): f"{relation}/{value.name}" for value in values}
            texts[f"{relation}_event"] = {value.event: f"{relation}/{value.name}" for value in values if value.event}
        return texts

    def text(self, query: Query, wording: int) -> str:
        """The question's text in one of the four wordings, numbered from 0."""
        form = FORMS[query.form]
        filling = next((text for text, name in self._names[form.slot].items() if name == query.about), "")
        return form.wordings[wording].format(filling)

    def read(self, question: str) -> Query:
        """Parse a question's text, in any of the wordings. Raises ValueError if it has none of them."""
        for form, pattern in self._patterns:
            if match := pattern.fullmatch(question.strip()):
                return Query(form, self._names[FORMS[form].slot][match[1]] if match.groups() else "")
        raise ValueError(f"question {question!r} is in none of the wordings of this world")

    def proof(self, question: str, options: Sequence[str]) -> list[str]:
        """The sentences that prove the answer: on the subject, on each option, then the rules."""
        reasoning = self.reason(self.read(question), options)
        return [*reasoning.head, *reasoning.lines, *reasoning.rules]

    def reason(self, query: Query, options: Sequence[str], recall: Recall | None = None) -> Reasoning:
        """Find the options that fit, from what `recall` says of the entities and from the tables' rules. Without
        `recall`, all facts are the tables'.
        """
        world, recall = self.world, recall or self.world.value
        form, about = query.form, query.about
        if form in TEXT_FORMS:
            return self._about(form, about, options, recall)
        head: tuple[str, ...] = ()
        if form in COMPARED:
            relation, sign = COMPARED[form]
            lines, values = self._recalled(relation, options, recall)
            wanted = max(values, key=lambda value: sign * ORDERED[relation].index(value))
            rule = f"Of these {wanted} are the {'most' if sign > 0 else 'least'}."
        elif form == "odd_one_out":
            lines, kinds = self._recalled("kind", options, recall, chain=True)
            values = [world.kinds[kind].class_name for kind in kinds]
            single = [name for name, count in Counter(values).items() if count == 1]
            wanted = single[0] if len(single) == 1 else ""
            rule = f"Only one of them is {facts.group_noun(world, wanted)}." if wanted else "None of them stands alone."
        elif form in VALUE_FORMS:
            relation, wanted = about.split("/")
            rule_of = facts.event_rule if FORMS[form].slot.endswith("_event") else facts.value_rule
            rule = rule_of(world, relation, wanted)
            lines, values = self._recalled(relation, options, recall)
        elif form in ("eats", "loses_food"):
            kind = recall(about, "kind")
            head = (facts.fact(world, about, "kind", value=kind, with_class=True),)
            wanted = next((name for group in world.groups(kind) if (name := facts.eaten(group)) in self._foods), "")
            rule = f"Wanted is what {facts.saying(world, 'diet', wanted)}." if wanted else NONE_WANTED
            lines, values = self._recalled("diet", options, recall)
        else:
            head, rules, wanted = self._wanted_group(form, about, recall)
            lines, kinds = self._recalled("kind", options, recall, chain=wanted not in world.kinds)
            return Reasoning(head, lines, rules, tuple(wanted in world.groups(kind) for kind in kinds))
        return Reasoning(head, lines, (rule,), tuple(value == wanted for value in values))

    def _wanted_group(self, form: str, about: str, recall: Recall) -> tuple[tuple[str, ...], tuple[str, ...], str]:
        """(head, rules, the kind or class of the options that fit). Without a rule, a sentence says which is wanted."""
        world = self.world
        if form in ("same_kind", "example_of"):
            group = recall(about, "kind") if form == "same_kind" else about
            head = (facts.fact(world, about, "kind", value=group),) if form == "same_kind" else ()
            return head, (f"Wanted is {facts.group_noun(world, group)}.",), group
        rules: tuple[str, ...] = ()
        if form in ("needed_for", "can_do"):
            rules, about = (facts.consequence_rule(world, about),), world.consequences[about].property
        return (), (*rules, facts.rule(world, about)), world.properties[about].holder

    def _recalled(
        self, relation: str, options: Sequence[str], recall: Recall, *, chain: bool = False
    ) -> tuple[tuple[str, ...], list[str]]:
        """What is recalled of each option, as sentences and as values. `chain`: kinds are named with their class."""
        recalled = [(name, recall(name, relation)) for name in options]
        lines = (facts.fact(self.world, name, relation, value=value, with_class=chain) for name, value in recalled)
        return tuple(lines), [value for _, value in recalled]

    def _about(self, form: str, name: str, options: Sequence[str], recall: Recall) -> Reasoning:
        """Which of the options, which are texts, is true of the entity `name`."""
        world, relation = self.world, "place" if form == "home_like" else "kind"
        value = recall(name, relation)
        head = (facts.fact(world, name, relation, value=value, with_class=form == "classify"),)
        if form == "classify":
            return Reasoning(head, (), (), tuple(option in world.groups(value) for option in options))
        if form == "home_like":
            place_of = {entry.rule: entry.name for entry in world.values.values() if entry.relation == "place"}
            lines = tuple(facts.value_rule(world, "place", place_of[option]) for option in options)
            return Reasoning(head, lines, (), tuple(place_of[option] == value for option in options))
        lines = tuple(facts.rule(world, option) for option in options)
        holders = [world.properties[option].holder for option in options]
        return Reasoning(head, lines, (), tuple(holder in world.groups(value) for holder in holders))
