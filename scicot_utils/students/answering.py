"""Inference of students: greedy generation, and log-likelihoods of given texts."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from transformers import GenerationConfig, StoppingCriteria, StoppingCriteriaList
from transformers.cache_utils import DynamicCache, DynamicLayer, DynamicSlidingWindowLayer, EncoderDecoderCache
from transformers.modeling_outputs import BaseModelOutput

from scicot_utils.students.encoding import (
    IGNORED,
    Encoded,
    batch,
    by_length,
    check_room,
    common,
    encode,
    padded,
    to_generate,
)
from scicot_utils.students.loading import Student, StudentError

SEGMENT = 16  # number of generated tokens after which ended texts leave their batch
SHARED = 32  # number of common tokens at the beginning of all rows from which they are read only once
ROOM_AHEAD = 64  # spare tokens that a cache allocates


@dataclass(frozen=True)
class Generated:
    """A generated text. `truncated`: it did not end within the tokens allowed."""

    text: str
    truncated: bool


@torch.inference_mode()
def generate(
    student: Student, inputs: Sequence[str], *, max_new_tokens: int, batch_size: int, stop: str = ""
) -> list[Generated]:
    """Greedy continuations, in the order of `inputs`, up to their end or to `stop`, which is part of them.

    The other texts in a batch do not change a text: decoder-only inputs are padded on the left, and padding is masked.
    Raises StudentError if the input and `max_new_tokens` exceed the student's positions.
    """
    encoded = to_generate(student, inputs)
    _check_room_to_write(student, encoded, max_new_tokens)
    texts, ends = {}, _ends(student)
    for indices in by_length([len(ids) for ids in encoded], batch_size):
        written = _continue(student, [encoded[index] for index in indices], max_new_tokens, stop)
        decoded = student.tokenizer.batch_decode(written, skip_special_tokens=True)
        for index, ids, text in zip(indices, written, decoded, strict=True):
            ended = not ends.isdisjoint(ids) or (stop and stop in text)
            texts[index] = Generated(text.strip(), not ended)
    return [texts[index] for index in range(len(inputs))]


def _continue(student: Student, rows: Sequence[list[int]], max_new_tokens: int, stop: str) -> list[list[int]]:
    """The token ids generated after each row. Every SEGMENT tokens, the texts that have ended leave the batch."""
    model, past = student.model, _cache(student)
    given, config = batch(student, rows, left=student.decoder_only), model.generation_config
    mask = given["attention_mask"]
    if student.decoder_only:
        ids, name, states = given["input_ids"], "input_ids", None
        pad = student.tokenizer.pad_token_id
        if _keeps_all(past):
            _read_opening(student, rows, past, generates=True)
    else:
        ids = torch.full((len(rows), 1), config.decoder_start_token_id, device=model.device)
        name, states = "decoder_input_ids", model.get_encoder()(**given).last_hidden_state
        pad = config.pad_token_id
    before = ids.shape[1]  # generated tokens follow the input, or the start token, which is EOS in many BART models
    criteria = StoppingCriteriaList([_Says(student.tokenizer, stop, before)] if stop else [])
    there, written, ends = torch.arange(len(rows)), [[] for _ in rows], [*_ends(student)]
    while len(there):
        left = max_new_tokens - (ids.shape[1] - before)
        step = GenerationConfig(
            max_new_tokens=left if past is None else min(SEGMENT, left), do_sample=False, num_beams=1, pad_token_id=pad,
            eos_token_id=ends,
        )  # fmt: skip
        known = {"attention_mask": mask} | ({} if past is None else {"past_key_values": past})
        if states is not None:  # from the decoder's mask, the library infers how much of the sequence is cached
            known |= {"encoder_outputs": BaseModelOutput(states), "decoder_attention_mask": torch.ones_like(ids)}
        ids = model.generate(**{name: ids}, **known, generation_config=step, stopping_criteria=criteria)
        ended = torch.isin(ids[:, before:], torch.tensor(ends, device=ids.device)).any(dim=1)
        if stop:  # searched in the whole output: padding follows a text that ended within the segment
            texts = student.tokenizer.batch_decode(ids[:, before:], skip_special_tokens=True)
            ended |= torch.tensor([stop in text for text in texts], device=ids.device)
        ended |= ids.shape[1] - before >= max_new_tokens
        for row in ended.nonzero()[:, 0].tolist():
            written[there[row]] = ids[row, before:].tolist()
        kept = (~ended).nonzero()[:, 0]
        there, ids, mask, states = there[kept.cpu()], ids[kept], mask[kept], None if states is None else states[kept]
        if student.decoder_only:
            mask = torch.nn.functional.pad(mask, (0, ids.shape[1] - mask.shape[1]), value=1)
        if past is not None and len(kept) < len(ended):
            past.batch_select_indices(kept)
    return written


def _read_opening(student: Student, rows: Sequence[Sequence[int]], past: Any, *, generates: bool = False) -> int:
    """Read the beginning that all rows share (exemplars, say) into `past` once. Returns its length in tokens, 0 if none.

    `generates`: positions are counted as the library's `generate` counts them, from 0 in every family of models.
    The cache is then what reading the rows with padding on the left would have made of these columns: the opening of a
    row with p tokens of padding stands p columns further right, so its last p tokens are read again with the rest.
    """
    shared = _shared(rows)
    if shared:
        longest, device = max(map(len, rows)), student.model.device
        opening = {"input_ids": torch.tensor([list(rows[0][:shared])], device=device)}
        if generates and "position_ids" in inspect.signature(student.model.forward).parameters:
            opening["position_ids"] = torch.arange(shared, device=device).unsqueeze(0)
        student.model.base_model(**opening, past_key_values=past, use_cache=True)
        padding = torch.tensor([longest - len(row) for row in rows], device=device)
        columns = (torch.arange(shared, device=device) - padding.unsqueeze(1)).clamp(min=0)
        for layer in past.layers:
            layer.keys, layer.values = (one[0][:, columns].transpose(0, 1) for one in (layer.keys, layer.values))
            layer.room = None
    return shared


def _shared(rows: Sequence[Sequence[int]]) -> int:
    """Number of tokens that all rows begin with; 0 if reading them once does not pay. At least one token of each row is
    left to read.
    """
    count = min(common(min(rows), max(rows)), min(map(len, rows)) - 1)
    return count if count >= SHARED and len(rows) > 1 else 0


def _ends(student: Student) -> set[int]:
    """The token ids that end a text: the tokenizer's EOS and, for an encoder-decoder, those of its checkpoint."""
    named = None if student.decoder_only else student.model.generation_config.eos_token_id
    return {student.tokenizer.eos_token_id, *([] if named is None else [named] if isinstance(named, int) else named)}


