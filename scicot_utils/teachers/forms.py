"""File formats of completions that a recorded teacher reads. The content of a file or row decides which format it is.

Files: JSON lines, a JSON list, Parquet, CSV or TSV, of rows in any of ROWS; a file of Fine-tune-CoT, or a folder of
them (D_….json); a log of zero_shot_cot, or a folder with `log/`. For rows with other columns, the recipe names them
(`teacher_columns`).
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from scicot_utils import rows
from scicot_utils.prompts import CUE, conclude
from scicot_utils.serving.protocol import TeacherError
from scicot_utils.serving.replies import finished, one_line

ALLOWED = (
    'rows with "id" and "text" (or "rationale"), OpenAI batch output, chat completions, samples of lm-evaluation-harness, '
    "or the columns that teacher_columns names"
)
LOGGED = re.compile(r"^(\d+)st data$\n", re.MULTILINE)  # zero_shot_cot's numbers of questions, "2st" included
PART = {"text", "thought", "thoughtSignature"}  # keys of a part of a text, as Gemini's; others also have a `type`
STEP_BY_STEP = "A: Let's think step by step."


@dataclass(frozen=True)
class Completion:
    """A completion with what identifies its question: its id, its index in its file and its text; '' if unknown."""

    text: str
    id: str = ""
    question: str = ""
    index: str = ""
    finish: str = "stop"


def files(path: Path) -> list[Path]:
    """The files at a path, in order; [] if there is none in a known format."""
    if path.is_dir():
        return sorted(path.glob("D_*.json")) or sorted((path / "log").glob("*.log"))
    return [path] if path.is_file() else []


def read(path: Path, columns: Mapping[str, str]) -> Iterator[Completion]:
    """Yield every completion of a file. Raises TeacherError that names the file, the line, and what is allowed."""
    if path.suffix == ".log":
        yield from _logged(path.read_text(encoding="utf-8", errors="replace"))
        return
    try:
        numbered = list(rows.read(path, [columns.get(part, part) for part in ("text", "rationale")]))
    except ValueError as error:
        raise TeacherError(f"teacher_path {one_line(error)}; allowed: {ALLOWED}") from None
    match numbered:
        case [(_, {"data": dict(data)})]:
            yield from _published(data, path.name)
        case _:
            yield from _of_rows(numbered, path.name, columns)


# ── Rows ────────────────────────────────────────────────────────────────────────────────────────────────────────


def _of_rows(numbered: Iterable[tuple[int, Any]], name: str, columns: Mapping[str, str]) -> Iterator[Completion]:
    filters: dict[object, object] = {}
    for number, row in numbered:
        try:
            if columns:
                completions = _from_columns(row, columns)
            elif "filter" in row and filters.setdefault(row.get("doc_id"), row["filter"]) != row["filter"]:
                continue  # lm-evaluation-harness logs a sample once for each of its filters
            else:
                completions = next(reader(row) for condition, reader in ROWS if condition(row))
            if not all(completion.id or completion.question for completion in completions):
                raise TypeError("it has neither an id nor a question")
        except (KeyError, IndexError, TypeError, AttributeError, ValueError) as error:
            allowed = f"the columns of teacher_columns ({', '.join(columns.values())})" if columns else ALLOWED
            reason = f"no column {error}" if isinstance(error, KeyError) else one_line(str(error))
            found = ", ".join(map(str, row))[:200] if isinstance(row, Mapping) else type(row).__name__
            raise TeacherError(
                f"teacher_path {name}, line {number}: allowed: {allowed} ({reason}; found {found})"
            ) from None
        yield from completions


def _from_columns(row: Any, columns: Mapping[str, str]) -> list[Completion]:
    values = {part: rows.at(row, column) for part, column in columns.items()}
    name, question = _id(values.get("id", "")), _text(values.get("question", ""))
    if "rationale" not in values:
        texts = _samples(values["text"])
    elif "answer" not in values:
        texts = [_without_answer(_joined(values["rationale"]))]
    else:
        texts = _with_answers(values["rationale"], rows.as_list(values["answer"]))
    return [_completion(text, name, question, values.get("finish")) for text in texts]


def _with_answers(content: Any, answers: Any) -> list[str]:
    """Whole completions of rationales and answers from columns of their own; lists of both are samples. A list of
    rationales beside one answer holds the sentences of a single rationale.
    """
    several = isinstance(answers, list)
    rationales, answers = (_samples(content), answers) if several else ([_joined(content)], [answers])
    if len(answers) != len(rationales):
        raise TypeError(f"{len(rationales)} rationales and {len(answers)} answers")
    pairs = zip(rationales, answers, strict=True)
    return [f"{_text(rationale).rstrip()}{CUE} {_answer(answer)}".rstrip() for rationale, answer in pairs]


def _joined(content: Any) -> str:
    """A text, or the lines of a list of texts, as StrategyQA's `facts`."""
    return "\n".join(map(_text, _samples(content)))


