"""Build students here: small architectures with random weights, and tokenizers of the words that they need."""

from collections.abc import Callable, Iterable, Sequence
from string import ascii_lowercase, digits, punctuation
from typing import Any

import torch
from tokenizers import Regex, Tokenizer, decoders, normalizers, pre_tokenizers, processors
from tokenizers.models import Model, WordLevel, WordPiece
from transformers import (
    AutoModelForCausalLM,
    AutoModelForSeq2SeqLM,
    BartConfig,
    GPT2Config,
    PreTrainedModel,
    PreTrainedTokenizerFast,
    T5Config,
)

from scicot_utils.prompts import SEPARATOR
from scicot_utils.students.words import MASK, WORD
from scicot_utils.tasks import symbolic

SPECIAL_TOKENS = {"pad": "<pad>", "bos": "<s>", "eos": "</s>", "unk": "<unk>", "mask": MASK}
MICRO_POSITIONS = 192  # longest micro sequence in use: about 100 tokens (rationale, options, question)
GPT2_POSITIONS = 1024  # as in every published GPT-2


def word_tokenizer(words: Sequence[str]) -> PreTrainedTokenizerFast:
    """A lower-casing tokenizer with one token per word, label ("(a)") or mark in `words`. Anything else is unknown."""
    return _lower_cased(WordLevel, WORD.pattern, words)


def spelling_tokenizer(words: Sequence[str]) -> PreTrainedTokenizerFast:
    """A lower-casing tokenizer with one token per word, label, mark or separator in `words`. It spells other words."""
    letters = [*ascii_lowercase, *digits]
    inner = [f"##{letter}" for letter in letters]  # inside a word
    unique = dict.fromkeys([*letters, *inner, *punctuation, SEPARATOR.strip(), *words])
    return _lower_cased(WordPiece, f"{SEPARATOR.strip()}|{WORD.pattern}", unique)


def _lower_cased(kind: type[Model], pattern: str, words: Iterable[str]) -> PreTrainedTokenizerFast:
    tokens = [*SPECIAL_TOKENS.values(), *words]
    vocabulary = {token: index for index, token in enumerate(tokens)}
    tokenizer = Tokenizer(kind(vocabulary, unk_token=SPECIAL_TOKENS["unk"]))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex(pattern), "removed", invert=True)
    tokenizer.decoder = decoders.WordPiece(prefix="##", cleanup=True)  # no space before "." or ","
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"$A {SPECIAL_TOKENS['eos']}",
        special_tokens=[(SPECIAL_TOKENS["eos"], tokens.index(SPECIAL_TOKENS["eos"]))],
    )
    special = {f"{name}_token": token for name, token in SPECIAL_TOKENS.items()}
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, model_max_length=MICRO_POSITIONS, **special)


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
    # A BART of width 64: absolute positions are learned from little data, T5's relative ones are not.
    "bart-tiny": _micro(64, 2),
    "gpt2-tiny": _gpt2_tiny,  # a GPT-2 of width 64
}


def own_tokenizer(architecture: str) -> PreTrainedTokenizerFast:
    """The tokenizer of an architecture: of the embedded world's words. Those that are not `micro` also know the symbolic
    tasks' words, and spell all others.
    """
    from scicot_utils.microsci import facts, pretraining  # imported here: the embedded world lies above the core

    words = pretraining.vocabulary(facts.load_world())
    if architecture.startswith("micro"):
        return word_tokenizer(words)
    return spelling_tokenizer([*words, *WORD.findall(" ".join(symbolic.words()).lower())])


def built(architecture: str, tokenizer: Any, seed: int) -> PreTrainedModel:
    """A model of one of ARCHITECTURES for a tokenizer's vocabulary; the same seed gives the same weights."""
    config = ARCHITECTURES[architecture](tokenizer)
    auto = AutoModelForSeq2SeqLM if config.is_encoder_decoder else AutoModelForCausalLM
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return auto.from_config(config)
