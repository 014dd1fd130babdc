"""Python threads that work at once, each with its own model, or all with one: the bytes they give
alone, and nothing left switched."""

import ast
import os
import sys
import threading
import warnings
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np
import pytest

import plainformer as pf
from plainformer import functional
from plainformer._syntax import parse
from plainformer.errors import PlainformerWarning
from plainformer.functional.random import current, dropout_state
from plainformer.metrics.code import parse_rate
from plainformer.nn.rotary import Rotary
from plainformer.packing import packs_weights
from plainformer.quickstart.corpus import python_documents
from plainformer.tape import is_grad_enabled
from plainformer.tensor import Tensor
from tests.models.tiny import batch_for, make
from tests.tasks.tiny import tune
from tests.training.tiny import rows, tiny_trainer, weights

THREADS = 4


@pytest.fixture(autouse=True)
def switching_often(monkeypatch):
    """Threads that take turns as often as the interpreter lets them."""
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


def at_once(jobs, repeats=1):
    """The results of each job, all of which start together, each in a thread of its own."""
    start = threading.Barrier(len(jobs))

    def run(job):
        start.wait(60)
        found = [job() for _ in range(repeats)]
        assert is_grad_enabled()
        assert packs_weights()
        assert current() == (0, 0)
        return found

    with ThreadPoolExecutor(len(jobs)) as pool:
        return [one.result() for one in [pool.submit(run, job) for job in jobs]]


def trained(folder):
    trainer = tiny_trainer(folder, eval_strategy="steps", eval_steps=2, dropout=0.2, max_steps=6)
    output = trainer.train()
    return weights(trainer.model), output.training_loss, trainer.state.log_history


def trained_again(folder):
    """The same with activation checkpointing, in bfloat16."""
    trainer = tiny_trainer(
        folder, activation_checkpointing=True, bf16=True, dropout=0.2, max_steps=6
    )
    return trainer.train().training_loss, weights(trainer.model)


def generated():
    model = make("gpt2", "causal-lm").train()
    rows = model.generate([[3, 4], [5, 6]], 8).tolist()
    drawn = model.generate([3, 4], 8, do_sample=True, seed=3).tolist()
    assert model.training
    return rows, drawn, np.concatenate([*model.stream([3, 4], 8)]).tolist()


def translated():
    model = make("bart", "seq2seq-lm", eos_token_id=None)
    return model.generate([[3, 4], [5, 6]], 8, num_beams=3).tolist()


def looked_into():
    model = make("bert", "masked-lm").eval()
    batch = batch_for("masked-lm", np.random.default_rng(0))
    output = model(**batch, output_hidden_states=True, output_attentions=True)
    return [x.data.tobytes() for x in (*output.hidden_states, *output.attentions)]


def evaluated(folder):
    trainer = tiny_trainer(folder, dropout=0.5)
    trainer.model.train()
    found = trainer.evaluate(), trainer.predict(rows(5)).predictions.tobytes()
    assert trainer.model.training
    return found


def test_each_with_its_own_model_gives_the_bytes_it_gives_alone(tmp_path):
    kinds = [trained, trained_again, generated, translated, looked_into, evaluated]

    def jobs(where):
        places = [tmp_path / f"{where}{i}" for i in range(len(kinds))]
        takes = (trained, trained_again, evaluated)
        return [lambda k=k, p=p: k(p) if k in takes else k() for k, p in zip(kinds, places)]

    alone = [job() for job in jobs("alone")]
    assert at_once(jobs("together")) == [[one] for one in alone]


@pytest.mark.parametrize("family", ["gpt2", "llama", "bart"])
def test_many_generate_with_one_model_in_training(family):
    task = "seq2seq-lm" if family == "bart" else "causal-lm"
    model = make(family, task, eos_token_id=None).train()
    model.set_dropout(0.5) if family != "llama" else None

    def job(i):
        return lambda: model.generate([3 + i, 4], 6).tolist()

    alone = [job(i)() for i in range(THREADS)]
    for found, wanted in zip(at_once([job(i) for i in range(THREADS)], repeats=10), alone):
        assert found == [wanted] * 10
    assert model.training
    assert all(module.training for module in model.modules())


