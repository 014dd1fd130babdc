"""The checks of csrc/checks, which every backend's bindings share, without Python around them."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

CSRC = Path(__file__).parents[1] / "csrc"


@pytest.mark.skipif(shutil.which("c++") is None, reason="needs a C++ compiler")
def test_checks_work_without_python(tmp_path):
    program = tmp_path / "checks"
    sources = [Path(__file__).parent / "cpp/checks.cpp", *(CSRC / "checks").glob("*.cpp")]
    flags = ["-std=c++17", "-O0", "-Wall", "-Wextra", "-Werror", "-fsanitize=undefined"]
    folders = [f"-I{CSRC}", f"-I{CSRC / 'include'}"]
    subprocess.run(["c++", *flags, *folders, *map(str, sources), "-o", str(program)], check=True)
    result = subprocess.run([program], capture_output=True, text=True, timeout=60, check=False)
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")


def test_checks_and_shared_headers_know_no_library_and_no_backend():
    files = [*(CSRC / "checks").iterdir(), *(CSRC / "include").rglob("*.h")]
    assert len(files) > 20
    for file in files:
        for included in re.findall(r'#include [<"](.+)[">]', file.read_text(encoding="utf-8")):
            shared = included.startswith(("checks/", "plainformer/"))
            standard = re.fullmatch(r"[a-z_]+", included)
            assert shared or standard, f"{file.name} includes {included}"
