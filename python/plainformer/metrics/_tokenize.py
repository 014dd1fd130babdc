"""How BLEU cuts text into words, under sacrebleu's names: figures compare only where this agrees.

    13a   mteval-v13a, WMT's: punctuation and symbols of ASCII are words, but for what is in numbers
    zh    each Chinese character is a word, the rest as 13a
    char  each character is a word
    none  what stands between white space

Post, "A Call for Clarity in Reporting BLEU Scores", arXiv:1804.08771.
"""

from __future__ import annotations

import re
from collections.abc import Callable

# In order: symbols; a period or comma that no digit comes before; that none comes after; a dash
# behind a digit.
_SEPARATED = (
    (re.compile(r"([\{-\~\[-\` -\&\(-\+\:-\@\/])"), r" \1 "),
    (re.compile(r"([^0-9])([\.,])"), r"\1 \2 "),
    (re.compile(r"([\.,])([^0-9])"), r" \1 \2"),
    (re.compile(r"([0-9])(-)"), r"\1 \2 "),
)
_ESCAPES = (("&quot;", '"'), ("&amp;", "&"), ("&lt;", "<"), ("&gt;", ">"))
# sacrebleu's ranges. It writes extension B as "\u20000", which Python reads as U+2000 and a 0: so
# U+2001 to U+2A6D (dashes, quotes, arrows) stand alone, extension B does not, and "\u2f800" is
# likewise U+2F81 to U+2FA1. That is what published figures were computed with.
_CHINESE = re.compile(
    r"([\u2001-\u2a6d\u2e80-\u2fdf\u2ff0-\u303f\u3100-\u312f\u31a0-\u31bf\u31c0-\u31ef\u3200-\u33ff"
    r"\u3400-\u4db5\u4e00-\u9fbb\uf900-\ufa2d\ufa30-\ufa6a\ufa70-\ufad9\ufe10-\ufe1f\ufe30-\ufe4f"
    r"\uff00-\uffef])"
)


def words_13a(text: str) -> list[str]:
    """As mteval-v13a, which WMT uses."""
    text = text.replace("<skipped>", "").replace("-\n", "").replace("\n", " ")
    for escape, character in _ESCAPES:
        text = text.replace(escape, character)
    return _separated(f" {text} ")


def words_zh(text: str) -> list[str]:
    """Chinese characters, and the words of what is between them."""
    return _separated(_CHINESE.sub(r" \1 ", text.strip()))


def words_char(text: str) -> list[str]:
    """Characters, without white space."""
    return [character for character in text if not character.isspace()]


def _separated(text: str) -> list[str]:
    for pattern, spaced in _SEPARATED:
        text = pattern.sub(spaced, text)
    return text.split()


TOKENIZERS: dict[str, Callable[[str], list[str]]] = {
    "13a": words_13a,
    "zh": words_zh,
    "char": words_char,
    "none": str.split,
}
