"""Aggregation strategies mean what they mean in transformers' pipeline."""

import numpy as np
import pytest

import plainformer as pf
from tests.tasks.tiny import ENCODER, tune

transformers = pytest.importorskip("transformers")
TEXTS = ["Ann Lee saw Paris .", "Parisian Leesburg sawed Romeo", "rain fell on Rome Rome", "Bobbob"]


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("strategy", ["none", "simple", "first", "average", "max"])
def test_entities_are_transformers(tmp_path, strategy, seed):
    """Weights at random: tags change from sub-token to sub-token."""
    tune("token-classification", tmp_path, max_steps=1, eval_strategy="no",
         model=ENCODER, tokenizer="wordpiece:120")  # fmt: skip
    model = pf.load(tmp_path, "token-classification")
    shape = model.classifier.weight.shape
    draw = np.random.default_rng(seed)
    model.classifier.weight.assign(draw.standard_normal(shape).astype(np.float32))
    model.save_pretrained(tmp_path)
    ask = transformers.pipeline(
        "token-classification", str(tmp_path), aggregation_strategy=strategy
    )
    tag = pf.pipeline("token-classification", tmp_path, aggregation_strategy=strategy)
    names = ["entity", "index", "word"] if strategy == "none" else ["entity_group"]
    total = 0
    for text in TEXTS:
        mine, other = tag(text), ask(text)
        total += len(mine)
        for name in (*names, "start", "end"):
            assert [e[name] for e in mine] == [e[name] for e in other]
        assert [e["score"] for e in mine] == pytest.approx([e["score"] for e in other], abs=1e-4)
    assert total
