"""`pretrain`: from unlabelled text to a model, from scratch or from where a checkpoint stands.

    result = pf.pretrain("texts/*.txt", "held.txt", config="gpt.json", tokenizer="bpe:8000",
                         output_dir="out", max_steps=2000, learning_rate=1e-3)
    print(result)
    pf.load("out").generate(...)

The text is encoded once into memory-mapped files in `output_dir/tokens`, and may be larger than
memory. What is in `output_dir` in the end is a Hugging Face directory.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from ..data import PreTrainedTokenizer
from ..data.fingerprints import digest
from ..data.objectives.vocabulary import Vocabulary
from ..data.tokenizer import tell_unknown
from ..errors import ConfigError
from ..options import documented
from ..training import Trainer, TrainerCallback, TrainingArguments
from ..training.checkpoint import claim_directory
from ..training.sweep import Sweep, Values, combinations
from .building import SavedTokenizer, check_block_size, checkpoint_model, new_model
from .objectives import LanguageData, make_objective, objective_data
from .options import PretrainingOptions, split
from .result import PretrainResult
from .samples import SampleCallback
from .text import as_sources, given_documents, load_tokens

logger = logging.getLogger("plainformer")
SAMPLED = 64  # tokens of a sample unless told


@documented(PretrainingOptions, TrainingArguments)
def pretrain(
    data: Any,
    validation: Any = None,
    *,
    config: str | Path | Mapping[str, Any] | None = None,
    tokenizer: str | Path | PreTrainedTokenizer | None = None,
    model: str | Path | None = None,
    objective: str = "clm",
    block_size: int | None = None,
    output_dir: str | Path,
    callbacks: Iterable[TrainerCallback | type[TrainerCallback]] = (),
    sweep: Values | None = None,
    **options: Any,
) -> PretrainResult:
    """Train a model on unlabelled text.

    Parameters
    ----------
    data, validation : files, directories or globs (.txt, .md, .jsonl, .csv, .tsv; a .bin file holds
        tokens already), or a list of objects with a text ({"text": ...}) or of `data.Document`
    config : what model to build: a Hugging Face config.json or its contents, without `vocab_size`,
        which the tokenizer sets
    tokenizer : of a new model: a directory, one to train on `data` (`char`, `char:SIZE`,
        `bpe:SIZE`, `wordpiece:SIZE`), or what `load_tokenizer` gives
    model : a Hugging Face directory to go on from, with its tokenizer, in place of these two
    objective : "clm" the next token (GPT), "mlm" hidden tokens (BERT), "span" spans cut out (T5) or
        "denoise" the text behind a damaged one (BART)
    block_size : tokens of an example; default what the model has positions for, or 512
    output_dir : where tokens, checkpoints and logs go, and at last the model
    callbacks : of `Trainer`
    sweep : options and the values of each that are tried, {"learning_rate": [1e-3, 2e-3]}, every
        combination in a run of its own in output_dir/sweep; the best on validation data is kept
    options : of text, objective and training, listed below

    Returns
    -------
    PretrainResult : `model`, `tokenizer` and `metrics`

    Raises
    ------
    ConfigError : an unknown option, a value that is not allowed, an option without effect
    DataError : bad text, with file and line
    CheckpointError : a model that cannot be read; another run is writing into output_dir
    NonFiniteError : training diverged
    """

    def prepared(directory: str | Path, how: Mapping[str, Any]) -> Pretraining:
        return Pretraining(
            data, validation, config=config, tokenizer=tokenizer, model=model, objective=objective,
            block_size=block_size, output_dir=directory, **how,
        )  # fmt: skip

    def train(run: Pretraining) -> PretrainResult:
        with claim_directory(run.args):
            run.build()
            run.read()
            return run.run(callbacks)

    if sweep is None:
        return train(prepared(output_dir, options))
    if validation is None:
        raise ConfigError("sweep: needs validation data, which say what is best")
    runs = combinations(sweep, options)
    for chosen in runs:  # what is not allowed is told before anything is trained
        prepared(output_dir, {**options, **chosen})

    def train_one(directory: Path, how: dict[str, Any]) -> tuple[PretrainResult, TrainingArguments]:
        run = prepared(directory, how)
        return train(run), run.args

    metrics, result = Sweep(output_dir, runs, options).run(train_one)
    if result is None:
        made = checkpoint_model(output_dir, objective, TrainingArguments.seed)
        result = PretrainResult(made[1], PreTrainedTokenizer(made[0]), metrics)
    result.metrics = metrics
    return result


class Pretraining:
    """One call of `pretrain`, in its steps. Arguments and errors: `pretrain`."""

    def __init__(
        self,
        data: Any,
        validation: Any = None,
        *,
        output_dir: str | Path,
        config: Any = None,
        tokenizer: Any = None,
        model: Any = None,
        objective: str = "clm",
        block_size: int | None = None,
        **options: Any,
    ):
        for name, value in (("config", config), ("tokenizer", tokenizer)):
            if model is not None and value is not None:
                raise ConfigError(f"{name}: the directory of `model` has one; leave it out")
        self.config, self.spec, self.source = config, tokenizer, model
        self.objective, self._block_size = objective, block_size
        self.options, training = split(options)
        self.options.check_effects(objective, training)
        column = self.options.text_column
        self.data = as_sources("data", data, column)
        self.validation = None
        if validation is not None:
            self.validation = as_sources("validation", validation, column)
        self._limits_checkpoints = "save_total_limit" in training
        self.args = TrainingArguments(**{**training, "output_dir": output_dir})
        self.args.check_evaluated("validation", validation)
        self.args.check_device()

    def build(self) -> None:
        """The tokenizer, which may be trained on the text, and the model."""
        if self.source is not None:
            made = checkpoint_model(self.source, self.objective, self.args.seed)
        else:
            texts = given_documents(self.data, self.options)
            made = new_model(self.config, self.spec, self.objective, texts, self.args.seed)
        self.tokenizer, self.model = made
        self.block_size = check_block_size(self._block_size, self.model.config)
        self.vocabulary = Vocabulary.of(self.tokenizer)
        self._learned = make_objective(
            self.objective, self.vocabulary, self.block_size, self.options
        )
        prompts, most = self.options.prompts, self.options.sample_tokens or SAMPLED
        self._samples = []
        if prompts:
            self._samples = [SampleCallback(self.tokenizer, self.model, prompts, most)]

    def read(self) -> None:
        """Encode the text, and cut it into examples."""
        tokens, more = Path(self.args.output_dir, "tokens"), self.options
        self.train = load_tokens(tokens / "train.bin", self.tokenizer, self.data, more)
        self.held = None
        if self.validation is not None:
            path = tokens / "validation.bin"
            self.held = load_tokens(path, self.tokenizer, self.validation, more)
            tell_unknown("validation", self.tokenizer, self.held.tokens)
        self.examples = objective_data(
            self._learned,
            self.vocabulary,
            self.train,
            self.held,
            self.block_size,
            packing=more.packing,
        )
        logger.info(
            "%s tokens to train on, %s in the vocabulary",
            f"{len(self.train.tokens):,}", f"{self.vocabulary.size:,}",
        )  # fmt: skip

    def run(self, callbacks: Iterable[Any] = ()) -> PretrainResult:
        """Train, evaluate, and write the model."""
        callbacks = [*self._samples, *callbacks]
        trainer = Trainer(
            self.model,
            self.args,
            self.examples.train,
            self.examples.evaluation,
            self.examples.collate,
            callbacks=callbacks,
            processing_class=SavedTokenizer(
                self.tokenizer, self.block_size, getattr(self.model, "has_token_types", False)
            ),
            inputs=self._inputs(),
        )
        baselines = measure_baselines(self.examples)
        output = trainer.train()
        metrics = output.figures(self.args)
        if self.held is not None:
            loss = trainer.evaluate()["eval_loss"]
            perplexity = math.exp(min(loss, 700.0))
            metrics |= {"eval_loss": loss, "eval_perplexity": perplexity, **baselines}
        if trainer.state.best_step is not None:
            metrics["best_step"] = trainer.state.best_step
        trainer.save_model()
        if not self._limits_checkpoints:
            trainer.keep_newest_checkpoint()
        return PretrainResult(self.model, PreTrainedTokenizer(self.tokenizer), metrics)

    def _inputs(self) -> dict[str, Any]:
        """What a checkpoint keeps of data, tokenizer and objective, to be compared on resuming."""
        held = {} if self.held is None else {"validation": self.held.fingerprint()}
        return {
            "data": self.train.fingerprint(),
            **held,
            "tokenizer": digest(self.tokenizer.to_str()),
            "block_size": self.block_size,
            "objective": self.objective,
            "packing": self.options.packing,
            **self.options.of_objective(self.objective),
        }


def measure_baselines(data: LanguageData) -> dict[str, float]:
    """What the validation labels cost without a model, said before training; empty without them."""
    if data.baselines is None:
        return {}
    found = data.baselines()
    logger.info(
        "%s validation labels; without a model, from %s training tokens: unigram loss %.4f, "
        "bigram loss %.4f",
        f"{found.labels:,}", f"{found.tokens:,}", found.unigram, found.bigram,
    )  # fmt: skip
    return {"unigram_loss": found.unigram, "bigram_loss": found.bigram}
