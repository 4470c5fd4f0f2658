"""Read a benchmark's source into rows of the questions table: load, check, split, sample. `entries` declares them."""

import json
import random
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from scicot_utils import hub, paths, tables
from scicot_utils.recipe import ELSEWHERE, MAIN, OWN, TRANSFER, Own, Questions
from scicot_utils.tables import Row
from scicot_utils.tasks import files, options
from scicot_utils.tasks.checks import fault, splits_of
from scicot_utils.tasks.entries import HELD_OUT, SPLITS, TASKS, Task, TaskError
from scicot_utils.tasks.entries import task as entry
from scicot_utils.tasks.own import kind_of
from scicot_utils.tasks.own import read as read_own

COMPLETIONS_PREFIX = "D_"  # prefix of a file of published completions
SPLIT_SHARE, SPLIT_SEED = 0.7, 0  # Fine-tune-CoT's random splits (Ho et al., section 4; its code's generate_split)


def load(
    name: str,
    *,
    dataset_path: str,
    sizes: dict[str, int],
    seed: int,
    left_out: Counter | None = None,
    own: Mapping[str, Own] = {},
) -> list[Row]:
    """All splits of a benchmark as rows of the questions table, in a fixed order.

    `sizes` (split → questions) and `seed` apply to a generated benchmark; a size of 0 is the paper's number for a task
    of Fine-tune-CoT, and none for a transfer test. A benchmark that is read comes whole, for `deduplicate` and then
    `sample`. Rows that its entry leaves out are counted in `left_out`, split → rows. `own`: the recipe's own
    benchmarks. Raises TaskError that names the benchmark, where it was looked for, and what to do.
    """
    task, rows = entry(name), []
    if own_task := _own_declaration(name, own):
        content = read_own(name, own_task, left_out)
        task = replace(task, answers="option" if own_task.options else kind_of(content["train"][0]["answer"]))
    else:
        preflight(name, dataset_path)
        if task.make and not _data_file(task, dataset_path):
            return task.make(sizes, seed)
        content = _from_file(task, dataset_path) if task.file else _from_hub(task, dataset_path)
    for split, source_rows in content.items():
        constants = {"dataset": name, "split": split, "group": name, "proof": []}
        normalised = [_normalise(task, split, row) for row in source_rows]
        rows += [row | constants for row in normalised if row is not None]
        if left_out is not None:
            left_out[split] += normalised.count(None)
    for row in rows:
        if (reason := fault(task, row)) and reason not in task.tolerates:
            raise TaskError(
                f"{name} {row['split']}, row {row['id']}: {reason}; fix the row, or remove it from the files"
            )
    _check_unique_ids(name, rows)
    return rows


def _own_declaration(name: str, own: Mapping[str, Own]) -> Own | None:
    """The recipe's declaration of one of its own benchmarks; None for any other benchmark."""
    return own.get(name.removeprefix(OWN)) if name.startswith(OWN) else None


def _check_unique_ids(name: str, rows: Sequence[Row]) -> None:
    for key, count in Counter(row["id"] for row in rows).items():
        if count > 1:
            splits = " and ".join(dict.fromkeys(row["split"] for row in rows if row["id"] == key and "split" in row))
            hint = "; leave id out of the recipe, and rows are numbered" if name.startswith(OWN) else ""
            raise TaskError(
                f"{name}: the id '{key}' occurs {count} times{f', in {splits}' if splits else ''}; allowed: once, "
                f"since rows are found by id{hint}"
            )


def _plain_files(folder: Path, task: Task) -> tuple[str, dict[str, list[Path]]]:
    """(format, split, as the hub calls it → files) of a folder that is not in the hub's layout; ("", {}) for one that is.

    Accepted are Parquet, JSON-lines and CSV files named after their split in any case, as publishers name them
    (`ARC-Challenge-Train.jsonl`, `dev_rand_split.jsonl`). They are looked for in the folder of the configuration, if
    there is one. Of the same questions in several formats, one is taken.
    """
    card = folder / "README.md"
    if card.is_file() and card.read_text(encoding="utf-8", errors="replace").startswith("---"):  # the hub's metadata
        return "", {}
    named = [path for path in folder.iterdir() if path.is_dir() and path.name.lower() == task.config.lower()]
    folder, needed = named[0] if named else folder, set(task.splits.values())
    found = files.by_split(task.name, folder, needed)
    found = {split: found[split] for split in task.splits.values() if split in found}
    forms = {files.form(file) for of_split in found.values() for file in of_split}
    if found and (len(found) < len(needed) or len(forms) > 1):
        missing = ", ".join(split for split in task.splits.values() if split not in found) or "in one format"
        raise TaskError(
            f"{task.name}: no file of split {missing} in {folder}; needed: one for each of {', '.join(task.splits.values())}, "
            "named after it"
        )
    return files.FORMATS[forms.pop()] if forms else "", found


