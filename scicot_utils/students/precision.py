"""fp32 or bf16: what a recipe's key `precision` means on this machine."""

from copy import deepcopy
from dataclasses import replace

import torch

from scicot_utils.students.loading import Student, StudentError


def has_bf16() -> bool:
    """Whether this processor has bf16 instructions; others emulate them."""
    return any(found for name, found in torch.cpu.get_capabilities().items() if "bf16" in name)


def uses_bf16(precision: str) -> bool:
    """Whether "fp32", "bf16" or "auto" (bf16 if a GPU supports it, fp32 on a CPU) multiplies in bf16.

    Raises StudentError, one line, for "bf16" on a processor that could only emulate it.
    """
    if torch.cuda.is_available():
        return precision == "bf16" or (precision == "auto" and torch.cuda.is_bf16_supported())
    if precision == "bf16" and not has_bf16():
        raise StudentError(
            "precision: found bf16, but this processor has no bf16 instructions (AVX-512 BF16, AMX) and would take over "
            "ten times as long as with fp32; allowed here: auto, fp32"
        )
    return precision == "bf16"


def for_writing(student: Student, precision: str) -> Student:
    """The student that writes texts in this precision: a copy with weights in bf16, or the student itself."""
    if not uses_bf16(precision):
        return student
    # A view of weights made in inference mode requires no gradient. torch then multiplies the last tokens of a batch by
    # a copy of the head for each text (`should_fold` in ATen's LinearAlgebra.cpp).
    with torch.inference_mode(False):
        return replace(student, model=deepcopy(student.model).to(torch.bfloat16))
