"""Where things lie in the repository: the only module that builds a path. It reads and writes nothing."""

from __future__ import annotations

import os
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "scicot_utils"
MICROSCI = PACKAGE / "data" / "microsci"  # the embedded world's facts, one row a fact
EXPLORER = PACKAGE / "data" / "explorer"  # its script and style
PUBLISHED = PACKAGE / "data" / "published"  # figures of the papers and of others, each file with its sources
NOTEBOOKS = ROOT / "notebooks"
RECIPES = NOTEBOOKS / "recipes"
PROFILES = NOTEBOOKS / "profiles"
BOOK = ROOT / "book"
OUTPUTS = ROOT / "outputs"
REFERENCE = OUTPUTS / "reference"  # the few small results that are committed
MICRO_STUDENT = REFERENCE / "micro_student"  # the shipped checkpoint of the embedded student
CEILING = REFERENCE / "micro_ceiling" / "metrics.csv"  # what recipe micro_ceiling came to
DATASET_CARD = BOOK / "dataset_card.md"
CITATION = ROOT / "CITATION.cff"
PROJECT = ROOT / "pyproject.toml"  # with the layers that import-linter enforces
CACHE = OUTPUTS / "cache"  # teacher responses, shared by all recipes
PRETRAINED = re.compile(r"(micro|micro-small|micro-large)/seed(\d+)")  # a student's name: architecture, seed
FETCHED = ("smollm2-135m",)  # students that the package registry carries, see students.fetching


def relative(path: Path | str) -> str:
    """`path` as seen from the repository's root, for messages and records; unchanged when it lies elsewhere."""
    path = Path(path)
    return path.relative_to(ROOT).as_posix() if path.is_relative_to(ROOT) else str(path)


def have_a_home() -> None:
    """Where HOME names no folder that can be written to, as in some containers, one among the outputs stands in for it:
    Snakemake, Jupyter and matplotlib keep small files there."""
    home = Path(os.environ.get("HOME") or "/")
    if not home.is_dir() or not os.access(home, os.W_OK):
        own = CACHE / "home"
        own.mkdir(parents=True, exist_ok=True)
        os.environ["HOME"] = str(own)


def expand(path: str) -> Path:
    """A path written in a recipe: `~` and environment variables expanded, else relative to the repository."""
    return ROOT / Path(os.path.expandvars(path)).expanduser()


def source(name: str) -> str:
    """A model or tokenizer written in a recipe: a local folder or GGUF file as its path, anything else (a hub name) unchanged."""
    if name == "micro":
        return str(MICRO_STUDENT)
    if name in FETCHED:
        return str(fetched(name))
    here = name and (expand(name).is_dir() or (name.endswith(".gguf") and expand(name).is_file()))
    return str(expand(name)) if "$" in name or name.startswith("~") or here else name


def record(recipe: str) -> Path:
    """What a recipe came to when it was run for this repository: metrics.csv, tables/, provenance.json, README.md."""
    return REFERENCE / recipe


def student_record(recipe: str, student: str) -> Path:
    """What is shipped of a student that was pretrained for a recipe: knowledge.csv, skills.csv, provenance.json."""
    return record(recipe) / "students" / student.replace("/", "_")


def teacher_cache(recipe: str) -> Path:
    return CACHE / f"{recipe}.sqlite"


def forgotten(recipe: str) -> Path:
    """The record of what was deleted from a cache on purpose: it makes the tables made from it outdated."""
    return CACHE / f"{recipe}.forgotten"


def executed(recipe: str) -> Path:
    """Where the pipeline puts the notebooks that it has run."""
    return OUTPUTS / recipe / "notebooks"


def benchmarks(recipe: str) -> Path:
    """Where the pipeline writes the seconds and memory of every job: a folder or a file a notebook."""
    return OUTPUTS / recipe / "benchmarks"


def site(recipe: str) -> Path:
    """The built book."""
    return OUTPUTS / recipe / "site"


def questions(recipe: str, dataset: str, variant: str) -> Path:
    return OUTPUTS / recipe / "questions" / dataset / f"{variant}.parquet"


def completions(recipe: str, dataset: str, variant: str) -> Path:
    return OUTPUTS / recipe / "completions" / dataset / f"{variant}.parquet"


def rationales(recipe: str, dataset: str, variant: str) -> Path:
    return OUTPUTS / recipe / "rationales" / dataset / f"{variant}.parquet"


def hub(recipe: str, dataset: str, variant: str) -> Path:
    """A generated benchmark as an ordinary folder of the hub, for `datasets.load_dataset`."""
    folder = OUTPUTS / recipe / "hub"
    return folder / dataset if variant == "main" else folder / variant / dataset


def run(recipe: str, dataset: str, arm: str, variant: str, seed: int) -> Path:
    """The folder of one run: predictions.parquet, metrics.json, provenance.json, stage1/, model/."""
    return OUTPUTS / recipe / "runs" / dataset / arm / variant / f"seed{seed}"


def pretraining(recipe: str, architecture: str, seed: int | str, variant: str = "main") -> Path:
    """What appendix notebook A1 makes."""
    return OUTPUTS / recipe / "pretraining" / variant / architecture / f"seed{seed}"


def pretrained(recipe: str, student: str) -> list[Path]:
    """The folder of a student that the pipeline makes first: one that a recipe calls `micro-small/seed0`, by A1 for this
    recipe, or a fetched one, for all recipes; none for other students.
    """
    if student in FETCHED:
        return [fetched(student)]
    named = PRETRAINED.fullmatch(student)
    return [pretraining(recipe, named[1], int(named[2])) / "model"] if named else []


def fetched(student: str) -> Path:
    """A student that was fetched from the package registry, for all recipes."""
    return CACHE / "students" / student


def student(recipe: str, name: str) -> str:
    """Where the student lies that a recipe calls so: a folder, or `name` as it is (of the hub, or from a seed)."""
    made = pretrained(recipe, name)
    return str(made[0]) if made else source(name)


def metrics(recipe: str) -> Path:
    return OUTPUTS / recipe / "metrics.csv"


def figures(recipe: str) -> Path:
    return OUTPUTS / recipe / "figures"


def tables(recipe: str) -> Path:
    return OUTPUTS / recipe / "tables"


def notebook(name: str) -> Path:
    return NOTEBOOKS / f"{name}.ipynb"
