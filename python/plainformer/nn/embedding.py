"""Embedding: a table of vectors looked up by id."""

from __future__ import annotations

from .. import functional
from ..kinds import checked
from ..tensor import Array, Parameter, Tensor
from .empty import new_array
from .module import Module


class Embedding(Module):
    """y[...] = weight[ids[...]]; weight is (num_embeddings, embedding_dim).

    As in torch, the vector of `padding_idx` gets no gradient from here.
    """

    @checked
    def __init__(self, num_embeddings: int, embedding_dim: int, padding_idx: int | None = None):
        self.padding_idx = padding_idx
        self.weight = Parameter(new_array((num_embeddings, embedding_dim)))

    def forward(self, input_ids: Array) -> Tensor:
        """Ids (...) to vectors (..., embedding_dim)."""
        return functional.embedding(input_ids, self.weight, self.padding_idx)
