"""Python in a process of its own, for what depends on the environment or on a first use."""

from __future__ import annotations

import os
import subprocess
import sys


def run_python(code: str, timeout: float = 60, **environment: str) -> str:
    """Standard output of `code`, stripped; fails with its standard error."""
    result = _run(code, timeout, environment)
    assert result.returncode == 0, result.stderr
    return result.stdout.strip()


def last_error_line(code: str, timeout: float = 60, **environment: str) -> str:
    """Last line of the traceback with which `code` fails."""
    result = _run(code, timeout, environment)
    assert result.returncode == 1, result.stdout + result.stderr
    return result.stderr.strip().splitlines()[-1]


def _run(
    code: str, timeout: float, environment: dict[str, str]
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, **environment},
        timeout=timeout,
        capture_output=True,
        text=True,
        check=False,
    )
