"""Exact match and F1 of extracted answers, as the official SQuAD 1.1 and 2.0 scripts.

Rajpurkar and others, "SQuAD: 100,000+ Questions for Machine Comprehension of Text",
arXiv:1606.05250; Rajpurkar, Jia, Liang, "Know What You Don't Know", arXiv:1806.03822.
"""

from __future__ import annotations

import re
import string
from collections import Counter
from collections.abc import Callable, Sequence

import numpy as np

from ..errors import ConfigError, DTypeError, ShapeError, shown
from ..options import one_of
from ._scores import as_numbers, by_name, check_pairs, check_text, check_texts, mean

_ARTICLES = re.compile(r"\b(a|an|the)\b")
_PUNCTUATION = str.maketrans("", "", string.punctuation)
_VERSIONS = ("1.1", "2.0")
Answers = Sequence[Sequence[str]]
Tokenize = Callable[[str], list[str]]


def normalize_answer(text: str) -> str:
    """Lower case, without ASCII punctuation, English articles and extra white space."""
    check_text("text", text)
    return " ".join(_ARTICLES.sub(" ", text.lower().translate(_PUNCTUATION)).split())


def exact_match(reference: str, prediction: str) -> float:
    """1.0 if both are the same after `normalize_answer`, else 0.0."""
    return float(normalize_answer(prediction) == normalize_answer(reference))


def answer_f1(reference: str, prediction: str, tokenize: Tokenize = str.split) -> float:
    """F1 of the bags of words of both after `normalize_answer`.

    tokenize : cuts a text into words; `rouge_characters` for languages that have no spaces

    Where either has no word: 1.0 if neither has, else 0.0 (the 2.0 script's rule).
    """
    found, wanted = (tokenize(normalize_answer(text)) for text in (prediction, reference))
    if not found or not wanted:
        return float(found == wanted)
    same = sum((Counter(found) & Counter(wanted)).values())
    return 2 * same / (len(found) + len(wanted))


@by_name
def squad_metrics(
    *,
    references: Answers,
    predictions: Sequence[str],
    version: str | None = None,
    no_answer_scores: Sequence[float] | None = None,
    no_answer_threshold: float = 1.0,
    tokenize: Tokenize = str.split,
) -> dict[str, float]:
    """Mean over questions of the best exact match and the best F1 over each one's answers.

    Parameters
    ----------
    references : N lists of right answers; an empty one means that there is none
    predictions : (N,) strings; "" says that there is no answer
    version : "1.1" or "2.0"; default "2.0" if a question has no answer. They differ for answers
        that are empty once normalised ("the"): 2.0 leaves these out, 1.1 gives them F1 0.
    no_answer_scores : (N,) numbers; above `no_answer_threshold` the prediction counts as ""
    tokenize : of `answer_f1`; the official scripts cut at white space

    Returns
    -------
    dict : `exact_match`, `f1`, fractions; for 2.0 also `has_answer_exact_match`, `has_answer_f1`
        and `no_answer_accuracy`, each only where there are such questions

    Raises
    ------
    ShapeError : no questions, or different lengths
    ConfigError : an unknown version, or 1.1 with a question that has no answer
    DTypeError : a prediction or answer that is no string
    DataError : a no-answer score that is NaN
    """
    _check(predictions, references)
    version = _version(version, references)
    exact, f1 = _question_scores(predictions, references, version, tokenize)
    if no_answer_scores is not None:
        scores = _no_answer_scores(no_answer_scores, len(predictions))
        right = [float(not answers) for answers in references]  # of saying that there is none
        given_up = scores > _threshold(no_answer_threshold)
        exact, f1 = (np.where(given_up, right, values).tolist() for values in (exact, f1))
    metrics = {"exact_match": mean(exact), "f1": mean(f1)}
    if version == "2.0":
        has = [bool(answers) for answers in references]
        if any(has):
            metrics["has_answer_exact_match"] = mean(x for x, h in zip(exact, has) if h)
            metrics["has_answer_f1"] = mean(x for x, h in zip(f1, has) if h)
        if not all(has):
            metrics["no_answer_accuracy"] = mean(x for x, h in zip(exact, has) if not h)
    return metrics


