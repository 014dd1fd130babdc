"""`layer_types` of a configuration: which layers see a window of what is before them."""

from __future__ import annotations

from typing import Any

from ..errors import ConfigError, shown
from ..options import at_least
from .config import MAX_SIZE

FULL, SLIDING = "full_attention", "sliding_attention"


def check_layer_types(config: Any, off: str = "sliding_window is None") -> None:
    """Raise unless there is a word for each layer, and a window for those that slide.

    off : why there may be no window, for the message
    """
    words, layers, window = config.layer_types, config.num_hidden_layers, config.sliding_window
    if len(words) != layers or not {FULL, SLIDING}.issuperset(words):
        raise ConfigError(
            f"layer_types: got {shown(words)}, expected {layers} words {FULL} or {SLIDING}"
        )
    check_sliding_window(window)
    if SLIDING in words and window is None:
        raise ConfigError(f"layer_types: got {SLIDING}, but {off}")


def check_sliding_window(window: int | None) -> None:
    """Raise for a window of no row; None is none."""
    if window is not None:
        at_least(1, MAX_SIZE).check("sliding_window", window)


def alternating(layers: int, every: int) -> list[str]:
    """Layers that slide, but for each `every`-th."""
    return [FULL if (i + 1) % every == 0 else SLIDING for i in range(layers)]


def window_behind(window: int | None) -> tuple[int, int]:
    """The `window_size` of attention for a window that counts the row itself."""
    return (-1, -1) if window is None else (window - 1, -1)


def window_of(config: Any, layer: int) -> tuple[int, int]:
    """The `window_size` of a layer's attention, as `layer_types` says."""
    return window_behind(config.sliding_window if config.layer_types[layer] == SLIDING else None)
