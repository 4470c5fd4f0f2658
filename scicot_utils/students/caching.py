"""Caches of keys and values: what a decoder has read of a sequence, so that it is read once."""

import inspect
from collections.abc import Sequence
from typing import Any

import torch
from transformers.cache_utils import DynamicCache, DynamicLayer, DynamicSlidingWindowLayer, EncoderDecoderCache

from scicot_utils.students.encoding import common_prefix
from scicot_utils.students.loading import Student

MIN_SHARED = 32  # number of common tokens at the beginning of all rows from which they are read only once
SPARE_TOKENS = 64  # spare tokens that a cache allocates


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


def empty_cache(student: Student) -> Any:
    """An empty cache for this student; None if its state is not keys and values only (Mamba)."""
    config = student.model.config.get_text_config(decoder=True)
    if not student.model._supports_default_dynamic_cache():
        return None
    cache = DynamicCache(config=config)
    if not holds_keys_and_values(cache):
        return None
    cache.layers = [_PreallocatedLayer() if type(layer) is DynamicLayer else layer for layer in cache.layers]
    return cache if student.decoder_only else EncoderDecoderCache(cache, DynamicCache(config=config))


def keep_last(cache: Any, width: int) -> None:
    """Drop all but the last `width` columns."""
    for layer in cache.layers:
        layer.keys, layer.values = (part[:, :, part.shape[-2] - width :] for part in (layer.keys, layer.values))
        layer.buffers = None


def add_rows(cache: Any, added: Any, width: int) -> None:
    """Put the rows of a second cache behind those of the first. Both are padded to `width` columns with zeros on the
    left, which a mask must hide.
    """
    for layer, other in zip(cache.layers, added.layers, strict=True):
        layer.keys, layer.values = (
            torch.cat([torch.nn.functional.pad(part, (0, 0, width - part.shape[-2], 0)) for part in parts])
            for parts in ((layer.keys, other.keys), (layer.values, other.values))
        )
        layer.buffers = None


def caches_every_token(cache: Any) -> bool:
    """Whether a cache keeps the keys and values of every token, and not of a window only."""
    return cache is not None and all(type(layer) is _PreallocatedLayer for layer in cache.layers)


def holds_keys_and_values(cache: Any) -> bool:
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


def prefill_shared(student: Student, rows: Sequence[Sequence[int]], cache: Any, *, generates: bool = False) -> int:
    """Read the beginning that all rows share (exemplars, say) into `cache` once. Returns its length in tokens, 0 if none.

    `generates`: positions are counted as the library's `generate` counts them, from 0 in every family of models.
    The cache is then what reading the rows with padding on the left would have made of these columns: the beginning of
    a row with p tokens of padding stands p columns further right, so its last p tokens are read again with the rest.
    """
    shared = _shared_length(rows)
    if shared:
        longest, device = max(map(len, rows)), student.model.device
        inputs = {"input_ids": torch.tensor([list(rows[0][:shared])], device=device)}
        if generates and accepts(student, "position_ids"):
            inputs["position_ids"] = torch.arange(shared, device=device).unsqueeze(0)
        student.model.base_model(**inputs, past_key_values=cache, use_cache=True)
        padding = torch.tensor([longest - len(row) for row in rows], device=device)
        columns = (torch.arange(shared, device=device) - padding.unsqueeze(1)).clamp(min=0)
        for layer in cache.layers:
            layer.keys, layer.values = (states[0][:, columns].transpose(0, 1) for states in (layer.keys, layer.values))
            layer.buffers = None
    return shared


def accepts(student: Student, name: str) -> bool:
    """Whether the model has an input of this name."""
    return name in inspect.signature(student.model.forward).parameters


def _shared_length(rows: Sequence[Sequence[int]]) -> int:
    """Number of tokens that all rows begin with; 0 if reading them once does not pay. At least one token of each row is
    left to read.
    """
    count = min(common_prefix(min(rows), max(rows)), min(map(len, rows)) - 1)
    return count if count >= MIN_SHARED and len(rows) > 1 else 0
