"""Packed copies of parameters: used where nothing is recorded, never stale, never two."""

import copy
import gc
import os
import re
import threading
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest

from plainformer import _cpu, functional, kernels, nn, optim, packing, runtime
from plainformer.errors import DTypeError, ShapeError
from plainformer.nn import packed_together
from plainformer.parameter import Parameter
from plainformer.tape import no_grad
from plainformer.tensor import Tensor
from tests.differences import check_gradients
from tests.processes import run_python


def parameter(rng, *shape, dtype=np.float32):
    return Parameter(rng.standard_normal(shape).astype(dtype))


def product(x, weight):
    """x weight^T, not recorded, through the packed copy."""
    with no_grad():
        y = functional.linear(Tensor(x), weight).data
    assert weight.pack is not None
    return y.tobytes()


def live_bytes():
    gc.collect()
    return runtime.memory_stats()["live_bytes"]


# ---- one parameter -------------------------------------------------------------------------------


@pytest.mark.parametrize("rows", [1, 7, 100])
@pytest.mark.parametrize("is_in_out", [False, True], ids=["linear", "conv1d"])
def test_unrecorded_layers_use_it_with_the_same_bytes(backend, dtype, rng, rows, is_in_out):
    x = Tensor(rng.standard_normal((rows, 17)).astype(dtype))
    weight = parameter(rng, *((17, 65) if is_in_out else (65, 17)), dtype=dtype)
    bias = parameter(rng, 65, dtype=dtype)
    layer = functional.conv1d if is_in_out else functional.linear
    recorded = layer(x, weight, bias, activation="gelu")
    assert weight.pack is None, "training reads the array as it is"
    with no_grad():
        y = layer(x, weight, bias, activation="gelu")
        packed = weight.packed(is_in_out)
        assert layer(x, weight, bias, activation="gelu").data.tobytes() == y.data.tobytes()
    assert y.data.tobytes() == recorded.data.tobytes()
    assert weight.packed(is_in_out) is packed, "it is kept"
    assert packed.shape == (65, 17)


def test_the_other_orientation_replaces_it(rng):
    weight, x = parameter(rng, 512, 512), rng.standard_normal((2, 512)).astype(np.float32)
    before = live_bytes()
    weight.packed()
    one = live_bytes() - before
    y = functional.conv1d(Tensor(x), Parameter(weight.data, requires_grad=False)).data
    with no_grad():
        assert functional.conv1d(Tensor(x), weight).data.tobytes() == y.tobytes()
    assert live_bytes() - before <= one + y.nbytes + 64, "two copies of one weight"


class Layer(nn.Module):
    def __init__(self, rng):
        self.inner = nn.Linear(5, 3, bias=False)
        self.inner.weight.assign(rng.standard_normal((3, 5)).astype(np.float32))

    @property
    def weight(self):
        return self.inner.weight


def train_one_step(model, rng):
    model.weight.grad = np.ones((3, 5), np.float32)
    optim.AdamW(model.parameters(), lr=0.1).step()


def write_in_place(model, rng):
    model.weight.writable()[...] = rng.standard_normal((3, 5))


def load(model, rng):
    model.load_state_dict({"inner.weight": rng.standard_normal((3, 5)).astype(np.float32)})


WRITES = {
    "assign": lambda model, rng: model.weight.assign(np.ones((3, 5), np.float32)),
    "writable": write_in_place,
    "optimizer": train_one_step,
    "load_state_dict": load,
    "to": lambda model, rng: model.to("float64").to("float32").weight.writable().fill(2),
    "another shape": lambda model, rng: model.weight.assign(np.ones((4, 5), np.float32)),
}


@pytest.mark.parametrize("write", WRITES)
@pytest.mark.parametrize("together", [False, True], ids=["alone", "together"])
def test_every_way_to_write_a_weight_drops_it(rng, write, together):
    model, other = Layer(rng), parameter(rng, 2, 5)
    x = rng.standard_normal((4, 5)).astype(np.float32)

    def results():
        if not together:
            return product(x, model.weight)
        with no_grad():
            ys = functional.linear_together(Tensor(x), [other, model.weight])
        return b"".join(y.data.tobytes() for y in ys)

    def expected():
        plain = [Tensor(w.data) for w in ([other, model.weight] if together else [model.weight])]
        return b"".join(functional.linear(Tensor(x), w).data.tobytes() for w in plain)

    before = results()
    assert before == expected()
    shared = other.pack
    WRITES[write](model, rng)
    assert model.weight.pack is None
    assert shared is None or shared.weight is None, "its memory is held by the other parameter"
    assert results() == expected()
    assert results() != before


