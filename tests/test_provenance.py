"""How a notebook opens: which parameters count, what a changed one leads to, and the record it leaves."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from dataclasses import replace
from types import SimpleNamespace

import pytest
from conftest import refused

from scicot_utils import paths, provenance, tables
from scicot_utils import recipe as recipes
from scicot_utils.provenance import begin
from scicot_utils.recipe import MAIN, RecipeError
from scicot_utils.report import style

NOTEBOOK = "06_baselines"


def opened(changed: dict | None = None, injected: dict | None = None, notebook: str = NOTEBOOK, **kwargs):
    """`begin` as the notebook calls it: its defaults, edited in the cell and overridden by papermill's cell."""
    values = recipes.notebook_defaults(notebook) | (changed or {})
    cells = ["\n".join(f"{name} = {value!r}" for name, value in values.items())]
    if injected is not None:
        cells.append("# Parameters\n" + "\n".join(f"{name} = {value!r}" for name, value in injected.items()))
    return begin(notebook, values | (injected or {}) | {"In": ["", *cells]}, **kwargs)


def test_defaults_are_the_micro_recipe_for_the_arm_and_another_recipe_brings_its_own_values():
    study = opened()
    assert (study.name, study.arm, study.variant, study.seed, study.changed) == ("micro", "answer_only", "main", 0, {})
    assert study.settings == recipes.load("micro").settings("answer_only")
    smoke = opened(injected={"recipe": "smoke"})
    assert smoke.settings == recipes.load("smoke").settings("answer_only") and smoke.changed == {}


def test_a_stage_that_variants_share_is_run_as_the_variant_in_which_it_lies():
    scope = {"recipe": "smoke", "dataset": "microsci", "variant": "crossfit", "seed": 1}
    study = opened(injected=scope, notebook="04_stage1_rationales", arm="two_stage", stage="stage1")
    assert (study.variant, study.settings.stage2_source) == (MAIN, "teacher")
    answers = opened(injected=scope, notebook="05_stage2_answers", arm="two_stage")
    assert (answers.variant, answers.settings.stage2_source) == ("crossfit", "crossfit")
    assert answers.stage1() == study.stage1() == study.run() / "stage1"


def test_what_the_pipeline_passes_changes_nothing():
    recipe = recipes.load("smoke")
    which = {"recipe": "smoke", "dataset": "microsci", "arm": "answer_only", "variant": "train_60", "seed": 1}
    study = opened(injected=recipes.parameters(recipe, NOTEBOOK, **which))
    assert study.changed == study.unused == {} and study.variant == "train_60" and study.seed == 1
    assert study.settings.train_size == 60 and "Not used" not in study._repr_markdown_()


@pytest.mark.parametrize("name", sorted(path.stem for path in paths.RECIPES.glob("*.yaml")))
def test_rationales_and_their_completions_lie_where_the_pipeline_waits_for_them(name):
    recipe = recipes.load(name)
    for variant in {recipe.variant_at("rationales", variant) for variant in (MAIN, *recipe.variants)}:
        which = {"recipe": name, "dataset": recipe.distill[0], "variant": variant}
        passed = recipes.parameters(recipe, "03_rationale_generation", **which)
        study = opened(injected=passed, notebook="03_rationale_generation")
        assert {study.completions().stem, study.rationales().stem} == {variant}


@pytest.mark.parametrize("origin", ["changed", "injected"])
def test_a_value_changed_by_hand_makes_a_variant_named_after_it(origin):
    study = opened(**{origin: {"learning_rate": 0.5}})
    assert study.variant == "learning_rate=0.5" and study.settings.learning_rate == 0.5
    assert "learning_rate=0.5" in study.run().as_posix()
    assert study.rationales() == paths.rationales("micro", "microsci", "main"), "tables to the left are shared"


def test_how_a_teacher_is_reached_makes_no_variant_and_what_it_is_does():
    reached = {"teacher_in_flight": 64, "max_requests": 9, "teacher_base_url": "http://127.0.0.1:1/v1"}
    study = opened(injected=reached, notebook="03_rationale_generation")
    assert (study.variant, study.changed, study.settings.teacher_in_flight) == ("main", {}, 64)
    study = opened(injected=reached | {"teacher_max_tokens": 9}, notebook="03_rationale_generation")
    assert study.variant == "teacher_max_tokens=9"


