"""Checkpoints from which a killed training resumes. Weights are safetensors, the rest are the Trainer's own files."""

import hashlib
import json
import os
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch
from transformers import PreTrainedModel

PREFIX = "checkpoints-"  # of a training's folder; a checksum of all that determines its result follows


def folder(parent: Path, model: PreTrainedModel, inputs: Iterable[Any]) -> Path:
    """The checkpoint folder of exactly this training under `parent`. Folders of trainings that differ are deleted.

    `inputs`: pairs and settings. The folder's name depends on them, on the initial weights of `model` and on torch's
    version, so that a training never resumes from a checkpoint of other settings or texts.
    """
    digest = hashlib.sha256(json.dumps([torch.__version__, *inputs]).encode())
    for name, tensor in sorted(model.state_dict().items()):
        digest.update(name.encode())
        digest.update(tensor.detach().cpu().contiguous().view(torch.uint8).numpy().tobytes())
    current = parent / f"{PREFIX}{digest.hexdigest()[:16]}"
    if _first_process():
        for path in parent.glob(f"{PREFIX}*"):
            if path != current:
                shutil.rmtree(path)
    return current


def last(folder: Path) -> str | None:
    """The last complete checkpoint in `folder`; None if there is none. The Trainer writes its state file last."""
    for path in sorted(folder.glob("checkpoint-*"), key=lambda path: int(path.name.rpartition("-")[2]), reverse=True):
        try:
            json.loads((path / "trainer_state.json").read_text(encoding="utf-8"))
            return str(path)
        except (OSError, ValueError):
            continue  # a kill left it half-written
    return None


def delete(folder: Path) -> None:
    """Delete the checkpoints of a training. Only the first process does so."""
    if _first_process():
        shutil.rmtree(folder, ignore_errors=True)


def _first_process() -> bool:
    return os.environ.get("RANK", "0") == "0"
