"""The house style, and the tables, figures, records and claims of the study in it.

Text from models and data sets is untrusted: all of it passes through an escape on its way to HTML.
"""

from __future__ import annotations

import base64
import html
import io
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
import yaml

from scicot_utils import ScicotError, paths, prompts, rationales, scoring, tables
from scicot_utils.recipe import MAIN, Recipe, Settings
from scicot_utils.tables import METRICS, Row

# One colour and one name for each arm, everywhere. Colours: Okabe and Ito's palette, told apart in greyscale too.
ARMS = {
    "answer_only": ("answer only", "#E69F00"),
    "rationale_answer": ("rationale + answer\n(Fine-tune-CoT)", "#56B4E9"),
    "answer_rationale": ("answer + rationale", "#A65628"),
    "multitask": ("multi-task\n(step-by-step)", "#808000"),
    "two_stage_shared": ("two-stage,\none model", "#5E3C99"),
    "two_stage": ("two-stage\n(Sci-CoT)", "#005B96"),
    "two_stage_teacher_rationale": ("two-stage, teacher's\nrationale (ceiling)", "#009E73"),
    "two_stage_shuffled_rationale": ("two-stage, shuffled\nrationale", "#999999"),
    "two_stage_counterfactual_rationale": ("two-stage, rationale\nfor another option", "#CC79A7"),
    "two_stage_no_rationale": ("two-stage,\nno rationale", "#BBBBBB"),
    "random": ("random", "#777777"),
    "majority_label": ("most frequent\nposition", "#777777"),
    "longest_option": ("longest option", "#777777"),
    "shortest_option": ("shortest option", "#777777"),
    "frequent_answer": ("most frequent\nright answer", "#777777"),
    "word_overlap": ("word overlap", "#777777"),
    "bag_of_words": ("bag of words", "#777777"),
    "teacher": ("teacher", "#D55E00"),
}

# The comparisons that are tested, first minus second; the first pair is the headline.
COMPARED = (
    ("two_stage", "rationale_answer"),
    ("two_stage", "answer_only"),
    ("rationale_answer", "answer_only"),
    ("two_stage", "two_stage_shuffled_rationale"),
)
FAIR_LEVEL = 0.95  # at which all intervals of a table of untrained baselines hold together (Bonferroni)
KEPT = (  # tables of notebooks 08 and 09 that go into a record, one a benchmark
    "08_differences",
    "08_failures",
    "08_quality",
    "08_variants",
    "08_validation",
    "09_accuracy",
    "09_comparisons",
    "09_failures",
    "09_orders",
)
STUDENTS_KEPT = "| `students` | what the students know that were pretrained for it |\n"
RECORDED = ("commit", "modified", "scicot_utils", "platform", "processor", "cores", "memory_gib", "python", "packages")
FAILURES = (*rationales.OUTCOMES, "proof written", "right with it", "right without it")  # columns of `failures`
SHARED = "interval, right answers resampled"  # the column of intervals by `shared`
MIN_SEEDS = 3  # fewer carry no verdict (rules of evidence, 2)


@dataclass(frozen=True)
class Claim:
    """A published claim and the comparison that speaks to it; `datasets` not empty: only these can settle it."""

    paper: str
    claim: str
    published: str
    first: str
    second: str
    datasets: tuple[str, ...]
    to_settle: str


CLAIMS = (
    Claim(
        "Sci-CoT, abstract",
        "An 80M-parameter two-stage student passes few-shot BLOOM-176B on ARC-Easy",
        "no figure in the abstract; BLOOM-176B zero-shot on ARC-Easy: 72.6% (its model card)",
        "two_stage",
        "bloom_176b",
        ("ARC-Easy",),
        "recipe arc: Flan-T5-small on ARC-Easy with the rationales of a served LLM",
    ),
    Claim(
        "Sci-CoT, abstract",
        "Separating rationale and answer uses the rationale more efficiently than one stage",
        "no figure in the abstract",
        "two_stage",
        "rationale_answer",
        (),
        "other benchmarks and students; styles of rationale and both budget rules are variants of recipe micro_full",
    ),
    Claim(
        "Fine-tune-CoT, released results",
        "Fine-tuning on rationales passes fine-tuning on answers",
        "Flan-T5 of 60M, twelve tasks: above on one (Shuffled Objects), equal on one (Coin Flip), below on ten",
        "rationale_answer",
        "answer_only",
        (),
        "the twelve tasks, with the paper's students",
    ),
    Claim(
        "presupposed by Sci-CoT",
        "The answer step reads the rationale it is given",
        "no figure in the abstract",
        "two_stage",
        "two_stage_shuffled_rationale",
        (),
        "other benchmarks and students; how often a turned rationale is followed stands in notebook 05",
    ),
)

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
    ("06_baselines", "07_diverse_reasoning"),
    ("05_stage2_answers", "09_claims"),
    ("06_baselines", "09_claims"),
    ("05_stage2_answers", "08_ablations"),
    ("06_baselines", "08_ablations"),
    ("07_diverse_reasoning", "book"),
    ("08_ablations", "book"),
    ("09_claims", "book"),
)


class ReportError(ScicotError):
    """Something to be shown that is not there."""


def arm_name(arm: str) -> str:
    """An arm's name for readers, on one line."""
    return ARMS[arm][0].replace("\n", " ") if arm in ARMS else arm


def set_style() -> None:
    """The house style of every figure: vector, text as text, white ground so that both themes can show it."""
    sns.set_theme(context="notebook", style="whitegrid")
    matplotlib.rcParams.update(
        {
            "figure.dpi": 110,
            "figure.constrained_layout.use": True,
            "svg.fonttype": "path",  # looks the same wherever it is read
            "svg.hashsalt": "scicot",  # the same figure is the same file
            "font.family": "sans-serif",
            "axes.titlelocation": "left",
            "axes.spines.top": False,
            "axes.spines.right": False,
        }
    )


