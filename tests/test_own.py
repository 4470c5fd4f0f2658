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


@pytest.mark.parametrize("name", ["a.jsonl", "a.json", "a.csv", "a.tsv", "a.parquet", "a.jsonl.gz"])
def test_the_same_questions_come_from_every_kind_of_file(tmp_path, name):
    questions = load(write(tmp_path / name))
    assert questions == load(write(tmp_path / "reference.jsonl"))
    assert Counter(row["split"] for row in questions) == {"train": 21, "validation": 3, "test": 6}
    row = next(row for row in questions if row["id"] == "q7")
    assert (row["question"], row["answer"], row["dataset"]) == ("What is 7 and 7?", "A", "own-mine")
    assert row["choices"] == {"label": ["A", "B", "C"], "text": ["14", "15", "70"]}


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


@pytest.mark.parametrize("right", ["J", "(j)", "option 9"])
def test_a_question_may_have_ten_options_as_in_mmlu_pro(tmp_path, right):
    path = write(tmp_path / "a.jsonl", quiz(options=[f"option {k}" for k in range(10)], right=right))
    questions = load(path)
    assert {(row["answer"], "".join(row["choices"]["label"])) for row in questions} == {("J", "ABCDEFGHIJ")}


@pytest.mark.parametrize(
    "options",
    [
        "['16 cm', \"2, or 3\", 'none']",
        "{'x': '16 cm', 'y': '2, or 3', 'z': 'none'}",
        "a ) 16 cm , b ) 2, or 3 , c ) none",
        "(A) 16 cm (B) 2, or 3 (C) none",
        "['a ) 16 cm', 'b ) 2, or 3', 'c ) none']",
    ],
)
def test_options_may_be_a_text_of_them(tmp_path, options):
    """As pandas writes lists into CSV files, or as in MathQA."""
    for row in load(write(tmp_path / "a.csv", quiz(options=options, right="2, or 3"))):
        assert (row["choices"]["text"], row["answer"]) == (["16 cm", "2, or 3", "none"], "B")


@pytest.mark.parametrize(
    "options", ["a ) 3 , c ) 4", "a ) f ( x ) , b ) 4", "a ) 3", "['a' + 'b']", "list('ab')", "['a'"]
)
def test_a_text_in_which_options_cannot_be_told_apart_is_a_fault(tmp_path, options):
    with refused(TaskError, "its options are neither a list nor JSON of one"):
        load(write(tmp_path / "a.csv", quiz(options=options, right="A")))


@pytest.mark.parametrize(
    ("content", "columns"),
    [
        ({"rows": ROWS}, {}),
        ({"Instances": ROWS, "Source": "x"}, {}),
        ({"data": ROWS, "version": 1}, {}),
        ({row["n"]: {**row, "n": ""} for row in ROWS}, {"id": "id"}),
    ],
    ids=["rows", "Instances", "data", "by their ids, as in ScienceQA's problems.json"],
)
def test_a_json_object_may_hold_the_rows(tmp_path, content, columns):
    path = tmp_path / "a.json"
    path.write_text(json.dumps(content), encoding="utf-8")
    assert {row["id"] for row in load(path, **columns)} == {row["n"] for row in ROWS}


@pytest.mark.parametrize(
    ("columns", "cells", "right", "read"),
    [
        (("a", "b", "c"), ("w", "x", ""), "b", ("B", "w", "x")),
        (("opt_A", "opt_B", "opt_C", "opt_D"), ("w", "", "y", "z"), "C", ("B", "w", "y", "z")),
        (("opt_B", "opt_A"), "wx", "B", ("A", "w", "x")),
        *((pair, "wx", "B", ("B", "w", "x")) for pair in (("option1", "option2"), ("a0", "a1"), ("first", "second"))),
    ],
    ids=lambda value: " ".join(value),
)
def test_options_may_stand_in_columns_of_any_name_of_which_some_are_empty(tmp_path, columns, cells, right, read):
    """An empty column moves no answer; a column has the letter that its name ends in, or else that of its place."""
    rows = quiz(right=right, **dict(zip(columns, cells, strict=True)))
    questions = load(write(tmp_path / "a.csv", rows), options=", ".join(columns))
    assert {(row["answer"], *row["choices"]["text"]) for row in questions} == {read}


