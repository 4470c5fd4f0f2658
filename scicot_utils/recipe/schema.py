"""Every key of a recipe: its section, unit, allowed values and default. They are declared only here."""

from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from scicot_utils import ScicotError

# Keys for access to a teacher and for its cost. They do not affect its answers, so a change makes no variant.
REACHED_BY = (
    "teacher_base_url", "teacher_api_key_env", "teacher_in_flight", "teacher_timeout", "teacher_tries",
    "teacher_limit_as", "teacher_prices", "max_usd", "max_requests",
)  # fmt: skip
NOT_LEARNED = ("teacher_splits", *REACHED_BY)  # keys that do not affect what is learned from training questions
HIDDEN = ("teacher_api_key_env",)  # values never shown in a message: somebody may have put the API key itself there
# Keys of training that do not affect stage 1.
AFTER_STAGE1 = ("stage2_order", "stage2_source", "crossfit_folds", "answer_format")

ARCHITECTURES = ("micro", "micro-small", "micro-large", "t5-tiny", "bart-tiny", "gpt2-tiny")  # of random/<architecture>

Scalar = str | int | float | bool
Share = Annotated[float, Field(ge=0, le=1)]


class RecipeError(ScicotError):
    """A recipe, or a parameter given to a notebook, is invalid."""


def wrong(key: str, found: object, allowed: str) -> ValueError:
    """The error of a value that its type allows and a recipe does not."""
    shown = f"'{found}'" if isinstance(found, str) else found
    return ValueError(f"{key}: found {shown}, allowed: {allowed}")


