"""Exports: what a run made is read again by what reads such things, says what it is, and overwrites nothing."""

import json
import sys

import datasets
import pytest
import yaml
from conftest import MINIMAL, judged, refused
from transformers import AutoModelForCausalLM, AutoModelForSeq2SeqLM, AutoTokenizer

from scicot_utils import __main__, arms, paths, provenance, students, tables
from scicot_utils import recipe as recipes
from scicot_utils.students import PROVIDER_FORMS

PAIR = ("Which? (A) raft (B) robin", "It has feathers. --> robin")
RECIPE = MINIMAL.replace("answer_only", "rationale_answer, two_stage").replace("[0]", "[3]") + "plumbing: too small\n"


@pytest.mark.parametrize(
    ("form", "line"),
    [
        ("chat", {"messages": [{"role": "user", "content": PAIR[0]}, {"role": "assistant", "content": PAIR[1]}]}),
        ("completion", {"prompt": f"{PAIR[0]} ###", "completion": f" {PAIR[1]}"}),
        ("gpt3", {"prompt": f"{PAIR[0]}\n\n###\n\n", "completion": " It has feathers.\n\n-->\n\nrobin END"}),
    ],
)
def test_a_pair_in_a_providers_form(form, line):
    assert PROVIDER_FORMS[form](*PAIR) == line


def test_a_pairs_file_is_never_overwritten(tmp_path):
    assert students.write_pairs([PAIR, PAIR], tmp_path / "pairs.jsonl", "chat") == 2
    before = (tmp_path / "pairs.jsonl").read_bytes()
    with pytest.raises(students.StudentError, match="is there already; name a new file"):
        students.write_pairs([PAIR], tmp_path / "pairs.jsonl", "gpt3")
    assert (tmp_path / "pairs.jsonl").read_bytes() == before


@pytest.fixture
def finished(tmp_path, monkeypatch, question, write_recipe):
    """Makes a finished run of a recipe with a student of random weights, and gives a function that exports from it."""
    monkeypatch.setattr(paths, "OUTPUTS", tmp_path / "outputs")
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")

    def make(student="random/micro", arm="rationale_answer"):
        file = write_recipe(f"{RECIPE}training: {{student: {student}}}\n")
        planned = recipes.load(file)
        rows = [question(id=f"q{i}", split=split) for i, split in enumerate(("train", "train", "test"))]
        dropped = {"q1": {"kept": False, "drop_reason": "duplicate"}}
        rationales = [
            judged(question_id=row["id"], rationale=f"Why {row['id']}.", **dropped.get(row["id"], {})) for row in rows
        ]
        tables.write("questions", rows, paths.questions("mine", "microsci", "main"))
        tables.write("rationales", rationales, paths.rationales("mine", "microsci", "main"))
        run = paths.run("mine", "microsci", arm, "main", 3)
        settings = planned.settings(arm)
        for folder in (run, run / "stage1") if arm == "two_stage" else (run,):
            students.save(arms.load_student("mine", settings, 3), folder / "model")
            study = provenance.Study("06_baselines", file, planned, settings, "microsci", arm, "main", 3, {})
            study.record(folder / "provenance.json", steps=4, inputs_cut=0, targets_cut=1)
        row = {"arm": arm, "split": "test", "metric": "generated", "value": 0.25, "low": 0.1, "high": 0.5, "n": 40}
        others = {"arm": f"{arm}_no_rationale", "value": 0.75}, {"metric": "generated:eats"}
        tables.write_json(run / "metrics.json", [row, *(row | other for other in others)])

        def export(*arguments):
            monkeypatch.setattr(sys, "argv", ["scicot_utils", "export", file, *map(str, arguments)])
            __main__.main()

        return export

    return make


def test_training_pairs_are_exported_as_the_arm_is_trained_on_them(finished, tmp_path, capsys):
    finished()("pairs", tmp_path / "pairs.jsonl", "--form", "gpt3")
    [line] = (tmp_path / "pairs.jsonl").read_text(encoding="utf-8").splitlines()
    assert json.loads(line) == {
        "prompt": "(A) raft (B) robin (C) copper (D) ant Which of these has feathers? Solution:\n\n###\n\n",
        "completion": " Why q0.\n\n-->\n\nrobin END",
    }
    assert "1 training pairs of rationale_answer" in capsys.readouterr().out


