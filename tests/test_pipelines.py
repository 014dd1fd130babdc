"""`pf.pipeline`: what each task returns for a text, for a list, and for objects."""

import inspect
import os
import threading

import numpy as np
import pytest

import plainformer as pf
from plainformer.errors import ConfigError, DataError
from tests.tasks.tiny import CHOICES, QUESTIONS, RELATIONS, TASKS, tune

ASKED = {
    "text-classification": ("so good", {"text": "so bad"}),
    "token-classification": ("Ann Lee saw Paris", {"tokens": ["Ann", "fell"]}),
    "relation-extraction": (
        "the <e1>saw</e1> cut the <e2>wood</e2>",
        {"text": "the saw cut", "head": [4, 7], "tail": [8, 11]},
    ),
    "question-answering": (
        {"question": "where is Ann ?", "context": "Ann is in Rome"},
        {"question": "who ?", "context": "Bob is"},
    ),
    "multiple-choice": (
        {"question": "rain is", "choices": ["wet", "dry"]},
        {"question": "sand is", "choices": ["wet", "dry", "blue"]},
    ),
    "sentence-similarity": (
        {"text": "so good", "text_pair": "truly good"},
        {"sentence1": "so good", "sentence2": "so bad"},
    ),
    "translation": ("a x", {"source": "b y"}),
    "summarization": ("a x", {"document": "b y"}),
    "text2text-generation": ("a x", {"source": "b y"}),
    "dialogue": ("hi", {"messages": [{"role": "user", "content": "I am Bob"}]}),
    "language-modeling": ("the sun", {"text": "the rain"}),
}
KEYS = {
    "text-classification": {"label", "score"},
    "relation-extraction": {"label", "score", "head", "tail"},
    "question-answering": {"answer", "score", "start", "end"},
    "multiple-choice": {"label", "answer", "score"},
    "translation": {"translation_text"},
    "summarization": {"summary_text"},
    "text2text-generation": {"generated_text"},
    "dialogue": {"generated_text"},
    "language-modeling": {"generated_text"},
}


@pytest.fixture(autouse=True)
def no_waiting_for_the_disk(monkeypatch):
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)


@pytest.fixture(scope="module")
def outputs(tmp_path_factory):
    root = tmp_path_factory.mktemp("outputs")
    for task in TASKS:
        tune(task, root / task, eval_strategy="no", max_steps=4)
    return root


@pytest.mark.parametrize("task", TASKS)
def test_a_list_gets_a_list_of_what_each_gets_alone(outputs, task):
    ask = pf.pipeline(task, outputs / task)
    text, record = ASKED[task]
    alone = ask(text)
    together = ask([text, record, text])
    assert len(together) == 3
    one = together[0]
    assert together[2] == one
    lists = task in (
        "text-classification", "translation", "summarization", "text2text-generation",
        "language-modeling",
    )  # fmt: skip
    assert alone == ([one] if lists else one)
    assert ask(record) == together[1]
    if task in KEYS:
        assert one.keys() == KEYS[task]


@pytest.mark.parametrize("task", TASKS)
def test_the_task_is_known_from_the_directory_and_batches_change_nothing(outputs, task):
    several = [*ASKED[task], ASKED[task][0]]
    wide = pf.pipeline(model=outputs / task, batch_size=8)
    narrow = pf.pipeline(model=outputs / task, batch_size=1)
    assert wide.task.name == task
    assert wide(several) == narrow(several)
    assert list(wide.stream(iter(several))) == wide(several)


def test_pipeline_is_a_function_whose_signature_shows():
    assert inspect.isfunction(pf.pipeline)
    assert list(inspect.signature(pf.pipeline).parameters)[:3] == ["task", "model", "tokenizer"]


@pytest.mark.parametrize("task", TASKS)
def test_a_loaded_model_and_its_tokenizer_answer_as_their_directory(outputs, task):
    asked = list(ASKED[task])
    expected = pf.pipeline(task, outputs / task)
    settings = {k: v for k, v in vars(expected.task.settings).items() if v is not None}
    model = pf.load(outputs / task, task)
    for tokenizer in (outputs / task, pf.load_tokenizer(outputs / task), expected.task.tokenizer):
        ask = pf.pipeline(task, model, tokenizer, **settings)
        assert ask(asked) == expected(asked)
    assert pf.pipeline(task, outputs / task, tokenizer=tokenizer)(asked) == expected(asked)


def test_words_and_options_of_transformers_that_ask_for_nothing(outputs):
    root = outputs / "text-classification"
    plain = pf.pipeline("text-classification", root)("so good")
    habits = {"device": -1, "use_fast": True, "trust_remote_code": False, "torch_dtype": "auto"}
    assert pf.pipeline("sentiment-analysis", root, **habits)("so good") == plain
    with pytest.raises(ConfigError, match="device: got 'gpu', expected cpu, cuda, cuda:N or auto"):
        pf.pipeline(None, root, device="gpu")
    with pytest.raises(ConfigError, match=r"trust_remote_code: got True, expected .*: no code"):
        pf.pipeline(None, root, trust_remote_code=True)


