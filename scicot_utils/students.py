"""Students: encoder-decoders from the hub, a folder or a seed; fine-tune, generate, score and save them.

It is not about what a student is asked: inputs and targets are plain texts (see `prompts` and `arms`).
"""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from tokenizers import Regex, Tokenizer, decoders, normalizers, pre_tokenizers, processors
from tokenizers.models import WordLevel
from tqdm import tqdm
from transformers import (
    AutoModelForSeq2SeqLM,
    AutoTokenizer,
    BartConfig,
    GenerationConfig,
    PreTrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerFast,
    Seq2SeqTrainer,
    Seq2SeqTrainingArguments,
    StoppingCriteria,
    StoppingCriteriaList,
    T5Config,
    TrainerCallback,
    set_seed,
)
from transformers.utils import logging as transformers_logging

from scicot_utils import ScicotError, microsci, paths

IGNORED = -100  # the label that PyTorch's cross-entropy leaves out
SPECIAL_TOKENS = {"pad": "<pad>", "bos": "<s>", "eos": "</s>", "unk": "<unk>", "mask": microsci.MASK}
GROUPED_FROM = 256  # tokens of input and target together from which batches are formed by length
MICRO_POSITIONS = 192  # longest micro sequence in use: about 100 tokens (rationale, options, question)


class StudentError(ScicotError):
    """A student that cannot be loaded, trained or asked."""


@dataclass
class Student:
    """An encoder-decoder with its tokenizer; `name` says where it came from. `fine_tune` changes `model`."""

    model: PreTrainedModel
    tokenizer: Any  # a fast tokenizer; the class differs by model family
    name: str


@dataclass(frozen=True)
class Generated:
    """A generated text; `truncated` where it had no end within the tokens allowed."""

    text: str
    truncated: bool


@dataclass(frozen=True)
class TrainingLog:
    """What a fine-tuning did. Losses are means over target tokens, in nats."""

    losses: list[tuple[int, float]]  # (step, mean loss since the step before)
    validation_loss: float | None
    seconds: float
    steps: int
    trainable_parameters: int
    total_parameters: int
    inputs_cut: int  # training pairs whose input was longer than max_input_tokens
    targets_cut: int


# Tokenizer and architectures


def word_tokenizer(words: Sequence[str]) -> PreTrainedTokenizerFast:
    """A lower-casing tokenizer: one token a word, label "(a)" or punctuation mark of `words`."""
    tokens = [*SPECIAL_TOKENS.values(), *words]
    tokenizer = Tokenizer(WordLevel({t: i for i, t in enumerate(tokens)}, unk_token=SPECIAL_TOKENS["unk"]))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex(microsci.WORD.pattern), "removed", invert=True)
    tokenizer.decoder = decoders.WordPiece(prefix="##", cleanup=True)  # no space before "." or ","
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"$A {SPECIAL_TOKENS['eos']}",
        special_tokens=[(SPECIAL_TOKENS["eos"], tokens.index(SPECIAL_TOKENS["eos"]))],
    )
    named = {f"{name}_token": token for name, token in SPECIAL_TOKENS.items()}
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, model_max_length=MICRO_POSITIONS, **named)


def _micro(width: int, layers: int) -> Callable[[Any], BartConfig]:
    def configure(tokenizer: Any) -> BartConfig:
        return BartConfig(
            vocab_size=len(tokenizer), d_model=width, encoder_layers=layers, decoder_layers=layers,
            encoder_attention_heads=4, decoder_attention_heads=4, encoder_ffn_dim=2 * width,
            decoder_ffn_dim=2 * width, max_position_embeddings=MICRO_POSITIONS, dropout=0.1,
            pad_token_id=tokenizer.pad_token_id, bos_token_id=tokenizer.bos_token_id,
            eos_token_id=tokenizer.eos_token_id, decoder_start_token_id=tokenizer.bos_token_id,
            forced_eos_token_id=None,
        )  # fmt: skip

    return configure


