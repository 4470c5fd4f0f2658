"""Load and save students: a model with its tokenizer, from the hub, a folder or random weights."""

import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import GenerationConfig, PreTrainedConfig, PreTrainedModel, T5Config
from transformers.utils import logging as transformers_logging

from scicot_utils import ScicotError, hub, paths
from scicot_utils.prompts import SEPARATOR
from scicot_utils.students.building import ARCHITECTURES, built, own_tokenizer

LARGE_VOCABULARY = 8192  # tokens from which logits are computed only where they are needed
GENERATION_TOKENS = ("bos_token_id", "eos_token_id", "pad_token_id", "decoder_start_token_id")


class StudentError(ScicotError):
    """A student cannot be loaded, trained or asked."""


@dataclass
class Student:
    """A model with its tokenizer; `name` says where it came from. `fine_tune` changes `model`.

    `separator` stands between input and target in the one sequence of a decoder-only student.
    """

    model: PreTrainedModel
    tokenizer: Any  # a fast tokenizer; the class differs by model family
    name: str
    separator: str = SEPARATOR

    @property
    def decoder_only(self) -> bool:
        """Whether the model has no encoder, by its config."""
        return not self.model.config.is_encoder_decoder


def load(student: str, tokenizer: str = "", seed: int = 0) -> Student:
    """Load the student "micro" (shipped), "random/<architecture>", a hub name, a folder of safetensors, or a GGUF file.

    Its config says whether it is an encoder-decoder or decoder-only. It is placed on the GPU if there is one.
    `tokenizer`: a hub name or folder; empty for the student's own. A tokenizer without a padding token pads with its
    EOS, so that no vocabulary changes. Raises StudentError, one line, for an unknown architecture, a name under which
    nothing can be read, and a model that writes no text.
    """
    if student.startswith("random/"):
        return _random(student, tokenizer, seed)
    source = paths.source(student)
    with _one_line("student", source), no_progress_bars():
        model = hub.model(hub.folder(source), trainable=True)
    return assemble(model, _tokenizer(tokenizer or source), student)


def _random(student: str, tokenizer: str, seed: int) -> Student:
    """Raises StudentError where no architecture has that name."""
    architecture = student.removeprefix("random/")
    if architecture not in ARCHITECTURES:
        allowed = ", ".join(f"random/{name}" for name in ARCHITECTURES)
        raise StudentError(f"student {student!r}: unknown architecture; allowed are {allowed}")
    family = None if architecture.startswith("micro") else T5Config()
    loaded = _tokenizer(tokenizer, family) if tokenizer else own_tokenizer(architecture)
    return assemble(built(architecture, loaded, seed), loaded, student)


def assemble(model: PreTrainedModel, tokenizer: Any, name: str) -> Student:
    """Join a model and its tokenizer to a student. Raises StudentError if they do not fit each other.

    The checkpoint's settings for generation (penalties, forced or suppressed tokens, lengths, sampling) are dropped,
    except for the tokens that begin, end and pad a text: the recipe alone decides how texts are generated.
    """
    if tokenizer.eos_token is None:
        raise StudentError(
            f"student {name!r}: its tokenizer has no EOS token, so no text would ever end; name another one"
        )
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    if model.config.is_encoder_decoder and getattr(model.config, "decoder_start_token_id", None) is None:
        raise StudentError(f"student {name!r}: its config.json needs decoder_start_token_id, so that a text can begin")
    vocabulary = model.get_input_embeddings().num_embeddings
    if len(tokenizer) > vocabulary:
        raise StudentError(
            f"student {name!r} knows {vocabulary} tokens, its tokenizer has {len(tokenizer)}: name its own one"
        )
    config = model.generation_config
    model.generation_config = GenerationConfig(**{token: getattr(config, token) for token in GENERATION_TOKENS})
    if not model.config.is_encoder_decoder:
        model.loss_type = "ForCausalLM"  # the library's fallback for GPT-2, without its warning
    device = "cuda" if torch.cuda.is_available() else "cpu"  # the Trainer's choice, too
    return Student(model.to(device).eval(), tokenizer, name)


def max_positions(student: Student, side: str) -> int:
    """Number of positions for tokens in the "encoder" or the "decoder"; 0 if only memory limits it."""
    config = student.model.config
    return getattr(config, f"max_{side}_position_embeddings", 0) or getattr(config, "max_position_embeddings", 0) or 0


def _tokenizer(source: str, config: PreTrainedConfig | None = None) -> Any:
    """Load a tokenizer. `config` tells the model family if the folder has no config.json."""
    with _one_line("tokenizer", source):
        return hub.tokenizer(hub.folder(source), config=config)


@contextmanager
def _one_line(kind: str, source: str) -> Iterator[None]:
    """Turn an error of reading into a StudentError of one line; the cause stays attached."""
    try:
        yield
    except (OSError, ValueError) as error:
        offline = ", offline (HF_HUB_OFFLINE=1)" if os.environ.get("HF_HUB_OFFLINE") == "1" else ""
        location = f"no folder, nor on the hub or in its cache{offline}"
        if isinstance(error, hub.Unreadable):
            location = "a file" if source.endswith(".gguf") else "a folder"
        reason = next((line.strip() for line in str(error).splitlines() if line.strip()), "no reason given")
        raise StudentError(
            f"{kind} {source!r} cannot be read ({location}): {reason} Needed are config.json, a tokenizer and "
            f"safetensors weights: name such a folder, download the model first, or use 'micro'."
        ) from error


@contextmanager
def no_progress_bars() -> Iterator[None]:
    """Hide the progress bar of weight files, which takes longer to draw than a small model to load."""
    enabled = transformers_logging.is_progress_bar_enabled()
    transformers_logging.disable_progress_bar()
    try:
        yield
    finally:
        if enabled:
            transformers_logging.enable_progress_bar()


def has_large_head(student: Student) -> bool:
    """Whether the vocabulary is so large that logits should be computed only where they are needed."""
    weight = getattr(student.model.get_output_embeddings(), "weight", None)
    return weight is not None and weight.shape[0] >= LARGE_VOCABULARY


def parameters(student: Student) -> int:
    """Number of parameters; shared ones count once."""
    return sum(parameter.numel() for parameter in student.model.parameters())


def save(student: Student, folder: Path) -> None:
    """Write model and tokenizer to `folder`, atomically. An existing folder is replaced."""
    folder = Path(folder)
    folder.parent.mkdir(parents=True, exist_ok=True)
    new = folder.with_name(f".{folder.name}-{uuid.uuid4().hex}")
    old = new.with_name(f"{new.name}-old")
    new.mkdir()
    try:
        with no_progress_bars():
            student.model.save_pretrained(new)
        student.tokenizer.save_pretrained(new)
        for file in new.iterdir():
            file.chmod(new.stat().st_mode & 0o666)  # safetensors makes files private; the umask should decide
        if folder.exists():
            folder.rename(old)
        new.rename(folder)
        if old.exists():
            shutil.rmtree(old)
    finally:
        shutil.rmtree(new, ignore_errors=True)
