"""What a recipe reads from outside the package: files, folders, models and data sets, by name and by content."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from scicot_utils import ScicotError, hub, paths, tables
from scicot_utils.recipe import Recipe


class InputError(ScicotError):
    """An input that is not there and cannot be made."""


def sources(recipe: Recipe) -> list[dict[str, str]]:
    """What a recipe reads from outside the package, by content: {key, named, size, sha256}, each once, with the commit of
    what the hub holds. What was not fetched has neither size nor hash."""
    rows = []
    for key, name in _references(recipe):
        row = {"key": key, "named": name, "size": "not here before it is fetched", "sha256": "–"}
        if path := locate(name):
            content = identity(path)
            commit = f", commit {content['commit'][:12]}" if "commit" in content else ""
            row |= {"size": f"{content['bytes'] / 2**20:,.2f} MiB{commit}", "sha256": content["sha256"]}
        rows.append(row)
    return rows


def fetch(recipe: Recipe) -> None:
    """Get what a recipe names on the hub and is not here yet, before any work. Raises InputError, one line."""
    for key, name in _references(recipe):
        if key != "teacher_path" and not (locate(name) or paths.pretrained(recipe.name, name)):
            print(f"{key}: fetching {name} from the hub", flush=True)
            try:
                hub.folder(name)
            except (OSError, ValueError) as error:
                reason = " ".join(str(error).split())[:200]
                raise InputError(
                    f"{key}: '{name}' could not be fetched from the hub ({reason}); try again where the hub is reached, "
                    "or name a local folder"
                ) from None


def benchmarks(recipe: Recipe) -> list[tuple[str, str]]:
    """(key, name) of the files, folders and data sets of the hub from which a recipe takes the benchmarks not made here."""
    from scicot_utils import tasks  # here, since most notebooks need none

    if path := recipe.questions.dataset_path:
        references = [("dataset_path", path)]
    else:
        on_hub = (tasks.task(name).hub for name in recipe.datasets)
        references = [("datasets", f"{hub.BENCHMARK}{name}") for name in on_hub if name]
    return [*dict.fromkeys(references), *((f"own.{name}.path", own.path) for name, own in recipe.own.items())]


def content(names: Iterable[str]) -> str:
    """One digest a name, of what lies there now; nothing for what is not here."""
    return " ".join(tables.digest(path) for name in filter(None, names) if (path := locate(name)))


def locate(name: str) -> Path | None:
    """The path of what a recipe names: a file, a folder, a fetched student, or what was fetched from the hub, of which a
    benchmark is called `datasets/org/name`; None if it is not here."""
    path = paths.expand(paths.source(name))
    if path.exists() and not name.startswith(hub.BENCHMARK):
        return path
    return hub.here(name)


def identity(path: Path) -> dict[str, Any]:
    """{sha256, bytes} of a file or folder, and the commit of what the hub holds."""
    commit = hub.commit(path)
    return {"sha256": tables.digest(path), "bytes": tables.size(path)} | ({"commit": commit} if commit else {})


def _references(recipe: Recipe) -> list[tuple[str, str]]:
    """(key, name) of all that a recipe reads from outside the package, each once."""
    references = benchmarks(recipe)
    for arm, variant in dict.fromkeys((arm, variant) for _, arm, variant, _ in recipe.runs()):
        settings = recipe.settings(arm, variant)
        if settings.teacher == "local":
            references.append(("teacher_model", settings.teacher_model))
        references.append(("teacher_path", settings.teacher_path))
        for key in ("student", "tokenizer"):
            if not (name := getattr(settings, key)).startswith(("random/", "micro")):
                references.append((key, name))
    return [(key, name) for key, name in dict.fromkeys(references) if name]
