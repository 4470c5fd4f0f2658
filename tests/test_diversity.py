"""Fine-tune-CoT's tasks, published figures, and what D brings."""

import pandas as pd
import pytest
from conftest import completion, judged, make_question, prediction
from conftest import planned as planned_of

from scicot_utils import paths, prompts, report, tables
from scicot_utils.tasks import TASKS

COLUMNS = ("arm", "variant", "seed", "split", "metric", "value", "n", "dataset")


def planned(datasets=("CoinFlip",), variants=None):
    of_arms = planned_of(("answer_only", "rationale_answer"), datasets=datasets)
    return of_arms.model_copy(update={"variants": variants or {"d_4": {"samples": 4}}})


def measured(*rows):
    return pd.DataFrame([dict(zip(COLUMNS, row, strict=True)) for row in rows])


def test_the_papers_figures_are_of_its_twelve_tasks_and_of_nothing_else():
    frame = report.published()
    names = {*frame["task"]}
    assert len(names) == 12 and names == {name for name, task in TASKS.items() if "arXiv 2212.10071" in task.source}
    assert frame["accuracy"].between(0, 100).all() and not frame.duplicated(["method", "model", "size", "task"]).any()
    whose = frame.set_index(["method", "model", "size", "task"])["accuracy"]
    assert whose["Fine-tune-CoT, diverse", "Flan-T5", "60M", "ShuffledObjects"] == 62.22
    assert whose["fine-tuning on answers", "T5", "60M", "ShuffledObjects"] == 94.22
    assert whose["few-shot CoT", "GPT-3", "6.7B", "LastLetter"] == 0.67
    assert ("few-shot CoT", "GPT-3", "6.7B", "ShuffledObjects") not in whose.index


def test_figures_of_others_on_arc_name_their_source():
    frame = report.published("arc")
    assert {*frame["task"]} == {"ARC-Easy", "ARC-Challenge"} and frame["source"].str.len().min() > 5


def test_the_published_table_has_a_row_a_method_and_says_where_nothing_is_given():
    table = report.published_table(report.published())
    rows = {(row["method"], row["model"], row["size"]): row for row in table.frame.to_dict("records")}
    assert len(rows) == 19
    diverse = rows["Fine-tune-CoT, diverse", "Flan-T5", "60M"]
    assert diverse["MultiArith"] == 17.22 and pd.isna(diverse["GSM8K"])
    assert "| – |" in table.markdown()


def test_what_a_run_measured_stands_by_arm_and_variant():
    frame = measured(
        ("answer_only", "main", 0, "test", "generated", 0.4, 9, "CoinFlip"),
        ("answer_only", "main", 1, "test", "generated", 0.6, 9, "CoinFlip"),
        ("answer_only", "main", 0, "test", "generated", 0.1, 9, "microsci"),
        ("rationale_answer", "d_4", 0, "test", "generated", 0.9, 9, "LastLetter"),
        ("rationale_answer", "d_4", 0, "validation", "generated", 0.2, 9, "LastLetter"),
    )
    plan = planned(["LastLetter", "microsci", "CoinFlip"])
    first, second = report.measured_on_tasks(frame, plan, report.published())
    assert first == {"arm": "answer only", "variant": "main", "seeds": 2, "LastLetter": None, "CoinFlip": 50.0}
    assert second["LastLetter"] == 90.0 and second["CoinFlip"] is None and second["variant"] == "d_4"
    assert report.measured_on_tasks(frame, planned(["microsci"]), report.published()) == []


