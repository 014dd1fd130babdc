"""What is installed: types, size, a quiet and quick import, no torch, no pickle, no BLAS."""

import ast
import os
import re
import subprocess
import sys
from pathlib import Path

import plainformer
from plainformer import kernels
from tests import stubs

PACKAGE = Path(plainformer.__file__).parent
SOURCES = sorted(PACKAGE.rglob("*.py"))


def run(code, **environment):
    """Run Python code in a fresh process; its standard output."""
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        env={**os.environ, **environment},
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_types_are_shipped():
    assert (PACKAGE / "py.typed").exists()
    assert stubs.PATH.read_text(encoding="utf-8") == stubs.stub_text(), (
        "run `python -m tests.stubs` and commit _cpu.pyi"
    )


def test_import_is_quick_and_quiet():
    code = """
import sys, time, numpy, threading, os
start = time.perf_counter()
import plainformer
spent = time.perf_counter() - start
import plainformer.kernels
maps = open("/proc/self/maps").read() if os.path.exists("/proc/self/maps") else ""
assert threading.active_count() == 1
assert not os.path.exists("/proc/self/task") or len(os.listdir("/proc/self/task")) == 1
assert "libcuda" not in maps and "libcudart" not in maps
assert not {"socket", "ssl", "tokenizers", "torch", "matplotlib"} & set(sys.modules)
print(spent)
"""
    # one thread of NumPy's BLAS, so that a second one would be ours
    spent = min(float(run(code, OPENBLAS_NUM_THREADS="1")) for _ in range(3))
    assert spent < 0.15


def test_no_module_but_the_peers_needs_torch():
    modules = [
        ".".join(["plainformer", *path.relative_to(PACKAGE).with_suffix("").parts])
        for path in SOURCES
        if "peers" not in path.parts and path.name != "__init__.py"
    ]
    poisoned = "import sys, importlib; sys.modules['torch'] = None\n"
    run(poisoned + f"for name in {modules!r}: importlib.import_module(name)")


def imports_of(path):
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level:
            yield node.module or ""


def test_each_dependency_is_imported_and_each_import_is_a_dependency():
    project = (Path(__file__).parents[1] / "pyproject.toml").read_text(encoding="utf-8")
    listed = project.partition("\ndependencies = [")[2].partition("]\n")[0]
    needed = {name.lower() for name in re.findall(r'"([\w-]+)', listed)}
    optional = {"jinja2", "matplotlib", "tensorboardx", "torch", "plainformer"}  # extras, itself
    optional |= {"blis", "cupy", "ipython", "spacy", "wandb"}  # where they run, or are used
    imported = {name.split(".")[0].lower() for path in SOURCES for name in imports_of(path)}
    known = {*map(str.lower, sys.stdlib_module_names), *optional}
    assert {"yaml" if name == "pyyaml" else name for name in needed} == imported - known


def test_nothing_that_executes_data_is_imported_or_called():
    banned = {"pickle", "cPickle", "dill", "cloudpickle", "marshal", "shelve", "joblib"}
    for path in SOURCES:
        assert not banned & {name.split(".")[0] for name in imports_of(path)}, path
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                assert node.func.id not in {"eval", "exec"}, f"{path}:{node.lineno}"
            if isinstance(node, ast.keyword) and node.arg == "allow_pickle":
                assert getattr(node.value, "value", None) is False, f"{path}:{node.lineno}"


def test_public_kernels_are_listed_and_documented():
    public = {n for n in vars(kernels) if not n.startswith("_") and callable(vars(kernels)[n])}
    assert public == set(kernels.__all__)
    assert sorted(kernels.__all__) == kernels.__all__
    for name in kernels.__all__:
        text = getattr(kernels, name).__doc__ or ""
        is_class = isinstance(getattr(kernels, name), type)
        for part in ("made by",) if is_class else ("Parameters\n", "Raises\n"):
            assert part in text, f"{name}: its docstring has no section {part.strip()}"


READERS = {
    "Path", "exists", "getsize", "glob", "is_dir", "is_file", "isdir", "isfile", "iterdir",
    "lexists", "listdir", "open", "open_regular", "read", "read_bytes", "read_config", "read_json",
    "read_task", "read_text", "read_tokenizer", "stat",
}  # fmt: skip


PROPERTIES = {"property", "cached_property"}


def test_properties_open_no_files():
    """What looks like a field costs nothing; a method of the same class counts as its own lines."""
    reading = [
        f"{path.relative_to(PACKAGE)}: {kind.name}.{method.name}"
        for path in SOURCES
        for kind in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(kind, ast.ClassDef)
        for method in kind.body
        if isinstance(method, ast.FunctionDef) and decorators_of(method) & PROPERTIES
        if calls_of(method, kind) & READERS
    ]
    assert not reading


def decorators_of(method):
    return {getattr(d, "attr", getattr(d, "id", "")) for d in method.decorator_list}


def calls_of(method, kind, seen=frozenset()):
    """Names of the functions that a method calls, by way of its class's others too."""
    own = {m.name: m for m in kind.body if isinstance(m, ast.FunctionDef)}
    calls = [node.func for node in ast.walk(method) if isinstance(node, ast.Call)]
    uses = {
        node.attr
        for node in ast.walk(method)
        if isinstance(node, ast.Attribute) and getattr(node.value, "id", "") == "self"
    }
    further = uses & (own.keys() - seen)
    return {getattr(call, "attr", getattr(call, "id", "")) for call in calls}.union(
        *(calls_of(own[name], kind, seen | further) for name in further)
    )
