"""Fine-tune-CoT's three symbolic tasks: made by their published procedures, and read back from a question's words.

Last letters and coin flip: Kojima et al. 2022, appendix A.2.2 (four names a question, drawn at random; theirs are of a
package of names, ours are listed below). Tracking three shuffled objects: BIG-bench's task (three people, three swaps, a
question about each person), in five scenes. How a teacher works one out is not said here.
"""

from __future__ import annotations

import random
import re
from dataclasses import dataclass
from itertools import pairwise

from scicot_utils.tables import Row

NAMES_ASKED = 4
PEOPLE = ("Alice", "Bob", "Claire")
ORDER = ("First", "Then", "Finally")
FLIP, NO_FLIP = "flips", "does not flip"
NAMES = [
    "Aaron",
    "Abigail",
    "Adam",
    "Adele",
    "Agnes",
    "Aidan",
    "Albert",
    "Alex",
    "Amanda",
    "Amber",
    "Amy",
    "Andrew",
    "Angela",
    "Anna",
    "Anton",
    "Ariel",
    "Arthur",
    "Ashley",
    "Astrid",
    "Barbara",
    "Beatrice",
    "Benjamin",
    "Bernard",
    "Beth",
    "Bianca",
    "Boris",
    "Brandon",
    "Brian",
    "Bruno",
    "Caleb",
    "Camille",
    "Carla",
    "Carlos",
    "Caroline",
    "Cecil",
    "Charles",
    "Chloe",
    "Chris",
    "Clara",
    "Colin",
    "Connor",
    "Craig",
    "Curtis",
    "Cynthia",
    "Daniel",
    "Daphne",
    "David",
    "Deborah",
    "Dennis",
    "Diana",
    "Diego",
    "Dominic",
    "Donald",
    "Doris",
    "Duncan",
    "Dylan",
    "Edgar",
    "Edith",
    "Edward",
    "Elena",
    "Eli",
    "Elias",
    "Elizabeth",
    "Ella",
    "Emil",
    "Emily",
    "Emma",
    "Eric",
    "Erin",
    "Ernest",
    "Esther",
    "Ethan",
    "Eugene",
    "Eva",
    "Evelyn",
    "Felix",
    "Fiona",
    "Florence",
    "Frances",
    "Frank",
    "Fred",
    "Gabriel",
    "George",
    "Gerald",
    "Gina",
    "Gloria",
    "Gordon",
    "Grace",
    "Greta",
    "Gustav",
    "Hannah",
    "Harold",
    "Harry",
    "Hector",
    "Heidi",
    "Helen",
    "Henry",
    "Herbert",
    "Hugo",
    "Ian",
    "Ida",
    "Igor",
    "Ingrid",
    "Irene",
    "Iris",
    "Isaac",
    "Isabel",
    "Ivan",
    "Jack",
    "Jacob",
    "James",
    "Jane",
    "Janet",
    "Jasmine",
    "Jason",
    "Jeremy",
    "Jessica",
    "Joan",
    "Joel",
    "John",
    "Jonas",
    "Joseph",
    "Joyce",
    "Judith",
    "Julia",
    "Karen",
    "Karl",
    "Katherine",
    "Keith",
    "Kenneth",
    "Kevin",
    "Kim",
    "Kurt",
    "Laura",
    "Leah",
    "Leo",
    "Leonard",
    "Lewis",
    "Lily",
    "Linda",
    "Lisa",
    "Louis",
    "Lucas",
    "Lucy",
    "Luther",
    "Magnus",
    "Marcus",
    "Margaret",
    "Maria",
    "Mark",
    "Martha",
    "Martin",
    "Mary",
    "Matthew",
    "Maurice",
    "Max",
    "Megan",
    "Melissa",
    "Michael",
    "Miles",
    "Miriam",
    "Monica",
    "Nadia",
    "Naomi",
    "Nathan",
    "Neil",
    "Nicholas",
    "Nina",
    "Noah",
    "Nora",
    "Norman",
    "Olaf",
    "Oliver",
    "Olivia",
    "Oscar",
    "Otto",
    "Pamela",
    "Patrick",
    "Paul",
    "Paula",
    "Peter",
    "Philip",
    "Phoebe",
    "Quentin",
    "Rachel",
    "Ralph",
    "Raymond",
    "Rebecca",
    "Richard",
    "Rita",
    "Robert",
    "Robin",
    "Roger",
    "Rosa",
    "Roy",
    "Rupert",
    "Russell",
    "Ruth",
    "Samuel",
    "Sandra",
    "Sarah",
    "Scott",
    "Sean",
    "Sergio",
    "Sharon",
    "Sheila",
    "Simon",
    "Sofia",
    "Sonia",
    "Stanley",
    "Stella",
    "Stephen",
    "Susan",
    "Sven",
    "Sylvia",
    "Tamara",
    "Teresa",
    "Theo",
    "Thomas",
    "Tim",
    "Tobias",
    "Tracy",
    "Ursula",
    "Valerie",
    "Vanessa",
    "Vera",
    "Victor",
    "Vincent",
    "Violet",
    "Virginia",
    "Walter",
    "Wanda",
    "Warren",
    "Wendy",
    "William",
    "Xavier",
    "Yvonne",
    "Zachary",
    "Zoe",
]


