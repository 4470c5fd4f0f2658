"""A recorded teacher: it replays completions from a file.

It reads an export of this project's cache (JSON lines with key, request, response), and completions in common formats
(`forms`).
"""

from __future__ import annotations

import hashlib
import json
import re
from collections import defaultdict
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from scicot_utils import cache, paths
from scicot_utils.cache import Response
from scicot_utils.teachers import forms
from scicot_utils.teachers.protocol import Teacher, TeacherError, clean, free

EXPORT = {"key", "request", "response"}
CHOSEN_BY = {  # setting in which an export's requests for one prompt may differ → recipe key that selects
    "model": "teacher_model",
    "endpoint": "teacher_endpoint",
    "max_tokens": "teacher_max_tokens",
    "seed": "teacher_seed",
    "omitted": "teacher_omit",
}
CHOICES = re.compile(r"\s(?:answer choices|options): ", re.IGNORECASE)  # between a question and options in its text


class Recorded(Teacher):
    """Replays completions from a file. A question that is not in it gets finish_reason `missing`.

    `chosen`: setting of CHOSEN_BY → value. It selects among several answers to one prompt in an export. If a model is
    named, only its answers are read. Several completions of one question are its samples, in the order of the file; at
    temperature 0 only the first is given. Raises TeacherError if the file is missing or holds no completion.
    """

    def __init__(self, path: str, chosen: Mapping[str, object] = MappingProxyType({}), columns: str = ""):
        place = paths.expand(path)
        files = forms.files(place) if path else []
        if not files:
            raise TeacherError(
                f"teacher 'recorded': no file at teacher_path '{path}'; set it (or the environment variable in it) to a "
                f"file of {forms.ALLOWED}; to an exported cache; or to a file or folder of Fine-tune-CoT's or zero_shot_cot's"
            )
        digest = hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()
        named = {
            part.partition("=")[0].strip(): part.partition("=")[2].strip()
            for part in columns.split(",")
            if part.strip()
        }
        self.name = f"recorded:{place.name}"
        self.identity = {"teacher": "recorded", "sha256": digest, "chosen": dict(chosen)}
        self.identity |= {"columns": columns} if columns else {}
        self._by_id: dict[str, list[Response]] = defaultdict(list)
        self._by_question: dict[str, list[tuple[str, Response]]] = defaultdict(list)
        self._by_request: dict[tuple[str, float, int], Response] = {}
        self._by_place: dict[tuple[str, str], list[tuple[str, Response]]] = defaultdict(list)
        if is_export(path):
            self._read_export(files[0].read_bytes(), place.name, chosen)
            return
        for file in files:
            for one in forms.read(file, named):
                self._take(one)
        if not self._by_id and not self._by_question:
            raise TeacherError(f"teacher_path {place.name}: holds no completion; allowed: {forms.ALLOWED}")

    def _take(self, one: forms.Found) -> None:
        """Index a completion by its question's id, by its place and text, and by its text.

        The place matters, since tasks share questions that were asked in each. If the options are listed in the text,
        they must be the same at the same letters.
        """
        response = free("", clean(one.text), one.finish)
        if one.id:
            self._by_id[one.id].append(response)
        if one.question:
            asked, options = _parts(one.question)
            self._by_question[asked].append((options, response))
            self._by_place[one.place, asked].append((options, response))

    def unmatched(self, name: str) -> str:
        """The message if none of the questions that were asked is in the file. `name`: the id of one of them."""
        known = next(iter(self._by_id), "") or next(iter(self._by_question), "")[:60]
        return (
            f"teacher_path {self.name.removeprefix('recorded:')}: none of the questions asked is in it; asked was e.g. "
            f"'{name}', it holds e.g. '{known}'; name the column of the id or of the question in teacher_columns"
        )

    def complete(self, prompt: str, *, sample: int, temperature: float) -> Response:
        """The recorded completion, found by the question's id, else by its place and text, else by its text. If there
        is none, it is empty, with finish_reason `missing`.
        """
        if self._by_request:
            return self._by_request.get((prompt, float(temperature), sample)) or free(prompt, "", "missing")
        name, _, question = prompt.partition("\n")
        asked, options = _parts(question)
        known = self._by_place.get((name, asked)) or self._by_question.get(asked, [])
        found = self._by_id.get(name) or [response for listed, response in known if listed in ("", options)]
        return found[sample] if sample < len(found) else free(prompt, "", "missing")

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


def _chosen(answers: list[tuple[dict[str, Any], Response]], chosen: Mapping[str, object], name: str) -> Response:
    """The one answer to a prompt that the recipe selects, by whatever setting the requests differ in. Raises
    TeacherError if that leaves none or several.
    """
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
    """A request's value for a setting. A missing model is the teacher's name; any other missing value is ''."""
    return request.get(setting, request.get("teacher", "") if setting == "model" else "")


def is_export(path: str) -> bool:
    """Whether a file is an export of a cache, judged by its first line."""
    file = paths.expand(path)
    if not path or not file.is_file():
        return False
    with file.open("rb") as lines:
        try:
            row = json.loads(next(lines, b""))
        except (ValueError, RecursionError):
            return False
    return isinstance(row, dict) and (row.keys() == EXPORT or row.keys() == {"spent"})


def _parts(question: str) -> tuple[str, str]:
    """(words of a question, its options with their letters); '' if its text lists no options."""
    asked, *listed = CHOICES.split(question)
    return " ".join(asked.split()), re.sub(r"\W+", "", "".join(listed)).lower()
