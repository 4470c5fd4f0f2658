"""A recipe as a whole: the runs that it asks for, and how its variants relate to each other."""

import re
from collections.abc import Collection
from pathlib import Path
from typing import Literal, Self

from pydantic import Field, field_validator, model_validator

from scicot_utils import paths
from scicot_utils.recipe import schema
from scicot_utils.recipe.arms import ARMS, REGISTRY
from scicot_utils.recipe.messages import checked
from scicot_utils.recipe.schema import OWN, SECTION_OF, STAGES, Own, RecipeError, Scalar, Section, Settings, wrong

TRANSFER = ("test_forms", "test_domain")  # splits of MicroSci with question forms and domains that are not in training
ELSEWHERE = "test_"  # prefix of splits: test_<benchmark> holds the questions of a benchmark in `tested_on`
MAIN = "main"  # the variant without changes
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")  # names become folders; = , + are reserved for changes made by hand
RESERVED = ("cache", "reference")  # folders of outputs/ that belong to no recipe
# Keys in which arms may not differ (one budget rule).
SAME_FOR_ALL = ("train_pool", "train_size", "steps", "epochs", "batch_size", "micro_batches")


class Recipe(Section):
    """A validated recipe. The methods derive from it what is run, and which runs may be compared."""

    name: str
    """The file's name."""
    description: str = Field(min_length=1)
    """What the recipe runs, in one sentence. Notebooks and the book show it."""
    plumbing: str = ""
    """Why this run shows no results, only that the code runs. Empty: it does show results."""
    datasets: list[str] = Field(min_length=1)
    """Benchmarks that notebook 01 reads. own/<name>: one declared under own."""
    distill: list[str] = Field(min_length=1)
    """Those of datasets that students are trained on."""
    tested_on: list[str] = Field([])
    """Those of datasets whose test questions each student answers, too, in splits test_<benchmark>."""
    arms: list[Literal[ARMS]] = Field(min_length=1)
    """Arms of the comparison; untrained stands for the baselines."""
    seeds: list[int] = Field(min_length=1)
    """Seeds of the trainings. Each arm that is trained is run with each, every other one with the first."""
    gpu_gib: int = Field(0, ge=0)
    """GPU memory of one training in GiB, by which trainings share a card. 0: unknown."""
    own: dict[str, Own] = Field({})
    """Benchmarks of your own, by name."""
    questions: schema.Questions = schema.Questions()
    teacher: schema.Teacher = schema.Teacher()
    rationales: schema.Rationales = schema.Rationales()
    pretraining: schema.Pretraining = schema.Pretraining()
    training: schema.Training = schema.Training()
    evidence: schema.Evidence = schema.Evidence()
    arm_settings: dict[str, dict[str, Scalar]] = Field({})
    """Keys of training that differ for an arm, by arm."""
    variants: dict[str, dict[str, Scalar]] = Field({})
    """Ablations by name, each with the keys that it changes."""
    variant_seeds: int = Field(0, ge=0)
    """The number of seeds that variants are run with, the first ones. 0: all."""
    variant_arms: dict[str, list[str]] = Field({})
    """Arms that a variant is run for, by variant. Not named: all trained ones."""

    @field_validator("datasets", "distill", "tested_on")
    @classmethod
    def _names_of_folders(cls, values: list[str]) -> list[str]:
        return [OWN + name.removeprefix("own/") if name.startswith("own/") else name for name in values]

    @field_validator("datasets", "distill", "tested_on", "arms", "seeds")
    @classmethod
    def _no_duplicates(cls, values: list) -> list:
        if len(set(values)) != len(values):
            raise ValueError("names something twice")
        return values

    # Each of these validators runs only if those above it raised nothing.

    @model_validator(mode="after")
    def _names_and_seeds_are_allowed(self) -> Self:
        if not NAME.fullmatch(self.name) or self.name in RESERVED:
            raise wrong("name", self.name, f"letters, digits, _ . - and not {' or '.join(RESERVED)}")
        for seed in self.seeds:
            if not 0 <= seed < 2**32:
                raise wrong("seeds", seed, "whole numbers from 0 to 2**32 - 1")
        if self.variant_seeds > len(self.seeds):
            raise wrong("variant_seeds", self.variant_seeds, f"at most {len(self.seeds)}, the seeds")
        for name in self.datasets:
            if name.startswith(OWN) and (own := name.removeprefix(OWN)) not in self.own:
                raise wrong("datasets", f"own/{own}", f"one declared under own ({', '.join(self.own)})")
        for name in self.own:
            if not NAME.fullmatch(name):
                raise wrong("own", name, "letters, digits, _ . -")
        for key in ("distill", "tested_on"):
            for name in getattr(self, key):
                _need_one_of(key, name, "datasets", self.datasets)
        return self

    @model_validator(mode="after")
    def _changes_are_allowed(self) -> Self:
        for variant, names in self.variant_arms.items():
            _need_one_of("variant_arms", variant, "variants", self.variants)
            for name in names:
                _need_one_of(f"variant_arms.{variant}", name, "arms", self.arms)
        for name, changes in self.arm_settings.items():
            if name not in ARMS:
                raise wrong("arm_settings", name, ", ".join(ARMS))
            for key in changes:
                if key in SAME_FOR_ALL:
                    raise ValueError(
                        f"arm_settings.{name}.{key}: must be the same for all arms, or they cannot be compared"
                    )
                if SECTION_OF.get(key, "training") != "training":
                    raise ValueError(f"arm_settings.{name}.{key}: belongs to '{SECTION_OF[key]}', which all arms share")
        for name, changes in self.variants.items():
            for key in changes:
                if SECTION_OF.get(key) in ("questions", "pretraining", "evidence"):
                    raise ValueError(f"variants.{name}.{key}: belongs to '{SECTION_OF[key]}', which all variants share")
            if not NAME.fullmatch(name) or name == MAIN:
                raise wrong("variants", name, f"letters, digits, _ . - and not '{MAIN}'")
        for name, changes in [*self.arm_settings.items(), *self.variants.items()]:
            checked(changes, f"change '{name}'", base=self.flat())
        return self

    @model_validator(mode="after")
    def _variants_can_be_run(self) -> Self:
        splits = ["train", "validation", "test", *TRANSFER, *(f"{ELSEWHERE}{name}" for name in self.tested_on)]
        for variant in [MAIN, *self.variants]:
            for split in self.settings(variant=variant).teacher_splits.split(","):
                if split not in splits:
                    raise wrong("teacher_splits", split, ", ".join(splits))
        for variant in [MAIN, *self.variants]:
            for arm in self.trained_arms(variant):
                settings = self.settings(arm, variant)
                for key, most, label in _limits(settings):
                    if (size := getattr(settings, key)) > most:
                        raise wrong(f"{key} of {arm}, {variant}", size, f"at most {most}, {label}, or 0 for all")
                if REGISTRY[arm].writes_two and settings.template == "finetune_cot":
                    raise ValueError(
                        f"template: found 'finetune_cot' with arm {arm}, allowed: one that tells a student what to write "
                        "(options_first, multimodal_cot), or arms of which each student writes one thing only"
                    )
        return self

    def flat(self) -> dict[str, Scalar]:
        """Leaf key → the recipe's value, before changes by arms and variants."""
        return {key: getattr(getattr(self, SECTION_OF[key]), key) for key in SECTION_OF}

    def settings(self, arm: str = "", variant: str = MAIN) -> Settings:
        """Values for one arm and variant. A variant's change overrides an arm's. RecipeError for an unknown variant."""
        if variant != MAIN and variant not in self.variants:
            raise RecipeError(
                f"recipe {self.name}: no variant '{variant}'; allowed: {', '.join([MAIN, *self.variants])}"
            )
        changes = self.arm_settings.get(arm, {}) | self.variants.get(variant, {})
        return Settings(**self.flat() | changes)

    def variant_at(self, stage: str, variant: str) -> str:
        """The variant under which the output of `stage` is stored: the part of `variant` that changes keys of that
        stage or an earlier one.

        `stage`: a section of the recipe, or `stage1`, the first student of `two_stage`.
        """
        last = STAGES.index("training" if stage == "stage1" else stage)
        reached = {key for key, section in SECTION_OF.items() if STAGES.index(section) <= last}
        reached -= {*schema.AFTER_STAGE1} if stage == "stage1" else set()
        parts = []
        for part in variant.split("+"):
            if "=" in part:
                part = ",".join(change for change in part.split(",") if change.split("=")[0] in reached)
            elif not reached & self.variants.get(part, {}).keys():
                part = ""
            parts.append(part)
        return "+".join(filter(None, parts)) or MAIN

    def table(self, kind: Literal["questions", "completions", "rationales"], dataset: str, variant: str = MAIN) -> Path:
        """The file of the table that a variant reads: its own if it changes that stage or an earlier one. Completions lie
        beside the rationales that are read from them: a variant that changes the filter alone has both of its own.
        """
        stage = "questions" if kind == "questions" else "rationales"
        return getattr(paths, kind)(self.name, dataset, self.variant_at(stage, variant))

    def stage1(self, dataset: str, variant: str, seed: int) -> Path:
        """The folder of the rationale student that an answer student of two_stage goes with; variants may share one."""
        return paths.run(self.name, dataset, "two_stage", self.variant_at("stage1", variant), seed) / "stage1"

    def trained_arms(self, variant: str) -> list[str]:
        """Arms with a trained student that `variant` is run for, in the recipe's order."""
        arms = self.variant_arms.get(variant, self.arms)
        return [arm for arm in arms if REGISTRY[arm].kind == "trained"]

    def seeds_of(self, variant: str) -> list[int]:
        return self.seeds if variant == MAIN else self.seeds[: self.variant_seeds or None]

    def students(self) -> list[str]:
        """Names of the students that runs start from and that appendix A1 must pretrain first."""
        students = dict.fromkeys(self.settings(arm, variant).student for _, arm, variant, _ in self.runs())
        return [name for name in students if paths.PRETRAINED.fullmatch(name)]

    def sweeps(self) -> dict[str, list[list[str]]]:
        """Key → its sweeps: lists of variants, perhaps with the main one, that differ in the value of this key only.

        The teacher's splits and the keys for access to it are ignored, since they change nothing that is learned. A
        variant that changes no value is left out.
        """
        values = self.flat()
        changes = {MAIN: {}}
        for name, changed in self.variants.items():
            if learned := {k: v for k, v in changed.items() if v != values[k] and k not in schema.NOT_LEARNED}:
                changes[name] = learned
        sweeps = {}
        for key in dict.fromkeys(key for changed in changes.values() for key in changed):
            groups: dict[frozenset, list[str]] = {}  # the changes of other keys → variants
            for name, changed in changes.items():
                groups.setdefault(frozenset(changed.items() - {(key, changed.get(key))}), []).append(name)
            if groups_of_several := [names for names in groups.values() if len(names) > 1]:
                sweeps[key] = groups_of_several
        return sweeps

    def taken_from(self, arm: str, variant: str) -> str:
        """The variant whose run represents an arm in a comparison under `variant`.

        It is `variant` itself if it is run for the arm. Otherwise it is a variant that is run for the arm and has only
        changes of `variant`; of several, the one with the most changes. The main variant has none. For example, a
        one-stage arm of twice the steps is compared with a two-stage student of the same rationales.
        """
        changes_of_variant = self.variants.get(variant, {}).items()
        sizes = {
            name: len(changes)
            for name, changes in {MAIN: {}, **self.variants}.items()
            if changes.items() <= changes_of_variant and arm in self.trained_arms(name)
        }
        return max(sizes, key=sizes.__getitem__, default=MAIN)

    def comparable(self, arm: str, variant: str) -> bool:
        """Whether an arm may be shown beside others in a variant: it is run for it, or its substitute is close enough.

        The substitute (`taken_from`) may lack changes that do not affect the arm, have another student (to compare
        sizes), or have between half and twice the steps (two budget rules).
        """
        settings, substitute = self.settings(arm, variant), self.settings(arm, self.taken_from(arm, variant))
        lacking = {key for key in SECTION_OF if getattr(settings, key) != getattr(substitute, key)} - {"student"}
        for budget in ("steps", "epochs"):
            less, more = sorted((getattr(settings, budget), getattr(substitute, budget)))
            if more <= 2 * less:
                lacking.discard(budget)
        if arm == "answer_only" and settings.train_size:  # rationales only decide which questions it is trained on
            lacking = {
                key for key in lacking if key == "answer_reading" or SECTION_OF[key] not in ("teacher", "rationales")
            }
        return lacking <= {*REGISTRY[arm].ignores}

    def runs(self) -> list[tuple[str, str, str, int]]:
        """Every run as (dataset, arm, variant, seed)."""
        runs = []
        for dataset in self.distill:
            runs += [(dataset, arm, MAIN, self.seeds[0]) for arm in self.arms if REGISTRY[arm].kind != "trained"]
            for variant in [MAIN, *self.variants]:
                runs += [
                    (dataset, arm, variant, seed)
                    for arm in self.trained_arms(variant)
                    for seed in self.seeds_of(variant)
                ]
        return runs


def _need_one_of(key: str, name: str, collection: str, allowed: Collection[str]) -> None:
    if name not in allowed:
        raise wrong(key, name, f"one of {collection} ({', '.join(allowed)})")


def _limits(settings: Settings) -> list[tuple[str, int, str]]:
    """(key, maximum, name of the maximum) for the sizes of the training set, as far as the recipe determines them."""
    questions = settings.train_questions
    if not questions:
        return []
    rationales = (settings.train_pool or questions) * settings.samples
    return [
        ("train_pool", questions, "the train_questions"),
        ("train_size", rationales, "the rationales that are asked for"),
    ]
