"""What calls return: found by attribute, by key and by position, as transformers' outputs are."""

from __future__ import annotations

from collections.abc import ItemsView, Iterator, KeysView, ValuesView
from typing import Any, overload

from .reprs import outline


class Output:
    """Base of dataclasses whose fields are None where there is nothing, which then is left out.

        output.logits, output["logits"], output[1]
        loss, logits = output[:2]

    It is a mapping, so a loop over one gives names.
    """

    def _there(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if value is not None}

    @overload
    def __getitem__(self, key: str) -> Any: ...
    @overload
    def __getitem__(self, key: int) -> Any: ...
    @overload
    def __getitem__(self, key: slice) -> tuple[Any, ...]: ...
    def __getitem__(self, key: Any) -> Any:
        return self._there()[key] if isinstance(key, str) else self.to_tuple()[key]

    def __contains__(self, name: object) -> bool:
        return name in self._there()

    def __iter__(self) -> Iterator[str]:
        return iter(self._there())

    def __len__(self) -> int:
        return len(self._there())

    def keys(self) -> KeysView[str]:
        """The names of what is there."""
        return self._there().keys()

    def values(self) -> ValuesView[Any]:
        """What is there."""
        return self._there().values()

    def items(self) -> ItemsView[str, Any]:
        """What is there, with its names."""
        return self._there().items()

    def get(self, name: str, default: Any = None) -> Any:
        """What is there under a name, or else the default."""
        return self._there().get(name, default)

    def to_tuple(self) -> tuple[Any, ...]:
        """What is there, in order."""
        return tuple(self._there().values())

    def __repr__(self) -> str:
        lines = [f"    {name}={outline(value)},\n" for name, value in self._there().items()]
        return f"{type(self).__name__}(\n{''.join(lines)})" if lines else f"{type(self).__name__}()"
