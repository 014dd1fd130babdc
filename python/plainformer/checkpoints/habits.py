"""Words of transformers' functions: those that ask for nothing here, and two each for a dtype and
a device.

Scripts pass them out of habit. A value that asks for what is done anyway is taken; one that asks
for anything else is refused with the reason.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..errors import ConfigError, shown

Habits = dict[str, tuple[tuple[Any, ...], str]]  # what each may be, and why it is nothing else
LOADING: Habits = {
    "attn_implementation": (
        (None, "eager", "sdpa", "flash_attention_2"),
        "there is one attention, which computes what all of them do",
    ),
    "cache_dir": ((None,), "nothing is downloaded"),
    "force_download": ((False,), "nothing is downloaded"),
    "local_files_only": ((True,), "nothing is downloaded"),
    "low_cpu_mem_usage": ((None, True, False), "weights stay in their file until they are read"),
    "revision": ((None, "main"), "a directory holds one version"),
    "token": ((None, False), "nothing is downloaded"),
    "trust_remote_code": ((None, False), "no code of a directory is run"),
    "use_fast": ((None, True), "all tokenizers are fast ones"),
    "use_safetensors": ((None, True), "weights are read from safetensors alone"),
}  # fmt: skip
ANSWERING: Habits = {  # of pipelines
    "clean_up_tokenization_spaces": ((None, False), "spaces are as the tokenizer writes them"),
    "padding": ((None, True, False, "longest"), "nothing is padded, and answers are the same"),
    "return_full_text": ((None, True), "texts begin with their prompts"),
    "truncation": ((None, True, "longest_first"), "what is longer than the model takes is cut"),
}


def without_habits(options: Mapping[str, Any], habits: Habits = LOADING) -> dict[str, Any]:
    """The options but those that ask for nothing.

    Raises
    ------
    ConfigError : one of those asks for something
    """
    for name, (harmless, why) in habits.items():
        value = options.get(name, harmless[0])
        plain = str(value) if type(value).__module__ == "torch" else value  # torch.device("cpu")
        if not any(type(plain) is type(one) and plain == one for one in harmless):
            wanted = " or ".join(map(repr, harmless))
            raise ConfigError(f"{name}: got {shown(value)}, expected {wanted}: {why}")
    return {name: value for name, value in options.items() if name not in habits}


def given_device(device: Any, device_map: Any = None) -> Any:
    """What was asked for as `device`, or as transformers' `device_map`: a device for the whole
    model. None says nothing.

    Raises
    ------
    ConfigError : both, and not the same; or a map of parts to several devices
    """
    if isinstance(device_map, Mapping):
        places = list(device_map.values())
        if any(place != places[0] for place in places) or not places:
            raise ConfigError(
                f"device_map: got {shown(dict(device_map))}, expected one device; a model is on one"
            )
        device_map = places[0]
    both = device is not None and device_map not in (None, "auto")
    if both and str(device) != str(device_map):
        raise ConfigError(
            f"device_map: got {shown(device_map)}, but device is {shown(device)}; give one of them"
        )
    return device_map if device is None else device


def given_dtype(dtype: Any, torch_dtype: Any = None) -> Any:
    """What was asked for under version 5's name or version 4's; None for what is saved ("auto").

    Raises
    ------
    ConfigError : both, and not the same
    """
    if dtype is not None and torch_dtype is not None and str(dtype) != str(torch_dtype):
        raise ConfigError(
            f"torch_dtype: got {shown(torch_dtype)}, but dtype is {shown(dtype)}; give one of them"
        )
    found = torch_dtype if dtype is None else dtype
    return None if isinstance(found, str) and found == "auto" else found
