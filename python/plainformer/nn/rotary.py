"""Rotary positions: the angles of each position, and ways to stretch them to longer contexts."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from .. import functional, kernels
from ..errors import ConfigError, short, shown
from ..kernels._arrays import largest
from ..kinds import check_kind, fits
from ..options import one_of
from ..tensor import Array, Tensor

# The parameters of each rope_type beside rope_theta: required ones, then optional ones.
ROPE_TYPES: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "default": ((), ()),
    "linear": (("factor",), ()),
    "llama3": (
        ("factor", "low_freq_factor", "high_freq_factor", "original_max_position_embeddings"),
        (),
    ),
    "yarn": (
        ("factor", "original_max_position_embeddings"),
        ("attention_factor", "beta_fast", "beta_slow", "mscale", "mscale_all_dim", "truncate"),
    ),
}


class Turn(NamedTuple):
    """The positions (N,) of some rows, and the tables of their angles."""

    positions: Array
    cos: Array
    sin: Array

    def __call__(self, x: Tensor, num_heads: int) -> Tensor:
        """Turn x (N, H D)."""
        return functional.rotary_embedding(x, *self, num_heads)


class Rotary:
    """Cosines and sines of the angle position / theta^(2 i / width) for pair i of a head.

    Tables grow with the longest position asked for. Angles are computed in float32, as in the
    models' own training code, so that long positions agree with it.

    Parameters
    ----------
    width : int, how many elements of a head are turned
    parameters : Hugging Face's `rope_parameters`, see `check_rope`

    References
    ----------
    Su et al., "RoFormer", 2021, arXiv:2104.09864; Peng et al., "YaRN", 2023, arXiv:2309.00071.
    """

    def __init__(self, width: int, parameters: Mapping[str, Any]):
        self._width, self._parameters = width, parameters
        self._tables: tuple[Array, Array] | None = None

    def __call__(self, x: Tensor, positions: Array, num_heads: int) -> Tensor:
        """Turn x (N, H D) by the positions (N,) of its rows."""
        return self.at(positions, x.data)(x, num_heads)

    def at(self, positions: Array, like: Array) -> Turn:
        """What turns rows at these positions (N,), as often as there are layers; of the kind of
        `like`."""
        cos, sin = self.tables(largest(positions) + 1, like)
        return Turn(kernels.asarray(positions, like), cos, sin)

    def tables(self, count: int, like: Array) -> tuple[Array, Array]:
        """Cosines and sines, float32 (at least count, width / 2), of the kind of `like`."""
        tables = self._tables
        if tables is None or len(tables[0]) < count or type(tables[0]) is not type(like):
            rows = 1 << max(5, (count - 1).bit_length())
            frequencies, scale = rope_frequencies(self._width, self._parameters)
            angles = np.arange(rows, dtype=np.float32)[:, None] * frequencies
            wide = angles.astype(np.float64)
            cos, sin = (
                kernels.asarray(np.float32(scale * f(wide)), like) for f in (np.cos, np.sin)
            )
            tables = self._tables = cos, sin
        return tables  # not the attribute: another thread may have made shorter ones since


class LongRotary:
    """Rotary positions of LongRoPE: pairs are slowed by other factors in sequences that are longer
    than those of the first training.

    Parameters
    ----------
    width : int, how many elements of a head are turned
    parameters : of `check_long_rope`

    References
    ----------
    Ding et al., "LongRoPE", 2024, arXiv:2402.13753.
    """

    def __init__(self, width: int, parameters: Mapping[str, Any]):
        self.original = parameters["original_max_position_embeddings"]
        self._short, self._long = (
            Rotary(width, {**parameters, "factors": parameters[name]})
            for name in ("short_factor", "long_factor")
        )

    def at(self, positions: Array, like: Array, is_long: Array) -> Turn:
        """What turns rows at these positions (N,), each with the table that is_long (N,) says."""
        if is_long.all() or not is_long.any():
            one = self._long if is_long.any() else self._short
            return one.at(positions, like)
        xp, count = kernels.xp(like), largest(positions) + 1
        short, long = self._short.tables(count, like), self._long.tables(count, like)
        cos, sin = (xp.concatenate([a[:count], b[:count]]) for a, b in zip(short, long))
        places = kernels.asarray(positions, like) + kernels.asarray(
            is_long.astype(np.int32) * np.int32(count), like
        )
        return Turn(places, cos, sin)


def check_long_rope(
    parameters: Mapping[str, Any], pairs: int, original: int, length: int
) -> dict[str, Any]:
    """`rope_parameters` of LongRoPE in full, with the number that cos and sin are scaled by.

    Parameters
    ----------
    parameters : rope_theta, short_factor and long_factor, perhaps factor or attention_factor
    pairs : how many factors there are to be
    original, length : tokens of a sequence in the first training, and now

    Raises
    ------
    ConfigError : a parameter is missing, unknown, or no list of so many numbers
    """
    given = {name: value for name, value in parameters.items() if value is not None}
    given.setdefault("original_max_position_embeddings", original)
    known = {
        "rope_type", "rope_theta", "short_factor", "long_factor", "factor", "attention_factor",
        "original_max_position_embeddings",
    }  # fmt: skip
    for name in given.keys() - known:
        raise ConfigError(f"rope_parameters: {short(name)} is unknown to rope_type 'longrope'")
    for name in ("short_factor", "long_factor"):
        found = given.get(name)
        if not isinstance(found, list) or len(found) != pairs or not all(map(_is_number, found)):
            raise ConfigError(
                f"rope_parameters: {name}: got {shown(found)}, expected {pairs} numbers above 0"
            )
    for name in known - {"rope_type", "short_factor", "long_factor"}:
        if name in given and not _is_number(given[name]):
            raise ConfigError(
                f"rope_parameters: {name}: got {shown(given[name])}, expected a number above 0"
            )
    if not 1 < given["original_max_position_embeddings"] < 2**31:
        raise ConfigError(
            "rope_parameters: original_max_position_embeddings: got "
            f"{shown(given['original_max_position_embeddings'])}, expected 2 or more"
        )
    return given


def long_scale(parameters: Mapping[str, Any], length: int) -> float:
    """What LongRoPE scales cos and sin by."""
    if parameters.get("attention_factor") is not None:
        return float(parameters["attention_factor"])
    original = parameters["original_max_position_embeddings"]
    factor = parameters.get("factor") or length / original
    return 1.0 if factor <= 1 else math.sqrt(1 + math.log(factor) / math.log(original))


def check_rope(parameters: Mapping[str, Any] | None, length: int, theta: float) -> dict[str, Any]:
    """`rope_parameters` in full: rope_type, rope_theta and what the type needs.

    Parameters
    ----------
    parameters : as in a `config.json`; version 4 calls rope_type `type`
    length : max_position_embeddings, which stands in for a missing original length
    theta : rope_theta where the parameters have none

    Raises
    ------
    ConfigError : a type that is not supported, a parameter that it lacks or does not know
    """
    given = {name: value for name, value in (parameters or {}).items() if value is not None}
    if "type" in given:  # version 4
        given.setdefault("rope_type", given["type"])
        if given.pop("type") != given["rope_type"]:
            raise ConfigError(f"rope_parameters: got two types in {dict(parameters or {})}")
    kind = one_of(*ROPE_TYPES).check("rope_type", given.setdefault("rope_type", "default"))
    given.setdefault("rope_theta", theta)
    required, optional = ROPE_TYPES[kind]
    if "original_max_position_embeddings" in required:
        given.setdefault("original_max_position_embeddings", length)
    for name in required:
        if name not in given:
            raise ConfigError(f"rope_parameters: got no {name}, rope_type {shown(kind)} needs it")
    for name, value in given.items():
        if name not in ("rope_type", "rope_theta", *required, *optional):
            raise ConfigError(
                f"rope_parameters: {short(name)} is unknown to rope_type {shown(kind)}"
            )
        if name == "truncate":
            check_kind("rope_parameters: truncate", value, bool)
        elif name != "rope_type" and not _is_number(value):
            raise ConfigError(
                f"rope_parameters: {name}: got {shown(value)}, expected a number above 0"
            )
    _check_angles(given)
    return given


def _is_number(value: Any) -> bool:
    return fits(value, float) and value > 0


def _check_angles(parameters: Mapping[str, Any]) -> None:
    """Raise where numbers that are allowed one by one do not go together."""
    try:
        with np.errstate(all="raise", under="ignore"):
            frequencies, scale = rope_frequencies(16, parameters)
        fine = bool(np.isfinite(frequencies).all()) and math.isfinite(np.float32(scale))
    except (ArithmeticError, ValueError):
        fine = False
    if not fine:
        raise ConfigError(f"rope_parameters: got {shown(parameters)}, which give no finite angles")


def rope_frequencies(width: int, parameters: Mapping[str, Any]) -> tuple[Array, float]:
    """Radians a position of each pair, float32 (width / 2,), and what cos and sin are scaled by."""
    exponents = np.arange(0, width, 2, dtype=np.float32) / np.float32(width)
    plain = 1 / np.float32(parameters["rope_theta"]) ** exponents
    kind = parameters["rope_type"]
    if kind == "longrope":
        slowed = np.asarray(parameters["factors"], np.float32)
        return 1 / (slowed * np.float32(parameters["rope_theta"]) ** exponents), float(
            parameters["scale"]
        )
    if kind == "linear":
        return plain / np.float32(parameters["factor"]), 1.0
    if kind == "llama3":
        return _llama3(plain, parameters), 1.0
    if kind == "yarn":
        return _yarn(plain, width, parameters)
    return plain, 1.0


def _llama3(plain: Array, parameters: Mapping[str, Any]) -> Array:
    """Slow pairs are slowed by `factor`, fast ones stay, those between are mixed."""
    low, high = parameters["low_freq_factor"], parameters["high_freq_factor"]
    turns = parameters["original_max_position_embeddings"] * plain / (2 * math.pi)
    kept = np.clip((turns - low) / (high - low), 0, 1)  # 0: fewer turns than low, 1: more than high
    return ((1 - kept) * plain / parameters["factor"] + kept * plain).astype(np.float32)


def _yarn(plain: Array, width: int, parameters: Mapping[str, Any]) -> tuple[Array, float]:
    """Pairs with few turns over the original length are slowed, those with many stay."""
    factor = parameters["factor"]
    first, last = (
        _pair_with_turns(parameters.get(name) or turns, width, parameters)
        for name, turns in (("beta_fast", 32), ("beta_slow", 1))
    )
    if parameters.get("truncate", True):
        first, last = math.floor(first), math.ceil(last)
    first, last = max(first, 0), min(last, width - 1)
    ramp = (np.arange(width // 2) - first) / (last - first or 0.001)
    slowed = np.clip(ramp, 0, 1)
    mixed = plain / factor * slowed + plain * (1 - slowed)
    scale = parameters.get("attention_factor")
    if scale is None:
        own, all_dims = parameters.get("mscale"), parameters.get("mscale_all_dim")
        scale = (
            _magnitude(factor, own) / _magnitude(factor, all_dims)
            if own and all_dims
            else _magnitude(factor, 1)
        )
    return mixed.astype(np.float32), float(scale)


def _pair_with_turns(turns: float, width: int, parameters: Mapping[str, Any]) -> float:
    """The pair that makes so many full turns over the original length."""
    length, theta = parameters["original_max_position_embeddings"], parameters["rope_theta"]
    return width * math.log(length / (turns * 2 * math.pi)) / (2 * math.log(theta))


def _magnitude(factor: float, weight: float) -> float:
    return 1.0 if factor <= 1 else 0.1 * weight * math.log(factor) + 1.0
