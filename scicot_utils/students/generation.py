"""Greedy generation, with the places of ended texts taken by the texts that wait."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from transformers import GenerationConfig, StoppingCriteria, StoppingCriteriaList
from transformers.modeling_outputs import BaseModelOutput

from scicot_utils.students.caching import add_rows, caches_every_token, empty_cache, keep_last, prefill_shared
from scicot_utils.students.encoding import batch, by_length, to_generate
from scicot_utils.students.loading import Student
from scicot_utils.students.packing import packed
from scicot_utils.students.precision import for_writing

SEGMENT = 16  # number of generated tokens after which ended texts leave their batch
MIN_ROOM = 0.25  # share of a batch that must be free before waiting texts join: joining copies the cache


@dataclass(frozen=True)
class Generated:
    """A generated text. `truncated`: it did not end within the tokens allowed."""

    text: str
    truncated: bool


@torch.inference_mode()
def generate(
    student: Student,
    inputs: Sequence[str],
    *,
    max_new_tokens: int,
    batch_size: int,
    stop: str = "",
    precision: str = "fp32",
) -> list[Generated]:
    """Greedy continuations, in the order of `inputs`, up to their end or to `stop`, which is part of them.

    Texts that have ended leave their batch. Waiting inputs take their places where the student's cache allows it
    (continuous batching: Yu et al. 2022, Orca, section 3.2). The other texts in a batch do not change a text:
    decoder-only inputs are padded on the left, and padding is masked. In bf16, rounding may differ with the batch.
    `precision`: as in `precision.uses_bf16`. Raises StudentError if an input and `max_new_tokens` exceed the student's
    positions, and for bf16 on a processor without it.
    """
    rows = to_generate(student, inputs, max_new_tokens)
    with packed(for_writing(student, precision), batch_size) as writer:
        sequences = _sequences(writer, rows, max_new_tokens, batch_size, stop)
    results, eos_ids = [], _eos_ids(student)
    for index in range(len(rows)):
        text = student.tokenizer.decode(sequences[index], skip_special_tokens=True)
        ended = not eos_ids.isdisjoint(sequences[index]) or (stop and stop in text)
        results.append(Generated(text.strip(), not ended))
    return results


def _sequences(
    student: Student, rows: Sequence[Sequence[int]], max_new_tokens: int, batch_size: int, stop: str
) -> dict[int, list[int]]:
    """Index of each row → the token ids written after it."""
    waiting = [index for indices in by_length([len(ids) for ids in rows], batch_size) for index in indices]
    sequences: dict[int, list[int]] = {}
    active: _Batch | None = None
    while waiting or active:
        room = batch_size - len(active) if active else batch_size
        if waiting and (not active or (active.can_grow and room >= MIN_ROOM * batch_size)):
            indices, waiting = waiting[:room], waiting[room:]
            added = _Batch(student, indices, [rows[index] for index in indices])
            if active:
                sequences |= added.write(1, max_new_tokens, stop)  # reads the inputs into their cache
                active.join(added)
            else:
                active = added
        sequences |= active.write(SEGMENT, max_new_tokens, stop)
    return sequences


class _Batch:
    """Texts that are generated together, each up to the last column of `ids`."""

    def __init__(self, student: Student, indices: list[int], rows: Sequence[Sequence[int]]):
        self.student, self.indices, self.counts = student, indices, [0] * len(rows)  # counts: of generated tokens
        inputs = batch(student, rows, left=student.decoder_only)
        self.mask, self.cache = inputs["attention_mask"], empty_cache(student)
        self.can_grow = student.decoder_only and caches_every_token(self.cache)
        if student.decoder_only:
            self.ids, self.pad_id, self.states = inputs["input_ids"], student.tokenizer.pad_token_id, None
            if self.can_grow:
                prefill_shared(student, rows, self.cache, generates=True)
        else:
            defaults = student.model.generation_config
            self.ids, self.pad_id = (
                self.mask.new_full((len(rows), 1), defaults.decoder_start_token_id),
                defaults.pad_token_id,
            )
            self.states = student.model.get_encoder()(**inputs).last_hidden_state

    def __len__(self) -> int:
        return len(self.indices)

    def write(self, tokens: int, max_new_tokens: int, stop: str) -> dict[int, list[int]]:
        """Generate at most `tokens` tokens of each text. The texts that have ended leave the batch and are returned, as
        the token ids of each index.
        """
        tokenizer, eos_ids = self.student.tokenizer, [*_eos_ids(self.student)]
        before, remaining = self.ids.shape[1], max_new_tokens - max(self.counts)
        config = GenerationConfig(
            max_new_tokens=remaining if self.cache is None else min(tokens, remaining), do_sample=False, num_beams=1,
            pad_token_id=self.pad_id, eos_token_id=eos_ids,
        )  # fmt: skip
        # an encoder-decoder's start token, which is EOS in many BART models, is not generated
        starts = [before - count for count in self.counts]
        criteria = StoppingCriteriaList([_StopsAt(tokenizer, stop, starts)] if stop else [])
        context = {"attention_mask": self.mask} | ({} if self.cache is None else {"past_key_values": self.cache})
        name = "input_ids"
        if self.states is not None:  # from the decoder's mask, the library infers how much of the sequence is cached
            name, mask = "decoder_input_ids", torch.ones_like(self.ids)
            context |= {"encoder_outputs": BaseModelOutput(self.states), "decoder_attention_mask": mask}
        self.ids = self.student.model.generate(
            **{name: self.ids}, **context, generation_config=config, stopping_criteria=criteria
        )
        self.counts = [count + self.ids.shape[1] - before for count in self.counts]
        generated = [row[start:] for row, start in zip(self.ids.tolist(), starts, strict=True)]
        texts = tokenizer.batch_decode(generated, skip_special_tokens=True) if stop else [""] * len(self)
        # `stop` is searched in the whole output: padding follows a text that ended within the segment
        ended = [
            count >= max_new_tokens or not set(eos_ids).isdisjoint(ids) or bool(stop and stop in text)
            for count, ids, text in zip(self.counts, generated, texts, strict=True)
        ]
        finished = {index: ids for index, ids, left in zip(self.indices, generated, ended, strict=True) if left}
        if self.states is None:
            self.mask = torch.nn.functional.pad(self.mask, (0, self.ids.shape[1] - before), value=1)
        if finished:
            self._keep([row for row, left in enumerate(ended) if not left])
        return finished

    def _keep(self, rows: list[int]) -> None:
        self.indices, self.counts = [self.indices[row] for row in rows], [self.counts[row] for row in rows]
        kept = torch.tensor(rows, dtype=torch.long, device=self.ids.device)
        self.ids, self.mask = self.ids[kept], self.mask[kept]
        self.states = None if self.states is None else self.states[kept]
        if self.cache is not None:
            self.cache.batch_select_indices(kept)
        unused = int(self.mask.any(0).int().argmax()) if rows and self.can_grow else 0  # columns of padding alone
        if unused:
            self.ids, self.mask = self.ids[:, unused:], self.mask[:, unused:]
            keep_last(self.cache, self.ids.shape[1] - 1)  # the last token is not read yet

    def join(self, added: _Batch) -> None:
        """Take in the texts of another batch, with padding on the left of the shorter ones."""
        if not added:
            return
        width = max(self.mask.shape[1], added.mask.shape[1])
        self.ids, self.mask = (
            torch.cat([torch.nn.functional.pad(part, (width - part.shape[1], 0), value=value) for part in parts])
            for parts, value in (((self.ids, added.ids), self.pad_id), ((self.mask, added.mask), 0))
        )
        self.indices, self.counts = self.indices + added.indices, self.counts + added.counts
        add_rows(self.cache, added.cache, width - 1)


def _eos_ids(student: Student) -> set[int]:
    """The token ids that end a text: the tokenizer's EOS and, for an encoder-decoder, those of its checkpoint."""
    eos = None if student.decoder_only else student.model.generation_config.eos_token_id
    return {student.tokenizer.eos_token_id, *([] if eos is None else [eos] if isinstance(eos, int) else eos)}


class _StopsAt(StoppingCriteria):
    """Ends a text at `stop`. The library's own stop strings do not support a tokenizer of whole words.

    `starts`: the column of each text's first generated token, before which `stop` is not looked for.
    """

    def __init__(self, tokenizer: Any, stop: str, starts: Sequence[int]):
        self.tokenizer, self.stop, self.starts = tokenizer, stop, starts

    def __call__(self, input_ids: torch.Tensor, scores: Any, **_: Any) -> torch.Tensor:
        # A token has at least one character; the first token may be cut.
        first = max(input_ids.shape[1] - len(self.stop) - 1, 0)
        rows = zip(input_ids[:, first:].tolist(), self.starts, strict=True)
        texts = self.tokenizer.batch_decode(
            [ids[max(start - first, 0) :] for ids, start in rows], skip_special_tokens=True
        )
        return torch.tensor([self.stop in text for text in texts], device=input_ids.device)
