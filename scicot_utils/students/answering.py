"""Answers of students: greedy texts, and log-likelihoods of given ones."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from transformers import GenerationConfig, StoppingCriteria, StoppingCriteriaList

from scicot_utils.students.encoding import (
    IGNORED,
    Encoded,
    after,
    batch,
    by_length,
    check_room,
    encode,
    padded,
    to_generate,
)
from scicot_utils.students.loading import Student, StudentError


@dataclass(frozen=True)
class Generated:
    """A generated text; `truncated` where it had no end within the tokens allowed."""

    text: str
    truncated: bool


@torch.inference_mode()
def generate(
    student: Student, inputs: Sequence[str], *, max_new_tokens: int, batch_size: int, stop: str = ""
) -> list[Generated]:
    """Greedy continuations, in the order of `inputs`, up to their end or to `stop`, which is part of them.

    What else is in a batch changes no text: a decoder-only student is padded on the left, and its padding masked. Raises
    StudentError where input and `max_new_tokens` go beyond the student's positions.
    """
    encoded = to_generate(student, inputs)
    _check_room_to_write(student, encoded, max_new_tokens)
    config = student.model.generation_config
    of_kind = {} if student.decoder_only else {"decoder_start_token_id": config.decoder_start_token_id}
    greedy = GenerationConfig(
        max_new_tokens=max_new_tokens, do_sample=False, num_beams=1, **of_kind,
        pad_token_id=student.tokenizer.pad_token_id if student.decoder_only else config.pad_token_id,
        eos_token_id=student.tokenizer.eos_token_id if student.decoder_only else config.eos_token_id,
    )  # fmt: skip
    texts: dict[int, Generated] = {}
    for indices in by_length([len(ids) for ids in encoded], batch_size):
        given = batch(student, [encoded[index] for index in indices], left=student.decoder_only)
        # Before what is written stands the input, or the start token, which is EOS in many BART models.
        before = given["input_ids"].shape[1] if student.decoder_only else 1
        output = student.model.generate(
            **given,
            generation_config=greedy,
            stopping_criteria=StoppingCriteriaList([_Says(student.tokenizer, stop, before)] if stop else []),
        )
        written = output[:, before:]
        ended = (written == student.tokenizer.eos_token_id).any(dim=1).tolist()
        decoded = student.tokenizer.batch_decode(written, skip_special_tokens=True)
        for index, text, end in zip(indices, decoded, ended, strict=True):
            texts[index] = Generated(text.strip(), not (end or (stop and stop in text)))
    return [texts[index] for index in range(len(inputs))]


def _check_room_to_write(student: Student, encoded: Sequence[list[int]], max_new_tokens: int) -> None:
    if student.decoder_only:
        check_room(student, [Encoded([], [*ids, *[0] * max_new_tokens], 0) for ids in encoded])
    else:
        check_room(student, [Encoded(ids, [0] * max_new_tokens, 0) for ids in encoded])


class _Says(StoppingCriteria):
    """Ends a text with `stop`. The library's own stop strings do not take a tokenizer of whole words.

    `before`: tokens in front of what is written, in which `stop` is not looked for.
    """

    def __init__(self, tokenizer: Any, stop: str, before: int):
        self.tokenizer, self.stop, self.before = tokenizer, stop, before

    def __call__(self, input_ids: torch.Tensor, scores: Any, **_: Any) -> torch.Tensor:
        last = input_ids[:, self.before :][:, -len(self.stop) - 1 :]  # a token has a character at least; one may be cut
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
    rows, _ = encode(student, inputs, targets, prefixes)
    check_room(student, rows)
    longest: dict[str, int] = {}  # of an input's sequences, so that they come into one batch
    for text, row in zip(inputs, rows, strict=True):
        longest[text] = max(longest.get(text, 0), len(row))
    for indices in by_length([longest[text] for text in inputs], batch_size):
        chosen = [rows[index] for index in indices]
        labels = padded([row.writes for row in chosen], IGNORED).to(student.model.device)
        counted = (labels != IGNORED) & after([row.given for row in chosen], labels)
        if student.decoder_only:  # each place foretells the next one
            logits = student.model(**batch(student, [row.writes for row in chosen])).logits[:, :-1]
            yield indices, logits, labels[:, 1:], counted[:, 1:]
        else:
            yield indices, _decoded(student, [inputs[index] for index in indices], chosen, labels), labels, counted


def _decoded(student: Student, texts: Sequence[str], rows: Sequence[Encoded], labels: torch.Tensor) -> torch.Tensor:
    """Logits of an encoder-decoder: each distinct input of the batch is read once for all its targets."""
    distinct = dict.fromkeys(texts)
    places = {text: place for place, text in enumerate(distinct)}
    reads = dict(zip(texts, (row.reads for row in rows), strict=True))
    encoder_batch = batch(student, [reads[text] for text in distinct])
    each = [places[text] for text in texts]
    return student.model(
        encoder_outputs=(student.model.get_encoder()(**encoder_batch).last_hidden_state[each],),
        attention_mask=encoder_batch["attention_mask"][each],
        labels=labels,
    ).logits
