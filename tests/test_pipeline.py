"""The pipeline as its users run it: whole, again, changed, killed, failing, and one notebook at a time.

The smoke recipe runs in the repository itself, where its book can be looked at afterwards; whatever disturbs a run
happens in a copy.
"""

from __future__ import annotations

import csv
import json
import os
import re
import shutil
import subprocess
import sys
import time
from html.parser import HTMLParser
from pathlib import Path

import psutil
import pytest

from scicot_utils import microsci, paths, tables
from scicot_utils import recipe as recipes

pytestmark = pytest.mark.pipeline

MINI = """# CI: 2 CPU cores, about 1 minutes; for the tests of the pipeline.
description: The embedded study in miniature.
datasets: [microsci]
distill: [microsci]
arms: [untrained, answer_only, rationale_answer, two_stage]
seeds: [0]
questions: {train_questions: 60, validation_questions: 16, test_questions: 24}
teacher: {dev_questions: 8}
training: {steps: 60}
evidence: {resamples: 1000}
"""


def environment(root: Path) -> dict[str, str]:
    """The variables of a user who works in `root` with this environment."""
    found = {name: value for name, value in os.environ.items() if name != "SCICOT_ENGINE"}
    path = os.pathsep.join([str(Path(sys.executable).parent), found["PATH"]])
    return found | {"PYTHONPATH": str(root), "PATH": path, "HF_HUB_OFFLINE": "1"}


def call(root: Path, *words: str, cwd: Path | None = None) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, "-m", *words], cwd=cwd or root, env=environment(root), capture_output=True, text=True
    )


def run(root: Path, *words: str) -> subprocess.CompletedProcess:
    return call(root, "scicot_utils", "run", *words)


def copy_of_the_project(place: Path) -> Path:
    """All files of the project, without what was made; `git` is not asked, so an unpacked archive works too."""
    made = shutil.ignore_patterns(".git", ".venv", ".snakemake", "__pycache__", "*.egg-info", ".*_cache", ".hypothesis")
    shutil.copytree(paths.ROOT, place, ignore=lambda folder, names: {*made(folder, names), *_outputs(folder, names)})
    (place / "notebooks" / "recipes" / "mini.yaml").write_text(MINI, encoding="utf-8")
    return place


def _outputs(folder: str, names: list[str]) -> set[str]:
    return (
        {name for name in names if name not in ("README.md", "reference")} if Path(folder) == paths.OUTPUTS else set()
    )


def rules_of(dry_run: str) -> dict[str, int]:
    """Rule → number of jobs, from the table that a dry run prints."""
    found = re.search(r"^job +count\n[- ]+\n(.*?)^total", dry_run, re.MULTILINE | re.DOTALL)
    return {name: int(number) for name, number in (line.split() for line in found[1].splitlines())} if found else {}


# ── The smoke recipe, through to its book ───────────────────────────────────────────────────────────────────────


@pytest.fixture(scope="module")
def smoke() -> Path:
    done = run(paths.ROOT, "smoke")
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-5000:]
    return paths.OUTPUTS / "smoke"


