"""`plainformer info`, for people and for programs."""

from __future__ import annotations

import json

from click.testing import CliRunner

from plainformer import _cpu, runtime
from plainformer.cli import main
from tests.processes import run_python


def test_lines_for_people():
    result = CliRunner().invoke(main, ["info"])
    assert result.exit_code == 0, result.output
    labels = [line.split("  ")[0] for line in result.output.splitlines()]
    for label in ("processor", "ISA level", "threads", "allocator", "optional"):
        assert label in labels
    assert f"{runtime.get_num_threads()}: " in result.output


def test_json_for_programs():
    result = CliRunner().invoke(main, ["info", "--json"])
    facts = json.loads(result.stdout.splitlines()[-1])
    assert facts["command"] == "info"
    assert facts["level"] == _cpu.current_level()
    assert facts["num_threads"] == runtime.get_num_threads()
    assert facts["limit_bytes"] == runtime.memory_stats()["limit_bytes"]
    assert not set(facts["optional_found"]) & set(facts["optional_missing"])


def test_no_optional_part_is_imported():
    code = (
        "import sys\n"
        "from plainformer.cli.info import gather\n"
        "gather()\n"
        "print([m for m in ('matplotlib', 'torch') if m in sys.modules])"
    )
    assert run_python(code) == "[]"