@pytest.mark.parametrize("task", TASKS)
def test_what_calls_of_transformers_say_that_asks_for_nothing(outputs, task):
    asked, habits = list(ASKED[task]), {"truncation": True, "padding": True}
    ask = pf.pipeline(task, outputs / task, **habits)
    plain = ask(asked)
    assert ask(asked, batch_size=1, **habits) == plain == list(ask.stream(asked, batch_size=2))
    with pytest.raises(ConfigError, match=r"truncation: got False, .*: what is longer"):
        ask(asked, truncation=False)
    with pytest.raises(ConfigError, match="batch_size: got 0"):
        ask(asked, batch_size=0)


def test_texts_are_whole_whatever_is_said(outputs):
    write = pf.pipeline("text-generation", outputs / "language-modeling")
    assert write("the sun", return_full_text=True) == write("the sun")


@pytest.mark.parametrize("task", TASKS)
def test_objects_in_memory_have_no_columns(outputs, task):
    ask = pf.pipeline(task, outputs / task)
    with pytest.raises(DataError, match="expected ") as told:
        ask({"txt": "a"})
    assert "columns" not in str(told.value)


def test_top_k_labels(outputs):
    classify = pf.pipeline("text-classification", outputs / "text-classification")
    both = classify("so good", top_k=None)
    assert {one["label"] for one in both} == {"pos", "neg"}
    assert sum(one["score"] for one in both) == pytest.approx(1.0)
    assert both[0]["score"] >= both[1]["score"]
    assert classify(["so good"], top_k=1) == [both[:1]]
    assert classify(["so good"]) == both[:1]
    with pytest.raises(ConfigError, match="top_k: got 0, expected int, at least 1"):
        classify("so good", top_k=0)


def test_examples_and_keywords_are_taken_too(outputs):
    ask = pf.pipeline(None, outputs / "question-answering")
    example = QUESTIONS[0]
    assert ask(question=example.question, context=example.context) == ask(example)
    choose = pf.pipeline(None, outputs / "multiple-choice")
    assert choose([CHOICES[0]])[0]["answer"] in CHOICES[0].choices
    relate = pf.pipeline(None, outputs / "relation-extraction")
    assert relate(RELATIONS[0])["head"] == "saw"


def test_settings_win_over_those_of_the_directory(outputs):
    short = pf.pipeline(None, outputs / "language-modeling", max_new_tokens=1)
    long = pf.pipeline(None, outputs / "language-modeling", max_new_tokens=9)
    assert len(short("the sun")[0]["generated_text"]) < len(long("the sun")[0]["generated_text"])


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda root: pf.pipeline("ner"), "model: got None, expected a directory or a loaded"),
        (lambda root: pf.pipeline(root / "dialogue"), "model: got None, .*; the task comes first"),
        (lambda root: pf.pipeline("nerr", root / "dialogue"), "task: got 'nerr'; did you mean"),
        (
            lambda root: pf.pipeline("fill-mask", root / "dialogue"),
            "task: got 'fill-mask', but .* was fine-tuned for dialogue",
        ),
        (lambda root: pf.pipeline("ner", root / "dialogue"), "was fine-tuned for dialogue"),
        (lambda root: pf.pipeline(None, root / "dialogue", overlap=1), "not an option of dialogue"),
        (lambda root: pf.pipeline(None, root / "dialogue", batch_size=0), "batch_size: got 0"),
        (lambda root: pf.pipeline(None, root / "dialogue")(), "inputs: got None"),
        (
            lambda root: pf.pipeline(None, root / "dialogue")("hi", top_k=1),
            "top_k: is no input and no option of dialogue",
        ),
        (
            lambda root: pf.pipeline(
                None, pf.pipeline(None, root / "dialogue").task, dtype="float64"
            ),
            "dtype: got a model that is loaded already",
        ),
        (
            lambda root: pf.pipeline(None, pf.load(root / "dialogue")),
            "task: got None with a loaded model",
        ),
        (
            lambda root: pf.pipeline("dialogue", pf.load(root / "dialogue")),
            "tokenizer: got None with a loaded model",
        ),
        (
            lambda root: pf.pipeline("ner", pf.load(root / "dialogue"), root / "dialogue"),
            "model: got .*LM.*, token-classification needs a model for token-classification",
        ),
        (
            lambda root: pf.pipeline("dialogue", pf.load(root / "dialogue"), 3),
            "tokenizer: got 3, expected a directory or what load_tokenizer gives",
        ),
        (
            lambda root: pf.pipeline(
                None, root / "dialogue", dtype="float32", torch_dtype="bfloat16"
            ),
            "torch_dtype: got 'bfloat16', but dtype is 'float32'",
        ),
    ],
)
def test_what_cannot_be_is_named(outputs, call, message):
    with pytest.raises(ConfigError, match=message):
        call(outputs)


