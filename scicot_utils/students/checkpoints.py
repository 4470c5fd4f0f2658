"""Where a training keeps what it needs to go on after a kill. Weights are safetensors, all else the Trainer's own files."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch
from transformers import PreTrainedModel

PREFIX = "checkpoints-"  # of a training's folder, before the checksum of all that decides what it comes to


def folder(place: Path, model: PreTrainedModel, decides: Iterable[Any]) -> Path:
    """The folder under `place` of this very training; those of trainings that differ in anything are deleted.

    `decides`: pairs and settings; with the weights that `model` starts from, and torch's version, they name the folder,
    so that a training never goes on from what other settings or texts had come to.
    """
    digest = hashlib.sha256(json.dumps([torch.__version__, *decides]).encode())
    for name, tensor in sorted(model.state_dict().items()):
        digest.update(name.encode())
        digest.update(tensor.detach().cpu().contiguous().view(torch.uint8).numpy().tobytes())
    own = Path(place) / f"{PREFIX}{digest.hexdigest()[:16]}"
    if _first_process():
        for other in Path(place).glob(f"{PREFIX}*"):
            if other != own:
                shutil.rmtree(other)
    return own


def last(place: Path) -> str | None:
    """The last checkpoint there that is whole: the Trainer writes its state last of all; None: there is none."""
    found = sorted(place.glob("checkpoint-*"), key=lambda path: int(path.name.rpartition("-")[2]), reverse=True)
    for path in found:
        try:
            json.loads((path / "trainer_state.json").read_text(encoding="utf-8"))
            return str(path)
        except (OSError, ValueError):
            continue  # a kill left it half-written
    return None


def delete(place: Path) -> None:
    if _first_process():
        shutil.rmtree(place, ignore_errors=True)


def _first_process() -> bool:
    return os.environ.get("RANK", "0") == "0"