def test_a_write_while_it_is_packed_makes_it_stale(rng, monkeypatch):
    weight, x = parameter(rng, 3, 5), rng.standard_normal((4, 5)).astype(np.float32)
    pack_weight = kernels.pack_weight

    def interrupted(arrays):
        packed = pack_weight(arrays)
        weight.writable()[...] += 1
        return packed

    monkeypatch.setattr(kernels, "pack_weight", interrupted)
    weight.packed()
    monkeypatch.undo()
    assert product(x, weight) == kernels.linear(x, weight.data).tobytes()


def test_a_protected_array_is_copied_before_it_is_written(rng):
    array = rng.standard_normal((3, 5)).astype(np.float32)
    array.flags.writeable = False
    weight, x = Parameter(array), np.ones((1, 5), np.float32)
    before = product(x, weight)
    weight.writable()[...] += 1
    assert product(x, weight) != before


def test_it_is_made_anew_for_another_level(level, rng):
    weight, x = parameter(rng, 70, 5), rng.standard_normal((4, 5)).astype(np.float32)
    product(x, weight)
    assert weight.packed().level == level
    for other in _cpu.available_levels():
        _cpu.set_level(other)
        assert product(x, weight) == kernels.linear(x, weight.data).tobytes()
        assert weight.packed().level == other


def test_copies_of_a_parameter_have_none(rng):
    weight = parameter(rng, 3, 5)
    weight.packed()
    assert copy.deepcopy(weight).pack is None
    assert weight.pack is not None


def test_recomputation_in_training_reads_plain_weights(rng):
    layer, x = nn.Linear(5, 3), Tensor(np.ones((2, 5), np.float32), requires_grad=True)
    (y,) = nn.recompute(lambda x: [layer(x)], x)
    assert layer.weight.pack is None
    with no_grad():
        nn.recompute(lambda x: [layer(x)], x)
    assert layer.weight.pack is not None
    y.backward(np.ones((2, 3), np.float32))
    with packing.plain_weights(), packing.plain_weights():
        assert not packing.packs_weights()
    assert packing.packs_weights()


def test_what_cannot_be_packed_is_named(rng):
    with pytest.raises(ShapeError, match=r"weight: got shape \(3,\), expected \(out, in\)"):
        parameter(rng, 3).packed()
    with pytest.raises(ShapeError, match=r"weight\[1\]: got shape \(3, 4\), expected \(out, 5\)"):
        packed_together([parameter(rng, 3, 5), parameter(rng, 3, 4)])
    with pytest.raises(DTypeError, match=r"weight\[1\]: got dtype float64, expected float32"):
        packed_together([parameter(rng, 3, 5), parameter(rng, 3, 5, dtype=np.float64)])
    with pytest.raises(ShapeError, match="weight: got an empty sequence"):
        packed_together([])
    x, weights = Tensor(np.ones((1, 5), np.float32)), [parameter(rng, 3, 5)] * 2
    with pytest.raises(ShapeError, match="biases: got 1, expected 2, one a weight or None"):
        functional.linear_together(x, weights, [None])


def test_threads_that_ask_at_once_get_one(rng):
    weight = parameter(rng, 400, 300)
    barrier, found = threading.Barrier(8), []

    def ask():
        barrier.wait()
        found.append(weight.packed())

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 8
    assert all(packed is found[0] for packed in found)


def test_a_child_of_a_fork_can_pack_while_its_parent_was_packing():
    code = """
import os, signal, warnings
import numpy as np
from plainformer import packing
from plainformer.parameter import Parameter
weight = Parameter(np.ones((3, 5), np.float32))
packing._lock.acquire()
child = os.fork()
if child == 0:
    signal.alarm(20)
    os._exit(0 if weight.packed().shape == (3, 5) else 1)
print(os.waitpid(child, 0)[1])
"""
    assert run_python(code) == "0"


# ---- several parameters --------------------------------------------------------------------------


