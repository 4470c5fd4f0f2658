"""Read rows from common table files: JSON lines, JSON, Parquet, Arrow, CSV and TSV, with or without gzip or a BOM."""

import codecs
import csv
import gzip
import io
import json
import warnings
from collections.abc import Iterable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa

# Keys under which a JSON object holds its rows, among other things
ROWS_UNDER = ("data", "examples", "Instances", "rows")
BINARY = (".parquet", ".arrow")
SUFFIXES = (".jsonl", ".json", ".csv", ".tsv", *BINARY)
UNREADABLE = (ValueError, OSError, OverflowError, pd.errors.ParserWarning, pa.ArrowException)  # from pandas and pyarrow


def kind(path: Path) -> str:
    """The suffix that tells a file's format, ignoring `.gz`; '' for an unknown format."""
    suffix = Path(path.stem).suffix if path.suffix == ".gz" else path.suffix
    return suffix.lower() if suffix.lower() in SUFFIXES else ""


def content(path: Path) -> bytes:
    """A file's bytes, decompressed; text is re-encoded as UTF-8 without a BOM. Raises ValueError for a damaged archive,
    for an LFS pointer and for text that is neither UTF-8 nor UTF-16.
    """
    data = path.read_bytes()
    if data.startswith(b"version https://git-lfs"):
        raise ValueError(f"{path.name} is a pointer of Git LFS, not the file itself; fetch it with git lfs pull")
    if path.suffix == ".gz":
        try:
            data = gzip.decompress(data)
        except (OSError, EOFError) as error:
            raise ValueError(f"{path.name} is no gzip file ({error})") from None
    if kind(path) in BINARY:
        return data
    try:
        marked = data[:2] in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
        return data.decode("utf-16" if marked else "utf-16-le" if data[1:2] == b"\0" else "utf-8-sig").encode()
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        if not kind(path):
            raise ValueError(
                f"{path.name} is no text; unpack it, or save it as {', '.join(SUFFIXES)}, gzipped or not"
            ) from None
        raise ValueError(
            f"{path.name}, line {line}: is neither UTF-8 nor UTF-16 ({error.reason}); save it as UTF-8"
        ) from None


def read(path: Path, columns: Iterable[str] = ()) -> Iterator[tuple[int, Any]]:
    """Yield (number, row) for every row. Numbers start at 1; for JSON lines they are line numbers. A CSV cell is text
    as written, also "NA" or 007. If all `columns` are numbers, and its first line is not, it is a table without a header,
    whose columns are called 1, 2, … by their places. A JSON object of objects holds rows by their ids, which are the
    column `id`, or columns of cells by their places. A JSON file may hold texts by their ids, which are the column `text`, or its rows in an
    object, under one of ROWS_UNDER or as its only list of objects. An object that has a text in one of `columns` is a row.
    One with a list there, as long as every other value, holds columns.

    Raises ValueError that names the file and, if the format has lines, the line.
    """
    if kind(path) in (".csv", ".tsv", *BINARY):
        yield from enumerate(_table(path, {*columns}), start=1)
        return
    data = content(path)
    try:
        document = json.loads(data)
    except (ValueError, RecursionError):
        yield from _lines(data, path.name)
        return
    document = _of_object(document, kind(path), columns) if isinstance(document, dict) else document
    yield from enumerate(document if isinstance(document, list) else [document], start=1)


def _of_object(document: dict[str, Any], suffix: str, columns: Iterable[str]) -> list[Any]:
    """The rows that a JSON object is, or holds."""
    named = [document[column] for column in columns if column in document]
    if any(isinstance(cell, str) for cell in named):
        return [document]
    columnar = named and all(isinstance(cells, list) for cells in document.values())
    if columnar and len({*map(len, document.values())}) == 1:
        return [dict(zip(document, cells, strict=True)) for cells in zip(*document.values(), strict=True)]
    lists = [document[key] for key in ROWS_UNDER if isinstance(document.get(key), list)]
    if not lists and suffix == ".json" and "choices" not in document:  # those are samples of one reply
        least = 2 if len(document) > 1 else 0
        lists = [rows for rows in document.values() if are_objects(rows, list) and len(rows) >= least]
        lists = lists if len(lists) == 1 else []
    if lists:
        return lists[0]
    if len(document) > 1 and "data" not in document:
        if are_objects(document, dict):
            places = dict.fromkeys(key for row in document.values() for key in row)
            # Columns of cells by their places, as pandas writes them; fewer places than keys are samples by their numbers.
            if len(places) >= len(document) and all(place.isdecimal() for place in places):
                return [{name: cells.get(place) for name, cells in document.items()} for place in places]
            return [{"id": key} | row for key, row in document.items()]
        if suffix == ".json" and "id" not in document and all(isinstance(text, str) for text in document.values()):
            return [{"id": key, "text": text} for key, text in document.items()]
    return [document]


