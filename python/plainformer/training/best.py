"""Which evaluation is the best: the deciding metric, then the validation loss, then the later step.

A metric ties long before a model is done: a few hundred examples know few values of accuracy, and
it may reach its highest within the first steps. The loss still tells such models apart, and where
it ties too, more training is the better guess.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

from ..errors import ConfigError, listed, shown
from .arguments import TrainingArguments
from .state import TrainerState


class ModelScore(NamedTuple):
    """What decides about one evaluation. loss : None where there is none that is a number"""

    value: float
    loss: float | None


def score_of(args: TrainingArguments, metrics: dict[str, Any]) -> ModelScore:
    """The score of an evaluation's metrics, or of its record in the log.

    Raises
    ------
    ConfigError : the evaluation lacks the deciding metric, or it is no number
    """
    name = args.best_metric_name
    if name not in metrics:
        raise ConfigError(
            f"metric_for_best_model: got {shown(name)}, the evaluation has {listed(metrics)}"
        )
    value, loss = (_figure(metrics, one) for one in (name, _loss_name(args, metrics)))
    return ModelScore(value, loss if math.isfinite(loss) else None)


def _figure(metrics: dict[str, Any], name: str) -> float:
    """A metric as a number; NaN for None, as which logs write it, and where there is none."""
    value = metrics.get(name)
    if value is None:
        return math.nan
    try:
        return float(value + 0)  # a text is no number, though it may look like one
    except (TypeError, ValueError, OverflowError):
        raise ConfigError(f"{name}: got {shown(value)}, expected a number") from None


def compare(
    score: ModelScore, best: ModelScore | None, greater: bool, threshold: float = 0.0
) -> int:
    """1 for a better score, 0 for one that is the same in both figures, else -1.

    Better is a metric that is better by more than `threshold`, or the same metric with a loss that
    is lower by more than it. NaN and infinities are never better.
    """
    if is_better(score.value, None if best is None else best.value, greater, threshold):
        return 1
    if best is None or score.value != best.value:
        return -1
    if score.loss is None or best.loss is None:
        return (score.loss is not None) - (best.loss is not None)
    if score.loss == best.loss:
        return 0
    return 1 if best.loss - score.loss > threshold else -1


def is_better(value: float, best: float | None, greater: bool, threshold: float = 0.0) -> bool:
    """Whether `value` beats `best` by more than `threshold`. NaN and infinities never do."""
    if not math.isfinite(value):
        return False
    if best is None:
        return True
    return value - best > threshold if greater else best - value > threshold


def best_score(args: TrainingArguments, state: TrainerState) -> ModelScore | None:
    """The score of the best evaluation so far; its loss is that of its record in the log."""
    if state.best_metric is None:
        return None
    records = _evaluations(args, state)
    own = [record for record in records if record.get("step") == state.best_step]
    return ModelScore(state.best_metric, score_of(args, own[-1]).loss if own else None)


def decided_by(args: TrainingArguments, state: TrainerState) -> list[str]:
    """The figures that made the best model the best: the loss too, where others tied with it."""
    if state.best_step is None:
        return []
    records = _evaluations(args, state)
    name = args.best_metric_name
    tied = [record for record in records if record[name] == state.best_metric]
    loss = _loss_name(args, tied[0]) if len(tied) > 1 else name
    return list(dict.fromkeys([name, loss]))


def _evaluations(args: TrainingArguments, state: TrainerState) -> list[dict[str, Any]]:
    return [record for record in state.log_history if args.best_metric_name in record]


def _loss_name(args: TrainingArguments, metrics: dict[str, Any]) -> str:
    """The loss on the data of the deciding metric: eval_both_loss for eval_both_accuracy."""
    own = f"{args.best_metric_name.rpartition('_')[0]}_loss"
    return own if own in metrics else "eval_loss"
