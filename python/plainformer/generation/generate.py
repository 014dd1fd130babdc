"""`generate` and `stream`: text from decoders and encoder-decoders."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ..errors import ConfigError
from ..nn import evaluating
from ..options import documented
from ..tensor import Array
from .beam_search import BeamSearch
from .build import stop_strings
from .call import Call, make_job
from .config import GenerationConfig
from .decode import TokenSearch
from .output import GenerateOutput
from .streamers import TextPieces


@documented(Call, GenerationConfig)
def generate(
    model: Any, input_ids: Any = None, max_new_tokens: int | None = None, **options: Any
) -> Array | GenerateOutput:
    """Continue each row of `input_ids`, or write a target for it.

    Parameters
    ----------
    model : causal language model or encoder-decoder; it works in eval mode, and its mode is left
        as it was
    input_ids : ids (B, L) or (L,), or a list of rows of several lengths; None starts a decoder
        from bos_token_id
    max_new_tokens : int, most tokens that are written
    options : those listed below, by name. None means the model's `generation_config`, then the
        default; an empty list switches off what the model's file asks for

    Returns
    -------
    ids : int64 (B n, L + T), prompts included, padded on the left as given and on the right after
        the end, n = num_return_sequences; (L + T,) for one row and one text. Targets of an
        encoder-decoder come with their start token, and without the source. With
        return_dict_in_generate a `GenerateOutput`, always with a batch axis

    Raises
    ------
    ConfigError, ShapeError, DTypeError : naming the argument, what it got and what was wanted;
        also for options that have no effect together
    NonFiniteError : the model's logits are no numbers

    Notes
    -----
    Tokens equal transformers' for greedy decoding and beam search. Different from it: top_k is
    off by default (there 50), a decoder whose context is full forgets the older half of it and
    goes on, stop strings count in what is written only, pad_token_id within a prompt is a token,
    and finished beams are padded by pad_token_id 0 too.
    """
    with evaluating(model):
        job = make_job(model, input_ids, max_new_tokens, **options)
        if job.settings.num_beams > 1:
            output = BeamSearch(job).run()
        else:
            search = TokenSearch(job)
            for _ in search.steps():
                pass
            output = search.output()
    if job.settings.options.return_dict_in_generate:
        return output
    one = job.prompts.single and len(output.sequences) == 1
    return output.sequences[0] if one else output.sequences


def stream(
    model: Any,
    input_ids: Any = None,
    max_new_tokens: int | None = None,
    *,
    tokenizer: Any = None,
    **options: Any,
) -> Iterator[Any]:
    """Yield what `generate` writes while it is written; the arguments are the same.

    Without a tokenizer each step's ids (B n,). With one, pieces of the text of a single row,
    which end before the first of the stop strings. Each step works in eval mode; between them the
    caller may train this model or another. Beam search cannot be streamed: its texts change to the
    end.
    """
    steps = _steps(model, input_ids, max_new_tokens, tokenizer=tokenizer, **options)
    return steps if tokenizer is None else _texts(steps, tokenizer)


def _steps(model: Any, *arguments: Any, tokenizer: Any, **options: Any) -> Iterator[Any]:
    """First, with a tokenizer, the job; then each step's ids."""
    with evaluating(model):
        job = make_job(model, *arguments, tokenizer=tokenizer, shows_text=True, **options)
    if job.settings.num_beams > 1:
        raise ConfigError("num_beams: beam search cannot be streamed; use generate")
    if tokenizer is not None:
        yield job
    steps = TokenSearch(job).steps()
    while True:
        with evaluating(model):  # not around a yield, see `stream`
            tokens = next(steps, None)
        if tokens is None:
            return
        yield tokens


def _texts(steps: Iterator[Any], tokenizer: Any) -> Iterator[str]:
    job = next(steps)
    if len(job.prompts.ids) * job.settings.rows_per_prompt != 1:
        raise ConfigError("tokenizer: got several rows, text of one can be streamed")
    pieces = TextPieces(tokenizer, stop_strings(job.settings))
    pieces.skip(job.prompts.rows[0].tolist())
    for tokens in steps:
        piece = pieces.push(tokens.tolist())
        if piece:
            yield piece
    rest = pieces.push([], last=True)
    if rest:
        yield rest
