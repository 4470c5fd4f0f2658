"""What pages say in words of the shipped records, each sentence beside the check that it holds in them."""

import functools
import re

import pytest

from scicot_utils import paths, recipe, report
from scicot_utils.recipe import MAIN

SETTLED = {"above", "below"}
BOTH = ("generated", "ranked")


@functools.cache
def rows(record, table):
    return report.Record(record).table(table)


@functools.cache
def settings(record):
    return recipe.load(record).settings()


def directions(record, first, second, *variants, table="08_differences_microsci", measures=BOTH):
    """Where the first arm stands to the second, in these variants (or splits) of a record and with these scorings."""
    variants = variants or (MAIN,)
    comparisons = [
        row
        for row in report.of_pairs(rows(record, table), [(first, second)])
        if row["measure"] in measures and row.get("variant", row.get("split", MAIN)) in variants
    ]
    assert len(comparisons) >= len(variants), f"{record} has no such comparison in each of {variants}"
    return {report.direction(row, settings(record)) for row in comparisons}


def lead(record, first, second, variant, measure):
    differences = report.of_pairs(rows(record, "08_differences_microsci"), [(first, second)], measure)
    [row] = [row for row in differences if row["variant"] == variant]
    return row["difference"]


def accuracy(record, task, arm, metric="generated"):
    frame = report.Record(record).metrics
    runs = report.where(frame, dataset=task, arm=arm, split="test", metric=metric)
    return runs[runs["parameters"] > 0]["value"]


def leads_both(record, *variants):
    """Two-stage is above both rivals."""
    rivals = ("rationale_answer", "answer_only")
    return {"above"} == set().union(*(directions(record, "two_stage", rival, *variants) for rival in rivals))


def sixteen_against_one(task):
    table = f"07_diversity_{task}"
    variants = {row["variant"] for row in rows("symbolic", table)}
    return [
        directions("symbolic", "rationale_answer", "rationale_answer", name, table=table, measures=("generated",))
        for name in variants
    ]


SYMBOLIC = ("CoinFlip", "LastLetter", "ShuffledObjects")


def arc_results(*arms, side=None, name="arc_gemini_thin"):
    """Results of these arms of a record on ARC: (test, scoring, share), all or those whose interval lies there to chance."""
    record = report.Record(name)
    [dataset] = record.planned.distill
    chance = report.chances(record.table("01_fairness"), dataset)
    return [
        (row["test"], row["scoring"], row["mean"])
        for row in report.by_test(dataset, record.metrics)
        if row["arm"] in arms and side in (None, report.interval_side(row, chance[row["test"]]))
    ]


def easy_results(arm, side):
    """The scorings in which an arm of the record on ARC-Easy lies on that side of chance there."""
    return [scoring for test, scoring, _ in arc_results(arm, side=side, name=EASY) if test == "ARC-Easy"]


def arc_arms_alike(name):
    """Whether every interval of a difference between fine-tuned arms includes zero."""
    [dataset] = report.Record(name).planned.distill
    compared = [row for row in rows(name, f"09_comparisons_{dataset}") if row["second"] in ARC_TRAINED]
    return len(compared) == 6 and all(row["low"] < 0 < row["high"] for row in compared)


def easy_apart():
    """(second, difference, low, high) of two-stage's differences that exclude zero, on all tests of the record on ARC-Easy:
    those on ARC-Challenge, generated.
    """
    apart = [
        row
        for row in rows(EASY, "08_carried_ARC-Easy")
        if row["first"] == "two_stage" and not row["low"] < 0 < row["high"]
    ]
    assert {(row["split"], row["measure"]) for row in apart} == {("test_ARC-Challenge", "generated")}
    return sorted((row["second"], *(round(row[name]) for name in ("difference", "low", "high"))) for row in apart)


def easy_shuffled():
    """The differences of two-stage to another question's rationale, in both scorings."""
    return [row for row in rows(EASY, "09_comparisons_ARC-Easy") if row["second"] == "two_stage_shuffled_rationale"]


def arc_grid():
    """The rows of trained students in the grid on ARC-Easy's validation questions."""
    return [row for row in rows("arc_tuning", "08_validation_ARC-Easy") if row["arm"] != "zero_shot"]


