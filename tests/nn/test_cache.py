"""Caches: ragged sequences, continued, reordered, and an encoder's keys shared by beams."""

import numpy as np
import pytest

from plainformer import kernels
from plainformer.errors import ShapeError
from plainformer.nn import KeyValueCache, Seq2SeqCache, Sequences

H, D = 2, 4


def heads(rng, count):
    return [rng.standard_normal((count, H, D)).astype(np.float32) for _ in range(3)]


def whole(q, k, v, causal=True):
    """Attention of one sequence with everything in view."""
    borders = (np.array([0, len(q)], np.int32), np.array([0, len(k)], np.int32), len(q), len(k))
    return kernels.flash_attn_varlen_func(q, k, v, *borders, causal=causal)


def test_ragged_sequences_continue_what_they_have_seen(rng):
    """Prompts of 3 and 1 tokens; then one token each; then 2 and 1."""
    cache = KeyValueCache(1, 2, 8)
    seen = [[np.empty((0, H, D), np.float32)] * 3 for _ in range(2)]
    for lengths in ([3, 1], [1, 1], [2, 1]):
        rows = Sequences.from_lengths(lengths)
        q, k, v = heads(rng, sum(lengths))
        cache.check_room(rows)
        y = cache.attend(0, q, k, v, rows)
        cache.advance(rows)
        for s in range(2):
            own = slice(rows.cu_seqlens[s], rows.cu_seqlens[s + 1])
            seen[s] = [np.concatenate([a, b[own]]) for a, b in zip(seen[s], (q, k, v))]
            wanted = whole(*seen[s])[-lengths[s] :]
            np.testing.assert_allclose(y[own], wanted, atol=1e-5)
    np.testing.assert_array_equal(cache.lengths, [6, 3])


def test_reordered_rows_continue_the_chosen_ones(rng):
    cache = KeyValueCache(1, 3, 6)
    rows = Sequences.from_lengths([2, 3, 1])
    _, k, v = heads(rng, 6)
    cache.attend(0, k, k, v, rows)
    cache.advance(rows)
    keys, values = [k[:2], k[2:5], k[5:]], [v[:2], v[2:5], v[5:]]
    for index in ([1, 0, 1], [2, 2], [0, 1]):  # beams swap and split; the batch shrinks
        cache.reorder(np.array(index))
        keys, values = [keys[i] for i in index], [values[i] for i in index]
        q, new_k, new_v = heads(rng, len(index))
        rows = Sequences.uniform(len(index), 1)
        y = cache.attend(0, q, new_k, new_v, rows)
        cache.advance(rows)
        keys = [np.concatenate([a, b[None]]) for a, b in zip(keys, new_k)]
        values = [np.concatenate([a, b[None]]) for a, b in zip(values, new_v)]
        for s in range(len(index)):
            wanted = whole(q[s : s + 1], keys[s], values[s])
            np.testing.assert_allclose(y[s : s + 1], wanted, atol=1e-5)


def test_no_room_and_another_batch_are_refused():
    cache = KeyValueCache(1, 2, 4)
    with pytest.raises(ShapeError, match="5 tokens do not fit a cache with capacity 4"):
        cache.check_room(Sequences.from_lengths([1, 5]))
    with pytest.raises(ShapeError, match="got 3 sequences, the cache has 2"):
        cache.check_room(Sequences.uniform(3, 1))


@pytest.mark.parametrize("source_lengths", [[3, 3], [4, 2]], ids=str)
@pytest.mark.parametrize("target_lengths", [[1] * 6, [2, 1, 3, 1, 1, 1]], ids=str)
def test_beams_share_the_keys_of_their_source(rng, source_lengths, target_lengths):
    sources = Sequences.from_lengths(source_lengths)
    cache = Seq2SeqCache(1, 6, 4, None, sources).cross
    _, k, v = heads(rng, sources.num_rows)
    assert not cache.has(0)
    cache.set(0, k, v)
    assert cache.has(0)
    targets = Sequences.from_lengths(target_lengths)
    q, _, _ = heads(rng, targets.num_rows)
    y = cache.attend(0, q, targets)
    for t in range(6):
        own = slice(targets.cu_seqlens[t], targets.cu_seqlens[t + 1])
        source = slice(sources.cu_seqlens[t // 3], sources.cu_seqlens[t // 3 + 1])
        np.testing.assert_allclose(
            y[own], whole(q[own], k[source], v[source], causal=False), atol=1e-5
        )


def test_beams_stay_with_their_source():
    cache = Seq2SeqCache(1, 4, 3, None, Sequences.uniform(2, 3))
    cache.reorder(np.array([1, 1, 3, 2]))
    with pytest.raises(ShapeError, match="a beam of its own source"):
        cache.reorder(np.array([2, 1, 3, 2]))
    with pytest.raises(ShapeError, match="got 3 sequences, expected a multiple of the 2 sources"):
        Seq2SeqCache(1, 3, 3, None, Sequences.uniform(2, 3))
