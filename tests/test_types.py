"""Types of the front door: mypy infers a script of usual calls, which runs, and typos are told."""

import ast
import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

import plainformer as pf
from plainformer.errors import ConfigError
from plainformer.models import families
from tests.typing import front_door

STUB = Path(pf.__file__).with_suffix(".pyi")
PUBLIC = [*pf._MODULES, *pf._NAMES, *(n for n in vars(families) if not n.startswith("_"))]
CONFIG = """\
[mypy]
strict = True
mypy_path = {path}
[mypy-plainformer.*]
ignore_errors = True
"""


def test_the_script_runs(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)
    front_door.main(tmp_path)
    assert Path(front_door.__file__).read_text(encoding="utf-8").count("assert_type(") > 60


def test_the_typed_list_is_the_lazy_list():
    names, stars = {}, []
    for node in ast.parse(STUB.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.ImportFrom):
            for alias in node.names:
                if alias.name == "*":
                    stars.append(node.module)
                else:
                    assert alias.asname == alias.name
                    names[alias.name] = node.module
    assert stars == ["models.families"]
    assert {name for name, room in names.items() if room is None} == set(pf._MODULES)
    assert {name: room for name, room in names.items() if room is not None} == pf._NAMES
    assert set(PUBLIC) <= set(dir(pf))
    for name in PUBLIC:
        assert getattr(pf, name) is not None


def test_names_that_are_none_are_told_with_the_nearest():
    for name, message in (
        ("pipelin", "has no attribute 'pipelin'; did you mean 'pipeline'"),
        ("Trainr", "has no attribute 'Trainr'; did you mean 'Trainer'"),
        ("GPT2LMHead", "did you mean 'GPT2LMHeadModel'"),
        ("nonsense", "has no attribute 'nonsense'$"),
        ("__wrapped__", "has no attribute '__wrapped__'$"),
    ):
        with pytest.raises(AttributeError, match=message):
            getattr(pf, name)
    with pytest.raises(ConfigError, match=r"learning_rat.* did you mean .*learning_rate"):
        pf.TrainingArguments(learning_rat=3)


def test_help_is_a_page():
    code = "import plainformer as pf; help(pf)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    text = done.stdout
    assert text.count("\n") < 120
    for call in ("pf.load(", "pf.pipeline(", "pf.finetune(", "pf.pretrain(", "pf.Trainer("):
        assert call in text


def mypy(directory, *files):
    """What mypy says of files in its strictest mode; its lines."""
    pytest.importorskip("mypy")
    config = directory / "mypy.ini"
    path = Path(pf.__file__).parent.parent  # which mypy finds by itself where it is installed
    config.write_text(CONFIG.format(path="" if path.name == "site-packages" else path))
    command = [sys.executable, "-m", "mypy", "--config-file", str(config), *map(str, files)]
    environment = {**os.environ, "MYPY_CACHE_DIR": str(directory / "cache")}
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    return [line.partition(": ")[2] for line in done.stdout.splitlines()]


@pytest.mark.skipif(importlib.util.find_spec("mypy") is None, reason="mypy is not installed")
def test_mypy_infers_every_name_and_result(tmp_path):
    names = tmp_path / "names.py"
    reveals = [f"reveal_type(pf.{name})\n" for name in PUBLIC]
    wrong = ["pf.nonsense\n", 'pf.TrainingArguments("out", learning_rat=3)\n']
    names.write_text("".join(["import plainformer as pf\n", *reveals, *wrong]), encoding="utf-8")
    told = mypy(tmp_path, front_door.__file__, names)
    revealed = [line for line in told if line.startswith("note: Revealed type is")]
    errors = [line for line in told if line.startswith("error")]
    assert len(revealed) == len(PUBLIC)
    assert not [line for line in revealed if 'is "Any"' in line]
    assert errors == [
        'error: Module has no attribute "nonsense"  [attr-defined]',
        'error: Unexpected keyword argument "learning_rat" for "TrainingArguments"; did you mean '
        '"learning_rate"?  [call-arg]',
    ]
