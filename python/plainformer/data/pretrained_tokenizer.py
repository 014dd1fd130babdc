"""`pf.load_tokenizer(directory)`: a tokenizer that is called as transformers' are.

    tok = pf.load_tokenizer("all-MiniLM")
    batch = tok(["a text", "a longer text"], padding=True, return_tensors="np")
    tok.decode(batch["input_ids"][0], skip_special_tokens=True)

It wraps a `tokenizers.Tokenizer` (`backend_tokenizer`) and never changes its truncation or padding.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Literal, overload

import numpy as np
from tokenizers import Tokenizer

from ..checkpoints.files import PathLike
from ..checkpoints.habits import without_habits
from ..errors import ConfigError, DTypeError, shown
from ..kinds import check_kind, checked
from ._library import library_errors
from .batch_encoding import BatchEncoding, encoding_fields
from .chat_template import chat_template, source_of
from .dialogues import DialogueEncoder
from .encoding import MAX_TOKENS, Encoded, is_words
from .examples import Message
from .labelled.objects import examples_of
from .special_tokens import ROLES, tokenizer_options
from .tokenizer import read_tokenizer, save_tokenizer
from .tokenizer_roles import TokenizerRoles


class PreTrainedTokenizer(TokenizerRoles):
    """Texts to ids and back, under transformers' names.

    Parameters
    ----------
    tokenizer : a `tokenizers.Tokenizer`, see `read_tokenizer`
    """

    is_fast = True

    @checked
    def __call__(
        self,
        text: Any,
        text_pair: Any = None,
        *,
        add_special_tokens: bool = True,
        padding: bool | str = False,
        truncation: bool | str | None = None,
        max_length: int | None = None,
        stride: int = 0,
        is_split_into_words: bool = False,
        pad_to_multiple_of: int | None = None,
        return_tensors: str | None = None,
        return_token_type_ids: bool | None = None,
        return_attention_mask: bool | None = None,
        return_overflowing_tokens: bool = False,
        return_special_tokens_mask: bool = False,
        return_offsets_mapping: bool = False,
        return_length: bool = False,
    ) -> BatchEncoding:
        """What a model takes of a text, or of each of several.

        Parameters
        ----------
        text, text_pair : str, or a list (or array) of such; words where `is_split_into_words`
        padding : True or "longest" fills up to the longest, "max_length" to max_length
        truncation : True or "longest_first", "only_first", "only_second"; by default max_length
            cuts where there is no padding. False or "do_not_truncate" cuts nothing
        max_length : most tokens, special ones counted; None means `model_max_length`
        stride : tokens that windows repeat, with return_overflowing_tokens
        return_tensors : "np" for arrays (B, L), also of one text; None for lists
        return_token_type_ids, return_attention_mask : None means as the model takes them

        Returns
        -------
        BatchEncoding : `input_ids`, `attention_mask`, ...; lists of ints for one text, lists of
            such for several

        Raises
        ------
        ConfigError, DataError, DTypeError, ShapeError : see `TextEncoder.encode`
        """
        single = isinstance(text, str) or (is_split_into_words and is_words(text))
        texts, pairs = ([text], [text_pair]) if single else (_listed(text), _listed(text_pair))
        overflows = return_overflowing_tokens
        if stride and not overflows:
            raise ConfigError(f"stride: got {stride}, which needs return_overflowing_tokens=True")
        encoded = self._encoder.encode(
            texts,
            None if text_pair is None else pairs,
            max_length=max_length,
            truncation=_cut(truncation, max_length, padding),
            stride=stride if overflows else None,
            return_offsets=return_offsets_mapping,
            is_split_into_words=is_split_into_words,
            add_special_tokens=add_special_tokens,
        )
        names = self.special.model_input_names
        wanted = {
            "token_type_ids": _either(return_token_type_ids, "token_type_ids" in names),
            "attention_mask": _either(return_attention_mask, True),
            "special_tokens_mask": return_special_tokens_mask,
            "offset_mapping": return_offsets_mapping,
            "overflow_to_sample_mapping": overflows,
            "length": return_length,
        }
        length = self._length(padding, max_length, pad_to_multiple_of, encoded)
        columns = encoding_fields(encoded, wanted, length, self.special)
        return BatchEncoding(
            columns, encoded, self.convert_ids_to_tokens, return_tensors, single and not overflows
        )

    @overload
    def encode(
        self, text: Any, text_pair: Any = ..., *, return_tensors: Literal["np"], **options: Any
    ) -> np.ndarray: ...
    @overload
    def encode(self, text: Any, text_pair: Any = ..., **options: Any) -> list[int]: ...
    def encode(self, text: Any, text_pair: Any = None, **options: Any) -> Any:
        """The ids of a text, or (1, L) as an array; the options are those of a call."""
        return self(text, text_pair, **options)["input_ids"]

    def tokenize(self, text: str, *, add_special_tokens: bool = False) -> list[str]:
        """The tokens of a text."""
        return self.convert_ids_to_tokens(self.encode(text, add_special_tokens=add_special_tokens))

    def decode(self, token_ids: Any, skip_special_tokens: bool = False) -> str:
        """The text of ids (L,), a list or an array; of one id, its own."""
        given = [token_ids] if isinstance(token_ids, (int, np.integer)) else token_ids
        given = given.tolist() if isinstance(given, np.ndarray) else given
        if not isinstance(given, (list, tuple)) or not all(map(_is_id, given)):
            raise DTypeError(f"token_ids: got {shown(token_ids)}, expected ids; see batch_decode")
        ids = [int(i) for i in given]
        check_kind("skip_special_tokens", skip_special_tokens, bool)
        with library_errors(lambda reason: ConfigError(f"token_ids: cannot be decoded: {reason}")):
            text: str = self.backend_tokenizer.decode(ids, skip_special_tokens=skip_special_tokens)
        return text

    def batch_decode(
        self, sequences: Iterable[Any], skip_special_tokens: bool = False
    ) -> list[str]:
        """The text of each row of ids."""
        if not isinstance(sequences, Iterable) or isinstance(sequences, str):
            raise DTypeError(f"sequences: got {shown(sequences)}, expected rows of ids")
        return [self.decode(row, skip_special_tokens) for row in sequences]

    @overload
    def convert_ids_to_tokens(self, ids: int) -> str | None: ...
    @overload
    def convert_ids_to_tokens(self, ids: Sequence[int] | np.ndarray) -> list[str]: ...
    def convert_ids_to_tokens(self, ids: Any) -> Any:
        """The token of an id, or of each of several."""
        several = isinstance(ids, (list, tuple, np.ndarray))
        if not all(map(_is_id, ids if several else [ids])):
            raise DTypeError(f"ids: got {shown(ids)}, expected an id, or a list of ids")
        if not several:
            return self.backend_tokenizer.id_to_token(int(ids))
        return [self.backend_tokenizer.id_to_token(int(i)) for i in ids]

    @overload
    def convert_tokens_to_ids(self, tokens: str) -> int | None: ...
    @overload
    def convert_tokens_to_ids(self, tokens: list[str] | tuple[str, ...]) -> list[int | None]: ...
    def convert_tokens_to_ids(self, tokens: Any) -> Any:
        """The id of a token, or of each of several; that of unk_token for others."""
        if isinstance(tokens, (list, tuple, np.ndarray)):
            return [self.convert_tokens_to_ids(token) for token in tokens]
        if not isinstance(tokens, str):
            raise DTypeError(f"tokens: got {shown(tokens)}, expected a token, or a list of tokens")
        found = self.backend_tokenizer.token_to_id(tokens)
        return self.unk_token_id if found is None else found

    @overload
    def apply_chat_template(
        self,
        conversation: Sequence[Any],
        *,
        tokenize: Literal[False],
        add_generation_prompt: bool = ...,
    ) -> str: ...
    @overload
    def apply_chat_template(
        self, conversation: Sequence[Any], *, add_generation_prompt: bool = ...
    ) -> list[int]: ...
    def apply_chat_template(
        self,
        conversation: Sequence[Any],
        *,
        tokenize: bool = True,
        add_generation_prompt: bool = False,
    ) -> Any:
        """The ids of a dialogue as the model's template writes it, or its text.

        What users write is text: where it spells a special token, it has the ids of other text.

        Parameters
        ----------
        conversation : messages, objects with `role` and `content`
        tokenize : False for the text
        add_generation_prompt : also how the assistant's next turn begins

        Raises
        ------
        ConfigError : no template, or one that fails
        DataError : the template refuses the dialogue, or a message is none
        """
        inner, roles = self.backend_tokenizer, self.special_tokens_map
        source = source_of(tokenizer_options(inner))
        if source is None:
            raise ConfigError("apply_chat_template: the tokenizer has no chat template")
        template, messages = chat_template(source, roles), _messages(conversation)
        if not tokenize:
            return "".join(p.text for p in template.pieces(messages, add_generation_prompt))
        encoder = DialogueEncoder(inner, template)
        return encoder.prompt(messages, answers=add_generation_prompt).ids.tolist()

    @classmethod
    def from_pretrained(cls, directory: PathLike, **options: Any) -> PreTrainedTokenizer:
        """See `load_tokenizer`."""
        tokenizer = cls(read_tokenizer(directory))
        for name, value in without_habits(options).items():
            if name not in (*ROLES, "padding_side", "truncation_side"):
                raise ConfigError(f"{name}: is no option of a tokenizer")
            setattr(tokenizer, name, value)
        return tokenizer

    def save_pretrained(self, directory: str | Path) -> None:
        """Write `tokenizer.json` and `tokenizer_config.json`, which transformers reads too."""
        save_tokenizer(self.backend_tokenizer, directory)

    def get_vocab(self) -> dict[str, int]:
        """The ids of all tokens."""
        vocab: dict[str, int] = self.backend_tokenizer.get_vocab(with_added_tokens=True)
        return vocab

    @property
    def vocab_size(self) -> int:
        """Tokens without the added ones; `len(tokenizer)` counts all."""
        size: int = self.backend_tokenizer.get_vocab_size(with_added_tokens=False)
        return size

    def __len__(self) -> int:
        size: int = self.backend_tokenizer.get_vocab_size(with_added_tokens=True)
        return size

    def _length(
        self,
        padding: bool | str,
        max_length: int | None,
        multiple: int | None,
        encoded: Sequence[Encoded],
    ) -> int | None:
        """Tokens that all are filled up to; None without padding."""
        if padding in (False, "do_not_pad"):
            return None
        if padding not in (True, "longest", "max_length"):
            raise ConfigError(
                f"padding: got {shown(padding)}, expected True, 'longest', 'max_length' or False"
            )
        if self.pad_token_id is None:
            raise ConfigError(
                "padding: the tokenizer has no pad_token; set one, such as "
                "`tokenizer.pad_token = tokenizer.eos_token`"
            )
        if multiple is not None and not 1 <= multiple <= MAX_TOKENS:
            raise ConfigError(
                f"pad_to_multiple_of: got {multiple}, expected at least 1 and at most {MAX_TOKENS}"
            )
        longest = max(map(len, encoded), default=0)
        if padding == "max_length":
            limit = self.model_max_length if max_length is None else max_length
            if limit is None:
                raise ConfigError("padding: got 'max_length', which needs max_length")
            longest = max(longest, limit)
        return -(-longest // (multiple or 1)) * (multiple or 1)

    def __repr__(self) -> str:
        told = {"model_max_length": self.model_max_length, "padding_side": self.padding_side}
        told |= self.special_tokens_map
        lines = "".join(f"\n    {name}={shown(value)}," for name, value in told.items())
        sizes = f"vocab_size={self.vocab_size}, len={len(self)},"
        return f"{type(self).__name__}(\n    {sizes}{lines}\n)"


def load_tokenizer(directory: PathLike, **options: Any) -> PreTrainedTokenizer:
    """The tokenizer of a directory: `load_tokenizer(directory)("a text")`.

    Parameters
    ----------
    directory : with `tokenizer.json`, or the vocabulary files that came before it
    options : `pad_token` and the other roles, `padding_side`, `truncation_side`, set after
        reading; and what transformers takes that asks for nothing here (`use_fast=True`)

    Raises
    ------
    CheckpointError : no such files, or damaged ones
    ConfigError : another option
    """
    return PreTrainedTokenizer.from_pretrained(directory, **options)


def as_backend(tokenizer: Any) -> Tokenizer:
    """The `tokenizers.Tokenizer` of a directory, of what `load_tokenizer` or transformers returned.

    Raises
    ------
    ConfigError : none of these
    """
    if isinstance(tokenizer, (str, Path)):
        return read_tokenizer(tokenizer)
    inner = getattr(tokenizer, "backend_tokenizer", tokenizer)
    if not isinstance(inner, Tokenizer):
        raise ConfigError(
            f"tokenizer: got {shown(tokenizer)}, expected a directory or what load_tokenizer gives"
        )
    return inner


def _is_id(value: Any) -> bool:
    return isinstance(value, (int, np.integer)) and 0 <= int(value) < 1 << 32


def _listed(texts: Any) -> Any:
    """Several texts as a list; an array's, a column's and an iterator's too."""
    if isinstance(texts, (list, tuple, str)) or texts is None:
        return texts
    is_column = hasattr(texts, "tolist") and getattr(texts, "ndim", 1) > 0
    if is_column or isinstance(texts, Iterator):
        return list(texts)
    return texts


def _either(asked: bool | None, usual: bool) -> bool:
    return usual if asked is None else asked


def _cut(truncation: bool | str | None, max_length: int | None, padding: bool | str) -> bool | str:
    """What `TextEncoder` takes."""
    if truncation is None:
        return max_length is not None and padding in (False, "do_not_pad")
    return False if truncation == "do_not_truncate" else truncation


def _messages(conversation: Sequence[Any]) -> list[Message]:
    """A dialogue, given as objects or as messages."""
    plain = [m._asdict() if isinstance(m, Message) else m for m in conversation]
    example: Any
    [example] = examples_of([{"messages": plain}], "dialogue", name="conversation", labelled=False)
    return list(example.messages)