class Section(BaseModel):
    """Base class of all sections: strict types, no unknown keys, immutable."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Questions(Section):
    """Where questions come from, and how many are used."""

    # local folder in the hub's layout, or one of such folders or files; empty: embedded or hub data
    dataset_path: str = ""
    train_questions: int = Field(300, ge=0)  # questions in the table; 0: all there are
    validation_questions: int = Field(300, ge=0)  # as train_questions
    test_questions: int = Field(500, ge=0)  # as train_questions
    # in each transfer test, test_forms and test_domain; 0: none; only of generated benchmarks
    transfer_questions: int = Field(0, ge=0)
    question_seed: int = Field(0, ge=0)  # seed of the generator, or of the sample taken


class Teacher(Section):
    """Which teacher is asked, how it is reached, what it may cost, and how it is prompted."""

    # openai: any server with that interface; local: a transformers model on this machine
    teacher: Literal["simulated", "openai", "local", "recorded"] = "simulated"
    teacher_path: str = ""  # recorded: file or folder of completions, see teachers.forms
    # recorded: where rows hold what, as in 'id=qid, text=response.choices.0.text'; also question, finish, and
    # rationale, answer in place of text
    teacher_columns: str = Field(
        "",
        pattern=r"^$|^({0})={1}(, ?({0})={1})*$".format(
            "id|question|text|rationale|answer|finish", r"[^\s,=]+( [^\s,=]+)*"
        ),
    )
    # openai: as the server calls it; local: hub name, folder or GGUF file; recorded: one of several in an export
    teacher_model: str = ""
    # openai: where the server is; a password or a key has no place in it
    teacher_base_url: str = Field("https://api.openai.com/v1", pattern=r"^https?://[^\s@?#]+$")
    teacher_endpoint: Literal["chat", "completion"] = "chat"  # openai: with messages or plain text
    # openai: name of the environment variable with the key; the default one's goes to the default teacher_base_url
    # only; a server without keys needs none
    teacher_api_key_env: str = Field("OPENAI_API_KEY", pattern="^[A-Z][A-Z0-9_]{0,60}$")
    teacher_in_flight: int = Field(8, ge=1, le=1024)  # openai: requests under way at once; local: texts in a batch
    teacher_timeout: float = Field(120.0, gt=0, le=3600)  # openai: seconds that one try may take
    teacher_tries: int = Field(8, ge=1, le=20)  # openai: of one request, with growing pauses between them
    teacher_max_tokens: int = Field(512, ge=1)  # openai, local: in a completion; a longer one is cut, and dropped
    # openai: under which name the server takes teacher_max_tokens
    teacher_limit_as: Literal["max_tokens", "max_completion_tokens"] = "max_tokens"
    # openai: parameters not sent to a model that refuses them, and then decides them itself
    teacher_omit: Literal["", "temperature", "seed", "temperature,seed"] = ""
    # openai, local: reasoning: what a reasoning model thought, where it tells, is the rationale
    teacher_rationale: Literal["text", "reasoning"] = "text"
    # openai: 'model=input/output, …' in USD per million tokens; a model not listed: price unknown
    teacher_prices: str = Field(
        "", pattern=r"^$|^[^\s,=]+=\d+(\.\d+)?/\d+(\.\d+)?(, ?[^\s,=]+=\d+(\.\d+)?/\d+(\.\d+)?)*$"
    )
    # openai: cap on USD ever spent through the recipe's cache; 0: none; needs teacher_prices
    max_usd: float = Field(0.0, ge=0)
    max_requests: int = Field(0, ge=0)  # openai: cap on requests ever sent through the recipe's cache; 0: none
    # splits asked; train is needed, others serve controls; test_<benchmark>: of one in tested_on
    teacher_splits: str = Field("train,validation,test", pattern=r"^train(,validation|,test|,test_[A-Za-z0-9_.-]+)*$")
    teacher_error_rate: Share = 0.05  # simulated: chance that a recalled fact is wrong
    # simulated: drawn per prompt and sample, or each fact always recalled in the same way
    teacher_errors: Literal["random", "systematic"] = "random"
    teacher_malformed_rate: Share = 0.02  # simulated: chance of no usable answer
    teacher_refusal_rate: Share = 0.0  # simulated: chance of a refusal
    teacher_truncation_rate: Share = 0.0  # simulated: chance of a text cut midway
    teacher_wrong_answer_rate: Share = 0.0  # simulated: chance of a wrong answer that the rationale does not lead to
    # simulated: share of questions with a wrong rationale and yet the right answer
    teacher_wrong_rationale_rate: Share = 0.0
    # simulated: wordings, openings varied over at temperature > 0; from 2 orders, too
    teacher_paraphrase: int = Field(1, ge=1, le=3)
    teacher_seed: int = Field(0, ge=0)  # simulated, openai, local: seed that the samples' seeds start from
    # simulated: line of each option | with yes or no | of the chosen one | and nothing else
    rationale_style: Literal["walk", "verdict", "justify", "terse"] = "walk"
    prompt: Literal[
        "zero_shot_cot", "zero_shot_cot_one_call", "options_walked", "few_shot_cot", "gold_shown", "recorded"
    ] = "zero_shot_cot"
    few_shot_examples: int = Field(3, ge=1, le=16)  # few_shot_cot: worked training questions shown
    # notebook 02: names, by comma; not gold_shown, which has nothing left to answer
    prompts_compared: str = Field(
        "zero_shot_cot,zero_shot_cot_one_call",
        pattern="^({0})(,({0}))*$".format("zero_shot_cot|zero_shot_cot_one_call|options_walked|few_shot_cot"),
    )
    dev_questions: int = Field(100, ge=1)  # notebook 02: validation questions asked per prompt
    temperature: float = Field(0.0, ge=0, le=2)  # 0: greedy
    samples: int = Field(1, ge=1, le=64)  # D, rationales asked per question (Ho et al., section 3.2)

    @model_validator(mode="after")
    def _can_be_asked(self) -> Self:
        if self.prompt == "gold_shown" and self.teacher_splits != "train":
            reason = "prompt 'gold_shown' would show the teacher the right answers of unseen questions"
            raise wrong("teacher_splits", self.teacher_splits, f"train, since {reason}")
        if self.teacher in ("openai", "local") and not self.teacher_model:
            raise wrong("teacher_model", "", f"the name of a model, which teacher '{self.teacher}' needs")
        if self.teacher == "openai" and self.max_usd and self.price() is None:
            priced = f"0, or a price for '{self.teacher_model}' in teacher_prices"
            raise wrong("max_usd", self.max_usd, f"{priced}, since a cap on money cannot be kept at an unknown price")
        return self

    @field_validator("teacher_columns")
    @classmethod
    def _one_source_of_words(cls, columns: str) -> str:
        parts = [pair.split("=")[0].strip() for pair in columns.split(",")]
        if columns and (("text" in parts) == ("rationale" in parts) or ("text" in parts and "answer" in parts)):
            raise ValueError(
                f"found '{columns}', allowed: a column of text, or one of rationale, with answer or without"
            )
        return columns

    def price(self) -> tuple[float, float] | None:
        """(input, output) price of the teacher's model in USD per million tokens; None if unknown."""
        prices = dict(entry.strip().rsplit("=", 1) for entry in self.teacher_prices.split(",") if entry)
        if self.teacher_model not in prices:
            return None
        input_price, output_price = map(float, prices[self.teacher_model].split("/"))
        return input_price, output_price


