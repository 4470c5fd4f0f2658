"""Names of the hub: read as local folders from its own cache, pinned to a commit, and said so."""

import json
import shutil
from concurrent.futures import ThreadPoolExecutor

import pytest
from conftest import MINIMAL, refused

from scicot_utils import hub, paths, provenance, students, tasks
from scicot_utils import recipe as recipes

FIRST, SECOND = "a" * 40, "b" * 40


@pytest.fixture
def cached(tmp_path, monkeypatch):
    """Puts a folder into a hub cache of its own as a commit, the newest one of its name; nothing is asked of a network."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr(hub, "PINS", tmp_path / "hub.json")

    def put(name, commit, content):
        kind, _, bare = name.rpartition("datasets/")
        folder = tmp_path / "hub" / f"{'dataset' if kind or bare != name else 'model'}s--{bare.replace('/', '--')}"
        shutil.copytree(content, folder / "snapshots" / commit)
        (folder / "refs").mkdir(exist_ok=True)
        (folder / "refs" / "main").write_text(commit)

    return put


def arc(folder, word):
    """A folder of ARC's files as the hub has them."""
    template = {"choices": {"label": ["A", "B"], "text": ["x", "y"]}, "answerKey": "B"}
    (folder / "ARC-Easy").mkdir(parents=True)
    for split in ("train", "validation", "test"):
        row = template | {"id": split, "question": f"Which one {word}? {split}"}
        (folder / "ARC-Easy" / f"{split}.jsonl").write_text(json.dumps(row) + "\n")
    return folder


def read():
    sizes = dict.fromkeys(("train", "validation", "test", "test_forms", "test_domain"), 0)
    return [row["question"] for row in tasks.load("ARC-Easy", dataset_path="", sizes=sizes, seed=0)]


def test_a_benchmark_of_the_hub_stays_at_the_commit_that_was_fetched_until_its_pin_is_deleted(cached, tmp_path):
    cached("datasets/allenai/ai2_arc", FIRST, arc(tmp_path / "one", "first"))
    assert read()[0] == "Which one first? train"
    cached("datasets/allenai/ai2_arc", SECOND, arc(tmp_path / "two", "second"))
    assert read()[0] == "Which one first? train"
    assert json.loads(hub.PINS.read_text()) == {"datasets/allenai/ai2_arc": FIRST}
    hub.PINS.unlink()
    assert read()[0] == "Which one second? train"


def test_a_student_of_the_hub_is_read_at_its_pin_or_the_revision_that_is_named(cached):
    for commit in (FIRST, SECOND):
        cached("org/tiny", commit, paths.MICRO_STUDENT)
    assert hub.folder(f"org/tiny@{FIRST}").name == FIRST and hub.folder("org/tiny").name == SECOND
    shipped, by_name = students.load("micro"), students.load(f"org/tiny@{FIRST}")
    assert students.parameters(by_name) == students.parameters(shipped)


def test_what_the_hub_gave_is_named_with_its_commit_and_content(cached, tmp_path):
    planned = recipes.load("arc")
    before = provenance.sources(planned)
    assert {row["sha256"] for row in before} == {"–"}
    with refused(provenance.InputError, "datasets: 'datasets/allenai/ai2_arc' could not be fetched from the hub"):
        provenance.fetch(planned)
    cached("datasets/allenai/ai2_arc", FIRST, arc(tmp_path / "one", "first"))
    for row in before:
        if row["key"] != "datasets":
            cached(row["named"], SECOND, paths.MICRO_STUDENT)
    provenance.fetch(planned)
    sources = {row["named"]: row for row in provenance.sources(planned)}
    assert f"commit {FIRST[:12]}" in sources["datasets/allenai/ai2_arc"]["size"]
    assert all(len(row["sha256"]) == 64 for row in sources.values())
    study = provenance.Study(
        "06_baselines", "arc", planned, planned.settings("answer_only"), "ARC-Easy", "answer_only", "main", 0, {}
    )
    study.record(tmp_path / "provenance.json", outside=study.elsewhere())
    outside = json.loads((tmp_path / "provenance.json").read_text())["outside"]
    assert outside["google/flan-t5-small"]["commit"] == SECOND and str(tmp_path) not in str(outside)


def test_a_name_that_nobody_has_is_one_line(cached):
    with refused(students.StudentError, "student 'org/none' cannot be read"):
        students.load("org/none")


def test_several_processes_pin_what_each_fetched(cached, tmp_path):
    for number in range(6):
        cached(f"org/tiny{number}", FIRST, paths.MICRO_STUDENT)
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(hub.folder, [f"org/tiny{number % 6}" for number in range(24)]))
    assert set(json.loads(hub.PINS.read_text())) == {f"org/tiny{number}" for number in range(6)}


def test_what_was_not_fetched_to_its_end_is_not_here(cached, tmp_path):
    cached("org/tiny", FIRST, paths.MICRO_STUDENT)
    assert hub.here("org/tiny") is None  # in the hub's cache, but nobody knows that it is whole
    hub.folder("org/tiny")
    assert hub.here("org/tiny").name == FIRST and hub.here("org/tiny/other.gguf") is None
    assert hub.commit(tmp_path / "snapshots" / "2024-05" / "model") == ""


def test_a_teacher_of_the_hub_is_among_what_a_recipe_reads(cached, write_recipe):
    file = write_recipe(f"{MINIMAL}teacher: {{teacher: local, teacher_model: org/teacher}}\n")
    assert [row["named"] for row in provenance.sources(recipes.load(file))] == ["org/teacher"]
