"""Records to examples: every field checked, a ValueError that says what was expected."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from ...errors import shown
from ..examples import (
    FIELDS,
    Answer,
    CharSpan,
    ChoiceExample,
    DialogueExample,
    Example,
    Message,
    PairExample,
    QuestionExample,
    RelationExample,
    SimilarityExample,
    TextExample,
    required_fields,
)
from ..records.source import Reading, Record

_MARKER = re.compile(r"<(/?)e([12])>")
_ROLES = ("system", "user", "assistant", "tool")


class Builder:
    """Makes the examples of one data set; remembers what all of them must have in common.

    Parameters
    ----------
    task : str, one of `FIELDS` but token-classification, which `tagged` builds
    names : what each field is called in the files, for messages; none for what is in no file
    labelled : bool, whether a missing label, answer or target is an error
    """

    def __init__(self, task: str, names: Mapping[str, Any], labelled: bool):
        self.task, self.labelled = task, labelled
        self.names = {**{field: field for field in FIELDS[task].names}, **names}
        self._in_file = bool(names)
        prompts = task == "language-modeling" and not labelled  # a label alone may be a prompt
        self._required = () if prompts else required_fields(task, labelled)
        self._label_kind: tuple[str, str] | None = None  # (kind, the first label)
        self._choices: int | None = None
        self._paired: bool | None = None  # whether the first text has another beside it
        self._ids: set[str] = set()
        self._others: set[str] | None = None  # what the first example has beside its two texts
        self._builders: dict[type, Callable[[dict[str, Any], dict[str, Any]], Example]] = {
            TextExample: self._prompt if prompts else self._text,
            RelationExample: self._relation,
            QuestionExample: self._question,
            ChoiceExample: self._choice,
            PairExample: self._pair,
            SimilarityExample: self._similarity,
            DialogueExample: self._dialogue,
        }

    def examples(self, records: Iterable[Record], reading: Reading, file: str) -> Iterator[Example]:
        """The examples of one file; what is none is rejected at its line."""
        for record in reading.good(records, file):
            try:
                example = self(record, file)
            except ValueError as error:
                where = f"{record.where}: " if record.where else ""
                line = getattr(error, "line", None) or record.line
                reading.reject(f"{where}{error}", file, line)
            else:
                yield example

    def __call__(self, record: Record, file: str) -> Example:
        """The example; ValueError if it is not one."""
        fields = record.fields
        check_present(fields, self._required, self.names, self._in_file)
        build = self._builders[FIELDS[self.task].example]
        return build(fields, {"file": file, "line": record.line})

    def _text(self, fields: dict[str, Any], place: dict[str, Any]) -> TextExample:
        text = self._string(fields, "text")
        classifies = self.task == "text-classification"
        label = _numbers(fields.get("label")) if classifies else None
        if classifies:
            place = {**place, "text_pair": self._text_pair(fields)}
        return TextExample(text, self._label(fields) if label is None else label, **place)

    def _text_pair(self, fields: dict[str, Any]) -> str | None:
        """The text beside the first, if examples have one: all of them, or none."""
        pair = fields.get("text_pair")
        paired = pair not in (None, "")  # an empty cell is none
        if self._paired is None:
            self._paired = paired
        elif paired != self._paired:
            name = shown(self.names["text_pair"])
            got, wanted = (name, f"no {name}") if paired else (f"no {name}", name)
            raise ValueError(f"got {got}, expected {wanted} as in the first example")
        return self._string(fields, "text_pair") if paired else None

    def _prompt(self, fields: dict[str, Any], place: dict[str, Any]) -> TextExample:
        label = self._label(fields)
        if label is not None and not fields.get("text"):
            return TextExample("", label, **place)
        check_present(fields, ("text",), self.names, self._in_file)
        return TextExample(self._string(fields, "text"), label, **place)

    def _relation(self, fields: dict[str, Any], place: dict[str, Any]) -> RelationExample:
        text = self._string(fields, "text")
        head_type, tail_type = (
            self._string(fields, name) if name in fields else None
            for name in ("head_type", "tail_type")
        )
        if "head" in fields or "tail" in fields:
            head, inner_head = _span(fields.get("head"), text, str(self.names["head"]))
            tail, inner_tail = _span(fields.get("tail"), text, str(self.names["tail"]))
            head_type, tail_type = head_type or inner_head, tail_type or inner_tail
        else:
            text, head, tail = split_markers(text)
        if head.start < tail.end and tail.start < head.end:
            raise ValueError(f"head {tuple(head)} and tail {tuple(tail)} overlap")
        label = self._label(fields)
        return RelationExample(text, head, tail, label, head_type, tail_type, **place)

    def _question(self, fields: dict[str, Any], place: dict[str, Any]) -> QuestionExample:
        context = self._context(fields)
        question = self._string(fields, "question")
        answers = self._answers(fields, context) if isinstance(context, str) else None
        identity = str(fields.get("id", ""))
        if identity in self._ids:
            raise ValueError(f"id {shown(identity)} occurs twice")
        if identity:
            self._ids.add(identity)
        return QuestionExample(question, context, answers, identity, **place)

    def _context(self, fields: dict[str, Any]) -> str | dict[str | int, str]:
        """The text; of a request, which knows no answers, several by name or by number too."""
        given = fields["context"]
        if self.labelled or not isinstance(given, (list, Mapping)) or not given:
            return self._string(fields, "context")
        named = given if isinstance(given, Mapping) else dict(enumerate(given))
        name = self.names["context"]
        return {
            key: check_string(text, f"document {shown(key)} of {shown(name)}")
            for key, text in named.items()
        }

    def _answers(self, fields: dict[str, Any], context: str) -> list[Answer] | None:
        given = _answer_pairs(fields["answers"]) if "answers" in fields else None
        impossible = fields.get("is_impossible")
        if impossible is True and given:
            raise ValueError("is_impossible, yet it has answers; expected one or the other")
        if not given and impossible is False and self.labelled:
            raise ValueError(
                "no answers; expected at least one, or version 2.0's is_impossible: true"
            )
        if given is None:
            return [] if impossible is True else None
        return [_answer(text, start, context) for text, start in given]

    def _choice(self, fields: dict[str, Any], place: dict[str, Any]) -> ChoiceExample:
        question = self._string(fields, "question")
        choices = fields["choices"]
        if not isinstance(choices, list) or len(choices) < 2:
            raise ValueError(
                f"{shown(self.names['choices'])}: expected a list of 2 choices or more"
            )
        for i, choice in enumerate(choices):
            check_string(choice, f"choice {i}")
        if self._choices is not None and len(choices) != self._choices:
            raise ValueError(
                f"got {len(choices)} choices, expected {self._choices} as in the first example"
            )
        label = _choice_index(fields["label"], len(choices)) if "label" in fields else None
        self._choices = len(choices)
        return ChoiceExample(question, choices, label, **place)

    def _pair(self, fields: dict[str, Any], place: dict[str, Any]) -> PairExample:
        one, other = required_fields(self.task, True)
        source = self._string(fields, one)
        target = self._string(fields, other) if other in fields else None
        return PairExample(source, target, **place)

    def _similarity(self, fields: dict[str, Any], place: dict[str, Any]) -> SimilarityExample:
        """Two texts; all examples of a data set have a label, or none has, and so a negative."""
        text, pair = (self._string(fields, name) for name in ("text", "text_pair"))
        others = {n: fields[n] for n in ("label", "negative") if fields.get(n, "") != ""}
        if self._others is None:
            self._others = set(others)
        if set(others) != self._others:
            [name, *_] = sorted(set(others) ^ self._others)
            told = "a" if name in others else "no"
            raise ValueError(
                f"got {told} {shown(self.names[name])}, expected as in the first example; all "
                "examples have one, or none"
            )
        if len(others) == 2:
            raise ValueError("got a label and a negative, expected one of them or neither")
        label = _likeness(others["label"], self.names["label"]) if "label" in others else None
        negative = self._string(fields, "negative") if "negative" in others else None
        return SimilarityExample(text, pair, label, negative, **place)

    def _dialogue(self, fields: dict[str, Any], place: dict[str, Any]) -> DialogueExample:
        given = fields["messages"]
        if not isinstance(given, list) or not given:
            raise ValueError("'messages': expected a list of objects with role and content")
        messages = [_message(value, i) for i, value in enumerate(given)]
        if self.labelled and all(message.role != "assistant" for message in messages):
            raise ValueError("no turn of the assistant; expected at least one to learn from")
        return DialogueExample(messages, **place)

    def _string(self, fields: dict[str, Any], name: str) -> str:
        return check_string(fields[name], repr(self.names[name]))

    def _label(self, fields: dict[str, Any]) -> str | None:
        if "label" not in fields:
            return None
        label, kind = _label(fields["label"])
        if self._label_kind is None:
            self._label_kind = (kind, label)
        elif kind != self._label_kind[0]:
            raise ValueError(
                f"label {shown(label)} is {kind}, expected {self._label_kind[0]} as the first "
                f"label ({shown(self._label_kind[1])}); write all the same way"
            )
        return label


def check_present(
    fields: Mapping[str, Any],
    required: tuple[str, ...],
    names: Mapping[str, Any],
    in_file: bool = True,
) -> None:
    """ValueError if one of the fields that an example must have is not there."""
    hint = " (or say `columns`)" if in_file else ""
    for name in required:
        if name not in fields:
            wanted = ", ".join(str(names[field]) for field in required)
            raise ValueError(f"no {shown(names[name])}; expected {wanted}{hint}")


def check_string(value: Any, what: str, blanks: str | None = None) -> str:
    """A text that is not blank and that UTF-8 can hold, or a ValueError.

    blanks : what counts as white space; default all of Unicode's
    """
    if not isinstance(value, str):
        raise _wrong(what, value, "text")
    if not value.strip(blanks):
        raise ValueError(f"{what} is empty; expected text")
    try:
        value.encode("utf-8")
    except UnicodeEncodeError as error:  # JSON can escape half a character
        raise ValueError(f"{what}: half a character at {error.start}, not UTF-8") from error
    return value


def split_markers(text: str) -> tuple[str, CharSpan, CharSpan]:
    """(text without markers, span of e1, span of e2); white space at a span's ends is left out.

    Raises
    ------
    ValueError : not each of `<e1> </e1> <e2> </e2>` once, one entity after the other
    """
    found = [match.group() for match in _MARKER.finditer(text)]
    if found not in (["<e1>", "</e1>", "<e2>", "</e2>"], ["<e2>", "</e2>", "<e1>", "</e1>"]):
        got = " ".join(found) or "none"
        raise ValueError(
            "expected the markers <e1></e1> and <e2></e2> once each, one entity after the other, "
            f"or 'head' and 'tail' spans; got {got:.80}"
        )
    pieces = _MARKER.split(text)[::3]
    before, first, between, second, _ = pieces
    plain = "".join(pieces)
    start = len(before)
    one = _trimmed(plain, start, start + len(first))
    start += len(first) + len(between)
    two = _trimmed(plain, start, start + len(second))
    return (plain, one, two) if found[0] == "<e1>" else (plain, two, one)


def _trimmed(text: str, start: int, end: int) -> CharSpan:
    inner = text[start:end]
    if not inner.strip():
        raise ValueError("an entity without text between its markers")
    left = len(inner) - len(inner.lstrip())
    return CharSpan(start + left, start + left + len(inner.strip()))


def _span(value: Any, text: str, name: str) -> tuple[CharSpan, str | None]:
    """(span, type) of `[start, end]`, `{"start", "end", "type"}`, or words that occur once."""
    kind = None
    if isinstance(value, str):
        value = _place_of(value, text, name)
    if isinstance(value, dict):
        kind = value.get("type")
        value = [value.get("start"), value.get("end")]
    if not isinstance(value, (list, tuple)) or len(value) != 2 or not all(map(_is_int, value)):
        raise _wrong(shown(name), value, "[start, end] in characters")
    start, end = value
    if not 0 <= start < end <= len(text):
        raise ValueError(
            f"{shown(name)}: [{start}, {end}] is not inside the text's {len(text)} characters"
        )
    return CharSpan(start, end), None if kind is None else check_string(kind, f"{name} type")


def _place_of(words: str, text: str, name: str) -> list[int]:
    count = text.count(words) if words else 0
    if count != 1:
        raise ValueError(
            f"{shown(name)}: {shown(words)} stands {count} times in the text; expected once, or "
            "[start, end] in characters"
        )
    start = text.find(words)
    return [start, start + len(words)]


def _answer_pairs(value: Any) -> list[tuple[Any, Any]]:
    """(text, start) of SQuAD's list of objects, or of an object with two lists."""
    if isinstance(value, dict) and {"text", "answer_start"} <= value.keys():
        texts, starts = value["text"], value["answer_start"]
        if isinstance(texts, list) and isinstance(starts, list) and len(texts) == len(starts):
            return list(zip(texts, starts))
    if isinstance(value, list) and all(isinstance(one, dict) for one in value):
        return [(one.get("text"), one.get("answer_start")) for one in value]
    raise _wrong("answers", value, "a list of objects with text and answer_start")


