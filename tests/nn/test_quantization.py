"""int8 weights in models of every family: what they compute, are kept as, and refuse."""

import copy
import json
import pickle

import numpy as np
import pytest

import plainformer as pf
from plainformer import errors, functional, nn, runtime
from plainformer.errors import CheckpointError, ConfigError, DeviceError, DTypeError
from plainformer.models import MODELS
from plainformer.nn import quantization
from tests.models.tiny import CONFIGS, batch_for, make, outputs_of

MODELS_OF_ALL = [
    (family, task)
    for family in CONFIGS
    for task in MODELS[family].models
    if task != "relation-extraction"  # whose batches are its own
]
GPT = {"vocab_size": 300, "n_embd": 64, "n_layer": 2, "n_head": 4, "n_positions": 32}
IDS = np.random.default_rng(0).integers(0, 300, (3, 12))


@pytest.fixture(autouse=True)
def every_layer(monkeypatch):
    """Tiny layers are quantized too, heads that classify among them."""
    monkeypatch.setattr(quantization, "LEAST_OUTPUTS", 1)


def gpt(seed=0, **options):
    return pf.GPT2LMHeadModel(pf.GPT2Config(**GPT | options), seed=seed).eval()


def logits_of(model, ids=IDS):
    with pf.no_grad():
        return model(ids).logits.data


def arrays(output, task):
    return [np.asarray(a, np.float64) for a in outputs_of(output, task)]


def with_dequantized_weights(model):
    """The same model with float weights of the values that the int8 ones stand for."""
    plain = {}
    for module in model.modules():
        weight = getattr(module, "weight", None)
        if isinstance(weight, nn.QuantizedParameter):
            module.weight = plain.setdefault(id(weight), nn.Parameter(weight.dequantized()))
            del module.weight_scale
    return model


@pytest.mark.parametrize("mode", quantization.MODES)
@pytest.mark.parametrize(("family", "task"), MODELS_OF_ALL, ids=str)
def test_a_model_computes_what_its_dequantized_weights_do(family, task, mode, rng):
    model = make(family, task).eval()
    batch = batch_for(task, rng)
    count = nn.quantize(model, mode, 4)
    assert count == sum(isinstance(p, nn.QuantizedParameter) for p in model.parameters())
    assert count > 4
    with pf.no_grad():
        ours = arrays(model(**batch), task)
        wanted = arrays(with_dequantized_weights(model)(**batch), task)
    for got, want in zip(ours, wanted):
        scale = np.abs(want).max(initial=0) or 1
        room = 1e-4 if mode == "weight-only" else 0.12  # 8 bits of rows of 12, layer by layer
        assert np.abs(got - want).max(initial=0) <= room * scale


@pytest.mark.parametrize("mode", quantization.MODES)
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_a_directory_gives_the_same_bytes(tmp_path, mode, dtype):
    model = gpt().to(dtype)
    nn.quantize(model, mode, 16)
    model.save_pretrained(tmp_path)
    values = json.loads((tmp_path / "config.json").read_text())["quantization_config"]
    assert values == {"quant_method": "plainformer", "bits": 8, "mode": mode, "group_size": 16}
    again = pf.load(tmp_path)
    assert again.config.quantization == nn.QuantizationConfig(mode, 16)
    assert again.transformer.wte.weight.dtype == np.int8
    assert again.transformer.wte.weight_scale.dtype == np.dtype(model.config.dtype)
    logits = logits_of(model)
    assert str(logits.dtype) == dtype
    assert logits_of(again).tobytes() == logits.tobytes()
    assert (again.generate(IDS[:1], 5) == model.generate(IDS[:1], 5)).all()
    again.save_pretrained(tmp_path / "again")
    name = "model.safetensors"
    assert (tmp_path / "again" / name).read_bytes() == (tmp_path / name).read_bytes()
    assert again.config.to_dict().items() >= model.config.to_dict().items()


