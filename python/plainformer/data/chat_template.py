"""How a dialogue is written for a model: ChatML, built in, or the Jinja template of a checkpoint.

A template gives pieces: its own text, and the contents of the messages between. Only so can a text
of a user that spells a special token be told from a special token. Jinja gives one text, so it
renders the dialogue twice: with stand-ins for the contents, which shows where they go, and as it
is. Joined, the pieces must be the second text; a template that does more to a content than to strip
it is refused.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, NamedTuple, Protocol

from ..errors import DataError, short
from .examples import Message
from .jinja_sandbox import RefusalError

START, END = "<|im_start|>", "<|im_end|>"
# ChatML as Jinja, for transformers' `apply_chat_template`.
CHATML = (
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\\n' + "
    "message['content'] + '<|im_end|>' + '\\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
)
# Around a stand-in is white space that only strips take away, and no text has.
_STAND_IN = "\x1c\ufdd0{}\ufdd1\x1c"
_FOUND = re.compile("(\x1c?)\ufdd0(\\d+)\ufdd1(\x1c?)")


class Piece(NamedTuple):
    """Some text, and the index of the message whose content it is; None for the template's own."""

    text: str
    message: int | None = None


class ChatTemplate(Protocol):
    """Writes dialogues."""

    source: str

    def pieces(self, messages: Sequence[Message], answers: bool = False) -> list[Piece]:
        """The dialogue; with `answers` also how the assistant's next turn begins."""


def chat_template(source: str, tokens: Mapping[str, str] | None = None) -> ChatTemplate:
    """The template of a Jinja source.

    Parameters
    ----------
    source : Jinja
    tokens : special tokens by role (`bos_token`, `eos_token`, ...), variables of the template

    Raises
    ------
    ConfigError : another template than `CHATML` without jinja2, or one that it cannot read
    """
    return ChatML() if source == CHATML else JinjaTemplate(source, tokens or {})


def source_of(options: Mapping[str, Any]) -> str | None:
    """The template in the options of a tokenizer, of several the one called `default`."""
    given = options.get("chat_template")
    if isinstance(given, list):
        given = {entry["name"]: entry["template"] for entry in given}.get("default")
    return given


class ChatML:
    """A turn is `<|im_start|>ROLE`, a line break, the content, `<|im_end|>` and a line break."""

    source = CHATML

    def pieces(self, messages: Sequence[Message], answers: bool = False) -> list[Piece]:
        """The dialogue; with `answers` also how the assistant's next turn begins."""
        result: list[Piece] = []
        for index, message in enumerate(messages):
            result += [
                Piece(f"{START}{message.role}\n"),
                Piece(message.content, index),
                Piece(f"{END}\n"),
            ]
        return [*result, Piece(f"{START}assistant\n")] if answers else result


class _Slot(NamedTuple):
    """Where a content goes, and which of its ends are stripped."""

    message: int
    left: bool
    right: bool

    def fill(self, content: str) -> str:
        content = content.lstrip() if self.left else content
        return content.rstrip() if self.right else content


class JinjaTemplate:
    """A template in Jinja, with what transformers gives such templates."""

    def __init__(self, source: str, tokens: Mapping[str, str]):
        from .template_renderer import Renderer  # with processes, which few tokenizers need

        self.source = source
        self._render = Renderer(source)
        self._tokens = dict(tokens)
        self._skeleton = lru_cache(maxsize=256)(self._new_skeleton)

    def pieces(self, messages: Sequence[Message], answers: bool = False) -> list[Piece]:
        """The dialogue; with `answers` also how the assistant's next turn begins.

        Raises
        ------
        DataError : the template refuses the dialogue, or does more to a content than to strip it
        ConfigError : the template fails
        """
        text = self._text(messages, answers)
        roles = tuple(message.role for message in messages)
        for skeleton in (self._skeleton, self._new_skeleton):  # it may have the time of day in it
            pieces = [
                Piece(part) if isinstance(part, str)
                else Piece(part.fill(messages[part.message].content), part.message)
                for part in skeleton(roles, answers)
            ]  # fmt: skip
            if "".join(piece.text for piece in pieces) == text:
                return pieces
        raise DataError(
            "the chat template changes the content of a message, so that special tokens could not "
            "be told from text; give another chat_template"
        )

    def _new_skeleton(self, roles: tuple[str, ...], answers: bool) -> list[str | _Slot]:
        """The template's own text, and slots for the contents of messages."""
        stand_ins = [Message(role, _STAND_IN.format(i)) for i, role in enumerate(roles)]
        before, *found = _FOUND.split(self._text(stand_ins, answers))
        parts: list[str | _Slot] = [before]
        for left, index, right, after in zip(*(found[i::4] for i in range(4))):
            parts += [_Slot(int(index), not left, not right), after]
        return [part for part in parts if part != ""]

    def _text(self, messages: Sequence[Message], answers: bool) -> str:
        try:
            return self._render(
                messages=[message._asdict() for message in messages],
                add_generation_prompt=answers,
                tools=None,
                documents=None,
                **self._tokens,
            )
        except RefusalError as refusal:
            raise DataError(f"the chat template refuses this dialogue: {short(refusal)}") from None
