"""What `generate` returns with `return_dict_in_generate`."""

from __future__ import annotations

from dataclasses import dataclass, field

from ..outputs import Output
from ..tensor import Array


@dataclass(repr=False)
class GenerateOutput(Output):
    """Texts, and with the options named, how they came about; by attribute, key and position.

    The n texts of a prompt (`num_return_sequences`) are neighbors. R rows are computed: B n, or
    B num_beams in beam search; T steps were made.

    sequences : int64 (B n, L + T), prompts included, padded after the end
    sequences_scores : with output_scores in beam search, (B n,) float32: sum of log-probabilities
        / (new tokens) ** length_penalty
    scores : with output_scores, T arrays (R, V) float32: logits, in beam search log-probabilities,
        after all processors and filters
    logits : with output_logits, T arrays (R, V) float32 as the model computed them
    beam_indices : in beam search, int32 (B n, T): the row of each step's `scores` that a text's
        token was chosen from, -1 after its end
    lengths : int64 (B n,), new tokens of each text, at most T
    seed : int, of the draws: the same call with it writes the same; None where nothing is drawn
    """

    sequences: Array
    sequences_scores: Array | None = None
    scores: tuple[Array, ...] | None = None
    logits: tuple[Array, ...] | None = None
    beam_indices: Array | None = None
    lengths: Array = field(kw_only=True)
    seed: int | None = None
