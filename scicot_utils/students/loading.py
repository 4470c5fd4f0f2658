"""Loading and saving students: from the hub, a folder or a seed, as one model with its tokenizer."""

from __future__ import annotations

import os
import shutil
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from string import ascii_lowercase, digits, punctuation
from typing import Any

import torch
from safetensors import SafetensorError
from tokenizers import Regex, Tokenizer, decoders, normalizers, pre_tokenizers, processors
from tokenizers.models import Model, WordLevel, WordPiece
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoModelForSeq2SeqLM,
    AutoTokenizer,
    BartConfig,
    GenerationConfig,
    GPT2Config,
    PreTrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerFast,
    T5Config,
)
from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES
from transformers.utils import logging as transformers_logging

from scicot_utils import ScicotError, hub, microsci, paths
from scicot_utils.prompts import SEPARATOR
from scicot_utils.tasks import symbolic

SPECIAL_TOKENS = {"pad": "<pad>", "bos": "<s>", "eos": "</s>", "unk": "<unk>", "mask": microsci.MASK}
MICRO_POSITIONS = 192  # longest micro sequence in use: about 100 tokens (rationale, options, question)
GENERATION_TOKENS = ("bos_token_id", "eos_token_id", "pad_token_id", "decoder_start_token_id")
GPT2_POSITIONS = 1024  # those of every published GPT-2


class StudentError(ScicotError):
    """A student that cannot be loaded, trained or asked."""


@dataclass
class Student:
    """A model with its tokenizer; `name` says where it came from. `fine_tune` changes `model`.

    `separator` stands between input and target where both are one sequence, in decoder-only students.
    """

    model: PreTrainedModel
    tokenizer: Any  # a fast tokenizer; the class differs by model family
    name: str
    separator: str = SEPARATOR

    @property
    def decoder_only(self) -> bool:
        return not self.model.config.is_encoder_decoder


# Tokenizer and architectures


def word_tokenizer(words: Sequence[str]) -> PreTrainedTokenizerFast:
    """A lower-casing tokenizer: one token a word, label "(a)" or mark of `words`; others are unknown to it."""
    tokens = [*SPECIAL_TOKENS.values(), *words]
    model = WordLevel({t: i for i, t in enumerate(tokens)}, unk_token=SPECIAL_TOKENS["unk"])
    return _lower_cased(model, microsci.WORD.pattern, tokens)


def spelling_tokenizer(words: Sequence[str]) -> PreTrainedTokenizerFast:
    """A lower-casing tokenizer: one token a word, label, mark or separator of `words`; others it spells, in letters."""
    letters = [*ascii_lowercase, *digits]
    known = dict.fromkeys([*letters, *(f"##{mark}" for mark in letters), *punctuation, SEPARATOR.strip(), *words])
    tokens = [*SPECIAL_TOKENS.values(), *known]
    model = WordPiece({t: i for i, t in enumerate(tokens)}, unk_token=SPECIAL_TOKENS["unk"])
    return _lower_cased(model, f"{SEPARATOR.strip()}|{microsci.WORD.pattern}", tokens)


def _lower_cased(model: Model, word: str, tokens: Sequence[str]) -> PreTrainedTokenizerFast:
    tokenizer = Tokenizer(model)
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex(word), "removed", invert=True)
    tokenizer.decoder = decoders.WordPiece(prefix="##", cleanup=True)  # no space before "." or ","
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"$A {SPECIAL_TOKENS['eos']}",
        special_tokens=[(SPECIAL_TOKENS["eos"], tokens.index(SPECIAL_TOKENS["eos"]))],
    )
    named = {f"{name}_token": token for name, token in SPECIAL_TOKENS.items()}
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, model_max_length=MICRO_POSITIONS, **named)


def _micro(width: int, layers: int) -> Callable[[Any], BartConfig]:
    def configure(tokenizer: Any) -> BartConfig:
        return BartConfig(
            vocab_size=len(tokenizer), d_model=width, encoder_layers=layers, decoder_layers=layers,
            encoder_attention_heads=4, decoder_attention_heads=4, encoder_ffn_dim=2 * width,
            decoder_ffn_dim=2 * width, max_position_embeddings=MICRO_POSITIONS, dropout=0.1,
            pad_token_id=tokenizer.pad_token_id, bos_token_id=tokenizer.bos_token_id,
            eos_token_id=tokenizer.eos_token_id, decoder_start_token_id=tokenizer.bos_token_id,
            forced_eos_token_id=None,
        )  # fmt: skip

    return configure