def test_metrics_hold_every_run_of_the_recipe_and_no_other(smoke):
    recipe = recipes.load("smoke")
    with (smoke / "metrics.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    runs = {(row["dataset"], row["arm"], row["variant"], int(row["seed"])) for row in rows}
    trained = {run for run in recipe.runs() if run[1] != "untrained"}
    assert trained <= runs
    assert {arm for _, arm, _, _ in runs - trained} == {
        "random", "majority_label", "longest_option", "shortest_option", "frequent_answer", "word_overlap",
        "bag_of_words", "teacher", "two_stage_teacher_rationale", "two_stage_shuffled_rationale",
        "two_stage_counterfactual_rationale", "two_stage_no_rationale",
    }  # fmt: skip
    assert all(0 <= float(row["low"]) <= float(row["value"]) <= float(row["high"]) <= 1 for row in rows)


def test_students_of_the_main_variant_and_no_others_are_asked_in_other_orders(smoke):
    recipe = recipes.load("smoke")
    with (smoke / "metrics.csv").open(encoding="utf-8", newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["metric"] in ("same generated", "same ranked")]
    asked = [(row["arm"], row["variant"], int(row["seed"])) for row in rows]
    main = recipes.MAIN
    assert sorted(asked) == sorted((a, main, seed) for a in recipe.trained_arms(main) for seed in recipe.seeds * 2)
    assert {int(row["n"]) for row in rows} == {min(recipe.evidence.order_questions, recipe.questions.test_questions)}


def test_every_arm_is_scored_on_the_same_questions(smoke):
    asked, recipe = {}, recipes.load("smoke")
    splits = recipe.teacher.teacher_splits.split(",")  # the teacher answers nothing else
    for dataset, arm, variant, seed in recipe.runs():
        rows = tables.read("predictions", paths.run("smoke", dataset, arm, variant, seed) / "predictions.parquet")
        for row in rows:
            asked.setdefault((row["arm"], variant, seed), {}).setdefault(row["split"], []).append(row["question_id"])
    for split in {split for found in asked.values() for split in found}:
        told = [found[split] for (arm, *_), found in asked.items() if arm != "teacher" or split in splits]
        assert all(ids == told[0] for ids in told), split


def test_a_run_has_the_provenance_to_repeat_it(smoke):
    for run_ in recipes.load("smoke").runs():
        content = json.loads((paths.run("smoke", *run_) / "provenance.json").read_text(encoding="utf-8"))
        assert content["recipe"] == "smoke" and content["packages"]["torch"].startswith("2.13")


def test_every_job_has_its_seconds_and_memory(smoke):
    timed, done = (
        {path.relative_to(smoke / folder).with_suffix("") for path in (smoke / folder).rglob(f"*.{ending}")}
        for folder, ending in (("benchmarks", "tsv"), ("notebooks", "ipynb"))
    )
    assert done | {Path("metrics"), Path("book")} <= timed


def test_executed_notebooks_print_no_warning(smoke):
    for path in (smoke / "notebooks").rglob("*.ipynb"):
        for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]:
            for output in cell.get("outputs", []):
                text = "".join(output.get("text", "")) if output.get("name") == "stderr" else ""
                assert "arning" not in text, f"{path.name}: {text}"


class Page(HTMLParser):
    """The images, links, anchors and visible words of a page."""

    def __init__(self, path: Path):
        super().__init__()
        self.images, self.links, self.anchors, self.words, self._skipped = [], [], set(), [], 0
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attributes):
        found = dict(attributes)
        self._skipped += tag in ("script", "style", "pre")
        self.anchors.add(found.get("id"))
        if tag == "img":
            self.images.append(found)
        if tag == "a":
            self.links.append(found.get("href") or "")

    def handle_endtag(self, tag):
        self._skipped -= tag in ("script", "style", "pre")

    def handle_data(self, data):
        if not self._skipped:
            self.words.append(data)


def test_the_book_has_no_dead_link_no_image_without_alt_no_raw_markup(smoke):
    site = smoke / "site"
    pages = {path: Page(path) for path in site.rglob("*.html") if "_static" not in path.parts}
    written = {
        f"{name}.html" for name in ("index", "method", "results", "dataset_card", "model_card", "run", "developer")
    }
    assert written | {"A2_what_it_knows.html"} <= {path.name for path in pages}
    for path, page in pages.items():
        assert all(image.get("alt") for image in page.images), path.name
        text = " ".join(page.words)
        assert not re.search(r"\{glue|\{cite|:::|```|\bnan\b|\bNone\b", text), path.name
        for link in page.links:
            target, _, anchor = link.partition("#")
            if re.match(r"[a-z]+:", link) or (link.startswith("#") and not anchor):
                continue
            file = (path.parent / target).resolve() if target else path
            assert file.exists(), f"{path.name}: {link}"
            if anchor and file in pages:
                assert anchor in pages[file].anchors, f"{path.name}: {link}"


