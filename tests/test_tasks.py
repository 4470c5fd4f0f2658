"""Benchmarks: read from files in the hub's layout, checked, freed of duplicates, sampled."""

import csv
import json
import re
from collections import Counter
from dataclasses import replace
from pathlib import Path

import datasets
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from conftest import make_question, refused
from hypothesis import given
from hypothesis import strategies as st

from scicot_utils import microsci, paths, tables, tasks
from scicot_utils.microsci import facts, statistics
from scicot_utils.recipe import Questions
from scicot_utils.tasks import TaskError

ALL = dict.fromkeys(tasks.SPLITS, 0)  # the size that stands for all there are
OPEN = {"label": [], "text": []}


def arc_row(name, labels="ABCD", answer="B", question="What flies?"):
    texts = [f"option {label} of {name}" for label in labels]
    return {"id": name, "question": question, "choices": {"text": texts, "label": list(labels)}, "answerKey": answer}


@pytest.fixture
def hub(tmp_path, monkeypatch):
    """Writes a folder in the hub's layout: split → rows of one configuration."""
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")

    def write(content, config="ARC-Easy", name="hub"):
        folder = tmp_path / name
        (folder / config).mkdir(parents=True, exist_ok=True)
        lines = ["---", "configs:", f"- config_name: {config}", "  data_files:"]
        for split, rows in content.items():
            pq.write_table(pa.Table.from_pylist(rows), folder / config / f"{split}-00000-of-00001.parquet")
            lines.append(f"  - {{split: {split}, path: {config}/{split}-*}}")
        (folder / "README.md").write_text("\n".join([*lines, "---", ""]), encoding="utf-8")
        return str(folder)

    return write


def splits(**changed):
    return {split: [arc_row(f"{split}1")] for split in tasks.SPLITS} | changed


def load(name, dataset_path, **changed):
    return tasks.load(name, **{"dataset_path": str(dataset_path), "sizes": ALL, "seed": 0} | changed)


def test_what_is_trained_on_is_not_answered_and_transfer_tests_in_the_main_variant_only():
    rows = [{"split": split} for split in ("train", "test", *tasks.TRANSFER, "validation")]
    assert [row["split"] for row in tasks.unseen(rows)] == ["test", *tasks.TRANSFER, "validation"]
    assert [row["split"] for row in tasks.unseen(rows, "fast")] == ["test", "validation"]


def test_a_benchmark_becomes_rows_of_the_questions_table(hub, tmp_path):
    rows = load("ARC-Easy", hub(splits()))
    expected = [(f"{split}1", split, "ARC-Easy") for split in ("train", "validation", "test")]
    assert [(row["id"], row["split"], row["dataset"]) for row in rows] == expected
    assert tables.read("questions", tables.write("questions", rows, tmp_path / "q.parquet")) == rows
    assert {tuple(row["proof"]) for row in rows} == {()}, "real benchmarks give no proofs"


@pytest.mark.parametrize(("labels", "answer"), [("1234", "3"), ("12345", "5"), ("ABC", "C"), ("ABCDE", "E")])
def test_the_benchmarks_own_labels_and_number_of_options_are_kept(hub, labels, answer):
    rows = load("ARC-Easy", hub(splits(test=[arc_row("x", labels, answer)])))
    assert (rows[-1]["choices"]["label"], rows[-1]["answer"]) == (list(labels), answer)


NO_FILE = r"SVAMP: no file svamp\.json, D_svamp\.json or .* in dataset_path .*set it .*reasoning-teacher"
NOT_THERE = {
    "an unknown benchmark": ("ARC", "", "found 'ARC', allowed: microsci, ARC-Easy"),
    "a missing folder": ("ARC-Easy", "/no/such/folder", "no folder at dataset_path '/no/such/folder'"),
    "an unset environment variable": ("ARC-Easy", "${SCICOT_DATA}/ai2_arc", r"'\$\{SCICOT_DATA\}/ai2_arc'; set it \(or the environment variable in it\)"),
    "all of what is made": ("microsci", "", r"microsci is generated, so 'all' \(0\) has no meaning"),
    "a file in no folder": ("SVAMP", "", NO_FILE),
    "a file in a missing folder": ("SVAMP", "/no/such/folder", NO_FILE),
}  # fmt: skip


@pytest.mark.parametrize(("name", "path", "message"), NOT_THERE.values(), ids=NOT_THERE)
def test_what_is_not_there_is_named_with_what_there_is_or_the_next_step(monkeypatch, name, path, message):
    monkeypatch.delenv("SCICOT_DATA", raising=False)
    with refused(TaskError, message):
        load(name, path)


WRONG = {  # a folder whose splits are so changed, read as a benchmark
    "a gold answer that is no label": (
        "ARC-Easy", {"test": [arc_row("odd", "ABCD", "2")]}, "ARC-Easy test, row odd: the gold answer '2' is none of its labels A, B, C, D",
    ),
    "an id that stands twice": ("ARC-Easy", {"test": [arc_row("train1")]}, "ARC-Easy: the id 'train1' occurs 2 times, in train and test"),
    "a split that is not there": ("ARC-Easy", {"validation": None}, "ARC-Easy: no split validation in"),
    "another benchmark": ("ARC-Challenge", {}, r"ARC-Challenge: could not be read .*set dataset_path to a local copy"),
}  # fmt: skip


