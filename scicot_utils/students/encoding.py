"""From texts to token ids: what a student of either kind reads and writes, as token ids and as padded batches.

An encoder-decoder reads the input in its encoder and writes the target in its decoder. A decoder-only student has one
sequence, "input separator target", and learns the target only (Ho et al. 2023, arXiv 2212.10071, section 3.1).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch

from scicot_utils.students.loading import Student, StudentError, room

IGNORED = -100  # the label that PyTorch's cross-entropy ignores


@dataclass(frozen=True)
class Encoded:
    """One input and target as token ids.

    `encoder_ids`: for the encoder; empty in a decoder-only student. `decoder_ids`: what the decoder reads and predicts,
    with EOS at its end. `given`: how many of its first tokens are given, and so do not count in a loss or a score.
    """

    encoder_ids: list[int]
    decoder_ids: list[int]
    given: int

    def __len__(self) -> int:
        return len(self.encoder_ids) + len(self.decoder_ids)


@dataclass(frozen=True)
class Cut:
    """What token limits cut: how many inputs, targets and pairs; and the longest uncut input and target, in tokens."""

    inputs: int
    targets: int
    pairs: int
    longest_input: int
    longest_target: int


def encode(
    student: Student,
    inputs: Sequence[str],
    targets: Sequence[str],
    prefixes: Sequence[str] = (),
    *,
    max_input_tokens: int = 0,
    max_target_tokens: int = 0,
) -> tuple[list[Encoded], Cut]:
    """Inputs and targets as token ids. With `prefixes`, one per target, "prefix target" is written, its prefix given.

    A limit of 0 cuts nothing. A text that is cut loses its end, but keeps the mark behind it: EOS, or the separator of
    a decoder-only input.
    """
    prefixes = prefixes or [""] * len(targets)
    if student.decoder_only:
        return _encode_joined(student, inputs, targets, prefixes, max_input_tokens, max_target_tokens)
    reads = _ids(student, inputs)
    writes = _ids(student, [f"{p} {t}" if p else t for p, t in zip(prefixes, targets, strict=True)])
    leads = _ids(student, prefixes)
    rows, input_cut, target_cut = [], [], []
    for source, target, lead, prefix in zip(reads, writes, leads, prefixes, strict=True):
        input_cut.append(0 < max_input_tokens < len(source))
        target_cut.append(0 < max_target_tokens < len(target))
        source_kept = [*source[: max_input_tokens - 1], source[-1]] if input_cut[-1] else source
        target_kept = [*target[: max_target_tokens - 1], target[-1]] if target_cut[-1] else target
        rows.append(Encoded(source_kept, target_kept, common(target_kept, lead[:-1]) if prefix else 0))
    return rows, _cut(input_cut, target_cut, map(len, reads), map(len, writes))


def _encode_joined(
    student: Student,
    inputs: Sequence[str],
    targets: Sequence[str],
    prefixes: Sequence[str],
    max_input_tokens: int,
    max_target_tokens: int,
) -> tuple[list[Encoded], Cut]:
    """The sequences of a decoder-only student. Each begins with exactly the tokens that the student is given when it
    generates. If a tokenizer would merge the last of them with the following text, that text is tokenised separately.
    """
    asked = [f"{text}{student.separator}" for text in inputs]
    led = [f"{text} {prefix}" if prefix else text for text, prefix in zip(asked, prefixes, strict=True)]
    whole = _ids(student, [f"{text} {target}" for text, target in zip(led, targets, strict=True)])
    questions, leads = (_without_end(student, _ids(student, texts)) for texts in (asked, led))
    mark = len(_without_end(student, _ids(student, [student.separator]))[0]) if student.separator else 0
    rows, input_cut, target_cut, input_lengths, target_lengths = [], [], [], [], []
    for place, (source, full, lead) in enumerate(zip(questions, whole, leads, strict=True)):
        target, given = full[len(source) :], max(common(full, lead) - len(source), 0)
        if full[: len(source)] != source:
            led, written = f" {prefixes[place]}" if prefixes[place] else "", f" {targets[place]}"
            ahead, alone = (
                student.tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"]
                for text in (led, f"{led}{written}")
            )
            target, given = [*alone, student.tokenizer.eos_token_id], common(alone, ahead)
        input_lengths.append(len(source))
        target_lengths.append(len(target))
        input_cut.append(0 < max_input_tokens < len(source))
        target_cut.append(0 < max_target_tokens < len(target))
        if input_cut[-1]:
            source = [*source[: max_input_tokens - mark], *source[len(source) - mark :]]
        if target_cut[-1]:
            target = [*target[: max_target_tokens - 1], target[-1]]
        rows.append(Encoded([], source + target, len(source) + min(given, len(target) - 1)))
    return rows, _cut(input_cut, target_cut, input_lengths, target_lengths)


def _cut(inputs: Sequence[bool], targets: Sequence[bool], *lengths: Iterator[int] | Sequence[int]) -> Cut:
    pairs = sum(one or other for one, other in zip(inputs, targets, strict=True))
    return Cut(sum(inputs), sum(targets), pairs, *(max(found, default=0) for found in lengths))


def as_tokens(student: Student, source: str, target: str, **limits: int) -> list[dict[str, object]]:
    """One pair as tokens and as decoded text: a row for what is read, and one for what must be written (the loss)."""
    (row,), _ = encode(student, [source], [target], **limits)
    given = row.decoder_ids[: row.given] if student.decoder_only else row.encoder_ids
    tokens = student.tokenizer
    return [
        {
            "part": part,
            "tokens": " · ".join(tokens.convert_ids_to_tokens(ids)),
            "number": len(ids),
            "decoded": tokens.decode(ids),
        }
        for part, ids in (("reads", given), ("must write", row.decoder_ids[row.given :]))
    ]


def to_generate(student: Student, inputs: Sequence[str]) -> list[list[int]]:
    """Token ids from which a student generates: its encoder's input, or the beginning of its one sequence."""
    if not student.decoder_only:
        return _ids(student, inputs)
    return _without_end(student, _ids(student, [f"{text}{student.separator}" for text in inputs]))


