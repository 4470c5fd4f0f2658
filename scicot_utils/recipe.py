"""What to run: a recipe is a small YAML file, validated here before any work starts; it runs nothing itself.

A recipe's leaf keys are the notebooks' papermill parameters. Every key, its unit, its allowed values and its
default live in the sections below and nowhere else. What one arm needs differently stands under `arm_settings`;
an ablation is a named set of changed keys under `variants`.
"""

from __future__ import annotations

import ast
import difflib
import hashlib
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from scicot_utils import ScicotError, paths

TRANSFER = ("test_forms", "test_domain")  # splits of MicroSci: forms and domains that no training question has
ELSEWHERE = "test_"  # before the name of a benchmark: the split of its questions in `tested_on`
MAIN = "main"  # the variant in which nothing is changed
DEFAULT = "micro"  # the recipe whose values stand in the notebooks' parameter cells
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")  # names become folders; = , + are for changes made by hand
TAKEN = ("cache", "reference")  # folders of outputs/ that belong to no recipe
ARMS = (
    "untrained",
    "answer_only",
    "rationale_answer",
    "answer_rationale",
    "multitask",
    "two_stage_shared",
    "two_stage",
    "zero_shot",
    "zero_shot_cot",
    "few_shot",
    "few_shot_cot",
)
UNTAUGHT = ("zero_shot", "zero_shot_cot", "few_shot", "few_shot_cot")  # arms whose student learns nothing

# Keys that say how a teacher is reached and what it may cost, but not what it answers: a change makes no variant.
REACHED_BY = (
    "teacher_base_url",
    "teacher_api_key_env",
    "teacher_in_flight",
    "teacher_timeout",
    "teacher_tries",
    "teacher_limit_as",
    "teacher_prices",
    "max_usd",
    "max_requests",
)
NOT_LEARNED = ("teacher_splits", *REACHED_BY)  # keys that change nothing of what is learned from training questions
HIDDEN = ("teacher_api_key_env",)  # never repeated in a message: somebody may have put the key itself there

TOLD_WHAT_TO_WRITE = ("multitask", "two_stage_shared")  # arms whose one student learns to write two things

SAME_FOR_ALL = (
    "train_pool",
    "train_size",
    "steps",
    "epochs",
    "batch_size",
    "micro_batches",
)  # what arms may not differ in (one budget rule)

# Arm → keys of stage 2 that do not concern it; '': all that are not named.
STAGE2_ONLY = {
    "": ("stage2_order", "stage2_source", "crossfit_folds"),
    "two_stage": (),
    "two_stage_shared": ("stage2_source", "crossfit_folds"),
}

# Keys of training that stage 1 does not know.
AFTER_STAGE1 = ("stage2_order", "stage2_source", "crossfit_folds", "answer_format")

ARCHITECTURES = ("micro", "micro-small", "micro-large", "t5-tiny", "bart-tiny", "gpt2-tiny")  # of random/<architecture>

Scalar = str | int | float | bool


class RecipeError(ScicotError):
    """A recipe, or a parameter given to a notebook, that cannot be run."""


class Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Questions(Section):
    dataset_path: str = Field(
        "", description="local folder in the hub's layout, or one of such folders or files; empty: embedded or hub data"
    )
    train_questions: int = Field(300, ge=0, description="questions in the table; 0: all there are")
    validation_questions: int = Field(300, ge=0, description="as train_questions")
    test_questions: int = Field(500, ge=0, description="as train_questions")
    transfer_questions: int = Field(
        0, ge=0, description="in each transfer test, test_forms and test_domain; 0: none; only of generated benchmarks"
    )
    question_seed: int = Field(0, ge=0, description="seed of the generator, or of the sample taken")


