"""Errors of the `tokenizers` library as ours."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from plainformer.errors import PlainformerError


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
            raise make(str(error)[:500]) from error
        raise