class Picture:
    """A finished figure with the sentence that tells its finding; shows as an image with that alt text."""

    def __init__(self, figure: plt.Figure, alt: str):
        drawn = io.BytesIO()
        figure.savefig(drawn, format="svg", facecolor="white", metadata={"Date": None})
        plt.close(figure)
        self.svg, self.alt = drawn.getvalue(), alt
        self._width = figure.get_figwidth() * 96  # CSS pixels an inch

    def save(self, path: Path) -> Picture:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(self.svg)
        return self

    def _repr_html_(self) -> str:
        source = base64.b64encode(self.svg).decode()
        return (
            f'<div style="overflow-x:auto" tabindex="0"><img src="data:image/svg+xml;base64,{source}" '
            f'alt="{html.escape(self.alt, quote=True)}" '
            f'style="width:100%;min-width:20rem;max-width:{self._width:.0f}px;height:auto;background:#fff"></div>'
        )

    def __repr__(self) -> str:
        return self.alt


LONGEST = 4000  # characters of one cell that a page shows; a file holds all


class Table:
    """Rows as an HTML table, everything escaped; `save` writes all of them as CSV.

    `formats`: column → format string for its numbers. `show`: the columns that are displayed, all if empty.
    """

    def __init__(
        self, rows: Iterable[Mapping[str, object]], formats: Mapping[str, str] | None = None, show: Sequence[str] = ()
    ):
        self.frame = pd.DataFrame(list(rows), dtype=object)  # whole numbers stay whole
        self._formats, self._show = dict(formats or {}), list(show)

    def save(self, path: Path) -> Table:
        tables.write_csv(list(self.frame.columns), self.frame.to_dict("records"), path)
        return self

    def _shown(self) -> pd.DataFrame:
        """What is displayed, as text."""
        shown = self.frame[self._show or list(self.frame.columns)].copy()
        for column in shown.columns:
            shown[column] = [
                self._formats.get(column, "{:,}" if isinstance(value, int) else "{:.4g}").format(value)
                if _is_number(value)
                else "–"
                if value is None or value != value
                else visible(value)
                if isinstance(value, str)
                else value
                for value in shown[column]
            ]
        return shown

    def markdown(self) -> str:
        """As a Markdown table, for a dataset card."""
        shown = self._shown()
        lines = [list(shown.columns), ["---"] * len(shown.columns), *shown.to_numpy().tolist()]
        return "\n".join("| " + " | ".join(str(cell).replace("|", "\\|") for cell in line) + " |" for line in lines)

    def _repr_html_(self) -> str:
        body = self._shown().to_html(index=False, escape=True, border=0, classes="table", justify="left")
        return f'<div style="overflow-x:auto" tabindex="0">{body}</div>'

    def __repr__(self) -> str:
        return self.frame.to_string(index=False)


class Folded:
    """A table behind a line that opens it, so that a long one does not stand in a reader's way."""

    def __init__(self, told: str, shown: Table):
        self.line, self.shown = f"{told} (table of {len(shown.frame)} rows)", shown

    def _repr_html_(self) -> str:
        return f"<details><summary>{html.escape(self.line)}</summary>{self.shown._repr_html_()}</details>"

    def __repr__(self) -> str:
        return f"{self.line}\n{self.shown!r}"


def visible(text: str) -> str:
    """Text from elsewhere as a page can show it: control characters and those that turn the direction of reading by
    their pictures or names, and no more of it than a reader wants. Escaping is the business of whoever makes the page.
    """
    shown = re.sub(r"[\x00-\x08\x0b-\x1f]", lambda found: chr(0x2400 + ord(found[0])), text)
    shown = re.sub(r"[\x7f-\x9f\u202a-\u202e\u2066-\u2069]", lambda found: f"⟨U+{ord(found[0]):04X}⟩", shown)
    return shown if len(shown) <= LONGEST else f"{shown[:LONGEST]}… ({len(text):,} characters)"


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and value == value


class Paragraph:
    """Plain text as one HTML paragraph, escaped; `**` and backticks have no meaning in it."""

    def __init__(self, text: str):
        self.text = text

    def _repr_html_(self) -> str:
        return f"<p>{html.escape(self.text)}</p>"

    def __repr__(self) -> str:
        return self.text


def glue(name: str, value: object) -> None:
    """Hand a value to the book's prose pages, which paste it by name; nothing is shown here."""
    from myst_nb import glue as myst_glue  # here, since only notebooks that feed prose need it

    myst_glue(name, value, display=False)


def percent(value: float) -> str:
    """0.8125 → '81.2%' (half to even)."""
    return f"{100 * value:.1f}%"


def interval(low: float, high: float) -> str:
    """(0.78, 0.84) → '78.0–84.0%'."""
    return f"{100 * low:.1f}–{100 * high:.1f}%"


# ── From runs to metrics.csv ────────────────────────────────────────────────────────────────────────────────────


def collect(recipe: Recipe) -> Path:
    """Write metrics.csv: the metrics.json of every run that the recipe plans, in the plan's order, and no others."""
    rows: list[Row] = []
    for dataset, arm, variant, seed in recipe.runs():
        file = paths.run(recipe.name, dataset, arm, variant, seed) / "metrics.json"
        if not file.is_file():
            raise ReportError(f"no {paths.relative(file)}; run the recipe: make book RECIPE={recipe.name}")
        rows += json.loads(file.read_text(encoding="utf-8"))
    return tables.write_csv(METRICS, rows, paths.metrics(recipe.name))


def metrics(recipe: Recipe) -> pd.DataFrame:
    """metrics.csv as a data frame."""
    file = paths.metrics(recipe.name)
    if not file.is_file():
        raise ReportError(f"no {paths.relative(file)}; run the recipe: make book RECIPE={recipe.name}")
    return pd.read_csv(file, keep_default_na=False)


