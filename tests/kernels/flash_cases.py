"""Packed sequences and options that the tests of both directions share."""

import numpy as np

from plainformer import kernels
from tests import reference

# Pairs of lengths (query, key) of each sequence, H, KV, D, Dv: empty ones on either side, tiles of
# 6 rows, strips of 256 and blocks of 96 and 192 crossed, more queries than keys, nothing at all.
BATCHES = {
    "one": ([(1, 1)], 1, 1, 1, 1),
    "ragged": ([(5, 5), (0, 0), (70, 70), (1, 1), (17, 17)], 4, 2, 64, 64),
    "crossed": ([(7, 270), (100, 3), (0, 9), (8, 0), (33, 40)], 3, 1, 17, 40),
    "long": ([(3, 3), (200, 400)], 1, 1, 33, 20),
    "wide": ([(13, 20), (2, 2)], 1, 1, 256, 256),
    "empty": ([(0, 0), (0, 0)], 2, 2, 8, 8),
    "none": ([], 2, 2, 8, 8),
}
OPTIONS = {
    "full": {},
    "causal": {"causal": True},
    "window": {"window_size": (20, 3)},
    "causal window": {"causal": True, "window_size": (70, 9)},
    "softcap": {"softcap": 1.5},
    "slopes": {"causal": True, "alibi_slopes": True},
    "bias": {"attn_bias": True},
    "all": {"causal": True, "window_size": (150, -1), "softcap": 3.0, "alibi_slopes": True,
            "attn_bias": True, "softmax_scale": 0.3},
}  # fmt: skip

# Every option with one batch, every batch with none and with all.
CASES = [("crossed", name) for name in OPTIONS]
CASES += [(batch, name) for batch in BATCHES for name in ("full", "all") if batch != "crossed"]


class Packed:
    """q, k, v and grad_output of a batch, packed, and the numbers that say how."""

    def __init__(self, rng, dtype, batch, factor=1.0):
        lengths, self.H, self.KV, self.D, self.Dv = (
            BATCHES[batch] if isinstance(batch, str) else batch
        )
        self.lengths = np.reshape(lengths, (-1, 2)).astype(int)
        self.starts_q, self.starts_k = (
            np.concatenate([[0], np.cumsum(n)]).astype(np.int32) for n in self.lengths.T
        )
        self.longest = tuple(int(n.max(initial=0)) for n in self.lengths.T)

        def make(rows, heads, width):
            return (factor * rng.standard_normal((rows, heads, width))).astype(dtype)

        rows, keys = self.starts_q[-1], self.starts_k[-1]
        self.q, self.k = make(rows, self.H, self.D), make(keys, self.KV, self.D)
        self.v, self.grad = make(keys, self.KV, self.Dv), make(rows, self.H, self.Dv)

    @property
    def sequences(self):
        return self.starts_q, self.starts_k, *self.longest

    def options(self, rng, name):
        """The options of that name with arrays for True: a bias a head, which hides a tenth."""
        options = dict(OPTIONS[name])
        S = len(self.lengths)
        if "alibi_slopes" in options:
            options["alibi_slopes"] = rng.random((S, self.H)).astype(np.float32)
        if "attn_bias" in options:
            bias = rng.standard_normal((1, self.H, *self.longest)).astype(self.q.dtype)
            bias[rng.random(bias.shape) < 0.1] = -np.inf
            options["attn_bias"] = bias
        return options

    def reference_arguments(self, options):
        """Positional and keyword arguments of the reference after the arrays of heads."""
        words = {"window_size": "window", "softmax_scale": "scale"}
        rest = {words.get(n, n): x for n, x in options.items()
                if n not in ("attn_bias", "alibi_slopes")}  # fmt: skip
        arrays = options.get("attn_bias"), options.get("alibi_slopes")
        return (*arrays, self.starts_q, self.starts_k), rest

    def keep(self, p, seed, offset):
        """What each probability is multiplied with: (S, H, longest q, longest k)."""
        masks = [reference.dropout_mask(*self.longest, p, seed, offset, head)
                 for head in range(len(self.lengths) * self.H)]  # fmt: skip
        keep = np.array([kept * scale for kept, scale in masks])
        return keep.reshape(len(self.lengths), self.H, *self.longest)

    def forward(self, **options):
        return kernels.flash_attn_varlen_func(self.q, self.k, self.v, *self.sequences, **options)

    def backward(self, *, out=None, bias_grad=False, **options):
        y, lse = self.forward(**options, return_lse=True)
        return kernels.flash_attn_varlen_backward(
            self.grad, self.q, self.k, self.v, y, lse, *self.sequences, **options, out=out,
            bias_grad=bias_grad,
        )  # fmt: skip

    def sequence(self, b):
        """The rows and the keys of sequence b."""
        return (slice(*self.starts_q[b : b + 2]), slice(*self.starts_k[b : b + 2]))


def part(options, b, lengths):
    """The options of sequence b alone, as flash_attn_func takes them."""
    options = dict(options)
    if "alibi_slopes" in options:
        options["alibi_slopes"] = options["alibi_slopes"][b]
    if "attn_bias" in options:
        options["attn_bias"] = options["attn_bias"][:, :, : lengths[0], : lengths[1]]
    return options
