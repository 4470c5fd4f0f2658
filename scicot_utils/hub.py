"""Hugging Face hub names as local folders, each pinned to the commit that was fetched first.

After fetching, hub content is read, hashed and recorded like any other folder.
"""

import json
import re
from pathlib import Path

from filelock import FileLock

from scicot_utils import paths, tables

PINS = paths.CACHE / "hub.json"  # delete it to move to the hub's newest commits
MODEL_FILES = ["*.safetensors", "*.json", "*.txt", "*.model", "*.jinja"]  # no pickled weights
BENCHMARK = "datasets/"  # prefix of a data set's name, as in the hub's URLs


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
