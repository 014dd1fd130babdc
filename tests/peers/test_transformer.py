"""The original Transformer beside `torch.nn.Transformer`: logits, loss, all gradients."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from plainformer.models import from_config  # noqa: E402
from tests.models.numbers import RTOL, largest  # noqa: E402

CONFIG = {
    "model_type": "transformer", "vocab_size": 24, "d_model": 8, "encoder_layers": 2,
    "encoder_attention_heads": 2, "encoder_ffn_dim": 12, "decoder_layers": 2,
    "decoder_attention_heads": 2, "decoder_ffn_dim": 12, "dropout": 0.0, "pad_token_id": 0,
    "decoder_start_token_id": 1,
}  # fmt: skip
SOURCES = np.array([[3, 4, 5, 6, 7], [8, 9, 10, 0, 0]])
TARGETS = np.array([[1, 11, 12, 13], [1, 14, 15, 0]])
LABELS = np.array([[11, 12, 13, 2], [14, 15, 2, -100]])
PAIRS = {  # ours to torch's, in a layer; projections are one matrix there
    "self_attn.out_proj": "self_attn.out_proj", "encoder_attn.out_proj": "multihead_attn.out_proj",
    "fc1": "linear1", "fc2": "linear2",
}  # fmt: skip


def torch_model(norm_first, activation):
    model = torch.nn.Transformer(
        8, 2, 2, 2, 12, dropout=0.0, activation=activation, batch_first=True, norm_first=norm_first
    )
    if not norm_first:  # torch norms the output of both stacks once more
        model.encoder.norm = model.decoder.norm = None
    torch.manual_seed(0)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.2 * torch.randn_like(parameter))
    return model


def mapped(model, value):
    """Our names in the layers to `value` of torch's parameters, projections apart."""
    found = {}
    for side, stack in (("encoder", model.encoder), ("decoder", model.decoder)):
        for i, layer in enumerate(stack.layers):
            prefix = f"model.{side}.layers.{i}."
            attentions = {"self_attn": "self_attn"}
            norms = ["self_attn_layer_norm", "final_layer_norm"]
            pairs = dict(PAIRS)
            if side == "decoder":
                attentions["encoder_attn"] = "multihead_attn"
                norms.insert(1, "encoder_attn_layer_norm")
            else:
                del pairs["encoder_attn.out_proj"]
            pairs |= {name: f"norm{n}" for n, name in enumerate(norms, 1)}
            for name, theirs in pairs.items():
                module = layer.get_submodule(theirs)
                for kind in ("weight", "bias"):
                    found[f"{prefix}{name}.{kind}"] = value(getattr(module, kind))
            for name, theirs in attentions.items():
                module = layer.get_submodule(theirs)
                for kind in ("weight", "bias"):
                    parts = np.split(value(getattr(module, f"in_proj_{kind}")), 3)
                    for letter, part in zip("qkv", parts):
                        found[f"{prefix}{name}.{letter}_proj.{kind}"] = part
        if stack.norm is not None:
            for kind in ("weight", "bias"):
                found[f"model.{side}.layer_norm.{kind}"] = value(getattr(stack.norm, kind))
    return found


def run_torch(model, table, places):
    """Logits and loss; one table for source, target and output, times sqrt(8) at the input."""
    sources, targets = torch.from_numpy(SOURCES), torch.from_numpy(TARGETS)
    embedded = [table[ids] * 8**0.5 + places[: ids.shape[1]] for ids in (sources, targets)]
    causal = torch.nn.Transformer.generate_square_subsequent_mask(4)
    padding = sources == 0
    states = model(
        *embedded, tgt_mask=causal, src_key_padding_mask=padding, memory_key_padding_mask=padding
    )
    logits = states @ table.T
    labels = torch.from_numpy(LABELS)
    return logits, torch.nn.functional.cross_entropy(logits.flatten(0, 1), labels.flatten())


def sines():
    """The paper's positions, an element at a time."""
    angle = [[p / 10000 ** (2 * (i // 2) / 8) for i in range(8)] for p in range(8)]
    return torch.tensor([[np.cos(a) if i % 2 else np.sin(a) for i, a in enumerate(row)]
                         for row in angle], dtype=torch.float32)  # fmt: skip


@pytest.mark.parametrize("norm_first", [False, True], ids=["post-norm", "pre-norm"])
@pytest.mark.parametrize("activation", ["relu", "gelu"])
@pytest.mark.filterwarnings("ignore:enable_nested_tensor")
def test_logits_loss_and_all_gradients_are_those_of_torch(norm_first, activation):
    theirs = torch_model(norm_first, activation)
    table = torch.nn.Parameter(0.5 * torch.randn(24, 8))
    ours = from_config(CONFIG | {"norm_first": norm_first, "activation_function": activation})
    weights = mapped(theirs, lambda p: p.detach().numpy())
    weights["model.shared.weight"] = table.detach().numpy()
    ours.load_state_dict(weights)

    logits, loss = run_torch(theirs, table, sines())
    loss.backward()
    mask = (SOURCES != 0).astype(int)
    output = ours(SOURCES, mask, TARGETS, labels=LABELS, return_logits=True)
    output.loss.backward()

    shown = LABELS != -100
    expected = logits.detach().numpy()[shown]
    assert largest(output.logits.data[shown] - expected) <= RTOL * largest(expected)
    assert output.loss.item() == pytest.approx(loss.item(), rel=RTOL)
    gradients = mapped(theirs, lambda p: p.grad.numpy())
    gradients["model.shared.weight"] = table.grad.numpy()
    top = max(largest(g) for g in gradients.values())
    assert gradients.keys() == dict(ours.named_parameters()).keys()
    for name, parameter in ours.named_parameters():
        error = largest(parameter.grad - gradients[name])
        assert error <= RTOL * max(largest(gradients[name]), 5e-3 * top), name


def test_layers_start_from_the_same_distributions():
    """Torch draws the biases of the feed-forward layers, ours start at 0 as in the paper's code."""
    sizes = {"d_model": 64, "encoder_ffn_dim": 80, "decoder_ffn_dim": 80}
    torch.manual_seed(0)
    theirs = torch.nn.Transformer(64, 2, 2, 2, 80, batch_first=True)
    theirs.encoder.norm = theirs.decoder.norm = None
    ours = dict(from_config(CONFIG | sizes).named_parameters())
    for name, drawn in mapped(theirs, lambda p: p.detach().numpy()).items():
        if name.endswith("weight"):
            own = ours[name].data
            assert np.std(own) == pytest.approx(np.std(drawn), rel=0.05), name
            assert largest(own) == pytest.approx(largest(drawn), rel=0.05), name


@pytest.mark.parametrize("tied", [True, False])
def test_as_a_marian_it_opens_in_transformers(tied, tmp_path):
    transformers = pytest.importorskip("transformers")
    model = from_config(CONFIG | {"tie_word_embeddings": tied}, seed=3).eval()
    model.to_marian().save_pretrained(tmp_path)
    peer, info = transformers.MarianMTModel.from_pretrained(tmp_path, output_loading_info=True)
    assert not any(info.values()), info
    mask = SOURCES != 0
    want = model(SOURCES, attention_mask=mask, decoder_input_ids=TARGETS[:, :3]).logits.data
    with torch.no_grad():
        found = peer.eval()(
            input_ids=torch.from_numpy(SOURCES), attention_mask=torch.from_numpy(mask * 1),
            decoder_input_ids=torch.from_numpy(TARGETS[:, :3]),
        ).logits.numpy()  # fmt: skip
    assert largest(found - want) <= RTOL * largest(want)
