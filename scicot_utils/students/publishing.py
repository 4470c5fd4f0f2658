"""Export results in common forms: training pairs as a provider's fine-tuning file, students as Hugging Face folders."""

import json
import shutil
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import yaml

from scicot_utils.prompts import ARROW, SEPARATOR
from scicot_utils.students.loading import Student, StudentError, load, parameters
from scicot_utils.tables import Row

FENCE = 8 * "`"  # long, since the quoted texts may hold a fence themselves
GPT3_ARROW = f"\n\n{ARROW.strip()}\n\n"

# Name of a form → function that makes a line of a fine-tuning file from a pair (input, target).
PROVIDER_FORMS: dict[str, Callable[[str, str], dict[str, Any]]] = {
    "chat": lambda reads, writes: {
        "messages": [{"role": "user", "content": reads}, {"role": "assistant", "content": writes}]
    },
    # Fine-tune-CoT's decoder-only students (Ho et al. 2023, arXiv 2212.10071, and its released code), and its GPT-3 ones
    "completion": lambda reads, writes: {"prompt": f"{reads}{SEPARATOR}", "completion": f" {writes}"},
    "gpt3": lambda reads, writes: {
        "prompt": f"{reads}\n\n###\n\n",
        "completion": f" {writes.replace(ARROW, GPT3_ARROW)} END",
    },
}


def write_pairs(pairs: Iterable[tuple[str, str]], file: Path, form: str) -> int:
    """Write pairs as JSON lines in a form of PROVIDER_FORMS; returns how many. StudentError if the file exists."""
    lines = [json.dumps(PROVIDER_FORMS[form](*pair), ensure_ascii=False) for pair in pairs]
    try:
        with Path(file).open("x", encoding="utf-8") as stream:
            stream.writelines(f"{line}\n" for line in lines)
    except FileExistsError:
        raise StudentError(f"{file} is there already; name a new file") from None
    return len(lines)


def publish(model: Path, folder: Path, *, provenance: Row, results: Iterable[Row], example: tuple[str, str]) -> None:
    """Write a saved student as a Hugging Face model folder with a card, atomically.

    `provenance`: its record, with the recipe's `plumbing`. `results`: rows of its metrics. `example`: one of its
    training pairs. Raises StudentError if there is no student in `model`, or `folder` exists already.
    """
    if not (model / "config.json").is_file():
        raise StudentError(f"no student in {model}; run the notebook that trains it first")
    if folder.exists():
        raise StudentError(f"{folder} is there already; name a new folder")
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{folder.name}-", dir=folder.parent) as work:
        copy = shutil.copytree(model, Path(work) / folder.name)
        card = _card(load(str(model)), provenance, list(results), example)
        (copy / "README.md").write_text(card, encoding="utf-8")
        copy.rename(folder)


def _card(student: Student, provenance: Row, results: list[Row], example: tuple[str, str]) -> str:
    settings = provenance["settings"]
    kind = "decoder-only model" if student.decoder_only else "encoder–decoder"
    front_matter = {
        "library_name": "transformers",
        "pipeline_tag": "text-generation" if student.decoder_only else "text2text-generation",
        "tags": ["distillation", "chain-of-thought", provenance["arm"]],
    }
    reads = f"{example[0]}{student.separator}" if student.decoder_only else example[0]
    writes = " and writes, after a space," if student.decoder_only else " and writes"
    head = f"| questions | scored | value | {settings['confidence']:.0%} from | to | n |"
    table = [head, "| --- | --- | --- | --- | --- | --- |"] + [
        f"| {r['split']} | {r['metric']} | {r['value']:.3f} | {r['low']:.3f} | {r['high']:.3f} | {r['n']} |"
        for r in results
        if ":" not in r["metric"]  # a metric of a single form has too few questions
    ]
    lines = [
        f"# A student of {provenance['dataset']}, arm {provenance['arm']}",
        f"A {kind} of {parameters(student):,} parameters, fine-tuned from `{settings['student']}` on what a teacher wrote "
        f"(`{settings['teacher']}`{', ' + settings['teacher_model'] if settings['teacher_model'] else ''}): recipe "
        f"`{provenance['recipe']}`, variant `{provenance['variant']}`, seed {provenance['seed']}, {provenance['steps']} steps of "
        f"{settings['batch_size']} pairs, learning rate {settings['learning_rate']:g}; {provenance['inputs_cut']} inputs and "
        f"{provenance['targets_cut']} targets were cut to the token limits.",
        f"It reads texts of this form{writes} ones of the form below it:",
        f"{FENCE}text\n{reads}\n{FENCE}",
        f"{FENCE}text\n{example[1]}\n{FENCE}",
        "## Results",
        "\n".join(table)
        if results
        else "A first stage writes rationales; its answers are measured with the second stage's.",
        "## Limits",
        *([f"From a plumbing run, which shows no result: {provenance['plumbing']}"] if provenance["plumbing"] else []),
        "Made to study distillation, not to be relied on. One seed's student: the study compares means over seeds. What it "
        "may be used for follows from the terms of the model it starts from, of its teacher and of its questions; no "
        "licence is named here, so name one before you publish it.",
    ]
    return f"---\n{yaml.safe_dump(front_matter, sort_keys=False)}---\n\n" + "\n\n".join(lines) + "\n"
