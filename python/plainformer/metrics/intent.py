"""Intent classification with an out-of-scope class, as CLINC150 reports it.

Larson and others, "An Evaluation Dataset for Intent Classification and Out-of-Scope Prediction",
EMNLP 2019, arXiv:1909.02027.
"""

from __future__ import annotations

from ..errors import ConfigError, shown
from ._scores import by_name, label_pairs, ratio
from .classification import Labels


@by_name
def intent_metrics(
    *, references: Labels, predictions: Labels, out_of_scope: str | int = "oos"
) -> dict[str, float]:
    """Accuracy on queries in scope, recall and precision of the out-of-scope class, all accuracy.

    in_scope_accuracy = right among references in scope (an in-scope query called out-of-scope is
    wrong); oos_recall = found among those out of scope; oos_precision = right among those called
    out of scope; accuracy = right among all.

    Parameters
    ----------
    references, predictions : (N,) labels, N >= 1
    out_of_scope : the label that stands for it

    Returns
    -------
    dict : `accuracy` and, of `in_scope_accuracy`, `oos_recall` and `oos_precision`, those that are
        defined: a key whose denominator is 0 is left out, so that no best value is one of nothing

    Raises
    ------
    ConfigError : `out_of_scope` occurs on neither side
    ShapeError, DTypeError : as `accuracy`
    """
    found, wanted = label_pairs(predictions, references)
    pairs = list(zip(found, wanted))
    if out_of_scope not in (*found, *wanted):
        raise ConfigError(
            f"out_of_scope: got {shown(out_of_scope)}, which no prediction and no reference is; "
            "name the label of the data, or use classification_metrics"
        )
    outside = [p for p, r in pairs if r == out_of_scope]
    inside = [(p, r) for p, r in pairs if r != out_of_scope]
    called = [r for p, r in pairs if p == out_of_scope]
    metrics = {"accuracy": ratio(sum(p == r for p, r in pairs), len(pairs))}
    if inside:
        metrics["in_scope_accuracy"] = ratio(sum(p == r for p, r in inside), len(inside))
    if outside:
        metrics["oos_recall"] = ratio(sum(p == out_of_scope for p in outside), len(outside))
    if called:
        metrics["oos_precision"] = ratio(sum(r == out_of_scope for r in called), len(called))
    return metrics
