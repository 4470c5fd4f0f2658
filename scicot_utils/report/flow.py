"""The way of the data through the notebooks, as a drawing."""

from __future__ import annotations

import matplotlib.pyplot as plt

from scicot_utils.report.style import Picture

# The flow picture: notebook → (x, y, what it makes), and its arrows.
FLOW_BOXES = {
    "01_questions": (0.7, 1.3, "questions"),
    "02_teacher_prompting": (2.4, 2.6, "prompts\ncompared"),
    "03_rationale_generation": (2.4, 0.8, "rationales"),
    "04_stage1_rationales": (4.2, 1.5, "stage 1\nQ → R"),
    "05_stage2_answers": (6.0, 1.5, "stage 2\nQ + R → A"),
    "06_baselines": (6.0, 0.3, "baselines,\none-stage arms"),
    "07_diverse_reasoning": (7.9, 2.7, "diverse\nreasoning"),
    "08_ablations": (7.9, 0.3, "ablations"),
    "09_claims": (7.9, 1.5, "claims"),
    "10_rationale_explorer": (9.6, 0.6, "explorer"),
    "book": (9.6, 1.9, "book"),
}
FLOW = (
    ("01_questions", "02_teacher_prompting"),
    ("01_questions", "03_rationale_generation"),
    ("02_teacher_prompting", "book"),
    ("03_rationale_generation", "04_stage1_rationales"),
    ("04_stage1_rationales", "05_stage2_answers"),
    ("03_rationale_generation", "06_baselines"),
    ("03_rationale_generation", "07_diverse_reasoning"),
    ("05_stage2_answers", "07_diverse_reasoning"),
    ("06_baselines", "07_diverse_reasoning"),
    ("05_stage2_answers", "09_claims"),
    ("06_baselines", "09_claims"),
    ("05_stage2_answers", "08_ablations"),
    ("06_baselines", "08_ablations"),
    ("05_stage2_answers", "10_rationale_explorer"),
    ("06_baselines", "10_rationale_explorer"),
    ("10_rationale_explorer", "book"),
    ("07_diverse_reasoning", "book"),
    ("08_ablations", "book"),
    ("09_claims", "book"),
)


def flow_figure() -> Picture:
    """The way of the data through the notebooks."""
    figure, axes = plt.subplots(figsize=(8, 3.6))
    axes.set(xlim=(0, 10.2), ylim=(0, 3))
    axes.axis("off")
    for start, end in FLOW:
        (x0, y0, _), (x1, y1, _) = FLOW_BOXES[start], FLOW_BOXES[end]
        axes.annotate(
            "", (x1, y1), (x0, y0), arrowprops={"arrowstyle": "->", "color": "#555555", "shrinkA": 34, "shrinkB": 36}
        )
    for name, (x, y, label) in FLOW_BOXES.items():
        box = {"boxstyle": "round,pad=0.35", "fc": "#eef4fa", "ec": "#005B96"}
        number = f"{name[:2]}\n" if name[0].isdigit() else ""
        axes.text(x, y, f"{number}{label}", ha="center", va="center", fontsize=12, bbox=box, color="#111111")
    told = ", ".join(f"{start} to {end}" for start, end in FLOW)
    return Picture(figure, f"The flow of data between the notebooks: {told}.")
