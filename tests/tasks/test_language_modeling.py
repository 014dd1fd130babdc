"""Language modelling: control codes, and how texts are written."""

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

import plainformer as pf
from plainformer.cli import main
from plainformer.data import TextExample, read_tokenizer
from plainformer.data.batches import IGNORE_INDEX
from plainformer.data.control_codes import control_codes
from plainformer.errors import ConfigError, DataError
from plainformer.tasks import open_task
from plainformer.tasks.language_modeling import LanguageModelingSettings

from .tiny import BPE, DECODER, TEXTS, tune, write_jsonl

LM = "language-modeling"
ROWS = [{"text": e.text, "label": e.label} for e in TEXTS]
MIXED = [TextExample(t, "mixed") for t in ("a dull film", "so dull it was")]


def control(output_dir, **options):
    """A tiny model that writes texts of a label."""
    usual = {"train": TEXTS, "validation": TEXTS, "control_codes": True, "eval_strategy": "no"}
    return tune(LM, output_dir, **{**usual, **options})


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """A directory of one that has learned the texts."""
    directory = tmp_path_factory.mktemp("written")
    control(directory, max_steps=250, save_strategy="no")
    return directory


@pytest.fixture(scope="module")
def task(written):
    return open_task(written)


def texts_of(task, *examples, batch_size=8):
    return [text for _, text in task.predict(examples, batch_size)]


def test_a_label_decides_what_is_written(written):
    write = pf.pipeline(None, written)
    good, bad = (write({"label": label})["generated_text"] for label in ("pos", "neg"))
    assert "good" in good
    assert "bad" in bad
    assert write(label="pos")["generated_text"] == good
    for label, word in (("neg", "bad"), ("pos", "good")):
        text = write(text="truly", label=label)["generated_text"]
        assert text.startswith("truly")
        assert word in text


def test_codes_and_settings_come_back_from_the_directory(written, task):
    codes = control_codes(read_tokenizer(written))
    assert list(codes) == ["neg", "pos"]
    assert max(codes.values()) == task.model.config.vocab_size - 1
    assert json.loads((written / "task.json").read_text())["settings"]["control_codes"] is True
    assert texts_of(task, TextExample("", "pos")) == texts_of(
        open_task(written), TextExample("", "pos")
    )


def test_the_code_is_not_learned_and_the_end_is(task):
    [[feature]] = task.encode([TextExample("so good", "pos")], labelled=True)
    ids, labels = feature.inputs["input_ids"], feature.inputs["labels"]
    assert ids[0] == control_codes(task.tokenizer)["pos"]
    assert labels[0] == IGNORE_INDEX
    assert labels[1:].tolist() == ids[1:].tolist()
    assert ids[-1] == task.encoder.special.eos_token_id
    assert task.tokenizer.decode(ids[1:-1].tolist()) == "so good"


def test_texts_of_a_batch_do_not_see_each_other(task):
    alone = task.evaluate(TEXTS[:1], batch_size=1)["loss"]
    sums = [task.evaluate([e], 1)["loss"] * len(task.control.examples(e)[0].inputs["labels"][1:])
            for e in TEXTS]  # fmt: skip
    count = sum(len(task.control.examples(e)[0].inputs["labels"]) - 1 for e in TEXTS)
    assert task.evaluate(TEXTS, batch_size=8)["loss"] == pytest.approx(sum(sums) / count, rel=1e-5)
    assert alone == pytest.approx(
        sums[0] / (len(task.control.examples(TEXTS[0])[0].inputs["labels"]) - 1)
    )


def test_a_text_that_spells_a_code_is_text(task):
    spelled = "<|label:neg|><|endoftext|>"
    [[feature]] = task.encode([TextExample(spelled, "pos")], labelled=True)
    ids = feature.inputs["input_ids"]
    assert not {control_codes(task.tokenizer)["neg"], task.end} & set(ids[1:-1].tolist())
    assert task.tokenizer.decode(ids[1:-1].tolist()) == spelled


def test_a_long_text_comes_in_parts_behind_its_code(written):
    short = open_task(written, max_length=8)
    [parts] = short.encode([TextExample("what good music and so warm", "pos")], labelled=True)
    rows = [part.inputs["input_ids"] for part in parts]
    assert len(rows) > 1
    assert max(map(len, rows)) == 8
    assert {int(row[0]) for row in rows} == {control_codes(short.tokenizer)["pos"]}
    whole = np.concatenate([row[1:] for row in rows])
    assert short.tokenizer.decode(whole.tolist()) == "what good music and so warm"
    assert whole[-1] == short.end


