"""Runs that are killed, fail or are mistyped, one notebook at a time, other benchmarks: in copies of the project."""

from __future__ import annotations

import csv
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
from project_copies import MINI, call, copy_of_the_project, environment, run

from scicot_utils import microsci, tables, tasks

pytestmark = pytest.mark.pipeline

METRICS = "outputs/mini/metrics.csv"


def completed(done: subprocess.CompletedProcess) -> None:
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-5000:]


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory) -> Path:
    root = copy_of_the_project(tmp_path_factory.mktemp("undisturbed") / "project")
    completed(run(root, "mini", METRICS))
    return root


@pytest.fixture
def root(tmp_path) -> Path:
    return copy_of_the_project(tmp_path / "project")


def test_a_killed_run_goes_on_to_the_same_metrics_byte_for_byte(undisturbed, root, tmp_path):
    logs = root / "outputs" / "mini" / "logs" / "06_baselines" / "answer_only" / "microsci" / "main"
    words = [sys.executable, "-m", "scicot_utils", "run", "mini", METRICS]
    with (tmp_path / "log.txt").open("w") as log:
        started = subprocess.Popen(words, cwd=root, env=environment(root), stdout=log, stderr=log)
        deadline = time.monotonic() + 300
        while not (logs / "seed0.txt").exists() and time.monotonic() < deadline:
            time.sleep(0.2)
        time.sleep(5)  # into the training
        tree = [*psutil.Process(started.pid).children(recursive=True), psutil.Process(started.pid)]
        for process in tree:
            process.kill()
        psutil.wait_procs(tree, timeout=30)
        started.wait()
    assert not (root / METRICS).exists(), "the run was over before it was killed"
    completed(run(root, "mini", METRICS))
    assert (root / METRICS).read_bytes() == (undisturbed / METRICS).read_bytes()


def test_open_answers_go_through_every_notebook_and_are_never_ranked(root):
    recipe = MINI.replace("microsci", "CoinFlip").replace("{steps: 60}", "{steps: 4, student: random/micro-small}")
    (root / "notebooks" / "recipes" / "mini.yaml").write_text(recipe, encoding="utf-8")
    completed(run(root, "mini", METRICS, "outputs/mini/notebooks/09_claims.ipynb"))
    with (root / METRICS).open(encoding="utf-8", newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["split"] == "test"]
    assert {"random", "frequent_answer", "teacher", "rationale_answer", "two_stage"} <= {row["arm"] for row in rows}
    assert {row["metric"] for row in rows} == {"generated", "unparsed", "truncated"}
    [teacher] = [float(row["value"]) for row in rows if (row["arm"], row["metric"]) == ("teacher", "generated")]
    assert teacher > 0.6


def test_a_failing_notebook_is_named_stays_readable_and_marks_nothing_done(root):
    file = root / "notebooks" / "03_rationale_generation.ipynb"
    content = json.loads(file.read_text(encoding="utf-8"))
    content["cells"][4]["source"] = ["raise RuntimeError('planted')"]
    file.write_text(json.dumps(content), encoding="utf-8")
    done = run(root, "mini", METRICS)
    printed, log = done.stdout + done.stderr, root / "outputs/mini/logs/03_rationale_generation/microsci/main.ipynb"
    assert done.returncode != 0
    assert "FAILED: notebooks/03_rationale_generation.ipynb" in printed and log.relative_to(root).as_posix() in printed
    assert "planted" in printed and "planted" in log.read_text(encoding="utf-8")
    assert not list((root / "outputs/mini/notebooks/03_rationale_generation").rglob("*.ipynb"))
    assert not (root / METRICS).exists() and not list((root / "outputs/mini/rationales").rglob("*.parquet"))


def test_two_runs_in_one_folder_do_not_meet(undisturbed):
    import fcntl

    with (undisturbed / "outputs" / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        done = run(undisturbed, "mini", METRICS)
    assert done.returncode != 0 and "another run is at work" in done.stderr


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("# 1 core, 1 minutes\nsteps: 3\n", ["bad.yaml", "unknown key 'steps'"]),
        (MINI.replace("steps: 60", "steps: many"), ["bad.yaml", "training.steps", "'many'"]),
        (None, ["no recipe at", "bad.yaml"]),
    ],
)
def test_a_bad_recipe_stops_before_any_work_with_one_line(undisturbed, text, words):
    file = undisturbed / "bad.yaml"
    if text is not None:
        file.write_text(text, encoding="utf-8")
    try:
        done = run(undisturbed, "bad.yaml")
    finally:
        file.unlink(missing_ok=True)
    assert done.returncode != 0 and done.stdout == "" and len(done.stderr.strip().splitlines()) == 1
    assert all(word in done.stderr for word in words), done.stderr
    assert not (undisturbed / "outputs" / "bad").exists()


def papermill(root: Path, notebook: str, *words: str) -> subprocess.CompletedProcess:
    return call(root, "papermill", f"notebooks/{notebook}.ipynb", str(root / "out.ipynb"), "--no-progress-bar", *words)


def test_a_misspelt_parameter_stops_a_notebook_before_any_work(undisturbed):
    before = sorted(undisturbed.glob("outputs/**/*"))
    done = papermill(undisturbed, "06_baselines", "-p", "learnign_rate", "1")
    assert done.returncode != 0
    assert "unknown key 'learnign_rate'; did you mean learning_rate?" in done.stderr
    assert sorted(undisturbed.glob("outputs/**/*")) == before


def test_a_notebook_alone_makes_what_it_needs_and_writes_where_the_pipeline_does(undisturbed, root):
    completed(papermill(root, "06_baselines", "-p", "recipe", "mini"))
    metrics = "outputs/mini/runs/microsci/answer_only/main/seed0/metrics.json"
    assert (root / metrics).read_bytes() == (undisturbed / metrics).read_bytes()


