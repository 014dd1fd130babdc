"""Greedy decoding and sampling: one token a row and step."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from .. import kernels
from ..tensor import Array
from .build import renormalize
from .context import DecoderContext, TargetContext
from .output import GenerateOutput
from .processors import LogitsProcessor
from .prompts import Prompts
from .sampling import raise_impossible
from .settings import Settings
from .stopping import StoppingCriterion, any_stop
from .streamers import Streamer

Context = DecoderContext | TargetContext
FIRST_COLUMNS = 1024  # of a row there is memory for; more comes as it is written
SAMPLING_STREAM = 3  # of the seed; 0 to 2 are weights, data and dropout


@dataclass
class Job:
    """One call of `generate`, checked: all that a search needs.

    prompts : what each prompt's texts start with, (B, L)
    context : has read nothing yet, of B rows (decoders) or of all rows (encoder-decoders)
    total : tokens of a row in the end
    seed : of the draws; None where there are none
    """

    settings: Settings
    prompts: Prompts
    context: Context
    processors: Sequence[LogitsProcessor]
    criteria: Sequence[StoppingCriterion]
    total: int
    seed: int | None
    streamer: Streamer | None = None
    scores: list[Array] = field(default_factory=list)
    logits: list[Array] = field(default_factory=list)

    def rng(self) -> np.random.Generator:
        """The random numbers of this call."""
        return np.random.Generator(np.random.Philox(key=[self.seed or 0, SAMPLING_STREAM]))

    def first_logits(self) -> Array:
        """Logits (rows, V) after the prompts, each of which is read once and shared by its rows."""
        count = self.settings.rows_per_prompt
        prompts = self.prompts.ids
        if isinstance(self.context, TargetContext):
            return self.context.next_logits(prompts.repeat(count, 0))
        logits = self.context.next_logits(prompts)
        if count == 1:
            return logits
        self.context.reorder(np.arange(len(prompts)).repeat(count))
        return logits.repeat(count, 0)

    def process(self, input_ids: Array, logits: Array) -> Array:
        """Logits after all processors."""
        for processor in self.processors:
            logits = processor(input_ids, logits)
        return logits

    def filter(self, logits: Array, least: int) -> Array:
        """Logits after the filters of sampling, of which at least so many of a row remain."""
        if self.settings.sampling is not None:
            logits = self.settings.sampling.filter(logits, least)
        return renormalize(logits) if self.settings.options.renormalize_logits else logits

    def output(self, sequences: Array, lengths: Array, **more: Any) -> GenerateOutput:
        """The result, with what the steps recorded."""
        options = self.settings.options
        return GenerateOutput(
            sequences,
            lengths=lengths,
            seed=self.seed,
            scores=tuple(self.scores) if options.output_scores else None,
            logits=tuple(self.logits) if options.output_logits else None,
            **more,
        )


def widened(array: Array, columns: int, fill: int) -> Array:
    """The array (..., width) with more columns."""
    more = np.full((*array.shape[:-1], columns), fill, array.dtype)
    return np.concatenate([array, more], axis=-1)


class TokenSearch:
    """Texts that grow by a token a step, the most probable one or one that is drawn."""

    def __init__(self, job: Job):
        self.job = job
        prompts = job.prompts.repeat(job.settings.rows_per_prompt)
        B, self.length = prompts.ids.shape
        width = min(job.total, self.length + FIRST_COLUMNS)
        self.ids = np.full((B, width), job.settings.pad, np.int64)
        self.ids[:, : self.length] = prompts.ids
        self._running = np.ones(B, bool)
        self._lengths = np.zeros(B, np.int64)
        self._ends = np.array(job.settings.ends, np.int64)
        self._rng = job.rng()
        self._sampling = job.settings.sampling
        options = job.settings.options
        # Ended rows leave the batch where nobody looks at them: processors and records see all.
        self._may_shrink = not (
            job.processors
            or options.output_scores
            or options.output_logits
            or isinstance(job.context, TargetContext)
        )

    def steps(self) -> Iterator[Array]:
        """The tokens (B,) of each step."""
        streamer = self.job.streamer
        if streamer is not None:
            streamer.put(self.ids[:, : self.length])
        logits = self.job.first_logits()
        while True:
            tokens = self._step(logits)
            if streamer is not None:
                streamer.put(tokens)
            yield tokens
            if self.length == self.job.total or not self._running.any():
                break
            self._shrink()
            logits = self.job.context.next_logits(self.ids[:, : self.length])
        if streamer is not None:
            streamer.end()

    def output(self) -> GenerateOutput:
        """The texts so far."""
        return self.job.output(self.ids[:, : self.length], self._lengths)

    def _step(self, logits: Array) -> Array:
        job = self.job
        if job.settings.options.output_logits:
            job.logits.append(logits.copy())
        logits = job.process(self.ids[:, : self.length], logits)
        if job.settings.options.output_scores:
            job.scores.append(job.filter(logits, 1).copy())
        self._append(self._choose(logits))  # which filters by itself
        return self.ids[:, self.length - 1]

    def _choose(self, logits: Array) -> Array:
        if self._sampling is not None:
            uniform = self._rng.random(len(self.ids))  # of all rows: an end moves no other's draw
            rows = self.job.context.rows
            uniform = uniform if rows is None else uniform[rows]
            return kernels.asnumpy(self._sampling.draw_at(logits, uniform))
        xp, tokens = kernels.xp(logits), logits.argmax(axis=-1)
        best = logits[xp.arange(len(tokens)), tokens]
        if not xp.isfinite(best).all():
            raise_impossible(best)
        return kernels.asnumpy(tokens)

    def _append(self, tokens: Array) -> None:
        """Write a token to the rows that run, and see which of them end."""
        rows, width = self.job.context.rows, self.ids.shape[1]
        if self.length == width:
            more = min(self.job.total, 2 * width) - width
            self.ids = widened(self.ids, more, self.job.settings.pad)
        column = self.ids[:, self.length]
        if rows is None:
            np.copyto(column, tokens, where=self._running)
        else:
            column[rows] = np.where(self._running[rows], tokens, column[rows])
        self.length += 1
        self._lengths += self._running
        for end in self._ends:
            self._running &= column != end
        if self.job.criteria:
            scores = tuple(self.job.scores) if self.job.scores else None
            self._running &= ~any_stop(self.job.criteria, self.ids[:, : self.length], scores)

    def _shrink(self) -> None:
        """Leave out ended rows once they are half of those computed."""
        context = self.job.context
        if not self._may_shrink or self._running.all():
            return
        running = self._running if context.rows is None else self._running[context.rows]
        if 2 * np.count_nonzero(running) <= len(running):
            context.keep(np.flatnonzero(running))  # type: ignore[union-attr]
