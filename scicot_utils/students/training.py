"""Fine-tune a student of either kind on (input, target) texts, with the Trainer of transformers."""

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
    PrinterCallback,
    Seq2SeqTrainer,
    Seq2SeqTrainingArguments,
    TrainerCallback,
    TrainerState,
    set_seed,
)

from scicot_utils.students import checkpoints
from scicot_utils.students.encoding import IGNORED, Cut, after, batch, check_positions, encode, padded
from scicot_utils.students.likelihood import score
from scicot_utils.students.loading import Student, StudentError, has_large_head, no_progress_bars, parameters
from scicot_utils.students.precision import uses_bf16

GROUPED_FROM = 256  # longest pair, in tokens of input and target, above which batches are formed by length
DROPOUTS = (  # names of dropout rates in configs, set together; the first group that a config has is used
    ("dropout_rate",),  # T5
    ("dropout",),  # BART, OPT; its rates for attention and activations stay as they are
    ("resid_pdrop", "embd_pdrop", "attn_pdrop"),  # GPT-2
    ("resid_dropout", "embed_dropout", "attention_dropout"),  # GPT-Neo
    ("hidden_dropout", "attention_dropout"),  # Pythia, BLOOM
    ("attention_dropout",),  # Llama, Qwen
)


@dataclass(frozen=True)
class TrainingLog:
    """The record of a fine-tuning. Losses are means in nats, over target tokens or, with `weigh` "pair", over pairs."""

    losses: list[tuple[int, float]]  # (step, mean loss since the entry before)
    validation: list[tuple[int, float]]  # (step, loss on the validation pairs); empty without such pairs
    seconds: float  # since the start, or since it was resumed
    steps: int
    kept_step: int  # the step whose weights are kept: `steps`, or that of the least validation loss
    resumed_from: int  # the step of the checkpoint; 0: not resumed
    precision: str  # the one used, "fp32" or "bf16"
    processes: int  # number of processes that shared each batch
    trainable_parameters: int
    total_parameters: int
    inputs_cut: int  # training pairs whose input was longer than max_input_tokens
    targets_cut: int

    def record(self) -> dict[str, Any]:
        """The part that goes into the provenance of a run."""
        names = (
            "steps", "inputs_cut", "targets_cut", "validation", "kept_step", "resumed_from", "precision", "processes",
        )  # fmt: skip
        return {name: getattr(self, name) for name in names}


