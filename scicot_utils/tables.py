"""Columns of all tables, and the only functions that write and read them. The meaning of rows is not known here."""

import csv
import hashlib
import io
import json
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import yaml

from scicot_utils import ScicotError, paths

Row = dict[str, Any]

text, number, count, flag = pa.string(), pa.float64(), pa.int64(), pa.bool_()
texts = pa.list_(text)
choices = pa.struct({"label": texts, "text": texts})


_QUESTION = {"question": text, "choices": choices, "answer": text}
_RATIONALE = {
    "sample": count, "rationale": text, "teacher_answer": text, "correct": flag, "kept": flag, "drop_reason": text,
    "rule": text, "cut": text,
}  # fmt: skip
_COLUMNS = {
    # `proof`: the facts that prove the answer, in order; empty where the benchmark gives none.
    "questions": {"id": text, "dataset": text, "split": text, **_QUESTION, "group": text, "proof": texts},
    # NaN as `temperature`: not sent, so the model's default; as `usd`: the price is unknown.
    "completions": {
        "question_id": text, "sample": count, "prompt": text, "prompt_version": text, "teacher": text,
        "temperature": number, "text": text, "finish_reason": text, "prompt_tokens": count, "completion_tokens": count,
        "usd": number, "created": text,
    },
    "rationales": {"question_id": text, **_RATIONALE},
    # Rationales with their questions, for publishing.
    "published_rationales": {"id": text, "split": text, **_QUESTION, **_RATIONALE},
    # Stage 1's output, which stage 2 reads. `truncated`: no end-of-sequence token within the token limit.
    "generations": {"question_id": text, "split": text, "text": text, "truncated": flag},
    "predictions": {
        "run": text, "dataset": text, "arm": text, "variant": text, "seed": count, "question_id": text, "split": text,
        "rationale": text, "text": text, "answer": text, "gold": text, "correct": flag,
        "option_scores": pa.list_(number), "truncated": flag,
    },
}  # fmt: skip
TABLES: dict[str, pa.Schema] = {table: pa.schema(columns) for table, columns in _COLUMNS.items()}

# Columns of metrics.csv; each run's metrics.json holds its rows. `student` and `parameters` describe inference.
METRICS = (
    "recipe", "dataset", "arm", "variant", "student", "parameters", "seed", "split", "metric", "value", "low", "high", "n",
)  # fmt: skip


class TableError(ScicotError):
    """A table is missing, or its columns or values are not the declared ones."""


def digest(path: Path) -> str:
    """SHA-256 of a file, or of a folder's files and their relative paths. A missing path counts as no data."""
    sha256 = hashlib.sha256()
    for file in _files(path):
        sha256.update(file.relative_to(path).as_posix().encode() + b"\0")
        with file.open("rb") as stream:
            while chunk := stream.read(1 << 20):
                sha256.update(chunk)
    return sha256.hexdigest()


def size(path: Path) -> int:
    """Size in bytes of a file, or of all files of a folder."""
    return sum(file.stat().st_size for file in _files(path))


def _files(path: Path) -> list[Path]:
    return [file for file in (sorted(path.rglob("*")) if path.is_dir() else [path]) if file.is_file()]


def write(table: str, rows: Iterable[Row], path: Path) -> Path:
    """Write `rows` as Parquet, atomically: a reader never sees half a file.

    Raises TableError that names the column if a row lacks one, has an unknown one, or holds a value of a wrong type.
    """
    schema, rows = TABLES[table], list(rows)
    for row in rows:
        if wrong := sorted(row.keys() ^ {*schema.names}):
            raise TableError(
                f"table {table}: column(s) {', '.join(wrong)} missing or unknown; allowed: {_names(table)}"
            )
    columns = [_column(table, field, [row[field.name] for row in rows]) for field in schema]
    content = pa.Table.from_arrays(columns, schema=schema)
    buffer = io.BytesIO()
    pq.write_table(content, buffer)
    return _write_whole(path, buffer.getvalue())


