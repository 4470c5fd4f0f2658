"""Answers of students: greedy texts, and log-likelihoods of given ones."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from transformers import GenerationConfig, StoppingCriteria, StoppingCriteriaList
from transformers.cache_utils import DynamicCache, DynamicLayer, DynamicSlidingWindowLayer, EncoderDecoderCache

from scicot_utils.students.encoding import (
    IGNORED,
    Encoded,
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
    for indices, logits, labels in _forward(student, inputs, targets, prefixes or (), batch_size):
        counted = labels != IGNORED
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
    for indices, logits, labels in _forward(student, inputs, targets, prefixes or (), batch_size):
        same = ((logits.argmax(-1) == labels) | (labels == IGNORED)).all(-1).tolist()
        for index, written in zip(indices, same, strict=True):
            found[index] = written
    return found


@dataclass(frozen=True)
class _Asked:
    """A sequence whose end is foretold: after `lead` stand `labels`. An encoder-decoder has read `source` before.

    Sequences that differ in their labels alone share what is read before them.
    """

    source: tuple[int, ...]
    lead: tuple[int, ...]
    labels: list[int]


def _forward(
    student: Student, inputs: Sequence[str], targets: Sequence[str], prefixes: Sequence[str], batch_size: int
) -> Iterator[tuple[list[int], torch.Tensor, torch.Tensor]]:
    """Batches as (indices, logits, labels) of what comes after the prefix; the label of padding is IGNORED.

    What several targets have in common, the options of a question its text and the student's own rationale, is read once
    and kept as keys and values of the decoder. Only leads of one length come into one batch, so that none is padded.
    """
    if len(inputs) != len(targets) or (prefixes and len(prefixes) != len(targets)):
        counts = f"{len(inputs)} inputs, {len(targets)} targets, {len(prefixes)} prefixes"
        raise StudentError(f"score: {counts}; as many of each are needed")
    rows, _ = encode(student, inputs, targets, prefixes)
    check_room(student, rows)
    asked = [_asked(student, row) for row in rows]
    longest: dict[tuple[object, ...], int] = {}  # of sequences that share a beginning, so that they come into one batch
    for row in asked:
        shared = (row.source, row.lead)
        longest[shared] = max(longest.get(shared, 0), len(row.source) + len(row.labels))
    of_length: dict[int, list[int]] = {}
    for index, row in enumerate(asked):
        of_length.setdefault(len(row.lead), []).append(index)
    for alike in of_length.values():
        for places in by_length([longest[asked[index].source, asked[index].lead] for index in alike], batch_size):
            indices = [alike[place] for place in places]
            chosen = [asked[index] for index in indices]
            labels = padded([row.labels for row in chosen], IGNORED).to(student.model.device)
            yield indices, _logits(student, chosen), labels


def _asked(student: Student, row: Encoded) -> _Asked:
    """Where a decoder-only student is given nothing, its first token is foretold by none."""
    start = [] if student.decoder_only else [student.model.config.decoder_start_token_id]
    sequence, first = [*start, *row.writes], max(len(start) + row.given, 1)
    return _Asked(tuple(row.reads), tuple(sequence[:first]), sequence[first:])


def _logits(student: Student, rows: Sequence[_Asked]) -> torch.Tensor:
    """Of each label, shape (rows, most labels, vocabulary); every source and lead is read once for all its rows."""
    shared = {one: place for place, one in enumerate(dict.fromkeys((row.source, row.lead) for row in rows))}
    each = torch.tensor([shared[row.source, row.lead] for row in rows], device=student.model.device)
    leads = torch.tensor([lead for _, lead in shared], device=student.model.device)
    if student.decoder_only:
        name, known = "input_ids", {}
    else:
        sources = batch(student, [source for source, _ in shared])
        states, mask = student.model.get_encoder()(**sources).last_hidden_state, sources["attention_mask"]
        name, known = "decoder_input_ids", {"encoder_outputs": (states,), "attention_mask": mask}
    read = student.model(**known, **{name: leads}, use_cache=True)
    first = read.logits[each, -1:]
    if all(len(row.labels) == 1 for row in rows):
        return first
    if not student.decoder_only:
        known = {"encoder_outputs": (states[each],), "attention_mask": mask[each]}
    labels = batch(student, [row.labels[:-1] for row in rows])["input_ids"]
    past = getattr(read, "past_key_values", None)
    if not _keeps_what_it_read(past):
        whole = torch.cat([leads[each], labels], dim=1)
        return student.model(**known, **{name: whole}).logits[:, leads.shape[1] - 1 :]
    past.batch_select_indices(each)
    others = student.model(**known, **{name: labels}, past_key_values=past).logits
    return torch.cat([first, others], dim=1)


def _keeps_what_it_read(past: Any) -> bool:
    """Whether a student's cache is of keys and values alone, which can be handed to several rows. A recurrent student has
    none, or other states beside them: it reads every sequence whole.
    """
    caches = (
        [past.self_attention_cache, past.cross_attention_cache] if isinstance(past, EncoderDecoderCache) else [past]
    )
    return all(
        isinstance(cache, DynamicCache)
        and all(type(layer) in (DynamicLayer, DynamicSlidingWindowLayer) for layer in cache.layers)
        for cache in caches
    )
