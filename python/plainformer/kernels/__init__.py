"""Operations on arrays: NumPy arrays in, NumPy arrays out. No tape, no model."""

from .add import add

__all__ = [
    "add",
]
