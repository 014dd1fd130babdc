"""Relation classification as the official scorer of SemEval-2010 Task 8 counts it.

Hendrickx and others, "SemEval-2010 Task 8: Multi-Way Classification of Semantic Relations Between
Pairs of Nominals", arXiv:1911.10422; the scorer is version 1.2, by Preslav Nakov.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from ..errors import ConfigError, shown
from ._scores import LabelScore, by_name, check_pairs, check_texts, mean, score_counts, scores_by
from .classification import accuracy

_DIRECTION = re.compile(r"\(e[12],e[12]\)$")


@by_name
def relation_scores(
    *, references: Sequence[str], predictions: Sequence[str], other: str = "Other"
) -> dict[str, LabelScore]:
    """Scores of each relation of the references without its direction, `other` left out.

    This is the "(9+1)-way evaluation taking directionality into account": `R(e1,e2)` and
    `R(e2,e1)` are one class R, right only where the direction is; a wrong direction counts
    against precision and recall of R. Parameters and errors: `relation_metrics`.
    """
    _check(predictions, references, other)
    right = (r for p, r in zip(predictions, references) if p == r)
    found, wanted, both = (list(map(relation_of, own)) for own in (predictions, references, right))
    return scores_by(found, wanted, both, [name for name in sorted({*wanted}) if name != other])


@by_name
def relation_metrics(
    *, references: Sequence[str], predictions: Sequence[str], other: str = "Other"
) -> dict[str, float]:
    """The official directed macro F1, and micro F1 and accuracy beside it.

    f1 is the mean of F1 over the relations that occur in the references, without `other`;
    micro_f1 sums their counts; accuracy is over all labels with directions. A relation that is
    predicted but occurs in no reference counts only as a miss, as in the official scorer.

    Parameters
    ----------
    references, predictions : (N,) labels such as "Cause-Effect(e2,e1)"; labels without a
        direction are relations of their own
    other : the label that means no relation

    Returns
    -------
    dict : `f1`, `precision` and `recall` (macro), `micro_f1`, `accuracy`, fractions

    Raises
    ------
    ShapeError : no examples, or different lengths
    DTypeError : a label that is no string
    ConfigError : every reference is `other`
    """
    scores = relation_scores(predictions=predictions, references=references, other=other)
    undirected = [relation_of(label) for label in predictions]
    pairs = list(zip(predictions, references))
    micro = score_counts(
        sum(p == r and relation_of(r) != other for p, r in pairs),
        sum(name in scores for name in undirected),
        sum(score.support for score in scores.values()),
    )
    return {
        "f1": mean(score.f1 for score in scores.values()),
        "precision": mean(score.precision for score in scores.values()),
        "recall": mean(score.recall for score in scores.values()),
        "micro_f1": micro.f1,
        "accuracy": accuracy(predictions=predictions, references=references),
    }


def relation_of(label: str) -> str:
    """The label without `(e1,e2)` or `(e2,e1)`."""
    return _DIRECTION.sub("", label)


def _check(predictions: Sequence[str], references: Sequence[str], other: str) -> None:
    check_pairs(predictions, references)
    check_texts("predictions", predictions)
    check_texts("references", references)
    if all(label == other for label in references):
        raise ConfigError(
            f"other: every reference is {shown(other)}; expected at least one relation to score"
        )
