"""Read rows from common table files: JSON lines, JSON, Parquet, CSV and TSV, with or without gzip or a BOM."""

from __future__ import annotations

import csv
import gzip
import io
import json
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd

SUFFIXES = (".jsonl", ".json", ".csv", ".tsv", ".parquet")


def kind(path: Path) -> str:
    """The suffix that tells a file's format, ignoring `.gz`; '' for an unknown format."""
    suffix = Path(path.stem).suffix if path.suffix == ".gz" else path.suffix
    return suffix.lower() if suffix.lower() in SUFFIXES else ""


def content(path: Path) -> bytes:
    """A file's bytes, decompressed; text is re-encoded as UTF-8 without a BOM. Raises ValueError for a damaged archive
    and for text that is neither UTF-8 nor UTF-16.
    """
    found = path.read_bytes()
    if path.suffix == ".gz":
        try:
            found = gzip.decompress(found)
        except (OSError, EOFError) as error:
            raise ValueError(f"{path.name} is no gzip file ({error})") from None
    if kind(path) == ".parquet":
        return found
    try:
        return found.decode("utf-16" if found[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig").encode()
    except UnicodeDecodeError as error:
        line = found[: error.start].count(b"\n") + 1
        raise ValueError(
            f"{path.name}, line {line}: is neither UTF-8 nor UTF-16 ({error.reason}); save it as UTF-8"
        ) from None


def read(path: Path) -> Iterator[tuple[int, Any]]:
    """Yield (number, row) for every row. Numbers start at 1; for JSON lines they are line numbers. A CSV cell is text
    as written, also "NA" or 007.

    Raises ValueError that names the file and, if the format has lines, the line.
    """
    if kind(path) in (".csv", ".tsv", ".parquet"):
        yield from enumerate(_table(path), start=1)
        return
    found = content(path)
    try:
        whole = json.loads(found)
    except (ValueError, RecursionError):
        yield from _lines(found, path.name)
        return
    if isinstance(whole, dict):
        listed = next((whole[name] for name in ("data", "examples") if isinstance(whole.get(name), list)), [whole])
    else:
        listed = whole if isinstance(whole, list) else [whole]
    yield from enumerate(listed, start=1)


def _table(path: Path) -> list[dict[str, Any]]:
    found = content(path)
    opened = io.BytesIO(found)
    try:
        if kind(path) == ".parquet":
            return pd.read_parquet(opened).to_dict("records")
        form = {"sep": "\t" if kind(path) == ".tsv" else ",", "dtype": str, "keep_default_na": False}
        head = next(csv.reader([found.split(b"\n", 1)[0].decode("utf-8", errors="replace")], delimiter=form["sep"]), [])
        if twice := [name for name in head if head.count(name) > 1]:
            raise ValueError(f"two columns are called '{twice[0]}'")
        with warnings.catch_warnings():
            warnings.simplefilter("error", pd.errors.ParserWarning)  # a row longer than the header would lose its end
            return pd.read_csv(opened, index_col=False, skipinitialspace=True, **form).to_dict("records")
    except (ValueError, OSError, OverflowError, pd.errors.ParserWarning) as error:  # from pandas and pyarrow
        raise ValueError(f"{path.name} is no {kind(path)[1:]} file ({' '.join(str(error).split())[:120]})") from None


def _lines(found: bytes, name: str) -> Iterator[tuple[int, Any]]:
    for number, line in enumerate(found.split(b"\n"), start=1):  # not splitlines: JSON may hold U+2028
        if line.strip():
            try:
                yield number, json.loads(line)
            except (ValueError, RecursionError) as error:
                raise ValueError(f"{name}, line {number}: is no JSON ({error})") from None


def at(row: Any, place: str) -> Any:
    """The value at a place like `response.choices.0.text`, or in a column of exactly this name. Raises KeyError."""
    if isinstance(row, dict) and place in row:
        return row[place]
    found = row
    for step in place.split("."):
        found = found.tolist() if hasattr(found, "tolist") else found  # Parquet holds lists as arrays
        try:
            found = found[int(step)] if isinstance(found, list) else found[step]
        except (KeyError, IndexError, TypeError, ValueError):
            raise KeyError(place) from None
    return found
