"""From runs to metrics.csv, and the small records of finished runs."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd

from scicot_utils import paths, tables
from scicot_utils.recipe import MAIN, Recipe, load
from scicot_utils.report.failures import FAILURES
from scicot_utils.report.style import ARMS, Paragraph, ReportError, arm_name
from scicot_utils.tables import METRICS, Row

KEPT = {  # tables that go into a record: one for "each" benchmark, for each in its "main" variant, the "first", or "all"
    "01_splits": "all",
    "01_fairness": "all",
    "03_yield": "main",
    "03_leakage": "main",
    "07_diversity": "each",
    "07_measured": "all",
    "07_readings": "each",
    "08_carried": "first",
    "08_differences": "each",
    "08_failures": "each",
    "08_quality": "each",
    "08_variants": "each",
    "08_validation": "each",
    "09_accuracy": "each",
    "09_comparisons": "each",
    "09_failures": "first",
    "09_orders": "first",
}
STUDENTS_KEPT = "| `students` | what the students know that were pretrained for it |\n"
RECORDED = ("commit", "modified", "scicot_utils", "platform", "processor", "cores", "memory_gib", "python", "packages")


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


def kept_tables(recipe: Recipe) -> list[str]:
    """The names of the tables that go into a recipe's record."""
    suffixes = {"all": [""], "first": [f"_{recipe.distill[0]}"], "each": [f"_{name}" for name in recipe.distill]}
    suffixes["main"] = [f"{suffix}_{MAIN}" for suffix in suffixes["each"]]
    return [f"{name}{suffix}" for name, of in KEPT.items() for suffix in suffixes[of]]


