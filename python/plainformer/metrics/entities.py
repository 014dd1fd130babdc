"""F1 of named entities: exact span and type, as conlleval and seqeval count.

Tjong Kim Sang and De Meulder, "Introduction to the CoNLL-2003 Shared Task", arXiv:cs/0306050;
Nakayama, seqeval, 2018.
"""

from __future__ import annotations

from collections.abc import Sequence

from ..errors import ConfigError, DataError, DTypeError, ShapeError, shown
from ._scores import (
    LabelScore,
    by_name,
    check_pairs,
    check_texts,
    mean,
    ratio,
    score_counts,
    scores_by,
)
from .tags import Span, detect_scheme, spans_of

Sentences = Sequence[Sequence[str]]
Entities = set[tuple[int, Span]]  # sentence, span


@by_name
def entity_scores(
    *,
    references: Sentences,
    predictions: Sentences,
    mode: str | None = None,
    scheme: str | None = None,
) -> dict[str, LabelScore]:
    """Precision, recall, F1 and support of each entity type, sorted by type.

    An entity is right if its type, first and last word are. See `entity_metrics`.
    """
    return _by_type(*_entities(predictions, references, mode, scheme))


@by_name
def entity_metrics(
    *,
    references: Sentences,
    predictions: Sentences,
    mode: str | None = None,
    scheme: str | None = None,
) -> dict[str, float]:
    """Micro precision, recall and F1 over all entities, macro F1 over types, accuracy over words.

    Parameters
    ----------
    references, predictions : tags of each sentence, as many words on both sides
    mode : None counts as conlleval does, whatever the scheme (`I-PER` after `O` begins an entity);
        "strict" takes only entities that are well formed in the scheme
    scheme : "IOB2", "IOBES", "BILOU" or "IOB1" for "strict"; default by the letters that occur

    Returns
    -------
    dict : `f1` (micro), `precision`, `recall`, `macro_f1`, `accuracy`, fractions; without entities
        on either side all but `accuracy` are 0

    Raises
    ------
    ShapeError : no sentences, different numbers of them, or of words in one
    DataError : a tag without a prefix, or in strict mode one of another scheme
    ConfigError : unknown `mode` or `scheme`, or a scheme without "strict"
    DTypeError : a sentence that is no list of strings
    """
    found, wanted = _entities(predictions, references, mode, scheme)
    total = score_counts(len(found & wanted), len(found), len(wanted))
    words = [pair for p, r in zip(predictions, references) for pair in zip(p, r)]
    return {
        "f1": total.f1,
        "precision": total.precision,
        "recall": total.recall,
        "macro_f1": mean(score.f1 for score in _by_type(found, wanted).values()),
        "accuracy": ratio(sum(p == r for p, r in words), len(words)),
    }


def _by_type(found: Entities, wanted: Entities) -> dict[str, LabelScore]:
    return scores_by(
        *([span.type for _, span in entities] for entities in (found, wanted, found & wanted))
    )


def _entities(
    predictions: Sentences, references: Sentences, mode: str | None, scheme: str | None
) -> tuple[Entities, Entities]:
    """The (sentence, span) of both sides."""
    _check(predictions, references)
    if mode not in (None, "strict"):
        raise ConfigError(f"mode: got {shown(mode)}, expected None or 'strict'")
    if scheme is not None and mode is None:
        raise ConfigError("scheme: got one without mode='strict', which alone reads it")
    if mode and scheme is None:
        # once for both sides: a sentence alone may not use every letter
        scheme = detect_scheme(t for side in (references, predictions) for s in side for t in s)
    strict = mode == "strict"
    return (
        _side("predictions", predictions, strict, scheme),
        _side("references", references, strict, scheme),
    )


def _side(name: str, sentences: Sentences, strict: bool, scheme: str | None) -> Entities:
    found: Entities = set()
    for i, tags in enumerate(sentences):
        try:
            found.update((i, span) for span in spans_of(tags, scheme=scheme, strict=strict))
        except DataError as error:
            raise DataError(f"{name}[{i}]: {error}") from error
    return found


def _check(predictions: Sentences, references: Sentences) -> None:
    check_pairs(predictions, references)
    for i, (found, wanted) in enumerate(zip(predictions, references)):
        for name, tags in (("predictions", found), ("references", wanted)):
            if isinstance(tags, str):
                raise DTypeError(f"{name}[{i}]: got a string, expected a list of tags a sentence")
            check_texts(f"{name}[{i}]", tags)
        if len(found) != len(wanted):
            raise ShapeError(
                f"predictions[{i}]: got {len(found)} tags, expected the sentence's {len(wanted)}"
            )
