"""Filter and measure rationales, and alter them for controls. Pure functions: rows in, rows out."""

import random
import re
from collections import Counter
from collections.abc import Iterable, Sequence

from scicot_utils import ScicotError
from scicot_utils.prompts import (
    TeacherPrompt,
    answer_text,
    has_number,
    has_options,
    letter,
    numbers,
    option_text,
    plain,
    read_completion,
)
from scicot_utils.tables import Row


def judge(
    prompt: TeacherPrompt,
    questions: dict[str, Row],
    completions: Iterable[Row],
    keep: str,
    reading: str = "conclusion",
    markup: str = "kept",
) -> list[Row]:
    """Rows of the rationales table, one per completion. `reading`: how the teacher's answer is read
    (`teacher_reading`).

    `keep` = 'correct': a rationale is kept iff the teacher's own answer is right (Ho et al., section 3.1, step 2).
    'correct_or_cut': the same, even if the text was cut at its limit, as in the code of Ho et al. 'all': kept iff there
    is a rationale. A repetition of a kept rationale of the same question is always dropped.

    `drop_reason` is '' if kept, else one of missing, length, content_filter, context_length, rejected, unanswered,
    unfinished (why there is no whole completion), empty, unparsed_answer, wrong_answer, duplicate. `rule`: how the
    answer was read, or why it was not. `cut`: the text after the rationale. `markup` = 'plain' removes Markdown and
    LaTeX commands.
    """
    rows, seen = [], set()
    for completion in completions:
        question = questions[completion["question_id"]]
        parsed = read_completion(prompt, question, completion["text"], reading)
        rationale = plain(parsed.rationale) if markup == "plain" else parsed.rationale
        correct = parsed.answer == question["answer"]
        finish, reason = completion["finish_reason"], ""
        if finish != "stop" and not (finish == "length" and keep == "correct_or_cut"):
            reason = finish
        elif not rationale:
            reason = "empty"
        elif keep != "all" and not parsed.answer:
            reason = "unparsed_answer"
        elif keep != "all" and not correct:
            reason = "wrong_answer"
        elif (question["id"], rationale) in seen:
            reason = "duplicate"
        if not reason:
            seen.add((question["id"], rationale))
        rows.append(
            {
                "question_id": question["id"],
                "sample": completion["sample"],
                "rationale": rationale,
                "teacher_answer": parsed.answer,
                "correct": correct,
                "kept": not reason,
                "drop_reason": reason,
                "rule": parsed.rule,
                "cut": parsed.cut,
            }
        )
    return rows


def rules(rows: Iterable[Row]) -> list[Row]:
    """How often each reading rule applied, most frequent first: {rule, read, completions, share}. Where `read` is no,
    `rule` is the reason why the answer was not read. Completions that a recorded teacher lacks are not counted.
    """
    counts = Counter((row["rule"], bool(row["teacher_answer"])) for row in rows if row["drop_reason"] != "missing")
    total = sum(counts.values())
    return [
        {"rule": rule, "read": "yes" if read else "no", "completions": count, "share": count / total}
        for (rule, read), count in counts.most_common()
    ]


def unread(rows: Sequence[Row], completions: Sequence[Row], each: int = 5) -> list[Row]:
    """Endings of whole completions with an unreadable answer, the first `each` per reason: {why, question, ends}."""
    by_reason: dict[str, list[Row]] = {}
    for row, completion in zip(rows, completions, strict=True):
        if not row["teacher_answer"] and row["drop_reason"] in ("unparsed_answer", ""):
            example = {"why": row["rule"], "question": row["question_id"], "ends": completion["text"].strip()[-160:]}
            by_reason.setdefault(row["rule"], []).append(example)
    return [example for examples in by_reason.values() for example in examples[:each]]


class RationaleError(ScicotError):
    """None of the rationales can be used."""


