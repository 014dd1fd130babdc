"""Outputs: by attribute, key and position in transformers' order, and what they show."""

import numpy as np
import pytest

from plainformer.models import MODELS
from tests.models.tiny import CONFIGS, make

NAMES = {
    "causal-lm": ["loss", "logits", "hidden_states", "attentions"],
    "seq2seq-lm": [
        "loss", "logits", "decoder_hidden_states", "decoder_attentions", "cross_attentions",
        "encoder_last_hidden_state", "encoder_hidden_states", "encoder_attentions",
    ],
    "masked-lm": ["loss", "logits", "hidden_states", "attentions"],
    "token-classification": ["loss", "logits", "hidden_states", "attentions"],
    "feature-extraction": ["last_hidden_state", "hidden_states", "attentions"],
}  # fmt: skip
IDS = np.array([[2, 3, 4], [4, 3, 2]])
CASES = [(kind, task) for kind in CONFIGS for task in MODELS[kind].models if task in NAMES]


def output_of(kind, task, **options):
    model = make(kind, task).eval()
    labels = {} if task == "feature-extraction" else {"labels": IDS % 2}
    return model(IDS, **labels, **options)


@pytest.mark.parametrize(("kind", "task"), CASES)
def test_names_stand_in_transformers_order(kind, task):
    output = output_of(kind, task, output_hidden_states=True, output_attentions=True)
    there = [name for name in output if name != "pooler_output"]
    assert there == NAMES[task]
    assert list(output) == list(output.keys()) == [name for name, _ in output.items()]
    assert output.to_tuple() == tuple(output.values()) == output[:]
    for place, name in enumerate(output):
        assert output[name] is output[place] is getattr(output, name)


@pytest.mark.parametrize("task", ["sequence-classification", "question-answering"])
def test_readers_of_encoder_decoders_say_whose_states_are_whose(task):
    ids, end = np.array([[3, 4, 2]]), {"start_positions": [0], "end_positions": [1]}
    labels = {"labels": [1]} if task == "sequence-classification" else end
    output = make("bart", task).eval()(
        ids, **labels, output_hidden_states=True, output_attentions=True
    )
    found = ["logits"] if task == "sequence-classification" else ["start_logits", "end_logits"]
    states = [n for n in NAMES["seq2seq-lm"][2:] if n != "encoder_last_hidden_state"]
    assert list(output) == ["loss", *found, *states]
    assert output.hidden_states is None


def test_what_is_none_is_left_out():
    output = output_of("gpt2", "causal-lm")
    assert output.hidden_states is None
    assert len(output) == 2
    loss, logits = output[:2]
    assert (loss, logits) == (output.loss, output["logits"])
    assert output[-1] is output.logits
    assert "attentions" not in output
    assert output.get("attentions", 3) == 3
    assert dict(output) == {**output} == {"loss": loss, "logits": logits}
    for wrong, error in ((2, IndexError), ("attentions", KeyError), ("logit", KeyError)):
        with pytest.raises(error):
            output[wrong]


def test_it_shows_shapes_and_the_loss():
    output = output_of("bert", "token-classification", output_hidden_states=True)
    assert repr(output) == (
        "TokenClassifierOutput(\n"
        f"    loss={float(output.loss.item()):.6g},\n"
        f"    logits=Tensor {output.logits.shape} float32,\n"
        f"    hidden_states=({len(output.hidden_states)} x "
        f"Tensor {output.hidden_states[0].shape} float32),\n)"
    )
