"""Versioned templates: how a question becomes text, and how an answer is read back. No model is called here.

`answers` defines the kinds of answers (an option, a number, yes or no, a word) and reads one from a text. `conclusions`
finds the final answer in free text. `templates` has the prompts of teachers and students. A template's version changes
when its text or its parser does, and is stored with every completion. Options are always shown as (A), (B), …, whatever
labels the benchmark uses. A parser returns the benchmark's own label, or its own spelling of an open answer, and '' if
the text names none.
"""

# fmt: off
from scicot_utils.prompts.answers import (
    EMPTY_CONCLUSION, LETTERS, NO_CONCLUSION, NOT_UNDERSTOOD, SEVERAL, UNREAD_REASONS, PromptError, answer_text,
    cleanse, has_number, has_options, letter, numbers, option_text, options, possible, read_answer, read_by,
    read_conclusion,
)
from scicot_utils.prompts.conclusions import Conclusion, conclude, plain
from scicot_utils.prompts.templates import (
    ARROW, CUE, FINAL, SEPARATOR, STUDENT_TEMPLATES, TEACHER_PROMPTS, Completion, Exemplar, ParsedPrompt,
    StudentTemplate, TeacherPrompt, ask, few_shot, need_options, read_completion, read_free, read_prompt,
    split_answer_rationale, split_rationale_answer, with_rationale, write_answer, write_answer_rationale,
    write_rationale_answer,
)
