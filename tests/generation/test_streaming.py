"""Text while it is written: whole characters, in pieces that join to the text; stop strings."""

import numpy as np
import pytest
from tokenizers import Tokenizer, decoders, models

from plainformer.data.decoding import decode_continuation, decode_text
from plainformer.data.tokenizer import train_bpe, train_wordpiece
from plainformer.errors import ConfigError, ShapeError
from plainformer.generation import TextPieces, TextStreamer, stream
from plainformer.generation.stopping import StopStrings, possible_start

from .toy import decoder, encoder_decoder


class Bytes:
    """A tokenizer whose ids are UTF-8 bytes."""

    def decode(self, ids):
        return bytes(ids).decode("utf-8", errors="replace")


class TestTextStreamer:
    def stream(self, prompt, tokens, **options):
        written = []
        streamer = TextStreamer(Bytes(), written.append, **options)
        streamer.put(np.array([list(prompt.encode())]))
        for token in tokens:
            streamer.put(np.array([token]))
        streamer.end()
        return written

    def test_text_is_written_as_it_comes(self):
        assert self.stream("ab", b"cd") == ["ab", "c", "d"]

    def test_a_character_is_written_when_it_is_whole(self):
        assert self.stream("x", "é".encode()) == ["x", "é"]

    def test_an_unfinished_character_is_shown_in_the_end(self):
        assert "".join(self.stream("x", "é".encode()[:1])) == "x\ufffd"

    def test_the_prompt_can_be_left_out(self):
        assert "".join(self.stream("ab", b"cd", skip_prompt=True)) == "cd"

    def test_several_rows_are_refused(self):
        with pytest.raises(ShapeError, match="got 2 rows"):
            TextStreamer(Bytes(), print).put(np.zeros((2, 3), int))

    def test_an_unfinished_character_of_the_prompt_is_not_written_twice(self):
        first, second = "é".encode()
        written = []
        streamer = TextStreamer(Bytes(), written.append)
        streamer.put(np.array([[120, first]]))
        streamer.put(np.array([second]))
        streamer.end()
        assert written == ["x", "é"]


def llama_like():
    """A tokenizer with the decoder of Llama 2's, and its ids."""
    spelled = [f"<0x{byte:02X}>" for byte in range(256)]
    tokens = ["<s>", "</s>", "▁Hello", "▁Stop", ",", "x", "a", *spelled]
    vocab = {token: i for i, token in enumerate(tokens)}
    tokenizer = Tokenizer(models.WordLevel(vocab, unk_token="<s>"))
    tokenizer.add_special_tokens(["<s>", "</s>"])
    tokenizer.decoder = decoders.Sequence(
        [
            decoders.Replace("▁", " "),
            decoders.ByteFallback(),
            decoders.Fuse(),
            decoders.Strip(" ", 1, 0),
        ]
    )
    return tokenizer, vocab


TEXT = "The cat sat; the dog ran. Café au lait, 12 euros! naïve straße 猫が好き " * 12


@pytest.mark.parametrize("train", [train_bpe, train_wordpiece])
def test_pieces_join_to_the_text(train):
    tokenizer = train([TEXT], 400)
    ids = tokenizer.encode(TEXT, add_special_tokens=False).ids
    assert len(ids) > 200  # longer than what is decoded at once
    for start in (0, 3):
        pieces = TextPieces(tokenizer)
        pieces.skip(ids[:start])
        found = [pieces.push([token]) for token in ids[start:]] + [pieces.push([], last=True)]
        assert decode_text(tokenizer, ids[:start]) + "".join(found) == decode_text(tokenizer, ids)
        assert "\ufffd" not in "".join(found)


@pytest.fixture(scope="module")
def model():
    """Writes ASCII."""
    return decoder(vocab_size=128, n_positions=40)