@pytest.mark.parametrize(("name", "changed", "message"), WRONG.values(), ids=WRONG)
def test_a_folder_that_does_not_hold_the_benchmark_is_refused_with_what_is_wrong(hub, name, changed, message):
    path = hub({split: rows for split, rows in splits(**changed).items() if rows})
    with refused(TaskError, message):
        load(name, path)


def test_the_embedded_benchmark_has_the_sizes_asked_for_and_its_transfer_tests_change_no_other_split(tmp_path):
    sizes = tasks.sizes_of(Questions(train_questions=20, validation_questions=10, test_questions=12))
    assert sizes == {"train": 20, "validation": 10, "test": 12, "test_forms": 0, "test_domain": 0}
    larger = sizes | {"test_forms": 3, "test_domain": 4}
    rows, more = (tasks.load("microsci", dataset_path="", sizes=asked, seed=1) for asked in (sizes, larger))
    assert tasks.splits_of(rows) == [*tasks.SPLITS] and tasks.splits_of(more) == [*tasks.SPLITS, *tasks.TRANSFER]
    assert Counter(row["split"] for row in more) == larger and all(row["proof"] for row in more)
    assert rows == [row for row in more if row["split"] in tasks.SPLITS]
    assert tasks.sample(more, larger, 0) == tasks.deduplicate(more)[0] == more
    assert tables.read("questions", tables.write("questions", more, tmp_path / "q.parquet")) == more


# Duplicates


@pytest.mark.parametrize(
    ("copies", "kept"),
    [
        ("a/train b/validation c/test", "c"),
        ("a/train b/validation", "b"),
        ("a/train b/train", "a"),
        ("a/train b/validation c/test_domain d/test_forms e/test", "e"),
        ("a/train b/validation c/test_domain d/test_forms", "d"),
        ("a/train a/test", "a"),  # of one id
    ],
)
def test_of_equal_questions_the_test_copy_stays_then_a_transfer_tests_then_validation_then_the_first(
    question, copies, kept
):
    names = [copy.split("/") for copy in copies.split()]
    rows = [question(id=name, split=split) for name, split in names]
    other = question(("bat", "eel"), id="other", split="train")
    [unique, last], removed = tasks.deduplicate([*rows, other])
    assert unique["id"] == kept and last == other
    assert removed == [row for row in rows if row is not unique]


def test_the_test_questions_of_another_benchmark_are_a_split_of_their_own_without_what_is_in_common(question):
    read = {
        "one": [question(("cat", text), id=text, dataset="one", split=split)
                for text, split in (("owl", "train"), ("eel", "train"), ("bat", "validation"), ("fly", "test"))],
        "other": [question(("cat", text), id=text, dataset="other", split=split)
                  for text, split in (("elk", "train"), ("eel", "test"), ("bat", "test"), ("fly", "test"), ("ant", "test"))],
    }  # fmt: skip
    unique, removed = tasks.deduplicate(tasks.with_others("one", read, ["other", "one"]))
    assert {row["id"]: row["split"] for row in unique} == {
        "owl": "train", "fly": "test", "other/eel": "test_other", "other/bat": "test_other", "other/ant": "test_other",
    }  # fmt: skip
    assert [row["id"] for row in removed] == ["eel", "bat", "other/fly"]
    assert [row["id"] for row in tasks.unseen(unique)] == ["fly", "other/eel", "other/bat", "other/ant"]
    assert [row["id"] for row in tasks.unseen(unique, "fast")] == ["fly"]
    assert Counter(row["split"] for row in tasks.sample(unique, {"train": 0, "validation": 0, "test": 2}, 0)) == {
        "train": 1, "test": 1, "test_other": 2,
    }  # fmt: skip
    assert tasks.with_others("one", read, []) == read["one"]


def test_a_benchmark_with_open_answers_is_no_test_of_one_with_options(question):
    read = {"one": [question(dataset="one")], "open": [question(dataset="open", choices=OPEN)]}
    with refused(TaskError, "tested_on: found open for one, allowed: benchmarks whose questions both"):
        tasks.with_others("one", read, ["open"])


def test_order_of_options_case_and_spacing_make_no_other_question_and_an_overlap_says_where_both_stand(question):
    rows = [
        question(("cat", "owl"), id="a", question="What  flies?"),
        question(("Owl", "cat."), id="b", question="what flies", dataset="other"),
        question(("cat", "eel"), id="c", question="What flies?"),
    ]
    assert [row["id"] for row in tasks.deduplicate(rows)[0]] == ["a", "c"]
    place = "microsci/test"
    assert tasks.overlaps(rows) == [{"first": "a", "first_place": place, "second": "b", "second_place": "other/test"}]


