"""Whatever wraps a data set keeps what it has for each epoch."""

import ast
from pathlib import Path

import plainformer

PACKAGE = Path(plainformer.__file__).parent


def test_one_place_asks_a_data_set_for_its_epoch():
    """A wrapper that asks elsewhere, or forgets to, gives every epoch the same examples."""
    asks = {
        path.relative_to(PACKAGE).as_posix()
        for path in PACKAGE.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_bytes()))
        if isinstance(node, ast.Constant) and node.value == "for_epoch"
    }
    assert asks == {"data/batches.py"}


def test_what_holds_a_data_set_and_is_one_has_epochs_too():
    """A class with `__getitem__` that keeps a data set of its callers has `for_epoch`."""
    wrappers = {}
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_bytes())):
            if not isinstance(node, ast.ClassDef):
                continue
            methods = {m.name: m for m in node.body if isinstance(m, ast.FunctionDef)}
            if {"__getitem__", "__init__"} <= methods.keys():
                taken = {a.arg for a in methods["__init__"].args.args}
                if taken & {"dataset", "datasets", "chunks", "new", "old", "examples"}:
                    wrappers[node.name] = "for_epoch" in methods
    evaluated = {"TaskExamples": False}  # the same in every epoch
    assert wrappers == {"ReplayDataset": True, "ObjectiveExamples": True, **evaluated}