def _t5_tiny(tokenizer: Any) -> T5Config:
    return T5Config(
        vocab_size=len(tokenizer), d_model=64, d_kv=16, d_ff=128, num_layers=2, num_decoder_layers=2,
        num_heads=4, pad_token_id=tokenizer.pad_token_id, eos_token_id=tokenizer.eos_token_id,
        decoder_start_token_id=tokenizer.pad_token_id,
    )  # fmt: skip


ARCHITECTURES = {
    "micro": _micro(128, 2),  # the embedded student: BART with absolute positions, 2+2 layers of width 128
    "micro-small": _micro(64, 2),
    "micro-large": _micro(192, 3),
    "t5-tiny": _t5_tiny,  # an untrained T5 of width 64, to try the real T5 tokenizer without a download
}


def load(student: str, tokenizer: str = "", seed: int = 0) -> Student:
    """The student named: "micro" (shipped), "random/<architecture>", or a hub name or folder of safetensors.

    `tokenizer` is a hub name or folder; empty means the student's own. Raises StudentError, in one line,
    for an unknown architecture and where nothing of that name can be read.
    """
    prefix, _, architecture = student.partition("/")
    if prefix == "random":
        if architecture not in ARCHITECTURES:
            allowed = ", ".join(f"random/{name}" for name in ARCHITECTURES)
            raise StudentError(f"student {student!r}: unknown architecture; allowed are {allowed}")
        if not tokenizer and not architecture.startswith("micro"):
            raise StudentError(f"student {student!r} has no tokenizer of its own: name a folder or a hub name")
        if tokenizer:
            words = _tokenizer(tokenizer, T5Config() if architecture == "t5-tiny" else None)
        else:
            words = word_tokenizer(microsci.vocabulary(microsci.load_world()))
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            model = AutoModelForSeq2SeqLM.from_config(ARCHITECTURES[architecture](words))
        return Student(model.eval(), words, student)
    source = paths.source(student)
    with _one_line("student", source), _no_progress_bars():
        model = AutoModelForSeq2SeqLM.from_pretrained(source, use_safetensors=True, dtype=torch.float32)
    return Student(model.eval(), _tokenizer(tokenizer or source), student)


def _tokenizer(source: str, config: PreTrainedConfig | None = None) -> Any:
    """`config` names the family where the folder holds a bare tokenizer, without a config.json."""
    with _one_line("tokenizer", source):
        return AutoTokenizer.from_pretrained(source, config=config)


@contextmanager
def _one_line(what: str, source: str) -> Iterator[None]:
    """Turn the libraries' long messages about a missing file into one line; the cause stays attached."""
    try:
        yield
    except (OSError, ValueError) as error:
        offline = ", offline (HF_HUB_OFFLINE=1)" if os.environ.get("HF_HUB_OFFLINE") == "1" else ""
        place = "a folder" if Path(source).is_dir() else f"no folder, nor on the hub or in its cache{offline}"
        reason = next((line.strip() for line in str(error).splitlines() if line.strip()), "no reason given")
        raise StudentError(
            f"{what} {source!r} cannot be read ({place}): {reason} Needed are config.json, a tokenizer and "
            f"safetensors weights: name such a folder, download the model first, or use 'micro'."
        ) from error


@contextmanager
def _no_progress_bars() -> Iterator[None]:
    """Without the bar over weight files, which takes longer to draw than a small model to load."""
    shown = transformers_logging.is_progress_bar_enabled()
    transformers_logging.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            transformers_logging.enable_progress_bar()


def parameters(student: Student) -> int:
    """Number of parameters, shared ones once."""
    return sum(parameter.numel() for parameter in student.model.parameters())


