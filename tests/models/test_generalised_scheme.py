"""The generalised step: every subset of its inputs, in numpy, and what it contains."""

from __future__ import annotations

from itertools import combinations
from typing import TYPE_CHECKING, Any, get_args

import numpy as np
import pytest
import torch
from tests.helpers import Dense, normal
from tests.models.derivatives import assert_derivatives
from tests.models.linear_networks import set_linear
from tests.models.test_formulas import (
    DATA,
    GEOMETRY,
    IMAGE,
    MU,
    NORM,
    RAY,
    Array,
    C,
    assert_close,
    backprojected,
    data,
    forward,
    images,
    laplacian,
    layers,
    ramp,
    transposed,
    with_random_weights,
)
from torch import Tensor, nn

from learnedrecon.errors import ConfigError, GeometryError
from learnedrecon.evaluation.scores import count_parameters
from learnedrecon.functionals.regularisers import Dirichlet
from learnedrecon.models.generalised_scheme import (
    GeneralisedScheme,
    GeneralisedStep,
    InputName,
    StepInputs,
    _beside,
)
from learnedrecon.models.like import Like
from learnedrecon.operators.ray.transmission import Transmission, TransmissionCT
from learnedrecon.problem import InverseProblem
from learnedrecon.schemes.step import Chain
from learnedrecon.testing.counting import Cost, Counted

if TYPE_CHECKING:
    from learnedrecon.operators.base import Operator

NAMES: tuple[InputName, ...] = get_args(InputName)
SUBSETS = [
    names
    for number in range(1, 6)
    for names in combinations(NAMES, number)
    if {"image", "prediction", "regulariser"} & set(names)
]
THROUGH = [
    (names, through)
    for names in SUBSETS
    for through in ("adjoint", "filtered", "network")
    if ({"data", "prediction"} & set(names) or through == "network")
    and not (through == "adjoint" and {"data", "back"} <= set(names))
]


def sizes(names: tuple[InputName, ...], **changes: Any) -> int:
    return count_parameters(GeneralisedScheme(inputs=StepInputs(names, **changes)))


def test_sizes() -> None:
    on_images = 4 * 9 * 32 + 32 + 32 * 9 * 32 + 32 + 32 * 9 + 1
    on_data = 2 * 9 * 32 + 32 + 32 * 9 * 32 + 32 + 32 * 9 + 1
    assert (on_images, on_data) == (10_721, 10_145)
    assert sizes(NAMES) == 104_330 == 5 * (on_images + on_data)
    assert sizes(("image", "back", "prediction"), through="adjoint") == 5 * (on_images - 9 * 32)
    assert sizes(("image",)) == 5 * (on_data - 9 * 32)


def in_numpy(model: GeneralisedScheme, inputs: StepInputs, y: Array) -> Array:
    """The image from filtered backprojection of y, without projection."""
    u, seen = backprojected(ramp(y)) / C, y / (C * NORM)
    assert isinstance(model.scheme, Chain)
    for step in model.scheme:
        assert isinstance(step, GeneralisedStep)
        offered = {"image": u, "back": transposed(seen) / NORM, "regulariser": laplacian(u)}
        found = [offered[n] for n in ("image", "back", "regulariser") if n in inputs.names]
        on_data = {"data": seen, "prediction": forward(u) / NORM}
        chosen = [on_data[n] for n in ("data", "prediction") if n in inputs.names]
        if chosen and inputs.through == "network":
            (network,) = (m for m in step.dual_network.modules() if isinstance(m, nn.Sequential))
            chosen = [*layers(network, np.stack(chosen))]
        if inputs.through == "filtered":
            chosen = [2 * DATA[1] * ramp(v) for v in chosen]
        found += [transposed(v) / NORM for v in chosen]
        (network,) = (m for m in step.network.modules() if isinstance(m, nn.Sequential))
        update = layers(network, np.stack(found))[0]
        u = u + update if "image" in inputs.names else update
    return C * u


@pytest.mark.parametrize(("names", "through"), THROUGH)
def test_every_subset_of_the_inputs_in_numpy(names: tuple[InputName, ...], through: Any) -> None:
    inputs = StepInputs(names, through)
    model = GeneralisedScheme(2, 4, inputs=inputs, image_scale=C)
    with_random_weights(model)
    y = data()[:1]
    assert_close(images(model, y), [in_numpy(model, inputs, y[0, 0].numpy())])


def test_the_nonlinear_step_in_numpy() -> None:
    """The derivative is taken at u, and for T*y at u⁰ = 0."""
    inputs = StepInputs(("image", "back", "prediction"), "adjoint")
    model = GeneralisedScheme(2, 4, inputs=inputs, image_scale=C, start="zero")
    with_random_weights(model)
    operator: Operator = TransmissionCT(Transmission(GEOMETRY, MU), torch.float64)
    y = data(operator)

    def photons(u: Array) -> Array:
        return np.exp(-MU * C * forward(u))

    def scheme(seen: Array) -> Array:
        u, back = np.zeros(IMAGE), -MU * C * transposed(seen)
        for network in (m for m in model.modules() if isinstance(m, nn.Sequential)):
            moved = -MU * C * transposed(photons(u) * photons(u))
            u = u + layers(network, np.stack([u, back, moved]))[0]
        return C * u

    assert_close(images(model, y, operator), [scheme(v[0]) for v in y.numpy()])