def test_the_book_shows_the_numbers_of_metrics_csv(smoke):
    with (smoke / "metrics.csv").open(encoding="utf-8", newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["variant"] == "main" and row["split"] == "test"]
    shown = " ".join(Page(smoke / "site" / "results.html").words)
    for arm in ("two_stage", "rationale_answer"):
        values = [float(row["value"]) for row in rows if row["arm"] == arm and row["metric"] == "generated"]
        assert f"{sum(values) / len(values):.3f}" in shown


def test_a_second_run_has_nothing_to_do(smoke):
    done = run(paths.ROOT, "smoke")
    assert done.returncode == 0 and "Nothing to be done" in done.stdout + done.stderr


# ── What a change reruns: dry runs in a copy with the outputs of smoke ──────────────────────────────────────────


@pytest.fixture(scope="module")
def finished_copy(smoke, tmp_path_factory) -> Path:
    root = copy_of_the_project(tmp_path_factory.mktemp("finished") / "project")
    shutil.copytree(smoke, root / "outputs" / "smoke")
    shutil.copytree(paths.ROOT / ".snakemake" / "metadata", root / ".snakemake" / "metadata")
    assert rules_of(run(root, "smoke", "--dry-run").stdout) == {}, "an unchanged copy has nothing to do"
    return root


def changed(root: Path, name: str, change) -> dict[str, int]:
    """What a dry run lists after `change` of the file's text; the file is put back, with its times."""
    file = root / name
    old, times = file.read_text(encoding="utf-8"), (file.stat().st_atime_ns, file.stat().st_mtime_ns)
    try:
        file.write_text(change(old), encoding="utf-8")
        done = run(root, "smoke", "--dry-run")
        assert done.returncode == 0, done.stderr
        return rules_of(done.stdout)
    finally:
        file.write_text(old, encoding="utf-8")
        os.utime(file, ns=times)


AFTER = {"metrics": 1, "ablations": 1, "claims": 1, "book": 1}
TWO_STAGE = sum(arm == "two_stage" for _, arm, _, _ in recipes.load("smoke").runs())
TRAINED = {"stage1": TWO_STAGE, "stage2": TWO_STAGE, "baseline": len(recipes.load("smoke").runs()) - TWO_STAGE}


def test_one_arms_learning_rate_reruns_that_arm_and_what_depends_on_it(finished_copy):
    listed = changed(
        finished_copy,
        "notebooks/recipes/smoke.yaml",
        lambda text: text + "arm_settings: {rationale_answer: {learning_rate: 1.0e-3}}\n",
    )
    assert listed == {"baseline": 2} | AFTER  # two seeds


def test_a_comment_in_a_module_reruns_the_notebooks_that_import_it(finished_copy):
    def comment(text: str) -> str:
        return text + "# a comment\n"

    # teachers: notebooks 02 and 03, so what follows them; arms and tasks: 01, which all but A2 follow, and A2 itself.
    of_teacher = {"teacher_prompting": 1, "rationale_generation": 1} | TRAINED | AFTER
    assert changed(finished_copy, "scicot_utils/teachers/asking.py", comment) == of_teacher
    everything = {"questions": 1, "student_knowledge": 1} | of_teacher
    assert changed(finished_copy, "scicot_utils/arms.py", comment) == everything
    assert changed(finished_copy, "scicot_utils/tasks/reading.py", comment) == everything


def test_prose_rebuilds_the_book_only(finished_copy):
    assert changed(finished_copy, "book/method.md", lambda text: text + "\nA sentence.\n") == {"book": 1}