def _answer(value: Any) -> str:
    """An answer in a column of its own as text, a number without an exponent; '' for a missing one."""
    value = rows.cell(value)
    if not isinstance(value, str | int):
        raise TypeError("its answer is neither a text nor a number")
    return str(value).strip()


def _without_answer(rationale: str) -> str:
    """A completion whose whole text is a rationale, even if it names an answer in words of its own. In that case an
    empty cue is appended, which says that no answer follows.
    """
    concludes = CUE not in rationale and conclude(rationale, "Z").rule
    return f"{rationale.rstrip()}{CUE}" if concludes else rationale


def _samples(content: Any) -> list[Any]:
    """A list of texts is one of samples; anything else is one completion."""
    content = rows.as_list(content)
    several = isinstance(content, list) and content and all(isinstance(text, str) for text in content)
    return content if several else [content]


def _completion(content: Any, name: str, question: str = "", reason: object = None) -> Completion:
    """A completion and its finish reason. Without text, as after a refusal or a tool call, it counts as unfinished."""
    return Completion(_text(content), name, question, finish=_finish(reason) if content else "unfinished")


def _text(content: Any) -> str:
    """A text, or the joined texts of a list of parts, as servers send it."""
    if content is None or isinstance(content, float):  # a missing value of a table
        return ""
    if isinstance(content, list):
        parts = [part if isinstance(part, dict) else {"text": part} for part in content]
        if not all("type" in part or part.keys() <= PART for part in parts):
            raise TypeError("its text is a list of objects; reach inside with dots, as in samples.0.text")
        return "".join(_text(part.get("text", "")) for part in parts if not part.get("thought"))
    if not isinstance(content, str):
        raise TypeError("its text is no text")
    return content


def _finish(reason: object) -> str:
    """The finish reason of a completion. If the file gives none, the completion counts as whole."""
    return "stop" if reason in (None, "") else finished(reason)


def _id(value: Any) -> str:
    if isinstance(value, float) and value.is_integer():
        value = int(value)  # whole numbers in a column with a missing value
    if isinstance(value, bool) or not isinstance(value, str | int | np.integer):
        raise TypeError("its id is no text")
    return str(value)


def _plain(row: dict[str, Any]) -> list[Completion]:
    """A row with a whole completion as `text`, or with a `rationale`."""
    part = "rationale" if "rationale" in row else "text"
    if part == "rationale" and not isinstance(rows.as_list(row[part]), str | list):
        raise TypeError("its rationale is no text")
    return _from_columns(row, {part: part, "id": "id"})


