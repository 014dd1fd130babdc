"""What `generate` returns with `return_dict_in_generate`."""

from __future__ import annotations

from dataclasses import dataclass

from ..reprs import brief
from ..tensor import Array


@dataclass
class GenerateOutput:
    """Texts, and with the options named, how they came about.

    The n texts of a prompt (`num_return_sequences`) are neighbors. R rows are computed: B n, or
    B num_beams in beam search; T steps were made.

    sequences : int64 (B n, L + T), prompts included, padded after the end
    lengths : int64 (B n,), new tokens of each text, at most T
    seed : int, of the draws: the same call with it writes the same; None where nothing is drawn
    scores : with output_scores, T arrays (R, V) float32: logits, in beam search log-probabilities,
        after all processors and filters
    logits : with output_logits, T arrays (R, V) float32 as the model computed them
    sequences_scores : with output_scores in beam search, (B n,) float32: sum of log-probabilities
        / (new tokens) ** length_penalty
    beam_indices : in beam search, int32 (B n, T): the row of each step's `scores` that a text's
        token was chosen from, -1 after its end
    """

    sequences: Array
    lengths: Array
    scores: tuple[Array, ...] | None = None
    logits: tuple[Array, ...] | None = None
    sequences_scores: Array | None = None
    beam_indices: Array | None = None
    seed: int | None = None

    def __repr__(self) -> str:
        return brief(self)
