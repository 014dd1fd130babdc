"""Modules in a row, under torch's names. A plain list of modules on a module serves as well."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, overload

from ..errors import DTypeError, shown
from ..kinds import as_index
from .module import Module


class ModuleList(Module):
    """Modules that are indexed like a list; their names are "0", "1", ...

    Parameters
    ----------
    modules : iterable of Module

    Raises
    ------
    DTypeError : one is no Module
    """

    def __init__(self, modules: Iterable[Module] = ()):
        self.extend(modules)

    def append(self, module: Module) -> Any:
        """Put a module at the end; returns self."""
        self._set(len(self), module)
        return self

    def extend(self, modules: Iterable[Module]) -> Any:
        """Put modules at the end; returns self."""
        if not isinstance(modules, Iterable):
            raise DTypeError(f"modules: got {shown(modules)}, expected several, in a list")
        for module in modules:
            self.append(module)
        return self

    def _set(self, index: int, module: Module) -> None:
        if not isinstance(module, Module):
            raise DTypeError(f"module {index}: got {shown(module)}, expected an nn.Module")
        setattr(self, str(index), module)

    def __len__(self) -> int:
        return sum(name.isdecimal() for name in vars(self))

    def __iter__(self) -> Iterator[Module]:
        return (vars(self)[str(index)] for index in range(len(self)))

    @overload
    def __getitem__(self, index: int) -> Any: ...
    @overload
    def __getitem__(self, index: slice) -> ModuleList: ...
    def __getitem__(self, index: int | slice) -> Any:
        found = list(self)[index]
        return self._of(found) if isinstance(found, list) else found

    @staticmethod
    def _of(modules: list[Module]) -> ModuleList:
        """What a slice is, of subclasses too, whose `__init__` takes what it likes."""
        return ModuleList(modules)

    def __setitem__(self, index: int, module: Module) -> None:
        self._set(range(len(self))[as_index("index", index)], module)


class Sequential(ModuleList):
    """Modules called one after another, each with what the one before returned.

    Parameters
    ----------
    modules : Modules, in the order in which they are called

    Raises
    ------
    DTypeError : one is no Module
    """

    def __init__(self, *modules: Module):
        super().__init__(modules)

    @staticmethod
    def _of(modules: list[Module]) -> ModuleList:
        return Sequential(*modules)

    def forward(self, x: Any) -> Any:
        """What the last module returns."""
        for module in self:
            x = module(x)
        return x