def test_the_slurm_profile_plans_the_same_jobs(finished_copy):
    done = call(
        finished_copy,
        "snakemake",
        "--workflow-profile",
        "notebooks/profiles/slurm",
        "--config",
        "recipe=micro",
        "--dry-run",
    )
    assert done.returncode == 0, done.stderr
    assert rules_of(done.stdout)["stage1"] == sum(arm == "two_stage" for _, arm, _, _ in recipes.load("micro").runs())


# ── Killed, failed, mistyped: in copies with a miniature recipe ─────────────────────────────────────────────────

METRICS = "outputs/mini/metrics.csv"


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory) -> Path:
    root = copy_of_the_project(tmp_path_factory.mktemp("undisturbed") / "project")
    done = run(root, "mini", METRICS)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-5000:]
    return root


def test_a_killed_run_goes_on_to_the_same_metrics_byte_for_byte(undisturbed, tmp_path):
    root = copy_of_the_project(tmp_path / "project")
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
    done = run(root, "mini", METRICS)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-5000:]
    assert (root / METRICS).read_bytes() == (undisturbed / METRICS).read_bytes()


def test_open_answers_go_through_every_notebook_and_are_never_ranked(tmp_path):
    root = copy_of_the_project(tmp_path / "project")
    asked = MINI.replace("microsci", "CoinFlip").replace("{steps: 60}", "{steps: 4, student: random/micro-small}")
    (root / "notebooks" / "recipes" / "mini.yaml").write_text(asked, encoding="utf-8")
    done = run(root, "mini", METRICS, "outputs/mini/notebooks/09_claims.ipynb")
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-5000:]
    with (root / METRICS).open(encoding="utf-8", newline="") as file:
        found = [row for row in csv.DictReader(file) if row["split"] == "test"]
    assert {"random", "frequent_answer", "teacher", "rationale_answer", "two_stage"} <= {row["arm"] for row in found}
    assert {row["metric"] for row in found} == {"generated", "unparsed", "truncated"}
    [teacher] = [float(row["value"]) for row in found if (row["arm"], row["metric"]) == ("teacher", "generated")]
    assert teacher > 0.6


def test_a_failing_notebook_is_named_stays_readable_and_marks_nothing_done(undisturbed, tmp_path):
    root = copy_of_the_project(tmp_path / "project")
    file = root / "notebooks" / "03_rationale_generation.ipynb"
    content = json.loads(file.read_text(encoding="utf-8"))
    content["cells"][3]["source"] = ["raise RuntimeError('planted')"]
    file.write_text(json.dumps(content), encoding="utf-8")
    done = run(root, "mini", METRICS)
    said, log = done.stdout + done.stderr, root / "outputs/mini/logs/03_rationale_generation/microsci/main.ipynb"
    assert done.returncode != 0
    assert "FAILED: notebooks/03_rationale_generation.ipynb" in said and log.relative_to(root).as_posix() in said
    assert "planted" in said and "planted" in log.read_text(encoding="utf-8")
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
        (MINI.replace("steps: 60", "stepz: 60"), ["bad.yaml", "stepz", "did you mean steps?"]),
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


def test_a_notebook_alone_makes_what_it_needs_and_writes_where_the_pipeline_does(undisturbed, tmp_path):
    root = copy_of_the_project(tmp_path / "project")
    done = papermill(root, "06_baselines", "-p", "recipe", "mini")
    assert done.returncode == 0, done.stderr[-3000:]
    one = "outputs/mini/runs/microsci/answer_only/main/seed0/metrics.json"
    assert (root / one).read_bytes() == (undisturbed / one).read_bytes()


def test_a_notebook_runs_from_its_own_folder_too(undisturbed, tmp_path):
    root = copy_of_the_project(tmp_path / "project")
    file = root / "notebooks" / "01_questions.ipynb"
    text = file.read_text(encoding="utf-8").replace('recipe = \\"micro\\"', 'recipe = \\"mini\\"')
    file.write_text(text, encoding="utf-8")
    done = call(root, "jupyter", "execute", "01_questions.ipynb", cwd=root / "notebooks")
    assert done.returncode == 0, done.stderr[-3000:]
    one = "outputs/mini/questions/microsci/main.parquet"
    assert (root / one).read_bytes() == (undisturbed / one).read_bytes()


