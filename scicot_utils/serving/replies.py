"""Text as servers of language models send it: untrusted, with thoughts in front, finish reasons in many spellings."""

import re

MAX_QUOTED = 200  # characters of a server's message that our messages repeat


def clean(text: str) -> str:
    """Text that any file can hold: half of a surrogate pair, which JSON may contain, becomes U+FFFD."""
    return re.sub("[\ud800-\udfff]", "\ufffd", text)


def one_line(text: object) -> str:
    """A message from elsewhere as part of one line: without control characters, and at most MAX_QUOTED characters long."""
    words = re.sub(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u200e\u200f\u202a-\u202e]", " ", clean(str(text))).split()
    line = " ".join(words)
    return line if len(line) <= MAX_QUOTED else f"{line[:MAX_QUOTED]}…"


FINISHES = {  # as servers and their libraries write them, in lower case → as the completions table does
    **dict.fromkeys(("stop", "eos", "eos_token", "stop_sequence", "end_turn", "complete", "completed"), "stop"),
    **dict.fromkeys(("length", "max_tokens", "max_output_tokens", "model_length"), "length"),
    **dict.fromkeys(("content_filter", "safety"), "content_filter"),
}


def finished(reason: object) -> str:
    """A server's finish reason in the terms of the completions table, also as `FinishReason.STOP`; or `unfinished`."""
    word = reason.strip().lower().rpartition(".")[2] if isinstance(reason, str) else ""
    return FINISHES.get(word.removeprefix("finish_reason_"), "unfinished")


# Marks before the thoughts of reasoning models, and behind them
THINKING = r"<(?:seed:)?think>|\[THINK\]|◁think▷|<\|(?:channel\|>analysis<\|message|begin_of_thought|START_THINKING)\|>|<\|channel>thought"
THOUGHT = (
    r"</(?:seed:)?think>|</thought>(?!\s*(?:<(?:final_)?answer>|\S[^\n]{0,20}\Z))|\[/THINK\]|◁/think▷|<\|channel\|>final<\|message\|>|<channel\|>|"
    r"<\|(?:end_of_thought|END_THINKING)\|>(?:\s*<\|(?:begin_of_solution|START_RESPONSE)\|>)?"
)
THOUGHTS = re.compile(  # in the second line the marks are words, which may stand in any text: they must begin it
    rf"(?:{THINKING}|<thought>)?(.*)(?:{THOUGHT})|"
    r"(?:analysis|Here(?: is|'s) my thought process:|## Thinking)(.*)(?:assistantfinal|Here(?: is|'s) my response:|## Final Response)|"
    rf"(?:{THINKING})(.*)",
    re.DOTALL,
)


def split_thinking(text: str) -> tuple[str, str]:
    """(thoughts, answer) of a text that begins with thoughts (THOUGHTS). A template may have written the opening mark."""
    begin = text.strip().removeprefix("<|start|>assistant")
    if not (match := THOUGHTS.match(begin)):
        return "", text
    thoughts = next(group for group in match.groups() if group is not None)
    return thoughts.removesuffix("<|end|><|start|>assistant").strip(), begin[match.end() :].strip()
