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
from collections import defaultdict
from pathlib import Path

import browser as browsing
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
    reordered = [(row["arm"], row["variant"], int(row["seed"])) for row in rows]
    main = recipes.MAIN
    assert sorted(reordered) == sorted((a, main, seed) for a in recipe.trained_arms(main) for seed in recipe.seeds * 2)
    assert {int(row["n"]) for row in rows} == {min(recipe.evidence.order_questions, recipe.questions.test_questions)}


def test_every_arm_is_scored_on_the_same_questions(smoke):
    asked_ids, recipe = defaultdict(lambda: defaultdict(list)), recipes.load("smoke")
    splits = recipe.teacher.teacher_splits.split(",")  # the teacher answers nothing else
    for dataset, arm, variant, seed in recipe.runs():
        rows = tables.read("predictions", paths.run("smoke", dataset, arm, variant, seed) / "predictions.parquet")
        for row in rows:
            asked_ids[row["arm"], variant, seed][row["split"]].append(row["question_id"])
    for split in {split for ids_of_split in asked_ids.values() for split in ids_of_split}:
        id_lists = [
            ids_of_split[split]
            for (arm, variant, _), ids_of_split in asked_ids.items()
            if (arm != "teacher" or split in splits) and (variant == recipes.MAIN or split not in tasks.TRANSFER)
        ]
        assert all(ids == id_lists[0] for ids in id_lists), split


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
    prose = {"index", "method", "results", "dataset_card", "model_card", "run", "developer", "A2_what_it_knows"}
    assert prose <= {path.stem for path in pages}
    for path, page in pages.items():
        assert all((image.get("alt") or "").strip() for image in page.images), path.name
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
    words = " ".join(Page(smoke / "site" / "results.html").words)
    for arm in ("two_stage", "rationale_answer"):
        values = [float(row["value"]) for row in rows if row["arm"] == arm and row["metric"] == "generated"]
        assert f"{sum(values) / len(values):.3f}" in words


def test_a_second_run_has_nothing_to_do(smoke):
    done = run(paths.ROOT, "smoke")
    assert done.returncode == 0 and "Nothing to be done" in done.stdout + done.stderr


# ── The book in a browser ───────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture(scope="module")
def browser():
    with browsing.chromium() as opened:
        yield opened


def pages_of(site: Path) -> list[Path]:
    return [file for file in sorted(site.rglob("*.html")) if "_static" not in file.relative_to(site).parts]


@pytest.mark.parametrize("theme", browsing.THEMES)
def test_every_page_opens_offline_without_errors_or_barriers(smoke, browser, theme):
    opened, problems = browsing.Opened(browser, theme), {}
    for file in pages_of(smoke / "site"):
        opened.go(file)
        if of_page := opened.errors + opened.violations():
            problems[file.name] = of_page
    opened.close()
    assert problems == {}


def test_no_page_scrolls_sideways_on_a_phone(smoke, browser):
    opened, wide = browsing.Opened(browser, "light", browsing.PHONE), {}
    for file in pages_of(smoke / "site"):
        opened.go(file)
        if (width := opened.page.evaluate("document.documentElement.scrollWidth")) > browsing.PHONE["width"]:
            wide[file.name] = width
    opened.close()
    assert wide == {}


def test_the_explorer_filters_searches_and_leads_to_one_question(smoke, browser):
    opened = browsing.Opened(browser, "light")
    file, page = smoke / "site/notebooks/10_rationale_explorer.html", opened.page
    [table] = (smoke / "tables").glob("10_explorer_*.json")
    data = json.loads(table.read_text(encoding="utf-8"))
    questions = data["questions"]

    def count() -> int:
        return int(page.locator(".explorer-status").inner_text().split()[0])

    opened.go(file)
    assert count() == len(questions)
    selects = page.locator(".explorer-filters select")
    selects.last.select_option("wrong")
    assert count() == sum(not row["answers"][-1]["right"] for row in questions)
    page.get_by_label("Arms disagree").check()
    assert count() == sum(
        not row["answers"][-1]["right"] and any(answer["right"] for answer in row["answers"]) for row in questions
    )
    page.get_by_role("button", name="Clear filters").click()
    selects.first.select_option(questions[0]["form"])
    assert count() == sum(row["form"] == questions[0]["form"] for row in questions)

    question = questions[-1]
    opened.go(file, f"#q={question['id']}")
    page.reload()
    page.wait_for_selector(f'{browsing.EXPLORER}[data-ready="yes"]')
    details = page.locator(".explorer-details")
    assert details.count() == 1 and question["options"][0][1] in details.inner_text()
    button = page.get_by_role("button", name=f"Details of {question['id']}")
    assert button.get_attribute("aria-expanded") == "true"
    page.keyboard.press("Enter")  # the button has the focus
    assert button.get_attribute("aria-expanded") == "false" and details.count() == 0
    assert opened.errors == []
    opened.close()


