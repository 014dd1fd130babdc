"""Random numbers of the data stream: a pure function of (seed, epoch, example).

Only raw words of Philox are used: those of a bit generator never change between NumPy versions,
what `Generator` makes of them may.
"""

from __future__ import annotations

import numpy as np

from ..errors import ConfigError

_STREAM = 1  # streams of a seed: init 0, data 1, dropout 2, sampling 3
EVALUATION = 2**64 - 1  # the epoch of what must never change


def words(seed: int, epoch: int, count: int) -> np.ndarray:
    """The first `count` 64-bit words of an epoch: [0] the offset, [1:] the order of examples."""
    return _philox(seed, (0, 0, 0, epoch)).random_raw(count)


class Draws:
    """The random numbers of one text: part `part` of example `example` of an epoch.

    Each call goes on where the last one ended.
    """

    def __init__(self, seed: int, epoch: int, example: int, part: int = 0):
        # Word 2 of the counter is 0 for `words`; each text has 2**64 blocks of its own.
        self._bits = _philox(seed, (0, part, example + 1, epoch))

    def words(self, count: int) -> np.ndarray:
        """uint64 (count,)."""
        return np.asarray(self._bits.random_raw(count))

    def uniform(self, count: int) -> np.ndarray:
        """float64 (count,) in [0, 1), multiples of 2**-53."""
        return (self.words(count) >> np.uint64(11)) * 2.0**-53

    def order(self, count: int) -> np.ndarray:
        """A permutation int64 (count,)."""
        return np.argsort(self.words(count), kind="stable")

    def choose(self, chosen: int, count: int) -> np.ndarray:
        """`chosen` different numbers below `count`, ascending."""
        return np.sort(self.order(count)[:chosen])


def check_seed(seed: int) -> None:
    """ConfigError unless `seed` fits the key."""
    if not 0 <= seed < 2**64:
        raise ConfigError(f"seed: got {seed}, expected an integer in [0, 2**64)")


def _philox(seed: int, counter: tuple[int, int, int, int]) -> np.random.Philox:
    check_seed(seed)
    return np.random.Philox(
        key=np.array([seed, _STREAM], np.uint64), counter=np.array(counter, np.uint64)
    )