@dataclass(frozen=True)
class Scene:
    """The wording of one story of three people who exchange things. `has` joins a person to a thing."""

    name: str
    opening: str
    start: str
    has: str
    thing: str  # what is made of an object's name: a colour of a ball
    swap: str
    end: str
    objects: tuple[str, ...]


COLOURS = ("black", "blue", "brown", "green", "orange", "pink", "purple", "red", "white", "yellow")
SCENES = (
    Scene("balls", "are playing a game. At the start of the game, they are each holding a ball:", "has a", "has the",
          "{} ball", "swap balls", "At the end of the game,", COLOURS),
    Scene("presents", "are holding a white elephant gift exchange. At the start of the event, they are each holding a "
          "present of a different color:", "has a", "has the", "{} present", "swap their gifts",
          "At the end of the event,", COLOURS),
    Scene("books", "are friends and avid readers who occasionally trade books. At the start of the semester, they each buy "
          "one new book:", "gets", "has", "{}", "swap books", "At the end of the semester,",
          ("Catch-22", "Frankenstein", "Hound of the Baskervilles", "Lolita", "Moby Dick", "The Great Gatsby",
           "The Odyssey", "The Pearl", "Ulysses")),
    Scene("partners", "are dancers at a square dance. At the start of a song, they each have a partner:",
          "is dancing with", "is dancing with", "{}", "switch partners", "At the end of the dance,",
          ("Helga", "Izzi", "Jamie", "Karl", "Lola", "Melissa", "Ophelia", "Patrick", "Rodrigo", "Sam")),
    Scene("positions", "are on the same team in a soccer match. At the start of the match, they are each assigned to a "
          "position:", "is playing", "is playing", "{}", "trade positions", "At the end of the match,",
          ("benchwarmer", "center midfielder", "cheerleader", "fullback", "goalkeeper", "left midfielder", "left winger",
           "right winger", "striker")),
)  # fmt: skip


@dataclass(frozen=True)
class LastLetters:
    """The last letters of these names are asked for, in order."""

    names: tuple[str, ...]

    @property
    def question(self) -> str:
        return f'Take the last letters of each words in "{" ".join(self.names)}" and concatenate them.'

    @property
    def answer(self) -> str:
        return "".join(name[-1] for name in self.names)

    @property
    def steps(self) -> tuple[str, ...]:
        """Whom each step of working it out is about."""
        return self.names


@dataclass(frozen=True)
class CoinFlip:
    """(name, whether the coin is flipped) of each person; it starts heads up."""

    acts: tuple[tuple[str, bool], ...]

    @property
    def question(self) -> str:
        told = " ".join(f"{name} {FLIP if flips else NO_FLIP} the coin." for name, flips in self.acts)
        return f'A coin is heads up. {told} Is the coin still heads up? Note that "flip" here means "reverse".'

    @property
    def answer(self) -> str:
        return "yes" if sum(flips for _, flips in self.acts) % 2 == 0 else "no"

    @property
    def steps(self) -> tuple[str, ...]:
        """Whom each step of working it out is about."""
        return tuple(name for name, _ in self.acts)


@dataclass(frozen=True)
class Shuffle:
    """Who holds what at the start, who swaps with whom, and whose thing at the end is asked for."""

    scene: Scene
    held: tuple[str, ...]  # the people's things, in their order
    swaps: tuple[tuple[str, str], ...]
    asked: str

    @property
    def question(self) -> str:
        scene = self.scene
        start = [f"{person} {scene.start} {thing}" for person, thing in zip(PEOPLE, self.held, strict=True)]
        swaps = [f"{when}, {a} and {b} {scene.swap}." for when, (a, b) in zip(ORDER, self.swaps, strict=True)]
        return (
            f"{_listed(PEOPLE)} {scene.opening} {_listed(start)}. {' '.join(swaps)} "
            f"{scene.end} {self.asked} {scene.has} Which choice is true?"
        )

    @property
    def answer(self) -> str:
        """The thing's own words, which are those of an option."""
        holding = dict(zip(PEOPLE, self.held, strict=True))
        for a, b in self.swaps:
            holding[a], holding[b] = holding[b], holding[a]
        return holding[self.asked]

    @property
    def steps(self) -> tuple[str, ...]:
        """Whom each step of working it out is about."""
        return tuple(" and ".join(sorted(pair)) for pair in self.swaps)