def test_an_answer_that_names_an_empty_column_is_a_fault(tmp_path):
    path = write(tmp_path / "a.csv", quiz(a="w", b="", c="y", right="B"))
    with refused(TaskError, "its answer names an option that is empty"):
        load(path, options="a, b, c")


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


@pytest.mark.parametrize("answer", ["#### Step 1\nWe add.\n#### Answer\n18", "We add.\n#### 18\n#### Check\nfine"])
def test_a_heading_is_no_answer_of_a_worked_solution(tmp_path, answer):
    with refused(TaskError, "its answer '.*' is no word, number, or yes or no"):
        load(write(tmp_path / "a.jsonl", right=lambda row: answer), options="")


@pytest.mark.parametrize("end", ["", "\nThe answer is: {}"], ids=["GSM8K", "MetaMathQA"])
def test_of_a_worked_solution_the_open_answer_is_what_follows_the_last_mark(tmp_path, end):
    def worked(row):
        answer = f"1,{row['options'][0]:0>3}"
        return f"It is <<2*9=18>>18 or so.\n#### {answer}{end.format(answer)}"

    right = {"right": worked}
    questions = load(write(tmp_path / "a.jsonl", **right), options="")
    assert next(row["answer"] for row in questions if row["id"] == "q9") == "1,018"


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


@pytest.mark.parametrize(
    ("changes", "columns", "message"),
    [
        ({}, {"question": "q"}, r"a\.jsonl, row 1: no column 'q', found n, asked, options, right; name it in the recipe under own"),
        ({"right": lambda row: "Z"}, {}, r"row 1 \(id q1\): its answer 'Z' names none of its 3 options; fix the row"),
        ({"asked": lambda row: " "}, {}, "row 1: the question is empty"),
        ({"options": lambda row: ["x", "x", "y"]}, {}, "two equal options"),
        ({"options": lambda row: ["x"]}, {}, "found 1 options, allowed: 2 to 26"),
        ({"options": lambda row: 7}, {}, "its options are int; allowed: a list, a mapping, or columns by comma"),
        ({"options": lambda row: "x or y"}, {}, "its options are neither a list nor JSON of one"),
        ({"options": lambda row: [f"{n} apples" for n in range(27)], "right": lambda row: "B"}, {}, "found 27 options, allowed: 2 to 26"),
        ({"n": lambda row: "same"}, {}, "the id 'same' occurs 30 times"),
        ({"part": lambda row: "holdout"}, {"split": "part"}, "its split is called neither train, validation"),
        ({"right": lambda row: "yes" if row["n"] == "q1" else "7"}, {"options": ""}, "look like number and yes_no; say which"),
    ],
)  # fmt: skip
def test_each_fault_is_named_in_one_line_with_its_row(tmp_path, changes, columns, message):
    with refused(TaskError, f"^own-mine.*{message}"):
        load(write(tmp_path / "a.jsonl", **changes), **columns)


def test_faulty_rows_can_be_left_out_and_are_counted(tmp_path):
    path = write(tmp_path / "a.jsonl", right=lambda row: "Z" if row["n"] in ("q1", "q2") else "A")
    left_out = Counter()
    assert len(load(path, left_out, faulty="drop")) == 28 and left_out.total() == 2


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


@pytest.mark.parametrize("name", ["missing.csv", "a.txt", "empty"])
def test_a_path_that_holds_no_rows_is_named_with_what_is_allowed(tmp_path, name):
    (tmp_path / "a.txt").write_text("x")
    (tmp_path / "empty").mkdir()
    with refused(TaskError, r"no file at own path .*allowed: a file of the kind \.jsonl"):
        load(tmp_path / name)


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


def test_a_list_of_open_answers_is_to_be_reached_into(tmp_path):
    path = write(tmp_path / "a.jsonl", quiz(right=[1, 0]))
    with refused(TaskError, "found list, allowed: a text or a number; reach inside with dots"):
        load(path, options="")
    assert {row["answer"] for row in load(path, options="", answer="right.0")} == {"1"}


