"""scikit-build-core's backend. A build with CUDA kernels on a machine without nvcc asks for PyPI's.

`pip install . -C cmake.define.PLAINFORMER_CUDA=ON`, or PLAINFORMER_CUDA=1 in the environment.
"""

from __future__ import annotations

import os
import shutil

from scikit_build_core import build as backend
from scikit_build_core.build import (
    build_editable,
    build_sdist,
    build_wheel,
    get_requires_for_build_sdist,
    prepare_metadata_for_build_editable,
    prepare_metadata_for_build_wheel,
)

__all__ = [
    "build_editable", "build_sdist", "build_wheel", "get_requires_for_build_editable",
    "get_requires_for_build_sdist", "get_requires_for_build_wheel",
    "prepare_metadata_for_build_editable", "prepare_metadata_for_build_wheel",
]  # fmt: skip

NVCC = [f"nvidia-{name}~=13.0" for name in
        ("cuda-nvcc", "cuda-runtime", "cuda-crt", "nvvm", "cuda-cccl")]  # fmt: skip
ON = ("1", "on", "true", "yes", "y")


def wants_cuda(config_settings: dict | None) -> bool:
    """Whether this build was asked for CUDA kernels, in any of the ways there are."""
    settings = {key.rpartition(".")[2]: value for key, value in (config_settings or {}).items()}
    told = settings.get("PLAINFORMER_CUDA", os.environ.get("PLAINFORMER_CUDA", ""))
    defined = f"{os.environ.get('CMAKE_ARGS', '')} {settings.get('args', '')}"
    return str(told).lower() in ON or any(
        f"-DPLAINFORMER_CUDA={on}" in defined for on in ("ON", "1", "TRUE", "on")
    )


def _nvcc(config_settings: dict | None) -> list[str]:
    has_nvcc = shutil.which("nvcc") or os.environ.get("CUDACXX")
    return NVCC if wants_cuda(config_settings) and not has_nvcc else []


def get_requires_for_build_wheel(config_settings: dict | None = None) -> list[str]:
    """What scikit-build-core needs, and a compiler where there is none."""
    return backend.get_requires_for_build_wheel(config_settings) + _nvcc(config_settings)


def get_requires_for_build_editable(config_settings: dict | None = None) -> list[str]:
    """Likewise."""
    return backend.get_requires_for_build_editable(config_settings) + _nvcc(config_settings)
