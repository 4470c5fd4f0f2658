"""File formats of completions that a recorded teacher reads. The content of a file or row decides which format it is.

Files: JSON lines, a JSON list, Parquet, CSV or TSV, of rows in any of ROWS; a file of Fine-tune-CoT, or a folder of
them (D_….json); a log of zero_shot_cot, or a folder with `log/`. For rows with other columns, the recipe names them
(`teacher_columns`).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from scicot_utils import rows
from scicot_utils.prompts import CUE, conclude
from scicot_utils.teachers.protocol import TeacherError, finished, one_line

ALLOWED = (
    'rows with "id" and "text" (or "rationale"), OpenAI batch output, chat completions, samples of lm-evaluation-harness, '
    "or the columns that teacher_columns names"
)
LOGGED = re.compile(r"^(\d+)st data$\n", re.MULTILINE)  # zero_shot_cot's numbers of questions, "2st" included
STEP_BY_STEP = "A: Let's think step by step."


@dataclass(frozen=True)
class Found:
    """A completion with what identifies its question: its id, its place in its file and its text; '' if unknown."""

    text: str
    id: str = ""
    question: str = ""
    place: str = ""
    finish: str = "stop"


def files(path: Path) -> list[Path]:
    """The files at a path, in order; [] if there is none in a known format."""
    if path.is_dir():
        return sorted(path.glob("D_*.json")) or sorted((path / "log").glob("*.log"))
    return [path] if path.is_file() else []


def read(path: Path, columns: Mapping[str, str]) -> Iterator[Found]:
    """Yield every completion of a file. Raises TeacherError that names the file, the line, and what is allowed."""
    if path.suffix == ".log":
        yield from _logged(path.read_text(encoding="utf-8", errors="replace"))
        return
    try:
        numbered = list(rows.read(path))
    except ValueError as error:
        raise TeacherError(f"teacher_path {one_line(error)}; allowed: {ALLOWED}") from None
    if len(numbered) == 1 and isinstance(numbered[0][1], dict) and isinstance(numbered[0][1].get("data"), dict):
        yield from _published(numbered[0][1]["data"], path.name)
    else:
        yield from _of_rows(numbered, path.name, columns)


# ── Rows ────────────────────────────────────────────────────────────────────────────────────────────────────────


def _of_rows(numbered: Iterable[tuple[int, Any]], name: str, columns: Mapping[str, str]) -> Iterator[Found]:
    filters: dict[object, object] = {}
    for number, row in numbered:
        try:
            if (
                not columns
                and "filter" in row
                and filters.setdefault(row.get("doc_id"), row["filter"]) != row["filter"]
            ):
                continue  # lm-evaluation-harness logs a sample once for each of its filters
            found = _named(row, columns) if columns else _of_row(row)
            if not all(one.id or one.question for one in found):
                raise TypeError("it has neither an id nor a question")
        except (KeyError, IndexError, TypeError, AttributeError, ValueError) as error:
            allowed = f"the columns of teacher_columns ({', '.join(columns.values())})" if columns else ALLOWED
            raise TeacherError(
                f"teacher_path {name}, line {number}: allowed: {allowed} ({one_line(repr(error))})"
            ) from None
        yield from found


def _of_row(row: Any) -> list[Found]:
    return next(form(row) for holds, form in ROWS if holds(row))


def _named(row: Any, columns: Mapping[str, str]) -> list[Found]:
    told = {part: rows.at(row, place) for part, place in columns.items()}
    finish = _finished(told.get("finish"))
    return [_found(told["text"], _id(told.get("id", "")), _said(told.get("question", "")), finish)]


def _found(said: Any, name: str, question: str = "", finish: str = "stop") -> Found:
    """A completion. Without text, as after a refusal or a tool call, it counts as unfinished."""
    return Found(_said(said), name, question, finish=finish if said else "unfinished")


def _said(said: Any) -> str:
    """A text, or the joined texts of a list of parts, as servers send it."""
    if said is None or isinstance(said, float):  # a missing value of a table
        return ""
    if isinstance(said, list):
        return "".join(_said(part.get("text", "")) if isinstance(part, dict) else _said(part) for part in said)
    if not isinstance(said, str):
        raise TypeError("its text is no text")
    return said


def _finished(reason: object) -> str:
    """The finish reason of a completion. If the file gives none, the completion counts as whole."""
    return "stop" if reason in (None, "") else finished(reason)


def _id(value: Any) -> str:
    if isinstance(value, float) and value.is_integer():
        value = int(value)  # whole numbers in a column with a missing value
    if isinstance(value, bool) or not isinstance(value, str | int | np.integer):
        raise TypeError("its id is no text")
    return str(value)


def _plain(row: dict[str, Any]) -> list[Found]:
    """A row with a whole completion as `text`, or with a `rationale`.

    The whole text of a `rationale` is one, even if it names an answer in words of its own. In that case an empty cue is
    appended, which says that no answer follows.
    """
    if "rationale" not in row:
        return [_found(row["text"], _id(row["id"]))]
    if not isinstance(row["rationale"], str):
        raise TypeError("its rationale is no text")
    ends = CUE not in row["rationale"] and conclude(row["rationale"]).rule
    return [_found(f"{row['rationale'].rstrip()}{CUE}" if ends else row["rationale"], _id(row["id"]))]


def _batched(row: dict[str, Any]) -> list[Found]:
    """A line of OpenAI's batch output (chat completions, responses) or Anthropic's; [] for a failed request."""
    name = _id(row["custom_id"])
    message = (row.get("result") or {}).get("message") if "result" in row else None
    if message:
        return [_found(message["content"], name, finish=_finished(message.get("stop_reason")))]
    body = (row.get("response") or {}).get("body") or {}
    if "output" in body:
        parts = [part for item in body["output"] if item.get("type") == "message" for part in item["content"]]
        return [_found(parts, name, finish="stop" if body.get("status") == "completed" else "unfinished")]
    return _chosen(body, name) if "choices" in body else []


def _chat(row: dict[str, Any]) -> list[Found]:
    """A saved reply of a chat or completion endpoint, with the question's id beside it."""
    return _chosen(row, _id(next((row[key] for key in ("question_id", "custom_id", "id") if key in row), None)))