class Teacher(Section):
    teacher: Literal["simulated", "openai", "local", "recorded"] = Field(
        "simulated", description="openai: any server with that interface; local: a transformers model on this machine"
    )
    teacher_path: str = Field("", description="recorded: file or folder of completions, see teachers.forms")
    teacher_columns: str = Field(
        "",
        pattern=r"^$|^({0})=[^\s,=]+(, ?({0})=[^\s,=]+)*$".format("id|question|text|finish"),
        description="recorded: where rows hold what, as in 'id=qid, text=response.choices.0.text'; also question, finish",
    )
    teacher_model: str = Field(
        "",
        description="openai: as the server calls it; local: hub name or folder; recorded: one of several in an export",
    )
    teacher_base_url: str = Field(
        "https://api.openai.com/v1",
        pattern=r"^https?://[^\s@?#]+$",
        description="openai: where the server is; a password or a key has no place in it",
    )
    teacher_endpoint: Literal["chat", "completion"] = Field("chat", description="openai: with messages or plain text")
    teacher_api_key_env: str = Field(
        "OPENAI_API_KEY",
        pattern="^[A-Z][A-Z0-9_]{0,60}$",
        description="openai: name of the environment variable with the key; the default one's goes to the default "
        "teacher_base_url only; a server without keys needs none",
    )
    teacher_in_flight: int = Field(
        8, ge=1, le=1024, description="openai: requests under way at once; local: texts in a batch"
    )
    teacher_timeout: float = Field(120.0, gt=0, le=3600, description="openai: seconds that one try may take")
    teacher_tries: int = Field(8, ge=1, le=20, description="openai: of one request, with growing pauses between them")
    teacher_max_tokens: int = Field(
        512, ge=1, description="openai, local: in a completion; a longer one is cut, and dropped"
    )
    teacher_limit_as: Literal["max_tokens", "max_completion_tokens"] = Field(
        "max_tokens", description="openai: under which name the server takes teacher_max_tokens"
    )
    teacher_omit: Literal["", "temperature", "seed", "temperature,seed"] = Field(
        "", description="openai: parameters not sent to a model that refuses them, and then decides them itself"
    )
    teacher_rationale: Literal["text", "reasoning"] = Field(
        "text", description="openai, local: reasoning: what a reasoning model thought, where it tells, is the rationale"
    )
    teacher_prices: str = Field(
        "",
        pattern=r"^$|^[^\s,=]+=\d+(\.\d+)?/\d+(\.\d+)?(, ?[^\s,=]+=\d+(\.\d+)?/\d+(\.\d+)?)*$",
        description="openai: 'model=input/output, …' in USD per million tokens; a model not listed: price unknown",
    )
    max_usd: float = Field(
        0.0, ge=0, description="openai: cap on USD ever spent through the recipe's cache; 0: none; needs teacher_prices"
    )
    max_requests: int = Field(
        0, ge=0, description="openai: cap on requests ever sent through the recipe's cache; 0: none"
    )
    teacher_splits: str = Field(
        "train,validation,test",
        pattern=r"^train(,validation|,test|,test_[A-Za-z0-9_.-]+)*$",
        description="splits asked; train is needed, others serve controls; test_<benchmark>: of one in tested_on",
    )
    teacher_error_rate: float = Field(0.05, ge=0, le=1, description="simulated: chance that a recalled fact is wrong")
    teacher_errors: Literal["random", "systematic"] = Field(
        "random", description="simulated: drawn per prompt and sample, or each fact always recalled in the same way"
    )
    teacher_malformed_rate: float = Field(0.02, ge=0, le=1, description="simulated: chance of no usable answer")
    teacher_refusal_rate: float = Field(0.0, ge=0, le=1, description="simulated: chance of a refusal")
    teacher_truncation_rate: float = Field(0.0, ge=0, le=1, description="simulated: chance of a text cut midway")
    teacher_wrong_answer_rate: float = Field(
        0.0, ge=0, le=1, description="simulated: chance of a wrong answer that the rationale does not lead to"
    )
    teacher_wrong_rationale_rate: float = Field(
        0.0, ge=0, le=1, description="simulated: share of questions with a wrong rationale and yet the right answer"
    )
    teacher_paraphrase: int = Field(
        1, ge=1, le=3, description="simulated: wordings, openings varied over at temperature > 0; from 2 orders, too"
    )
    teacher_seed: int = Field(0, ge=0, description="simulated, openai, local: seed that the samples' seeds start from")
    rationale_style: Literal["walk", "verdict", "justify", "terse"] = Field(
        "walk", description="simulated: line of each option | with yes or no | of the chosen one | and nothing else"
    )
    prompt: Literal[
        "zero_shot_cot", "zero_shot_cot_one_call", "options_walked", "few_shot_cot", "gold_shown", "recorded"
    ] = "zero_shot_cot"
    few_shot_examples: int = Field(3, ge=1, le=16, description="few_shot_cot: worked training questions shown")
    prompts_compared: str = Field(
        "zero_shot_cot,zero_shot_cot_one_call",
        pattern="^({0})(,({0}))*$".format("zero_shot_cot|zero_shot_cot_one_call|options_walked|few_shot_cot"),
        description="notebook 02: names, by comma; not gold_shown, which has nothing left to answer",
    )
    dev_questions: int = Field(100, ge=1, description="notebook 02: validation questions asked per prompt")
    temperature: float = Field(0.0, ge=0, le=2, description="0: greedy")
    samples: int = Field(1, ge=1, le=64, description="D, rationales asked per question (Ho et al., section 3.2)")

    @model_validator(mode="after")
    def _gold_is_shown_of_training_questions_only(self) -> Self:
        if self.prompt == "gold_shown" and self.teacher_splits != "train":
            raise ValueError(
                f"teacher_splits: found '{self.teacher_splits}', allowed: train, since prompt 'gold_shown' would show "
                "the teacher the right answers of unseen questions"
            )
        return self

    @model_validator(mode="after")
    def _a_model_is_named(self) -> Self:
        if self.teacher in ("openai", "local") and not self.teacher_model:
            raise ValueError(
                f"teacher_model: found '', allowed: the name of a model, which teacher '{self.teacher}' needs"
            )
        if self.teacher == "openai" and self.max_usd and self.price() is None:
            raise ValueError(
                f"max_usd: found {self.max_usd}, allowed: 0, or a price for '{self.teacher_model}' in teacher_prices, "
                "since a cap on money cannot be kept at an unknown price"
            )
        return self

    def price(self) -> tuple[float, float] | None:
        """USD per million tokens of (input, output) of the teacher's model; None: not known."""
        listed = dict(entry.strip().rsplit("=", 1) for entry in self.teacher_prices.split(",") if entry)
        if self.teacher_model not in listed:
            return None
        dear_in, dear_out = listed[self.teacher_model].split("/")
        return float(dear_in), float(dear_out)