Puzzle = LastLetters | CoinFlip | Shuffle


def last_letters(size: int, rng: random.Random) -> list[Puzzle]:
    return [LastLetters(tuple(rng.sample(NAMES, NAMES_ASKED))) for _ in range(size)]


def coin_flips(size: int, rng: random.Random) -> list[Puzzle]:
    return [CoinFlip(tuple((name, rng.random() < 0.5) for name in rng.sample(NAMES, NAMES_ASKED))) for _ in range(size)]


def shuffles(size: int, rng: random.Random) -> list[Puzzle]:
    """Each story three times, with a question about each person; so a story lies in one split only."""
    made: list[Puzzle] = []
    while len(made) < size:
        scene = rng.choice(SCENES)
        held = tuple(scene.thing.format(name) for name in rng.sample(scene.objects, len(PEOPLE)))
        swaps = tuple(tuple(rng.sample(PEOPLE, 2)) for _ in ORDER)
        made += [Shuffle(scene, held, swaps, person) for person in PEOPLE]
    return made[:size]


MAKERS = {"LastLetter": last_letters, "CoinFlip": coin_flips, "ShuffledObjects": shuffles}


def words() -> list[str]:
    """All that the questions and options of these tasks are made of, as texts."""
    texts = [*NAMES, *PEOPLE, *ORDER]
    for scene in SCENES:
        texts += [scene.opening, scene.start, scene.swap, scene.end, scene.has, *map(scene.thing.format, scene.objects)]
    return [*texts, *(MAKERS[name](1, random.Random(0))[0].question for name in MAKERS), FLIP, NO_FLIP]


def questions(name: str, sizes: dict[str, int], seed: int) -> list[Row]:
    """Rows of the questions table; each split has random numbers of its own, and a larger one begins with a smaller one."""
    rows = []
    for split, size in sizes.items():
        for number, puzzle in enumerate(MAKERS[name](size, random.Random(f"{seed}/{name}/{split}"))):
            things = list(puzzle.held) if isinstance(puzzle, Shuffle) else []
            rows.append(
                {
                    "id": f"{split}-{number:05d}",
                    "dataset": name,
                    "split": split,
                    "question": puzzle.question,
                    "choices": {"label": list("ABC"[: len(things)]), "text": things},
                    "answer": "ABC"[things.index(puzzle.answer)] if things else puzzle.answer,
                    "group": puzzle.scene.name if isinstance(puzzle, Shuffle) else name,
                    "proof": [],
                }
            )
    return rows


def read(question: str) -> Puzzle | None:
    """What a question of these tasks asks, found in its own words; None where it is none of theirs."""
    if found := re.fullmatch(
        r'Take the last letters of each words in "(\w+(?: \w+)*)" and concatenate them\.', question
    ):
        return LastLetters(tuple(found[1].split()))
    if found := re.fullmatch(r"A coin is heads up\. (.+) Is the coin still heads up\? Note .+", question):
        acts = re.findall(rf"(\w+) ({FLIP}|{NO_FLIP}) the coin\.", found[1])
        return CoinFlip(tuple((name, act == FLIP) for name, act in acts))
    for scene in SCENES:
        if scene.opening in question:
            return _read_shuffle(scene, question)
    return None


def _read_shuffle(scene: Scene, question: str) -> Shuffle | None:
    story, _, asked = question.partition(f"{scene.end} ")
    start = story.split(scene.opening)[1].split(f" {ORDER[0]},")[0].strip().rstrip(".")
    marks = [start.find(f"{person} {scene.start} ") for person in PEOPLE]
    if min(marks) < 0 or marks != sorted(marks):
        return None
    parts = [start[a:b] for a, b in pairwise([*marks, None])]
    things = [re.sub(r",?(?: and)? ?$", "", part.split(f" {scene.start} ", 1)[1]) for part in parts]
    swaps = re.findall(rf"({'|'.join(PEOPLE)}) and ({'|'.join(PEOPLE)}) {scene.swap}\.", story)
    person = asked.split(" ")[0]
    return Shuffle(scene, tuple(things), tuple(swaps), person) if person in PEOPLE else None


def _listed(parts: list[str] | tuple[str, ...]) -> str:
    return f"{', '.join(parts[:-1])}, and {parts[-1]}"