@given(st.lists(st.tuples(st.sampled_from(tasks.SPLITS), st.integers(0, 4)), max_size=12))
def test_after_removal_no_question_occurs_twice_and_none_is_lost(drawn):
    rows = [
        {"id": str(number), "split": split, "question": f"q{content}", "choices": {"text": ["x", "y"]}}
        for number, (split, content) in enumerate(drawn)
    ]
    unique, removed = tasks.deduplicate(rows)
    assert sorted(row["id"] for row in unique + removed) == sorted(row["id"] for row in rows)
    assert {row["question"] for row in unique} == {row["question"] for row in rows}
    assert len({row["question"] for row in unique}) == len(unique)


# Near-duplicates

WORDS = st.lists(st.sampled_from("abcdefghij"), min_size=1, max_size=8, unique=True)


@given(
    st.lists(st.tuples(st.sampled_from(["train", "test", "test_forms"]), WORDS), max_size=12),
    st.sampled_from([0.5, 0.8]),
)
def test_near_duplicates_are_all_pairs_that_share_enough_words(drawn, threshold):
    rows = [
        make_question("x", id=i, split=split, question=" ".join(words), answer="A")
        for i, (split, words) in enumerate(drawn)
    ]
    shares = {(pair["train"], pair["other"]): pair["share"] for pair in tasks.near_duplicates(rows, threshold)}
    sets = [{*words, "x"} for _, words in drawn]
    all_shares = {(i, j): len(a & b) / len(a | b) for i, a in enumerate(sets) for j, b in enumerate(sets)}
    assert shares == {
        (i, j): share
        for (i, j), share in all_shares.items()
        if drawn[i][0] == "train" != drawn[j][0] and share >= threshold
    }


def test_a_near_duplicate_says_where_it_is_and_whether_the_answer_is_the_same(question):
    rows = [
        question(id="a", split="train", question="Which of these things really has feathers?"),
        question(id="b", question="Which of these things has feathers?"),
        question(id="c", question="Which of these things has feathers?", answer="A"),
        question(("one", "two"), id="d", question="What else?"),
    ]
    pairs = tasks.near_duplicates(rows)
    assert [(pair["train"], pair["split"], pair["other"]) for pair in pairs] == [("a", "test", "b"), ("a", "test", "c")]
    assert [pair["answer shared"] for pair in pairs] == [True, False]


# What is told of the embedded benchmark


@pytest.fixture(scope="module")
def embedded():
    sizes = {"train": 90, "validation": 45, "test": 45, "test_forms": 9, "test_domain": 10}
    return tasks.load("microsci", dataset_path="", sizes=sizes, seed=0)


def test_things_of_a_question_are_its_subject_and_its_options(question):
    belonging = question(("robin", "raft"), question="What belongs with an ant?")
    assert statistics.entities([belonging]) == {"robin", "raft", "ant"}
    assert statistics.entities([question(("plant", "tool"), question="What is an ant?")]) == {"ant"}


def test_no_thing_of_training_is_in_another_split_and_one_that_is_would_be_counted(embedded, question):
    shared = statistics.entities_shared(embedded)
    assert [row["split"] for row in shared] == ["validation", "test", *tasks.TRANSFER]
    assert all(row["things"] and not row["of them in training questions"] for row in shared)
    assert all(row["words of their names"] and not row["of them in names of training"] for row in shared)
    columns = {"question": "Which is the odd one out?", "split": "test", "group": "odd_one_out"}
    copied = [row | {"split": "test"} for row in embedded if row["split"] == "train"][:1]
    counts = statistics.entities_shared([*embedded, *copied, question(**columns)])
    assert next(row for row in counts if row["split"] == "test")["of them in training questions"] > 0
    assert statistics.entities_shared([]) == []


def test_forms_are_listed_with_their_hops_sizes_an_example_and_its_proof(embedded):
    forms = statistics.forms(embedded)
    assert [row["form"] for row in forms] == [*microsci.FORMS]
    assert sum(row["test"] for row in forms) == 45
    assert all(row["hops"] >= 2 and row["example"] and row["answer"] and row["proof"] for row in forms)


def test_facts_are_counted_by_table_and_domain():
    rows = statistics.facts()
    world = microsci.load_world()
    total = len(microsci.ORDERED)
    for name in facts.FILES:
        with (paths.MICROSCI / f"{name}.csv").open(encoding="utf-8", newline="") as stream:
            total += sum(1 for _ in csv.DictReader(stream))
    numbers = {(row["what"], row["of"]): row["number"] for row in rows}
    assert numbers.pop(("facts", "all")) == total
    assert sum(number for (table, _), number in numbers.items() if table == "facts") == total
    assert sum(number for (table, _), number in numbers.items() if table == "things") == len(world.entities)


def test_the_exported_folder_is_a_dataset_that_anybody_can_load(embedded, tmp_path, monkeypatch):
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    files = statistics.export_dataset(embedded, tmp_path / "microsci", "# Dataset card: MicroSci\n\n7 | 8\n")
    loaded = datasets.load_dataset(str(tmp_path / "microsci"))
    assert list(loaded) == [*tasks.SPLITS, *tasks.TRANSFER]
    assert [row for split in loaded for row in loaded[split]] == embedded
    assert loaded["train"].features.arrow_schema.types == tables.TABLES["questions"].types
    assert {file.name for file in files} == {"README.md", *(f"{split}.parquet" for split in loaded)}
    _, front, card = (tmp_path / "microsci" / "README.md").read_text(encoding="utf-8").split("---\n")
    about = yaml.safe_load(front)
    assert about["license"] == "cc-by-4.0" and "multiple-choice" in about["task_categories"]
    assert card.strip().startswith("# Dataset card: MicroSci")