@pytest.mark.parametrize("origin", ["changed", "injected"])
@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        ({"learning_rate": "fast"}, "learning_rate"), ({"steps": 0}, "steps"), ({"steps": 2.5}, "steps"),
        ({"dropout": 1.5}, "dropout"), ({"seed": -1}, "seed"), ({"seed": "one"}, "seed"),
        ({"dataset": "ARC-Hard"}, "dataset"), ({"variant": "nothing"}, "variant"), ({"recipe": "nothing"}, "recipe"),
        ({"learnign_rate": 1}, "learnign_rate.*did you mean learning_rate?"),
    ],
)  # fmt: skip
def test_an_impossible_value_and_a_misspelt_parameter_are_named_in_one_line(origin, parameters, words):
    with refused(RecipeError, words):
        opened(**{origin: parameters})


def test_names_made_by_later_cells_are_no_parameters():
    values = recipes.notebook_defaults(NOTEBOOK) | {"summary": 3, "title": "text"}
    first = "\n".join(f"{name} = {value!r}" for name, value in recipes.notebook_defaults(NOTEBOOK).items())
    cells = [first, "summary = 3", "title = 'text'"]
    assert begin(NOTEBOOK, values | {"In": ["", *cells]}).changed == {}


def test_the_record_holds_what_it_takes_to_run_again_and_names_no_host_or_user(tmp_path, monkeypatch):
    study = opened()
    output = tmp_path / "output.txt"
    output.write_text("output")
    monkeypatch.setattr("scicot_utils.provenance.study.commit", lambda: {"commit": "another", "modified": True})
    study.record(tmp_path / "provenance.json", outputs=[output], training_seconds=1.0)
    content = json.loads((tmp_path / "provenance.json").read_text())
    assert content["settings"]["learning_rate"] == study.settings.learning_rate
    assert set(content["packages"]) >= {"torch", "transformers"} and content["seconds"] >= 0
    assert list(content["outputs"].values()) == [tables.digest(output)]
    assert content["commit"] != "another"  # that of the beginning
    assert not {"host", "hostname", "user", "node"} & content.keys()


def test_the_record_names_the_gpu_that_was_used_and_the_most_memory_taken_of_it(tmp_path, monkeypatch):
    cuda = SimpleNamespace(
        is_initialized=lambda: True, get_device_name=lambda: "a card", max_memory_reserved=lambda: 3 * 2**29
    )
    for module, expected in ((SimpleNamespace(cuda=cuda), ("a card", 1.5)), (None, (None, None))):
        monkeypatch.setitem(sys.modules, "torch", module)
        opened().record(tmp_path / "provenance.json")
        content = json.loads((tmp_path / "provenance.json").read_text())
        assert (content.get("gpu"), content.get("gpu_gib")) == expected


def test_what_is_shown_is_saved_under_the_notebooks_number_and_goes_to_pages_of_the_first_benchmark(
    monkeypatch, tmp_path
):
    study, displayed, pasted = opened(injected={"recipe": "smoke"}, notebook="09_claims"), [], {}
    monkeypatch.setattr(paths, "OUTPUTS", tmp_path)
    monkeypatch.setattr("IPython.display.display", lambda *things: displayed.extend(things))
    monkeypatch.setattr("myst_nb.glue", lambda name, value, display: pasted.update({name: value}))
    figure, _ = style.panels(["one"], (2, 2))
    results = {"seen_figure": style.Picture(figure, "seen"), "seen": style.Details("all", style.Table([{"a": 1}]))}
    study.show("microsci", **results, text=style.Paragraph("text"))
    study.show("other", seen=style.Table([{"a": 2}]))
    study.save(alone=style.Table([{"a": 3}]))
    folders = [paths.figures("smoke"), *3 * [paths.tables("smoke")]]
    names = ("09_seen_microsci.svg", "09_seen_microsci.csv", "09_seen_other.csv", "09_alone.csv")
    assert study.outputs == [folder / name for folder, name in zip(folders, names, strict=True)]
    assert (folders[1] / "09_seen_other.csv").read_text() == "a\n2\n" and len(displayed) == 4
    assert [*pasted] == ["seen_figure", "seen", "text"]
    several = study.recipe.model_copy(update={"distill": ["microsci", "other"]})
    replace(study, recipe=several, outputs=[]).show("other", again=style.Paragraph("text"))
    assert [str(thing) for thing in displayed[-2:]] == ["other:", "text"] and [*pasted] == [
        "seen_figure",
        "seen",
        "text",
    ]
    study.record()
    recorded = json.loads((folders[1] / "09_claims.provenance.json").read_text())
    assert len(recorded["outputs"]) == 4
    monkeypatch.setenv(provenance.ENGINE, "1")
    with refused(provenance.InputError, r"missing .*nothing\.parquet; run the notebook that writes it"):
        study.need(tmp_path / "nothing.parquet")


