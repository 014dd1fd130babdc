"""Checkpoints against models: what is allowed to differ, and one error for all that is not."""

import logging

import ml_dtypes
import numpy as np
import pytest

from plainformer.checkpoints.matching import GAMMA_BETA, fit_state, to_be_trained
from plainformer.errors import CheckpointError, PlainformerWarning

EXPECTED = {
    "transformer.wte.weight": (7, 4),
    "transformer.ln_f.bias": (4,),
    "lm_head.weight": (7, 4),
}


@pytest.mark.parametrize("prefix", ["transformer.", ""], ids=["present", "absent"])
def test_prefix_may_be_present_or_absent(prefix):
    state = {
        f"{prefix}wte.weight": np.zeros((7, 4)),
        f"{prefix}ln_f.bias": np.ones(4),
        "lm_head.weight": np.zeros((7, 4)),
        f"{prefix}h.0.attn.bias": np.zeros(1),
    }
    matched, _ = fit_state(state, EXPECTED, prefix="transformer.", ignore=["*h.?.attn.bias"])
    assert list(matched) == list(EXPECTED)
    assert matched["transformer.ln_f.bias"].sum() == 4


def test_model_without_prefix_reads_a_file_with_it():
    state = {"bert.a": np.zeros(2)}
    assert fit_state(state, {"a": (2,)}, prefix="bert.")[0].keys() == {"a"}


def test_everything_that_does_not_fit_is_one_error():
    state = {"wte.weight": np.zeros((9, 4)), "ln_f.bias": np.zeros(4), "extra": np.zeros(1)}
    with pytest.raises(CheckpointError) as error:
        fit_state(state, EXPECTED, prefix="transformer.", source="some/dir")
    assert str(error.value) == (
        "some/dir: does not fit the model: missing keys (1): lm_head.weight; "
        "unexpected keys (1): extra; mismatched shapes (1): "
        "transformer.wte.weight: got (9, 4), expected (7, 4)"
    )


def test_the_same_tensor_twice_is_unexpected():
    state = {"transformer.wte.weight": np.zeros(1), "wte.weight": np.zeros(1)}
    with pytest.raises(CheckpointError, match=r"unexpected keys \(1\): wte\.weight"):
        fit_state(state, {"transformer.wte.weight": (1,)}, prefix="transformer.")


def test_long_lists_are_cut():
    expected = {f"w{i}": (1,) for i in range(20)}
    with pytest.raises(CheckpointError, match=r"missing keys \(20\): w0, .*w7, and 12 more"):
        fit_state({}, expected)


BERT = {
    "bert.embeddings.weight": (7, 4),
    "bert.LayerNorm.weight": (4,),
    "bert.LayerNorm.bias": (4,),
    "classifier.weight": (2, 4),
    "classifier.bias": (2,),
}
HEADS = ["classifier.*"]


def make(shapes):
    return {name: np.full(shape, i, np.float32) for i, (name, shape) in enumerate(shapes.items())}


def without(name):
    return {key: shape for key, shape in BERT.items() if key != name}


def test_what_fits_has_an_empty_report():
    state = make(BERT)
    matched, report = fit_state(state, BERT, prefix="bert.", may_miss=HEADS)
    assert list(matched) == list(BERT)
    assert all(matched[name] is state[name] for name in BERT)
    assert (report.missing_keys, report.unexpected_keys, report.mismatched_keys) == ([], [], [])


@pytest.mark.parametrize("prefix", ["bert.", ""], ids=["present", "absent"])
def test_old_spellings_are_renamed(prefix):
    state = make(BERT)
    old = {
        name.replace("bert.", prefix)
        .replace("LayerNorm.weight", "LayerNorm.gamma")
        .replace("LayerNorm.bias", "LayerNorm.beta"): array
        for name, array in state.items()
    }
    matched, _ = fit_state(old, BERT, prefix="bert.", renames=GAMMA_BETA)
    assert {name: matched[name].max() for name in matched} == dict(zip(BERT, range(5)))
    with pytest.raises(CheckpointError, match=r"missing keys \(2\).*unexpected keys \(2\)"):
        fit_state(old, BERT, prefix="bert.")


def test_renames_apply_in_order_and_only_where_needed():
    state = {"module.a.gamma": np.zeros(1), "b.gamma": np.ones(1)}
    renames = {r"^module\.": "", **GAMMA_BETA}
    matched, _ = fit_state(state, {"a.weight": (1,), "b.gamma": (1,)}, renames=renames)
    assert (matched["a.weight"].item(), matched["b.gamma"].item()) == (0, 1)


def test_a_new_head_is_reported_and_warned_about_at_each_load():
    state = make({name: shape for name, shape in BERT.items() if "classifier" not in name})
    for _ in range(2):
        with pytest.warns(
            PlainformerWarning, match=r"one: new weights \(2\): classifier\.weight, "
        ) as w:
            matched, report = fit_state(state, BERT, may_miss=HEADS, source="one")
        assert len(w) == 1
        assert report.missing_keys == report.new_keys == ["classifier.weight", "classifier.bias"]
        assert list(matched) == list(BERT)[:3]


