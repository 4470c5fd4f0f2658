"""Benchmarks: read from files in the hub's layout, checked, freed of duplicates, sampled."""

from collections import Counter

import datasets
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scicot_utils import tables, tasks
from scicot_utils.tasks import TaskError

ALL = dict.fromkeys(tasks.SPLITS, 0)  # the size that stands for all there are


def arc_row(name, labels="ABCD", answer="B", question="What flies?"):
    texts = [f"option {label} of {name}" for label in labels]
    return {"id": name, "question": question, "choices": {"text": texts, "label": list(labels)}, "answerKey": answer}


@pytest.fixture
def hub(tmp_path, monkeypatch):
    """Writes a folder in the hub's layout: split → rows of one configuration."""
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")

    def write(content, config="ARC-Easy"):
        folder = tmp_path / "hub"
        (folder / config).mkdir(parents=True)
        lines = ["---", "configs:", f"- config_name: {config}", "  data_files:"]
        for split, rows in content.items():
            pq.write_table(pa.Table.from_pylist(rows), folder / config / f"{split}-00000-of-00001.parquet")
            lines.append(f"  - {{split: {split}, path: {config}/{split}-*}}")
        (folder / "README.md").write_text("\n".join([*lines, "---", ""]), encoding="utf-8")
        return str(folder)

    return write


def splits(**changed):
    return {split: [arc_row(f"{split}1")] for split in tasks.SPLITS} | changed


def test_a_benchmark_becomes_rows_of_the_questions_table(hub, tmp_path):
    rows = tasks.load("ARC-Easy", dataset_path=hub(splits()), sizes=ALL, seed=0)
    assert [(row["id"], row["split"], row["dataset"]) for row in rows] == [
        ("train1", "train", "ARC-Easy"),
        ("validation1", "validation", "ARC-Easy"),
        ("test1", "test", "ARC-Easy"),
    ]
    assert tables.read("questions", tables.write("questions", rows, tmp_path / "q.parquet")) == rows


@pytest.mark.parametrize(("labels", "answer"), [("1234", "3"), ("12345", "5"), ("ABC", "C"), ("ABCDE", "E")])
def test_the_benchmarks_own_labels_and_number_of_options_are_kept(hub, labels, answer):
    rows = tasks.load("ARC-Easy", dataset_path=hub(splits(test=[arc_row("x", labels, answer)])), sizes=ALL, seed=0)
    assert (rows[-1]["choices"]["label"], rows[-1]["answer"]) == (list(labels), answer)


def test_openbookqa_keeps_its_question_under_another_name(hub):
    def renamed(row):
        return {"question_stem" if name == "question" else name: value for name, value in row.items()}

    content = {split: [renamed(row) for row in rows] for split, rows in splits().items()}
    rows = tasks.load("OpenBookQA", dataset_path=hub(content, "main"), sizes=ALL, seed=0)
    assert {row["question"] for row in rows} == {"What flies?"}


def test_a_gold_answer_that_is_no_label_is_refused_with_the_question(hub):
    path = hub(splits(test=[arc_row("odd", "ABCD", "2")]))
    with pytest.raises(TaskError, match="ARC-Easy odd: the gold answer '2' is none of its labels A, B, C, D"):
        tasks.load("ARC-Easy", dataset_path=path, sizes=ALL, seed=0)


def test_an_unknown_benchmark_is_refused_with_those_there_are():
    with pytest.raises(TaskError, match="found 'ARC', allowed: microsci, ARC-Easy"):
        tasks.load("ARC", dataset_path="", sizes=ALL, seed=0)


def test_a_missing_folder_is_named():
    with pytest.raises(TaskError, match="no folder at dataset_path '/no/such/folder'"):
        tasks.load("ARC-Easy", dataset_path="/no/such/folder", sizes=ALL, seed=0)


def test_an_unset_environment_variable_is_named(monkeypatch):
    monkeypatch.delenv("SCICOT_DATA", raising=False)
    with pytest.raises(TaskError, match=r"'\$\{SCICOT_DATA\}/ai2_arc'; set it \(or the environment variable in it\)"):
        tasks.load("ARC-Easy", dataset_path="${SCICOT_DATA}/ai2_arc", sizes=ALL, seed=0)


def test_an_environment_variable_in_the_path_is_followed(hub, monkeypatch):
    monkeypatch.setenv("SCICOT_TEST_FOLDER", hub(splits()))
    assert len(tasks.load("ARC-Easy", dataset_path="$SCICOT_TEST_FOLDER", sizes=ALL, seed=0)) == 3