def davinci(task, arm):
    """The row of metrics.csv of an arm's generated accuracy in the record on Fine-tune-CoT's tasks."""
    frame = report.Record(DAVINCI).metrics
    [row] = report.where(frame, dataset=task, arm=arm, split="test", metric="generated").to_dict("records")
    return row


def davinci_difference(task, first, second):
    """(difference, low, high) of generated accuracies, in percentage points."""
    [row] = report.of_pairs(rows(DAVINCI, f"09_comparisons_{task}"), [(first, second)], "generated")
    return row["difference"], row["low"], row["high"]


def by_chance(task, arm):
    """Whether the interval of an arm's accuracy lies above, below or around chance."""
    chance = report.chances(report.Record(DAVINCI).table("01_fairness"), task)[task]
    return report.interval_side(davinci(task, arm), chance)


DAVINCI = "finetune_cot_davinci_thin"
EASY = "arc_entailment_thin"
ARC_TRAINED = ("answer_only", "rationale_answer", "two_stage")
FINDINGS = [
    ("arc", "So no student trained here is distinguishable from chance on any test.",
     lambda: arc_results(*ARC_TRAINED) and not arc_results(*ARC_TRAINED, side="above") and not arc_results(*ARC_TRAINED, side="below")),
    ("arc", "Before fine-tuning, the same student ranks the right option of ARC-Easy first about twice as often as chance.",
     lambda: [share for test, scoring, share in arc_results("zero_shot", side="above")] == [0.52]),
    ("arc", "On ARC-Easy, answer only is above chance in both scorings, two-stage when ranked, and rationale + answer in neither.",
     lambda: [easy_results(arm, side="above") for arm in ARC_TRAINED] == [[*BOTH], [], ["ranked"]]),
    ("arc", "which ranks the right option first for 50% of the questions, and for 63% after four exemplars.",
     lambda: [arc_results(arm, name=EASY)[1][2] for arm in ("zero_shot", "few_shot")] == [0.5, 0.63]
     and report.Record(EASY).planned.settings().shots == 4),
    ("arc", "No fine-tuned student ranks as well as the same student before fine-tuning,",
     lambda: max(share for test, _, share in arc_results(*ARC_TRAINED, name=EASY) if test == "ARC-Easy") < 0.5),
    ("arc", "No difference between the fine-tuned arms is distinguishable from zero.", lambda: arc_arms_alike(EASY)),
    ("arc", "generated accuracy falls from 33% to 12%, by 21 points (11 to 31). Its ranked accuracy, 37% in place of 42%, does not fall distinguishably.",
     lambda: [(round(row["difference"]), round(row["low"]), round(row["high"])) for row in easy_shuffled()] == [(21, 11, 31), (5, -7, 17)]
     and [round(100 * share) for arm in ("two_stage", "two_stage_shuffled_rationale") for test, _, share in arc_results(arm, name=EASY)
          if test == "ARC-Easy"] == [33, 42, 12, 37]),
    ("arc", "one for each of 1,043 of the 2,248 training questions.",
     lambda: (2248, 1043) in {(row["rationales"], row["kept"]) for row in rows(EASY, "03_yield_ARC-Easy_main")}),
    ("arc", "a word-overlap baseline finds the right option from 92% of them alone.",
     lambda: [round(100 * row["overlap reads it"]) for row in rows(EASY, "03_leakage_ARC-Easy_main") if row["split"] == "train"] == [92]),
    ("arc", "On ARC-Easy, only the difference to two-stage with another question's rationale is.",
     lambda: [row["second"] for row in rows(EASY, "09_comparisons_ARC-Easy") if not row["low"] < 0 < row["high"]]
     == ["two_stage_shuffled_rationale"]),
    ("index", "answer only and two-stage are above chance, but no fine-tuned student ranks as well as the same student before fine-tuning, and no difference between the fine-tuned arms is distinguishable from zero.",
     lambda: easy_results("answer_only", side="above") and easy_results("two_stage", side="above") and arc_arms_alike(EASY)),
    ("limitations", "In the small runs on [ARC](arc.md), no difference between fine-tuned arms on the benchmark of training is distinguishable from zero.",
     lambda: arc_arms_alike(EASY) and arc_arms_alike("arc_gemini_thin")),
    ("index", "Here no trained student is distinguishable from chance.",
     lambda: not arc_results(*ARC_TRAINED, side="above")),
    ("arc", "The second stage is right far more often with the teacher's rationale than with the first stage's.",
     lambda: min(share for *_, share in arc_results("two_stage_teacher_rationale")) > 1.8 * max(
         share for test, _, share in arc_results("two_stage") if test == "ARC-Challenge")),
    ("arc", "Its accuracy with the first stage's rationale is not distinguishable from its accuracy with another question's rationale.",
     lambda: [row["low"] < 0 < row["high"] for row in rows("arc_gemini_thin", "09_comparisons_ARC-Challenge")
              if row["second"] == "two_stage_shuffled_rationale"] == [True, True]),
    ("arc", "The file of the Gemini model's rationales covers 1,055 of the 1,118 training questions.",
     lambda: (1118, 1055) in {(row["rationales"], row["kept"]) for row in rows("arc_gemini_thin", "03_yield_ARC-Challenge_main")}),
    ("arc", "On ARC-Challenge, two-stage's generated accuracy, 13%, is 14 points (5 to 23) below that of answer only, and 11 points (1 to 21) below that of rationale + answer.",
     lambda: [round(100 * share) for test, scoring, share in arc_results("two_stage", name=EASY)
              if (test, scoring) == ("ARC-Challenge", "generated")] == [13]
     and easy_apart() == [("answer_only", -14, -23, -5), ("rationale_answer", -11, -21, -1)]),
    ("limitations", "On ARC-Challenge, the two-stage student of ARC-Easy is below both one-stage students in generated accuracy.",
     lambda: [second for second, *_ in easy_apart()] == ["answer_only", "rationale_answer"]),
    ("arc", "In these comparisons, no difference on ARC-Challenge is distinguishable from zero.",
     lambda: all(row["low"] < 0 < row["high"] for row in rows("arc_gemini_thin", "09_comparisons_ARC-Challenge"))),
    ("arc", "For two-stage and for rationale + answer, the higher rate with three epochs is best. For answer only, these values are the worst of the grid, and the lower rate with three epochs is best.",
     lambda: [(row["arm"], row["learning_rate"], row["epochs"]) for row in arc_grid() if row["best"]]
     == [("answer_only", 5e-5, 3), ("rationale_answer", 3e-4, 3), ("two_stage", 3e-4, 3)]
     and min((row for row in arc_grid() if row["arm"] == "answer_only"), key=lambda row: row["mean"])["variant"] == MAIN),
    ("arc", "Before fine-tuning, the student ranks the right option first for 52% of these questions. No fine-tuned student reaches that.",
     lambda: [row["ranked"] for row in rows("arc_tuning", "08_validation_ARC-Easy") if row["arm"] == "zero_shot"] == [0.52]
     and max(row[measure] for row in arc_grid() for measure in BOTH) < 0.52),
    ("fine_tune_cot", "On coin flip, fine-tuning on rationales (rationale + answer) reaches 87%, fine-tuning on answers (answer only) 55%.",
     lambda: [round(100 * davinci("CoinFlip", arm)["value"]) for arm in ("rationale_answer", "answer_only")] == [87, 55]),
    ("fine_tune_cot", "Answer only, zero-shot and few-shot-CoT are not distinguishable from chance on this task. Two-stage reaches 76%, between answer only and rationale + answer.",
     lambda: {by_chance("CoinFlip", arm) for arm in ("answer_only", "zero_shot", "few_shot_cot")} == {"around"}
     and round(100 * davinci("CoinFlip", "two_stage")["value"]) == 76
     and davinci_difference("CoinFlip", "two_stage", "rationale_answer")[2] < 0 < davinci_difference("CoinFlip", "two_stage", "answer_only")[1]),
    ("fine_tune_cot", "its accuracy falls by 24 points with another question's rationale.",
     lambda: round(davinci_difference("CoinFlip", "two_stage", "two_stage_shuffled_rationale")[0]) == 24
     and davinci_difference("CoinFlip", "two_stage", "two_stage_shuffled_rationale")[1] > 0),
    ("fine_tune_cot", "On SingleEq, no student reaches 5%, but the second stage reaches 76% with the teacher's rationale. The reason is that 93% of the teacher's kept rationales contain the answer,",
     lambda: max(davinci("SingleEq", arm)["value"] for arm in ("zero_shot", "few_shot_cot", *ARC_TRAINED)) < 0.05
     and round(100 * davinci("SingleEq", "two_stage_teacher_rationale")["value"]) == 76
     and {round(100 * row["names gold"]) for row in rows(DAVINCI, "03_leakage_SingleEq_main") if row["split"] != "validation"} == {93}),
    ("fine_tune_cot", "On date understanding, fine-tuning on rationales is not distinguishable from chance, and fine-tuning on answers is below it.",
     lambda: [by_chance("DateUnderstanding", arm) for arm in ("rationale_answer", "answer_only")] == ["around", "below"]),
    ("index", "On SingleEq and date understanding, the run's other tasks, the difference in generated accuracy between these two arms is not distinguishable from zero.",
     lambda: all(low < 0 < high for _, low, high in (davinci_difference(task, "rationale_answer", "answer_only") for task in ("SingleEq", "DateUnderstanding")))),
    ("ablations", "Two-stage is above both one-stage arms, rationale + answer and answer only, at each of 300, 1,000 and 3,000 training pairs.",
     lambda: leads_both("micro_ablations", "train_300", MAIN, "train_3000") and settings("micro_ablations").train_size == 1000),
    ("ablations", "Its lead over rationale + answer is smaller with 3,000 than with 300.",
     lambda: all(lead("micro_ablations", "two_stage", "rationale_answer", "train_3000", measure)
                 < lead("micro_ablations", "two_stage", "rationale_answer", "train_300", measure) for measure in BOTH)),
    ("ablations", "Without the filter, at the teacher's default error rate, rationale + answer stays above answer only.",
     lambda: directions("micro_ablations", "rationale_answer", "answer_only", "unfiltered") == {"above"}),
    ("ablations", "When the teacher recalls 30% of its facts wrongly, rationale + answer is not told apart from answer only, with or without the filter. Two-stage stays above both.",
     lambda: directions("micro_ablations", "rationale_answer", "answer_only", "error_30", "error_30_unfiltered") == {"not told apart from"}
     and leads_both("micro_ablations", "error_30", "error_30_unfiltered")),
    ("ablations", "Rationale + answer is better with sixteen rationales per question than with one, given 250 questions. With 1,000 questions, four rationales are not told apart from one.",
     lambda: directions("micro_ablations", "rationale_answer", "rationale_answer", "pool_250_diverse_16", table="07_diversity_microsci") == {"above"}
     and directions("micro_ablations", "rationale_answer", "rationale_answer", "pool_1000_diverse_4", table="07_diversity_microsci")
     <= {"no different from", "not told apart from"}),
    ("ablations", "Two-stage is also above both one-stage arms when stage 2 learns from the teacher's and students' rationales, and when the question precedes the rationale in its input.",
     lambda: leads_both("micro_ablations", "both", "question_first")),
    ("ablations", "the two one-stage arms are no different from each other. The seeds of two-stage then vary so much that it is not told apart from either.",
     lambda: directions("micro_ablations", "rationale_answer", "answer_only", "label") == {"no different from"}
     and directions("micro_ablations", "two_stage", "rationale_answer", "label") == {"not told apart from"}
     and directions("micro_ablations", "two_stage", "answer_only", "label") == {"not told apart from"}),
    ("ablations", "Two-stage is above both one-stage arms with each of the three students. Its lead over rationale + answer is greatest with the other pretraining seed.",
     lambda: leads_both("micro_students", MAIN, "other_pretraining", "small_student")
     and all(max((MAIN, "other_pretraining", "small_student"), key=lambda name: lead("micro_students", "two_stage", "rationale_answer", name, measure))
             == "other_pretraining" for measure in BOTH)),
    ("ablations", "With the shipped student, rationale + answer is above answer only; with the other two, it is not.",
     lambda: directions("micro_students", "rationale_answer", "answer_only") == {"above"}
     and "above" not in directions("micro_students", "rationale_answer", "answer_only", "other_pretraining", "small_student")),
    ("model_card", "Seed 2, whose record is shipped, reads, but seldom finds a statement that is asked for in its own text.",
     lambda: [skills["read"] > 0.9 and skills["find_own"] < 0.5 for skills in
              (student["skills"] for student in report.Record("micro_students").students() if student["student"] == "micro/seed2")] == [True]),
    ("limitations", "With another pretraining seed and with a smaller student, two-stage is also above both one-stage arms,",
     lambda: leads_both("micro_students", "other_pretraining", "small_student")),
    ("limitations", "On forms and domains not seen in training, two-stage is not told apart from rationale + answer;",
     lambda: directions("micro_full", "two_stage", "rationale_answer", "test_forms", "test_domain", table="08_carried_microsci") == {"not told apart from"}),
    ("full_study", "Two-stage is above this arm when the one model is trained for half of two-stage's total steps. When the total steps are equal, the two arms are not told apart.",
     lambda: directions("micro_full", "two_stage", "two_stage_shared") == {"above"}
     and not SETTLED & directions("micro_full", "two_stage", "two_stage_shared", "twice_the_steps")),
    ("full_study", "the one model is above rationale + answer trained for as many steps. With half that number for both, it is not.",
     lambda: directions("micro_full", "two_stage_shared", "rationale_answer", "twice_the_steps") == {"above"}
     and not SETTLED & directions("micro_full", "two_stage_shared", "rationale_answer")),
    ("full_study", "In the arms multi-task and answer + rationale, the rationale is only a training target. Neither arm is told apart from answer only, with either number of steps.",
     lambda: not SETTLED & (directions("micro_full", "multitask", "answer_only", MAIN, "twice_the_steps")
                            | directions("micro_full", "answer_rationale", "answer_only", MAIN, "twice_the_steps"))),
    ("fine_tune_cot", "On coin flip, answer-only students are right on every question, as are the paper's own T5 and Flan-T5 students.",
     lambda: set(accuracy("symbolic", "CoinFlip", "answer_only")) == {1.0}
     and set(report.where(report.published(), task="CoinFlip", method="fine-tuning on answers", size="60M")["accuracy"]) == {100.0}),
    ("fine_tune_cot", "The encoder–decoder trained on one rationale per question is below answer only.",
     lambda: directions("symbolic", "rationale_answer", "answer_only", table="09_comparisons_CoinFlip", measures=("generated",)) == {"below"}),
    ("fine_tune_cot", "On last letters, the encoder–decoder learns nothing from so few questions, with answers or rationales.",
     lambda: report.where(report.Record("symbolic").metrics, dataset="LastLetter", split="test", metric="generated")
     .query("parameters == 311168")["value"].max() < 0.02),
    ("fine_tune_cot", "On shuffled objects, no student is more than two points above chance.",
     lambda: max(accuracy("symbolic", "ShuffledObjects", arm).max() for arm in ("answer_only", "rationale_answer")) < 1 / 3 + 0.02),
    ("fine_tune_cot", "So on each of the three tasks, rationale + answer with one rationale per question is not above answer only. Sixteen rationales per question are not told apart from one in any of the six comparisons:",
     lambda: all("above" not in directions("symbolic", "rationale_answer", "answer_only", MAIN, "gpt2", table=f"08_differences_{task}", measures=("generated",))
                 for task in SYMBOLIC)
     and [bool(SETTLED & stands) for task in SYMBOLIC for stands in sixteen_against_one(task)].count(True) == 0
     and sum(len(sixteen_against_one(task)) for task in SYMBOLIC) == 6),
]  # fmt: skip


@pytest.mark.parametrize(("page", "sentence", "holds"), FINDINGS)
def test_a_finding_on_a_page_is_one_of_the_record(page, sentence, holds):
    assert sentence in (paths.BOOK / f"{page}.md").read_text(encoding="utf-8")
    assert holds()


@pytest.mark.parametrize("page", ["ablations", "full_study", "fine_tune_cot"])
def test_a_page_of_records_says_nothing_of_arms_that_is_not_held_against_them(page):
    text = (paths.BOOK / f"{page}.md").read_text(encoding="utf-8")
    for finding_page, sentence, _ in FINDINGS:
        text = text.replace(sentence, "") if finding_page == page else text
    unchecked = re.findall(r"(?:is|are|stays?) (?:above|below|better|worse|not told|no different)|leads|passes", text)
    assert unchecked == []
