"""What a training minimises: mean cross-entropy (nats) of target tokens, or of pairs whatever their length."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch.nn.functional import cross_entropy, pad

from scicot_utils.students.encoding import IGNORED, encode
from scicot_utils.students.likelihood import score
from scicot_utils.students.loading import Student


@dataclass(frozen=True)
class Loss:
    """The loss of one part of a batch of `batch_size` pairs, cut into `parts`. `by_pair`: every pair weighs the same."""

    student: Student
    by_pair: bool
    batch_size: int
    parts: int

    def from_logits(self, outputs: Any, labels: torch.Tensor, num_items_in_batch: Any = None) -> torch.Tensor:
        """The mean of the pairs' means, from the logits of all positions."""
        logits = outputs.logits
        if self.student.decoder_only:
            logits, labels = logits[:, :-1], labels[:, 1:]  # each position predicts the next token
        losses = cross_entropy(logits.float().transpose(1, 2), labels, ignore_index=IGNORED, reduction="none")
        return self._mean(losses.sum(1) / (labels != IGNORED).sum(1).clamp(min=1))

    def at_labels(self, model: Any, inputs: dict[str, torch.Tensor]) -> torch.Tensor:
        """The same, or the mean of the tokens, from logits only at positions with a label: the output layer sees no
        more. `inputs` loses its labels.
        """
        labels = inputs.pop("labels")
        if self.student.decoder_only:
            labels = pad(labels[:, 1:], (0, 1), value=IGNORED)
        labelled = labels != IGNORED
        head = self.student.model.get_output_embeddings()
        hook = head.register_forward_pre_hook(lambda _, arguments: (arguments[0][labelled],))
        try:
            logits = model(**inputs).logits.float()
        finally:
            hook.remove()
        if not self.by_pair:
            return cross_entropy(logits, labels[labelled])
        losses = cross_entropy(logits, labels[labelled], reduction="none")
        sums = losses.new_zeros(len(labels)).index_add(0, labelled.nonzero()[:, 0], losses)
        return self._mean(sums / labelled.sum(1).clamp(min=1))

    def _mean(self, losses: torch.Tensor) -> torch.Tensor:
        # parts of a batch differ in size, and their losses are summed up
        return losses.sum() / self.batch_size if self.parts > 1 else losses.mean()


@torch.inference_mode()
def has_plain_loss(student: Student, batch: dict[str, torch.Tensor]) -> bool:
    """Whether a student's own loss of a pair is the one at labels. Some models add terms, or have another head."""
    model = student.model.eval()
    inputs = {name: tensor.to(model.device) for name, tensor in batch.items()}
    try:
        expected = model(**inputs).loss
        loss = Loss(student, by_pair=False, batch_size=1, parts=1).at_labels(model, inputs)
    except (RuntimeError, IndexError, TypeError, ValueError):
        return False
    finally:
        model.train()
    return loss.shape == expected.shape and bool(torch.isclose(expected, loss, rtol=1e-3))


def of_pairs(student: Student, pairs: Sequence[tuple[str, str]], batch_size: int, by_pair: bool) -> float:
    """Mean negative log-likelihood (nats) of a target token or, with `by_pair`, the mean of the pairs' means."""
    inputs, targets = [source for source, _ in pairs], [target for _, target in pairs]
    counts = [len(row.decoder_ids) - row.context_length for row in encode(student, inputs, targets)[0]]
    sums = score(student, inputs, targets, batch_size=batch_size)
    if by_pair:
        return -sum(total / count for total, count in zip(sums, counts, strict=True)) / len(counts)
    return -sum(sums) / sum(counts)
