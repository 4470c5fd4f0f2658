"""One notebook's part of a recipe: its settings, its paths, what it shows and saves, and the record that it leaves."""

import html
import os
import subprocess
import sys
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from scicot_utils import __version__, paths, tables
from scicot_utils import recipe as recipes
from scicot_utils.provenance.outside import InputError, identity, locate
from scicot_utils.provenance.records import commit, gpu, machine
from scicot_utils.recipe import Recipe, Scalar, Settings

ENGINE = "SCICOT_ENGINE"  # set by the pipeline: whatever a notebook needs has then been made before
SCOPE = ("recipe", "dataset", "arm", "variant", "seed")  # parameters that say which part of a recipe to run


@dataclass
class Study:
    """One notebook's part of a recipe: its settings, its paths, its record."""

    notebook: str
    reference: str  # the recipe's name, or its path when it lies outside notebooks/recipes
    recipe: Recipe
    settings: Settings
    dataset: str
    arm: str
    variant: str
    seed: int
    changed: dict[str, Scalar]
    unused: dict[str, Scalar] = field(default_factory=dict)  # values in the cell that the recipe outranks
    started: float = field(default_factory=time.time)
    commit: dict[str, Any] = field(default_factory=commit)  # of the code that runs, whatever comes after
    outputs: list[Path] = field(default_factory=list)  # what was saved

    @property
    def name(self) -> str:
        """The recipe's name."""
        return self.recipe.name

    def scope(self) -> dict[str, Scalar]:
        """The part of the recipe that is run: recipe, dataset, arm, variant, seed."""
        return {"recipe": self.name} | {key: getattr(self, key) for key in SCOPE[1:]}

    def questions(self) -> Path:
        return self.recipe.table("questions", self.dataset, self.variant)

    def completions(self) -> Path:
        return self.recipe.table("completions", self.dataset, self.variant)

    def rationales(self) -> Path:
        return self.recipe.table("rationales", self.dataset, self.variant)

    def student(self) -> list[Path]:
        """The folder of the student, where appendix notebook A1 makes it."""
        return paths.pretrained(self.name, self.settings.student)

    def weights(self) -> list[Path]:
        """The weight files of a shipped, made or fetched student; one from a seed has none, others are `elsewhere`."""
        folder = Path(paths.student(self.name, self.settings.student))
        return sorted(folder.glob("*.safetensors")) if folder.is_relative_to(paths.ROOT) else []

    def elsewhere(self) -> list[str]:
        """The student and tokenizer, as the recipe spells them, where they are of the hub or a folder of the user's."""
        names = (self.settings.student, self.settings.tokenizer)
        return [name for name in names if not (name.startswith("random/") or paths.pretrained(self.name, name))]

    def run(self) -> Path:
        """The folder of this run."""
        return paths.run(self.name, self.dataset, self.arm, self.variant, self.seed)

    def stage1(self) -> Path:
        """The folder of the rationale student that this run's answer student goes with; variants may share one."""
        return self.recipe.stage1(self.dataset, self.variant, self.seed)

    def _own(self, folder: Path) -> Path:
        """A folder of the recipe's results, or one inside it: values changed by hand never overwrite the recipe's."""
        return folder / self.variant if self.changed else folder

    def need(self, *inputs: Path) -> None:
        """Make sure that inputs exist: those that are missing are made by the pipeline, as it would make them."""
        missing = [path for path in inputs if not path.exists()]
        if not missing:
            return
        names = ", ".join(paths.relative(path) for path in missing)
        if os.environ.get(ENGINE) or any("=" in path.as_posix() for path in missing):
            raise InputError(
                f"{self.notebook}: missing {names}; run the notebook that writes it with the same parameters"
            )
        print(f"Making what is missing first: {names}", flush=True)
        command = [sys.executable, "-m", "scicot_utils", "run", self.reference, *map(paths.relative, missing)]
        done = subprocess.run(command, cwd=paths.ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        if done.returncode:
            failed = paths.OUTPUTS / self.name / "logs" / "failed.txt"
            reason = failed.read_text(encoding="utf-8") if failed.exists() else done.stdout[-300:]
            raise InputError(f"{self.notebook}: could not make {names}: {reason}")

    def show(self, dataset: str = "", /, **results: Any) -> None:
        """Display results in order, save them, and export each to the book's pages under its name.

        `dataset`: the benchmark of the results, if there are several. Pages get only those of the recipe's first one.
        A notebook that shows several names each.
        """
        # Imported here: the pipeline imports this module, shows nothing, and plots take seconds to load.
        from scicot_utils.report import style

        self.save(dataset, **results)
        if dataset and not self.dataset and len(self.recipe.distill) > 1:
            style.show(paste=False, of=style.Paragraph(f"{dataset}:"))
        style.show(paste=dataset in ("", self.recipe.distill[0]), **results)

    def save(self, dataset: str = "", /, **results: Any) -> None:
        """Save a table `name` as tables/NN_name.csv and a figure `name_figure` as figures/NN_name.svg.

        NN is the notebook's number. `dataset` is appended to the file names. The files are listed as outputs in the
        record. Results without a file format, such as paragraphs, are not saved.
        """
        for name, result in results.items():
            if ending := getattr(result, "ending", ""):
                folder = self._own((paths.figures if ending == "svg" else paths.tables)(self.name))
                parts = filter(None, (self.notebook.split("_")[0], name.removesuffix("_figure"), dataset))
                self.outputs.append(folder / f"{'_'.join(parts)}.{ending}")
                result.save(self.outputs[-1])

    def record(
        self,
        path: Path | None = None,
        *,
        inputs: Iterable[Path] = (),
        outputs: Iterable[Path] = (),
        outside: Iterable[str] = (),
        **more: Any,
    ) -> None:
        """Write `path`, a provenance.json: all that is needed to run this again, and the checksums to compare by.

        Without `path`, the record is written beside the notebook's tables. Its outputs are `outputs` and all saved
        results. `outside`: files and folders from elsewhere, as the recipe spells them, empty ones left out.
        """
        content = {
            "notebook": f"notebooks/{self.notebook}.ipynb",
            **self.scope(),
            "settings": self.settings.model_dump(),
            "inputs": {paths.relative(file): tables.digest(file) for file in inputs},
            "outputs": {paths.relative(file): tables.digest(file) for file in (*outputs, *self.outputs)},
            "outside": {name: identity(location) for name in outside if name and (location := locate(name))},
            "started": datetime.fromtimestamp(self.started, UTC).isoformat(timespec="seconds"),
            "seconds": round(time.time() - self.started, 1),
            "scicot_utils": __version__,
            **self.commit,
            **machine(),
            **gpu(),
            **more,
        }
        tables.write_json(path or self._own(paths.tables(self.name)) / f"{self.notebook}.provenance.json", content)

    def _repr_markdown_(self) -> str:
        """What the notebook shows after its parameters."""
        recipe, defaults = self.recipe, recipes.notebook_defaults(self.notebook)
        about, text = ("Plumbing run:", recipe.plumbing) if recipe.plumbing else (recipe.description, "")
        scope = [f"{key} `{value}`" for key, value in self.scope().items() if key in defaults and value != ""]
        parts = [f"**{html.escape(about)}** {html.escape(text)}".rstrip(), " · ".join(scope)]
        if self.changed:
            parts.append(f"Changed by hand, so written under a variant of its own: `{self.variant}`.")
        if self.unused:
            values = ", ".join(f"`{key} = {value!r}`" for key, value in self.unused.items())
            parts.append(
                f"**Not used**, since the cell shows defaults and the recipe says otherwise: {values}. "
                "To use such a value, give it with `papermill -p` or write it into a recipe."
            )
        rows = "".join(
            f"<tr><td>{key}</td><td>{html.escape(repr(value))}</td><td>{html.escape(origin)}</td></tr>"
            for key, value, origin in self.settings_used()
        )
        if rows:
            table = f"<table><tr><th>setting</th><th>value</th><th>from</th></tr>{rows}</table>"
            summary = "Settings that held, whatever the cell of parameters shows"
            parts.append(f"<details><summary>{summary}</summary>{table}</details>")
        return "\n\n".join(parts)

    def settings_used(self) -> list[tuple[str, Scalar, str]]:
        """(setting, value, where it comes from) of every setting that this notebook knows, in the order of its cell.

        It comes from a parameter changed by hand, else the variant, else what the recipe says for the arm, else the
        recipe, else the default. The name of a key's environment variable is not repeated.
        """
        recipe = self.recipe
        origins = dict.fromkeys(recipes.SECTION_OF, "default")  # each line outranks those above it
        origins |= {key: "recipe" for section in recipes.SECTIONS for key in getattr(recipe, section).model_fields_set}
        origins |= dict.fromkeys(recipe.arm_settings.get(self.arm, {}), f"recipe, for arm {self.arm}")
        for name in self.variant.split("+"):  # a part made by hand is none of the recipe's
            origins |= dict.fromkeys(recipe.variants.get(name, {}), f"variant {name}")
        origins |= dict.fromkeys(self.changed, "parameter")
        keys = [key for key in recipes.notebook_defaults(self.notebook) if key in recipes.SECTION_OF]
        return [(key, getattr(self.settings, key), origins[key]) for key in keys if key not in recipes.HIDDEN]