def test_load_quantizes_what_it_reads(tmp_path):
    gpt().save_pretrained(tmp_path)
    wanted = gpt()
    nn.quantize(wanted)
    model = pf.load(tmp_path, quantize="int8")
    assert model.config.quantization.mode == "weight-only"  # it writes
    assert logits_of(model).tobytes() == logits_of(wanted).tobytes()
    assert pf.load(tmp_path, quantize="dynamic").config.quantization.mode == "dynamic"
    encoder = make("bert", "sequence-classification")
    nn.quantize(encoder)
    assert encoder.config.quantization.mode == "dynamic"  # it reads


def test_weights_are_a_quarter(tmp_path):
    model = gpt(n_embd=128, n_layer=4)
    before = sum(a.nbytes for a in model.state_dict().values())
    nn.quantize(model)
    assert sum(a.nbytes for a in model.state_dict().values()) < 0.3 * before


@pytest.mark.parametrize("mode", quantization.MODES)
def test_a_text_alone_has_the_bytes_it_has_in_a_batch(mode):
    model = gpt()
    nn.quantize(model, mode)
    together = logits_of(model)
    for i, row in enumerate(IDS):
        assert logits_of(model, row[None])[0].tobytes() == together[i].tobytes()
    for threads in (1, 3, 7):
        with runtime.num_threads(threads):
            assert logits_of(model).tobytes() == together.tobytes()


def test_another_level_packs_anew():
    model = gpt()
    nn.quantize(model)
    logits = logits_of(model).astype(np.float64)
    for level in runtime.available_levels():
        with runtime.use_level(level):
            assert np.abs(logits_of(model) - logits).max() < 1e-4


def test_the_loss_is_that_of_the_logits(monkeypatch):
    monkeypatch.setattr(errors, "_warned", set())
    model = gpt()
    nn.quantize(model)
    logits = logits_of(model).astype(np.float64)
    with pf.no_grad():
        loss = float(model(IDS, labels=IDS).loss.data)
        with pytest.warns(errors.PlainformerWarning, match="every label is ignored"):
            none = float(model(IDS, labels=np.full_like(IDS, -100)).loss.data)
    log = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
    picked = np.take_along_axis(log[:, :-1], IDS[:, 1:, None], -1)
    assert loss == pytest.approx(-picked.mean(), rel=1e-5)
    assert none == 0


def test_a_float_model_converts_its_scales_and_keeps_its_values():
    model = gpt()
    nn.quantize(model)
    values = model.transformer.wte.weight.data.copy()
    model.to("bfloat16")
    assert (model.transformer.wte.weight.data == values).all()
    assert str(logits_of(model).dtype) == "bfloat16"


def test_copies_share_no_weight():
    model = gpt()
    nn.quantize(model)
    for other in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        assert logits_of(other).tobytes() == logits_of(model).tobytes()
        assert other.transformer.wte.weight is not model.transformer.wte.weight


def test_nothing_is_trained(tmp_path):
    model = gpt()
    nn.quantize(model)
    assert not any(p.requires_grad for p in model.parameters())
    loss = model(IDS, labels=IDS).loss
    assert not loss.requires_grad
    with pytest.raises(ConfigError, match="int8 weights are not trained"):
        model.unfreeze()
    with pytest.raises(ConfigError, match="int8 weights are not trained"):
        pf.Trainer(model, pf.TrainingArguments(str(tmp_path)), [{"input_ids": IDS[0]}])
    with pytest.raises(ConfigError, match="LoRA: got a layer with an int8 weight"):
        nn.add_lora(model, nn.LoraConfig())
    model.transformer.h[0].ln_1.weight.requires_grad = True
    with pytest.raises(ConfigError, match=r"a gradient is wanted: .*or compute under no_grad"):
        model(IDS, labels=IDS)


