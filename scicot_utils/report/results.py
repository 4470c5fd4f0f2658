"""From runs to metrics.csv, and the small records of finished runs."""

import json
import operator
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from scicot_utils import paths, tables
from scicot_utils.recipe import MAIN, Recipe, load
from scicot_utils.report.style import HOUSE_ORDER, Paragraph, ReportError, arm_name, ordered
from scicot_utils.tables import METRICS, Row

RECORD_TABLES = {  # one for all benchmarks, for the first, for each, or for each in its main variant
    "all": ("01_splits", "01_fairness", "07_measured"),
    "first": ("08_carried", "09_failures", "09_orders"),
    "each": (
        "07_diversity", "07_readings", "08_differences", "08_failures", "08_quality", "08_variants", "08_validation",
        "09_accuracy", "09_comparisons",
    ),
    "main": ("03_yield", "03_leakage"),
}  # fmt: skip
ENVIRONMENT = (
    "commit", "modified", "scicot_utils", "platform", "processor", "cores", "memory_gib", "python", "packages",
)  # fmt: skip
Questions = Mapping[str, Row]  # by id
MAY_LACK = ("right with it", "right without it", "error seeds")  # numbers where there may be nothing to count


def collect(recipe: Recipe) -> Path:
    """Write metrics.csv: the metrics.json of every run that the recipe plans, in the plan's order, and no others."""
    files = [_existing(paths.run(recipe.name, *run) / "metrics.json", recipe) for run in recipe.runs()]
    return tables.write_csv(METRICS, [row for file in files for row in _json(file)], paths.metrics(recipe.name))


def metrics(recipe: Recipe) -> pd.DataFrame:
    """metrics.csv as a data frame."""
    return pd.read_csv(_existing(paths.metrics(recipe.name), recipe), keep_default_na=False)


def _existing(file: Path, recipe: Recipe) -> Path:
    if not file.is_file():
        raise ReportError(f"no {paths.relative(file)}; run the recipe: make book RECIPE={recipe.name}")
    return file


def _json(file: Path) -> Any:
    return json.loads(file.read_text(encoding="utf-8"))


def record_tables(recipe: Recipe) -> list[str]:
    """The names of the tables that go into a recipe's record."""
    suffixes = {"all": [""], "first": [f"_{recipe.distill[0]}"], "each": [f"_{name}" for name in recipe.distill]}
    suffixes["main"] = [f"{suffix}_{MAIN}" for suffix in suffixes["each"]]
    return [f"{name}{suffix}" for scope, names in RECORD_TABLES.items() for name in names for suffix in suffixes[scope]]


def keep(recipe: Recipe) -> Path:
    """Write the record of a finished run, small enough to be committed, and return its folder.

    metrics.csv to six decimals, with single forms of question for the main variant on validation only; RECORD_TABLES,
    none of which holds a text; what pretrained students know; what ran. Raises ReportError without a table.
    """
    frame, folder = metrics(recipe), paths.record(recipe.name)
    shown = [_existing(paths.tables(recipe.name) / f"{name}.csv", recipe) for name in record_tables(recipe)]
    by_form = frame["metric"].str.contains(":")
    frame = frame[~by_form | (frame["variant"] == MAIN) & (frame["split"] == "validation")].round(6)
    tables.write_csv(METRICS, frame.to_dict("records"), folder / "metrics.csv")
    pretrained = {name: file.parent for name in recipe.students() for file in paths.pretrained(recipe.name, name)}
    copies = dict.fromkeys(shown, folder / "tables")
    for name, source in pretrained.items():
        files = [source / file for file in ("knowledge.csv", "skills.csv", "provenance.json")]
        copies |= dict.fromkeys(files, paths.student_record(recipe.name, name))
    for file, target in copies.items():
        tables.write_text(target / file.name, file.read_text(encoding="utf-8"))
    runs = [*pretrained.values(), *(paths.run(recipe.name, *run) for run in recipe.runs())]
    tables.write_json(folder / "provenance.json", _provenance(recipe, runs))
    students = "| `students` | knowledge of the students that were pretrained for it |\n" if pretrained else ""
    tables.write_text(
        folder / "README.md",
        f"# Results of recipe `{recipe.name}`\n\n{recipe.description}\n\n{Record(recipe.name).summary().text}\n\n"
        "| file | what |\n| --- | --- |\n"
        "| `metrics.csv` | every measure of every run, to six decimals; those of single forms of question for the main "
        f"variant on validation only |\n| `tables` | what the notebooks show |\n{students}"
        "| `provenance.json` | the recipe, commit, machine and versions; seconds are the sum over all notebook runs |"
        f"\n\nWritten by `python -m scicot_utils keep {recipe.name}` after `make book RECIPE={recipe.name}`.\n",
    )
    return folder