def _normalise(task: Task, split: str, row: Row) -> Row | None:
    try:
        return task.normalise(row)
    except (KeyError, TypeError, AttributeError, ValueError, IndexError) as error:
        raise TaskError(
            f"{task.name} {split}, row {row.get('id', '?')}: found {', '.join(sorted(map(str, row)))}, which is not how "
            f"this benchmark's rows are laid out ({type(error).__name__}: {error}); allowed: the hub's columns or its "
            "publishers' own"
        ) from None


def sizes_of(settings: Questions) -> dict[str, int]:
    """Split → number of questions that a recipe asks for, including transfer tests."""
    sizes = {split: getattr(settings, f"{split}_questions") for split in SPLITS}
    return sizes | dict.fromkeys(TRANSFER, settings.transfer_questions)


def with_others(name: str, read: Mapping[str, list[Row]], others: Iterable[str]) -> list[Row]:
    """The rows of a benchmark, and the test questions of `others`, on which its students are tested, too.

    `read`: benchmark → its rows. The questions of another benchmark get the split `test_<benchmark>`, and its name as a
    prefix of their ids. Raises TaskError if only one of the two benchmarks has options.
    """
    rows = list(read[name])
    for other in others:
        if bool(read[other][0]["choices"]["label"]) != bool(rows[0]["choices"]["label"]):
            raise TaskError(
                f"tested_on: found {other} for {name}, allowed: benchmarks whose questions both have options, or both none"
            )
        tests = [row for row in read[other] if row["split"] == "test"] if other != name else []
        rows += [row | {"id": f"{other}/{row['id']}", "split": f"{ELSEWHERE}{other}"} for row in tests]
    return rows


def unseen(rows: Iterable[Row], variant: str = MAIN) -> list[Row]:
    """The questions that a run answers: all but those of train. Transfer tests and other benchmarks are answered in the
    main variant only.
    """
    return [
        row for row in rows if row["split"] != "train" and (variant == MAIN or not row["split"].startswith(ELSEWHERE))
    ]


def sample(rows: list[Row], sizes: dict[str, int], seed: int) -> list[Row]:
    """At most `sizes[split]` questions of each split (0: all), drawn with `seed`, in their original order. Splits of
    other benchmarks have the size of test.
    """
    sampled = []
    for split in splits_of(rows):
        split_rows = [row for row in rows if row["split"] == split]
        size = sizes.get(split, sizes["test"])
        if size and size < len(split_rows):
            split_rows = [split_rows[i] for i in _drawn(len(split_rows), size, f"{seed}/{split}")]
        sampled += split_rows
    return sampled


def _drawn(n: int, size: int, seed: int | str) -> list[int]:
    """`size` random indices of `n`, in order. A prefix of one random order, so that larger draws contain smaller ones."""
    order = list(range(n))
    random.Random(seed).shuffle(order)
    return sorted(order[:size])


def preflight(name: str, dataset_path: str, own: Mapping[str, Own] = {}) -> None:
    """Raise TaskError if a benchmark is unknown, or its local folder or file is missing."""
    if own_task := _own_declaration(name, own):
        _check_unique_ids(name, [row for rows in read_own(name, own_task).values() for row in rows])
        return
    if name not in TASKS:
        raise TaskError(f"datasets: found '{name}', allowed: {', '.join(TASKS)}, or own/… as declared under own")
    task = TASKS[name]
    if task.hub and dataset_path and not paths.expand(dataset_path).is_dir():
        raise TaskError(
            f"{name}: no folder at dataset_path '{dataset_path}'; set it (or the environment variable in it) to a "
            f"local copy of {task.hub} in the hub's layout, or to '' to fetch it from the hub"
        )
    if task.file and not task.make and not _data_file(task, dataset_path):
        raise TaskError(
            f"{name}: no file {task.file}, {COMPLETIONS_PREFIX}{task.file} or dataset/{task.kojima} in dataset_path "
            f"'{dataset_path}'; set it (or the environment variable in it) to a folder with the data or the "
            "completion files of Fine-tune-CoT's code, reasoning-teacher, or with the dataset/ of zero_shot_cot's: the "
            "hub has no copy in the order that the paper's split counts on"
        )