def test_the_yield_of_d_counts_questions_rationales_and_copies(tmp_path, monkeypatch):
    monkeypatch.setattr(paths, "OUTPUTS", tmp_path)
    plan = planned()

    def said(name, sample, text, kept=True):
        return judged(question_id=name, sample=sample, rationale=text, kept=kept)

    single = [said("a", 0, "Heads up."), said("b", 0, "Tails.", kept=False), said("t", 0, "Unseen.")]
    several = [*single, said("a", 1, "heads  UP."), said("a", 2, "Up, heads."), said("b", 1, "Heads.")]
    tables.write("rationales", single, paths.rationales("mine", "CoinFlip", "main"))
    tables.write("rationales", several, paths.rationales("mine", "CoinFlip", "d_4"))
    questions = {"a": {"split": "train"}, "b": {"split": "train"}, "t": {"split": "test"}}
    first, second = report.yields(plan, "CoinFlip", questions)
    assert first == {
        "variant": "main", "D": 1, "questions asked": 2, "with one kept": 0.5, "kept a question": 1.0,
        "of different wording": 1.0,
    }  # fmt: skip
    assert second["D"] == 4 and second["with one kept"] == 1.0 and second["kept a question"] == 2.0
    assert second["of different wording"] == pytest.approx(3 / 4)
    assert report.yields(planned(variants={"fast": {"steps": 2}}), "CoinFlip", questions) == []


def test_what_d_brings_is_told_from_least_to_most():
    rows = [
        ("rationale_answer", variant, seed, "test", "generated", value + 0.1 * seed, 9, "CoinFlip")
        for variant, value in (("main", 0.2), ("d_4", 0.5))
        for seed in (0, 1)
    ]
    summary = report.diversity_summary(measured(*rows), planned(), "CoinFlip")
    assert "25.0% with D = 1 and 55.0% with D = 4 (2 seeds)" in summary
    assert report.diversity_summary(measured(*rows), planned(variants={"fast": {"steps": 2}}), "CoinFlip") == ""


def test_answers_are_shown_with_either_reading_of_the_same_texts(tmp_path, monkeypatch):
    monkeypatch.setattr(paths, "OUTPUTS", tmp_path)
    plan = planned(["ShuffledObjects"])
    things = {"label": ["A", "B", "C"], "text": ["a red ball", "a blue ball", "a green ball"]}
    row = {"dataset": "ShuffledObjects", "split": "test", "question": "Which?", "choices": things, "answer": "B"}
    questions = {name: make_question(**row | {"id": name}) for name in "qr"}
    texts = {  # the paper's reading takes the letter of a word, and looks for a missing answer in the rationale
        "answer_only": {"q": "(B)", "r": "Both are balls."},
        "rationale_answer": {"q": "After C it is that. --> (B)", "r": "Alice has the blue one, B."},
    }
    for arm, by_question in texts.items():
        for seed in plan.seeds:
            run = {"dataset": "ShuffledObjects", "arm": arm, "seed": seed, "answer": "", "option_scores": [0.0] * 3}
            rows = [prediction(question_id=name, text=text, **run) for name, text in by_question.items()]
            folder = paths.run("mine", "ShuffledObjects", arm, "main", seed)
            tables.write("predictions", rows, folder / "predictions.parquet")
    prompt = prompts.TEACHER_PROMPTS[plan.settings().prompt]
    cue = prompt.answer_cue or f"\n{prompts.FINAL}"
    file = paths.completions("mine", "ShuffledObjects", "main")
    text = prompts.with_rationale(prompt, f"x{cue} (B)", "Bob has it.")
    tables.write("completions", [completion(question_id="q", text=text)], file)
    by_name = {row["who"]: row for row in report.readings(plan, "ShuffledObjects", questions)}
    shares = {who: (row["strict"], row["paper"], row["differ"], row["texts"]) for who, row in by_name.items()}
    assert shares["answer only"] == (0.5, 1.0, 0.5, 4)
    assert shares["rationale + answer (Fine-tune-CoT)"] == (0.5, 1.0, 0.5, 4)
    assert shares["teacher"] == (1.0, 1.0, 0.0, 1)
    tables.write("completions", [completion(question_id="q", text="No answer")], file)
    assert "teacher" not in {row["who"] for row in report.readings(plan, "ShuffledObjects", questions)}