class Rationales(Section):
    filter: Literal["correct", "correct_or_cut", "all"] = Field(
        "correct",
        description="keep a rationale iff its answer is right; correct_or_cut: though its text was cut, as Fine-tune-CoT",
    )
    teacher_reading: Literal["conclusion", "strict", "paper"] = Field(
        "conclusion",
        description="of teachers: what a text concludes, in any form | after the prompt's cue | Fine-tune-CoT's",
    )
    rationale_markup: Literal["kept", "plain"] = Field("kept", description="plain: without Markdown and LaTeX commands")
    answer_reading: Literal["strict", "paper"] = Field(
        "strict", description="of students: the one answer named; paper: Fine-tune-CoT's own, traps and all"
    )


class Training(Section):
    student: str = Field(
        "micro", description="micro | smollm2-135m | random/<architecture> | hub name | local folder | GGUF file"
    )
    tokenizer: str = Field("", description="hub name or local folder; empty: the student's own")
    template: Literal["options_first", "multimodal_cot", "finetune_cot"] = Field(
        "options_first", description="student's prompts"
    )
    answer_format: Literal["text", "label", "letter"] = Field(
        "text", description="the option's text, a sentence with its letter, or the letter; open answers: themselves"
    )
    stage2_order: Literal["rationale_first", "question_first"] = "rationale_first"
    stage2_source: Literal["teacher", "crossfit", "both"] = Field(
        "teacher", description="rationales stage 2 learns from; crossfit: written by stage 1 students on held-out folds"
    )
    crossfit_folds: int = Field(2, ge=2, le=20, description="K, folds of the training set for crossfit")
    train_pool: int = Field(
        0,
        ge=0,
        description="training questions whose rationales are trained on; 0: all (for D at a fixed number of them); "
        "the teacher is asked about all the same",
    )
    train_size: int = Field(0, ge=0, description="rationale pairs trained on; 0: all that were kept")
    steps: int = Field(200, ge=0, description="optimiser steps per model; 0: as many as epochs takes")
    epochs: int = Field(0, ge=0, description="passes over a model's training pairs; 0: steps says it")
    batch_size: int = Field(32, ge=1, description="sequences per step")
    micro_batches: int = Field(2, ge=1, description="parts of like length that a batch is cut into; divides batch_size")
    learning_rate: float = Field(2e-3, gt=0, lt=1, description="peak, AdamW")
    schedule: Literal["linear", "cosine", "constant", "constant_with_warmup"] = "cosine"
    warmup_ratio: float = Field(0.1, ge=0, le=1, description="share of the steps")
    weight_decay: float = Field(0.05, ge=0, le=1)
    adam_beta2: float = Field(0.98, gt=0, lt=1)
    max_grad_norm: float = Field(1.0, gt=0)
    dropout: float = Field(0.1, ge=0, lt=1)
    freeze_embeddings: bool = Field(True, description="unseen words keep the vectors of pretraining")
    max_input_tokens: int = Field(128, ge=8, description="in training longer inputs are cut, and counted")
    max_target_tokens: int = Field(96, ge=2, description="longer targets are cut, and counted")
    max_cut_share: float = Field(
        0.0,
        ge=0,
        le=1,
        description="share of the training pairs that may be cut; more ends the training before it begins",
    )
    evaluation_batch_size: int = Field(128, ge=1, description="sequences per forward pass")
    precision: Literal["auto", "fp32", "bf16"] = Field(
        "auto", description="of multiplications in training; auto: bf16 where a GPU has it; weights are fp32"
    )
    checkpoint_steps: int = Field(
        0, ge=0, description="optimiser steps between checkpoints, from which a killed training goes on; 0: none"
    )
    choose_by: Literal["last", "validation_loss"] = Field(
        "last", description="which checkpoint is kept; validation_loss: the least on kept validation rationales"
    )
    threads: int = Field(1, ge=1, description="CPU threads of one training; part of what makes a run repeatable")

    @field_validator("student")
    @classmethod
    def _known_architecture(cls, named: str) -> str:
        if named.startswith("random/") and named.removeprefix("random/") not in ARCHITECTURES:
            allowed = ", ".join(f"random/{name}" for name in ARCHITECTURES)
            raise ValueError(f"found '{named}', allowed: {allowed}, a hub name or a local folder")
        return named

    @model_validator(mode="after")
    def _one_budget(self) -> Self:
        if bool(self.steps) == bool(self.epochs):
            raise ValueError(
                f"epochs: found {self.epochs} with steps {self.steps}, allowed: exactly one of the two above 0"
            )
        return self

    @model_validator(mode="after")
    def _parts_of_a_batch(self) -> Self:
        if self.batch_size % self.micro_batches:
            raise ValueError(
                f"micro_batches: found {self.micro_batches}, allowed: a divisor of batch_size {self.batch_size}"
            )
        return self

    @model_validator(mode="after")
    def _checkpoints_to_choose_from(self) -> Self:
        if self.choose_by == "validation_loss" and not self.checkpoint_steps:
            raise ValueError(
                "checkpoint_steps: found 0, allowed: from 1, since choose_by validation_loss needs checkpoints"
            )
        return self