def given_back(student: Student, texts: Sequence[str]) -> list[str]:
    """Texts after a round trip through the student's tokenizer, so without what it cannot write."""
    encoded = _ids(student, texts)
    return [text.strip() for text in student.tokenizer.batch_decode(encoded, skip_special_tokens=True)]


def _ids(student: Student, texts: Sequence[str]) -> list[list[int]]:
    """Token ids with EOS at the end, which only some tokenizers add. Each distinct text is tokenised once."""
    end, distinct = student.tokenizer.eos_token_id, list(dict.fromkeys(texts))
    encoded = student.tokenizer(distinct, verbose=False)["input_ids"] if texts else []
    of_text = {text: ids if ids[-1:] == [end] else [*ids, end] for text, ids in zip(distinct, encoded, strict=True)}
    return [of_text[text] for text in texts]


def _without_end(student: Student, encoded: list[list[int]]) -> list[list[int]]:
    return [ids[:-1] for ids in encoded]


def common(full: Sequence[int], part: Sequence[int]) -> int:
    """Length of the common beginning. It may be shorter than `part`, since subword tokenizers may merge the last token
    of a part with what follows.
    """
    count = 0
    while count < min(len(full), len(part)) and full[count] == part[count]:
        count += 1
    return count


def check_room(student: Student, rows: Sequence[Encoded]) -> None:
    """Raise StudentError if a sequence has more tokens than the student has positions."""
    longest_read = max((len(row.encoder_ids) for row in rows), default=0)
    longest_written = max((len(row.decoder_ids) for row in rows), default=0)
    for side, longest, told in (
        ("reads", longest_read, "reads {} tokens; an input"),
        (
            "writes",
            longest_written,
            "holds {} tokens; an input with its target" if student.decoder_only else "writes {} tokens; a target",
        ),
    ):
        if longest > (space := room(student, side)) > 0:
            raise StudentError(
                f"student {student.name!r} {told.format(space)} has {longest}: shorten it, or take another student"
            )


def padded(rows: Sequence[Sequence[int]], value: int, *, left: bool = False) -> torch.Tensor:
    """Rows padded to one length with `value`, on the right or on the left, shape (rows, longest)."""
    width = max(len(row) for row in rows)
    fill = [[value] * (width - len(row)) for row in rows]
    return torch.tensor([[*by, *row] if left else [*row, *by] for row, by in zip(rows, fill, strict=True)])


def batch(student: Student, rows: Sequence[Sequence[int]], *, left: bool = False) -> dict[str, torch.Tensor]:
    """`input_ids` and `attention_mask` of a padded batch, each of shape (rows, longest), on the student's device."""
    ids = padded(rows, student.tokenizer.pad_token_id, left=left)
    mask = padded([[1] * len(row) for row in rows], 0, left=left)
    return {"input_ids": ids.to(student.model.device), "attention_mask": mask.to(student.model.device)}


def by_length(lengths: Sequence[int], size: int) -> Iterator[list[int]]:
    """Batches of indices, sorted by length, so that a batch needs little padding. Ties keep their order."""
    order = sorted(range(len(lengths)), key=lambda index: lengths[index])
    for start in range(0, len(order), size):
        yield order[start : start + size]


def after(given: Sequence[int], labels: torch.Tensor) -> torch.Tensor:
    """Boolean mask of the shape of `labels`: the places after the first `given` of their row."""
    places = torch.arange(labels.shape[1], device=labels.device)
    return places >= torch.tensor(given, device=labels.device).unsqueeze(1)