def test_a_notebook_runs_from_its_own_folder_too(undisturbed, root):
    file = root / "notebooks" / "01_questions.ipynb"
    text = file.read_text(encoding="utf-8").replace('recipe = \\"micro\\"', 'recipe = \\"mini\\"')
    file.write_text(text, encoding="utf-8")
    completed(call(root, "jupyter", "execute", "01_questions.ipynb", cwd=root / "notebooks"))
    questions = "outputs/mini/questions/microsci/main.parquet"
    assert (root / questions).read_bytes() == (undisturbed / questions).read_bytes()


def test_the_embedded_student_is_made_by_its_notebook_bit_for_bit_again(root):
    """A few steps of a small one, through the pipeline: what is made can be loaded, and repeats bit for bit."""
    recipe = root / "notebooks" / "recipes" / "mini.yaml"
    text = recipe.read_text(encoding="utf-8")
    recipe.write_text(f"{text}pretraining:\n  pretraining_steps: 40\n  pretraining_batch_size: 9\n", encoding="utf-8")
    folder = "outputs/mini/pretraining/main/micro-small/seed3"
    weights = []
    for _ in range(2):
        completed(run(root, "mini", f"{folder}/model"))
        weights.append((root / folder / "model" / "model.safetensors").read_bytes())
        record = json.loads((root / folder / "provenance.json").read_text(encoding="utf-8"))
        assert list(record["steps"]) == [phase.name for phase in microsci.PHASES]
        shutil.rmtree(root / folder)
    assert weights[0] == weights[1]


# ── Real files ──────────────────────────────────────────────────────────────────────────────────────────────────


REAL_FILES = pytest.mark.skipif(
    "SCICOT_DATA" not in os.environ, reason="SCICOT_DATA names no folder with the real files"
)


def plumbing(root, recipe, *targets):
    """The outputs of a plumbing recipe that ran with fewer questions, steps and tokens."""
    file = root / "notebooks" / "recipes" / f"{recipe}.yaml"
    text = file.read_text(encoding="utf-8")
    for long, short in (
        ("steps: 60", "steps: 4"),
        ("max_target_tokens: 64", "max_target_tokens: 32"),
        ("max_cut_share: 0.05", "max_cut_share: 0.6"),
        ("validation_questions: 0", "validation_questions: 24"),
        ("test_questions: 0", "test_questions: 120"),
    ):
        assert long in text
        text = text.replace(long, short)
    file.write_text(text, encoding="utf-8")
    completed(run(root, recipe, f"outputs/{recipe}/metrics.csv", *targets))
    return root / "outputs" / recipe


def split_sizes(folder):
    """(dataset, split) → the questions read, and of them removed as duplicates."""
    with (folder / "tables" / "01_splits.csv").open(encoding="utf-8", newline="") as splits:
        return {
            (row["dataset"], row["split"]): (int(row["read"]), int(row["duplicates removed"]))
            for row in csv.DictReader(splits)
        }


@REAL_FILES
def test_the_plumbing_of_arc_runs_and_its_tables_are_right(root):
    prompting = "outputs/arc_plumbing/notebooks/02_teacher_prompting/ARC-Challenge.ipynb"
    done = plumbing(root, "arc_plumbing", prompting)
    sizes = {"ARC-Easy": ((2251, 3), (570, 0), (2376, 0)), "ARC-Challenge": ((1119, 1), (299, 0), (1172, 0))}
    assert split_sizes(done) == {
        (name, split): size for name in sizes for split, size in zip(tasks.SPLITS, sizes[name], strict=True)
    }

    questions = tables.read("questions", done / "questions/ARC-Challenge/main.parquet")
    assert {len(row["choices"]["label"]) for row in questions} == {3, 4, 5}
    assert {row["choices"]["label"][0] for row in questions} == {"A", "1"}
    rationales = tables.read("rationales", done / "rationales/ARC-Challenge/main.parquet")
    assert len(rationales) == 1118 and {row["drop_reason"] for row in rationales if not row["kept"]} == {"missing"}

    predictions = tables.read("predictions", done / "runs/ARC-Challenge/two_stage/main/seed0/predictions.parquet")
    labels = {row["id"]: row["choices"]["label"] for row in questions}
    assert sum(row["split"] == "test" for row in predictions) == 120
    assert all(row["gold"] in labels[row["question_id"]] for row in predictions)
    assert all(len(row["option_scores"]) == len(labels[row["question_id"]]) for row in predictions)
    executed = (done / "notebooks/01_questions.ipynb").read_text(encoding="utf-8")
    assert "Plumbing run" in executed


@REAL_FILES
def test_the_plumbing_of_openbookqa_runs_with_a_decoder_only_student_and_its_tables_are_right(root):
    done = plumbing(root, "openbookqa_plumbing")
    sizes = split_sizes(done)
    assert {split: read for (_, split), (read, _) in sizes.items()} == {"train": 4957, "validation": 500, "test": 500}
    rationales = tables.read("rationales", done / "rationales/OpenBookQA/main.parquet")
    assert sum(row["kept"] for row in rationales) == 4893
    of_run = done / "runs/OpenBookQA/two_stage/main/seed0"
    predictions = tables.read("predictions", of_run / "predictions.parquet")
    assert sum(row["split"] == "test" for row in predictions) == 120
    assert all(len(row["option_scores"]) == 4 for row in predictions)
    # five recorded rationales are longer than all inputs may be
    for stage, cut in (("stage1", (0, 930)), (".", (5, 0))):
        record = json.loads((of_run / stage / "provenance.json").read_text(encoding="utf-8"))
        assert record["settings"]["student"] == "random/gpt2-tiny"
        assert (record["inputs_cut"], record["targets_cut"]) == cut
