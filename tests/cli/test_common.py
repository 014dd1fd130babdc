"""What every command shares: the JSON line, one-line errors, exit codes."""

import json
import logging
import os
import subprocess
import sys
import warnings

import click
import numpy as np
import pytest
from click.testing import CliRunner

from plainformer.cli import _common, main
from plainformer.errors import ConfigError, DataError, warn_once


def run(function, *args):
    command = click.command("work", cls=_common.Command)(function)
    return CliRunner().invoke(command, args)


def last_json(result):
    return json.loads(result.stdout.splitlines()[-1])


def test_json_is_the_last_line_and_talk_goes_to_stderr():
    def work():
        _common.echo("talking")
        return {"loss": np.float32(0.5), "steps": np.int64(3), "eval_loss": float("nan")}

    result = run(work, "--json")
    assert result.exit_code == 0
    assert result.stdout.count("\n") == 1
    assert "talking" in result.stderr
    values = last_json(result)
    assert (values["command"], values["loss"], values["steps"]) == ("work", 0.5, 3)
    assert values["eval_loss"] is None
    assert "version" in values


def test_without_json_people_read_stdout():
    def work():
        _common.echo("talking")
        return {"steps": 3}

    assert run(work).stdout == "talking\n"


@pytest.mark.parametrize(
    ("error", "code", "text"),
    [
        (DataError("bad", "a.txt", 3), 1, "a.txt:3: bad"),
        (FileNotFoundError(2, "No such file", "x"), 1, "No such file"),
        (MemoryError(), 1, "out of memory"),
        (KeyboardInterrupt("resume with --resume-from-checkpoint"), 130, "resume with"),
        (click.UsageError("wrong flag"), 2, "wrong flag"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_errors_are_one_line_and_an_exit_code(error, code, text):
    def work():
        raise error

    result = run(work, "--json")
    assert result.exit_code == code
    assert text in result.stderr
    assert "Traceback" not in result.stderr
    assert text in last_json(result)["error"]


def test_a_panic_of_a_library_is_one_line():
    """Rust's panics are no Exception: click lets them through to the interpreter."""

    class PanicException(BaseException):
        pass

    def work():
        raise PanicException("index out of bounds:\nthe len is 0")

    result = run(work, "--json")
    assert result.exit_code == 1
    assert result.stderr == (
        "Error: the tokenizers library failed: index out of bounds: the len is 0\n"
    )


def test_a_defect_keeps_its_traceback():
    def work():
        raise ZeroDivisionError("ours")

    result = run(work, "--json")
    assert isinstance(result.exception, ZeroDivisionError)
    assert "ours" in last_json(result)["error"]


def test_bad_usage_reports_json_too():
    result = run(lambda: {}, "--json", "--no-such-flag")
    assert result.exit_code == 2
    assert "no-such-flag" in last_json(result)["error"]


def test_config_errors_of_flags_are_usage():
    def work():
        with _common.usage_errors():
            raise ConfigError("max_steps: got -1")

    assert run(work).exit_code == 2


def test_log_and_warnings_are_lines_on_stderr():
    def work():
        logging.getLogger("plainformer").info("reading")
        warn_once("slow path", cause="test_log_and_warnings")

    with warnings.catch_warnings():
        warnings.simplefilter("always")  # as on a command line; pytest makes them errors
        result = run(work)
    assert result.stderr.splitlines() == ["reading", "Warning: slow path"]


@pytest.mark.parametrize(
    ("args", "data"),
    [
        (["--data", "a"], ("a",)),
        (["--data", "a", "b", "c", "--json"], ("a", "b", "c")),
        (["--data", "a", "--json", "--data", "b", "c"], ("a", "b", "c")),
        (["--data=a"], ("a",)),
        ([], ()),
    ],
)
def test_files_option_takes_several_words(args, data):
    got = []

    @click.option("--data", cls=_common.FilesOption)
    def work(data):
        got.append(data)

    assert run(work, *args).exit_code == 0
    assert got == [data]


def test_words_after_other_flags_are_still_wrong_usage():
    @click.option("--data", cls=_common.FilesOption)
    @click.option("--steps", type=int)
    def work(data, steps):
        raise AssertionError

    assert run(work, "--data", "a", "--steps", "3", "b").exit_code == 2


INTERRUPTS = "import os, signal, time\nos.kill(os.getpid(), signal.SIGINT)\ntime.sleep(5)\n"


@pytest.mark.parametrize(("module", "said"), [("click", ""), ("numpy", "Error: interrupted\n")])
def test_ctrl_c_in_the_first_half_second_is_130_and_no_traceback(tmp_path, module, said):
    """While the command line is imported, and while a command is."""
    (tmp_path / f"{module}.py").write_text(INTERRUPTS)
    path = os.pathsep.join([str(tmp_path), *filter(None, [os.environ.get("PYTHONPATH")])])
    result = subprocess.run(
        [sys.executable, "-m", "plainformer", "generate", "--json", "a", "b"],
        env={**os.environ, "PYTHONPATH": path}, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert (result.returncode, result.stderr) == (130, said)
    assert result.stdout == ('{"error": "interrupted"}\n' if said else "")


def test_the_command_is_the_module():
    result = subprocess.run(
        [sys.executable, "-m", "plainformer", "--help"], capture_output=True, text=True, timeout=60
    )
    assert result.returncode == 0
    assert result.stdout.startswith("Usage: plainformer [OPTIONS] COMMAND")


def test_ctrl_c_while_a_class_is_made_is_no_traceback():
    """Python 3.11 wraps it: RuntimeError: Error calling __set_name__ on ..."""

    def work():
        raise RuntimeError("Error calling __set_name__") from KeyboardInterrupt()

    result = run(work, "--json")
    assert result.exit_code == 130
    assert result.stderr == "Error: interrupted\n"
    assert last_json(result) == {"error": "interrupted"}


@pytest.mark.parametrize("command", [["bench", "--quick"], ["quickstart"]])
@pytest.mark.parametrize("value", ["nan", "0", "-1", "x"])
def test_a_time_limit_is_a_number_above_0(command, value):
    result = CliRunner().invoke(main, [*command, "--max-seconds", value])
    assert result.exit_code == 2
    assert "--max-seconds" in result.stderr


def test_a_bad_seed_is_told_before_any_work(tmp_path):
    words = ["quickstart", "--seed", "-1", "--output-dir", str(tmp_path / "out")]
    assert CliRunner().invoke(main, words).exit_code == 2
    assert not (tmp_path / "out").exists()
