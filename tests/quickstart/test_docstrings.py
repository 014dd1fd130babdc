"""Labelled docstrings: none that a model is tested on is in a text that it learns from."""

import pytest

from plainformer.errors import DataError
from plainformer.quickstart.corpus import python_documents
from plainformer.quickstart.docstrings import MODULES, docstring_task, is_fair


def library(root, count):
    """A standard library of `count` usable docstrings a module."""
    for place, module in enumerate(MODULES):
        texts = (f"This is docstring {i} of file {place}.\n\nBody {i}." for i in range(count))
        lines = [f"def f{i}(): {text!r}" for i, text in enumerate(texts)]
        (root / f"{module}.py").write_text("\n".join(lines))


def test_docstrings_that_it_is_tested_on_are_in_no_other_text(tmp_path):
    library(tmp_path, 70)
    task = docstring_task(tmp_path)
    held_back = task.held_back()
    assert len(held_back) == len(task.validation) >= 200
    assert {e.label for e in task.train} == set(MODULES)
    assert not held_back & {e.text for e in task.train}
    text = "".join(d.text for d in python_documents(tmp_path, without=held_back))
    assert not any(docstring in text for docstring in held_back)
    assert all(e.text in text for e in task.train)
    assert text.count("Body") == 8 * 70 - len(held_back)
    assert docstring_task(tmp_path) == task


def test_too_few_docstrings_are_one_clear_error(tmp_path):
    library(tmp_path, 5)
    with pytest.raises(DataError, match="this Python has 5 docstrings of asyncio"):
        docstring_task(tmp_path)


def test_a_docstring_that_names_a_module_or_says_little_is_not_asked():
    assert is_fair("Return the members of the object, sorted by their names.")
    assert not is_fair("Return the members.")
    assert not is_fair("Return the members of the TarFile object, sorted by name.")