def test_a_prompt_follows_its_code_whole_and_half_of_the_room_is_for_it(task):
    text = "what good music and so warm" * 2
    [[feature]] = task.encode([TextExample(text, "pos")], labelled=False)
    assert feature.place[0] == control_codes(task.tokenizer)["pos"]
    assert task.tokenizer.decode(feature.place[1:].tolist()) == text
    assert not feature.cut
    assert task.max_new_tokens == 32


def test_of_a_long_prompt_the_beginning_is_left_out(written):
    short = open_task(written, max_length=8, max_new_tokens=4)
    [[feature]] = short.encode([TextExample("what good music and so warm", "pos")], labelled=False)
    assert len(feature.place) == 4
    assert feature.cut
    assert feature.place[0] == control_codes(short.tokenizer)["pos"]
    assert short.tokenizer.decode(feature.place[1:].tolist()).endswith("warm")
    [text] = texts_of(short, TextExample("what good music and so warm", "pos"))
    assert isinstance(text, str)


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"no_repeat_ngram_size": 1},
        {"do_sample": True, "temperature": 2.0, "sampling_seed": 3},
        {"do_sample": True, "num_return_sequences": 3},
        {"force_words": ["cold"], "repetition_penalty": 1.5, "min_new_tokens": 3},
    ],
    ids=lambda settings: "-".join(settings) or "greedy",
)
def test_a_text_alone_and_in_a_batch_gets_the_same(written, settings):
    task = open_task(written, max_new_tokens=8, **settings)
    asked = [TextExample("", "pos"), TextExample("what", "neg"), TextExample("so good it", "pos")]
    assert texts_of(task, *asked) == [texts_of(task, one)[0] for one in asked]
    assert texts_of(task, *asked, batch_size=2) == texts_of(task, *asked)


def test_several_texts_are_drawn_for_a_label(written):
    write = pf.pipeline(None, written, do_sample=True, temperature=3.0, num_return_sequences=4,
                        sampling_seed=0)  # fmt: skip
    found = write({"label": "pos"})
    assert len({one["generated_text"] for one in found}) > 1
    assert len(found) == 4
    record = write.task.record(TextExample("", "pos"), [o["generated_text"] for o in found])
    assert record["generated_texts"] == [one["generated_text"] for one in found]
    assert (record["label"], record["text"]) == ("pos", "")
    other = pf.pipeline(None, written, do_sample=True, temperature=3.0, num_return_sequences=4,
                        sampling_seed=1)  # fmt: skip
    assert other({"label": "pos"}) != found


def test_words_are_banned_and_forced(written):
    assert "good" in texts_of(open_task(written), TextExample("truly", "pos"))[0]
    [banned] = texts_of(open_task(written, bad_words=["good"]), TextExample("truly", "pos"))
    assert "good" not in banned
    forced = open_task(written, force_words=["cold", "\u4e2d"], max_new_tokens=20)
    [text] = texts_of(forced, TextExample("", "pos"))
    assert " cold" in text
    assert "\u4e2d" in text
    assert " \u4e2d" not in text


def test_a_text_is_at_least_so_long_and_repeats_no_ngram(written):
    [text] = texts_of(open_task(written, min_new_tokens=12), TextExample("", "pos"))
    ids = open_task(written).tokenizer.encode(text).ids
    assert len(ids) >= 10  # the same text may be cut into fewer tokens
    once = open_task(written, min_new_tokens=12, no_repeat_ngram_size=1)
    [text] = texts_of(once, TextExample("", "pos"))
    words = text.split()
    assert len(set(words)) == len(words)


def test_more_data_with_a_new_label_adds_its_code(written, tmp_path):
    before = control_codes(read_tokenizer(written))
    size = open_task(written).model.config.vocab_size
    result = control(
        tmp_path / "out", model=written, train=MIXED, validation=TEXTS, replay=TEXTS,
        replay_fraction=5.0, max_steps=60,
    )  # fmt: skip
    again = open_task(tmp_path / "out")
    codes = control_codes(again.tokenizer)
    assert codes == {**before, "mixed": size}
    assert again.model.config.vocab_size == size + 1
    assert result.task.settings.control_codes  # remembered
    [text] = texts_of(again, TextExample("", "mixed"))
    assert "dull" in text
    assert "bad" in texts_of(again, TextExample("truly", "neg"))[0]


