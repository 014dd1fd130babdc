"""What an example of each task is, once read from whatever file it was in.

`FIELDS` says of each task what its example is and what its fields are called: as keys of JSONL, as
columns of tables, as keywords of a pipeline and in every message.

A text's label may be a list of labels or a number with a fraction (JSONL), which classifiers of
several labels and regressions learn (`tasks/problems.py`). Other labels are strings, whatever they
were in the file: `1` and `"1"` are the same label. What a model learns to give (label, tags,
answers, target) is None where an unlabelled file was read. `file` and `line` say where an example
came from, for later messages; they take no part in comparisons.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from ..errors import ConfigError, shown
from ..options import did_you_mean

_LANGUAGES = re.compile("translation_[a-zA-Z]+_to_[a-zA-Z]+")  # transformers' pipelines
_ALIASES = {
    "ner": "token-classification",
    "sentiment-analysis": "text-classification",
    "text-generation": "language-modeling",
    "conversational": "dialogue",
    "language-modelling": "language-modeling",
    "summarisation": "summarization",
}


class CharSpan(NamedTuple):
    """Characters `start` to `end` of a text, the end not included."""

    start: int
    end: int


class Answer(NamedTuple):
    """An answer and the character of the context at which it begins."""

    text: str
    start: int


class Message(NamedTuple):
    """One turn of a dialogue. `role`: system, user, assistant or tool."""

    role: str
    content: str


@dataclass(frozen=True, slots=True)
class TextExample:
    """A text and its label; for language-modeling what the text is like, if that is known.

    A classifier's label may be several, in a tuple, or a number (regression); its text may have
    another beside it, which `text_pair` holds: a hypothesis, a paraphrase, a passage to rank.
    """

    text: str
    label: str | float | tuple[str | float, ...] | None = None
    file: str = field(default="", compare=False)
    line: int | None = field(default=None, compare=False)
    text_pair: str | None = field(default=None, kw_only=True)


@dataclass(frozen=True, slots=True)
class SimilarityExample:
    """Two texts that are alike, or how much they are; or with a third that is less like the first.

    label : how alike they are, 1 and 0, or a number that grows with likeness; None for texts that
        are alike
    negative : a text that is less like `text` than `text_pair` is
    """

    text: str
    text_pair: str
    label: float | None = None
    negative: str | None = None
    file: str = field(default="", compare=False)
    line: int | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class TokenExample:
    """The words of a sentence and a tag for each.

    `text` and `spans` are what the words were cut from and where each stands in it, if they were.
    """

    tokens: list[str]
    tags: list[str] | None = None
    file: str = field(default="", compare=False)
    line: int | None = field(default=None, compare=False)
    text: str | None = None
    spans: list[CharSpan] | None = None


@dataclass(frozen=True, slots=True)
class RelationExample:
    """A text without markers, where its two entities are, and the relation between them.

    `head` is what stood in `<e1></e1>`, `tail` in `<e2></e2>`, in either order; types are None
    where the data has none.
    """

    text: str
    head: CharSpan
    tail: CharSpan
    label: str | None = None
    head_type: str | None = None
    tail_type: str | None = None
    file: str = field(default="", compare=False)
    line: int | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class QuestionExample:
    """A question about a context. An empty list of answers: there is none in the context.

    Whoever asks may have several documents for a context, by name or by number.
    """

    question: str
    context: str | dict[str | int, str]
    answers: list[Answer] | None = None
    id: str = ""
    file: str = field(default="", compare=False)
    line: int | None = field(default=None, compare=False)

    @property
    def documents(self) -> dict[str | int | None, str]:
        """What is looked through, by name; a context alone has none."""
        if isinstance(self.context, str):
            return {None: self.context}
        return dict(self.context.items())


@dataclass(frozen=True, slots=True)
class ChoiceExample:
    """A question (or beginning), its choices, and the index of the right one."""

    question: str
    choices: list[str]
    label: int | None = None
    file: str = field(default="", compare=False)
    line: int | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class PairExample:
    """A text and what it becomes: its translation or its summary."""

    source: str
    target: str | None = None
    file: str = field(default="", compare=False)
    line: int | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class DialogueExample:
    """The turns of a dialogue."""

    messages: list[Message]
    file: str = field(default="", compare=False)
    line: int | None = field(default=None, compare=False)


Example = (
    TextExample
    | SimilarityExample
    | TokenExample
    | RelationExample
    | QuestionExample
    | ChoiceExample
    | PairExample
    | DialogueExample
)


@dataclass(frozen=True)
class TaskFields:
    """The fields of a task's examples.

    example : the type
    alone : the field that a text alone stands for, "" for tasks that need more
    given : what every example has, and a request needs
    gold : what a model learns to give; an unlabelled file lacks it
    more : what an example may have
    hint : what says more of `gold`; like it, no request has it
    formats : what is read beside JSONL: `table`, `conll`, `annotations` (texts with entities at
        offsets), `squad`, `pairs` (two files, line by line) and, without labels, `lines`
    """

    example: type
    alone: str
    given: tuple[str, ...]
    gold: tuple[str, ...] = ()
    more: tuple[str, ...] = ()
    hint: tuple[str, ...] = ()
    formats: tuple[str, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """All of them."""
        return (*self.given, *self.gold, *self.more, *self.hint)

    @property
    def other(self) -> str:
        """What stands in the place of words or turns, where a text may; "" elsewhere."""
        return "" if self.alone in self.given else self.alone

    @property
    def asked(self) -> tuple[str, ...]:
        """Those of a request, what a text alone stands for first."""
        return tuple(dict.fromkeys([*filter(None, [self.other]), *self.given, *self.more]))


def _fields(example: type, alone: str = "", **words: str) -> TaskFields:
    named: dict[str, Any] = {name: tuple(value.split()) for name, value in words.items()}
    return TaskFields(example, alone=alone, **named)


_PAIRS = "table pairs lines"
FIELDS = {
    "text-classification": _fields(
        TextExample, "text", given="text", gold="label", more="text_pair", formats="table lines"
    ),
    "token-classification": _fields(
        TokenExample, "text", given="tokens", gold="tags",
        more="text", hint="entities", formats="conll annotations",
    ),
    "relation-extraction": _fields(
        RelationExample, "text", given="text", gold="label",
        more="head tail head_type tail_type", formats="table lines",
    ),
    "question-answering": _fields(
        QuestionExample, given="question context", gold="answers",
        more="id", hint="is_impossible", formats="squad",
    ),
    "multiple-choice": _fields(
        ChoiceExample, given="question choices", gold="label", formats="table"
    ),
    "translation": _fields(PairExample, "source", given="source", gold="target", formats=_PAIRS),
    "summarization": _fields(
        PairExample, "document", given="document", gold="summary", formats=_PAIRS
    ),
    "text2text-generation": _fields(
        PairExample, "source", given="source", gold="target", formats=_PAIRS
    ),
    "dialogue": _fields(DialogueExample, "text", given="messages"),
    "feature-extraction": _fields(TextExample, "text", given="text", formats="table lines"),
    "fill-mask": _fields(TextExample, "text", given="text", formats="table lines"),
    "sentence-similarity": _fields(
        SimilarityExample, given="text text_pair", more="label negative", formats="table"
    ),
    # its labels, if any, say what a text is like
    "language-modeling": _fields(TextExample, "text", given="text", more="label"),
}  # fmt: skip
PROSE = {"language-modeling", "fill-mask"}  # whose data is any text, whole files too
GOLD = {name for fields in FIELDS.values() for name in fields.gold}


def task_name(task: str) -> str:
    """The task's one name; `ner` is token-classification.

    Raises
    ------
    ConfigError : no such task
    """
    if not isinstance(task, str):
        raise ConfigError(f"task: got {shown(task)}, expected one of {', '.join(FIELDS)}")
    name = _ALIASES.get(task, task)
    if _LANGUAGES.fullmatch(task):
        name = "translation"
    if name in FIELDS:
        return name
    near = did_you_mean(task, [*FIELDS, *_ALIASES], f"expected one of {', '.join(FIELDS)}")
    raise ConfigError(f"task: got {shown(task)}{near}")


def required_fields(task: str, labelled: bool) -> tuple[str, ...]:
    """The fields that an example of the task must have."""
    fields = FIELDS[task]
    return fields.given + fields.gold if labelled else fields.given


def is_labelled(example: Example, task: str) -> bool:
    """Whether an example says what the model should give, so that an answer can be scored."""
    if isinstance(example, DialogueExample):
        return any(message.role == "assistant" for message in example.messages)
    own = GOLD if FIELDS[task].gold else ()
    return all(getattr(example, name) is not None for name in own if hasattr(example, name))


def texts_of(example: Example) -> list[tuple[str, str]]:
    """What each text of an example is, and the text, in the order in which a model has them."""
    match example:
        case TokenExample():
            text = " ".join(example.tokens) if example.text is None else example.text
            return [("sentence", text)]
        case QuestionExample():
            return [
                ("question", example.question),
                *(("context", c) for c in example.documents.values()),
            ]
        case ChoiceExample():
            return [("question", example.question), *(("choice", c) for c in example.choices)]
        case PairExample():
            target = [] if example.target is None else [("target", example.target)]
            return [("source", example.source), *target]
        case DialogueExample():
            return [("turn", message.content) for message in example.messages]
        case SimilarityExample():
            third = [] if example.negative is None else [("negative", example.negative)]
            return [("text", example.text), ("text_pair", example.text_pair), *third]
        case TextExample(text_pair=str(pair)):
            return [("text", example.text), ("text_pair", pair)]
        case _:
            return [("text", example.text)]