@pytest.mark.parametrize("right", ["[0, 1]", "[0, 1)"])
def test_an_interval_is_an_option_and_no_scores(tmp_path, right):
    path = write(tmp_path / "a.csv", quiz(options=["(0, 1)", "[0, 1)", "[0, 1]"], right=right))
    assert {row["answer"] for row in load(path)} == {"C" if right[-1] == "]" else "B"}


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


@pytest.mark.parametrize(
    ("options", "right", "message"),
    [
        ([{"text": "x"}, {"text": "y"}], "", "its answer '' names none of its 2 options"),
        ({"label": ["A", "A", "B"], "text": ["x", "y", "z"]}, "A", "one of its own for each"),
        ({"label": ["A", "B", "C"], "text": ["x", "y"]}, "C", "one of its own for each"),
        ({"label": None, "text": ["x", "y"]}, "A", "allowed: a list, a mapping"),
        ({"label": "AB", "text": "xy"}, "A", "allowed: a list, a mapping"),
        ([{"aid": 1, "atext": "x"}, {"aid": 2, "atext": "y"}], "1", "found dict, allowed: a text or a number; reach inside"),
        ([["A", "x"], ["B", "y"]], "A", "found list, allowed: a text or a number; reach inside with dots"),
        (["x", float("nan")], "A", "an option is empty"),
        (["x", "y"], "\u00b2", "names none of its 2 options"),
        (["x", "y"], {"text": "x"}, "found dict, allowed: a text or a number"),
        (["x\0", "y"], "A", "a text holds a null byte"),
    ],
)  # fmt: skip
def test_what_is_no_option_or_answer_is_a_fault_and_never_a_guess(tmp_path, options, right, message):
    rows = quiz(options=["x", "y"], right="B")
    rows[3] |= {"options": options, "right": right}
    with refused(TaskError, message):
        gold(tmp_path, rows)
    assert gold(tmp_path, rows, faulty="drop") == {row["n"]: "y" for row in rows if row["n"] != "q03"}


def test_labels_with_points_or_brackets_are_their_letters(tmp_path):
    rows = quiz(options={"B.": "w", "A.": "x"}, right="(A)")
    assert {*gold(tmp_path, rows).values()} == {"x"}


@pytest.mark.parametrize("key", ["id", "label"])
def test_a_key_of_options_that_holds_their_letters_is_their_label(tmp_path, key):
    """In any order; by its place, another option would be the right one."""
    rows = quiz(options=[{key: "B", "text": "w", "more": "A"}, {key: "A", "text": "x", "more": ""}], right="A")
    assert {*gold(tmp_path, rows).values()} == {"x"}


@pytest.mark.parametrize("answer", ["1e-05", "1,00,000", "3,5", "New York", ".5", "12 apples"])
def test_an_open_answer_that_no_text_could_be_read_to_have_is_a_fault(tmp_path, answer):
    rows = quiz(right=lambda i: answer if i == 3 else str(i))
    with refused(TaskError, "that could be read from a text"):
        load(write(tmp_path / "a.jsonl", rows), options="")


@pytest.mark.parametrize(("right", "answer"), [("Yes", "yes"), (True, "yes"), ("FALSE", "no")])
def test_yes_and_no_are_read_however_they_are_written(tmp_path, right, answer):
    path = write(tmp_path / "a.jsonl", quiz(right=right))
    assert {row["answer"] for row in load(path, options="")} == {answer}


def test_a_folder_may_hold_other_files_and_no_two_of_one_name(tmp_path):
    write(tmp_path / "test.jsonl", ROWS[::2])
    for name in ("train.jsonl", "._train.jsonl", "dataset_info.json", "train_test_report.csv"):
        write(tmp_path / name, ROWS[1::2])
    (tmp_path / "x.json").mkdir()
    assert len(load(tmp_path)) == 30
    write(tmp_path / "train.jsonl.gz")
    with refused(TaskError, r"has for split train train.jsonl, train.jsonl.gz; allowed: one file, or all its parts"):
        load(tmp_path)


