"""Special tokens by role: spellings of both versions, well-known strings, and saving."""

import json

import pytest
from tokenizers import Tokenizer, models

from plainformer.data import tokenizer as tok
from plainformer.data.special_tokens import SpecialIds, special_ids
from plainformer.errors import CheckpointError, PlainformerWarning

VOCAB = ["a", "[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "<x>", "<y>", "b"]


def write(directory, config=None, special=None, vocab=VOCAB):
    directory.mkdir(exist_ok=True)
    model = models.WordLevel({t: i for i, t in enumerate(vocab)}, unk_token=vocab[0])
    Tokenizer(model).save(str(directory / "tokenizer.json"))
    for name, value in (("tokenizer_config", config), ("special_tokens_map", special)):
        if value is not None:
            (directory / f"{name}.json").write_text(json.dumps(value))
    return directory


def ids_in(directory, **values):
    return special_ids(tok.read_tokenizer(write(directory, **values)))


BERT = SpecialIds(pad_token_id=1, unk_token_id=2, cls_token_id=3, sep_token_id=4, mask_token_id=5)


def test_without_files_well_known_strings_decide(tmp_path):
    assert ids_in(tmp_path) == BERT
    assert BERT.all_special_ids == (1, 2, 3, 4, 5)


@pytest.mark.parametrize(
    ("vocab", "roles"),
    [
        (["<s>", "<pad>", "</s>", "<unk>", "<mask>"], "bos 0 eos 2 unk 3 sep 2 pad 1 cls 0 mask 4"),
        (["<pad>", "</s>", "<unk>"], "eos 1 unk 2 pad 0"),
        (["<unk>", "<s>", "</s>"], "bos 1 eos 2 unk 0"),
        (["a", "<|begin_of_text|>", "<|end_of_text|>"], "bos 1 eos 2"),
        (["a", "<|endoftext|>"], "bos 1 eos 1"),
        (["a", "b"], ""),
    ],
    ids=["roberta", "t5", "llama2", "llama3", "gpt2", "none"],
)
def test_families(tmp_path, vocab, roles):
    words = roles.split()
    expected = {f"{role}_token_id": int(i) for role, i in zip(words[::2], words[1::2])}
    assert ids_in(tmp_path, vocab=vocab) == SpecialIds(**expected)


@pytest.mark.parametrize(
    "entry",
    [
        "<x>",
        {"content": "<x>", "lstrip": False, "normalized": False},
        {"__type": "AddedToken", "content": "<x>"},
    ],
    ids=["text", "version 4 map", "version 4 config"],
)
@pytest.mark.parametrize("file", ["config", "special"])
def test_spellings_of_a_role(tmp_path, entry, file):
    ids = ids_in(tmp_path, **{file: {"mask_token": entry, "pad_token": None}})
    assert ids.mask_token_id == 6
    assert ids.pad_token_id is None
    assert ids.cls_token_id == 3  # not mentioned


def test_the_map_wins_unless_the_configuration_lists_added_tokens(tmp_path):
    config, special = {"mask_token": "<x>"}, {"mask_token": "<y>"}
    assert ids_in(tmp_path, config=config, special=special).mask_token_id == 7
    config["added_tokens_decoder"] = {}
    assert ids_in(tmp_path, config=config, special=special).mask_token_id == 6


@pytest.mark.parametrize(
    "extra",
    [
        {"additional_special_tokens": ["<x>", {"content": "<y>"}]},
        {"extra_special_tokens": ["<x>", "<y>"]},
        {"extra_special_tokens": {"image_token": "<x>", "audio_token": "<y>"}},
    ],
)
def test_more_special_tokens(tmp_path, extra):
    ids = ids_in(tmp_path, config=extra)
    assert ids.additional_special_token_ids == (6, 7)
    assert ids.all_special_ids == (1, 2, 3, 4, 5, 6, 7)


@pytest.mark.parametrize(
    ("limit", "expected"), [(512, 512), (1e30, None), (10**30, None), (None, None), (64.0, 64)]
)
def test_model_max_length(tmp_path, limit, expected):
    assert ids_in(tmp_path, config={"model_max_length": limit}).model_max_length == expected


def test_a_role_outside_the_vocabulary_is_warned_about_and_left_out(tmp_path):
    with pytest.warns(PlainformerWarning, match=r"pad_token: '<none>' is not in the tokenizer's"):
        ids = ids_in(tmp_path, config={"pad_token": "<none>"})
    assert ids.pad_token_id is None


def test_roles_and_settings_survive_a_save(tmp_path):
    config = {
        "bos_token": "<x>",
        "pad_token": None,
        "mask_token": {"content": "<y>", "__type": "AddedToken"},
        "extra_special_tokens": ["b"],
        "model_max_length": 77,
        "padding_side": "left",
        "truncation_side": "left",
        "model_input_names": ["input_ids"],
        "auto_map": {"AutoTokenizer": ["code.py", None]},
        "tokenizer_file": "/etc/passwd",
        "tokenizer_class": "BertTokenizer",
    }
    tokenizer = tok.read_tokenizer(write(tmp_path / "a", config=config))
    (tmp_path / "a" / "chat_template.jinja").write_text("{{ messages }}")
    tokenizer = tok.read_tokenizer(tmp_path / "a")
    tok.save_tokenizer(tokenizer, tmp_path / "b")
    assert special_ids(tok.read_tokenizer(tmp_path / "b")) == special_ids(tokenizer)
    saved = json.loads((tmp_path / "b" / "tokenizer_config.json").read_text())
    assert saved["tokenizer_class"] == "PreTrainedTokenizerFast"
    assert saved["chat_template"] == "{{ messages }}"
    assert saved["pad_token"] is None
    assert not {"auto_map", "tokenizer_file"} & saved.keys()
    tok.save_tokenizer(tokenizer, tmp_path / "c", model_max_length=5)
    assert special_ids(tok.read_tokenizer(tmp_path / "c")).model_max_length == 5


def test_token_types_are_for_models_that_take_them(tmp_path):
    bert = tok.train_wordpiece(["speak we speak"], 30)
    tok.save_tokenizer(bert, tmp_path)
    assert "token_type_ids" in special_ids(tok.read_tokenizer(tmp_path)).model_input_names
    config = {"tokenizer_class": "DistilBertTokenizerFast"}
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(config))
    assert special_ids(tok.read_tokenizer(tmp_path)).model_input_names == (
        "input_ids",
        "attention_mask",
    )


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"mask_token": 3}, "mask_token: got 3, expected a text"),
        ({"mask_token": {"content": 3}}, "mask_token: got .* expected a text"),
        ({"extra_special_tokens": "<x>"}, "extra_special_tokens: got '<x>', expected a list"),
        ({"additional_special_tokens": [None]}, "additional_special_tokens: got .None., expected"),
        ({"model_max_length": -1}, "model_max_length: got -1, expected a positive number"),
        ({"model_max_length": "512"}, "model_max_length: got '512', expected"),
        ({"model_max_length": True}, "model_max_length: got True, expected"),
        ({"padding_side": "up"}, "padding_side: got 'up', expected 'right' or 'left'"),
        ({"truncation_side": []}, r"truncation_side: got \[\], expected"),
        ({"model_input_names": "input_ids"}, "model_input_names: got 'input_ids', expected a list"),
        (
            {"model_input_names": []},
            r"model_input_names: got \[\], expected a list with 'input_ids'",
        ),
        ({"tokenizer_class": ["x"]}, r"tokenizer_class: got \['x'\], expected a text"),
    ],
)
def test_values_of_the_wrong_kind(tmp_path, config, message):
    with pytest.raises(CheckpointError, match=message):
        ids_in(tmp_path, config=config)


def test_ids_cannot_be_set_by_a_configuration(tmp_path):
    config = {"pad_token_id": 10**30, "mask_token_id": "x", "all_special_ids": []}
    assert ids_in(tmp_path, config=config) == BERT