class _Recorder(TrainerCallback):
    """Shows one progress bar in place of the Trainer's tables, and ends the training early once `enough` is true."""

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
            control.should_evaluate = True  # at the last step, too, whatever the interval of checkpoints
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
    """A Trainer with another validation loss and, if `loss_at_labels` is set, another training loss.

    The validation loss draws no random numbers, so it does not change the training. `loss_at_labels` replaces the
    model's own loss.
    """

    validation_loss: Callable[[], float]
    loss_at_labels: Callable[[Any, dict[str, torch.Tensor]], torch.Tensor] | None = None

    def compute_loss(self, model: Any, inputs: dict[str, torch.Tensor], *args: Any, **kwargs: Any) -> Any:
        if self.loss_at_labels is None:
            return super().compute_loss(model, inputs, *args, **kwargs)
        loss = self.loss_at_labels(model, inputs)
        # The library does the same for a custom loss, since gradients are averaged over processes.
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

    A decoder-only student learns the target only, not the input in front of it. `schedule`: a name of transformers'
    SchedulerType. `warmup_ratio`: the share of `steps` in which the rate rises. `max_input_tokens`,
    `max_target_tokens`: 0 cuts nothing. If more than `max_cut_share` of the pairs would be cut, or one is longer than
    the student has positions, nothing is trained. `threads` > 0 fixes PyTorch's CPU threads; a seed then gives
    bit-identical weights on one machine. `micro_batches` > 1 divides every batch into parts of similar length, which
    need less padding; the gradient is their mean. `weigh`: what has equal weight in the loss: each target "token" of a
    part, or each "pair" of the batch, by the mean of its tokens. `prefixes`, one per pair: a beginning of the target,
    which is read but not learned. `enough` is called every `check_steps` steps and ends the training before
    `steps` once it is true. It may ask the student, and must draw no random numbers. `precision`: of the
    multiplications, as in `precision.uses_bf16`; weights are fp32.

    Every `checkpoint_steps` steps (0: never), all that the training needs to resume is saved under `output_dir`. After
    a kill, the same call resumes there and reaches the same weights, bit for bit. The end of the training deletes the
    checkpoint. `choose_by` "last" keeps the final weights. "validation_loss" keeps those of the checkpoint, or of the
    end, with the least loss on `validation_pairs`, weighed as `weigh` says.

    Under `accelerate launch` or `torchrun`, the processes share a batch's parts, so `micro_batches` must be a multiple
    of their number. The result is the same up to rounding, except for dropout, whose noise differs by process. Raises
    StudentError, one line, if the data or settings do not allow training or choosing; it names what is allowed.
    """
    processes = int(os.environ.get("WORLD_SIZE", "1"))
    _check(pairs, steps, batch_size, micro_batches, processes, choose_by, checkpoint_steps, validation_pairs)
    in_bf16 = uses_bf16(precision)
    rows, cut = encode(
        student,
        [source for source, _ in pairs],
        [target for _, target in pairs],
        prefixes,
        max_input_tokens=max_input_tokens,
        max_target_tokens=max_target_tokens,
    )
    _check_cut(cut, len(pairs), max_input_tokens, max_target_tokens, max_cut_share)
    check_positions(student, rows)
    folder = Path(output_dir)
    if checkpoint_steps:
        inputs = (
            pairs, prefixes, validation_pairs, steps, batch_size, learning_rate, schedule, warmup_ratio, weight_decay,
            max_grad_norm, dropout, freeze_embeddings, max_input_tokens, max_target_tokens, seed, adam_beta2, threads,
            micro_batches, precision, choose_by, checkpoint_steps, weigh, processes, student.separator,
        )  # fmt: skip
        folder = checkpoints.folder(folder, student.model, inputs)
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
            "context_length": row.context_length,
            "length": len(row),
        }
        for row in rows
    ]

    def mean_over_batch(losses: torch.Tensor) -> torch.Tensor:
        return losses.sum() / batch_size if micro_batches > 1 else losses.mean()  # parts of several sizes are summed up

    def mean_of_pairs(outputs: Any, labels: torch.Tensor, num_items_in_batch: Any = None) -> torch.Tensor:
        logits = outputs.logits
        if student.decoder_only:
            logits, labels = logits[:, :-1], labels[:, 1:]  # each position predicts the next token
        return mean_over_batch(_loss_by_pair(logits, labels))

    def loss_at_labels(model: Any, inputs: dict[str, torch.Tensor], by_pair: bool = weigh == "pair") -> torch.Tensor:
        """The same losses, from logits only at positions with a label: the output layer sees no more."""
        labels = inputs.pop("labels")
        if student.decoder_only:
            labels = torch.nn.functional.pad(labels[:, 1:], (0, 1), value=IGNORED)
        labelled = labels != IGNORED
        head = student.model.get_output_embeddings()
        hook = head.register_forward_pre_hook(lambda _, arguments: (arguments[0][labelled],))
        try:
            logits = model(**inputs).logits.float()
        finally:
            hook.remove()
        if not by_pair:
            return torch.nn.functional.cross_entropy(logits, labels[labelled])
        losses = torch.nn.functional.cross_entropy(logits, labels[labelled], reduction="none")
        sums = losses.new_zeros(len(labels)).index_add(0, labelled.nonzero()[:, 0], losses)
        return mean_over_batch(sums / labelled.sum(1).clamp(min=1))

    choosing = choose_by == "validation_loss"
    arguments = Seq2SeqTrainingArguments(
        output_dir=str(folder), max_steps=steps, per_device_train_batch_size=batch_size // micro_batches,
        gradient_accumulation_steps=micro_batches // processes,
        learning_rate=learning_rate, lr_scheduler_type=schedule, warmup_steps=round(warmup_ratio * steps),
        weight_decay=weight_decay, max_grad_norm=max_grad_norm, adam_beta2=adam_beta2,
        optim="adamw_torch_fused", seed=seed, bf16=in_bf16,
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
    if has_large_head(student) and _same_loss(
        student, _collate(student, "pair", examples[:1]), partial(loss_at_labels, by_pair=False)
    ):
        trainer.loss_at_labels = loss_at_labels
    trainer.validation_loss = lambda: _loss(student, validation_pairs, batch_size, weigh)
    trainer.model_accepts_loss_kwargs = False  # BART accepts the batch's token count but ignores it: average, not sum
    trainer.remove_callback(PrinterCallback)  # the Trainer's own log, in place of its progress bar
    recorder = _Recorder(show_progress and trainer.is_world_process_zero(), enough, check_steps)
    trainer.add_callback(recorder)
    start = time.perf_counter()
    with no_progress_bars():
        trainer.train(resume_from_checkpoint=checkpoints.last(folder) if checkpoint_steps else None)
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
        checkpoints.delete(folder)
    return TrainingLog(
        losses=[(entry["step"], float(entry["loss"])) for entry in history if "loss" in entry],
        validation=validation,
        seconds=seconds,
        steps=done,
        kept_step=trainer.state.best_global_step if choosing else done,
        resumed_from=recorder.resumed_from,
        precision="bf16" if in_bf16 else "fp32",
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


def _collate(student: Student, weigh: str, rows: list[dict[str, Any]]) -> dict[str, torch.Tensor]:
    """A padded batch as the model takes it. Labels of the context are left out of the loss."""
    encoded = batch(student, [row["input_ids"] for row in rows])
    labels, context_lengths = padded([row["labels"] for row in rows], IGNORED), [row["context_length"] for row in rows]
    if student.decoder_only or weigh == "pair" or has_large_head(student) or any(context_lengths):
        if not student.decoder_only and hasattr(student.model, "prepare_decoder_input_ids_from_labels"):
            encoded["decoder_input_ids"] = student.model.prepare_decoder_input_ids_from_labels(labels)
        labels = labels.masked_fill(~after(context_lengths, labels), IGNORED)
    return {**{name: tensor.cpu() for name, tensor in encoded.items()}, "labels": labels}


@torch.inference_mode()
def _same_loss(student: Student, batch: dict[str, torch.Tensor], loss_at_labels: Callable[..., Any]) -> bool:
    """Whether a student's own loss of a pair equals the one at labels. Some models add terms, or have another head."""
    model = student.model.eval()
    inputs = {name: tensor.to(model.device) for name, tensor in batch.items()}
    try:
        expected, loss = model(**inputs).loss, loss_at_labels(model, dict(inputs))
    except (RuntimeError, IndexError, TypeError, ValueError):
        return False
    finally:
        model.train()
    return loss.shape == expected.shape and bool(torch.isclose(expected, loss, rtol=1e-3))


