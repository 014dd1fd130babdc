"""A file imports only from its own floor or from floors below it, in no circle, in one style."""

import ast
import sys
from pathlib import Path

import plainformer

PACKAGE = Path(plainformer.__file__).parent

# From the ground up. A floor may import itself and everything below.
FLOORS = [
    {"_cpu", "_syntax", "characters", "errors", "kinds", "modes", "options"}
    | {"outputs", "reprs", "runtime"},
    {"kernels"},
    {"checkpoints", "data", "metrics"},
    {"arithmetic", "functional", "packing", "parameter", "quantized", "tape", "tensor"},
    {"nn", "optim"},
    {"models", "generation", "training"},
    {"pipelines", "pretraining", "tasks"},
    {"quickstart", "cli", "serve", "bench", "__main__"},
]
HEIGHT = {name: height for height, floor in enumerate(FLOORS) for name in floor}


# What the base install brings; the rest is imported where it is used.
BASE = {"click", "ml_dtypes", "numpy", "plainformer", "tokenizers", "tqdm", "yaml"}


def room_of(path: Path) -> str:
    """The floor's name of a file: its top folder or its own stem."""
    relative = path.relative_to(PACKAGE)
    return relative.parts[0] if len(relative.parts) > 1 else relative.stem


def imported_names(path: Path):
    """Every dotted name that a file imports, functions included, with the statement."""
    parents = ["plainformer", *path.relative_to(PACKAGE).parent.parts]
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from ((alias.name, node) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = parents[: len(parents) - node.level + 1] if node.level else []
            stem = ".".join([*base, *(node.module.split(".") if node.module else [])])
            yield from ((f"{stem}.{alias.name}", node) for alias in node.names)


def imported_rooms(path: Path):
    """Every plainformer room that a file imports, functions included, with the line."""
    for name, node in imported_names(path):
        parts = name.split(".")
        if parts[0] == "plainformer" and len(parts) > 1 and parts[1] in HEIGHT:
            yield parts[1], node.lineno


def imported_files(path: Path) -> set[Path]:
    """The files of plainformer that a file imports from."""
    found = set()
    for name, _ in imported_names(path):
        parts = name.split(".")
        if parts[0] == "plainformer":  # of a module, or of what a module or a package defines
            found |= {file_of(parts) or file_of(parts[:-1])} - {None}
    return found


def file_of(parts: list[str]) -> Path | None:
    base = PACKAGE.joinpath(*parts[1:])
    files = (base / "__init__.py", base.with_name(f"{base.name}.py"))
    return next((file for file in files if file.exists()), None)


def circles() -> list[set[str]]:
    """Files that reach each other by imports, grouped."""
    graph = {path: imported_files(path) for path in PACKAGE.rglob("*.py")}
    reached = {path: reach(graph, path) for path in graph}
    groups = {
        frozenset(other for other in reached[path] if path in reached[other])
        for path in graph
        if path in reached[path]
    }
    return sorted(
        [{file.relative_to(PACKAGE).as_posix() for file in group} for group in groups], key=sorted
    )


def reach(graph, start) -> set[Path]:
    """All files that one imports, by way of others too."""
    seen, ahead = set(), [start]
    while ahead:
        for other in graph.get(ahead.pop(), ()):
            if other not in seen:
                seen.add(other)
                ahead.append(other)
    return seen


def test_every_file_has_a_floor():
    rooms = {room_of(path) for path in PACKAGE.rglob("*.py")} - {"__init__"}
    assert rooms <= set(HEIGHT), f"rooms without a floor: {sorted(rooms - set(HEIGHT))}"


def test_compiled_modules_have_two_importers():
    """What knows a backend stays in two rooms: above them arrays of any kind pass through."""
    rooms = {
        room_of(path)
        for path in PACKAGE.rglob("*.py")
        for name, _ in imported_names(path)
        if name.split(".")[:2] in (["plainformer", "_cpu"], ["plainformer", "_cuda"])
    }
    assert rooms == {"kernels", "runtime"}


def test_files_import_only_downwards():
    upward = [
        f"{path.relative_to(PACKAGE)}:{line} imports {room}"
        for path in sorted(PACKAGE.rglob("*.py"))
        if room_of(path) != "__init__"
        for room, line in imported_rooms(path)
        if HEIGHT[room] > HEIGHT[room_of(path)]
    ]
    assert not upward


def test_no_files_import_each_other():
    """In type hints and inside functions too."""
    assert not circles()


def test_imports_inside_the_package_are_relative():
    absolute = [
        f"{path.relative_to(PACKAGE)}:{node.lineno}"
        for path in sorted(PACKAGE.rglob("*.py"))
        for name, node in imported_names(path)
        if name.split(".")[0] == "plainformer" and not getattr(node, "level", 0)
    ]
    assert not absolute


def test_imports_stand_at_the_top_or_say_why_not():
    """Exceptions: extras, what a system may lack (tried), and lines with a comment."""
    silent = [
        f"{path.relative_to(PACKAGE)}:{node.lineno}"
        for path in sorted(PACKAGE.rglob("*.py"))
        for node in imports_in_functions(path)
        if "#" not in path.read_text(encoding="utf-8").splitlines()[node.lineno - 1]
    ]
    assert not silent


def imports_in_functions(path: Path):
    """Imports of the package, of what it is installed with and of Python, inside functions."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for function in ast.walk(tree):
        if isinstance(function, ast.FunctionDef):
            tried = {id(n) for t in ast.walk(function) if isinstance(t, ast.Try) for n in t.body}
            for node in ast.walk(function):
                if isinstance(node, ast.ImportFrom):
                    first = "plainformer" if node.level else (node.module or "").split(".")[0]
                elif isinstance(node, ast.Import):
                    first = node.names[0].name.split(".")[0]
                else:
                    continue
                if first in BASE | sys.stdlib_module_names and id(node) not in tried:
                    yield node


def test_the_walk_sees_relative_and_absolute_imports(tmp_path, monkeypatch):
    monkeypatch.setattr("tests.test_import_floors.PACKAGE", tmp_path)
    (tmp_path / "kernels").mkdir()
    file = tmp_path / "kernels" / "x.py"
    file.write_text("from ..nn import Module\nimport plainformer.training.trainer\n")
    assert sorted(imported_rooms(file)) == [("nn", 1), ("training", 2)]


def test_the_walk_sees_circles_of_any_length_and_kind(tmp_path, monkeypatch):
    monkeypatch.setattr("tests.test_import_floors.PACKAGE", tmp_path)
    (tmp_path / "nn").mkdir()
    (tmp_path / "nn" / "__init__.py").write_text("from .a import A\n")
    (tmp_path / "nn" / "a.py").write_text("from . import b\n")
    (tmp_path / "nn" / "b.py").write_text("if TYPE_CHECKING:\n    from .c import C\n")
    (tmp_path / "nn" / "c.py").write_text("def f():\n    from ..nn import A\n")
    (tmp_path / "x.py").write_text("from .nn.c import f\n")
    assert circles() == [{"nn/__init__.py", "nn/a.py", "nn/b.py", "nn/c.py"}]
    assert [node.lineno for node in imports_in_functions(tmp_path / "nn" / "c.py")] == [2]