def test_one_records_while_others_do_not():
    model = make("gpt2", "causal-lm").train()
    batch = batch_for("causal-lm", np.random.default_rng(0))

    def loss():
        with dropout_state(3):
            output = model(**batch).loss
        assert output.requires_grad
        assert model.training
        return output.data.tobytes()

    def text():
        return model.generate([3, 4], 4).tolist()

    found = at_once([loss, text, text, loss], repeats=20)
    assert all(one == [one[0]] * 20 for one in found)


def test_rotary_tables_are_long_enough_for_each():
    def long_enough(rotary, count):
        return len(rotary.tables(count, np.zeros(0))[0]) >= count

    for _ in range(20):
        rotary = Rotary(64, {"rope_type": "default", "rope_theta": 10000.0})
        jobs = [partial(long_enough, rotary, n) for n in (1, 4000, 40, 700)]
        assert all(all(found) for found in at_once(jobs))


def test_one_pipeline_answers_many_threads(tmp_path):
    tune("text-classification", tmp_path / "out", eval_strategy="no", max_steps=2)
    ask = pf.pipeline("text-classification", tmp_path / "out")
    texts = ["good", "a bad film", "what good music it was", "so bad"]
    alone = [ask(text) for text in texts]
    jobs = [lambda t=t: ask(t) for t in texts]
    assert at_once(jobs, repeats=5) == [[one] * 5 for one in alone]


def test_warnings_stay_on_while_threads_parse_sources():
    odd = "def f():\n    '''Doc.'''\n    return '\\d'\n"
    before = list(warnings.filters)

    def job():
        assert parse(odd) is not None
        heads, completions = ["def f():\n    '''Doc.'''\n"], ["    return '\\d'\n"]
        return parse_rate(heads=heads, completions=completions)

    assert at_once([job] * THREADS, repeats=50) == [[1.0] * 50] * THREADS
    left = [one for one in warnings.filters if one not in before]
    assert all(one[3].pattern.startswith("<plainformer") for one in left)
    with pytest.warns(PlainformerWarning, match="still heard"):
        warnings.warn("still heard", PlainformerWarning, stacklevel=1)


def test_the_corpus_is_read_without_touching_the_filters(tmp_path):
    (tmp_path / "odd.py").write_text("'''A docstring of some length: \\\\d.'''\nx = '\\d'\n")
    before = list(warnings.filters)
    assert python_documents(tmp_path)
    assert [one for one in before if one not in warnings.filters] == []


def test_backward_passes_of_many_threads_do_not_meet():
    def job():
        x = Tensor(np.ones((3, 4), np.float32), requires_grad=True)
        functional.activation(functional.activation(x, "gelu"), "gelu").backward(
            np.ones((3, 4), np.float32)
        )
        return x.grad.tobytes()

    found = at_once([job] * THREADS, repeats=50)
    assert {one for own in found for one in own} == {job()}


# What belongs to the process, and the files that may touch it: the command line, which is the
# process, and Ctrl-C, which only the main thread takes.
SWITCHES = {
    "catch_warnings", "simplefilter", "field_size_limit", "seterr", "chdir", "umask", "setlocale",
    "setrecursionlimit", "set_int_max_str_digits", "setswitchinterval", "putenv", "environ",
    "signal", "alarm", "dup2", "setdefaulttimeout", "showwarning",
}  # fmt: skip
MAY = {
    "training/signals.py": {"signal"},
    "runtime.py": {"environ"},  # read
    "tasks/highlighting.py": {"environ"},  # read
    "__main__.py": {"signal"},
    "data/_library.py": {"dup2"},  # what a library's panic prints, where nothing else can catch it
}


def test_the_library_switches_nothing_of_the_process():
    package = Path(pf.__file__).parent
    found = set()
    for path in package.rglob("*.py"):
        name = path.relative_to(package).as_posix()
        if name.startswith(("cli/", "bench/")):
            continue
        for node in ast.walk(ast.parse(path.read_bytes())):
            if isinstance(node, ast.Attribute) and node.attr in SWITCHES - MAY.get(name, set()):
                found.add(f"{name}:{node.lineno}: {node.attr}")
    assert not found
