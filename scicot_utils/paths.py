"""Locations of the repository's files and folders. Only this module builds paths. No file is read or written here."""

import os
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "scicot_utils"
MICROSCI = PACKAGE / "data" / "microsci"  # the embedded world's facts, one row per fact
EXPLORER = PACKAGE / "data" / "explorer"  # script and style of the explorer
PUBLISHED = PACKAGE / "data" / "published"  # numbers from the papers and from others; each file names its sources
NOTEBOOKS = ROOT / "notebooks"
RECIPES = NOTEBOOKS / "recipes"
PROFILES = NOTEBOOKS / "profiles"
BOOK = ROOT / "book"
OUTPUTS = ROOT / "outputs"
REFERENCE = OUTPUTS / "reference"  # the few small results that are committed
MICRO_STUDENT = REFERENCE / "micro_student"  # the shipped checkpoint of the embedded student
CEILING = REFERENCE / "micro_ceiling" / "metrics.csv"  # results of recipe micro_ceiling
DATASET_CARD = BOOK / "dataset_card.md"
CITATION = ROOT / "CITATION.cff"
PROJECT = ROOT / "pyproject.toml"  # with the layers that import-linter enforces
CACHE = OUTPUTS / "cache"  # teacher responses, shared by all recipes
PRETRAINED = re.compile(r"(micro|micro-small|micro-large)/seed(\d+)")  # a student's name: architecture, seed
FETCHED = ("smollm2-135m",)  # students from the package registry, see students.fetching


def relative(path: Path | str) -> str:
    """`path` relative to the repository's root, for messages and records; unchanged if it lies elsewhere."""
    path = Path(path)
    return path.relative_to(ROOT).as_posix() if path.is_relative_to(ROOT) else str(path)


def have_a_home() -> None:
    """If HOME is no writable folder, as in some containers, set it to a folder in the cache of outputs/. Snakemake,
    Jupyter and matplotlib keep small files there.
    """
    home = Path(os.environ.get("HOME") or "/")
    if not home.is_dir() or not os.access(home, os.W_OK):
        home = CACHE / "home"
        home.mkdir(parents=True, exist_ok=True)
        os.environ["HOME"] = str(home)


def expand(path: str) -> Path:
    """A path written in a recipe, with `~` and environment variables expanded. Relative ones start at ROOT."""
    return ROOT / Path(os.path.expandvars(path)).expanduser()


def source(name: str) -> str:
    """A model or tokenizer of a recipe: a local folder or GGUF file as its path; any other (hub) name as it is."""
    if name == "micro":
        return str(MICRO_STUDENT)
    if name in FETCHED:
        return str(fetched(name))
    path = expand(name)
    is_local = name and (path.is_dir() or (name.endswith(".gguf") and path.is_file()))
    return str(path) if "$" in name or name.startswith("~") or is_local else name


def record(recipe: str) -> Path:
    """Folder of a recipe's committed results: metrics.csv, tables/, provenance.json, README.md."""
    return REFERENCE / recipe


def student_record(recipe: str, student: str) -> Path:
    """Folder of the committed results of a pretrained student: knowledge.csv, skills.csv, provenance.json."""
    return record(recipe) / "students" / student.replace("/", "_")


def teacher_cache(recipe: str) -> Path:
    """SQLite file with the teacher's responses for a recipe."""
    return CACHE / f"{recipe}.sqlite"


def forgotten(recipe: str) -> Path:
    """Log of deliberate deletions from a recipe's cache. A new entry makes the tables built from the cache outdated."""
    return CACHE / f"{recipe}.forgotten"


def benchmarks(recipe: str) -> Path:
    """Folder of the run time and memory of every job: one folder or file per notebook."""
    return OUTPUTS / recipe / "benchmarks"


def site(recipe: str) -> Path:
    return OUTPUTS / recipe / "site"


def questions(recipe: str, dataset: str, variant: str) -> Path:
    return OUTPUTS / recipe / "questions" / dataset / f"{variant}.parquet"


def completions(recipe: str, dataset: str, variant: str) -> Path:
    return OUTPUTS / recipe / "completions" / dataset / f"{variant}.parquet"


def rationales(recipe: str, dataset: str, variant: str) -> Path:
    return OUTPUTS / recipe / "rationales" / dataset / f"{variant}.parquet"


def hub(recipe: str, dataset: str, variant: str) -> Path:
    """Folder of a generated benchmark in the hub's layout, for `datasets.load_dataset`."""
    folder = OUTPUTS / recipe / "hub"
    return folder / dataset if variant == "main" else folder / variant / dataset


def run(recipe: str, dataset: str, arm: str, variant: str, seed: int) -> Path:
    """The folder of one run: predictions.parquet, metrics.json, provenance.json, stage1/, model/."""
    return OUTPUTS / recipe / "runs" / dataset / arm / variant / f"seed{seed}"


def pretraining(recipe: str, architecture: str, seed: int | str, variant: str = "main") -> Path:
    """Output folder of appendix notebook A1 for one architecture and seed."""
    return OUTPUTS / recipe / "pretraining" / variant / architecture / f"seed{seed}"


def pretrained(recipe: str, student: str) -> list[Path]:
    """Folder of a student that the pipeline must make first, as a list of one; [] for other students.

    Notebook A1 makes `micro-small/seed0` and the like for each recipe. A fetched student is made once for all recipes.
    """
    if student in FETCHED:
        return [fetched(student)]
    match = PRETRAINED.fullmatch(student)
    return [pretraining(recipe, match[1], int(match[2])) / "model"] if match else []


def fetched(student: str) -> Path:
    """Folder of a student from the package registry, shared by all recipes."""
    return CACHE / "students" / student


def student(recipe: str, name: str) -> str:
    """What to load for the student that a recipe calls `name`: a folder, or `name` (of the hub, or random weights)."""
    folders = pretrained(recipe, name)
    return str(folders[0]) if folders else source(name)


def metrics(recipe: str) -> Path:
    return OUTPUTS / recipe / "metrics.csv"


def figures(recipe: str) -> Path:
    return OUTPUTS / recipe / "figures"


def tables(recipe: str) -> Path:
    return OUTPUTS / recipe / "tables"


def notebook(name: str) -> Path:
    return NOTEBOOKS / f"{name}.ipynb"
