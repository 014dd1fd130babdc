"""Heads of one label, of several and of numbers, through transformers' own pipeline."""

import pytest

import plainformer as pf
from plainformer.models import MODELS, from_config
from plainformer.tasks import open_task
from plainformer.tasks.directory import TaskFiles
from tests.peers.test_tokenizer_kinds import CONFIGS, tokenizer_of
from tests.tasks.test_problem_types import BOTH, NUMBERS
from tests.tasks.tiny import TEXTS, tune

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")
transformers.logging.set_verbosity_error()
transformers.logging.disable_progress_bar()

MULTI = "multi_label_classification"
FAMILIES = [f for f in CONFIGS if "sequence-classification" in MODELS[f].models]
ASKED = ["a bad film", "so good it was", "what a warm day"]


def compare(directory, family):
    ask = transformers.pipeline(
        "text-classification", model=str(directory), tokenizer=tokenizer_of(directory, family)
    )
    classify = pf.pipeline(None, directory)
    for text in ASKED:
        [one], [other] = classify(text), ask(text)
        assert one == {"label": other["label"], "score": pytest.approx(other["score"], abs=2e-5)}
        mine, theirs = classify(text, top_k=None), ask(text, top_k=None)
        assert [x["label"] for x in mine] == [x["label"] for x in theirs]
        assert [x["score"] for x in mine] == pytest.approx([x["score"] for x in theirs], abs=2e-5)


@pytest.mark.parametrize("problem", [None, MULTI, "regression", "single_label_classification"])
@pytest.mark.parametrize("num_labels", [1, 3])
@pytest.mark.parametrize("family", FAMILIES)
def test_a_head_as_it_is(tmp_path, family, num_labels, problem):
    if num_labels == 1 and problem == "single_label_classification":
        pytest.skip("refused: one label of one")
    made = tune("text-classification", tmp_path / "made", train=TEXTS, max_steps=1,
                model={**CONFIGS[family], "model_type": family}, tokenizer="bpe:300",
                eval_strategy="no").task  # fmt: skip
    values = made.model.config.to_dict()
    for name in ("id2label", "label2id"):
        values.pop(name, None)
    values |= {"num_labels": num_labels, "problem_type": problem, "initializer_range": 0.3,
               "init_std": 0.3}  # fmt: skip
    values = {k: v for k, v in values.items() if k in made.model.config.to_dict() or k in
              ("num_labels", "problem_type", "model_type")}  # fmt: skip
    model = from_config(values, "sequence-classification", seed=2).eval()
    model.save_pretrained(tmp_path / "own")
    TaskFiles(type(made)(made.tokenizer, model)).save_pretrained(tmp_path / "own")
    compare(tmp_path / "own", family)


@pytest.mark.parametrize("examples", [BOTH, NUMBERS], ids=["several", "number"])
@pytest.mark.parametrize("family", FAMILIES)
def test_a_head_that_was_learned(tmp_path, family, examples):
    tune("text-classification", tmp_path, train=examples, validation=examples, max_steps=12,
         model={**CONFIGS[family], "model_type": family}, tokenizer="bpe:300", eval_strategy="no",
         learning_rate=3e-3)  # fmt: skip
    compare(tmp_path, family)
    config = transformers.AutoConfig.from_pretrained(tmp_path)
    assert config.problem_type == open_task(tmp_path).problem.name