def keep(recipe: Recipe) -> Path:
    """Write the record of a finished run, small enough to be committed, and return its folder.

    metrics.csv without the rows of single forms of question, but for the main variant's on validation; the tables of
    notebooks 08 and 09; what students know that were pretrained for it; of what ran, where and for how long, the sum
    over all runs. Raises ReportError where a table is missing.
    """
    frame, folder, made = metrics(recipe), paths.record(recipe.name), paths.tables(recipe.name)
    shown = [f"{name}_{dataset}" for name in KEPT for dataset in recipe.distill]
    if missing := [name for name in shown if not (made / f"{name}.csv").is_file()]:
        raise ReportError(
            f"no {missing[0]}.csv in {paths.relative(made)}; run the recipe: make book RECIPE={recipe.name}"
        )
    single = frame["metric"].str.contains(":")
    frame = frame[~single | (frame["variant"] == MAIN) & (frame["split"] == "validation")]
    tables.write_csv(METRICS, frame.to_dict("records"), folder / "metrics.csv")
    for name in shown:
        tables.write_text(folder / "tables" / f"{name}.csv", (made / f"{name}.csv").read_text(encoding="utf-8"))
    made_first = {name: place for name in recipe.students() for place in paths.pretrained(recipe.name, name)}
    for name, place in made_first.items():
        for file in ("knowledge.csv", "skills.csv", "provenance.json"):
            text = (place.parent / file).read_text(encoding="utf-8")
            tables.write_text(paths.student_record(recipe.name, name) / file, text)
    runs = [*(place.parent for place in made_first.values()), *(paths.run(recipe.name, *run) for run in recipe.runs())]
    files = [file for run in runs for file in (run / "stage1" / "provenance.json", run / "provenance.json")]
    told = [json.loads(file.read_text(encoding="utf-8")) for file in files if file.is_file()]
    begun = [datetime.fromisoformat(one["started"]) for one in told]
    ended = [start + timedelta(seconds=round(one["seconds"])) for start, one in zip(begun, told, strict=True)]
    summed = {name: round(sum(one.get(name, 0.0) for one in told), 1) for name in ("seconds", "training_seconds")}
    when = {"started": min(begun).isoformat(), "ended": max(ended).isoformat()}
    with_what = {name: _distinct(one[name] for one in told) for name in RECORDED}
    weights = {name: value for one in told for name, value in one["inputs"].items() if name.endswith(".safetensors")}
    content = {"recipe": recipe.model_dump(), "notebook_runs": len(told), "weights": weights}
    content |= summed | when | with_what
    tables.write_json(folder / "provenance.json", content)
    tables.write_text(
        folder / "README.md",
        f"# What recipe `{recipe.name}` came to\n\n{recipe.description}\n\n{Record(recipe.name).told().text}\n\n"
        "| file | what |\n| --- | --- |\n"
        "| `metrics.csv` | every measure of every run; those of single forms of question for the main variant on validation only |\n"
        "| `tables` | what notebooks 08 and 09 show |\n"
        f"{STUDENTS_KEPT if made_first else ''}"
        "| `provenance.json` | the recipe, commit, machine and versions; seconds are the sum over all notebook runs |\n\n"
        f"Written by `python -m scicot_utils keep {recipe.name}` after `make book RECIPE={recipe.name}`.\n",
    )
    return folder


def _distinct(values: Iterable[object]) -> list[object]:
    found: list[object] = []
    for value in values:
        if value not in found:
            found.append(value)
    return found


@dataclass(frozen=True)
class Record:
    """What a recipe came to when it was run for this repository, as `keep` wrote it."""

    recipe: str

    @property
    def metrics(self) -> pd.DataFrame:
        return pd.read_csv(paths.record(self.recipe) / "metrics.csv", keep_default_na=False)

    def table(self, name: str) -> list[Row]:
        """The rows of one of its tables."""
        file = paths.record(self.recipe) / "tables" / f"{name}.csv"
        numbers = {name: [""] for name in FAILURES}  # where there was nothing to count
        return pd.read_csv(file, keep_default_na=False, na_values=numbers).to_dict("records")

    def students(self) -> list[Row]:
        """The students that were pretrained for it, the smallest first: `student` (its name), `parameters`, `minutes`,
        `steps` by phase, and what it knows and can: `knowledge`, domain → share, and `skills`, task → share.
        """
        found = []
        for file in sorted((paths.record(self.recipe) / "students").glob("*/provenance.json")):
            told = json.loads(file.read_text(encoding="utf-8"))
            row = {"student": f"{told['settings']['architecture']}/seed{told['seed']}"}
            row |= {key: told[key] for key in ("parameters", "steps")} | {"minutes": told["training_seconds"] / 60}
            for name, by in (("knowledge", "domain"), ("skills", "task")):
                frame = pd.read_csv(file.with_name(f"{name}.csv"))
                row[name] = dict(zip(frame[by], frame["share"], strict=True))
            found.append(row)
        return sorted(found, key=lambda row: row["parameters"])

    def told(self) -> Paragraph:
        """What the record is of."""
        found = json.loads((paths.record(self.recipe) / "provenance.json").read_text(encoding="utf-8"))
        commits = ", ".join(commit[:10] for commit in found["commit"])
        return Paragraph(
            f"Record of recipe {self.recipe}: seeds {', '.join(map(str, found['recipe']['seeds']))}; "
            f"{found['notebook_runs']} notebook runs of {found['seconds'] / 3600:.1f} hours in sum, between {found['started']} and "
            f"{found['ended']}, on {' and '.join(found['processor'])} ({' and '.join(map(str, found['cores']))} cores); commit "
            f"{commits}. To make it again: make book RECIPE={self.recipe}."
        )


def where(frame: pd.DataFrame, **columns: object) -> pd.DataFrame:
    """The rows whose columns have these values."""
    for name, value in columns.items():
        frame = frame[frame[name] == value]
    return frame


def over_seeds(frame: pd.DataFrame, by: Sequence[str]) -> pd.DataFrame:
    """Mean, least, greatest and standard deviation over seeds of `value`, with their number, for each group."""
    grouped = frame.groupby(list(by), sort=False)
    found = grouped["value"].agg(["mean", "min", "max", "std", "count"]).rename(columns={"count": "seeds", "std": "sd"})
    found["sd"] = found["sd"].fillna(0.0)
    found["n"] = grouped["n"].first()
    return found.reset_index()