def _answer(text: Any, start: Any, context: str) -> Answer:
    check_string(text, "answer")
    if not _is_int(start):
        raise ValueError(
            f"answer {shown(text)}: answer_start is {_shown(start)}, expected a number"
        )
    if start < 0 or context[start : start + len(text)] != text:
        there = context[max(start, 0) : max(start, 0) + len(text)]
        elsewhere = context.find(text)
        hint = "nor anywhere else in it" if elsewhere < 0 else f"it is at {elsewhere}"
        raise ValueError(
            f"answer {shown(text)} is not at character {start} of the context "
            f"({shown(there)} is); {hint}"
        )
    return Answer(text, start)


def _choice_index(label: Any, count: int) -> int:
    if isinstance(label, str) and label.strip().isdecimal():
        label = int(label)
    if not _is_int(label) or not 0 <= label < count:
        raise _wrong("label", label, f"the right choice's index, 0 to {count - 1}")
    return label


def _message(value: Any, index: int) -> Message:
    role = value.get("role") if isinstance(value, dict) else None
    if role not in _ROLES:
        raise ValueError(
            f"message {index}: role {shown(role)}, expected one of {', '.join(_ROLES)}"
        )
    if role == "system" and index > 0:
        raise ValueError(f"message {index}: role 'system', expected as the first message only")
    return Message(role, check_string(value.get("content"), f"message {index} content"))


