"""`generation_config.json`: read, used, written back; nothing in it is silently ignored."""

import json

import numpy as np
import pytest

import plainformer as pf
from plainformer.errors import ConfigError, PlainformerWarning
from plainformer.generation import GenerationConfig
from plainformer.generation.config import FIELDS, INERT, UNSUPPORTED

from .toy import decoder, encoder_decoder

# Written by transformers 5 for a Marian model, and for a chat model.
TRANSLATION = {
    "bad_words_ids": [[30]], "bos_token_id": 0, "decoder_start_token_id": 30, "eos_token_id": 0,
    "forced_eos_token_id": 0, "max_length": 12, "num_beams": 4, "pad_token_id": 30,
    "renormalize_logits": True, "transformers_version": "5.0.0",
}  # fmt: skip
CHAT = {
    "bos_token_id": 1, "do_sample": True, "eos_token_id": [28, 29], "temperature": 0.6,
    "top_p": 0.9, "transformers_version": "5.0.0",
}  # fmt: skip


def save(model, path, values):
    model.save_pretrained(path)
    (path / "generation_config.json").write_text(json.dumps(values))
    return pf.load(path)


def test_a_file_is_read_and_written_back(tmp_path):
    model = save(decoder(), tmp_path / "first", TRANSLATION)
    assert model.generation_config.num_beams == 4
    model.save_pretrained(tmp_path / "second")
    written = json.loads((tmp_path / "second" / "generation_config.json").read_text())
    assert written == TRANSLATION


def test_changed_options_are_written_and_marked_as_said(tmp_path):
    model = decoder(eos_token_id=3)
    model.save_pretrained(tmp_path)
    plain = json.loads((tmp_path / "generation_config.json").read_text())
    assert plain == {"_from_model_config": True, "eos_token_id": 3}
    model.generation_config.num_beams = 2
    model.save_pretrained(tmp_path)
    said = json.loads((tmp_path / "generation_config.json").read_text())
    assert said == {"eos_token_id": 3, "num_beams": 2}
    model.generation_config = GenerationConfig()
    assert model.generation_values() == plain


def test_its_options_are_defaults_that_a_call_overrides(tmp_path):
    options = {"num_beams": 3, "max_new_tokens": 5, "repetition_penalty": 2.0, "eos_token_id": 7}
    plain = decoder()
    model = save(plain, tmp_path, options)
    np.testing.assert_array_equal(model.generate([1, 2]), plain.generate([1, 2], **options))
    found = model.generate([1, 2], 9, num_beams=1, repetition_penalty=1.0, eos_token_id=())
    np.testing.assert_array_equal(found, plain.generate([1, 2], 9))
    found = model.generate([1, 2], max_length=4)
    np.testing.assert_array_equal(found, plain.generate([1, 2], **{**options, "max_new_tokens": 2}))


def test_a_chat_file_samples_unless_told_not_to(tmp_path):
    plain = decoder()
    model = save(plain, tmp_path, CHAT)
    wanted = plain.generate(
        [4, 5], 8, do_sample=True, seed=1, temperature=0.6, top_p=0.9, eos_token_id=[28, 29]
    )
    np.testing.assert_array_equal(model.generate([4, 5], 8, seed=1), wanted)
    wanted = plain.generate([4, 5], 8, eos_token_id=[28, 29])
    np.testing.assert_array_equal(model.generate([4, 5], 8, do_sample=False), wanted)
    with pytest.raises(ConfigError, match="temperature: has no effect without do_sample"):
        model.generate([4, 5], 8, do_sample=False, temperature=0.5)


def test_an_empty_list_switches_off_what_the_file_asks_for(tmp_path):
    asked = {
        "forced_eos_token_id": 3, "suppress_tokens": [0, 22], "bad_words_ids": [[25]],
        "eos_token_id": 24, "stop_strings": "x",
    }  # fmt: skip
    model = save(decoder(), tmp_path, asked)
    found = model.generate([1, 2], 9, **{name: [] for name in asked})
    np.testing.assert_array_equal(found, decoder().generate([1, 2], 9))


def test_an_object_comes_before_the_file(tmp_path):
    model = save(decoder(), tmp_path, {"repetition_penalty": 2.0, "max_new_tokens": 3})
    given = GenerationConfig(max_new_tokens=6)
    wanted = decoder().generate([1, 2], 6, repetition_penalty=2.0)
    np.testing.assert_array_equal(model.generate([1, 2], generation_config=given), wanted)


def test_an_unknown_field_warns_by_name_and_is_kept(tmp_path):
    for _ in range(2):  # of each file
        with pytest.warns(PlainformerWarning, match="generation_config.json: my_field: unknown"):
            config = GenerationConfig.from_dict({"my_field": 3})
        assert config.to_dict() == {"my_field": 3}
    GenerationConfig.from_dict(dict.fromkeys(INERT, 1))  # a warning would be an error


@pytest.mark.parametrize("name", sorted(UNSUPPORTED))
def test_what_is_unsupported_is_refused_by_name_when_text_is_generated(name):
    model = decoder()
    model.generation_config = GenerationConfig.from_dict({name: 7})
    with pytest.raises(ConfigError, match=f"{name}: got 7, which is not supported"):
        model.generate([1])
    with pytest.raises(ConfigError, match=f"{name}: got 7, which is not supported"):
        decoder().generate([1], **{name: 7})
    for neutral in UNSUPPORTED[name].nothing:
        wanted = decoder().generate([1])
        np.testing.assert_array_equal(model.generate([1], **{name: neutral}), wanted)
        np.testing.assert_array_equal(decoder().generate([1], **{name: neutral}), wanted)


def test_old_files_have_their_options_in_the_configuration(tmp_path):
    decoder().save_pretrained(tmp_path)
    (tmp_path / "generation_config.json").unlink()
    file = tmp_path / "config.json"
    old = {"max_length": 6, "num_beams": 2, "top_k": 50, "task_specific_params": {"x": {"n": 1}}}
    file.write_text(json.dumps(json.loads(file.read_text()) | old))
    model = pf.load(tmp_path)
    wanted = decoder().generate([1, 2], num_beams=2, max_length=6)
    np.testing.assert_array_equal(model.generate([1, 2]), wanted)
    file.write_text(json.dumps(json.loads(file.read_text()) | {"num_beam_groups": 2}))
    with pytest.raises(ConfigError, match="num_beam_groups: got 2"):
        pf.load(tmp_path).generate([1, 2])


def test_special_ids_follow_the_configuration_until_they_are_said():
    model = encoder_decoder()
    first = model.generate([5, 6], 3)
    model.config.decoder_start_token_id = 8
    assert model.generate([5, 6], 3)[0] == 8
    model.generation_config.decoder_start_token_id = 2
    np.testing.assert_array_equal(model.generate([5, 6], 3), first)


def test_every_option_is_described():
    text = GenerationConfig.__doc__
    assert not [name for name in FIELDS if name not in text]