def need_kept(rows: Sequence[Row], completions: Sequence[Row]) -> None:
    """Raise RationaleError if no rationale was kept. The message counts the drop reasons and quotes the end of a
    completion whose answer could not be read.
    """
    if not rows or any(row["kept"] for row in rows):
        return
    counts = ", ".join(f"{count} {reason}" for reason, count in drop_counts(rows).items())
    ends = [row["ends"][-80:] for row in unread(rows, completions)]
    raise RationaleError(
        f"of {len(rows)} completions no rationale was kept: {counts}"
        + (f"; one that could not be read ends with {ends[0]!r}" if ends else "")
        + "; look at teacher, prompt and teacher_reading, or keep all with filter 'all'"
    )


def drop_counts(rationales: Iterable[Row]) -> dict[str, int]:
    """Drop reason, or `kept` → number of rationales, most frequent first."""
    return dict(Counter(row["drop_reason"] or "kept" for row in rationales).most_common())


def filter_yield(rationales: Sequence[Row]) -> Row:
    """What the filter keeps of rationales: their number, the share that is kept, and the reasons of the others."""
    dropped = drop_counts(rationales)
    number_kept = dropped.pop("kept", 0)
    reasons = ", ".join(f"{reason} {number}" for reason, number in dropped.items())
    return {"kept": number_kept, "yield": number_kept / len(rationales), "dropped for": reasons}


def leaks_text(question: Row, rationale: str) -> bool:
    """Whether the rationale contains the gold option's text, or the open answer (rules of evidence, 4). Numbers are
    compared by value.
    """
    if has_number(question):
        return bool(numbers(question["answer"]) & numbers(rationale))
    return _contains(rationale, answer_text(question, question["answer"]))


def leaks_label(question: Row, rationale: str) -> bool:
    """Whether the rationale contains the gold option's letter, as in (B)."""
    return f"({letter(question, question['answer'])})" in rationale


def names_only_gold(question: Row, rationale: str) -> bool:
    """Whether the rationale contains the gold option's text and no other option's."""
    mentioned = [label for label in question["choices"]["label"] if _contains(rationale, option_text(question, label))]
    return mentioned == [question["answer"]]


def overlap_choice(question: Row, text: str) -> str:
    """The label of the option that has the largest share of its words in `text`; '' for a tie.

    It acts as an untrained reader of rationales: where it is right, the rationale nearly states the answer.
    """
    best = _overlap_best(question, text)
    return best[0] if len(best) == 1 else ""


def overlap_credit(question: Row, text: str) -> float:
    """Expected accuracy of `overlap_choice` if ties are broken at random: 1, 0, or the gold option's share of a tie."""
    best = _overlap_best(question, text)
    return (question["answer"] in best) / len(best)


def _overlap_best(question: Row, text: str) -> list[str]:
    """Labels of the options that have the largest share of their words in `text`."""
    text_words = set(words(text))
    scores = [
        len(text_words & set(option_words)) / len(option_words) if (option_words := words(option)) else 0.0
        for option in question["choices"]["text"]
    ]
    return [label for label, score in zip(question["choices"]["label"], scores, strict=True) if score == max(scores)]


LEAKS = {  # name → measure of what a rationale gives away; only the first is for open answers, too
    "names gold": leaks_text,
    "gold alone": names_only_gold,
    "letter": leaks_label,
    "overlap reads it": overlap_credit,
}


def leakage(pairs: Sequence[tuple[Row, str]]) -> dict[str, float]:
    """Measure → its mean over (question, rationale) pairs. At least one pair is needed."""
    names = list(LEAKS) if all(has_options(question) for question, _ in pairs) else ["names gold"]
    return {name: sum(LEAKS[name](*pair) for pair in pairs) / len(pairs) for name in names}


def derange(rationales: Sequence[str], seed: int) -> list[str]:
    """The rationales permuted by a random cycle, so that none stays in its place."""
    order = list(range(len(rationales)))
    random.Random(seed).shuffle(order)
    successor = dict(zip(order, order[1:] + order[:1], strict=True))
    return [rationales[successor[i]] for i in range(len(rationales))]


OUTCOMES = (  # classes of (answer, rationale) that `outcome` returns
    "right answer, right rationale",
    "right answer, wrong rationale",
    "wrong answer, wrong recall",
    "wrong answer, wrong rule",
    "wrong answer, true of another option",
    "wrong answer, right rationale",
)