def test_gradient_descent_is_one_of_these_schemes() -> None:
    """-η(T*T(u) - T*y) - ηα∇R(u) descends to the minimiser of ½‖Tu - y‖² + α/2 ‖∇u‖²."""
    eta, alpha = 0.6, 0.1
    inputs = StepInputs(("image", "back", "prediction", "regulariser"), "adjoint")
    model = GeneralisedScheme(1, 8, inputs=inputs, like=Like(1, 1, 1)).double()
    assert isinstance(model.scheme, Chain)
    step = model.scheme[0]
    assert isinstance(step, GeneralisedStep)
    matrix, y = normal(20, 4, seed=1), normal(1, 1, 20, seed=2)
    matrix = matrix / torch.linalg.matrix_norm(matrix, 2)
    mix = torch.tensor([[0.0, eta, -eta * alpha, -eta]], dtype=torch.float64)
    set_linear(step.network, mix)
    problem = InverseProblem(Dense(matrix), y, regulariser=Dirichlet(1))
    state = step.begin(torch.zeros(1, 1, 4, dtype=torch.float64), problem)
    with torch.no_grad():
        for _ in range(200):
            state = step(state, problem)
    gap = torch.diff(torch.eye(4, dtype=torch.float64), dim=0)
    hessian = matrix.T @ matrix + alpha * gap.T @ gap
    expected = torch.linalg.solve(hessian, matrix.T @ y[0, 0])
    torch.testing.assert_close(state.image[0, 0], expected, rtol=0, atol=1e-10)


def test_derivatives_by_finite_differences() -> None:
    assert_derivatives(GeneralisedScheme(1, 2, start="adjoint", like=Like(1, 1, 1)))


@pytest.mark.parametrize("bounds", [(0.0, None), (None, 0.2), (0.1, 0.2)])
def test_the_result_and_every_iterate_are_projected_in_the_unit_of_the_image(
    bounds: tuple[float | None, float | None],
) -> None:
    free = GeneralisedScheme(3, 4, image_scale=C)
    bounded = GeneralisedScheme(3, 4, image_scale=C, bounds=bounds)
    for model in (free, bounded):
        with_random_weights(model)
    problem = InverseProblem(RAY, data())
    touched = False
    for a, b in zip(free.iterates(problem), bounded.iterates(problem), strict=True):
        expected = a.image.clamp(*bounds)
        torch.testing.assert_close(b.image, expected, rtol=1e-12, atol=1e-14)
        touched |= not torch.equal(a.image, expected)
    assert touched
    assert torch.equal(bounded(problem).image, b.image)


@pytest.mark.parametrize(
    ("names", "costs"),
    [
        (("image",), (0, 0)),
        (("image", "back"), (0, 1)),
        (("image", "data"), (0, 3)),
        (("image", "prediction"), (3, 3)),
        (NAMES, (3, 4)),
    ],
)
def test_what_the_inputs_cost(names: tuple[InputName, ...], costs: tuple[int, int]) -> None:
    cost = Cost()
    model = GeneralisedScheme(3, 2, inputs=StepInputs(names), start="zero").double()
    model(Counted(InverseProblem(RAY, data()[:1]), cost))
    assert (cost.forward, cost.adjoint) == costs


@pytest.mark.parametrize(
    ("names", "through"),
    [
        ((), "network"),
        (("back",), "network"),
        (("data", "back"), "network"),
        (("image", "image"), "network"),
        (("picture",), "network"),
        (("image", "data", "back"), "adjoint"),
        (("image",), "somehow"),
    ],
)
def test_inputs_that_make_no_step(names: Any, through: Any) -> None:
    with pytest.raises(ConfigError, match=r"Expected(?s:.*)Found(?s:.*)What to do"):
        StepInputs(names, through)


def test_filters_and_bounds_are_for_real_images() -> None:
    filtered = StepInputs(NAMES, "filtered")
    like = Like(image_complex=True, data_complex=True)
    with pytest.raises(ConfigError, match=r"real data.*ramp filter(?s:.*)adjoint"):
        GeneralisedScheme(inputs=filtered, like=like)
    with pytest.raises(ConfigError, match="real images for 'bounds'"):
        GeneralisedScheme(bounds=(0.0, None), like=like)
    with pytest.raises(ConfigError, match="lower ≤ upper"):
        GeneralisedScheme(bounds=(1.0, 0.0))
    operator = Dense(normal(5, 4))
    model = GeneralisedScheme(1, 2, inputs=filtered, like=Like(1, 1, 1)).double()
    y: Tensor = normal(1, 1, 5)
    with pytest.raises(GeometryError, match=r"a ray transform(?s:.*)through=\"adjoint\""):
        model(InverseProblem(operator, y))


@pytest.mark.parametrize(("images", "data", "seen"), [(2, 4, 4), (2, 2, 2), (1, 3, 1), (3, 9, 9)])
def test_every_measurement_meets_the_image_that_it_is_of(images: int, data: int, seen: int) -> None:
    """Channel j of the data is T of image j mod n; one image broadcasts."""
    u = normal(2, images, 5, 4)
    beside = _beside(u, normal(2, data, 6, 7))
    assert beside.shape[1] == seen
    for j in range(seen):
        assert torch.equal(beside[:, j], u[:, j % images])