def test_the_licence_of_the_card_is_that_of_the_project_for_its_data():
    licence = (paths.ROOT / "LICENSE").read_text(encoding="utf-8")[:600]
    assert "embedded data" in licence and "Attribution 4.0 International" in " ".join(licence.split())


# Samples


def numbered(size):
    return [{"id": f"{split}{i}", "split": split} for split in tasks.SPLITS for i in range(size)]


@given(st.integers(0, 60), st.integers(1, 40), st.integers(0, 40), st.integers(0, 5))
def test_a_sample_is_repeatable_in_order_and_inside_every_larger_one(size, small, more, seed):
    rows = numbered(size)
    smaller = tasks.sample(rows, dict.fromkeys(tasks.SPLITS, small), seed)
    larger = tasks.sample(rows, dict.fromkeys(tasks.SPLITS, small + more), seed)
    assert smaller == tasks.sample(rows, dict.fromkeys(tasks.SPLITS, small), seed)
    assert smaller == [row for row in rows if row in smaller]
    assert all(row in larger for row in smaller)
    assert Counter(row["split"] for row in smaller) == dict.fromkeys(tasks.SPLITS if size else (), min(size, small))


def test_size_zero_takes_all_and_seeds_differ():
    rows = numbered(50)
    assert tasks.sample(rows, ALL, 0) == rows
    ten = dict.fromkeys(tasks.SPLITS, 10)
    assert tasks.sample(rows, ten, 0) != tasks.sample(rows, ten, 1)


# Real files


@pytest.mark.parametrize(
    ("name", "folder", "sizes", "copies"),
    [
        ("ARC-Easy", "ai2_arc", (2251, 570, 2376), 3),  # Clark et al. 2018, table 1
        ("ARC-Challenge", "ai2_arc", (1119, 299, 1172), 1),
        ("OpenBookQA", "openbookqa", (4957, 500, 500), 64),  # Mihaylov et al. 2018, table 1
    ],
)
def test_a_real_benchmark_has_its_published_sizes_and_its_known_duplicates_leave_train(
    real_data, tmp_path, monkeypatch, name, folder, sizes, copies
):
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path)
    rows = load(name, real_data / folder)
    assert Counter(row["split"] for row in rows) == dict(zip(tasks.SPLITS, sizes, strict=True))
    assert len({row["id"] for row in rows}) == len(rows)
    assert [row["split"] for row in tasks.deduplicate(rows)[1]] == ["train"] * copies


# Sci-CoT's other benchmarks, in the hub's own row shapes


def sciq_row(i):
    return {
        "question": f"What is {i}?", "distractor3": "tin", "distractor1": "salt", "distractor2": "air",
        "correct_answer": f"gold {i}", "support": "A text.",
    }  # fmt: skip


def test_sciq_puts_the_right_option_at_every_place_equally_often_and_always_the_same(hub):
    path = hub(
        {"train": [sciq_row(i) for i in range(400)], "validation": [sciq_row(1)], "test": [sciq_row(2)]}, "default"
    )
    rows = load("SciQ", path)
    assert rows == load("SciQ", path, seed=5)
    counts = Counter(row["answer"] for row in rows if row["split"] == "train")
    assert set(counts) == set("ABCD") and all(70 < count < 130 for count in counts.values())
    for row in rows:
        texts = dict(zip(row["choices"]["label"], row["choices"]["text"], strict=True))
        assert texts[row["answer"]].startswith("gold") and set(texts.values()) > {"tin", "salt", "air"}
    assert len({row["id"] for row in rows}) == len(rows), "the source has no ids"


FACTS = dict.fromkeys(("fact1", "fact2", "combinedfact", "formatted_question"), "")


@pytest.mark.parametrize(("name", "labels", "more"), [("QASC", "ABCDEFGH", FACTS), ("CommonsenseQA", "ABCDE", {})])
def test_where_test_answers_are_not_public_validation_is_test_and_a_part_of_train_is_validation(
    hub, name, labels, more
):
    def source(first, last, answer="C"):
        return [arc_row(f"q{i}", labels, answer, f"Why {i}?") | more for i in range(first, last)]

    content = {"train": source(0, 50), "validation": source(50, 60), "test": source(60, 70, answer="")}
    rows = load(name, hub(content, "default"))
    ids = {split: [row["id"] for row in rows if row["split"] == split] for split in tasks.SPLITS}
    assert ids["test"] == [f"q{i}" for i in range(50, 60)]
    assert (len(ids["train"]), len(ids["validation"])) == (45, 5)
    assert {*ids["train"], *ids["validation"]} == {f"q{i}" for i in range(50)}
    assert rows[0]["choices"]["label"] == [*labels]


