"""Names of the Hugging Face hub as local folders, each pinned to the commit that was fetched first.

From there on, what the hub holds is read, hashed and recorded as any other folder is.
"""

from __future__ import annotations

import json
import re
from pathlib import Path

from filelock import FileLock

from scicot_utils import paths

PINS = paths.CACHE / "hub.json"  # whoever deletes it takes up the hub's newest commits
OF_MODELS = ["*.safetensors", "*.json", "*.txt", "*.model", "*.jinja"]  # nothing pickled


BENCHMARK = "datasets/"  # before the name of a data set, as in the hub's own addresses


def folder(named: str, *, fetch: bool = True) -> Path:
    """The folder of the model `org/name` or `org/name@revision`, or of `datasets/org/name`, in the hub's own cache; a
    local folder's own path. A GGUF file is one path, too, a local one or `org/name/file.gguf`.

    Without a revision, or at a branch, it is the commit that `PINS` holds, or the newest, which is then written there. `fetch=False` looks
    in the cache only, as HF_HUB_OFFLINE=1 does. Raises the library's own errors, of the kinds OSError and ValueError.
    """
    if Path(named).is_absolute():
        return Path(named)
    from huggingface_hub import snapshot_download  # here, since it is slow and only names of the hub need it

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
    if fetch and pinned != found.name:  # all of it is here
        PINS.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(f"{PINS}.lock"):
            part = PINS.with_suffix(".part")
            part.write_text(json.dumps(_pins() | {named: found.name}, indent=1), encoding="utf-8")
            part.replace(PINS)
    return found / file


def here(named: str) -> Path | None:
    """The same without asking anybody; None where it was not fetched, or not to its end."""
    try:
        found = folder(named, fetch=False)
    except (OSError, ValueError):
        return None
    return found if found.exists() and named in _pins() else None


def commit(place: Path) -> str:
    """The commit of what lies in the hub's cache; '' for a place elsewhere."""
    found = (one.name for one in (place, *place.parents) if one.parent.name == "snapshots")
    return next((name for name in found if re.fullmatch("[0-9a-f]{40}", name)), "")


def _pins() -> dict[str, str]:
    return json.loads(PINS.read_text(encoding="utf-8")) if PINS.is_file() else {}