def test_two_columns_of_one_name_are_refused(tmp_path):
    (tmp_path / "a.csv").write_text("asked,right,right\nWhich?,a,b\n")
    with refused(TaskError, "two columns are called 'right'"):
        load(tmp_path / "a.csv", options="", id="")


@pytest.mark.parametrize(
    ("column", "value", "message"), [("n", "same", "occurs 30 times"), ("right", "Z", "names none of its 3 options")]
)
def test_check_finds_what_the_notebook_would_find(tmp_path, column, value, message):
    path = write(tmp_path / "a.jsonl", **{column: lambda row: value})
    with refused(TaskError, message):
        tasks.preflight("own-mine", "", declared(path))


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


@pytest.mark.parametrize("marks", ["ABC", "123"])
def test_a_label_of_an_option_that_only_the_question_lists_is_no_open_answer(tmp_path, marks):
    """As in the CSV files of ARC: the letter would be taken for a word."""
    a, b, c = marks
    rows = quiz(asked=lambda i: f"What is {i}? ({a}) 1 ({b}) 2 ({c}) 3", right=lambda i: marks[i % 3])
    with refused(TaskError, "own-mine: its answers are labels of options that its questions list"):
        load(write(tmp_path / "a.csv", rows), options="")


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


@pytest.mark.parametrize("rows", [
    quiz(n="a\nb", right="z"), quiz(n="a\r\nb", right="x"), quiz(n=lambda i: f"a\n{i}", options=["x\n2", "1", "0"], right="1"),
    quiz(options=None, right=lambda i: ("yes", "1", "line\nbreak")[i % 3]),
])  # fmt: skip
def test_a_message_is_one_line_though_ids_and_answers_are_several(tmp_path, rows):
    rows = [{"options": ["x", "y"]} | row for row in rows]
    with pytest.raises(TaskError) as raised:
        load(write(tmp_path / "a.jsonl", rows), options="options" if rows[0]["options"] else "")
    assert len(str(raised.value).splitlines()) == 1


def test_a_stray_quotation_mark_swallows_no_row(tmp_path):
    """Between two that open a cell, as in a TSV whose marks are plain text, pandas takes all rows for one cell."""
    rows = [(row["n"], ('"' if i in (3, 9) else "") + f"Is it {i}?", "yes") for i, row in enumerate(ROWS)]
    for name, separator in (("a.tsv", "\t"), ("a.csv", ",")):
        lines = [separator.join(row) for row in [("n", "asked", "right"), *rows]]
        (tmp_path / name).write_text("\n".join(lines), encoding="utf-8")
    assert {row["question"] for row in load(tmp_path / "a.tsv", options="")} == {asked for _, asked, _ in rows}
    with refused(TaskError, r"a\.csv is no csv file \(line 11: a quotation mark is not closed, or not doubled"):
        load(tmp_path / "a.csv", options="")


def test_a_json_object_may_hold_the_rows_by_their_ids(tmp_path):
    """As ScienceQA's problems.json does."""
    path = tmp_path / "a.json"
    path.write_text(json.dumps({row["n"]: {"asked": row["asked"], "right": "yes"} for row in ROWS}), encoding="utf-8")
    assert {row["id"] for row in load(path, options="", id="id")} == {row["n"] for row in ROWS}


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


def test_the_answer_of_a_worked_solution_may_stand_in_its_last_box(tmp_path):
    path = write(
        tmp_path / "a.jsonl", right=lambda row: rf"First $\boxed{{x}}$, then it is $\boxed{{{2 * int(row['n'][1:])}}}$."
    )
    rows = load(path, options="")
    assert {row["id"]: row["answer"] for row in rows} == {row["n"]: row["options"][0] for row in ROWS}
    with pytest.raises(TaskError, match=r"frac.* is no word, number, or yes or no"):
        load(write(tmp_path / "b.jsonl", right=lambda row: r"It is $\boxed{\frac{1}{2}}$."), options="")


