"""A recorded teacher: it replays completions from a file.

It reads an export of this project's cache (JSON lines with key, request, response), and completions in common formats
(`forms`).
"""

import hashlib
import json
import re
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

from scicot_utils import paths
from scicot_utils.serving import cache
from scicot_utils.serving.cache import Response
from scicot_utils.serving.protocol import Teacher, TeacherError, free
from scicot_utils.serving.replies import clean
from scicot_utils.tables import Row
from scicot_utils.tasks.entries import RowFault
from scicot_utils.tasks.options import split_listed
from scicot_utils.teachers import forms

EXPORT = {"key", "request", "response"}
CHOSEN_BY = {  # setting in which an export's requests for one prompt may differ → recipe key that selects
    "model": "teacher_model",
    "endpoint": "teacher_endpoint",
    "max_tokens": "teacher_max_tokens",
    "seed": "teacher_seed",
    "omitted": "teacher_omit",
}
CHOICES = re.compile(r"\s(?:answer choices|options):\s", re.IGNORECASE)  # between a question and options in its text
FRAME = re.compile(r"^(?:q|question):\s|\s(?:a|answer):$", re.IGNORECASE)  # around a question in a prompt


class Recorded(Teacher):
    """Replays completions from a file. A question that is not in it gets finish_reason `missing`.

    `chosen`: setting of CHOSEN_BY → value. It selects among several answers to one prompt in an export. If a model is
    named, only its answers are read. Several completions of one question are its samples, in the order of the file; at
    temperature 0 only the first is given. Raises TeacherError if the file is missing or holds no completion.
    """

    def __init__(self, path: str, chosen: Mapping[str, object] = MappingProxyType({}), columns: str = ""):
        source = paths.expand(path)
        files = forms.files(source) if path else []
        if not files:
            raise TeacherError(
                f"teacher 'recorded': no file at teacher_path '{path}'; set it (or the environment variable in it) to a "
                f"file of {forms.ALLOWED}; to an exported cache; or to a file or folder of Fine-tune-CoT's or zero_shot_cot's"
            )
        digest = hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()
        self.name, self._file = f"recorded:{source.name}", source.name
        self.identity = {"teacher": "recorded", "sha256": digest, "chosen": dict(chosen)}
        self.identity |= {"columns": columns} if columns else {}
        # id → (the options that the question's text lists, response)
        self._by_id: dict[str, list[tuple[list[str], Response]]] = defaultdict(list)
        # (words of the question, its index in its file or '') → (its options, response)
        self._by_question: dict[tuple[str, str], list[tuple[str, Response]]] = defaultdict(list)
        self._by_request: dict[tuple[str, float, int], Response] = {}
        if is_export(path):
            self._read_export(files[0].read_bytes(), source.name, chosen)
            return
        pairs = (part.split("=", 1) for part in columns.split(",") if part.strip())
        names = {part.strip(): column.strip() for part, column in pairs}
        for file in files:
            for completion in forms.read(file, names):
                self._take(completion)
        if not self._by_id and not self._by_question:
            raise TeacherError(f"teacher_path {source.name}: holds no completion; allowed: {forms.ALLOWED}")

    def _take(self, completion: forms.Completion) -> None:
        """Index a completion by its question's id, by its text and index, and by its text.

        The index matters, since tasks share questions that were asked in each. If the options are listed in the text,
        they must be the same at the same letters.
        """
        response = free("", clean(completion.text), completion.finish)
        if completion.id:
            self._by_id[completion.id].append((_listed(completion.question), response))
        if completion.question:
            words, options = _parts(completion.question)
            for index in {"", completion.index}:
                self._by_question[words, index].append((options, response))

    def complete(self, prompt: str, *, sample: int, temperature: float) -> Response:
        """The recorded completion, found by the question's id, else by its text and index, else by its text. If there
        is none, it is empty, with finish_reason `missing`. Raises TeacherError if it answers the same question with its
        options in another order, where its letters mean others.
        """
        missing = free("", "", "missing")
        if self._by_request:
            return self._by_request.get((prompt, temperature, sample), missing)
        name, _, question = prompt.partition("\n")
        words, options = _parts(question)
        matches = self._by_question.get((words, name)) or self._by_question.get((words, ""), [])
        of_id = self._by_id.get(name, [])
        listed = [texts for texts, _ in of_id if texts]
        asked = _listed(question) if listed else []  # of most files no completion comes with its question
        if any(_in_another_order(texts, asked) for texts in listed):
            raise TeacherError(
                f"teacher_path {self._file}: of question '{name}' it lists the options in another order "
                "than the benchmark has them, so its letters mean others; bring both into one order"
            )
        samples = [response for _, response in of_id]
        samples = samples or [response for recorded, response in matches if recorded in ("", options)]
        return samples[sample] if sample < len(samples) else missing

    def _read_export(self, content: bytes, name: str, chosen: Mapping[str, object]) -> None:
        model = chosen.get("model")
        answers: dict[tuple[str, float, int], list[tuple[dict[str, Any], Response]]] = defaultdict(list)
        lines = content.decode("utf-8", errors="replace").split("\n")
        for request, response in cache.exported(lines, f"teacher_path {name}"):
            if not isinstance(request, dict) or not {"prompt", "temperature", "sample"} <= request.keys():
                raise TeacherError(f"teacher_path {name}: allowed: an export of a teacher's cache, with prompts")
            if not model or _setting(request, "model") == model:
                key = (request["prompt"], request["temperature"], request["sample"])
                answers[key].append((request, response))
        if not answers:
            of_model = f" of model '{model}'; check teacher_model" if model else ""
            raise TeacherError(f"teacher_path {name}: holds no answer{of_model}")
        self._by_request = {key: _chosen(candidates, chosen, name) for key, candidates in answers.items()}