def _batched(row: dict[str, Any]) -> list[Completion]:
    """A line of OpenAI's batch output (chat completions, responses) or Anthropic's; [] for a failed request."""
    name = _id(row["custom_id"])
    if message := (row.get("result") or {}).get("message"):
        return [_completion(message["content"], name, reason=message.get("stop_reason"))]
    body = (row.get("response") or {}).get("body") or {}
    if "output" in body:
        parts = [part for item in body["output"] if item.get("type") == "message" for part in item["content"]]
        return [_completion(parts, name, reason=body.get("status") or "unfinished")]
    return _choices(body, name) if "choices" in body else []


def _chat(row: dict[str, Any]) -> list[Completion]:
    """A saved reply of a chat or completion endpoint, with the question's id beside it."""
    return _choices(row, _id(next((row[key] for key in ("question_id", "custom_id", "id") if key in row), None)))


def _choices(reply: Mapping[str, Any], name: str) -> list[Completion]:
    completions = []
    for choice in reply["choices"]:
        content = choice["message"]["content"] if "message" in choice else choice["text"]
        completions.append(_completion(content, name, reason=choice.get("finish_reason")))
    return completions


def _harness(row: dict[str, Any]) -> list[Completion]:
    """A sample of a generation task that lm-evaluation-harness logged (`--log_samples`)."""
    doc = row["doc"]
    name = _id(doc["id"]) if doc.get("id") is not None else ""
    question = "" if name else _text(doc["question"])
    if not all(isinstance(texts, list) and all(isinstance(text, str) for text in texts) for texts in row["resps"]):
        raise TypeError("its resps are no lists of texts, so it is not of a task that generates")
    return [_completion(text, name, question) for texts in row["resps"] for text in texts]


def _is_reply(choices: Any) -> bool:
    """Whether `choices` are those of a server's reply, not the options of a question, which have labels."""
    return isinstance(choices, list) and not any(isinstance(choice, dict) and "label" in choice for choice in choices)


ROWS: tuple[tuple[Callable[[Any], bool], Callable[[Any], list[Completion]]], ...] = (
    # (condition, reader); the first that holds is taken
    (lambda row: "custom_id" in row and ("response" in row or "result" in row), _batched),
    (lambda row: "resps" in row and "doc" in row, _harness),
    (lambda row: _is_reply(row.get("choices")) and "text" not in row and "rationale" not in row, _chat),
    (lambda row: True, _plain),
)


# ── Files of two papers' code ───────────────────────────────────────────────────────────────────────────────────


def _published(data: Mapping[str, Any], name: str) -> Iterator[Completion]:
    """Completions in a file of Fine-tune-CoT (`CompletionDataset` in its code: index → samples). The index is the
    number of the question within its task.
    """
    try:
        for index, samples in data.items():
            for sample in samples:
                question, answer = sample["question"], sample["completion"]
                if not isinstance(question, str) or answer is None:
                    raise TypeError("its question or its completion is no text")
                text, reasoning = str(answer), sample.get("reasoning_completion")
                if reasoning is not None:
                    text = f"{reasoning.strip().replace(CUE, f' {CUE.strip()}')}{CUE} {text.strip()}"
                reasons = [_finish(sample.get(key)) for key in ("reasoning_finish_reason", "finish_reason")]
                finish = next((reason for reason in reasons if reason != "stop"), "stop")
                yield Completion(text, question=question, index=f"{int(index):05d}", finish=finish)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise TeacherError(
            f"teacher_path {name}: allowed: Fine-tune-CoT's completion file, data: {{index: [{{question, completion, "
            f"reasoning_completion, …}}]}} ({error!r})"
        ) from None


def _logged(text: str) -> Iterator[Completion]:
    """Completions in a log of zero_shot_cot (Kojima et al. 2022), which numbers questions from 1, in file order."""
    parts = LOGGED.split(text)[1:]
    for number, body in zip(parts[::2], parts[1::2], strict=True):
        prompt, _, completion = body.partition("\npred_before :")[0].partition(STEP_BY_STEP)
        question = prompt[prompt.find("Q: ") + 3 :].strip()
        yield Completion(completion.strip(), question=question, index=f"{int(number) - 1:05d}")
