"""How fast students learn and write: run by hand, `python tests/benchmarks/students.py [steps] [student]`.

On one core, with untrained students and, where SmolLM2 was fetched, that one. Questions are ARC-Challenge's of
`SCICOT_DATA` with an LLM's rationales, else the embedded benchmark's, whose proofs stand for rationales. Printed are
ratios of two ways that are measured in turn in one run, on the same pairs, model, batch size, steps and precision. Seconds
are those of the core, so that other work on the machine does not count:

- fine-tuning against three loops of others, rebuilt from their descriptions: every input and target padded to 512 tokens
  (Fine-tune-CoT's released code; also on answers without rationales, which are short), the Trainer of transformers with its collator for sequence pairs, and two forward
  passes a batch, one for answers and one for rationales (Distilling step-by-step's released code);
- three epochs with generation for the test questions after each, in the first of these loops as Fine-tune-CoT's released
  code does, against `fine_tune` and one generation at the end, at its split of 70% and 30%;
- fine-tuning and generation in fp32 against bf16, on a processor with bf16 instructions;
- generation in batches of a quarter of the questions, where waiting questions take the places of ended texts, against
  one batch after the other (decoder-only students);
- generation against the library's `generate` on the same batches, also after four exemplars that all prompts share, and
  against one question at a time, with the same texts;
- the scores of options after a rationale of the student's own, with what they share read once, against every option as a
  whole sequence.
"""

from __future__ import annotations

import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch
from transformers import DataCollatorForSeq2Seq, GenerationConfig, Trainer, TrainingArguments

from scicot_utils import arms, paths, prompts, students, tasks
from scicot_utils.recipe import Settings
from scicot_utils.students import Student, encoding
from scicot_utils.students.precision import has_bf16
from scicot_utils.teachers import forms

FIXED = 512  # tokens of every padded input and target
BATCH, LARGE_BATCH, PART = 16, 8, 4  # pairs in a step, also of a large student, and in a part of ours
QUESTIONS, NEW_TOKENS = 64, 32
ROUNDS, EPOCHS = 3, 3
WORDS = str(paths.MICRO_STUDENT)  # a tokenizer of whole words: others spell what they do not know, in too many letters
STUDENTS = {"random/t5-tiny": WORDS, "random/gpt2-tiny": WORDS, "smollm2-135m": ""}  # with the tokenizer of each
LARGE = 10_000_000  # parameters from which one round, half a batch and a quarter of the questions must do
SETTINGS = Settings(freeze_embeddings=False, max_input_tokens=1024, max_target_tokens=1024, template="finetune_cot")
Pairs = list[tuple[str, str]]


def examples() -> list[tuple[dict, str]]:
    """(question, rationale) of training questions."""
    data = Path(os.environ.get("SCICOT_DATA", ""))
    file = data / "rationales" / "gemini-arc-challenge.jsonl"
    if not file.is_file():
        sizes = {split: 0 if split.startswith("test_") else 256 for split in tasks.sizes_of(SETTINGS)}
        rows = tasks.load(tasks.EMBEDDED, dataset_path="", sizes=sizes, seed=0)
        return [(row, " ".join(row["proof"])) for row in rows if row["split"] == "train"]
    rows = tasks.load("ARC-Challenge", dataset_path=str(data), sizes=dict.fromkeys(tasks.SPLITS, 0), seed=0)
    train = {row["id"]: row for row in rows if row["split"] == "train"}
    recorded = prompts.TEACHER_PROMPTS["recorded"]
    completions = [(train[row.id], row.text) for row in forms.read(file, {}) if row.id in train]
    return [(row, prompts.read_completion(recorded, row, text).rationale) for row, text in completions][:256]


def plain_loop(
    student: Student, pairs: Pairs, steps: int, batch_size: int, after_epoch: Callable[[], object] = lambda: None
) -> None:
    """Every input and target padded to FIXED tokens; a decoder-only student has both in one sequence of that length."""
    model, tokenizer = student.model.train(), student.tokenizer
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, fused=True)
    order = torch.utils.data.DataLoader(pairs, batch_size, shuffle=True, collate_fn=list)
    padding = {"padding": "max_length", "truncation": True, "max_length": FIXED, "return_tensors": "pt"}
    done = 0
    while done < steps:
        for batch in order:
            sources, targets = zip(*batch, strict=True)
            if student.decoder_only:
                texts = [f"{source}{student.separator} {target}" for source, target in batch]
                encoded = tokenizer(texts, **padding)
                labels = encoded["input_ids"]
            else:
                encoded, labels = tokenizer(list(sources), **padding), tokenizer(list(targets), **padding)["input_ids"]
            labels = labels.masked_fill(labels == tokenizer.pad_token_id, -100)
            model(
                input_ids=encoded["input_ids"], attention_mask=encoded["attention_mask"], labels=labels
            ).loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            optimizer.zero_grad()
            done += 1
            if done == steps:
                break
        after_epoch()


