"""The rationale explorer and the worked examples: what they hold, and that untrusted text does nothing in a page."""

import base64
import gzip
import json
import re

import browser as browsing
import pytest
from conftest import completion, judged, make_question, planned, prediction

from scicot_utils import paths, prompts, recipe, report, tables

HOSTILE = "</script><img src=x onerror=alert(1)>\u202eevil\x07"
WHY = "A robin has feathers."


@pytest.fixture
def studied(tmp_path, monkeypatch):
    """A recipe with one finished run of two arms, and its questions."""
    monkeypatch.setattr(paths, "OUTPUTS", tmp_path)
    plan = planned(("untrained", "two_stage", "answer_only"), (3, 4))
    questions = {
        name: make_question(id=name, split=split, labels="1234")
        for name, split in (("q0", "train"), ("q1", "test"), ("q2", "test"), ("q3", "validation"))
    }
    for arm, answers in (("answer_only", "42"), ("two_stage", "2 ")):
        run = {
            "arm": arm,
            "seed": 3,
            "rationale": HOSTILE if arm == "two_stage" else "",
            "text": "a robin",
            "gold": "2",
        }
        rows = [
            prediction(question_id=name, answer=answer.strip(), option_scores=[0.0, -1.0, -2.0, 1.0], **run)
            for name, answer in zip(("q1", "q2"), answers, strict=True)
        ]
        tables.write("predictions", rows, paths.run("mine", "microsci", arm, "main", 3) / "predictions.parquet")
    rows = [
        judged(rationale=WHY, teacher_answer="2"),
        judged(rationale="Another.", teacher_answer="2", sample=1),
        judged(rationale=HOSTILE, teacher_answer="2", question_id="q0"),
    ]
    tables.write("rationales", rows, paths.rationales("mine", "microsci", "main"))
    asked = completion(question_id="q0", prompt="Q: why?", text=HOSTILE)
    tables.write("completions", [asked], paths.completions("mine", "microsci", "main"))
    return plan, questions


def explored(studied):
    plan, questions = studied
    return report.explorer_data(plan, "microsci", questions, report.first_answers(plan, "microsci"))


def unpacked(page, name):
    [packed] = re.findall(rf'<script type="application/gzip" data-explorer="{name}">([A-Za-z0-9+/=]+)</script>', page)
    return gzip.decompress(base64.b64decode(packed)).decode()


def test_every_test_question_stands_with_what_each_arm_wrote_of_it(studied):
    data = explored(studied)
    assert data["arms"] == ["answer only", "two-stage (Sci-CoT)"] and data["seed"] == 3
    first, second = data["questions"]
    assert (first["id"], first["gold"], first["teacher"], second["teacher"]) == ("q1", "B", WHY, "")
    assert first["options"][1][0] == "B" and len(first["options"]) == 4
    columns = ("answer", "ranked", "right")
    answers = [[tuple(answer[name] for name in columns) for answer in row["answers"]] for row in (first, second)]
    assert answers == [[("D", "D", False), ("B", "D", True)], [("B", "D", True), ("", "D", False)]]
    texts = [(answer["rule"], answer["text"], answer["cut"]) for answer in (*first["answers"], *second["answers"])]
    assert texts[0][1:] == ("a robin", False) and texts[3][0] == "it names none of the options, or several"
    assert "\u202e" not in first["answers"][1]["rationale"] and "U+202E" in first["answers"][1]["rationale"]


def test_the_page_holds_all_of_it_as_data_and_nothing_of_it_as_html(studied):
    data = explored(studied)
    page = report.Explorer(data)._repr_html_()
    assert json.loads(unpacked(page, "data")) == data
    assert "DataTables" in unpacked(page, "library") and ".explorer" in unpacked(page, "style")
    assert "onerror" not in page
    assert page == report.Explorer(data)._repr_html_()
    assert "http://" not in re.sub(r">[A-Za-z0-9+/=]+</script>", "", page) and "<noscript>" in page


