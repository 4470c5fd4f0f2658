"""Hugging Face hub names as local folders, each pinned to the commit that was fetched first, and the models in them.

After fetching, hub content is read, hashed and recorded like any other folder.
"""

import json
import re
import string
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from filelock import FileLock

from scicot_utils import paths, tables

PINS = paths.CACHE / "hub.json"  # delete it to move to the hub's newest commits
MODEL_FILES = ["*.safetensors", "*.json", "*.txt", "*.model", "*.jinja"]  # no pickled weights
BENCHMARK = "datasets/"  # prefix of a data set's name, as in the hub's URLs
DAMAGED = ": the weights are cut short, or an LFS pointer stands in their place; fetch them again."


class Unreadable(ValueError):
    """What lies there is no model or tokenizer that can be read; the message says why in one line."""


def folder(source: str, *, fetch: bool = True) -> Path:
    """The local folder of the model `org/name` or `org/name@revision`, or of the data set `datasets/org/name`.

    It lies in the hub's own cache. A local folder's path is returned as it is. A GGUF file gives the path of the file:
    a local one, or `org/name/file.gguf`.

    Without a revision, or with a branch, the commit is the one in `PINS`. If there is none, it is the newest, which is
    then written to `PINS`. `fetch=False` looks in the cache only, like HF_HUB_OFFLINE=1. Raises the library's own
    errors, which are kinds of OSError and ValueError.
    """
    if Path(source).is_absolute():
        return Path(source)
    from huggingface_hub import snapshot_download  # imported here: it is slow, and only hub names need it

    repository, _, revision = source.partition("@")
    repo_type, patterns, file = ("dataset", None, "") if source.startswith(BENCHMARK) else ("model", MODEL_FILES, "")
    if repository.endswith(".gguf"):
        parts = repository.split("/")
        repository, file = "/".join(parts[:2]), "/".join(parts[2:])
        patterns = [file]
    pinned = _pins().get(source)
    snapshot = Path(
        snapshot_download(
            repository.removeprefix(BENCHMARK),
            repo_type=repo_type,
            revision=pinned or revision or None,
            allow_patterns=patterns,
            local_files_only=not fetch,
        )
    )
    if fetch and pinned != snapshot.name:  # the download is complete
        PINS.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(f"{PINS}.lock"):
            tables.write_json(PINS, _pins() | {source: snapshot.name})
    return snapshot / file


def here(source: str) -> Path | None:
    """The same from the cache only, without network access. None if nothing was fetched, or not all of it."""
    try:
        path = folder(source, fetch=False)
    except (OSError, ValueError):
        return None
    return path if path.exists() and source in _pins() else None


def commit(path: Path) -> str:
    """The commit of a path in the hub's cache; '' for a path elsewhere."""
    snapshots = (parent.name for parent in (path, *path.parents) if parent.parent.name == "snapshots")
    return next((name for name in snapshots if re.fullmatch("[0-9a-f]{40}", name)), "")


def _pins() -> dict[str, str]:
    return json.loads(PINS.read_text(encoding="utf-8")) if PINS.is_file() else {}


def model(path: Path, trainable: bool = False) -> Any:
    """The causal or encoder–decoder model of a folder of safetensors, or of a GGUF file, whose weights are dequantised.

    `trainable`: with fp32 weights. No code of a folder is ever run. Raises Unreadable, also for what the library would
    load without a word: an adapter without its base, a model that writes no text, weights that are missing or NaN.
    """
    import torch  # these are imported here: they are slow, and only models need them
    from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForSeq2SeqLM
    from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES as CAUSAL

    gguf = path.suffix == ".gguf"
    with _readable(path) as (folder, how):
        if (folder / "adapter_config.json").is_file():
            raise ValueError(
                "it holds an adapter: merge it into its base model, or delete adapter_config.json if that is done."
            )
        config = AutoConfig.from_pretrained(folder, **how)
        named = config.architectures or []
        # A base, or a model that also reads images, has a causal one; a masked one would see what it must predict.
        names = {*named, *(re.sub("(Model|ForConditionalGeneration)$", "ForCausalLM", name) for name in named)}
        if named and not config.is_encoder_decoder and names.isdisjoint(CAUSAL.values()):
            raise ValueError(f"its config names {', '.join(named)}, which writes no text.")
        if trainable and not gguf and getattr(config, "quantization_config", None):
            raise ValueError("its weights are quantised and cannot be trained: name the model they were made from.")
        kind = AutoModelForSeq2SeqLM if config.is_encoder_decoder else AutoModelForCausalLM
        options = {"use_safetensors": not gguf, "output_loading_info": True, "ignore_mismatched_sizes": True} | how
        loaded, report = kind.from_pretrained(folder, **options, **({"dtype": torch.float32} if trainable else {}))
        for keys, fault in (("missing_keys", "are not"), ("mismatched_keys", "have another shape")):
            if names := sorted(key if isinstance(key, str) else key[0] for key in report[keys]):
                raise ValueError(f"{len(names)} of its weights, such as {names[0]}, {fault} in its files.")
        if names := [name for name, weights in loaded.named_parameters() if not torch.isfinite(weights.float()).all()]:
            raise ValueError(
                f"{len(names)} of its weights, such as {names[0]}, hold values that are no finite numbers."
            )
        if gguf:  # the weights are dequantised now, and are saved so
            del loaded.config.quantization_config
            loaded.hf_quantizer = None
    return loaded


def tokenizer(path: Path, **options: Any) -> Any:
    """The tokenizer of a folder or GGUF file; `options` are the library's. Raises Unreadable."""
    from transformers import AutoTokenizer

    with _readable(path) as (folder, how):
        loaded = AutoTokenizer.from_pretrained(folder, **options, **how)
        words = len(loaded) - len(loaded.all_special_tokens)
        if words < len(string.ascii_lowercase):  # the library makes an empty one where the files are missing
            raise ValueError(f"its tokenizer knows {words} tokens, so its files are not there.")
    return loaded


@contextmanager
def _readable(path: Path) -> Iterator[tuple[Path, dict[str, Any]]]:
    """(folder, arguments for transformers, as for a GGUF file there); errors of the libraries become Unreadable."""
    from gguf import GGUFReader
    from safetensors import SafetensorError

    if not path.exists():
        raise FileNotFoundError(f"nothing is at {path}.")
    gguf = {"gguf_file": path.name} if path.suffix == ".gguf" else {}
    if path.is_file() and not gguf:
        raise Unreadable("it is a file, but not of GGUF: name its folder.")
    try:
        yield (path.parent if gguf else path), {"trust_remote_code": False} | gguf
    except Exception as error:  # the libraries raise many kinds; each means that it could not be read
        reason = next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
        is_damaged = isinstance(error, SafetensorError)
        if gguf:
            try:
                GGUFReader(path)
            except Exception:  # many kinds, by the place of the damage
                is_damaged = True
        raise Unreadable(f"{reason.rstrip('.')}{DAMAGED}" if is_damaged else reason) from error
