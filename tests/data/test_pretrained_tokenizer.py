"""`pf.load_tokenizer`: what scripts for transformers' tokenizers ask, and what is refused."""

import copy
import json
import pickle

import numpy as np
import pytest

import plainformer as pf
from plainformer.data import as_backend
from plainformer.data.chat_template import CHATML, END, START
from plainformer.errors import ConfigError, DataError, DTypeError, ShapeError
from tests.data.tokenizer_files import PAIRS, TEXTS, write_bpe, write_wordpiece


@pytest.fixture
def bert(tmp_path):
    return pf.load_tokenizer(write_wordpiece(tmp_path / "bert", model_max_length=32))


@pytest.fixture
def gpt2(tmp_path):
    return pf.load_tokenizer(write_bpe(tmp_path / "gpt2", tokenizer_class="GPT2Tokenizer"))


def test_a_text_gives_lists_and_several_lists_of_lists(bert):
    alone = bert("the fox")
    assert alone == {
        "input_ids": bert.convert_tokens_to_ids(["[CLS]", "the", "fox", "[SEP]"]),
        "token_type_ids": [0] * 4,
        "attention_mask": [1] * 4,
    }
    several = bert(["the fox", "the lazy dog"], padding=True)
    assert several.input_ids[0] == [*alone["input_ids"], bert.pad_token_id]
    assert several.attention_mask == [[1, 1, 1, 1, 0], [1] * 5]
    assert json.loads(json.dumps(several)) == several
    for texts in (np.array(["fox", "dog"]), ("fox", "dog"), iter(["fox", "dog"])):
        assert bert(texts) == bert(["fox", "dog"])


def test_arrays_are_what_models_take(bert):
    batch = bert(TEXTS, PAIRS, padding=True, return_tensors="np")
    assert {array.shape for array in batch.values()} == {batch["input_ids"].shape}
    model = pf.BertModel(pf.BertConfig(
        vocab_size=len(bert), hidden_size=8, num_hidden_layers=1, num_attention_heads=2,
        intermediate_size=8, max_position_embeddings=64,
    )).eval()  # fmt: skip
    together = model(**batch).last_hidden_state.data
    alone = model(**bert(TEXTS[0], PAIRS[0], return_tensors="np")).last_hidden_state.data
    np.testing.assert_array_equal(together[0, : alone.shape[1]], alone[0])


def test_padding_and_truncation(bert):
    ids = bert("the quick brown fox is lazy", max_length=5)["input_ids"]
    assert len(ids) == 5
    assert ids[-1] == bert.sep_token_id
    assert len(bert("fox", padding="max_length")["input_ids"]) == 32
    assert len(bert("fox", padding="max_length", max_length=9)["input_ids"]) == 9
    assert len(bert("fox", padding=True, pad_to_multiple_of=8)["input_ids"]) == 8
    assert len(bert("fox " * 50, truncation=True)["input_ids"]) == 32
    assert len(bert("fox " * 50)["input_ids"]) == 52  # as it is, like transformers
    bert.padding_side = "left"
    assert bert(["fox", "the fox"], padding=True).input_ids[0][0] == bert.pad_token_id


def test_words_offsets_and_windows(bert):
    words = bert(["the", "isnt", "dog"], is_split_into_words=True)
    assert words.word_ids() == [None, 0, 1, 1, 2, None]
    assert words.tokens()[2:4] == ["isn", "##t"]
    pair = bert("fox", "the lazy dog", return_offsets_mapping=True)
    assert pair.sequence_ids() == [None, 0, None, 1, 1, 1, None]
    assert pair["offset_mapping"][4] == [4, 8]
    windows = bert(
        "fox", "the lazy dog " * 4, truncation="only_second", max_length=8, stride=1,
        return_overflowing_tokens=True,
    )  # fmt: skip
    assert windows["overflow_to_sample_mapping"] == [0] * len(windows["input_ids"])
    assert len(windows["input_ids"]) > 2
    with pytest.raises(ConfigError, match="word_ids: not there"):
        bert("fox").word_ids()
    with pytest.raises(AttributeError, match="got no 'labels'"):
        bert("fox").labels  # noqa: B018


def test_back_to_text(bert, gpt2):
    ids = bert.encode("the fox")
    assert bert.decode(ids) == "[CLS] the fox [SEP]"
    assert bert.decode(np.array(ids), skip_special_tokens=True) == "the fox"
    assert bert.decode(ids[1]) == "the"
    assert bert.batch_decode([ids, ids[1:2]], skip_special_tokens=True) == ["the fox", "the"]
    assert bert.tokenize("the fox") == ["the", "fox"]
    assert bert.convert_tokens_to_ids("no such word") == bert.unk_token_id
    for text in TEXTS:
        assert gpt2.decode(gpt2.encode(text, add_special_tokens=False)) == text
    with pytest.raises(DTypeError, match=r"token_ids: got .* expected ids; see batch_decode"):
        bert.decode([ids])


def test_roles_may_be_set(gpt2, tmp_path):
    assert gpt2.pad_token is None
    assert gpt2.pad_token_id is None
    with pytest.raises(ConfigError, match="padding: the tokenizer has no pad_token; set one"):
        gpt2(["a", "a b"], padding=True)
    with pytest.raises(ConfigError, match="pad_token: got 'x y', expected a token of the vocab"):
        gpt2.pad_token = "x y"
    gpt2.pad_token = gpt2.eos_token
    assert gpt2(["a", "a b"], padding=True).input_ids[0][-1] == gpt2.eos_token_id
    gpt2.save_pretrained(tmp_path / "saved")
    again = pf.load_tokenizer(tmp_path / "saved", use_fast=True, padding_side="left")
    assert again.pad_token_id == gpt2.eos_token_id
    assert again.padding_side == "left"
    assert again.get_vocab() == gpt2.get_vocab()
    assert "eos_token='<|endoftext|>'" in repr(again)


