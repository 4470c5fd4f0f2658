"""A benchmark of the user's own: from any file the same questions, and each fault in one line."""

import csv
import gzip
import json
import re
from collections import Counter

import pandas as pd
import pytest
from conftest import refused

from scicot_utils import prompts, recipe, tasks
from scicot_utils.recipe import Own
from scicot_utils.tasks import TaskError, own
from scicot_utils.tasks.entries import RowFault
from scicot_utils.tasks.options import LISTED, split_listed

WHOLE = dict.fromkeys((*tasks.SPLITS, *tasks.TRANSFER), 0)
ROWS = [
    {"n": f"q{i}", "asked": f"What is {i} and {i}?", "options": [str(2 * i), str(2 * i + 1), f"{i}0"], "right": "A"}
    for i in range(1, 31)
]


def declared(path, **columns):
    """The benchmark own-mine, as a recipe declares it."""
    columns = {"question": "asked", "options": "options", "answer": "right", "id": "n"} | columns
    return {"mine": Own(path=str(path), **columns)}


def load(path, left_out=None, **columns):
    own = declared(path, **columns)
    return tasks.load("own-mine", dataset_path="", sizes=WHOLE, seed=0, own=own, left_out=left_out)


def quiz(**columns):
    """Twenty questions; each column is a value, or a function of the number of the row."""
    of_row = {name: value if callable(value) else lambda _, value=value: value for name, value in columns.items()}
    return [
        {"n": f"q{i:02}", "asked": f"Which, {i}?"} | {name: value(i) for name, value in of_row.items()}
        for i in range(20)
    ]


def write(path, rows=ROWS, **changes):
    """Rows in the form that the name of the file says."""
    rows = [row | {name: change(row) for name, change in changes.items()} for row in rows]
    if path.suffix == ".parquet":
        pd.DataFrame(rows).to_parquet(path)
    elif path.suffix in (".csv", ".tsv"):
        with path.open("w", newline="", encoding="utf-8-sig") as file:  # with a BOM, as Excel writes it
            writer = csv.writer(file, delimiter="\t" if path.suffix == ".tsv" else ",")
            writer.writerow(rows[0])
            for row in rows:
                writer.writerow(json.dumps(cell) if isinstance(cell, list | dict) else cell for cell in row.values())
    else:
        text = json.dumps(rows) if path.suffix == ".json" else "\r\n".join(map(json.dumps, rows))
        path.write_bytes(gzip.compress(text.encode()) if path.suffix == ".gz" else text.encode())
    return path


def read_in(path, rows, **columns):
    """Of all questions of such a file: the right answer, and the options if it has some."""
    return {(row["answer"], *row["choices"]["text"]) for row in load(write(path, rows), **columns)}


@pytest.mark.parametrize("name", ["a.jsonl", "a.json", "a.csv", "a.tsv", "a.parquet", "a.jsonl.gz"])
def test_the_same_questions_come_from_every_kind_of_file(tmp_path, name):
    questions = load(write(tmp_path / name))
    assert questions == load(write(tmp_path / "reference.jsonl"))
    assert Counter(row["split"] for row in questions) == {"train": 21, "validation": 3, "test": 6}
    row = next(row for row in questions if row["id"] == "q7")
    assert (row["question"], row["answer"], row["dataset"]) == ("What is 7 and 7?", "A", "own-mine")
    assert row["choices"] == {"label": ["A", "B", "C"], "text": ["14", "15", "70"]}


HOLDERS = {  # the rows as a JSON file may hold them
    **{key: {key: ROWS, "version": 1} for key in ("data", "examples", "Instances", "rows")},
    "its only list of objects": {"name": "sums", "settings": {"n": 3}, "tags": ["x"], "items": ROWS},
    "by their ids, as in ScienceQA's problems.json": {row["n"]: {**row, "n": ""} for row in ROWS},
    "columns": {name: [row[name] for row in ROWS] for name in ROWS[0]},
    "columns by place, as pandas writes them": json.loads(pd.DataFrame(ROWS).rename(columns={"n": "id"}).to_json()),
    "a page": {"features": [{"name": "n"}, {"name": "asked"}], "rows": ROWS, "partial": False},
}


@pytest.mark.parametrize("held", HOLDERS)
def test_a_json_object_may_hold_the_rows(tmp_path, held):
    path = tmp_path / "a.json"
    path.write_text(json.dumps(HOLDERS[held]), encoding="utf-8")
    columns = {"id": "id"} if held.startswith(("by", "columns by")) else {}
    assert load(path, **columns) == load(write(tmp_path / "reference.jsonl"))


def test_a_spreadsheets_file_may_have_semicolons(tmp_path):
    rows = [(row["n"], row["asked"], *row["options"], row["right"]) for row in ROWS]
    path = tmp_path / "a.csv"
    path.write_text("\n".join(map(";".join, [("n", "asked", "a", "b", "c", "right"), *rows])), encoding="utf-8")
    assert load(path, options="a, b, c") == load(write(tmp_path / "reference.jsonl"))


@pytest.mark.parametrize(
    ("options", "right"),
    [
        (lambda row: {"label": ["1", "2", "3"], "text": row["options"]}, lambda row: "1"),
        (lambda row: [{"label": mark, "text": text} for mark, text in zip("xyz", row["options"], strict=True)], lambda row: "x"),
        (lambda row: dict(zip(("i", "ii", "iii"), row["options"], strict=True)), lambda row: "i"),
        (lambda row: [f"{text} apples" for text in row["options"]], lambda row: f"{row['options'][0]} apples"),
        (lambda row: [f"{text} apples" for text in row["options"]], lambda row: 0),
    ],
)  # fmt: skip
def test_options_and_answers_are_read_in_the_forms_that_people_have(tmp_path, options, right):
    for name in ("a.jsonl", "a.csv"):
        questions = load(write(tmp_path / name, options=options, right=right))
        assert {(row["answer"], len(row["choices"]["text"])) for row in questions} == {("A", 3)}


@pytest.mark.parametrize(
    "options",
    [
        """['16 cm', "2, or 3", "none's"]""",
        "{'x': '16 cm', 'y': '2, or 3', 'z': \"none's\"}",
        "a ) 16 cm , b ) 2, or 3 , c ) none's",
        "(A) 16 cm (B) 2, or 3 (C) none's",
        "['a ) 16 cm', 'b ) 2, or 3', \"c ) none's\"]",
        " ['16 cm' '2, or 3'\n \"none's\"]",
        "{'text': array(['16 cm', '2, or 3',\n       \"none's\"], dtype=object), 'label': array(['A', 'B', 'C'], dtype='<U1')}",
        "{'label': array(['A', 'B', 'C']), 'text': array(['16 cm', '2, or 3', \"none's\"])}",
    ],
)
def test_options_may_be_a_text_of_them(tmp_path, options):
    """As pandas writes lists and arrays into CSV files, or as in MathQA."""
    read = read_in(tmp_path / "a.csv", quiz(options=options, right="2, or 3"))
    assert read == {("B", "16 cm", "2, or 3", "none's")}


