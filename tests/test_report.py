"""Figures, tables and claims: escaped, repeatable, told in words, and no verdict that was not earned."""

import html.parser
import itertools
import json
import re

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from conftest import judged, planned, prediction

from scicot_utils import microsci, paths, rationales, recipe, report, scoring, tables
from scicot_utils.recipe import MAIN
from scicot_utils.report import Paragraph, Picture, ReportError, Table

HOSTILE = "<script>alert('x')</script> \"quoted\" & <img src=x onerror=alert(1)> **bold** $x$"


@pytest.fixture(autouse=True)
def style():
    with matplotlib.rc_context():
        report.set_style()
        yield
    assert plt.get_fignums() == []


@pytest.fixture
def outputs(tmp_path, monkeypatch):
    monkeypatch.setattr(paths, "OUTPUTS", tmp_path)
    monkeypatch.setattr(paths, "REFERENCE", tmp_path / "reference")
    return tmp_path


class Reader(html.parser.HTMLParser):
    """What a browser would see: the tags, the attributes and the text."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.attributes, self.words = [], {}, ""
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes |= dict(attrs)

    def handle_data(self, data):
        self.words += data


def tiny_figure():
    figure, axes = plt.subplots(figsize=(2, 2))
    axes.plot([0, 1], [1, 0], label="a")
    axes.fill_between([0, 1], [0, 0], [1, 1], alpha=0.2)
    axes.legend()
    return figure


# Escapes


@pytest.mark.parametrize(
    ("shown", "times", "tags"),
    [
        (Table([{"text": HOSTILE, HOSTILE: 1}]), 2, ["div", "table"]),
        (report.Details(HOSTILE, Table([{"text": HOSTILE}, {"text": "b"}])), 2, ["details", "summary"]),
        (Paragraph(HOSTILE), 1, ["p"]),
        (report.Stack([Paragraph(HOSTILE), Table([{"a": 1}])]), 1, ["p", "div", "table"]),
    ],
)
def test_hostile_text_is_shown_as_text(shown, times, tags):
    seen = Reader(shown._repr_html_())
    assert not {"script", "img"} & {*seen.tags} and seen.words.count(HOSTILE) == times
    assert seen.tags[: len(tags)] == tags and HOSTILE in repr(shown)


def test_a_folded_table_is_closed_at_first_and_says_how_long_it_is():
    folded = report.Details(HOSTILE, Table([{"text": HOSTILE}, {"text": "b"}]))
    seen = Reader(folded._repr_html_())
    assert "open" not in seen.attributes and f"{HOSTILE} (table of 2 rows)" in seen.words
    assert repr(folded).startswith(HOSTILE)


def test_a_picture_keeps_a_hostile_alt_text_inside_its_attribute():
    seen = Reader(Picture(tiny_figure(), HOSTILE)._repr_html_())
    assert seen.tags.count("img") == 1 and "script" not in seen.tags and not seen.words.strip()
    assert seen.attributes["alt"] == HOSTILE
    assert not any(name.startswith("on") for name in seen.attributes)


# Tables


def test_what_would_turn_a_page_or_end_it_is_shown_by_picture_or_name():
    assert report.visible("a\x00b\x1b[31m\u202ec\nd") == "a␀b␛[31m⟨U+202E⟩c\nd"
    assert report.visible("x" * 50_000).endswith("x… (50,000 characters)")
    assert report.visible("مرحبا é 水") == "مرحبا é 水"


def test_a_table_shows_a_long_text_whole():
    text = "word " * 200
    assert text.strip() in " ".join(Reader(Table([{"text": text}])._repr_html_()).words.split())


def test_a_table_shows_all_rows_and_saves_all_columns(tmp_path):
    table = Table([{"a": i, "b": -i} for i in range(150)], show=["a"])
    seen = Reader(table._repr_html_())
    assert seen.tags.count("tr") == 151 and "149" in seen.words and "-149" not in seen.words
    table.save(tmp_path / "t.csv")
    assert len(pd.read_csv(tmp_path / "t.csv")) == 150 and list(pd.read_csv(tmp_path / "t.csv")) == ["a", "b"]


def test_a_table_formats_numbers_and_leaves_texts_and_switches():
    row = {"share": 0.12345, "count": 1234567, "name": "0.5", "right": True, "none": float("nan")}
    words = Reader(Table([row], {"share": "{:.2f}"})._repr_html_()).words.split()
    assert words[-5:] == ["0.12", "1,234,567", "0.5", "True", "–"]
    assert [report.percent(value) for value in (0.8125, 1, 0)] == ["81.2%", "100.0%", "0.0%"]
    assert "Why? ↵ Think." in Reader(Table([{"asked": "Why?\nThink."}])._repr_html_()).words


@pytest.mark.parametrize("value", ["a,b", 'say "x"', "two\nlines", HOSTILE, "ünï→"])
def test_a_saved_table_is_read_again(tmp_path, value):
    Table([{"text": value, "n": 1}]).save(tmp_path / "t.csv")
    assert pd.read_csv(tmp_path / "t.csv").to_dict("records") == [{"text": value, "n": 1}]


# Figures


def metric_rows(arms=("answer_only", "rationale_answer", "two_stage"), seeds=(0, 1, 2), variant=MAIN):
    """Rows of metrics.csv with made-up values that differ by arm, scoring and seed."""
    return [
        {
            "recipe": "r", "dataset": "microsci", "arm": arm, "variant": variant, "student": "s", "parameters": 1000,
            "seed": seed, "split": "test", "metric": metric, "value": value, "low": value - 0.05, "high": value + 0.05,
            "n": 80,
        }
        for place, arm in enumerate(arms)
        for seed in seeds
        for metric, value in (
            ("generated", 0.3 + 0.1 * place + 0.01 * seed),
            ("ranked", 0.35 + 0.1 * place + 0.01 * seed),
            ("unparsed", 0.0),
            ("truncated", 0.0),
        )
    ]  # fmt: skip


FRAME = pd.DataFrame(metric_rows())
DIFFERENCES = [
    {"variant": variant, "first": first, "second": second, "measure": measure, "difference": difference,
     "low": difference - 2, "high": difference + 2, "p corrected": 1.0 if abs(difference) < 2 else 1e-9,
     "seeds": 3}
    for variant, first, second, difference in (
        (MAIN, "two_stage", "rationale_answer", 16.0), (MAIN, "two_stage", "answer_only", 26.0),
        ("terse", "two_stage", "rationale_answer", -1.0),
    )
    for measure in ("generated", "ranked")
]  # fmt: skip


def quality_rows(proofs=True):
    """Rationales of two arms: with the whole proof the answer is right, and without it wrong, or right half the time."""
    rows = [
        {"variant": MAIN, "arm": arm, "seed": 0, "right": whole or number % divisor == 0, "precision": 0.5 + whole / 2,
         "recall": 0.5 + whole / 2, "rouge_l": 0.7 + 0.3 * whole}
        for arm, divisor in (("two_stage", 1000), ("rationale_answer", 2))
        for whole in (False, True)
        for number in range(1, 41)
    ]  # fmt: skip
    return pd.DataFrame(rows if proofs else [row | {"precision": np.nan, "recall": np.nan} for row in rows])


def ordered():
    """metrics.csv with what two arms made of other orders, two seeds each; the second goes by place."""
    rows = [
        row | {"arm": arm, "seed": seed, "metric": metric, "value": value, "n": 50}
        for arm, same, places in (("answer_only", 0.75, (0.6, 0.6)), ("two_stage", 0.25, (0.875, 0.5)))
        for seed in (0, 1)
        for measure in ("generated", "ranked")
        for metric, value in (
            (f"same {measure}", same + seed / 10), *((f"{measure}, gold at ({mark})", value)
            for mark, value in zip("AB", places, strict=True)),
        )
        for row in metric_rows()[:1]
    ]  # fmt: skip
    return report.orders(pd.DataFrame([*metric_rows(), *rows]), "microsci")


SIZES = {"small": 500, MAIN: 1000, "large": 3000}


def sized():
    """Arms with students of three sizes, as `student_sizes` gives them; another variant changes something else."""
    variants = {"small": {"student": "s"}, "large": {"student": "l"}, "other": {"student": "l", "steps": 9}}
    rows = [
        row | {"parameters": count * (2 if row["arm"] == "two_stage" else 1)}
        for name, count in (SIZES | {"other": 9000}).items()
        for row in metric_rows(variant=name)
    ]
    return report.student_sizes(
        pd.DataFrame(rows), planned(("answer_only", "rationale_answer", "two_stage"), variants=variants), "microsci"
    )


FIGURES = {
    "accuracy": lambda: report.accuracy_figure(FRAME, dataset="microsci", chance=0.25, seeds=3),
    "ablation": lambda: report.ablation_figure(
        pd.DataFrame([row | {"level": level, "given": ""} for level in (250, 1000) for row in metric_rows()]),
        key="train_size",
    ),
    "differences": lambda: report.differences_figure(DIFFERENCES, recipe.Settings()),
    "differences of one scoring": lambda: report.differences_figure(
        [row for row in DIFFERENCES if row["measure"] == "ranked"], recipe.Settings()
    ),
    "differences without variants, as `compare` gives them": lambda: report.differences_figure(
        [{key: value for key, value in row.items() if key != "variant"} for row in DIFFERENCES[:4]], recipe.Settings()
    ),
    "quality": lambda: report.quality_figure(quality_rows()),
    "orders": lambda: report.orders_figure(ordered()),
    "sizes": lambda: report.sizes_figure(sized()),
    "lengths": lambda: report.lengths_figure({"walk": [3, 4, 5], "verdict": [6, 7]}, label="words of a rationale"),
    "loss": lambda: report.loss_figure([(10, 2.0), (20, 0.5)], title="Stage 1"),
    "argument": report.argument_figure,
    "flow": report.flow_figure,
    "layers": report.layers_figure,
}


@pytest.mark.parametrize("name", FIGURES)
def test_every_figure_is_vector_the_same_each_time_and_tells_its_finding_in_words(name, tmp_path):
    picture = FIGURES[name]()
    assert picture.save(tmp_path / "a" / "f.svg") is picture
    assert (tmp_path / "a" / "f.svg").read_bytes() == picture.svg == FIGURES[name]().svg
    assert b"<svg" in picture.svg and b"<image" not in picture.svg
    assert Reader(picture._repr_html_()).attributes["alt"] == picture.alt == repr(picture)
    assert len(picture.alt.split()) >= 5 and picture.alt.endswith(".") and not re.search(r"\bnan\b", picture.alt)


def test_the_words_of_a_figure_are_its_numbers():
    alt = FIGURES["accuracy"]().alt
    assert "two-stage (Sci-CoT) 51.0%" in alt and "chance 25.0%" in alt and "\n" not in alt
    assert "walk: median 4, n = 3" in FIGURES["lengths"]().alt
    assert "from 2.00 to 0.500" in FIGURES["loss"]().alt
    assert "answer only 31.0% at 250, 31.0% at 1000" in FIGURES["ablation"]().alt


def test_the_words_of_a_forest_plot_are_its_span_and_what_lies_above_zero():
    alt = report.differences_figure(DIFFERENCES, recipe.Settings()).alt
    span = "two-stage (Sci-CoT) minus rationale + answer (Fine-tune-CoT), generated, from -1.0 (terse) to +16.0 (main)"
    assert f"{span}, significantly above zero in 1 of 2" in alt
    assert "minus answer only, generated, +26.0 (main), significantly above zero in 1 of 1" in alt
    alike = report.differences_figure(
        [row | {"difference": 16.0, "p corrected": 0.0} for row in DIFFERENCES], recipe.Settings()
    ).alt
    assert "generated, from +16.0 (main) to +16.0 (terse), significantly above zero in 2 of 2" in alike


@pytest.mark.parametrize("draw", [
    lambda: report.differences_figure([], recipe.Settings()),
    lambda: report.orders_figure(report.orders(FRAME, "microsci")),
    lambda: report.sizes_figure(sized().iloc[:0]),
    lambda: report.quality_figure(quality_rows().iloc[:0]),
])  # fmt: skip
def test_without_rows_there_is_no_figure(draw):
    with pytest.raises(ValueError, match="found no rows"):
        draw()


def test_the_difference_of_each_pair_is_told_by_variant():
    settings = recipe.load("micro").settings()
    first = report.variants_summary(DIFFERENCES, settings)
    assert first == (
        "Difference in generated accuracy by variant, two-stage (Sci-CoT) minus rationale + answer (Fine-tune-CoT), "
        "in percentage points: main +16.0 (+14.0 to +18.0); terse -1.0 (-3.0 to +1.0), no different."
    )
    summary = report.variants_summary(DIFFERENCES, settings, report.HEADLINE)
    assert summary.startswith(first) and summary.count("Difference in generated accuracy by variant, ") == 2
    assert "minus answer only, in percentage points: main +26.0 (+24.0 to +28.0)." in summary
    for changed, words in (({"seeds": 2}, ", too few seeds"), ({"p corrected": 1.0, "low": -9.0}, ", not told apart")):
        assert report.variants_summary([row | changed for row in DIFFERENCES], settings).count(words) == 2
    assert (
        report.variants_summary(DIFFERENCES, settings, report.OTHER_ARMS) == report.variants_summary([], settings) == ""
    )


@pytest.mark.parametrize("name", ["micro_full", "micro_ablations", "micro_students", "symbolic"])
def test_the_differences_of_a_record_are_tested_by_the_rule_from_what_the_record_holds(name):
    """The error over questions from its bootstrap intervals, that over seeds from its metrics."""
    record = report.Record(name)
    accuracy = record.metrics.set_index(["dataset", "arm", "variant", "split", "metric", "seed"])["value"].to_dict()
    files = [file.stem for file in (paths.record(name) / "tables").glob("*.csv")]
    for file in filter(re.compile("07_diversity|08_carried|08_differences|09_comparisons").match, files):
        rows = [row for row in record.table(file) if "first" in row]
        for row in rows:
            split, variant = row.get("split", "test"), row.get("variant", MAIN)
            gaps = [
                np.subtract(*(
                    accuracy[file.split("_")[-1], row[arm], row.get(f"{arm} of", variant), split, row["measure"], seed]
                    for arm in ("first", "second")
                ))
                for seed in recipe.load(name).seeds[: row["seeds"]]
            ]  # fmt: skip
            assert 100 * np.mean(gaps) == pytest.approx(row["difference"], abs=1e-3)
            assert row["error seeds"] == pytest.approx(100 * scoring.stats.sem(gaps), abs=1e-3)
            if "bootstrap high" in row:  # of a record that was made before the rule
                width = (row["bootstrap high"] - row["bootstrap low"]) / 2 / scoring.stats.norm.ppf(0.975)
                assert row["error questions"] ** 2 == pytest.approx(width**2 + (100 / row["n"]) ** 2)
            result = scoring.tested(row | {part: row[part] / 100 for part in scoring.POINTS}, 0.95)
            retested = (100 * result["low"], 100 * result["high"], result["p"])
            assert retested == pytest.approx((row["low"], row["high"], row["p"]))
        for split in {row.get("split") for row in rows}:
            family = [row for row in rows if row.get("split") == split]
            corrected = [row["p corrected"] for row in scoring.corrected(family)]
            assert corrected == pytest.approx([row["p corrected"] for row in family])


def test_a_shipped_record_can_be_drawn_as_a_forest_plot():
    rows = report.Record("micro_full").table("08_differences_microsci")
    for pairs in (report.HEADLINE, report.OTHER_ARMS):
        assert report.differences_figure(report.of_pairs(rows, pairs), SETTINGS).alt.count(" of ") == len(pairs)
    assert report.comparison_table(rows, SETTINGS).frame["interval"].str.contains(" to ").all()


def test_what_the_order_of_options_does_is_told_for_each_arm():
    summary = report.orders_summary(ordered())
    assert "answer only 80.0% of 50 questions (accuracy 60.0% to 60.0%, by position" in summary
    assert "two-stage (Sci-CoT) 30.0% of 50 questions (accuracy 50.0% to 87.5%, by position" in summary
    row = report.orders_table(ordered()).frame.iloc[0]
    assert [*row[["arm", "scoring", "seeds"]]] == ["answer only", "generated", 2]
    assert [*row[["least", "greatest", "(B)"]]] == pytest.approx([0.75, 0.85, 0.6])


def test_students_of_other_sizes_are_compared_with_those_that_take_as_many_parameters():
    summary = report.sizes_summary(sized())
    assert "two-stage (Sci-CoT) 51.0% (1,000 parameters, variant small); with at least as many parameters: " in summary
    assert "answer only 31.0% (1,000 parameters, variant main)" in summary
    assert "(2,000 parameters, variant main); with at least as many parameters: answer only 31.0% (3,000" in summary
    assert "(6,000 parameters, variant large); with at least as many parameters: no other arm" in summary
    assert "9,000" not in summary  # the variant that also changes the steps
    sizes = sized()
    assert "nan" not in report.sizes_figure(sizes[sizes["metric"] == "generated"]).alt  # of open answers


def test_the_quality_of_rationales_is_told_with_what_the_answer_owes_to_it():
    summary = report.quality_summary(quality_rows())
    shares = "fact precision 75.0%, recall 75.0%; ROUGE-L to the teacher's 0.850; "
    assert f"two-stage (Sci-CoT) rationales: {shares}" in summary
    assert summary.endswith("rank correlation with a right answer: fact recall +1.00, ROUGE-L +1.00.")
    table = report.quality_table(quality_rows()).frame.set_index("arm")
    assert table.loc["two-stage (Sci-CoT)", "fact recall with right"] == pytest.approx(1)
    correlation = table.loc["rationale + answer (Fine-tune-CoT)", "fact recall with right"]
    assert correlation == pytest.approx(scoring.stats.pearsonr([0] * 40 + [1] * 40, [0, 1] * 20 + [1] * 40).statistic)


def test_without_proofs_there_is_rouge_l_only():
    summary, table = report.quality_summary(quality_rows(False)), report.quality_table(quality_rows(False)).frame
    assert "fact precision" not in summary and summary.endswith("there are no facts to count, only ROUGE-L.")
    assert table["fact recall"].tolist() == [None, None] and table["ROUGE-L"].tolist() == pytest.approx([0.85, 0.85])
    assert report.quality_figure(quality_rows(False)).svg != report.quality_figure(quality_rows()).svg


@pytest.mark.parametrize(("shown", "words"), [
    (lambda: repr(report.orders(FRAME, "microsci")), "[]"),
    (lambda: report.orders_summary([]), "order_questions is 0"),
    (lambda: report.orders_table([])._repr_html_(), "order_questions is 0"),
    (lambda: report.quality_summary(quality_rows().iloc[:0]), "No arm writes rationales that can be measured."),
    (lambda: report.quality_table(quality_rows().iloc[:0])._repr_html_(), "no arm writes rationales"),
    (lambda: report.sizes_summary(report.where(sized(), arm="answer_only")), "no two-stage"),
    (lambda: report.comparison_table([], SETTINGS)._repr_html_(), "no two arms to compare"),
    (lambda: report.headline(planned(), FRAME, [], SETTINGS), "there is no headline"),
])  # fmt: skip
def test_where_there_is_nothing_to_show_this_is_said(shown, words):
    assert words in shown()


def test_every_arm_of_a_recipe_has_a_name_and_a_colour_of_its_own():
    trained = [arm for arm in recipe.ARMS if arm != "untrained"]
    assert set(trained) <= report.ARMS.keys()
    looks = {report.ARMS[arm] for arm in trained}
    assert len(looks) == len({look.colour for look in looks}) == len(trained)
    assert {arm for pair in report.COMPARED for arm in pair} <= report.ARMS.keys()
    assert report.arm_name("a new arm") == "a new arm"


# From runs to metrics


def put_metrics(plan):
    for dataset, arm, variant, seed in plan.runs():
        file = paths.run(plan.name, dataset, arm, variant, seed) / "metrics.json"
        tables.write_json(file, metric_rows((arm,), (seed,), variant))


def test_metrics_are_those_of_the_planned_runs_in_their_order_and_a_missing_one_is_named_with_what_to_do(outputs):
    plan = planned(("answer_only", "two_stage"), (1, 0))
    put_metrics(plan)
    put_metrics(planned(seeds=(9,)))  # left by an earlier plan
    report.collect(plan)
    frame = report.metrics(plan)
    assert list(frame.columns) == list(tables.METRICS)
    runs = list(dict.fromkeys(zip(frame["arm"], frame["seed"], strict=True)))
    assert runs == [("answer_only", 1), ("answer_only", 0), ("two_stage", 1), ("two_stage", 0)]
    assert frame.to_dict("records")[0] == pytest.approx(metric_rows(("answer_only",), (1,))[0])
    assert report.collect(plan).read_bytes() == report.collect(plan).read_bytes()
    paths.metrics("mine").unlink()
    (paths.run("mine", "microsci", "answer_only", MAIN, 1) / "metrics.json").unlink()
    with pytest.raises(ReportError, match=r"runs/microsci/answer_only/main/seed1/metrics\.json; run the recipe"):
        report.collect(plan)
    assert not paths.metrics("mine").exists()
    with pytest.raises(ReportError, match=r"metrics\.csv; run the recipe: make book RECIPE=mine"):
        report.metrics(plan)


def test_over_seeds_tells_mean_range_and_number():
    frame = report.over_seeds(report.where(FRAME, metric="generated"), ["arm"])
    row = frame.iloc[0]
    assert (row["arm"], row["seeds"], row["n"]) == ("answer_only", 3, 80)
    assert tuple(row[["mean", "min", "max", "sd"]]) == pytest.approx((0.31, 0.30, 0.32, 0.01))
    alone = report.over_seeds(pd.DataFrame(metric_rows(seeds=(0,))), ["arm", "metric"])
    assert len(alone) == 12 and alone["sd"].isna().all()
    assert "–" in Table(alone[["sd"]].to_dict("records"), {"sd": "{:.3f}"})._repr_html_()


def test_chance_depends_on_the_number_of_options_of_the_test_questions(question):
    rows = [question(), question(("yes", "no"), answer="B"), question(("yes", "no"), answer="B", split="train")]
    assert report.chance(rows) == pytest.approx((1 / 4 + 1 / 2) / 2)
    assert report.chance(rows, "train") == 1 / 2
    questions = [question(("a", "b"), id="q1", labels="12"), question(id="q2")]
    assert report.fairness({"random": predicted(questions, lambda i: True)}, questions)[0]["chance"] == 3 / 8
    assert report.fairness({}, []) == []


def test_the_accuracy_table_shows_both_scorings_of_every_arm():
    table = report.accuracy_table(FRAME, "microsci")
    first = table.frame[["arm", "scoring"]].head(2).to_numpy().tolist()
    assert first == [["answer only", "generated"], ["answer only", "ranked"]]
    assert table.frame["mean"].tolist() == pytest.approx([0.31, 0.36, 0.41, 0.46, 0.51, 0.56])
    words = Reader(table._repr_html_()).words
    assert "30.0–32.0%" in words and "25.0–35.0%" in words


def test_where_answers_are_open_only_what_was_generated_is_shown(question):
    none = {"label": [], "text": []}
    coins, words = (question(dataset=name, choices=none, answer="no") for name in ("CoinFlip", "LastLetter"))
    assert (report.chance([coins]), report.chance([words]), report.chance([coins, words])) == (0.5, 0.0, 0.25)
    frame = pd.DataFrame([row for row in metric_rows() if row["metric"] != "ranked"])
    assert set(report.accuracy_table(frame, "microsci").frame["scoring"]) == {"generated"}
    assert "answer only 31.0%" in report.accuracy_figure(frame, dataset="microsci", chance=0.5, seeds=3).alt
    levels = frame[frame["metric"] == "generated"].assign(level=1, given="")
    assert "answer only 31.0% at 1" in report.ablation_figure(levels, key="samples").alt
    assert "ranked" not in report.validation_table(levels, planned()).frame


PROVENANCE = {
    "started": "2020-01-01T00:00:00+00:00", "seconds": 60.4, "training_seconds": 30.0, "commit": "abc", "modified": False,
    "scicot_utils": "1", "platform": "Linux", "processor": "One", "cores": 2, "memory_gib": 4.0, "python": "3.11",
    "packages": {"torch": "2"}, "inputs": {"student.safetensors": "f00d", "main.parquet": "cafe"},
}  # fmt: skip


def provenance_of(folder):
    return json.loads((folder / "provenance.json").read_text(encoding="utf-8"))


def put_finished(plan):
    """All that `keep` reads of a finished run, with one row of a single form in each split."""
    put_metrics(plan)
    for run in plan.runs():
        folder = paths.run(plan.name, *run)
        [*rows] = json.loads((folder / "metrics.json").read_text())
        single = [rows[0] | {"metric": "generated:eats", "split": split} for split in ("test", "validation")]
        tables.write_json(folder / "metrics.json", rows + single)
        tables.write_json(folder / "provenance.json", PROVENANCE | {"started": f"2020-01-0{run[3] + 1}T00:00:00+00:00"})
    report.collect(plan)
    for name in report.record_tables(plan):
        Table([{"arm": "a", "by seed": "+1.0, NA"}]).save(paths.tables(plan.name) / f"{name}.csv")


def test_the_record_of_a_run_is_small_and_says_what_made_it(outputs):
    plan = planned(variants={"fast": {"learning_rate": 0.5}})
    put_finished(plan)
    folder = report.keep(plan)
    record = report.Record("mine")
    whole, frame = report.metrics(plan), record.metrics
    single = frame[frame["metric"].str.contains(":")]
    assert {*zip(single["variant"], single["split"], strict=True)} == {(MAIN, "validation")}
    assert len(frame) - len(single) == sum(~whole["metric"].str.contains(":"))
    assert record.table("09_accuracy_microsci") == [{"arm": "a", "by seed": "+1.0, NA"}]
    Table([{"arm": "NA", "right with it": None}, {"arm": "", "right with it": 0.5}]).save(folder / "tables" / "t.csv")
    table = Table(record.table("t"), {"right with it": "{:.3f}"}).markdown()
    assert "| NA | – |" in table and "|  | 0.500 |" in table
    provenance = provenance_of(folder)
    assert (provenance["notebook_runs"], provenance["training_seconds"]) == (4, 120)
    assert provenance["seconds"] == pytest.approx(241.6)
    assert (provenance["started"], provenance["ended"]) == ("2020-01-01T00:00:00+00:00", "2020-01-02T00:01:00+00:00")
    assert provenance["commit"] == ["abc"] and provenance["packages"] == [{"torch": "2"}]
    assert provenance["weights"] == {"student.safetensors": "f00d"}
    assert recipe.Recipe(**provenance["recipe"]) == plan
    assert "make book RECIPE=mine" in (folder / "README.md").read_text()


def test_the_record_holds_what_students_know_that_were_pretrained_for_it(outputs):
    plan = planned(variants={"large": {"student": "micro-large/seed0"}, "small": {"student": "micro-small/seed4"}})
    put_finished(plan)
    for name, size in (("micro-large/seed0", 9), ("micro-small/seed4", 5)):
        architecture, seed = name.split("/seed")
        folder = paths.pretraining("mine", architecture, seed)
        provenance = PROVENANCE | {"settings": {"architecture": architecture}, "seed": int(seed), "parameters": size}
        provenance |= {"steps": {"know": 3}, "started": "2020-01-01T00:00:00+00:00"}
        tables.write_json(folder / "provenance.json", provenance)
        Table([{"domain": "all", "share": 0.5}]).save(folder / "knowledge.csv")
        Table([{"task": "find", "share": size / 10}]).save(folder / "skills.csv")
    record = report.keep(plan)
    students = report.Record("mine").students()
    assert [row["student"] for row in students] == ["micro-small/seed4", "micro-large/seed0"]
    assert students[0]["skills"] == {"find": 0.5} and students[1]["knowledge"] == {"all": 0.5}
    assert students[0]["parameters"] == 5 and students[0]["minutes"] == PROVENANCE["training_seconds"] / 60
    assert provenance_of(record)["notebook_runs"] == len(plan.runs()) + 2
    assert "`students`" in (record / "README.md").read_text()


def test_no_record_is_kept_of_a_run_that_is_not_finished(outputs):
    plan = planned()
    with pytest.raises(ReportError, match="make book RECIPE=mine"):
        report.keep(plan)
    put_finished(plan)
    (paths.tables("mine") / "08_failures_microsci.csv").unlink()
    with pytest.raises(ReportError, match=r"08_failures_microsci\.csv; run the recipe: make book RECIPE=mine"):
        report.keep(plan)
    assert not (outputs / "reference").exists()


def put_predictions(names, right, *, arm="answer_only", variant=MAIN, seed=0, file="predictions", of="", wrote=""):
    """Predictions on `names`, in that order, in the folder of a run: those in `right` are right, all are ranked right."""
    run = {"arm": of or arm, "variant": variant, "seed": seed, "rationale": wrote}
    rows = [
        prediction(question_id=name, split=split, answer="B" if name in right else "C", **run)
        for split in ("test", "validation")
        for name in names
    ]
    tables.write("predictions", rows, paths.run("mine", "microsci", arm, variant, seed) / f"{file}.parquet")


def put_runs(plan, questions, right, **folder):
    """Predictions of all seeds; `right`: (arm, variant) → how many of the questions, from the first, are right."""
    for (arm, variant), number in right.items():
        for seed in plan.seeds:
            put_predictions(questions, list(questions)[:number], arm=arm, variant=variant, seed=seed, **folder)


def test_outcomes_are_aligned_by_question_whatever_their_order(outputs, question):
    plan = planned()
    questions = {f"q{i}": question(id=f"q{i}") for i in range(6)}
    right = {0: {"q0", "q1"}, 1: {"q1", "q5"}}
    for seed, order in ((0, 1), (1, -1)):
        put_predictions(list(questions)[::order], right[seed], seed=seed)
    outcomes = report.test_outcomes(plan, "microsci", questions)
    assert outcomes.keys() == {("answer_only", "generated"), ("answer_only", "ranked")}
    expected = [[name in right[seed] for name in questions] for seed in (0, 1)]
    assert outcomes["answer_only", "generated"].tolist() == expected
    assert outcomes["answer_only", "ranked"].all()


@pytest.fixture
def varied(outputs, question):
    """A recipe with a variant for two-stage only and its runs: (recipe, questions)."""
    plan = planned(
        ("untrained", "answer_only", "rationale_answer", "two_stage"),
        variants={"crossfit": {"stage2_source": "crossfit"}},
        variant_arms={"crossfit": ["two_stage"]},
    )
    questions = {f"q{i:02}": question(id=f"q{i:02}") for i in range(40)}
    main = {("answer_only", MAIN): 10, ("rationale_answer", MAIN): 20, ("two_stage", MAIN): 40}
    put_runs(plan, questions, main | {("two_stage", "crossfit"): 30})
    return plan, questions


def test_outcomes_of_a_variant_are_its_own_with_controls_and_the_main_ones_of_arms_that_it_is_not_run_for(varied):
    for variant, two_stage in ((MAIN, 40), ("crossfit", 30)):
        outcomes = report.test_outcomes(varied[0], "microsci", varied[1], variant)
        right = {
            arm: int(values.sum(axis=1).mean()) for (arm, measure), values in outcomes.items() if measure == "generated"
        }
        assert right == {"answer_only": 10, "rationale_answer": 20, "two_stage": two_stage}
        assert all(values.shape == (2, 40) for values in outcomes.values())
    put_runs(*varied, {("two_stage", MAIN): 0}, file="controls", of="two_stage_shuffled_rationale")
    outcomes = report.test_outcomes(varied[0], "microsci", varied[1])  # a control stands beside the arm of its folder
    assert not outcomes["two_stage_shuffled_rationale", "generated"].any() and outcomes["two_stage", "generated"].all()


@pytest.fixture
def swept(outputs, question):
    """A recipe with two sweeps of D, of two students, and its runs: (recipe, questions)."""
    small = {"student": "micro-small/seed0"}
    plan = planned(
        ("answer_only", "rationale_answer"),
        seeds=range(3),
        variants={
            "d_4": {"samples": 4},
            "d_16": {"samples": 16},
            "small": small,
            "small_d_16": small | {"samples": 16},
        },
        variant_arms={name: ["rationale_answer"] for name in ("d_4", "d_16", "small", "small_d_16")},
    )
    questions = {f"q{i:02}": question(id=f"q{i:02}") for i in range(40)}
    right = {MAIN: 10, "d_4": 40, "d_16": 30, "small": 20, "small_d_16": 20}
    put_runs(plan, questions, {(arm, name): right[name] for name in right for arm in plan.trained_arms(name)})
    return plan, questions


def test_an_arm_is_compared_with_itself_at_the_ends_of_each_sweep_for_the_claim_of_diverse_reasoning(swept):
    rows = report.compare_in_sweep(swept[0], "microsci", swept[1], SETTINGS, "samples")
    arm = "rationale_answer"
    assert [row[1:] for row in told(rows)] == [(arm, "d_16", arm, MAIN, 50), (arm, "small_d_16", arm, "small", 0)]
    assert {row["comparisons"] for row in rows} == {4}
    names = report.comparison_table(rows, SETTINGS).frame["arms"].tolist()
    assert names[-1] == "rationale + answer (Fine-tune-CoT) minus itself (of small)"
    assert report.compare_in_sweep(swept[0], "microsci", swept[1], SETTINGS, "steps") == []
    claim = of_claim(report.claims(swept[0], rows, SETTINGS), "diverse reasoning")
    assert claim["measured on microsci, points"].startswith("generated +50.0 (")  # in the first sweep
    assert (claim["in the variants"], claim["verdict"]) == ("reproduced in 0 of 1; inconclusive: small_d_16", "partly")


def test_the_published_side_of_the_claim_of_diverse_reasoning_is_in_the_published_table():
    frame = report.published()
    accuracy = frame[(frame["model"] == "Flan-T5") & (frame["size"] == "60M")].set_index(["method", "task"])["accuracy"]
    gained = (accuracy["Fine-tune-CoT, diverse"] - accuracy["Fine-tune-CoT"]).dropna()
    assert len(gained) == 9 and (gained > 0).sum() == 8 and gained["CoinFlip"] == 0


def in_variants(plan, questions):
    return report.compare_in_variants(plan, "microsci", questions, SETTINGS)


def generated(rows):
    return [row for row in rows if row["measure"] == "generated"]


def told(rows):
    """Of each comparison of generated answers: variant, first arm and whose, second arm and whose, and the difference."""
    columns = ("variant", "first", "first of", "second", "second of")
    return [(*(row[name] for name in columns), round(row["difference"])) for row in generated(rows)]


def test_the_headlines_comparisons_are_made_in_every_variant(varied):
    rows = in_variants(*varied)
    assert told(rows) == [
        (MAIN, "two_stage", MAIN, "rationale_answer", MAIN, 50),
        (MAIN, "two_stage", MAIN, "answer_only", MAIN, 75),
        (MAIN, "rationale_answer", MAIN, "answer_only", MAIN, 25),
        ("crossfit", "two_stage", "crossfit", "rationale_answer", MAIN, 25),
        ("crossfit", "two_stage", "crossfit", "answer_only", MAIN, 50),
    ]
    assert {row["comparisons"] for row in rows} == {len(rows)} == {10}  # corrected for their whole number
    assert [row["p corrected"] for row in rows] == pytest.approx(scoring.holm([row["p"] for row in rows]))
    alone = report.compare(report.test_outcomes(varied[0], "microsci", varied[1]), SETTINGS)
    columns = ("first", "second", "measure", "difference")
    assert [[row[name] for name in columns] for row in rows[:6]] == [
        [row[name] for name in columns] for row in alone[:6]
    ]
    table = report.comparison_table(rows, SETTINGS)
    assert "+50.0" in Reader(table._repr_html_()).words
    table = table.frame
    assert dict(zip(table["variant"], table["arms"], strict=True)) == {  # the last of each
        MAIN: "rationale + answer (Fine-tune-CoT) minus answer only",
        "crossfit": "two-stage (Sci-CoT) minus answer only (of main)",
    }


def test_rationales_are_held_against_the_proof_and_the_teachers_of_their_variant(outputs, question):
    plan = planned(("answer_only", "rationale_answer"), (0,), variants={"terse": {"rationale_style": "terse"}})
    questions = {"q0": question(id="q0", proof=["Ants are small.", "A robin has feathers."]), "q1": question(id="q1")}
    texts = {("rationale_answer", MAIN): "A robin has feathers.", ("rationale_answer", "terse"): "Feathers."}
    for arm, variant in [(arm, variant) for arm in plan.arms for variant in (MAIN, "terse")]:
        put_predictions(questions, ["q0"], arm=arm, variant=variant, wrote=texts.get((arm, variant), ""))
    for variant, text in ((MAIN, "A robin has many feathers."), ("terse", "Feathers.")):
        rows = [judged(rationale=text, question_id="q0"), judged(rationale="", question_id="q0", sample=1)]
        tables.write("rationales", rows, paths.rationales("mine", "microsci", variant))
    quality = report.quality_of_rationales(plan, "microsci", questions)
    assert quality[["variant", "arm", "right"]].to_numpy().tolist() == [
        [MAIN, "rationale_answer", True], [MAIN, "rationale_answer", False],
        ["terse", "rationale_answer", True], ["terse", "rationale_answer", False],
    ]  # fmt: skip
    assert quality[["precision", "recall"]].to_numpy()[0].tolist() == [1, 0.5]
    assert quality["rouge_l"].tolist()[::2] == pytest.approx([2 * 4 / 9, 1])
    assert quality[["precision", "recall", "rouge_l"]].iloc[[1, 3]].isna().all(axis=None)  # no proof, nobody asked


def test_comparisons_take_questions_with_the_same_right_answer_together(varied):
    plan, questions = varied
    alike = {
        name: row | {"choices": row["choices"] | {"text": [row["choices"]["text"][0], f"Answer {i // 2}", "c", "d"]}}
        for i, (name, row) in enumerate(questions.items())
    }
    assert report.answer_groups(alike)[::10] == ["answer 0", "answer 5", "answer 10", "answer 15"]
    [row] = in_variants(plan, alike)[:1]
    assert (row["groups"], row["n"]) == (20, 40)
    [apart] = in_variants(plan, questions)[:1]  # the same options for all, and one right answer
    assert apart["groups"] == 40 and row["error questions"] > 1.3 * apart["error questions"]
    name, first = next(iter(questions.items()))
    other = first | {"choices": first["choices"] | {"text": [f"no {text}" for text in first["choices"]["text"]]}}
    for same in (questions, questions | {name: other}):  # one of yes, no and maybe among many of yes and no
        assert report.answer_groups(same) == sorted(questions)
    comparisons = report.compare(report.test_outcomes(plan, "microsci", alike), SETTINGS, alike)
    assert (comparisons[0]["low"], comparisons[0]["high"]) == (row["low"], row["high"])
    table = report.comparison_table(comparisons, SETTINGS).frame
    assert table["interval"][0] == f"{row['low']:+.1f} to {row['high']:+.1f}"


OTHERS = " test questions with other right answers"


def errors(questions, seeds):
    return {"error questions": questions, "error seeds": seeds}


def compared(difference, p, off=8.0, **columns):
    """A row of `scoring.compare` in points."""
    row = {"difference": difference, "low": difference - off, "high": difference + off, "p corrected": p}
    row |= errors(3.0, 1.0) | {"n": 1000, "groups": 500, "seeds": 3, "comparisons": 1}
    return row | {"first": "two_stage", "second": "rationale_answer", "measure": "generated"} | columns


@pytest.mark.parametrize(
    ("row", "direction"),
    [
        (compared(9, 0.01), "above"),
        (compared(2, 0.01, off=1), "above"),  # small, and yet not zero
        (compared(-9, 0.049), "below"),
        (compared(9, 0.051), "not told apart from"),  # the interval alone does not do
        (compared(1, 0.5, off=4), "no different from"),
        (compared(1, 0.5, off=4.01), "not told apart from"),
        (compared(-1, 0.5, off=4.01), "not told apart from"),
    ],
)
def test_the_one_rule_of_all_verdicts(row, direction):
    assert report.direction(row, SETTINGS) == direction and direction in report.DIRECTIONS
    [word] = report.comparison_table([row], SETTINGS).frame["the first is"]
    assert word == direction.removesuffix(" from")
    assert report.direction(row, recipe.Settings(margin=1.0)) != "no different from"


@pytest.mark.parametrize(
    ("row", "sizes"),
    [
        (compared(0, 1.0), f"about 4,600{OTHERS} and 14 seeds"),
        (compared(8, 0.2), f"about 1,400{OTHERS}"),
        (compared(8, 0.2, groups=1000), "about 1,400 test questions"),
        (compared(8, 0.2, **errors(2.5, 1.5)), f"about 1,300{OTHERS} or about 5 seeds"),
        (compared(0, 1.0, **errors(1.0, 3.0)), "about 23 seeds"),  # (t of 22 + 1.28) · √(1 + 27 / 23) ≤ 5
        (compared(0, 1.0, **errors(3.0, 3.0)), f"about 8,200{OTHERS} and 25 seeds"),
        (compared(10, 0.2, comparisons=64), f"about 2,400{OTHERS}"),
        (compared(20, 0.06), "as many further test questions and seeds"),
        (compared(6, 0.2, **errors(0.8, 2.5)), "about 7 seeds"),  # (t of 6 + 0.84) · √(0.64 + 18.75 / 7) ≤ 6
        (compared(0, 1.0, **errors(0.0, 9.0)), "about 104 seeds"),
    ],
)
def test_what_would_settle_an_open_difference_is_told_in_questions_and_seeds(row, sizes):
    assert report.would_settle(row, SETTINGS) == sizes


def test_a_one_stage_arm_of_more_steps_meets_a_two_stage_student_of_the_same_source(varied):
    plan = varied[0].model_copy(
        update={
            "variants": varied[0].variants | {"crossfit_twice": {"stage2_source": "crossfit", "steps": 400}},
            "variant_arms": varied[0].variant_arms | {"crossfit_twice": ["rationale_answer"]},
        }
    )
    put_runs(plan, varied[1], {("rationale_answer", "crossfit_twice"): 25})
    assert told(in_variants(plan, varied[1]))[5:] == [
        ("crossfit_twice", "two_stage", "crossfit", "rationale_answer", "crossfit_twice", 12),
        ("crossfit_twice", "rationale_answer", "crossfit_twice", "answer_only", MAIN, 38),
    ]
    assert plan.taken_from("answer_only", "crossfit_twice") == MAIN
    both = plan.model_copy(update={"variants": plan.variants | {"twice": {"steps": 400}}})
    assert both.taken_from("answer_only", "crossfit_twice") == "twice"  # as many steps; it reads no rationales


def test_an_arm_with_another_student_meets_those_of_the_main_variant_and_one_of_other_rationales_does_not(varied):
    """Two-stage of the main variant's rationales says nothing beside an arm of worse ones; answer only reads none."""
    sizes = {size: {"student": f"micro-{size}/seed0"} for size in ("large", "small")}
    changed = {"variants": sizes | {"noisy": {"teacher_error_rate": 0.3}}}
    changed["variant_arms"] = {"large": ["answer_only"], "small": ["two_stage"], "noisy": ["rationale_answer"]}
    changed["training"] = varied[0].training.model_dump() | {"train_size": 9}
    plan = recipe.Recipe(**varied[0].model_dump() | changed)
    runs = {("answer_only", "large"): 36, ("two_stage", "small"): 32, ("rationale_answer", "noisy"): 25}
    put_runs(plan, varied[1], runs)
    assert told(in_variants(plan, varied[1]))[3:] == [
        ("large", "two_stage", MAIN, "answer_only", "large", 10),
        ("large", "rationale_answer", MAIN, "answer_only", "large", -40),
        ("small", "two_stage", "small", "rationale_answer", MAIN, 30),
        ("small", "two_stage", "small", "answer_only", MAIN, 55),
        ("noisy", "rationale_answer", "noisy", "answer_only", MAIN, 38),
    ]
    assert plan.students() == ["micro-large/seed0", "micro-small/seed0"]  # appendix A1 makes both first
    assert plan.settings("two_stage", MAIN).student == "micro"


