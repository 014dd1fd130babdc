"""Where arrays live: words for devices, what moves, what an error says that nothing is there.

A GPU is the double of `tests/device.py`, with the kernels of the CPU.
"""

import importlib
import subprocess
import sys
import types

import numpy as np
import pytest
from click.testing import CliRunner

import plainformer as pf
from plainformer import kernels, nn, optim
from plainformer.errors import ConfigError, DeviceError, DTypeError, ShapeError
from plainformer.functional.random import dropout_state
from plainformer.kernels import _backend, _cupy, devices
from plainformer.kernels._devices import Device, read_device
from plainformer.tensor import Tensor
from plainformer.training.timing import Stopwatch
from tests.device import HOST, DeviceArray, HostKind, counts, cuda_is, device
from tests.models.tiny import batch_for, make


@pytest.fixture
def cuda():
    with cuda_is(HOST) as kind:
        yield kind


# ---- words --------------------------------------------------------------------------------------

WORDS = {"cpu": ("cpu", None), "cuda": ("cuda", None), "cuda:3": ("cuda", 3), -1: ("cpu", 0),
         0: ("cuda", 0), 2: ("cuda", 2), "auto": ("auto", None),
         Device("cuda", 1): ("cuda", 1)}  # fmt: skip


@pytest.mark.parametrize("word", WORDS, ids=str)
def test_words_for_devices(word):
    found = read_device(word)
    assert (found.type, found.index) == WORDS[word]


def test_numpy_s_whole_numbers_are_numbers():
    assert [str(read_device(np.int64(n))) for n in (1, -1)] == [
        str(read_device(n)) for n in (1, -1)
    ]


@pytest.mark.parametrize("word", ["gpu", "cuda:", "cuda:x", "CUDA", "", None, 1.0, True, -2, "mps"])
def test_other_words_are_refused(word):
    assert read_device(word) is None
    with pytest.raises(ConfigError, match=r"^device: got .*, expected cpu, cuda, cuda:N or auto$"):
        devices.as_device(word)


def test_devices_are_written_as_torch_writes_them():
    assert [str(Device("cpu")), str(Device("cuda", 1))] == ["cpu", "cuda:1"]
    assert repr(Device("cuda", 1)) == "Device('cuda:1')"
    assert Device("cuda", 0) == Device("cuda", 0) != Device("cuda", 1)


def test_a_gpu_that_is_not_there_is_told(cuda):
    assert devices.as_device("cuda:0") == Device("cuda", 0)
    with pytest.raises(DeviceError, match=r"^device: got cuda:1, expected cuda:0$"):
        devices.as_device("cuda:1")
    assert devices.is_available("cuda")
    assert not devices.is_available("cuda:1")
    assert devices.as_device("auto") == Device("cuda", 0)


# ---- what is missing ----------------------------------------------------------------------------


class FakeError(Exception):
    pass


def fake_cupy(version="14.2.0", count=lambda: 1):
    module = types.ModuleType("cupy")
    module.__version__ = version
    runtime = types.SimpleNamespace(getDeviceCount=count, CUDARuntimeError=FakeError)
    module.cuda = types.SimpleNamespace(runtime=runtime)
    return module


def no_driver():
    raise FakeError("cudaErrorInsufficientDriver: the driver is too old")


MISSING = {
    "CuPy": (
        None,
        True,
        r'but CuPy cannot be imported \(.*\); pip install "plainformer\[cuda13\]"',
    ),
    "CuPy and kernels": (
        None,
        False,
        r'pip install "plainformer\[cuda13\]"; also, this build has only CPU kernels; build .*: '
        r"pip install --force-reinstall --no-deps --no-cache-dir --no-binary plainformer ",
    ),
    "a new CuPy": (fake_cupy("13.6.0"), True, "but CuPy is 13.6.0, expected at least 14.0"),
    "kernels": (fake_cupy(), False, "only CPU kernels; build the others from source: pip install"),
    "a driver": (fake_cupy(count=no_driver), True, "but no GPU answers .*driver 580 or newer"),
    "a GPU": (fake_cupy(count=lambda: 0), True, "but there is no GPU; or ask for cpu"),
}


@pytest.mark.parametrize("what", MISSING)
def test_what_is_missing_is_one_error_that_says_what_to_do(what, monkeypatch):
    cupy, has_kernels, told = MISSING[what]
    monkeypatch.setitem(sys.modules, "cupy", cupy)
    compiled = types.SimpleNamespace(set_library=lambda **_: None) if has_kernels else None
    reason = (
        ""
        if has_kernels
        else f"this build has only CPU kernels; build the others from source: {_cupy.BUILD}"
    )
    monkeypatch.setattr(_cupy, "_compiled", lambda: (compiled, reason))
    monkeypatch.setattr(_cupy, "_kind", None)
    for call in (
        lambda: nn.Linear(2, 2).to("cuda"),
        lambda: Tensor(np.ones(2)).to("cuda:0"),
        lambda: devices.as_device("cuda"),
    ):
        with pytest.raises(DeviceError, match=f"^device: got cuda, .*{told}"):
            call()
    assert devices.as_device("auto") == Device("cpu")


