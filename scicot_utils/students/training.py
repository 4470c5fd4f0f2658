"""Fine-tune a student of either kind on (input, target) texts, with the Trainer of transformers."""

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import astuple, dataclass
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

from scicot_utils.students import checkpoints, losses
from scicot_utils.students.encoding import IGNORED, Cut, after, batch, check_positions, encode, padded, to_generate
from scicot_utils.students.loading import Student, StudentError, has_large_head, no_progress_bars, parameters
from scicot_utils.students.precision import uses_bf16

CHECK_STEPS = 250  # steps between calls of `enough`
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
class TrainingOptions:
    """All that determines a training apart from its texts. On one machine it then gives bit-identical weights."""

    steps: int  # of the optimiser
    batch_size: int  # pairs in a step
    learning_rate: float  # of AdamW, at its peak
    schedule: str  # a name of transformers' SchedulerType
    warmup_ratio: float  # share of the steps in which the rate rises
    weight_decay: float
    adam_beta2: float
    max_grad_norm: float
    dropout: float
    freeze_embeddings: bool
    max_input_tokens: int  # longer texts are cut; 0 cuts nothing
    max_target_tokens: int
    seed: int
    threads: int  # of PyTorch on a CPU; 0 leaves their number as it is
    micro_batches: int = 1  # parts of similar length that a batch is divided into, which need less padding
    max_cut_share: float = 0.0  # share of the pairs that may be cut; if more would be, nothing is trained
    precision: str = "auto"  # of the multiplications, as in `precision.uses_bf16`; weights are fp32
    checkpoint_steps: int = 0  # steps between checkpoints; 0: none
    # "last" keeps the final weights, "validation_loss" those of the checkpoint, or of the end, with the least such loss
    choose_by: str = "last"
    weigh: str = "token"  # what has equal weight: each target "token" of a part, or each "pair", by its tokens' mean


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

    def __init__(self, show: bool, enough: Callable[[], bool] | None):
        self.show, self.enough = show, enough
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
        if self.enough and state.global_step % CHECK_STEPS == 0:
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
    options: TrainingOptions,
    *,
    output_dir: Path,
    prefixes: Sequence[str] = (),
    validation_pairs: Sequence[tuple[str, str]] = (),
    asked: Sequence[str] = (),
    enough: Callable[[], bool] | None = None,
    show_progress: bool = True,
) -> TrainingLog:
    """Train `student` in place on (input, target) texts with AdamW and the Trainer.

    A decoder-only student learns the target only, not the input in front of it. `prefixes`, one per pair: a beginning
    of the target, which is read but not learned. `asked`: the inputs that the student will write from, which must fit,
    too. `enough` is called every CHECK_STEPS steps and ends the training once it is true. It may ask the student, and
    must draw no random numbers.

    Checkpoints are saved under `output_dir`. After a kill, the same call resumes from the last one and reaches the same
    weights, bit for bit on one machine; then the checkpoints are deleted.

    Under `accelerate launch` or `torchrun`, the processes share a batch's parts, so `micro_batches` must be a multiple
    of their number. The result is the same up to rounding, except for dropout, whose noise differs by process. Raises
    StudentError, one line, if the data or options do not allow training or choosing; it names what is allowed.
    """
    processes = int(os.environ.get("WORLD_SIZE", "1"))
    _check(options, len(pairs), len(validation_pairs), processes)
    in_bf16 = uses_bf16(options.precision)
    rows, cut = encode(
        student,
        [source for source, _ in pairs],
        [target for _, target in pairs],
        prefixes,
        max_input_tokens=options.max_input_tokens,
        max_target_tokens=options.max_target_tokens,
    )
    _check_cut(cut, len(pairs), options)
    check_positions(student, rows)
    to_generate(student, asked, options.max_target_tokens)
    folder = Path(output_dir)
    if options.checkpoint_steps:
        inputs = (pairs, prefixes, validation_pairs, astuple(options), processes, student.separator)
        folder = checkpoints.folder(folder, student.model, inputs)
    if options.threads > 0:
        torch.set_num_threads(options.threads)
    set_seed(options.seed)
    student.model = _with_dropout(student, options.dropout)
    if options.freeze_embeddings:
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
    by_pair, choosing = options.weigh == "pair", options.choose_by == "validation_loss"
    loss = losses.Loss(student, by_pair, options.batch_size, options.micro_batches)
    collate = partial(_collate, student)
    trainer = _Trainer(
        model=student.model,
        args=_arguments(options, folder, _sampling(examples, options.micro_batches), processes, in_bf16),
        # the sampler takes lengths from a Dataset only
        train_dataset=Dataset.from_list(examples) if options.micro_batches > 1 else examples,
        eval_dataset=list(validation_pairs) if choosing else None,
        data_collator=partial(collate, by_pair=by_pair),
        compute_loss_func=loss.from_logits if by_pair else None,
    )
    if has_large_head(student) and losses.has_plain_loss(student, collate(examples[:1], by_pair=True)):
        trainer.loss_at_labels = loss.at_labels
    trainer.validation_loss = lambda: losses.of_pairs(student, validation_pairs, options.batch_size, by_pair)
    trainer.model_accepts_loss_kwargs = False  # BART accepts the batch's token count but ignores it: average, not sum
    trainer.remove_callback(PrinterCallback)  # the Trainer's own log, in place of its progress bar
    recorder = _Recorder(show_progress and trainer.is_world_process_zero(), enough)
    trainer.add_callback(recorder)
    start = time.perf_counter()
    with no_progress_bars():
        trainer.train(resume_from_checkpoint=checkpoints.last(folder) if options.checkpoint_steps else None)
    seconds = time.perf_counter() - start
    trainer.accelerator.unwrap_model(student.model, keep_fp32_wrapper=False)  # it would go on in bf16
    if choosing:
        _take_best(student, trainer.state)
    trainable = sum(p.numel() for p in student.model.parameters() if p.requires_grad)
    student.model.requires_grad_(True).eval()
    history, done = trainer.state.log_history, trainer.state.global_step
    validation = [(entry["step"], float(entry["eval_loss"])) for entry in history if "eval_loss" in entry]
    if validation_pairs and not choosing:
        validation = [(done, trainer.validation_loss())]
    if options.checkpoint_steps:
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


