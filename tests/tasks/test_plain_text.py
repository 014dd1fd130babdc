"""Entities of plain text: words are cut as those of the training data, in many scripts, and a model
that tags them perfectly gives back exactly the entities, for every kind of tokenizer."""

import dataclasses
from types import SimpleNamespace

import numpy as np
import pytest
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

import plainformer as pf
from plainformer.data import TextExample, TokenExample
from plainformer.data.tokenizer import save_tokenizer, train_bpe, train_char, train_wordpiece
from plainformer.tasks.token_classification import TokenClassification

from .tiny import ENCODER, tune

# A tag's type (None: no entity) and words: ~ beside the entity, _ without a space before it.
PARTS = [
    ("PER", "O'Neill"), ("PER", "J. R. Smith"), ("PER", "José Cafe\u0301"), ("ORG", "AT&T"),
    ("ORG", "Yahoo _!"), ("LOC", "U.S."), ("LOC", "नई दिल्ली"), ("PER", "मोदी"), ("ORG", "مرحبا"),
    ("LOC", "Αθήνα"), ("LOC", "서울"), ("MISC", "Anglo-Dutch"), ("MISC", "U.S.-based"),
    ("URL", "https://a.org/b?c=1&d=%41"), ("MAIL", "ann.lee@example.org"), ("NUM", "1,000.50"),
    ("NUM", "$ _5 _%"), ("TIME", "10:30 a.m."), ("EMO", "👨\u200d👩\u200d👧"), ("EMO", "🇩🇪 _🇫🇷"),
    ("MISC", 'צה"ל'), ("MISC", "e\u0308\u0323x"), ("FILE", "file1.txt"), ("PER", "А. Анна"),
    ("PER", "李 _四"), ("LOC", "𠀀 _𪛖"), ("LOC", "東 _京"), ("ORG", "カ _タ _カ _ナ"),
    ("MISC", "か\u3099 _な"), ("LOC", "ก _รุ _ง"), ("MISC", "葛\U000e0100 _々"),
    ("PER", "Lee ~_'s ~tea"),
    ("LOC", "~l' _Italie"), ("PER", "~( _Ann ~_)"), ("NUM", "½ _€"),
    (None, "joined"), (None, "cats _, and/or"), (None, "do _n't"), (None, "they _’re"),
    (None, "wait _..."), (None, "और --"), (None, "你 _。 _好"), (None, "3.5 _!"),

    (None, "`` _so _''"),
]  # fmt: skip
WHITE = [" "] * 17 + ["  ", "\u00a0", "\t"]


def drawn(seed):
    """A sentence: its words with tags, its text, and its entities with their places."""
    rng = np.random.default_rng(seed)
    text, words, tags, entities = "", [], [], []
    for i in [*rng.integers(0, len(PARTS), rng.integers(1, 7)), None]:
        kind, part = (None, "end _.") if i is None else PARTS[i]
        own = []
        for written in part.split():
            word = written.lstrip("~_")
            text += "" if "_" in written or not text else WHITE[rng.integers(len(WHITE))]
            tagged = kind is not None and "~" not in written
            tags.append(f"{'I' if own else 'B'}-{kind}" if tagged else "O")
            own += [(len(text), len(text) + len(word))] if tagged else []
            text += word
            words.append(word)
        entities += [(kind, own[0][0], own[-1][1])] if own else []
    return words, tags, text, entities


CORPUS = [" ".join(part.translate(dict.fromkeys(b"_~")) for _, part in PARTS)] * 3


def llama_like(before=True):
    """Merges of its own over byte fallback, with Llama 2's or Gemma's writing of spaces."""
    spelled = [f"<0x{byte:02X}>" for byte in range(256)]
    letters = ["▁", *"aeinorst", "▁a", "en", "▁r", "in"]
    vocab = {token: i for i, token in enumerate(["<unk>", *spelled, *letters])}
    merges = [("▁", "a"), ("e", "n"), ("▁", "r"), ("i", "n")]
    model = models.BPE(vocab, merges, unk_token="<unk>", byte_fallback=True, fuse_unk=True)
    tokenizer = Tokenizer(model)
    replace = normalizers.Replace(" ", "▁")
    parts = [normalizers.Prepend("▁"), replace] if before else [replace]
    tokenizer.normalizer = normalizers.Sequence(parts)
    tokenizer.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()]
    )
    return tokenizer


def metaspace(scheme):
    """Unigram over Metaspace, as T5 and XLM-R."""
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme=scheme)
    tokenizer.decoder = decoders.Metaspace(prepend_scheme=scheme)
    trainer = trainers.UnigramTrainer(
        vocab_size=250, unk_token="<unk>", special_tokens=["<unk>"], show_progress=False
    )
    tokenizer.train_from_iterator(CORPUS, trainer)
    return tokenizer


def byte_level(add_prefix_space):
    tokenizer = train_bpe(CORPUS, 400, "mlm")
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=add_prefix_space)
    return tokenizer


TOKENIZERS = {
    "characters": lambda: train_char(CORPUS, objective="mlm"),
    "WordPiece": lambda: train_wordpiece(CORPUS, 260),
    "byte-level BPE": lambda: byte_level(False),
    "byte-level BPE with a prefix": lambda: byte_level(True),
    "byte fallback": llama_like,
    "byte fallback without a prefix": lambda: llama_like(before=False),
    "Unigram": lambda: metaspace("always"),
    "Unigram, first": lambda: metaspace("first"),
    "Unigram, never": lambda: metaspace("never"),
}
LABELS = ["O", *(f"{p}-{kind}" for kind in sorted({k for k, _ in PARTS if k}) for p in "BI")]


