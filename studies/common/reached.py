"""One line for each registered scheme: what it reached, here or in another study."""

from __future__ import annotations

from typing import TYPE_CHECKING

from studies.common.comparison import costs_of, row_of, under_trained
from studies.common.study import RESULTS, read

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from studies.common.study import Found

DEPTH, PLUGGED = "[Depth](depth.md)", "[Plug-and-play](plug-and-play.md)"


def line(name: str, results: Path = RESULTS) -> str:
    """What a registered scheme reached.

    Args:
        name: Registered name.
        results: Folder of the JSON.
    """
    said = []
    found = read(results, f"scheme-{name}")
    if found is not None:
        row = {**row_of(found), **costs_of(results, found)}
        said.append(
            f"**{row['psnr']} dB** (SSIM {row['ssim']}) with {row['parameters']} parameters after "
            f"{row['seconds']} s, {row['steps']} steps"
            + (": under-trained" if under_trained(results, found) else "")
        )
    if name in ELSEWHERE:
        part, sentence = ELSEWHERE[name]
        other = read(results, part)
        said += [] if other is None else [sentence(other)]
    return "; ".join(said) + ".\n" if said else "Not measured.\n"


def _sparse(found: Found) -> str:
    return (
        f"NMSE **{found['nmse'][-1]:.1f} dB** after 16 layers with {found['parameters']} "
        f"parameters, {found['steps']} steps ({DEPTH}): under-trained"
    )


def _recurrent(found: Found) -> str:
    middle = found["norms"].index(0.5)
    return (
        f"Relative error **{found['errors'][middle]:.3f}** of (I + X)⁻¹b for ‖X‖ = 0.5 with "
        f"{found['parameters']} parameters, {found['steps']} steps ({DEPTH})"
    )


def _limited(found: Found) -> str:
    return (
        f"**{found['psnr']:.2f} ± {found['psnr_stderr']:.2f} dB** on limited-angle CT with "
        f"{found['parameters']} parameters, {found['steps']} steps ({DEPTH}): under-trained"
    )


def _times(found: Found) -> str:
    times = ", ".join(
        f"{level['learned']:.2f} for σ = {level['sigma']}" for level in found["levels"]
    )
    return f"Learned times T: **{times}** ({DEPTH})"


def _seeds(found: Found) -> str:
    number = len(found["runs"])
    seeds = "one seed" if number == 1 else f"{number} seeds"
    row = row_of(found)
    return (
        f"**{found['psnr']:.2f} dB** on {found['scan']} with {row['parameters']} parameters, "
        f"{row['steps']} steps, {seeds} ({DEPTH})"
    )


def _ellipses(found: Found) -> str:
    return (
        f"**{found['psnr']:.2f} ± {found['psnr_stderr']:.2f} dB** on 128² pixels with "
        f"{found['parameters']} parameters, {found['steps']} steps ([ellipses](ellipses.md))"
    )


def _photographs(found: Found) -> str:
    return (
        f"**{found['psnr']:.2f} dB** on photographs with noise of σ = 25/255 with "
        f"{found['parameters']} parameters, {found['steps']} steps: under-trained"
    )


def _noise(found: Found) -> str:
    return (
        f"**{found['psnr']:.2f} dB** on photographs with noise of σ = .02 to .1 with "
        f"{found['parameters']} parameters, {found['steps']} steps ({PLUGGED}): under-trained"
    )


def _plugged(key: str, images: str) -> Callable[[Found], str]:
    """Of a row of a result of plug-and-play."""

    def said(found: Found) -> str:
        row = found["rows"][key]
        return (
            f"**{row['psnr'][-1]:.2f} dB** on {images} after {len(row['psnr'])} iterations, "
            f"{row['title']} ({PLUGGED})"
        )

    return said


ELSEWHERE: Mapping[str, tuple[str, Callable[[Found], str]]] = {
    "learned_primal_dual": ("lpd", _seeds),
    "learned_gradient": ("unrolled", _seeds),
    "learned_proximal": ("proximal", _seeds),
    "learned_primal": ("primal", _seeds),
    "neumann": ("neumann", _seeds),
    "deep_gradient_descent": ("end-to-end", _seeds),
    "invertible_primal_dual": ("invertible", _seeds),
    "split_primal_dual": ("split", _seeds),
    "subset_primal_dual": ("subsets-4", _seeds),
    "equilibrium_gradient": ("equilibrium", _seeds),
    "filtered_primal_dual": ("ellipses-filtered_lpd", _ellipses),
    "post_processing": ("ellipses-unet", _ellipses),
    "operator_recurrent": ("operator-recurrent", _recurrent),
    "psi_donet": ("limited-psi", _limited),
    "semi_implicit_flow": ("stopping-time", _times),
    "lista": ("lista", _sparse),
    "lista_cp": ("lista_cp", _sparse),
    "lista_cpss": ("lista_cpss", _sparse),
    "alista": ("alista", _sparse),
    "shrinkage_field": ("denoising-csf", _photographs),
    "denoiser": ("denoiser-averaged", _noise),
    "denoiser_pdhg": ("pnp-pdhg", _plugged("blur", "blurred photographs")),
    "plug_and_play_fbs": ("pnp-blur", _plugged("averaged", "blurred photographs")),
    "gradient_step": ("pnp-ct", _plugged("gradient step", "photographs in CT")),
}
"""Results of other studies and what is said of them, by registered name."""