def test_the_headlines_differences_are_told_on_each_transfer_test_by_its_own_questions(varied):
    plan, questions = varied
    further = {f"t{i:02}": questions["q00"] | {"id": f"t{i:02}", "split": "test_forms"} for i in range(20)}
    for arm, number in (("answer_only", 20), ("rationale_answer", 0), ("two_stage", 20)):
        for seed in plan.seeds:
            file = paths.run("mine", "microsci", arm, MAIN, seed) / "predictions.parquet"
            [first, *rows] = tables.read("predictions", file)
            answered = first | {"split": "test_forms", "answer": "B" if number else "C"}
            tables.write("predictions", [first, *rows, *(answered | {"question_id": name} for name in further)], file)
    rows = report.compare_transfer(plan, "microsci", questions | further, SETTINGS)
    by_pair = {(row["split"], row["first"], row["second"]): row for row in generated(rows)}
    assert by_pair["test", "two_stage", "rationale_answer"]["difference"] == 50.0
    assert by_pair["test_forms", "two_stage", "rationale_answer"]["difference"] == 100.0
    assert by_pair["test_forms", "two_stage", "answer_only"]["difference"] == 0.0
    assert {row["n"] for row in rows if row["split"] == "test_forms"} == {20}
    table = report.transfer_table(rows, SETTINGS).frame
    [line] = report.where(table, arms="two-stage (Sci-CoT) minus answer only", measure="generated").to_dict("records")
    [of_test, of_forms] = [value for name, value in line.items() if name.startswith("test")]
    assert of_forms == "+0.0 (-10.5 to +10.5), too few seeds" and of_test.endswith(", too few seeds")
    assert "test_forms (20 questions)" in line
    table = report.transfer_table([row for row in rows if row["split"] == "test"], SETTINGS)
    assert "no transfer tests" in repr(table)


