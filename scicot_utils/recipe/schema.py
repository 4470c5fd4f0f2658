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

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, use_attribute_docstrings=True)


class Questions(Section):
    """Where questions come from, and how many are used."""

    dataset_path: str = ""
    """The folder of a benchmark that is not embedded, in the hub's or its publishers' layout. Empty: embedded, or from
    the hub.
    """
    train_questions: int = Field(300, ge=0)
    """Training questions in the table. 0: all there are."""
    validation_questions: int = Field(300, ge=0)
    """Validation questions in the table. 0: all there are."""
    test_questions: int = Field(500, ge=0)
    """Test questions in the table. 0: all there are."""
    transfer_questions: int = Field(0, ge=0)
    """Questions in each of MicroSci's transfer tests, test_forms and test_domain. 0: none."""
    question_seed: int = Field(0, ge=0)
    """Seed of the questions that are generated, or of the sample taken."""


class Teacher(Section):
    """Which teacher is asked, how it is reached, what it may cost, and how it is prompted."""

    teacher: Literal["simulated", "openai", "local", "recorded"] = "simulated"
    """Who writes the rationales. openai: any server with that interface. local: a transformers model on this machine.
    recorded: a file of completions.
    """
    teacher_path: str = ""
    """recorded: the file or folder of completions."""
    teacher_columns: str = Field(
        "",
        pattern=r"^$|^({0})={1}(, ?({0})={1})*$".format(
            "id|question|text|rationale|answer|finish", r"[^\s,=]+( [^\s,=]+)*"
        ),
    )
    """recorded: which column holds what, as in id=qid, text=response.choices.0.text. Names: id, question, text, finish,
    or rationale and answer in place of text. Empty: a known form of file.
    """
    teacher_model: str = ""
    """openai: the model's name on the server. local: a hub name, folder or GGUF file. recorded: one of several models
    in a file.
    """
    teacher_base_url: str = Field("https://api.openai.com/v1", pattern=r"^https?://[^\s@?#]+$")
    """openai: the server's address. It has no place for a password or a key."""
    teacher_endpoint: Literal["chat", "completion"] = "chat"
    """openai: requests with messages (chat) or with plain text (completion)."""
    teacher_api_key_env: str = Field("OPENAI_API_KEY", pattern="^[A-Z][A-Z0-9_]{0,60}$")
    """openai: the environment variable that holds the API key. The default one is sent to the default address only. A
    server without keys needs none.
    """
    teacher_in_flight: int = Field(8, ge=1, le=1024)
    """openai: concurrent requests. local: texts in a batch."""
    teacher_timeout: float = Field(120.0, gt=0, le=3600)
    """openai: seconds that one attempt may take."""
    teacher_tries: int = Field(8, ge=1, le=20)
    """openai: attempts for one request, with growing pauses between them."""
    teacher_max_tokens: int = Field(512, ge=1)
    """openai, local: tokens in a completion. A longer one is cut. The filter drops it, unless it is correct_or_cut."""
    teacher_limit_as: Literal["max_tokens", "max_completion_tokens"] = "max_tokens"
    """openai: the name under which the server takes teacher_max_tokens."""
    teacher_omit: Literal["", "temperature", "seed", "temperature,seed"] = ""
    """openai: parameters that the model refuses, so that they are not sent."""
    teacher_rationale: Literal["text", "reasoning"] = "text"
    """openai, local: the rationale is the text, or what a reasoning model thought, where the server returns it."""
    teacher_prices: str = Field(
        "", pattern=r"^$|^[^\s,=]+=\d+(\.\d+)?/\d+(\.\d+)?(, ?[^\s,=]+=\d+(\.\d+)?/\d+(\.\d+)?)*$"
    )
    """openai: 'model=input/output, …' in USD per million tokens. The price of a model that is not listed is unknown."""
    max_usd: float = Field(0.0, ge=0)
    """openai: cap on the USD ever spent through the recipe's cache. It needs teacher_prices. 0: none."""
    max_requests: int = Field(0, ge=0)
    """openai: cap on the requests ever sent through the recipe's cache. 0: none."""
    teacher_splits: str = Field("train,validation,test", pattern=r"^train(,validation|,test|,test_[A-Za-z0-9_.-]+)*$")
    """Splits whose questions the teacher is asked, with commas. train is needed; the others serve controls.
    test_<benchmark>: of a benchmark in tested_on.
    """
    teacher_error_rate: Share = 0.05
    """simulated: chance that a recalled fact is wrong."""
    teacher_errors: Literal["random", "systematic"] = "random"
    """simulated: errors are drawn for each prompt and sample, or a fact is always recalled in the same way."""
    teacher_malformed_rate: Share = 0.02
    """simulated: chance of a completion without a usable answer."""
    teacher_refusal_rate: Share = 0.0
    """simulated: chance of a refusal."""
    teacher_truncation_rate: Share = 0.0
    """simulated: chance of a text that is cut midway."""
    teacher_wrong_answer_rate: Share = 0.0
    """simulated: chance of a wrong answer that the rationale does not lead to."""
    teacher_wrong_rationale_rate: Share = 0.0
    """simulated: share of questions with a wrong rationale and yet the right answer."""
    teacher_paraphrase: int = Field(1, ge=1, le=3)
    """simulated: number of wordings that are used at a temperature above 0. From 2 on, the order of sentences varies,
    too.
    """
    teacher_seed: int = Field(0, ge=0)
    """simulated, openai, local: the seed from which the samples' seeds are counted."""
    rationale_style: Literal["walk", "verdict", "justify", "terse"] = "walk"
    """simulated: walk discusses each option, verdict adds yes or no to each, justify gives the facts about the chosen
    one, terse nothing else.
    """
    prompt: Literal[
        "zero_shot_cot", "zero_shot_cot_one_call", "options_walked", "few_shot_cot", "gold_shown", "recorded"
    ] = "zero_shot_cot"
    """The prompt of the teacher. zero_shot_cot: Kojima et al.'s two calls. gold_shown shows the right answer. recorded
    goes with teacher recorded.
    """
    few_shot_examples: int = Field(3, ge=1, le=16)
    """few_shot_cot: number of worked training questions shown."""
    prompts_compared: str = Field(
        "zero_shot_cot,zero_shot_cot_one_call",
        pattern="^({0})(,({0}))*$".format("zero_shot_cot|zero_shot_cot_one_call|options_walked|few_shot_cot"),
    )
    """Prompts that notebook 02 compares, with commas. gold_shown is not among them, since it leaves nothing to answer.
    """
    dev_questions: int = Field(100, ge=1)
    """Validation questions that notebook 02 asks with each prompt."""
    temperature: float = Field(0.0, ge=0, le=2)
    """Sampling temperature of the teacher. 0: greedy."""
    samples: int = Field(1, ge=1, le=64)
    """D, rationales asked for per question (Ho et al., section 3.2)."""

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

    filter: Literal["correct", "correct_or_cut", "all"] = "correct"
    """Which rationales are kept. correct: those whose own answer is right. correct_or_cut: also if the text was cut, as
    in Fine-tune-CoT's code.
    """
    teacher_reading: Literal["conclusion", "strict", "paper"] = "conclusion"
    """How a teacher's answer is parsed. conclusion: what the text concludes, in any form. strict: after the prompt's
    cue. paper: as Fine-tune-CoT does.
    """
    rationale_markup: Literal["kept", "plain"] = "kept"
    """plain removes Markdown and LaTeX commands from rationales."""
    answer_reading: Literal["strict", "paper"] = "strict"
    """How a student's answer is parsed. strict: the one answer that is named. paper: as Fine-tune-CoT does, with its
    errors.
    """


