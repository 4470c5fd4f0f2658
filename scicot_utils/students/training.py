"""Fine-tuning a student of either kind on (input, target) texts, with the Trainer."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from tqdm import tqdm
from transformers import (
    PreTrainedModel,
    Seq2SeqTrainer,
    Seq2SeqTrainingArguments,
    TrainerCallback,
    TrainerState,
    set_seed,
)

from scicot_utils.students import checkpoints
from scicot_utils.students.answering import score
from scicot_utils.students.encoding import IGNORED, Cut, after, batch, check_room, encode, padded
from scicot_utils.students.loading import Student, StudentError, no_progress_bars, parameters

LARGE = 8192  # tokens of a vocabulary from which logits are computed only where there are labels
GROUPED_FROM = 256  # tokens of input and target together from which batches are formed by length
DROPOUTS = (  # the names under which configs keep the rates of dropout that are set together; the first found holds
    ("dropout_rate",),  # T5
    ("dropout",),  # BART, OPT; its rates for attention and activations stay as they are
    ("resid_pdrop", "embd_pdrop", "attn_pdrop"),  # GPT-2
    ("resid_dropout", "embed_dropout", "attention_dropout"),  # GPT-Neo
    ("hidden_dropout", "attention_dropout"),  # Pythia, BLOOM
    ("attention_dropout",),  # Llama, Qwen
)


@dataclass(frozen=True)
class TrainingLog:
    """What a fine-tuning did. Losses are means over target tokens (or, where pairs weigh alike, over pairs), in nats."""

    losses: list[tuple[int, float]]  # (step, mean loss since the entry before)
    validation: list[tuple[int, float]]  # (step, loss on the validation pairs); empty if none were given
    seconds: float  # since it began, or was resumed
    steps: int
    kept_step: int  # after which the weights are those kept: `steps`, or that of the least validation loss
    resumed_from: int  # the step of the checkpoint; 0: it began anew
    precision: str  # that was used, "fp32" or "bf16"
    processes: int  # that shared each batch
    trainable_parameters: int
    total_parameters: int
    inputs_cut: int  # training pairs whose input was longer than max_input_tokens
    targets_cut: int

    def record(self) -> dict[str, Any]:
        """What the provenance of a run says of its training."""
        names = (
            "steps",
            "inputs_cut",
            "targets_cut",
            "validation",
            "kept_step",
            "resumed_from",
            "precision",
            "processes",
        )
        return {name: getattr(self, name) for name in names}


class _Recorder(TrainerCallback):
    """Draws one bar in place of the Trainer's tables, and ends the training early if told to."""

    def __init__(self, show: bool, enough: Callable[[], bool] | None, check_steps: int):
        self.show, self.enough, self.check_steps = show, enough, check_steps
        self.resumed_from, self.bar = 0, tqdm(disable=True)

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self.resumed_from = state.global_step
        self.bar = tqdm(
            total=state.max_steps, initial=state.global_step, unit="step", disable=not self.show, mininterval=1.0
        )

    def on_step_end(self, args: Any, state: Any, control: Any, model: Any = None, **_: Any) -> None:
        self.bar.update(1)
        if args.eval_strategy != "no" and state.global_step == state.max_steps:
            control.should_evaluate = True  # the last step, too, whatever the distance of checkpoints
        if self.enough and state.global_step % self.check_steps == 0:
            model.eval()
            control.should_training_stop = self.enough()
            model.train()

    def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **_: Any) -> None:
        if logs and "loss" in logs:
            self.bar.set_postfix(loss=f"{float(logs['loss']):.3f}", refresh=False)

    def on_train_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self.bar.close()