def test_the_checksum_of_a_folder_sees_names_and_contents(tmp_path):
    (tmp_path / "a").write_text("1")
    first = tables.digest(tmp_path)
    (tmp_path / "a").rename(tmp_path / "b")
    second = tables.digest(tmp_path)
    (tmp_path / "b").write_text("2")
    assert len({first, second, tables.digest(tmp_path)}) == 3


def test_a_package_that_a_notebook_reaches_counts_with_all_its_files_and_another_does_not():
    package = {paths.relative(file) for file in (paths.PACKAGE / "prompts").glob("*.py")}
    assert "scicot_utils/prompts/__init__.py" in package and len(package) > 1
    assert package <= set(provenance.code("02_teacher_prompting"))  # imports it
    assert package <= set(provenance.code("04_stage1_rationales"))  # through arms
    assert not [name for name in provenance.code("09_claims") if "teachers" in name]  # which it does not reach


EMBEDDED = {  # notebook → modules of the embedded world that it runs, and some that it does not
    "01_questions": ("facts questions reasoning statistics", "teacher probing"),
    "02_teacher_prompting": ("facts reasoning teacher", "pretraining probing"),
    "03_rationale_generation": ("facts reasoning teacher", "pretraining probing"),
    "04_stage1_rationales": ("facts pretraining", "teacher probing"),
    "06_baselines": ("facts pretraining", "teacher probing"),
    "A1_micro_student": ("facts pretraining probing", "teacher statistics"),
    "A2_what_it_knows": ("facts pretraining probing questions", "teacher statistics"),
}


@pytest.mark.parametrize("notebook", EMBEDDED)
def test_what_the_core_imports_only_when_it_is_named_counts_for_the_notebooks_that_may_run_it(notebook):
    needed, spared = ({f"scicot_utils/microsci/{name}.py" for name in names.split()} for names in EMBEDDED[notebook])
    files = {*provenance.code(notebook)}
    assert needed <= files and not spared & files


@pytest.mark.parametrize("notebook", sorted(file.stem for file in paths.NOTEBOOKS.glob("*.ipynb")))
def test_a_notebooks_code_is_closed_under_imports_of_names_that_are_modules(notebook):
    reached = provenance.code(notebook)
    modules = {paths.relative(file): file for file in paths.PACKAGE.rglob("*.py")}
    assert {*reached} <= {*modules} and "scicot_utils/__init__.py" in reached
    imported = re.compile(r"^ *from scicot_utils(\.[\w.]+)? import ([\w, ]+)$", re.M)
    for name in reached:
        for package, names in imported.findall(modules[name].read_text("utf-8")):
            folder = f"scicot_utils{package.replace('.', '/')}"
            files = {f"{folder}/{submodule}.py" for submodule in names.replace(" ", "").split(",")}
            assert files & {*modules} <= {*reached}, (name, names)


def test_right_answers_are_shown_by_hand_only_where_the_recipe_asks_about_training(write_recipe):
    micro = (paths.RECIPES / "micro.yaml").read_text(encoding="utf-8")
    file = write_recipe(micro.replace("teacher: simulated\n", "teacher: simulated\n  teacher_splits: train\n"))
    changes = {"prompt": "gold_shown"}
    study = opened(injected={"recipe": file} | changes, notebook="03_rationale_generation")
    assert study.settings.prompt == "gold_shown" and study.variant == "prompt=gold_shown"
    with refused(RecipeError, "teacher_splits.*allowed: train"):
        opened(injected=changes, notebook="03_rationale_generation")


def test_a_student_that_a1_makes_lies_in_the_recipes_own_folder_and_the_weights_that_there_are_are_recorded():
    study = opened(injected={"recipe": "micro_students", "variant": "small_student"})
    folder = paths.pretraining("micro_students", "micro-small", 0) / "model"
    assert study.student() == [folder] and study.weights() == sorted(folder.glob("*.safetensors"))
    assert opened().student() == [] and opened().weights() == [paths.MICRO_STUDENT / "model.safetensors"]
    assert opened(changed={"student": "random/micro"}).weights() == []  # from a seed


def test_an_architecture_has_a_folder_of_its_own_and_is_not_changed_by_hand():
    study = opened(changed={"architecture": "micro-small"}, notebook="A1_micro_student")
    assert study.settings.architecture == "micro-small" and study.changed == {} and study.variant == "main"


def make_repository(folder):
    """A git repository with one commit."""
    author = ["-c", "user.name=n", "-c", "user.email=n@example.org"]
    for command in (["init", "-q"], [*author, "commit", "-q", "--allow-empty", "-m", "x"]):
        subprocess.run(["git", *command], cwd=folder, check=True)