class _Roomy(DynamicLayer):
    """Keys and values with spare room behind them, so that a new token does not copy all earlier ones."""

    room: tuple[torch.Tensor, torch.Tensor] | None = None

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, *_: Any, **__: Any
    ) -> tuple[torch.Tensor, torch.Tensor]:
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
        old, new = self.get_seq_length(), self.get_seq_length() + key_states.shape[-2]
        states = (key_states, value_states)
        if self.room is None or self.room[0].shape[-2] < new:
            self.room = tuple(one.new_empty((*one.shape[:2], new + ROOM_AHEAD, one.shape[-1])) for one in states)
            for room, kept in zip(self.room, (self.keys, self.values), strict=True):
                if old:
                    room[:, :, :old] = kept
        for room, one in zip(self.room, states, strict=True):
            room[:, :, old:new] = one
        self.keys, self.values = (room[:, :, :new] for room in self.room)
        return self.keys, self.values

    def batch_select_indices(self, indices: torch.Tensor) -> None:
        super().batch_select_indices(indices)
        self.room = None


def _cache(student: Student) -> Any:
    """An empty cache for this student; None if its state is not keys and values only (Mamba)."""
    config = student.model.config.get_text_config(decoder=True)
    if not student.model._supports_default_dynamic_cache():
        return None
    past = DynamicCache(config=config)
    if not _keeps_what_it_read(past):
        return None
    past.layers = [_Roomy() if type(layer) is DynamicLayer else layer for layer in past.layers]
    return past if student.decoder_only else EncoderDecoderCache(past, DynamicCache(config=config))


def _check_room_to_write(student: Student, encoded: Sequence[list[int]], max_new_tokens: int) -> None:
    if student.decoder_only:
        check_room(student, [Encoded([], [*ids, *[0] * max_new_tokens], 0) for ids in encoded])
    else:
        check_room(student, [Encoded(ids, [0] * max_new_tokens, 0) for ids in encoded])


