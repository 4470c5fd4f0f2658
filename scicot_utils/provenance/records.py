"""The parts of a record that are the same for all notebooks of a checkout: the machine, the versions, the commit."""

import importlib.metadata
import platform
import subprocess
import sys
from pathlib import Path
from typing import Any

import psutil

from scicot_utils import paths

PACKAGES = (
    "torch", "transformers", "datasets", "tokenizers", "accelerate", "openai", "numpy", "scipy", "pyarrow", "snakemake",
    "papermill",
)  # fmt: skip


def machine() -> dict[str, Any]:
    """The machine and the versions; no host name, no user name."""
    return {
        "platform": f"{platform.system()} {platform.machine()}",
        "processor": _processor(),
        "cores": psutil.cpu_count() or 1,
        "memory_gib": round(psutil.virtual_memory().total / 2**30, 1),
        "python": platform.python_version(),
        "packages": {name: importlib.metadata.version(name) for name in PACKAGES},
    }


def gpu() -> dict[str, Any]:
    """The GPU that this process used and the most memory it took of it, in GiB; {} if it used none."""
    cuda = getattr(sys.modules.get("torch"), "cuda", None)  # no notebook imports torch for this
    if cuda is None or not cuda.is_initialized():
        return {}
    return {"gpu": cuda.get_device_name(), "gpu_gib": round(cuda.max_memory_reserved() / 2**30, 1)}


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        return next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or "unknown"


def commit() -> dict[str, Any]:
    """The commit of the repository and whether the work tree differs from it; 'unknown' outside a checkout.

    Shipped records are no part of that: they are what runs came to, and change when one is kept.
    """
    try:
        top, head = _git("rev-parse", "--show-toplevel", "HEAD").split("\n")
        if Path(top).resolve() == paths.ROOT:  # not a copy without a history of its own, inside another repository
            changes = _git("status", "--porcelain", "--", ".", f":!{paths.relative(paths.REFERENCE)}")
            return {"commit": head, "modified": bool(changes)}
    except (OSError, subprocess.CalledProcessError):
        pass
    return {"commit": "unknown", "modified": False}


def _git(*arguments: str) -> str:
    command = ["git", *arguments]
    return subprocess.run(command, cwd=paths.ROOT, capture_output=True, text=True, check=True).stdout.strip()
