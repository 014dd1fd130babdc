"""`plainformer generate`: text streams, every flag does something, errors are one line."""

import json

import pytest
from click.testing import CliRunner

from plainformer.cli import main
from plainformer.data.tokenizer import save_tokenizer, train_char
from plainformer.models import GPT2Config, GPT2LMHeadModel

TEXT = "the quick brown fox jumps over the lazy dog"


@pytest.fixture(scope="module")
def directory(tmp_path_factory):
    """An untrained character model whose weights are large enough to have preferences."""
    path = tmp_path_factory.mktemp("model")
    tokenizer = train_char([TEXT])
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
        (["fox", "--no-do-sample", "--top-k", "2"], 2, "top_k: has no effect"),
        (["fox", "--max-new-tokens", "0"], 2, "max_new_tokens: got 0"),
        ([""], 1, "PROMPT: got an empty text"),
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
