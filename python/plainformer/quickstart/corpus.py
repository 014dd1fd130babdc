"""Real text in every Python: `pydoc_data.topics` and the standard library's docstrings in English,
and its sources.

Sources are read with `ast` and never imported or run. The result depends on the Python version
only: sorted order, repeated docstrings dropped, cut at about `max_bytes`. Missing sources (a
stripped-down installation) make it smaller; none at all is a DataError.
"""

from __future__ import annotations

import ast
import hashlib
import sysconfig
import tokenize
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from pathlib import Path

from .._syntax import parse
from ..data.text import Document
from ..errors import DataError

MAX_BYTES = 2_000_000
_TOPICS = "pydoc_data/topics.py"
# Not the library: tests, what pip installed, and modules that hold data or repeat one docstring.
_LEFT_OUT = {"test", "tests", "idle_test", "site-packages", "dist-packages", "lib2to3", "encodings"}
_Function = ast.FunctionDef | ast.AsyncFunctionDef
_DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
_BLOCKS = ("body", "orelse", "handlers", "finalbody", "cases")  # where statements hold statements


def python_documents(
    root: str | Path | None = None,
    *,
    max_bytes: int = MAX_BYTES,
    without: Collection[str] = frozenset(),
) -> list[Document]:
    """One document a topic of the language reference, then one a module with its docstrings.

    Parameters
    ----------
    root : directory of the standard library's sources; default that of this interpreter
    max_bytes : int, UTF-8 bytes after which no more modules are read
    without : summaries of docstrings to leave out, because a model is tested on them later

    Raises
    ------
    DataError : no sources with text below `root`
    """
    root = _library(root)
    every = _all_documents(root, without)
    documents = _first(((document, len(document.text.encode())) for document in every), max_bytes)
    if not documents:
        raise DataError(
            "no Python sources with docstrings in it; this Python comes without them: "
            "train on your own text with `plainformer pretrain --data FILE`",
            str(root),
        )
    return documents


def python_sources(root: str | Path | None = None, *, max_bytes: int = MAX_BYTES) -> list[Document]:
    """One document a module: its source as it stands. Only what parses, in `python_documents`'
    order and by its rules.

    Parameters and errors: `python_documents`
    """
    root = _library(root)
    paths = (path for path in _sources(root) if _parse(path).body)
    documents = _first(((_source(path), path.stat().st_size) for path in paths), max_bytes)
    if not documents:
        raise DataError("no Python sources in it; this Python comes without them", str(root))
    return documents


def split_documents(
    documents: Iterable[Document], validation: float = 0.05
) -> tuple[list[Document], list[Document]]:
    """(training, validation) documents, both in the order given.

    Documents enter validation by the SHA-256 of their text, lowest first, until they hold at least
    the fraction `validation` of all characters: the choice depends on no order and no random
    state. With fewer than two documents there is nothing to hold back: a DataError.
    """
    documents = list(documents)
    if len(documents) < 2:
        raise DataError(f"documents: got {len(documents)}, expected at least 2 to hold some back")
    wanted = validation * sum(len(document.text) for document in documents)
    held: set[int] = set()
    size = 0
    for index in sorted(range(len(documents)), key=lambda i: _digest(documents[i].text))[:-1]:
        if size >= wanted:
            break
        held.add(index)
        size += len(documents[index].text)
    train = [document for i, document in enumerate(documents) if i not in held]
    return train, [document for i, document in enumerate(documents) if i in held]


def module_summaries(
    modules: Sequence[str], root: str | Path | None = None
) -> dict[str, list[str]]:
    """The `summary` of each docstring of each top-level module or package, in the order of sources.

    A summary that stands in several of the modules tells none of them and is left out. A module
    that this Python has no sources of has no summaries.
    """
    root = _library(root)
    found = {
        name: dict.fromkeys(
            summary(text) for path in _sources_of(root, name) for text in _docstrings(path)
        )
        for name in modules
    }
    count = Counter(text for texts in found.values() for text in texts)
    return {name: [text for text in texts if count[text] == 1] for name, texts in found.items()}


def summary(docstring: str) -> str:
    """The first paragraph, on one line."""
    return " ".join(docstring.strip().partition("\n\n")[0].split())


def by_digest(texts: Iterable[str]) -> list[str]:
    """Texts by their SHA-256: an order as good as random that depends on the texts alone."""
    return sorted(texts, key=_digest)


def _first(documents: Iterable[tuple[Document, int]], max_bytes: int) -> list[Document]:
    """The documents, each with its size, up to the one with which they have so many bytes."""
    found: list[Document] = []
    left = max_bytes
    for document, size in documents:
        found.append(document)
        left -= size
        if left <= 0:
            break
    return found


def _source(path: Path) -> Document:
    with tokenize.open(path) as file:  # in the encoding that it declares
        return Document(file.read(), str(path), spans_lines=True)


def _library(root: str | Path | None) -> Path:
    return Path(root or sysconfig.get_path("stdlib"))


def _all_documents(root: Path, without: Collection[str]) -> Iterator[Document]:
    yield from _topics(root / _TOPICS)
    seen: set[str] = set()
    for path in _sources(root):
        docstrings = [
            text for text in _docstrings(path) if text not in seen and summary(text) not in without
        ]
        seen.update(docstrings)
        text = "\n\n".join(dict.fromkeys(docstrings))
        if text:
            yield Document(text + "\n", str(path))


def _topics(path: Path) -> Iterator[Document]:
    """The values of `topics = {name: text, ...}`, sorted by name."""
    for node in _parse(path).body:
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Dict):
            topics = ast.literal_eval(node.value)
            texts = (topics[name].strip() for name in sorted(topics))
            yield from (Document(text + "\n", str(path)) for text in dict.fromkeys(texts))


def _sources_of(root: Path, module: str) -> list[Path]:
    return _sources(root / module) or [root / f"{module}.py"]


def _sources(root: Path) -> list[Path]:
    """Modules first, then those of packages, each level sorted: the best-known text first."""
    paths = (path.relative_to(root) for path in root.rglob("*.py"))
    kept = [
        path for path in paths if not _LEFT_OUT & set(path.parts) and path.as_posix() != _TOPICS
    ]
    return [root / path for path in sorted(kept, key=lambda path: (len(path.parts), path.parts))]


def _docstrings(path: Path) -> list[str]:
    """Docstrings of the module, its classes and functions in the order of the source."""
    texts = (ast.get_docstring(node) for node in _definitions(_parse(path)))
    return [text.strip() for text in texts if text and text.strip()]


def _definitions(node: ast.AST) -> Iterator[ast.Module | ast.ClassDef | _Function]:
    """`node` and what is defined in its blocks. `ast.walk` would visit every expression too."""
    if isinstance(node, _DOCUMENTED):
        yield node
    for block in _BLOCKS:
        for child in getattr(node, block, ()):
            yield from _definitions(child)


def _parse(path: Path) -> ast.Module:
    """The syntax tree; an empty one for a file that is missing or not of this Python."""
    try:
        tree = parse(path.read_bytes())
    except OSError:
        tree = None
    return ast.Module(body=[], type_ignores=[]) if tree is None else tree


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
