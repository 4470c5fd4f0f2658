"""Functions for the Snakefile: the files that a recipe's notebooks read and write, their parameters and their cores.

Many are functions of wildcards, as Snakemake's input functions are. The flow, which rule follows which, is in the Snakefile.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scicot_utils import paths, provenance, tables
from scicot_utils import recipe as recipes
from scicot_utils.recipe import MAIN, Recipe, Settings

Wildcards = Any  # Snakemake's, with an attribute for each; those that a rule has
SHIPPED = [paths.relative(paths.MICRO_STUDENT / name) for name in ("model.safetensors", "tokenizer.json")]

SHOWN_RECORDS = (  # the recipes whose shipped records notebook A3 shows
    "arc_gemini_thin", "arc_entailment_thin", "arc_tuning", "finetune_cot_davinci_thin", "symbolic",
    "micro_full", "micro_ablations", "micro_students", "micro_tuning",
)  # fmt: skip


def code(notebook: str) -> dict[str, Any]:
    """The inputs that every notebook's rule has: the notebook, and the modules that it uses."""
    return {"notebook": f"notebooks/{notebook}.ipynb", "code": provenance.code(notebook)}


def files(*folders: Path) -> list[str]:
    """Every file in these folders and below, except compiled Python."""
    below = (path for folder in folders for path in folder.rglob("*") if path.is_file() and path.suffix != ".pyc")
    return sorted(map(paths.relative, below))


def records(*names: str) -> list[str]:
    """The files of these recipes' shipped records, and the recipes themselves. Raises TableError for a missing record."""
    for name in names:
        tables.shipped(name, "metrics.csv")
    declared = (paths.relative(paths.RECIPES / f"{name}.yaml") for name in names)
    return [*files(*map(paths.record, names)), *declared]


@dataclass(frozen=True)
class Pipeline:
    """What the rules need of one recipe. `reference`: its name, or its path if it is outside notebooks/recipes."""

    reference: str
    recipe: Recipe

    @property
    def out(self) -> str:
        return paths.relative(paths.OUTPUTS / self.recipe.name)

    @property
    def benchmarks(self) -> str:
        """Digests of the benchmarks read from outside. A changed file of the same name reruns what reads it."""
        return provenance.content(name for _, name in provenance.benchmarks(self.recipe))

    @property
    def forgotten(self) -> list[str]:
        """The log of what was deleted from the teacher's cache, to be asked again; [] if there is none."""
        path = paths.forgotten(self.recipe.name)
        return [paths.relative(path)] if path.exists() else []

    def executed(self, job: str) -> str:
        """The executed notebook of a job: the notebook's name, and the part of the recipe that it runs as a path."""
        return f"{self.out}/notebooks/{job}.ipynb"

    def logs(self, job: str) -> dict[str, str]:
        """The `log` of a job: its notebook as far as it ran, and what papermill prints."""
        return {"notebook": f"{self.out}/logs/{job}.ipynb", "text": f"{self.out}/logs/{job}.txt"}

    def times(self, job: str) -> str:
        """The file of a job's run time and memory."""
        return f"{paths.relative(paths.benchmarks(self.recipe.name))}/{job}.tsv"

    def folder(self, run: tuple[str, str, str, int]) -> str:
        """The folder of a run: (dataset, arm, variant, seed)."""
        return paths.relative(paths.run(self.recipe.name, *run))

    @property
    def metrics(self) -> list[str]:
        return [f"{self.folder(run)}/metrics.json" for run in self.recipe.runs()]

    def parameters(self, notebook: str, **scope: str) -> dict[str, Any]:
        """The `params` that every notebook's rule has; a changed one reruns it. `scope`: the part of the recipe that it
        runs, as patterns of wildcards."""

        def settings(wildcards: Wildcards) -> str:
            filled: dict[str, Any] = {key: pattern.format(**wildcards) for key, pattern in scope.items()}
            filled |= {"seed": int(filled["seed"])} if "seed" in filled else {}
            name = notebook.format(**wildcards)
            return recipes.as_yaml(recipes.parameters(self.recipe, name, recipe=self.reference, **filled))

        def about(wildcards: Wildcards) -> str:  # a function, since Snakemake takes {…} in a text for a wildcard
            return self.recipe.description + self.recipe.plumbing  # shown at the top of every notebook

        return {"about": about, "settings": settings}

    def table(self, kind: str) -> Callable[[Wildcards], str]:
        """The table that a variant reads: its own if it changes that stage, else the main variant's."""
        return lambda wildcards: paths.relative(
            self.recipe.table(kind, wildcards.dataset, wildcards.get("variant", MAIN))
        )

    def stage1(self, name: str) -> Callable[[Wildcards], str]:
        """An output of stage 1. Variants that change only stage 2 share the main variant's."""
        return lambda wildcards: paths.relative(
            self.recipe.stage1(wildcards.dataset, wildcards.variant, wildcards.seed) / name
        )

    def settings(self, wildcards: Wildcards) -> Settings:
        """The settings of a job. A job whose wildcards have no arm is of two_stage, or of what all arms share."""
        return self.recipe.settings(wildcards.get("arm", "two_stage"), wildcards.get("variant", MAIN))

    def estimate(self, wildcards: Wildcards) -> list[str]:
        """Notebook 02 with what the full run will take comes first where the teacher is paid for."""
        paid = self.settings(wildcards).teacher == "openai"
        return [self.executed(f"02_teacher_prompting/{wildcards.dataset}")] if paid else []

    def student(self, wildcards: Wildcards) -> list[str]:
        """The files of the student that a run starts from, or the folder of one that another rule makes. [] for random
        weights."""
        name = self.settings(wildcards).student
        if name == "micro":
            return SHIPPED
        if folders := paths.pretrained(self.recipe.name, name):
            return [paths.relative(folder) for folder in folders]
        path = None if name.startswith("random/") else provenance.locate(name)
        if path and path.is_file():
            return [str(path)]
        return sorted(map(str, path.glob("*.*"))) if path else []

    def threads(self, wildcards: Wildcards) -> int:
        """The cores that a training uses, so that parallel jobs never use more than there are."""
        return self.settings(wildcards).threads

    def completions(self, wildcards: Wildcards) -> str:
        """Digest of the completions that a variant's recorded teacher replays."""
        return provenance.content([self.settings(wildcards).teacher_path])

    def teacher_variants(self) -> dict[str, Any]:
        """The variants that need further teacher completions, with the keys that they change."""
        return {
            name: keys for name, keys in self.recipe.variants.items() if self.recipe.variant_at("teacher", name) != MAIN
        }
