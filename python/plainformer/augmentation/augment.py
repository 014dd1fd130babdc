"""`augment`: labelled examples to new labelled examples, without doubles."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer

from .. import models
from ..data import TextExample, check_labels
from ..data.tokenizer import read_tokenizer
from ..errors import CheckpointError, ConfigError, DataError, shown
from ..tasks import Task, open_task
from ..tasks.options import check_at_least
from ..tasks.task import chunks
from .conditioning import learn_labels
from .rewriting import Rewriter

_TASK = "text-classification"


@dataclass
class Counts:
    """What became of the texts that were written.

    examples : that were given
    wordless : of them, without a word that can be hidden; they have no copies
    written : copies that were kept
    doubles : copies that were an original or a former copy
    rejected : copies that the classifier did not give their label, or not with `min_score`
    """

    examples: int = 0
    wordless: int = 0
    written: int = 0
    doubles: int = 0
    rejected: int = 0

    def to_dict(self) -> dict[str, int]:
        """By name."""
        return asdict(self)


class Augmenter:
    """Writes new labelled examples with a masked language model.

    Parameters
    ----------
    model : a directory with a masked language model and its tokenizer (`plainformer pretrain
        --objective mlm` writes one)
    copies : int, texts that are written for each example
    mask_fraction : float in (0, 1], of the words of a text that are replaced, at least one
    temperature, top_k : of drawing words; top_k None means from all words
    label_epochs : int, passes over the examples in which the model first learns labels, which then
        stand before the texts; 0: it sees no labels
    learning_rate : of these passes
    classifier : a directory that `finetune` wrote for text-classification; a new text is kept if
        it is given the label of its example
    min_score : float in [0, 1], the least probability of that label
    batch_size : int, texts in one forward pass; it changes no byte of the results
    seed : int; the texts of an example depend on it, on the example and its place alone, and with
        label_epochs on what was learned

    counts : Counts of the last run

    Raises
    ------
    ConfigError : a value out of range or without effect, a tokenizer without a mask token, no
        classifier of texts
    CheckpointError : a directory without a masked language model, or damaged
    """

    def __init__(
        self,
        model: str | Path,
        *,
        copies: int = 4,
        mask_fraction: float = 0.15,
        temperature: float = 1.0,
        top_k: int | None = 50,
        label_epochs: int = 10,
        learning_rate: float | None = None,
        classifier: str | Path | None = None,
        min_score: float | None = None,
        batch_size: int = 32,
        seed: int = 0,
    ):
        self.path, self.copies, self.batch_size, self.seed = model, copies, batch_size, seed
        self.label_epochs = label_epochs
        check_at_least(self, 1, "copies", "batch_size")
        check_at_least(self, 0, "label_epochs", "seed")
        self.learning_rate = _check_rate(learning_rate, label_epochs)
        self.min_score = _check_score(min_score, classifier)
        self.rewriting: dict[str, Any] = {
            "mask_fraction": mask_fraction,
            "temperature": temperature,
            "top_k": top_k,
            "show_labels": label_epochs > 0,
        }
        self._rewriter()  # says at once what is wrong
        self.classifier = None if classifier is None else open_task(classifier, _TASK)
        self.counts = Counts()

    def stream(self, examples: Iterable[Any]) -> Iterator[TextExample]:
        """New examples in the order of those they come from; no more than a batch is held.

        The examples given are all held: a new text must be none of theirs.

        Raises
        ------
        DataError : no examples, something else than a TextExample, one without a label, or with one
            that the classifier cannot give
        """
        given = list(examples)
        _check_examples(given, self.classifier)
        self.counts = Counts(examples=len(given))
        rewriter = self._rewriter()  # a model that has learned nothing from another run
        if self.label_epochs:
            learn_labels(
                rewriter.model,
                rewriter.tokenizer,
                given,
                epochs=self.label_epochs,
                learning_rate=self.learning_rate,
                mask_fraction=rewriter.mask_fraction,
                seed=self.seed,
            )
        return self._kept(given, rewriter)

    def _rewriter(self) -> Rewriter:
        return Rewriter(*open_masked_lm(self.path), **self.rewriting)

    def _kept(self, given: list[TextExample], rewriter: Rewriter) -> Iterator[TextExample]:
        for batch in chunks(self._new(given, rewriter), self.batch_size):
            for example in self._accepted(batch):
                self.counts.written += 1
                yield example

    def _new(self, given: list[TextExample], rewriter: Rewriter) -> Iterator[TextExample]:
        """Copies that are neither an original nor a former copy."""
        seen = {example.text for example in given}
        copies = rewriter.variants(given, self.copies, seed=self.seed, batch_size=self.batch_size)
        wordless = 0
        for example, text in copies:
            if text is None:
                wordless += 1
                self.counts.wordless = wordless // self.copies
            elif text in seen:
                self.counts.doubles += 1
            else:
                seen.add(text)
                yield TextExample(text, example.label, example.file, example.line)

    def _accepted(self, batch: list[TextExample]) -> Iterator[TextExample]:
        if self.classifier is None:
            yield from batch
            return
        for example, scores in self.classifier.predict(batch, self.batch_size):
            best = int(scores.argmax())
            same = self.classifier.labels.labels[best] == example.label
            if same and scores[best] >= self.min_score:
                yield example
            else:
                self.counts.rejected += 1


def augment(
    model: str | Path, examples: Iterable[TextExample], **options: Any
) -> list[TextExample]:
    """New labelled examples for text-classification.

    Parameters
    ----------
    model : a directory with a masked language model
    examples : labelled; `data.read_examples` reads them from files
    options : of `Augmenter`: copies, mask_fraction, temperature, top_k, label_epochs,
        learning_rate, classifier, min_score, batch_size, seed

    Raises
    ------
    ConfigError, CheckpointError : see `Augmenter`
    DataError : no examples, one without a label, or with one that the classifier cannot give
    """
    return list(Augmenter(model, **options).stream(examples))


def open_masked_lm(path: str | Path) -> tuple[Any, Tokenizer]:
    """The masked language model of a directory, and its tokenizer.

    Raises
    ------
    CheckpointError : a model without the head that guesses tokens, or no model at all
    ConfigError : a family that has no masked language model
    """
    model, report = models.load(path, "masked-lm", output_loading_info=True)
    if report.new_keys:
        raise CheckpointError(
            f"{path}: has no head that guesses hidden words ({report.new_keys[0]}); train one: "
            f"plainformer pretrain --objective mlm --model {path} --data TEXTS --output-dir OUT"
        )
    return model, read_tokenizer(path)


def _check_rate(learning_rate: float | None, label_epochs: int) -> float:
    if learning_rate is None:
        return 5e-5
    if not label_epochs:
        raise ConfigError("learning_rate: has no effect with label_epochs 0")
    if not learning_rate > 0:
        raise ConfigError(f"learning_rate: got {learning_rate}, expected more than 0")
    return learning_rate


def _check_score(min_score: float | None, classifier: str | Path | None) -> float:
    if min_score is None:
        return 0.0
    if classifier is None:
        raise ConfigError("min_score: has no effect without a classifier")
    if not 0 <= min_score <= 1:
        raise ConfigError(f"min_score: got {min_score}, expected 0 to 1")
    return min_score


def _check_examples(examples: Sequence[Any], classifier: Task | None) -> None:
    if not examples:
        raise DataError("examples: got none, expected at least one")
    for example in examples:
        if not isinstance(example, TextExample):
            raise DataError(f"examples: got {type(example).__name__}, expected TextExample")
        if not isinstance(example.label, str):
            has = "no label" if example.label is None else f"{shown(example.label)} for its label"
            raise DataError(
                f"{shown(example.text)} has {has}, expected one, which a new text would keep",
                example.file or None,
                example.line,
            )
    if classifier is not None:
        check_labels(examples, classifier.labels.labels)
