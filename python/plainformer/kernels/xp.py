"""Which array module an array belongs to, and arrays taken from one to another."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..errors import DTypeError, ShapeError, shown
from ._backend import _NUMPY, kind_of


def xp(x: Any) -> Any:
    """The module whose functions take and make arrays of the kind of `x`: NumPy or CuPy.

    Code that may meet either writes `xp(x).where(...)` in the place of `np.where(...)`.

    Parameters
    ----------
    x : array; of a Tensor pass `data`

    Returns
    -------
    xp : module; CuPy is never imported from here, for whoever has an array of it did

    Raises
    ------
    DTypeError : x is no array of a known kind
    """
    if type(x) is np.ndarray or isinstance(x, np.generic):
        return np
    return kind_of("x", x).module


def asarray(x: Any, like: Any, *, name: str = "x") -> Any:
    """`x` as an array of the kind of `like`, copied between host and device where it must be.

    Parameters
    ----------
    x : array of any kind
    like : array that says which
    name : what an error calls x

    Returns
    -------
    y : x itself where it is of that kind, else a copy with its shape and dtype

    Raises
    ------
    DTypeError : one of the two is no array of a known kind
    """
    if type(x) is type(like):
        return x
    wanted, found = kind_of("like", like), _NUMPY if isinstance(x, np.generic) else kind_of(name, x)
    return x if found.module is wanted.module else wanted.module.asarray(found.to_host(x))


def array_of(x: Any) -> Any:
    """What a user gave for an array: arrays of any kind as they are, lists and numbers as NumPy's.

    Parameters
    ----------
    x : array, or anything that `numpy.asarray` takes

    Returns
    -------
    y : array

    Raises
    ------
    ShapeError : lists of several lengths
    """
    try:
        kind_of("x", x)
    except DTypeError:
        try:
            return np.asarray(x)
        except (TypeError, ValueError, OverflowError):
            raise ShapeError(
                f"x: got {shown(x)}, expected an array or lists of one length"
            ) from None
    return x


def asnumpy(x: Any) -> np.ndarray:
    """`x` as a NumPy array: itself where it is one, else a copy on the host.

    Parameters
    ----------
    x : array of any kind

    Raises
    ------
    DTypeError : x is no array of a known kind
    """
    return x if xp(x) is np else kind_of("x", x).to_host(x)
