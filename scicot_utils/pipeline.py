"""Functions for the Snakefile: the files that a recipe's notebooks read, their parameters and their cores.

Many are functions of wildcards, as Snakemake's input functions are. The flow, which rule follows which, is in the Snakefile.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scicot_utils import hub, paths, provenance
from scicot_utils import recipe as recipes
from scicot_utils.recipe import MAIN, Recipe

Wildcards = Any  # Snakemake's, with an attribute for each; those that a rule has
SHIPPED = [paths.relative(paths.MICRO_STUDENT / name) for name in ("model.safetensors", "tokenizer.json")]


def code(notebook: str) -> dict[str, Any]:
    """The inputs that every notebook's rule has: the notebook, and the modules that it uses."""
    return {"notebook": f"notebooks/{notebook}.ipynb", "code": provenance.code(notebook)}


def files(*folders: Path) -> list[str]:
    """Every file in these folders and below, except compiled Python."""
    found = (path for folder in folders for path in folder.rglob("*") if path.is_file() and path.suffix != ".pyc")
    return sorted(map(paths.relative, found))


def records(*names: str) -> list[str]:
    """The files of these recipes' shipped records, and the recipes themselves."""
    found = files(*map(paths.record, names))
    return [*found, *(paths.relative(paths.RECIPES / f"{name}.yaml") for name in names)]


@dataclass(frozen=True)
class Pipeline:
    """What the rules need of one recipe. `reference`: its name, or its path if it is outside notebooks/recipes."""

    reference: str
    recipe: Recipe

    @property
    def out(self) -> str:
        """The folder of the recipe's outputs."""
        return paths.relative(paths.OUTPUTS / self.recipe.name)

    @property
    def benchmarks(self) -> str:
        """Digests of the benchmarks read from outside. A changed file of the same name reruns what reads it."""
        return provenance.content(name for _, name in provenance.benchmarks(self.recipe))

    def folder(self, run: tuple[str, str, str, int]) -> str:
        """The folder of a run: (dataset, arm, variant, seed)."""
        return paths.relative(paths.run(self.recipe.name, *run))

    def given(self, notebook: str, **which: str) -> dict[str, Any]:
        """The `params` that every notebook's rule has; a changed one reruns it. `which`: the part of the recipe that it runs,
        as patterns of wildcards."""

        def settings(wildcards: Wildcards) -> str:
            filled: dict[str, Any] = {key: value.format(**wildcards) for key, value in which.items()}
            filled |= {"seed": int(filled["seed"])} if "seed" in filled else {}
            name = notebook.format(**wildcards)
            return recipes.as_yaml(recipes.parameters(self.recipe, name, recipe=self.reference, **filled))

        about = self.recipe.description + self.recipe.plumbing  # shown at the top of every notebook
        return {"failed": f"{self.out}/logs/failed.txt", "about": about, "settings": settings}

    def table(self, kind: str, stage: str) -> Callable[[Wildcards], str]:
        """The table that a variant reads: its own if it changes that stage, else the main variant's."""

        def of(wildcards: Wildcards) -> str:
            variant = self.recipe.variant_at(stage, wildcards.get("variant", MAIN))
            return paths.relative(getattr(paths, kind)(self.recipe.name, wildcards.dataset, variant))

        return of

    def stage1(self, name: str) -> Callable[[Wildcards], str]:
        """An output of stage 1. Variants that change only stage 2 share the main variant's."""

        def of(wildcards: Wildcards) -> str:
            variant = self.recipe.variant_at("stage1", wildcards.variant)
            return f"{self.folder((wildcards.dataset, 'two_stage', variant, wildcards.seed))}/stage1/{name}"

        return of

    def student(self, wildcards: Wildcards) -> list[str]:
        """The files of the student that a run starts from, or the folder of one that another rule makes. [] for random
        weights."""
        variant = wildcards.get("variant", MAIN)
        named = self.recipe.settings(wildcards.get("arm", "two_stage"), variant).student
        if named == "micro":
            return SHIPPED
        if made := paths.pretrained(self.recipe.name, named):
            return [paths.relative(place) for place in made]
        place: Path | None = Path(paths.source(named))
        if not place.exists():
            place = None if named.startswith("random/") else hub.here(named)
        if place and place.is_file():
            return [str(place)]
        return sorted(map(str, place.glob("*.*"))) if place else []

    def threads(self, wildcards: Wildcards) -> int:
        """The cores that a training uses, so that parallel jobs never use more than there are."""
        return self.recipe.settings(wildcards.get("arm", "two_stage"), wildcards.variant).threads

    def recorded(self, wildcards: Wildcards) -> str:
        """Digest of the completions that a variant's recorded teacher replays."""
        return provenance.content([self.recipe.settings(variant=wildcards.get("variant", MAIN)).teacher_path])

    def asking(self) -> dict[str, Any]:
        """The variants that need further teacher completions, with the keys that they change."""
        return {
            name: keys for name, keys in self.recipe.variants.items() if self.recipe.variant_at("teacher", name) != MAIN
        }
