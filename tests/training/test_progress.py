"""What a person sees: a bar on a terminal, a table in a notebook, plain lines elsewhere."""

import fcntl
import io
import os
import pty
import re
import struct
import subprocess
import sys
import termios
import types
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from plainformer.training.progress import Bar, Lines, Notebook, clock, make_progress
from plainformer.training.state import TrainerState
from plainformer.training.timing import Speed, Stopwatch

from .tiny import log_of, tiny_args, tiny_model, tiny_trainer

ROOT = Path(__file__).parents[2]
SPEED = Speed(seconds=2.0, tokens_per_second=12345.6, mfu=0.41, seconds_left=75.2)


def test_a_line_says_everything_once():
    stream = io.StringIO()
    record = {"step": 20, "epoch": 1.5, "loss": 2.34567, "learning_rate": 1e-3,
              "grad_norm": 0.5, "tokens": 99}  # fmt: skip
    Lines(stream).log(TrainerState(global_step=20, max_steps=100), record, SPEED)
    assert stream.getvalue() == (
        "step 20/100  loss 2.346  learning_rate 0.001  grad_norm 0.5  12,346 tok/s  mfu 41%  "
        "eta 1:15\n"
    )


def test_an_evaluation_is_a_line_of_its_own():
    stream = io.StringIO()
    state = TrainerState(global_step=20, max_steps=100)
    Lines(stream).log(state, {"step": 20, "epoch": 1.5, "eval_loss": 2.0, "eval_hits": 7})
    assert stream.getvalue() == "step 20/100  eval_loss 2  eval_hits 7\n"


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0:00"), (59.6, "1:00"), (75, "1:15"), (3671, "1:01:11")]
)
def test_clock(seconds, text):
    assert clock(seconds) == text


@pytest.mark.parametrize(("option", "kind"), [(True, Lines), (False, Bar), (None, Lines)])
def test_which_one(tmp_path, option, kind):
    assert type(make_progress(tiny_args(tmp_path, disable_tqdm=option))) is kind


def test_without_a_terminal_there_are_plain_lines(tmp_path, capsys):
    tiny_trainer(tmp_path, disable_tqdm=None, eval_strategy="epoch").train()
    lines = capsys.readouterr().err.splitlines()
    assert [line.split()[1] for line in lines] == ["2/10", "4/10", "5/10", "6/10", "8/10",
                                                    "10/10", "10/10"]  # fmt: skip
    assert all("tok/s" in line and "mfu" in line and "eta" in line for line in lines if "loss 2" in
               line and "eval" not in line)  # fmt: skip


def test_on_a_terminal_there_is_a_bar(tmp_path):
    """A pseudo terminal as standard error of a run of its own."""
    parent, child = pty.openpty()
    fcntl.ioctl(child, termios.TIOCSWINSZ, struct.pack("4H", 24, 200, 0, 0))  # rows, columns
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.training.child", str(tmp_path), "--default-progress"],
        cwd=ROOT, stdout=subprocess.DEVNULL, stderr=child,
    )  # fmt: skip
    os.close(child)
    shown = b""
    while True:
        try:
            piece = os.read(parent, 1 << 16)
        except OSError:  # Linux: the other end is closed
            break
        if not piece:
            break
        shown += piece
    os.close(parent)
    assert process.wait(timeout=60) == 0, shown.decode()
    text = shown.decode()
    assert "100%" in text
    assert "10/10" in text
    assert "tok/s" in text
    assert "mfu" in text
    assert "eval_loss" in text


@pytest.fixture
def kernel(monkeypatch):
    """Modules that stand for IPython in the kernel of a notebook; what it showed, in order."""
    shown = []

    class Handle:
        def update(self, what):
            shown.append(what._repr_html_())

    def display(what, display_id):
        assert display_id is True
        shown.append(what._repr_html_())
        return Handle()

    ipython, inner = types.ModuleType("IPython"), types.ModuleType("IPython.display")
    ipython.get_ipython = lambda: SimpleNamespace(config={"IPKernelApp": {}})
    inner.display = display
    monkeypatch.setitem(sys.modules, "IPython", ipython)
    monkeypatch.setitem(sys.modules, "IPython.display", inner)
    return shown