def test_a_json_object_may_hold_the_rows_as_its_only_list_of_objects(tmp_path):
    path = tmp_path / "a.json"
    path.write_text(json.dumps({"name": "sums", "settings": {"n": 3}, "tags": ["x"], "items": ROWS}), encoding="utf-8")
    by_column = tmp_path / "b.json"
    pd.DataFrame(ROWS).rename(columns={"n": "id"}).to_json(by_column)
    assert load(path) == load(by_column, id="id") == load(write(tmp_path / "reference.jsonl"))


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


@pytest.mark.parametrize(
    "options",
    [
        " ['{0}' '{1}'\n \"{2}'s\"]", "{{'text': array(['{0}', '{1}',\n       \"{2}'s\"], dtype=object), 'label': array(['A', 'B', 'C'], dtype='<U1')}}",
        "{{'label': array(['A', 'B', 'C']), 'text': array(['{0}', '{1}', \"{2}'s\"])}}",
    ],
)  # fmt: skip
def test_options_may_be_a_text_of_arrays_as_numpy_writes_them(tmp_path, options):
    """As in a CSV file that pandas wrote of a table from the hub."""
    rows = load(write(tmp_path / "a.csv", options=lambda row: options.format(*row["options"])))
    first = next(row for row in rows if row["id"] == "q7")
    assert (first["choices"]["text"], first["answer"]) == (["14", "15", "70's"], "A")


def test_what_a_mapping_has_no_text_for_is_no_option(tmp_path):
    """As Parquet fills the mappings of questions with fewer options."""

    def few(row):
        return dict(zip("ABC", [*row["options"][:2], row["options"][2] if row["n"] == "q1" else None], strict=True))

    for name in ("a.jsonl", "a.parquet"):
        rows = load(write(tmp_path / name, options=few))
        assert {row["id"]: len(row["choices"]["text"]) for row in rows if row["id"] in ("q1", "q7")} == {
            "q1": 3,
            "q7": 2,
        }


# Folders and files as publishers lay them out


def folder_of(folder, *names, content=ROWS):
    """Files of these names, each with its own part of the rows."""
    for first, name in enumerate(names):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        write(folder / name, content[first :: len(names)])
    return folder


@pytest.mark.parametrize(
    "names",
    [
        [f"data/{split}-00000-of-00001.parquet" for split in ("train", "validation", "test")],
        [f"{split}/0000.parquet" for split in ("train", "validation", "test")],
        [f"{split}/{name}.jsonl" for split in ("train", "dev", "test") for name in ("physics", "history")],
        [*(f"train-0000{part}-of-00002.jsonl" for part in range(2)), "dev.jsonl", "test.jsonl"],
    ],
    ids=lambda names: names[0],
)
def test_files_of_splits_may_be_parts_or_lie_in_folders(tmp_path, names):
    """As on the hub and in its Parquet branch, or in AGIEval, with a file a subject in a folder a split."""
    folder = folder_of(tmp_path, *names)
    (folder / "README.md").write_text("x")
    rows = load(folder, id="")
    assert {row["question"] for row in rows} == {row["asked"] for row in ROWS}
    assert len({row["id"] for row in rows}) == 30 and {row["split"] for row in rows} == {*tasks.SPLITS}


def test_of_several_files_the_one_that_is_called_like_the_split_is_read(tmp_path):
    """As in GSM8K (train_socratic) and AQuA (train.tok): another form of the same questions."""
    folder = folder_of(tmp_path, "train.jsonl", "test.jsonl", "test_no_answers.jsonl")
    for name in ("train_socratic.jsonl", "train.tok.jsonl"):
        write(folder / name)
    assert len(load(folder)) == 20
    (folder / "train.jsonl").rename(folder / "train_more.jsonl")
    with refused(
        TaskError, "has for split train train.tok.jsonl, train_more.jsonl, train_socratic.jsonl; allowed: one file"
    ):
        load(folder)


@pytest.mark.parametrize(
    "parts", [("train", "train-2"), ("train-00000-of-00002-6f8c7e", "train-00001-of-00002-0c3d9a11ee")]
)
def test_numbered_parts_of_a_split_are_all_read(tmp_path, parts):
    """The hub once named parts with a hash behind their number."""
    assert len(load(folder_of(tmp_path, *(f"{part}.jsonl" for part in parts), "test.jsonl"))) == 30


