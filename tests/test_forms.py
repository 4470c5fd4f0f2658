"""Completions in the forms in which people keep them: each is read as what it is, and what is none of them is named."""

import csv
import gzip
import json
import re

import pandas as pd
import pytest
from conftest import make_question, refused

from scicot_utils import paths, prompts, rationales, recipe, tasks, teachers
from scicot_utils.recipe import Settings
from scicot_utils.serving.cache import Cache
from scicot_utils.teachers import Recorded, TeacherError, forms

TEXT = "Birds fly.\nThe best answer is B."
WORDS = {"content": TEXT, "role": "assistant"}
CHOICES = [{"index": 0, "message": WORDS, "finish_reason": "stop"}]
CHAT = {"id": "chatcmpl-1", "object": "chat.completion", "choices": CHOICES}
LINES = {
    "id and text": {"id": "q0", "text": TEXT},
    "id and rationale": {"id": "q0", "rationale": TEXT},
    "a number for an id": {"id": 0, "text": TEXT},
    "batch output": {"id": "batch_req_1", "custom_id": "q0", "response": {"status_code": 200, "body": CHAT}, "error": None},
    "a chat completion": CHAT | {"question_id": "q0"},
    "a completion": {"id": "q0", "object": "text_completion", "choices": [{"text": TEXT, "finish_reason": "STOP"}]},
    "lm-evaluation-harness": {"doc_id": 0, "doc": {"id": "q0", "question": "?"}, "resps": [[TEXT]], "filtered_resps": ["B"]},
    "lm-evaluation-harness, by question": {"doc_id": 0, "doc": {"question": "Which  is it?"}, "resps": [[TEXT]]},
}  # fmt: skip
RECORDED = prompts.TEACHER_PROMPTS["recorded"]


OPEN = {"label": [], "text": []}


def found(path, columns=None):
    """(id, text) of each completion of a file."""
    return [(completion.id, completion.text) for completion in forms.read(path, columns or {})]


def read(path, *, columns="", ids=("q0",)):
    """The rows of the rationales table for questions of these ids."""
    questions = {name: make_question(id=name, question="Which is it?", split="train") for name in ids}
    with Cache(path.parent / "cache.sqlite") as cache:
        completions = list(teachers.ask(Recorded(str(path), columns=columns), RECORDED, questions.values(), cache))
    return rationales.judge(RECORDED, questions, completions, "correct")


@pytest.mark.parametrize("name", LINES)
@pytest.mark.parametrize("whole", [False, True], ids=["lines", "a list"])
def test_a_line_of_each_form_is_a_completion_of_its_question(answers, name, whole):
    path = answers([LINES[name]] if whole else LINES[name])
    [row] = read(path, ids=("0",) if name == "a number for an id" else ("q0",))
    expected = (TEXT, "", False) if name == "id and rationale" else ("Birds fly.", "B", True)
    assert (row["rationale"], row["teacher_answer"], row["kept"]) == expected


@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".parquet"])
def test_tables_are_read_like_lines(tmp_path, suffix):
    frame = pd.DataFrame([{"id": "q0", "text": TEXT, "note": "x"}, {"id": "q1", "text": "NA", "note": ""}])
    path = tmp_path / f"answers{suffix}"
    if suffix == ".parquet":
        frame.to_parquet(path)
    else:
        frame.to_csv(path, index=False, sep="\t" if suffix == ".tsv" else ",")
    first, second = read(path, ids=("q0", "q1"))
    assert first["kept"] and second["rationale"] == "NA"  # a word, not a missing value