TEN = {"options": [f"option{k}" for k in range(10)]}
OPEN = {"options": ""}
FOUR = {"options": [*"wxyz"]}
INTERVALS = {"options": ["(0,1)", "[0,1)", "[0,1]"]}
OF_B_AND_A = {  # of options as objects or by their labels, B before A
    "labels with points and brackets": {"options": {"B.": "w", "A.": "x"}, "right": "(A)"},
    **{f"a key {key} that holds letters": {"options": [{key: "B", "text": "w", "more": "A"}, {key: "A", "text": "x", "more": ""}], "right": "A"}
       for key in ("id", "label")},
    "a text beside its letter": {"options": [{"key": "B", "value": "w"}, {"key": "A", "value": "x"}], "right": "A"},
}  # fmt: skip
READ = {  # what each row holds; the columns named; the right label and the options, or the open answer
    **{f"{right} of ten options, as in MMLU-Pro": (TEN | {"right": right}, {}, f"J {' '.join(TEN['options'])}")
       for right in ("J", "(j)", "option9")},
    **{name: (cells, {}, "B w x") for name, cells in OF_B_AND_A.items()},
    "columns, the last empty": ({"a": "w", "b": "x", "c": "", "right": "b"}, {"options": "a, b, c"}, "B w x"),
    "columns, one before the right one empty": (
        {"opt_A": "w", "opt_B": "", "opt_C": "y", "opt_D": "z", "right": "C"}, {"options": "opt_A, opt_B, opt_C, opt_D"}, "B w y z",
    ),
    "columns in another order": ({"opt_B": "w", "opt_A": "x", "right": "B"}, {"options": "opt_B, opt_A"}, "A w x"),
    **{f"columns called {pair}": (dict(zip(pair.split(", "), "wx", strict=True)) | {"right": "B"}, {"options": pair}, "B w x")
       for pair in ("option1, option2", "a0, a1", "first, second")},
    **{f"the name of column {right}": ({"at_a": "w", "at_b": "x", "right": f"at_{right}"}, {"options": "at_a, at_b"}, f"{right.upper()} w x")
       for right in "ab"},
    "an answer among its options": ({"options": {"A": "x", "B": "y", "key": "B"}}, {"answer": "options.key"}, "B x y"),
    "an interval, which is no list of scores": (INTERVALS | {"right": "[0,1]"}, {}, "C (0,1) [0,1) [0,1]"),
    "a half-open one": (INTERVALS | {"right": "[0,1)"}, {}, "B (0,1) [0,1) [0,1]"),
    "a list with one place": (FOUR | {"right": [2]}, {"answer_is": "place"}, "C w x y z"),
    "a list with one label": (FOUR | {"right": ["B"]}, {}, "B w x y z"),
    "a list with one number": ({"right": [7.0]}, OPEN, "7"),
    "an item of a list": ({"right": [1, 0]}, OPEN | {"answer": "right.0"}, "1"),
    "Yes": ({"right": "Yes"}, OPEN, "yes"), "True": ({"right": True}, OPEN, "yes"), "FALSE": ({"right": "FALSE"}, OPEN, "no"),
    "letters that are words": ({"right": "A"}, OPEN | {"answers": "word"}, "A"),
}  # fmt: skip


@pytest.mark.parametrize(("cells", "columns", "read"), READ.values(), ids=READ)
def test_options_and_answers_are_read_from_columns_objects_and_lists(tmp_path, cells, columns, read):
    """An empty column moves no answer. A column has the letter that its name ends in, or else that of its place."""
    assert read_in(tmp_path / "a.jsonl", quiz(**cells), **columns) == {tuple(read.split())}


@pytest.mark.parametrize("name", ["a.jsonl", "a.parquet"])
def test_what_a_mapping_has_no_text_for_is_no_option(tmp_path, name):
    """As Parquet fills the mappings of questions with fewer options."""
    rows = quiz(options=lambda i: {"A": "x", "B": "y", "C": None if i else "z"}, right="B")
    assert read_in(tmp_path / name, rows) == {("B", "x", "y", "z"), ("B", "x", "y")}


# What a file or a row of it may not hold

FILES = {  # rows, the columns named, and what is said of them
    "a column that is not there": (ROWS, {"question": "q"}, r"a\.jsonl, row 1: no column 'q', found n, asked, options, right; name it in the recipe under own"),
    "one id": (quiz(n="same", options=["x", "y"], right="B"), {}, "the id 'same' occurs 20 times"),
    "a split of its own": (quiz(part="holdout", right="7"), OPEN | {"split": "part"}, "its split is called neither train, validation"),
    "answers of two kinds": (quiz(right=lambda i: "7" if i else "yes"), OPEN, "look like number and yes_no; say which"),
    **{f"a heading for an answer, {answer}": (quiz(right=answer), OPEN, "its answer '.*' is no word, number, or yes or no")
       for answer in ("#### Step 1\nWe add.\n#### Answer\n18", "We add.\n#### 18\n#### Check\nfine", r"It is $\boxed{\frac{1}{2}}$.")},
    "a list of open answers": (quiz(right=[1, 0]), OPEN, "found list, allowed: a text or a number; reach inside with dots"),
    "letters alone": (quiz(right=lambda i: "ABCD"[i % 4]), OPEN, "its answers are labels of options that are not named"),
    "an id and an answer of several lines": (quiz(n="a\nb", options=[*"xy"], right="z"), {}, "its answer 'z' names none"),
    "an id of several lines": (quiz(n="a\r\nb", options=[*"xy"], right="x"), {}, "the id 'a b' occurs 20 times"),
    "an option of several lines": (quiz(n=lambda i: f"a\n{i}", options=["x\n2", "1", "0"], right="1"), {}, "say which with answer_is"),
    "open answers of several lines": (quiz(right=lambda i: ("yes", "1", "line\nbreak")[i % 3]), OPEN, "look like number and yes_no; say which"),
    **{f"labels {a}{b}{c} of options that only the question lists, as in ARC's CSV": (
           quiz(asked=f"What? ({a}) 1 ({b}) 2 ({c}) 3", right=lambda i, marks=(a, b, c): marks[i % 3]), OPEN, "its answers are labels of options that its questions list")
       for a, b, c in ("ABC", "123")},
}  # fmt: skip


@pytest.mark.parametrize(("rows", "columns", "message"), FILES.values(), ids=FILES)
def test_a_file_that_is_no_benchmark_is_told_in_one_line_by_the_check_as_by_the_notebook(
    tmp_path, rows, columns, message
):
    path = write(tmp_path / "a.jsonl", rows)
    with refused(TaskError, f"^own-mine.*{message}"):
        load(path, **columns)
    with refused(TaskError, f"^own-mine.*{message}"):
        tasks.preflight("own-mine", "", declared(path, **columns))


FAULTS = [  # of the fourth row, which holds this
    ({"right": "Z"}, {}, r"a\.jsonl, row 4 \(id q03\): its answer 'Z' names none of its 2 options; fix the row"),
    ({"asked": " "}, {}, r"a\.jsonl, row 4: the question is empty"),
    ({"options": [*"xxy"]}, {}, "two equal options"),
    ({"options": ["x"], "right": "A"}, {}, "found 1 options, allowed: 2 to 26"),
    ({"options": [f"x{n}" for n in range(27)]}, {}, "found 27 options, allowed: 2 to 26"),
    ({"options": 7}, {}, "its options are int; allowed: a list, a mapping, or columns by comma"),
    *(({"options": listed}, {}, "its options are neither a list nor JSON of one")
      for listed in ("x or y", "a ) 3 , c ) 4", "a ) f ( x ) , b ) 4", "a ) 3", "['a' + 'b']", "list('ab')", "['a'")),
    ({"options": [{"text": "x"}, {"text": "y"}], "right": ""}, {}, "its answer '' names none of its 2 options"),
    ({"options": {"label": ["A", "A", "B"], "text": ["x", "y", "z"]}}, {}, "one of its own for each"),
    ({"options": {"label": ["A", "B", "C"], "text": ["x", "y"]}}, {}, "one of its own for each"),
    ({"options": {"label": None, "text": ["x", "y"]}}, {}, "allowed: a list, a mapping"),
    ({"options": {"label": "AB", "text": "xy"}}, {}, "allowed: a list, a mapping"),
    ({"options": [{"aid": 1, "atext": "x"}, {"aid": 2, "atext": "y"}]}, {}, "found dict, allowed: a text or a number; reach inside"),
    ({"options": [["A", "x"], ["B", "y"]]}, {}, "found list, allowed: a text or a number; reach inside with dots"),
    ({"options": ["x", float("nan")], "right": "A"}, {}, "an option is empty"),
    ({"right": "\u00b2"}, {}, "names none of its 2 options"),
    ({"right": {"text": "x"}}, {}, "found dict, allowed: a text or a number"),
    ({"options": ["x\0", "y"]}, {}, "a text holds a null byte"),
    ({"b": "", "c": "z"}, {"options": "a, b, c"}, "its answer names an option that is empty"),
    *(({"right": answer}, OPEN, "that could be read from a text")
      for answer in ("1e-05", "1,00,000", "3,5", "New York", ".5", "12 apples")),
]  # fmt: skip


@pytest.mark.parametrize(("cells", "columns", "message"), FAULTS)
def test_a_faulty_row_is_never_guessed_and_may_be_left_out(tmp_path, cells, columns, message):
    rows = quiz(options=["x", "y"], a="x", b="y", c="", right="B" if columns != OPEN else str)
    path = write(tmp_path / "a.jsonl", [row | (cells if row["n"] == "q03" else {}) for row in rows])
    with refused(TaskError, f"^own-mine: .*{message}"):
        load(path, **columns)
    left_out = Counter()
    questions = load(path, left_out, faulty="drop", **columns)
    assert left_out.total() == 1
    assert {row["id"]: row["answer"] for row in questions} == {
        row["n"]: row["right"] for row in rows if row["n"] != "q03"
    }


