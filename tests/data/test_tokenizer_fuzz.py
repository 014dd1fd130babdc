"""Tokenizer files that are nearly valid: a tokenizer that encodes, or one clear error."""

import contextlib
import json
import warnings

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from plainformer.data.encoding import TextEncoder
from plainformer.data.special_tokens import special_ids
from plainformer.data.tokenizer import (
    encode_text,
    read_tokenizer,
    save_tokenizer,
    train_bpe,
    train_wordpiece,
    vocab_size,
)
from plainformer.errors import CheckpointError, ConfigError, DataError
from tests.checkpoints.mutations import damaged, edited

from .tokenizer_files import TEXTS, write_bpe, write_roberta, write_wordpiece

FUZZ = settings(
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    max_examples=60,
)
LONG = settings(FUZZ, max_examples=3000)


def use(directory):
    """Everything that is done with a tokenizer; only our own errors may come out."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # roles outside the vocabulary
        try:
            tokenizer = read_tokenizer(directory)
        except CheckpointError as error:
            message = str(error)
        else:
            message = None
            special_ids(tokenizer)
            assert 0 < vocab_size(tokenizer) <= 1 << 24
            with contextlib.suppress(DataError):
                encode_text(tokenizer, TEXTS[0])
            with contextlib.suppress(DataError, ConfigError):
                TextEncoder(tokenizer).encode(TEXTS, TEXTS, max_length=9)
            save_tokenizer(tokenizer, directory / "saved")
    if message is not None:
        assert str(directory) in message
        assert len(message) < 2000


def small(tokenizer):
    return json.loads(tokenizer.to_str())


STATES = {
    "wordpiece": small(train_wordpiece(TEXTS[:2], 80)),
    "bpe": small(train_bpe(TEXTS[:1], 265)),
}
STATES["padded"] = {
    **STATES["wordpiece"],
    "truncation": {"max_length": 9, "strategy": "LongestFirst", "stride": 2, "direction": "Right"},
    "padding": {
        "strategy": {"Fixed": 9},
        "direction": "Right",
        "pad_to_multiple_of": 4,
        "pad_id": 0,
        "pad_type_id": 0,
        "pad_token": "[PAD]",
    },
}
for state in STATES.values():  # so that edits fall on the structure, not on the vocabulary
    state["model"]["vocab"] = dict(list(state["model"]["vocab"].items())[:280])


def check_tokenizer_json(directory, data):
    state = STATES[data.draw(st.sampled_from(sorted(STATES)))]
    vocab = state["model"]["vocab"]
    changed = data.draw(edited({**state, "model": {**state["model"], "vocab": {"[UNK]": 1}}}))
    if isinstance(changed.get("model"), dict) and changed["model"].get("vocab") == {"[UNK]": 1}:
        changed["model"]["vocab"] = vocab
    (directory / "tokenizer.json").write_text(json.dumps(changed))
    use(directory)


def check_bytes(directory, data):
    name = data.draw(st.sampled_from(sorted(STATES)))
    text = json.dumps(STATES[name], ensure_ascii=False).encode()
    (directory / "tokenizer.json").write_bytes(data.draw(damaged(text)))
    use(directory)


CONFIG = {
    "tokenizer_class": "BertTokenizer",
    "mask_token": {"content": "[MASK]", "lstrip": False},
    "additional_special_tokens": ["a"],
    "added_tokens_decoder": {"5": {"content": "[MASK]", "special": True}},
    "model_max_length": 512,
    "do_lower_case": True,
    "padding_side": "right",
    "model_input_names": ["input_ids"],
}


def check_vocab_files(directory, data):
    write = data.draw(st.sampled_from([write_wordpiece, write_bpe, write_roberta]))
    for old in directory.iterdir():
        if old.is_file():
            old.unlink()
    write(directory)
    name = data.draw(st.sampled_from(sorted(p.name for p in directory.iterdir() if p.is_file())))
    valid = (directory / name).read_bytes()
    (directory / name).write_bytes(
        data.draw(st.sampled_from([valid, None])) or data.draw(damaged(valid))
    )
    config = {**CONFIG, "tokenizer_class": data.draw(st.sampled_from([None, "BertTokenizer", "x"]))}
    (directory / "tokenizer_config.json").write_text(json.dumps(data.draw(edited(config))))
    use(directory)


CHECKS = [check_tokenizer_json, check_bytes, check_vocab_files]


@pytest.mark.parametrize("check", CHECKS)
@FUZZ
@given(data=st.data())
def test_nearly_valid_files(tmp_path, check, data):
    check(tmp_path, data)


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("check", CHECKS)
@LONG
@given(data=st.data())
def test_nearly_valid_files_at_length(tmp_path, check, data):
    check(tmp_path, data)
