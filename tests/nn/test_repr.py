"""What a module shows: a tree with shapes and counts, equal blocks once."""

import numpy as np

from plainformer import nn
from tests.models.tiny import make

GPT2 = """\
GPT2LMHeadModel(  # 3,096 parameters, float32
  (transformer): GPT2Model(
    (wte): Embedding(weight=(31, 12))
    (wpe): Embedding(weight=(18, 12))
    (drop): Dropout(p=0.1)
    (h.0-1): 2 x GPT2Block("""


def test_a_model_is_a_tree_with_shapes_and_counts():
    model = make("gpt2", "causal-lm")
    text = repr(model)
    assert text.startswith(GPT2.replace("3,096", f"{model.num_parameters():,}"))
    assert text.count("GPT2Block") == 1
    assert "(ln_1): LayerNorm(weight=(12,), bias=(12,), eps=1e-05)" in text
    assert text.endswith("\n)")
    assert max(map(len, text.splitlines())) < 100


def test_frozen_parts_and_types_are_told():
    model = nn.Linear(3, 4)
    assert repr(model) == "Linear(weight=(4, 3), bias=(4,))  # 16 parameters, float32"
    model.bias.requires_grad = False
    assert repr(model.to("bfloat16")).endswith("# 16 parameters, 12 trained, bfloat16")


def test_unequal_neighbors_and_dicts_are_told_one_by_one():
    class Net(nn.Module):
        def __init__(self):
            self.layers = [nn.Linear(2, 2), nn.Linear(2, 2), nn.Linear(2, 3)]
            self.heads = {"a": nn.Linear(3, 1), "b": nn.Linear(3, 1)}
            self.scale = nn.Parameter(np.ones(2, np.float32))
            self.steps, self.names, self._hidden = 3, ["x"], 4

    assert repr(Net()).splitlines() == [
        "Net(scale=(2,), steps=3  # 31 parameters, float32",
        "  (layers.0-1): 2 x Linear(weight=(2, 2), bias=(2,))",
        "  (layers.2): Linear(weight=(3, 2), bias=(3,))",
        "  (heads.a): Linear(weight=(1, 3), bias=(1,))",
        "  (heads.b): Linear(weight=(1, 3), bias=(1,))",
        ")",
    ]


def test_a_child_that_knows_its_parent_does_not_go_round():
    parent, child = nn.Module(), nn.Module()
    parent.child, child.parent = child, parent
    assert repr(parent) == (
        "Module(  # 0 parameters\n  (child): Module(\n    (parent): Module(...)\n  )\n)"
    )


def test_sequences_of_modules():
    text = repr(nn.Sequential(*(nn.Linear(2, 2) for _ in range(3))))
    assert "  (0-2): 3 x Linear(weight=(2, 2), bias=(2,))" in text