@pytest.mark.parametrize(
    ("row", "columns"),
    [
        ({"qid": "q0", "out": {"texts": [TEXT]}}, "id=qid, text=out.texts.0"),
        ({"q.id": "q0", "out": TEXT}, "id=q.id,text=out"),
        ({"asked": "Which is  it?", "out": TEXT, "why": "stop"}, "question=asked, text=out, finish=why"),
        (CHAT | {"meta": {"row": 7}}, "id=meta.row, text=choices.0.message.content"),
        ({"Question ID": "q0", "Model Response": TEXT}, "id=Question ID, text=Model Response"),
        ({"qid": "q0", "why": "Birds fly.", "pred_ans": "(B)"}, "id=qid, rationale=why, answer=pred_ans"),
    ],
)
def test_other_columns_are_named_by_the_recipe(answers, row, columns):
    path = answers(row)
    assert Settings(teacher="recorded", teacher_columns=columns, prompt="recorded").teacher_columns == columns
    [match] = read(path, columns=columns, ids=("7",) if "meta" in columns else ("q0",))
    assert match["kept"]
    with refused(TeacherError, r"answers.jsonl, line 1: allowed: .*elsewhere"):
        read(path, columns=f"{columns}, id=elsewhere")


MORE = {  # what comes with rows as servers and tools write them: the row, and (text, finish) of its completions
    "content in parts": (CHAT | {"question_id": "q0", "choices": [{"message": {"content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]}}]}, [("ab", "stop")]),
    "no content, of a refusal": (CHAT | {"question_id": "q0", "choices": [{"message": {"content": None}, "finish_reason": "stop"}]}, [("", "unfinished")]),
    "several choices": ({"question_id": "q0", "choices": [{"message": {"content": said}, "finish_reason": said} for said in ("stop", "MAX_TOKENS", "error")]},
                        [("stop", "stop"), ("MAX_TOKENS", "length"), ("error", "unfinished")]),
    "the responses endpoint": ({"custom_id": "q0", "response": {"body": {"status": "completed", "output": [
        {"type": "reasoning", "summary": []}, {"type": "message", "content": [{"type": "output_text", "text": "a"}]}]}}}, [("a", "stop")]),
    "Anthropic's batches": ({"custom_id": "q0", "result": {"type": "succeeded", "message": {
        "content": [{"type": "text", "text": "a"}], "stop_reason": "max_tokens"}}}, [("a", "length")]),
    "a failed one of those": ({"custom_id": "q0", "result": {"type": "errored"}}, []),
    "a failed request of a batch": ({"custom_id": "q0", "response": {"status_code": 500, "body": {"error": {}}}, "error": None}, []),
    "an expired one": ({"custom_id": "q0", "response": None, "error": {"message": "expired"}}, []),
    "a question's choices beside a text": ({"id": "q0", "choices": {"label": ["A"], "text": ["x"]}, "text": "a"}, [("a", "stop")]),
    "an id that a join made a float": ({"id": 5.0, "text": "a"}, [("a", "stop")]),
    "an id that is null beside a question": ({"doc": {"id": None, "question": "Which?"}, "resps": [["a"]]}, [("a", "stop")]),
}  # fmt: skip


@pytest.mark.parametrize("suffix", [".jsonl", ".json"])
@pytest.mark.parametrize(("row", "expected"), MORE.values(), ids=MORE)
def test_rows_are_taken_as_servers_and_tools_write_them(answers, row, expected, suffix):
    completions = forms.read(answers(row, name=f"answers{suffix}"), {})
    assert [(completion.text, completion.finish) for completion in completions] == expected


LOGGED = [{"filter": name, "resps": [["a", "b"]], "doc_id": n, "doc": {"id": f"q{n}"}} for name in ("strict", "flexible") for n in (0, 1)]  # fmt: skip
APART_IN = {"id": "n", "rationale": "why", "answer": "said"}
THOUGHT = [{"text": "Is it A?", "thought": True}, {"text": "It flies.\n"}, {"text": "The answer is B."}]
SEVERAL = {  # rows, or one JSON object; the columns named; (id, text) of the completions that are in it
    "a list of texts": ([{"id": "q0", "text": ["a", "b"]}], {}, [("q0", "a"), ("q0", "b")]),
    "a list inside": ([{"n": "q0", "out": {"texts": ["a", "b"]}}], {"id": "n", "text": "out.texts"}, [("q0", "a"), ("q0", "b")]),
    "parts of one text, without thoughts": ([{"n": "q0", "out": THOUGHT}], {"id": "n", "text": "out"}, [("q0", "It flies.\nThe answer is B.")]),
    "samples by their numbers": ({f"q{n}": {"0": f"a{n}", "1": "x"} for n in range(3)}, {"id": "id", "text": "0"}, [(f"q{n}", f"a{n}") for n in range(3)]),
    "models by their names": ({f"q{n}": {"model:7b": f"a{n}", "other": "x"} for n in (0, 1)}, {"id": "id", "text": "model:7b"}, [("q0", "a0"), ("q1", "a1")]),
    "texts by their ids": ({"q0": "a", "q1": "b"}, {}, [("q0", "a"), ("q1", "b")]),
    "samples that the harness logs for each filter": (LOGGED, {}, [("q0", "a"), ("q0", "b"), ("q1", "a"), ("q1", "b")]),
    "rationales and their answers": ([{"n": "q0", "why": ["a", "b"], "said": ["A", "B"]}], APART_IN, [("q0", f"a{prompts.CUE} A"), ("q0", f"b{prompts.CUE} B")]),
    "facts and one answer": ([{"n": "q0", "why": ["a", "b"], "said": "A"}], APART_IN, [("q0", f"a\nb{prompts.CUE} A")]),
}  # fmt: skip


@pytest.mark.parametrize(("held", "columns", "expected"), SEVERAL.values(), ids=SEVERAL)
def test_a_file_or_a_row_may_hold_several_completions(answers, held, columns, expected):
    path = answers(held, name="answers.json") if isinstance(held, dict) else answers(*held)
    assert found(path, columns) == expected


NONE = {  # a row that holds no completion, the columns named, and what is said of it
    "objects without a text": ({"id": "q0", "samples": [{"said": "It flies. (A)"}]}, {"id": "id", "text": "samples"}, "a list of objects"),
    "samples in objects": ({"key": "q0", "outputs": [{"index": 0, "text": TEXT}]}, {"id": "key", "text": "outputs"}, r"reach inside with dots.*; found key, outputs\)"),
    "a question's options": ({"id": "q0", "choices": [{"label": "A", "text": "robin"}], "said": "It flies. (A)"}, {}, "'text'"),
    "log-likelihoods of options": ({"doc": {"id": "q0"}, "resps": [[["-5.25", "False"]], [["-3.5", "True"]]]}, {}, "not of a task that generates"),
    "a chat without a question's id": ({"choices": [{"message": {"content": "x"}}]}, {}, "its id is no text"),
    "other columns": ({"instruction": "Which is it?", "output": TEXT}, {}, r"\(no column 'text'; found instruction, output\)"),
    "fewer answers than rationales": ({"n": "q0", "why": ["a", "b"], "said": ["A"]}, APART_IN, "2 rationales and 1 answers"),
    "an answer that is an object": ({"n": "q0", "why": ["a", "b"], "said": {"x": 1}}, APART_IN, "neither a text nor a number"),
    **{f"the line {line}": (line, {}, "rows with .*teacher_columns") for line in (
        '{"id": "q0"}', '{"text": "x"}', '{"id": [1], "text": "x"}', '{"id": "q0", "text": 3}', '{"id": "q0", "rationale": null}',
        "[1]", '"text"', "null", "7")},
}  # fmt: skip


@pytest.mark.parametrize(("row", "columns", "message"), NONE.values(), ids=NONE)
def test_what_is_no_completion_is_not_taken_for_one_and_named_with_its_line(answers, row, columns, message):
    named = dict.fromkeys(columns.values(), "x") or {"id": "q0", "text": "x"}
    with refused(TeacherError, rf"answers\.jsonl, line 2: allowed: .*{message}"):
        list(forms.read(answers(named, row, ""), columns))


@pytest.mark.parametrize(
    ("reason", "finish"),
    [
        ("COMPLETE", "stop"), ("FinishReason.STOP", "stop"), ("FINISH_REASON_STOP", "stop"), ("Stop", "stop"),
        ("MAX_TOKENS", "length"), ("FinishReason.MAX_TOKENS", "length"), ("FinishReason.SAFETY", "content_filter"),
        ("FinishReason.OTHER", "unfinished"), ("stop.error", "unfinished"), (7, "unfinished"), ("", "stop"), (None, "stop"),
    ],
)  # fmt: skip
def test_a_finish_word_may_have_any_case_and_its_types_name_before_it(answers, reason, finish):
    path = answers({"n": "q0", "out": TEXT, "end": reason})
    [completion] = forms.read(path, {"id": "n", "text": "out", "finish": "end"})
    assert completion.finish == finish


@pytest.mark.parametrize("gzipped", [False, True])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le"])
@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_a_file_is_read_packed_or_not_and_from_any_system(tmp_path, gzipped, encoding, newline):
    text = f"One.\u2028Two.\x85{TEXT}"  # which JSON may hold as they are
    rows = [json.dumps({"id": f"q{n}", "text": text}, ensure_ascii=False) for n in (0, 1)]
    lines = newline.join([rows[0], "", rows[1], "\r", ""])
    path = tmp_path / ("answers.jsonl.gz" if gzipped else "answers.jsonl")
    content = lines.encode(encoding)
    path.write_bytes(gzip.compress(content) if gzipped else content)
    assert found(path) == [("q0", text), ("q1", text)]
    log = tmp_path / "svamp.log"
    log.write_bytes(LOG.replace("\n", newline).encode())
    assert [completion.index for completion in forms.read(log, {})] == ["00000", "00001"]


DAMAGED = {
    **dict.fromkeys(("empty.jsonl", "empty.json", "empty.csv", "empty.log"), b""), "blank.jsonl": b"\n\n", "no_data.json": b'{"data": {}}',
    "a_number_for_a_question.json": b'{"data": {"0": [{"question": 5, "completion": "x"}]}}', "a_header.csv": b"id,text\n",
    "a_cell_too_many.csv": b"id,text\na,b,c\nc,d,e\n", "latin_1.csv": "id,text\na,ä\n".encode("latin-1"),
    "a_text_for_a_list.jsonl": b'{"doc": {"id": "a"}, "resps": ["hi"]}', "not_packed.jsonl.gz": b"no gzip",
    "half_a_line.jsonl": b'{"id": "q0", "text": "x"}\n{', "no_table.parquet": b"no table", "packed.jsonl.zst": b"(\xb5/\xfd\x04",
}  # fmt: skip
SAID = {  # of some of them
    "half_a_line.jsonl": ", line 2: is no JSON .*rows with .*teacher_columns", "no_table.parquet": " is no parquet file",
    "packed.jsonl.zst": " is no text; unpack it",
}  # fmt: skip


@pytest.mark.parametrize("name", DAMAGED)
def test_a_file_that_holds_no_completion_or_is_damaged_ends_in_one_line(tmp_path, name):
    (tmp_path / name).write_bytes(DAMAGED[name])
    with refused(TeacherError, f"{name}{SAID.get(name, '.*allowed')}"):
        Recorded(str(tmp_path / name))


LOG = """*****************************
Namespace(dataset='addsub')
1st data
1_th_sampling
Q: How many  are left ?
A: Let's think step by step. 40 less 1 is 39.
Therefore, the answer (arabic numerals) is

39
pred_before :

39
pred_after : 39
GT : 39
*************************
2st data
1_th_sampling
Q: How many are left ?
A: Let's think step by step. None.
Therefore, the answer (arabic numerals) is 0.
pred_before :  0.
GT : 0
"""


@pytest.mark.parametrize("folder", [False, True])
def test_a_log_of_zero_shot_cots_is_read_by_place_and_question(tmp_path, folder):
    path = tmp_path / "log" / "addsub_zero_shot_cot.log"
    path.parent.mkdir()
    path.write_text(LOG, encoding="utf-8")
    first, second = forms.read(path, {})
    assert (first.index, first.question, first.finish) == ("00000", "How many  are left ?", "stop")
    assert first.text.startswith("40 less 1 is 39.") and first.text.endswith("39")
    teacher = Recorded(str(tmp_path if folder else path))
    texts = [teacher.complete(f"0000{n}\nHow many are left ?", sample=0, temperature=0).text for n in (0, 1)]
    assert texts == [first.text, second.text]
    row = make_question(dataset="AddSub", choices=OPEN, answer="39")
    conclusion = prompts.read_completion(RECORDED, row, texts[0])
    assert (conclusion.rationale, conclusion.answer) == ("40 less 1 is 39.", "39")


OF_OPTIONS = make_question(id="q0")
ADDED = make_question((), dataset="AddSub", answer="39", id="q0", split="train")
ASKED = make_question(dataset="StrategyQA", choices=OPEN, answer="yes", id="q0", split="train")
APART = [  # an answer in a column of its own, its question, and the answer read from it
    ("B", OF_OPTIONS, "B"), ("(b) robin", OF_OPTIONS, "B"), ("Robin", OF_OPTIONS, "B"), ("cat", OF_OPTIONS, ""),
    ("The answer is (B).", OF_OPTIONS, "B"), ("A or B", OF_OPTIONS, ""), (39, ADDED, "39"), (39.0, ADDED, "39"),
    ("$39 in all", ADDED, "39"), ("#### 39", ADDED, "39"), (1e-05, ADDED, "0.00001"), (True, ASKED, "yes"), ("No", ASKED, "no"),
]  # fmt: skip


@pytest.mark.parametrize(("answer", "question", "expected"), APART)
def test_a_rationale_and_its_answer_may_have_columns_of_their_own(answers, answer, question, expected):
    path = answers({"n": "q0", "why": "Birds fly. Oars do not.", "said": answer})
    [completion] = forms.read(path, APART_IN)
    parsed = prompts.read_completion(RECORDED, question, completion.text)
    assert (parsed.rationale, parsed.answer) == ("Birds fly. Oars do not.", expected)


@pytest.mark.parametrize("answer", [None, "", float("nan")])
def test_a_missing_answer_beside_a_rationale_is_none_whatever_the_rationale_says(answers, answer):
    path = answers({"n": "q0", "why": TEXT, "said": answer})
    for columns in (APART_IN, {"id": "n", "rationale": "why"}):
        [completion] = forms.read(path, columns)
        assert prompts.read_completion(RECORDED, make_question(id="q0"), completion.text).answer == ""


@pytest.mark.parametrize(
    "columns",
    ["text", "id=", "name=q, text=t", "id=a text=b", "id=a", "id=a, answer=b", "text=a, rationale=b", "text=a, answer=b"],
)  # fmt: skip
def test_columns_that_name_nothing_are_refused(columns):
    with pytest.raises(ValueError, match="teacher_columns"):
        Settings(teacher_columns=columns)


def test_a_file_of_other_questions_ends_the_run_in_one_line(cache, answers):
    teacher = Recorded(str(answers({"id": "Mercury_7", "text": TEXT})))
    questions = [make_question(id="microsci-1", split="train"), make_question(id="microsci-2")]
    completions = list(teachers.ask(teacher, RECORDED, questions, cache))
    with refused(TeacherError) as error:
        teachers.need_match(teacher, completions)
    assert all(words in str(error.value) for words in ("'microsci-1'", "'Mercury_7'", "teacher_columns"))
    one_matches = [completions[0] | {"finish_reason": "stop"}, *completions[1:]]
    teachers.need_match(teacher, one_matches)  # that is enough


@pytest.mark.parametrize(
    "asked",
    [
        "Q: Which has feathers? Answer Choices: (A) raft (B) robin\nA:",
        "Question: Which  has feathers?\nOptions:\n(a) raft\n(b) robin\nAnswer:",
    ],
)
def test_a_question_is_found_in_the_frame_of_a_prompt(answers, asked):
    question = make_question(["raft", "robin"], question="Which has feathers?")
    teacher = Recorded(str(answers({"asked": asked, "said": TEXT})), columns="question=asked, text=said")
    assert teacher.complete(RECORDED.question(question), sample=0, temperature=0.0).text == TEXT


def test_questions_that_the_file_cannot_tell_apart_end_the_run_in_one_line(answers):
    """Else both would get the first one's completion."""
    path = answers(*({"asked": "Which flies?", "said": said} for said in ("A.", "B.")))
    pair = [make_question([*options], id=f"q{n}", question="Which flies?") for n, options in enumerate(("xy", "vw"))]
    teacher = Recorded(str(path), columns="question=asked, text=said")
    rows = [{"question_id": row["id"], "prompt": RECORDED.question(row), "finish_reason": "stop"} for row in pair]
    with refused(TeacherError, r"have the words 'Which flies\?' and different options"):
        teachers.need_match(teacher, rows)
    teachers.need_match(teacher, [rows[0], rows[0]])  # two samples of one question


# Real words: the labels were given by reading, before the reader was written; of the texts none is here

KINDS = {  # source → the benchmark whose kind of answer it has
    "addsub": "AddSub", "singleeq": "SingleEq", "multiarith": "MultiArith", "svamp": "SVAMP", "gsm8k": "GSM8K",
    "aqua": "AQUA", "commonsensqa": "CommonsenseQA", "strategyqa": "StrategyQA", "coin_flip": "CoinFlip",
    "last_letters": "LastLetter", "date_understanding": "DateUnderstanding", "shuffled_objects": "ShuffledObjects",
    "gemini-arc-challenge": "ARC-Challenge",
}  # fmt: skip


def completions(real_data, source):
    """(question with its options, completion), in the order of the file."""
    if source == "gemini-arc-challenge":
        options = make_question(["w", "x", "y", "z"], dataset="ARC-Challenge")  # its ids alone would need the benchmark
        return [(options, text) for _, text in found(real_data / "rationales" / f"{source}.jsonl")]
    pairs = []
    for completion in forms.read(real_data / "zero_shot_cot" / "log" / f"{source}_zero_shot_cot.log", {}):
        _, _, options = completion.question.partition("Answer Choices: ")
        texts = re.split(r" ?\([A-H]\) ?", options)[1:] if options else []
        choices = {"label": list("ABCDEFGH"[: len(texts)]), "text": texts}
        row = make_question(dataset=KINDS[source], choices=choices, question=completion.question, answer="?")
        pairs.append((row | {"answer": "0"} if "flip" not in source else row, completion.text))
    return pairs


def labels():
    with (paths.ROOT / "tests" / "fixtures" / "conclusions.csv").open(encoding="utf-8", newline="") as lines:
        return list(csv.DictReader(lines))


def test_real_completions_are_read_as_a_person_reads_them(real_data):
    """300 completions of thirteen sources. At least 98% alike, and at most 0.5% read that conclude nothing, or another."""
    texts = {source: completions(real_data, source) for source in KINDS}
    unlike, false = [], []
    for label in labels():
        row, text = texts[label["source"]][int(label["index"])]
        read = prompts.read_completion(RECORDED, row, text).answer
        number = row["dataset"] in ("AddSub", "SingleEq", "MultiArith", "SVAMP", "GSM8K")
        alike = read == label["label"] or (number and read and label["label"] and float(read) == float(label["label"]))
        if not alike:
            unlike.append((label["source"], label["index"], label["label"], read))
            false += unlike[-1:] if read else []
    assert len(labels()) == 300 and len(unlike) <= 6 and len(false) <= 1, unlike


# Fine-tune-CoT's own completions: what its paper and its code make of them


def judge(dataset, keep, reading):
    settings = recipe.load("finetune_cot_davinci").settings()
    sizes = dict.fromkeys((*tasks.SPLITS, *tasks.TRANSFER), 0)
    rows = tasks.load(dataset, dataset_path=settings.dataset_path, sizes=sizes, seed=0)
    teacher, by_id, completions = teachers.open_teacher(settings), {row["id"]: row for row in rows}, []
    for row in rows:
        for sample in range(9):  # some questions of some tasks were asked several times
            response = teacher.complete(RECORDED.question(row), sample=sample, temperature=0)
            if not sample or response.finish_reason != "missing":
                said = {"text": response.text, "finish_reason": response.finish_reason}
                completions.append({"question_id": row["id"], "sample": sample} | said)
    return by_id, rationales.judge(RECORDED, by_id, completions, keep, reading)


def share_right(dataset, reading):
    """In percent."""
    _, rows = judge(dataset, "correct", reading)
    return 100 * sum(row["correct"] for row in rows) / len(rows)


@pytest.mark.parametrize(
    ("dataset", "published"),
    [  # Ho et al., table 1, text-davinci-002, over all completions
        ("SingleEq", 81.50), ("AddSub", 76.71), ("SVAMP", 64.20), ("DateUnderstanding", 67.58),
        ("ShuffledObjects", 53.20), ("StrategyQA", 53.45), ("LastLetter", 57.71), ("CoinFlip", 90.04),
    ],
)  # fmt: skip
def test_the_papers_reading_gives_the_papers_accuracy_of_its_teacher(real_data, dataset, published):
    assert share_right(dataset, "paper") == pytest.approx(published, abs=0.005)


def test_of_multiarith_the_public_file_is_near_the_papers_figure_and_not_at_it(real_data):
    """78.79 in the paper; why the file that is public comes to less is not known."""
    assert share_right("MultiArith", "paper") == pytest.approx(78.16, abs=0.005)


@pytest.mark.parametrize(("dataset", "count"), [("SingleEq", 289), ("StrategyQA", 856)])
def test_with_cut_texts_as_many_rationales_are_kept_as_by_the_papers_code(real_data, dataset, count):
    by_id, rows = judge(dataset, "correct_or_cut", "paper")
    assert sum(row["kept"] for row in rows if by_id[row["question_id"]]["split"] != "test") == count
    _, without_cut = judge(dataset, "correct", "paper")
    assert sum(row["kept"] for row in without_cut) < sum(row["kept"] for row in rows)


@pytest.mark.parametrize("dataset", ["SingleEq", "AddSub", "MultiArith", "SVAMP", "DateUnderstanding", "StrategyQA"])
def test_by_their_conclusions_the_same_completions_are_right_nearly_as_often(real_data, dataset):
    published = share_right(dataset, "paper")
    assert published - 2 <= share_right(dataset, "conclusion") <= published + 0.5


@pytest.mark.parametrize(
    ("options", "finish"),
    [("(A) raft (B) robin", "stop"), ("(A) raft, (B) robin.", "stop"), ("(A) robin (B) raft", "missing")],
)
def test_options_in_another_order_are_other_questions(answers, options, finish):
    """A letter that was written about one order says nothing of another."""
    row = make_question(("raft", "robin"), question="Which is it?", id="00000")
    logged = "1st data\nQ: Which is it? Answer Choices: {}\nA: Let's think step by step. Hm.\nTherefore, the answer is (B).\npred_before : x\n"
    teacher = Recorded(str(answers(logged.format(options), name="answers.log")))
    assert teacher.complete(RECORDED.question(row), sample=0, temperature=0).finish_reason == finish


@pytest.mark.parametrize("end", ["", "\nAnswer:", "\n\nA: Let's think step by step."])
def test_the_same_options_in_another_order_than_the_benchmarks_end_the_run(answers, end):
    """As in logs of evaluations that shuffle options: the letters of such a completion mean others."""
    texts = make_question()["choices"]["text"]
    for listed, is_other in ((texts, False), (texts[::-1], True), (["ship", *texts[1:]], False), ([], False)):
        options = "\n".join(f"{letter}) {text}" for letter, text in zip("ABCDEFGH", listed, strict=False))
        path = answers({"id": "q0", "asked": f"Choose a letter.\n\nWhich is it?\n\n{options}{end}", "text": TEXT})
        if is_other:
            with refused(TeacherError, "of question 'q0' it lists the options in another order"):
                read(path, columns="id=id, question=asked, text=text")
        else:
            assert read(path, columns="id=id, question=asked, text=text")[0]["kept"]


@pytest.mark.parametrize("suffix", [".jsonl", ".parquet"])
@pytest.mark.parametrize("columns", ["", "id=id, rationale=rationale", "id=id, rationale=rationale, answer=said"])
def test_a_list_of_facts_is_one_rationale(answers, tmp_path, columns, suffix):
    row = {"id": "q0", "said": True, "rationale": ["Birds fly.", "Rafts float."]}
    path = tmp_path / "answers.parquet"
    if suffix == ".parquet":
        pd.DataFrame([row]).to_parquet(path)
    else:
        path = answers(row)
    [completion] = Recorded(str(path), columns=columns)._by_id["q0"]
    parsed = prompts.read_completion(RECORDED, ASKED, completion[1].text)
    assert (parsed.rationale, parsed.answer) == ("Birds fly.\nRafts float.", "yes" if "said" in columns else "")