def tokenised(student: Student, pairs: Pairs) -> list[dict[str, list[int]]]:
    """Pairs as the plain Trainer is given them: both texts in one sequence for a decoder-only student, all of it learned."""
    eos, tokenizer = student.tokenizer.eos_token, student.tokenizer
    if student.decoder_only:
        rows = [tokenizer(f"{source}{student.separator} {target}{eos}") for source, target in pairs]
        return [{**row, "labels": row["input_ids"]} for row in rows]
    return [{**tokenizer(source), "labels": tokenizer(target)["input_ids"]} for source, target in pairs]


def plain_trainer(student: Student, pairs: Pairs, steps: int, batch_size: int) -> None:
    """The Trainer as its documentation has it: batches drawn at random, padded to their longest."""
    with tempfile.TemporaryDirectory() as folder:
        arguments = TrainingArguments(
            folder, max_steps=steps, per_device_train_batch_size=batch_size, learning_rate=1e-3, save_strategy="no",
            report_to="none", disable_tqdm=True, use_cpu=True, logging_strategy="no", dataloader_pin_memory=False,
        )  # fmt: skip
        collator = DataCollatorForSeq2Seq(student.tokenizer, student.model)
        Trainer(student.model, arguments, collator, tokenised(student, pairs)).train()


def step_by_step(student: Student, pairs: Pairs, steps: int, batch_size: int) -> None:
    """Answers and rationales in two forward passes a batch, each padded to its longest, their losses added."""
    model, collator = student.model.train(), DataCollatorForSeq2Seq(student.tokenizer, student.model)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, fused=True)
    halves = tokenised(student, pairs[0::2]), tokenised(student, pairs[1::2])
    for step in range(steps):
        losses = []
        for half in halves:
            start = step * batch_size // 2 % (len(half) - batch_size // 2)
            losses.append(model(**collator(half[start : start + batch_size // 2])).loss)
        (0.5 * losses[0] + 0.5 * losses[1]).backward()
        optimizer.step()
        optimizer.zero_grad()


def fine_tune(
    student: Student, pairs: Pairs, steps: int, batch_size: int, weigh: str = "token", precision: str = "fp32"
) -> None:
    settings = SETTINGS.model_copy(
        update={"batch_size": batch_size, "micro_batches": batch_size // PART, "precision": precision}
    )
    options = arms.training_options(settings, steps=steps, dropout=0.0, seed=0, weigh=weigh)
    with tempfile.TemporaryDirectory() as folder:
        students.fine_tune(student, pairs, options, output_dir=Path(folder), show_progress=False)


def as_released(student: Student, pairs: Pairs, questions: list[str], steps: int, batch_size: int, tokens: int) -> None:
    """`plain_loop`, which writes for all test questions after each epoch, in batches of the training's size."""

    def write() -> None:
        for start in range(0, len(questions), batch_size):
            by_the_library(student, questions[start : start + batch_size], tokens)
        student.model.train()

    plain_loop(student, pairs, steps, batch_size, write)


def whole_study(student: Student, pairs: Pairs, questions: list[str], steps: int, batch_size: int, tokens: int) -> None:
    fine_tune(student, pairs, steps, batch_size)
    in_batches(student, questions, tokens)


def one_at_a_time(student: Student, inputs: list[str]) -> list[students.Generated]:
    return [students.generate(student, [text], max_new_tokens=NEW_TOKENS, batch_size=1)[0] for text in inputs]


def in_batches(
    student: Student, inputs: list[str], tokens: int = NEW_TOKENS, size: int = QUESTIONS, precision: str = "fp32"
) -> list[students.Generated]:
    return students.generate(student, inputs, max_new_tokens=tokens, batch_size=size, precision=precision)


def one_after_the_other(student: Student, inputs: list[str], tokens: int, size: int) -> list[students.Generated]:
    """In the same small batches, each of which is ended before the next begins."""
    outputs = {}
    for batch in encoding.by_length([len(ids) for ids in encoding.to_generate(student, inputs)], size):
        outputs |= zip(batch, in_batches(student, [inputs[index] for index in batch], tokens, size), strict=True)
    return [outputs[index] for index in range(len(inputs))]


@torch.inference_mode()
def by_the_library(student: Student, inputs: list[str], tokens: int) -> list[str]:
    """`generate` of transformers, greedy, all questions in one batch."""
    rows = encoding.batch(student, encoding.to_generate(student, inputs), left=student.decoder_only)
    start_id = student.model.generation_config.decoder_start_token_id
    config = GenerationConfig(
        max_new_tokens=tokens, do_sample=False, eos_token_id=student.tokenizer.eos_token_id,
        pad_token_id=student.tokenizer.pad_token_id, decoder_start_token_id=start_id,
    )  # fmt: skip
    sequences = student.model.generate(**rows, generation_config=config)
    generated = sequences[:, rows["input_ids"].shape[1] if student.decoder_only else 1 :]
    return [text.strip() for text in student.tokenizer.batch_decode(generated, skip_special_tokens=True)]


def sharing(student: Student, batch_size: int, *texts: list[str]) -> list[float]:
    inputs, targets, leads = texts
    return students.score(student, inputs, targets, prefixes=leads, batch_size=batch_size)


@torch.inference_mode()
def as_whole_sequences(
    student: Student, batch_size: int, inputs: list[str], targets: list[str], leads: list[str]
) -> list[float]:
    rows, _ = encoding.encode(student, inputs, targets, leads)
    sums = [0.0] * len(rows)
    for indices in encoding.by_length([len(row) for row in rows], batch_size):
        batched = [rows[index] for index in indices]
        labels = encoding.padded([row.decoder_ids for row in batched], encoding.IGNORED)
        counted = (labels != encoding.IGNORED) & encoding.after([row.context_length for row in batched], labels)
        if student.decoder_only:
            logits = student.model(**encoding.batch(student, [row.decoder_ids for row in batched])).logits[:, :-1]
            labels, counted = labels[:, 1:], counted[:, 1:]
        else:
            sources = encoding.batch(student, [row.encoder_ids for row in batched])
            logits = student.model(**sources, labels=labels).logits
        scores = logits.log_softmax(-1).gather(-1, labels.clamp(min=0).unsqueeze(-1)).squeeze(-1)
        for index, total in zip(indices, (scores * counted).sum(-1).tolist(), strict=True):
            sums[index] = total
    return sums


def compare(name: str, tokenizer: str, training_set: list[tuple[dict, str]], steps: int) -> None:
    def fresh() -> Student:
        return students.load(paths.source(name), tokenizer)

    pairs, answers, two_maps = (
        arms.pairs(maps, training_set, SETTINGS) for maps in ([arms.BOTH], [arms.ANSWER], [arms.ANSWER, arms.RATIONALE])
    )
    student = fresh()
    large = students.parameters(student) > LARGE
    rounds, batch_size = (1, LARGE_BATCH) if large else (ROUNDS, BATCH)
    count, long = (QUESTIONS // 4, 8 * NEW_TOKENS) if large else (QUESTIONS, 3 * NEW_TOKENS)
    lengths, short = (
        [len(student.tokenizer(f"{source} {target}")["input_ids"]) for source, target in texts]
        for texts in (pairs, answers)
    )
    inputs = [source for source, _ in pairs[:count]]
    exemplars = "".join(f"{source} {target}\n\n" for source, target in pairs[-4:])
    few_shot = [f"{exemplars}{text}" for text in inputs]
    scored = [(source, f"option {number}", f"{target} =>") for source, target in pairs[:count] for number in range(4)]
    options = [list(texts) for texts in zip(*scored, strict=True)]
    study_pairs = pairs[: 2 * batch_size]  # two steps an epoch
    held_out = [source for source, _ in pairs[-round(len(study_pairs) * 3 / 7) :]]
    study = (study_pairs, held_out, 2 * EPOCHS, batch_size, long)
    seconds: dict[str, list[float]] = {}

    def timed(method: str, function: Callable[..., object], *args: object) -> object:
        start = time.process_time()
        result = function(*args)
        seconds.setdefault(method, []).append(time.process_time() - start)
        print(f"  {name}, {method}: {seconds[method][-1]:.2f} s", file=sys.stderr, flush=True)
        return result

    for _ in range(rounds):  # in turn, since other work on the machine comes and goes
        timed("padded to 512", plain_loop, fresh(), pairs, steps, batch_size)
        timed("padded to 512, answers", plain_loop, fresh(), answers, steps, batch_size)
        timed("fine_tune, answers", fine_tune, fresh(), answers, steps, batch_size)
        timed("plain Trainer", plain_trainer, fresh(), pairs, steps, batch_size)
        timed("fine_tune", fine_tune, fresh(), pairs, steps, batch_size)
        if has_bf16():
            timed("fine_tune, bf16", fine_tune, fresh(), pairs, steps, batch_size, "token", "bf16")
        for method, function in (("as released", as_released), ("fine_tune, then generate", whole_study)):
            timed(method, function, fresh(), *study)
        timed("two passes", step_by_step, fresh(), two_maps, steps, batch_size)
        timed("fine_tune, two maps", fine_tune, fresh(), two_maps, steps, batch_size, "pair")
        alone, together = timed("one", one_at_a_time, student, inputs), timed("batches", in_batches, student, inputs)
        assert alone == together, "batches change what is written"
        library = timed("generate", by_the_library, student, inputs, long)
        ours = timed("ours", in_batches, student, inputs, long)
        assert library == [output.text for output in ours], "leaving the batch changes what is written"
        if has_bf16():
            timed("ours, bf16", in_batches, student, inputs, long, QUESTIONS, "bf16")
        if student.decoder_only:
            separate, joined = (
                timed(method, function, student, inputs, long, max(4, count // 4))
                for method, function in (("small batches", one_after_the_other), ("joining", in_batches))
            )
            assert separate == joined, "joining a batch changes what is written"
            library = timed("generate, few-shot", by_the_library, student, few_shot, NEW_TOKENS)
            ours = timed("ours, few-shot", in_batches, student, few_shot)
            assert library == [output.text for output in ours], "reading exemplars once changes what is written"
        whole, shared = (
            timed(method, function, student, count, *options)
            for method, function in (("whole", as_whole_sequences), ("shared", sharing))
        )
        assert max(abs(a - b) for a, b in zip(whole, shared, strict=True)) < 1e-3, "sharing changes scores"
    best = {method: min(times) for method, times in seconds.items()}

    def ratio(other: str, own: str) -> str:
        return f"{other} {best[other]:.2f} s, {own} {best[own]:.2f} s, ratio {best[other] / best[own]:.2f}"

    few = trained_bf16 = written_bf16 = ""
    if has_bf16():
        trained_bf16 = f"    {ratio('fine_tune', 'fine_tune, bf16')}\n"
        written_bf16 = f"    {ratio('ours', 'ours, bf16')}\n"
    if student.decoder_only:
        few = f"    the same in quarters: {ratio('small batches', 'joining')}\n"
        few += (
            f"    {NEW_TOKENS} tokens at most after four exemplars: {ratio('generate, few-shot', 'ours, few-shot')}\n"
        )
    tokens = steps * batch_size * statistics.mean(lengths) / best["fine_tune"]
    print(
        f"{name}: {students.parameters(student):,} parameters, pairs of {statistics.mean(lengths):.0f} tokens on average "
        f"(best of {rounds})\n"
        f"  {steps} steps of {batch_size}, {tokens:,.0f} tokens/s: {ratio('padded to 512', 'fine_tune')}\n"
        f"    without rationales, pairs of {statistics.mean(short):.0f} tokens: "
        f"{ratio('padded to 512, answers', 'fine_tune, answers')}\n"
        f"    {ratio('plain Trainer', 'fine_tune')}\n"
        f"    {ratio('two passes', 'fine_tune, two maps')}\n"
        f"{trained_bf16}"
        f"  {EPOCHS} epochs of {len(study_pairs)} pairs, {len(held_out)} test questions: "
        f"{ratio('as released', 'fine_tune, then generate')}\n"
        f"  {count} questions, {long} tokens at most: {ratio('generate', 'ours')}\n"
        f"{written_bf16}"
        f"    {NEW_TOKENS} tokens at most: {ratio('one', 'batches')}\n"
        f"{few}"
        f"  four options each after a rationale: {ratio('whole', 'shared')}",
        flush=True,
    )


if __name__ == "__main__":
    torch.set_num_threads(1)
    training_examples, number_of_steps = examples(), int(sys.argv[1]) if len(sys.argv) > 1 else 4
    for student_name in sys.argv[2:] or STUDENTS:
        if student_name.startswith("random/") or Path(paths.source(student_name)).exists():
            compare(student_name, STUDENTS[student_name], training_examples, number_of_steps)
        else:
            print(f"{student_name}: not fetched; python -m scicot_utils fetch {student_name}")