def save(student: Student, folder: Path) -> None:
    """Write model and tokenizer to `folder`, complete or not at all; an earlier one there is replaced."""
    folder = Path(folder)
    folder.parent.mkdir(parents=True, exist_ok=True)
    part = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    try:
        part.chmod(0o755)  # mkdtemp's folders are private
        with _no_progress_bars():
            student.model.save_pretrained(part)
        student.tokenizer.save_pretrained(part)
        for file in part.iterdir():
            file.chmod(0o644)  # safetensors writes for the owner only
        if folder.exists():
            old = part.with_name(f"{part.name}-old")
            folder.rename(old)
            part.rename(folder)
            shutil.rmtree(old)
        else:
            part.rename(folder)
    finally:
        shutil.rmtree(part, ignore_errors=True)


# Texts to numbers


def _ids(student: Student, texts: Sequence[str], limit: int = 0) -> tuple[list[list[int]], int]:
    """Token ids with EOS; those over `limit` are cut (EOS kept) and counted. limit 0: none is cut."""
    encoded = student.tokenizer(list(texts), verbose=False)["input_ids"] if texts else []
    too_long = [index for index, ids in enumerate(encoded) if limit and len(ids) > limit]
    for index in too_long:
        encoded[index] = [*encoded[index][: limit - 1], student.tokenizer.eos_token_id]
    return encoded, len(too_long)


def _padded(rows: Sequence[Sequence[int]], value: int) -> torch.Tensor:
    width = max(len(row) for row in rows)
    return torch.tensor([[*row, *[value] * (width - len(row))] for row in rows])


def _batch(student: Student, inputs: Sequence[Sequence[int]]) -> dict[str, torch.Tensor]:
    positions = getattr(student.model.config, "max_position_embeddings", 0)
    longest = max(len(row) for row in inputs)
    if positions and longest > positions:
        raise StudentError(
            f"student {student.name!r} reads {positions} tokens; an input has {longest}: shorten that input"
        )
    ids = _padded(inputs, student.tokenizer.pad_token_id)
    mask = _padded([[1] * len(row) for row in inputs], 0)
    return {"input_ids": ids.to(student.model.device), "attention_mask": mask.to(student.model.device)}


def _batches(lengths: Sequence[int], size: int) -> Iterator[list[int]]:
    """Indices by length, so that a batch holds little padding; ties keep their order."""
    order = sorted(range(len(lengths)), key=lambda index: lengths[index])
    for start in range(0, len(order), size):
        yield order[start : start + size]


# Fine-tuning


@dataclass
class _Recorder(TrainerCallback):
    """Keeps the losses, draws one bar in place of the Trainer's tables, and ends the training early if told to."""

    show: bool
    enough: Callable[[], bool] | None
    check_steps: int
    losses: list[tuple[int, float]] = field(default_factory=list)
    bar: Any = None

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self.bar = tqdm(total=state.max_steps, unit="step", disable=not self.show, mininterval=1.0)

    def on_step_end(self, args: Any, state: Any, control: Any, model: Any = None, **_: Any) -> None:
        self.bar.update(1)
        if self.enough and state.global_step % self.check_steps == 0:
            model.eval()
            control.should_training_stop = self.enough()
            model.train()

    def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **_: Any) -> None:
        if logs and "loss" in logs:
            self.losses.append((state.global_step, float(logs["loss"])))
            self.bar.set_postfix(loss=f"{float(logs['loss']):.3f}", refresh=False)

    def on_train_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self.bar.close()


