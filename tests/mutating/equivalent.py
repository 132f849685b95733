"""Changes that survive and are no faults, each with its reason."""

from __future__ import annotations

EQUIVALENT: dict[tuple[str, str, str], str] = {
    (
        "src/learnedrecon/networks/bounded.py",
        "_FINE = {1: 256, 2: 64, 3: 24}",
        "25 for 24, column 28",
    ): "The bound is valid for every number of points above the width; this one is a choice.",
    (
        "src/learnedrecon/evaluation/certificate_attack.py",
        "_ROUNDING = {torch.float64: 1e-9, torch.float32: 1e-3}",
        "2e-09 for 1e-09, column 29",
    ): "An allowance for rounding that is far above it and far below what an attack finds.",
    (
        "src/learnedrecon/solvers/direct/fbp.py",
        "return planar_poses(geometry).weights(slice(None), 1)[:, 0]",
        "2 for 1, column 56",
    ): "Rows are counted from the first, so that the first of two has the weights of the only one.",
    (
        "src/learnedrecon/networks/spectral.py",
        "tall = matrices.shape[1] >= matrices.shape[2]",
        "0 for 1, column 27",
    ): "Both Gram matrices have the same eigenvalues that are not zero; one costs more.",
}
"""By file, line without its indentation, and change."""
