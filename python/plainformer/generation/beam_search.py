"""Beam search: the best of several continuations of each prompt, kept side by side.

What transformers 5 does (`_beam_search` in `generation/utils.py`): in each step the best
2 num_beams continuations of a prompt (more with several end ids) are ranked by the sum of their
log-probabilities. Of the first num_beams, those that end are finished texts, whose score is the
sum / (new tokens) ** length_penalty; the best num_beams that go on are the next beams. Texts are
returned best first.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from .. import kernels
from ..tensor import Array
from .decode import FIRST_COLUMNS, Job, widened
from .output import GenerateOutput
from .processors import bounded_power
from .sampling import top_indices
from .stopping import any_stop

_NEVER = np.float32(-1e9)  # what is added to a score to rule it out
_SHORTEST = np.float32(1e-30)


@dataclass
class Beams:
    """Texts of S prompts, K each, best first.

    ids : int64 (S, K, total), filled up with padding
    scores : float32 (S, K), sums of log-probabilities, or final scores
    parents : int32 (S, K, steps), rows that the tokens were chosen from; -1 where there is none
    """

    ids: Array
    scores: Array
    parents: Array

    def take(self, index: Array) -> Beams:
        """The texts (S, M) at these places."""
        rows = np.arange(len(index))[:, None]
        return Beams(self.ids[rows, index], self.scores[rows, index], self.parents[rows, index])

    def widened(self, columns: int, pad: int) -> Beams:
        """The same texts with more columns."""
        return Beams(
            widened(self.ids, columns, pad), self.scores, widened(self.parents, columns, -1)
        )

    def joined(self, other: Beams) -> Beams:
        """Both side by side."""
        pairs = zip((self.ids, self.scores, self.parents), (other.ids, other.scores, other.parents))
        return Beams(*(np.concatenate(pair, axis=1) for pair in pairs))


class BeamSearch:
    """One beam search over S prompts with K beams each."""

    def __init__(self, job: Job):
        self.job = job
        options = job.settings.options
        self.early_stopping = options.early_stopping or False
        self.length_penalty = 1.0 if options.length_penalty is None else options.length_penalty
        self.S, self.prompt_length = job.prompts.ids.shape
        self.K = job.settings.num_beams
        self.candidates = max(2, 1 + len(job.settings.ends)) * self.K
        self.length = self.prompt_length
        self._rng = job.rng()
        self.running = self._empty(0.0)
        self.running.scores[:, 1:] = _NEVER  # all beams are equal: the first step uses one
        self.finished = self._empty(_NEVER)
        self.is_finished = np.zeros((self.S, self.K), bool)
        self.can_improve = np.ones((self.S, 1), bool)

    def _empty(self, score: Any) -> Beams:
        shape = self.S, self.K
        width = min(self.job.total, self.prompt_length + FIRST_COLUMNS)
        ids = np.full((*shape, width), self.job.settings.pad, np.int64)
        ids[..., : self.prompt_length] = self.job.prompts.ids[:, None]
        steps = width - self.prompt_length
        return Beams(ids, np.full(shape, score, np.float32), np.full((*shape, steps), -1, np.int32))

    def run(self) -> GenerateOutput:
        """Search to the end, and return the best texts of each prompt."""
        logits = self.job.first_logits()
        while True:
            self._make_room()
            found = self._continuations(self._log_probabilities(logits))
            ended = self._ended(found)
            parents = self._go_on(found, ended)
            self._finish(found, ended)
            self.length += 1
            self._update_can_improve()
            if not self._is_open(ended):
                return self._output()
            if (parents != np.arange(len(parents))).any():
                self.job.context.reorder(parents)
            logits = self.job.context.next_logits(self._rows(self.running))

    def _make_room(self) -> None:
        """Room for another token in all texts: twice what there is."""
        width = self.running.ids.shape[-1]
        if self.length == width:
            more = min(self.job.total, 2 * width) - width
            pad = self.job.settings.pad
            self.running, self.finished = (
                beams.widened(more, pad) for beams in (self.running, self.finished)
            )

    def _rows(self, beams: Beams) -> Array:
        """Texts so far as rows (S M, length)."""
        return beams.ids[..., : self.length].reshape(-1, self.length)

    def _log_probabilities(self, logits: Array) -> Array:
        """Processed log-probabilities (S K, V)."""
        job = self.job
        if job.settings.options.output_logits:
            job.logits.append(logits.copy())
        values = kernels.log_softmax(logits)
        least = len(job.settings.ends) + 1 if job.settings.ends else 2
        values = job.filter(job.process(self._rows(self.running), values), least)
        if job.settings.options.output_scores:
            job.scores.append(values.copy())
        return values

    def _continuations(self, values: Array) -> Beams:
        """The best texts that are one token longer, `candidates` a prompt, or drawn ones."""
        S, K, V = self.S, self.K, values.shape[-1]
        scores = kernels.asarray(self.running.scores, values)
        sums = (values.reshape(S, K, V) + scores[..., None]).reshape(S, K * V)
        places = self._choose(sums, min(self.candidates, K * V))
        chosen = kernels.asnumpy(places)
        beam, token = chosen // V, chosen % V
        found = self.running.take(beam)
        found.scores = kernels.asnumpy(kernels.xp(sums).take_along_axis(sums, places, axis=1))
        found.ids[..., self.length] = token
        found.parents[..., self.length - self.prompt_length] = beam + self._offsets()
        return found

    def _choose(self, sums: Array, count: int) -> Array:
        """Places (S, count) of the largest sums, or of draws without replacement by softmax(sums).

        Draws are the largest of sums with Gumbel noise: Kool, van Hoof, Welling, "Stochastic Beams
        and Where to Find Them", 2019, arXiv:1903.06059.
        """
        if not self.job.settings.do_sample:
            return top_indices(sums, count)
        xp = kernels.xp(sums)
        chosen = xp.empty((self.S, count), np.int64)
        for row, places in zip(sums, chosen):
            possible = xp.flatnonzero(row > -np.inf)
            if len(possible) < count:  # the rest has no probability: any of them
                possible = top_indices(row[None], count)[0]
            waiting = self._rng.standard_exponential(len(possible), dtype=np.float32)
            noise = np.log(np.maximum(waiting, _SHORTEST))
            noisy = row[possible] - kernels.asarray(noise, row)
            places[:] = possible[top_indices(noisy[None], count)[0]]
        return chosen

    def _offsets(self) -> Array:
        return (np.arange(self.S, dtype=np.int32) * self.K)[:, None]

    def _ended(self, found: Beams) -> Array:
        """Which continuations (S, candidates) are complete."""
        last = found.ids[..., self.length]
        ended = np.isin(last, self.job.settings.ends)
        if self.length + 1 == self.job.total:
            ended[:] = True
        if self.job.criteria:
            texts = found.ids[..., : self.length + 1].reshape(-1, self.length + 1)
            scores = tuple(self.job.scores) if self.job.scores else None
            ended |= any_stop(self.job.criteria, texts, scores).reshape(ended.shape)
        return ended

    def _go_on(self, found: Beams, ended: Array) -> Array:
        """Make the best that are not complete the next beams; returns the rows they come from."""
        found = Beams(found.ids, found.scores + ended * _NEVER, found.parents)
        self.running = found.take(top_indices(found.scores, self.K))
        return self.running.parents[..., self.length - self.prompt_length].reshape(-1)

    def _finish(self, found: Beams, ended: Array) -> None:
        """Keep the best finished texts, the new ones among them."""
        new = ended.copy()
        new[:, self.K :] = False  # the rest only replaces beams that have ended
        length = self.length + 1 - self.prompt_length
        scores = found.scores / np.float32(bounded_power(length, self.length_penalty))
        if self.early_stopping is True:
            scores += self.is_finished.all(axis=1, keepdims=True) * _NEVER
        scores += ~self.can_improve * _NEVER
        scores += ~new * _NEVER
        merged = self.finished.joined(Beams(found.ids, scores, found.parents))
        best = top_indices(merged.scores, self.K)
        self.finished = merged.take(best)
        both = np.concatenate([self.is_finished, new], axis=1)
        self.is_finished = np.take_along_axis(both, best, axis=1)

    def _update_can_improve(self) -> None:
        """Whether the best beam could still beat the worst finished text."""
        length = self.length - self.prompt_length
        if self.early_stopping == "never" and self.length_penalty > 0:
            length = self.job.total - self.prompt_length
        hope = self.running.scores[:, :1] / np.float32(bounded_power(length, self.length_penalty))
        worst = self.finished.scores.min(axis=1, keepdims=True)
        worst = np.where(self.is_finished, worst, _NEVER)
        self.can_improve &= (hope > worst).any(axis=1, keepdims=True)

    def _is_open(self, ended: Array) -> bool:
        enough = self.early_stopping is True and self.is_finished.all()
        return bool(self.can_improve.any() and not enough and not ended.all())

    def _output(self) -> GenerateOutput:
        count = self.job.settings.num_return_sequences
        best = self.finished.take(np.tile(np.arange(count), (self.S, 1)))
        parents = best.parents.reshape(self.S * count, -1)
        lengths = (parents >= 0).sum(axis=1)
        steps = int(lengths.max())
        ids = best.ids.reshape(self.S * count, -1)[:, : self.prompt_length + steps]
        scores = best.scores.reshape(-1) if self.job.settings.options.output_scores else None
        parents = parents[:, :steps]
        return self.job.output(ids, lengths, sequences_scores=scores, beam_indices=parents)
