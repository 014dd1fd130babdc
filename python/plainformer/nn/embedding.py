"""Embedding: a table of vectors looked up by id."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from .. import functional
from ..errors import ConfigError
from ..kinds import checked
from ..parameter import Parameter
from ..tensor import Array, Tensor
from .empty import normal
from .module import Module


class Embedding(Module):
    """y[...] = weight[ids[...]]; weight is (num_embeddings, embedding_dim).

    As in torch, vectors begin as draws from N(0, 1), see `nn.manual_seed`; that of `padding_idx`
    begins at 0 and gets no gradient from here.
    """

    __call__: Callable[..., Tensor]

    @checked
    def __init__(
        self,
        num_embeddings: int,
        embedding_dim: int,
        padding_idx: int | None = None,
        *,
        generator: np.random.Generator | None = None,
    ):
        self.padding_idx = padding_idx
        weight = normal((num_embeddings, embedding_dim), generator=generator)
        if padding_idx is not None:
            if not 0 <= padding_idx < num_embeddings:
                raise ConfigError(
                    f"padding_idx: got {padding_idx}, expected 0 to {num_embeddings - 1}"
                )
            if weight.flags.writeable:  # of an empty one every number is 0
                weight[padding_idx] = 0
        self.weight = Parameter(weight)

    def forward(self, input_ids: Array) -> Tensor:
        """Ids (...) to vectors (..., embedding_dim)."""
        return functional.embedding(input_ids, self.weight, self.padding_idx)
