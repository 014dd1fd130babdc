"""What each CUDA kernel can reach at most on a GPU, by its resources: a model, beside the goals.

    python benchmarks/cuda_model.py [--check]

A kernel is bound by the slowest of: tensor cores, shared memory, L2, memory; and by how many blocks
fit a multiprocessor, which its registers (compiled: .ci/cuda_registers.json) and shared memory say.
Nothing here was measured with these kernels. The devices' rates are data sheets' and what the best
public kernels and copies reached; a prediction is a bound, which hardware can only confirm or
lower. `--check` fails where a bound is below 85 % of its goal.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import click

ROOT = Path(__file__).parent.parent
REGISTERS = ROOT / ".ci/cuda_registers.json"
ENOUGH = 0.85  # of a goal


@dataclass(frozen=True)
class Device:
    """A GPU.

    clock : cycles a second under a load of tensor cores
    tensor : floating-point operations of bfloat16 products a cycle and multiprocessor
    sustained : of these a second, the best known of any kernel on random data (power ends it)
    shared_bytes, l2_bytes : a cycle and multiprocessor
    copy : bytes a second that a copy moves, read and written
    latency : seconds from a load to its data, when memory is busy
    """

    name: str
    architecture: str
    multiprocessors: int
    clock: float
    tensor: int
    sustained: float
    copy: float
    shared_memory: int
    l2_bytes: float
    latency: float = 750e-9
    shared_bytes: int = 128
    registers: int = 65536
    threads: int = 2048
    blocks: int = 32


DEVICES = (
    Device("A100", "sm_80", 108, 1.35e9, 2048, 290e12, 1.75e12, 164 << 10, 40),
    Device("H100", "sm_90a", 132, 1.70e9, 4096, 830e12, 2.95e12, 228 << 10, 40),
    Device("H200", "sm_90a", 132, 1.70e9, 4096, 830e12, 4.30e12, 228 << 10, 40),
)


@dataclass(frozen=True)
class Kernel:
    """What a kernel takes: the name it is compiled under (a pattern), threads a block, bytes of
    shared memory a block."""

    pattern: str
    threads: int
    shared: int = 0

    def registers(self, device: Device) -> int | None:
        """A thread, the most of any instance; None where there is no such kernel."""
        table = json.loads(REGISTERS.read_text())
        found = [by[device.architecture] for name, by in table.items()
                 if re.search(self.pattern, name) and device.architecture in by]  # fmt: skip
        return max(found, default=None)

    def blocks(self, device: Device) -> int:
        """How many fit a multiprocessor at once."""
        warps = -(-self.threads // 32)
        registers = -(-(self.registers(device) or 0) // 8) * 8 * 32 * warps
        limits = [device.blocks, device.threads // self.threads]
        limits += [device.registers // registers] if registers else []
        limits += [device.shared_memory // (self.shared + 1024)] if self.shared else []
        return min(limits)


# ---- memory ------------------------------------------------------------------------------------


def streaming(kernel: Kernel, in_flight: int) -> Callable[[Device], float]:
    """Bytes a second of a kernel that moves each byte once, `in_flight` bytes a thread under way
    (loads before the first is used). By Little's law; reads and writes share the memory."""

    def bound(device: Device) -> float:
        under_way = kernel.blocks(device) * kernel.threads * in_flight * device.multiprocessors
        return min(device.copy, 2 * under_way / device.latency)  # what is read is written again

    return bound


# ---- matrix products -----------------------------------------------------------------------------


@dataclass(frozen=True)
class Tile:
    """A block's tile and how it is computed: rows, columns, elements along k a stage; bytes read
    from shared memory by products a stage; whether an epilogue hides behind another tile's
    products; cycles of an epilogue and of the start of a block."""

    rows: int
    columns: int
    depth: int
    read: int
    hides: bool = False
    epilogue: float = 1800.0
    start: float = 1500.0
    cluster: int = 1

    def stage(self, device: Device) -> float:
        """Cycles of one stage."""
        brought_a, brought_b = 2 * self.rows * self.depth, 2 * self.columns * self.depth
        tensor = 2.0 * self.rows * self.columns * self.depth / device.tensor
        shared = (brought_a + brought_b + self.read) / device.shared_bytes
        l2 = (brought_a + brought_b / self.cluster) / device.l2_bytes
        return max(tensor, shared, l2)