def test_a_claim_that_does_not_hold_in_every_variant_is_reproduced_partly(varied):
    plan, questions = varied
    comparisons = report.compare(report.test_outcomes(plan, "microsci", questions), SETTINGS)
    comparisons = [row | {"seeds": 3} for row in generated(comparisons)]
    few = generated(in_variants(plan, questions))
    rows = [row | {"seeds": 3} for row in few]
    undecided = [row | {"p corrected": 1.0 if row["variant"] == "crossfit" else 0.0} for row in rows]
    turned = [row | {"difference": -9.0} if row["variant"] == "crossfit" else row for row in rows]
    verdicts = []
    for differences in (rows, undecided, turned, [], few):
        row = of_claim(report.claims(plan, comparisons, SETTINGS, differences))
        verdicts.append((row["in the variants"], row["verdict"]))
    assert verdicts == [
        ("reproduced in 1 of 1", "reproduced"),
        ("reproduced in 0 of 1; inconclusive: crossfit", "partly"),
        ("reproduced in 0 of 1; reversed: crossfit", "partly"),
        ("–", "reproduced"),
        ("–", "reproduced"),  # variants of too few seeds say nothing
    ]


SETTINGS = recipe.Settings()
CLAIM = "Two-stage uses rationales more efficiently than one-stage"


