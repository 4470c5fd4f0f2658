"""What ran, where and with what: how every notebook opens, and the record that it leaves beside its outputs.

`begin` turns a notebook's parameters into validated settings and places; `Study.record` writes provenance.json.
"""

from __future__ import annotations

import ast
import atexit
import functools
import gc
import html
import importlib.metadata
import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil

from scicot_utils import ScicotError, __version__, hub, paths, tables
from scicot_utils import recipe as recipes
from scicot_utils.recipe import MAIN, Recipe, RecipeError, Scalar, Settings

if TYPE_CHECKING:
    import grimp

ENGINE = "SCICOT_ENGINE"  # set by the pipeline: whatever a notebook needs has then been made before
WHICH = ("recipe", "dataset", "arm", "variant", "seed")  # parameters that say which part of a recipe to run
PLACED = ("architecture", *recipes.REACHED_BY)  # with a folder of its own, or without effect: never changed by hand
PACKAGES = (
    "torch",
    "transformers",
    "datasets",
    "tokenizers",
    "accelerate",
    "openai",
    "numpy",
    "scipy",
    "pyarrow",
    "snakemake",
    "papermill",
)


class InputError(ScicotError):
    """An input that is not there and cannot be made."""


@dataclass
class Study:
    """One notebook's part of a recipe: its settings, its places, its record."""

    notebook: str
    reference: str  # the recipe's name, or its path when it lies outside notebooks/recipes
    recipe: Recipe
    settings: Settings
    dataset: str
    arm: str
    variant: str
    seed: int
    changed: dict[str, Scalar]
    unused: dict[str, Scalar] = field(default_factory=dict)  # what the cell shows, of a default that did not hold
    started: float = field(default_factory=time.time)
    commit: dict[str, Any] = field(default_factory=lambda: commit())  # of the code that runs, whatever comes after
    outputs: list[Path] = field(default_factory=list)  # what was saved

    @property
    def name(self) -> str:
        return self.recipe.name

    def questions(self) -> Path:
        return paths.questions(self.name, self.dataset, self.recipe.variant_at("questions", self.variant))

    def completions(self) -> Path:
        """Beside the rationales that are read from them: a variant that changes the filter alone has both of its own."""
        return paths.completions(self.name, self.dataset, self.recipe.variant_at("rationales", self.variant))

    def rationales(self) -> Path:
        return paths.rationales(self.name, self.dataset, self.recipe.variant_at("rationales", self.variant))

    def student(self) -> list[Path]:
        """The folder of the student, where appendix notebook A1 makes it."""
        return paths.pretrained(self.name, self.settings.student)

    def weights(self) -> list[Path]:
        """The weight files of a shipped, made or fetched student; one from a seed has none, others are `elsewhere`."""
        place = Path(paths.student(self.name, self.settings.student))
        return sorted(place.glob("*.safetensors")) if place.is_relative_to(paths.ROOT) else []

    def elsewhere(self) -> list[str]:
        """The student and tokenizer, as the recipe spells them, where they are of the hub or a folder of the user's."""
        named = (self.settings.student, self.settings.tokenizer)
        return [name for name in named if not (name.startswith("random/") or paths.pretrained(self.name, name))]

    def run(self) -> Path:
        """The folder of this run."""
        return paths.run(self.name, self.dataset, self.arm, self.variant, self.seed)

    def stage1(self) -> Path:
        """The folder of the rationale student that this run's answer student goes with; variants may share one."""
        variant = self.recipe.variant_at("stage1", self.variant)
        return paths.run(self.name, self.dataset, self.arm, variant, self.seed) / "stage1"

    def tables(self) -> Path:
        """Where this notebook's tables go: values changed by hand never overwrite the recipe's."""
        return paths.tables(self.name) / self.variant if self.changed else paths.tables(self.name)

    def figures(self) -> Path:
        """As `tables`."""
        return paths.figures(self.name) / self.variant if self.changed else paths.figures(self.name)

    def need(self, *inputs: Path) -> None:
        """Make sure that inputs exist: those that are missing are made by the pipeline, as it would make them."""
        missing = [path for path in inputs if not path.exists()]
        if not missing:
            return
        shown = ", ".join(paths.relative(path) for path in missing)
        if os.environ.get(ENGINE) or any("=" in path.as_posix() for path in missing):
            raise InputError(
                f"{self.notebook}: missing {shown}; run the notebook that writes it with the same parameters"
            )
        print(f"Making what is missing first: {shown}", flush=True)
        command = [sys.executable, "-m", "scicot_utils", "run", self.reference, *map(paths.relative, missing)]
        done = subprocess.run(command, cwd=paths.ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        if done.returncode:
            failed = paths.OUTPUTS / self.name / "logs" / "failed.txt"
            told = failed.read_text(encoding="utf-8") if failed.exists() else done.stdout[-300:]
            raise InputError(f"{self.notebook}: could not make {shown}: {' '.join(told.split())}")

    def show(self, dataset: str = "", /, **named: Any) -> None:
        """Display results in order, save them, and export each to the book's pages under its name.

        `dataset`: the benchmark of the results, if there are several. Pages get only those of the recipe's first one.
        """
        # Imported here: the pipeline imports this module, shows nothing, and plots take seconds to load.
        from scicot_utils.report import style

        self.save(dataset, **named)
        style.show(paste=dataset in ("", self.recipe.distill[0]), **named)

    def save(self, dataset: str = "", /, **named: Any) -> None:
        """Save a table `name` as tables/NN_name.csv and a figure `name_figure` as figures/NN_name.svg.

        NN is the notebook's number. `dataset` is appended to the file names. The files are listed as outputs in the
        record. Results without a file format, such as paragraphs, are not saved.
        """
        for name, result in named.items():
            if ending := getattr(result, "ending", ""):
                folder = self.figures() if ending == "svg" else self.tables()
                parts = [self.notebook.split("_")[0], name.removesuffix("_figure"), *filter(None, [dataset])]
                self.outputs.append(folder / f"{'_'.join(parts)}.{ending}")
                result.save(self.outputs[-1])

    def record(
        self,
        place: Path | None = None,
        *,
        inputs: Iterable[Path] = (),
        outputs: Iterable[Path] = (),
        outside: Iterable[str] = (),
        **more: Any,
    ) -> None:
        """Write `place`, a provenance.json: all that is needed to run this again, and the checksums to compare by.

        Without `place`, the record is written beside the notebook's tables. Its outputs are `outputs` and all saved
        results. `outside`: files and folders from elsewhere, as the recipe spells them, empty ones left out.
        """
        content = {
            "notebook": f"notebooks/{self.notebook}.ipynb",
            "recipe": self.name,
            "dataset": self.dataset,
            "arm": self.arm,
            "variant": self.variant,
            "seed": self.seed,
            "settings": self.settings.model_dump(),
            "inputs": {paths.relative(path): tables.digest(path) for path in inputs},
            "outputs": {paths.relative(path): tables.digest(path) for path in (*outputs, *self.outputs)},
            "outside": {name: _identity(found) for name in outside if name and (found := _place(name))},
            "started": datetime.fromtimestamp(self.started, UTC).isoformat(timespec="seconds"),
            "seconds": round(time.time() - self.started, 1),
            "scicot_utils": __version__,
            **self.commit,
            **machine(),
            **more,
        }
        tables.write_json(place or self.tables() / f"{self.notebook}.provenance.json", content)

    def _repr_markdown_(self) -> str:
        """What the notebook shows after its parameters."""
        rows = {
            "recipe": self.name,
            "dataset": self.dataset,
            "arm": self.arm,
            "variant": self.variant,
            "seed": self.seed,
        }
        used = recipes.notebook_defaults(self.notebook)
        lines = (
            [f"**{html.escape(self.recipe.description)}**"]
            if not self.recipe.plumbing
            else [f"**Plumbing run:** {html.escape(self.recipe.plumbing)}"]
        )
        shown = " · ".join(f"{key} `{value}`" for key, value in rows.items() if key in used and value != "")
        if self.changed:
            shown += f"\n\nChanged by hand, so written under a variant of its own: `{self.variant}`."
        if self.unused:
            given = ", ".join(f"`{key} = {value!r}`" for key, value in self.unused.items())
            shown += f"\n\n**Not used**, since the cell shows defaults and the recipe says otherwise: {given}. "
            shown += "To use such a value, give it with `papermill -p` or write it into a recipe."
        cells = "".join(
            f"<tr><td>{key}</td><td>{html.escape(repr(value))}</td><td>{html.escape(origin)}</td></tr>"
            for key, value, origin in self.held()
        )
        told = "Settings that held, whatever the cell of parameters shows"
        table = f"<table><tr><th>setting</th><th>value</th><th>from</th></tr>{cells}</table>"
        folded = [f"<details><summary>{told}</summary>{table}</details>"] if cells else []
        return "\n\n".join([*lines, shown, *folded])

    def held(self) -> list[tuple[str, Scalar, str]]:
        """(setting, value, where it comes from) of every setting that this notebook knows, in the order of its cell.

        It comes from a parameter changed by hand, else the variant, else what the recipe says for the arm, else the
        recipe, else the default. The name of a key's environment variable is not repeated.
        """
        planned = self.recipe
        varied = {
            key: name
            for name in self.variant.split("+")
            for key in planned.variants.get(name, {})  # a part made by hand is none of the recipe's
        }
        own = {key for section in recipes.SECTIONS for key in getattr(planned, section).model_fields_set}
        found = []
        for key in recipes.notebook_defaults(self.notebook):
            if key not in recipes.SECTION_OF or key in recipes.HIDDEN:
                continue
            if key in self.changed:
                origin = "parameter"
            elif key in varied:
                origin = f"variant {varied[key]}"
            elif key in planned.arm_settings.get(self.arm, {}):
                origin = f"recipe, for arm {self.arm}"
            else:
                origin = "recipe" if key in own else "default"
            found.append((key, getattr(self.settings, key), origin))
        return found


def begin(notebook: str, namespace: Mapping[str, Any], arm: str = "", stage: str = "") -> Study:
    """Open a notebook: check its parameters, and say where its tables lie. `arm`: for a notebook with only one; `stage`:
    for one that makes what variants share, see `Recipe.variant_at`.

    A parameter counts when papermill injected it or when the cell's default was edited; all others take the recipe's
    values. Values that differ from the recipe's are run under a variant named after them, so that no table of the
    recipe is touched. Raises RecipeError, one line, for a name or a value that cannot be.
    """
    _spare_the_collector()
    paths.have_a_home()
    defaults = recipes.notebook_defaults(notebook)
    standard = recipes.load(recipes.DEFAULT).flat()
    given = {}
    for name in _assigned_in_parameter_cells(namespace, defaults):
        if name not in defaults:
            raise RecipeError(f"{notebook}: {recipes.unknown(name, defaults)}")
    for name in defaults:
        if name not in namespace:
            raise RecipeError(f"{notebook}: parameter '{name}' is missing; run the cell of parameters first")
        if name in WHICH or name in _injected(namespace) or namespace[name] != standard.get(name):
            given[name] = namespace[name]
    reference = str(given.get("recipe", recipes.DEFAULT))
    recipe = recipes.load(reference)
    dataset, arm = str(given.get("dataset", "")), str(given.get("arm", arm))
    variant, seed = str(given.get("variant", MAIN)), given.get("seed", recipe.seeds[0])
    if dataset == defaults.get("dataset") and "dataset" not in _injected(namespace) and dataset not in recipe.distill:
        dataset = recipe.distill[0]  # the default cell names the default recipe's
    if "dataset" in defaults and dataset not in recipe.datasets:
        raise RecipeError(f"{notebook}: dataset: found '{dataset}', allowed: {', '.join(recipe.datasets)}")
    single = [name for name in recipes.ARMS if name != "two_stage"]
    if "arm" in defaults and arm not in single:
        raise RecipeError(
            f"{notebook}: arm: found '{arm}', allowed: {', '.join(single)}; two_stage has notebooks 04, 05"
        )
    if type(seed) is not int or not 0 <= seed < 2**32:
        raise RecipeError(f"{notebook}: seed: found {seed!r}, allowed: a whole number from 0 to 2**32 - 1")
    values = {key: value for key, value in given.items() if key not in WHICH}
    recipe.settings(arm, variant)  # an unknown variant is refused under its own name
    variant = recipe.variant_at(stage, variant) if stage else variant
    planned = recipe.settings(arm, variant)
    settings = recipes.checked(values, notebook, base=planned.model_dump())
    changed = {key: value for key, value in values.items() if key not in PLACED and value != getattr(planned, key)}
    variant = recipes.ad_hoc(variant, changed)
    held = settings.model_dump()
    shown = [key for key in defaults if key in held and key not in recipes.HIDDEN and key not in given]
    unused = {key: namespace[key] for key in shown if namespace[key] != held[key]}
    return Study(notebook, reference, recipe, settings, dataset, arm, variant, seed, changed, unused)


def _injected(namespace: Mapping[str, Any]) -> set[str]:
    """Names that papermill assigned: its cell starts with the line `# Parameters`."""
    cells = [source for source in namespace.get("In", []) if source.startswith("# Parameters\n")]
    return {name for source in cells for name in recipes.assigned(source)}


def _assigned_in_parameter_cells(namespace: Mapping[str, Any], defaults: Mapping[str, Any]) -> set[str]:
    """Names assigned by papermill, or in the last run of a cell that assigns most of the notebook's own parameters."""
    edited: set[str] = set()
    for source in namespace.get("In", []):
        try:
            found = recipes.assigned(source) if "recipe" in source and "=" in source else {}
        except SyntaxError:
            continue  # a cell that did not run
        if len(found.keys() & defaults.keys()) > len(defaults) / 2:
            edited = set(found)
    return edited | _injected(namespace)


def sources(recipe: Recipe) -> list[dict[str, str]]:
    """What a recipe reads from outside the package, by content: {key, named, size, sha256}, each once, with the commit of
    what the hub holds. What was not fetched has neither size nor hash."""
    rows = []
    for key, named in _outside(recipe):
        row = {"key": key, "named": named, "size": "not here before it is fetched", "sha256": "–"}
        if place := _place(named):
            found = _identity(place)
            of_hub = f", commit {found['commit'][:12]}" if "commit" in found else ""
            row |= {"size": f"{found['bytes'] / 2**20:,.2f} MiB{of_hub}", "sha256": found["sha256"]}
        rows.append(row)
    return rows


def _identity(place: Path) -> dict[str, Any]:
    """{sha256, bytes} of a file or folder, and the commit of what the hub holds."""
    commit = hub.commit(place)
    return {"sha256": tables.digest(place), "bytes": tables.size(place)} | ({"commit": commit} if commit else {})


def fetch(recipe: Recipe) -> None:
    """Get what a recipe names on the hub and is not here yet, before any work. Raises InputError, one line."""
    for key, named in _outside(recipe):
        if key != "teacher_path" and not (_place(named) or paths.pretrained(recipe.name, named)):
            print(f"{key}: fetching {named} from the hub", flush=True)
            try:
                hub.folder(named)
            except (OSError, ValueError) as error:
                reason = " ".join(str(error).split())[:200]
                raise InputError(
                    f"{key}: '{named}' could not be fetched from the hub ({reason}); try again where the hub is reached, "
                    "or name a local folder"
                ) from None


def _outside(recipe: Recipe) -> list[tuple[str, str]]:
    """(key, name) of all that a recipe reads from outside the package, each once."""
    found = benchmarks(recipe)
    for arm, variant in dict.fromkeys((arm, variant) for _, arm, variant, _ in recipe.runs()):
        settings = recipe.settings(arm, variant)
        if settings.teacher == "local":
            found.append(("teacher_model", settings.teacher_model))
        for key in ("teacher_path", "student", "tokenizer"):
            named = getattr(settings, key)
            if key == "teacher_path" or not (named == "micro" or named.startswith(("random/", "micro"))):
                found.append((key, named))
    return [(key, name) for key, name in dict.fromkeys(found) if name]


def benchmarks(recipe: Recipe) -> list[tuple[str, str]]:
    """(key, name) of the files, folders and data sets of the hub from which a recipe takes the benchmarks not made here."""
    from scicot_utils import tasks  # here, since most notebooks need none

    if place := recipe.questions.dataset_path:
        found = [("dataset_path", place)]
    else:
        of_hub = (tasks.task(name).hub for name in recipe.datasets)
        found = [("datasets", f"{hub.BENCHMARK}{name}") for name in of_hub if name]
    return list(dict.fromkeys(found)) + [(f"own.{name}.path", one.path) for name, one in recipe.own.items()]


def content(names: Iterable[str]) -> str:
    """One digest a name, of what lies there now; nothing for what is not here."""
    return " ".join(tables.digest(place) for name in filter(None, names) if (place := _place(name)))


def _place(named: str) -> Path | None:
    """Where that lies which a recipe names: a file, a folder, a fetched student, or what was fetched from the hub, of
    which a benchmark is called `datasets/org/name`; None where it is not here."""
    place = paths.expand(paths.source(named))
    if place.exists() and not named.startswith(hub.BENCHMARK):
        return place
    return hub.here(named)


def _spare_the_collector() -> None:
    """For the process of one notebook: what it imports lives to its end. Gone over by every small collection, and once
    more at the end, half a million such objects (torch, transformers) add two seconds to each notebook.
    """
    gc.set_threshold(100_000, 50, 100)
    atexit.register(gc.freeze)


def code(notebook: str) -> list[str]:
    """The package's files that a notebook runs, directly or through others, seen from the repository's root.

    The pipeline takes them as inputs: a changed module reruns the notebooks that use it, and no others. A module of a
    package that is named, as in `from scicot_utils.report import style`, counts alone.
    """
    content = json.loads(paths.notebook(notebook).read_text(encoding="utf-8"))
    graph = _imports()
    named = {paths.PACKAGE.name}
    for node in (node for cell in content["cells"] if cell["cell_type"] == "code" for node in _parsed(cell)):
        if isinstance(node, ast.ImportFrom):
            inside = {f"{node.module}.{alias.name}" for alias in node.names}
            named |= (inside & graph.modules) or {node.module or ""}
        elif isinstance(node, ast.Import):
            named |= {alias.name for alias in node.names}
    return modules(*(named & graph.modules))


def modules(*names: str) -> list[str]:
    """The files of some modules of the package, and of all that they import from it."""
    found = {*names}.union(*map(_imports().find_upstream_modules, names))
    return sorted(paths.relative(_file(module)) for module in found)


def _parsed(cell: dict[str, Any]) -> Iterator[ast.AST]:
    return ast.walk(ast.parse("".join(cell["source"])))


@functools.cache
def _imports() -> grimp.ImportGraph:
    import grimp  # only the pipeline asks

    return grimp.build_graph(paths.PACKAGE.name, cache_dir=None)


def _file(module: str) -> Path:
    place = paths.ROOT.joinpath(*module.split("."))
    return place / "__init__.py" if place.is_dir() else place.with_suffix(".py")


def machine() -> dict[str, Any]:
    """The machine and the versions; no host name, no user name."""
    return {
        "platform": f"{platform.system()} {platform.machine()}",
        "processor": _processor(),
        "cores": psutil.cpu_count() or 1,
        "memory_gib": round(psutil.virtual_memory().total / 2**30, 1),
        "python": platform.python_version(),
        "packages": {name: importlib.metadata.version(name) for name in PACKAGES},
    }


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        return next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or "unknown"


def commit() -> dict[str, Any]:
    """The commit of the repository and whether the work tree differs from it; 'unknown' outside a checkout.

    Shipped records are no part of that: they are what runs came to, and change when one is kept.
    """
    try:
        asked = {"cwd": paths.ROOT, "capture_output": True, "text": True, "check": True}
        top, head = subprocess.run(["git", "rev-parse", "--show-toplevel", "HEAD"], **asked).stdout.strip().split("\n")
        if Path(top).resolve() != paths.ROOT:  # a copy without a history of its own, inside another repository
            return {"commit": "unknown", "modified": False}
        changes = subprocess.run(
            ["git", "status", "--porcelain", "--", ".", f":!{paths.relative(paths.REFERENCE)}"], **asked
        ).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return {"commit": "unknown", "modified": False}
    return {"commit": head, "modified": bool(changes)}