def _provenance(recipe: Recipe, runs: Iterable[Path]) -> dict[str, Any]:
    """What ran in these folders: where, from what, and for how long in sum."""
    records = [record for run in runs for record in _run_records(run)]
    started = [datetime.fromisoformat(record["started"]) for record in records]
    seconds = [timedelta(seconds=round(record["seconds"])) for record in records]
    stages = [paths.questions(recipe.name, name, MAIN) for name in recipe.datasets]
    stages += [paths.rationales(recipe.name, name, MAIN) for name in recipe.distill]
    files = [stage.with_suffix(".provenance.json") for stage in stages]
    readers = [*(_json(file) for file in files if file.is_file()), *records]
    inputs = {name: checksum for record in records for name, checksum in record["inputs"].items()}
    summary = {
        "recipe": recipe.model_dump(),
        "notebook_runs": len(records),
        "weights": {name: checksum for name, checksum in inputs.items() if name.endswith(".safetensors")},
        "outside": {name: file for record in readers for name, file in record.get("outside", {}).items()},
        "seconds": round(sum(record["seconds"] for record in records), 1),
        "training_seconds": round(sum(record.get("training_seconds", 0.0) for record in records), 1),
        "started": min(started).isoformat(),
        "ended": max(map(operator.add, started, seconds)).isoformat(),
        **{name: _distinct([record[name] for record in records]) for name in ENVIRONMENT},
    }
    if with_gpu := [record for record in records if "gpu" in record]:
        summary["gpu"] = _distinct([record["gpu"] for record in with_gpu])
        summary["gpu_gib"] = max(record["gpu_gib"] for record in with_gpu)
    return summary


def _run_records(run: Path) -> list[dict[str, Any]]:
    """What the notebooks of a run left of themselves: that of stage 1, where it has one, and its own."""
    files = (run / "stage1" / "provenance.json", run / "provenance.json")
    return [_json(file) for file in files if file.is_file()]


def _distinct(values: Sequence[object]) -> list[object]:
    return [value for index, value in enumerate(values) if value not in values[:index]]


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
        """The rows of one of its tables. Raises TableError, one line, where it is missing."""
        file = tables.shipped(self.recipe, f"tables/{name}.csv")
        missing = {column: ["", "nan"] for column in MAY_LACK}
        return pd.read_csv(file, keep_default_na=False, na_values=missing).to_dict("records")

    def students(self) -> list[Row]:
        """The students that were pretrained for it, the smallest first: `student` (its name), `parameters`, `minutes`,
        `steps` by phase, and what it knows and can: `knowledge`, domain → share, and `skills`, task → share.
        """
        rows = []
        for file in sorted((paths.record(self.recipe) / "students").glob("*/provenance.json")):
            record = _json(file)
            row = {"student": f"{record['settings']['architecture']}/seed{record['seed']}"}
            row |= {key: record[key] for key in ("parameters", "steps")} | {"minutes": record["training_seconds"] / 60}
            for name, label in (("knowledge", "domain"), ("skills", "task")):
                frame = pd.read_csv(file.with_name(f"{name}.csv"))
                row[name] = dict(zip(frame[label], frame["share"], strict=True))
            rows.append(row)
        return sorted(rows, key=lambda row: row["parameters"])

    def summary(self) -> Paragraph:
        """What the record is of."""
        record = _json(paths.record(self.recipe) / "provenance.json")
        started, ended = (datetime.fromisoformat(record[time]).astimezone(UTC) for time in ("started", "ended"))
        commits = ", ".join(commit[:10] for commit in record["commit"])
        commits += " (in part with changes that were not committed)" if True in record["modified"] else ""
        return Paragraph(
            f"Record of recipe {self.recipe}: seeds {', '.join(map(str, record['recipe']['seeds']))}; "
            f"{record['notebook_runs']} notebook runs of {record['seconds'] / 3600:.1f} hours in total, "
            f"between {started:%Y-%m-%d %H:%M} and {ended:%Y-%m-%d %H:%M} UTC, "
            f"on {' and '.join(record['processor'])} ({' and '.join(map(str, record['cores']))} cores); "
            f"commit {commits}. {record.get('tested_again', '')}To reproduce it: make book RECIPE={self.recipe}."
        )


def where(frame: pd.DataFrame, **columns: object) -> pd.DataFrame:
    """The rows whose columns have these values; of a list or tuple, one of them."""
    for name, value in columns.items():
        frame = frame[frame[name].isin(value if isinstance(value, (list, tuple)) else [value])]
    return frame


def over_seeds(frame: pd.DataFrame, by: Sequence[str], first: Sequence[str] = ()) -> pd.DataFrame:
    """Mean, least, greatest and standard deviation (NaN of one seed) of `value` over seeds, and their number, for each
    group. `first`: columns of which the first seed's value is taken.
    """
    groups = frame.groupby(list(by), sort=False, as_index=False)
    of_value = {"mean": "mean", "min": "min", "max": "max", "sd": "std", "seeds": "count"}
    columns = {name: ("value", function) for name, function in of_value.items()}
    return groups.agg(**columns, **{name: (name, "first") for name in ("n", *first)})