def _arguments(
    options: TrainingOptions, folder: Path, sampling: str, processes: int, in_bf16: bool
) -> Seq2SeqTrainingArguments:
    """The options in the Trainer's terms."""
    every, gpu = options.checkpoint_steps, torch.cuda.is_available()
    choosing = options.choose_by == "validation_loss"
    return Seq2SeqTrainingArguments(
        output_dir=str(folder), max_steps=options.steps,
        per_device_train_batch_size=options.batch_size // options.micro_batches,
        gradient_accumulation_steps=options.micro_batches // processes,
        learning_rate=options.learning_rate, lr_scheduler_type=options.schedule,
        warmup_steps=round(options.warmup_ratio * options.steps), weight_decay=options.weight_decay,
        max_grad_norm=options.max_grad_norm, adam_beta2=options.adam_beta2, optim="adamw_torch_fused", bf16=in_bf16,
        seed=options.seed, data_seed=options.seed, train_sampling_strategy=sampling, remove_unused_columns=False,
        save_strategy="steps" if every else "no", save_steps=every or 500, save_total_limit=1,
        eval_strategy="steps" if choosing else "no", eval_steps=every or 500,
        metric_for_best_model="loss" if choosing else None, greater_is_better=False,
        logging_strategy="steps", logging_steps=max(1, options.steps // 50), logging_nan_inf_filter=False,
        disable_tqdm=True, report_to="none", dataloader_pin_memory=gpu, use_cpu=not gpu, ddp_find_unused_parameters=False,
    )  # fmt: skip


def _check(options: TrainingOptions, pairs: int, validation_pairs: int, processes: int) -> None:
    batch_size, parts, every = options.batch_size, options.micro_batches, options.checkpoint_steps
    if batch_size % parts:
        raise StudentError(f"fine_tune: a batch of {batch_size} cannot be cut into {parts} equal parts")
    if not pairs or options.steps < 1:
        raise StudentError(f"fine_tune: {pairs} pairs and {options.steps} steps; at least one of each is needed")
    if parts % processes:
        raise StudentError(
            f"micro_batches: found {parts}, allowed: a multiple of {processes}, the processes that share a batch"
        )
    if options.choose_by == "validation_loss" and not (every and validation_pairs):
        raise StudentError(
            f"choose_by: found validation_loss with checkpoint_steps {every} and {validation_pairs} validation pairs; "
            "both must be more than 0, or choose_by last"
        )


def _check_cut(cut: Cut, pairs: int, options: TrainingOptions) -> None:
    if cut.pairs > options.max_cut_share * pairs:
        share = -(-1000 * cut.pairs // pairs) / 1000  # rounded up, so that it is enough
        raise StudentError(
            f"{cut.pairs} of {pairs} training pairs would be cut: the longest input has {cut.longest_input} tokens "
            f"(max_input_tokens {options.max_input_tokens}), the longest target {cut.longest_target} (max_target_tokens "
            f"{options.max_target_tokens}); raise the limit, or allow it with max_cut_share {share:g} "
            f"(now {options.max_cut_share:g})"
        )


def _collate(student: Student, rows: list[dict[str, Any]], *, by_pair: bool) -> dict[str, torch.Tensor]:
    """A padded batch as the model takes it. Labels of the context are left out of the loss."""
    encoded = batch(student, [row["input_ids"] for row in rows], device="cpu")  # the Trainer moves it
    labels, context_lengths = padded([row["labels"] for row in rows], IGNORED), [row["context_length"] for row in rows]
    if student.decoder_only or by_pair or has_large_head(student) or any(context_lengths):
        if not student.decoder_only and hasattr(student.model, "prepare_decoder_input_ids_from_labels"):
            encoded["decoder_input_ids"] = student.model.prepare_decoder_input_ids_from_labels(labels)
        labels = labels.masked_fill(~after(context_lengths, labels), IGNORED)
    return encoded | {"labels": labels}


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