@pytest.mark.parametrize("is_in_out", [False, True], ids=["linear", "conv1d"])
@pytest.mark.parametrize("biases", ["all", "some", "none", None])
def test_layers_together_give_the_bytes_of_each_alone(backend, dtype, rng, is_in_out, biases):
    x = Tensor(rng.standard_normal((2, 4, 17)).astype(dtype))
    widths = (65, 1, 30)
    weights = [parameter(rng, *((17, n) if is_in_out else (n, 17)), dtype=dtype) for n in widths]
    weights[1].writable()[...] = -0.0  # sums that are -0.0 or 0.0
    given = None
    if biases is not None:
        given = [parameter(rng, n, dtype=dtype) for n in widths]
        given = [b if biases == "all" or (biases == "some" and i != 1) else None
                 for i, b in enumerate(given)]  # fmt: skip
    recorded = functional.linear_together(x, weights, given, is_in_out=is_in_out)
    assert all(y.requires_grad for y in recorded)
    with no_grad():
        ys = functional.linear_together(x, weights, given, is_in_out=is_in_out)
    assert len({id(w.pack) for w in weights} - {id(None)}) == 1
    assert all(y.data.base is ys[0].data.base for y in ys), "views of one product"
    assert [y.shape for y in ys] == [(2, 4, n) for n in widths]
    assert [y.data.tobytes() for y in ys] == [y.data.tobytes() for y in recorded]


def test_gradients_of_layers_together(rng):
    x = Tensor(rng.standard_normal((3, 5)), requires_grad=True)
    weights = [parameter(rng, n, 5, dtype=np.float64) for n in (4, 2)]
    biases = [parameter(rng, 4, dtype=np.float64), None]
    check_gradients(
        lambda: functional.linear_together(x, weights, biases), [x, *weights, biases[0]], rng
    )


def test_tensors_that_are_no_parameters_are_not_kept(rng):
    x = rng.standard_normal((2, 5)).astype(np.float32)
    weights = [Tensor(rng.standard_normal((n, 5)).astype(np.float32)) for n in (3, 4)]
    ys = functional.linear_together(Tensor(x), weights)
    assert [y.data.tobytes() for y in ys] == [kernels.linear(x, w.data).tobytes() for w in weights]
    mixed = [parameter(rng, 3, 5), weights[1]]
    with no_grad():
        assert len(functional.linear_together(Tensor(x), mixed)) == 2


def test_order_and_company_matter(rng):
    q, k, v = (parameter(rng, 3, 5) for _ in range(3))
    x = rng.standard_normal((2, 5)).astype(np.float32)
    first = packed_together([q, k, v])
    assert packed_together([q, k, v]) is first
    for group in ([k, q, v], [q, k], [q], [q, k, v]):
        packed = packed_together(group)
        assert packed is not first
        stacked = np.concatenate([p.data for p in group])
        assert kernels.linear(x, packed).tobytes() == kernels.linear(x, stacked).tobytes()
    assert q.packed() is not packed


# ---- memory-mapped weights -----------------------------------------------------------------------


def resident(path):
    """Bytes of a mapped file that this process holds in memory."""
    text = Path("/proc/self/smaps").read_text(encoding="utf-8")
    found = re.findall(rf"{re.escape(str(path))}\n(?:.*\n)*?Rss: +(\d+) kB", text)
    return 1024 * sum(map(int, found))


@pytest.fixture
def mapped_file(tmp_path, rng):
    path = tmp_path / "weights.bin"
    array = rng.standard_normal((1000, 700)).astype(np.float32)
    path.write_bytes(b"header.." + array.tobytes())
    return path, array


@pytest.mark.skipif(not os.path.exists("/proc/self/smaps"), reason="needs Linux's smaps")
def test_pages_of_a_mapped_weight_are_let_go(mapped_file):
    path, array = mapped_file
    mapped = np.memmap(path, np.float32, "r", 8, array.shape)
    weight, x = Parameter(mapped), np.ones((1, 700), np.float32)
    assert float(weight.data.sum()) == float(array.sum())
    assert resident(path) >= array.nbytes
    y = product(x, weight)
    assert resident(path) < 64 * 1024
    assert y == kernels.linear(x, array).tobytes()
    assert weight.data.tobytes() == array.tobytes(), "the file gives them back"


def test_pages_that_hold_changes_are_kept(mapped_file):
    path, array = mapped_file
    private = np.memmap(path, np.float32, "c", 8, array.shape)
    private[...] = 3
    protected = private.view()
    protected.flags.writeable = False
    weight = Parameter(protected)
    weight.packed()
    assert (weight.data == 3).all()
    assert path.read_bytes()[8:] == array.tobytes()


def test_arrays_without_a_file_are_left_alone(rng):
    array = rng.standard_normal((300, 300)).astype(ml_dtypes.bfloat16)
    kept = array.copy()
    for view in (array, array[::2], array.T, array[:0]):
        packing.release_pages(view)
    assert array.tobytes() == kept.tobytes()