def test_the_embedded_student_is_made_by_its_notebook_bit_for_bit_again(tmp_path):
    """A few steps of a small one, through the pipeline: what is made can be loaded, and repeats bit for bit."""
    root = copy_of_the_project(tmp_path / "project")
    recipe = root / "notebooks" / "recipes" / "mini.yaml"
    text = recipe.read_text(encoding="utf-8")
    recipe.write_text(f"{text}pretraining:\n  pretraining_steps: 40\n  pretraining_batch_size: 9\n", encoding="utf-8")
    folder = "outputs/mini/pretraining/main/micro-small/seed3"
    weights = []
    for _ in range(2):
        done = run(root, "mini", f"{folder}/model")
        assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
        weights.append((root / folder / "model" / "model.safetensors").read_bytes())
        record = json.loads((root / folder / "provenance.json").read_text(encoding="utf-8"))
        assert list(record["steps"]) == [phase.name for phase in microsci.PHASES]
        shutil.rmtree(root / folder)
    assert weights[0] == weights[1]


# ── Real files ──────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.skipif("SCICOT_DATA" not in os.environ, reason="SCICOT_DATA names no folder with the real files")
def test_the_plumbing_of_arc_runs_and_its_tables_are_right(tmp_path):
    root = copy_of_the_project(tmp_path / "project")
    file = root / "notebooks" / "recipes" / "arc_plumbing.yaml"
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
    done = run(
        root,
        "arc_plumbing",
        "outputs/arc_plumbing/metrics.csv",
        "outputs/arc_plumbing/notebooks/02_teacher_prompting/ARC-Challenge.ipynb",
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-5000:]

    with (root / "outputs/arc_plumbing/tables/01_splits.csv").open(encoding="utf-8", newline="") as splits:
        counted = {(row["dataset"], row["split"]): row for row in csv.DictReader(splits)}
    read = {name: int(row["read"]) for name, row in counted.items()}
    sizes = {"ARC-Easy": (2251, 570, 2376), "ARC-Challenge": (1119, 299, 1172)}
    assert read == {
        (n, s): size for n, row in sizes.items() for s, size in zip(("train", "validation", "test"), row, strict=True)
    }
    removed = {
        name: int(row["duplicates removed"]) for name, row in counted.items() if row["duplicates removed"] != "0"
    }
    assert removed == {("ARC-Easy", "train"): 3, ("ARC-Challenge", "train"): 1}

    questions = tables.read("questions", root / "outputs/arc_plumbing/questions/ARC-Challenge/main.parquet")
    assert {len(row["choices"]["label"]) for row in questions} == {3, 4, 5}
    assert {row["choices"]["label"][0] for row in questions} == {"A", "1"}
    judged = tables.read("rationales", root / "outputs/arc_plumbing/rationales/ARC-Challenge/main.parquet")
    assert len(judged) == 1118 and {row["drop_reason"] for row in judged if not row["kept"]} == {"missing"}

    predictions = tables.read(
        "predictions", root / "outputs/arc_plumbing/runs/ARC-Challenge/two_stage/main/seed0/predictions.parquet"
    )
    labels = {row["id"]: row["choices"]["label"] for row in questions}
    assert sum(row["split"] == "test" for row in predictions) == 120
    assert all(row["gold"] in labels[row["question_id"]] for row in predictions)
    assert all(len(row["option_scores"]) == len(labels[row["question_id"]]) for row in predictions)
    executed = (root / "outputs/arc_plumbing/notebooks/01_questions.ipynb").read_text(encoding="utf-8")
    assert "Plumbing run" in executed