def scienceqa_row(i, image=None, **changes):
    row = {
        "image": image, "question": f"Which is {i}?", "choices": ["a cat", "a dog"], "answer": i % 2, "hint": "",
        "task": "closed choice", "grade": "grade2", "subject": "natural science", "topic": "", "category": "",
        "skill": "", "lecture": "", "solution": "",
    }  # fmt: skip
    return row | changes


def test_scienceqa_leaves_out_questions_with_an_image_and_counts_them(tmp_path, hub):
    text = datasets.Value("string")
    others = {"image": datasets.Image(), "choices": datasets.List(text), "answer": datasets.Value("int8")}
    features = datasets.Features(dict.fromkeys(scienceqa_row(0), text) | others)
    picture = {"bytes": b"no picture is ever opened", "path": None}
    content = {
        "train": [scienceqa_row(0), scienceqa_row(1, picture), scienceqa_row(2, picture)],
        "validation": [scienceqa_row(3)],
        "test": [scienceqa_row(5, hint="Look at\nthe text.")],
    }
    folder = tmp_path / "ScienceQA"
    for split, rows in content.items():
        file = folder / "data" / f"{split}-00000-of-00001.parquet"
        file.parent.mkdir(parents=True, exist_ok=True)
        datasets.Dataset.from_list(rows, features=features).to_parquet(file)
    left_out = Counter()
    rows = load("ScienceQA", tmp_path, left_out=left_out)
    assert left_out == Counter(train=2)
    assert [(row["question"], row["answer"]) for row in rows] == [
        ("Which is 0?", "A"), ("Which is 3?", "B"), ("Look at the text. Which is 5?", "B"),
    ]  # fmt: skip


# Fine-tune-CoT's


def paper_splits(real_data, name):
    return json.loads((real_data / "finetune_cot_splits" / f"{name}__default.json").read_text(encoding="utf-8"))


def test_the_papers_split_is_made_again_index_by_index(real_data):
    halves = {"single_eq": 508, "addsub": 395, "multiarith": 600, "svamp": 1000, "date_understanding": 369,
              "tracking_shuffled_objects": 750, "coin_flip": 500, "last_letter_concatenation": 500, "strategy_qa": 2290}  # fmt: skip
    for name, n in halves.items():
        published = paper_splits(real_data, name)
        assert tasks.paper_split(n) == (published["train"], published["test"]), name
    aqua = paper_splits(real_data, "aqua")
    assert tasks.paper_draw(97467, 10_000) == aqua["train"] and aqua["test"] == [*range(97467, 97467 + 254)]
    for name, train in (("gsm8k", 7473), ("commonsense_qa", 9741)):
        published = paper_splits(real_data, name)
        assert published["train"] == [*range(train)] and published["test"][0] == train


def test_the_papers_split_begins_as_published():
    train, test = tasks.paper_split(500)
    assert (train[:4], test[:4], len(train), len(test)) == ([1, 2, 3, 4], [0, 9, 11, 23], 350, 150)


def test_the_sizes_of_all_twelve_tasks_are_the_papers():
    sizes = {name: tuple(task.published.values()) for name, task in tasks.TASKS.items() if task.published}
    assert sizes == {
        "SingleEq": (356, 152), "AddSub": (276, 119), "MultiArith": (420, 180), "GSM8K": (7473, 1319),
        "AQUA": (10000, 254), "SVAMP": (700, 300), "DateUnderstanding": (258, 111), "ShuffledObjects": (525, 225),
        "LastLetter": (350, 150), "CoinFlip": (350, 150), "CommonsenseQA": (9741, 1221), "StrategyQA": (1603, 687),
    }  # fmt: skip


@pytest.fixture
def file_of(tmp_path):
    """Writes a file of questions as Fine-tune-CoT's code keeps them; returns its folder."""

    def write(name, rows, wrapped=True):
        content = {"metadata": {"dataset_key": name}, "data": rows} if wrapped else rows
        (tmp_path / f"{name}.json").write_text(json.dumps(content), encoding="utf-8")
        return str(tmp_path)

    return write


@pytest.mark.parametrize("wrapped", [True, False])
def test_a_task_from_a_file_has_the_papers_test_split_and_a_tenth_of_train_to_choose_on(file_of, wrapped):
    rows = [{"sample_index": i, "question": f" How many is {i}? ", "answer": f"{i}.0"} for i in range(395)]
    questions = load("AddSub", file_of("addsub", rows, wrapped))
    assert Counter(row["split"] for row in questions) == {"train": 248, "validation": 28, "test": 119}
    train, test = tasks.paper_split(395)
    assert [int(row["id"]) for row in questions if row["split"] == "test"] == test
    assert sorted(int(row["id"]) for row in questions if row["split"] != "test") == train
    assert (questions[0]["choices"], questions[0]["question"]) == (OPEN, f"How many is {int(questions[0]['id'])}?")


