"""Decoding: greedy, sampled and beam search, for decoders and encoder-decoders.

    model.generate(ids, max_new_tokens=40, do_sample=True, top_p=0.9)
    model.generate([[1, 2], [3]], num_beams=4, no_repeat_ngram_size=3)
    for text in model.stream(ids, tokenizer=tokenizer, stop_strings=["\\n"]): ...

Options are the fields of `GenerationConfig`, with transformers' names and meanings. `processors`
and `constraints` hold what shapes the scores; any function (input_ids, logits) -> logits joins.
"""

from . import constraints, processors
from .config import GenerationConfig
from .generate import generate, stream
from .mixin import GenerationMixin
from .output import GenerateOutput
from .processors import LogitsProcessor
from .sampling import Sampling
from .stopping import StoppingCriterion
from .streamers import Streamer, TextPieces, TextStreamer

__all__ = [
    "GenerateOutput", "GenerationConfig", "GenerationMixin", "LogitsProcessor", "Sampling",
    "StoppingCriterion", "Streamer", "TextPieces", "TextStreamer", "constraints", "generate",
    "processors", "stream",
]  # fmt: skip
