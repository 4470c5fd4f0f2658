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
    check_positions,
    common_prefix,
    encode,
    padded,
    to_generate,
)
from scicot_utils.students.loading import Student, StudentError, has_large_head

SEGMENT = 16  # number of generated tokens after which ended texts leave their batch
MIN_SHARED = 32  # number of common tokens at the beginning of all rows from which they are read only once
SPARE_TOKENS = 64  # spare tokens that a cache allocates


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
    rows, new = to_generate(student, inputs), [0] * max_new_tokens
    whole = [Encoded([], [*ids, *new], 0) if student.decoder_only else Encoded(ids, new, 0) for ids in rows]
    check_positions(student, whole)
    results, eos_ids = {}, _eos_ids(student)
    for indices in by_length([len(ids) for ids in rows], batch_size):
        sequences = _continue(student, [rows[index] for index in indices], max_new_tokens, stop)
        texts = student.tokenizer.batch_decode(sequences, skip_special_tokens=True)
        for index, ids, text in zip(indices, sequences, texts, strict=True):
            ended = not eos_ids.isdisjoint(ids) or (stop and stop in text)
            results[index] = Generated(text.strip(), not ended)
    return [results[index] for index in range(len(inputs))]


def _continue(student: Student, rows: Sequence[list[int]], max_new_tokens: int, stop: str) -> list[list[int]]:
    """The token ids generated after each row. Every SEGMENT tokens, the texts that have ended leave the batch."""
    model, cache = student.model, _empty_cache(student)
    inputs = batch(student, rows, left=student.decoder_only)
    mask = inputs["attention_mask"]
    if student.decoder_only:
        ids, name, states = inputs["input_ids"], "input_ids", None
        pad_id = student.tokenizer.pad_token_id
        if _caches_every_token(cache):
            _prefill_shared(student, rows, cache, generates=True)
    else:
        start_id, pad_id = model.generation_config.decoder_start_token_id, model.generation_config.pad_token_id
        ids = torch.full((len(rows), 1), start_id, device=model.device)
        name, states = "decoder_input_ids", model.get_encoder()(**inputs).last_hidden_state
    # generated tokens follow the input, or the start token, which is EOS in many BART models
    prompt_length, eos_ids = ids.shape[1], [*_eos_ids(student)]
    criteria = StoppingCriteriaList([_StopsAt(student.tokenizer, stop, prompt_length)] if stop else [])
    active, generated = torch.arange(len(rows)), [[] for _ in rows]
    while len(active):
        remaining = max_new_tokens - (ids.shape[1] - prompt_length)
        config = GenerationConfig(
            max_new_tokens=remaining if cache is None else min(SEGMENT, remaining), do_sample=False, num_beams=1,
            pad_token_id=pad_id, eos_token_id=eos_ids,
        )  # fmt: skip
        context = {"attention_mask": mask} | ({} if cache is None else {"past_key_values": cache})
        if states is not None:  # from the decoder's mask, the library infers how much of the sequence is cached
            context |= {"encoder_outputs": BaseModelOutput(states), "decoder_attention_mask": torch.ones_like(ids)}
        ids = model.generate(**{name: ids}, **context, generation_config=config, stopping_criteria=criteria)
        ended = torch.isin(ids[:, prompt_length:], torch.tensor(eos_ids, device=ids.device)).any(dim=1)
        if stop:  # searched in the whole output: padding follows a text that ended within the segment
            texts = student.tokenizer.batch_decode(ids[:, prompt_length:], skip_special_tokens=True)
            ended |= torch.tensor([stop in text for text in texts], device=ids.device)
        ended |= ids.shape[1] - prompt_length >= max_new_tokens
        for row in ended.nonzero()[:, 0].tolist():
            generated[active[row]] = ids[row, prompt_length:].tolist()
        open_rows = (~ended).nonzero()[:, 0]
        active, ids, mask = active[open_rows.cpu()], ids[open_rows], mask[open_rows]
        states = None if states is None else states[open_rows]
        if student.decoder_only:
            mask = torch.nn.functional.pad(mask, (0, ids.shape[1] - mask.shape[1]), value=1)
        if cache is not None and len(open_rows) < len(ended):
            cache.batch_select_indices(open_rows)
    return generated


def _prefill_shared(student: Student, rows: Sequence[Sequence[int]], cache: Any, *, generates: bool = False) -> int:
    """Read the beginning that all rows share (exemplars, say) into `cache` once. Returns its length in tokens, 0 if none.

    `generates`: positions are counted as the library's `generate` counts them, from 0 in every family of models.
    The cache is then what reading the rows with padding on the left would have made of these columns: the beginning of
    a row with p tokens of padding stands p columns further right, so its last p tokens are read again with the rest.
    """
    shared = _shared_length(rows)
    if shared:
        longest, device = max(map(len, rows)), student.model.device
        inputs = {"input_ids": torch.tensor([list(rows[0][:shared])], device=device)}
        if generates and _accepts(student, "position_ids"):
            inputs["position_ids"] = torch.arange(shared, device=device).unsqueeze(0)
        student.model.base_model(**inputs, past_key_values=cache, use_cache=True)
        padding = torch.tensor([longest - len(row) for row in rows], device=device)
        columns = (torch.arange(shared, device=device) - padding.unsqueeze(1)).clamp(min=0)
        for layer in cache.layers:
            layer.keys, layer.values = (states[0][:, columns].transpose(0, 1) for states in (layer.keys, layer.values))
            layer.buffers = None
    return shared


