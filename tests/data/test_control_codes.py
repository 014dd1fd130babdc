"""Control codes: tokens of labels, put in as ids."""

import pytest

from plainformer.data.control_codes import ControlCodes, add_control_codes, control_codes
from plainformer.data.tokenizer import read_tokenizer, save_tokenizer, train_bpe
from plainformer.errors import DataError


@pytest.fixture
def tokenizer():
    return train_bpe(["a good film and a bad one"], 300)


def test_codes_stand_behind_the_vocabulary_in_sorted_order(tokenizer):
    size = tokenizer.get_vocab_size()
    add_control_codes(tokenizer, ["10", "9", "9"])
    assert control_codes(tokenizer) == {"9": size, "10": size + 1}
    add_control_codes(tokenizer, ["9", "2"])
    assert control_codes(tokenizer) == {"9": size, "10": size + 1, "2": size + 2}


@pytest.mark.parametrize("label", ["a b", "|>", "<|label:x|>", "\u597d\u8bc4", "  ", "Great"])
def test_any_label_has_a_code_that_is_saved(tokenizer, tmp_path, label):
    add_control_codes(tokenizer, [label])
    save_tokenizer(tokenizer, tmp_path)
    again = read_tokenizer(tmp_path)
    assert control_codes(again) == control_codes(tokenizer) == {label: again.get_vocab_size() - 1}
    ids = ControlCodes(again).encode("a good film", label)
    assert ids[0] == again.get_vocab_size() - 1
    assert again.decode(ids.tolist()) == "a good film"


def test_the_tokenizer_is_left_as_it_is(tokenizer):
    add_control_codes(tokenizer, ["x"])
    ids = ControlCodes(tokenizer).encode("<|label:x|>", "x")
    assert ids[0] not in ids[1:]
    assert tokenizer.encode("<|label:x|>").ids == [ids[0]]


def test_an_empty_text_is_a_code_alone(tokenizer):
    add_control_codes(tokenizer, ["x"])
    assert len(ControlCodes(tokenizer).encode("", "x")) == 1


def test_unknown_labels_are_named(tokenizer):
    with pytest.raises(DataError, match="got 'x', expected none: the model has no control codes"):
        ControlCodes(tokenizer).encode("a", "x")
    add_control_codes(tokenizer, ["a", "b"])
    with pytest.raises(DataError, match=r"f:2: label: got none, expected one of a, b") as error:
        ControlCodes(tokenizer).encode("a", None, "f", 2)
    assert (error.value.file, error.value.line) == ("f", 2)