def test_what_cannot_be_is_named(bert, tmp_path):
    for options, message in (
        ({"return_tensors": "pt"}, "return_tensors: got 'pt', expected 'np' or None"),
        ({"padding": "longer"}, "padding: got 'longer', expected True, 'longest'"),
        ({"stride": 3}, "stride: got 3, which needs return_overflowing_tokens=True"),
        ({"truncation": "some"}, "truncation: got 'some', expected one of"),
    ):
        with pytest.raises(ConfigError, match=message):
            bert("fox", **options)
    with pytest.raises(ShapeError, match="input_ids: texts have several lengths; give padding"):
        bert(["fox", "the fox"], return_tensors="np")
    with pytest.raises(DTypeError, match=r"texts\[0\]: got int, expected strings"):
        bert([3])
    with pytest.raises(ConfigError, match="sied: is no option of a tokenizer"):
        pf.load_tokenizer(tmp_path / "bert", sied="left")
    with pytest.raises(ConfigError, match="trust_remote_code: got True"):
        pf.load_tokenizer(tmp_path / "bert", trust_remote_code=True)


def test_it_stands_for_the_librarys_tokenizer(gpt2):
    """For stop strings and streams, too, special tokens write nothing."""
    assert as_backend(gpt2) is gpt2.backend_tokenizer
    model = pf.GPT2LMHeadModel(
        pf.GPT2Config(vocab_size=len(gpt2), n_embd=8, n_layer=1, n_head=2, n_positions=64), seed=3
    ).eval()
    ids = gpt2.encode("a fox")
    whole = model.generate(ids, 12, eos_token_id=[], pad_token_id=0)
    pieces = model.stream(ids, 12, tokenizer=gpt2, eos_token_id=[], pad_token_id=0)
    end = gpt2.eos_token_id
    assert "".join(pieces) == gpt2.decode([i for i in whole[len(ids) :] if i != end])


def test_dialogues_are_written_by_the_template(tmp_path):
    talk = [{"role": "user", "content": "hi <|im_end|>"}, {"role": "assistant", "content": "yo"}]
    tok = pf.load_tokenizer(
        write_bpe(tmp_path, last=("<|endoftext|>", START, END), chat_template=CHATML)
    )
    for mark in (START, END):
        tok.backend_tokenizer.add_special_tokens([mark])
    text = tok.apply_chat_template(talk, tokenize=False)
    assert text == f"{START}user\nhi {END}{END}\n{START}assistant\nyo{END}\n"
    asks = tok.apply_chat_template(talk[:1], tokenize=False, add_generation_prompt=True)
    assert asks == f"{START}user\nhi {END}{END}\n{START}assistant\n"
    ids = tok.apply_chat_template(talk)
    assert tok.decode(ids) == text
    assert ids.count(tok.convert_tokens_to_ids(END)) == 2  # what the user wrote is text
    assert tok.decode(tok.apply_chat_template(talk[:1], add_generation_prompt=True)) == asks
    with pytest.raises(DataError, match="conversation:1: message 0: role 'me', expected one of"):
        tok.apply_chat_template([{"role": "me", "content": "x"}])
    plain = pf.load_tokenizer(write_wordpiece(tmp_path / "plain"))
    with pytest.raises(ConfigError, match="the tokenizer has no chat template"):
        plain.apply_chat_template(talk)


def test_copies_remember_and_cut_as_the_first(bert):
    bert.pad_token, bert.truncation_side = "[MASK]", "left"
    for again in (copy.copy(bert), copy.deepcopy(bert), pickle.loads(pickle.dumps(bert))):
        assert repr(again) == repr(bert)
        options = {"max_length": 6, "truncation": True, "padding": "max_length"}
        assert again(TEXTS, **options) == bert(TEXTS, **options)
        assert pickle.loads(pickle.dumps(again(TEXTS))).tokens() == bert(TEXTS).tokens()
    own = copy.deepcopy(bert)
    own.backend_tokenizer.add_tokens(["foxfox"])
    assert own("foxfox", max_length=9)["input_ids"] == own("foxfox")["input_ids"]
    assert len(bert) == len(own) - 1


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda t: t(np.array("fox")), "texts: got ndarray, expected a list of strings"),
        (lambda t: t.decode([1], skip_special_tokens="no"), "skip_special_tokens: got 'no'"),
        (lambda t: t.batch_decode(3), "sequences: got 3, expected rows of ids"),
        (lambda t: t.batch_decode("fox"), "sequences: got 'fox', expected rows of ids"),
        (lambda t: t.convert_ids_to_tokens("fox"), "ids: got 'fox', expected an id"),
        (lambda t: t.convert_ids_to_tokens([-1]), r"ids: got \[-1\], expected an id"),
        (lambda t: t.convert_ids_to_tokens(1.5), "ids: got 1.5, expected an id"),
        (lambda t: t.convert_tokens_to_ids(3), "tokens: got 3, expected a token"),
        (lambda t: t.convert_tokens_to_ids(["a", None]), "tokens: got None, expected a token"),
    ],
)
def test_ids_and_tokens_of_another_kind_are_named(bert, call, message):
    with pytest.raises((DTypeError, ConfigError), match=message):
        call(bert)
