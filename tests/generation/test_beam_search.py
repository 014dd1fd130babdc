"""Beam search: wide enough it finds what trying everything finds; each option does its part."""

import itertools

import numpy as np
import pytest

from .toy import decoder, encoder_decoder, log_softmax

V, STEPS, END = 5, 3, 4


@pytest.fixture(scope="module")
def model():
    return decoder()


@pytest.fixture(scope="module")
def small():
    return decoder(seed=2, vocab_size=V)


@pytest.fixture(scope="module")
def targets():
    return encoder_decoder(vocab_size=V)


def all_texts():
    """Every text that ends, or is full."""
    for length in range(1, STEPS + 1):
        for text in itertools.product(range(V), repeat=length):
            if END not in text[:-1] and (length == STEPS or text[-1] == END):
                yield text


def ranked(log_probabilities, length_penalty):
    """All texts with their scores, best first."""
    scored = []
    for text in all_texts():
        total = sum(log_probabilities(text[:i])[token] for i, token in enumerate(text))
        scored.append((total / len(text) ** length_penalty, text))
    return sorted(scored, reverse=True)


def check(found, scores, prompt_length, wanted):
    for row, score, (best, text) in zip(found, scores, wanted):
        assert tuple(row[prompt_length : prompt_length + len(text)]) == text
        assert (row[prompt_length + len(text) :] == 0).all()
        np.testing.assert_allclose(score, best, rtol=1e-4, atol=1e-6)


OPTIONS = {
    "num_beams": V ** (STEPS - 1), "num_return_sequences": 4, "eos_token_id": END,
    "pad_token_id": 0, "early_stopping": "never", "return_dict_in_generate": True,
    "output_scores": True,
}  # fmt: skip


@pytest.mark.parametrize("length_penalty", [0.0, 1.0, 2.0, -0.5])
def test_wide_beams_find_the_best_texts_there_are(small, length_penalty):
    prompts = [[1, 2, 3], [3, 3, 1], [2, 1, 2]]
    output = small.generate(prompts, STEPS, length_penalty=length_penalty, **OPTIONS)
    for i, prompt in enumerate(prompts):
        wanted = ranked(
            lambda text, prompt=prompt: log_softmax(small([[*prompt, *text]]).logits.data[0, -1]),
            length_penalty,
        )
        own = slice(4 * i, 4 * i + 4)
        check(output.sequences[own], output.sequences_scores[own], 3, wanted)


def test_wide_beams_of_an_encoder_decoder(targets):
    sources = [[1, 2, 3], [3, 3]]
    output = targets.generate(sources, STEPS, **OPTIONS)
    for i, source in enumerate(sources):
        wanted = ranked(
            lambda text, source=source: log_softmax(
                targets([source], decoder_input_ids=[[2, *text]]).logits.data[0, -1]
            ),
            1.0,
        )
        own = slice(4 * i, 4 * i + 4)
        check(output.sequences[own], output.sequences_scores[own], 1, wanted)


def test_a_batch_is_its_prompts_one_by_one(model, rng):
    prompts = rng.integers(1, 31, (4, 4))
    options = {"num_beams": 3, "num_return_sequences": 2, "eos_token_id": [5, 9]}
    together = model.generate(prompts, 10, pad_token_id=0, **options)
    for i, prompt in enumerate(prompts):
        alone = model.generate(prompt, 10, pad_token_id=0, **options)
        own = together[2 * i : 2 * i + 2]
        np.testing.assert_array_equal(own[:, : alone.shape[1]], alone)
        assert not own[:, alone.shape[1] :].any()


def test_without_a_cache_the_texts_are_the_same(model, rng):
    prompts = rng.integers(0, 31, (2, 4))
    for options in ({}, {"do_sample": True, "seed": 4}):
        cached, plain = (
            model.generate(prompts, 8, num_beams=3, use_cache=use, **options)
            for use in (True, False)
        )
        np.testing.assert_array_equal(cached, plain)


def test_more_beams_find_no_worse_texts(model, rng):
    prompts = rng.integers(0, 31, (6, 3))
    options = {"return_dict_in_generate": True, "output_scores": True}
    scores = [
        model.generate(prompts, 6, num_beams=beams, **options).sequences_scores
        for beams in (2, 6, 31)
    ]
    assert scores[0].mean() < scores[1].mean() < scores[2].mean()


def test_scores_are_sums_of_the_chosen_log_probabilities(model, rng):
    prompts = rng.integers(1, 31, (3, 4))
    output = model.generate(
        prompts, 8, num_beams=3, num_return_sequences=2, eos_token_id=7, pad_token_id=0,
        length_penalty=0.7, return_dict_in_generate=True, output_scores=True, output_logits=True,
    )  # fmt: skip
    steps = output.sequences.shape[1] - 4
    assert output.beam_indices.shape == (6, steps)
    for text, parents, score, length in zip(
        output.sequences, output.beam_indices, output.sequences_scores, output.lengths
    ):
        own = [output.scores[t][parents[t], text[4 + t]] for t in range(length)]
        np.testing.assert_allclose(sum(own) / length**0.7, score, rtol=1e-5)
        assert (parents[length:] == -1).all()
        for t in range(length):  # the row that was chosen from had read this very text
            wanted = model(text[None, : 4 + t]).logits.data[0, -1]
            np.testing.assert_allclose(output.logits[t][parents[t]], wanted, atol=1e-5)


def test_early_stopping_ends_with_enough_texts(model, rng):
    prompts = rng.integers(0, 31, (8, 3))
    options = {"num_beams": 3, "eos_token_id": list(range(6)), "length_penalty": 3.0}
    options |= {"return_dict_in_generate": True}
    first, some, all_ = (
        model.generate(prompts, 12, early_stopping=early, **options).lengths.sum()
        for early in (True, False, "never")
    )
    assert first < some <= all_


def test_drawn_beams_differ_by_seed_and_repeat(model):
    options = {"num_beams": 3, "do_sample": True, "temperature": 2.0}
    found = [model.generate([1, 2], 8, seed=s, **options).tolist() for s in (1, 1, 2)]
    assert found[0] == found[1] != found[2]
    best = model.generate([1, 2], 8, num_beams=3)
    for narrow in ({"top_k": 1}, {"top_p": 1e-6}, {"min_p": 1.0}):  # two a beam always remain
        for seed in range(3):
            drawn = model.generate([1, 2], 8, num_beams=3, do_sample=True, seed=seed, **narrow)
            assert drawn.shape == best.shape


def test_drawn_beams_follow_the_probabilities(small):
    """The first of two beams, drawn with equal hopes for all later steps, is softmax's draw."""
    p = np.exp(log_softmax(small([[1, 2]]).logits.data[0, -1]))
    prompts = np.tile([1, 2], (4000, 1))
    output = small.generate(prompts, 1, num_beams=2, num_return_sequences=2, do_sample=True, seed=3)
    # Of the 4 candidates the first two drawn count: pairs without replacement.
    shares = np.bincount(output[:, 2], minlength=V) / len(prompts)
    pairs = [p[i] + sum(p[j] * p[i] / (1 - p[j]) for j in range(V) if j != i) for i in range(V)]
    np.testing.assert_allclose(shares, pairs, atol=0.03)


def test_a_narrow_vocabulary_has_fewer_candidates(small):
    output = small.generate([1], 2, num_beams=4, num_return_sequences=4, eos_token_id=[0, 1, 2])
    assert output.shape[0] == 4