def outcome(question: Row, rationale: str, correct: bool, style: str = "walk") -> str:
    """Classify a student's rationale, compared with the question's proof, and its answer: one of OUTCOMES.

    *wrong recall*: a fact about the subject or an option is missing or false. *wrong rule*: those facts are right, but
    the step from them to the answer, or a verdict on an option, is not. *true of another option*: every statement is
    true, but none is about the right option. A rationale is right if it states the part of the proof that its `style`
    requires: all of it (`walk`, `verdict`), all but the facts about the other options (`justify`), or only the facts
    about the right option (`terse`).
    """
    verdicts = dict(statements(rationale))  # sentence → verdict
    required = [statements(sentence)[0][0] for sentence in _required(question, style)]
    gold = option_text(question, question["answer"])
    wrong_verdict = any(
        verdict and (verdict == "yes") != _contains(sentence, gold) for sentence, verdict in verdicts.items()
    )
    missing = [sentence for sentence in required if sentence not in verdicts]
    if correct:
        return OUTCOMES[1 if missing or wrong_verdict else 0]
    if not missing:
        return OUTCOMES[3 if wrong_verdict else 5]
    true = {statements(sentence)[0][0] for sentence in question["proof"]}
    about_gold = any(_contains(sentence, gold) for sentence in verdicts)
    if verdicts and not wrong_verdict and verdicts.keys() <= true and not about_gold:
        return OUTCOMES[4]
    names = [option.lower() for option in question["choices"]["text"]]
    subject = re.split(r" (?:is|lives) ", question["proof"][0].lower())[0]
    if subject in question["question"].lower():
        names.append(subject)
    return OUTCOMES[2 if any(_contains(sentence, name) for sentence in missing for name in names) else 3]


def _required(question: Row, style: str) -> list[str]:
    """The sentences of a question's proof that a rationale of this style must state."""
    if style in ("walk", "verdict"):
        return question["proof"]
    gold = option_text(question, question["answer"])
    distractors = [text for text in question["choices"]["text"] if text != gold]
    about_gold = [sentence for sentence in question["proof"] if _contains(sentence, gold)]
    if style == "terse":
        return about_gold
    return [
        sentence
        for sentence in question["proof"]
        if sentence in about_gold or not any(_contains(sentence, text) for text in distractors)
    ]


def statements(text: str) -> list[tuple[str, str]]:
    """The sentences of a text as (lower-case words, verdict). The verdict on an option is yes, no or ''."""
    sentences = [" ".join(words(part)) for part in re.split(r"\.(?:\s|$)", text)]
    matches = [re.fullmatch(r"(.+?)(?: so (yes|no))?", sentence) for sentence in sentences if sentence]
    return [(match[1], match[2] or "") for match in matches]


def counterfactual(question: Row, rationale: str, seed: int) -> tuple[str, str]:
    """A rationale that argues for another option, and that option's label. The texts of the gold option and of a random
    other one are exchanged.

    ('', '') if the gold option's text does not occur, or the answer is open, so that there is nothing to exchange.
    """
    if not has_options(question):
        return "", ""
    gold = option_text(question, question["answer"])
    distractors = [label for label in question["choices"]["label"] if label != question["answer"]]
    label = random.Random(f"{seed}/{question['id']}").choice(distractors)
    other = option_text(question, label)
    swap = {gold.lower(): other, other.lower(): gold}
    either = "|".join(map(re.escape, sorted(swap, key=len, reverse=True)))
    pattern = re.compile(rf"(?<!\w)(?:{either})(?!\w)", re.IGNORECASE)
    if gold.lower() not in map(str.lower, pattern.findall(rationale)):
        return "", ""
    return pattern.sub(lambda match: swap[match[0].lower()], rationale), label


def words(text: str) -> list[str]:
    """Runs of letters and digits, in lower case."""
    return re.findall(r"\w+", text.lower())


def _contains(text: str, phrase: str) -> bool:
    """Whether the words of a phrase, at least one, occur in the text one after another."""
    phrase = " ".join(words(phrase))
    return bool(phrase) and f" {phrase} " in f" {' '.join(words(text))} "