def test_a_folder_of_another_benchmark_is_refused_with_the_next_step(hub):
    with pytest.raises(
        TaskError, match=r"ARC-Challenge: could not be read .*set dataset_path to a local copy"
    ) as caught:
        tasks.load("ARC-Challenge", dataset_path=hub(splits()), sizes=ALL, seed=0)
    assert "\n" not in str(caught.value)


def test_a_benchmark_without_a_split_is_refused_with_the_split(hub):
    content = splits()
    del content["validation"]
    with pytest.raises(TaskError, match="ARC-Easy: no split validation in"):
        tasks.load("ARC-Easy", dataset_path=hub(content), sizes=ALL, seed=0)


def test_a_generated_benchmark_has_no_all():
    with pytest.raises(TaskError, match=r"microsci is generated, so 'all' \(0\) has no meaning"):
        tasks.load("microsci", dataset_path="", sizes={"train": 10, "validation": 0, "test": 10}, seed=0)


def test_the_embedded_benchmark_has_the_sizes_asked_for(tmp_path):
    sizes = {"train": 20, "validation": 10, "test": 12}
    rows = tasks.load("microsci", dataset_path="", sizes=sizes, seed=1)
    assert Counter(row["split"] for row in rows) == sizes
    assert tables.read("questions", tables.write("questions", rows, tmp_path / "q.parquet")) == rows


# Duplicates


def test_of_equal_questions_the_test_copy_stays_then_validation_then_the_first(question):
    texts = [("cat", "owl"), ("bat", "eel")]
    rows = [
        question(texts[0], id="a", split="train"),
        question(texts[1], id="b", split="train"),
        question(texts[1], id="c", split="train"),
        question(texts[0], id="d", split="validation"),
        question(texts[0], id="e", split="test"),
    ]
    kept, removed = tasks.deduplicate(rows)
    assert [row["id"] for row in kept] == ["b", "e"]
    assert [row["id"] for row in removed] == ["a", "c", "d"]


def test_copies_that_share_an_id_are_told_apart(question):
    rows = [question(id="a", split="train"), question(id="a", split="test")]
    assert tasks.deduplicate(rows) == ([rows[1]], [rows[0]])


def test_order_of_options_case_and_spacing_make_no_other_question(question):
    rows = [
        question(("cat", "owl"), id="a", question="What  flies?"),
        question(("Owl", "cat."), id="b", question="what flies"),
        question(("cat", "eel"), id="c", question="What flies?"),
    ]
    assert [row["id"] for row in tasks.deduplicate(rows)[0]] == ["a", "c"]
    assert [(pair["first"], pair["second"]) for pair in tasks.overlaps(rows)] == [("a", "b")]


def test_an_overlap_says_where_its_two_questions_stand(question):
    rows = [question(id="a", split="train"), question(id="b", dataset="other")]
    assert tasks.overlaps(rows) == [
        {"first": "a", "first_place": "microsci/train", "second": "b", "second_place": "other/test"}
    ]


@given(st.lists(st.tuples(st.sampled_from(tasks.SPLITS), st.integers(0, 4)), max_size=12))
def test_after_removal_no_question_occurs_twice_and_none_is_lost(made):
    rows = [
        {"id": str(number), "split": split, "question": f"q{content}", "choices": {"text": ["x", "y"]}}
        for number, (split, content) in enumerate(made)
    ]
    kept, removed = tasks.deduplicate(rows)
    assert sorted(row["id"] for row in kept + removed) == sorted(row["id"] for row in rows)
    assert {row["question"] for row in kept} == {row["question"] for row in rows}
    assert len({row["question"] for row in kept}) == len(kept)


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
    ("name", "folder", "sizes"),
    [
        ("ARC-Easy", "ai2_arc", (2251, 570, 2376)),  # Clark et al. 2018, table 1
        ("ARC-Challenge", "ai2_arc", (1119, 299, 1172)),
        ("OpenBookQA", "openbookqa", (4957, 500, 500)),  # Mihaylov et al. 2018, table 1
    ],
)
def test_a_real_benchmark_has_its_published_sizes(real_data, tmp_path, monkeypatch, name, folder, sizes):
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path)
    rows = tasks.load(name, dataset_path=str(real_data / folder), sizes=ALL, seed=0)
    assert Counter(row["split"] for row in rows) == dict(zip(tasks.SPLITS, sizes, strict=True))
    assert len({row["id"] for row in rows}) == len(rows)


@pytest.mark.parametrize(("name", "copies"), [("ARC-Easy", 3), ("ARC-Challenge", 1)])
def test_the_known_duplicates_of_arc_leave_train(real_data, tmp_path, monkeypatch, name, copies):
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path)
    rows = tasks.load(name, dataset_path=str(real_data / "ai2_arc"), sizes=ALL, seed=0)
    assert [row["split"] for row in tasks.deduplicate(rows)[1]] == ["train"] * copies