@pytest.mark.parametrize(("option", "kind"), [(True, Lines), (False, Notebook), (None, Notebook)])
def test_which_one_in_a_notebook(tmp_path, kernel, option, kind):
    assert type(make_progress(tiny_args(tmp_path, disable_tqdm=option))) is kind


def test_ipython_on_a_terminal_is_no_notebook(tmp_path, kernel, monkeypatch):
    sys.modules["IPython"].get_ipython = lambda: SimpleNamespace(config={})
    assert type(make_progress(tiny_args(tmp_path, disable_tqdm=None))) is Lines
    sys.modules["IPython"].get_ipython = lambda: None
    assert type(make_progress(tiny_args(tmp_path, disable_tqdm=None))) is Lines


def test_a_notebook_shows_a_table_that_grows(tmp_path, kernel, capsys):
    tiny_trainer(tmp_path, disable_tqdm=None, eval_strategy="epoch").train()
    assert kernel[0] == '<div><progress value="0" max="10"></progress> step 0/10</div>'
    last = kernel[-1]
    assert '<progress value="10" max="10"></progress> step 10/10' in last
    assert "tok/s" in last
    head = re.findall("<th>(.*?)</th>", last.partition("</tr>")[0])
    assert head == ["step", "loss", "learning_rate", "grad_norm", "eval_loss"]
    rows = re.findall(r"<tr><th>(\d+)</th>(.*?)</tr>", last)
    assert [step for step, _ in rows] == ["2", "4", "5", "6", "8", "10"]
    for record in log_of(tmp_path):  # the figures of an evaluation stand beside the others
        cells = re.findall("<td>(.*?)</td>", dict(rows)[str(record["step"])])
        for name in head[1:]:
            if name in record:
                assert cells[head.index(name) - 1] == f"{record[name]:.4g}"
    assert [html.count("<tr>") for html in kernel] == sorted(html.count("<tr>") for html in kernel)
    assert not capsys.readouterr().err


def test_a_long_table_shows_its_end(kernel):
    table = Notebook()
    table.start(TrainerState(max_steps=300))
    for step in range(1, 301):
        table.log(TrainerState(global_step=step, max_steps=300), {"step": step, "loss": 1.0 / step})
    assert kernel[-1].count("<tr>") == 51
    assert "<th>300</th>" in kernel[-1]
    assert repr(table) == "step 0/300  loss 0.003333"


def test_the_stopwatch_counts_updates_only(tmp_path):
    watch = Stopwatch(tiny_model(), "float32")
    with watch.update():
        pass
    watch.count({"input_ids": [[0] * 8]}, 8)
    speed = watch.take(updates_left=3)
    assert speed.seconds < 0.1
    assert speed.tokens_per_second == pytest.approx(8 / speed.seconds)
    assert speed.seconds_left == pytest.approx(3 * speed.seconds)
    assert speed.mfu > 0
    assert watch.take(1).tokens_per_second == 0


def test_flops_are_the_models_own_or_6_a_parameter():
    model = tiny_model()
    ids = {"input_ids": np.zeros((2, 8), np.int32)}
    assert Stopwatch(model, "float32").flops_per_token(ids) == model.flops_per_token(8)
    plain = SimpleNamespace(named_parameters=model.named_parameters)
    assert Stopwatch(plain, "float32").flops_per_token(ids) == 6 * model.num_parameters()
    packed = {"input_ids": np.zeros((1, 24)), "cu_seqlens": np.array([0, 4, 20, 24])}
    assert Stopwatch(model, "float32").flops_per_token(packed) == model.flops_per_token(8)
    assert Stopwatch(model, "float32").flops_per_token({}) == 6 * model.num_parameters()