NO_ROWS = r"no file at own path .*allowed: a file of the kind \.jsonl"
POINTER = "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n"
IS_POINTER = "is a pointer of Git LFS, not the file itself; fetch it with git lfs pull"
DAMAGED = {  # what a file holds, and what is said of it
    "a.txt": ("x", NO_ROWS),
    **{f"a{suffix}": (POINTER, f"own-mine: a{suffix} {IS_POINTER}") for suffix in (".jsonl", ".csv", ".parquet")},
    "repeated.csv": ("asked,right,right\nWhich?,a,b\n", "two columns are called 'right'"),
    "headless.csv": ("Which flies?,a raft,a robin,B\n" * 3, "no column 'asked'.*; its first line must name the columns, with commas or tabs between"),
}  # fmt: skip


@pytest.mark.parametrize("name", DAMAGED)
def test_a_file_without_rows_or_names_of_columns_is_told_with_what_to_do(tmp_path, name):
    content, message = DAMAGED[name]
    (tmp_path / name).write_text(content, encoding="utf-8")
    with refused(TaskError, message):
        load(tmp_path / name, options="", id="")


def test_a_path_at_which_there_is_no_file_is_named_with_what_is_allowed(tmp_path):
    for path in (tmp_path, tmp_path / "missing.csv"):
        with refused(TaskError, NO_ROWS):
            load(path)


# What an answer may be


@pytest.mark.parametrize(
    ("right", "kind"),
    [(lambda row: row["options"][0], "number"), (lambda row: "yes", "yes_no"), (lambda row: "ab", "word")],
)
def test_open_answers_are_of_the_kind_that_they_look_like(tmp_path, right, kind):
    questions = load(write(tmp_path / "a.jsonl", right=right), options="")
    row = questions[0]
    assert row["choices"] == {"label": [], "text": []} and not prompts.has_options(row)
    completion = prompts.read_free(row, f"So it is.\nThe answer is {row['answer']}.")
    assert completion.answer == row["answer"] and tasks.kind_of(row["answer"]) == kind


@pytest.mark.parametrize(
    "solution",
    [
        "It is <<2*9=18>>18 or so.\n#### {0}",
        "It is <<2*9=18>>18 or so.\n#### {0}\nThe answer is: {0}",
        r"First $\boxed{{x}}$, then it is $\boxed{{{0}}}$.",
    ],
    ids=["GSM8K", "MetaMathQA", "MATH"],
)
def test_the_open_answer_of_a_worked_solution_is_what_follows_its_last_mark(tmp_path, solution):
    path = write(tmp_path / "a.jsonl", quiz(right=lambda i: solution.format(f"1,0{i:02}")))
    answers = {row["id"]: row["answer"] for row in load(path, options="")}
    assert answers == {f"q{i:02}": f"1,0{i:02}" for i in range(20)}


@pytest.mark.parametrize("right", [["yes", "no", "maybe"], ["Yes", "NO", "Maybe"], [True, False, "maybe"], [0, 1, 2]])
def test_a_few_words_that_are_all_the_answers_become_options(tmp_path, right):
    """As in PubMedQA, or with numbers for them, as in SNLI."""
    path = write(tmp_path / "a.jsonl", right=lambda row: right[int(row["n"][1:]) % 3])
    for row in load(path, options="", answers="yes, no, maybe"):
        assert row["choices"] == {"label": ["A", "B", "C"], "text": ["yes", "no", "maybe"]}
        assert row["answer"] == "ABC"[int(row["id"][1:]) % 3] and prompts.has_options(row)
        completion = prompts.read_free(row, "It is so.\nThe answer is maybe.")
        assert completion.answer == "C"


@pytest.mark.parametrize("answers", ["yes, no", "no, yes", "True, False"])
@pytest.mark.parametrize("right", [lambda i: i % 2, lambda i: f"{i % 2}.0", lambda i: 1, lambda i: i % 2 == 1])
def test_0_is_no_or_false_and_1_yes_or_true_in_any_order(tmp_path, answers, right):
    words = answers.replace(" ", "").split(",")
    rows = quiz(right=right)
    expected = {row["n"]: words[(words[0] in ("yes", "True")) != (float(row["right"]) == 1)] for row in rows}
    assert gold(tmp_path, rows, options="", answers=answers) == expected


def test_places_count_in_the_order_of_all_other_answers(tmp_path):
    """Also yes and no, if there is a 2."""
    for answers, first in (("so, not so", 0), ("yes, no", 1)):
        rows = quiz(right=lambda i, first=first: i % 2 + first)
        read = gold(tmp_path, rows, options="", answers=answers)
        assert read == {row["n"]: answers.split(", ")[row["right"] - first] for row in rows}


@pytest.mark.parametrize("answers", ["", "word"])
def test_a_few_words_of_which_some_are_yes_and_no_are_to_be_listed(tmp_path, answers):
    """Each gold answer would otherwise be read as a kind of its own."""
    path = write(tmp_path / "a.jsonl", right=lambda row: ["yes", "no", "maybe"][int(row["n"][1:]) % 3])
    with refused(TaskError, r"look like word and yes_no; .* as in answers: maybe, no, yes"):
        load(path, options="", answers=answers)
    with refused(TaskError, r"row 1 \(id q1\): its answer 'no' names none of its 2 options"):
        load(path, options="", answers="yes, maybe")


@pytest.mark.parametrize("answers", ["words", "yes,", "yes, , no", "yes, Yes"])
def test_answers_that_are_neither_a_kind_nor_a_set_are_refused(answers):
    with pytest.raises(ValueError, match="allowed: number, yes_no, word, or the few that there are"):
        Own(path="a.csv", answers=answers)


@pytest.mark.parametrize(
    "names",
    [
        ("train.jsonl", "dev_rand_split.jsonl", "mine-test.jsonl"),
        [f"questions.{split}.jsonl.gz" for split in ("train", "dev", "test")],
    ],
    ids=lambda names: names[1],
)
def test_splits_are_those_of_a_column_or_of_the_files_names(tmp_path, names):
    parts = [row | {"part": ("train", "dev", "test")[i % 3]} for i, row in enumerate(ROWS)]
    by_column = load(write(tmp_path / "a.csv", parts), split="part")
    folder = tmp_path / "folder"
    folder.mkdir()
    for first, name in enumerate(names):
        write(folder / name, ROWS[first::3])
    by_file = load(folder)
    assert Counter(row["split"] for row in by_file) == {"train": 10, "validation": 10, "test": 10}
    assert {row["id"]: row["split"] for row in by_column} == {row["id"]: row["split"] for row in by_file}


def test_a_column_of_splits_is_refused_where_files_are_named_after_them(tmp_path):
    folder = folder_of(tmp_path, "train.jsonl", "test.jsonl", content=[row | {"part": "test"} for row in ROWS])
    with refused(TaskError, r"found split: part, but t\w+\.jsonl is of t\w+; leave split out"):
        load(folder, split="part")


def test_with_another_seed_others_are_held_out_and_with_the_same_the_same(tmp_path):
    path = write(tmp_path / "a.csv")
    tested = [{row["id"] for row in load(path, seed=seed) if row["split"] == "test"} for seed in (0, 0, 1)]
    assert tested[0] == tested[1] != tested[2]


@pytest.mark.parametrize("fault", [{"right": "Z"}, {"asked": ""}])
def test_a_row_that_is_left_out_counts_in_its_own_split(tmp_path, fault):
    rows = [row | {"part": ("train", "dev", "test")[i % 3]} for i, row in enumerate(ROWS)]
    rows[2] |= fault
    left_out = Counter()
    load(write(tmp_path / "a.jsonl", rows), left_out, split="part", faulty="drop")
    assert {split: count for split, count in left_out.items() if count} == {"test": 1}


def test_a_question_may_stand_in_several_columns(tmp_path):
    """As a premise and a hypothesis, a passage and a question, a body and its question, or a hint that may be empty."""
    hints = ["", "Robins  have\nfeathers."]
    rows = [row | {"hint": hints[i % 2], "more": {"asked": row["asked"]}} for i, row in enumerate(ROWS)]
    path = write(tmp_path / "a.jsonl", rows)
    for columns in (["hint", "asked"], ["hint", "more.asked"]):
        asked = {row["id"]: row["question"] for row in load(path, question=columns)}
        assert asked["q1"] == "What is 1 and 1?" and asked["q2"] == "Robins have feathers. What is 2 and 2?"
    assert load(path, question=["asked", "hint"])[1]["question"] == "What is 2 and 2? Robins have feathers."
    with refused(TaskError, r"a\.jsonl, row 1: no column 'passage', found n, .*; name it in the recipe"):
        load(path, question=["passage", "asked"])
    with pytest.raises(ValueError, match="question"):
        Own(path="a.csv", question=[])