def test_date_understanding_keeps_its_options_in_the_question(file_of):
    text = "Today is 1/2/2020.\nWhat is tomorrow in MM/DD/YYYY? Which choice is true? Answer choices: (A) 01/03/2020, (B) 01/04/2020, (C) 03/01/2020."
    rows = [{"question": f"{i}. {text}", "answer": "A"} for i in range(369)]
    questions = load("DateUnderstanding", file_of("date_understanding", rows))
    assert questions[0]["choices"] == {"label": ["A", "B", "C"], "text": ["01/03/2020", "01/04/2020", "03/01/2020"]}
    assert questions[0]["question"].endswith("in MM/DD/YYYY? Which choice is true?") and questions[0]["answer"] == "A"
    near = tasks.near_duplicates(questions)
    assert near and all(pair["answer shared"] for pair in near), "templates that recur across its split are counted"


def test_strategyqa_answers_yes_or_no_however_the_file_says_it(file_of):
    rows = [{"question": f"Is it {i}?", "answer": ("yes", "No", True, False)[i % 4]} for i in range(2290)]
    questions = load("StrategyQA", file_of("strategy_qa", rows))
    assert {(int(row["id"]) % 4, row["answer"]) for row in questions} == {(0, "yes"), (1, "no"), (2, "yes"), (3, "no")}


def is_it(answer):
    return [{"question": f"Is it {i}?", "answer": answer} for i in range(2290)]


@pytest.mark.parametrize(
    ("name", "file", "content", "message"),
    [
        ("SVAMP", "svamp", is_it("1")[:3], ": svamp.json holds 3 questions, needed: the 1000 that"),
        ("SVAMP", "svamp", [{"question": "How many?"}], r": svamp.json holds no questions \(KeyError: 'answer'\); allowed: a JSON list"),
        ("SVAMP", "svamp", {"rows": []}, ": svamp.json holds no questions"),
        ("StrategyQA", "strategy_qa", is_it(""), " .*: the gold answer is '', allowed: a text that is not empty"),
        ("StrategyQA", "strategy_qa", is_it("maybe"), " .*: the gold answer is 'maybe', allowed: yes or no"),
    ],
)  # fmt: skip
def test_a_file_that_is_not_the_papers_or_lacks_answers_is_refused(file_of, name, file, content, message):
    with refused(TaskError, f"^{name}{message}"):
        load(name, file_of(file, content, wrapped=False))


FILE_NAMES = {
    "AI2": {s: f"ARC-Easy/ARC-Easy-{name}" for s, name in zip(tasks.SPLITS, ("Train", "Dev", "Test"), strict=True)},
    "ours": {"train": "train", "validation": "val", "test": "test"},
    "shards": {split: f"ARC-Easy/{split}-00000-of-00001" for split in tasks.SPLITS},
}
STEM = "Which is it?"
EACH = [{"label": "A", "text": "x"}, {"label": "B", "text": "y"}]
LAYOUTS = {  # options (A) x, (B) y, the second right, as different publishers write them
    "hub": {"question": STEM, "choices": {"label": ["A", "B"], "text": ["x", "y"]}, "answerKey": "B"},
    "publisher": {"question": {"stem": STEM, "choices": EACH}, "answerKey": "B"},
    "beside": {"question_stem": STEM, "choices": EACH, "answerKey": "B"},
    "list": {"question": STEM, "choices": ["x", "y"], "answerKey": "B"},
    "numbers": {"question": STEM, "choices": {"label": [1, 2], "text": ["x", "y"]}, "answerKey": 2},
}


def files(folder, rows, names, suffix):
    """The same row of each split in files so named, without the hub's README."""
    for split, name in names.items():
        file = folder / f"{name}{suffix}"
        file.parent.mkdir(parents=True, exist_ok=True)
        row = {"id": f"{split}1"} | rows
        if suffix == ".parquet":
            pq.write_table(pa.Table.from_pylist([row]), file)
        else:
            file.write_text(json.dumps(row) + "\n", encoding="utf-8")
    return str(folder)


@pytest.mark.parametrize("suffix", [".jsonl", ".parquet"])
@pytest.mark.parametrize("names", FILE_NAMES)
@pytest.mark.parametrize("layout", LAYOUTS)
def test_files_without_the_hubs_readme_are_read_in_every_layout(tmp_path, layout, names, suffix):
    rows = load("ARC-Easy", files(tmp_path, LAYOUTS[layout], FILE_NAMES[names], suffix))
    assert [(row["id"], row["split"]) for row in rows] == [(f"{split}1", split) for split in tasks.SPLITS]
    labels = ["1", "2"] if layout == "numbers" else ["A", "B"]
    for row in rows:
        assert (row["question"], row["answer"]) == (STEM, labels[1])
        assert row["choices"] == {"label": labels, "text": ["x", "y"]}


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"question": "  "}, "the question is empty"),
        ({"question": None}, "the question is empty"),
        ({"choices": {"label": ["A", "B"], "text": ["x", " "]}}, "an option is empty"),
        ({"choices": {"label": ["A", "B"], "text": ["x", None]}}, "an option is empty"),
        ({"choices": {"label": ["A", "B"], "text": ["x", "x "]}}, "two equal options"),
        ({"choices": {"label": ["B", "B"], "text": ["x", "y"]}}, "two equal labels"),
        ({"choices": {"label": ["B"], "text": ["x"]}}, "1 labels and 1 options, allowed: as many of each, from 2"),
        ({"choices": {"label": ["A", "B", "C"], "text": ["x", "y"]}}, "3 labels and 2 options"),
        ({"answerKey": ""}, "the gold answer is ''"),
        ({"answerKey": "E"}, "the gold answer 'E' is none of its labels A, B"),
    ],
)
def test_a_row_that_cannot_be_asked_is_named_with_its_split_and_id(tmp_path, changed, message):
    folder = files(tmp_path, LAYOUTS["hub"] | changed, FILE_NAMES["ours"], ".jsonl")
    with refused(TaskError, f"ARC-Easy train, row train1: .*{message}"):
        load("ARC-Easy", folder)


