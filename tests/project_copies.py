"""The project as its users run it, in copies that a test may disturb; for the tests of the pipeline."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

from scicot_utils import paths

MINI = """# CI: 2 CPU cores, about 1 minutes; for the tests of the pipeline.
description: The embedded study in miniature, {with} braces.
datasets: [microsci]
distill: [microsci]
arms: [untrained, answer_only, rationale_answer, two_stage]
seeds: [0]
questions: {train_questions: 60, validation_questions: 16, test_questions: 24}
teacher: {dev_questions: 8}
training: {steps: 60}
"""


def environment(root: Path) -> dict[str, str]:
    """The variables of a user who works in `root` with this environment."""
    variables = {name: value for name, value in os.environ.items() if name != "SCICOT_ENGINE"}
    path = os.pathsep.join([str(Path(sys.executable).parent), variables["PATH"]])
    return variables | {"PYTHONPATH": str(root), "PATH": path, "HF_HUB_OFFLINE": "1"}


def call(
    root: Path, *words: str, cwd: Path | None = None, variables: dict[str, str] | None = None
) -> subprocess.CompletedProcess:
    command, around = [sys.executable, "-m", *words], environment(root) | (variables or {})
    return subprocess.run(command, cwd=cwd or root, env=around, capture_output=True, text=True)


def run(root: Path, *words: str) -> subprocess.CompletedProcess:
    return call(root, "scicot_utils", "run", *words)


def copy_of_the_project(root: Path) -> Path:
    """All files of the project, without what was made; `git` is not asked, so an unpacked archive works too."""
    ignored = shutil.ignore_patterns(
        ".git", ".venv", ".snakemake", "__pycache__", "*.egg-info", ".*_cache", ".hypothesis"
    )
    shutil.copytree(paths.ROOT, root, ignore=lambda folder, names: {*ignored(folder, names), *_outputs(folder, names)})
    (root / "notebooks" / "recipes" / "mini.yaml").write_text(MINI, encoding="utf-8")
    return root


def _outputs(folder: str, names: list[str]) -> set[str]:
    return (
        {name for name in names if name not in ("README.md", "reference")} if Path(folder) == paths.OUTPUTS else set()
    )


def rules_of(dry_run: str) -> dict[str, int]:
    """Rule → number of jobs, from the table that a dry run prints."""
    match = re.search(r"^job +count\n[- ]+\n(.*?)^total", dry_run, re.MULTILINE | re.DOTALL)
    return {name: int(number) for name, number in (line.split() for line in match[1].splitlines())} if match else {}


class Page(HTMLParser):
    """The images, links, anchors and visible words of a page."""

    def __init__(self, path: Path):
        super().__init__()
        self.images, self.links, self.anchors, self.words, self._skipped = [], [], set(), [], 0
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attributes):
        values = dict(attributes)
        self._skipped += tag in ("script", "style", "pre")
        self.anchors.add(values.get("id"))
        if tag == "img":
            self.images.append(values)
        if tag == "a":
            self.links.append(values.get("href") or "")

    def handle_endtag(self, tag):
        self._skipped -= tag in ("script", "style", "pre")

    def handle_data(self, data):
        if not self._skipped:
            self.words.append(data)
