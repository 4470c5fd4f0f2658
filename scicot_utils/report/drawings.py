"""Drawings of what the code declares: what the arms learn, the flow between the notebooks, the package's layers.

They have no ground of their own and lines that stand out from white and from black, so one file serves both themes.
"""

import textwrap
import tomllib
from collections.abc import Iterable

import matplotlib.pyplot as plt

from scicot_utils import arms, paths
from scicot_utils.report.style import ARMS, Picture, arm_name

LINE, FILL, EDGE = "#808080", "#eef4fa", ARMS["two_stage"].colour

# The flow picture: notebook → (x, y, what it makes), and its arrows.
FLOW_BOXES = {
    "01_questions": (0.6, 1.3, "questions"),
    "02_teacher_prompting": (2.3, 2.4, "prompts\ncompared"),
    "03_rationale_generation": (2.3, 1.3, "rationales"),
    "04_stage1_rationales": (4.1, 1.2, "stage 1\nQ → R"),
    "05_stage2_answers": (6.0, 1.2, "stage 2\nQ + R → A"),
    "06_baselines": (6.0, 0.2, "one-stage arms,\nbaselines"),
    "07_diverse_reasoning": (8.1, 2.5, "diverse\nreasoning"),
    "08_ablations": (8.1, 0.2, "ablations"),
    "09_claims": (8.1, 1.45, "claims"),
    "10_rationale_explorer": (10.0, 0.7, "explorer"),
    "book": (10.0, 1.9, "book"),
}
FLOW = (
    ("01_questions", "02_teacher_prompting"), ("01_questions", "03_rationale_generation"),
    ("02_teacher_prompting", "book"), ("03_rationale_generation", "04_stage1_rationales"),
    ("04_stage1_rationales", "05_stage2_answers"), ("03_rationale_generation", "06_baselines"),
    ("03_rationale_generation", "07_diverse_reasoning"), ("05_stage2_answers", "07_diverse_reasoning"),
    ("06_baselines", "07_diverse_reasoning"), ("05_stage2_answers", "09_claims"), ("06_baselines", "09_claims"),
    ("05_stage2_answers", "08_ablations"), ("06_baselines", "08_ablations"),
    ("05_stage2_answers", "10_rationale_explorer"), ("06_baselines", "10_rationale_explorer"),
    ("10_rationale_explorer", "book"), ("07_diverse_reasoning", "book"),
    ("08_ablations", "book"), ("09_claims", "book"),
)  # fmt: skip
WORDS = {"Q": "question", "R": "rationale", "A": "answer"}  # of the letters in which an arm's maps are told


def argument_figure() -> Picture:
    """What the students of the headline's arms read and write, a row an arm."""
    figure = plt.figure(figsize=(9, 2.1), layout="none")
    axes = figure.add_axes((0, 0, 1, 1), xlim=(0, 13.4), ylim=(-0.9, 2.4))
    axes.axis("off")
    descriptions, arrows = [], []
    for height, arm in enumerate(("two_stage", "rationale_answer", "answer_only")):  # from below
        maps, colour, x = arms.maps_of(arm), ARMS[arm].colour, 3.9
        sides = [learned.notation.split(" → ") for learned in maps]
        _box(axes, 0.25, height, ARMS[arm].label, colour, "left")
        question = before = _box(axes, x, height, _words(sides[0][0]), LINE, "left")
        for number, (reads, writes) in enumerate(sides, 1):
            student = _box(axes, x + 2, height, f"student {number}" if len(maps) > 1 else "student", colour, "left")
            arrows.append((before, student, "arc3"))
            if before is not question and "Q" in reads:
                arrows.append((question, student, "arc3,rad=0.25"))
            before = _box(axes, x + 4, height, _words(writes), LINE, "left")
            arrows.append((student, before, "arc3"))
            x += 4
        steps = ", then ".join(f"{_words(reads)} to {_words(writes)}" for reads, writes in sides)
        descriptions.append(f"{arm_name(arm)}, {steps}")
    _arrows(axes, arrows)
    alt = f"What the students read and write. {'; '.join(reversed(descriptions))}."
    return Picture(figure, alt, ground="none")


def _words(letters: str) -> str:
    return " + ".join(WORDS[letter] for letter in letters.replace("+", " ").split())


def _box(axes: plt.Axes, x: float, y: float, label: str, edge: str, align: str = "center") -> plt.Text:
    style = {"boxstyle": "round,pad=0.4", "fc": FILL if edge != LINE else "#ffffff", "ec": edge, "lw": 1.4}
    return axes.text(x, y, label, ha=align, va="center", fontsize=10.5, bbox=style, color="#111111", zorder=3)


def _arrows(axes: plt.Axes, ways: Iterable[tuple[plt.Text, plt.Text, str]]) -> None:
    """Arrows from box to box, each in a connection style of matplotlib."""
    axes.figure.canvas.draw()  # the boxes take their places
    for start, end, style in ways:
        ends = {"patchA": start.get_bbox_patch(), "patchB": end.get_bbox_patch()}
        look = {"arrowstyle": "-|>", "color": LINE, "lw": 1.1, "connectionstyle": style}
        axes.annotate("", end.get_position(), start.get_position(), arrowprops=ends | look)


def flow_figure() -> Picture:
    """The way of the data through the notebooks."""
    figure, axes = plt.subplots(figsize=(9, 2.7))
    axes.set(xlim=(-0.1, 10.7), ylim=(-0.1, 2.8))
    axes.axis("off")
    boxes = {}
    for name, (x, y, label) in FLOW_BOXES.items():
        number = f"{name[:2]}  " if name[0].isdigit() else ""
        boxes[name] = _box(axes, x, y, f"{number}{label}", EDGE)
    _arrows(axes, [(boxes[start], boxes[end], "arc3") for start, end in FLOW])
    arrows = ", ".join(f"{start} to {end}" for start, end in FLOW)
    return Picture(figure, f"The flow of data between the notebooks: {arrows}.", ground="none")


def layers() -> dict[str, str]:
    """Module → what lies in it, from the bottom up, as pyproject.toml declares it: `|` within a layer, `<` between."""
    project = tomllib.loads(paths.PROJECT.read_text(encoding="utf-8").replace("scicot_utils.", ""))
    contracts = project["tool"]["importlinter"]["contracts"]
    whole, *inside = (contract["layers"][::-1] for contract in contracts)
    packages = {stack[0].split(".")[0]: " < ".join(stack) for stack in inside}
    within = {name: modules.replace(f"{name}.", "") for name, modules in packages.items()}
    return {name: within.get(name, "") for name in whole}


def layers_figure() -> Picture:
    """The package's modules, one on the other, each importing only from those below it."""
    stack = layers()
    figure, axes = plt.subplots(figsize=(9, 0.45 * len(stack)))
    axes.set(xlim=(0, 10), ylim=(-0.5, len(stack) - 0.5))
    axes.axis("off")
    for height, (name, within) in enumerate(stack.items()):
        axes.barh(height, 10, height=0.82, color=FILL, edgecolor=EDGE, lw=0.8)
        axes.text(0.15, height, name, va="center", fontsize=10.5, fontweight="bold", color="#111111")
        axes.text(1.7, height, "\n".join(textwrap.wrap(within, 84)), va="center", fontsize=9.5, color="#333333")
    modules = "; ".join(f"{name} ({within})" if within else name for name, within in stack.items())
    return Picture(figure, f"The layers of the package, from the bottom up: {modules}.", ground="none")
