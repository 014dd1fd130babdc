"""Digests of data: another one for any other value, the same in any process."""

import ml_dtypes
import numpy as np
import pytest

from plainformer.data import TextExample
from plainformer.data.batches import EvaluationWindows, TokenBlocks
from plainformer.data.chunks import Blocks, PackedDocuments, Windows
from plainformer.data.fingerprints import digest, fingerprint_of
from plainformer.data.objectives.causal import CausalLanguageModeling
from plainformer.data.objectives.examples import ObjectiveExamples
from plainformer.data.objectives.masked import MaskedLanguageModeling
from tests.processes import run_python

OTHERS = [
    None, True, False, 0, 1, 1.0, -0.0, 0.0, "", "1", "ab", "a", b"a", [], ["ab"], ["a", "b"],
    [["a"], "b"], [["a", "b"]], {}, {"a": 1}, {"a": "1"}, {"b": 1}, {"a": None}, "\ud800",
    np.array([1, 2], np.int32), np.array([[1, 2]], np.int32), np.array([1, 2], np.int64),
    np.array([], np.int32), np.array([], np.int64), np.array([1.5], np.float32),
    np.array([1.5], ml_dtypes.bfloat16), np.float32(1.5), TextExample("a", "b"),
    TextExample("ab", None), TextExample("a", None),
]  # fmt: skip


def test_other_values_have_other_digests():
    digests = [digest(value) for value in OTHERS]
    assert len(set(digests)) == len(digests)
    assert all(d.startswith("sha256:") and len(d) == 71 for d in digests)


def test_it_is_a_function_of_the_value_alone():
    """Neither of the process (hashes of text are not), nor of strides, order of keys and place."""
    code = "from plainformer.data.fingerprints import digest; print(digest({'a': {'b', }.pop()}))"
    assert {run_python(code, PYTHONHASHSEED=s) for s in "12"} == {digest({"a": "b"})}
    array = np.arange(24, dtype=np.int32).reshape(4, 6)
    assert digest(array[:, ::2]) == digest(array[:, ::2].copy())
    assert digest({"a": 1, "b": 2}) == digest({"b": 2, "a": 1})
    assert digest(TextExample("a", "b", "x", 3)) == digest(TextExample("a", "b"))
    assert digest(["a", "b"]) == digest(("a", "b"))


def test_long_and_many_values_give_what_short_ones_give(monkeypatch):
    value = ["x" * 3000, np.arange(5000), *map(str, range(2000))]
    whole = digest(value)
    monkeypatch.setattr("plainformer.data.fingerprints._AT_ONCE", 1000)
    assert digest(value) == whole


def test_memory_mapped_ids_are_those_in_memory(tmp_path):
    ids = np.arange(1000, dtype=np.uint16)
    ids.tofile(tmp_path / "ids.bin")
    assert digest(np.memmap(tmp_path / "ids.bin", np.uint16, "r")) == digest(ids)


def test_unknown_objects_have_none():
    with pytest.raises(TypeError, match="got object, which has none"):
        digest([object()])
    assert fingerprint_of([object()]) is None

    class Costly:
        def __len__(self):
            return 3

        def __getitem__(self, index):
            raise AssertionError("is not read")

    assert fingerprint_of(Costly()) is None
    assert fingerprint_of([1]) == digest([1])


IDS, STARTS = np.arange(40, dtype=np.uint16) % 7, np.array([0, 11, 25, 40])


def causal(ids, size):
    return ObjectiveExamples(Blocks(ids, size, ahead=1), CausalLanguageModeling())


MAKE = {
    "TokenBlocks": lambda ids, size: TokenBlocks(ids, size),
    "EvaluationWindows": lambda ids, size: EvaluationWindows(ids, size),
    "Blocks": lambda ids, size: Blocks(ids, size),
    "Windows": lambda ids, size: Windows(ids, size),
    "PackedDocuments": lambda ids, size: PackedDocuments(ids, STARTS, size),
    "ObjectiveExamples": lambda ids, size: causal(ids, size),
}


@pytest.mark.parametrize("name", MAKE)
def test_data_sets_of_tokens_have_one_of_all_tokens(name):
    whole = fingerprint_of(MAKE[name](IDS, 4))
    assert whole == fingerprint_of(MAKE[name](IDS.copy(), 4))
    assert whole != fingerprint_of(MAKE[name](IDS, 5))
    for place in range(len(IDS)):
        changed = IDS.copy()
        changed[place] ^= 1
        assert fingerprint_of(MAKE[name](changed, 4)) != whole


def test_another_objective_is_another_data_set():
    blocks = Blocks(IDS, 4, ahead=1)
    masked = MaskedLanguageModeling.__new__(MaskedLanguageModeling)
    assert fingerprint_of(ObjectiveExamples(blocks, masked)) != fingerprint_of(
        ObjectiveExamples(blocks, CausalLanguageModeling())
    )
