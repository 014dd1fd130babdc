"""The ceilings of this machine: python benchmarks/roofline.py [--threads N] [--output F.json]

Peak arithmetic of a loop on registers, in float32, bfloat16 and int8, and memory bandwidth: what
`plainformer bench` divides by, at one thread and at all, for every ISA level that runs here.
"""

from __future__ import annotations

import click

from plainformer import _cpu, runtime
from plainformer.bench import machine, roofline
from plainformer.bench.session import write_json


@click.command()
@click.option("--threads", type=click.IntRange(1), help="Only so many [default: 1 and ours].")
@click.option("--output", type=click.Path(dir_okay=False), help="Write JSON here.")
def main(threads: int | None, output: str | None) -> None:
    """Measure the ceilings of this machine."""
    counts = [threads] if threads else sorted({1, runtime.get_num_threads()})
    results = []
    for level in _cpu.available_levels():
        _cpu.set_level(level)
        for count in counts:
            with runtime.num_threads(count):
                ceilings = roofline.measure()
            results.append({"level": level, "threads": count, "ceilings": ceilings})
            click.echo(f"{level}, threads {count}")
            for line in roofline.lines(ceilings):
                click.echo(f"  {line}")
    if output:
        write_json({"machine": machine.describe(), "roofline": results}, output)


if __name__ == "__main__":
    main()
