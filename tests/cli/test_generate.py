"""`plainformer generate`: text streams, every flag does something, errors are one line."""

import json
import shutil

import pytest
from click.testing import CliRunner

from plainformer.cli import main
from plainformer.cli._generation_flags import PYTHON_ONLY
from plainformer.data.tokenizer import (
    encode_text,
    read_tokenizer,
    save_tokenizer,
    train_char,
    train_wordpiece,
)
from plainformer.errors import ConfigError
from plainformer.generation.config import FIELDS
from plainformer.generation.texts import prompt_ids
from plainformer.models import GPT2Config, GPT2LMHeadModel
from tests.data.tokenizer_files import characters_alone
from tests.generation.toy import encoder_decoder

TEXT = "the quick brown fox jumps over the lazy dog"


@pytest.fixture(scope="module")
def directory(tmp_path_factory):
    """An untrained character model whose weights are large enough to have preferences."""
    path = tmp_path_factory.mktemp("model")
    tokenizer = characters_alone(TEXT)
    size = tokenizer.get_vocab_size()
    config = GPT2Config(
        vocab_size=size, n_positions=32, n_embd=16, n_layer=1, n_head=2, initializer_range=0.5
    )
    config.eos_token_id = None
    GPT2LMHeadModel(config, seed=3).save_pretrained(path)
    save_tokenizer(tokenizer, path)
    return str(path)


def run(*args):
    return CliRunner().invoke(main, ["generate", *args])


def values(*args):
    result = run(*args, "--json")
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout.splitlines()[-1])


def test_the_text_is_streamed_after_the_prompt(directory):
    result = run(directory, "the fox", "--max-new-tokens", "5")
    assert result.exit_code == 0
    assert result.stdout.startswith("the fox")
    assert len(result.stdout) == len("the fox") + 5 + 1


def test_json_holds_the_text_and_figures(directory):
    found = values(directory, "fox", "--max-new-tokens", "4")
    assert found["command"] == "generate"
    assert found["text"] == "fox" + found["new_text"]
    assert found["new_tokens"] == len(found["new_text"]) == 4
    assert found["tokens_per_second"] > 0


def test_runs_repeat(directory):
    assert values(directory, "fox")["text"] == values(directory, "fox")["text"]


def test_the_seed_of_what_is_drawn_is_told(directory):
    plain = values(directory, "fox")
    assert plain["seed"] == 0
    assert values(directory, "fox", "--seed", "0")["text"] == plain["text"]
    assert values(directory, "fox", "--seed", "4")["seed"] == 4
    assert values(directory, "fox", "--no-do-sample")["seed"] is None


@pytest.mark.parametrize(
    "flags",
    [
        ["--seed", "5"],
        ["--no-do-sample"],
        ["--temperature", "3"],
        ["--top-k", "2"],
        ["--top-p", "0.3"],
        ["--max-new-tokens", "7"],
        ["--dtype", "bfloat16"],
    ],
    ids=" ".join,
)
def test_flags_change_the_text(directory, flags):
    assert values(directory, "fox", *flags)["text"] != values(directory, "fox")["text"]


# Words on the command line, and the argument of `generate` that they become.
ARGUMENTS = {
    "--max-new-tokens 7": ("max_new_tokens", 7),
    "--max-length 9": ("max_length", 9),
    "--min-new-tokens 3": ("min_new_tokens", 3),
    "--min-length 5": ("min_length", 5),
    "--max-time 2.5": ("max_time", 2.5),
    "--no-do-sample": ("do_sample", False),
    "--num-beams 3": ("num_beams", 3),
    "--num-return-sequences 2": ("num_return_sequences", 2),
    "--length-penalty -1.5": ("length_penalty", -1.5),
    "--early-stopping true": ("early_stopping", True),
    "--early-stopping false": ("early_stopping", False),
    "--early-stopping never": ("early_stopping", "never"),
    "--no-use-cache": ("use_cache", False),
    "--temperature 0.5": ("temperature", 0.5),
    "--top-k 4": ("top_k", 4),
    "--top-p 0.5": ("top_p", 0.5),
    "--min-p 0.5": ("min_p", 0.5),
    "--repetition-penalty 2": ("repetition_penalty", 2.0),
    "--encoder-repetition-penalty 2": ("encoder_repetition_penalty", 2.0),
    "--no-repeat-ngram-size 2": ("no_repeat_ngram_size", 2),
    "--encoder-no-repeat-ngram-size 2": ("encoder_no_repeat_ngram_size", 2),
    "--sequence-bias [[[1],5.0]]": ("sequence_bias", [[[1], 5.0]]),
    "--forced-bos-token-id 3": ("forced_bos_token_id", 3),
    "--forced-eos-token-id 3": ("forced_eos_token_id", [3]),
    "--suppress-tokens 1 --suppress-tokens 2": ("suppress_tokens", [1, 2]),
    "--begin-suppress-tokens 1": ("begin_suppress_tokens", [1]),
    "--exponential-decay-length-penalty [2,1.5]": ("exponential_decay_length_penalty", [2, 1.5]),
    "--renormalize-logits": ("renormalize_logits", True),
    "--bos-token-id 1": ("bos_token_id", 1),
    "--eos-token-id 1 --eos-token-id 2": ("eos_token_id", [1, 2]),
    "--pad-token-id 1": ("pad_token_id", 1),
    "--decoder-start-token-id 1": ("decoder_start_token_id", 1),
    "--stop x": ("stop_strings", ["x"]),
    "--bad-words ab --bad-words c": ("bad_words_ids", [[1, 2], [0, 1, 2], [3], [0, 3]]),
    "--force-words ab": ("force_words_ids", [[0, 1, 2]]),
    "--seed 5": ("seed", 5),
}