def _numbers(value: Any) -> float | tuple[str | float, ...] | None:
    """What a classifier takes beside one class: a number with a fraction, or a list of labels."""
    if isinstance(value, float):
        if not math.isfinite(value):
            raise _wrong("label", value, "a finite number")
        return value
    if not isinstance(value, (list, tuple)):
        return None
    several = tuple(v if isinstance(v, float) else _label(v)[0] for v in value)
    if len(set(several)) < len(several) and not any(isinstance(v, float) for v in several):
        raise _wrong("label", value, "each label once")
    return several


def _label(value: Any) -> tuple[str, str]:
    """(the label as text, what it was)."""
    if isinstance(value, bool):
        return str(value).lower(), "true or false"
    if isinstance(value, int):
        return str(value), "a number"
    if isinstance(value, str):
        return check_string(value, "label").strip(), "text"
    raise _wrong("label", value, "text or a whole number")


def _likeness(value: Any, name: Any) -> float:
    """How alike two texts are: a finite number, or a word for one."""
    try:
        number = math.nan if isinstance(value, bool) else float(value)
    except (TypeError, ValueError):
        number = math.nan
    if not math.isfinite(number):
        raise _wrong(shown(name), value, "a number that grows with likeness, such as 0 and 1")
    return number


def _is_int(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _wrong(what: str, value: Any, wanted: str) -> ValueError:
    return ValueError(f"{what}: got {_shown(value)}, expected {wanted}")


def _shown(value: Any) -> str:
    return shown(value) if value is not None else "nothing"
