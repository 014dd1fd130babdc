"""`plainformer search DIR --corpus F QUERY...`: the texts of a file that are nearest to a query."""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from ..checkpoints.sentence_transformers import SentenceFiles, read_sentence_files
from ..checkpoints.vector_files import SUFFIXES, open_vectors, vector_writer
from ..data import TextExample
from ..errors import DataError, short
from ..options import COUNT, check, option
from ..tasks import FeatureExtraction, semantic_search
from ..tasks.arguments import OpeningOptions
from ..tasks.data import DataOptions
from ..tasks.requests import Request, Requests
from ..tasks.vectors import VectorSettings
from ._common import Command, ModelDirectory, echo, usage_errors
from ._option_flags import flags_given, option_flags
from ._output import OUTPUT, output_of, refuse_overwriting
from .embed import open_encoder
from .predict import LEARNING, answer_all

_SHOWN = 100  # characters of a text that was found
_CLOSE = 0.99  # cosine of a vector that is made again, with bfloat16 on either side


@dataclass(frozen=True)
class SearchOptions:
    """What is searched for."""

    top_k: int = option(5, "So many texts are found for each query, nearest first.", COUNT)
    query_prompt: str | None = option(
        None, "What stands before a query; default what the directory says."
    )
    document_prompt: str | None = option(
        None, "What stands before a text of the corpus; default what the directory says."
    )

    def __post_init__(self) -> None:
        check(self)


@click.command(cls=Command)
@click.argument("directory", type=ModelDirectory())
@click.argument("queries", nargs=-1, metavar="QUERY...", required=True)
@click.option("--corpus", required=True, help="The file whose texts are searched, one a line.")
@click.option(
    "--embeddings",
    help="The corpus's vectors, .npy or .safetensors: mapped if the file is there, else written "
    "for the next search.",
)
@click.option("--output", "output_file", type=OUTPUT, help="Write what was found as JSONL.")
@option_flags(SearchOptions)
@option_flags(OpeningOptions, exclude=("task",))
@option_flags(DataOptions, exclude=LEARNING)
@option_flags(VectorSettings, exclude=("prompt",))
def search(
    directory: Path,
    queries: tuple[str, ...],
    corpus: str,
    embeddings: str | None,
    output_file: str | None,
    **flags: Any,
) -> dict[str, Any]:
    """Find the texts of a file that are nearest to each QUERY, by the cosine of their vectors.

    The search is exact. The corpus is a file of texts, one a line, JSONL with a field text, or a
    table. Its vectors are computed once where --embeddings names a file to keep them in.
    """
    with usage_errors():
        options = SearchOptions(**flags_given(SearchOptions, flags))
        found = _Search.open(directory, corpus, embeddings, options, flags)
    refuse_overwriting(output_file, [corpus, *([embeddings] if embeddings else [])], "the search")
    start = time.perf_counter()
    results = found.results(list(queries), options.top_k)
    seconds = round(time.perf_counter() - start, 3)
    if output_file is not None:
        with output_of(output_file) as file:
            for result in results:
                file.write(json.dumps(result, ensure_ascii=False) + "\n")
    for result in results:
        _show(result)
    return {"output_dir": str(directory), "queries": len(queries), "texts": found.texts,
            "results": results, "seconds": seconds}  # fmt: skip


