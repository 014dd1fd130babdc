"""Masks filled by what `pretrain --objective mlm` writes: alone, several, of some words alone."""

import json

import numpy as np
import pytest
from click.testing import CliRunner

import plainformer as pf
from plainformer.cli import main
from plainformer.errors import ConfigError, DataError, PlainformerWarning
from plainformer.models import from_config
from plainformer.tasks import open_task
from plainformer.training.batches import collate_rows

from .tiny import ENCODER

TEXTS = ["the sun is warm and the rain is wet .", "the sun is up .", "a sea is wet and cold ."]


@pytest.fixture(scope="module", params=["wordpiece:120", "bpe:300"])
def made(request, tmp_path_factory):
    directory = tmp_path_factory.mktemp("mlm")
    pf.pretrain(
        [{"text": text} for text in TEXTS * 8], config=ENCODER, tokenizer=request.param,
        objective="mlm", packing=True, block_size=24, max_steps=60, learning_rate=1e-2,
        per_device_train_batch_size=4, output_dir=directory, save_strategy="no", seed=1,
        disable_tqdm=True,
    )  # fmt: skip
    return directory


def mask(directory):
    return pf.load_tokenizer(directory).mask_token


def run(*arguments, code=0, stdin=None):
    result = CliRunner().invoke(main, [str(a) for a in arguments], input=stdin)
    assert result.exit_code == code, result.stderr
    return result


