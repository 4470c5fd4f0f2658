"""From texts to token ids: what a student of either kind reads and writes, as token ids and as padded batches.

An encoder-decoder reads the input in its encoder and writes the target in its decoder. A decoder-only student has one
sequence, "input separator target", and learns the target only (Ho et al. 2023, arXiv 2212.10071, section 3.1).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch

from scicot_utils.students.loading import Student, StudentError, max_positions

IGNORED = -100  # the label that PyTorch's cross-entropy ignores


@dataclass(frozen=True)
class Encoded:
    """One input and target as token ids.

    `encoder_ids`: for the encoder; empty in a decoder-only student. `decoder_ids`: what the decoder reads and predicts,
    with EOS at its end. `context_length`: how many of its first tokens do not count in a loss or a score.
    """

    encoder_ids: list[int]
    decoder_ids: list[int]
    context_length: int

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
    """Inputs and targets as token ids. With `prefixes`, one per target, "prefix target" is encoded, and its prefix does
    not count.

    A limit of 0 cuts nothing. A text that is cut loses its end, but keeps the mark behind it: EOS, or the separator of
    a decoder-only input.
    """
    prefixes, limits = prefixes or [""] * len(targets), (max_input_tokens, max_target_tokens)
    if student.decoder_only:
        return _encode_joined(student, inputs, targets, prefixes, limits)
    sources = _ids(student, inputs)
    labels = _ids(student, [f"{p} {t}" if p else t for p, t in zip(prefixes, targets, strict=True)])
    rows = []
    for source, label, lead, prefix in zip(sources, labels, _ids(student, prefixes), prefixes, strict=True):
        label = _truncated(label, max_target_tokens)
        context_length = common_prefix(label, lead[:-1]) if prefix else 0
        rows.append(Encoded(_truncated(source, max_input_tokens), label, context_length))
    return rows, _cut([*map(len, sources)], [*map(len, labels)], limits)


def _encode_joined(
    student: Student,
    inputs: Sequence[str],
    targets: Sequence[str],
    prefixes: Sequence[str],
    limits: tuple[int, int],
) -> tuple[list[Encoded], Cut]:
    """The sequences of a decoder-only student. Each begins with exactly the tokens that the student reads when it
    generates. If a tokenizer would merge the last of them with the following text, that text is tokenised separately.
    """
    sources = [f"{text}{student.separator}" for text in inputs]
    contexts = [f"{source} {prefix}" if prefix else source for source, prefix in zip(sources, prefixes, strict=True)]
    sequences = _ids(student, [f"{context} {target}" for context, target in zip(contexts, targets, strict=True)])
    source_ids, context_ids = (_without_eos(_ids(student, texts)) for texts in (sources, contexts))
    separator_length = len(_without_eos(_ids(student, [student.separator]))[0]) if student.separator else 0
    rows, source_lengths, label_lengths = [], [], []
    for source, context, ids, prefix, target in zip(source_ids, context_ids, sequences, prefixes, targets, strict=True):
        label, prefix_length = ids[len(source) :], max(common_prefix(ids, context) - len(source), 0)
        if ids[: len(source)] != source:
            prefix = f" {prefix}" if prefix else ""
            prefix_ids, alone = (
                student.tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"]
                for text in (prefix, f"{prefix} {target}")
            )
            label, prefix_length = [*alone, student.tokenizer.eos_token_id], common_prefix(alone, prefix_ids)
        source_lengths.append(len(source))
        label_lengths.append(len(label))
        source, label = _truncated(source, limits[0], separator_length), _truncated(label, limits[1])
        rows.append(Encoded([], source + label, len(source) + min(prefix_length, len(label) - 1)))
    return rows, _cut(source_lengths, label_lengths, limits)


def _truncated(ids: list[int], limit: int, ending: int = 1) -> list[int]:
    """`ids` cut to `limit` tokens (0: not at all), with their last `ending` tokens kept."""
    return [*ids[: limit - ending], *ids[len(ids) - ending :]] if 0 < limit < len(ids) else ids


def _cut(input_lengths: Sequence[int], target_lengths: Sequence[int], limits: tuple[int, int]) -> Cut:
    inputs, targets = ([0 < limits[0] < n for n in input_lengths], [0 < limits[1] < n for n in target_lengths])
    pairs = sum(source or target for source, target in zip(inputs, targets, strict=True))
    return Cut(sum(inputs), sum(targets), pairs, max(input_lengths, default=0), max(target_lengths, default=0))


def as_tokens(student: Student, source: str, target: str, **limits: int) -> list[dict[str, object]]:
    """One pair as tokens and as decoded text: a row for what is read, and one for what must be written (the loss)."""
    (row,), _ = encode(student, [source], [target], **limits)
    context = row.decoder_ids[: row.context_length] if student.decoder_only else row.encoder_ids
    tokenizer = student.tokenizer
    return [
        {
            "part": part,
            "tokens": " · ".join(tokenizer.convert_ids_to_tokens(ids)),
            "number": len(ids),
            "decoded": tokenizer.decode(ids),
        }
        for part, ids in (("reads", context), ("must write", row.decoder_ids[row.context_length :]))
    ]


def to_generate(student: Student, inputs: Sequence[str], max_new_tokens: int = 0) -> list[list[int]]:
    """Token ids from which a student generates: its encoder's input, or the beginning of its one sequence. Raises
    StudentError if an input and `max_new_tokens` exceed its positions.
    """
    new = [0] * max_new_tokens
    if student.decoder_only:
        rows = _without_eos(_ids(student, [f"{text}{student.separator}" for text in inputs]))
        check_positions(student, [Encoded([], [*ids, *new], len(ids)) for ids in rows])
    else:
        rows = _ids(student, inputs)
        check_positions(student, [Encoded(ids, new, 0) for ids in rows])
    return rows


def round_trip(student: Student, texts: Sequence[str]) -> list[str]:
    """Texts encoded and decoded by the student's tokenizer, so without what it cannot write."""
    return [text.strip() for text in student.tokenizer.batch_decode(_ids(student, texts), skip_special_tokens=True)]


