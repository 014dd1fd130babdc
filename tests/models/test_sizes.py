"""Sizes that a configuration asks for, compared before anything is built."""

import json
import time
import tracemalloc

import numpy as np
import pytest

import plainformer as pf
from plainformer import runtime
from plainformer.errors import CheckpointError, ConfigError
from plainformer.models import MODELS, from_config, model_class
from plainformer.models.config import MAX_LAYERS
from plainformer.models.sizes import parameter_shapes
from plainformer.nn import init_empty_weights

from . import tiny

CONTEXT = {"gpt2": "n_positions", "t5": None}  # where the longest sequence is no array's size


def directory_of(path, family, **edits):
    """A saved model whose config.json was edited."""
    if not path.exists():
        tiny.make(family, tiny.tasks_of(family)[0]).save_pretrained(path)
    config = json.loads((path / "config.json").read_text()) | edits
    config = {name: value for name, value in config.items() if value is not None}
    (path / "config.json").write_text(json.dumps(config))
    return path


@pytest.mark.parametrize("family", MODELS)
def test_shapes_are_those_of_the_model_and_take_no_memory(family):
    config = tiny.config_of(family)
    kind = model_class(config)
    small = parameter_shapes(kind, kind.config_class.from_dict(config))
    model = from_config(config)
    assert small == {name: p.shape for name, p in model.named_state()}
    tracemalloc.start()
    large = kind.config_class.from_dict(config | {"vocab_size": 2**27})
    shapes = parameter_shapes(kind, large)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert max(np.prod(shape) for shape in shapes.values()) >= 2**30
    assert peak < 1 << 20


@pytest.mark.parametrize("family", MODELS)
def test_more_layers_than_arrays_are_refused_before_they_are_built(tmp_path, family):
    fields = MODELS[family].config_class.layer_fields
    assert fields
    for field in fields:
        path = directory_of(tmp_path / field, family, **{field: 1000, "layer_types": None})
        start = time.process_time()
        with pytest.raises(CheckpointError, match=f"{field}: got 1000 in config.json, but there"):
            pf.load(path)
        assert time.process_time() - start < 0.5
        directory_of(path, family, **{field: MAX_LAYERS + 1})
        with pytest.raises(ConfigError, match=f"{field}: got 1025, expected .* at most 1024"):
            pf.load(path)


@pytest.mark.parametrize("family", MODELS)
def test_a_size_that_is_not_the_files_is_named(tmp_path, family):
    path = directory_of(tmp_path / "m", family, vocab_size=10**9)
    if family in ("marian", "transformer"):
        directory_of(path, family, decoder_vocab_size=10**9)
    start = time.process_time()
    with pytest.raises(CheckpointError, match=r"config\.json says other sizes in .*vocab_size"):
        pf.load(path)
    assert time.process_time() - start < 0.5


def test_labels_are_bounded(tmp_path):
    path = directory_of(tmp_path / "m", "bert", num_labels=10_000_000)
    with pytest.raises(ConfigError, match=r"num_labels: got 10000000, expected .* at most 1048576"):
        pf.load(path, "sequence-classification")


@pytest.mark.parametrize(
    ("family", "field"), [("gpt2", "n_positions"), ("llama", "intermediate_size"), ("t5", "d_ff")]
)
def test_a_new_model_larger_than_memory_is_refused_with_its_size(monkeypatch, family, field):
    monkeypatch.setattr("plainformer.models.sizes.available_memory", lambda: 8 * 10**9)
    from_config(tiny.config_of(family))
    with pytest.raises(
        ConfigError, match=rf"{field}.*: [0-9,]+ parameters need [0-9,.]+ GB, and 8"
    ):
        from_config(tiny.config_of(family, **{field: 10**9}))


@pytest.mark.filterwarnings("ignore:.*new weights")
def test_a_new_head_larger_than_memory_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("plainformer.models.sizes.available_memory", lambda: 10**6)
    path = directory_of(tmp_path / "m", "bert", num_labels=10**5)
    with pytest.raises(ConfigError, match=r"num_labels, .* classifier\.weight alone has the shape"):
        pf.load(path, "sequence-classification")


def test_available_memory_is_known_here():
    have = runtime.available_memory()
    assert have is None or 1 << 20 < have < 1 << 50


def test_an_empty_parameter_is_copied_when_it_is_written():
    with init_empty_weights():
        layer = pf.nn.Linear(3, 2)
    assert layer.weight.data.strides == (0, 0)
    layer.weight.writable()[0, 0] = 5.0
    assert layer.weight.data.sum() == 5.0


@pytest.mark.parametrize("family", ["marian", "transformer"])
def test_computed_positions_take_memory_as_they_are_used(family):
    small = tiny.make(family, "seq2seq-lm")
    large = tiny.make(family, "seq2seq-lm", max_position_embeddings=10**9)
    ids = np.array([[2, 3, 4]])
    small.eval(), large.eval()
    a, b = (model(input_ids=ids, decoder_input_ids=ids).logits.data for model in (small, large))
    assert a.tobytes() == b.tobytes()