def test_a_part_of_a_split_that_is_not_there_is_missed(tmp_path):
    folder = folder_of(tmp_path, *(f"data/train-0000{part}-of-00003.jsonl" for part in range(3)), "data/test.jsonl")
    assert len(load(folder)) == 30
    (folder / "data" / "train-00001-of-00003.jsonl").unlink()
    with refused(
        TaskError, "has for split train train-00000-of-00003.jsonl, train-00002-of-00003.jsonl; .* all its parts"
    ):
        load(folder)


def test_the_split_that_a_folder_lacks_is_named(tmp_path):
    folder = folder_of(tmp_path, "train.jsonl", "dev.jsonl", "test_no_answers.jsonl")
    with refused(
        TaskError, "no file of split test beside train.jsonl, dev.jsonl at own path .* call the validation file"
    ):
        load(folder)


def test_a_column_that_is_not_there_is_told_with_what_it_may_mean(tmp_path):
    folder = folder_of(tmp_path, "train.jsonl", "test.jsonl")
    write(folder / "test.jsonl", [{"n": row["n"], "asked": row["asked"], "options": row["options"]} for row in ROWS])
    with refused(
        TaskError, r"test.jsonl, row 1: no column 'right'.*; if those of a split are not published, leave its file out"
    ):
        load(folder)
    (tmp_path / "a.csv").write_text("Which flies?,a raft,a robin,B\n" * 3, encoding="utf-8")
    with refused(
        TaskError,
        "no column 'asked'.*; its first line must name the columns, with commas or tabs between",
    ):
        load(tmp_path / "a.csv")


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


def test_an_answer_may_be_the_name_of_its_column(tmp_path):
    rows = quiz(option_a="w", option_b="x", right=lambda i: f"option_{'ab'[i % 2]}")
    questions = load(write(tmp_path / "a.csv", rows), options="option_a, option_b")
    assert {row["id"]: row["answer"] for row in questions} == {row["n"]: "AB"[i % 2] for i, row in enumerate(rows)}


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


@pytest.mark.parametrize(("options", "right", "read"), [("options", 2, "C"), ("options", "B", "B"), ("", 7.0, "7")])
def test_a_list_with_one_answer_is_that_answer(tmp_path, options, right, read):
    """As `gold` in the hub's AGIEval, or `lSolutions` in MAWPS."""
    path = write(tmp_path / "a.jsonl", [row | {"options": [*"wxyz"], "right": [right]} for row in ROWS])
    assert {row["answer"] for row in load(path, options=options, answer_is="place" if right == 2 else "")} == {read}


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


@pytest.mark.parametrize("name", ["a.jsonl", "a.csv", "a.parquet"])
def test_a_pointer_of_git_lfs_is_told_from_a_damaged_file(tmp_path, name):
    (tmp_path / name).write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n", encoding="utf-8")
    with refused(
        TaskError, f"own-mine: {name} is a pointer of Git LFS, not the file itself; fetch it with git lfs pull"
    ):
        load(tmp_path / name)


def test_a_json_file_may_be_one_row_or_hold_columns_or_a_page_of_rows(tmp_path):
    """One of texts alone was taken for texts by their ids."""
    row = {"asked": "Which flies?", "options": "a ) raft , b ) robin", "right": "b"}
    for name in ("train", "dev", "test"):
        (tmp_path / f"{name}.json").write_text(json.dumps(row | {"asked": f"{name}: which flies?"}), encoding="utf-8")
    rows = load(tmp_path, id="")
    assert [(row["question"], row["answer"]) for row in rows] == [
        (f"{name}: which flies?", "B") for name in ("train", "dev", "test")
    ]
    contents = {
        "columns": {name: [row[name] for row in ROWS] for name in ROWS[0]},
        "page": {"features": [{"name": "n"}, {"name": "asked"}], "rows": ROWS, "partial": False},
    }
    for name, content in contents.items():
        (tmp_path / f"{name}.json").write_text(json.dumps(content), encoding="utf-8")
        assert load(tmp_path / f"{name}.json") == load(write(tmp_path / "reference.jsonl"))


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