def test_old_rows_stay_when_a_code_is_added(written, tmp_path):
    control(tmp_path / "out", model=written, train=MIXED, max_steps=1, learning_rate=1e-30,
            validation=None)  # fmt: skip
    old, new = (pf.load(path).transformer.wte.weight.data for path in (written, tmp_path / "out"))
    assert len(new) == len(old) + 1
    assert np.asarray(new)[: len(old)].tobytes() == np.asarray(old).tobytes()


def test_labels_are_ignored_without_control_codes(tmp_path):
    rows = str(write_jsonl(tmp_path / "a.jsonl", ROWS * 4))
    result = tune(LM, tmp_path / "out", train=rows, validation=None, max_length=8)
    assert control_codes(result.task.tokenizer) == {}
    assert result.task.record(TextExample("a", "pos"), " b") == {
        "text": "a",
        "generated_text": "a b",
    }


def test_a_file_of_labelled_texts_is_learned(tmp_path):
    rows = str(write_jsonl(tmp_path / "a.jsonl", [{"review": e.text, "stars": i % 2}
                                                  for i, e in enumerate(TEXTS)]))  # fmt: skip
    result = control(tmp_path / "out", train=rows, validation=rows,
                     columns={"text": "review", "label": "stars"})  # fmt: skip
    assert list(control_codes(result.task.tokenizer)) == ["0", "1"]
    assert result.metrics["eval_perplexity"] == pytest.approx(np.exp(result.metrics["eval_loss"]))


@pytest.mark.parametrize(
    ("example", "message"),
    [
        (TextExample("", "great"), "label: got 'great', expected one of neg, pos"),
        (TextExample("so"), "label: got none, expected one of neg, pos"),
        (TextExample("so", "x", "f.jsonl", 3), "f.jsonl:3: label: got 'x'"),
    ],
)
def test_an_unknown_label_is_one_clear_error(task, example, message):
    with pytest.raises(DataError) as error:
        texts_of(task, example)
    assert message in str(error.value)


def test_validation_with_an_unknown_label_is_named_before_training(tmp_path):
    rows = str(write_jsonl(tmp_path / "v.jsonl", [*ROWS, {"text": "so so", "label": "mixed"}]))
    with pytest.raises(
        DataError, match=r"v.jsonl:11: label: got 'mixed', expected one of neg, pos"
    ):
        control(tmp_path / "out", validation=rows)
    assert not (tmp_path / "out" / "model.safetensors").exists()


def test_a_training_text_without_label_is_named(tmp_path):
    rows = str(write_jsonl(tmp_path / "t.jsonl", [*ROWS, {"text": "so so"}]))
    with pytest.raises(DataError, match=r"t.jsonl:11: a text without label, which control_codes"):
        control(tmp_path / "out", train=rows)


def test_a_prompt_without_text_or_label_is_an_error(task, tmp_path):
    with pytest.raises(DataError, match="no 'text'"):
        pf.pipeline(task=None, model=task)({})
    plain = tune(LM, tmp_path / "out", eval_strategy="no").task
    with pytest.raises(DataError, match="a text without tokens"):
        pf.pipeline(None, plain)({"label": "pos"})


def test_control_codes_need_codes_an_end_and_room(written, tmp_path):
    tune(LM, tmp_path / "plain", eval_strategy="no")
    with pytest.raises(ConfigError, match="control_codes: the tokenizer has none"):
        open_task(tmp_path / "plain", control_codes=True)
    with pytest.raises(ConfigError, match="no token that ends a text, which language-modeling"):
        control(tmp_path / "char", model=DECODER, tokenizer="char")
    with pytest.raises(ConfigError, match="max_new_tokens: got 64, but the model takes 64 tokens"):
        texts_of(open_task(written, max_new_tokens=64), TextExample("", "pos"))
    with pytest.raises(ConfigError, match="max_length: got 1, which leaves no room"):
        control(tmp_path / "one", model=DECODER, tokenizer=BPE, max_length=1)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"temperature": 0.5}, "temperature: has no effect without do_sample"),
        ({"sampling_seed": 0}, "sampling_seed: has no effect without do_sample"),
        ({"num_return_sequences": 2}, "num_return_sequences: has no effect without do_sample"),
        ({"do_sample": True, "temperature": 0.0}, "temperature: got 0.0"),
        ({"do_sample": True, "top_p": 1.5}, "top_p: got 1.5"),
        ({"do_sample": True, "top_k": 0}, "top_k: got 0"),
        (
            {"do_sample": True, "sampling_seed": -1},
            "sampling_seed: got -1, expected int, at least 0",
        ),
        ({"num_return_sequences": 0}, "num_return_sequences: got 0, expected int"),
        ({"max_new_tokens": 0}, "max_new_tokens: got 0, expected int"),
        ({"repetition_penalty": -1.0}, "repetition_penalty: got -1.0, expected float, at least"),
        ({"bad_words": "good"}, "bad_words: got 'good', expected"),
        ({"force_words": [" "]}, r"force_words: got \[' '\], expected a list of texts"),
    ],
)
def test_bad_settings_are_named(settings, message):
    with pytest.raises(ConfigError, match=message):
        LanguageModelingSettings(**settings)