def test_nothing_of_cuda_is_imported_before_it_is_asked_for():
    code = (
        "import sys, plainformer.cli, plainformer.training, plainformer.pipelines; "
        "print([n for n in sys.modules if n.startswith('cupy') or n.endswith('_cuda')])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


# ---- moving -------------------------------------------------------------------------------------


def test_modules_move_with_their_gradients_and_buffers(cuda):
    model = make("gpt2", "causal-lm", seed=1)
    assert str(model.device) == "cpu"
    before = {name: array.copy() for name, array in model.state_dict().items()}
    model(**batch_for("causal-lm", np.random.default_rng(0))).loss.backward()
    grads = {name: p.grad for name, p in model.named_parameters()}
    for move in (lambda: model.cuda(), lambda: model.to("cuda:0"), lambda: model.cuda(0)):
        assert move() is model
        assert str(model.device) == "cuda:0"
        for name, parameter in model.named_state():
            assert type(parameter.data) is DeviceArray
            assert parameter.data.tolist() == before[name].tolist()
            assert parameter.grad.tolist() == grads[name].tolist()
    assert str(model.cpu().device) == "cpu"
    for name, array in model.state_dict().items():
        assert isinstance(array, np.ndarray)
        assert array.tobytes() == before[name].tobytes()


def test_one_call_moves_and_converts(cuda):
    for where in (("cuda", "bfloat16"), ("bfloat16", "cuda"), (pf.load, "cuda")):
        layer = nn.Linear(3, 2)
        if where[0] is pf.load:
            with pytest.raises(DTypeError, match="dtype: got"):
                layer.to(*where)
            continue
        layer.to(*where)
        assert (str(layer.device), str(layer.weight.dtype)) == ("cuda:0", "bfloat16")
    assert str(layer.to(device="cpu", dtype="float32").weight.dtype) == "float32"
    for where in (("cuda", "cpu"), ("float32", "bfloat16"), ("cuda", "float32", 0), ()):
        with pytest.raises(ConfigError, match=r"^to: got .*expected a device, a dtype or one of"):
            layer.to(*where)


def test_float64_does_not_move_to_a_gpu_and_nothing_has_moved_then(cuda):
    layer = nn.Linear(3, 2).to("float64")
    with pytest.raises(DTypeError, match=r"^weight: got dtype float64, which cuda:0 does not"):
        layer.to("cuda")
    assert str(layer.device) == "cpu"
    assert str(layer.to("cuda", "float32").device) == "cuda:0"


def test_tensors_move_and_their_gradients_come_back(cuda):
    x = Tensor(np.arange(6, dtype=np.float32).reshape(2, 3), requires_grad=True)
    y = x.cuda()
    assert (str(x.device), str(y.device), type(y.data)) == ("cpu", "cuda:0", DeviceArray)
    (y * 2).sum().cpu().backward()
    assert x.grad.tolist() == [[2, 2, 2], [2, 2, 2]]
    assert y.to("cuda") is y
    assert y.cpu().data.tolist() == y.numpy().tolist() == y.tolist() == x.tolist()
    assert y[0, 2].item() == 2.0


def test_a_module_on_a_gpu_does_not_become_float64(cuda):
    layer = nn.Linear(3, 2).to("cuda")
    with pytest.raises(DTypeError, match=r"^weight: got dtype float64, which cuda:0 does not"):
        layer.to("float64")
    assert (str(layer.device), str(layer.weight.dtype)) == ("cuda:0", "float32")
    assert str(layer.to("cpu", "float64").weight.dtype) == "float64"


MEETINGS = {
    "add": lambda a, b: a + b, "subtract": lambda a, b: a - b, "multiply": lambda a, b: a * b,
    "divide": lambda a, b: a / b, "matmul": lambda a, b: a @ b,
}  # fmt: skip


@pytest.mark.parametrize("name", MEETINGS)
def test_tensors_of_two_devices_do_not_meet(cuda, name):
    """The gradient of one would be left on the other's device."""
    a = Tensor(np.ones((2, 2), np.float32), requires_grad=True)
    b = Tensor(np.ones((2, 2), np.float32)).to("cuda")
    for pair in ((a, b), (b, a)):
        with pytest.raises(DeviceError, match=f"^{name}: got Tensors on cpu and cuda:0, expected"):
            MEETINGS[name](*pair)
    MEETINGS[name](a.to("cuda"), b).sum().backward()
    assert isinstance(a.grad, np.ndarray)


@pytest.mark.parametrize("name", ["AdamW", "SGD"])
def test_the_state_of_an_optimizer_follows_its_parameters(cuda, name):
    """A step on each device in turn is what all steps on one are."""
    found = []
    for moves in ((), ("cuda", "cpu", "cuda")):
        layer = nn.Linear(4, 3, generator=np.random.default_rng(5))
        options = {"momentum": 0.9} if name == "SGD" else {}
        optimizer = getattr(optim, name)(layer.named_parameters(), 0.1, **options)
        for i in range(4):
            (layer(Tensor(kernels.asarray(np.ones((2, 4), np.float32), layer.weight.data)))
             ** 2).sum().backward()  # fmt: skip
            optimizer.step()
            optimizer.zero_grad()
            if i < len(moves):
                layer.to(moves[i])
        found.append({n: kernels.asnumpy(a).tobytes() for n, a in optimizer.state_dict().items()})
    assert found[0] == found[1]


def test_an_optimizer_takes_parameters_of_several_devices(cuda):
    layers = [nn.Linear(4, 3), nn.Linear(4, 3).to("cuda")]
    optimizer = optim.AdamW([p for layer in layers for p in layer.parameters()], 0.1)
    for layer in layers:
        x = kernels.asarray(np.ones((2, 4), np.float32), layer.weight.data)
        layer(Tensor(x)).sum().backward()
    before = [layer.weight.numpy().copy() for layer in layers]
    optimizer.step()
    for layer, old in zip(layers, before):
        assert (layer.weight.numpy() != old).all()


# ---- opening ------------------------------------------------------------------------------------


def test_directories_are_opened_on_a_device(cuda, tmp_path):
    make("gpt2", "causal-lm", seed=1).save_pretrained(tmp_path)
    for options in ({"device": "cuda"}, {"device": 0}, {"device_map": "auto"},
                    {"device_map": {"": "cuda:0"}}):  # fmt: skip
        assert str(pf.load(tmp_path, **options).device) == "cuda:0"
    model = pf.load(tmp_path, device="cuda", dtype="bfloat16")
    assert (str(model.device), model.config.dtype) == ("cuda:0", "bfloat16")
    model.save_pretrained(tmp_path / "again")
    assert str(pf.load(tmp_path / "again").device) == "cpu"
    with pytest.raises(ConfigError, match="device_map: got 'cuda:1', but device is 'cpu'"):
        pf.load(tmp_path, device="cpu", device_map="cuda:1")
    with pytest.raises(ConfigError, match=r"device_map: got .*expected one device"):
        pf.load(tmp_path, device_map={"a": 0, "b": 1})


def test_a_device_that_is_missing_is_told_before_anything_is_read(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "cupy", None)
    make("gpt2", "causal-lm").save_pretrained(tmp_path)
    (tmp_path / "model.safetensors").write_bytes(b"")
    with pytest.raises(DeviceError, match=r"^device: got cuda"):
        pf.load(tmp_path, device="cuda")


def test_a_device_that_is_missing_is_told_before_data_are_read(tmp_path, monkeypatch):
    """By the commands too: a text that is not there, or hours of it, is never opened."""
    monkeypatch.setitem(sys.modules, "cupy", None)
    make("gpt2", "causal-lm").save_pretrained(tmp_path / "model")
    options = {"output_dir": tmp_path / "out", "device": "cuda"}
    for call in (
        lambda: pf.finetune("ner", tmp_path / "model", train=tmp_path / "none.jsonl", **options),
        lambda: pf.pretrain(tmp_path / "none.txt", model=tmp_path / "model", **options),
    ):
        with pytest.raises(DeviceError, match=r"^device: got cuda"):
            call()
    for arguments in (["generate", str(tmp_path / "model"), "a"], ["quickstart"]):
        name = arguments[0]
        command = getattr(importlib.import_module(f"plainformer.cli.{name}"), name)
        done = CliRunner().invoke(command, [*arguments[1:], "--device", "cuda"])
        assert done.exit_code != 0
        assert "--device: got cuda" in done.output or "device: got cuda" in str(done.exception)
        assert "1. Text" not in done.output


@pytest.mark.parametrize("command", ["generate", "predict", "evaluate", "chat", "finetune ner",
                                     "pretrain", "quickstart"])  # fmt: skip
def test_every_command_that_computes_has_the_flag(command):
    [name, *_] = command.split()
    found = getattr(importlib.import_module(f"plainformer.cli.{name}"), name)
    assert "--device" in {flag for p in found.params for flag in p.opts}


# ---- what goes to the device and when it is waited for -------------------------------------------


def counted(family, task, layers, count_of):
    """How often arrays came to the device and were waited for in one pass of a model."""
    names = {"gpt2": "n_layer", "t5": "num_layers", "bart": "encoder_layers"}
    more = {"bart": {"decoder_layers": layers}, "t5": {"num_decoder_layers": layers}}
    sizes = {names.get(family, "num_hidden_layers"): layers, **more.get(family, {})}
    if family == "distilbert":
        sizes = {"n_layers": layers}
    model = make(family, task, seed=1, **sizes).to("cuda")
    return count_of(model)


def training(task):
    def count_of(model):
        batch = batch_for(task, np.random.default_rng(0))
        batch["attention_mask"][0, -2:] = 0  # rows of several lengths
        model.train()
        counts.clear()
        with dropout_state(3):
            model(**batch).loss.backward()
        return dict(counts)

    return count_of


def writing(model):
    model.config.eos_token_id = model.generation_config.eos_token_id = None  # all rows go on
    counts.clear()
    model.eval().generate([[4, 5, 6], [7, 8]], max_new_tokens=4)
    return dict(counts)


def choosing(model):
    """Beams go on as others did."""
    cache, rows = model.new_cache(3, 8), nn.Sequences.uniform(3, 2)
    for layer in range(model.config.num_layers):
        x = device.zeros((6, 2, 4), np.float32)
        cache.attend(layer, x, x, x, rows)
    cache.advance(rows)
    counts.clear()
    cache.reorder(np.array([1, 1, 0]))
    cache.reorder(np.array([0, 1]))
    return dict(counts)


@pytest.mark.parametrize(
    ("family", "task", "count_of"),
    [
        ("gpt2", "causal-lm", training("causal-lm")),
        ("llama", "causal-lm", training("causal-lm")),
        ("bert", "masked-lm", training("masked-lm")),
        ("distilbert", "masked-lm", training("masked-lm")),
        ("gpt2", "causal-lm", writing),
        ("gpt2", "causal-lm", choosing),
        ("llama", "causal-lm", writing),
        ("bart", "seq2seq-lm", writing),
        ("t5", "seq2seq-lm", writing),
    ],
)
def test_copies_to_the_device_do_not_grow_with_the_layers(cuda, family, task, count_of):
    """Borders, positions and lengths go there once a step, whatever reads them."""
    few, many = (counted(family, task, layers, count_of) for layers in (2, 4))
    assert few == many


def test_what_is_frozen_is_copied_once_and_forgotten_with_the_array(cuda):
    like = device.zeros(1)
    frozen, free = _backend.frozen(np.arange(3)), np.arange(3)
    with pytest.raises(ValueError, match="read-only"):
        frozen[0] = 1
    assert kernels.asarray(frozen, like) is kernels.asarray(frozen, like)
    assert kernels.asarray(free, like) is not kernels.asarray(free, like)
    view = free[:2]
    view.flags.writeable = False  # what it is a view of may still change
    assert kernels.asarray(view, like) is not kernels.asarray(view, like)
    assert len(_backend._copies) >= 1
    before = len(_backend._copies)
    del frozen
    assert len(_backend._copies) == before - 1


def test_utilization_is_of_the_gpu_s_own_peak(cuda, monkeypatch):
    model = make("gpt2", "causal-lm").to("cuda")
    assert Stopwatch(model, "float32").take(0).mfu is None  # of a GPU that is not known
    monkeypatch.setattr(HOST, "describe", lambda index: "NVIDIA H200, 140 GiB", raising=False)
    assert Stopwatch(model, "bfloat16").peak == 989e12
    assert Stopwatch(model.cpu(), "float32").take(0).mfu == 0


# ---- ids and labels -----------------------------------------------------------------------------


class Deferring(HostKind):
    """As a GPU: what is wrong with ids is found by the kernels."""

    defers = True


def test_ids_of_the_host_are_checked_before_they_go_to_a_device():
    with cuda_is(Deferring()):
        model = make("gpt2", "causal-lm", seed=1).to("cuda").train()
        size = model.config.vocab_size
        with pytest.raises(
            ShapeError, match=rf"input_ids: got {size} at .*expected 0 to {size - 1}"
        ):
            model(input_ids=np.array([[1, size]]))
        with pytest.raises(ShapeError, match=rf"target: got {size} at .*ignore_index -100"):
            model(input_ids=np.array([[1, 2]]), labels=np.array([[1, size]]))


def test_what_a_kernel_reports_is_one_error_that_names_it():
    for argument, told in (
        ("ids", "ids: got 7 at flat index 3, expected 0 to 4; a kernel on the GPU found it"),
        ("target", "target: got 7 at flat index 3, expected 0 to 4; "),
        ("cache_seqlens", "cache_seqlens: got 7 at flat index 3, expected 0 to 5, which the cache"),
        ("cu_seqlens_q", "cu_seqlens_q: got 7 at flat index 3, expected 0, then no decrease up to"),
    ):
        with pytest.raises(ShapeError, match=f"^{told}"):
            _cupy.raise_reported((argument, 3, 7, 5))