KEYWORDS = {
    "text-classification": [{"text": "so good"}],
    "token-classification": [{"text": "Ann Lee saw Paris"}, {"tokens": ["Ann", "fell"]}],
    "relation-extraction": [
        {"text": "the saw cut the wood", "head": "saw", "tail": "wood"},
        {"text": "the saw cut the wood", "head": [4, 7], "tail": [16, 20], "head_type": "TOOL"},
        {"text": "the <e1>saw</e1> cut the <e2>wood</e2>"},
    ],
    "question-answering": [{"question": "where is Ann ?", "context": "Ann is in Rome"}],
    "multiple-choice": [{"question": "rain is", "choices": ["wet", "dry"]}],
    "sentence-similarity": [{"text": "so good", "text_pair": "truly good"}],
    "translation": [{"source": "a x"}],
    "text2text-generation": [{"source": "a x"}],
    "summarization": [{"document": "a x"}],
    "dialogue": [{"text": "hi"}, {"messages": [{"role": "user", "content": "I am Bob"}]}],
    "language-modeling": [{"text": "the sun"}],
}
ASKED_BY_TEXT = {
    task: {"text", "source", "document"} | ({"question"} if "question" in fields[0] else set())
    for task, fields in KEYWORDS.items()
}
# Options of a call, and how the answers differ from those without.
OPTIONS = {
    "text-classification": {"top_k": 2},
    "token-classification": {"max_length": 4},
    "relation-extraction": {"max_length": 8},
    "question-answering": {"max_answer_length": 1},
    "multiple-choice": {"max_length": 4},
    "sentence-similarity": {"pooling": "cls"},
    "translation": {"num_beams": 1},
    "text2text-generation": {"num_beams": 1},
    "summarization": {"max_target_length": 1},
    "dialogue": {"max_new_tokens": 1},
    "language-modeling": {"max_new_tokens": 1},
}


@pytest.mark.parametrize("task", TASKS)
def test_keywords_are_an_object(outputs, task):
    ask = pf.pipeline(task, outputs / task)
    for fields in KEYWORDS[task]:
        assert ask(**fields) == ask(fields)
        first, *rest = fields.items()
        if isinstance(first[1], str) and first[0] in ASKED_BY_TEXT[task]:
            together = ask(first[1], **dict(rest))
            assert together == (ask(fields) if rest else ask(first[1]))


@pytest.mark.parametrize("task", TASKS)
def test_an_unknown_option_is_one_line_that_lists_the_known(outputs, task):
    ask = pf.pipeline(task, outputs / task)
    for call in (
        lambda **options: ask(ASKED[task][0], **options),
        lambda **options: ask.stream([], **options),
        lambda **options: ask(**options),
    ):
        with pytest.raises(
            ConfigError, match="return_all_scores: is no input and no option"
        ) as told:
            call(return_all_scores=True)
        options_told = str(told.value).partition("the options ")[2].split(", ")
        assert len(options_told) == len(set(options_told))
    with pytest.raises(ConfigError, match=r"max_lenth: is no .* did you mean max_length\?"):
        ask(ASKED[task][0], max_lenth=3)
    given = next(iter(KEYWORDS[task][0]))
    with pytest.raises(ConfigError, match=f"{given}: got inputs too"):
        ask([ASKED[task][0]], **{given: "a"})


@pytest.mark.parametrize("task", TASKS)
def test_settings_are_options_of_a_call_too(outputs, task):
    """The same list as on the command line, for this call alone."""
    ask, asked = pf.pipeline(task, outputs / task), list(ASKED[task])
    plain = ask(asked)
    told = pf.pipeline(task, outputs / task, **OPTIONS[task])
    assert ask(asked, **OPTIONS[task]) == told(asked)
    assert ask(asked) == plain


def test_entities_as_words_must_be_clear(outputs):
    relate = pf.pipeline(None, outputs / "relation-extraction")
    text = "the saw saw the wood"
    with pytest.raises(DataError, match="'head': 'saw' stands 2 times in the text"):
        relate(text, head="saw", tail="wood")
    with pytest.raises(DataError, match="'tail': 'stone' stands 0 times"):
        relate(text=text, head="the saw saw", tail="stone")


class Column:
    """Like one of pandas: neither a list nor an array."""

    ndim = 1

    def __init__(self, values):
        self.values = values

    def __iter__(self):
        return iter(self.values)


class Table(Column):
    """Like one of pandas, whose items are the names of its columns."""

    ndim = 2