def test_a_spreadsheets_file_may_have_semicolons(tmp_path):
    rows = [(row["n"], row["asked"], *row["options"], row["right"]) for row in ROWS]
    path = tmp_path / "a.csv"
    path.write_text("\n".join(map(";".join, [("n", "asked", "a", "b", "c", "right"), *rows])), encoding="utf-8")
    assert load(path, options="a, b, c") == load(write(tmp_path / "reference.jsonl"))


def passages(n=10):
    """Passages with two questions each, as many layouts nest them."""
    return [
        [{"asked": f"Which, {i}.{k}?", "of": [f"w{i}", f"x{k}"], "right": "AB"[k]} for k in range(2)] for i in range(n)
    ]


NESTED = {  # of a passage's number and its questions: a row; then its columns
    "RACE": (lambda i, each: {"text": f"P{i}.", **{key: [one[key] for one in each] for key in each[0]}}, "{}.*"),
    "QuALITY": (lambda i, each: {"text": f"P{i}.", "each": each}, "each.*.{}"),
    "ProofWriter": (
        lambda i, each: {"text": f"P{i}.", "each": {f"Q{k}": one for k, one in enumerate(each)}},
        "each.*.{}",
    ),
}


@pytest.mark.parametrize("layout", NESTED)
@pytest.mark.parametrize("name", ["a.jsonl", "a.parquet"])
def test_each_question_of_a_passage_is_reached_with_a_star(tmp_path, name, layout):
    make, column = NESTED[layout]
    path = write(tmp_path / name, [make(i, each) for i, each in enumerate(passages())])
    columns = {
        "question": ["text", column.format("asked")],
        "options": column.format("of"),
        "answer": column.format("right"),
    }
    questions = load(path, **columns, id="")
    assert {row["question"]: (row["choices"]["text"], row["answer"]) for row in questions} == {
        f"P{i}. {one['asked']}": (one["of"], one["right"]) for i, each in enumerate(passages()) for one in each
    }
    splits = Counter((row["question"].partition(".")[0], row["split"]) for row in questions)
    assert {*splits.values()} == {2}  # a passage is in one split only
    assert len({row["id"] for row in questions}) == 20 == len({row["id"] for row in load(path, **columns, id="text")})


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
    column = "each.*.{}".format if is_nested else str
    path = write(tmp_path / "a.jsonl", of_row if is_nested else flat)
    columns = {"options": column("of"), "answer": column("right"), "id": ""}
    questions = load(path, question=["text", column("asked")], **columns)
    assert {len(splits) for splits in splits_of(questions).values()} == {1}
    assert Counter(row["split"] for row in questions) == {"train": 56, "validation": 8, "test": 16}
    alone = write(tmp_path / "b.jsonl", of_row[:1] if is_nested else flat[:2])
    with refused(TaskError, "no question of split .*; where no row names its split, they are divided by shares"):
        load(alone, question=["text", column("asked")], **columns)


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


def test_questions_may_be_nested_twice(tmp_path):
    """As in SQuAD: an article's paragraphs, each with its questions."""
    paragraphs = [{"text": f"P{i}.", "each": each} for i, each in enumerate(passages())]
    path = write(tmp_path / "a.jsonl", [{"p": paragraphs[:4]}, {"p": paragraphs[4:]}])
    inside = "p.*.each.*.{}".format
    questions = load(path, question=["p.*.text", inside("asked")], options=inside("of"), answer=inside("right"), id="")
    assert {row["question"] for row in questions} == {
        f"P{i}. {one['asked']}" for i in range(10) for one in passages()[i]
    }


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


def test_an_answer_among_its_options_is_none_of_them(tmp_path):
    path = write(tmp_path / "a.jsonl", quiz(options={"A": "x", "B": "y", "key": "B"}))
    assert {(row["answer"], *row["choices"]["text"]) for row in load(path, answer="options.key")} == {("B", "x", "y")}


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


def test_a_key_beside_the_letter_of_an_option_is_its_text(tmp_path):
    rows = quiz(options=[{"key": "B", "value": "w"}, {"key": "A", "value": "x"}], right="A")
    assert {*gold(tmp_path, rows).values()} == {"x"}


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


