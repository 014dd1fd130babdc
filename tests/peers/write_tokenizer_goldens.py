"""Rewrites tests/data/golden_tokenizers.json with transformers' tokenizers:

python -m tests.peers.write_tokenizer_goldens
"""

import json
import tempfile
from pathlib import Path

from tests.data.tokenizer_files import GOLDEN, GOLDEN_CASES, PAIRS, TEXTS


def main() -> None:
    import transformers

    golden = {}
    for name, write in GOLDEN_CASES.items():
        with tempfile.TemporaryDirectory() as directory:
            kind = {"bert": "Bert", "gpt2": "GPT2", "roberta": "Roberta", "qwen2": "Qwen2",
                    "xlm-roberta": "XLMRoberta"}  # fmt: skip
            cls = getattr(transformers, kind[name.split()[0]] + "Tokenizer")
            tokenizer = cls.from_pretrained(write(Path(directory)))
            one = tokenizer(TEXTS, return_offsets_mapping=True)
            two = tokenizer(TEXTS, PAIRS, truncation=True, max_length=12)
        golden[name] = {
            "input_ids": one["input_ids"],
            "offsets": [[list(pair) for pair in row] for row in one["offset_mapping"]],
            "pair_ids": two["input_ids"],
        }
    rows = [f"{json.dumps(name)}: {json.dumps(case)}" for name, case in golden.items()]
    GOLDEN.write_text("{\n" + ",\n".join(rows) + "\n}\n")


if __name__ == "__main__":
    main()
