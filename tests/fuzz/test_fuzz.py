"""The gate: 300 damaged files a reader and 300 odd calls a function here, 10,000 each at night.

`python -m tests.fuzz NAME FIRST COUNT` repeats cases by hand.
"""

import pytest

from plainformer import functional, kernels, metrics

from .bindings import BINDINGS
from .child import Child
from .functions import FUNCTIONS
from .readers import READERS

CASES = 300
CASES_AT_NIGHT = 10_000
TABLES = {"readers": READERS, "functions": FUNCTIONS, "bindings": BINDINGS}
ENTRIES = [(table, name) for table, names in TABLES.items() for name in names]


@pytest.fixture(scope="module")
def child(tmp_path_factory):
    with Child(tmp_path_factory.mktemp("fuzz")) as running:
        yield running


def check(child, table, name, first, count):
    faults = child.run(table, name, first, count)
    shown = [f"case {f['case']}: {f['kind']} at {f['where']}: {f['message']}" for f in faults[:5]]
    assert not faults, f"{len(faults)} of {count} cases of {name} went wrong\n" + "\n".join(shown)


@pytest.mark.parametrize("room", [functional, kernels, metrics])
def test_every_public_function_is_in_the_table(room):
    short = room.__name__.removeprefix("plainformer.")
    functions = {n for n in room.__all__ if not isinstance(getattr(room, n), type)}
    assert functions == {n.split(".")[1] for n in FUNCTIONS if n.startswith(f"{short}.")}


@pytest.mark.parametrize(("table", "name"), ENTRIES)
def test_a_clean_error_or_success(child, table, name):
    check(child, table, name, 0, CASES)


@pytest.mark.slow
@pytest.mark.parametrize(("table", "name"), ENTRIES)
def test_a_clean_error_or_success_at_length(child, table, name):
    check(child, table, name, CASES, CASES_AT_NIGHT)


def test_the_child_tells_what_goes_wrong(child):
    """Other errors, long messages, time, memory and a crash, each as a fault of its case."""
    kinds = [fault["kind"] for fault in child.run("faulty", "all", 0, 7)]
    assert kinds == [
        "KeyError", "bad message", "TooSlowError", "MemoryError", "RuntimeWarning", "crash (-11)",
    ]  # fmt: skip