def by_hand(directory, text):
    """Probabilities (V,) at each mask, in float64."""
    tokenizer, model = pf.load_tokenizer(directory), pf.load(directory)
    ids = tokenizer.encode(text)
    logits = model([ids]).logits.data[0].astype(np.float64)
    chosen = logits[np.array(ids) == tokenizer.mask_token_id]
    powers = np.exp(chosen - chosen.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


def test_scores_are_the_probabilities_of_tokens_in_order(made):
    text = f"the sun is {mask(made)} ."
    fill = pf.pipeline("fill-mask", made)
    found = fill(text)
    [expected] = by_hand(made, text)
    assert len(found) == 5
    assert [one["token"] for one in found] == np.argsort(-expected, kind="stable")[:5].tolist()
    assert [one["score"] for one in found] == pytest.approx(np.sort(-expected)[:5] * -1, rel=1e-4)
    for one in found:
        assert one.keys() == {"score", "token", "token_str", "sequence"}
        tokenizer = pf.load_tokenizer(made)
        ids = tokenizer.encode(text)
        ids[ids.index(tokenizer.mask_token_id)] = one["token"]
        assert one["sequence"] == tokenizer.decode(ids, skip_special_tokens=True)
        assert one["token_str"] == tokenizer.decode([one["token"]])
    assert fill(text, top_k=2) == found[:2]
    assert len(fill(text, top_k=10**6)) == len(expected)


def test_several_masks_have_a_list_each_and_the_others_stay(made):
    word = mask(made)
    text = f"the {word} is wet and {word} ."
    found = pf.pipeline("fill-mask", made, top_k=3)(text)
    assert [len(one) for one in found] == [3, 3]
    expected = by_hand(made, text)
    for own, scores in zip(found, expected):
        assert [one["token"] for one in own] == np.argsort(-scores, kind="stable")[:3].tolist()
        assert all(one["sequence"].count(word) == 1 for one in own)


def test_targets_keep_their_scores_among_all(made):
    text = f"the sun is {mask(made)} ."
    fill = pf.pipeline(None, made)  # what the directory is for, its architecture says
    assert fill.task.name == "fill-mask"
    every = {one["token"]: one["score"] for one in fill(text, top_k=10**6)}
    tokenizer = open_task(made).tokenizer
    words = [tokenizer.id_to_token(i) for i in list(every)[3:30:5]]
    found = fill(text, targets=words, top_k=100)
    assert {one["token"] for one in found} == {tokenizer.token_to_id(word) for word in words}
    assert all(every[one["token"]] == one["score"] for one in found)
    assert fill(text, targets=words[0]) == [one for one in found if one["token"] == list(every)[3]]
    with pytest.warns(PlainformerWarning, match="targets: 'sunwarm' is no token; taken is its fir"):
        assert len(fill(text, targets=["sunwarm"])) == 1
    for nothing in ([], ""):
        with pytest.raises(ConfigError, match="targets: got"):
            fill(text, targets=nothing)


def test_batches_change_no_byte(made):
    word = mask(made)
    texts = [f"{word} sun", f"the rain is {word} and {word} the sun is up .", f"a {word}", word]
    fill = pf.pipeline("fill-mask", made)
    each = [fill(text) for text in texts]
    assert fill(texts, batch_size=4) == fill(texts, batch_size=1) == each


def test_logits_at_places_are_those_of_the_whole(made):
    tokenizer, model = pf.load_tokenizer(made), pf.load(made)
    ids = [tokenizer.encode(text) for text in TEXTS]
    whole = model(**tokenizer(TEXTS, padding=True, return_tensors="np")).logits.data
    flat = np.concatenate([row[: len(own)] for row, own in zip(whole, ids)])
    places = np.array([3, 0, len(flat) - 1])
    batch = collate_rows([{"input_ids": np.asarray(own, np.int32)} for own in ids])
    found = model.logits_at(places, **batch).data
    assert found.tobytes() == flat[places].tobytes()


@pytest.mark.parametrize(
    ("text", "reason"), [("no hole", r"without .+ in it, expected one"), ("", "empty|blank|'text'")]
)
def test_a_text_without_a_mask_is_named(made, text, reason):
    with pytest.raises(DataError, match=reason):
        pf.pipeline("fill-mask", made)(text)
    with pytest.raises(DataError, match=r"inputs\[1\]|without"):
        pf.pipeline("fill-mask", made)([mask(made), text])


def test_a_mask_beyond_what_the_model_takes_is_told(made):
    with pytest.raises(DataError, match=r"without .+ in its first 24 tokens"):
        pf.pipeline("fill-mask", made)("sun " * 100 + mask(made))


def test_the_command_line_says_the_same(made, tmp_path):
    word = mask(made)
    texts = [f"the sun is {word} .", f"the {word} is wet and {word} ."]
    fill = pf.pipeline("fill-mask", made)
    out = run("predict", made, *texts, "--top-k", "3").stdout
    one, two = (json.loads(line) for line in out.splitlines())
    assert one["top_k"] == fill(texts[0], top_k=3)
    assert one["token_str"] == one["top_k"][0]["token_str"]
    assert one["sequence"] == one["top_k"][0]["sequence"]
    assert two["top_k"] == fill(texts[1], top_k=3)
    assert len(two["token_str"]) == len(two["score"]) == 2
    assert word not in two["sequence"]
    given = f"{texts[0]}\n\n{texts[1]}\n"
    lines = run("predict", made, "--format", "text", stdin=given).stdout
    assert lines == f"{one['sequence']}\n\n{two['sequence']}\n"
    words = [open_task(made).tokenizer.id_to_token(one["token"]) for one in one["top_k"][1:]]
    options = [word for target in words for word in ("--targets", target)]
    table = run("predict", made, texts[0], "--output", tmp_path / "a.csv", *options)
    assert table.exit_code == 0
    assert (tmp_path / "a.csv").read_text().startswith("text,sequence,token_str,score,top_k")


def test_evaluate_gives_loss_and_perplexity_of_hidden_tokens(made, tmp_path):
    (tmp_path / "held.txt").write_text("\n".join(TEXTS * 4))
    out = run("evaluate", made, "--data", tmp_path / "held.txt", "--json").stdout
    found = json.loads(out.splitlines()[-1])
    assert found["eval_perplexity"] == pytest.approx(np.exp(found["eval_loss"]))
    assert found["task"] == "fill-mask"
    assert 0 < found["eval_loss"] < np.log(300)


def test_there_is_nothing_to_fine_tune(made, tmp_path):
    with pytest.raises(ConfigError, match="task: fill-mask has nothing to learn"):
        pf.finetune("fill-mask", made, [{"text": "a"}], output_dir=tmp_path)


def test_a_model_without_a_mask_is_named(tmp_path):
    rows = [{"text": text} for text in TEXTS]
    pf.pretrain(
        rows, config=ENCODER, tokenizer="wordpiece:60", objective="mlm", max_steps=1,
        block_size=8, output_dir=tmp_path, save_strategy="no", disable_tqdm=True,
    )  # fmt: skip
    gpt = {"model_type": "gpt2", "n_layer": 1, "n_head": 2, "n_embd": 8, "n_positions": 8}
    tokenizer = pf.load_tokenizer(tmp_path)
    model = from_config({**gpt, "vocab_size": len(tokenizer)}, "causal-lm")
    with pytest.raises(ConfigError, match="needs a model for masked-lm"):
        pf.pipeline("fill-mask", model, tokenizer)