def _accepts(student: Student, name: str) -> bool:
    """Whether the model has an input of this name."""
    return name in inspect.signature(student.model.forward).parameters


def _shared_length(rows: Sequence[Sequence[int]]) -> int:
    """Number of tokens that all rows begin with; 0 if reading them once does not pay. At least one token of each row is
    left to read.
    """
    count = min(common_prefix(min(rows), max(rows)), min(map(len, rows)) - 1)
    return count if count >= MIN_SHARED and len(rows) > 1 else 0


def _eos_ids(student: Student) -> set[int]:
    """The token ids that end a text: the tokenizer's EOS and, for an encoder-decoder, those of its checkpoint."""
    eos = None if student.decoder_only else student.model.generation_config.eos_token_id
    return {student.tokenizer.eos_token_id, *([] if eos is None else [eos] if isinstance(eos, int) else eos)}


class _PreallocatedLayer(DynamicLayer):
    """Keys and values with spare room behind them, so that a new token does not copy all earlier ones."""

    buffers: tuple[torch.Tensor, torch.Tensor] | None = None

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, *_: Any, **__: Any
    ) -> tuple[torch.Tensor, torch.Tensor]:
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
        old, new = self.get_seq_length(), self.get_seq_length() + key_states.shape[-2]
        added = (key_states, value_states)
        if self.buffers is None or self.buffers[0].shape[-2] < new:
            self.buffers = tuple(
                states.new_empty((*states.shape[:2], new + SPARE_TOKENS, states.shape[-1])) for states in added
            )
            for buffer, states in zip(self.buffers, (self.keys, self.values), strict=True):
                if old:
                    buffer[:, :, :old] = states
        for buffer, states in zip(self.buffers, added, strict=True):
            buffer[:, :, old:new] = states
        self.keys, self.values = (buffer[:, :, :new] for buffer in self.buffers)
        return self.keys, self.values

    def batch_select_indices(self, indices: torch.Tensor) -> None:
        super().batch_select_indices(indices)
        self.buffers = None


def _empty_cache(student: Student) -> Any:
    """An empty cache for this student; None if its state is not keys and values only (Mamba)."""
    config = student.model.config.get_text_config(decoder=True)
    if not student.model._supports_default_dynamic_cache():
        return None
    cache = DynamicCache(config=config)
    if not _holds_keys_and_values(cache):
        return None
    cache.layers = [_PreallocatedLayer() if type(layer) is DynamicLayer else layer for layer in cache.layers]
    return cache if student.decoder_only else EncoderDecoderCache(cache, DynamicCache(config=config))


class _StopsAt(StoppingCriteria):
    """Ends a text at `stop`. The library's own stop strings do not support a tokenizer of whole words.

    `prompt_length`: number of tokens before the generated ones, in which `stop` is not looked for.
    """

    def __init__(self, tokenizer: Any, stop: str, prompt_length: int):
        self.tokenizer, self.stop, self.prompt_length = tokenizer, stop, prompt_length

    def __call__(self, input_ids: torch.Tensor, scores: Any, **_: Any) -> torch.Tensor:
        # A token has at least one character; the first token may be cut.
        last = input_ids[:, self.prompt_length :][:, -len(self.stop) - 1 :]
        texts = self.tokenizer.batch_decode(last, skip_special_tokens=True)
        return torch.tensor([self.stop in text for text in texts], device=input_ids.device)


@torch.inference_mode()
def score(
    student: Student,
    inputs: Sequence[str],
    targets: Sequence[str],
    *,
    batch_size: int,
    prefixes: Sequence[str] = (),
    ends: bool = True,
) -> list[float]:
    """Summed log-likelihood (nats) of each target with its EOS, given its input (and a target prefix).

    With prefixes, the decoder reads "prefix target", and only the tokens after the prefix are summed. Without `ends`,
    the EOS is left out: the target is the beginning of a longer text. Raises StudentError for unequal counts and for
    sequences beyond the student's positions.
    """
    sums = [0.0] * len(targets)
    for indices, logits, labels in _forward(student, inputs, targets, prefixes, batch_size):
        counted = labels != IGNORED
        if not ends:
            counted = counted & torch.nn.functional.pad(counted[:, 1:], (0, 1))  # all but the last one, EOS
        scores = logits.float().log_softmax(-1).gather(-1, labels.clamp(min=0).unsqueeze(-1)).squeeze(-1)
        for index, total in zip(indices, (scores * counted).sum(-1).tolist(), strict=True):
            sums[index] = total
    return sums