def test_rationales_are_exported_as_a_dataset_that_anybody_can_load(finished, tmp_path, capsys):
    finished()("rationales", tmp_path / "why")
    loaded = datasets.load_dataset(str(tmp_path / "why"))
    assert {split: loaded[split]["id"] for split in loaded} == {"train": ["q0", "q1"], "test": ["q2"]}
    assert loaded["train"]["rationale"] == ["Why q0.", "Why q1."] and loaded["train"]["kept"] == [True, False]
    assert loaded["test"][0]["question"] == "Which of these has feathers?" and loaded["test"][0]["answer"] == "B"
    card = (tmp_path / "why" / "README.md").read_text(encoding="utf-8")
    assert "3 rationales, of which 2 were kept" in card and "(`simulated`, prompt `zero_shot_cot/1`" in card
    assert "3 rationales, 2 of them kept" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("student", "kind", "pipeline", "reads"),
    [
        ("random/micro", AutoModelForSeq2SeqLM, "text2text-generation", "Solution:\n"),
        ("random/gpt2-tiny", AutoModelForCausalLM, "text-generation", "Solution: ###\n"),
    ],
)
def test_a_student_is_exported_as_a_model_that_anybody_can_load(finished, tmp_path, student, kind, pipeline, reads):
    finished(student)("student", tmp_path / "student")
    loaded, tokenizer = (auto.from_pretrained(tmp_path / "student") for auto in (kind, AutoTokenizer))
    own = students.load(str(paths.run("mine", "microsci", "rationale_answer", "main", 3) / "model"))
    assert all(tensor.equal(own.model.state_dict()[name]) for name, tensor in loaded.state_dict().items())
    assert tokenizer("a raft")["input_ids"] == own.tokenizer("a raft")["input_ids"]
    _, front_matter, card = (tmp_path / "student" / "README.md").read_text(encoding="utf-8").split("---\n", 2)
    assert yaml.safe_load(front_matter)["pipeline_tag"] == pipeline
    assert f"Which of these has feathers? {reads}" in card and "Why q0. --> robin" in card
    assert f"{students.parameters(own):,} parameters, fine-tuned from `{student}`" in card
    assert "| test | generated | 0.250 | 0.100 | 0.500 | 40 |" in card and "0.750" not in card
    assert "0 inputs and 1 targets were cut" in card and "generated:eats" not in card
    assert "From a plumbing run, which shows no result: too small" in card


def test_both_students_of_two_stage_are_exported_one_by_one(finished, tmp_path):
    export = finished(arm="two_stage")
    export("student", tmp_path / "answers", "--arm", "two_stage")
    export("student", tmp_path / "reasons", "--arm", "two_stage/stage1")
    answers, reasons = ((tmp_path / name / "README.md").read_text(encoding="utf-8") for name in ("answers", "reasons"))
    assert "Solution: Why q0. (A) raft" in answers and "| test | generated |" in answers
    assert "\nWhy q0.\n" in reasons and "| test |" not in reasons


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["student", "{new}", "--seed", "9"], "no finished run in .*seed9; make it first"),
        (["student", "{new}", "--arm", "untrained"], "--arm: found 'untrained', allowed: answer_only, "),
        (["pairs", "{new}", "--dataset", "ARC-Easy"], "--dataset: found 'ARC-Easy', allowed: microsci"),
        (["pairs", "{new}", "--variant", "slow"], "no variant 'slow'"),
        (["student", "{old}"], "is there already; name a new folder"),
        (["rationales", "{old}"], "is there already; name a new folder"),
    ],
)
def test_what_cannot_be_exported_is_told_in_one_line_and_writes_nothing(finished, tmp_path, arguments, message):
    (tmp_path / "old").mkdir()
    arguments = [argument.format(new=tmp_path / "new", old=tmp_path / "old") for argument in arguments]
    with refused(SystemExit, message):
        finished()(*arguments)
    assert not (tmp_path / "new").exists() and not list((tmp_path / "old").iterdir())