def test_the_script_of_the_explorer_never_sets_html():
    text = (paths.EXPLORER / "explorer.js").read_text(encoding="utf-8")
    assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\b|\.html\(", text)


def test_the_explorer_says_what_it_shows_where_no_script_runs(studied, tmp_path):
    explorer = report.Explorer(explored(studied))
    assert repr(explorer) == "2 test questions of microsci, seed 3, answered by: answer only, two-stage (Sci-CoT)"
    assert json.loads(explorer.save(tmp_path / "e.json") and (tmp_path / "e.json").read_text())["dataset"] == "microsci"


def test_a_template_is_the_running_codes_text_around_placeholders(studied):
    passages = dict(report.templates(*studied))
    prompt = passages["The teacher reads (prompt zero_shot_cot/1)"]
    assert prompt == prompts.TEACHER_PROMPTS["zero_shot_cot"].question(
        make_question(question="{question}", texts=["{option A}", "{option B}", "{option C}", "{option D}"])
    )
    assert passages["Q + R → A must write"] == "{option A}"
    assert "{rationale}" in passages["Q + R → A reads (in: two-stage (Sci-CoT))"]
    assert "Q → A must write" in passages and "Q → R A must write" not in passages  # of the recipe's arms only


def test_a_training_question_is_followed_from_the_teacher_to_the_students(studied):
    passages = dict(report.training_followed(studied[0], "microsci", studied[1]))
    assert passages["The teacher read, for question q0 (prompt zero_shot_cot/1)"] == "Q: why?"
    assert passages["It wrote"] == HOSTILE
    assert passages["Q → R must write"] == HOSTILE and HOSTILE in passages["Q + R → A reads (in: two-stage (Sci-CoT))"]
    assert passages["Q → A must write"] == studied[1]["q0"]["choices"]["text"][1]


def test_with_crossfit_stage_two_is_followed_with_what_a_student_wrote(studied):
    plan = studied[0].model_copy(update={"training": recipe.Training(stage2_source="crossfit")})
    held_out = [{"question_id": "q0", "split": "train", "text": "a held-out why", "truncated": False}]
    tables.write("generations", held_out, paths.run("mine", "microsci", "two_stage", "main", 3) / "crossfit.parquet")
    passages = dict(report.training_followed(plan, "microsci", studied[1]))
    second_input = passages["Q + R → A reads (in: two-stage (Sci-CoT))"]
    assert "a held-out why" in second_input and HOSTILE not in second_input and passages["Q → R must write"] == HOSTILE
    assert "{rationale}" in dict(report.templates(plan, studied[1]))["Q + R → A reads (in: two-stage (Sci-CoT))"]


def test_a_test_question_is_one_that_the_named_arm_answers_right_and_the_other_wrong(studied):
    answered = report.first_answers(studied[0], "microsci")
    passages = report.test_followed(studied[0], answered, studied[1], "two_stage", "answer_only")
    assert passages[0][0].startswith("Question q1; right answer: (B)") and [caption.split(",")[0] for caption, _ in passages[1:]] == [
        "two-stage (Sci-CoT)", "and writes", "two-stage (Sci-CoT)", "and writes ((B) robin: right)",
        "answer only reads", "and writes ((D) ant: wrong)",
    ]  # fmt: skip
    other = report.test_followed(studied[0], answered, studied[1], "answer_only", "two_stage")
    assert other[0][0].startswith("Question q2") and other[-1][0] == "and writes (no answer: wrong)"
    assert report.test_followed(studied[0], answered, studied[1], "multitask", "two_stage") == []


def test_hostile_texts_of_an_example_are_shown_and_do_nothing(studied):
    page = report.Texts(report.training_followed(studied[0], "microsci", studied[1]))._repr_html_()
    assert "<img" not in page and "</script>" not in page and "&lt;img src=x onerror=alert(1)&gt;" in page
    assert "\u202e" not in page and page.count("<figure") == page.count("<figcaption") == page.count("<pre")


def test_hostile_texts_do_nothing_in_a_browser(studied, tmp_path):
    hostile = "</script><img src=x onerror=alert(1)><script>alert(2)</script>"
    data = explored(studied)
    row = data["questions"][0] | {"id": hostile, "question": hostile, "teacher": hostile, "form": hostile}
    row |= {"options": [["A", hostile]], "answers": [answer | {"rationale": hostile} for answer in row["answers"]]}
    row["answers"][0] |= {"answer": "", "rule": "", "cut": True}
    row["answers"][1] |= {"answer": "B", "rule": "the option's very words"}
    page = tmp_path / "explorer.html"
    page.write_text(f"<!doctype html><title>e</title>{report.Explorer(data | {'questions': [row]})._repr_html_()}")
    with browsing.chromium() as browser:
        opened, dialogs = browsing.Opened(browser, "light"), []
        opened.page.on("dialog", lambda dialog: (dialogs.append(dialog.message), dialog.dismiss()))
        opened.go(page)
        opened.page.get_by_role("button", name="Details of").click()
        text = opened.page.locator(".explorer-details").inner_text()
        assert text.count(hostile) >= 4  # link, option, teacher, arms
        assert "no answer could be read" in text and "read by the option's very words" in text
        assert text.count("Text, as it was written") == 2 and text.count("a robin") >= 2  # both arms' own words
        assert "the text was cut at its limit" in text
        assert opened.page.locator("img").count() == 0 and dialogs == [] and opened.errors == []
        opened.close()
