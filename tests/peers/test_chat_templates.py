"""Chat templates as checkpoints have them: the ids of transformers' `apply_chat_template`."""

import itertools

import pytest
from tokenizers import (
    AddedToken,
    Tokenizer,
    decoders,
    models,
    normalizers,
    pre_tokenizers,
    trainers,
)

from plainformer.data import (
    Document,
    Message,
    make_tokenizer,
    parse_spec,
    read_tokenizer,
    save_tokenizer,
)
from plainformer.data.chat_template import chat_template, source_of
from plainformer.data.dialogues import DialogueEncoder
from plainformer.data.special_tokens import remember_options, role_tokens, tokenizer_options
from plainformer.tasks import open_task
from tests.data.templates import TEMPLATES
from tests.tasks.tiny import tune

transformers = pytest.importorskip("transformers")
pytest.importorskip("jinja2")

TEXT = "Hello there! How are you today? I am fine, thanks. Be brief. system user assistant\n"
DIALOGUES = {
    "one turn": [Message("user", "Hello there!"), Message("assistant", "I am fine.")],
    "several turns": [
        Message("user", "Hello"),
        Message("assistant", "Hello there, how are you?"),
        Message("user", "fine\n\nthanks"),
        Message("assistant", "  I am fine, too \n"),
        Message("user", " so long "),
        Message("assistant", "Bye é 你好"),
    ],
}
SYSTEM = Message("system", "Be brief.")


def byte_level(special):
    tokenizer = make_tokenizer(parse_spec("bpe:400"), [Document(TEXT, "")])
    tokenizer.add_special_tokens([AddedToken(token, normalized=False) for token in special])
    return tokenizer


def sentence_piece(special, scheme):
    """As Llama 2's: spaces are letters, bytes for what is unknown."""
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>", fuse_unk=True, byte_fallback=True))
    if scheme == "prepend":  # Llama 2's old files
        tokenizer.normalizer = normalizers.Sequence(
            [normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")]
        )
    else:
        tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme=scheme, split=False)
    tokenizer.decoder = decoders.Metaspace()
    bytes_ = [f"<0x{i:02X}>" for i in range(256)]
    trainer = trainers.BpeTrainer(
        vocab_size=500, special_tokens=["<unk>", "<s>", "</s>", *bytes_], show_progress=False
    )
    tokenizer.train_from_iterator([TEXT], trainer)
    tokenizer.add_special_tokens([AddedToken(token, normalized=False) for token in special])
    return tokenizer


TOKENIZERS = {
    "byte-level": byte_level,
    "metaspace first": lambda special: sentence_piece(special, "first"),
    "metaspace always": lambda special: sentence_piece(special, "always"),
    "prepend": lambda special: sentence_piece(special, "prepend"),
}


@pytest.mark.parametrize("kind", TOKENIZERS)
@pytest.mark.parametrize("name", TEMPLATES)
def test_ids_are_those_of_transformers(name, kind, tmp_path):
    template = TEMPLATES[name]
    tokenizer = TOKENIZERS[kind](template.special)
    roles = {"bos_token": template.bos, "eos_token": template.eos}
    remember_options(tokenizer, {**roles, "chat_template": template.source})
    save_tokenizer(tokenizer, tmp_path)
    theirs = transformers.AutoTokenizer.from_pretrained(tmp_path)
    opened = read_tokenizer(tmp_path)
    options = tokenizer_options(opened)
    ours = DialogueEncoder(opened, chat_template(source_of(options), role_tokens(opened, options)))
    for turns, system in itertools.product(DIALOGUES.values(), (False, True)):
        messages = [SYSTEM, *turns] if system and template.takes_system else turns
        plain = [message._asdict() for message in messages]
        for prompt in (False, True):
            said, asked = (ours.prompt, plain[:-1]) if prompt else (ours.encode, plain)
            found = said(messages[:-1] if prompt else messages).ids.tolist()
            wanted = theirs.apply_chat_template(
                asked, tokenize=True, add_generation_prompt=prompt, return_dict=True
            )["input_ids"]
            assert found == list(wanted)


def test_what_is_learned_is_what_generation_blocks_mark(tmp_path):
    template = TEMPLATES["generation blocks"]
    tokenizer = byte_level(template.special)
    remember_options(tokenizer, {"eos_token": template.eos, "chat_template": template.source})
    save_tokenizer(tokenizer, tmp_path)
    theirs = transformers.AutoTokenizer.from_pretrained(tmp_path)
    ours = DialogueEncoder(tokenizer, chat_template(template.source, {"eos_token": template.eos}))
    for messages in DIALOGUES.values():
        wanted = theirs.apply_chat_template(
            [message._asdict() for message in messages],
            tokenize=True,
            return_dict=True,
            return_assistant_tokens_mask=True,
        )["assistant_masks"]
        assert ours.encode(messages).is_learned.astype(int).tolist() == list(wanted)


@pytest.mark.parametrize("name", ["ChatML", "Zephyr"])
def test_transformers_answers_and_ends_as_we_do(name, tmp_path):
    torch = pytest.importorskip("torch")
    given = {"eval_strategy": "no", "max_steps": 300, "max_new_tokens": 12}
    if name in TEMPLATES:
        (tmp_path / "template.jinja").write_text(TEMPLATES[name].source)
        given["chat_template"] = str(tmp_path / "template.jinja")
    tune("dialogue", tmp_path / "out", **given)
    ours = open_task(tmp_path / "out")
    tokenizer = transformers.AutoTokenizer.from_pretrained(tmp_path / "out")
    model = transformers.AutoModelForCausalLM.from_pretrained(tmp_path / "out")
    asked = [Message("user", "I am Bob")]
    prompt = tokenizer.apply_chat_template(
        [message._asdict() for message in asked],
        add_generation_prompt=True,
        return_tensors="pt",
        return_dict=True,
    )["input_ids"]
    with torch.no_grad():
        written = model.generate(prompt, max_new_tokens=12, do_sample=False)[0, prompt.shape[1] :]
    assert written[-1] == ours.ends[0]
    assert tokenizer.decode(written[:-1]).strip() == "".join(ours.stream(asked)) == "hello Bob"