def keep(recipe: Recipe) -> Path:
    """Write the record of a finished run, small enough to be committed, and return its folder.

    metrics.csv, to six decimals, without the rows of single forms of question but the main variant's on validation; the
    tables of KEPT, none of which holds a text; what students know that were pretrained for it; of what ran, where and for how long,
    the sum over all runs. Raises ReportError where a table is missing.
    """
    frame, folder, made = metrics(recipe), paths.record(recipe.name), paths.tables(recipe.name)
    if missing := [name for name in kept_tables(recipe) if not (made / f"{name}.csv").is_file()]:
        raise ReportError(
            f"no {missing[0]}.csv in {paths.relative(made)}; run the recipe: make book RECIPE={recipe.name}"
        )
    single = frame["metric"].str.contains(":")
    frame = frame[~single | (frame["variant"] == MAIN) & (frame["split"] == "validation")].round(6)
    tables.write_csv(METRICS, frame.to_dict("records"), folder / "metrics.csv")
    for name in kept_tables(recipe):
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
    read = [paths.questions(recipe.name, name, MAIN).with_suffix(".provenance.json") for name in recipe.datasets]
    read += [paths.rationales(recipe.name, name, MAIN).with_suffix(".provenance.json") for name in recipe.distill]
    read = [json.loads(file.read_text(encoding="utf-8")) for file in read if file.is_file()]
    outside = {name: found for one in (*read, *told) for name, found in one.get("outside", {}).items()}
    content = {"recipe": recipe.model_dump(), "notebook_runs": len(told), "weights": weights, "outside": outside}
    content |= summed | when | with_what
    tables.write_json(folder / "provenance.json", content)
    tables.write_text(
        folder / "README.md",
        f"# What recipe `{recipe.name}` came to\n\n{recipe.description}\n\n{Record(recipe.name).summary().text}\n\n"
        "| file | what |\n| --- | --- |\n"
        "| `metrics.csv` | every measure of every run, to six decimals; those of single forms of question for the main variant on validation only |\n"
        "| `tables` | what the notebooks show |\n"
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
    def planned(self) -> Recipe:
        return load(self.recipe)

    @property
    def metrics(self) -> pd.DataFrame:
        return pd.read_csv(paths.record(self.recipe) / "metrics.csv", keep_default_na=False)

    def table(self, name: str) -> list[Row]:
        """The rows of one of its tables."""
        file = paths.record(self.recipe) / "tables" / f"{name}.csv"
        numbers = {name: ["", "nan"] for name in (*FAILURES, "error seeds")}  # where there was nothing to count
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

    def summary(self) -> Paragraph:
        """What the record is of."""
        found = json.loads((paths.record(self.recipe) / "provenance.json").read_text(encoding="utf-8"))
        begun, ended = (datetime.fromisoformat(found[when]).astimezone(UTC) for when in ("started", "ended"))
        commits = ", ".join(commit[:10] for commit in found["commit"])
        commits += " (in part with changes that were not committed)" if True in found["modified"] else ""
        return Paragraph(
            f"Record of recipe {self.recipe}: seeds {', '.join(map(str, found['recipe']['seeds']))}; "
            f"{found['notebook_runs']} notebook runs of {found['seconds'] / 3600:.1f} hours in sum, between {begun:%Y-%m-%d %H:%M} and "
            f"{ended:%Y-%m-%d %H:%M} UTC, on {' and '.join(found['processor'])} ({' and '.join(map(str, found['cores']))} cores); commit "
            f"{commits}. {found.get('tested_again', '')}To make it again: make book RECIPE={self.recipe}."
        )


def where(frame: pd.DataFrame, **columns: object) -> pd.DataFrame:
    """The rows whose columns have these values."""
    for name, value in columns.items():
        frame = frame[frame[name] == value]
    return frame


def over_seeds(frame: pd.DataFrame, by: Sequence[str]) -> pd.DataFrame:
    """Mean, least, greatest and standard deviation over seeds of `value`, with their number, for each group.

    The standard deviation of one seed is not known: NaN, shown as "–".
    """
    grouped = frame.groupby(list(by), sort=False)
    found = grouped["value"].agg(["mean", "min", "max", "std", "count"]).rename(columns={"count": "seeds", "std": "sd"})
    found["n"] = grouped["n"].first()
    return found.reset_index()


def first_answers(recipe: Recipe, dataset: str) -> dict[str, dict[str, Row]]:
    """Arm → question id → prediction: what the first seed's students of the main variant answered on the test split."""
    found = {}
    for arm in sorted(recipe.trained_arms(MAIN), key=list(ARMS).index):
        file = paths.run(recipe.name, dataset, arm, MAIN, recipe.seeds[0]) / "predictions.parquet"
        found[arm] = {row["question_id"]: row for row in tables.read("predictions", file) if row["split"] == "test"}
    return found


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


def measured_summary(rows: Sequence[Row]) -> str:
    """On what the rows of `how_measured` were measured: what is the same for all is said once."""
    told = []
    for name, between in (("machine", "; "), ("torch", ", "), ("commit", ", ")):
        distinct = dict.fromkeys(one for row in rows for one in row[name].split(between))
        told.append(f"{name.capitalize()}: {' and '.join(distinct)}.")
    return " ".join(told) if rows else "Nothing was measured."


TRAINED_WITH = (
    "student", "learning_rate", "steps", "epochs", "batch_size", "train_size", "schedule", "warmup_ratio", "weight_decay", "dropout",
)  # fmt: skip


def trained_with(recipe: Recipe) -> list[Row]:
    """One row for each arm with a student: what it is trained with in the main variant."""
    return [
        {"arm": arm_name(arm)} | {key: getattr(recipe.settings(arm), key) for key in TRAINED_WITH}
        for arm in recipe.trained_arms(MAIN)
    ]


def costs(recipe: Recipe) -> list[Row]:
    """One row for each notebook that the pipeline has run: jobs, their median and sum in minutes, greatest memory in MiB.

    From the last run of each job; [] where no pipeline ran.
    """
    found: dict[str, list[pd.Series]] = {}
    for file in sorted(paths.benchmarks(recipe.name).rglob("*.tsv")):
        notebook = file.relative_to(paths.benchmarks(recipe.name)).parts[0].removesuffix(".tsv")
        found.setdefault(notebook, []).append(pd.read_csv(file, sep="\t", na_values="-").iloc[-1])
    return [
        {
            "notebook": notebook,
            "jobs": len(jobs),
            "minutes, median": float(np.median([job["s"] for job in jobs])) / 60,
            "minutes in sum": float(np.sum([job["s"] for job in jobs])) / 60,
            "greatest memory, MiB": round(float(np.nanmax([0, *(job["max_rss"] for job in jobs)]))),
        }
        for notebook, jobs in found.items()
    ]