class Pretraining(Section):
    """Of the embedded student, in appendix notebook A1."""

    architecture: Literal["micro-small", "micro", "micro-large"] = Field("micro", description="sizes of one family")
    pretraining_steps: int = Field(20_000, ge=20, description="most optimiser steps of all phases together")
    pretraining_batch_size: int = Field(48, ge=1, description="sequences per step")
    pretraining_learning_rate: float = Field(1.5e-3, gt=0, lt=1, description="peak of the first phase, AdamW")


class Evidence(Section):
    confidence: float = Field(0.95, gt=0.5, le=0.99, description="of every interval")
    margin: float = Field(
        5.0, gt=0, le=50, description="percentage points within which the whole interval of no difference must lie"
    )
    shots: int = Field(4, ge=1, le=64, description="exemplars of the arms few_shot and few_shot_cot, from train")
    order_questions: int = Field(
        50, ge=0, description="test questions asked again in every rotation of their options, main variant; 0: none"
    )


OWN = "own-"  # before the name of a benchmark of the user's own, `own/<name>` in a recipe


class Own(Section):
    """A benchmark of the user's own: where it is, and which column holds what; places like `question.stem` reach inside."""

    path: str = Field(
        min_length=1, description="a file (JSON lines, JSON, CSV, TSV, Parquet), or a folder with one a split"
    )
    question: str = "question"
    options: str = Field("", description="a column with a list or a mapping, or columns by comma; empty: open answers")
    answer: str = Field("answer", description="column of an option's label, text or place from 0, or of an open answer")
    answer_is: Literal["", "label", "text", "place", "place_from_1"] = Field(
        "", description="how the right option is named; empty: in the one way that fits the file"
    )
    answers: Literal["number", "yes_no", "word", ""] = Field("", description="open ones; empty: as they look")
    id: str = Field("", description="column; empty: the row's number")
    split: str = Field("", description="column; empty: the files' names, or shares of one file")
    test_share: float = Field(0.2, gt=0, lt=0.9)
    validation_share: float = Field(0.1, gt=0, lt=0.5)
    seed: int = Field(0, ge=0, description="of the shares")
    faulty: Literal["stop", "drop"] = Field(
        "stop", description="rows that are no question: end the run, or leave out and count"
    )


SECTIONS: dict[str, type[Section]] = {
    "questions": Questions,
    "teacher": Teacher,
    "rationales": Rationales,
    "pretraining": Pretraining,
    "training": Training,
    "evidence": Evidence,
}


class Settings(Questions, Teacher, Rationales, Pretraining, Training, Evidence):
    """All leaf keys with the values that hold for one arm and variant."""