@pytest.mark.parametrize("missing", ["choices", "answerKey"])
def test_a_row_in_no_known_layout_is_told_with_what_it_holds(tmp_path, missing):
    row = {key: value for key, value in LAYOUTS["hub"].items() if key != missing}
    with refused(TaskError, f"ARC-Easy train, row train1: found .*{missing}.*; allowed: the hub's columns"):
        load("ARC-Easy", files(tmp_path, row, FILE_NAMES["ours"], ".jsonl"))


def test_an_edited_folder_and_another_of_the_same_name_are_read_as_they_are(hub, tmp_path, monkeypatch):
    """Each lies under its benchmark's name on the hub, so that several may lie side by side."""
    monkeypatch.setattr(paths, "CACHE", tmp_path / "cache")
    monkeypatch.setenv("SCICOT_TEST_FOLDER", str(tmp_path))
    for folder, word in (("one", "first"), ("one", "again"), ("two", "other")):
        content = {split: [arc_row(split, question=f"{word} {split}?")] for split in tasks.SPLITS}
        hub(content, "main", f"{folder}/openbookqa")
        questions = [row["question"] for row in load("OpenBookQA", f"$SCICOT_TEST_FOLDER/{folder}")]
        assert questions == [f"{word} {split}?" for split in tasks.SPLITS]


def test_a_file_of_published_completions_holds_the_questions_of_its_task(file_of):
    text = "Which one?\nAnswer choices: (A) the red ball, (B) the Answer key, (C) a box."
    rows = {str(i): [{"question": f"Story {i}. {text}", "answer": "B", "completion": ""}] for i in range(750)}
    folder = file_of("D_tracking_shuffled_objects", rows)
    questions = load("ShuffledObjects", folder)
    train, test = tasks.paper_split(750)
    assert [row["id"] for row in questions if row["split"] == "test"] == [f"{index:05d}" for index in test]
    assert Counter(row["split"] != "test" for row in questions) == {True: len(train), False: len(test)}
    row = next(row for row in questions if row["id"] == "00007")
    assert row["question"] == "Story 7. Which one?" and row["answer"] == "B"
    assert row["choices"] == {"label": ["A", "B", "C"], "text": ["the red ball", "the Answer key", "a box"]}
    generated = load("CoinFlip", folder)  # it has no file there, so it is made
    assert generated == load("CoinFlip", "")


def test_aqua_takes_letters_off_its_options_and_the_papers_draw_of_its_train_split(hub, monkeypatch):
    def row(i):
        options = ["A)1", "B)2/3", "C)x) y", "D)4", "E)5"]
        return {"question": f"What is {i}?", "options": options, "rationale": "", "correct": "C"}

    content = {"train": [row(i) for i in range(30)], "validation": [row(90)], "test": [row(99)]}
    monkeypatch.setitem(tasks.TASKS, "AQUA", replace(tasks.TASKS["AQUA"], train_drawn=20))
    rows = load("AQUA", hub(content, "raw"))
    asked = sorted((row["id"], row["question"]) for row in rows if row["split"] != "test")
    drawn = [(f"train-{i:05d}", f"What is {i}?") for i in tasks.paper_draw(30, 20)]
    assert asked == drawn, "ids tell the place in the source"
    assert (rows[0]["choices"]["text"], rows[0]["answer"]) == (["1", "2/3", "x) y", "4", "5"], "C")


# zero_shot_cot's own files (Kojima et al. 2022), from which Fine-tune-CoT's were made

KOJIMA_TASKS = {
    "SingleEq": "single_eq", "AddSub": "addsub", "MultiArith": "multiarith", "SVAMP": "svamp",
    "DateUnderstanding": "date_understanding", "ShuffledObjects": "tracking_shuffled_objects",
    "LastLetter": "last_letter_concatenation", "CoinFlip": "coin_flip", "StrategyQA": "strategy_qa",
}  # fmt: skip


def whole(name, folder):
    return {row["id"]: row for row in load(name, folder)}


def words(row):
    """The question, its options and the right answer."""
    question = re.sub(r"\W+", "", row["question"].replace("Which choice is true?", "")).lower()
    texts, labels = row["choices"]["text"], row["choices"]["label"]
    return question, sorted(texts), texts[labels.index(row["answer"])] if texts else row["answer"]


