"""A student's weights as oneDNN reads them: packed once for many products, not anew for each."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

import torch
from transformers.pytorch_utils import Conv1D

from scicot_utils.students.loading import Student, parameters

MIN_WEIGHTS = 10_000_000  # the weights of smaller students stay in a processor's cache


@contextmanager
def packed(student: Student, rows: int) -> Iterator[Student]:
    """Inside, a large student on a CPU multiplies by packed weights, which must not change. `rows`: as of the usual input.

    A token of each text in a batch is a product of few rows, for which torch packs the weights anew each time. Packed
    weights take as much memory again. Results may differ in the last digits.
    """
    large = parameters(student) >= MIN_WEIGHTS
    large = large and student.model.device.type == "cpu" and torch.backends.mkldnn.is_available()
    layers = [
        layer
        for layer in student.model.modules()
        if large and type(layer) in (torch.nn.Linear, Conv1D) and "forward" not in vars(layer)
    ]
    try:
        for layer in layers:
            weight = layer.weight.T.contiguous() if isinstance(layer, Conv1D) else layer.weight
            weight = torch.ops.mkldnn._reorder_linear_weight(weight.detach(), rows)
            layer.forward = partial(_product, weight, layer.bias)
        yield student
    finally:
        for layer in layers:
            vars(layer).pop("forward", None)


def _product(weight: torch.Tensor, bias: torch.Tensor | None, inputs: torch.Tensor) -> torch.Tensor:
    return torch.ops.mkldnn._linear_pointwise(inputs, weight, bias, "none", [], "")
