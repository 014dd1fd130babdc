"""Which wheels cibuildwheel would make, where it is installed (.ci/nightly installs it)."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
VERSIONS = ("cp310", "cp311", "cp312", "cp313", "cp314")
PLATFORMS = {
    "linux": ("manylinux_x86_64", "manylinux_aarch64"),
    "macos": ("macosx_arm64",),
    "windows": ("win_amd64",),
}


@pytest.mark.parametrize("platform", PLATFORMS)
def test_wheels_are_made_for_every_python_and_processor(platform):
    pytest.importorskip("cibuildwheel")
    command = [sys.executable, "-m", "cibuildwheel", "--print-build-identifiers"]
    outcome = subprocess.run(
        [*command, "--platform", platform, str(ROOT)],
        env={k: v for k, v in os.environ.items() if not k.startswith("CIBW_")},
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert outcome.returncode == 0, outcome.stderr
    expected = {f"{v}-{p}" for v in VERSIONS for p in PLATFORMS[platform]}
    assert set(outcome.stdout.split()) == expected
