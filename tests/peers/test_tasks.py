"""Directories of fine-tuned models in transformers and peft: same logits, same templates."""

import numpy as np
import pytest

from plainformer import models
from plainformer.tasks import open_task
from tests.tasks.tiny import CHOICES, DIALOGUES, QUESTIONS, TEXTS, TOKENS, padded, tune

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

HEADS = {
    "text-classification": ("AutoModelForSequenceClassification", TEXTS),
    "token-classification": ("AutoModelForTokenClassification", TOKENS),
    "question-answering": ("AutoModelForQuestionAnswering", QUESTIONS),
    "multiple-choice": ("AutoModelForMultipleChoice", CHOICES),
    "dialogue": ("AutoModelForCausalLM", DIALOGUES),
}


def their_logits(model, batch):
    model.eval()
    with torch.no_grad():
        output = model(**{k: torch.tensor(np.asarray(v, np.int64)) for k, v in batch.items()})
    return output.logits if hasattr(output, "logits") else output.start_logits


@pytest.mark.parametrize("task", HEADS)
def test_transformers_opens_it_with_the_same_logits(task, tmp_path):
    name, examples = HEADS[task]
    tune(task, tmp_path / "out", max_steps=4, eval_strategy="no")
    ours = open_task(tmp_path / "out")
    theirs = getattr(transformers, name).from_pretrained(tmp_path / "out")
    features = [own[0] for own in ours.encode(examples[:3], labelled=False)]
    batch = ours.collate([feature.inputs for feature in features])
    output = ours.model(**batch)
    batch = padded(batch)
    mine = np.asarray(output.start_logits if task == "question-answering" else output.logits)
    found = their_logits(theirs, batch).numpy()
    if task != "multiple-choice" and mine.ndim > 1 and mine.shape[1] == batch["input_ids"].shape[1]:
        real = batch["attention_mask"] != 0
        mine, found = mine[real], found[real]
    np.testing.assert_allclose(mine, found, rtol=1e-4, atol=1e-5)
    if task.endswith("classification"):
        assert theirs.config.id2label == ours.model.config.id2label


def test_transformers_writes_dialogues_as_we_do(tmp_path):
    pytest.importorskip("jinja2")
    tune("dialogue", tmp_path / "out", max_steps=1)
    ours = open_task(tmp_path / "out")
    theirs = transformers.AutoTokenizer.from_pretrained(tmp_path / "out")
    messages = [{"role": m.role, "content": m.content} for m in DIALOGUES[0].messages]
    found = theirs.apply_chat_template(messages, tokenize=True, return_dict=True)["input_ids"]
    [[feature]] = ours.encode(DIALOGUES[:1], labelled=True)
    assert list(found) == feature.inputs["input_ids"].tolist()


@pytest.mark.filterwarnings("ignore::FutureWarning")
@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("rslora", [False, True])
def test_peft_reads_our_adapters_and_we_read_theirs(tmp_path, rslora):
    peft = pytest.importorskip("peft")
    tune("text-classification", tmp_path / "base", max_steps=1)
    tune("text-classification", tmp_path / "out", model=tmp_path / "base", max_steps=20,
         lora_r=2, target_modules=["query", "intermediate.dense"], eval_strategy="no")  # fmt: skip
    merged = open_task(tmp_path / "out")
    batch = merged.collate([own[0].inputs for own in merged.encode(TEXTS, labelled=False)])
    wanted = np.asarray(merged.model(**batch).logits)

    def base():
        return transformers.AutoModelForSequenceClassification.from_pretrained(tmp_path / "base")

    theirs = peft.PeftModel.from_pretrained(base(), tmp_path / "out" / "adapter")
    np.testing.assert_allclose(their_logits(theirs, padded(batch)), wanted, rtol=1e-4, atol=1e-5)

    config = peft.LoraConfig(
        r=3, lora_alpha=5, target_modules=["value"], use_rslora=rslora,
        modules_to_save=["classifier"], init_lora_weights=False, task_type="SEQ_CLS",
    )  # fmt: skip
    adapted = peft.get_peft_model(base(), config)
    adapted.save_pretrained(tmp_path / "theirs")
    ours = models.load(tmp_path / "base")
    models.load_adapter(ours, tmp_path / "theirs")
    np.testing.assert_allclose(
        their_logits(adapted, padded(batch)), np.asarray(ours(**batch).logits), rtol=1e-4, atol=1e-5
    )