class _Trainer(Seq2SeqTrainer):
    """Evaluates by the validation loss given, which draws no random numbers, so that it changes no training; where
    `loss_at_labels` is set, it takes the place of the model's own loss."""

    validation_loss: Callable[[], float]
    loss_at_labels: Callable[[Any, dict[str, torch.Tensor]], torch.Tensor] | None = None

    def compute_loss(self, model: Any, inputs: dict[str, torch.Tensor], *given: Any, **more: Any) -> Any:
        if self.loss_at_labels is None:
            return super().compute_loss(model, inputs, *given, **more)
        loss = self.loss_at_labels(model, inputs)
        # The library does so for a loss of one's own, since gradients are averaged over processes.
        return loss if self.compute_loss_func is None else loss * self.accelerator.num_processes

    def evaluate(self, *_: Any, **__: Any) -> dict[str, float]:
        self.model.eval()
        metrics = {"eval_loss": self.validation_loss()}
        self.log(metrics)
        self.control = self.callback_handler.on_evaluate(self.args, self.state, self.control, metrics)
        return metrics


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
    max_cut_share: float = 0.0,
    precision: str = "auto",
    choose_by: str = "last",
    checkpoint_steps: int = 0,
    weigh: str = "token",
    prefixes: Sequence[str] = (),
    enough: Callable[[], bool] | None = None,
    check_steps: int = 250,
    validation_pairs: Sequence[tuple[str, str]] = (),
    show_progress: bool = True,
) -> TrainingLog:
    """Train `student` in place on (input, target) texts with AdamW and the Trainer.

    A decoder-only student learns the target only, not the input in front of it. `schedule` is a name of transformers'
    SchedulerType; `warmup_ratio` the share of `steps` in which the rate rises. A token limit of 0 cuts nothing; where
    more than `max_cut_share` of the pairs are cut, or one is longer than the student has positions, nothing is trained.
    `threads` > 0 fixes PyTorch's CPU threads: with it, a seed gives bit-identical weights on one machine. `micro_batches`
    > 1 cuts every batch into parts of like length, to be padded less; the gradient is their mean. In the loss of a part
    each `token` of its targets weighs alike, or with `weigh` "pair" each pair of the batch, by the mean of its tokens.
    With `prefixes`, one for each pair, a target's prefix stands there already: it is read, not learned. Training ends
    before `steps` if `enough`, asked every `check_steps`, says so; it may ask the student, and must draw no random
    numbers. `precision`: "fp32", "bf16" (fp32 weights, multiplied in bf16), or "auto", bf16 where a GPU has it.

    Every `checkpoint_steps` steps (0: never) all that the training needs to go on is kept under `output_dir`; the same
    call, after a kill, resumes there and comes to the same weights, bit for bit; the end of the training deletes it.
    `choose_by` "validation_loss" keeps the weights of the checkpoint, or of the end, at which the loss on
    `validation_pairs`, weighed as `weigh` says, was least; "last" those of the end.

    Under `accelerate launch` or `torchrun`, a batch's parts are shared out among the processes, so `micro_batches` must be
    a multiple of their number: what is learned is the same up to rounding, but for dropout, whose noise differs by process.
    Raises StudentError, one line, for what cannot be trained on or chosen by, and names what is allowed.
    """
    processes = int(os.environ.get("WORLD_SIZE", "1"))
    _check(pairs, steps, batch_size, micro_batches, processes, choose_by, checkpoint_steps, validation_pairs)
    rows, cut = encode(
        student,
        [source for source, _ in pairs],
        [target for _, target in pairs],
        prefixes,
        max_input_tokens=max_input_tokens,
        max_target_tokens=max_target_tokens,
    )
    _check_cut(cut, len(pairs), max_input_tokens, max_target_tokens, max_cut_share)
    check_room(student, rows)
    place = Path(output_dir)
    if checkpoint_steps:
        decides = (
            pairs, prefixes, validation_pairs, steps, batch_size, learning_rate, schedule, warmup_ratio, weight_decay,
            max_grad_norm, dropout, freeze_embeddings, max_input_tokens, max_target_tokens, seed, adam_beta2, threads,
            micro_batches, precision, choose_by, checkpoint_steps, weigh, processes, student.separator,
        )  # fmt: skip
        place = checkpoints.folder(place, student.model, decides)
    if threads > 0:
        torch.set_num_threads(threads)
    set_seed(seed)
    student.model = _with_dropout(student, dropout)
    if freeze_embeddings:
        student.model.get_input_embeddings().requires_grad_(False)
    examples = [
        {
            "input_ids": row.encoder_ids or row.decoder_ids,
            "labels": row.decoder_ids,
            "given": row.given,
            "length": len(row),
        }
        for row in rows
    ]

    def over_batch(each: torch.Tensor) -> torch.Tensor:
        return each.sum() / batch_size if micro_batches > 1 else each.mean()  # parts differ in size, and are summed

    def mean_of_pairs(outputs: Any, labels: torch.Tensor, num_items_in_batch: Any = None) -> torch.Tensor:
        logits = outputs.logits
        if student.decoder_only:
            logits, labels = logits[:, :-1], labels[:, 1:]  # each place foretells the next one
        return over_batch(_loss_by_pair(logits, labels))

    def loss_at_labels(model: Any, inputs: dict[str, torch.Tensor], each: bool = weigh == "pair") -> torch.Tensor:
        """The same losses, from logits of the places that have a label: the output layer is shown no others."""
        labels = inputs.pop("labels")
        if student.decoder_only:
            labels = torch.nn.functional.pad(labels[:, 1:], (0, 1), value=IGNORED)
        learned = labels != IGNORED
        head = student.model.get_output_embeddings()
        chosen = head.register_forward_pre_hook(lambda _, given: (given[0][learned],))
        try:
            logits = model(**inputs).logits.float()
        finally:
            chosen.remove()
        if not each:
            return torch.nn.functional.cross_entropy(logits, labels[learned])
        losses = torch.nn.functional.cross_entropy(logits, labels[learned], reduction="none")
        sums = losses.new_zeros(len(labels)).index_add(0, learned.nonzero()[:, 0], losses)
        return over_batch(sums / learned.sum(1).clamp(min=1))

    choosing = choose_by == "validation_loss"
    arguments = Seq2SeqTrainingArguments(
        output_dir=str(place), max_steps=steps, per_device_train_batch_size=batch_size // micro_batches,
        gradient_accumulation_steps=micro_batches // processes,
        learning_rate=learning_rate, lr_scheduler_type=schedule, warmup_steps=round(warmup_ratio * steps),
        weight_decay=weight_decay, max_grad_norm=max_grad_norm, adam_beta2=adam_beta2,
        optim="adamw_torch_fused", seed=seed, bf16=_in_bf16(precision),
        data_seed=seed, train_sampling_strategy=_sampling(examples, micro_batches), remove_unused_columns=False,
        save_strategy="steps" if checkpoint_steps else "no", save_steps=checkpoint_steps or 500, save_total_limit=1,
        eval_strategy="steps" if choosing else "no", eval_steps=checkpoint_steps or 500,
        metric_for_best_model="loss" if choosing else None, greater_is_better=False,
        logging_strategy="steps", logging_steps=max(1, steps // 50), logging_nan_inf_filter=False,
        disable_tqdm=True, report_to="none", dataloader_pin_memory=torch.cuda.is_available(),
        use_cpu=not torch.cuda.is_available(), ddp_find_unused_parameters=False,
    )  # fmt: skip
    # the sampler takes lengths from a Dataset only
    data = Dataset.from_list(examples) if micro_batches > 1 else examples
    trainer = _Trainer(
        model=student.model,
        args=arguments,
        train_dataset=data,
        eval_dataset=list(validation_pairs) if choosing else None,
        data_collator=partial(_collate, student, weigh),
        compute_loss_func=mean_of_pairs if weigh == "pair" else None,
    )
    if _has_large_head(student) and _same_loss(
        student, _collate(student, "pair", examples[:1]), partial(loss_at_labels, each=False)
    ):
        trainer.loss_at_labels = loss_at_labels
    trainer.validation_loss = lambda: _loss(student, validation_pairs, batch_size, weigh)
    trainer.model_accepts_loss_kwargs = False  # BART takes the batch's token count and ignores it: average, not sum
    for callback in [type(known) for known in trainer.callback_handler.callbacks if _prints(known)]:
        trainer.remove_callback(callback)
    recorder = _Recorder(show_progress and trainer.is_world_process_zero(), enough, check_steps)
    trainer.add_callback(recorder)
    start = time.perf_counter()
    with no_progress_bars():
        trainer.train(resume_from_checkpoint=checkpoints.last(place) if checkpoint_steps else None)
    seconds = time.perf_counter() - start
    if choosing:
        _take_best(student, trainer.state)
    trainable = sum(p.numel() for p in student.model.parameters() if p.requires_grad)
    student.model.requires_grad_(True).eval()
    history, done = trainer.state.log_history, trainer.state.global_step
    validation = [(entry["step"], float(entry["eval_loss"])) for entry in history if "eval_loss" in entry]
    if validation_pairs and not choosing:
        validation = [(done, trainer.validation_loss())]
    if checkpoint_steps:
        trainer.accelerator.wait_for_everyone()
        checkpoints.delete(place)
    return TrainingLog(
        losses=[(entry["step"], float(entry["loss"])) for entry in history if "loss" in entry],
        validation=validation,
        seconds=seconds,
        steps=done,
        kept_step=trainer.state.best_global_step if choosing else done,
        resumed_from=recorder.resumed_from,
        precision="bf16" if arguments.bf16 else "fp32",
        processes=processes,
        trainable_parameters=trainable,
        total_parameters=parameters(student),
        inputs_cut=cut.inputs,
        targets_cut=cut.targets,
    )


def _check(
    pairs: Sequence[Any],
    steps: int,
    batch_size: int,
    micro_batches: int,
    processes: int,
    choose_by: str,
    checkpoint_steps: int,
    validation_pairs: Sequence[Any],
) -> None:
    if batch_size % micro_batches:
        raise StudentError(f"fine_tune: a batch of {batch_size} cannot be cut into {micro_batches} equal parts")
    if not pairs or steps < 1:
        raise StudentError(f"fine_tune: {len(pairs)} pairs and {steps} steps; at least one of each is needed")
    if micro_batches % processes:
        raise StudentError(
            f"micro_batches: found {micro_batches}, allowed: a multiple of {processes}, the processes that share a batch"
        )
    if choose_by == "validation_loss" and not (checkpoint_steps and validation_pairs):
        raise StudentError(
            f"choose_by: found validation_loss with checkpoint_steps {checkpoint_steps} and {len(validation_pairs)} "
            "validation pairs; both must be more than 0, or choose_by last"
        )


def _check_cut(cut: Cut, count: int, max_input_tokens: int, max_target_tokens: int, max_cut_share: float) -> None:
    if cut.pairs > max_cut_share * count:
        share = -(-1000 * cut.pairs // count) / 1000  # rounded up, so that it is enough
        raise StudentError(
            f"{cut.pairs} of {count} training pairs would be cut: the longest input has {cut.longest_input} tokens "
            f"(max_input_tokens {max_input_tokens}), the longest target {cut.longest_target} (max_target_tokens "
            f"{max_target_tokens}); raise the limit, or allow it with max_cut_share {share:g} (now {max_cut_share:g})"
        )


def _in_bf16(precision: str) -> bool:
    if precision == "auto":
        return torch.cuda.is_available() and torch.cuda.is_bf16_supported()
    return precision == "bf16"


def _collate(student: Student, weigh: str, chosen: list[dict[str, Any]]) -> dict[str, torch.Tensor]:
    """A padded batch as the model takes it; labels of what is given are left out of the loss."""
    encoded = batch(student, [row["input_ids"] for row in chosen])
    labels = padded([row["labels"] for row in chosen], IGNORED)
    if student.decoder_only or weigh == "pair" or _has_large_head(student) or any(row["given"] for row in chosen):
        if not student.decoder_only and hasattr(student.model, "prepare_decoder_input_ids_from_labels"):
            encoded["decoder_input_ids"] = student.model.prepare_decoder_input_ids_from_labels(labels)
        labels = labels.masked_fill(~after([row["given"] for row in chosen], labels), IGNORED)
    return {**{name: tensor.cpu() for name, tensor in encoded.items()}, "labels": labels}


def _has_large_head(student: Student) -> bool:
    """Whether logits are worth computing only where they are needed."""
    weight = getattr(student.model.get_output_embeddings(), "weight", None)
    return weight is not None and weight.shape[0] >= LARGE


@torch.inference_mode()
def _same_loss(student: Student, batch: dict[str, torch.Tensor], loss_at_labels: Callable[..., Any]) -> bool:
    """Whether this student's own loss of a pair is the one at labels: some add others to it, or have another head."""
    model = student.model.eval()
    given = {name: tensor.to(model.device) for name, tensor in batch.items()}
    try:
        own, found = model(**given).loss, loss_at_labels(model, dict(given))
    except (RuntimeError, IndexError, TypeError, ValueError):
        return False
    finally:
        model.train()
    return found.shape == own.shape and bool(torch.isclose(own, found, rtol=1e-3))


def _take_best(student: Student, state: TrainerState) -> None:
    """Put the weights of the checkpoint with the least validation loss in the place of the last ones."""
    if state.best_model_checkpoint is None:
        raise StudentError(
            "choose_by: no validation loss was a number; look at the losses, and lower learning_rate or take precision fp32"
        )
    if state.best_global_step != state.global_step:
        with no_progress_bars():
            best = type(student.model).from_pretrained(state.best_model_checkpoint, use_safetensors=True)
        student.model.load_state_dict(best.state_dict())


def _loss_by_pair(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Mean cross-entropy of each row's own labels, shape (batch,)."""
    each = torch.nn.functional.cross_entropy(
        logits.float().transpose(1, 2), labels, ignore_index=IGNORED, reduction="none"
    )
    return each.sum(1) / (labels != IGNORED).sum(1).clamp(min=1)


def _with_dropout(student: Student, dropout: float) -> PreTrainedModel:
    """The same weights in a model built with this dropout: layers copy the rate when they are built."""
    model = student.model
    names = next((names for names in DROPOUTS if all(hasattr(model.config, name) for name in names)), ())
    if dropout and not names:
        raise StudentError(f"student {student.name!r} has no dropout that could be set: dropout must be 0")
    if not dropout and all(getattr(model.config, name) == 0 for name in names):
        return model  # nothing is drawn, neither here nor in training
    for name in names:
        setattr(model.config, name, dropout)
    fresh = type(model)(model.config)
    fresh.load_state_dict(model.state_dict())
    fresh.generation_config, fresh.loss_type = model.generation_config, model.loss_type
    return fresh.to(model.device)


def _sampling(rows: Sequence[dict[str, Any]], micro_batches: int) -> str:
    """Batches by length only where padding costs: among short texts it saves little and unmixes tasks."""
    if micro_batches > 1:
        return "batch_rebalance"
    return "group_by_length" if max(row["length"] for row in rows) > GROUPED_FROM else "random"


def _prints(callback: TrainerCallback) -> bool:
    return type(callback).__name__ in ("PrinterCallback", "ProgressCallback", "NotebookProgressCallback")


def _loss(student: Student, pairs: Sequence[tuple[str, str]], batch_size: int, weigh: str) -> float:
    """Mean negative log-likelihood of a target token, or with `weigh` "pair" the mean over pairs of that."""
    inputs, targets = [source for source, _ in pairs], [target for _, target in pairs]
    counts = [len(row.decoder_ids) - row.given for row in encode(student, inputs, targets)[0]]
    sums = score(student, inputs, targets, batch_size=batch_size)
    if weigh == "pair":
        return -sum(total / count for total, count in zip(sums, counts, strict=True)) / len(counts)
    return -sum(sums) / sum(counts)