def need_match(teacher: Teacher, completions: Sequence[Row]) -> None:
    """Raise TeacherError if a recorded teacher's file holds none of the questions that were asked, or cannot tell two of
    them apart: they have the same words and different options, and it has neither their ids nor their options.
    """
    if not isinstance(teacher, Recorded):
        return
    if {row["finish_reason"] for row in completions} == {"missing"}:
        example = next(iter(teacher._by_id), "") or next(iter(teacher._by_question), ("",))[0][:60]
        raise TeacherError(
            f"teacher_path {teacher._file}: none of the questions asked is in it; asked was e.g. "
            f"'{completions[0]['question_id']}', it holds e.g. '{example}'; name the column of the id or of the "
            "question in teacher_columns"
        )
    options_of: dict[str, str] = {}
    for row in completions:
        name, _, question = row["prompt"].partition("\n")
        words, options = _parts(question)
        by_words = not (name in teacher._by_id or (words, name) in teacher._by_question)
        unlisted = any(not listed for listed, _ in teacher._by_question.get((words, ""), []))
        if by_words and unlisted and options_of.setdefault(words, options) != options:
            raise TeacherError(
                f"teacher_path {teacher._file}: two of the questions asked have the words '{words[:60]}' and different "
                "options, and it does not say whose completion it holds; name the column of the id in teacher_columns"
            )


def _chosen(candidates: list[tuple[dict[str, Any], Response]], chosen: Mapping[str, object], name: str) -> Response:
    """The answer to a prompt that the recipe selects, by whatever setting the requests differ in. Raises TeacherError
    if that leaves none or several.
    """
    for setting, key in CHOSEN_BY.items():
        values = {json.dumps(_setting(request, setting)) for request, _ in candidates}
        if len(values) > 1:
            value = chosen.get(setting)
            candidates = [(request, answer) for request, answer in candidates if _setting(request, setting) == value]
            if not candidates:
                raise TeacherError(
                    f"teacher_path {name}: found answers to one prompt with {setting} {' and '.join(sorted(values))}, "
                    f"allowed: one of them in {key}, which is {json.dumps(value)}"
                )
    if len(candidates) > 1:
        raise TeacherError(
            f"teacher_path {name}: found {len(candidates)} answers to one prompt that differ in nothing a recipe names, "
            "allowed: one; export a cache that one teacher has written"
        )
    return candidates[0][1]


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
    return isinstance(row, dict) and row.keys() in (EXPORT, {"spent"})


def _listed(question: str) -> list[str]:
    """The letters and digits of the options that a question's text lists; [] if it lists none."""
    try:
        return [re.sub(r"\W+", "", text).lower() for text in split_listed(question)[2]]
    except RowFault:
        return []


def _in_another_order(texts: list[str], asked: list[str]) -> bool:
    """Whether `texts` of `_listed` are the options that were asked in another order; a prompt may go on after the last."""
    left = list((Counter(asked) - Counter(texts[:-1])).elements())
    return (
        len(texts) == len(asked) and len(left) == 1 and texts[-1].startswith(left[0]) and [*texts[:-1], *left] != asked
    )


def _parts(question: str) -> tuple[str, str]:
    """(words of a question, its options with their letters); '' if its text lists no options."""
    words, *options = CHOICES.split(FRAME.sub("", question.strip()))
    return " ".join(words.split()), re.sub(r"\W+", "", "".join(options)).lower()