class _Search:
    """A corpus and its vectors.

    opened : makes vectors of the corpus, `asking` of queries
    texts : how many there are, known after a search
    """

    def __init__(
        self,
        opened: Any,
        asking: Any,
        how: OpeningOptions,
        corpus: str,
        embeddings: str | None,
        reading: Mapping[str, Any],
    ):
        self.opened, self.asking, self.how = opened, asking, how
        self.corpus, self.embeddings = corpus, embeddings
        self.reading = dict(reading)
        self.skip = bool(self.reading.pop("skip_bad_lines", False))
        self.texts = 0

    @classmethod
    def open(
        cls,
        directory: Path,
        corpus: str,
        embeddings: str | None,
        options: SearchOptions,
        flags: Mapping[str, Any],
    ) -> _Search:
        """Open the model, with what stands before the texts of both sides."""
        if corpus == "-":
            raise click.UsageError("--corpus: got -, expected a file, which is read twice")
        if embeddings is not None and Path(embeddings).suffix.lower() not in SUFFIXES:
            raise click.UsageError(
                f"--embeddings: got {short(embeddings)}, expected a name with .npy or .safetensors"
            )
        opened, how = open_encoder(directory, flags)
        files = read_sentence_files(directory) or SentenceFiles()
        ours, theirs = options.query_prompt, options.document_prompt
        before = {
            "query": files.query_prompt if ours is None else ours,
            "corpus": files.document_prompt if theirs is None else theirs,
        }
        return cls(
            opened.with_settings(prompt=before["corpus"]),
            opened.with_settings(prompt=before["query"]),
            how,
            corpus,
            embeddings,
            flags_given(DataOptions, flags),
        )

    def results(self, queries: list[str], top_k: int) -> list[dict[str, Any]]:
        """For each query {"query", "results"}: score, line and text, and what else a row has."""
        with tempfile.TemporaryDirectory() as folder:
            path = self.embeddings or str(Path(folder, "corpus.npy"))
            if not Path(path).exists():
                self._write(path)
            elif Path(path).stat().st_mtime < Path(self.corpus).stat().st_mtime:
                echo(f"{self.corpus} is newer than {path}; remove that to compute it anew")
            vectors = open_vectors(path)
            asked = self.asking.vectors(queries, self.how.batch_size)
            hits = semantic_search(asked, vectors, top_k) if vectors.shape[1] == asked.shape[1] \
                else []  # fmt: skip
            found = self._texts_of({h["corpus_id"] for own in hits for h in own}, vectors, path)
            return [
                {"query": query, "results": [_hit(h, found[h["corpus_id"]]) for h in own]}
                for query, own in zip(queries, hits)
            ]

    def _write(self, path: str) -> None:
        """Compute the vectors of the corpus."""
        with vector_writer(path, self.opened.width) as vectors:
            answer_all(
                self.opened,
                self.how,
                self.corpus,
                lambda header: lambda record: vectors.add(record["embedding"]),
                flush=lambda: None,
                skip=self.skip,
                reading=self.reading,
            )

    def _texts_of(self, rows: set[int], vectors: Any, path: str) -> dict[int, Request]:
        """The requests behind these rows; raises unless the vectors are those of the corpus."""
        found, last, self.texts = {}, None, 0
        for row, request in enumerate(self._requests()):
            self.texts += 1
            if row in rows:
                found[row] = request
            if request.example is not None:
                last = (row, request.example)
        self._check(vectors, last, path)
        return found

    def _requests(self) -> Iterator[Request]:
        return iter(Requests(FeatureExtraction.name, self.corpus, **self.reading))

    def _check(self, vectors: Any, last: tuple[int, Any] | None, path: str) -> None:
        told = f"; remove {path} to compute it anew"
        if vectors.shape != (self.texts, self.opened.width):
            raise DataError(
                f"has vectors {vectors.shape}, expected {(self.texts, self.opened.width)} for "
                f"{self.corpus}{told}", path,
            )  # fmt: skip
        if last is None or self.embeddings is None:
            return
        row, example = last
        again = self.opened.vectors([example.text])
        [[nearest]] = semantic_search(again, vectors[row : row + 1], 1) or [[{"score": 0.0}]]
        if nearest["score"] < _CLOSE:
            raise DataError(
                f"row {row} is no vector of its text by this model, expected those of "
                f"{self.corpus}{told}", path,
            )  # fmt: skip


def _hit(hit: Mapping[str, Any], request: Request) -> dict[str, Any]:
    example = request.example
    text = example.text if isinstance(example, TextExample) else ""
    others = {k: v for k, v in request.fields.items() if k not in ("score", "line", "text")}
    return {"score": hit["score"], "line": request.line, "text": text, **others}


def _show(result: Mapping[str, Any]) -> None:
    echo(result["query"])
    for hit in result["results"]:
        text = " ".join(hit["text"].split())
        text = text if len(text) <= _SHOWN else f"{text[: _SHOWN - 3]}..."
        echo(f"  {hit['score']:.4f}  line {hit['line']}  {text}")
