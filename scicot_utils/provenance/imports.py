"""The package's files that a notebook runs, found by walking over its imports. Nothing is imported or run here."""

import ast
import functools
import json
from pathlib import Path
from typing import TYPE_CHECKING

from scicot_utils import paths

if TYPE_CHECKING:
    import grimp


def code(notebook: str) -> list[str]:
    """The package's files that a notebook runs, directly or through others, seen from the repository's root.

    The pipeline takes them as inputs: a changed module reruns the notebooks that use it, and no others. A module of a
    package that is named, as in `from scicot_utils.report import style`, counts alone.
    """
    cells = json.loads(paths.notebook(notebook).read_text(encoding="utf-8"))["cells"]
    source = "\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "code")
    own_modules = _import_graph().modules
    imported = {paths.PACKAGE.name}
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom):
            submodules = {f"{node.module}.{alias.name}" for alias in node.names}
            imported |= (submodules & own_modules) or {node.module or ""}
        elif isinstance(node, ast.Import):
            imported |= {alias.name for alias in node.names}
    return modules(*(imported & own_modules))


def modules(*names: str) -> list[str]:
    """The files of some modules of the package, and of all that they import from it."""
    reached = {*names}.union(*map(_import_graph().find_upstream_modules, names))
    return sorted(paths.relative(_file(module)) for module in reached)


@functools.cache
def _import_graph() -> "grimp.ImportGraph":
    import grimp  # only the pipeline needs it

    return grimp.build_graph(paths.PACKAGE.name, cache_dir=None)


def _file(module: str) -> Path:
    path = paths.ROOT.joinpath(*module.split("."))
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