class _Says(StoppingCriteria):
    """Ends a text at `stop`. The library's own stop strings do not support a tokenizer of whole words.

    `before`: number of tokens before the generated ones, in which `stop` is not looked for.
    """

    def __init__(self, tokenizer: Any, stop: str, before: int):
        self.tokenizer, self.stop, self.before = tokenizer, stop, before

    def __call__(self, input_ids: torch.Tensor, scores: Any, **_: Any) -> torch.Tensor:
        # A token has at least one character; the first token may be cut.
        last = input_ids[:, self.before :][:, -len(self.stop) - 1 :]
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

    With prefixes, the decoder reads "prefix target", and only the tokens after the prefix are summed. Without `ends`,
    the EOS is left out: the target is the beginning of a longer text. Raises StudentError for unequal counts and for
    sequences beyond the student's positions.
    """
    sums = [0.0] * len(targets)
    for indices, logits, labels in _forward(student, inputs, targets, prefixes or (), batch_size):
        counted = labels != IGNORED
        if not ends:
            counted = counted & torch.nn.functional.pad(counted[:, 1:], (0, 1))  # all but the last one, EOS
        chosen = logits.float().log_softmax(-1).gather(-1, labels.clamp(min=0).unsqueeze(-1)).squeeze(-1)
        for index, total in zip(indices, (chosen * counted).sum(-1).tolist(), strict=True):
            sums[index] = total
    return sums


@torch.inference_mode()
def is_greedy(
    student: Student,
    inputs: Sequence[str],
    targets: Sequence[str],
    *,
    batch_size: int,
    prefixes: Sequence[str] | None = None,
) -> list[bool]:
    """Whether greedy decoding of each input gives exactly its target and EOS, token for token.

    The student reads the target, and each next token must be its first choice. The result is that of generating and
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
    """A sequence to be scored: `labels` are predicted after `lead`. An encoder-decoder reads `source` before.

    For sequences that differ in their labels only, source and lead are read once.
    """

    source: tuple[int, ...]
    lead: tuple[int, ...]
    labels: list[int]


def _forward(
    student: Student, inputs: Sequence[str], targets: Sequence[str], prefixes: Sequence[str], batch_size: int
) -> Iterator[tuple[list[int], torch.Tensor, torch.Tensor]]:
    """Yield batches as (indices, logits, labels) for the tokens after the prefix. The label of padding is IGNORED.

    What several targets share is read once and kept as keys and values of the decoder. For the options of a question,
    this is its text and the student's own rationale. Only leads of one length come into one batch, so that none is
    padded. Raises StudentError for unequal counts and for sequences beyond the student's positions.
    """
    if len(inputs) != len(targets) or (prefixes and len(prefixes) != len(targets)):
        counts = f"{len(inputs)} inputs, {len(targets)} targets, {len(prefixes)} prefixes"
        raise StudentError(f"score: {counts}; as many of each are needed")
    rows, _ = encode(student, inputs, targets, prefixes)
    check_room(student, rows)
    asked = [_asked(student, row) for row in rows]
    longest: dict[tuple[object, ...], int] = {}  # per shared beginning, so that such sequences come into one batch
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
    """An encoded row as a sequence to be scored. If a decoder-only student is given nothing, its first token is not
    scored, since nothing predicts it.
    """
    start = [] if student.decoder_only else [student.model.config.decoder_start_token_id]
    sequence, first = [*start, *row.decoder_ids], max(len(start) + row.given, 1)
    return _Asked(tuple(row.encoder_ids), tuple(sequence[:first]), sequence[first:])


def _logits(student: Student, rows: Sequence[_Asked]) -> torch.Tensor:
    """Logits for each label, shape (rows, most labels, vocabulary). Every source and lead is read once for all rows
    that share it.
    """
    shared = {one: place for place, one in enumerate(dict.fromkeys((row.source, row.lead) for row in rows))}
    each = torch.tensor([shared[row.source, row.lead] for row in rows], device=student.model.device)
    leads = torch.tensor([lead for _, lead in shared], device=student.model.device)
    if student.decoder_only:
        name, known = "input_ids", {}
    else:
        sources = batch(student, [source for source, _ in shared])
        states, mask = student.model.get_encoder()(**sources).last_hidden_state, sources["attention_mask"]
        name, known = "decoder_input_ids", {"encoder_outputs": (states,), "attention_mask": mask}
    read = _read(student, leads) if student.decoder_only else student.model(**known, **{name: leads}, use_cache=True)
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


def _read(student: Student, leads: torch.Tensor) -> Any:
    """What a decoder-only student predicts after leads of one length. The beginning that all of them share is read once."""
    past = _cache(student)
    if not _keeps_all(past):
        return student.model(input_ids=leads, use_cache=True)
    shared = _read_opening(student, leads.tolist(), past)
    return student.model(input_ids=leads[:, shared:], past_key_values=past, use_cache=True)


def _keeps_all(past: Any) -> bool:
    """Whether a cache keeps the keys and values of every token, and not of a window only."""
    return past is not None and all(type(layer) is _Roomy for layer in past.layers)


def _keeps_what_it_read(past: Any) -> bool:
    """Whether a cache holds keys and values only, so that it can be copied to several rows.

    A recurrent student has no such cache, or further states. It must read every sequence whole.
    """
    caches = (
        [past.self_attention_cache, past.cross_attention_cache] if isinstance(past, EncoderDecoderCache) else [past]
    )
    return all(
        isinstance(cache, DynamicCache)
        and all(type(layer) in (DynamicLayer, DynamicSlidingWindowLayer, _Roomy) for layer in cache.layers)
        for cache in caches
    )