def _ids(student: Student, texts: Sequence[str]) -> list[list[int]]:
    """Token ids with EOS at the end, which only some tokenizers add. Each distinct text is tokenised once."""
    eos, distinct = student.tokenizer.eos_token_id, list(dict.fromkeys(texts))
    encoded = student.tokenizer(distinct, verbose=False)["input_ids"] if texts else []
    of_text = {text: ids if ids[-1:] == [eos] else [*ids, eos] for text, ids in zip(distinct, encoded, strict=True)}
    return [of_text[text] for text in texts]


def _without_eos(encoded: list[list[int]]) -> list[list[int]]:
    return [ids[:-1] for ids in encoded]


def common_prefix(whole: Sequence[int], part: Sequence[int]) -> int:
    """Length of the common beginning. It may be shorter than `part`, since subword tokenizers may merge the last token
    of a part with what follows.
    """
    length = min(len(whole), len(part))
    return next((index for index in range(length) if whole[index] != part[index]), length)


def check_positions(student: Student, rows: Sequence[Encoded]) -> None:
    """Raise StudentError if a sequence has more tokens than the student has positions."""
    writes = "holds {} tokens; an input with its target" if student.decoder_only else "writes {} tokens; a target"
    for side, lengths, message in (
        ("encoder", [len(row.encoder_ids) for row in rows], "reads {} tokens; an input"),
        ("decoder", [len(row.decoder_ids) for row in rows], writes),
    ):
        longest, limit = max(lengths, default=0), max_positions(student, side)
        if longest > limit > 0:
            row = rows[lengths.index(longest)]
            begins = student.tokenizer.decode((row.encoder_ids or row.decoder_ids[: row.context_length])[:20])
            raise StudentError(
                f"student {student.name!r} {message.format(limit)} has {longest}: shorten it, or take another student; "
                f"it begins {begins!r}"
            )


def padded(rows: Sequence[Sequence[int]], value: int, *, left: bool = False) -> torch.Tensor:
    """Rows padded to one length with `value`, on the right or on the left, shape (rows, longest)."""
    width = max(len(row) for row in rows)
    padding = [[value] * (width - len(row)) for row in rows]
    return torch.tensor([[*pad, *row] if left else [*row, *pad] for row, pad in zip(rows, padding, strict=True)])


def batch(
    student: Student, rows: Sequence[Sequence[int]], *, left: bool = False, device: torch.device | str | None = None
) -> dict[str, torch.Tensor]:
    """`input_ids` and `attention_mask` of a padded batch, each of shape (rows, longest), by default on the student's
    device.
    """
    ids = padded(rows, student.tokenizer.pad_token_id, left=left)
    mask = padded([[1] * len(row) for row in rows], 0, left=left)
    device = device or student.model.device
    return {"input_ids": ids.to(device), "attention_mask": mask.to(device)}


def by_length(lengths: Sequence[int], size: int) -> Iterator[list[int]]:
    """Batches of indices, sorted by length, so that a batch needs little padding. Ties keep their order."""
    order = sorted(range(len(lengths)), key=lengths.__getitem__)
    for start in range(0, len(order), size):
        yield order[start : start + size]


def after(context_lengths: Sequence[int], labels: torch.Tensor) -> torch.Tensor:
    """Boolean mask of the shape of `labels`: the positions after the context of their row."""
    positions = torch.arange(labels.shape[1], device=labels.device)
    return positions >= torch.tensor(context_lengths, device=labels.device).unsqueeze(1)
