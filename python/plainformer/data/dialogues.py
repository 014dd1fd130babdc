"""Dialogues to ids, with what the assistant says in them.

Ids are those of transformers' `apply_chat_template`, except where a content spells a special token:
there it is a token, here it stays text. To that end a copy of the tokenizer knows its special
tokens by secret spellings, which stand in the template's own text only.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import NamedTuple

import numpy as np
from tokenizers import AddedToken, Tokenizer

from ..errors import ConfigError, DataError, shown, warn_once
from ._library import library_errors
from .chat_template import ChatTemplate, Piece
from .examples import Message

ASSISTANT = "assistant"


@dataclass(frozen=True)
class EncodedDialogue:
    """Ids (N,) int32 of a dialogue, and where in its text they and the assistant's words are.

    begins, ends : (N,), characters of each token
    learned : begins and ends of what the assistant writes, the ends of its turns included
    contents : begins and ends of the assistant's contents
    """

    ids: np.ndarray
    begins: np.ndarray
    ends: np.ndarray
    learned: Sequence[tuple[int, int]]
    contents: Sequence[tuple[int, int]]

    def __len__(self) -> int:
        return len(self.ids)

    @cached_property
    def is_learned(self) -> np.ndarray:
        """Which tokens the assistant writes, bool (N,)."""
        result = np.zeros(len(self.ids), bool)
        for begin, end in self.learned:
            result |= (self.ends > begin) & (self.begins < end)
        return result

    @property
    def characters(self) -> int:
        """Characters of the assistant's contents that are in the ids."""
        first = self.begins[0] if len(self.ids) else 0
        return int(sum(max(0, end - max(begin, first)) for begin, end in self.contents))

    def last(self, count: int) -> EncodedDialogue:
        """The last tokens alone."""
        kept = slice(len(self.ids) - count, None)
        return replace(self, ids=self.ids[kept], begins=self.begins[kept], ends=self.ends[kept])


class _Turn(NamedTuple):
    """A turn of the assistant: begin and end of its content, and the special token behind it."""

    message: int
    begin: int
    end: int
    stop: int
    stop_end: int


class DialogueEncoder:
    """Encodes dialogues as a template writes them.

    Parameters
    ----------
    tokenizer : of the model
    template : ChatTemplate

    stop : id of the special token that ends the assistant's turns

    Raises
    ------
    ConfigError : the template puts no special token behind the assistant's turns
    """

    def __init__(self, tokenizer: Tokenizer, template: ChatTemplate):
        self.template = template
        self._spelling = _SecretSpelling(tokenizer, template.source)
        example = [Message("user", "a"), Message(ASSISTANT, "b")]
        self.stop = self._turns(template.pieces(example), example)[0].stop

    def encode(self, messages: Sequence[Message], *, all_turns: bool = False) -> EncodedDialogue:
        """A dialogue to learn from; with `all_turns` also what users say.

        Raises
        ------
        DataError : the template refuses it or leaves out a turn of the assistant, or a text cannot
            be encoded
        ConfigError : the template fails, or begins a turn otherwise than a prompt for it
        """
        pieces = self.template.pieces(messages)
        turns = self._turns(pieces, messages)
        text = self._spelling.write(pieces)
        learned = [(self._begin(turn, text, messages), turn.stop_end) for turn in turns]
        if all_turns:
            learned += self._users(pieces, messages)
        return self._encoded(text, learned, [(turn.begin, turn.end) for turn in turns])

    def prompt(self, messages: Sequence[Message], answers: bool = True) -> EncodedDialogue:
        """A dialogue to answer; with `answers` and the beginning of the assistant's next turn.

        Raises
        ------
        DataError : the template refuses it, or a text cannot be encoded
        ConfigError : the template fails
        """
        return self._encoded(self._spelling.write(self.template.pieces(messages, answers)), [], [])

    def _turns(self, pieces: Sequence[Piece], messages: Sequence[Message]) -> list[_Turn]:
        """The assistant's turns in the text of the pieces."""
        found = {}
        for index, begin, end, behind in self._contents(pieces):
            if messages[index].role != ASSISTANT:
                continue
            stop = self._spelling.first(behind)
            if stop is None:
                raise ConfigError(
                    "chat_template: puts no special token of this tokenizer behind the assistant's "
                    "turns, so that answers would have no end; expected one such as eos_token"
                )
            found[index] = _Turn(index, begin, end, stop[0], end + stop[1])
        written = {piece.message for piece in pieces}
        for index, message in enumerate(messages):
            if index not in written and message.role == ASSISTANT:
                raise DataError(f"the chat template leaves out message {index}, the assistant's")
            if index not in written:
                warn_once(f"chat_template: leaves out messages of role {shown(message.role)}")
        return list(found.values())

    def _users(self, pieces: Sequence[Piece], messages: Sequence[Message]) -> list[tuple[int, int]]:
        """What users say, with the special tokens right behind it."""
        return [
            (begin, end + self._spelling.length_at_start(behind))
            for index, begin, end, behind in self._contents(pieces)
            if messages[index].role == "user"
        ]

    def _contents(self, pieces: Sequence[Piece]) -> Iterator[tuple[int, int, int, str]]:
        """Message, begin and end of each content, and the template's text behind it."""
        place = 0
        for piece, after in zip(pieces, [*pieces[1:], Piece("")]):
            begin, place = place, place + len(self._spelling.write([piece]))
            if piece.message is not None:
                behind = "" if after.message is not None else self._spelling.write([after])
                yield piece.message, begin, place, behind

    def _begin(self, turn: _Turn, text: str, messages: Sequence[Message]) -> int:
        """Where the prompt for a turn ends."""
        if turn.message == 0:  # templates need a message before they write a prompt
            return turn.begin
        prompt = self._spelling.write(self.template.pieces(messages[: turn.message], True))
        if len(prompt) > turn.begin or not text.startswith(prompt):
            raise ConfigError(
                f"chat_template: writes what comes before message {turn.message} otherwise in the "
                "prompt for it than in the whole dialogue, so that what is learned would not be "
                "what is asked; give another chat_template"
            )
        return len(prompt)

    def _encoded(
        self, text: str, learned: list[tuple[int, int]], contents: list[tuple[int, int]]
    ) -> EncodedDialogue:
        ids, offsets = self._spelling.encode(text)
        result = EncodedDialogue(ids, offsets[:, 0], offsets[:, 1], learned, contents)
        borders = [begin for begin, _ in learned]
        if any(((result.begins < b) & (result.ends > b)).any() for b in borders):
            warn_once(
                "chat_template: a turn of the assistant begins within a token that the prompt for "
                "it begins too; answers may begin badly"
            )
        return result