@torch.inference_mode()
def is_greedy(
    student: Student, inputs: Sequence[str], targets: Sequence[str], *, batch_size: int, prefixes: Sequence[str] = ()
) -> list[bool]:
    """Whether greedy decoding of each input gives exactly its target and EOS, token for token.

    The student reads the target, and each next token must be its first choice. The result is that of generating and
    comparing, without generating.
    """
    results = [False] * len(targets)
    for indices, logits, labels in _forward(student, inputs, targets, prefixes, batch_size):
        matches = ((logits.argmax(-1) == labels) | (labels == IGNORED)).all(-1).tolist()
        for index, match in zip(indices, matches, strict=True):
            results[index] = match
    return results


@dataclass(frozen=True)
class _Sequence:
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
    check_positions(student, rows)
    sequences = [_to_sequence(student, row) for row in rows]
    longest: dict[tuple[object, ...], int] = {}  # per shared beginning, so that such sequences come into one batch
    for sequence in sequences:
        shared = (sequence.source, sequence.lead)
        longest[shared] = max(longest.get(shared, 0), len(sequence.source) + len(sequence.labels))
    by_lead_length: dict[int, list[int]] = {}
    for index, sequence in enumerate(sequences):
        by_lead_length.setdefault(len(sequence.lead), []).append(index)
    for group in by_lead_length.values():
        lengths = [longest[sequences[index].source, sequences[index].lead] for index in group]
        for numbers in by_length(lengths, batch_size):
            indices = [group[number] for number in numbers]
            batched = [sequences[index] for index in indices]
            labels = padded([sequence.labels for sequence in batched], IGNORED).to(student.model.device)
            yield indices, _logits(student, batched), labels


def _to_sequence(student: Student, row: Encoded) -> _Sequence:
    """An encoded row as a sequence to be scored. If a decoder-only student is given nothing, its first token is not
    scored, since nothing predicts it.
    """
    start = [] if student.decoder_only else [student.model.config.decoder_start_token_id]
    ids, first = [*start, *row.decoder_ids], max(len(start) + row.context_length, 1)
    return _Sequence(tuple(row.encoder_ids), tuple(ids[:first]), ids[first:])


def _logits(student: Student, rows: Sequence[_Sequence]) -> torch.Tensor:
    """Logits for each label, shape (rows, most labels, vocabulary). Every source and lead is read once for all rows
    that share it.
    """
    shared = {
        beginning: number for number, beginning in enumerate(dict.fromkeys((row.source, row.lead) for row in rows))
    }
    numbers = torch.tensor([shared[row.source, row.lead] for row in rows], device=student.model.device)
    leads = torch.tensor([lead for _, lead in shared], device=student.model.device)
    if student.decoder_only:
        name, context, outputs = "input_ids", {}, _read_leads(student, leads)
    else:
        sources = batch(student, [source for source, _ in shared])
        states, mask = student.model.get_encoder()(**sources).last_hidden_state, sources["attention_mask"]
        name, context = "decoder_input_ids", {"encoder_outputs": (states[numbers],), "attention_mask": mask[numbers]}
        outputs = student.model(encoder_outputs=(states,), attention_mask=mask, decoder_input_ids=leads, use_cache=True)
    first = outputs.logits[numbers, -1:]
    if all(len(row.labels) == 1 for row in rows):
        return first
    labels = batch(student, [row.labels[:-1] for row in rows])["input_ids"]
    cache = getattr(outputs, "past_key_values", None)
    if not _holds_keys_and_values(cache):
        whole = torch.cat([leads[numbers], labels], dim=1)
        return student.model(**context, **{name: whole}).logits[:, leads.shape[1] - 1 :]
    cache.batch_select_indices(numbers)
    later = student.model(**context, **{name: labels}, past_key_values=cache).logits
    return torch.cat([first, later], dim=1)


def _read_leads(student: Student, leads: torch.Tensor) -> Any:
    """What a decoder-only student predicts after leads of one length. The beginning that all of them share is read once.
    With a large vocabulary, logits are computed after the last token only, where the library has a parameter for it.
    """
    settings: dict[str, Any] = {"use_cache": True}
    if has_large_head(student) and _accepts(student, "logits_to_keep"):
        settings["logits_to_keep"] = 1
    cache = _empty_cache(student)
    if not _caches_every_token(cache):
        return student.model(input_ids=leads, **settings)
    shared = _prefill_shared(student, leads.tolist(), cache)
    return student.model(input_ids=leads[:, shared:], past_key_values=cache, **settings)


def _caches_every_token(cache: Any) -> bool:
    """Whether a cache keeps the keys and values of every token, and not of a window only."""
    return cache is not None and all(type(layer) is _PreallocatedLayer for layer in cache.layers)


def _holds_keys_and_values(cache: Any) -> bool:
    """Whether a cache holds keys and values only, so that it can be copied to several rows.

    A recurrent student has no such cache, or further states. It must read every sequence whole.
    """
    both = isinstance(cache, EncoderDecoderCache)
    caches = [cache.self_attention_cache, cache.cross_attention_cache] if both else [cache]
    return all(
        isinstance(part, DynamicCache)
        and all(type(layer) in (DynamicLayer, DynamicSlidingWindowLayer, _PreallocatedLayer) for layer in part.layers)
        for part in caches
    )
