"""benchmarks/latency.py: what it times is what it says, and its ratios are of the right sides."""

import importlib
import sys
from pathlib import Path

import numpy as np
import pytest

import plainformer as pf

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture(scope="module")
def latency():
    sys.path.insert(0, str(BENCHMARKS))
    try:
        yield importlib.import_module("latency")
    finally:
        sys.path.remove(str(BENCHMARKS))


def test_made_up_words_are_one_token_each(latency, tmp_path):
    model = importlib.import_module("encoder_model")
    small = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2,
             "intermediate_size": 32, "vocab_size": 505}  # fmt: skip
    config = {**model.MINILM, **small}
    words = model.words_of(config)
    assert len(set(words)) == 500
    model.write_model(str(tmp_path), config)
    classify = pf.pipeline("text-classification", tmp_path)
    texts = latency.sentences(words)
    encoded = classify.task.encode_texts(texts)
    lengths = [len(one) for one, _ in encoded]
    assert lengths == [len(text.split()) + latency.ADDED for text in texts]
    assert max(lengths) <= latency.LIMIT
    assert 19 <= np.median(lengths) <= 25
    assert classify(texts[0])[0]["label"] in ("negative", "positive")


def test_ratios_are_of_the_fastest_setting_of_each_way(latency):
    times = {
        "plainformer, pipeline": [[1.0, 1.0, 5.0], [2.0, 2.0, 2.0]],
        "torch, default, pipeline": [[4.0] * 3, [4.0] * 3],
        "torch, passive, pipeline": [[8.0] * 3, [8.0] * 3],
        "torch, default, by hand": [[4.0] * 3, [4.0] * 3],
        "torch, passive, by hand": [[2.0] * 3, [2.0, 2.0, 10.0]],
    }
    result = latency.summary(times)
    assert result["plainformer, pipeline"]["p50_ms"] == 2.0
    assert result["beside pipeline"]["setting"] == "torch, default, pipeline"
    assert result["beside by hand"]["setting"] == "torch, passive, by hand"
    assert result["beside pipeline"]["ratio_p50"] == pytest.approx(0.375)  # of 1/4 and 2/4
    assert result["beside by hand"]["ratio_p50"] == pytest.approx(0.75)
    p99 = [np.percentile(np.ravel(times[n]), 99) for n in ("plainformer, pipeline",
                                                          "torch, passive, by hand")]  # fmt: skip
    assert result["beside by hand"]["ratio_p99"] == pytest.approx(p99[0] / p99[1])


def test_a_peer_with_one_setting_and_a_busy_neighbor_have_ratios_too(latency):
    times = {
        "plainformer, pipeline": [[2.0] * 3],
        "ctranslate2, by hand": [[8.0] * 3],
        latency.BUSY: [[3.0] * 3],
    }
    result = latency.summary(times)
    assert result["beside ctranslate2, by hand"]["ratio_p50"] == 0.25
    assert result["busy_ratio"] == 1.5


def test_without_a_peer_there_is_no_ratio(latency, capsys):
    result = latency.summary({"plainformer, pipeline": [[1.0, 3.0]]})
    assert list(result) == ["plainformer, pipeline"]
    latency.show(result)
    assert "p50    2.00 ms" in capsys.readouterr().out