def product(tile: Tile, M: int, N: int, K: int) -> Callable[[Device], float]:
    """Floating-point operations a second of C (M, N) = A (M, K) B (K, N), one block at a time on a
    multiprocessor."""

    def bound(device: Device) -> float:
        tiles = math.ceil(M / tile.rows / tile.cluster) * math.ceil(N / tile.columns)
        waves = math.ceil(tiles / (device.multiprocessors // tile.cluster))
        mainloop = math.ceil(K / tile.depth) * tile.stage(device)
        one = max(mainloop, tile.epilogue) if tile.hides else mainloop + tile.epilogue
        seconds = (tile.start + waves * one) / device.clock
        memory = 2.0 * (M * K + K * N + M * N) / device.copy
        return min(2.0 * M * N * K / max(seconds, memory), device.sustained)

    return bound


COOPERATIVE = Tile(128, 256, 64, 128 * 128 + 2 * 256 * 128, cluster=2)
PING_PONG = Tile(128, 128, 64, 128 * 128 + 2 * 128 * 128, hides=True, cluster=2)
SM80 = Tile(128, 128, 32, 8 * (64 + 32) * 32 * 2)


def best_of(*bounds: Callable[[Device], float]) -> Callable[[Device], float]:
    """The launcher chooses the better form."""
    return lambda device: max(bound(device) for bound in bounds)


def linear_loss(M: int, N: int, K: int, gradients: bool) -> Callable[[Device], float]:
    """Of a linear layer and cross entropy: one product, or three with their logits, which are
    written, turned into gradients in place and read by two products, 6 bytes each in 16 bits."""
    forms = [(M, N, K), (M, K, N), (N, K, M)][: 3 if gradients else 1]

    def bound(device: Device) -> float:
        flop = 2.0 * M * N * K
        seconds = sum(flop / product(COOPERATIVE, *form)(device) for form in forms)
        seconds += 6.0 * M * N / device.copy if gradients else 0.0
        return len(forms) * flop / seconds

    return bound


# ---- attention -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Attention:
    """Tiles of attention: rows of queries a block and keys a step; products of tiles that are
    counted (2 forward, 5 backward) and that are formed (7 backward: both walks form scores and
    dO V^T); exponentials a score, of which a multiprocessor has 16 a cycle."""

    rows: int
    keys: int
    width: int
    products: int
    formed: int
    exponentials: float = 1.0

    def bound(self, B: int, H: int, L: int, causal: bool) -> Callable[[Device], float]:
        """Floating-point operations a second, counting those below the diagonal only."""

        def flops(device: Device) -> float:
            flop = 2.0 * self.products * B * H * L * L * self.width / (2 if causal else 1)
            row_tiles = math.ceil(L / self.rows)
            steps = sum(
                math.ceil(min(L, (i + 1) * self.rows if causal else L) / self.keys)
                for i in range(row_tiles)
            )
            pair = self.rows * self.keys
            tensor = 2.0 * self.formed * pair * self.width / device.tensor
            step = max(tensor, self.exponentials * pair / 16)
            blocks = B * H * row_tiles
            cycles = (steps * B * H * step + blocks * 2000.0) / device.multiprocessors
            tail = math.ceil(L / self.keys) * step / 2  # the last blocks, longest first
            sustained = device.sustained * self.products / self.formed
            return min(flop / ((cycles + tail) / device.clock), sustained)

        return flops


# ---- what is predicted ---------------------------------------------------------------------------


@dataclass(frozen=True)
class Row:
    """A workload, the kernel behind it, its bound, and the goal on an H200: about what the best
    public kernel of its kind reaches (fast.cu, ThunderKittens, FlashAttention-3, Liger, QuACK;
    backward 85 % of it, since ours adds in a fixed order), 4.1 of the 4.3 TB/s of a copy."""

    workload: str
    kernel: Kernel
    bound: Callable[[Device], float]
    unit: str  # TFLOP/s or TB/s
    goal: float | None = None


GEMM_SM90 = Kernel(r"^gemm_sm90", 384, 224 << 10)
GEMM_SM80 = Kernel(r"^gemm_sm80", 256, 64 << 10)
ATTENTION_SM90 = Kernel(r"^attention_sm90", 384, 200 << 10)
ATTENTION_BACKWARD_SM90 = Kernel(r"^attention_backward_sm90", 384, 200 << 10)
FORWARD_128, FORWARD_64 = Attention(128, 128, 128, 2, 2), Attention(192, 128, 64, 2, 2)
BACKWARD_128, BACKWARD_64 = Attention(128, 64, 128, 5, 7, 2), Attention(128, 64, 64, 5, 7, 2)


def rows() -> list[Row]:
    """All predictions."""
    softmax, norm = Kernel(r"^softmax_rows", 256), Kernel(r"^norm_kept_rows", 256)
    entropy, adamw = Kernel(r"^cross_entropy_rows", 512), Kernel(r"AdamW", 256)
    both = lambda M, N, K: best_of(product(COOPERATIVE, M, N, K), product(PING_PONG, M, N, K))  # noqa: E731
    return [
        Row("GEMM bf16 8192^3", GEMM_SM90, both(8192, 8192, 8192), "TFLOP/s", 800),
        Row("GEMM bf16 4096^3", GEMM_SM90, both(4096, 4096, 4096), "TFLOP/s", 760),
        Row("GEMM bf16 16384x3072x768", GEMM_SM90, both(16384, 3072, 768), "TFLOP/s"),
        Row("GEMM bf16 4096^3, sm_80 form", GEMM_SM80, product(SM80, 4096, 4096, 4096), "TFLOP/s"),
        Row("attention d128 16k", ATTENTION_SM90,
            FORWARD_128.bound(1, 16, 16384, False), "TFLOP/s", 650),
        Row("attention d128 16k causal", ATTENTION_SM90,
            FORWARD_128.bound(1, 16, 16384, True), "TFLOP/s", 616),
        Row("attention d64 T 1024 causal", ATTENTION_SM90,
            FORWARD_64.bound(16, 12, 1024, True), "TFLOP/s", 300),
        Row("attention backward d128 16k", ATTENTION_BACKWARD_SM90,
            BACKWARD_128.bound(1, 16, 16384, False), "TFLOP/s", 0.85 * 570),
        Row("attention backward d64 16k", ATTENTION_BACKWARD_SM90,
            BACKWARD_64.bound(1, 16, 16384, False), "TFLOP/s", 0.85 * 475),
        Row("linear + CE 8192x50257x4096", GEMM_SM90,
            linear_loss(8192, 50257, 4096, False), "TFLOP/s", 720),
        Row("  with gradients", GEMM_SM90,
            linear_loss(8192, 50257, 4096, True), "TFLOP/s", 680),
        Row("softmax 65536x1024", softmax, streaming(softmax, 32), "TB/s", 4.1),
        Row("layer norm 65536x768", norm, streaming(norm, 32), "TB/s", 4.1),
        Row("AdamW, 124M parameters", adamw, streaming(adamw, 16), "TB/s", 4.1),
        Row("cross entropy 4096x50257", entropy, streaming(entropy, 32), "TB/s", 4.1),
    ]  # fmt: skip


@click.command(help=__doc__)
@click.option("--check", is_flag=True, help="Fail where a bound misses its goal.")
def main(check: bool) -> None:
    missed = []
    click.echo(f"{'workload':36} {'kernel':34} {'regs':>4} " +
               "".join(f"{d.name:>8}" for d in DEVICES) + f"{'goal':>8}")  # fmt: skip
    for row in rows():
        values = []
        for device in DEVICES:
            registers = row.kernel.registers(device)
            values.append(None if registers is None else row.bound(device) / 1e12)
        registers = row.kernel.registers(DEVICES[-1]) or 0
        shown = "".join(f"{'-' if v is None else f'{v:.3g}':>8}" for v in values)
        goal = "" if row.goal is None else f"{row.goal:.3g}"
        click.echo(
            f"{row.workload:36} {row.kernel.pattern:34} {registers:4} {shown}{goal:>8} {row.unit}"
        )
        if row.goal is not None and (values[-1] is None or values[-1] < ENOUGH * row.goal):
            missed.append(row.workload)
    if missed:
        click.echo(f"below {ENOUGH:.0%} of their goals: {', '.join(missed)}")
        raise SystemExit(int(check))


if __name__ == "__main__":
    main()