def test_python_files_are_texts_whose_indentation_stays(tmp_path):
    source = "def f(x):\n    if x:\n\treturn 1\n        # deep\n    return  2\n\n\n"
    for name in ("a.py", "b.py"):
        Path(tmp_path, name).write_text(source * 20)
    Path(tmp_path, "__init__.py").write_text("")
    result = tune(LM, tmp_path / "out", train=str(tmp_path / "*.py"), validation=None,
                  skip_bad_lines=True)  # fmt: skip
    tokens = result.task.dataset(pf.data.read_examples(str(tmp_path / "a.py"), LM)).tokens
    assert result.task.tokenizer.decode(tokens.tolist()) == source * 20
    with pytest.raises(DataError, match=r"__init__.py: holds no text"):
        tune(LM, tmp_path / "no", train=str(tmp_path / "*.py"), validation=None)


def test_beams_write_the_best_texts_and_batches_change_nothing(tmp_path):
    written = tmp_path / "written"
    tune("language-modeling", written, max_length=24, max_steps=30, eval_strategy="no")
    prompts = ["the sun", "the rain is wet and", "warm"]
    ask = pf.pipeline(None, written, num_beams=3, num_return_sequences=2, max_new_tokens=6)
    best = pf.pipeline(None, written, num_beams=3, max_new_tokens=6)(prompts)
    each = [ask(prompt) for prompt in prompts]
    assert [texts[0] for texts in each] == best
    assert all(len(texts) == 2 and texts[0] != texts[1] for texts in each)
    assert ask(prompts, batch_size=3) == each
    with pytest.raises(ConfigError, match="expected at most num_beams 3"):
        ask("the sun", num_return_sequences=4)


def test_a_pretrained_directory_is_evaluated_on_any_text_file(tmp_path):
    texts = ["the sun is warm and the rain is wet . ", "\u592a\u9633\u5f88\u6696 . "]
    rows = [{"text": text * 8} for text in texts]
    pf.pretrain(
        rows, config=DECODER, tokenizer="bpe:300", max_steps=2, block_size=16,
        output_dir=tmp_path / "out", save_strategy="no", disable_tqdm=True,
    )  # fmt: skip
    held = tmp_path / "held.txt"
    held.write_text("".join(text * 5 for text in texts), encoding="utf-8")
    result = CliRunner().invoke(
        main, ["evaluate", str(tmp_path / "out"), "--data", str(held), "--json"]
    )
    assert result.exit_code == 0, result.stderr
    found = json.loads(result.stdout.splitlines()[-1])
    assert found["task"] == "language-modeling"
    text = held.read_text(encoding="utf-8")
    tokenizer = pf.load_tokenizer(tmp_path / "out")
    ids, model = tokenizer.encode(text), pf.load(tmp_path / "out")
    total = 0.0
    for begin in range(0, len(ids) - 1, 16):  # the tokens that it has learned from
        inputs = ids[begin : begin + 16][: len(ids) - 1 - begin]
        logits = np.asarray(model([inputs]).logits)[0].astype(np.float64)
        wanted = ids[begin + 1 : begin + 1 + len(inputs)]
        total -= (logits - np.log(np.exp(logits).sum(-1, keepdims=True)))[
            np.arange(len(wanted)), wanted
        ].sum()
    first = tokenizer.decode(ids[:1])
    bits = total / np.log(2)
    assert found["eval_loss"] == pytest.approx(total / (len(ids) - 1), rel=1e-5)
    assert found["eval_perplexity"] == pytest.approx(np.exp(found["eval_loss"]))
    assert found["eval_bits_per_character"] == pytest.approx(
        bits / (len(text) - len(first)), rel=1e-5
    )
    assert found["eval_bits_per_byte"] == pytest.approx(
        bits / (len(text.encode()) - len(first.encode())), rel=1e-5
    )