def _take_best(student: Student, state: TrainerState) -> None:
    """Replace the final weights by those of the checkpoint with the least validation loss. Raises StudentError if no
    validation loss was a number.
    """
    if state.best_model_checkpoint is None:
        raise StudentError(
            "choose_by: no validation loss was a number; look at the losses, and lower learning_rate or take precision fp32"
        )
    if state.best_global_step != state.global_step:
        with no_progress_bars():
            best = type(student.model).from_pretrained(state.best_model_checkpoint, use_safetensors=True)
        student.model.load_state_dict(best.state_dict())


def _loss_by_pair(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Mean cross-entropy (nats) of each row's own labels, shape (batch,)."""
    losses = torch.nn.functional.cross_entropy(
        logits.float().transpose(1, 2), labels, ignore_index=IGNORED, reduction="none"
    )
    return losses.sum(1) / (labels != IGNORED).sum(1).clamp(min=1)


def _with_dropout(student: Student, dropout: float) -> PreTrainedModel:
    """The same weights in a model built with this dropout rate, since layers copy the rate when they are built. Raises
    StudentError if the model has no dropout to set.
    """
    model = student.model
    names = next((names for names in DROPOUTS if all(hasattr(model.config, name) for name in names)), ())
    if dropout and not names:
        raise StudentError(f"student {student.name!r} has no dropout that could be set: dropout must be 0")
    if not dropout and all(getattr(model.config, name) == 0 for name in names):
        return model  # no random number is drawn, neither here nor in training
    for name in names:
        setattr(model.config, name, dropout)
    fresh = type(model)(model.config)
    fresh.load_state_dict(model.state_dict())
    fresh.generation_config, fresh.loss_type = model.generation_config, model.loss_type
    return fresh.to(model.device)


def _sampling(rows: Sequence[dict[str, Any]], micro_batches: int) -> str:
    """The Trainer's way of forming batches. They are formed by length only if padding costs much: for short texts it
    saves little, and batches mix tasks less.
    """
    if micro_batches > 1:
        return "batch_rebalance"
    return "group_by_length" if max(row["length"] for row in rows) > GROUPED_FROM else "random"


def _loss(student: Student, pairs: Sequence[tuple[str, str]], batch_size: int, weigh: str) -> float:
    """Mean negative log-likelihood (nats) of a target token; with `weigh` "pair", the mean of the pairs' means."""
    inputs, targets = [source for source, _ in pairs], [target for _, target in pairs]
    counts = [len(row.decoder_ids) - row.context_length for row in encode(student, inputs, targets)[0]]
    sums = score(student, inputs, targets, batch_size=batch_size)
    if weigh == "pair":
        return -sum(total / count for total, count in zip(sums, counts, strict=True)) / len(counts)
    return -sum(sums) / sum(counts)