def _column(table: str, field: pa.Field, values: list[Any]) -> pa.Array:
    """One column. Raises TableError that names it if a value is missing, has another type or would be changed."""
    try:
        column = pa.array(values, field.type)
    except (pa.ArrowInvalid, pa.ArrowTypeError, OverflowError, UnicodeError) as error:
        raise TableError(f"table {table}: column '{field.name}' must be {field.type}: {error}") from None
    if column.null_count or (pa.types.is_integer(field.type) and column.to_pylist() != values):
        raise TableError(
            f"table {table}: column '{field.name}' must be {field.type}: a value is missing or not a whole number"
        )
    return column


def write_dataset(table: str, rows: Iterable[Row], folder: Path, front: Row, card: str) -> list[Path]:
    """Write a Hugging Face dataset folder: one Parquet file per split and a card. `datasets.load_dataset` reads it.

    `front`: the card's front matter, to which the list of files is added. `card`: the README below it, in Markdown.
    """
    splits: dict[str, list[Row]] = {}
    for row in rows:
        splits.setdefault(row["split"], []).append(row)
    files = {split: write(table, splits[split], folder / "data" / f"{split}.parquet") for split in splits}
    data_files = [{"split": split, "path": f"data/{file.name}"} for split, file in files.items()]
    front = front | {"configs": [{"config_name": "default", "data_files": data_files}]}
    readme = f"---\n{yaml.safe_dump(front, sort_keys=False)}---\n\n{card}"
    return [*files.values(), write_text(folder / "README.md", readme)]


def write_csv(columns: Sequence[str], rows: Iterable[Row], path: Path) -> Path:
    """Write rows as CSV, atomically. Raises ValueError if a row has other columns."""
    rows = list(rows)
    for row in rows:
        if wrong := sorted(set(columns) ^ row.keys()):
            raise ValueError(f"{paths.relative(path)}: column(s) {', '.join(wrong)} missing or unknown")
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return write_text(path, buffer.getvalue())


def write_json(path: Path, content: Any) -> Path:
    """Write JSON, atomically."""
    return write_text(path, json.dumps(content, indent=1, ensure_ascii=False) + "\n")


def write_text(path: Path, content: str) -> Path:
    """Write UTF-8 text, atomically."""
    return _write_whole(path, content.encode("utf-8"))


def _write_whole(path: Path, content: bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    partial.write_bytes(content)
    partial.replace(path)
    return path


def read(table: str, path: Path) -> list[Row]:
    """The rows of a table. Raises TableError when the file is missing, unreadable or has other columns."""
    if not path.is_file():
        raise TableError(f"table {table}: no file {paths.relative(path)}; run the notebook that writes it first")
    try:
        content = pq.read_table(path)
    except (pa.ArrowInvalid, OSError) as error:  # OSError: damaged inside the file
        raise TableError(f"table {table}: {paths.relative(path)} is not Parquet ({error}); delete and rerun") from None
    types = {field.name: field.type for field in content.schema}
    for field in TABLES[table]:
        if types.pop(field.name, None) != field.type:
            raise TableError(
                f"table {table}: {paths.relative(path)}: column '{field.name}' is not {field.type}; "
                f"allowed: {_names(table)}"
            )
    if types:
        raise TableError(f"table {table}: {paths.relative(path)}: unknown column(s) {', '.join(types)}")
    return content.to_pylist()


def shipped(recipe: str, name: str) -> Path:
    """The path of a file in a recipe's shipped record. Raises TableError, one line, if it is missing."""
    folder = paths.record(recipe)
    if not (folder / name).is_file():
        raise TableError(
            f"{paths.relative(folder / name)}: missing from the shipped record; restore it from the repository: "
            f"git checkout -- {paths.relative(folder)}"
        )
    return folder / name


def _names(table: str) -> str:
    return ", ".join(TABLES[table].names)