def _t5_tiny(tokenizer: Any) -> T5Config:
    return T5Config(
        vocab_size=len(tokenizer), d_model=64, d_kv=16, d_ff=128, num_layers=2, num_decoder_layers=2,
        num_heads=4, pad_token_id=tokenizer.pad_token_id, eos_token_id=tokenizer.eos_token_id,
        decoder_start_token_id=tokenizer.pad_token_id,
    )  # fmt: skip


def _gpt2_tiny(tokenizer: Any) -> GPT2Config:
    return GPT2Config(
        vocab_size=len(tokenizer), n_embd=64, n_layer=2, n_head=4, n_positions=GPT2_POSITIONS,
        bos_token_id=tokenizer.eos_token_id, eos_token_id=tokenizer.eos_token_id, pad_token_id=tokenizer.pad_token_id,
    )  # fmt: skip


ARCHITECTURES = {
    "micro": _micro(128, 2),  # the embedded student: BART with absolute positions, 2+2 layers of width 128
    "micro-small": _micro(64, 2),
    "micro-large": _micro(192, 3),
    "t5-tiny": _t5_tiny,  # a T5 of width 64
    # A BART of width 64: absolute positions are learned from little, unlike T5's relative ones.
    "bart-tiny": _micro(64, 2),
    "gpt2-tiny": _gpt2_tiny,  # a GPT-2 of width 64
}
DECODER_ONLY = ("gpt2-tiny",)


def load(student: str, tokenizer: str = "", seed: int = 0) -> Student:
    """The student named: "micro" (shipped), "random/<architecture>", a hub name or folder of safetensors, or a GGUF file.

    Its config says whether it is an encoder-decoder or decoder-only. It lies on the GPU where there is one. `tokenizer` is a hub name or folder; empty means the
    student's own; one without a padding token pads with its EOS, so that no vocabulary changes. Raises StudentError, in
    one line, for an unknown architecture, where nothing of that name can be read, and for a model that writes no text.
    """
    if student.startswith("random/"):
        return _random(student, _architecture(student), tokenizer, seed)
    source = paths.source(student)
    with _one_line("student", source), no_progress_bars():
        place, form = _form(source)
        config = AutoConfig.from_pretrained(place, **form)
        kind = AutoModelForSeq2SeqLM if config.is_encoder_decoder else AutoModelForCausalLM
        if kind is AutoModelForCausalLM and not _writes_text(config):
            raise ValueError(f"its config names {', '.join(config.architectures)}, which writes no text.")
        model = kind.from_pretrained(place, use_safetensors=not form, dtype=torch.float32, **form)
        if form:  # its numbers are plain ones now, and are saved as such
            del model.config.quantization_config
            model.hf_quantizer = None
    return put_together(model, _tokenizer(tokenizer or source), student)


def _form(source: str) -> tuple[Path, dict[str, str]]:
    """The folder of a model, and what to say to transformers of a file of its own in it: GGUF is read as fp32."""
    place = hub.folder(source)
    return (place.parent, {"gguf_file": place.name}) if place.suffix == ".gguf" else (place, {})


def _architecture(student: str) -> str:
    """`random/t5-tiny` → `t5-tiny`; raises StudentError where it is none of ARCHITECTURES."""
    name = student.removeprefix("random/")
    if name not in ARCHITECTURES:
        allowed = ", ".join(f"random/{known}" for known in ARCHITECTURES)
        raise StudentError(f"student {student!r}: unknown architecture; allowed are {allowed}")
    return name


def _random(student: str, named: str, tokenizer: str, seed: int) -> Student:
    embedded = named.startswith("micro")
    if tokenizer:
        words = _tokenizer(tokenizer, None if embedded else T5Config())
    else:
        known = microsci.vocabulary(microsci.load_world())
        words = word_tokenizer(known) if embedded else spelling_tokenizer([*known, *_symbolic_words()])
    kind = AutoModelForCausalLM if named in DECODER_ONLY else AutoModelForSeq2SeqLM
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = kind.from_config(ARCHITECTURES[named](words))
    return put_together(model, words, student)


def _symbolic_words() -> list[str]:
    return [word for text in symbolic.words() for word in microsci.WORD.findall(text.lower())]