@pytest.mark.parametrize("words", ARGUMENTS)
def test_flags_are_arguments_of_generate(directory, monkeypatch, words):
    seen = {}

    def record(model, rows, **options):
        seen.update(options)
        raise ConfigError("seen")

    monkeypatch.setattr(GPT2LMHeadModel, "generate", record)
    assert "seen" in run(directory, "fox", *words.split()).stderr
    name, value = ARGUMENTS[words]
    assert seen[name] == value


def test_every_option_has_a_flag():
    assert {*FIELDS, "seed"} - set(PYTHON_ONLY) == {name for name, _ in ARGUMENTS.values()}


def test_several_prompts_are_written_one_after_another(directory, tmp_path):
    single = [values(directory, text, "--no-do-sample")["text"] for text in ("fox", "the dog")]
    found = values(directory, "fox", "the dog", "--no-do-sample")
    assert found["texts"] == single
    assert [text[-100:] for text in single] == found["new_texts"]
    assert found["new_tokens"] == 200
    file = tmp_path / "prompts.txt"
    file.write_text("fox\nthe dog\n")
    shown = run(directory, "--input", str(file), "--no-do-sample", "--batch-size", "1")
    assert shown.stdout == f"{single[0]}\n{'-' * 20}\n{single[1]}\n"


def test_a_prompt_of_many_bytes_is_shown_as_it_is(tmp_path):
    """Characters that the tokenizer has no token for are three or four each."""
    tokenizer, prompt = train_char([TEXT]), "摊😀" * 30
    config = GPT2Config(
        vocab_size=tokenizer.get_vocab_size(), n_positions=256, n_embd=8, n_layer=1, n_head=1
    )
    GPT2LMHeadModel(config, seed=3).save_pretrained(tmp_path)
    save_tokenizer(tokenizer, tmp_path)
    flags = [str(tmp_path), "--max-new-tokens", "40", "--seed", "5"]
    found = values(flags[0], prompt, *flags[1:])
    assert found["text"] == prompt + found["new_text"]
    assert run(flags[0], prompt, *flags[1:]).stdout == found["text"] + "\n"
    both = values(flags[0], prompt, "the", *flags[1:])["texts"]
    assert both[0].startswith(prompt)


def test_batches_draw_differently(directory):
    flags = ["fox"] * 2 + ["--batch-size", "1"]
    first, second = values(directory, *flags)["texts"]
    assert first != second
    assert values(directory, *flags)["texts"] == [first, second]


def test_beams_and_several_texts_a_prompt(directory):
    found = values(directory, "fox", "--num-beams", "3", "--num-return-sequences", "2",
                   "--max-new-tokens", "9")  # fmt: skip
    assert len(set(found["texts"])) == 2
    assert all(text.startswith("fox") for text in found["texts"])


def test_a_text_stops_before_a_string(directory):
    plain = values(directory, "fox", "--max-new-tokens", "20")["new_text"]
    stop = plain[5:7]
    flags = ["fox", "--max-new-tokens", "20", "--stop", stop, "--stop", "#"]
    found = values(directory, *flags)
    assert found["new_text"] == plain[: plain.index(stop)]
    assert found["new_tokens"] == len(found["new_text"]) + 2
    assert run(directory, *flags).stdout == f"fox{found['new_text']}\n"
    several = values(directory, "fox", "the", *flags[1:])
    assert not [text for text in several["new_texts"] if stop in text]


def test_words_are_banned_or_forced(directory):
    assert "e" not in values(directory, "fox", "--bad-words", "e")["new_text"]
    assert "quick" in values(directory, "fox", "--force-words", "quick")["new_text"]


