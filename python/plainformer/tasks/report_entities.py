"""The report of tagged words: each entity that is there or was found, right where both agree."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from ..metrics import LabelScore, calibration_bins, entity_scores, label_scores, spans_of
from .report import Report, Verdict, asked_of

NONE = "(none)"  # in the place of a type: no entity there
Text = tuple[str, list[tuple[int, int]]]  # a text, and the characters of each word


def entities_report(
    predictions: Sequence[Any], examples: Sequence[Any], texts: Sequence[Text]
) -> Report:
    """The report of entities: a verdict for each span that is one in the data or in the answer.

    An entity that was missed has the confidence of the tags that its words were given. Only what
    was found has a share in the calibration.
    """
    verdicts: list[Verdict] = []
    for prediction, example, text in zip(predictions, examples, texts):
        verdicts += _verdicts(prediction, example, text)
    scores = entity_scores(
        references=[list(example.tags) for example in examples],
        predictions=[list(prediction.tags) for prediction in predictions],
    )
    found = [one for one in verdicts if one.row["prediction"] is not None]
    bins = calibration_bins(*_sides(found)) if found else []
    return Report("type", scores, verdicts, _confusion(list(scores), verdicts), bins)


def words_report(
    predictions: Sequence[Any], examples: Sequence[Any], texts: Sequence[Text]
) -> Report:
    """The report of tags that are no entities, such as parts of speech: a verdict for each word."""
    verdicts = []
    for prediction, example, (text, spans) in zip(predictions, examples, texts):
        own = zip(spans, example.tags, prediction.tags, prediction.scores)
        for (start, end), gold, name, score in own:
            place = {"word": text[start:end], "start": start, "end": end, "text": text}
            verdicts.append(_verdict(example, place, gold, name, float(score)))
    gold, found = ([one.row[side] for one in verdicts] for side in ("gold", "prediction"))
    scores: dict[Any, LabelScore] = label_scores(references=gold, predictions=found)
    bins = calibration_bins(*_sides(verdicts))
    return Report("label", scores, verdicts, _confusion(list(scores), verdicts), bins)


def _verdicts(prediction: Any, example: Any, text: Text) -> Iterator[Verdict]:
    whole, words = text
    gold = {(s.start, s.end): s.type for s in spans_of(example.tags)}
    found = {(s.start, s.end): s.type for s in spans_of(prediction.tags)}
    for span in sorted({*gold, *found}):
        start, end = words[span[0]][0], words[span[1] - 1][1]
        place = {"entity": whole[start:end], "start": start, "end": end, "text": whole}
        score = float(np.mean(prediction.scores[slice(*span)], dtype=np.float64))
        yield _verdict(example, place, gold.get(span), found.get(span), score)


def _verdict(
    example: Any, place: dict[str, Any], gold: str | None, found: str | None, score: float
) -> Verdict:
    fields = {"gold": gold, "prediction": found, "correct": gold == found, "score": score}
    return Verdict({**fields, **asked_of(example, place)}, gold == found, score)


def _sides(verdicts: Sequence[Verdict]) -> tuple[list[float], list[bool]]:
    return [min(1.0, one.confidence) for one in verdicts], [one.correct for one in verdicts]


def _confusion(kinds: list[Any], verdicts: Sequence[Verdict]) -> tuple[list[Any], np.ndarray]:
    """How often an entity of each type was taken for one of each type, or for none."""
    pairs = [[one.row[side] for side in ("gold", "prediction")] for one in verdicts]
    names = [*kinds, NONE] if any(None in pair for pair in pairs) else kinds
    index = {name: i for i, name in enumerate(names)} | {None: len(names) - 1}
    matrix = np.zeros((len(names), len(names)), np.int64)
    for gold, found in pairs:
        matrix[index[gold], index[found]] += 1
    return names, matrix