SECTION_OF = {key: name for name, section in SECTIONS.items() for key in section.model_fields}
STAGES = tuple(SECTIONS)  # a key of one section changes what is made at that stage and at those to its right


class Recipe(Section):
    name: str
    description: str = Field(min_length=1)
    plumbing: str = Field("", description="why this run shows no result, only that the code runs; empty: it does")
    datasets: list[str] = Field(min_length=1, description="all that notebook 01 reads")
    distill: list[str] = Field(min_length=1, description="those that students are trained on")
    tested_on: list[str] = Field(
        [], description="benchmarks whose test questions each student answers, too, in splits test_<benchmark>"
    )
    arms: list[Literal[ARMS]] = Field(min_length=1)
    seeds: list[int] = Field(min_length=1)
    own: dict[str, Own] = Field({}, description="benchmarks of one's own, by name; `own/<name>` in datasets")
    questions: Questions = Questions()
    teacher: Teacher = Teacher()
    rationales: Rationales = Rationales()
    pretraining: Pretraining = Pretraining()
    training: Training = Training()
    evidence: Evidence = Evidence()
    arm_settings: dict[str, dict[str, Scalar]] = {}
    variants: dict[str, dict[str, Scalar]] = {}
    variant_seeds: int = Field(0, ge=0, description="seeds that variants are run with, the first ones; 0: all")
    variant_arms: dict[str, list[str]] = Field(
        {}, description="variant → arms it is run for; missing: all trained ones"
    )

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

    @model_validator(mode="after")
    def _consistent(self) -> Recipe:
        if not NAME.fullmatch(self.name) or self.name in TAKEN:
            raise ValueError(f"name: found '{self.name}', allowed: letters, digits, _ . - and not {' or '.join(TAKEN)}")
        for seed in self.seeds:
            if not 0 <= seed < 2**32:
                raise ValueError(f"seeds: found {seed}, allowed: whole numbers from 0 to 2**32 - 1")
        if self.variant_seeds > len(self.seeds):
            raise ValueError(
                f"variant_seeds: found {self.variant_seeds}, allowed: at most {len(self.seeds)}, the seeds"
            )
        for name in self.datasets:
            if name.startswith(OWN) and name.removeprefix(OWN) not in self.own:
                raise ValueError(
                    f"datasets: found 'own/{name.removeprefix(OWN)}', allowed: one declared under own ({', '.join(self.own)})"
                )
        for name in self.own:
            if not NAME.fullmatch(name):
                raise ValueError(f"own: found '{name}', allowed: letters, digits, _ . -")
        for name in self.distill:
            if name not in self.datasets:
                raise ValueError(f"distill: found '{name}', allowed: one of datasets ({', '.join(self.datasets)})")
        for name in self.tested_on:
            if name not in self.datasets:
                raise ValueError(f"tested_on: found '{name}', allowed: one of datasets ({', '.join(self.datasets)})")
        for variant, names in self.variant_arms.items():
            if variant not in self.variants:
                raise ValueError(
                    f"variant_arms: found '{variant}', allowed: one of variants ({', '.join(self.variants)})"
                )
            for name in names:
                if name not in self.arms:
                    raise ValueError(
                        f"variant_arms.{variant}: found '{name}', allowed: one of arms ({', '.join(self.arms)})"
                    )
        for name, changes in self.arm_settings.items():
            if name not in ARMS:
                raise ValueError(f"arm_settings: found '{name}', allowed: {', '.join(ARMS)}")
            for key in changes:
                if key in SAME_FOR_ALL:
                    raise ValueError(
                        f"arm_settings.{name}.{key}: the comparison rests on its being the same for all arms"
                    )
                if SECTION_OF.get(key, "training") != "training":
                    raise ValueError(f"arm_settings.{name}.{key}: belongs to '{SECTION_OF[key]}', which all arms share")
        for name, changes in self.variants.items():
            for key in changes:
                if SECTION_OF.get(key) in ("questions", "pretraining", "evidence"):
                    raise ValueError(f"variants.{name}.{key}: belongs to '{SECTION_OF[key]}', which all variants share")
            if not NAME.fullmatch(name) or name == MAIN:
                raise ValueError(f"variants: found '{name}', allowed: letters, digits, _ . - and not '{MAIN}'")
        for name, changes in [*self.arm_settings.items(), *self.variants.items()]:
            checked(changes, f"change '{name}'", base=self.flat())
        known = ["train", "validation", "test", *TRANSFER, *(f"{ELSEWHERE}{name}" for name in self.tested_on)]
        for variant in [MAIN, *self.variants]:
            for split in self.settings(variant=variant).teacher_splits.split(","):
                if split not in known:
                    raise ValueError(f"teacher_splits: found '{split}', allowed: {', '.join(known)}")
        for variant in [MAIN, *self.variants]:
            for arm in self.trained_arms(variant):
                settings = self.settings(arm, variant)
                for key, most, what in _limits(settings):
                    if getattr(settings, key) > most:
                        raise ValueError(
                            f"{key} of {arm}, {variant}: found {getattr(settings, key)}, allowed: at most {most}, {what}, or 0 for all"
                        )
                if arm in TOLD_WHAT_TO_WRITE and settings.template == "finetune_cot":
                    raise ValueError(
                        f"template: found 'finetune_cot' with arm {arm}, allowed: one that tells a student what to write "
                        "(options_first, multimodal_cot), or arms of which each student writes one thing only"
                    )
        return self

    def flat(self) -> dict[str, Scalar]:
        """Every leaf key with the recipe's value, before arms and variants."""
        return {key: getattr(getattr(self, SECTION_OF[key]), key) for key in SECTION_OF}

    def settings(self, arm: str = "", variant: str = MAIN) -> Settings:
        """The values that hold for one arm and variant: a variant's change outranks an arm's."""
        if variant != MAIN and variant not in self.variants:
            raise RecipeError(
                f"recipe {self.name}: no variant '{variant}'; allowed: {', '.join([MAIN, *self.variants])}"
            )
        changes = self.arm_settings.get(arm, {}) | self.variants.get(variant, {})
        return Settings(**self.flat() | changes)

    def variant_at(self, stage: str, variant: str) -> str:
        """The variant under which lies what `stage` makes: what of `variant` changes a key of that stage or before.

        `stage`: a section of the recipe, or `stage1`, the first student of `two_stage`.
        """
        last = STAGES.index("training" if stage == "stage1" else stage)
        reached = {key for key, section in SECTION_OF.items() if STAGES.index(section) <= last}
        reached -= {*AFTER_STAGE1} if stage == "stage1" else set()
        parts = []
        for part in variant.split("+"):
            if "=" in part:
                part = ",".join(change for change in part.split(",") if change.split("=")[0] in reached)
            elif not reached & self.variants.get(part, {}).keys():
                part = ""
            parts.append(part)
        return "+".join(filter(None, parts)) or MAIN

    def trained_arms(self, variant: str) -> list[str]:
        """Arms with a student, in the recipe's order, that `variant` is run for."""
        wanted = self.variant_arms.get(variant, self.arms)
        return [arm for arm in wanted if arm not in ("untrained", *UNTAUGHT)]

    def seeds_of(self, variant: str) -> list[int]:
        """The seeds that a variant is run with."""
        return self.seeds if variant == MAIN else self.seeds[: self.variant_seeds or None]

    def students(self) -> list[str]:
        """The names of students that its runs start from and that appendix A1 makes first."""
        named = [self.settings(arm, variant).student for _, arm, variant, _ in self.runs()]
        return [name for name in dict.fromkeys(named) if paths.PRETRAINED.fullmatch(name)]

    def sweeps(self) -> dict[str, list[list[str]]]:
        """Key → its sweeps, each a list of variants, the main one among them, that differ in the value of this key only.

        Which splits the teacher is asked about and how it is reached do not count: they change nothing of what is learned.
        A variant that changes no value at all is none.
        """
        own = self.flat()
        changes = {MAIN: {}}
        for name, changed in self.variants.items():
            told = {k: v for k, v in changed.items() if v != own[k] and k not in NOT_LEARNED}
            if told:
                changes[name] = told
        found = {}
        for key in dict.fromkeys(key for changed in changes.values() for key in changed):
            alike: dict[frozenset, list[str]] = {}
            for name, changed in changes.items():
                rest = frozenset((other, value) for other, value in changed.items() if other != key)
                alike.setdefault(rest, []).append(name)
            if sweeps := [names for names in alike.values() if len(names) > 1]:
                found[key] = sweeps
        return found

    def taken_from(self, arm: str, variant: str) -> str:
        """The variant whose run of an arm stands in a comparison: this one where it is run for the arm, else the one that
        it is run for and that shares most of this one's changes and has no other (so a one-stage arm of twice the steps
        meets a two-stage student of the same rationales); the main one has none.
        """
        wanted = self.variants.get(variant, {}).items()
        parts = {
            name: len(changes)
            for name, changes in {MAIN: {}, **self.variants}.items()
            if changes.items() <= wanted and arm in self.trained_arms(name)
        }
        return max(parts, key=parts.__getitem__) if parts else MAIN

    def comparable(self, arm: str, variant: str) -> bool:
        """Whether an arm may stand beside others in a variant: it is run for it, or what is taken in its place
        (`taken_from`) lacks changes only that do not concern it, or another student (sizes are compared so), or has
        between half and twice the steps (two budget rules).
        """
        here, there = self.settings(arm, variant), self.settings(arm, self.taken_from(arm, variant))
        lacking = {key for key in SECTION_OF if getattr(here, key) != getattr(there, key)} - {"student"}
        for budget in ("steps", "epochs"):
            if max(getattr(here, budget), getattr(there, budget)) <= 2 * min(
                getattr(here, budget), getattr(there, budget)
            ):
                lacking -= {budget}
        if arm == "answer_only" and here.train_size:  # of rationales it sees only which questions have one
            lacking = {key for key in lacking if SECTION_OF[key] not in ("teacher", "rationales")} | (
                lacking & {"answer_reading"}
            )
        return lacking <= {*STAGE2_ONLY.get(arm, STAGE2_ONLY[""])}

    def runs(self) -> list[tuple[str, str, str, int]]:
        """Every run as (dataset, arm, variant, seed)."""
        found = []
        for dataset in self.distill:
            untrained = [arm for arm in self.arms if arm in ("untrained", *UNTAUGHT)]
            found += [(dataset, arm, MAIN, self.seeds[0]) for arm in untrained]
            for variant in [MAIN, *self.variants]:
                found += [
                    (dataset, arm, variant, seed)
                    for arm in self.trained_arms(variant)
                    for seed in self.seeds_of(variant)
                ]
        return found


