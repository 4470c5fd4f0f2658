"""The rationale explorer: what it holds, and that untrusted text reaches the page as data only."""

import base64
import gzip
import json
import re

import pytest
from conftest import make_question

from scicot_utils import paths, recipe, report, tables

HOSTILE = "</script><img src=x onerror=alert(1)>\u202eevil\x07"
WHY = "A robin has feathers."


@pytest.fixture
def studied(tmp_path, monkeypatch):
    """A recipe with one finished run of two arms, and its questions."""
    monkeypatch.setattr(paths, "OUTPUTS", tmp_path)
    plan = recipe.Recipe(
        name="mine", description="d", datasets=["microsci"], distill=["microsci"], seeds=[3, 4],
        arms=["untrained", "two_stage", "answer_only"],
    )  # fmt: skip
    questions = {
        name: make_question(id=name, split=split, labels="1234")
        for name, split in (("q1", "test"), ("q2", "test"), ("q3", "validation"))
    }
    for arm, answers in (("answer_only", "42"), ("two_stage", "2 ")):
        rows = [
            {
                "run": "r", "dataset": "microsci", "arm": arm, "variant": "main", "seed": 3, "question_id": name,
                "split": questions[name]["split"], "rationale": HOSTILE if arm == "two_stage" else "", "text": "a robin",
                "answer": answer.strip(), "gold": "2", "correct": answer == "2", "option_scores": [0.0, -1.0, -2.0, 1.0],
                "truncated": False,
            }
            for name, answer in zip(("q1", "q2"), answers, strict=True)
        ]  # fmt: skip
        tables.write("predictions", rows, paths.run("mine", "microsci", arm, "main", 3) / "predictions.parquet")
    judged = {"question_id": "q1", "sample": 0, "rationale": WHY, "teacher_answer": "2", "correct": True, "kept": True}
    rows = [judged | {"drop_reason": ""}, judged | {"sample": 1, "rationale": "Another.", "drop_reason": ""}]
    tables.write("rationales", rows, paths.rationales("mine", "microsci", "main"))
    return plan, questions


def unpacked(page, name):
    [packed] = re.findall(rf'<script type="application/gzip" data-explorer="{name}">([A-Za-z0-9+/=]+)</script>', page)
    return gzip.decompress(base64.b64decode(packed)).decode()


def test_every_test_question_stands_with_what_each_arm_wrote_of_it(studied):
    found = report.explored(studied[0], "microsci", studied[1])
    assert found["arms"] == ["answer only", "two-stage (Sci-CoT)"] and found["seed"] == 3
    first, second = found["questions"]
    assert (first["id"], first["gold"], first["teacher"], second["teacher"]) == ("q1", "B", WHY, "")
    assert first["options"][1][0] == "B" and len(first["options"]) == 4
    shown = [
        [(answer["answer"], answer["ranked"], answer["right"]) for answer in row["answers"]] for row in (first, second)
    ]
    assert shown == [[("D", "D", False), ("B", "D", True)], [("B", "D", True), ("", "D", False)]]
    assert "\u202e" not in first["answers"][1]["rationale"] and "U+202E" in first["answers"][1]["rationale"]


def test_the_page_holds_all_of_it_as_data_and_nothing_of_it_as_html(studied):
    found = report.explored(studied[0], "microsci", studied[1])
    page = report.Explorer(found)._repr_html_()
    assert json.loads(unpacked(page, "data")) == found
    assert (
        "onerror" not in page and "DataTables" in unpacked(page, "library") and ".explorer" in unpacked(page, "style")
    )
    assert page == report.Explorer(found)._repr_html_()
    assert "http://" not in re.sub(r">[A-Za-z0-9+/=]+</script>", "", page) and "<noscript>" in page


def test_the_script_of_the_explorer_never_sets_html():
    text = (paths.EXPLORER / "explorer.js").read_text(encoding="utf-8")
    assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\b|\.html\(", text)


def test_the_explorer_says_what_it_shows_where_no_script_runs(studied, tmp_path):
    shown = report.Explorer(report.explored(studied[0], "microsci", studied[1]))
    assert repr(shown) == "2 test questions of microsci, seed 3, answered by: answer only, two-stage (Sci-CoT)"
    assert json.loads(shown.save(tmp_path / "e.json") and (tmp_path / "e.json").read_text())["dataset"] == "microsci"