def in_order(frame: pd.DataFrame, by: Sequence[str] = ("arm", "metric"), splits: Iterable[str] = ()) -> pd.DataFrame:
    """Rows by arm and scoring in the house order, and by `splits` in theirs; else as they come."""
    places = {name: place for place, name in enumerate((*HOUSE_ORDER, *splits))}
    return frame.sort_values(list(by), key=lambda column: column.map(places), kind="stable", ignore_index=True)


def interval_side(row: Mapping[str, float], value: float) -> str:
    """Where the interval of a row, from `low` to `high`, lies to a value: "above", "below" or "around" it."""
    return "above" if row["low"] > value else "below" if row["high"] < value else "around"


def predictions(recipe: Recipe, dataset: str, arm: str, variant: str, seed: int) -> list[Row]:
    """What the student of a run answered on the test split."""
    file = paths.run(recipe.name, dataset, arm, variant, seed) / "predictions.parquet"
    return [row for row in tables.read("predictions", file) if row["split"] == "test"]


def first_rationales(recipe: Recipe, dataset: str, variant: str = MAIN) -> dict[str, str]:
    """Question id → the teacher's first rationale, or ''."""
    rows = tables.read("rationales", paths.rationales(recipe.name, dataset, variant))
    return {row["question_id"]: row["rationale"] for row in rows if row["sample"] == 0}


def first_answers(recipe: Recipe, dataset: str) -> dict[str, dict[str, Row]]:
    """Arm → question id → prediction: what the first seed's students of the main variant answered on the test split."""
    return {
        arm: {row["question_id"]: row for row in predictions(recipe, dataset, arm, MAIN, recipe.seeds[0])}
        for arm in ordered(recipe.trained_arms(MAIN))
    }


def how_measured(recipe: Recipe) -> list[Row]:
    """Runs, seconds, machine and commit of each arm of the main variant, from the provenance of its runs."""
    by_arm: dict[str, list[Row]] = {}
    for run in recipe.runs():
        if run[2] == MAIN:
            by_arm.setdefault(run[1], []).extend(_run_records(paths.run(recipe.name, *run)))
    rows = []
    for arm, records in by_arm.items():
        if records:
            seconds = [[record.get(name, 0.0) for record in records] for name in ("seconds", "training_seconds")]
            median, training = (round(float(np.median(values)), 1) for values in seconds)
            machines = {f"{one['processor']}, {one['cores']} cores, {one['memory_gib']} GiB" for one in records}
            commits = {one["commit"][:10] + "+" * one["modified"] for one in records}
            row = {"arm": arm_name(arm), "notebook runs": len(records), "seconds each, median": median}
            row |= {"of them training": training, "threads": records[0]["settings"]["threads"]}
            row |= {"machine": "; ".join(sorted(machines))}
            row |= {"torch": ", ".join(sorted({one["packages"]["torch"] for one in records}))}
            rows.append(row | {"commit": ", ".join(sorted(commits))})
    return rows


def measured_summary(rows: Sequence[Row]) -> str:
    """On what the rows of `how_measured` were measured: what is the same for all is said once."""
    sentences = []
    for name, separator in (("machine", "; "), ("torch", ", "), ("commit", ", ")):
        distinct = dict.fromkeys(value for row in rows for value in row[name].split(separator))
        sentences.append(f"{name.capitalize()}: {' and '.join(distinct)}.")
    return " ".join(sentences) if rows else "Nothing was measured."


TRAINED_WITH = (
    "student", "learning_rate", "steps", "epochs", "batch_size", "train_size", "schedule", "warmup_ratio",
    "weight_decay", "dropout",
)  # fmt: skip


def trained_with(recipe: Recipe) -> list[Row]:
    """One row for each arm with a student: what it is trained with in the main variant."""
    return [
        {"arm": arm_name(arm)} | {key: getattr(recipe.settings(arm), key) for key in TRAINED_WITH}
        for arm in recipe.trained_arms(MAIN)
    ]


def costs(recipe: Recipe) -> list[Row]:
    """Minutes and greatest memory of each notebook's jobs, from the last run of each; [] without any."""
    by_notebook: dict[str, list[pd.Series]] = {}
    for file in sorted(paths.benchmarks(recipe.name).rglob("*.tsv")):
        notebook = file.relative_to(paths.benchmarks(recipe.name)).parts[0].removesuffix(".tsv")
        by_notebook.setdefault(notebook, []).append(pd.read_csv(file, sep="\t", na_values="-").iloc[-1])
    return [
        {
            "notebook": notebook,
            "jobs": len(jobs),
            "minutes, median": float(np.median([job["s"] for job in jobs])) / 60,
            "minutes in sum": float(np.sum([job["s"] for job in jobs])) / 60,
            "greatest memory, MiB": round(float(np.nanmax([0, *(job["max_rss"] for job in jobs)]))),
        }
        for notebook, jobs in by_notebook.items()
    ]
