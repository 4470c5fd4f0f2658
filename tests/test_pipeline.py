"""The pipeline as its users run it: the smoke recipe through to its book, again, and what a change reruns.

The smoke recipe runs in the repository itself, where its book can be looked at afterwards; whatever disturbs a run
happens in a copy.
"""

from __future__ import annotations

import csv
import json
import os
import re
import shutil
from pathlib import Path

import pytest
from project_copies import Page, call, copy_of_the_project, rules_of, run

from scicot_utils import paths, tables, tasks
from scicot_utils import recipe as recipes

pytestmark = pytest.mark.pipeline

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
        told = [
            found[split]
            for (arm, variant, _), found in asked.items()
            if (arm != "teacher" or split in splits) and (variant == recipes.MAIN or split not in tasks.TRANSFER)
        ]
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


AFTER = dict.fromkeys(("metrics", "diverse_reasoning", "ablations", "claims", "rationale_explorer", "book"), 1)
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
