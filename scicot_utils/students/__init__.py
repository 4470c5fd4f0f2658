"""Students, encoder-decoder or decoder-only, from the hub, a folder or a seed: fine-tune, generate, score, save.

A student's config tells which of the two it is. Inputs and targets are plain texts, which `prompts` and `arms` make.
Layers: loading, then encoding, then generation and likelihood, then training.

A module is imported when one of its names is first used: torch and transformers take seconds, and notebooks that only
name an arm or draw a figure need neither.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from scicot_utils.students.building import ARCHITECTURES
    from scicot_utils.students.encoding import as_tokens, round_trip
    from scicot_utils.students.fetching import fetch
    from scicot_utils.students.generation import Generated, generate
    from scicot_utils.students.likelihood import is_greedy, score
    from scicot_utils.students.loading import Student, StudentError, load, parameters, save
    from scicot_utils.students.publishing import PROVIDER_FORMS, publish, write_pairs
    from scicot_utils.students.training import TrainingLog, TrainingOptions, fine_tune

__all__ = [
    "ARCHITECTURES",
    "PROVIDER_FORMS",
    "Generated",
    "Student",
    "StudentError",
    "TrainingLog",
    "TrainingOptions",
    "as_tokens",
    "fetch",
    "fine_tune",
    "generate",
    "is_greedy",
    "load",
    "parameters",
    "publish",
    "round_trip",
    "save",
    "score",
    "write_pairs",
]  # fmt: skip


def __getattr__(name: str) -> Any:
    if name in __all__:
        modules = ("building", "loading", "encoding", "generation", "likelihood", "training", "publishing", "fetching")
        for submodule in modules:
            if hasattr(module := import_module(f"{__name__}.{submodule}"), name):
                return getattr(module, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
