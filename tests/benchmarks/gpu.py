"""How fast one GPU trains a student and lets it write: run by hand, `python tests/benchmarks/gpu.py [student]`.

In about three minutes it prints, at two batch sizes each, tokens per second, model FLOP/s utilisation (MFU) and peak memory
of training and of writing, and how much several trainings side by side get done together. Without a GPU it says so and
measures nothing; `--cpu` runs the same script there, to prove it. `--out FILE` keeps the figures as JSON.

MFU is model FLOP/s over the rate of a large bf16 matrix product measured on the same card in the same run, not over a
datasheet's rate. Model FLOPs per token are 6 N for training and 2 N for writing, with N the student's parameters, shared
ones once (Chowdhery et al. 2022, arXiv 2204.02311, appendix B); attention over earlier tokens is left out.
"""

from __future__ import annotations

import argparse
import json
import platform
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import torch

from scicot_utils import arms, students, tasks
from scicot_utils.recipe import Settings

TRAINING_BATCHES, WRITING_BATCHES = (8, 64), (64, 512)  # sequences
WARM_UP, STEPS = 4, 40  # optimiser steps
QUESTIONS, NEW_TOKENS = 512, 128
CONCURRENT = (2, 4, 8)  # trainings at once on one card
REPEATS = 4  # a proof is short: so many in a row have the length of a large model's rationale
MATRIX, PRODUCTS = 8192, 20


def training_pairs() -> list[tuple[str, str]]:
    """(input, target) pairs: questions of the embedded benchmark, with targets as long as a large model's rationales."""
    sizes = {split: 0 if split.startswith("test_") else 512 for split in tasks.sizes_of(Settings())}
    rows = tasks.load(tasks.EMBEDDED, dataset_path="", sizes=sizes, seed=0)
    examples = [(row, " ".join(row["proof"] * REPEATS)) for row in rows if row["split"] == "train"]
    return arms.pairs([arms.BOTH], examples, Settings())


def training(name: str, pairs: list[tuple[str, str]], batch_size: int, steps: int) -> dict[str, float]:
    """Tokens per second (padding not counted) and peak memory of `students.fine_tune`, warm-up left out."""
    student = students.load(name)
    lengths = [len(student.tokenizer(f"{source}{student.separator}{target}")["input_ids"]) for source, target in pairs]
    settings = Settings(
        batch_size=batch_size, micro_batches=1, learning_rate=1e-5, freeze_embeddings=False, dropout=0.0,
        max_input_tokens=1024, max_target_tokens=1024,
    )  # fmt: skip
    _forget_peak()
    with tempfile.TemporaryDirectory() as folder:
        for count in (min(WARM_UP, steps), steps):
            options = arms.training_options(settings, steps=count, seed=0)
            log = students.fine_tune(student, pairs, options, output_dir=Path(folder), show_progress=False)
    tokens = steps * batch_size * sum(lengths) / len(lengths)
    return {
        "batch": batch_size,
        "tokens_per_second": tokens / log.seconds,
        "steps_per_second": steps / log.seconds,
        "flops_per_second": 6 * students.parameters(student) * tokens / log.seconds,
        "peak_gib": _peak(),
        "precision": log.precision,
        "tokens_per_pair": sum(lengths) / len(lengths),
    }


def writing(name: str, pairs: list[tuple[str, str]], batch_size: int, questions: int) -> dict[str, float]:
    """Tokens written per second by `students.generate`, in bf16 where the card has it, and its peak memory."""
    student = students.load(name)
    inputs = [pairs[index % len(pairs)][0] for index in range(questions)]
    limits = {"batch_size": batch_size, "precision": "auto"}
    students.generate(student, inputs[:batch_size], max_new_tokens=4, **limits)
    _forget_peak()
    start = time.perf_counter()
    outputs = students.generate(student, inputs, max_new_tokens=NEW_TOKENS, **limits)
    seconds = time.perf_counter() - start
    tokens = sum(len(student.tokenizer(output.text, add_special_tokens=False)["input_ids"]) for output in outputs)
    return {
        "batch": batch_size,
        "tokens_per_second": tokens / seconds,
        "flops_per_second": 2 * students.parameters(student) * tokens / seconds,
        "peak_gib": _peak(),
    }