def _writes_text(config: PreTrainedConfig) -> bool:
    """Whether weights with a causal head were saved; a masked model would see in training what it is to write."""
    return not config.architectures or bool({*config.architectures} & {*MODEL_FOR_CAUSAL_LM_MAPPING_NAMES.values()})


def put_together(model: PreTrainedModel, tokenizer: Any, name: str) -> Student:
    """A model and its tokenizer as a student, checked to fit each other.

    What a checkpoint says of generation (penalties, forced or suppressed tokens, lengths, sampling) is left out, all but
    the tokens that begin, end and pad a text: what is generated is decided by the recipe alone.
    """
    if tokenizer.eos_token is None:
        raise StudentError(
            f"student {name!r}: its tokenizer has no EOS token, so no text would ever end; name another one"
        )
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    known = model.get_input_embeddings().num_embeddings
    if len(tokenizer) > known:
        raise StudentError(
            f"student {name!r} knows {known} tokens, its tokenizer has {len(tokenizer)}: name its own one"
        )
    named = model.generation_config
    model.generation_config = GenerationConfig(**{token: getattr(named, token) for token in GENERATION_TOKENS})
    if not model.config.is_encoder_decoder:
        model.loss_type = "ForCausalLM"  # what the library falls back to for GPT-2, with a warning
    device = "cuda" if torch.cuda.is_available() else "cpu"  # where the Trainer puts it, too
    return Student(model.to(device).eval(), tokenizer, name)


def room(student: Student, side: str) -> int:
    """How many tokens there are positions for on one side, "reads" or "writes"; 0: as many as there is memory for."""
    coder = {"reads": "encoder", "writes": "decoder"}[side]
    names = (f"max_{coder}_position_embeddings", "max_position_embeddings")
    return next((found for name in names if (found := getattr(student.model.config, name, None))), 0)


def _tokenizer(source: str, config: PreTrainedConfig | None = None) -> Any:
    """`config` names the family where the folder holds a bare tokenizer, without a config.json."""
    with _one_line("tokenizer", source):
        place, form = _form(source)
        return AutoTokenizer.from_pretrained(place, config=config, **form)


@contextmanager
def _one_line(what: str, source: str) -> Iterator[None]:
    """Turn the libraries' long messages about a missing file into one line; the cause stays attached."""
    try:
        yield
    except (OSError, ValueError, SafetensorError) as error:
        offline = ", offline (HF_HUB_OFFLINE=1)" if os.environ.get("HF_HUB_OFFLINE") == "1" else ""
        place = "a folder" if Path(source).is_dir() else f"no folder, nor on the hub or in its cache{offline}"
        reason = next((line.strip() for line in str(error).splitlines() if line.strip()), "no reason given")
        raise StudentError(
            f"{what} {source!r} cannot be read ({place}): {reason}{_damaged(error)} Needed are config.json, a tokenizer and "
            f"safetensors weights: name such a folder, download the model first, or use 'micro'."
        ) from error


def _damaged(error: Exception) -> str:
    if not isinstance(error, SafetensorError):
        return ""
    return ": the weights are cut short, or an LFS pointer stands in their place; fetch them again."


@contextmanager
def no_progress_bars() -> Iterator[None]:
    """Without the bar over weight files, which takes longer to draw than a small model to load."""
    shown = transformers_logging.is_progress_bar_enabled()
    transformers_logging.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            transformers_logging.enable_progress_bar()


def parameters(student: Student) -> int:
    """Number of parameters, shared ones once."""
    return sum(parameter.numel() for parameter in student.model.parameters())


def save(student: Student, folder: Path) -> None:
    """Write model and tokenizer to `folder`, complete or not at all; an earlier one there is replaced."""
    folder = Path(folder)
    folder.parent.mkdir(parents=True, exist_ok=True)
    part = folder.with_name(f".{folder.name}-{uuid.uuid4().hex}")
    part.mkdir()
    try:
        with no_progress_bars():
            student.model.save_pretrained(part)
        student.tokenizer.save_pretrained(part)
        for file in part.iterdir():
            file.chmod(
                part.stat().st_mode & 0o666
            )  # safetensors writes for the owner only; who else may, the umask says
        if folder.exists():
            old = part.with_name(f"{part.name}-old")
            folder.rename(old)
            part.rename(folder)
            shutil.rmtree(old)
        else:
            part.rename(folder)
    finally:
        shutil.rmtree(part, ignore_errors=True)