class Training(Section):
    """The student, its templates, its training set and the hyperparameters of fine-tuning."""

    student: str = "micro"
    """micro, smollm2-135m, random/<architecture>, a hub name, a local folder, or a GGUF file."""
    tokenizer: str = ""
    """A hub name or local folder. Empty: the student's own."""
    template: Literal["options_first", "multimodal_cot", "finetune_cot"] = "options_first"
    """The form of the student's inputs."""
    answer_format: Literal["text", "label", "letter"] = "text"
    """What a student writes as its answer: the option's text, a sentence with its letter (label), or the letter. Open
    answers stand as they are.
    """
    stage2_order: Literal["rationale_first", "question_first"] = "rationale_first"
    """Order of the second stage's input."""
    stage2_source: Literal["teacher", "crossfit", "both"] = "teacher"
    """Rationales that the second stage learns from. crossfit: written by first-stage students for questions that they
    were not trained on.
    """
    crossfit_folds: int = Field(2, ge=2, le=20)
    """K, the folds of the training set for crossfit."""
    train_pool: int = Field(0, ge=0)
    """Training questions whose rationales are used, for D samples of a fixed number of questions. The teacher is asked
    about all. 0: all.
    """
    train_size: int = Field(0, ge=0)
    """Rationale pairs trained on. 0: all that were kept."""
    steps: int = Field(200, ge=0)
    """Optimiser steps per model. 0: as epochs says."""
    epochs: int = Field(0, ge=0)
    """Passes over a model's training pairs. 0: as steps says."""
    batch_size: int = Field(32, ge=1)
    """Training pairs per optimiser step."""
    micro_batches: int = Field(2, ge=1)
    """Parts of similar length that a batch is divided into. A divisor of batch_size."""
    learning_rate: float = Field(2e-3, gt=0, lt=1)
    """Peak learning rate of AdamW."""
    schedule: Literal["linear", "cosine", "constant", "constant_with_warmup"] = "cosine"
    """The course of the learning rate."""
    warmup_ratio: Share = 0.1
    """Share of the steps in which the learning rate rises. Without effect if schedule is constant."""
    weight_decay: Share = 0.05
    """Weight decay of AdamW."""
    adam_beta2: float = Field(0.98, gt=0, lt=1)
    """Second beta of AdamW."""
    max_grad_norm: float = Field(1.0, gt=0)
    """Norm to which gradients are clipped."""
    dropout: float = Field(0.1, ge=0, lt=1)
    """Dropout rate in training. 0 for models that have none."""
    freeze_embeddings: bool = True
    """Keep the word vectors of pretraining, also for words that training does not show."""
    max_input_tokens: int = Field(128, ge=8)
    """Tokens of a training input. A longer one is cut if max_cut_share allows it."""
    max_target_tokens: int = Field(96, ge=2)
    """Tokens of a training target, and of a generated text."""
    max_cut_share: Share = 0.0
    """Share of the training pairs that may be cut. If more would be, nothing is trained."""
    evaluation_batch_size: int = Field(128, ge=1)
    """Sequences per forward pass when students generate and score."""
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    """Precision of training (weights stay in fp32) and of generation. auto: bf16 if a GPU supports it, else fp32.
    Options are scored in fp32.
    """
    checkpoint_steps: int = Field(0, ge=0)
    """Optimiser steps between checkpoints, from which a killed training resumes. 0: none."""
    choose_by: Literal["last", "validation_loss"] = "last"
    """The weights that are kept: the last, or those with the lowest loss on validation rationales."""
    threads: int = Field(1, ge=1)
    """CPU threads of one training. A result depends on their number."""

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

    architecture: Literal["micro-small", "micro", "micro-large"] = "micro"
    """Size of the embedded student."""
    pretraining_steps: int = Field(20_000, ge=20)
    """Most optimiser steps of all phases together."""
    pretraining_batch_size: int = Field(48, ge=1)
    """Sequences per optimiser step."""
    pretraining_learning_rate: float = Field(1.5e-3, gt=0, lt=1)
    """Peak learning rate of the first phase, AdamW."""


