"""Translation, summarization and prose: what is learned, what is cut, what is written."""

import math

import numpy as np
import pytest

import plainformer as pf
from plainformer.data import Document, PairExample, TextExample, encode_documents
from plainformer.data.batches import IGNORE_INDEX
from plainformer.data.tokenizer import save_tokenizer
from plainformer.data.tokenizer_training import train_char
from plainformer.errors import ConfigError
from plainformer.models import from_config
from plainformer.tasks import open_task

from .tiny import DECODER, PAIRS, SEQ2SEQ, tune


def first(task, example, labelled=True):
    [[feature]] = task.encode([example], labelled=labelled)
    return feature


def test_an_encoder_decoder_learns_the_target_and_its_end(tmp_path):
    task = tune("translation", tmp_path / "out", max_steps=1).task
    feature = first(task, PAIRS[0])
    source, target = feature.inputs["input_ids"], feature.inputs["labels"]
    assert task.tokenizer.decode(source.tolist()).startswith(PAIRS[0].source)
    assert task.tokenizer.decode(target.tolist()) == PAIRS[0].target
    assert source[-1] == target[-1] == task.end
    special = task.encoder.special
    assert task.model.config.decoder_start_token_id == special.pad_token_id != task.end


def test_a_decoder_learns_the_target_alone(tmp_path):
    task = tune(
        "translation", tmp_path / "out", model=DECODER, tokenizer="bpe:300", max_steps=1
    ).task
    feature = first(task, PAIRS[0])
    ids, labels = feature.inputs["input_ids"], feature.inputs["labels"]
    learned = labels != IGNORE_INDEX
    assert (ids[learned] == labels[learned]).all()
    assert task.tokenizer.decode(ids[~learned].tolist()) == f"{PAIRS[0].source}\n=>"
    assert task.tokenizer.decode(ids[learned].tolist()) == PAIRS[0].target
    assert labels[-1] == task.end


def test_a_prompt_of_ones_own(tmp_path):
    task = tune(
        "translation", tmp_path / "out", model=DECODER, tokenizer="bpe:300", max_steps=1,
        prompt="turn {source} round: ",
    ).task  # fmt: skip
    feature = first(task, PAIRS[0], labelled=False)
    assert task.tokenizer.decode(feature.place.tolist()) == f"turn {PAIRS[0].source} round: "


@pytest.mark.parametrize("model", [SEQ2SEQ, DECODER], ids=["encoder-decoder", "decoder"])
def test_long_texts_are_cut_at_their_ends_and_counted(tmp_path, model):
    task = tune(
        "summarization", tmp_path / "out", model=model, tokenizer="bpe:300", max_steps=1,
        max_length=20, max_target_length=5,
    ).task  # fmt: skip
    feature = first(task, PairExample("a b c " * 40, "x y z " * 40))
    assert feature.cut
    limit = 20 if model is SEQ2SEQ else 15
    assert len(feature.place) == limit
    written = feature.inputs["labels"]
    assert np.count_nonzero(written != IGNORE_INDEX) == 5
    assert written[-1] == task.end
    if model is DECODER:
        assert task.tokenizer.decode(feature.place.tolist()).endswith("=>")
    assert not first(task, PairExample("a", "x")).cut


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"prompt": "no place"}, "prompt: got 'no place', expected str, {source} in it once"),
        ({"prompt": "{source} =>"}, "expected {source} at its end for an encoder-decoder"),
        ({"max_target_length": 48}, "max_target_length: got 48, the model has room for 47"),
        ({"num_beams": 1, "length_penalty": 2.0}, "length_penalty: has no effect with num_beams=1"),
    ],
)
def test_bad_options(tmp_path, options, message):
    with pytest.raises(ConfigError) as caught:
        tune("translation", tmp_path / "out", **options)
    assert message in str(caught.value)


@pytest.mark.parametrize("model", [SEQ2SEQ, DECODER], ids=["encoder-decoder", "decoder"])
def test_a_tokenizer_without_an_end_gets_one(tmp_path, model):
    save_tokenizer(train_char([f"{p.source}\n=>{p.target}" for p in PAIRS]), tmp_path / "chars")
    tokenizer = str(tmp_path / "chars")
    tune("summarization", tmp_path / "out", model=model, tokenizer=tokenizer, max_steps=1)
    task = open_task(tmp_path / "out")
    assert task.tokenizer.id_to_token(task.end) == "</s>"
    assert first(task, PAIRS[0]).inputs["labels"][-1] == task.end


def test_a_model_that_never_learned_to_end_is_not_opened(tmp_path):
    tokenizer = train_char([p.source for p in PAIRS])
    from_config({**DECODER, "vocab_size": 7}, "causal-lm").save_pretrained(tmp_path)
    save_tokenizer(tokenizer, tmp_path)
    with pytest.raises(ConfigError, match="tokenizer: has no token that ends a text, which transl"):
        open_task(tmp_path, "translation")


def test_perplexity_is_that_of_the_loss(tmp_path):
    for task in ("dialogue", "language-modeling"):
        metrics = tune(task, tmp_path / task, max_steps=1).metrics
        assert metrics["eval_perplexity"] == pytest.approx(np.exp(metrics["eval_loss"]))