def _chosen(reply: Mapping[str, Any], name: str) -> list[Found]:
    return [
        _found(
            choice["message"]["content"] if "message" in choice else choice["text"],
            name,
            finish=_finished(choice.get("finish_reason")),
        )
        for choice in reply["choices"]
    ]


def _harness(row: dict[str, Any]) -> list[Found]:
    """A sample of a generation task that lm-evaluation-harness logged (`--log_samples`)."""
    doc = row["doc"]
    name = _id(doc["id"]) if doc.get("id") is not None else ""
    question = "" if name else _said(doc["question"])
    if not all(isinstance(texts, list) for texts in row["resps"]):
        raise TypeError("its resps are no lists of texts, so it is not of a task that generates")
    return [_found(text, name, question) for texts in row["resps"] for text in texts]


ROWS: tuple[
    tuple[Callable[[Any], bool], Callable[[Any], list[Found]]], ...
] = (  # (condition, reader); the first that holds is taken
    (lambda row: "custom_id" in row and ("response" in row or "result" in row), _batched),
    (lambda row: "resps" in row and "doc" in row, _harness),
    (lambda row: isinstance(row.get("choices"), list) and "text" not in row and "rationale" not in row, _chat),
    (lambda row: True, _plain),
)


# ── Files of two papers' code ───────────────────────────────────────────────────────────────────────────────────


def _published(data: Mapping[str, Any], name: str) -> Iterator[Found]:
    """Completions in a file of Fine-tune-CoT (`CompletionDataset` in its code: index → samples). The index is the
    number of the question within its task.
    """
    try:
        for index, samples in data.items():
            for found in samples:
                answer, reasoning = str(found["completion"]), found.get("reasoning_completion")
                reasons = [_finished(found.get(key)) for key in ("reasoning_finish_reason", "finish_reason")]
                apart = None if reasoning is None else reasoning.strip().replace(CUE, f" {CUE.strip()}")
                text = answer if apart is None else f"{apart}{CUE} {answer.strip()}"
                finish = next((reason for reason in reasons if reason != "stop"), "stop")
                if not isinstance(found["question"], str) or found["completion"] is None:
                    raise TypeError("its question or its completion is no text")
                yield Found(text, question=found["question"], place=f"{int(index):05d}", finish=finish)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise TeacherError(
            f"teacher_path {name}: allowed: Fine-tune-CoT's completion file, data: {{index: [{{question, completion, "
            f"reasoning_completion, …}}]}} ({error!r})"
        ) from None


def _logged(text: str) -> Iterator[Found]:
    """Completions in a log of zero_shot_cot (Kojima et al. 2022), which numbers questions from 1, in file order."""
    parts = LOGGED.split(text)[1:]
    for number, body in zip(parts[::2], parts[1::2], strict=True):
        asked, _, said = body.partition("\npred_before :")[0].partition(STEP_BY_STEP)
        question = asked[asked.find("Q: ") + 3 :].strip()
        yield Found(said.strip(), question=question, place=f"{int(number) - 1:05d}")
