"""Whether memory grows as a way to differentiate promises."""

from __future__ import annotations

import math
import statistics
from typing import TYPE_CHECKING, Any

from benchmarks.harness.fit import straight_line

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

FLAT = 1.25
STRAIGHT = 0.99
SLOWER = 1.6
STATES_WITHIN = 0.15
LPD_STATE = {"256": 4 * 5 * (256 * 256 + 180 * 363), "512": 4 * 5 * (512 * 512 + 720 * 725)}
_FAR = 100_000


def growth(
    kind: str, steps: Mapping[int, dict[str, Any]], every: Mapping[int, int | None]
) -> dict[str, Any]:
    """A line through both counts, the ratio of the ends, and whether the target is met.

    Args:
        kind: "linear": R² of both counts at least 0.99; "constant": both at the largest depth at
            most 1.25 times those at the smallest; "states": what is held is the number of stored
            states times the size of one, within 15 %, at every depth; "peer": no target.
        steps: by depth.
        every: after how many steps a state is stored, by depth.
    """
    good = {depth: one for depth, one in steps.items() if "failed" not in one}
    if len(good) < 2:
        return {"target": kind, "met": None if kind == "peer" else False}
    first, last = min(good), max(good)
    found: dict[str, Any] = {"target": kind}
    for key in ("step_bytes", "held_bytes"):
        line = straight_line(list(good), [one[key] for one in good.values()])
        ratio = good[last][key] / good[first][key]
        found[key] = {"line": line, "ratio": ratio}
    counts = [found[key] for key in ("step_bytes", "held_bytes")]
    complete = len(good) == len(steps)
    match kind:
        case "linear":
            met = all(c["line"]["r2"] >= STRAIGHT for c in counts)
        case "constant":
            met = complete and all(c["ratio"] <= FLAT for c in counts)
        case "states":
            found["states"] = {n: math.ceil(n / every[n]) * LPD_STATE["256"] for n in good}  # type: ignore[operator]
            gaps = [abs(good[n]["held_bytes"] / size - 1) for n, size in found["states"].items()]
            found["worst_gap"] = max(gaps)
            met = complete and max(gaps) <= STATES_WITHIN
        case _:
            return {**found, "met": None}
    return {**found, "met": met}


def largest_depth(
    steps: Mapping[int, dict[str, Any]], limit: int, every: Callable[[int], int | None]
) -> dict[str, Any]:
    """The depth at which the line through the peaks of the whole process meets the limit.

    With a state after every k ≈ √N steps the peak is N/k states and the activations of k steps;
    both are read off the probes, of which the first two have k = 1 and 2.
    """
    if failed := [one["failed"] for one in steps.values() if "failed" in one]:
        return {"failed": failed[0]}
    (few, first), (many, second) = sorted(steps.items())
    slope = (second["peak_bytes"] - first["peak_bytes"]) / (many - few)
    kept = (second["kept_bytes"] - first["kept_bytes"]) / (many - few)
    if every(many) not in (None, 1):
        return _largest_of_segments(steps, limit, every, kept)
    if slope <= max(2 * kept, 2**20):  # weights and moments alone, or nothing
        return {"depth": None, "bytes_per_step": max(slope, 0.0), "kept_per_step": kept}
    depth = few + int((limit - first["peak_bytes"]) / slope)
    return {"depth": depth, "bytes_per_step": slope, "kept_per_step": kept}


def _largest_of_segments(
    steps: Mapping[int, dict[str, Any]],
    limit: int,
    every: Callable[[int], int | None],
    kept: float,
) -> dict[str, Any]:
    state = LPD_STATE["512"]
    few, many = sorted(steps)

    def segments(n: int) -> tuple[int, int]:
        k = every(n) or 1
        return math.ceil(n / k), k

    (states_1, k_1), (states_2, k_2) = segments(few), segments(many)
    gained = steps[many]["peak_bytes"] - steps[few]["peak_bytes"] - (states_2 - states_1) * state
    activations = gained / (k_2 - k_1)

    def peak(n: int) -> float:
        states, k = segments(n)
        more = (states - states_1) * state + (k - k_1) * activations + (n - few) * kept
        return steps[few]["peak_bytes"] + more

    depth = few
    while depth < _FAR and peak(depth + 1) <= limit:
        depth += 1
    return {"depth": depth, "kept_per_step": kept, "activations_per_step": activations}


def time_ratios(samples: Mapping[str, list[float]]) -> dict[str, Any]:
    """Medians, and Reversible over Backprop of the same scheme."""
    medians = {name: statistics.median(values) for name, values in samples.items()}
    ratios = {}
    for name in medians:
        scheme, _, backward = name.partition(", ")
        if backward == "Backprop":
            continue
        pairs = zip(samples[name], samples[f"{scheme}, Backprop"], strict=True)
        value = statistics.median(a / b for a, b in pairs)
        ratios[name] = {"ratio": value}
        if backward == "Reversible":
            ratios[name] |= {"target": SLOWER, "met": value <= SLOWER}
    return {"median_s": medians, "samples_s": dict(samples), "ratios": ratios}