class _UniqueKeys(yaml.SafeLoader):
    """YAML in which a key given twice is an error, not the last value."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict:
        keys = [self.construct_object(key, deep=True) for key, _ in node.value]
        for key in keys:
            if keys.count(key) > 1:
                raise yaml.constructor.ConstructorError(None, None, f"key '{key}' is given twice", node.start_mark)
        return super().construct_mapping(node, deep)


def load(recipe: str) -> Recipe:
    """The recipe of that name in notebooks/recipes, or at that path, read and validated.

    Raises RecipeError with one line that names file, key, what was found and what is allowed.
    """
    path = paths.RECIPES / f"{recipe}.yaml" if NAME.fullmatch(recipe) and not recipe.endswith(".yaml") else Path(recipe)
    path = path if path.is_file() else paths.ROOT / path  # a path counts from here, else from the repository
    shown = paths.relative(path)
    if not path.is_file():
        there = ", ".join(sorted(p.stem for p in paths.RECIPES.glob("*.yaml")))
        raise RecipeError(f"no recipe at {shown}; allowed: one of {there}, or the path of a .yaml file")
    shipped = paths.RECIPES / path.name
    if shipped.is_file() and not shipped.samefile(path):
        raise RecipeError(
            f"{shown}: {paths.relative(shipped)} has the same name, so both would write to one folder; rename it"
        )
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise RecipeError(f"{shown}: not UTF-8: {error.reason}, byte {error.start}") from None
    if not text.startswith("#"):
        raise RecipeError(f"{shown}: line 1 must be a comment with the hardware and the time it takes")
    try:
        content = yaml.load(text, Loader=_UniqueKeys)  # noqa: S506 (a SafeLoader)
    except yaml.YAMLError as error:
        raise RecipeError(f"{shown}: not YAML: {' '.join(str(error).split())}") from error
    if not isinstance(content, dict):
        raise RecipeError(f"{shown}: found {type(content).__name__}, allowed: a mapping of keys to values")
    if "name" in content:
        raise RecipeError(
            f"{shown}: {unknown('name', [k for k in Recipe.model_fields if k != 'name'])}; the file's name is its name"
        )
    try:
        return Recipe.model_validate({"name": path.stem} | content)  # a key that is no text gets its line, too
    except ValidationError as error:
        raise RecipeError(f"{shown}: {_first(error, Recipe)}") from None
    except RecipeError as error:
        raise RecipeError(f"{shown}: {error}") from None


def _limits(settings: Settings) -> list[tuple[str, int, str]]:
    """(key, greatest value, what it is) of the sizes of the training set, as far as a recipe can tell them."""
    asked = settings.train_questions
    if not asked:
        return []
    rationales = (settings.train_pool or asked) * settings.samples
    return [
        ("train_pool", asked, "the train_questions"),
        ("train_size", rationales, "the rationales that are asked for"),
    ]


def checked(changes: dict[str, Any], where: str, base: dict[str, Any] | None = None) -> Settings:
    """`changes` over `base` as Settings; RecipeError names the first key that cannot be."""
    try:
        return Settings(**(base or {}) | changes)
    except ValidationError as error:
        raise RecipeError(f"{where}: {_first(error, Settings)}") from None


def _first(error: ValidationError, model: type[Section]) -> str:
    """A validation error as one line: key, what was found, what is allowed."""
    errors = error.errors()
    first = next(
        (found for found in errors if found["type"] == "extra_forbidden"), errors[0]
    )  # a misspelt key tells most
    more = f" ({error.error_count() - 1} more)" if error.error_count() > 1 else ""
    key = ".".join(str(part) for part in first["loc"])
    message = (
        first["msg"]
        .removeprefix("Value error, ")
        .replace("Input should be", "allowed:")
        .replace("String should", "allowed: must")
    )
    if first["type"] == "extra_forbidden":
        inside = str(first["loc"][0]) if len(first["loc"]) > 1 else ""
        section = Own if inside == "own" else SECTIONS.get(inside, model)
        return f"{key}: {unknown(str(first['loc'][-1]), [key for key in section.model_fields if key != 'name'])}{more}"
    if first["type"] == "value_error":
        return f"{key + ': ' if key else ''}{message}{more}"
    if first["type"] == "missing":
        return f"{key}: missing; it has no default, so the recipe must say it{more}"
    found = first["input"]
    if str(first["loc"][-1]) in HIDDEN:
        return f"{key}: found something else, {message}; the key itself never goes into a recipe{more}"
    hint = ""
    if isinstance(found, str) and re.fullmatch(r"[-+]?\d+e[-+]?\d+", found):
        hint = "; YAML reads a power as a number only with a point in it, as in 3.0e-4"
    return f"{key}: found {found!r}, {message}{hint}{more}"


def unknown(name: str, allowed: Any) -> str:
    """What to say of a name that nothing is called by."""
    near = difflib.get_close_matches(name, list(allowed), n=1)
    return f"unknown key '{name}'; {f'did you mean {near[0]}? ' if near else ''}allowed: {', '.join(allowed)}"


def notebook_defaults(notebook: str) -> dict[str, Scalar]:
    """Name → default of every parameter in the notebook's cell tagged `parameters`."""
    content = json.loads(paths.notebook(notebook).read_text(encoding="utf-8"))
    for cell in content["cells"]:
        if "parameters" in cell["metadata"].get("tags", []):
            return assigned("".join(cell["source"]))
    raise RecipeError(f"{notebook}.ipynb: no cell is tagged 'parameters'")