def of_claim(rows, words=CLAIM):
    """The row of the claim that has these words."""
    [row] = [row for row in rows if words in row["claim"]]
    return row


def outcomes(better, *, seeds=3, n=60):
    """`better`: measure → how many questions two-stage has right that one stage has wrong; negative: the reverse."""
    outcomes = {}
    for measure, lead in better.items():
        first, second = np.zeros((seeds, n), bool), np.zeros((seeds, n), bool)
        (first if lead > 0 else second)[:, : abs(lead)] = True
        outcomes["two_stage", measure], outcomes["rationale_answer", measure] = first, second
    return outcomes


def compare_outcomes(better, **design):
    """The comparisons of `outcomes`."""
    return report.compare(outcomes(better, **design), SETTINGS)


def verdict(better, **design):
    plan = planned(recipe.ARMS, range(design.get("seeds", 3)))
    return of_claim(report.claims(plan, compare_outcomes(better, **design), SETTINGS))


@pytest.mark.parametrize(
    ("better", "expected"),
    [
        ({"generated": 40, "ranked": 40}, "reproduced"),
        ({"generated": 40, "ranked": 0}, "partly"),
        ({"generated": 40, "ranked": -40}, "contradictory"),
        ({"generated": 0, "ranked": 0}, "no difference"),
        ({"generated": 4, "ranked": 4}, "inconclusive"),
        ({"generated": 4, "ranked": 0}, "inconclusive"),
        ({"generated": 0, "ranked": -40}, "partly reversed"),
        ({"generated": -40, "ranked": -40}, "reversed"),
        ({"generated": 40}, "reproduced"),  # open answers are not ranked
    ],
)
def test_each_outcome_has_its_own_verdict(better, expected):
    row = verdict(better)
    assert row["verdict"] == expected
    assert ("would settle it" in row["measured on microsci, points"]) == (expected == "inconclusive")


