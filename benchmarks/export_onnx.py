"""Write a BERT classifier's directory as an ONNX file that onnxruntime runs fast.

    python benchmarks/export_onnx.py DIR FILE.onnx [--dtype float32|int8]

Needs torch, transformers, onnx and onnxruntime. Attention, GELU and layer norms are fused by
onnxruntime's own optimizer; int8 is its dynamic quantization, a scale for each output channel.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import warnings
from pathlib import Path

os.environ["HF_HUB_OFFLINE"] = "1"

import torch
import transformers
from onnxruntime.quantization import QuantType, quantize_dynamic
from onnxruntime.transformers import optimizer

INPUTS, OUTPUTS = ("input_ids", "attention_mask"), ("states", "logits")


class Exported(torch.nn.Module):
    """Last hidden states and the classifier's logits."""

    def __init__(self, model: torch.nn.Module):
        super().__init__()
        self.model = model

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> tuple:
        out = self.model(
            input_ids=input_ids, attention_mask=attention_mask, output_hidden_states=True
        )
        return out.hidden_states[-1], out.logits


def export(directory: str, file: str, dtype: str = "float32") -> None:
    """See above."""
    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    model = transformers.BertForSequenceClassification.from_pretrained(
        directory, attn_implementation="eager"
    ).eval()
    ids = torch.ones(2, 16, dtype=torch.int64)
    axes = {name: {0: "batch", 1: "length"} for name in (*INPUTS, OUTPUTS[0])}
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        plain, fused = (str(Path(folder, f"{name}.onnx")) for name in ("plain", "fused"))
        torch.onnx.export(
            Exported(model).eval(), (ids, torch.ones_like(ids)), plain,
            input_names=[*INPUTS], output_names=[*OUTPUTS],
            dynamic_axes={**axes, OUTPUTS[1]: {0: "batch"}}, opset_version=17, dynamo=False,
        )  # fmt: skip
        heads, width = model.config.num_attention_heads, model.config.hidden_size
        optimized = optimizer.optimize_model(
            plain, model_type="bert", num_heads=heads, hidden_size=width, opt_level=1
        )
        optimized.save_model_to_file(fused if dtype == "int8" else file)
        if dtype == "int8":
            quantize_dynamic(fused, file, per_channel=True, weight_type=QuantType.QInt8)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("directory")
    parser.add_argument("file")
    parser.add_argument("--dtype", choices=["float32", "int8"], default="float32")
    export(**vars(parser.parse_args()))


if __name__ == "__main__":
    main()