def test_an_own_benchmark_is_declared_in_the_recipe_that_names_it():
    plan = recipe.load("own_example")
    assert plan.datasets == plan.distill == ["own-everyday"] and plan.own["everyday"].options == "a, b, c, d"
    with pytest.raises(ValueError, match=r"found 'own/other', allowed: one declared under own \(everyday\)"):
        recipe.Recipe(**plan.model_dump() | {"datasets": ["own/other"], "distill": ["own/other"]})


def test_the_shipped_example_is_whole_and_its_teacher_known_for_each_question():
    plan = recipe.load("own_example")
    questions = tasks.load("own-everyday", dataset_path="", sizes=WHOLE, seed=0, own=plan.own)
    assert len(questions) == 60 and {len(row["choices"]["text"]) for row in questions} == {4}
    assert min(sum(row["answer"] == mark for row in questions) for mark in "ABCD") >= 9


def gold(tmp_path, rows, **columns):
    """The words of the right options, by id."""
    questions = load(write(tmp_path / "a.jsonl", rows), **columns)
    return {row["id"]: row["choices"]["text"]["ABCDEFGH".index(row["answer"])] for row in questions}


def test_a_place_is_a_place_in_every_row_though_options_are_numbers(tmp_path):
    """As in MMLU: a list and a number from 0. Read as a text, the same number would name another option."""
    rows = quiz(options=lambda i: [str((i + k) % 4) for k in (3, 2, 1, 0)], right=lambda i: i % 4)
    with refused(TaskError, r"could be a text .* or place .*; say which with answer_is"):
        gold(tmp_path, rows)
    assert gold(tmp_path, rows, answer_is="place") == {row["n"]: row["options"][row["right"]] for row in rows}
    assert gold(tmp_path, rows, answer_is="text") == {row["n"]: str(row["right"]) for row in rows}
    words = quiz(options=[*"wxyz"], right=lambda i: f"{i % 4}.0")
    assert gold(tmp_path, words) == {row["n"]: "wxyz"[i % 4] for i, row in enumerate(words)}


def test_places_counted_from_one_are_seen_where_the_last_is_reached_and_asked_about_where_not(tmp_path):
    rows = quiz(options=[*"wxyz"], right=lambda i: i % 4 + 1)
    assert gold(tmp_path, rows) == {row["n"]: "wxyz"[row["right"] - 1] for row in rows}
    with refused(TaskError, r"could be a place .* or place_from_1"):
        gold(tmp_path, quiz(options=[*"wxyz"], right=lambda i: i % 3 + 1))


def test_a_number_that_is_a_columns_label_or_its_place_is_asked_about_unless_the_rows_tell(tmp_path):
    """As in PIQA: sol1 and sol2 with labels 0 and 1, of which a small file may have only 1."""

    def read(*numbers, **columns):
        rows = quiz(sol1="w", sol2="x", right=lambda i: numbers[i % len(numbers)])
        questions = load(write(tmp_path / "a.jsonl", rows), options="sol1, sol2", **columns)
        return {row["id"]: row["answer"] for row in questions}

    with refused(TaskError, r"row 1 .*'1' could be a label \('w'\) or place \('x'\) or .*answer_is"):
        read(1)
    assert {*read(1, answer_is="label").values()} == {"A"}
    assert {*read(1, answer_is="place").values()} == {"B"}
    assert read(1, 0)["q00"] == "B" and read(1, 2)["q00"] == "A"


SCORED = {  # options with scores as files have them, of texts and scores; how a recipe names both
    "BIG-bench": (lambda texts, scores: dict(zip(texts, scores, strict=True)), ("scored", "scored")),
    "as decimals": (lambda texts, scores: dict(zip(texts, map(float, scores), strict=True)), ("scored", "scored")),
    "TruthfulQA": (lambda texts, scores: {"choices": texts, "labels": scores}, ("scored.choices", "scored.labels")),
    "TruthfulQA, as a whole": (lambda texts, scores: {"choices": texts, "labels": scores}, ("scored", "scored")),
}


def scored(path, layout, right, texts=("1", "0", "2")):
    make, (options, answer) = SCORED[layout]
    rows = quiz(scored=lambda i: make([*texts], [int(place == right(i)) for place in range(len(texts))]))
    return load(write(path, rows), options=options, answer=answer)


@pytest.mark.parametrize(
    ("name", "layout"),
    [("a.csv", "BIG-bench"), ("a.csv", "TruthfulQA, as a whole"), *(("a.jsonl", layout) for layout in SCORED)],
)
def test_the_right_option_may_be_the_one_whose_score_is_1(tmp_path, layout, name):
    for question in scored(tmp_path / name, layout, lambda i: i % 3):
        assert question["choices"]["text"] == ["1", "0", "2"]
        assert question["answer"] == "ABC"[int(question["id"][1:]) % 3]
    with refused(TaskError, r"row 1: its 3 options have the scores .*, allowed: one 1, and 0 for every other"):
        scored(tmp_path / name, layout, lambda i: 7)


@pytest.mark.parametrize("layout", SCORED)
def test_options_of_which_the_first_is_right_in_nearly_every_row_get_another_order(tmp_path, layout):
    """As in BIG-bench's date_understanding, where it is another one in five of 369 rows."""
    for others in (0, 2, 3):
        right = [*[0] * (20 - others), *[1] * others]
        questions = scored(tmp_path / "a.jsonl", layout, right.__getitem__, texts=("right", "wrong", "none"))
        counts = Counter(question["answer"] for question in questions)
        assert (
            counts == {"A": 17, "B": 3} if others == 3 else {*counts} == {"A", "B", "C"} and max(counts.values()) < 12
        )
        texts = Counter(question["choices"]["text"]["ABC".index(question["answer"])] for question in questions)
        assert texts["right"] == 20 - others and texts["wrong"] == others


def test_strategyqa_as_its_publishers_release_it_is_a_benchmark_of_ones_own(tmp_path):
    """Geva et al. 2021's file has other places than the one that Fine-tune-CoT's split counts on, so it has its own split."""
    rows = [
        {"qid": f"{n:020x}", "term": "Bird", "description": "animal", "question": f"Could {n} birds fly?", "answer": n % 3 > 0}
        | {"facts": ["Birds fly."], "decomposition": ["Do birds fly?"], "evidence": [[["Bird-1", "no_evidence"]]]}
        for n in range(30)
    ]  # fmt: skip
    path = write(tmp_path / "strategyqa_train.json", rows)
    questions = tasks.load("own-it", dataset_path="", sizes={}, seed=0, own={"it": Own(path=str(path), id="qid")})
    answers = {row["id"]: row["answer"] for row in questions}
    assert answers == {row["qid"]: ("yes" if row["answer"] else "no") for row in rows}
    with refused(TaskError, r"no file .*StrategyQA"):
        tasks.load("StrategyQA", dataset_path=str(tmp_path), sizes={}, seed=0)


@pytest.mark.parametrize("form", ["{}){}", "({}) {}", "{}. {}", "{} ) {}", "{}．{}", "{}、{}", "（{}）{}"])
def test_labels_in_the_texts_of_options_are_no_part_of_them(tmp_path, form):
    """Prompts would list them twice, and an answer in an option's words would not be read."""
    for right in (lambda row: "B", lambda row: form.format("B", row["options"][1])):
        options = {"options": lambda row: [form.format(*pair) for pair in zip("ABC", row["options"], strict=True)]}
        for question in load(write(tmp_path / "a.jsonl", right=right, **options)):
            n = int(question["id"][1:])
            assert (question["choices"]["text"], question["answer"]) == ([str(2 * n), str(2 * n + 1), f"{n}0"], "B")
    mixed = load(write(tmp_path / "b.jsonl", options=lambda row: ["A. thaliana", "C. elegans"]))
    assert mixed[0]["choices"]["text"] == ["A. thaliana", "C. elegans"]