class TestStopStrings:
    def test_rows_end_with_the_token_that_completes_a_string(self, model):
        free = bytes(model.generate([65], 30)[1:].tolist()).decode()
        stop = free[4:7]
        found = model.generate([65], 30, stop_strings=[stop, "never"], tokenizer=Bytes())
        assert bytes(found[1:].tolist()).decode() == free[: free.index(stop) + 3]

    def test_the_prompt_is_no_part_of_it(self, model):
        free = bytes(model.generate([65], 8)[1:].tolist()).decode()
        found = model.generate([65], 8, stop_strings="A" + free[0], tokenizer=Bytes())
        assert len(found) == 9 or "A" + free[0] in free

    def test_a_string_within_a_token_stops_too(self):
        class Words:
            def decode(self, ids):
                return "".join(f"<{i}>" for i in ids)

        model = decoder()
        free = model.generate([1], 6)[1:]
        found = model.generate([1], 6, stop_strings=f"{free[2]}>", tokenizer=Words())
        assert len(found) == 1 + 1 + [str(i).endswith(str(free[2])) for i in free].index(True)

    def test_beams_end_too(self, model):
        free = bytes(model.generate([65], 12, num_beams=3)[1:].tolist()).decode()
        stop = free[4:6]
        found = model.generate([65], 12, num_beams=3, stop_strings=stop, tokenizer=Bytes())
        text = bytes(found[1:].tolist()).decode()
        assert stop not in text[:-1]

    @pytest.mark.parametrize(
        ("prompt", "stop", "ends"),
        [
            ("▁Hello", " Stop", 1),  # a Strip decoder takes the space of a text's first token
            ("▁Hello", " St", 1),
            ("<s>", "Stop", 1),
            ("▁Hello", "op,", 2),
            ("▁Hello", "你", 5),
            ("▁Hello", "好x", 9),
            ("▁Hello", "Stop<", None),
        ],
    )
    @pytest.mark.parametrize("filler", [0, 50])
    def test_the_decoder_takes_nothing_from_it(self, prompt, stop, ends, filler):
        """Rows are asked after each token, and end where the shown text holds the string."""
        tokenizer, ids = llama_like()
        before = [ids["a"]] * filler + [ids[prompt]]
        written = ["▁Stop", ",", *(f"<0x{b:02X}>" for b in "你好".encode()), "x", "</s>", "x"]
        row = before + [ids[token] for token in written]
        found = StopStrings(tokenizer, [stop], len(before))
        asked = [n for n in range(len(before) + 1, len(row) + 1) if found(np.array([row[:n]]), 0)]
        assert (asked[0] - len(before) if asked else None) == ends
        pieces = TextPieces(tokenizer, [stop])
        pieces.skip(before)
        shown = "".join(pieces.push([i]) for i in row[len(before) :]) + pieces.push([], last=True)
        whole = decode_continuation(tokenizer, before, row[len(before) :])
        assert shown == whole.partition(stop)[0]

    def test_a_window_may_begin_inside_a_character(self):
        tokenizer, ids = llama_like()
        row = [ids[f"<0x{byte:02X}>"] for byte in ("你" * 50 + "好").encode()]
        assert StopStrings(tokenizer, ["好"], 1)(np.array([row]), 0).all()
        assert not StopStrings(tokenizer, ["好"], 1)(np.array([row[:-1]]), 0).any()

    def test_text_is_cut_before_the_string(self, model):
        free = bytes(model.generate([65], 30)[1:].tolist()).decode()
        stop = free[4:7]
        options = {"stop_strings": [stop], "tokenizer": Bytes()}
        assert "".join(stream(model, [65], 30, **options)) == free.partition(stop)[0]
        written = []
        streamer = TextStreamer(Bytes(), written.append, skip_prompt=True, stop_strings=[stop])
        model.generate([65], 30, streamer=streamer, **options)
        assert "".join(written) == free.partition(stop)[0]

    def test_what_may_become_a_string_is_held_back(self):
        pieces = TextPieces(Bytes(), ["abc"])
        assert [pieces.push([ord(c)]) for c in "xabxab"] == ["x", "", "", "abx", "", ""]
        assert pieces.push([], last=True) == "ab"
        stopped = TextPieces(Bytes(), ["abc"])
        assert [stopped.push([ord(c)]) for c in "xabcz"] == ["x", "", "", "", ""]
        assert stopped.push([], last=True) == ""

    @pytest.mark.parametrize(
        ("text", "place"), [("xab", 1), ("xabx", 4), ("", 0), ("a", 0), ("xd", 1), ("abd", 2)]
    )
    def test_where_a_string_may_have_begun(self, text, place):
        assert possible_start(text, ["abc", "de"]) == place


class TestStream:
    def test_tokens_come_step_by_step(self):
        model = decoder()
        wanted = model.generate([[1, 2], [3, 4]], 5)
        found = list(stream(model, [[1, 2], [3, 4]], 5))
        np.testing.assert_array_equal(np.stack(found, axis=1), wanted[:, 2:])
        targets = encoder_decoder()
        wanted = targets.generate([[1, 2], [3, 4]], 5)
        found = list(targets.stream([[1, 2], [3, 4]], 5))
        np.testing.assert_array_equal(np.stack(found, axis=1), wanted[:, 1:])

    def test_between_steps_the_model_is_the_callers(self):
        model = decoder(resid_pdrop=0.5).train()
        wanted = decoder().generate([1], 5)[1:]
        for token, expected in zip(stream(model, [1], 5), wanted, strict=True):
            assert token == expected  # no dropout inside a step
            assert model.training
            model(input_ids=[[1, 2]], labels=[[1, 2]]).loss.backward()

    def test_what_cannot_be_streamed_is_named(self):
        model = decoder()
        with pytest.raises(ConfigError, match="num_beams: beam search cannot be streamed"):
            next(stream(model, [1], 5, num_beams=2))
        with pytest.raises(ConfigError, match="tokenizer: got several rows"):
            next(stream(model, [[1], [2]], 5, tokenizer=Bytes()))
