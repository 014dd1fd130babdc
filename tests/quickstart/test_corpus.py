"""Quickstart's text: real, about 2 MB, the same each time, and never imported."""

import sys

import pytest

from plainformer.data.text import Document
from plainformer.errors import DataError
from plainformer.quickstart.corpus import (
    MAX_BYTES,
    by_digest,
    module_summaries,
    python_documents,
    python_sources,
    split_documents,
    summary,
)

MODULE = '''
"""The module."""
import sys; sys.exit("a source must never run")
class A:
    """A class."""
    def f(self):
        """A method."""
        try:
            def inner(): "Inner."
        finally:
            pass
    async def g(self): r"""Odd \\d escape."""
def f():
    """A class."""
'''


def write(root, files):
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)


def test_this_pythons_text_is_large_and_english():
    documents = python_documents()
    text = "\n".join(document.text for document in documents)
    assert len(documents) > 300
    assert 0.5 * MAX_BYTES < len(text.encode()) < 1.2 * MAX_BYTES
    assert text.count(" the ") > 10_000
    assert len({d.text for d in documents}) == len(documents)


def test_sources_are_read_in_order_and_never_run(tmp_path):
    write(
        tmp_path,
        {
            "b.py": MODULE,
            "a.py": '"""First."""',
            "pkg/__init__.py": '"""Package."""',
            "test/test_a.py": '"""A test."""',
            "broken.py": "def",
            "null.py": "\0",
            "pydoc_data/topics.py": "topics = {'with': 'W', 'and': 'A' 'B\\n\\n'}",
        },
    )
    before = set(sys.modules)
    documents = python_documents(tmp_path)
    assert [d.text for d in documents] == [
        "AB\n",
        "W\n",
        "First.\n",
        "The module.\n\nA class.\n\nA method.\n\nInner.\n\nOdd \\d escape.\n",
        "Package.\n",
    ]
    assert set(sys.modules) == before


def test_sources_are_whole_files(tmp_path):
    files = {"b.py": MODULE, "a.py": "x = '\u00e9'\n", "broken.py": "def", "empty.py": ""}
    write(tmp_path, {**files, "test/test_a.py": "y = 1\n", "pkg/c.py": "z = 1\n"})
    (tmp_path / "latin.py").write_bytes(b"# coding: latin-1\nx = '\xe9'\n")
    found = {d.file.removeprefix(f"{tmp_path}/"): d.text for d in python_sources(tmp_path)}
    assert found == {
        "a.py": files["a.py"],
        "b.py": MODULE,
        "latin.py": "# coding: latin-1\nx = '\u00e9'\n",
        "pkg/c.py": "z = 1\n",
    }
    assert list(found) == ["a.py", "b.py", "latin.py", "pkg/c.py"]
    assert len(python_sources(tmp_path, max_bytes=1)) == 1
    with pytest.raises(DataError, match="no Python sources in it"):
        python_sources(tmp_path / "none")


def test_the_size_is_bounded(tmp_path):
    write(tmp_path, {f"m{i}.py": f'"""Module {i} {"x" * 90}."""' for i in range(20)})
    assert len(python_documents(tmp_path, max_bytes=500)) == 5


def test_a_python_without_sources_says_what_to_do(tmp_path):
    with pytest.raises(DataError, match="plainformer pretrain --data"):
        python_documents(tmp_path)


def test_docstrings_can_be_left_out(tmp_path):
    second = '"""The\n  second.\n\nMore."""'
    write(tmp_path, {"a.py": '"""First."""\ndef f(): "The second."', "b.py": second})
    assert [d.text for d in python_documents(tmp_path, without={"The second."})] == ["First.\n"]


def test_summaries_of_modules_and_packages_that_tell_the_module(tmp_path):
    write(
        tmp_path,
        {
            "a.py": MODULE,
            "b/__init__.py": '"""Package."""\ndef f(): "A class."',
            "b/c.py": 'def f(): "Deep."\ndef g(): "Deep."',
            "b/test/test_c.py": '"""A test."""',
        },
    )
    found = module_summaries(["a", "b", "missing"], tmp_path)
    assert found == {
        "a": ["The module.", "A method.", "Inner.", "Odd \\d escape."],
        "b": ["Package.", "Deep."],
        "missing": [],
    }


def test_a_summary_is_the_first_paragraph_on_one_line():
    assert summary("\nReturn a\n   list.\n\nMore.\n") == "Return a list."
    assert summary("Return.") == "Return."


def test_order_by_digest_depends_on_the_texts_alone():
    texts = [f"text {i}" for i in range(20)]
    assert by_digest(texts) == by_digest(reversed(texts)) != texts
    assert set(by_digest(texts)) == set(texts)


def test_split_depends_on_the_texts_alone():
    documents = [Document(f"text {i} " + "x" * (i % 7), f"{i}.txt") for i in range(400)]
    train, held = split_documents(documents)
    assert sorted(d.file for d in train + held) == sorted(d.file for d in documents)
    share = sum(len(d.text) for d in held) / sum(len(d.text) for d in documents)
    assert 0.05 <= share < 0.06
    moved = [Document(d.text, "moved/" + d.file) for d in reversed(documents)]
    assert {d.text for d in split_documents(moved)[1]} == {d.text for d in held}


def test_both_parts_of_a_split_hold_something():
    for count in (2, 3):
        train, held = split_documents([Document(str(i), "") for i in range(count)], 0.999)
        assert len(train) == 1
        assert len(held) == count - 1
    with pytest.raises(DataError, match="at least 2"):
        split_documents([Document("a", "")])