@pytest.mark.parametrize("name", KOJIMA_TASKS)
def test_the_files_of_zero_shot_cot_are_the_papers_questions_in_the_papers_splits(real_data, name):
    questions = whole(name, real_data / "zero_shot_cot")
    published = paper_splits(real_data, KOJIMA_TASKS[name])
    assert {*published["test"]} == {int(key) for key, row in questions.items() if row["split"] == "test"}
    assert {*published["train"]} == {int(key) for key, row in questions.items() if row["split"] != "test"}
    other = whole(name, real_data / "finetune_cot_completions")
    assert questions.keys() == other.keys()
    assert [key for key in questions if words(questions[key]) != words(other[key])] == []
    assert whole(name, real_data / "zero_shot_cot" / "dataset") == questions


def test_a_right_option_of_big_bench_stands_at_each_place_about_as_often(real_data):
    for name, count in (("DateUnderstanding", 6), ("ShuffledObjects", 3)):
        counts = Counter(row["answer"] for row in whole(name, real_data / "zero_shot_cot").values())
        share = counts.total() / count
        assert len(counts) == count and all(0.6 * share < number < 1.45 * share for number in counts.values())


def test_commonsenseqa_is_read_from_its_publishers_files_in_that_folder(real_data):
    counts = Counter(row["split"] for row in whole("CommonsenseQA", real_data / "zero_shot_cot").values())
    assert counts == {"train": 8767, "validation": 974, "test": 1221}


# What publishers release: GSM8K and AQuA with a second form beside each file, QASC and SciQ in their own layouts

AQUA = {"options": ["A)1", "B)2"], "rationale": "r"}
QASC = {"question": {"stem": "What?", "choices": EACH}, "fact1": "f"}
RELEASED = {
    "GSM8K": {
        "train.jsonl": {"question": "How many?", "answer": "3 + 4 = <<3+4=7>>7\n#### 7"}, "test.jsonl": {"question": "How much?", "answer": "1\n#### -1,234"},
        "train_socratic.jsonl": {"question": "x", "answer": "x"}, "test_socratic.jsonl": {"question": "x", "answer": "x"},
    },
    "AQUA": {
        **{f"{name}.json": AQUA | {"question": f"{name}?", "correct": "A"} for name in ("train", "dev", "test")},
        "train.tok.json": {"question": "x"}, "dev.tok.json": {"question": "x"}, "test.tok.json": {"question": "x"},
    },
    "QASC": {f"{name}.jsonl": QASC | {"id": name, "answerKey": "B"} for name in ("train", "dev")},
    "SciQ": {
        name: {"question": f"{name}?", "distractor1": "a", "distractor2": "b", "distractor3": "c", "correct_answer": "d", "support": ""}
        for name in ("train.json", "valid.json", "test.json")
    },
}  # fmt: skip


@pytest.mark.parametrize("name", RELEASED)
def test_files_are_read_as_their_publishers_release_them(tmp_path, name):
    for file, row in RELEASED[name].items():
        rows = [row | ({"id": f"{file}{n}"} if "id" in row else {"question": f"{n} {row['question']}"}) for n in range(12)]  # fmt: skip
        text = json.dumps(rows) if name == "SciQ" else "\n".join(map(json.dumps, rows))
        (tmp_path / file).write_text(text, encoding="utf-8")
    questions = whole(name, tmp_path).values()
    assert {row["split"] for row in questions} == {*tasks.SPLITS}
    assert {row["answer"] for row in questions} in ({"7", "-1,234"}, {"A"}, {"B"}, {*"ABCD"})
    assert not any(row["question"].endswith("x") for row in questions), "of a second form"


@pytest.mark.parametrize("name", ["AQUA", "GSM8K"])
def test_a_folder_with_test_questions_only_says_which_split_is_missing(real_data, name):
    with refused(TaskError, r"no file of split train in .*; needed: one for each of train, test"):
        whole(name, real_data / "zero_shot_cot")


# Which layout is found is said


def test_the_layout_that_is_read_is_named(tmp_path, real_data, hub):
    layouts = {name: tasks.layout(name, str(real_data / folder)) for name, folder in (
        ("microsci", ""), ("ARC-Easy", "ai2_arc"), ("SVAMP", "finetune_cot_completions"), ("SingleEq", "zero_shot_cot"),
    )}  # fmt: skip
    assert layouts == {
        "microsci": "made here",
        "ARC-Easy": "the hub's layout",
        "SVAMP": "published completions, D_svamp.json",
        "SingleEq": f"zero_shot_cot's file {Path(tasks.TASKS['SingleEq'].kojima).name}",
    }
    plain = files(tmp_path / "plain", LAYOUTS["publisher"], FILE_NAMES["ours"], ".jsonl")
    assert tasks.layout("ARC-Easy", plain) == "files by split, train.jsonl, val.jsonl, test.jsonl"
    (tmp_path / "svamp.json").write_text("[]", encoding="utf-8")
    assert tasks.layout("SVAMP", str(tmp_path)) == "a file of reasoning-teacher, svamp.json"