def test_errors_name_what_is_wrong(tmp_path):
    model = gpt()
    with pytest.raises(ConfigError, match="mode: got 'int4', expected one of weight-only, dynamic"):
        nn.quantize(model, "int4")
    with pytest.raises(ConfigError, match="group_size: got 6, expected a multiple of 4"):
        nn.quantize(model, group_size=6)
    with pytest.raises(ConfigError, match="got float64 weights, expected float32 or bfloat16"):
        nn.quantize(gpt().to("float64"))
    adapted = gpt()
    nn.add_lora(adapted, nn.LoraConfig())
    with pytest.raises(ConfigError, match="got a model with LoRA adapters; merge them first"):
        nn.quantize(adapted)
    nn.quantize(model)
    with pytest.raises(ConfigError, match="got a model that is quantized already"):
        nn.quantize(model)
    model.save_pretrained(tmp_path)
    with pytest.raises(ConfigError, match=r"holds int8 weights already \(weight-only\)"):
        pf.load(tmp_path, quantize="int8")
    with pytest.raises(
        ConfigError, match="quantize: got 'int4', expected one of int8, weight-only"
    ):
        pf.load(tmp_path, quantize="int4")
    with pytest.raises(DTypeError, match="data: got float32, expected int8 values"):
        model.transformer.wte.weight.assign(np.zeros((2, 2), np.float32))
    with pytest.raises(DeviceError):
        model.to("cuda")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"quant_method": "gptq"},
            "got quant_method 'gptq', expected 'plainformer'; load",
        ),
        ({"bits": 4}, "quantization_config: got bits 4, expected 8"),
        ({"mode": "int4"}, "mode: got 'int4', expected one of weight-only, dynamic"),
        ({"group_size": 3}, "group_size: got 3, expected a multiple of 4"),
        ({"desc_act": True}, "quantization_config: unknown field 'desc_act'"),
    ],
)
def test_other_words_of_a_config_are_refused(tmp_path, change, message):
    model = gpt()
    nn.quantize(model)
    model.save_pretrained(tmp_path)
    path = tmp_path / "config.json"
    values = json.loads(path.read_text())
    values["quantization_config"] |= change
    path.write_text(json.dumps(values))
    with pytest.raises(ConfigError, match=message):
        pf.load(tmp_path)


def test_float_weights_under_a_quantized_config_are_refused(tmp_path):
    model = gpt()
    model.save_pretrained(tmp_path)
    path = tmp_path / "config.json"
    values = json.loads(path.read_text())
    values["quantization_config"] = nn.QuantizationConfig("dynamic").to_dict()
    path.write_text(json.dumps(values))
    with pytest.raises(CheckpointError):
        pf.load(tmp_path)


def test_a_packed_copy_knows_the_scales_it_was_made_with():
    model = gpt()
    nn.quantize(model)
    fresh = copy.deepcopy(model)
    logits_of(model)  # packs
    assert logits_of(model.to("bfloat16")).tobytes() == logits_of(fresh.to("bfloat16")).tobytes()
    for module in (model, fresh):
        for block in module.transformer.h:
            block.mlp.c_fc.weight_scale.writable()[...] *= 2  # alone in its pack
            block.attn.c_attn.weight_scale.writable()[...] *= 2
    assert logits_of(model).tobytes() == logits_of(copy.deepcopy(fresh)).tobytes()


def test_floats_do_not_become_int8_values_unseen():
    model = gpt()
    nn.quantize(model)
    before = logits_of(model)
    state = {name: array.copy() for name, array in model.state_dict().items()}
    state["transformer.wpe.weight"] += 1
    last = "transformer.h.1.mlp.c_proj.weight"
    state[last] = state[last].astype(np.float32)
    with pytest.raises(DTypeError, match=f"state: {last}: got float32, expected int8 values"):
        model.load_state_dict(state)
    assert logits_of(model).tobytes() == before.tobytes()  # nothing was written
    with pytest.raises(DTypeError, match="array: got float32, expected int8 values"):
        model.transformer.wte.weight.copy_from(state[last])


def test_a_model_with_nothing_to_quantize_is_refused_and_stays_as_it_is(monkeypatch):
    monkeypatch.setattr(quantization, "LEAST_OUTPUTS", 64)
    model = make("bert", "sequence-classification")
    with pytest.raises(ConfigError, match="quantize: got a model without a linear layer of 64 out"):
        nn.quantize(model)
    assert model.config.quantization is None
    assert all(p.requires_grad for p in model.parameters())