def test_search_finds_a_word_of_the_rationales_offline(smoke, browser):
    opened = browsing.Opened(browser, "light")
    [table] = (smoke / "tables").glob("10_explorer_*.json")
    rationales = " ".join(row["teacher"] for row in json.loads(table.read_text(encoding="utf-8"))["questions"]).lower()
    opened.go(smoke / "site/notebooks/04_stage1_rationales.html")
    text = opened.page.locator("article").inner_text().lower()
    word = next(word for word in sorted(set(re.findall(r"[a-z]{7,}", rationales))) if re.search(rf"\b{word}\b", text))
    opened.go(smoke / "site/search.html", f"?q={word}")
    opened.page.wait_for_selector('#search-results a[href*="04_stage1_rationales"]')
    opened.close()


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


AFTER = {"metrics": 1, "page": 4, "book": 1}  # pages: 07 to 10


def jobs_of(recipe: str) -> dict[str, int]:
    """How many trainings of each rule a recipe asks for; variants may share a stage 1."""
    planned = recipes.load(recipe)
    runs = planned.runs()
    chained = [(dataset, variant, seed) for dataset, arm, variant, seed in runs if arm == "two_stage"]
    shared = {(dataset, planned.variant_at("stage1", variant), seed) for dataset, variant, seed in chained}
    return {"stage1": len(shared), "stage2": len(chained), "baseline": len(runs) - len(chained)}


TRAINED = jobs_of("smoke")


def test_one_arms_learning_rate_reruns_that_arm_and_what_depends_on_it(finished_copy):
    more = "arm_settings: {rationale_answer: {learning_rate: 1.0e-3}}\n"
    jobs = changed(finished_copy, "notebooks/recipes/smoke.yaml", lambda text: text + more)
    assert jobs == {"baseline": 2} | AFTER  # two seeds


def test_a_comment_in_a_module_reruns_the_notebooks_that_import_it(finished_copy):
    def comment(text: str) -> str:
        return text + "# a comment\n"

    # teachers: notebooks 02 and 03, so what follows them; arms and tasks: 01, which all but A2 to A4 follow, and these.
    of_teacher = {"teacher_prompting": 1, "rationale_generation": 1} | TRAINED | AFTER
    assert changed(finished_copy, "scicot_utils/teachers/asking.py", comment) == of_teacher
    everything = {"questions": 1} | of_teacher | {"page": 7}
    assert changed(finished_copy, "scicot_utils/arms/answering.py", comment) == everything
    assert changed(finished_copy, "scicot_utils/tasks/reading.py", comment) == everything


def test_what_a_recipe_declares_of_its_benchmarks_reruns_what_reads_them(finished_copy):
    more = "own: {mine: {path: notebooks/recipes/own_example/questions.csv}}\n"
    assert changed(finished_copy, "notebooks/recipes/smoke.yaml", lambda text: text + more)["questions"] == 1


def test_prose_rebuilds_the_book_only(finished_copy):
    assert changed(finished_copy, "book/method.md", lambda text: text + "\nA sentence.\n") == {"book": 1}


def test_the_slurm_profile_plans_the_same_jobs(finished_copy):
    words = "snakemake --workflow-profile notebooks/profiles/slurm --config recipe=micro --dry-run"
    done = call(finished_copy, *words.split())
    assert done.returncode == 0, done.stderr
    assert rules_of(done.stdout).items() >= jobs_of("micro").items()