def _data_file(task: Task, dataset_path: str) -> Path | None:
    """The data file of a task, or None. It is the file of Fine-tune-CoT's code, or that of its published completions,
    which hold the questions, too, or that of zero_shot_cot's code (Kojima et al. 2022).
    """
    if not dataset_path or not task.file:
        return None
    names = (task.file, f"{COMPLETIONS_PREFIX}{task.file}", task.kojima, f"dataset/{task.kojima}")
    candidates = (paths.expand(dataset_path) / name for name in names)
    return next((path for path in candidates if path.is_file()), None)


def paper_split(n: int) -> tuple[list[int], list[int]]:
    """(train, test): indices of the 70/30 split of Fine-tune-CoT's code, for tasks that come without a split.

    NumPy guarantees the numbers of `RandomState`, so these are the published indices.
    """
    order = np.random.RandomState(SPLIT_SEED).permutation(n)
    first = round(n * SPLIT_SHARE)
    return sorted(order[:first].tolist()), sorted(order[first:].tolist())


def paper_draw(n: int, size: int) -> list[int]:
    """Indices of the training questions that the paper draws from a larger train split (AQUA: 10,000 of 97,467)."""
    return sorted(np.random.RandomState(SPLIT_SEED).permutation(n)[:size].tolist())


def _with_validation(rows: Sequence[Row], test: Sequence[Row]) -> dict[str, list[Row]]:
    """Split → rows. Validation is a fixed sample of the training rows, since nothing is ever chosen on test."""
    held_out = {*_drawn(len(rows), max(1, round(HELD_OUT * len(rows))), SPLIT_SEED)}
    train = [row for i, row in enumerate(rows) if i not in held_out]
    return {"train": train, "validation": [rows[i] for i in sorted(held_out)], "test": list(test)}


def _from_file(task: Task, dataset_path: str) -> dict[str, list[Row]]:
    """Split → rows of a JSON file of {question, answer} objects, divided by the paper's split."""
    path = _data_file(task, dataset_path)
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        rows = content.get("data", content.get("examples")) if isinstance(content, dict) else content
        if isinstance(rows, dict):  # completions: number → samples, each with its question
            rows = [rows[str(number)][0] for number in range(len(rows))]
        rows = [{"id": f"{number:05d}"} | _question_and_answer(task, number, row) for number, row in enumerate(rows)]
    except (ValueError, KeyError, TypeError, IndexError) as error:
        raise TaskError(
            f"{task.name}: {path.name} holds no questions ({type(error).__name__}: {error}); allowed: a JSON list, or one "
            "under the key data or examples, of objects with question and answer, or as in zero_shot_cot's own file"
        ) from None
    expected = sum(task.published.values())
    if len(rows) != expected:
        raise TaskError(
            f"{task.name}: {path.name} holds {len(rows)} questions, needed: the {expected} that the paper's split counts on"
        )
    train, test = paper_split(len(rows))
    return _with_validation([rows[i] for i in train], [rows[i] for i in test])


def _question_and_answer(task: Task, number: int, row: Row) -> Row:
    """Question and answer of a row, in any file format of the two papers' code.

    These are {question, answer}; BIG-bench's {input, target_scores}, whose right option is always the first, so that
    their order is drawn; SVAMP's; and MAWPS's.
    """
    if "target_scores" in row:
        scores = {text.strip().rstrip("."): score for text, score in row["target_scores"].items()}
        texts, gold = list(scores), max(scores, key=scores.__getitem__)
        if task.answers == "yes_no":
            return {"question": row["input"], "answer": gold}
        random.Random(f"{task.name}/{number}").shuffle(texts)
        listed = ", ".join(f"({letter}) {text}" for letter, text in zip(options.LABELS, texts, strict=False))
        return {"question": f"{row['input']} Answer choices: {listed}", "answer": options.LABELS[texts.index(gold)]}
    if "sQuestion" in row:
        question, answer = row["sQuestion"], row["lSolutions"][0]
    elif "Body" in row:
        question, answer = f"{row['Body']} {row['Question']}", row["Answer"]
    else:
        question, answer = row["question"], row["answer"]
    if task.compared_as == "text" and isinstance(answer, float):
        answer = f"{answer:g}"  # "39", as the paper's file has it
    return {"question": question.strip(), "answer": answer}


