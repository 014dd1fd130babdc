"""The two READMEs: every command of theirs runs, in their order; the Chinese one has commands of
the English one; links lead somewhere."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import plainformer

ROOT = Path(__file__).parents[1]
ENGLISH, CHINESE = "README.md", "README.zh-CN.md"


def text(name):
    return (ROOT / name).read_text(encoding="utf-8")


def blocks(name):
    return re.findall(r"^```(?:sh|python)\n(.*?)^```$", text(name), re.MULTILINE | re.DOTALL)


def commands(name):
    """The blocks of a README in order, as (language, text)."""
    return re.findall(r"^```(sh|python)\n(.*?)^```$", text(name), re.MULTILINE | re.DOTALL)


@pytest.fixture
def checkout(tmp_path):
    """A directory with what the commands read; its `.venv` is this Python with this package."""
    shutil.copy(ROOT / ENGLISH, tmp_path)
    (tmp_path / ".venv" / "bin").mkdir(parents=True)
    path = os.pathsep.join([str(Path(plainformer.__file__).parents[1]), *sys.path])
    for name, arguments in (
        ("python", ""),
        ("plainformer", "-c 'from plainformer.cli import main; main()'"),
    ):
        file = tmp_path / ".venv" / "bin" / name
        file.write_text(
            f"#!/bin/sh\nexport PYTHONPATH='{path}'\nexec {sys.executable} {arguments} \"$@\"\n"
        )
        file.chmod(0o755)
    return tmp_path


def run(checkout, language, block):
    command = ["bash", "-euc", block] if language == "sh" else [".venv/bin/python", "-c", block]
    done = subprocess.run(command, cwd=checkout, capture_output=True, text=True, timeout=280)
    assert done.returncode == 0, f"{block}\n{done.stdout}\n{done.stderr}"
    assert "Traceback" not in done.stderr
    return done.stdout


def run_all(checkout, name):
    """Every block but those that make an environment, which begin with `python3 -m venv`."""
    blocks = [block for block in commands(name) if not block[1].startswith(INSTALL)]
    assert len(blocks) == len(commands(name)) - 2  # quickstart's and the tests'
    shown = [run(checkout, *block) for block in blocks]
    written = next(out for (_, block), out in zip(blocks, shown) if "plainformer generate" in block)
    assert "The Transformer" in written
    assert written.count("\ufffd") < 4  # bytes, of which its text has none, are hardly drawn


INSTALL = "python3 -m venv .venv && .venv/bin/pip install "


def test_every_command_runs(checkout):
    run_all(checkout, ENGLISH)
    # The model of characters reads and writes those that its text has not.
    assert run(checkout, "sh", IN_CHINESE).startswith("摊 Ü")


IN_CHINESE = """
.venv/bin/plainformer generate runs/first "摊 Ü" --max-new-tokens 9
printf '{"text": "摊位很好", "label": "好"}\\n{"text": "很差", "label": "差"}\\n' > zh.jsonl
.venv/bin/plainformer finetune text-classification --model runs/first --train zh.jsonl \\
    --validation zh.jsonl --max-steps 2 --output-dir runs/zh
.venv/bin/plainformer predict runs/zh "摊位很差"
"""


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_every_command_of_the_chinese_readme_runs(checkout):
    run_all(checkout, CHINESE)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_the_first_command_runs_once_it_is_installed(checkout):
    """The second is what .ci/run begins with."""
    first, second = (block for _, block in commands(ENGLISH) if block.startswith(INSTALL))
    assert first.startswith(f"{INSTALL}. && ")
    assert second == f"{INSTALL}'.[test]' && .venv/bin/pytest\n"
    run(checkout, "sh", first.removeprefix(f"{INSTALL}. && "))


def test_every_command_of_the_chinese_readme_is_in_the_english_one():
    assert len(blocks(CHINESE)) >= 5
    assert set(blocks(CHINESE)) <= set(blocks(ENGLISH))


@pytest.mark.parametrize("name", [ENGLISH, CHINESE])
def test_links_lead_to_files(name):
    links = re.findall(r"\]\(([^)#:]+)\)", text(name))
    assert links
    assert [link for link in links if not (ROOT / link).exists()] == []