def are_objects(rows: Any, holder: type) -> bool:
    """Whether `rows` is a list or a mapping (`holder`) of objects."""
    values = rows.values() if isinstance(rows, dict) else rows
    return isinstance(rows, holder) and all(isinstance(row, dict) for row in values)


def _table(path: Path, columns: set[str]) -> list[dict[str, Any]]:
    data = content(path)
    try:
        if kind(path) == ".parquet":
            return pd.read_parquet(io.BytesIO(data)).to_dict("records")
        if kind(path) == ".arrow":  # a stream, as `datasets` saves it
            return pa.ipc.open_stream(data).read_pandas().to_dict("records")
        line = data.split(b"\n", 1)[0]
        is_european = b";" in line and b"," not in line and b'"' not in line  # by a spreadsheet that needs the comma
        separator = "\t" if kind(path) == ".tsv" else ";" if is_european else ","
        quoting, text = _quoting(data, separator), io.StringIO(data.decode(), newline="")
        header = next(csv.reader(text, delimiter=separator, quoting=quoting, skipinitialspace=True), [])
        are_numbers = columns <= {*header} and all(cell.isdecimal() for cell in filter(None, header))
        has_none = columns and all(column.isdecimal() for column in columns) and not are_numbers
        header = [str(place) for place, _ in enumerate(header, start=1)] if has_none else header
        if repeated := [column for column in header if header.count(column) > 1]:
            raise ValueError(f"two columns are called '{repeated[0]}'")
        with warnings.catch_warnings():
            warnings.simplefilter("error", pd.errors.ParserWarning)  # a row longer than the header would lose its end
            form = {"sep": separator, "quoting": quoting, "dtype": str, "keep_default_na": False}
            form |= {"header": None, "names": header} if has_none else {}
            return pd.read_csv(io.BytesIO(data), index_col=False, skipinitialspace=True, **form).to_dict("records")
    except UNREADABLE as error:
        raise ValueError(f"{path.name} is no {kind(path)[1:]} file ({' '.join(str(error).split())[:120]})") from None


def _quoting(data: bytes, separator: str) -> int:
    """Whether quotation marks enclose cells, as a `csv` constant. In a TSV where they cannot, they are plain text: pandas
    would read on to the next one, and so take many rows for one cell. Raises ValueError for such a CSV.
    """
    csv.field_size_limit(max(csv.field_size_limit(), len(data)))
    text = io.StringIO(data.decode(), newline="")
    reader = csv.reader(text, delimiter=separator, skipinitialspace=True, strict=True)
    try:
        for _ in reader:
            pass
    except csv.Error:
        if separator == ",":
            raise ValueError(f"line {reader.line_num}: a quotation mark is not closed, or not doubled") from None
        return csv.QUOTE_NONE
    return csv.QUOTE_MINIMAL


def _lines(data: bytes, name: str) -> Iterator[tuple[int, Any]]:
    for number, line in enumerate(data.split(b"\n"), start=1):  # not splitlines: JSON may hold U+2028
        if line.strip():
            try:
                yield number, json.loads(line)
            except (ValueError, RecursionError) as error:
                raise ValueError(f"{name}, line {number}: is no JSON ({error})") from None


def as_list(value: Any) -> Any:
    """A list that Parquet holds as an array as a list; any other value as it is."""
    return value.tolist() if hasattr(value, "tolist") else value


def cell(value: Any) -> Any:
    """A single value as it reads: '' for a missing one, a float as text without an exponent (whole numbers are floats in a
    column with a missing value), a NumPy value as Python's; any other as it is.
    """
    value = as_list(value)
    if value is None or value != value:
        return ""
    return format(Decimal(str(value)), "f").removesuffix(".0") if isinstance(value, float) else value


def at(row: Any, path: str) -> Any:
    """The value at a path like `response.choices.0.text`, or in a column of exactly this name. Raises KeyError."""
    if isinstance(row, dict) and path in row:
        return row[path]
    value = row
    for key in path.split("."):
        value = as_list(value)
        try:
            value = value[int(key)] if isinstance(value, list) else value[key]
        except (KeyError, IndexError, TypeError, ValueError):
            raise KeyError(path) from None
    return value