class Rationales(Section):
    """Which rationales are kept, and how answers of teachers and students are read."""

    # keep a rationale iff its answer is right; correct_or_cut: though its text was cut, as Fine-tune-CoT
    filter: Literal["correct", "correct_or_cut", "all"] = "correct"
    # of teachers: what a text concludes, in any form | after the prompt's cue | Fine-tune-CoT's
    teacher_reading: Literal["conclusion", "strict", "paper"] = "conclusion"
    rationale_markup: Literal["kept", "plain"] = "kept"  # plain: without Markdown and LaTeX commands
    # of students: the one answer named; paper: Fine-tune-CoT's own, including its errors
    answer_reading: Literal["strict", "paper"] = "strict"


class Training(Section):
    """The student, its templates, its training set and the hyperparameters of fine-tuning."""

    student: str = "micro"  # micro | smollm2-135m | random/<architecture> | hub name | local folder | GGUF file
    tokenizer: str = ""  # hub name or local folder; empty: the student's own
    template: Literal["options_first", "multimodal_cot", "finetune_cot"] = "options_first"  # student's prompts
    # the option's text, a sentence with its letter, or the letter; open answers: themselves
    answer_format: Literal["text", "label", "letter"] = "text"
    stage2_order: Literal["rationale_first", "question_first"] = "rationale_first"
    # rationales stage 2 learns from; crossfit: written by stage 1 students on held-out folds
    stage2_source: Literal["teacher", "crossfit", "both"] = "teacher"
    crossfit_folds: int = Field(2, ge=2, le=20)  # K, folds of the training set for crossfit
    # training questions whose rationales are trained on; 0: all (for D at a fixed number of them); the teacher is asked
    # about all the same
    train_pool: int = Field(0, ge=0)
    train_size: int = Field(0, ge=0)  # rationale pairs trained on; 0: all that were kept
    steps: int = Field(200, ge=0)  # optimiser steps per model; 0: as many as epochs takes
    epochs: int = Field(0, ge=0)  # passes over a model's training pairs; 0: steps says it
    batch_size: int = Field(32, ge=1)  # sequences per step
    micro_batches: int = Field(2, ge=1)  # parts of like length that a batch is cut into; divides batch_size
    learning_rate: float = Field(2e-3, gt=0, lt=1)  # peak, AdamW
    schedule: Literal["linear", "cosine", "constant", "constant_with_warmup"] = "cosine"
    warmup_ratio: Share = 0.1  # share of the steps
    weight_decay: Share = 0.05
    adam_beta2: float = Field(0.98, gt=0, lt=1)
    max_grad_norm: float = Field(1.0, gt=0)
    dropout: float = Field(0.1, ge=0, lt=1)
    freeze_embeddings: bool = True  # unseen words keep the vectors of pretraining
    max_input_tokens: int = Field(128, ge=8)  # in training longer inputs are cut, and counted
    max_target_tokens: int = Field(96, ge=2)  # longer targets are cut, and counted
    max_cut_share: Share = 0.0  # share of the training pairs that may be cut; more ends the training before it begins
    evaluation_batch_size: int = Field(128, ge=1)  # sequences per forward pass
    # of training (weights stay fp32) and of writing; auto: bf16 if a GPU has it, else fp32. Options are scored in fp32
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    # optimiser steps between checkpoints, from which a killed training goes on; 0: none
    checkpoint_steps: int = Field(0, ge=0)
    # which checkpoint is kept; validation_loss: the least on kept validation rationales
    choose_by: Literal["last", "validation_loss"] = "last"
    threads: int = Field(1, ge=1)  # CPU threads of one training; part of what makes a run repeatable

    @field_validator("student")
    @classmethod
    def _known_architecture(cls, student: str) -> str:
        if student.startswith("random/") and student.removeprefix("random/") not in ARCHITECTURES:
            allowed = ", ".join(f"random/{name}" for name in ARCHITECTURES)
            raise ValueError(f"found '{student}', allowed: {allowed}, a hub name or a local folder")
        return student

    @model_validator(mode="after")
    def _steps_and_batches_fit(self) -> Self:
        if bool(self.steps) == bool(self.epochs):
            raise ValueError(
                f"epochs: found {self.epochs} with steps {self.steps}, allowed: exactly one of the two above 0"
            )
        if self.batch_size % self.micro_batches:
            raise wrong("micro_batches", self.micro_batches, f"a divisor of batch_size {self.batch_size}")
        if self.choose_by == "validation_loss" and not self.checkpoint_steps:
            raise wrong("checkpoint_steps", 0, "from 1, since choose_by validation_loss needs checkpoints")
        return self