def test_a_message_stays_one_short_line_whatever_the_file_holds(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text(f"Which flies?,a raft {'of wood ' * 60},a robin,B\n" * 3, encoding="utf-8")  # without a header
    with refused(TaskError, r"no column 'asked', found Which .* …; name it in the recipe") as headless:
        load(path)
    with refused(TaskError, r"its answer 'It adds up. It adds up.* is no word") as worked_out:
        load(write(tmp_path / "b.jsonl", quiz(right="It adds up.\n" * 40 + "So it is 4")), options="")
    with refused(TaskError, r"row 1 .*: two equal options, 'raft'") as equal:
        load(write(tmp_path / "c.jsonl", quiz(options=["raft", "raft", "robin"], right="raft")))
    assert all(len(str(error.value)) < 500 for error in (headless, worked_out, equal))


def test_a_stray_quotation_mark_swallows_no_row(tmp_path):
    """Between two that open a cell, as in a TSV whose marks are plain text, pandas takes all rows for one cell."""
    rows = [(row["n"], ('"' if i in (3, 9) else "") + f"Is it {i}?", "yes") for i, row in enumerate(ROWS)]
    for name, separator in (("a.tsv", "\t"), ("a.csv", ",")):
        lines = [separator.join(row) for row in [("n", "asked", "right"), *rows]]
        (tmp_path / name).write_text("\n".join(lines), encoding="utf-8")
    assert {row["question"] for row in load(tmp_path / "a.tsv", options="")} == {asked for _, asked, _ in rows}
    with refused(TaskError, r"a\.csv is no csv file \(line 11: a quotation mark is not closed, or not doubled"):
        load(tmp_path / "a.csv", options="")


@pytest.mark.parametrize(
    "listed",
    [
        "{asked}\nOptions:\n(A) {a}\n(B) {b}", "{asked} Answer choices: (A) {a} (B) {b}", "{asked} a) {a}, b) {b}",
        "{asked}（  ）\nA．{a}   \nB．{b}\n", "Vitamin A. {asked}\nA. {a}\nB. {b}",
    ],
)  # fmt: skip
def test_options_may_stand_in_the_question_and_then_leave_it(tmp_path, listed):
    """As in BIG-bench Hard and in examinations; their labels may be in brackets."""
    fill = lambda row: listed.format(asked=row["asked"], a=row["options"][0], b=row["options"][1])  # noqa: E731
    path = write(tmp_path / "a.jsonl", asked=fill, right=lambda row: f"({'ab'[row['n'] == 'q1'].upper()})")
    rows = load(path, options="asked")
    assert {row["id"]: row["answer"] for row in rows} == {row["n"]: "AB"[row["n"] == "q1"] for row in ROWS}
    first = next(row for row in rows if row["id"] == "q7")
    assert first["choices"]["text"] == ["14", "15"] and re.search(r"What is 7 and 7\?(?:（ ）)?$", first["question"])
    with pytest.raises(TaskError, match="its questions list in their text"):
        load(path, options="")
    with pytest.raises(TaskError, match="neither a list nor JSON of one, nor listed"):
        load(write(tmp_path / "b.jsonl"), options="asked")


@pytest.mark.parametrize(
    ("text", "question", "options"),
    [
        ("A. Smith and B. Jones met. Who won? (A) Smith (B) Jones", "A. Smith and B. Jones met. Who won?", ["Smith", "Jones"]),
        ("Of (a) x and (b) y, which holds? A. x B. y C. both", "Of (a) x and (b) y, which holds?", ["x", "y", "both"]),
        ("Who? A. A. Einstein, B. I. Newton", "Who?", ["A. Einstein", "I. Newton"]),
        ("Who?\nA. I\nB. You\nAnswer:", "Who?", ["I", "You"]),
        ("Who? (A) I (B) You (C) B. Franklin", "Who?", ["I", "You", "B. Franklin"]),
        ("Is it (A) snow, or (B) ice?", "Is it", ["snow", "ice?"]),
        ("Which? (A) x (B) y (C) z (D) Both (A) and (B) at night", "Which?", ["x", "y", "z", "Both (A) and (B) at night"]),
        ("Which?\nA. x\nB. y\nC. z\nD. Either A. or B. of these", "Which?", ["x", "y", "z", "Either A. or B. of these"]),
        ("Which? A. x B. y C. both (a) and (b), or (a) but (b)", "Which?", ["x", "y", "both (a) and (b), or (a) but (b)"]),
        ("Of (A) x, (B) y and (C) z, which are two? (A) x, y (B) x, z", "Of (A) x, (B) y and (C) z, which are two?", ["x, y", "x, z"]),
        ("Given are A. x B. y C. z\nA. all\nB. none", "Given are A. x B. y C. z", ["all", "none"]),
        ("Which?\n(A) x\n(B) y\nAnswer with the letter only.", "Which?", ["x", "y"]),
    ],
)  # fmt: skip
def test_letters_in_a_question_or_an_option_are_no_labels(text, question, options):
    assert split_listed(text) == (question, list("ABCD"[: len(options)]), options)


@pytest.mark.parametrize(
    "text", ["Which? A. vitamin A. B. vitamin B. C. none", "Which? (A) vitamin (a) (B) vitamin (b)"]
)
def test_labels_that_could_be_words_of_options_are_refused_and_never_guessed(text):
    with refused(RowFault, "nor listed"):
        split_listed(text)


def test_a_split_whose_answers_are_not_published_is_named(tmp_path):
    for unknown in ("", "-1"):
        for place, split in enumerate(("train", "validation", "test")):
            rows = [row | ({"right": unknown} if split == "test" else {}) for row in ROWS[place::3]]
            write(tmp_path / f"{split}.jsonl", rows)
        for faulty in ("stop", "drop"):
            with pytest.raises(TaskError, match=r"no question of split test has an answer.*call another one test"):
                load(tmp_path, faulty=faulty)


def test_a_few_numbers_that_count_from_0_or_1_may_stand_for_words(tmp_path):
    """As the labels of natural-language inference; each kind is read where the recipe says which."""
    path = write(tmp_path / "a.jsonl", right=lambda row: int(row["n"][1:]) % 3)
    with pytest.raises(TaskError, match="its answers are 0, 1, 2 alone; say with answers what they are"):
        load(path, options="")
    eleven = write(tmp_path / "b.jsonl", [row | {"n": f"{n}", "right": n % 11} for n in range(110) for row in ROWS[:1]])
    with pytest.raises(TaskError, match="its answers are 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10 alone; say with answers"):
        load(eleven, options="")
    first = {kind: load(path, options="", answers=kind)[0] for kind in ("number", "so, open, not so")}
    assert first["number"]["id"] == "q1" and first["number"]["answer"] == "1"
    assert first["so, open, not so"]["choices"]["text"][1] == "open" and first["so, open, not so"]["answer"] == "B"


# Folders and files as publishers lay them out


def folder_of(folder, *names, content=ROWS):
    """Files of these names, each with its own part of the rows."""
    for first, name in enumerate(names):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        write(folder / name, content[first :: len(names)])
    return folder


def splits(pattern, *names):
    """Names of files for these splits, or for the three."""
    return [pattern.format(split) for split in names or ("train", "validation", "test")]


@pytest.mark.parametrize(
    "names",
    [
        splits("data/{}-00000-of-00001.parquet"),
        splits("{}/0000.parquet"),
        [f"{split}/{name}.jsonl" for split in ("train", "dev", "test") for name in ("physics", "history")],
        splits("{}.jsonl", "train-00000-of-00002", "train-00001-of-00002", "dev", "test"),
        splits("data/{}.jsonl", *(f"train-0000{part}-of-00003" for part in range(3)), "test"),
        splits("{}.jsonl", "train", "train-2", "test"),
        splits("{}.jsonl", "train-00000-of-00002-6f8c7e", "train-00001-of-00002-0c3d9a11ee", "test"),
        [f"{split}/{name}-0000{part}-of-00002.jsonl" for split in ("train", "test") for name in "ab" for part in (0, 1)],
        ["train.jsonl", "dev.csv", "test.jsonl"],
    ],
    ids=lambda names: names[1],
)  # fmt: skip
def test_files_of_splits_may_be_parts_lie_in_folders_and_be_of_several_formats(tmp_path, names):
    """As on the hub, which once named parts with a hash behind their number, and in its Parquet branch; or in AGIEval,
    with a file a subject in a folder a split.
    """
    folder = folder_of(tmp_path, *names)
    (folder / "README.md").write_text("x")
    rows = load(folder, id="")
    assert {row["question"] for row in rows} == {row["asked"] for row in ROWS}
    assert len({row["id"] for row in rows}) == 30 and {row["split"] for row in rows} == {*tasks.SPLITS}


def test_of_several_files_those_called_like_a_split_are_read(tmp_path):
    """As in GSM8K (train_socratic) and AQuA (train.tok): another form of the same questions."""
    folder = folder_of(tmp_path, *splits("{}.jsonl", "train", "test"))
    for name in splits("{}.jsonl", "train_socratic", "train.tok", "test_no_answers", "._train", "train_test_report"):
        write(folder / name)
    write(folder / "dataset_info.json")
    (folder / "test.json").mkdir()
    questions = load(folder)
    assert Counter(row["split"] == "test" for row in questions) == {True: 15, False: 15}


ONE = "; allowed: one file, or all its parts"
MANY = {  # folders in which a split has no file, several, or not all its parts
    "a part that is missed": (splits("data/{}.jsonl", "train-00000-of-00003", "train-00002-of-00003", "test"),
                              f"has for split train train-00000-of-00003.jsonl, train-00002-of-00003.jsonl{ONE}"),
    "one of a folder's two tables": ([f"{split}/{name}-of-00002.jsonl" for split in ("train", "test") for name in ("a-00000", "a-00001", "b-00001")],
                                     f"has for split train a-00000.*, b-00001-of-00002.jsonl{ONE}"),
    "two of one name": (["train.jsonl", "train.jsonl.gz", "test.jsonl"], f"has for split train train.jsonl, train.jsonl.gz{ONE}"),
    "two formats": (["train.csv", "train.jsonl", "dev.csv", "test.jsonl"], f"has for split train train.csv, train.jsonl{ONE}"),
    "none called like the split": (splits("{}.jsonl", "train.tok", "train_more", "train_socratic", "test"),
                                   f"has for split train train.tok.jsonl, train_more.jsonl, train_socratic.jsonl{ONE}"),
    "no test": (splits("{}.jsonl", "train", "dev", "test_no_answers"),
                "no file of split test beside train.jsonl, dev.jsonl at own path .* call the validation file"),
    "configurations": (splits("{}.jsonl", "law/train", "law/test", "physics/train", "physics/test"),
                       "no file at own path .*; name one of the folders in it that have some: law, physics"),
}  # fmt: skip


@pytest.mark.parametrize(("names", "message"), MANY.values(), ids=MANY)
def test_a_split_has_one_file_or_all_its_parts(tmp_path, names, message):
    with refused(TaskError, message):
        load(folder_of(tmp_path, *names))


def test_each_file_of_a_folder_may_be_one_row(tmp_path):
    """A JSON object of texts alone was taken for texts by their ids."""
    row = {"asked": "Which flies?", "options": "a ) raft , b ) robin", "right": "b"}
    for name in ("train", "dev", "test"):
        (tmp_path / f"{name}.json").write_text(json.dumps(row | {"asked": f"{name}: which flies?"}), encoding="utf-8")
    read = [(row["question"], row["answer"]) for row in load(tmp_path, id="")]
    assert read == [(f"{name}: which flies?", "B") for name in ("train", "dev", "test")]


@pytest.mark.parametrize("shards", [1, 2])
def test_a_data_set_that_was_saved_to_disk_is_read_and_its_caches_are_not(tmp_path, shards):
    from datasets import Dataset, DatasetDict, disable_progress_bars

    disable_progress_bars()
    one, divided = tmp_path / "one", tmp_path / "divided"
    Dataset.from_list(ROWS).save_to_disk(one, num_shards=shards)
    parts = {split: Dataset.from_list(ROWS[i::3]) for i, split in enumerate(tasks.SPLITS)}
    DatasetDict(parts).save_to_disk(divided, num_shards=dict.fromkeys(tasks.SPLITS, shards))
    for name in ("cache-0a1b.arrow", "cache-0a1b_00000_of_00002.arrow", "mapped.arrow"):
        (divided / "train" / name).write_bytes((divided / "test" / f"data-00000-of-0000{shards}.arrow").read_bytes())
    assert sorted(row["id"] for row in load(one)) == sorted(row["n"] for row in ROWS)
    by_split = load(divided, id="")
    assert Counter(row["split"] for row in by_split) == dict.fromkeys(tasks.SPLITS, 10)
    assert {row["question"] for row in by_split} == {row["asked"] for row in ROWS}
    (one / f"data-00000-of-0000{shards}.arrow").write_bytes(b"x")
    with refused(TaskError, r"arrow is no arrow file"):
        load(one)
    if shards == 2:
        (divided / "train" / "data-00001-of-00002.arrow").unlink()
        with refused(TaskError, rf"has for split train data-00000-of-00002\.arrow{ONE}"):
            load(divided)


def test_answers_that_a_file_lacks_may_be_unpublished(tmp_path):
    folder = folder_of(tmp_path, "train.jsonl", "test.jsonl")
    write(folder / "test.jsonl", [{"n": row["n"], "asked": row["asked"], "options": row["options"]} for row in ROWS])
    with refused(
        TaskError, r"test.jsonl, row 1: no column 'right'.*; if those of a split are not published, leave its file out"
    ):
        load(folder)


@pytest.mark.parametrize("right", [0, 2])
def test_options_of_which_one_column_is_always_right_get_another_order(tmp_path, right):
    """As in GPQA, SciQ and TruthfulQA's CSV file: the right one is a column of its own."""
    columns = ["a", "b", "c"]
    rows = quiz(a=lambda i: f"x{i}", b=lambda i: f"y{i}", c=lambda i: f"{i % 3}")
    questions = load(write(tmp_path / "a.csv", rows), options=", ".join(columns), answer=columns[right])
    assert {question["answer"] for question in questions} == {"A", "B", "C"}
    for question in questions:
        row = rows[int(question["id"][1:])]
        assert question["choices"]["text"]["ABC".index(question["answer"])] == row[columns[right]]
        assert {*question["choices"]["text"]} == {row[column] for column in columns}


def test_labels_in_a_question_may_be_numbers_where_no_letters_are(tmp_path):
    """As in ARC's CSV files, in which some questions have (A) … and others (1) …."""
    marks = ("(A) {} (B) {} (C) {}", "(1) {} (2) {} (3) {}")
    rows = [row | {"asked": f"{row['asked']} {marks[i % 2].format(*row['options'])}", "right": ("B", "2")[i % 2]} for i, row in enumerate(ROWS)]  # fmt: skip
    for question in load(write(tmp_path / "a.csv", rows), options="asked"):
        n = int(question["id"][1:])
        assert (question["question"], question["answer"]) == (f"What is {n} and {n}?", "B")
        assert question["choices"]["text"] == [str(2 * n), str(2 * n + 1), f"{n}0"]
    of_statements = "(1) It flies. (2) It swims. Which holds? (A) 1 (B) 2 (C) both"
    assert split_listed(of_statements) == (
        "(1) It flies. (2) It swims. Which holds?",
        [*"ABC"],
        ["1", "2", "both"],
    )
    with refused(RowFault, "nor listed"):
        split_listed("Which weighs 1.5 kg, 2.5 kg or more?")


@pytest.mark.parametrize("name", ["a.jsonl", "a.parquet"])
def test_a_question_may_be_a_list_of_texts_and_an_open_answer_may_not(tmp_path, name):
    """As PubMedQA's contexts, FOLIO's premises, or DREAM's dialogues."""
    rows = quiz(options=["x", "y"], right="x", contexts=["A.", "B.\nC."], spans=["x", "y"], turns=[["A."], ["B."]])
    path = write(tmp_path / name, rows)
    assert load(path, question=["contexts", "asked"])[0]["question"].startswith("A. B. C. Which")
    assert load(path, question=["contexts.1", "asked"])[0]["question"].startswith("B. C. Which")
    for columns in ({"question": "turns"}, {"answer": "spans", "options": ""}):
        with refused(TaskError, "row 1: found list, allowed: a text or a number; reach inside with dots"):
            load(path, **columns)


# Layouts that publishers and tools have


@pytest.mark.parametrize("separator", [",", "\t"])
def test_a_table_without_a_header_has_its_columns_by_number(tmp_path, separator):
    """As in MMLU and MGSM; its first row may hold numbers, and lines within a cell."""
    rows = [(f'"Is it; {i}?\n"', *(f"{i + k}" for k in range(1, 5)), "ABCD"[i % 4]) for i in range(20)]
    path = tmp_path / ("a.csv" if separator == "," else "a.tsv")
    path.write_text("\n".join(map(separator.join, rows)), encoding="utf-8")
    questions = load(path, question="1", options="2, 3, 4, 5", answer="6", id="")
    assert {(row["question"], row["choices"]["text"][0], row["answer"]) for row in questions} == {
        (f"Is it; {i}?", f"{i + 1}", "ABCD"[i % 4]) for i in range(20)
    }
    asked = [row["question"] for row in load(path, question=[1, 2], options="2, 3, 4, 5", answer=6, id="")]
    assert asked[1].startswith("Is it; 1? ") and asked[1].endswith(" 2")
    named = pd.DataFrame(rows).to_csv(tmp_path / "named.csv", index=False)  # 0, 1, … as names of columns
    assert (
        named is None and len(load(tmp_path / "named.csv", question="0", options="1, 2, 3, 4", answer="5", id="")) == 20
    )


def passages(n=10):
    """Passages with two questions each, as many layouts nest them."""
    return [
        [{"asked": f"Which, {i}.{k}?", "of": [f"w{i}", f"x{k}"], "right": "AB"[k]} for k in range(2)] for i in range(n)
    ]


def inside(column):
    """The columns of a passage's questions; `column`: the way to what one of them holds."""
    return {"options": column.format("of"), "answer": column.format("right"), "id": ""}


NESTED = {  # of a passage's number and its questions: a row; then the way to a question's columns
    "RACE": (lambda i, each: {"text": f"P{i}.", **{key: [one[key] for one in each] for key in each[0]}}, "{}.*"),
    "QuALITY": (lambda i, each: {"text": f"P{i}.", "each": each}, "each.*.{}"),
    "ProofWriter": (lambda i, each: {"text": f"P{i}.", "each": {f"Q{k}": one for k, one in enumerate(each)}}, "each.*.{}"),
}  # fmt: skip


@pytest.mark.parametrize("layout", NESTED)
@pytest.mark.parametrize("name", ["a.jsonl", "a.parquet"])
def test_each_question_of_a_passage_is_reached_with_a_star(tmp_path, name, layout):
    make, column = NESTED[layout]
    path = write(tmp_path / name, [make(i, each) for i, each in enumerate(passages())])
    columns = {"question": ["text", column.format("asked")], **inside(column)}
    questions = load(path, **columns)
    assert {row["question"]: (row["choices"]["text"], row["answer"]) for row in questions} == {
        f"P{i}. {one['asked']}": (one["of"], one["right"]) for i, each in enumerate(passages()) for one in each
    }
    splits = Counter((row["question"].partition(".")[0], row["split"]) for row in questions)
    assert {*splits.values()} == {2}  # a passage is in one split only
    by_text = load(path, **columns | {"id": "text"})
    assert len({row["id"] for row in questions}) == 20 == len({row["id"] for row in by_text})


def test_questions_may_be_nested_twice(tmp_path):
    """As in SQuAD: an article's paragraphs, each with its questions."""
    paragraphs = [{"text": f"P{i}.", "each": each} for i, each in enumerate(passages())]
    path = write(tmp_path / "a.jsonl", [{"p": paragraphs[:4]}, {"p": paragraphs[4:]}])
    questions = load(path, question=["p.*.text", "p.*.each.*.asked"], **inside("p.*.each.*.{}"))
    asked = {f"P{i}. {one['asked']}" for i, each in enumerate(passages()) for one in each}
    assert {row["question"] for row in questions} == asked


def splits_of(questions):
    """The first word of a question → splits that it is in."""
    splits = {}
    for row in questions:
        splits.setdefault(row["question"].partition(" ")[0], set()).add(row["split"])
    return splits


@pytest.mark.parametrize("is_nested", [False, True])
def test_a_passage_of_several_rows_is_in_one_split(tmp_path, is_nested):
    """As in BoolQ and SNLI, or QuALITY, which has two rows for an article."""
    of_row = [{"text": f"P{i // 2}  is.", "each": each} for i, each in enumerate(passages(40))]
    flat = [{"text": row["text"], **one} for row in of_row for one in row["each"]]
    column = "each.*.{}" if is_nested else "{}"
    path = write(tmp_path / "a.jsonl", of_row if is_nested else flat)
    questions = load(path, question=["text", column.format("asked")], **inside(column))
    assert {len(splits) for splits in splits_of(questions).values()} == {1}
    assert Counter(row["split"] for row in questions) == {"train": 56, "validation": 8, "test": 16}
    alone = write(tmp_path / "b.jsonl", of_row[:1] if is_nested else flat[:2])
    with refused(TaskError, "no question of split .*; where no row names its split, they are divided by shares"):
        load(alone, question=["text", column.format("asked")], **inside(column))


@pytest.mark.parametrize("first", ["", "Choose."])
def test_what_most_rows_share_is_no_passage(tmp_path, first):
    path = write(tmp_path / "a.jsonl", first=lambda row: first)
    by_id = {row["id"]: row["split"] for row in load(path)}
    assert {row["id"]: row["split"] for row in load(path, question=["first", "asked"])} == by_id


@pytest.mark.parametrize("seed", range(6))
def test_shares_count_questions_and_not_passages(tmp_path, seed):
    of_row = [{"text": f"P{i}", "each": [{"asked": f"{i}.{k}?", "right": "yes"} for k in range(60 if i == 0 else 2)]} for i in range(20)]  # fmt: skip
    columns = {"question": ["text", "each.*.asked"], "options": "", "answer": "each.*.right", "id": ""}
    questions = load(write(tmp_path / "a.jsonl", of_row), seed=seed, **columns)
    assert 18 <= sum(row["split"] == "test" for row in questions) <= 22
    assert {len(splits) for splits in splits_of(questions).values()} == {1}


def test_stars_that_stand_for_other_lists_are_a_fault(tmp_path):
    rows = [{"texts": ["P."], "each": [{"of": [{"asked": f"{k}?", "right": "x"}]} for k in range(2)]}] * 3
    columns = {"options": "", "answer": "each.*.of.*.right", "id": ""}
    for other in ("texts.*", ".*"):
        with refused(TaskError, r"row 1: it has 2 questions, but \d of '.*\*'; allowed: one for each"):
            load(write(tmp_path / "a.jsonl", rows), question=[other, "each.*.of.*.asked"], **columns)


def test_lists_of_a_passage_that_do_not_fit_each_other_are_a_fault(tmp_path):
    row = {"text": "P.", "asked": ["Which?", "Who?"], "of": [["x", "y"]] * 3, "right": ["A", "B"]}
    columns = {"question": ["text", "asked.*"], "options": "of.*", "answer": "right.*", "id": ""}
    path = write(tmp_path / "a.jsonl", [row])
    with refused(TaskError, r"row 1: it has 2 questions, but 3 of 'of\.\*'; allowed: one for each; fix the row"):
        load(path, **columns)
    with refused(TaskError, r"row 1: its 'text' is str, allowed for 'text\.\*': a list or a mapping"):
        load(path, **columns | {"question": "text.*"})
    with refused(TaskError, r"no column 'asked\.stem', .*; what each item of a list holds is reached with a star"):
        load(path, **columns | {"question": "asked.stem"})


@pytest.mark.parametrize(
    "option",
    [
        lambda text, right: {"text": text, "correct": right}, lambda text, right: {"id": "AB"[text == "y"], "text": text, "score": int(right)},
        lambda text, right: {"answer": text, "is_correct": right, "note": None},
    ],
)  # fmt: skip
@pytest.mark.parametrize("name", ["a.jsonl", "a.csv"])
def test_options_may_say_themselves_which_is_right(tmp_path, name, option):
    rows = quiz(options=lambda i: [option(text, (text == "y") == (i % 3 == 0)) for text in "xy"])
    path = write(tmp_path / name, [row | {"options": str(row["options"])} if name == "a.csv" else row for row in rows])
    questions = load(path, answer="options")
    assert {row["id"]: row["answer"] for row in questions} == {f"q{i:02}": "AB"[i % 3 == 0] for i in range(20)}
    assert {*questions[0]["choices"]["text"]} == {"x", "y"}
    both = write(tmp_path / "b.jsonl", quiz(options=[option("x", True), option("y", True)]))
    with refused(TaskError, "its 2 options have the scores .*, allowed: one 1, and 0 for every other"):
        load(both, answer="options")


def test_wrong_options_may_be_a_list_beside_the_right_one(tmp_path):
    """As in Open Trivia DB."""
    rows = quiz(right="y", wrong=lambda i: ["x", "z"] if i % 2 else ["x"])
    for question in load(write(tmp_path / "a.jsonl", rows), options="right, wrong"):
        assert question["choices"]["text"]["ABC".index(question["answer"])] == "y"
        assert {*question["choices"]["text"]} == ({*"xyz"} if int(question["id"][1:]) % 2 else {*"xy"})


@pytest.mark.parametrize(("right", "found"), [([], "no"), (["x", "y"], "2")])
@pytest.mark.parametrize("columns", ["right, wrong", "wrong, right"])
def test_a_column_of_right_options_holds_one(tmp_path, columns, right, found):
    """TruthfulQA lists several; all but the first would be wrong ones. Of an empty list, a wrong one would be right."""
    rows = quiz(right=lambda i: right if i == 3 else ["x"], wrong=["v", "w"])
    path = write(tmp_path / "a.jsonl", rows)
    with refused(TaskError, f"row 4: its answer's column holds {found} options, allowed: one"):
        load(path, options=columns)
    assert gold(tmp_path, rows, options=columns, faulty="drop") == {row["n"]: "x" for row in rows if row["n"] != "q03"}


@pytest.mark.parametrize("unknown", [None, "?"])
def test_a_row_without_scores_stops_no_shuffle_of_the_others(tmp_path, unknown):
    rows = quiz(options=[*"xyz"], right=lambda i: unknown if i == 7 else [1, 0, 0])
    questions = load(write(tmp_path / "a.jsonl", rows), faulty="drop")
    assert len(questions) == 19 and {row["answer"] for row in questions} == {*"ABC"}
    assert {row["choices"]["text"]["ABC".index(row["answer"])] for row in questions} == {"x"}


def test_labels_may_lie_in_a_second_file_of_as_many_lines(tmp_path):
    """As in PIQA, SocialIQA and αNLI."""
    rows = [{key: row[key] for key in ("n", "asked", "options")} for row in ROWS]
    folder = folder_of(tmp_path, "train.jsonl", "dev.jsonl", "test.jsonl", content=rows)
    for first, name in enumerate(("train", "dev", "test")):
        (folder / f"{name}-labels.lst").write_text("".join(f"{i % 3 + 1}\n" for i in range(30)[first::3]))
    questions = load(folder, answer="label", answer_is="place_from_1")
    assert {row["id"]: row["answer"] for row in questions} == {row["n"]: "ABC"[i % 3] for i, row in enumerate(ROWS)}
    with refused(
        TaskError, r"no column 'label'.*; if answers are in another file, join the two, or .* name the folder"
    ):
        load(folder / "train.jsonl", answer="label")  # of a file that is named alone, others are not followed
    (folder / "dev-labels.lst").write_text("1\n2\n")
    with refused(TaskError, "dev-labels.lst has 2 labels, needed: one for each of 10 rows"):
        load(folder, answer="label")


def test_one_of_several_forms_of_a_folders_questions_is_read(tmp_path):
    """JSON lines before CSV or TSV, as in ARC and OpenBookQA; validation and not a few examples in dev, as in MMLU and
    C-Eval; and text files with JSON by subject, as in RACE.
    """
    folder = folder_of(tmp_path, *(f"mine-{split}.jsonl" for split in ("train", "val", "test")))
    for name in ("mine-train.csv", "mine-test.tsv", "mine-dev.jsonl"):
        write(folder / name, ROWS[:1])
    assert {row["id"] for row in load(folder)} == {row["n"] for row in ROWS}
    said = "train mine-train.jsonl, validation mine-val.jsonl, test mine-test.jsonl"
    assert tasks.layout("own-mine", "", declared(folder)) == f"a benchmark of one's own, {folder} ({said})"
    for first, split in enumerate(("train", "dev", "test")):
        for row in ROWS[first::3]:
            (folder / "texts" / split / "high").mkdir(parents=True, exist_ok=True)
            (folder / "texts" / split / "high" / f"{row['n']}.txt").write_text(json.dumps(row), encoding="utf-8")
    assert {row["id"] for row in load(folder / "texts")} == {row["n"] for row in ROWS}


def test_a_whole_number_has_no_decimal_in_a_text_either(tmp_path):
    path = write(tmp_path / "a.csv", quiz(right=lambda i: f"{i}.0" if i else "2.5"))
    assert {row["answer"] for row in load(path, options="")} == {"2.5", *(str(i) for i in range(1, 20))}


# The same for the declared benchmarks


def arc(folder, pattern, suffix="jsonl"):
    """ARC's questions of each split in a file so named, as its publishers have them, or with another suffix as text."""
    for split in ("Train", "Dev", "Test"):
        for name in ("ARC-Easy", "ARC-Challenge"):
            texts = {"text": ["raft", "robin"], "label": ["1", "2"]}
            question = {"id": f"{split}{name}", "question": f"What flies, {name}?", "choices": texts, "answerKey": "2"}
            path = folder / pattern.format(name=name, split=split)
            path.parent.mkdir(parents=True, exist_ok=True)
            write(path, [question | ({"choices": str(texts)} if suffix == "csv" else {})])
    return folder


@pytest.mark.parametrize(
    "pattern", ["{name}/{name}-{split}.jsonl", "{name}/{split}/0000.parquet", "arc-easy/{split}-00000-of-00001.parquet"]
)
def test_a_benchmark_is_found_by_its_files_whatever_else_is_beside(tmp_path, pattern):
    """A README that is no card of the hub, and code, as in a clone of the publishers' repository; or each split as CSV,
    too, as in ARC, with the options in the question's text.
    """
    folder = arc(tmp_path, pattern)
    (folder / "README.md").write_text("# ARC\n", encoding="utf-8")
    (folder / "dataset.py").write_text("", encoding="utf-8")
    for file in folder.glob("*/*.jsonl"):
        file.with_suffix(".csv").write_text("questionID,AnswerKey,question\nq,A,Which? (A) a (B) b\n", encoding="utf-8")
    rows = tasks.load("ARC-Easy", dataset_path=str(folder), sizes=WHOLE, seed=0)
    assert [(row["split"], row["answer"]) for row in rows] == [(split, "2") for split in tasks.SPLITS]
    assert pattern.startswith("arc") or {row["question"] for row in rows} == {"What flies, ARC-Easy?"}


def test_another_benchmarks_folder_is_never_taken(tmp_path):
    arc(tmp_path, "openbookqa/{split}.jsonl")
    with refused(TaskError, r"ARC-Easy: could not be read from .*a folder with a file for each split, named after it"):
        tasks.load("ARC-Easy", dataset_path=str(tmp_path), sizes=WHOLE, seed=0)


def test_a_declared_benchmark_in_several_files_or_as_text_is_refused_with_what_to_do(tmp_path):
    """As in a folder of ARC's translations, and in CSV files of the hub's rows."""
    with refused(TaskError, "has for split train ARC-Challenge-Train.jsonl, ARC-Easy-Train.jsonl; allowed: one file"):
        tasks.load("ARC-Easy", dataset_path=str(arc(tmp_path / "a", "{name}-{split}.jsonl")), sizes=WHOLE, seed=0)
    with refused(TaskError, "its choices are a text: declare such a file as a benchmark of your own, own/…"):
        folder = arc(tmp_path / "b", "{name}/{split}.csv", "csv")
        tasks.load("ARC-Easy", dataset_path=str(folder), sizes=WHOLE, seed=0)


@pytest.mark.parametrize(
    ("answer", "final"),
    [
        ("It is 3.\n#### 1,234", "1,234"), ("##### 7", "7"), (r"First $\boxed{x}$, then it is $\boxed {18}$.", "18"), ("#### 5} .", "5"),
        (r"\boxed{\frac{1}{2}}", r"\boxed{\frac{1}{2}}"), ("#### 5 {x}", "#### 5 {x}"), ("robin", "robin"), ("", ""),
        ("#" * 200_000 + "{", "#" * 200_000 + "{"), ("#### 1" * 50_000 + "}}", "#### 1" * 50_000 + "}}"), ("####\n" * 50_000 + "7", "7"),
    ],
)  # fmt: skip
def test_the_answer_of_a_worked_solution_is_what_follows_its_last_mark_however_long_it_is(answer, final):
    assert own._final(answer) == final


@pytest.mark.parametrize(
    ("text", "is_listed"),
    [
        ("Which? (A) x (B) y", True), ("Which? (1) x (2) y", True), ("A. x\nB. y", True), ("Which?\nA) x B) y", True), ("a, b", False),
        ("(A) x", False), ("(B) x (A) y", False), ("(A)(B)", False), ("B. x A. y", False), ("(A)" * 100_000, False), (" a) " * 100_000 + "x", False),
        ("(A)" * 100_000 + "(B)", True), (" A." * 100_000 + " x B.", True),
    ],
)  # fmt: skip
def test_options_in_a_questions_text_are_seen_however_long_it_is(text, is_listed):
    assert (LISTED.search(text) is not None) == is_listed


def test_white_space_within_a_question_does_not_slow_the_search_for_its_options():
    question, _, texts = split_listed(f"x{' ' * 300_000}y  Options:  (A) a (B) b")
    assert (question[-2:], texts) == (" y", ["a", "b"])
