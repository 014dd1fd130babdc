"""The special tokens of a tokenizer by role, as attributes that may be set, under transformers'
names."""

from __future__ import annotations

from typing import Any

from tokenizers import Tokenizer

from ..errors import ConfigError, shown
from .encoding import TextEncoder
from .special_tokens import SpecialIds, remember_options, role_tokens, tokenizer_options


class _Token:
    """The token of a role; may be set to another one of the vocabulary, or to None."""

    def __set_name__(self, owner: type, name: str) -> None:
        self._role = name

    def __get__(self, tokenizer: TokenizerRoles, owner: type | None = None) -> str | None:
        return tokenizer.special_tokens_map.get(self._role)

    def __set__(self, tokenizer: TokenizerRoles, token: str | None) -> None:
        inner = tokenizer.backend_tokenizer
        if token is not None and (not isinstance(token, str) or inner.token_to_id(token) is None):
            raise ConfigError(
                f"{self._role}: got {shown(token)}, expected a token of the vocabulary"
            )
        tokenizer._set_option(self._role, token)


class _TokenId:
    """The id of a role's token; None without one."""

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    def __get__(self, tokenizer: TokenizerRoles, owner: type | None = None) -> int | None:
        found: int | None = getattr(tokenizer.special, self._name)
        return found


class _Side:
    """A side, "right" or "left"; may be set."""

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    def __get__(self, tokenizer: TokenizerRoles, owner: type | None = None) -> str:
        side: str = getattr(tokenizer.special, self._name)
        return side

    def __set__(self, tokenizer: TokenizerRoles, side: str) -> None:
        if side not in ("right", "left"):
            raise ConfigError(f"{self._name}: got {shown(side)}, expected 'right' or 'left'")
        tokenizer._set_option(self._name, side)


class TokenizerRoles:
    """Base of `PreTrainedTokenizer`: what its tokens are for.

    bos_token, eos_token, ... : the token of each role, and its id as bos_token_id, ...; None
        without one
    padding_side, truncation_side : where texts are filled up and cut, "right" or "left"
    """

    bos_token, eos_token, unk_token, sep_token = _Token(), _Token(), _Token(), _Token()
    pad_token, cls_token, mask_token = _Token(), _Token(), _Token()
    bos_token_id, eos_token_id, unk_token_id = _TokenId(), _TokenId(), _TokenId()
    sep_token_id, pad_token_id = _TokenId(), _TokenId()
    cls_token_id, mask_token_id = _TokenId(), _TokenId()
    padding_side, truncation_side = _Side(), _Side()

    def __init__(self, tokenizer: Tokenizer):
        self.backend_tokenizer = tokenizer
        self._encoder = TextEncoder(tokenizer)

    def __reduce__(self) -> Any:
        """Copies remember what the files beside the tokenizer said, which it does not carry."""
        inner = self.backend_tokenizer
        return _remembering, (type(self), inner, tokenizer_options(inner))

    @property
    def special(self) -> SpecialIds:
        """The ids of all roles, and how the tokenizer is to be used."""
        return self._encoder.special

    @property
    def all_special_ids(self) -> list[int]:
        """The ids of all special tokens, in increasing order."""
        return list(self.special.all_special_ids)

    @property
    def all_special_tokens(self) -> list[str]:
        """The special tokens in the order of their ids."""
        return [str(self.backend_tokenizer.id_to_token(i)) for i in self.all_special_ids]

    @property
    def special_tokens_map(self) -> dict[str, str]:
        """The tokens by role."""
        inner = self.backend_tokenizer
        return role_tokens(inner, tokenizer_options(inner))

    @property
    def model_max_length(self) -> int | None:
        """Most tokens that the model takes; None where that is not known."""
        return self.special.model_max_length

    def _set_option(self, name: str, value: Any) -> None:
        """What the files beside the tokenizer would say."""
        inner = self.backend_tokenizer
        remember_options(inner, {name: value})
        self._encoder = TextEncoder(inner)


def _remembering(kind: type[TokenizerRoles], tokenizer: Tokenizer, options: Any) -> TokenizerRoles:
    remember_options(tokenizer, options)
    return kind(tokenizer)
