"""A file imports only from its own floor or from floors below it."""

import ast
from pathlib import Path

import plainformer

PACKAGE = Path(plainformer.__file__).parent

# From the ground up. A floor may import itself and everything below.
FLOORS = [
    {"_cpu", "_syntax", "characters", "errors", "kinds", "modes", "runtime"},
    {"kernels"},
    {"checkpoints", "data", "metrics"},
    {"packing", "tensor", "functional"},
    {"nn"},
    {"models", "generation", "training"},
    {"augmentation", "pipeline", "tasks"},
    {"cli", "serve", "bench", "__main__"},
]
HEIGHT = {name: height for height, floor in enumerate(FLOORS) for name in floor}


def room_of(path: Path) -> str:
    """The floor's name of a file: its top folder or its own stem."""
    relative = path.relative_to(PACKAGE)
    return relative.parts[0] if len(relative.parts) > 1 else relative.stem


def imported_rooms(path: Path):
    """Every plainformer room that a file imports, functions included, with the line."""
    parents = ["plainformer", *path.relative_to(PACKAGE).parent.parts]
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = parents[: len(parents) - node.level + 1] if node.level else []
            stem = ".".join([*base, *(node.module.split(".") if node.module else [])])
            names = [f"{stem}.{alias.name}" for alias in node.names]
        else:
            continue
        for name in names:
            parts = name.split(".")
            if parts[0] == "plainformer" and len(parts) > 1 and parts[1] in HEIGHT:
                yield parts[1], node.lineno


def test_every_file_has_a_floor():
    rooms = {room_of(path) for path in PACKAGE.rglob("*.py")} - {"__init__"}
    assert rooms <= set(HEIGHT), f"rooms without a floor: {sorted(rooms - set(HEIGHT))}"


def test_files_import_only_downwards():
    upward = [
        f"{path.relative_to(PACKAGE)}:{line} imports {room}"
        for path in sorted(PACKAGE.rglob("*.py"))
        if room_of(path) != "__init__"
        for room, line in imported_rooms(path)
        if HEIGHT[room] > HEIGHT[room_of(path)]
    ]
    assert not upward


def test_the_walk_sees_relative_and_absolute_imports(tmp_path, monkeypatch):
    monkeypatch.setattr("tests.test_import_floors.PACKAGE", tmp_path)
    (tmp_path / "kernels").mkdir()
    file = tmp_path / "kernels" / "x.py"
    file.write_text("from ..nn import Module\nimport plainformer.training.trainer\n")
    assert sorted(imported_rooms(file)) == [("nn", 1), ("training", 2)]