@by_name
def best_no_answer_threshold(
    *, references: Answers, predictions: Sequence[str], no_answer_scores: Sequence[float]
) -> dict[str, float]:
    """The thresholds on `no_answer_scores` with the best exact match and the best F1 (2.0).

    A prediction is kept where its score is at most the threshold.

    Returns
    -------
    dict : `best_exact_match`, `best_exact_match_threshold`, `best_f1`, `best_f1_threshold`; a
        threshold of -inf keeps no prediction

    Raises
    ------
    ShapeError, DTypeError, DataError : as `squad_metrics`
    """
    _check(predictions, references)
    scores = _no_answer_scores(no_answer_scores, len(predictions))
    order = np.argsort(scores, kind="stable")
    ordered = scores[order]
    has = np.array([bool(answers) for answers in references])
    # What keeping each prediction adds to saying "no answer" everywhere. A text for a question
    # without an answer scores 0, "" scores 1: nothing gained, nothing lost.
    result: dict[str, float] = {}
    exact, f1 = _question_scores(predictions, references, "2.0")
    for name, values in (("exact_match", exact), ("f1", f1)):
        gains = np.where(has, np.array(values), np.array(values) - 1.0)[order]
        totals = np.concatenate([[0.0], np.cumsum(gains)]) + np.count_nonzero(~has)
        # A threshold cuts only between different scores, and after the last.
        ends = np.append(np.flatnonzero(ordered[1:] != ordered[:-1]) + 1, len(ordered))
        cuts = np.concatenate([[0], ends])
        best = int(cuts[int(np.argmax(totals[cuts]))])
        result[f"best_{name}"] = float(totals[best]) / len(references)
        result[f"best_{name}_threshold"] = float(ordered[best - 1]) if best else -np.inf
    return result


def _question_scores(
    predictions: Sequence[str], references: Answers, version: str, tokenize: Tokenize = str.split
) -> tuple[list[float], list[float]]:
    exact, f1 = [], []
    for text, answers in zip(predictions, references):
        golds = list(answers)
        if version == "2.0":
            golds = [answer for answer in golds if normalize_answer(answer)] or [""]
        exact.append(max(exact_match(text, answer) for answer in golds))
        score = answer_f1 if version == "2.0" else _answer_f1_of_1_1
        f1.append(max(score(text, answer, tokenize) for answer in golds))
    return exact, f1


def _answer_f1_of_1_1(prediction: str, answer: str, tokenize: Tokenize) -> float:
    return answer_f1(prediction, answer, tokenize) if normalize_answer(answer) else 0.0


def _version(version: str | None, references: Answers) -> str:
    unanswered = next((i for i, answers in enumerate(references) if not answers), None)
    if version is None:
        return "1.1" if unanswered is None else "2.0"
    one_of(*_VERSIONS).check("version", version)
    if version == "1.1" and unanswered is not None:
        raise ConfigError(f"version: got '1.1', but references[{unanswered}] has no answer; '2.0'?")
    return version


def _threshold(value: float) -> np.ndarray:
    number = as_numbers("no_answer_threshold", value)
    if number.ndim:
        raise DTypeError(f"no_answer_threshold: got {shown(value)}, expected a number")
    return number


def _no_answer_scores(scores: Sequence[float], count: int) -> np.ndarray:
    values = as_numbers("no_answer_scores", scores)
    if values.shape != (count,):
        raise ShapeError(f"no_answer_scores: got shape {values.shape}, expected ({count},)")
    return values


def _check(predictions: Sequence[str], references: Answers) -> None:
    check_pairs(predictions, references)
    check_texts("predictions", predictions)
    for i, answers in enumerate(references):
        if isinstance(answers, str):
            raise DTypeError(f"references[{i}]: got a string, expected a list of answers")
        check_texts(f"references[{i}]", answers)