def assigned(source: str) -> dict[str, Scalar]:
    """The literals that a cell's plain assignments give to names; what is no literal is left out."""
    found = {}
    for node in ast.parse(source).body:
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            try:
                found[node.targets[0].id] = ast.literal_eval(node.value)
            except ValueError:
                continue
    return found


def parameters(planned: Recipe, notebook: str, /, **which: Scalar) -> dict[str, Scalar]:
    """What the engine passes to a notebook: `which` (dataset, arm, variant, seed) and the recipe's values for it."""
    settings = planned.settings(str(which.get("arm", "")), str(which.get("variant", MAIN))).model_dump()
    chosen = settings | {"recipe": planned.name} | which
    return {key: chosen[key] for key in notebook_defaults(notebook) if key in chosen}


def as_yaml(values: Mapping[str, Scalar]) -> str:
    """Parameters as one line of YAML, for papermill's `-y`. JSON will not do, though YAML reads it: what it writes as
    5e-05 is a text there, and an emoji becomes two halves of one.
    """
    return yaml.safe_dump(
        dict(values), default_flow_style=True, allow_unicode=True, sort_keys=False, width=float("inf")
    ).strip()


def ad_hoc(variant: str, changes: dict[str, Scalar]) -> str:
    """The name of a variant that no recipe declares, made from what was changed by hand."""
    if not changes:
        return variant
    named = ",".join(f"{key}={_tidy(value)}" for key, value in sorted(changes.items()))
    return named if variant == MAIN else f"{variant}+{named}"


def _tidy(value: Scalar) -> str:
    """A value as part of a folder's name; a checksum tells apart those that look alike without their odd characters."""
    plain = re.sub(r"[^A-Za-z0-9_.-]", "-", str(value))
    if plain == str(value) and len(plain) <= 40:
        return plain
    return f"{plain[:40]}-{hashlib.sha256(str(value).encode()).hexdigest()[:8]}"