# ── Figures ─────────────────────────────────────────────────────────────────────────────────────────────────────


def accuracy_figure(frame: pd.DataFrame, *, dataset: str, chance: float, seeds: int) -> Picture:
    """Test accuracy of each arm, both scorings: a dot a seed, a bar at their mean."""
    chosen = where(frame, dataset=dataset, variant=MAIN, split="test")
    arms = [arm for arm in ARMS if arm in set(chosen["arm"])]
    figure, axes = plt.subplots(figsize=(6.4, 0.5 * len(arms) + 1.2))
    for place, arm in enumerate(reversed(arms)):
        for measure, shift, filled in (("generated", 0.17, True), ("ranked", -0.17, False)):
            values = 100 * where(chosen, arm=arm, metric=measure)["value"]
            if values.empty:  # open answers are not ranked
                continue
            colour = ARMS[arm][1]
            axes.plot([values.mean()] * 2, [place + shift - 0.13, place + shift + 0.13], color=colour, lw=3)
            axes.plot(values, [place + shift] * len(values), "o", color=colour, mfc=colour if filled else "white", ms=6)
            axes.annotate(
                f"{values.mean():.0f}",
                (values.max(), place + shift),
                (7, 0),
                textcoords="offset points",
                va="center",
                fontsize=9,
            )
    axes.axvline(100 * chance, color="#555555", ls=":", lw=1.2)
    axes.annotate(
        "chance", (100 * chance, len(arms) - 0.5), (3, 0), textcoords="offset points", fontsize=9, color="#555555"
    )
    axes.set_yticks(range(len(arms)), [ARMS[arm][0] for arm in reversed(arms)])
    axes.set(
        xlim=(0, 107),
        ylim=(-0.6, len(arms) - 0.2),
        xlabel="test accuracy, % (filled: generated, open: ranked)",
    )
    axes.grid(axis="y", visible=False)
    means = over_seeds(where(chosen, metric="generated"), ["arm"]).set_index("arm")["mean"]
    told = ", ".join(f"{arm_name(arm)} {percent(means[arm])}" for arm in arms)
    return Picture(
        figure, f"Generated test accuracy on {dataset}, mean over {seeds} seed(s): {told}; chance {percent(chance)}."
    )


def ablation(
    recipe: Recipe, frame: pd.DataFrame, key: str, everything: Mapping[str, int] | None = None
) -> tuple[pd.DataFrame, str]:
    """Test accuracies of the variants that differ in one key, for `ablation_figure`, and what else was changed in all.

    The rows of metrics.csv with `level`, the value of the key, and `given`, in which the sweeps of the key differ; of arms
    with a student that two variants of a sweep were run for, and seeds that all of them have. `everything`:
    what a value of 0 stands for in a key such as `train_size`, where it means all.
    """
    sweeps = [{name: recipe.variants.get(name, {}) for name in names} for names in recipe.sweeps()[key]]
    others = [{other: value for other, value in [*sweep.values()][-1].items() if other != key} for sweep in sweeps]
    every = dict.fromkeys(other for rest in others for other in rest)
    differing = [other for other in every if len({rest.get(other) for rest in others}) > 1]
    common = ", ".join(f"{other} = {others[0][other]}" for other in every if other not in differing)
    frame = frame[(frame["split"] == "test") & frame["metric"].isin(["generated", "ranked"])]
    found = []
    for sweep in sweeps:
        run = [arm for name in sweep for arm in recipe.trained_arms(name)]
        seeds = [seed for seed in recipe.seeds if all(seed in recipe.seeds_of(name) for name in sweep)]
        for name in sweep:
            part = frame[(frame["variant"] == name) & frame["seed"].isin(seeds)]
            part = part[part["arm"].isin([arm for arm in run if run.count(arm) > 1])]
            settings = [recipe.settings(arm, name) for arm in part["arm"]]
            levels = [getattr(one, key) for one in settings]
            given = [", ".join(f"{other} = {getattr(one, other)}" for other in differing) for one in settings]
            levels = [level or (everything or {}).get(key, level) for level in levels]
            found.append(part.assign(level=pd.Series(levels, part.index, object), given=given))
    return pd.concat(found), common


def ablation_figure(frame: pd.DataFrame, *, key: str, common: str = "") -> Picture:
    """Test accuracy over the values of one recipe key: mean over seeds, and the range from least to greatest.

    `frame` as from `ablation`. Numbers stand in their order, an arm a line with a band; other values stand as they
    come, an arm a row of points with bars. Sweeps that differ in `given` have other marks and lines.
    """
    values = list(dict.fromkeys(frame["level"]))
    ordered = not any(isinstance(value, (str, bool)) for value in values)
    levels = sorted(values) if ordered else values
    arms = [arm for arm in ARMS if arm in set(frame["arm"])]
    rows = [(arm, given) for given in dict.fromkeys(frame["given"]) for arm in arms]
    rows = [(arm, given) for arm, given in rows if len(where(frame, arm=arm, given=given))]
    styles = dict(zip(dict.fromkeys(frame["given"]), ("o-", "s--", "^:", "D-.", "v-", "P--"), strict=False))
    measures = [name for name in ("generated", "ranked") if name in set(frame["metric"])]  # open answers are not ranked
    size = (4 * len(measures), 3.4 + 0.2 * len(rows))
    figure, panels = plt.subplots(1, len(measures), figsize=size, sharey=True, squeeze=False)
    panels, told = panels[0], []
    for axes, measure in zip(panels, measures, strict=True):
        for number, (arm, given) in enumerate(rows):
            found = over_seeds(where(frame, arm=arm, given=given, metric=measure), ["level"]).set_index("level")
            found = 100 * found.loc[[level for level in levels if level in found.index]]
            aside = 0.0 if ordered else 0.4 / len(rows) * (number - (len(rows) - 1) / 2)
            places = [levels.index(level) + aside for level in found.index]
            name, colour = ARMS[arm]
            style, label = styles.get(given, "x-"), ", ".join(filter(None, (name.replace("\n", " "), given)))
            if ordered:
                axes.fill_between(places, found["min"], found["max"], color=colour, alpha=0.2, lw=0)
            else:
                axes.vlines(places, found["min"], found["max"], color=colour, lw=2)
            axes.plot(places, found["mean"], style if ordered else style[0], color=colour, label=label)
            if measure == "generated":
                points = [
                    f"{percent(mean / 100)} at {level}" for level, mean in zip(found.index, found["mean"], strict=True)
                ]
                told.append(f"{arm_name(arm)}{f' ({given})' if given else ''} {', '.join(points)}")
        axes.set(title=measure, xlabel=key, ylim=(0, 103), xlim=(-0.4, len(levels) - 0.6))
        axes.set_xticks(range(len(levels)), levels)
    panels[0].set_ylabel("test accuracy, %")
    columns = 1 if any(given for _, given in rows) else 3
    figure.legend(
        *panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=columns, frameon=False, fontsize=9
    )
    seeds = frame["seed"].nunique()
    of_seeds = f"mean over {seeds} seeds" if seeds > 1 else "one seed, so no verdict"
    return Picture(
        figure,
        f"Generated test accuracy by {key}{f', with {common}' if common else ''}, {of_seeds}: {'; '.join(told)}.",
    )