@pytest.mark.parametrize("seeds", range(1, 5))
def test_two_seeds_carry_no_verdict_however_clear_the_difference_and_three_do(seeds):
    """Rules of evidence, 2."""
    row = verdict({"generated": 60, "ranked": 60}, seeds=seeds)
    assert row["verdict"] == ("too few seeds" if seeds < 3 else "reproduced")
    measured = row["measured on microsci, points"]
    assert (f"; {report.plural(seeds, 'seed')} (a verdict needs 3)" in measured) == (seeds < 3)
    assert measured.startswith("generated +")  # the difference is shown all the same


def test_claims_on_several_tasks_have_a_column_for_each_and_one_verdict_where_all_agree():
    of_tasks = {task: compare_outcomes({"generated": better}, seeds=1) for task, better in (("one", 60), ("two", -60))}
    row = of_claim(report.claims_by_task(planned(recipe.ARMS, range(1)), of_tasks, SETTINGS))
    assert re.match(r"generated \+\d", row["one"]) and re.match(r"generated -\d", row["two"])
    assert row["verdict"] == "too few seeds"


def test_a_plumbing_run_settles_nothing():
    plan = planned(recipe.ARMS, range(3), plumbing="untrained student")
    comparisons = compare_outcomes({"generated": 60, "ranked": 60})
    rows = report.claims(plan, comparisons, SETTINGS)
    assert {row["verdict"] for row in rows} == {"not run here"}
    assert report.headline(plan, FRAME, comparisons, SETTINGS).startswith(
        "This recipe only checks the pipeline, so there are no results: "
    )


