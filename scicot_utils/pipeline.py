"""What the Snakefile asks of a recipe: the files that its notebooks read, their parameters and their cores.

Most of it are functions of wildcards, as Snakemake wants them. The flow itself, which rule follows which, is the Snakefile's.
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
    """The inputs that every notebook has: itself, and the modules that it uses."""
    return {"notebook": f"notebooks/{notebook}.ipynb", "code": provenance.code(notebook)}


def files(*folders: Path) -> list[str]:
    """Every file below some folders, but those that Python made."""
    found = (path for folder in folders for path in folder.rglob("*") if path.is_file() and path.suffix != ".pyc")
    return sorted(map(paths.relative, found))


def records(*names: str) -> list[str]:
    """Every file of the shipped records of some recipes, and the recipes."""
    found = files(*map(paths.record, names))
    return [*found, *(paths.relative(paths.RECIPES / f"{name}.yaml") for name in names)]


@dataclass(frozen=True)
class Pipeline:
    """One recipe, as its rules see it. `reference`: its name, or its path where it lies outside notebooks/recipes."""

    reference: str
    recipe: Recipe

    @property
    def out(self) -> str:
        """The folder of all that it makes."""
        return paths.relative(paths.OUTPUTS / self.recipe.name)

    @property
    def benchmarks(self) -> str:
        """The content of the benchmarks that are not made here: another file of the same name reruns what reads it."""
        return provenance.content(name for _, name in provenance.benchmarks(self.recipe))

    def folder(self, run: tuple[str, str, str, int]) -> str:
        """The folder of a run: (dataset, arm, variant, seed)."""
        return paths.relative(paths.run(self.recipe.name, *run))

    def given(self, notebook: str, **which: str) -> dict[str, Any]:
        """What every notebook's rule has as `params`; a change of one reruns it. `which` part of the recipe it runs, as
        patterns of wildcards."""

        def settings(wildcards: Wildcards) -> str:
            filled: dict[str, Any] = {key: value.format(**wildcards) for key, value in which.items()}
            filled |= {"seed": int(filled["seed"])} if "seed" in filled else {}
            name = notebook.format(**wildcards)
            return recipes.as_yaml(recipes.parameters(self.recipe, name, recipe=self.reference, **filled))

        about = self.recipe.description + self.recipe.plumbing  # shown at the top of every notebook
        return {"failed": f"{self.out}/logs/failed.txt", "about": about, "settings": settings}

    def table(self, kind: str, stage: str) -> Callable[[Wildcards], str]:
        """The table that a variant reads: its own where it changes that stage, else the recipe's main one."""

        def of(wildcards: Wildcards) -> str:
            variant = self.recipe.variant_at(stage, wildcards.get("variant", MAIN))
            return paths.relative(getattr(paths, kind)(self.recipe.name, wildcards.dataset, variant))

        return of

    def stage1(self, name: str) -> Callable[[Wildcards], str]:
        """What a stage 1 made, which a variant shares with others that change stage 2 alone."""

        def of(wildcards: Wildcards) -> str:
            variant = self.recipe.variant_at("stage1", wildcards.variant)
            return f"{self.folder((wildcards.dataset, 'two_stage', variant, wildcards.seed))}/stage1/{name}"

        return of

    def student(self, wildcards: Wildcards) -> list[str]:
        """The files of the student that a run starts from, or the folder of one that another rule makes; none where it
        starts from random weights."""
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
        """As many cores as a training takes, so that all jobs at once take no more than there are."""
        return self.recipe.settings(wildcards.get("arm", "two_stage"), wildcards.variant).threads

    def recorded(self, wildcards: Wildcards) -> str:
        """The content of the completions that a variant's teacher replays."""
        return provenance.content([self.recipe.settings(variant=wildcards.get("variant", MAIN)).teacher_path])

    def asking(self) -> dict[str, Any]:
        """The variants that ask the teacher for more, with what they change."""
        return {
            name: keys for name, keys in self.recipe.variants.items() if self.recipe.variant_at("teacher", name) != MAIN
        }