class Evidence(Section):
    """How results are tested and shown."""

    confidence: float = Field(0.95, gt=0.5, le=0.99)
    """Confidence level of the results' intervals and tests."""
    margin: float = Field(5.0, gt=0, le=50)
    """Percentage points. Arms are called no different if the interval of their difference contains zero and lies within
    this margin.
    """
    shots: int = Field(4, ge=1, le=64)
    """Exemplars of the arms few_shot and few_shot_cot, from train."""
    order_questions: int = Field(50, ge=0)
    """Test questions that are asked again in every rotation of their options. 0: none."""


OWN = "own-"  # internal prefix of the user's own benchmarks; a recipe writes `own/<name>`


class Own(Section):
    """A benchmark of the user's own: where it is, and which column holds what. A name with dots, such as
    `question.stem`, reaches into nested values.
    """

    path: str = Field(min_length=1)
    """A file (JSON lines, JSON, CSV, TSV, Parquet, Arrow), or a folder with one for each split."""
    question: str | Annotated[list[str], Field(min_length=1)] = "question"
    """The column, or a list of columns that are joined in this order, as in [passage, question]."""
    options: str = ""
    """A column with a list or a mapping, or several columns, with commas. Empty: open answers."""
    answer: str = "answer"
    """The column of an option's label, text or place, of 0 and 1 for each option, or of an open answer."""
    answer_is: Literal["", "label", "text", "place", "place_from_1"] = ""
    """How the right option is named. Empty: in the one way that fits the file."""
    answers: str = ""
    """Open answers: number, yes_no, word, or the few there are, as in 'yes, no, maybe'. Empty: as they look."""
    id: str = ""
    """The column of a name for each row. Empty: the row's number."""
    split: str = ""
    """The column of the split, where files are not named after it. Empty: from their names, or by shares of one file."""
    test_share: float = Field(0.2, gt=0, lt=0.9)
    """Share of one file for test."""
    validation_share: float = Field(0.1, gt=0, lt=0.5)
    """Share of one file for validation."""
    seed: int = Field(0, ge=0)
    """Seed of the shares."""
    faulty: Literal["stop", "drop"] = "stop"
    """Rows that are no question end the run, or are left out and counted."""

    @property
    def answer_set(self) -> list[str]:
        """The few answers that there are, which become the options of every question; [] if `answers` is a kind."""
        return [answer.strip() for answer in self.answers.split(",")] if "," in self.answers else []

    @field_validator("question", "options", "answer", "id", "split", mode="before")
    @classmethod
    def _column_by_number(cls, column: object) -> object:
        if isinstance(column, list):
            return [*map(cls._column_by_number, column)]
        return str(column) if type(column) is int else column  # of a table without a header

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
