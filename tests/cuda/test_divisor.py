"""Division by multiplication, as kernels find rows and columns."""

import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.skipif(shutil.which("c++") is None, reason="needs a C++ compiler")
def test_quotients_are_the_processors(tmp_path):
    program = tmp_path / "divisor"
    flags = ["-std=c++17", "-O1", "-Wall", "-Wextra", "-Werror"]
    folders = [f"-I{ROOT / 'csrc'}", f"-I{ROOT / 'csrc/include'}"]
    source = str(ROOT / "tests/cpp/divisor.cpp")
    subprocess.run(["c++", *flags, *folders, source, "-o", str(program)], check=True)
    result = subprocess.run([program], capture_output=True, text=True, timeout=60, check=False)
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")