def test_every_claim_has_a_row_a_verdict_and_what_would_settle_it():
    rows = report.claims(planned(), [], SETTINGS)
    assert [row["claim"] for row in rows] == [claim.claim for claim in report.CLAIMS]
    assert {row["verdict"] for row in rows} == {"not run here"}
    assert all(row["to settle it"] and row["published"] for row in rows)
    assert of_claim(rows, "ARC-Easy")["measured on microsci, points"] == "needs ARC-Easy"


def test_a_claim_is_shown_with_its_verdict_and_its_evidence_and_nothing_of_it_is_markup():
    rows = report.claims(planned(), [], SETTINGS)
    rows[0] |= {"claim": HOSTILE, "published": HOSTILE}
    seen = Reader(report.Verdicts(rows)._repr_html_())
    assert "img" not in seen.tags and seen.words.count(HOSTILE) == 2 and seen.tags.count("section") == len(rows)
    assert seen.words.count("not run here") == len(rows) and seen.words.count("to settle it") == len(rows)


def test_the_short_headline_holds_the_numbers_of_the_long_one_and_both_are_of_one_benchmark():
    comparisons = compare_outcomes({"generated": 40, "ranked": 40})
    headline = report.headline(planned(), FRAME, comparisons, SETTINGS)
    short = *arms, difference = report.headline_short(planned(), FRAME, comparisons)
    assert all(row[measure] in headline for row in arms for measure in ("generated", "ranked"))
    assert len(arms) == 2 and difference["generated"].replace(" (", " points (") in headline
    both = pd.concat([FRAME, FRAME.assign(dataset="another", value=0.0)])
    assert report.headline(planned(), both, comparisons, SETTINGS) == headline
    assert report.headline_short(planned(), both, comparisons) == [*short]
    assert report.headline_short(planned(), FRAME, []) == []
    assert report.headline_short(planned(plumbing="p"), FRAME, comparisons) == []


@pytest.mark.parametrize(
    ("lead", "n", "word"),
    [(40, 60, "above"), (-40, 60, "below"), (4, 60, "not told apart from"), (0, 60, "no different from")],
)
def test_the_headline_says_what_came_out_whichever_way(lead, n, word):
    comparisons = compare_outcomes({"generated": lead, "ranked": lead}, n=n)
    headline = report.headline(planned(), FRAME, comparisons, SETTINGS)
    assert headline.count(f" is {word} ") == 2
    assert "60 test questions, 3 seeds" in headline and "nan" not in headline


def test_what_arms_were_trained_with_is_told_of_each():
    plan = planned(("untrained", "answer_only", "two_stage"), arm_settings={"two_stage": {"learning_rate": 0.25}})
    rows = {row["arm"]: row["learning_rate"] for row in report.trained_with(plan)}
    assert rows == {"answer only": plan.training.learning_rate, "two-stage (Sci-CoT)": 0.25}