def test_a_new_head_that_will_be_trained_is_reported_alone():
    state = make({name: shape for name, shape in BERT.items() if "classifier" not in name})
    with to_be_trained():
        _, report = fit_state(state, BERT, may_miss=HEADS, source="three")
    assert report.new_keys == ["classifier.weight", "classifier.bias"]
    with pytest.warns(PlainformerWarning, match="three: new weights"):
        fit_state(state, BERT, may_miss=HEADS, source="three")


def test_a_missing_body_is_an_error_though_heads_may_miss():
    with pytest.raises(CheckpointError) as error:
        fit_state(make(without("bert.LayerNorm.bias")), BERT, may_miss=HEADS, source="m")
    assert str(error.value) == "m: does not fit the model: missing keys (1): bert.LayerNorm.bias"


def test_heads_of_other_tasks_are_left_out_and_reported(caplog):
    state = make({**BERT, "qa_outputs.weight": (2, 4)})
    with caplog.at_level(logging.INFO, "plainformer"):
        matched, report = fit_state(state, BERT, may_drop=["qa_outputs.*"], source="m")
    assert list(matched) == list(BERT)
    assert report.unexpected_keys == ["qa_outputs.weight"]
    assert caplog.messages == ["m: left out (1): qa_outputs.weight"]
    with pytest.raises(CheckpointError, match=r"unexpected keys \(1\): qa_outputs\.weight"):
        fit_state(state, BERT, may_drop=["other.*"])


def test_ignored_buffers_are_not_even_reported():
    state = make({**BERT, "bert.embeddings.position_ids": (1, 512)})
    assert fit_state(state, BERT, ignore=["*.position_ids"])[1].unexpected_keys == []


def test_a_head_of_another_size_is_an_error_that_says_what_to_do():
    state = make({**BERT, "classifier.weight": (5, 4)})
    with pytest.raises(CheckpointError) as error:
        fit_state(state, BERT, may_miss=HEADS, source="m")
    assert str(error.value) == (
        "m: does not fit the model: mismatched shapes (1): classifier.weight: got (5, 4), "
        "expected (2, 4); ignore_mismatched_sizes=True starts such a head anew"
    )


def test_a_head_of_another_size_starts_anew_when_asked():
    state = make({**BERT, "classifier.weight": (5, 4)})
    with pytest.warns(PlainformerWarning, match=r"two: new weights \(1\): classifier\.weight"):
        matched, report = fit_state(state, BERT, ignore_mismatched_sizes=True, source="two")
    assert report.mismatched_keys == [("classifier.weight", (5, 4), (2, 4))]
    assert report.new_keys == ["classifier.weight"]
    assert list(matched) == list(without("classifier.weight"))


TIED = {"cls.decoder.weight": "bert.embeddings.weight"}


@pytest.mark.parametrize("dtype", [np.float32, ml_dtypes.bfloat16])
def test_a_tied_weight_stored_twice_is_taken_once(dtype):
    table = np.arange(28).reshape(7, 4).astype(dtype)
    state = {**make(BERT), "bert.embeddings.weight": table, "cls.decoder.weight": table.copy()}
    matched, report = fit_state(state, BERT, tied=TIED)
    assert matched["bert.embeddings.weight"] is table
    assert report.unexpected_keys == []


@pytest.mark.parametrize("shape", [(7, 4), (4, 7)])
def test_a_tied_weight_stored_twice_must_be_equal(shape):
    state = make({**BERT, "cls.decoder.weight": shape})
    message = r"^m: cls\.decoder\.weight: differs from bert\.embeddings\.weight, .* config\.json"
    with pytest.raises(CheckpointError, match=message):
        fit_state(state, BERT, tied=TIED, source="m")


def test_a_tied_weight_stored_under_its_other_name_is_found():
    state = make({**without("bert.embeddings.weight"), "cls.decoder.weight": (7, 4)})
    matched, report = fit_state(state, BERT, tied=TIED)
    assert matched["bert.embeddings.weight"] is state["cls.decoder.weight"]
    assert report.missing_keys == []


def test_long_names_are_cut():
    with pytest.raises(CheckpointError, match=r"x{30,60}\.\.\.x{20,40}$"):
        fit_state({"x" * 10**6: np.zeros(1)}, {})


def test_matching_reads_no_data():
    """Shapes come from headers; arrays are made when a name is looked up."""

    class Header(dict):
        shapes = {"a": (2,), "old": (1,)}  # noqa: RUF012

        def __getitem__(self, name):
            asked.append(name)
            return super().__getitem__(name)

    asked = []
    state = Header(a=np.zeros(2), old=np.ones(1))
    matched, _ = fit_state(state, {"a": (2,), "b": (1,)}, renames={"^old$": "b"})
    assert asked == []
    assert matched["b"].item() == 1
    assert asked == ["old"]
