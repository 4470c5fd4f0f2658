"""Hugging Face hub names as local folders, each pinned to the commit that was fetched first.

After fetching, hub content is read, hashed and recorded like any other folder.
"""

from __future__ import annotations

import json
import re
from pathlib import Path

from filelock import FileLock

from scicot_utils import paths

PINS = paths.CACHE / "hub.json"  # delete it to move to the hub's newest commits
OF_MODELS = ["*.safetensors", "*.json", "*.txt", "*.model", "*.jinja"]  # no pickled weights


BENCHMARK = "datasets/"  # prefix of a data set's name, as in the hub's URLs


def folder(named: str, *, fetch: bool = True) -> Path:
    """The local folder of the model `org/name` or `org/name@revision`, or of the data set `datasets/org/name`.

    It lies in the hub's own cache. A local folder's path is returned as it is. A GGUF file gives the path of the file:
    a local one, or `org/name/file.gguf`.

    Without a revision, or with a branch, the commit is the one in `PINS`. If there is none, it is the newest, which is
    then written to `PINS`. `fetch=False` looks in the cache only, like HF_HUB_OFFLINE=1. Raises the library's own
    errors, which are kinds of OSError and ValueError.
    """
    if Path(named).is_absolute():
        return Path(named)
    from huggingface_hub import snapshot_download  # imported here: it is slow, and only hub names need it

    name, _, revision = named.partition("@")
    kind, wanted, file = ("dataset", None, "") if name.startswith(BENCHMARK) else ("model", OF_MODELS, "")
    if name.endswith(".gguf"):
        name, file = "/".join(name.split("/")[:2]), "/".join(name.split("/")[2:])
        wanted = [file]
    pinned = _pins().get(named)
    found = Path(
        snapshot_download(
            name.removeprefix(BENCHMARK),
            repo_type=kind,
            revision=pinned or revision or None,
            allow_patterns=wanted,
            local_files_only=not fetch,
        )
    )
    if fetch and pinned != found.name:  # the download is complete
        PINS.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(f"{PINS}.lock"):
            part = PINS.with_suffix(".part")
            part.write_text(json.dumps(_pins() | {named: found.name}, indent=1), encoding="utf-8")
            part.replace(PINS)
    return found / file


def here(named: str) -> Path | None:
    """The same from the cache only, without network access. None if nothing was fetched, or not all of it."""
    try:
        found = folder(named, fetch=False)
    except (OSError, ValueError):
        return None
    return found if found.exists() and named in _pins() else None


def commit(place: Path) -> str:
    """The commit of a path in the hub's cache; '' for a path elsewhere."""
    found = (one.name for one in (place, *place.parents) if one.parent.name == "snapshots")
    return next((name for name in found if re.fullmatch("[0-9a-f]{40}", name)), "")


def _pins() -> dict[str, str]:
    return json.loads(PINS.read_text(encoding="utf-8")) if PINS.is_file() else {}