def test_a_new_record_does_not_make_the_code_count_as_changed(tmp_path, monkeypatch):
    make_repository(tmp_path)
    monkeypatch.setattr(paths, "ROOT", tmp_path)
    monkeypatch.setattr(paths, "REFERENCE", tmp_path / "outputs" / "reference")
    (tmp_path / "outputs" / "reference").mkdir(parents=True)
    (tmp_path / "outputs" / "reference" / "metrics.csv").write_text("1")
    assert not provenance.commit()["modified"]
    (tmp_path / "arms.py").write_text("2")
    assert provenance.commit()["modified"]


# Settings that held


@pytest.mark.parametrize("reference", sorted(path.stem for path in paths.RECIPES.glob("*.yaml")))
def test_the_settings_shown_are_those_used_for_every_notebook_arm_and_variant(reference):
    planned = recipes.load(reference)
    cases = [("01_questions", "", MAIN), ("03_rationale_generation", "", MAIN)]
    for _, arm, variant, _ in planned.runs():
        notebooks = ("04_stage1_rationales", "05_stage2_answers") if arm == "two_stage" else ("06_baselines",)
        cases += [(notebook, arm, variant) for notebook in notebooks]
    for notebook, arm, variant in dict.fromkeys(cases):
        study = provenance.Study(
            notebook, reference, planned, planned.settings(arm, variant), planned.distill[0], arm, variant, 0, {}
        )
        for key, value, origin in study.settings_used():
            assert value == getattr(planned.settings(arm, variant), key)
            values = {
                "default": type(planned.settings()).model_fields[key].default,
                "recipe": planned.flat()[key],
                f"recipe, for arm {arm}": planned.arm_settings.get(arm, {}).get(key),
                f"variant {variant}": planned.variants.get(variant, {}).get(key),
            }
            assert values[origin] == value
        keys = {key for key, _, _ in study.settings_used()}
        assert keys == set(recipes.notebook_defaults(notebook)) & set(recipes.SECTION_OF) - set(recipes.HIDDEN)


def test_a_page_shows_the_steps_that_were_trained_and_not_only_the_cells():
    for more, row in (({}, "<td>40</td><td>recipe</td>"), ({"steps": 7}, "<td>7</td><td>parameter</td>")):
        study = opened(injected={"recipe": "smoke"} | more)
        assert f"<td>steps</td>{row}" in study._repr_markdown_()


def test_a_value_in_the_cell_that_did_not_hold_is_refused_in_a_line_and_one_that_is_given_holds():
    study = opened({"recipe": "smoke"}, notebook="06_baselines")  # its cell has the default recipe's 300 steps in view
    assert study.unused["steps"] == 300 and study.settings.steps == 40
    assert re.search(r"\*\*Not used\*\*.*`steps = 300`", study._repr_markdown_())
    injected = opened(injected={"recipe": "smoke", "steps": 300}, notebook="06_baselines")
    assert injected.settings.steps == 300 and "steps" not in injected.unused and injected.variant == "steps=300"


def test_a_copy_inside_another_repository_takes_no_commit_of_it(tmp_path, monkeypatch):
    make_repository(tmp_path)
    inside = tmp_path / "copy"
    inside.mkdir()
    monkeypatch.setattr(paths, "ROOT", inside)
    assert provenance.commit() == {"commit": "unknown", "modified": False}
    monkeypatch.setattr(paths, "ROOT", tmp_path)
    monkeypatch.setattr(paths, "REFERENCE", tmp_path / "reference")
    assert re.fullmatch("[0-9a-f]{40}", provenance.commit()["commit"])


def test_what_a_recipe_reads_from_outside_is_listed_once_by_content(tmp_path, monkeypatch, write_recipe):
    monkeypatch.setenv("MINE", str(tmp_path))
    text = (paths.RECIPES / "own_example.yaml").read_text(encoding="utf-8")
    text = text.replace("notebooks/recipes/own_example/questions.csv", "${MINE}/q.csv")
    file = write_recipe(text.replace("random/gpt2-tiny", "org/model"))
    sums = []
    for content in "ab":
        (tmp_path / "q.csv").write_text(content, encoding="utf-8")
        rows = {row["key"]: row for row in provenance.sources(recipes.load(file))}
        assert [*rows] == ["own.everyday.path", "teacher_path", "student"]
        assert (rows["student"]["named"], rows["student"]["sha256"]) == ("org/model", "–")
        assert rows["own.everyday.path"]["named"] == "${MINE}/q.csv"
        sums.append(rows["own.everyday.path"]["sha256"])
    assert sums[0] != sums[1] and len(sums[0]) == 64
    assert provenance.sources(recipes.load("micro")) == []