def fine_tune(
    student: Student,
    pairs: Sequence[tuple[str, str]],
    *,
    output_dir: Path,
    steps: int,
    batch_size: int,
    learning_rate: float,
    schedule: str,
    warmup_ratio: float,
    weight_decay: float,
    max_grad_norm: float,
    dropout: float,
    freeze_embeddings: bool,
    max_input_tokens: int,
    max_target_tokens: int,
    seed: int,
    adam_beta2: float,
    threads: int,
    micro_batches: int = 1,
    weigh: str = "token",
    prefixes: Sequence[str] = (),
    enough: Callable[[], bool] | None = None,
    check_steps: int = 250,
    validation_pairs: Sequence[tuple[str, str]] = (),
    show_progress: bool = True,
    save_steps: int = 0,
) -> TrainingLog:
    """Train `student` in place on (input, target) texts with AdamW and the Trainer.

    `schedule` is a name of transformers' SchedulerType; `warmup_ratio` the share of `steps` in which the rate
    rises; a token limit of 0 cuts nothing. `threads` > 0 fixes PyTorch's CPU threads: with it, a seed gives
    bit-identical weights on one machine. `micro_batches` > 1 cuts every batch into parts of like length, to be padded
    less; the gradient is their mean. In the loss of a part each `token` of its targets weighs alike, or with `weigh`
    "pair" each pair of the batch, by the mean of its tokens. With `prefixes`, one for each pair, a target's prefix stands in the decoder
    already: it is read, not learned. Training ends before `steps` if `enough`, asked every `check_steps`, says so; it
    may ask the student, and must draw no random numbers. Checkpoints go to `output_dir` every `save_steps` steps (0: none),
    and training resumes from the last one there.
    """
    if batch_size % micro_batches:
        raise StudentError(f"fine_tune: a batch of {batch_size} cannot be cut into {micro_batches} equal parts")
    if not pairs or steps < 1:
        raise StudentError(f"fine_tune: {len(pairs)} pairs and {steps} steps; at least one of each is needed")
    if threads > 0:
        torch.set_num_threads(threads)
    set_seed(seed)
    student.model = _with_dropout(student.model, dropout)
    if freeze_embeddings:
        student.model.get_input_embeddings().requires_grad_(False)
    inputs, inputs_cut = _ids(student, [source for source, _ in pairs], max_input_tokens)
    targets, skipped, targets_cut = _targets(student, [target for _, target in pairs], prefixes, max_target_tokens)
    rows = [
        {"input_ids": source, "labels": target, "skipped": skip, "length": len(source) + len(target)}
        for source, target, skip in zip(inputs, targets, skipped, strict=True)
    ]

    def collate(batch: list[dict[str, Any]]) -> dict[str, torch.Tensor]:
        encoded = _batch(student, [row["input_ids"] for row in batch])
        labels = _padded([row["labels"] for row in batch], IGNORED)
        if weigh == "pair" or any(row["skipped"] for row in batch):
            encoded["decoder_input_ids"] = student.model.prepare_decoder_input_ids_from_labels(labels)
            labels = labels.masked_fill(~_after([row["skipped"] for row in batch], labels), IGNORED)
        return {**{name: tensor.cpu() for name, tensor in encoded.items()}, "labels": labels}

    arguments = Seq2SeqTrainingArguments(
        output_dir=str(output_dir), max_steps=steps, per_device_train_batch_size=batch_size // micro_batches,
        gradient_accumulation_steps=micro_batches,
        learning_rate=learning_rate, lr_scheduler_type=schedule, warmup_steps=round(warmup_ratio * steps),
        weight_decay=weight_decay, max_grad_norm=max_grad_norm, adam_beta2=adam_beta2,
        optim="adamw_torch_fused", seed=seed,
        data_seed=seed, train_sampling_strategy=_sampling(rows, micro_batches), remove_unused_columns=False,
        save_strategy="steps" if save_steps else "no", save_steps=save_steps or 500, save_total_limit=1,
        logging_strategy="steps", logging_steps=max(1, steps // 50), logging_nan_inf_filter=False,
        disable_tqdm=True, report_to="none", dataloader_pin_memory=torch.cuda.is_available(),
        use_cpu=not torch.cuda.is_available(),
    )  # fmt: skip
    data = Dataset.from_list(rows) if micro_batches > 1 else rows  # the sampler takes lengths from a Dataset only
    recorder = _Recorder(show_progress, enough, check_steps)

    def mean_of_pairs(outputs: Any, labels: torch.Tensor, num_items_in_batch: Any = None) -> torch.Tensor:
        each = _loss_by_pair(outputs.logits, labels)
        return each.sum() / batch_size if micro_batches > 1 else each.mean()  # parts differ in size, and are summed

    trainer = Seq2SeqTrainer(
        model=student.model,
        args=arguments,
        train_dataset=data,
        data_collator=collate,
        compute_loss_func=mean_of_pairs if weigh == "pair" else None,
    )
    trainer.model_accepts_loss_kwargs = False  # BART takes the batch's token count and ignores it: average, not sum
    for callback in [type(known) for known in trainer.callback_handler.callbacks if _prints(known)]:
        trainer.remove_callback(callback)
    trainer.add_callback(recorder)
    start = time.perf_counter()
    trainer.train(resume_from_checkpoint=_has_checkpoint(Path(output_dir)) if save_steps else None)
    seconds = time.perf_counter() - start
    trainable = sum(p.numel() for p in student.model.parameters() if p.requires_grad)
    student.model.requires_grad_(True).eval()
    validation_loss = _loss(student, validation_pairs, batch_size) if validation_pairs else None
    total = parameters(student)
    done = trainer.state.global_step
    return TrainingLog(recorder.losses, validation_loss, seconds, done, trainable, total, inputs_cut, targets_cut)


def _loss_by_pair(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Mean cross-entropy of each row's own labels, shape (batch,)."""
    each = torch.nn.functional.cross_entropy(
        logits.float().transpose(1, 2), labels, ignore_index=IGNORED, reduction="none"
    )
    return each.sum(1) / (labels != IGNORED).sum(1).clamp(min=1)


def _with_dropout(model: PreTrainedModel, dropout: float) -> PreTrainedModel:
    """The same weights in a model built with this dropout: layers copy the rate when they are built."""
    name = "dropout_rate" if hasattr(model.config, "dropout_rate") else "dropout"  # T5's name, BART's name
    setattr(model.config, name, dropout)
    fresh = type(model)(model.config)
    fresh.load_state_dict(model.state_dict())
    fresh.generation_config = model.generation_config
    return fresh.to(model.device)


def _sampling(rows: Sequence[dict[str, Any]], micro_batches: int) -> str:
    """Batches by length only where padding costs: among short texts it saves little and unmixes tasks."""
    if micro_batches > 1:
        return "batch_rebalance"
    return "group_by_length" if max(row["length"] for row in rows) > GROUPED_FROM else "random"


def _prints(callback: TrainerCallback) -> bool:
    return type(callback).__name__ in ("PrinterCallback", "ProgressCallback", "NotebookProgressCallback")


def _has_checkpoint(folder: Path) -> bool:
    return any(folder.glob("checkpoint-*/trainer_state.json"))


def _loss(student: Student, pairs: Sequence[tuple[str, str]], batch_size: int) -> float:
    """Mean negative log-likelihood of a target token."""
    inputs, targets = [source for source, _ in pairs], [target for _, target in pairs]
    tokens = sum(len(ids) for ids in _ids(student, targets)[0])
    return -sum(score(student, inputs, targets, batch_size=batch_size)) / tokens


# Answers


@torch.inference_mode()
def generate(
    student: Student, inputs: Sequence[str], *, max_new_tokens: int, batch_size: int, stop: str = ""
) -> list[Generated]:
    """Greedy continuations, in the order of `inputs`, up to their end or to `stop`, which is part of them.

    An input too long for the student raises StudentError.
    """
    encoded, _ = _ids(student, inputs)
    config = student.model.generation_config
    greedy = GenerationConfig(
        max_new_tokens=max_new_tokens, do_sample=False, num_beams=1, pad_token_id=config.pad_token_id,
        eos_token_id=config.eos_token_id, decoder_start_token_id=config.decoder_start_token_id,
    )  # fmt: skip
    criteria = StoppingCriteriaList([_Says(student.tokenizer, stop)] if stop else [])
    texts: dict[int, Generated] = {}
    for indices in _batches([len(ids) for ids in encoded], batch_size):
        output = student.model.generate(
            **_batch(student, [encoded[index] for index in indices]),
            generation_config=greedy,
            stopping_criteria=criteria,
        )
        written = output[:, 1:]  # without the start token, which is EOS in many BART models
        ended = (written == student.tokenizer.eos_token_id).any(dim=1).tolist()
        decoded = student.tokenizer.batch_decode(output, skip_special_tokens=True)
        for index, text, end in zip(indices, decoded, ended, strict=True):
            texts[index] = Generated(text.strip(), not (end or (stop and stop in text)))
    return [texts[index] for index in range(len(inputs))]


class _Says(StoppingCriteria):
    """Ends a text with `stop`. The library's own stop strings do not take a tokenizer of whole words."""

    def __init__(self, tokenizer: Any, stop: str):
        self.tokenizer, self.stop = tokenizer, stop

    def __call__(self, input_ids: torch.Tensor, scores: Any, **_: Any) -> torch.Tensor:
        last = input_ids[:, -len(self.stop) - 1 :]  # a token has at least one character; the first may be cut
        texts = self.tokenizer.batch_decode(last, skip_special_tokens=True)
        return torch.tensor([self.stop in text for text in texts], device=input_ids.device)


@torch.inference_mode()
def score(
    student: Student,
    inputs: Sequence[str],
    targets: Sequence[str],
    *,
    batch_size: int,
    prefixes: Sequence[str] | None = None,
    ends: bool = True,
) -> list[float]:
    """Summed log-likelihood (nats) of each target with its EOS, given its input (and a target prefix).

    With prefixes the decoder reads "prefix target", and only the tokens after the prefix are summed. Without `ends` the
    EOS is not: the target is the beginning of something longer.
    """
    sums = [0.0] * len(targets)
    for indices, logits, labels, counted in _forward(student, inputs, targets, prefixes or (), batch_size):
        if not ends:
            counted = counted & torch.nn.functional.pad(counted[:, 1:], (0, 1))  # all but the last that counts
        chosen = logits.float().log_softmax(-1).gather(-1, labels.clamp(min=0).unsqueeze(-1)).squeeze(-1)
        for index, total in zip(indices, (chosen * counted).sum(-1).tolist(), strict=True):
            sums[index] = total
    return sums


@torch.inference_mode()
def writes(
    student: Student,
    inputs: Sequence[str],
    targets: Sequence[str],
    *,
    batch_size: int,
    prefixes: Sequence[str] | None = None,
) -> list[bool]:
    """Whether greedy decoding of each input gives exactly its target and the end, token for token.

    The student reads the target and must have every next token of it as its first choice: the same as generating and
    comparing, without generating.
    """
    found = [False] * len(targets)
    for indices, logits, labels, counted in _forward(student, inputs, targets, prefixes or (), batch_size):
        for index, same in zip(indices, ((logits.argmax(-1) == labels) | ~counted).all(-1).tolist(), strict=True):
            found[index] = same
    return found


def _forward(
    student: Student, inputs: Sequence[str], targets: Sequence[str], prefixes: Sequence[str], batch_size: int
) -> Iterator[tuple[list[int], torch.Tensor, torch.Tensor, torch.Tensor]]:
    """Batches as (indices, logits, labels, which labels count): those after the prefix and not padding."""
    if len(inputs) != len(targets) or (prefixes and len(prefixes) != len(targets)):
        counts = f"{len(inputs)} inputs, {len(targets)} targets, {len(prefixes)} prefixes"
        raise StudentError(f"score: {counts}; as many of each are needed")
    distinct = {
        text: place for place, text in enumerate(dict.fromkeys(inputs))
    }  # each is read once for all its targets
    encoded, _ = _ids(student, [*distinct])
    whole, skipped, _ = _targets(student, targets, prefixes)
    longest = [0] * len(distinct)  # of an input's targets, so that they come into one batch
    for text, target in zip(inputs, whole, strict=True):
        longest[distinct[text]] = max(longest[distinct[text]], len(target))
    for indices in _batches([len(encoded[p]) + longest[p] for p in map(distinct.get, inputs)], batch_size):
        places = list(dict.fromkeys(distinct[inputs[index]] for index in indices))
        batch = _batch(student, [encoded[place] for place in places])
        rows = [places.index(distinct[inputs[index]]) for index in indices]
        labels = _padded([whole[index] for index in indices], IGNORED).to(student.model.device)
        logits = student.model(
            encoder_outputs=(student.model.get_encoder()(**batch).last_hidden_state[rows],),
            attention_mask=batch["attention_mask"][rows],
            labels=labels,
        ).logits
        yield indices, logits, labels, (labels != IGNORED) & _after([skipped[index] for index in indices], labels)


def _targets(
    student: Student, targets: Sequence[str], prefixes: Sequence[str], limit: int = 0
) -> tuple[list[list[int]], list[int], int]:
    """Token ids of "prefix target" with EOS, how many of them are the prefix's, and how many were cut."""
    if not prefixes:
        whole, cut = _ids(student, targets, limit)
        return whole, [0] * len(whole), cut
    whole, cut = _ids(student, [f"{p} {t}" if p else t for p, t in zip(prefixes, targets, strict=True)], limit)
    before, _ = _ids(student, prefixes)
    skipped = [
        _common(full, part[:-1]) if prefix else 0 for full, part, prefix in zip(whole, before, prefixes, strict=True)
    ]
    return whole, skipped, cut


def _after(skipped: Sequence[int], labels: torch.Tensor) -> torch.Tensor:
    """Which places of `labels` come after the first `skipped` of their row."""
    places = torch.arange(labels.shape[1], device=labels.device)
    return places >= torch.tensor(skipped, device=labels.device).unsqueeze(1)


def knowledge(student: Student, *, batch_size: int = 100) -> list[dict[str, Any]]:
    """Which single facts of MicroSci a student completes word for word: {domain, n, right}, and a row for all."""
    asked = microsci.probes(microsci.load_world())
    right = writes(student, [one.reads for one in asked], [one.writes for one in asked], batch_size=batch_size)
    rows = []
    for domain in (*dict.fromkeys(probe.domain for probe in asked), "all"):
        found = [ok for ok, probe in zip(right, asked, strict=True) if domain in (probe.domain, "all")]
        rows.append({"domain": domain, "n": len(found), "right": sum(found), "share": sum(found) / len(found)})
    return rows


def skills(
    student: Student, *, count: int, seed: int, tasks: Iterable[str] = tuple(microsci.TASKS), batch_size: int = 100
) -> list[dict[str, Any]]:
    """How many of `count` newly drawn lessons of each pretraining task a student completes word for word."""
    rows = []
    for task in tasks:
        lessons = microsci.lessons(microsci.load_world(), count, seed, {task: 1})
        reads, given, targets = ([getattr(one, part) for one in lessons] for part in ("reads", "given", "writes"))
        right = sum(writes(student, reads, targets, prefixes=given, batch_size=batch_size))
        rows.append({"task": task, "n": count, "right": right, "share": right / count})
    return rows


def masters(student: Student, tasks: Iterable[str], share: float, *, seed: int, count: int = 200) -> bool:
    """Whether a student completes at least this share of newly drawn lessons in each of the tasks."""
    return all(row["share"] >= share for row in skills(student, count=count, seed=seed, tasks=tasks))


def _common(full: Sequence[int], part: Sequence[int]) -> int:
    """Length of the common beginning: subword tokenizers may join the last prefix token to what follows."""
    count = 0
    while count < min(len(full), len(part)) and full[count] == part[count]:
        count += 1
    return count