@pytest.mark.parametrize(
    "make",
    [list, tuple, iter, np.array, Column, lambda v: np.array(v, object), lambda v: map(str, v)],
)
def test_several_inputs_come_in_any_order_of_things(outputs, make):
    texts = ["so good", "so bad"]
    classify = pf.pipeline(None, outputs / "text-classification")
    assert classify(make(texts)) == classify(texts)
    assert list(classify.stream(make(texts))) == classify(texts)


@pytest.mark.parametrize(
    "inputs", [{"so good"}, b"so good", 3, Table(["text"]), np.array("so"), np.array([["so"]])]
)
def test_what_is_neither_an_input_nor_several_is_named(outputs, inputs):
    classify = pf.pipeline(None, outputs / "text-classification")
    with pytest.raises(DataError, match=f"input(s.0.)?: .*got {type(inputs).__name__}, expected"):
        classify(inputs)


def test_which_of_several_inputs_is_wrong_is_told(outputs):
    classify = pf.pipeline(None, outputs / "text-classification")
    with pytest.raises(DataError, match=r"^inputs\[1\]: input: got NoneType, expected a text"):
        classify(["so good", None])
    with pytest.raises(DataError, match=r"^inputs\[2\]: input is empty"):
        list(classify.stream(["so good", "so bad", ""]))
    with pytest.raises(ConfigError, match="inputs: got 'so good', expected a list of inputs"):
        classify.stream("so good")


@pytest.mark.parametrize("top_k", ["3", "best ", True, 1.5, [1], {}, float("nan"), np.ones(2)])
def test_top_k_of_another_kind_is_named(outputs, top_k):
    classify = pf.pipeline(None, outputs / "text-classification")
    with pytest.raises(ConfigError, match=r"^top_k: got .*, expected int, at least 1, or None$"):
        classify("so good", top_k=top_k)


@pytest.mark.parametrize("make", [list, tuple, np.array])
def test_fields_may_be_tuples_and_arrays(outputs, make):
    tag = pf.pipeline(None, outputs / "token-classification")
    assert tag(tokens=make(["Ann", "Lee"])) == tag(tokens=["Ann", "Lee"])
    choose = pf.pipeline(None, outputs / "multiple-choice")
    assert choose("rain is", choices=make(["wet", "dry"])) == choose(CHOICES[0])
    relate = pf.pipeline(None, outputs / "relation-extraction")
    spans = {"head": make([4, 7]), "tail": make([16, 20])}
    assert relate("the saw cut the wood", **spans)["tail"] == "wood"


def test_a_list_of_messages_is_one_dialogue(outputs):
    talk = pf.pipeline(None, outputs / "dialogue")
    messages = [{"role": "user", "content": "I am Ann"}]
    answer = talk(messages=messages)
    assert talk(messages) == answer
    assert talk([messages, messages]) == [answer, answer]
    with pytest.raises(DataError, match="message 1: role None"):
        talk(messages=[*messages, {"content": "x"}])


def test_a_call_draws_anew_and_tells_its_seed(outputs):
    options = {"do_sample": True, "temperature": 9.0, "max_new_tokens": 12}
    write = pf.pipeline(None, outputs / "language-modeling", **options)
    [first] = write("the sun")
    [second] = write("the sun")
    assert first["generated_text"] != second["generated_text"]
    assert first["seed"] != second["seed"]
    assert write("the sun", sampling_seed=first["seed"]) == [first]
    several = write("the sun", num_return_sequences=2, sampling_seed=5)
    assert [one["seed"] for one in several] == [5, 5]
    assert [one["seed"] for one in write.stream(["the sun", "a"], sampling_seed=5)] == [5, 5]
    [plain] = write("the sun", do_sample=False, temperature=None)
    assert plain.keys() == {"generated_text"}


def test_threads_on_one_pipeline_are_told_the_seeds_of_their_own_answers(outputs):
    options = {"do_sample": True, "temperature": 9.0, "max_new_tokens": 6}
    write = pf.pipeline(None, outputs / "language-modeling", **options)
    found = []

    def work():
        found.extend(write("the sun")[0] for _ in range(8))

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({one["seed"] for one in found}) == len(found) == 24
    for one in found:
        assert write("the sun", sampling_seed=one["seed"]) == [one]


def test_models_that_draw_by_their_own_files_draw_anew_too(outputs):
    for task in ("dialogue", "translation"):
        ask = pf.pipeline(task, outputs / task)
        ask.task.model.generation_config.do_sample = True
        ask.task.model.generation_config.temperature = 9.0
        text = ASKED[task][0]
        found = {str(ask(text, **({"num_beams": 1} if task == "translation" else {})))
                 for _ in range(4)}  # fmt: skip
        assert len(found) > 1
        assert "seed" in str(ask(text))
        ask.task.model.generation_config.do_sample = None