class _SecretSpelling:
    """A copy of a tokenizer that knows special tokens by spellings nobody can guess.

    These are all special tokens, and what else of the added tokens the template spells.
    """

    def __init__(self, tokenizer: Tokenizer, source: str):
        added = tokenizer.get_added_tokens_decoder()
        secret = secrets.token_hex(8)
        hidden = {i: t for i, t in added.items() if t.special or t.content in source}
        self._ids = {f"<{secret}{i}>": i for i in hidden}
        self._spelled = {hidden[i].content: spelling for spelling, i in self._ids.items()}
        self._known = _any_of(self._spelled)
        self._private = re.compile(f"<{secret}[0-9]+>")
        spellings = {
            i: self._spelled.get(token.content, token.content) for i, token in added.items()
        }
        self._copy = _respelled(tokenizer, spellings)
        known = set(tokenizer.get_vocab(with_added_tokens=False).values())
        # What the tokenizer's model might make of a text that spells it.
        self._as_text = {i: t.content for i, t in hidden.items() if i in known}
        self._original = np.arange(1 + max(self._copy.get_vocab().values()))
        for i, spelling in spellings.items():
            own = self._copy.token_to_id(spelling)
            if own in known and spelling in self._ids:
                raise ConfigError("tokenizer: its vocabulary has gaps; number its ids without")
            self._original[own] = i

    def write(self, pieces: Iterable[Piece]) -> str:
        """The text of pieces, with the secret spellings in the template's own."""
        return "".join(
            self._known.sub(lambda match: self._spelled[match[0]], piece.text)
            if piece.message is None
            else piece.text
            for piece in pieces
        )

    def first(self, text: str) -> tuple[int, int] | None:
        """The first special token in a written text, and where it ends."""
        match = self._private.search(text)
        return None if match is None else (self._ids[match[0]], match.end())

    def length_at_start(self, text: str) -> int:
        """The length of a special token with which a written text begins, 0 without."""
        match = self._private.match(text)
        return 0 if match is None else match.end()

    def encode(self, text: str) -> tuple[np.ndarray, np.ndarray]:
        """Ids (N,) and their characters (N, 2) of a written text."""
        with library_errors(lambda error: DataError(f"a dialogue cannot be encoded: {error}")):
            encoding = self._copy.encode(text, add_special_tokens=False)
        for i, token in self._as_text.items():
            if token in text and i in encoding.ids:  # it may also stand for what is unknown
                raise DataError(
                    f"a message spells {shown(token)}, which this tokenizer cannot write as text; "
                    "remove it"
                )
        ids = self._original[np.array(encoding.ids, np.int64)].astype(np.int32)
        return ids, np.array(encoding.offsets, np.int64).reshape(-1, 2)


def _any_of(texts: Iterable[str]) -> re.Pattern[str]:
    """Any of these, longer ones first, as the tokenizer finds them; nothing if there are none."""
    ordered = sorted(texts, key=len, reverse=True)
    return re.compile("|".join(map(re.escape, ordered)) or "(?!)")


def _respelled(tokenizer: Tokenizer, spellings: Mapping[int, str]) -> Tokenizer:
    """A copy whose added tokens are spelled otherwise, and have other ids."""
    copy = Tokenizer(tokenizer.model)
    for part in ("normalizer", "pre_tokenizer"):
        if getattr(tokenizer, part) is not None:
            setattr(copy, part, getattr(tokenizer, part))
    copy.add_tokens(
        [
            AddedToken(
                spellings[i],
                single_word=token.single_word,
                lstrip=token.lstrip,
                rstrip=token.rstrip,
                normalized=token.normalized,
            )
            for i, token in sorted(tokenizer.get_added_tokens_decoder().items())
        ]
    )
    return copy