class Pretraining(Section):
    """Pretraining of the embedded student, in appendix notebook A1."""

    architecture: Literal["micro-small", "micro", "micro-large"] = "micro"  # sizes of one family
    pretraining_steps: int = Field(20_000, ge=20)  # most optimiser steps of all phases together
    pretraining_batch_size: int = Field(48, ge=1)  # sequences per step
    pretraining_learning_rate: float = Field(1.5e-3, gt=0, lt=1)  # peak of the first phase, AdamW


class Evidence(Section):
    """How results are tested and shown."""

    confidence: float = Field(0.95, gt=0.5, le=0.99)  # of every interval
    # percentage points within which the whole interval of no difference must lie
    margin: float = Field(5.0, gt=0, le=50)
    shots: int = Field(4, ge=1, le=64)  # exemplars of the arms few_shot and few_shot_cot, from train
    # test questions asked again in every rotation of their options, main variant; 0: none
    order_questions: int = Field(50, ge=0)


OWN = "own-"  # internal prefix of the user's own benchmarks; a recipe writes `own/<name>`


class Own(Section):
    """A benchmark of the user's own: where it is, and which column holds what. A name with dots, such as
    `question.stem`, reaches into nested values.
    """

    path: str = Field(min_length=1)  # a file (JSON lines, JSON, CSV, TSV, Parquet), or a folder with one a split
    # column, or a list of columns that are joined in this order, as [passage, question]
    question: str | Annotated[list[str], Field(min_length=1)] = "question"
    options: str = ""  # a column with a list or a mapping, or columns by comma; empty: open answers
    # column of an option's label, text or place, of 0 and 1 for each option, or of an open answer
    answer: str = "answer"
    # how the right option is named; empty: in the one way that fits the file
    answer_is: Literal["", "label", "text", "place", "place_from_1"] = ""
    answers: str = ""  # open ones: number, yes_no, word; or the few there are, as 'yes, no, maybe'; empty: as they look
    id: str = ""  # column; empty: the row's number
    split: str = ""  # column; empty: the files' names, or shares of one file
    test_share: float = Field(0.2, gt=0, lt=0.9)
    validation_share: float = Field(0.1, gt=0, lt=0.5)
    seed: int = Field(0, ge=0)  # of the shares
    faulty: Literal["stop", "drop"] = "stop"  # rows that are no question: end the run, or leave out and count

    @property
    def answer_set(self) -> list[str]:
        """The few answers that there are, which become the options of every question; [] if `answers` is a kind."""
        return [answer.strip() for answer in self.answers.split(",")] if "," in self.answers else []

    @field_validator("answers")
    @classmethod
    def _kind_or_several(cls, answers: str) -> str:
        several = [answer.strip().casefold() for answer in answers.split(",")]
        is_set = len(several) > 1 and all(several) and len({*several}) == len(several)
        if answers not in ("", "number", "yes_no", "word") and not is_set:
            raise ValueError(
                f"found '{answers}', allowed: number, yes_no, word, or the few that there are, as in 'yes, no, maybe'"
            )
        return answers


SECTIONS: dict[str, type[Section]] = {
    section.__name__.lower(): section for section in (Questions, Teacher, Rationales, Pretraining, Training, Evidence)
}


class Settings(Questions, Teacher, Rationales, Pretraining, Training, Evidence):
    """All leaf keys with their values for one arm and variant."""


SECTION_OF = {key: name for name, section in SECTIONS.items() for key in section.model_fields}
STAGES = tuple(SECTIONS)  # in order: a key affects the output of its stage and of all later ones
