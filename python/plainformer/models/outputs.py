"""What models return: dataclasses with Hugging Face's field names."""

from __future__ import annotations

from dataclasses import dataclass

from ..tensor import Tensor


@dataclass
class CausalLMOutput:
    """Output of a causal language model.

    loss : 0-d float32 Tensor, with labels
    logits : Tensor (B, L, V); None in training with labels, where they never exist as a whole
    """

    loss: Tensor | None = None
    logits: Tensor | None = None