def test_the_drawing_of_the_layers_names_every_module_of_the_package():
    stack = report.layers()
    own = {path.stem for path in paths.PACKAGE.iterdir() if path.suffix == ".py" or (path / "__init__.py").is_file()}
    assert {*stack} == own - {"__init__"} and next(iter(stack)) == "paths" and [*stack][-1] == "__main__"
    for name, within in stack.items():
        inside = {path.stem for path in (paths.PACKAGE / name).glob("*.py")} - {"__init__"}
        assert set(within.replace("<", "|").replace(" ", "").split("|")) - {""} == inside


def test_what_each_notebook_took_is_read_from_the_pipelines_benchmarks(outputs):
    plan = planned()
    assert report.costs(plan) == []
    folder = paths.benchmarks("mine")
    for name, seconds, memory in (("09_claims", 30, "200.5"), ("06/a/seed0", 60, "300.2"), ("06/a/seed1", 180, "-")):
        tables.write_text(folder / f"{name}.tsv", f"s\th:m:s\tmax_rss\n{seconds}\t0:00:01\t{memory}\n")
    first, second = report.costs(plan)
    assert first == {
        "notebook": "06", "jobs": 2, "minutes, median": 2.0, "minutes in sum": 4.0, "greatest memory, MiB": 300,
    }  # fmt: skip
    assert second["notebook"] == "09_claims" and second["minutes in sum"] == 0.5


def test_how_a_recipe_was_measured_is_told_for_each_arm(outputs):
    plan = planned()
    for number, run in enumerate(plan.runs()):
        record = {
            "seconds": 10.0 + number, "training_seconds": 8.0, "settings": {"threads": 1}, "processor": "P", "cores": 2,
            "memory_gib": 4.0, "packages": {"torch": "2.13"}, "commit": "0123456789abcdef", "modified": bool(number),
        }  # fmt: skip
        tables.write_json(paths.run(plan.name, *run) / "provenance.json", record)
    [row] = rows = report.how_measured(plan)
    summary = "Machine: P, 2 cores, 4.0 GiB. Torch: 2.13. Commit: 0123456789 and 0123456789+."
    assert report.measured_summary(rows) == summary
    assert (row["arm"], row["notebook runs"], row["seconds each, median"]) == ("answer only", 2, 10.5)
    assert row["commit"] == "0123456789, 0123456789+"


# Untrained baselines and the dataset card


def predicted(questions, right):
    """Predictions on the test split; `right`: whether that of a number is right."""
    return [{"question_id": row["id"], "split": "test", "correct": right(i)} for i, row in enumerate(questions)]


def test_fairness_tells_a_baseline_that_is_right_too_often_from_chance_by_intervals_for_their_number(question):
    questions = [question(id=f"q{i}", answer="ABCD"[i % 4]) for i in range(200)]
    random, words = (predicted(questions, lambda i, every=every: i % every == 0) for every in (4, 2))
    fair, unfair = report.fairness({"random": random, "bag_of_words": words}, questions)
    assert (fair["baseline"], fair["accuracy"], fair["chance"], fair["within chance"]) == ("random", 0.25, 0.25, "yes")
    assert (unfair["baseline"], unfair["n"], unfair["within chance"]) == ("bag of words", 200, "no")
    right = predicted(questions, lambda i: i < 60)
    single, family = (report.fairness(dict.fromkeys(names, right), questions)[0] for names in (["random"], "abcdefg"))
    assert (single["low"], single["high"]) == scoring.wilson(60, 200, 0.95)
    assert (family["low"], family["high"]) == pytest.approx(scoring.wilson(60, 200, 1 - 0.05 / 7))


def test_a_dataset_card_holds_what_the_books_page_pastes():
    page = "# T\n\n```{glue} size\n:doc: notebooks/01_questions.ipynb\n```\n\n## F\n\n```{glue} forms\n```\n"
    rows = report.Table([{"form": "a|b", "n": 1200}])
    card = report.dataset_card(page, {"size": report.Paragraph("7 questions."), "forms": rows})
    assert card == "# T\n\n7 questions.\n\n## F\n\n| form | n |\n| --- | --- |\n| a\\|b | 1,200 |\n"
    with pytest.raises(report.ReportError, match="pastes 'forms'; handed over are: size"):
        report.dataset_card(page, {"size": report.Paragraph("")})


def test_the_page_of_the_dataset_pastes_what_notebook_01_hands_over():
    page = paths.DATASET_CARD.read_text(encoding="utf-8")
    source = paths.notebook("01_questions").read_text(encoding="utf-8")
    pasted = re.findall(r"```\{glue\} (\w+)\n:doc: notebooks/01_questions.ipynb\n```", page)
    assert len(pasted) >= 7 and page.count("{glue}") == len(pasted)
    assert all(f'\\"{name}\\": ' in source for name in pasted)


def test_the_citation_is_that_of_the_citation_file():
    cited = report.citation(paths.CITATION.read_text(encoding="utf-8"))
    assert cited.startswith("The Sci-CoT companion contributors: The Sci-CoT companion, version ")
    person = "{title: T, version: 2, authors: [{family-names: B, given-names: A}]}"
    assert report.citation(person) == "A B: T, version 2."


def measured(*rows):
    columns = ("arm", "variant", "seed", "split", "metric", "value", "n")
    return pd.DataFrame([{"dataset": "d"} | dict(zip(columns, row, strict=True)) for row in rows])


def test_ablation_figure_takes_names_as_they_come_and_numbers_in_order():
    values = [(0.5, "terse"), (0.7, "justify"), (0.6, "walk")]
    runs = [("two_stage", "v", 0, "test", name, value, 9) for name in ("generated", "ranked") for value, _ in values]
    rows = measured(*runs).assign(given="")
    names = report.ablation_figure(rows.assign(level=2 * [name for _, name in values]), key="rationale_style")
    assert "50.0% at terse, 70.0% at justify, 60.0% at walk" in names.alt
    numbers = report.ablation_figure(rows.assign(level=2 * [30, 10, 20]), key="steps")
    assert "70.0% at 10, 60.0% at 20, 50.0% at 30" in numbers.alt
    assert "one seed, so no verdict" in numbers.alt


def test_a_sweep_takes_arms_and_seeds_that_all_its_variants_have():
    more = {"steps": 9, "temperature": 0.7}
    variants = {"fast": {"steps": 9}, "hot": {"temperature": 0.7}, "both": more, "label": {"answer_format": "label"}}
    plan = planned(["answer_only", "rationale_answer"], [0, 1], variants=variants)
    plan = recipe.Recipe(**plan.model_dump() | {"variant_seeds": 1, "variant_arms": {"fast": ["answer_only"]}})
    arms = ("answer_only", "rationale_answer", "shuffled")
    runs = itertools.product(arms, ("main", *variants), (0, 1), ("test", "validation"), ("generated",), (0.5,), (9,))
    frame = measured(*runs)
    sweep, common = report.ablation(plan, frame, "steps")
    assert common == "" and {*sweep["split"]} == {"test"} and {*sweep["seed"]} == {0}
    rows = {*zip(sweep["arm"], sweep["variant"], sweep["level"], sweep["given"], strict=True)}
    cold, hot, usual = "temperature = 0.0", "temperature = 0.7", plan.settings().steps
    assert rows == {
        ("answer_only", "main", usual, cold), ("answer_only", "fast", 9, cold),
        ("answer_only", "hot", usual, hot), ("answer_only", "both", 9, hot),
        ("rationale_answer", "hot", usual, hot), ("rationale_answer", "both", 9, hot),
    }  # fmt: skip
    only = recipe.Recipe(**plan.model_dump() | {"variants": {"hot": variants["hot"], "both": more}, "variant_arms": {}})
    sweep, common = report.ablation(only, frame, "steps")
    assert common == "temperature = 0.7" and {*sweep["given"]} == {""} and {*sweep["variant"]} == {"hot", "both"}


def test_a_train_size_of_all_is_shown_as_their_number():
    plan = planned(["answer_only"], [0], variants={"few": {"train_size": 5}})
    plan = recipe.Recipe(**plan.model_dump() | {"training": plan.training.model_dump() | {"train_size": 0}})
    frame = measured(*[("answer_only", name, 0, "test", "ranked", 0.5, 9) for name in ("main", "few")])
    sweep, _ = report.ablation(plan, frame, "train_size", {"train_size": 17})
    assert [*sweep["level"]] == [17, 5]


def test_the_grid_is_summed_up_with_the_best_values_of_each_arm_and_the_worst():
    columns = ("arm", "learning_rate", "epochs", "mean", "best")
    rows = [
        ("zero_shot", 1e-4, 3, 0.3, "best"),
        ("answer_only", 1e-4, 3, 0.25, ""), ("answer_only", 5e-5, 1, 0.45, "best"),
        ("two_stage", 1e-4, 3, 0.4, "best"), ("two_stage", 5e-5, 1, 0.4, "best"),
    ]  # fmt: skip
    rows = [dict(zip(columns, row, strict=True)) for row in rows]
    assert report.grid_summary(rows, ["learning_rate", "epochs"]) == (
        "Mean of both scorings on validation. zero-shot: 30.0%; "
        "answer only: 45.0% with learning_rate 5e-05, epochs 1 (worst setting 25.0%); "
        "two-stage (Sci-CoT): 40.0% with learning_rate 0.0001, epochs 3 or learning_rate 5e-05, epochs 1 "
        "(worst setting 40.0%)."
    )


