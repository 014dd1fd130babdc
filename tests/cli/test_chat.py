"""`plainformer chat`: turns from standard input, what was said before, flags."""

import json
import os

import pytest
from click.testing import CliRunner

from plainformer.cli import main
from plainformer.tasks import Dialogue
from tests.tasks.tiny import tune


@pytest.fixture(autouse=True)
def no_waiting_for_the_disk(monkeypatch):
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    root = tmp_path_factory.mktemp("trained")
    tune("dialogue", root / "talk", max_steps=300, max_new_tokens=8, eval_strategy="no")
    tune("text-classification", root / "texts", max_steps=1)
    (root / "loud.jinja").write_text(
        "{% for m in messages %}>{{ m.content }}<|im_end|>{% endfor %}"
    )
    return root


def run(*arguments, stdin=""):
    """Exit code, standard output and standard error of a command line."""
    result = CliRunner().invoke(main, ["chat", *map(str, arguments)], input=stdin)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.exit_code, result.stdout, result.stderr


def recorded(monkeypatch):
    """Contents of the messages of each call of `Dialogue.stream` from now on."""
    inner, seen = Dialogue.stream, []

    def recording(self, messages, *arguments, **options):
        seen.append([m.content for m in messages])
        return inner(self, messages, *arguments, **options)

    monkeypatch.setattr(Dialogue, "stream", recording)
    return seen


def test_each_line_is_answered(trained):
    code, out, _ = run(trained / "talk", stdin="I am Bob\n\n  \nI am Bob\n/exit\nnever read\n")
    assert code == 0
    assert out.splitlines()[0] == "hello Bob"
    assert len(out.splitlines()) == 2


def test_reset_forgets_all_but_the_system_message(trained, monkeypatch):
    seen = recorded(monkeypatch)
    code, out, _ = run(
        trained / "talk", "--system", "be", stdin="I am Bob\n/reset\nI am Eve\nI am Ann\n"
    )
    assert code == 0
    assert seen == [
        ["be", "I am Bob"],
        ["be", "I am Eve"],
        ["be", "I am Eve", out.splitlines()[1], "I am Ann"],
    ]


def test_the_seed_draws_the_same_again_and_other_tokens_each_turn(trained):
    drawn = ["--do-sample", "--temperature", "9.0", "--seed", "3"]
    talk = "I am Bob\n/reset\nI am Bob\n"
    _, first, _ = run(trained / "talk", *drawn, stdin=talk)
    _, again, _ = run(trained / "talk", *drawn, stdin=talk)
    assert first == again
    one, other = first.splitlines()
    assert one != other


def test_the_seed_is_0_unless_told_and_is_told(trained):
    drawn = ["--do-sample", "--temperature", "9.0"]
    talks = [
        run(trained / "talk", *flags, "--json", stdin="I am Bob\nI am Eve\n")[1:]
        for flags in (drawn, [*drawn, "--seed", "0"], [*drawn, "--seed", "3"], [])
    ]
    assert [json.loads(out)["seed"] for out, _ in talks] == [0, 0, 3, None]
    said = [text for _, text in talks]  # on standard error, beside JSON
    assert said[0] == said[1] != said[2]


def test_ctrl_c_stops_an_answer_and_keeps_what_was_said(trained, monkeypatch):
    inner, seen = Dialogue.stream, []

    def interrupted(self, messages, *arguments, **options):
        seen.append([m.content for m in messages])
        for piece in inner(self, messages, *arguments, **options):
            yield piece
            if len(seen) == 1:
                raise KeyboardInterrupt

    monkeypatch.setattr(Dialogue, "stream", interrupted)
    code, out, _ = run(trained / "talk", stdin="I am Bob\nI am Eve\n")
    assert code == 0
    said = out.splitlines()[0]
    assert "hello Bob".startswith(said)
    assert said != "hello Bob"
    assert seen[1] == ["I am Bob", said.strip(), "I am Eve"]


def test_the_oldest_turns_are_left_out_and_that_is_told_once(trained):
    talk = "I am Bob and I am glad\n" * 5
    code, out, err = run(trained / "talk", stdin=talk)
    assert code == 0
    assert len(out.splitlines()) == 5
    assert err.count("it no longer sees the oldest turns") == 1


def test_a_terminal_has_a_prompt_and_ends_with_ctrl_d(trained, monkeypatch):
    lines, prompts = iter(["I am Bob"]), []

    def typed(prompt):
        prompts.append(prompt)
        try:
            return next(lines)
        except StopIteration:
            raise EOFError from None

    monkeypatch.setattr("builtins.input", typed)
    monkeypatch.setattr("plainformer.cli.chat.is_terminal", lambda: True)
    code, out, _ = run(trained / "talk")
    assert code == 0
    assert prompts == ["> ", "> "]
    assert out.splitlines()[1:] == ["hello Bob", ""]
    assert "Ctrl-D" in out.splitlines()[0]


def test_json_counts_turns(trained):
    code, out, _ = run(trained / "talk", "--json", stdin="I am Bob\nI am Eve\n")
    assert code == 0
    assert json.loads(out)["turns"] == 2


FLAGS = {
    "--system": "I am Eve",
    "--chat-template": "LOUD",
    "--max-new-tokens": "1",
    "--temperature": "9.0",
    "--top-k": "1",
    "--top-p": "0.01",
    "--seed": "5",
    "--repetition-penalty": "50.0",
}


def test_every_flag_has_a_case():
    names = {p.opts[0] for p in main.get_command(None, "chat").params}
    opening = {"--dtype", "--device", "--adapter"}
    assert names == {*FLAGS, *opening, "--do-sample", "--json", "directory"}


@pytest.mark.parametrize("flag", FLAGS)
def test_every_flag_changes_what_is_said(trained, flag):
    draws = flag in ("--temperature", "--top-k", "--top-p", "--seed")
    beside = ["--do-sample", "--temperature", "4.0"] if draws else []
    talk = "I am Bob\nI am Ann\nI am Tom\n"
    _, without, _ = run(trained / "talk", *beside, stdin=talk)
    value = trained / "loud.jinja" if FLAGS[flag] == "LOUD" else FLAGS[flag]
    code, with_it, err = run(trained / "talk", *beside, flag, value, stdin=talk)
    assert code == 0, err
    assert with_it != without


def test_a_model_for_something_else_is_refused(trained):
    code, _, err = run(trained / "texts")
    assert code == 2
    assert "was fine-tuned for text-classification" in err
    code, _, err = run(trained / "talk", "--top-k", "3", stdin="hi\n")
    assert code == 2
    assert "--top-k" in err


def test_what_is_no_utf8_is_one_line(trained):
    code, _, err = run(trained / "talk", stdin=b"I am Bob\nI am \xff\n")
    assert code == 1
    assert err == "Error: standard input: not UTF-8: byte 0xff at column 6\n"
    code, _, err = run(trained / "talk", "--system", "\udcff", stdin="I am Bob\n")
    assert code == 1
    assert "it is no text, or holds a byte that is not UTF-8 or half a character" in err


def test_the_line_is_read_as_utf8_whatever_the_locale(trained, monkeypatch):
    seen = recorded(monkeypatch)
    runner = CliRunner(charset="latin-1")
    runner.invoke(main, ["chat", str(trained / "talk")], input="\u6771".encode())
    assert seen == [["\u6771"]]