@pytest.fixture(scope="module", params=TOKENIZERS)
def task(request):
    config = SimpleNamespace(context_length=24, id2label=dict(enumerate(LABELS)))
    return TokenClassification(TOKENIZERS[request.param](), SimpleNamespace(config=config))


def perfect(task, features, tags):
    """What a model gives that knows the tags: they are on the first sub-tokens, and elsewhere is
    something else."""
    rng = np.random.default_rng(0)
    logits = rng.standard_normal((len(features), 24, len(LABELS))).astype(np.float32)
    for row, feature in zip(logits, features):
        place = feature.place
        counts = place.counts[place.window.start : place.window.stop]
        first = place.pieces.before + np.cumsum(counts) - counts
        for position, tag in zip(first, tags[place.window.start : place.window.stop]):
            row[position, LABELS.index(tag)] = 20
    return task.outputs(SimpleNamespace(logits=logits), features)


def test_perfect_tags_give_back_exactly_the_entities(task):
    for seed in range(150):
        words, tags, text, entities = drawn(seed)
        example = TextExample(text)
        assert task.record(example, task.decode(example, [], []))["tokens"] == words, text
        [features] = task.encode([example], labelled=False)
        prediction = task.decode(example, features, perfect(task, features, tags))
        found = task.answer(example, prediction)
        assert [(e["entity_group"], e["start"], e["end"]) for e in found] == entities, text
        assert [e["word"] for e in found] == [text[a:b] for _, a, b in entities]


def test_words_that_are_learned_and_words_of_text_are_the_same_tokens(task):
    for seed in range(150):
        words, tags, text, _ = drawn(seed)
        [learned] = task.encode([TokenExample(words, tags)], labelled=True)
        [asked] = task.encode([TextExample(text)], labelled=False)
        assert [f.inputs["input_ids"].tolist() for f in learned] == [
            f.inputs["input_ids"].tolist() for f in asked
        ]


def test_words_between_spaces_are_the_tokens_of_running_text(task):
    """But for the space that some tokenizers put, or miss, before the first word."""
    whole = dataclasses.replace(task.settings, max_length=None)
    words = ["joined", "cats", "end", "नई", "Anglo", "O'Neill", "and"]
    encoded, running, spaced = (
        task.encoder.encode([sentence], truncation=False, add_special_tokens=False, **options)[0]
        for sentence, options in (
            (words, {"is_split_into_words": True}),
            (" ".join(words), {}),
            (" " + " ".join(words), {}),
        )
    )
    assert whole.overlap is None
    if isinstance(task.tokenizer.model, models.WordLevel):
        return  # of characters: words stand without spaces, in training as in text
    assert encoded.input_ids.tolist() in (running.input_ids.tolist(), spaced.input_ids.tolist())


@pytest.mark.parametrize(
    ("model", "tokenizer"),
    [
        (ENCODER, "char"),
        (ENCODER, "wordpiece:90"),
        ({**ENCODER, "model_type": "roberta", "max_position_embeddings": 50}, "bpe:300"),
        (ENCODER, "byte fallback"),
    ],
    ids=["char", "wordpiece", "roberta", "byte-fallback"],
)
def test_what_is_learned_from_words_is_found_in_text(tmp_path, model, tokenizer):
    learned = [
        TokenExample(
            ["O'Neill", "joined", "AT&T", "in", "U.S.", "."],
            ["B-PER", "O", "B-ORG", "O", "B-LOC", "O"],
        ),
        TokenExample(["मोदी", "नई", "दिल्ली", "में"], ["B-PER", "B-LOC", "I-LOC", "O"]),
    ]
    if tokenizer == "byte fallback":
        save_tokenizer(llama_like(), tmp_path / "tokenizer")
        tokenizer = str(tmp_path / "tokenizer")
    tune(
        "token-classification", tmp_path / "out", model=model, tokenizer=tokenizer, train=learned,
        validation=learned, max_steps=60, eval_strategy="no",
    )  # fmt: skip
    ask = pf.pipeline("ner", tmp_path / "out")
    found = ask("O'Neill joined AT&T in U.S. .")
    assert [(e["entity_group"], e["word"]) for e in found] == [
        ("PER", "O'Neill"),
        ("ORG", "AT&T"),
        ("LOC", "U.S."),
    ]
    found = ask("मोदी नई दिल्ली में")
    assert [(e["entity_group"], e["word"]) for e in found] == [("PER", "मोदी"), ("LOC", "नई दिल्ली")]


def test_signs_part_words_as_they_do_in_the_training_data(tmp_path):
    ontonotes = [
        TokenExample(["Anglo", "-", "Dutch", "Ann's", "tea"], ["B-X", "O", "B-X", "B-Y", "O"]),
        TokenExample(["tea", "and/or", "milk"], ["O", "O", "O"]),
    ]
    options = {"train": ontonotes, "validation": ontonotes, "max_steps": 1}
    tune("token-classification", tmp_path / "out", **options)
    task = pf.tasks.open_task(tmp_path / "out")
    assert task.settings.word_joiners == "&/'"
    [(example, prediction)] = task.predict([TextExample("Anglo-Dutch Ann's R&D and/or tea-tea")])
    assert task.record(example, prediction)["tokens"] == [
        "Anglo", "-", "Dutch", "Ann's", "R&D", "and/or", "tea", "-", "tea",
    ]  # fmt: skip
