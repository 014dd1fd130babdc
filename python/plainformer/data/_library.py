"""Errors of the `tokenizers` library as ours."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from tokenizers import Tokenizer

from plainformer.errors import DataError, PlainformerError, short, shown


@contextmanager
def library_errors(make: Callable[[str], Exception]) -> Iterator[None]:
    """Turn what `tokenizers` raises into our errors: a plain Exception, or a panic of its Rust
    code, which arrives as a BaseException of an unnamed module."""
    try:
        yield
    except PlainformerError:
        raise
    except BaseException as error:
        if isinstance(error, Exception) or type(error).__name__ == "PanicException":
            raise make(short(error)) from error
        raise


def refused(tokenizer: Tokenizer, inputs: Sequence[Any], reason: str) -> DataError:
    """What to raise where the library refuses one of some texts: which, and what of it.

    inputs : texts, lists of words, or pairs of such
    """
    for index, one in enumerate(inputs):
        text = _text_of(one)
        try:
            with library_errors(DataError):
                tokenizer.encode(text, add_special_tokens=False)
        except DataError as error:
            reason = str(error)
            strange = next((c for c in text if tokenizer.token_to_id(c) is None), None)
            if strange is not None and "[UNK]" in reason:
                reason = f"the vocabulary has no {shown(strange)}, and no token for what it has not"
            return DataError(f"texts[{index}]: {shown(text)} cannot be encoded: {reason}")
    return DataError(f"texts: cannot be encoded: {reason}")


def _text_of(one: Any) -> str:
    return one if isinstance(one, str) else "".join(map(_text_of, one))
