"""Claim: plug-and-play converges by proof with an averaged denoiser, not with a plain one.

    python -m studies.plug_and_play              # trains three denoisers, then measures

Denoisers: photographs of scikit-image, 48² patches, noise with a σ drawn from U(.02, .1), squared
error (the preset photographs-denoiser.yaml). Problems: 64² patches of other photographs, blurred
(σ = 1.5 pixels, noise .01) and in CT (30 angles, noise of 1 %). Every denoiser runs in the same
iteration u ← D(u - T*(Tu - y)), the one with a known energy also as gradient step, and the plain
one also as proximal map of PDHG (Meinhardt et al. 2017). The image scale of the denoiser, λ, γ and
the weight of total variation are tuned on validation photographs.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from importlib.resources import as_file, files
from typing import TYPE_CHECKING, Any

import matplotlib.pyplot as plt
import torch
import typer

from benchmarks.harness.run import save
from benchmarks.harness.tables import Cell, Table, table
from learnedrecon.config.yaml_file import read_config
from learnedrecon.data.batch import BatchBuilder
from learnedrecon.data.loader import evaluation_batches
from learnedrecon.data.noise import Gaussian, RelativeGaussian
from learnedrecon.data.photographs import Photographs, PhotographSpec
from learnedrecon.data.simulate import Simulation
from learnedrecon.evaluation.certificate import certify
from learnedrecon.experiments.energy import energy
from learnedrecon.experiments.fitting import fit
from learnedrecon.functionals.fidelities import LeastSquares
from learnedrecon.models.classical import TV
from learnedrecon.models.denoiser_pdhg import DenoiserPDHG
from learnedrecon.models.equilibrium import FixedPointSolver
from learnedrecon.models.plug_and_play import (
    LAYERS,
    RIDGE,
    ConvolutionLayers,
    Denoiser,
    DenoiserLayers,
    GradientStepDenoising,
    PlugAndPlayFBS,
)
from learnedrecon.operators.imaging import point_spread
from learnedrecon.operators.imaging.blur import PointSpread
from learnedrecon.operators.ray.geometry2d import AngleRange, FlatDetector, ParallelBeam
from learnedrecon.operators.registry import OPERATORS
from learnedrecon.problem import InverseProblem
from learnedrecon.specs import build
from learnedrecon.weights.checkpoint import load_weights
from studies.common.study import Study, not_measured, read

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from torch import Tensor

    from learnedrecon.data.seeds import Split
    from learnedrecon.models.plug_and_play import PlugAndPlay
    from learnedrecon.operators.base import Operator
    from studies.common.study import Found, Job

SIZE = 64
IMAGES = 4
STEPS, LAST, TUNING = 600, 200, 30
NUMBERS = (10, 50, 100, 200)
SCALES = (0.25, 0.5, 1.0, 2.0)
STEP_SIZES = (0.01, 0.03, 0.1, 0.3, 1.0)
WEIGHTS = (0.03, 0.1, 0.3, 1.0)
TV_WEIGHTS = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3)
PROBLEMS: dict[str, tuple[Any, Any]] = {
    "blur": (PointSpread((SIZE, SIZE), point_spread.Gaussian(1.5)), Gaussian(0.01)),
    "CT": (ParallelBeam((SIZE, SIZE), AngleRange(30), FlatDetector(95)), RelativeGaussian(0.01)),
}
NETWORKS: dict[str, DenoiserLayers] = {
    "averaged": LAYERS,
    "gradient": RIDGE,
    "plain": ConvolutionLayers(),
}
TITLES = {
    "averaged": "averaged by construction",
    "gradient": "averaged, Id - ∇g",
    "plain": "plain convolutions",
    "gradient step": "gradient step, Id - ∇g",
    "PDHG": "PDHG, plain convolutions",
}
COLOURS = {
    "averaged": "#1f5fa8",
    "gradient": "#3f8f5f",
    "plain": "#c4561b",
    "gradient step": "#7a3b9c",
}


def denoiser(name: str, job: Job) -> Found:
    """A trained denoiser, with its PSNR on test photographs."""
    with as_file(files("learnedrecon.config") / "presets" / "photographs-denoiser.yaml") as path:
        config = read_config(path)
    torch.manual_seed(0)
    model = Denoiser(network=NETWORKS[name])
    steps = 20 if job.quick else STEPS
    result = fit(
        model,
        {
            "train": config.data.train,
            "validation": config.data.validation,
            "test": config.data.test,
        },
        operator=build(OPERATORS, config.operator),
        noise=config.data.simulation,
        training=replace(config.training, steps=steps, validate_every=min(300, steps)),
        evaluation=config.evaluation,
        folder=where(name, job),
        progress=False,
    )
    assert result.scores is not None
    psnr = result.scores.psnr
    return {
        "title": TITLES[name],
        "parameters": sum(p.numel() for p in model.parameters()),
        "steps": result.step,
        "psnr": float(sum(psnr) / len(psnr)),
    }


def where(name: str, job: Job) -> Path:
    """The run folder of a denoiser."""
    return job.folder(f"denoiser-{name}")


def batch(problem: str, split: Split) -> tuple[InverseProblem, Tensor]:
    """Data and true images of a problem."""
    spec, noise = PROBLEMS[problem]
    operator = build(OPERATORS, spec)
    builder = BatchBuilder(operator, measurement=Simulation(noise))
    images = Photographs(PhotographSpec(SIZE, split, IMAGES, seed=1))
    found = next(evaluation_batches(images, builder, batch_size=IMAGES))
    assert isinstance(found.problem, InverseProblem)
    assert found.truth is not None
    return found.problem, found.truth


def psnr(image: Tensor, truth: Tensor) -> float:
    """The mean PSNR for the range [0, 1]."""
    errors = (image - truth).square().flatten(1).mean(1)
    return float((-10 * errors.log10()).mean())


def plugged(name: str, job: Job, operator: Operator, size: float, last: int) -> PlugAndPlay:
    """The iteration of a denoiser, which does not stop before ``last``."""
    solver = FixedPointSolver(1e-30, last)
    trained = load_weights(where("gradient" if name == "gradient step" else name, job)).model
    assert isinstance(trained, Denoiser)
    if name == "gradient step":
        one: PlugAndPlay = GradientStepDenoising(size, solver=solver, like=operator)
    else:
        network = NETWORKS[name]
        one = PlugAndPlayFBS(network=network, solver=solver, image_scale=size, like=operator)
    return one.load_denoiser(trained).eval()


@torch.no_grad()
def curve(
    model: PlugAndPlay | DenoiserPDHG, problem: InverseProblem, truth: Tensor
) -> dict[str, list[float]]:
    """PSNR, relative change and energy after every iteration."""
    before = torch.zeros_like(truth)
    found: dict[str, list[float]] = {"psnr": [], "change": [], "energy": []}
    for estimate in model.iterates(problem):
        image = estimate.image
        found["psnr"].append(psnr(image, truth))
        found["change"].append(float((image - before).norm() / image.norm()))
        if isinstance(model, GradientStepDenoising):
            found["energy"].append(float(energy(model, problem, image).sum()))
        before = image
    return found


def iterated(problem: str, job: Job) -> Found:
    """Every denoiser on one problem, tuned, with its curves and its certificate."""
    last, tuning = (20, 5) if job.quick else (LAST, TUNING)
    given, truth = batch(problem, "validation")
    test, images = batch(problem, "test")
    rows: dict[str, Any] = {}
    for name in (*NETWORKS, "gradient step"):
        sizes = WEIGHTS if name == "gradient step" else SCALES
        tuned = {}
        for size in sizes:
            model = plugged(name, job, given.operator, size, tuning)
            tuned[size] = max(curve(model, given, truth)["psnr"])
        size = max(tuned, key=lambda key: tuned[key])
        model = plugged(name, job, test.operator, size, last)
        proof = certify(model, test.operator, fidelity=LeastSquares())
        rows[name] = {
            "title": TITLES[name],
            "size": size,
            "tuning": list(tuned.items()),
            "averaged": proof.averaged,
            "reason": proof.reason,
            **rounded(curve(model, test, images)),
        }
        job.say(f"{problem}, {name}: {rows[name]['psnr'][-1]:.2f} dB, scale {size}")
    weights = {w: psnr(TV(w, nonnegative=True)(given).image, truth) for w in TV_WEIGHTS}
    weight = max(weights, key=lambda key: weights[key])
    tv = psnr(TV(weight, nonnegative=True)(test).image, images)
    return {"rows": rows, "tv": {"weight": weight, "tuning": list(weights.items()), "psnr": tv}}


def rounded(found: dict[str, list[float]]) -> dict[str, list[float]]:
    """Curves with six digits."""
    return {key: [float(f"{value:.6g}") for value in values] for key, values in found.items()}


def page(results: Path) -> list[Table | str]:
    """PSNR against the number of iterations, beside tuned total variation."""
    rows = []
    for problem in PROBLEMS:
        found = read(results, f"pnp-{problem.lower()}")
        if found is None:
            return [not_measured("plug_and_play", *PARTS)]
        pdhg = (read(results, "pnp-pdhg") or {"rows": {}})["rows"]
        known = [*found["rows"].values(), *([pdhg[problem]] if problem in pdhg else [])]
        rows += [{"problem": problem, "tv": found["tv"]["psnr"], **row} for row in known]
    trained = {name: read(results, f"denoiser-{name}") for name in NETWORKS}

    def at(number: int) -> Cell:
        return lambda row: f"{row['psnr'][number - 1]:.2f}"

    columns: dict[str, Cell] = {
        "problem": "problem",
        "denoiser": "title",
        **{f"k = {number}": at(number) for number in NUMBERS},
        "last change": lambda row: f"{row['change'][-1]:.1e}",
        "certificate": lambda row: "none" if row["reason"] else f"θ = {row['averaged']:.3f}",
        "tuned TV": lambda row: f"{row['tv']:.2f}",
    }
    words = "; ".join(
        f"{one['title']} {one['psnr']:.2f} dB with {one['parameters']} parameters"
        for one in trained.values()
        if one is not None
    )
    return [table(rows, columns, f"The denoisers alone, σ of .02 to .1: {words}.")]


def draw(results: Path, path: Path) -> None:
    """PSNR against iterations, one panel a problem."""
    all_found = {problem: read(results, f"pnp-{problem.lower()}") for problem in PROBLEMS}
    if None in all_found.values():
        return
    figure, axes = plt.subplots(1, 2, figsize=(11, 4.2), layout="constrained")
    for axis, (problem, found) in zip(axes, all_found.items(), strict=True):
        assert found is not None
        for name, row in found["rows"].items():
            numbers = range(1, len(row["psnr"]) + 1)
            axis.plot(numbers, row["psnr"], color=COLOURS[name], label=row["title"])
        axis.axhline(found["tv"]["psnr"], color="#555555", lw=1, ls=":", label="tuned TV")
        best = max(max(row["psnr"]) for row in found["rows"].values())
        axis.set(xscale="log", title=problem, xlabel="iterations", ylim=(best - 8, best + 1))
        axis.spines[["top", "right"]].set_visible(False)
        axis.legend(fontsize=8, loc="lower right")
    axes[0].set_ylabel("PSNR in dB, mean of 4 images")
    save(figure, path)


def primal_dual(job: Job) -> Found:
    """PDHG with the plain denoiser in the place of a proximal map, on every problem, tuned."""
    last, tuning = (20, 5) if job.quick else (LAST, TUNING)
    if not where("plain", job).exists():
        denoiser("plain", job)
    rows: dict[str, Any] = {}
    for problem in PROBLEMS:
        given, truth = batch(problem, "validation")
        test, images = batch(problem, "test")
        tuned = {
            (step, size): max(
                curve(split(job, given.operator, step, size, tuning), given, truth)["psnr"]
            )
            for step in STEP_SIZES
            for size in SCALES
        }
        step, size = max(tuned, key=lambda key: tuned[key])
        model = split(job, test.operator, step, size, last)
        rows[problem] = {
            "title": TITLES["PDHG"],
            "step": step,
            "size": size,
            "tuning": [[*key, value] for key, value in tuned.items()],
            "averaged": None,
            "reason": "the network has no bound",
            **rounded(curve(model, test, images)),
        }
        job.say(f"{problem}, PDHG: {rows[problem]['psnr'][-1]:.2f} dB, γ {step}, scale {size}")
    return {"rows": rows}


def split(job: Job, operator: Operator, step: float, size: float, last: int) -> DenoiserPDHG:
    """PDHG of ``last`` steps with the trained plain denoiser, whose scale is ``size``."""
    layers = NETWORKS["plain"]
    assert isinstance(layers, ConvolutionLayers)
    model = DenoiserPDHG(
        last, layers.convolutions, layers.hidden, step=step, image_scale=size, like=operator
    )
    trained = load_weights(where("plain", job)).model
    assert isinstance(trained, Denoiser)
    network = trained.scheme.network
    assert isinstance(network, torch.nn.Module)
    model.denoiser.load_state_dict(network.state_dict())
    return model.eval()


PARTS: dict[str, Callable[[Job], Found]] = {
    **{f"denoiser-{name}": partial(denoiser, name) for name in NETWORKS},
    **{f"pnp-{problem.lower()}": partial(iterated, problem) for problem in PROBLEMS},
    "pnp-pdhg": primal_dual,
}
STUDY = Study(
    "plug_and_play",
    "Plug-and-play converges by proof with an averaged denoiser; with a plain one nothing is "
    "proved.",
    "Nothing diverges here: the plain one drifts by less than 0.1 dB on blur, and still rises on "
    "CT; no proof is not divergence. Tuned total variation is better than every one of them, by "
    "0.1 to 5 dB; the two validation photographs are smoother than those of the test, so that "
    "the tuned scales remove too much. In CT the same plain denoiser is 3.7 dB better in PDHG, "
    "whose step size γ weighs it against the data, than in forward-backward splitting with η = 1.",
    PARTS,
    page,
    ("plug-and-play.png", draw),
)

if __name__ == "__main__":
    typer.run(STUDY.main)