def test_bits_a_character_of_prose_by_hand(tmp_path):
    texts = [TextExample("the sun is wärm"), TextExample("and the rain")]
    for tokenizer, size in (("bpe:300", 7), ("char", 5)):
        task = tune(
            "language-modeling", tmp_path / tokenizer, tokenizer=tokenizer, max_length=size,
            train=texts, validation=texts, max_steps=1, per_device_train_batch_size=1,
        ).task  # fmt: skip
        metrics = task.evaluate(texts)
        ids = encode_documents(task.tokenizer, [Document(e.text, "") for e in texts])
        total = 0.0
        for begin in range(0, len(ids) - 1, size):
            inputs = ids[begin : begin + size][: len(ids) - 1 - begin].astype(np.int32)
            logits = np.asarray(task.model(input_ids=inputs[None]).logits)[0].astype(np.float64)
            norm = np.log(np.exp(logits).sum(-1))
            wanted = ids[begin + 1 : begin + 1 + len(inputs)]
            total += (norm - logits[np.arange(len(wanted)), wanted]).sum()
        first = len(task.tokenizer.decode(ids[:1].tolist()))  # predicted by nothing
        characters = sum(len(e.text) for e in texts) - first
        bits = total / math.log(2) / characters
        assert metrics["bits_per_character"] == pytest.approx(bits, rel=1e-5)
        if tokenizer == "char":  # a token is a character
            assert bits == pytest.approx(metrics["loss"] / math.log(2), rel=1e-5)


def test_prose_is_continued(tmp_path):
    result = tune(
        "language-modeling", tmp_path / "out", max_steps=250, max_length=16, max_new_tokens=6,
        eval_strategy="no",
    )  # fmt: skip
    [(_, new)] = result.task.predict([TextExample("the sun")])
    assert new.startswith(" is warm and")


@pytest.mark.parametrize("model", [SEQ2SEQ, DECODER], ids=["encoder-decoder", "decoder"])
def test_the_field_that_was_cut_is_named(tmp_path, caplog, model):
    pairs = [*PAIRS, PairExample("a x", "x a " * 60), PairExample("a x " * 60, "x a " * 60)]
    with caplog.at_level("INFO", "plainformer"):
        task = tune("summarization", tmp_path / "out", model=model, tokenizer="bpe:300",
                    max_steps=1, train=pairs, validation=pairs[-2:-1]).task  # fmt: skip
    source = task.field_limits()["document"]
    told = f"1 with document cut to {source}, 2 with summary cut to {task.max_target}"
    assert [m for m in caplog.messages if m.startswith("train: ") and m.endswith(f"; {told}")]
    told = f"validation: 1 example; 1 with summary cut to {task.max_target}"
    assert caplog.messages.count(told) == 2


@pytest.mark.parametrize("task", ["translation", "summarization"])
def test_several_texts_of_an_input_as_transformers_gives_them(tmp_path, task):
    made = tune(task, tmp_path, eval_strategy="no", max_steps=4).task
    name, both = f"{task}_text".replace("arization", "ary"), made.several
    sources = [e.source for e in PAIRS[:3]]
    one = pf.pipeline(None, tmp_path, num_beams=4)
    ask = pf.pipeline(None, tmp_path, num_beams=4, num_return_sequences=3)
    each = [ask(source) for source in sources]
    assert [[list(text) for text in texts] for texts in each] == [[[name]] * 3] * 3
    assert [texts[0] for texts in each] == one(sources)
    assert all(len({text[name] for text in texts}) > 1 for texts in each)
    assert ask(sources, batch_size=3) == each == ask(sources, batch_size=1)
    record = ask.task.record(PAIRS[0], next(iter(ask.task.predict(PAIRS[:1])))[1])
    assert record[name] == record[both][0]
    assert record[both] == [text[name] for text in each[0]]
    assert ask.task.evaluate(PAIRS) == one.task.evaluate(PAIRS)
    with pytest.raises(ConfigError, match="num_return_sequences: got 5, expected at most num_beam"):
        ask("a x", num_return_sequences=5)
    with pytest.raises(ConfigError, match="num_return_sequences: has no effect without num_beams"):
        ask("a x", num_beams=1)


@pytest.mark.parametrize("task", ["translation", "summarization"])
def test_text2text_generation_opens_what_writes_a_text_for_a_text(tmp_path, task):
    config = {"model": SEQ2SEQ, "tokenizer": "bpe:300"}
    tune(task, tmp_path, eval_strategy="no", max_steps=4, prompt="turn: {source}", **config)
    texts = ["a x", "b z"]
    [name] = open_task(tmp_path).answer_fields
    own = pf.pipeline(task, tmp_path)(texts)
    assert pf.pipeline("text2text-generation", tmp_path)(texts) == [
        {"generated_text": one[name]} for one in own
    ]
    other = {"translation": "summarization", "summarization": "translation"}[task]
    with pytest.raises(ConfigError, match=f"was fine-tuned for {task}"):
        pf.pipeline(other, tmp_path)


def test_exact_matches_are_counted_without_white_space(tmp_path):
    task = tune("text2text-generation", tmp_path, eval_strategy="no", max_steps=1).task
    found = task.score_texts(["a  b", "c", "x y"], ["a b ", "d", "x y"])
    assert found["exact_match"] == pytest.approx(2 / 3)
    assert 0 < found["chrf"] < 100