def concurrent(name: str, count: int, steps: int, cpu: bool) -> dict[str, float]:
    """Tokens per second of `count` trainings in processes of their own at once, all together, their starts left out."""
    command = [sys.executable, __file__, name, "--one-training", str(steps), *(["--cpu"] if cpu else [])]
    processes = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(count)]
    results = [json.loads(process.communicate()[0].splitlines()[-1]) for process in processes]
    return {"trainings": count, "tokens_per_second": sum(result["tokens_per_second"] for result in results)}


def matrix_rate() -> float:
    """FLOP/s of a product of two square bf16 matrices of random numbers: what the card reaches at best."""
    a, b = (torch.randn(MATRIX, MATRIX, device="cuda", dtype=torch.bfloat16) for _ in range(2))
    for _ in range(3):
        a @ b
    torch.cuda.synchronize()
    start = time.perf_counter()
    for _ in range(PRODUCTS):
        a @ b
    torch.cuda.synchronize()
    return PRODUCTS * 2 * MATRIX**3 / (time.perf_counter() - start)


def _forget_peak() -> None:
    if torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()


def _peak() -> float:
    """GiB that PyTorch held on the card at most; 0 without one."""
    return torch.cuda.max_memory_allocated() / 2**30 if torch.cuda.is_available() else 0.0


def main(arguments: argparse.Namespace) -> None:
    if not torch.cuda.is_available() and not arguments.cpu:
        print("gpu: skipped, since PyTorch sees no GPU here; --cpu proves the script on a small student")
        return
    pairs = training_pairs()
    if arguments.one_training:
        print(json.dumps(training(arguments.student, pairs, TRAINING_BATCHES[0], arguments.one_training)))
        return
    steps, questions = (4, 8) if arguments.cpu else (STEPS, QUESTIONS)
    ceiling = matrix_rate() if torch.cuda.is_available() else 0.0
    card = torch.cuda.get_device_name() if ceiling else platform.machine()
    results: dict[str, Any] = {"card": card, "torch": torch.__version__, "student": arguments.student}
    results["matrix_flops_per_second"] = ceiling
    print(f"{card}, torch {torch.__version__}, bf16 matrix product {ceiling / 1e12:.0f} TFLOP/s", flush=True)
    for phase, measure, batches, size in (
        ("training", training, TRAINING_BATCHES, steps),
        ("writing", writing, WRITING_BATCHES, questions),
    ):
        results[phase] = []
        for batch_size in batches:
            row = measure(arguments.student, pairs, batch_size, size)
            row["mfu"] = row["flops_per_second"] / ceiling if ceiling else None
            results[phase].append(row)
            share = f"MFU {100 * row['mfu']:.1f}%" if ceiling else "MFU unknown"
            print(
                f"{phase}, batch {batch_size}: {row['tokens_per_second']:,.0f} tokens/s, {share}, "
                f"peak {row['peak_gib']:.1f} GiB",
                flush=True,
            )
    results["beside"] = []
    for count in CONCURRENT[:1] if arguments.cpu else CONCURRENT:
        row = concurrent(arguments.student, count, steps, arguments.cpu)
        results["beside"].append(row)
        alone = results["training"][0]["tokens_per_second"]
        print(
            f"{count} trainings at once, batch {TRAINING_BATCHES[0]} each: {row['tokens_per_second']:,.0f} tokens/s, "
            f"{row['tokens_per_second'] / alone:.1f} times one alone",
            flush=True,
        )
    if arguments.out:
        Path(arguments.out).write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("student", nargs="?", default="random/gpt2-tiny", help="name, folder or hub name")
    parser.add_argument("--cpu", action="store_true", help="run without a GPU, a few steps only")
    parser.add_argument("--out", default="", help="JSON file for the figures")
    parser.add_argument("--one-training", type=int, default=0, help=argparse.SUPPRESS)
    main(parser.parse_args())
