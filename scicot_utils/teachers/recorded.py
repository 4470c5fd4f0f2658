"""A teacher that was asked before: it replays completions from a file, and writes none.

Three kinds of file are read, told apart by what stands in them: an export of this project's cache (JSON lines with key,
request, response); JSON lines with `id` and `rationale`, or `id` and `text` (a whole completion); and the completion
files that Fine-tune-CoT published (`CompletionDataset` in its code: one JSON object with metadata and data), of which a
folder with one for each task, D_….json, is read, too.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from scicot_utils import cache, paths
from scicot_utils.cache import Response
from scicot_utils.prompts import CUE
from scicot_utils.teachers.protocol import Teacher, TeacherError, clean, free

ALLOWED = 'a JSON object with "id" and "rationale", or "id" and "text"'
EXPORT = {"key", "request", "response"}
CHOSEN_BY = {  # what requests for one prompt may differ in, in an export → the recipe's key that chooses
    "model": "teacher_model",
    "endpoint": "teacher_endpoint",
    "max_tokens": "teacher_max_tokens",
    "seed": "teacher_seed",
    "omitted": "teacher_omit",
}
CHOICES = re.compile(r" answer choices: ", re.IGNORECASE)  # in Fine-tune-CoT's files options are part of the question
FINISHES = {"stop": "stop", "length": "length", "content_filter": "content_filter"}


class Recorded(Teacher):
    """What is not in the file gets finish_reason `missing`. `chosen`, by the names of CHOSEN_BY, says which answer is
    meant where an export holds several to one prompt; a model that is named is the only one that is read.

    Several completions of one question are its samples, in the order of the file; at temperature 0 only the first is
    given.
    """

    def __init__(self, path: str, chosen: Mapping[str, object] = MappingProxyType({})):
        file = _file(path)
        files = sorted(file.glob("D_*.json")) if file.is_dir() else [file]
        contents = [one.read_bytes() for one in files]
        content = b"".join(contents)
        self.name = f"recorded:{file.name}"
        self.identity = {"teacher": "recorded", "sha256": hashlib.sha256(content).hexdigest(), "chosen": dict(chosen)}
        self._by_id: dict[str, list[Response]] = defaultdict(list)
        self._by_question: dict[str, list[Response]] = defaultdict(list)
        self._by_request: dict[tuple[str, float, int], Response] = {}
        self._by_place: dict[tuple[str, str], list[Response]] = defaultdict(list)
        if file.is_dir():
            for one, own in zip(files, contents, strict=True):
                self._read_published(_published(own) or {}, one.name)
        elif (published := _published(content)) is not None:
            self._read_published(published, file.name)
        elif is_export(path):
            self._read_export(content, file.name, chosen)
        else:
            self._read_lines(content, file.name)

    def complete(self, prompt: str, *, sample: int, temperature: float) -> Response:
        if self._by_request:
            return self._by_request.get((prompt, float(temperature), sample)) or free(prompt, "", "missing")
        name, _, question = prompt.partition("\n")
        asked = _squeezed(question)
        found = self._by_id.get(name) or self._by_place.get((name, asked)) or self._by_question.get(asked, [])
        return found[sample] if sample < len(found) else free(prompt, "", "missing")

    def _read_lines(self, content: bytes, name: str) -> None:
        for number, row in _rows(content, name):
            try:
                text = row["rationale"] if "rationale" in row else row["text"]
                if not isinstance(text, str) or not isinstance(row["id"], str):
                    raise TypeError("its id or its rationale is no text")
            except (KeyError, TypeError, AttributeError) as error:
                raise TeacherError(f"teacher_path {name}, line {number}: allowed: {ALLOWED} ({error!r})") from None
            self._by_id[row["id"]].append(free("", clean(text)))

    def _read_export(self, content: bytes, name: str, chosen: Mapping[str, object]) -> None:
        model = chosen.get("model")
        answers: dict[tuple[str, float, int], list[tuple[dict[str, Any], Response]]] = defaultdict(list)
        lines = content.decode("utf-8", errors="replace").split("\n")
        for request, response in cache.exported(lines, f"teacher_path {name}"):
            if response.finish_reason == cache.BATCHED or (model and _setting(request, "model") != model):
                continue
            try:
                place = (request["prompt"], float(request["temperature"]), int(request["sample"]))
            except (KeyError, TypeError, ValueError) as error:
                raise TeacherError(
                    f"teacher_path {name}: allowed: an export of a teacher's cache ({error!r})"
                ) from None
            answers[place].append((request, response))
        if not answers:
            of = f" of model '{model}'; check teacher_model" if model else ""
            raise TeacherError(f"teacher_path {name}: holds no answer{of}")
        self._by_request = {place: _chosen(found, chosen, name) for place, found in answers.items()}

    def _read_published(self, published: dict[str, Any], name: str) -> None:
        """Fine-tune-CoT numbers questions within a task and holds their text, so they are found by both, else by their
        text; tasks have questions in common, which were asked for each."""
        try:
            for index, samples in published["data"].items():
                for found in samples:
                    answer, reasoning = str(found["completion"]), found.get("reasoning_completion")
                    reasons = (found.get("reasoning_finish_reason"), found.get("finish_reason"))
                    finish = next((_finish(reason) for reason in reasons if _finish(reason) != "stop"), "stop")
                    text = answer if reasoning is None else f"{reasoning.strip()}{CUE} {answer.strip()}"
                    response = free("", clean(text), finish)
                    asked = _squeezed(found["question"])
                    self._by_question[asked].append(response)
                    self._by_place[f"{int(index):05d}", asked].append(response)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise TeacherError(
                f"teacher_path {name}: allowed: Fine-tune-CoT's completion file, data: {{index: [{{question, completion, "
                f"reasoning_completion, …}}]}} ({error!r})"
            ) from None


def _chosen(answers: list[tuple[dict[str, Any], Response]], chosen: Mapping[str, object], name: str) -> Response:
    """The one answer to a prompt that the recipe means, by whatever setting the requests differ in."""
    for setting, key in CHOSEN_BY.items():
        values = {json.dumps(_setting(request, setting)) for request, _ in answers}
        if len(values) > 1:
            wanted = chosen.get(setting)
            answers = [(request, answer) for request, answer in answers if _setting(request, setting) == wanted]
            if not answers:
                raise TeacherError(
                    f"teacher_path {name}: found answers to one prompt with {setting} {' and '.join(sorted(values))}, "
                    f"allowed: one of them in {key}, which is {json.dumps(wanted)}"
                )
    if len(answers) > 1:
        raise TeacherError(
            f"teacher_path {name}: found {len(answers)} answers to one prompt that differ in nothing a recipe names, "
            "allowed: one; export a cache that one teacher has written"
        )
    return answers[0][1]


def _setting(request: dict[str, Any], setting: str) -> object:
    """A request's value; one that tells no model has its teacher's name, and what is not told of was left empty."""
    return request.get(setting, request.get("teacher", "") if setting == "model" else "")


def is_export(path: str) -> bool:
    """Whether the file is an export of a cache, by its first line."""
    file = paths.expand(path)
    if not path or not file.is_file():
        return False
    with file.open("rb") as lines:
        try:
            row = json.loads(next(lines, b""))
        except (ValueError, RecursionError):
            return False
    return isinstance(row, dict) and (row.keys() == EXPORT or row.keys() == {"spent"})


def _file(path: str) -> Path:
    file = paths.expand(path)
    if not path or not (file.is_file() or (file.is_dir() and any(file.glob("D_*.json")))):
        raise TeacherError(
            f"teacher 'recorded': no file at teacher_path '{path}'; set it (or the environment variable in it) to "
            'a JSONL file with one {"id": …, "rationale": …} a line, an exported cache, or a file of Fine-tune-CoT\'s'
        )
    return file


def _published(content: bytes) -> dict[str, Any] | None:
    """The content of a file of Fine-tune-CoT's, or None for one of another kind."""
    try:
        found = json.loads(content)
    except (ValueError, RecursionError):
        return None  # lines, each with JSON of its own
    return found if isinstance(found, dict) and isinstance(found.get("data"), dict) else None


def _rows(content: bytes, name: str) -> Iterator[tuple[int, Any]]:
    for number, line in enumerate(content.split(b"\n"), start=1):  # not splitlines: JSON may hold U+2028
        if line.strip():
            try:
                yield number, json.loads(line)
            except (ValueError, RecursionError) as error:
                raise TeacherError(f"teacher_path {name}, line {number}: allowed: {ALLOWED} ({error!r})") from None


def _finish(reason: object) -> str:
    return "stop" if reason is None else FINISHES.get(str(reason), "unfinished")


def _squeezed(question: str) -> str:
    return CHOICES.split(" ".join(question.split()))[0]
