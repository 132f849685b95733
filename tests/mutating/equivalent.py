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
    (
        "src/learnedrecon/schemes/implicit.py",
        "*(next(ends) if moves else z for z, moves in zip(after, moving, strict=True))",
        "False for True, column 84",
    ): "The two have the same length by construction, as one is made of the other.",
    (
        "src/learnedrecon/schemes/reconstructor.py",
        "data = torch.float32 if data.itemsize < 4 else data",
        "5 for 4, column 49",
    ): "Only real floats come here, and one of four bytes is float32 itself.",
    (
        "src/learnedrecon/solvers/cg.py",
        "self.p = torch.where(going, self.r + share * self.p, 0)",
        "-1 for 0, column 62",
    ): "x and r of a system that is done are kept, and its p is not read.",
    (
        "src/learnedrecon/evaluation/certificate_attack.py",
        "_WEIGHTS = {torch.float64: 0.0, torch.float32: 2.0**-20}",
        "21 for 20, column 54",
    ): "An allowance for weights in float32, far below what an attack finds.",
    (
        "src/learnedrecon/evaluation/certificate.py",
        "for tolerance in (1e-2, 1e-4):",
        "0.0002 for 0.0001, column 37",
    ): "Which accuracies a certificate lists is a choice; the number of iterations is theirs.",
    (
        "src/learnedrecon/networks/bounded.py",
        "_FINE = {1: 256, 2: 64, 3: 24}",
        "65 for 64, column 21",
    ): "The bound is valid for every number of points above the width; this one is a choice.",
    (
        "src/learnedrecon/networks/spectral.py",
        "tall = matrices.shape[1] >= matrices.shape[2]",
        "1 for 2, column 48",
    ): "Both Gram matrices have the same eigenvalues that are not zero; one costs more.",
    (
        "src/learnedrecon/schemes/recomputation.py",
        'if isinstance(module, _DRAWS) and module.training and getattr(module, "p", 1.0) > 0:',
        "2.0 for 1.0, column 88",
    ): "What has no p always draws; every number above 0 says so.",
    (
        "src/learnedrecon/models/admm_net.py",
        "analysis = like.on_images(lambda _in, _out, axes: Analysis(axes), 1, filters)",
        "0 for 1, column 71",
    ): "The number goes to the function alone, which does not use it: filters act on each channel.",
}
"""By file, line without its indentation, and change."""