@pytest.mark.parametrize("shards", [1, 2])
def test_a_data_set_that_was_saved_to_disk_is_read(tmp_path, shards):
    from datasets import Dataset, DatasetDict, disable_progress_bars

    disable_progress_bars()
    Dataset.from_list(ROWS).save_to_disk(tmp_path / "one", num_shards=shards)
    DatasetDict({split: Dataset.from_list(ROWS[i::3]) for i, split in enumerate(tasks.SPLITS)}).save_to_disk(
        tmp_path / "splits", num_shards=dict.fromkeys(tasks.SPLITS, shards)
    )
    assert sorted(row["id"] for row in load(tmp_path / "one")) == sorted(row["n"] for row in ROWS)
    by_split = load(tmp_path / "splits", id="")
    assert Counter(row["split"] for row in by_split) == dict.fromkeys(tasks.SPLITS, 10)
    (tmp_path / "one" / f"data-00000-of-0000{shards}.arrow").write_bytes(b"x")
    with refused(TaskError, r"arrow is no arrow file"):
        load(tmp_path / "one")


def test_what_datasets_keeps_in_a_saved_folder_is_no_question(tmp_path):
    from datasets import Dataset, DatasetDict, disable_progress_bars

    disable_progress_bars()
    saved = DatasetDict({split: Dataset.from_list(ROWS[i::3]) for i, split in enumerate(tasks.SPLITS)})
    saved.save_to_disk(tmp_path, num_shards=dict.fromkeys(tasks.SPLITS, 2))
    for name in ("cache-0a1b.arrow", "cache-0a1b_00000_of_00002.arrow", "mapped.arrow"):
        (tmp_path / "train" / name).write_bytes((tmp_path / "test" / "data-00000-of-00002.arrow").read_bytes())
    assert sorted(row["id"] for row in load(tmp_path)) == sorted(row["n"] for row in ROWS)
    (tmp_path / "train" / "data-00001-of-00002.arrow").unlink()
    with refused(TaskError, r"has for split train data-00000-of-00002\.arrow; allowed: one file, or all its parts"):
        load(tmp_path)


def test_a_part_is_missed_in_a_folder_of_its_split_too(tmp_path):
    names = [f"{split}/{name}-0000{part}-of-00002.jsonl" for split in ("train", "test") for name in ("a", "b") for part in (0, 1)]  # fmt: skip
    folder = folder_of(tmp_path, *names)
    assert len(load(folder, id="")) == 30
    (folder / "train" / "b-00000-of-00002.jsonl").unlink()
    with refused(TaskError, "has for split train a-00000.*, b-00001-of-00002.jsonl; allowed: one file, or all"):
        load(folder)


def test_a_split_in_another_format_is_read_or_refused(tmp_path):
    folder = folder_of(tmp_path, "train.jsonl", "dev.csv", "test.jsonl")
    assert Counter(row["split"] for row in load(folder)) == dict.fromkeys(tasks.SPLITS, 10)
    write(folder / "train.csv")
    with refused(TaskError, "has for split train train.csv, train.jsonl; allowed: one file"):
        load(folder)


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


def test_a_folder_of_configurations_is_named_with_them(tmp_path):
    folder_of(tmp_path, *(f"{name}/{split}.jsonl" for name in ("law", "physics") for split in ("train", "test")))
    with refused(TaskError, r"no file at own path .*; name one of the folders in it that have some: law, physics"):
        load(tmp_path)


def test_letters_alone_are_no_open_answers(tmp_path):
    path = write(tmp_path / "a.jsonl", quiz(right=lambda i: "ABCD"[i % 4]))
    with refused(TaskError, "own-mine: its answers are labels of options that are not named"):
        load(path, options="")
    assert {row["answer"] for row in load(path, options="", answers="word")} == {*"ABCD"}


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
    """A README that is no card of the hub, and code, as in a clone of the publishers' repository."""
    folder = arc(tmp_path, pattern)
    (folder / "README.md").write_text("# ARC\n", encoding="utf-8")
    (folder / "dataset.py").write_text("", encoding="utf-8")
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
