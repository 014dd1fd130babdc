"""What the `tokenizers` library says: its errors as ours, the parts that a tokenizer has."""

from __future__ import annotations

import json
import os
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from tokenizers import Tokenizer

from ..errors import DataError, PlainformerError, is_panic, short, shown

METASPACE = "\u2581"  # how SentencePiece writes a space
_SEVERAL = ("normalizers", "pretokenizers", "decoders")
_stderr_is_ours = threading.Lock()


@contextmanager
def library_errors(make: Callable[[str], Exception]) -> Iterator[None]:
    """Turn what `tokenizers` raises into our errors: a plain Exception, or a panic of its Rust
    code, which arrives as a BaseException of an unnamed module."""
    try:
        yield
    except PlainformerError:
        raise
    except BaseException as error:
        if isinstance(error, Exception) or is_panic(error):
            raise make(_in_words(short(error))) from error
        raise


def _in_words(reason: str) -> str:
    """What the library says, or what it means where it speaks of its own types."""
    if "TextInputSequence" in reason:  # it takes no str that UTF-8 cannot hold
        return "it is no text, or holds a byte that is not UTF-8 or half a character"
    return reason


@contextmanager
def unseen_panics() -> Iterator[None]:
    """Keep the library's report of a panic off the screen: the error says what is wrong.

    Rust writes it to descriptor 2 before anybody can catch the panic. So that goes to a file for
    as long as a tokenizer is read, and whatever else came there is passed on.
    """
    with _stderr_is_ours, tempfile.TemporaryFile() as file:
        try:
            screen = os.dup(2)
        except OSError:  # closed: nothing is seen anyway
            yield
            return
        panicked = False
        os.dup2(file.fileno(), 2)
        try:
            yield
        except BaseException as error:
            panicked = is_panic(error)
            raise
        finally:
            os.dup2(screen, 2)
            os.close(screen)
            file.seek(0)
            if not panicked and (said := file.read()):
                os.write(2, said)


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
            whole = (c for c in text if not "\ud800" <= c <= "\udfff")  # no halves of characters
            strange = next((c for c in whole if tokenizer.token_to_id(c) is None), None)
            if strange is not None and "[UNK]" in reason:
                reason = f"the vocabulary has no {shown(strange)}, and no token for what it has not"
            return DataError(f"texts[{index}]: {shown(text)} cannot be encoded: {reason}")
    return DataError(f"texts: cannot be encoded: {reason}")


def parts_of(component: Any) -> list[dict[str, Any]]:
    """The settings of a tokenizer's normalizer, pre-tokenizer or decoder, or of each of several."""
    return [] if component is None else _flat(json.loads(component.__getstate__()))


def _flat(state: dict[str, Any]) -> list[dict[str, Any]]:
    several = next((state[name] for name in _SEVERAL if name in state), None)
    return [state] if several is None else [part for one in several for part in _flat(one)]


def _text_of(one: Any) -> str:
    return one if isinstance(one, str) else "".join(map(_text_of, one))