def test_the_models_own_file_decides_what_no_flag_says(directory, tmp_path):
    shutil.copytree(directory, tmp_path / "model")
    own = str(tmp_path / "model")
    (tmp_path / "model" / "generation_config.json").write_text(
        json.dumps({"do_sample": False, "max_new_tokens": 6, "stop_strings": "#"})
    )
    plain = values(directory, "fox", "--no-do-sample", "--max-new-tokens", "6")
    assert values(own, "fox")["text"] == plain["text"]
    assert values(own, "fox", "--max-new-tokens", "8")["new_tokens"] == 8


def test_an_encoder_decoder_reads_its_source(directory, tmp_path, monkeypatch):
    model = encoder_decoder(vocab_size=32, max_position_embeddings=120)
    monkeypatch.setattr("plainformer.cli.generate.load", lambda path, **options: model)
    tokenizer = read_tokenizer(directory)
    wanted = model.generate(encode_text(tokenizer, "the fox").tolist(), 8)
    wanted = tokenizer.decode(wanted[1:].tolist())
    found = values(directory, "the fox", "--max-new-tokens", "8")
    assert found["text"] == found["new_text"] == wanted
    assert wanted in run(directory, "the fox", "--max-new-tokens", "8").stdout
    assert len(values(directory, "fox", "dog", "--num-beams", "2")["texts"]) == 2


def test_prompts_begin_as_the_tokenizer_says():
    tokenizer = train_wordpiece([TEXT], 60)  # [CLS] is 2, [SEP] 3
    plain = encode_text(tokenizer, "the fox").tolist()

    class Model:
        config = GPT2Config(bos_token_id=2)

    assert prompt_ids(Model(), tokenizer, "the fox") == [2, *plain]
    Model.config = GPT2Config(bos_token_id=None)
    assert prompt_ids(Model(), tokenizer, "the fox") == plain
    assert prompt_ids(encoder_decoder(), tokenizer, "the fox") == [2, *plain, 3]


def test_the_cache_changes_no_token(directory):
    assert values(directory, "fox", "--no-use-cache")["text"] == values(directory, "fox")["text"]


def test_an_end_can_be_chosen(directory):
    plain = values(directory, "fox", "--max-new-tokens", "20")["new_text"]
    end = sorted(set(TEXT)).index(plain[3])
    ended = values(directory, "fox", "--max-new-tokens", "20", "--eos-token-id", str(end))
    assert ended["new_text"] == plain[: plain.index(plain[3]) + 1]


@pytest.mark.parametrize(
    ("args", "code", "message"),
    [
        (["fox", "--no-do-sample", "--top-k", "2"], 2, "--top-k: has no effect"),
        (["fox", "--max-new-tokens", "0"], 2, "--max-new-tokens: got 0"),
        ([""], 1, "PROMPT: got an empty text"),
        ([], 2, "expected a PROMPT, several, or --input FILE"),
        (["fox", "--input", __file__], 2, "expected a PROMPT, several, or --input FILE"),
        (["fox", "--sequence-bias", "x"], 2, "got 'x', expected JSON"),
        (["fox", "--num-beams", "2", "--max-new-tokens", "90"], 2, "must fit the 32 positions"),
        (["fox", "--bad-words", "Q"], 1, "'Q'"),
        (["fox", "--bad-words", ""], 2, "--bad-words: got ('',), expected a list of texts, none"),
        (["fox", "--force-words", " "], 2, "--force-words: got (' ',), expected a list of texts"),
        (["Fox!"], 1, "'F'"),
        (["fox", "--dtype", "int8"], 1, "dtype: got 'int8'"),
    ],
    ids=str,
)
def test_errors_are_one_line(directory, args, code, message):
    result = run(directory, *args)
    assert result.exit_code == code
    assert message in result.stderr
    assert "Traceback" not in result.output


def test_a_missing_directory_is_wrong_usage(tmp_path):
    assert run(str(tmp_path / "nowhere"), "x").exit_code == 2


def test_prompts_of_standard_input_and_of_other_systems_files(directory, tmp_path):
    lines = b"\xef\xbb\xbffox\r\nthe fox\r\n"
    (tmp_path / "a.txt").write_bytes(lines)
    flags = ["--no-do-sample", "--max-new-tokens", "3"]
    shown = run(directory, "fox", "the fox", *flags).stdout
    assert run(directory, "--input", str(tmp_path / "a.txt"), *flags).stdout == shown
    result = CliRunner().invoke(
        main, ["generate", str(directory), "--input", "-", *flags], input=lines
    )
    assert (result.exit_code, result.stdout) == (0, shown)
