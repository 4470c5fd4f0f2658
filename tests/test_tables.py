"""Tables: what is written is what is read, and what is not as declared is refused by name."""

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from conftest import judged, refused
from hypothesis import given, settings
from hypothesis import strategies as st

from scicot_utils import tables
from scicot_utils.tables import TableError

RATIONALE = judged()


def values(kind):
    """All that a column of this type may hold."""
    if pa.types.is_struct(kind):
        return st.fixed_dictionaries({field.name: values(field.type) for field in kind})
    if pa.types.is_list(kind):
        return st.lists(values(kind.value_type), max_size=5)
    return {
        pa.string(): st.text(),
        pa.int64(): st.integers(-(2**63), 2**63 - 1),
        pa.float64(): st.floats(allow_nan=False),
        pa.bool_(): st.booleans(),
    }[kind]


@pytest.mark.parametrize("table", tables.TABLES)
@settings(max_examples=15)  # each writes a file
@given(data=st.data())
def test_what_is_written_is_read_again(tmp_path_factory, table, data):
    rows = data.draw(st.lists(values(pa.struct(tables.TABLES[table])), max_size=4))
    path = tables.write(table, rows, tmp_path_factory.mktemp("t") / "a" / f"{table}.parquet")
    assert tables.read(table, path) == rows


def test_folders_named_like_a_change_made_by_hand_add_no_column(tmp_path):
    path = tables.write("rationales", [RATIONALE], tmp_path / "sample=7" / "kept=0.parquet")
    assert tables.read("rationales", path) == [RATIONALE]


@pytest.mark.parametrize("table", tables.TABLES)
def test_a_row_without_a_declared_column_or_with_another_is_refused_by_name(tmp_path, table):
    row = dict.fromkeys(tables.TABLES[table].names)
    for changed, column in ((dict([*row.items()][:-1]), [*row][-1]), (row | {"colour": "red"}, "colour")):
        with refused(TableError, f"table {table}: column.* {column} missing or unknown; allowed: {next(iter(row))}, "):
            tables.write(table, [row, changed], tmp_path / "t.parquet")


@pytest.mark.parametrize(
    ("column", "value"),
    [
        *(("sample", value) for value in ("one", 1.5, 2**70, True)),
        *(("correct", value) for value in (1, "yes")),
        *(("rationale", value) for value in (3, None, b"\xff", "\ud800")),
        ("kept", None),
    ],
)
def test_a_value_of_a_wrong_type_is_refused_with_its_column(tmp_path, column, value):
    with pytest.raises(TableError, match=f"table rationales: column '{column}'"):
        tables.write("rationales", [RATIONALE, RATIONALE | {column: value}], tmp_path / "t.parquet")
    assert list(tmp_path.iterdir()) == []


def test_a_missing_table_says_what_to_do(tmp_path):
    with pytest.raises(TableError, match=r"no file .*t\.parquet; run the notebook that writes it first"):
        tables.read("questions", tmp_path / "t.parquet")


@pytest.mark.parametrize("damage", ["empty", "text", "cut", "middle"])
def test_a_damaged_file_is_named(tmp_path, damage):
    path = tables.write("rationales", [RATIONALE] * 50, tmp_path / "t.parquet")
    whole = path.read_bytes()
    damaged = {
        "empty": b"",
        "text": b"id,question\n",
        "cut": whole[: len(whole) // 2],
        "middle": whole[:4] + b"\xff" * 60 + whole[64:],
    }[damage]
    path.write_bytes(damaged)
    with refused(TableError, r"t\.parquet is not Parquet .*delete and rerun"):
        tables.read("rationales", path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda content: content.drop_columns("kept"), r"t\.parquet: column 'kept' is not bool"),
        (lambda content: content.set_column(1, "sample", pa.array(["0"])), "column 'sample' is not int64"),
        (lambda content: content.append_column("colour", pa.array(["red"])), r"unknown column\(s\) colour"),
    ],
    ids=["missing", "another type", "unknown"],
)
def test_a_reader_rejects_a_column_that_is_not_as_declared(tmp_path, change, message):
    content = pa.Table.from_pylist([RATIONALE], schema=tables.TABLES["rationales"])
    pq.write_table(change(content), tmp_path / "t.parquet")
    with pytest.raises(TableError, match=message):
        tables.read("rationales", tmp_path / "t.parquet")


def test_a_reader_rejects_another_table(tmp_path):
    path = tables.write("rationales", [RATIONALE], tmp_path / "t.parquet")
    with pytest.raises(TableError, match=r"table questions: .*column 'id'"):
        tables.read("questions", path)


def full_disk(self, content):
    with self.open("wb") as stream:
        stream.write(content[: len(content) // 2])
    raise OSError(28, "No space left on device")


@pytest.mark.parametrize("kind", ["parquet", "csv", "json", "md"])
def test_a_write_that_fails_leaves_the_old_file_whole(tmp_path, monkeypatch, kind):
    path = tmp_path / "new" / f"t.{kind}"
    write = {
        "parquet": lambda rows: tables.write("rationales", rows, path),
        "csv": lambda rows: tables.write_csv(list(RATIONALE), rows, path),
        "json": lambda rows: tables.write_json(path, rows),
        "md": lambda rows: tables.write_text(path, "\n".join(row["rationale"] for row in rows)),
    }[kind]
    write([RATIONALE])
    old = path.read_bytes()
    with monkeypatch.context() as patch:
        patch.setattr("pathlib.Path.write_bytes", full_disk)
        with pytest.raises(OSError, match="No space left"):
            write([RATIONALE] * 100)
    if kind == "json":
        with pytest.raises(TypeError):
            write({"a": object()})
    assert path.read_bytes() == old
    write([RATIONALE | {"rationale": "– ü"}] * 2)
    assert path.read_bytes() != old and (kind == "parquet" or "– ü" in path.read_text(encoding="utf-8"))
    assert [*path.parent.iterdir()] == [path]


def test_rows_that_fail_while_they_are_made_leave_the_old_file_whole(tmp_path):
    path = tables.write("rationales", [RATIONALE], tmp_path / "t.parquet")

    def rows():
        yield RATIONALE
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        tables.write("rationales", rows(), path)
    assert tables.read("rationales", path) == [RATIONALE]
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("row", [{"a": 1}, {"a": 1, "b": 2, "c": 3}])
def test_a_csv_row_with_other_columns_is_refused(tmp_path, row):
    with pytest.raises(ValueError, match=r"column.* (b|c) missing or unknown"):
        tables.write_csv(["a", "b"], [row], tmp_path / "t.csv")