def test_validation_table_marks_the_best_variant_of_each_arm():
    scores = {("one", "main"): (0.4, 0.6), ("one", "fast"): (0.5, 0.6), ("two", "main"): (0.9, 0.9)}
    rows = measured(
        *[
            (arm, variant, seed, "validation", metric, value + (0.1 if seed else -0.1), 9)
            for (arm, variant), both in scores.items()
            for metric, value in zip(("generated", "ranked"), both, strict=True)
            for seed in (0, 1)
        ]
    )
    table = report.validation_table(rows, planned(variants={"fast": {"learning_rate": 0.5}})).frame
    by_variant = {(row["arm"], row["variant"]): row for row in table.to_dict("records")}
    assert {key for key, row in by_variant.items() if row["best"]} == {("one", "fast"), ("two", "main")}
    assert {key: row["learning_rate"] for key, row in by_variant.items()} == {
        ("one", "main"): planned().settings().learning_rate, ("one", "fast"): 0.5,
        ("two", "main"): planned().settings().learning_rate,
    }  # fmt: skip
    assert by_variant["one", "fast"]["mean"] == pytest.approx(0.55) and by_variant["one", "fast"]["seeds"] == 2


def test_a_transfer_test_of_some_forms_is_set_beside_the_test_in_those_forms():
    single = {("test", "eats"): (0.5, 10), ("test", "heaviest"): (0.9, 30), ("test", "classify"): (0.1, 50)}
    single |= {("test_domain", "eats"): (0.3, 10), ("test_domain", "heaviest"): (0.2, 10)}
    single |= {("validation", form): (0.4, 5) for form in ("eats", "heaviest", "classify")}
    runs = [("one", "main", 0, split, f"generated:{form}", value, n) for (split, form), (value, n) in single.items()]
    rows = measured(*runs)
    [added] = report.test_in_forms_of_transfer(rows).to_dict("records")
    assert (added["split"], added["metric"], added["n"]) == ("test, forms of test_domain", "generated", 40)
    assert added["value"] == pytest.approx((5 + 27) / 40)
    assert report.test_in_forms_of_transfer(rows[rows["split"] == "test"]).empty


def test_failures_are_told_as_what_is_answered_with_the_proof_and_without():
    shares = dict(zip(rationales.OUTCOMES, (0.6, 0.1, 0.1, 0.0, 0.0, 0.2), strict=True))
    always = dict.fromkeys(rationales.OUTCOMES, 0.0) | {"right answer, right rationale": 1.0}
    assert report.failures_summary([{"arm": "One"} | shares, {"arm": "Two"} | always]) == (
        "One: the whole proof is written for 80.0% of the questions; accuracy is 75.0% with the proof "
        "and 50.0% without it. "
        "Two: the whole proof is written for 100.0% of the questions; accuracy is 100.0% with the proof."
    )
    assert report.failures_summary([]) == ""


def test_every_form_that_is_trained_on_can_be_learned_by_the_record_of_the_shipped_student():
    ceilings = report.ceilings(pd.read_csv(paths.CEILING))
    assert ceilings.keys() == set(microsci.SPLITS["validation"][1])
    assert min(ceilings.values()) >= 0.9
    weights = paths.MICRO_STUDENT / "model.safetensors"
    assert provenance_of(paths.CEILING.parent)["inputs"][paths.relative(weights)] == tables.digest(weights)


@pytest.mark.parametrize("name", ["micro_tuning", "micro_full", "micro_ablations", "micro_students", "symbolic"])
def test_a_shipped_record_is_of_the_recipe_and_the_student_as_they_are(name):
    provenance = provenance_of(paths.record(name))
    plan = recipe.load(name)
    ran = recipe.Recipe(**provenance["recipe"] | {"evidence": plan.evidence})  # differences were tested again since
    assert ran == plan, f"run it again: make book RECIPE={name}, then keep"
    weights = paths.MICRO_STUDENT / "model.safetensors"
    if name != "symbolic":  # whose students start from random weights
        assert provenance["weights"].pop(paths.relative(weights)) == tables.digest(weights)
    assert len(provenance["weights"]) == len(recipe.load(name).students())  # and those that were pretrained for it
    assert ("changes that were not committed" in report.Record(name).summary().text) == (True in provenance["modified"])


@pytest.mark.parametrize(("name", "grid", "dataset", "keys"), [
    *((name, "micro_tuning", "microsci", ["learning_rate"])
      for name in ("micro", "micro_full", "micro_students", "micro_ablations")),
    *((name, "arc_tuning", "ARC-Easy", ["learning_rate", "epochs"]) for name in ("arc_gemini", "arc_entailment_thin")),
])  # fmt: skip
def test_a_studys_settings_are_the_best_of_the_recorded_grid(name, grid, dataset, keys):
    plan, tuned = recipe.load(name), recipe.load(grid)
    rows = report.Record(grid).table(f"08_validation_{dataset}")
    best = {row["arm"]: [row[key] for key in keys] for row in rows if row["best"]}
    arms = (plan if dataset == "microsci" else tuned).trained_arms(MAIN)
    settings = {arm: plan.settings(arm) for arm in arms}
    assert {arm: [getattr(settings[arm], key) for key in keys] for arm in arms} == {arm: best[arm] for arm in arms}
    assert not {*plan.seeds} & {*tuned.seeds}
    if dataset == "microsci":  # what a grid may have differently; of the tokens nothing is cut in either
        own = ("learning_rate", "test_questions", "transfer_questions", "max_input_tokens")
        assert all(value == tuned.flat()[key] for key, value in plan.flat().items() if key not in own)


@pytest.mark.parametrize(
    ("name", "files", "dataset"),
    [
        ("arc_gemini_thin", ["${SCICOT_DATA}", "gemini-arc-challenge.jsonl"], "ARC-Challenge"),
        ("arc_entailment_thin", ["${SCICOT_DATA}", "entailmentbank-arc.jsonl"], "ARC-Easy"),
        ("arc_tuning", ["${SCICOT_DATA}", "entailmentbank-arc.jsonl"], "ARC-Easy"),
        ("finetune_cot_davinci_thin", ["finetune_cot_completions"], "CoinFlip"),
    ],
)
def test_a_record_on_real_data_is_of_the_recipe_as_it_is_and_of_data_with_checksums(name, files, dataset):
    provenance = provenance_of(paths.record(name))
    assert recipe.Recipe(**provenance["recipe"]) == recipe.load(name)
    assert [file.rpartition("/")[2] for file in provenance["outside"]] == files
    assert all(re.fullmatch("[0-9a-f]{64}", source["sha256"]) for source in provenance["outside"].values())
    assert len(provenance["weights"]) == 1 and provenance["modified"] == [False]
    rows = report.Record(name).table(f"09_comparisons_{dataset}")
    shown = report.comparison_table(rows, recipe.Settings())._repr_html_()
    assert "nan" not in shown, "one seed has no error over seeds"


def test_a_table_that_a_shipped_record_lacks_is_one_line(monkeypatch, tmp_path):
    monkeypatch.setattr(paths, "REFERENCE", tmp_path)
    message = (
        "arc/tables/01_splits.csv: missing from the shipped record; restore it from the repository: git checkout --"
    )
    with pytest.raises(tables.TableError, match=re.escape(message)):
        report.Record("arc").table("01_splits")


def test_scores_of_single_forms_are_folded():
    row = {"arm": "two_stage", "split": "test", "value": 0.5, "low": 0.4, "high": 0.6, "n": 9, "seed": 0}
    rows = [row | {"metric": metric} for metric in ("generated", "generated:eats")]
    whole, folded = report.scores(rows).parts
    assert whole.frame["metric"].tolist() == ["generated"]
    assert folded.table.frame["metric"].tolist() == ["generated:eats"]
    assert len(report.scores(rows[:1]).parts) == 1


def test_rows_of_many_columns_are_turned():
    rows = [{"arm": "one", "steps": 3, "rate": 0.5}, {"arm": "two", "steps": 4, "rate": 0.25}]
    turned = [{"key": "steps", "one": 3, "two": 4}, {"key": "rate", "one": 0.5, "two": 0.25}]
    assert report.pivot(rows, "arm", "key") == turned
    assert report.pivot([], "arm", "key") == []


def test_what_the_teacher_was_asked_about_is_not_told_of_a_sweep_as_a_change():
    plan = planned(("rationale_answer",), variants={"gold": {"prompt": "gold_shown", "teacher_splits": "train"}})
    rows = [row for name in (MAIN, "gold") for row in metric_rows(variant=name)]
    frame, common = report.ablation(plan, pd.DataFrame(rows), "prompt")
    assert common == "" and set(frame["level"]) == {"zero_shot_cot", "gold_shown"} and set(frame["given"]) == {""}
