"""How fast students learn and write: run by hand, `python tests/benchmarks/students.py [steps]`.

On one core, with untrained students and questions of the embedded benchmark, whose proofs stand for rationales. Printed
are ratios of two ways that are measured in turn in one run: fine-tuning against a plain loop that pads every input and
every target to 512 tokens, as Fine-tune-CoT's released code does, on the same pairs, model, batch size and steps; and
generation in batches against one question at a time, with the same texts; and the scores of options after a
rationale of the student's own, with what they share read once, against every option as a whole sequence.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch

from scicot_utils import arms, paths, students, tasks
from scicot_utils.recipe import Settings
from scicot_utils.students import Student, encoding

FIXED = 512  # tokens of every padded input and target
BATCH = 16
ASKED, NEW_TOKENS = 64, 32
ROUNDS = 3
STUDENTS = {"random/t5-tiny": str(paths.MICRO_STUDENT), "random/gpt2-tiny": ""}  # with the tokenizer of each
SETTINGS = Settings()


def pairs() -> list[tuple[str, str]]:
    sizes = {split: 0 if split.startswith("test_") else 256 for split in tasks.sizes_of(SETTINGS)}
    rows = tasks.load(tasks.EMBEDDED, dataset_path="", sizes=sizes, seed=0)
    examples = [(row, " ".join(row["proof"])) for row in rows if row["split"] == "train"]
    return arms.pairs([arms.BOTH], examples, SETTINGS)


def plain_loop(student: Student, taught: list[tuple[str, str]], steps: int) -> None:
    """Every input and target padded to FIXED tokens; a decoder-only student has both in one sequence of that length."""
    model, tokenizer = student.model.train(), student.tokenizer
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, fused=True)
    order = torch.utils.data.DataLoader(taught, BATCH, shuffle=True, collate_fn=list)
    padding = {"padding": "max_length", "truncation": True, "max_length": FIXED, "return_tensors": "pt"}
    done = 0
    while done < steps:
        for batch in order:
            sources, targets = zip(*batch, strict=True)
            if student.decoder_only:
                texts = [f"{one}{student.separator} {other}" for one, other in batch]
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


def fine_tune(student: Student, taught: list[tuple[str, str]], steps: int) -> None:
    chosen = Settings(batch_size=BATCH, freeze_embeddings=False)
    with tempfile.TemporaryDirectory() as folder:
        given = {key: getattr(chosen, key) for key in arms.FINE_TUNE_KEYS} | {"steps": steps}
        students.fine_tune(student, taught, output_dir=Path(folder), seed=0, show_progress=False, **given)


def seconds(work: Callable[..., object], *given: object, **more: object) -> tuple[float, object]:
    began = time.perf_counter()
    found = work(*given, **more)
    return time.perf_counter() - began, found


def one_at_a_time(student: Student, asked: list[str]) -> list[students.Generated]:
    return [students.generate(student, [text], max_new_tokens=NEW_TOKENS, batch_size=1)[0] for text in asked]


def in_batches(student: Student, asked: list[str]) -> list[students.Generated]:
    return students.generate(student, asked, max_new_tokens=NEW_TOKENS, batch_size=ASKED)


def sharing(student: Student, *texts: list[str]) -> list[float]:
    inputs, targets, leads = texts
    return students.score(student, inputs, targets, prefixes=leads, batch_size=ASKED)


@torch.inference_mode()
def as_whole_sequences(student: Student, inputs: list[str], targets: list[str], leads: list[str]) -> list[float]:
    rows, _ = encoding.encode(student, inputs, targets, leads)
    sums = [0.0] * len(rows)
    for indices in encoding.by_length([len(row) for row in rows], ASKED):
        chosen = [rows[index] for index in indices]
        labels = encoding.padded([row.writes for row in chosen], encoding.IGNORED)
        counted = (labels != encoding.IGNORED) & encoding.after([row.given for row in chosen], labels)
        if student.decoder_only:
            logits = student.model(**encoding.batch(student, [row.writes for row in chosen])).logits[:, :-1]
            labels, counted = labels[:, 1:], counted[:, 1:]
        else:
            logits = student.model(**encoding.batch(student, [row.reads for row in chosen]), labels=labels).logits
        found = logits.log_softmax(-1).gather(-1, labels.clamp(min=0).unsqueeze(-1)).squeeze(-1)
        for index, total in zip(indices, (found * counted).sum(-1).tolist(), strict=True):
            sums[index] = total
    return sums


def compare(name: str, tokenizer: str, taught: list[tuple[str, str]], steps: int) -> None:
    student = students.load(name, tokenizer)
    lengths = [len(student.tokenizer(f"{one} {other}")["input_ids"]) for one, other in taught]
    asked = [source for source, _ in taught[:ASKED]]
    took: dict[str, list[float]] = {"plain": [], "ours": [], "one": [], "batches": [], "whole": [], "shared": []}
    scored = [(source, f"option {place}", f"{why} =>") for source, why in taught[:ASKED] for place in range(4)]
    options = [list(texts) for texts in zip(*scored, strict=True)]
    for _ in range(ROUNDS):  # in turn, since other work on the machine comes and goes
        took["plain"].append(seconds(plain_loop, student, taught, steps)[0])
        took["ours"].append(seconds(fine_tune, student, taught, steps)[0])
        alone, together = seconds(one_at_a_time, student, asked), seconds(in_batches, student, asked)
        assert alone[1] == together[1], "batches change what is written"
        took["one"].append(alone[0])
        took["batches"].append(together[0])
        whole, shared = seconds(as_whole_sequences, student, *options), seconds(sharing, student, *options)
        assert max(abs(a - b) for a, b in zip(whole[1], shared[1], strict=True)) < 1e-3, "sharing changes scores"
        took["whole"].append(whole[0])
        took["shared"].append(shared[0])
    best = {way: min(found) for way, found in took.items()}
    print(
        f"{name}: {students.parameters(student):,} parameters, pairs of {statistics.mean(lengths):.0f} tokens on average\n"
        f"  {steps} steps of {BATCH}: padded to {FIXED} {best['plain']:.1f} s, fine_tune {best['ours']:.1f} s, "
        f"ratio {best['plain'] / best['ours']:.1f}\n"
        f"  {ASKED} questions, {NEW_TOKENS} tokens at most: one at a time {best['one']:.1f} s, in batches "
        f"{best['batches']:.1f} s, ratio {best['one'] / best['batches']:.1f}\n"
        f"  four options each after a rationale: whole {best['whole']:.2f} s, what they share read once "
        f"{best['shared']:.2f} s, ratio {best['whole'] / best['shared']:.1f} (best of {ROUNDS} each)",
        flush=True,
    )


if __name__ == "__main__":
    torch.set_num_threads(1)
    training_pairs = pairs()
    for architecture, words in STUDENTS.items():
        compare(architecture, words, training_pairs, int(sys.argv[1]) if len(sys.argv) > 1 else 4)
