"""What the network of a step costs: memory format, precision, activation, and a bound on fusing.

    python -m benchmarks.layouts

The network is that of learned primal-dual, convolutions 6-32-32-5 of 3×3 with PReLU, on one thread,
with freed memory kept. A kernel that fuses convolution, bias and PReLU saves the time of the
activations at most, and one that also convolves at the speed of a matrix product the rest.
Writes benchmarks/results/layouts.json.
"""

from __future__ import annotations

from functools import partial
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import torch
import typer
from torch import nn

from benchmarks.harness.run import Benchmark
from benchmarks.harness.tables import Table, table
from benchmarks.harness.timing import Contestant, interleaved, running
from learnedrecon.allocation import kept_memory
from learnedrecon.networks.layout import fastest_precision, has_avx512, set_channels_last

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from torch import Tensor

    from benchmarks.harness.run import Settings

CHANNELS = (6, 32, 32, 5)
SHAPES = {"8 × 64²": (8, 64), "5 × 128²": (5, 128), "362²": (1, 362), "512²": (1, 512)}
ACTIVATIONS: dict[str, Callable[[int], nn.Module]] = {
    "PReLU": nn.PReLU,
    "leaky ReLU": lambda _: nn.LeakyReLU(0.25),
    "none": lambda _: nn.Identity(),
}
FORMATS = ("contiguous", "channels_last")
SIZE = 1024


def network(activation: str = "PReLU") -> nn.Sequential:
    """The network, with new weights."""
    layers: list[nn.Module] = []
    for inputs, outputs in pairwise(CHANNELS):
        layers += [nn.Conv2d(inputs, outputs, 3, padding=1), ACTIVATIONS[activation](outputs)]
    return nn.Sequential(*layers[:-1])


def forward(net: nn.Module, x: Tensor, *, half: bool) -> None:
    """The network without gradients."""
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16, enabled=half):
        net(x)


def both(net: nn.Module, x: Tensor, *, half: bool) -> None:
    """The network, and the gradient in weights and images."""
    with torch.autocast("cpu", torch.bfloat16, enabled=half):
        out = net(x)
    out.float().square().mean().backward()


PASSES = {"forward": forward, "forward and backward": both}


def variants(number: int, size: int) -> dict[tuple[str, str, str], tuple[nn.Module, Tensor, bool]]:
    """Network, images and precision, by activation, memory format and precision."""
    x = torch.randn(number, CHANNELS[0], size, size, requires_grad=True)
    found: dict[tuple[str, str, str], tuple[nn.Module, Tensor, bool]] = {}
    for activation in ACTIVATIONS:
        for layout in FORMATS:
            net = network(activation)
            net = set_channels_last(net) if layout == "channels_last" else net
            found[activation, layout, "float32"] = net, x, False
            if fastest_precision("cpu") == "bf16":
                found[activation, layout, "bfloat16"] = net, x, True
    return found


@kept_memory()
def layouts(settings: Settings) -> list[dict[str, Any]]:
    """Milliseconds of every variant, in turns, and GFLOP/s."""
    rows = []
    for work, (number, size) in SHAPES.items():
        flops = 2 * 9 * number * size**2 * sum(a * b for a, b in pairwise(CHANNELS))
        for name, run in PASSES.items():
            found = interleaved(
                [
                    Contestant("\n".join(key), partial(run, net, x, half=half), running(1))
                    for key, (net, x, half) in variants(number, size).items()
                ],
                settings.budget,
            )
            work_of_pass = flops * (1 if name == "forward" else 3)
            for key, timing in found.items():
                activation, layout, precision = key.split("\n")
                rows.append(
                    {
                        "work": work,
                        "pass": name,
                        "activation": activation,
                        "format": layout,
                        "precision": precision,
                        "milliseconds": 1e3 * timing.median,
                        "gflops": work_of_pass / timing.median / 1e9,
                        **timing.to_plain(),
                    }
                )
    return rows


def products(settings: Settings) -> dict[str, float]:
    """GFLOP/s of a matrix product, one thread, by precision."""
    kinds = {"float32": torch.float32}
    if fastest_precision("cpu") == "bf16":
        kinds["bfloat16"] = torch.bfloat16
    squares = {name: torch.randn(SIZE, SIZE).to(kind) for name, kind in kinds.items()}
    found = interleaved(
        [Contestant(name, partial(torch.mm, m, m), running(1)) for name, m in squares.items()],
        settings.budget,
    )
    return {name: 2 * SIZE**3 / timing.median / 1e9 for name, timing in found.items()}


def collect(found: Mapping[str, Any]) -> dict[str, Any]:
    """Rows, the speed of matrix products, and what the CPU has."""
    return {
        "layouts": found.get("layouts", []),
        "products": found.get("products", {}),
        "avx512": has_avx512(),
    }


def tables(content: dict[str, Any]) -> list[Table]:
    """Milliseconds by memory format, and what fusing could give."""
    times: dict[tuple[str, ...], Any] = {
        (row["work"], row["pass"], row["activation"], row["format"], row["precision"]): row
        for row in content["layouts"]
    }
    works = [(work, name) for work in SHAPES for name in PASSES]
    precisions = list(dict.fromkeys(row["precision"] for row in content["layouts"]))
    lines = [_line(times, content["products"], one, kind) for one in works for kind in precisions]
    speeds = ", ".join(f"{v:.0f} in {name}" for name, v in content["products"].items())
    return [
        table(
            lines,
            {
                "images": "work",
                "pass": "pass",
                "precision": "precision",
                "contiguous": "contiguous",
                "channels_last": "channels_last",
                "times faster": "faster",
                "with leaky ReLU": "leaky",
                "convolutions alone": "alone",
                "fusing gives at most": "fused",
                "at the speed of a product": "limit",
            },
            note=f"Milliseconds. A matrix product of {SIZE}² has {speeds} GFLOP/s on one thread. "
            "The last four columns are of the faster format.",
        )
    ]


def _line(
    times: dict[tuple[str, ...], Any],
    products: dict[str, float],
    one: tuple[str, str],
    precision: str,
) -> dict[str, Any]:
    def row(activation: str, layout: str) -> dict[str, Any]:
        return dict(times[(*one, activation, layout, precision)])

    whole = [row("PReLU", layout) for layout in FORMATS]
    best = min(whole, key=lambda found: found["milliseconds"])
    alone = row("none", best["format"])
    ideal = alone["gflops"] * alone["milliseconds"] / products[precision]
    return {
        "work": one[0],
        "pass": one[1],
        "precision": precision,
        "contiguous": f"{whole[0]['milliseconds']:.1f}",
        "channels_last": f"{whole[1]['milliseconds']:.1f}",
        "faster": f"{whole[0]['milliseconds'] / whole[1]['milliseconds']:.2f}",
        "leaky": f"{row('leaky ReLU', best['format'])['milliseconds']:.1f}",
        "alone": f"{alone['milliseconds']:.1f} ({alone['gflops']:.0f} GFLOP/s)",
        "fused": f"{best['milliseconds'] / alone['milliseconds']:.2f} times",
        "limit": f"{best['milliseconds'] / ideal:.2f} times",
    }


BENCHMARK = Benchmark(
    "layouts", {"layouts": layouts, "products": products}, tables, collect, peers=()
)

if __name__ == "__main__":
    typer.run(BENCHMARK.main)