def lengths_figure(lengths: Mapping[str, Sequence[int]], *, label: str) -> Picture:
    """Histograms of lengths, one line a group."""
    figure, axes = plt.subplots(figsize=(7, 3))
    for (name, values), colour in zip(lengths.items(), ("#005B96", "#E69F00", "#009E73", "#D55E00"), strict=False):
        axes.hist(values, bins=30, histtype="step", lw=2, color=colour, label=name)
    axes.set(xlabel=label, ylabel="number")
    axes.legend(frameon=False)
    told = "; ".join(
        f"{name}: median {pd.Series(list(values)).median():.0f}, n = {len(values)}" for name, values in lengths.items()
    )
    return Picture(figure, f"{label[0].upper()}{label[1:]}: {told}.")


def loss_figure(losses: Sequence[tuple[int, float]], *, title: str) -> Picture:
    """Training loss by optimiser step."""
    steps, values = zip(*losses, strict=True)
    figure, axes = plt.subplots(figsize=(7, 2.8))
    axes.plot(steps, values, color="#005B96", lw=2)
    axes.set(xlabel="optimiser step", ylabel="loss (nats per token)", yscale="log", title=title)
    return Picture(
        figure, f"{title}: loss falls from {values[0]:.2f} to {values[-1]:.3f} nats per token in {steps[-1]} steps."
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


# ── What was found ──────────────────────────────────────────────────────────────────────────────────────────────


def chance(questions: Iterable[Row], split: str = "test") -> float:
    """Expected accuracy on a split of guessing among the possible answers; 0 where there is no end of them."""
    guessed = [_guessed(row) for row in questions if row["split"] == split]
    return sum(guessed) / len(guessed)


def _guessed(question: Row) -> float:
    """Chance that a random guess at a question is right."""
    answers = prompts.possible(question)
    return 1 / len(answers) if answers else 0.0


def fairness(answers: Mapping[str, Sequence[Row]], questions: Sequence[Row]) -> list[Row]:
    """How often each untrained baseline is right on each test, and whether that can be told from chance.

    `answers`: baseline → its predictions on `questions`. Intervals are Wilson's, each at such a level that all of the
    table hold together with FAIR_LEVEL (Bonferroni): with a plain 95% one baseline in twenty would be out by luck.
    """
    by_luck = {row["id"]: _guessed(row) for row in questions}
    groups = [
        (split, name, [row for row in rows if row["split"] == split])
        for split in dict.fromkeys(row["split"] for row in questions)
        for name, rows in answers.items()
    ]
    confidence = 1 - (1 - FAIR_LEVEL) / max(1, len(groups))
    found = []
    for split, name, rows in groups:
        right, by_chance = sum(row["correct"] for row in rows), sum(by_luck[row["question_id"]] for row in rows)
        low, high = scoring.wilson(right, len(rows), confidence)
        found.append(
            {
                "split": split,
                "baseline": arm_name(name),
                "n": len(rows),
                "accuracy": right / len(rows),
                "low": low,
                "high": high,
                "chance": by_chance / len(rows),
                "within chance": "yes" if low <= by_chance / len(rows) <= high else "no",
            }
        )
    return found


def ceilings(frame: pd.DataFrame) -> dict[str, float]:
    """Form → accuracy (generated) on validation with the teacher's rationale given, mean over seeds.

    `frame`: metrics.csv of recipe `micro_ceiling`.
    """
    found = where(frame, arm="two_stage_teacher_rationale", split="validation")
    found = found[found["metric"].str.startswith("generated:")]
    return {name.split(":")[1]: float(mean) for name, mean in found.groupby("metric")["value"].mean().items()}


def dataset_card(page: str, values: Mapping[str, Table | Paragraph]) -> str:
    """The book's page of a dataset as a card that stands alone: what the page pastes by name stands in it as Markdown.

    `page`: its text; `values`: what the notebook glues. Raises ReportError for a name that was not handed over.
    """

    def paste(match: re.Match[str]) -> str:
        if match[1] not in values:
            raise ReportError(f"the dataset card pastes '{match[1]}'; handed over are: {', '.join(values)}")
        value = values[match[1]]
        return value.markdown() if isinstance(value, Table) else value.text

    return re.sub(r"```\{glue\} (\w+)\n(?::\w+: .*\n)*```", paste, page)


def citation(citation_file: str) -> str:
    """How to cite this project, from the text of CITATION.cff."""
    told = yaml.safe_load(citation_file)
    authors = ", ".join(
        author.get("name") or f"{author['given-names']} {author['family-names']}" for author in told["authors"]
    )
    return f"{authors[0].upper()}{authors[1:]}: {told['title']}, version {told['version']}."


def accuracy_table(frame: pd.DataFrame, dataset: str) -> Table:
    """One row for each arm of the main variant and each scoring, on the test split."""
    test = where(frame, dataset=dataset, variant=MAIN, split="test")
    rows = []
    for arm in [arm for arm in ARMS if arm in set(test["arm"])]:
        for measure in ("generated", "ranked"):
            found = where(test, arm=arm, metric=measure)
            if found.empty:  # open answers are not ranked
                continue
            seeds, one = over_seeds(found, ["arm"]).iloc[0], found.iloc[0]
            rates = {name: where(test, arm=arm, metric=name)["value"].mean() for name in ("unparsed", "truncated")}
            rows.append(
                {
                    "arm": arm_name(arm),
                    "scoring": measure,
                    "parameters": int(one["parameters"]),
                    "mean": float(seeds["mean"]),
                    "seeds": int(seeds["seeds"]),
                    "least": float(seeds["min"]),
                    "greatest": float(seeds["max"]),
                    "sd": float(seeds["sd"]),
                    "low": float(one["low"]),
                    "high": float(one["high"]),
                    "over seeds": interval(seeds["min"], seeds["max"]),
                    f"over questions (seed {int(one['seed'])})": interval(one["low"], one["high"]),
                    "n": int(one["n"]),
                }
                | {name: float(rate) for name, rate in rates.items()}
            )
    show = [
        "arm",
        "scoring",
        "parameters",
        "mean",
        "over seeds",
        *[name for name in rows[0] if name.startswith("over questions")],
    ]
    formats = dict.fromkeys(("mean", "unparsed", "truncated"), "{:.3f}")
    return Table(rows, formats, [*show, "unparsed", "truncated"])


def test_outcomes(
    recipe: Recipe, dataset: str, questions: Mapping[str, Row], variant: str = MAIN
) -> dict[tuple[str, str], np.ndarray]:
    """(arm, measure) → right or wrong on the test split of one variant, shape (seeds, questions).

    An arm that the variant is not run for is taken from another (`Recipe.taken_from`), with the variant's seeds. A
    control that could be made for a part of the questions only is left out.
    """
    labels = {name: row["choices"]["label"] for name, row in questions.items()}
    asked = sum(row["split"] == "test" for row in questions.values())
    found: dict[tuple[str, str], list[np.ndarray]] = {}
    for where, arm, of, seed in recipe.runs():
        if seed not in recipe.seeds_of(variant):
            continue
        if where == dataset and arm != "untrained" and of == recipe.taken_from(arm, variant):
            folder = paths.run(recipe.name, dataset, arm, of, seed)
            for file in [
                file for file in (folder / "predictions.parquet", folder / "controls.parquet") if file.exists()
            ]:
                rows = [row for row in tables.read("predictions", file) if row["split"] == "test"]
                for name in dict.fromkeys(row["arm"] for row in rows):
                    of_arm = sorted((row for row in rows if row["arm"] == name), key=lambda row: row["question_id"])
                    if len(of_arm) < asked:
                        continue
                    outcomes = scoring.outcomes(of_arm, labels)
                    for measure in ("generated", "ranked"):
                        if measure in outcomes:
                            found.setdefault((name, measure), []).append(outcomes[measure])
    return {name: np.stack(seeds) for name, seeds in found.items()}


def compare(
    outcomes: Mapping[tuple[str, str], np.ndarray], settings: Settings, questions: Mapping[str, Row] | None = None
) -> list[Row]:
    """The comparisons that the claims rest on, tested; with `questions`, also by what these share (`shared`)."""
    return scoring.compare(outcomes, COMPARED, groups=shared(questions or {}), **_resampling(settings))


def _resampling(settings: Settings) -> dict[str, float]:
    return {"confidence": settings.confidence, "resamples": settings.resamples, "seed": settings.evidence_seed}


def shared(questions: Mapping[str, Row]) -> list[str]:
    """What test questions share, in the order of `test_outcomes`: the words of the right answer.

    A student that lacks one fact fails all questions that turn on it, so such questions are not independent.
    """
    asked = [questions[name] for name in sorted(questions) if questions[name]["split"] == "test"]
    return [prompts.answer_text(row, row["answer"]).lower() for row in asked]


def compare_in_variants(recipe: Recipe, dataset: str, questions: Mapping[str, Row], settings: Settings) -> list[Row]:
    """The headline's comparisons in the main variant and in every other one, corrected for their whole number.

    An arm that a variant is not run for is taken from another, but only where that is fair (`Recipe.comparable`).
    """
    outcomes, pairs = {}, []
    for variant in (MAIN, *recipe.variants):
        for (arm, measure), right in test_outcomes(recipe, dataset, questions, variant).items():
            outcomes[f"{variant}/{arm}", measure] = right
        run = recipe.trained_arms(variant)
        fair = [arm for arm in recipe.arms if recipe.comparable(arm, variant)]
        asked = [pair for pair in COMPARED[:3] if {*pair} & {*run} and {*pair} <= {*fair}]
        pairs += [(f"{variant}/{first}", f"{variant}/{second}") for first, second in asked]
    rows = scoring.compare(outcomes, pairs, groups=shared(questions), **_resampling(settings))
    for row in rows:
        row["variant"] = row["first"].split("/")[0]
        for place in ("first", "second"):
            row[place] = row[place].split("/")[1]
            row[f"{place} of"] = recipe.taken_from(row[place], row["variant"])
    return rows


def test_in_forms_of_transfer(frame: pd.DataFrame) -> pd.DataFrame:
    """Accuracies of the test split in the forms of a transfer test that has only some of them, as rows of metrics.csv.

    `frame` has the rows of single forms, such as `generated:eats`; questions weigh alike.
    """
    single = frame[frame["metric"].str.contains(":")]
    measure, form = single["metric"].str.split(":").str[0], single["metric"].str.split(":").str[1]
    single = single.assign(metric=measure, form=form, right=single["value"] * single["n"])
    forms = single.groupby("split")["form"].agg(set).to_dict()
    found = []
    for split in [split for split in forms if forms[split] < forms.get("test", set())]:
        part = where(single[single["form"].isin(forms[split])], split="test")
        sums = part.groupby(["dataset", "arm", "variant", "seed", "metric"], sort=False)[["right", "n"]].sum()
        rows = sums.assign(value=sums["right"] / sums["n"], split=f"test, forms of {split}").reset_index()
        found.append(rows.drop(columns="right"))
    return pd.concat(found) if found else frame.iloc[:0]


def validation_table(frame: pd.DataFrame, recipe: Recipe) -> Table:
    """Arm × variant on one split of `frame` (columns of metrics.csv), mean over seeds, with the best of each arm.

    Every key that a variant of the recipe changes has a column, with the value that the run had.
    """
    wide = frame.pivot_table(index=["arm", "variant"], columns="metric", values="value", aggfunc="mean", sort=False)
    wide["seeds"] = frame.groupby(["arm", "variant"])["seed"].nunique()
    measures = [name for name in ("generated", "ranked") if name in wide]  # open answers are not ranked
    wide["mean"] = wide[measures].mean(axis=1)
    wide["best"] = (wide["mean"] == wide.groupby("arm")["mean"].transform("max")).map({True: "best", False: ""})
    keys = list(dict.fromkeys(key for changes in recipe.variants.values() for key in changes))
    rows = [
        {"arm": row["arm"], "variant": row["variant"]}
        | {key: getattr(recipe.settings(row["arm"], row["variant"]), key) for key in keys}
        | {name: row[name] for name in (*measures, "mean", "seeds", "best")}
        for row in wide.reset_index().to_dict("records")
    ]
    return Table(rows, dict.fromkeys(("generated", "ranked", "mean"), "{:.3f}"))


def variants_table(frame: pd.DataFrame) -> Table:
    """Variant × arm × scoring over seeds, of the rows of metrics.csv in `frame`, all of one split.

    `parameters` are those used to answer: for a two-stage student, of both models.
    """
    rows = over_seeds(frame, ["variant", "arm", "parameters", "metric"]).to_dict("records")
    rows = [row | {"arm": arm_name(row["arm"])} for row in rows]
    return Table(rows, dict.fromkeys(("mean", "min", "max", "sd"), "{:.3f}"))


def failures(recipe: Recipe, dataset: str, questions: Mapping[str, Row]) -> list[Row]:
    """Variants × arms that write rationales × what came of their test questions: shares, mean over seeds; how often the
    proof was written, and what was right with it and without; [] without proofs.
    """
    if not any(row["proof"] for row in questions.values()):
        return []
    rows = []
    for variant, arm in [(name, arm) for name in (MAIN, *recipe.variants) for arm in recipe.trained_arms(name)]:
        counts: dict[str, list[float]] = {name: [] for name in rationales.OUTCOMES}
        settings = recipe.settings(arm, variant)
        style = settings.rationale_style if settings.teacher == "simulated" else "walk"
        for seed in recipe.seeds_of(variant):
            file = paths.run(recipe.name, dataset, arm, variant, seed) / "predictions.parquet"
            found = [row for row in tables.read("predictions", file) if row["split"] == "test"]
            if any(row["rationale"] for row in found):
                told = [
                    rationales.outcome(questions[row["question_id"]], row["rationale"], row["correct"], style)
                    for row in found
                ]
                for name, values in counts.items():
                    values.append(told.count(name) / len(told))
        if any(counts.values()):
            shares = {name: float(np.mean(values)) for name, values in counts.items()}
            rows.append({"variant": variant, "arm": arm_name(arm)} | shares | _with_and_without(shares))
    return rows


def _with_and_without(shares: Mapping[str, float]) -> dict[str, float | None]:
    """How often the whole proof is written, and how often the answer is right where it is and where it is not."""
    proved = shares["right answer, right rationale"] + shares["wrong answer, right rationale"]
    return {
        "proof written": proved,
        "right with it": shares["right answer, right rationale"] / proved if proved else None,
        "right without it": shares["right answer, wrong rationale"] / (1 - proved) if proved < 1 else None,
    }


def failures_told(rows: Sequence[Row]) -> str:
    """From the rows of `failures`: how often each arm writes the proof, and what it answers with it and without it."""
    told = []
    for row in rows:
        found = _with_and_without(row)
        parts = [f"{row['arm']} writes the whole proof for {percent(found['proof written'])} of the questions"]
        if found["right with it"] is not None:
            parts.append(f"answers {percent(found['right with it'])} of those right")
        if found["right without it"] is not None:
            parts.append(f"and {percent(found['right without it'])} of the others")
        told.append(", ".join(parts))
    return f"{'. '.join(told)}." if told else ""


def comparison_table(comparisons: Sequence[Row]) -> Table:
    """Comparisons for readers: arms by name, intervals in one column."""
    rows = [
        row
        | {
            "arms": " minus ".join(
                arm_name(row[place])
                + (f" (of {row[f'{place} of']})" if row.get(f"{place} of") != row.get("variant") else "")
                for place in ("first", "second")
            ),
            "points": row["difference"],
            "interval": f"{row['low']:+.1f} to {row['high']:+.1f}",
        }
        | ({} if "low shared" not in row else {SHARED: f"{row['low shared']:+.1f} to {row['high shared']:+.1f}"})
        for row in comparisons
    ]
    show = ["arms", "measure", "points", "interval", SHARED, "p corrected", "by seed", "McNemar p by seed"]
    if not rows or SHARED not in rows[0]:
        show.remove(SHARED)  # a record that was made without it
    if rows and "variant" in rows[0]:
        show = ["variant", *show[:-1]]
    formats = {"points": "{:+.1f}", "p corrected": "{:.2g}"}
    return Table(rows, formats, show) if rows else Table([{"arms": "this recipe runs no two arms to compare"}])


def variants_told(comparisons: Sequence[Row], settings: Settings) -> str:
    """The headline's difference in each variant, from the rows of `compare_in_variants`, as a sentence."""
    first, second = COMPARED[0]
    told = [
        f"{row['variant']} {row['difference']:+.1f} ({row['low']:+.1f} to {row['high']:+.1f}"
        + (")" if _direction(row, settings) != "not told apart from" else ", not told apart)")
        for row in comparisons
        if (row["first"], row["second"], row["measure"]) == (first, second, "generated")
    ]
    name = f"{arm_name(first)} minus {arm_name(second)}"
    return f"By variant, {name}, generated, in points: {'; '.join(told)}." if told else ""


def claims(
    recipe: Recipe, comparisons: Sequence[Row], settings: Settings, in_variants: Sequence[Row] = ()
) -> list[Row]:
    """Each claim with the paper's figure, what was measured here, and a verdict for the benchmark that was run.

    `in_variants`: rows of `compare_in_variants`; what does not hold in all of them is reproduced partly. Those of too
    few seeds carry no verdict.
    """
    rows = []
    for claim in CLAIMS:
        found = [row for row in comparisons if (row["first"], row["second"]) == (claim.first, claim.second)]
        verdict, measured, elsewhere = "not run here", "–", "–"
        if recipe.plumbing:
            measured = "a plumbing run"
        elif claim.datasets and not set(claim.datasets) & set(recipe.distill):
            measured = f"needs {' or '.join(claim.datasets)}"
        elif found and found[0]["seeds"] < MIN_SEEDS:
            measured = f"{found[0]['seeds']} seed(s); a verdict takes {MIN_SEEDS}"
        elif found:
            directions = [_direction(row, settings) for row in found]
            if "below" in directions or "above" not in directions:
                verdict = "not reproduced"
            else:
                verdict = "reproduced" if set(directions) == {"above"} else "partly"
            held: dict[str, set[str]] = {}
            for row in in_variants:
                if (row["first"], row["second"]) != (claim.first, claim.second) or row["variant"] == MAIN:
                    continue
                sizes = "student" in recipe.variants[row["variant"]] and row.get("first of") != row.get("second of")
                if row["seeds"] >= MIN_SEEDS and not sizes:  # one arm's student is another: no like with like
                    held.setdefault(row["variant"], set()).add(_direction(row, settings))
            if held:
                above = [name for name, directions in held.items() if directions == {"above"}]
                others = [name for name in held if name not in above]
                elsewhere = f"holds in {len(above)} of {len(held)}" + (
                    f"; not in {', '.join(others)}" if others else ""
                )
                verdict = "partly" if verdict == "reproduced" and others else verdict
            measured = "; ".join(
                f"{row['measure']} {row['difference']:+.1f} ({row['low']:+.1f} to {row['high']:+.1f})" for row in found
            )
        rows.append(
            {
                "paper": claim.paper,
                "claim": claim.claim,
                "published": claim.published,
                f"measured on {recipe.distill[0]}, points": measured,
                "in the variants": elsewhere,
                "verdict": verdict,
                "to settle it": claim.to_settle,
            }
        )
    return rows


def _direction(row: Row, settings: Settings) -> str:
    """Where the first arm stands to the second: by its interval and by its corrected p, which must agree."""
    if row["p corrected"] >= 1 - settings.confidence:
        return "not told apart from"
    return "above" if row["low"] > 0 else "below" if row["high"] < 0 else "not told apart from"


def headline(recipe: Recipe, frame: pd.DataFrame, comparisons: Sequence[Row], settings: Settings) -> str:
    """Two-stage beside its two rivals in a few sentences, whatever came out."""
    if recipe.plumbing:
        return f"This is a plumbing run and shows no result: {recipe.plumbing}"
    told = []
    for first, second in COMPARED[:2]:
        for row in [row for row in comparisons if (row["first"], row["second"]) == (first, second)]:
            a, b = (
                where(frame, arm=arm, variant=MAIN, split="test", metric=row["measure"])["value"].mean()
                for arm in (first, second)
            )
            word = _direction(row, settings)
            told.append(
                f"{row['measure'].capitalize()}, {arm_name(first)} with {percent(a)} is {word} {arm_name(second)} with {percent(b)}: "
                f"{row['difference']:+.1f} points ({row['low']:+.1f} to {row['high']:+.1f})."
            )
    if not told:
        return "This recipe does not run the arms of the headline comparison, so there is no headline."
    if comparisons[0]["seeds"] < MIN_SEEDS:
        told.append(f"Fewer than {MIN_SEEDS} seeds carry no verdict.")
    seeds = comparisons[0]["seeds"]
    plural = "s" if seeds > 1 else ""
    return f"On {recipe.distill[0]} ({comparisons[0]['n']} test questions, {seeds} seed{plural}). {' '.join(told)}"


def how_measured(recipe: Recipe) -> list[Row]:
    """One row for each arm of the main variant: runs, seconds, machine and commit, from the provenance beside the runs."""
    found: dict[str, list[Row]] = {}
    for run in [run for run in recipe.runs() if run[2] == MAIN]:
        folder = paths.run(recipe.name, *run)
        for file in (folder / "stage1" / "provenance.json", folder / "provenance.json"):
            if file.exists():
                found.setdefault(run[1], []).append(json.loads(file.read_text(encoding="utf-8")))
    return [
        {
            "arm": arm_name(arm),
            "notebook runs": len(records),
            "seconds each, median": round(float(np.median([record["seconds"] for record in records])), 1),
            "of them training": round(float(np.median([record.get("training_seconds", 0.0) for record in records])), 1),
            "threads": records[0]["settings"]["threads"],
            "machine": "; ".join(
                sorted(
                    {
                        f"{record['processor']}, {record['cores']} cores, {record['memory_gib']} GiB"
                        for record in records
                    }
                )
            ),
            "torch": ", ".join(sorted({record["packages"]["torch"] for record in records})),
            "commit": ", ".join(
                sorted({record["commit"][:10] + ("+" if record["modified"] else "") for record in records})
            ),
        }
        for arm, records in found.items()
    ]
