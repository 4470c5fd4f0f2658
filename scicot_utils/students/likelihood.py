"""Log-likelihoods of given texts, and whether a student would write them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from scicot_utils.students.caching import (
    accepts,
    caches_every_token,
    empty_cache,
    holds_keys_and_values,
    prefill_shared,
)
from scicot_utils.students.encoding import IGNORED, Encoded, batch, by_length, check_positions, encode, padded
from scicot_utils.students.loading import Student, StudentError, has_large_head
from scicot_utils.students.packing import packed


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
    with packed(student, batch_size):
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
    if not holds_keys_and_values(cache):
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
    if has_large_head(student) and accepts(student, "logits_to_keep"):
        settings["logits_to_keep"] = 1
    cache = empty_cache(student)
    if not caches_every_token(cache):
        return student.model(input_ids=leads, **settings)
    shared = prefill_shared(student, leads.tolist(), cache)
    return student.model(input_ids=leads[:, shared:], past_key_values=cache, **settings)
