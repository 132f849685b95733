"""From a configuration to the things it describes."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from learnedrecon.config.schema import Config, DataConfig
from learnedrecon.data.datasets import ArrayDataset, EllipseDataset, EllipseSpec
from learnedrecon.data.noise import NoNoise, PoissonLog, RelativeGaussian
from learnedrecon.data.simulate import Simulation
from learnedrecon.errors import ConfigError, GeometryError
from learnedrecon.evaluation.scores import evaluate
from learnedrecon.experiments.experiment import Experiment
from learnedrecon.experiments.material import First
from learnedrecon.experiments.tuned_baselines import tuned
from learnedrecon.functionals.fidelities import KullbackLeibler
from learnedrecon.models.classical import TV, natural_weight
from learnedrecon.models.filtered_primal_dual import FilteredPrimalDual
from learnedrecon.operators.finite_difference import FiniteDifference
from learnedrecon.operators.ray.geometry2d import AngleRange, FlatDetector, ParallelBeam
from learnedrecon.operators.ray.transform2d import RayTransform
from learnedrecon.operators.ray.transmission import Transmission, TransmissionCT
from learnedrecon.operators.space import Space
from learnedrecon.problem import InverseProblem
from learnedrecon.recorded import arguments_of, spec_type
from learnedrecon.solvers.noise_level import estimate_noise

BEAM = ParallelBeam((16, 16), AngleRange(6), FlatDetector(24))


def config_of() -> Config:
    ellipses = EllipseSpec("dival", 16)
    return Config(
        BEAM,
        spec_type(FilteredPrimalDual)(iterations=2, hidden=4),
        DataConfig(
            ellipses,
            replace(ellipses, split="validation"),
            replace(ellipses, split="test"),
            Simulation(RelativeGaussian(0.05)),
        ),
    )


@pytest.fixture
def experiment() -> Experiment:
    return Experiment(config_of())


def test_the_first_of_a_billion_are_found_at_once() -> None:
    dataset = EllipseDataset(EllipseSpec(size=8))
    first = First(dataset, 3)
    assert len(first) == 3
    assert [list(bucket) for bucket in first.buckets()] == [[0, 1, 2]]
    assert [first[index].id for index in range(3)] == [dataset[index].id for index in range(3)]
    with pytest.raises(IndexError):
        first[3]


def test_the_first_of_several_shapes_keep_their_buckets() -> None:
    shapes = [(4, 4), (5, 5), (4, 4), (6, 6), (5, 5)]
    dataset = ArrayDataset([torch.zeros(shape).numpy() for shape in shapes])
    assert [tuple(bucket) for bucket in First(dataset, 3).buckets()] == [(0, 2), (1,)]
    assert len(First(dataset, 99)) == 5


def test_no_images_are_refused() -> None:
    with pytest.raises(ConfigError, match="at least one image"):
        First(EllipseDataset(EllipseSpec(size=8)), 0)


def test_weights_belong_to_the_seed_and_disturb_nothing(experiment: Experiment) -> None:
    before = torch.get_rng_state()
    first, again = experiment.model().state_dict(), experiment.model().state_dict()
    assert torch.equal(torch.get_rng_state(), before)
    assert all(torch.equal(first[name], again[name]) for name in first)
    config = experiment.config
    other = Experiment(replace(config, training=replace(config.training, seed=1))).model()
    assert not all(torch.equal(first[name], value) for name, value in other.state_dict().items())


def test_splits_are_disjoint_and_the_same_every_time(experiment: Experiment) -> None:
    validation = [batch.ids for batch in experiment.batches("validation", 4)]
    assert validation == [batch.ids for batch in experiment.batches("validation", 4)]
    test = [batch.ids for batch in experiment.batches("test", 4)]
    assert not {i for ids in validation for i in ids} & {i for ids in test for i in ids}


def test_data_do_not_depend_on_the_size_of_the_batch(experiment: Experiment) -> None:
    one = torch.cat([b.problem.data for b in experiment.batches("test", 5, batch_size=1)])
    all_ = torch.cat([b.problem.data for b in experiment.batches("test", 5, batch_size=5)])
    assert torch.equal(one, all_)


def test_the_fidelity_reaches_the_problem() -> None:
    config = config_of()
    assert config.data.simulation is not None
    noiseless = replace(config.data, simulation=replace(config.data.simulation, noise=NoNoise()))
    config = replace(config, fidelity="kullback_leibler", data=noiseless)
    batch = next(Experiment(config).batches("test", 1))
    assert isinstance(batch.problem, InverseProblem)
    assert isinstance(batch.problem.fidelity, KullbackLeibler)


def test_validation_is_the_mean_psnr_of_the_validation_images(experiment: Experiment) -> None:
    model = experiment.model()
    scores = evaluate("", model, experiment.batches("validation"), experiment.data_range)
    with torch.no_grad():
        measured = experiment.validation()(model)
    assert measured["psnr"] == pytest.approx(scores.psnr.mean(), rel=1e-6)


@pytest.mark.parametrize("name", ["fbp", "tv"])
def test_a_tuned_method_is_the_best_of_what_was_tried(experiment: Experiment, name: str) -> None:
    model, argument, found, _ = tuned(name, experiment, 3)
    assert found is not None
    assert argument is not None
    assert arguments_of(model.spec)[argument] == found.value
    assert found.score == max(score for _, score in found.tried)
    scores = evaluate("", model, experiment.batches("validation", 3), experiment.data_range)
    assert scores.psnr.mean() == pytest.approx(found.score, rel=1e-6)


@pytest.mark.parametrize("known", [True, False])
def test_the_tuned_weight_knows_its_noise(experiment: Experiment, known: bool) -> None:
    simulation = experiment.config.data.simulation
    assert simulation is not None
    noise = simulation.noise if known else PoissonLog(1e5)
    changed = replace(experiment.config.data, simulation=replace(simulation, noise=noise))
    material = Experiment(replace(experiment.config, data=changed))
    data = torch.cat([batch.problem.data for batch in material.batches("validation", 3)])
    others = tuned("tv", material, 3).others
    level = noise.relative_level
    assert others["noise_level"] == level
    sigma = estimate_noise(data) if level is None else level * data.abs().flatten(1).mean(1)
    assert others["reference_sigma"] == pytest.approx(float(sigma.square().mean().sqrt()))


def test_the_tuned_weight_lies_inside_what_was_tried(experiment: Experiment) -> None:
    found = tuned("tv", experiment, 3).found
    assert found is not None
    values = [value for value, _ in found.tried]
    assert values[0] < found.value < values[-1]


def test_methods_with_weights_and_unknown_names_are_not_tuned(experiment: Experiment) -> None:
    with pytest.raises(ConfigError, match="whose weights have to be trained"):
        tuned("learned_gradient", experiment)
    with pytest.raises(ConfigError, match="did you mean 'tv'"):
        tuned("tvv", experiment)


@pytest.mark.parametrize(("preset", "nonnegative"), [("dival", True), ("adler2018", False)])
def test_total_variation_is_nonnegative_where_the_truths_are(
    preset: str, nonnegative: bool
) -> None:
    config = config_of()
    data = {name: replace(spec, preset=preset) for name, spec in config.data.sections.items()}
    signed = Experiment(replace(config, data=replace(config.data, **data)))
    model, _, found, others = tuned("tv", signed, 2)
    assert found is not None
    assert others["nonnegative"] == nonnegative
    noise = {name: others[name] for name in ("reference_sigma", "noise_level")}
    other = TV(found.value, nonnegative=not nonnegative, **noise)
    assert model.spec == replace(other.spec, nonnegative=nonnegative)
    scores = evaluate("", other, signed.batches("validation", 2), signed.data_range)
    assert found.score > scores.psnr.mean() + (0 if nonnegative else 1)


def test_the_natural_weight_is_a_thousandth_of_the_largest_back_projection() -> None:
    operator = RayTransform(BEAM)
    data = operator(torch.rand(3, 1, 16, 16))
    peaks = [operator.adjoint(each).abs().max().item() for each in data]

    def weight(values: torch.Tensor) -> float:
        return natural_weight(InverseProblem(operator, values))

    assert weight(data) == pytest.approx(1e-3 * sum(peaks) / 3)
    assert weight(5 * data) == pytest.approx(5 * weight(data))
    assert weight(0 * data) == 1.0


def test_no_total_variation_of_transmissions() -> None:
    operator = TransmissionCT(Transmission(BEAM))
    with pytest.raises(GeometryError, match="TransmissionCT"):
        natural_weight(InverseProblem(operator, torch.ones(1, 1, 6, 24)))


def test_operators_without_geometry_have_a_natural_weight() -> None:
    operator = FiniteDifference(Space((4, 4)))
    assert natural_weight(InverseProblem(operator, torch.ones(1, 1, 2, 4, 4))) > 0