def _folder(task: Task, dataset_path: str) -> Path:
    folder = paths.expand(dataset_path) if dataset_path else hub.folder(f"{hub.BENCHMARK}{task.hub}")
    names = [Path(task.hub).name, *((task.kojima, f"dataset/{task.kojima}") if task.kojima else ())]
    candidates = (folder / name for name in names)  # a folder with several benchmarks, each in a folder of its own
    return next((path for path in candidates if path.is_dir()), folder)


def layout(name: str, dataset_path: str, own: Mapping[str, Own] = {}) -> str:
    """In words, the layout in which `load` finds a benchmark. Raises what `load` raises."""
    task = entry(name)
    if own_task := _own_declaration(name, own):
        of_splits = files.at(name, paths.expand(own_task.path))
        names = ", ".join(f"{split} {file.name}" for file, split, _ in of_splits if split)
        return f"a benchmark of one's own, {own_task.path}{f' ({names[:200]})' if names else ''}"
    if file := _data_file(task, dataset_path):
        if file.name.startswith(COMPLETIONS_PREFIX):
            return f"published completions, {file.name}"
        if task.kojima and file.as_posix().endswith(task.kojima):
            return f"zero_shot_cot's file {file.name}"
        return f"a file of reasoning-teacher, {file.name}"
    if task.make:
        return "made here"
    if not dataset_path and hub.here(f"{hub.BENCHMARK}{task.hub}") is None:
        return f"{task.hub} of the hub, not fetched yet"
    _, plain = _plain_files(_folder(task, dataset_path), task)
    names = ", ".join(file.name for of_split in plain.values() for file in of_split)
    return f"files by split, {names}" if plain else "the hub's layout"


def _from_hub(task: Task, dataset_path: str) -> dict[str, Iterable[Row]]:
    from datasets import Image, load_dataset  # imported here: it is slow, and only real tasks need it

    try:
        folder = _folder(task, dataset_path)
        form, plain = _plain_files(folder, task)
        source = (form,) if plain else (str(folder), task.config or None)
        data_files = {split: [*map(str, of_split)] for split, of_split in plain.items()} or None
        # The library caches a local folder under its name, and would serve old rows of an edited or equally named one.
        cache = str(paths.CACHE / "datasets" / tables.digest(folder)[:16])
        splits = load_dataset(*source, data_files=data_files, cache_dir=cache)
    except TaskError:
        raise
    except Exception as error:  # the library raises many kinds; each means that the data could not be loaded
        reason = " ".join(str(error.__cause__ or error).split())[:200] or type(error).__name__
        raise TaskError(
            f"{task.name}: could not be read from {dataset_path or 'the hub, ' + task.hub}: {reason}; set dataset_path to a "
            f"local copy of {task.hub} in the hub's layout, or to a folder with a file for each split, named after it "
            f"({', '.join(task.splits.values())})"
        ) from error
    if missing := [split for split in task.splits.values() if split not in splits]:
        needed = ", ".join(task.splits.values())
        raise TaskError(f"{task.name}: no split {', '.join(missing)} in {folder}; needed: {needed}")
    content = {}
    for split, name in task.splits.items():
        data = splits[name]
        for column, feature in data.features.items():
            if isinstance(feature, Image):
                data = data.cast_column(column, Image(decode=False))  # it only matters whether there is an image
        indices = range(len(data))
        if split == "train" and task.train_drawn:
            indices = paper_draw(len(data), task.train_drawn)
            data = data.select(indices)
        content[split] = [{"id": f"{name}-{i:05d}"} | row for i, row in zip(indices, data, strict=True)]
    return content if "validation" in content else _with_validation(content["train"], content["test"])