@pytest.mark.parametrize("task", ["feature-extraction", "sequence-classification"])
@pytest.mark.filterwarnings("ignore:.*new weights")
def test_the_table_of_an_int8_head_is_numbers_where_there_is_no_head(tmp_path, task, monkeypatch):
    monkeypatch.setattr(quantization, "LEAST_OUTPUTS", 64)
    model = gpt()
    nn.quantize(model, group_size=16)
    model.save_pretrained(tmp_path)
    other = pf.load(tmp_path, task=task)
    base = getattr(other, "transformer", other)
    table = model.transformer.wte.weight.dequantized()
    assert base.wte.weight.data.tobytes() == table.tobytes()
    assert base.h[0].attn.c_attn.weight.dtype == np.int8


@pytest.mark.filterwarnings("ignore:.*new weights")
def test_scales_are_found_under_the_names_of_a_model_with_or_without_head(tmp_path, monkeypatch):
    monkeypatch.setattr(quantization, "LEAST_OUTPUTS", 12)
    tasks = ["sequence-classification", "feature-extraction"]
    for task, other in (tasks, tasks[::-1]):
        model = make("bert", task)
        nn.quantize(model, group_size=4)
        model.save_pretrained(tmp_path / task)
        again = pf.load(tmp_path / task, task=other)
        name = "encoder.layer.0.output.dense.weight_scale"
        wanted = {n.removeprefix("bert."): a for n, a in model.state_dict().items()}
        got = {n.removeprefix("bert."): a for n, a in again.state_dict().items()}
        assert got[name].tobytes() == wanted[name].tobytes()


def test_float64_is_refused_before_anything_is_computed(tmp_path):
    model = gpt()
    nn.quantize(model)
    model.save_pretrained(tmp_path)
    with pytest.raises(ConfigError, match="dtype: got float64, but the directory holds int8"):
        pf.load(tmp_path, dtype="float64")
    with pytest.raises(DTypeError, match=r"wte.weight: got dtype float64, with which int8 weights"):
        model.to("float64")
    assert {str(p.dtype) for p in model.parameters()} == {"float32", "int8"}


def head_of(rows, rng):
    """Rows, an int8 head over 70 classes, and labels."""
    layer = nn.Linear(16, 70, bias=False)
    nn.quantize(layer)
    x = pf.Tensor(rng.standard_normal((rows, 16)).astype(np.float32))
    return x, layer.weight, rng.integers(0, 70, rows)


@pytest.mark.parametrize(
    "options",
    [{}, {"label_smoothing": 0.1}, {"reduction": "sum"}, {"num_items": 7.5}, {"ignore_index": 3}],
    ids=str,
)
def test_the_loss_of_an_int8_head_is_that_of_its_logits(options, rng):
    x, head, labels = head_of(600, rng)  # two parts and a bit
    labels[256:512] = options.get("ignore_index", -100)  # a part of nothing
    wanted = dict(options)
    items = wanted.pop("num_items", None)
    if items is not None:
        wanted["reduction"] = "sum"
    logits = functional.linear(x, head)
    loss = functional.cross_entropy(logits, labels, **wanted).item() / (items or 1)
    assert functional.fused_linear_cross_entropy(
        x, head, labels, **options
    ).item() == pytest.approx(loss)


def test_the_loss_of_an_int8_head_refuses_what_others_do(rng):
    x, head, labels = head_of(256, rng)
    table = pf.Tensor(head.dequantized())
    bad = labels.copy()
    bad[255] = 70
    for target, options in (
        (np.append(labels, labels[:44]), {}), (labels.reshape(16, 16), {}), (labels[:9], {}),
        (labels.astype(float), {}), (bad, {}), (labels, {"num_items": 0}),
        (labels, {"num_items": -3}), (labels, {"num_items": "all"}),
        (labels, {"reduction": "none"}), (labels, {"label_smoothing": 2}),
        (labels, {"ignore_index": 1.5}),
    ):  # fmt: skip
        with pytest.raises(errors.PlainformerError) as wanted:
            functional.fused_linear_cross_entropy(x, table, target, **options)
        with pytest.raises(type(wanted.value)) as got:
            functional.fused_linear_cross_entropy(x, head, target, **options)
        assert str(got.value) == str(wanted.value)
    with pytest.raises(ConfigError, match="a gradient is wanted: int8 weights are not trained"):
        functional.fused_linear_cross_entropy(pf.Tensor(x.data, requires_grad=True), head, labels)
