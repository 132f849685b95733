"""The kit finds what is wrong: every check fails on an operator that is broken on purpose."""

from __future__ import annotations

import pytest
import torch
from tests.testing.broken_operators import (
    BROKEN_LINEAR,
    LooksAtValues,
    OneEntryOff,
    OnePixelOff,
    Sound,
)
from torch import Tensor

from learnedrecon.errors import PropertyError
from learnedrecon.operators.imaging.inpaint import Inpaint
from learnedrecon.operators.leading import Norm, per_sample
from learnedrecon.operators.pointwise import Diagonal
from learnedrecon.operators.space import Space
from learnedrecon.testing import Report, check_operator


def test_the_sound_operator_passes() -> None:
    for dtype in (torch.complex128, torch.complex64, torch.float64, torch.float32):
        report = check_operator(Sound(dtype))
        notes = {finding.note for finding in report.skipped}
        assert notes <= {"this machine has no other device", "no leading axes", "not pointwise"}


@pytest.mark.parametrize("kind", BROKEN_LINEAR, ids=lambda kind: kind.__name__)
@pytest.mark.parametrize("seed", [0, 1])
def test_finds_a_broken_linear_operator(kind: type[Sound], seed: int) -> None:
    with pytest.raises(PropertyError, match=BROKEN_LINEAR[kind]) as caught:
        check_operator(kind(), seed=seed)
    for part in ("Expected", "Found", "What to do:"):
        assert part in str(caught.value)


def test_an_error_names_property_number_and_tolerance() -> None:
    with pytest.raises(PropertyError) as caught:
        check_operator(OnePixelOff(), tolerance=2e-9)
    text = str(caught.value)
    for part in (
        "OnePixelOff",
        "'T* is adjoint: random pairs'",
        "within 2e-09",
        "deviation of 0.0",
    ):
        assert part in text


def test_samples_with_their_own_tensors_must_not_mix() -> None:
    class MixesSamples(Diagonal):
        def evaluate(self, u: Tensor) -> Tensor:
            return super().evaluate(u + 1e-3 * u.mean(-3, keepdim=True))

        def evaluate_adjoint(self, v: Tensor) -> Tensor:
            w = super().evaluate_adjoint(v)
            return w + 1e-3 * w.mean(-3, keepdim=True)

    space = Space((5,), torch.float64)
    own, at = (space.random(torch.Generator().manual_seed(k), (2, 1)) for k in range(2))
    check_operator(Diagonal(space, own), at=at)
    with pytest.raises(PropertyError, match="samples with their own tensors do not mix"):
        check_operator(MixesSamples(space, own), at=at)


def test_what_is_pointwise_must_be_so_entry_by_entry() -> None:
    class Unsorted(Diagonal):
        def at_rows(self, rows: tuple[int, ...], axis: int) -> Unsorted:
            return super().at_rows(tuple(sorted(rows)), axis)

    space = Space((4, 3), torch.float64)
    own = space.random(torch.Generator().manual_seed(0))
    sound = check_operator(Diagonal(space, own))
    assert sound.measured("a pointwise T on some entries is T there") == 0
    with pytest.raises(PropertyError, match="a pointwise T on some entries"):
        check_operator(Unsorted(space, own))


def test_the_norm_of_a_sample_is_its_own() -> None:
    class Largest(Diagonal):
        def compute_norm(self) -> float:
            return float(self.diagonal.abs().max())

    space = Space((5,), torch.float64)
    own, at = (space.random(torch.Generator().manual_seed(k), (2, 1)) for k in range(2))
    with pytest.raises(PropertyError, match="largest singular value"):
        check_operator(Largest(space, own), at=at)


def test_what_torch_cannot_transform_is_noted() -> None:
    report = check_operator(LooksAtValues())
    notes = {finding.name: finding.note for finding in report.skipped}
    assert "torch refuses" in notes["vmap is a batch"]
    assert report.measured("func.grad of ½‖T(u)‖² is T'(u)*T(u)") < 1e-12


def test_entry_by_entry_is_sharper_than_random_pairs() -> None:
    """One wrong pixel of a million changes a random pairing by nothing."""

    class Blind(Diagonal):
        def evaluate_adjoint(self, v: Tensor) -> Tensor:
            wrong = super().evaluate_adjoint(v).clone()
            wrong[..., 777] *= 1.001
            return wrong

    space = Space((900,), torch.float32)
    with pytest.raises(PropertyError, match="entry by entry"):
        check_operator(Blind(space, torch.ones(900)))


def test_the_report_is_a_table_of_every_property() -> None:
    report = check_operator(Diagonal(Space((3,), torch.float64), torch.ones(3).double()))
    assert isinstance(report, Report)
    lines = str(report).splitlines()
    assert lines[0] == report.subject == "Diagonal"
    assert len(lines) == len(report.findings) + 1
    for line, finding in zip(lines[1:], report.findings, strict=True):
        assert finding.name in line
        assert ("not checked: " in line) == (finding.measured is None)
    assert {finding.note for finding in report.skipped} >= {"no row axis"}
    with pytest.raises(KeyError):
        report.measured("subsets of rows make the whole T")
    with pytest.raises(KeyError):
        report.measured("beauty")


def test_a_given_tolerance_holds() -> None:
    loose = check_operator(OneEntryOff(), tolerance=1e-6)
    assert 0 < loose.measured("T* is the transposed matrix, entry by entry") < 1e-6


def test_the_same_seed_measures_the_same() -> None:
    assert check_operator(Sound(), seed=3) == check_operator(Sound(), seed=3)


def test_channels_do_not_mix() -> None:
    class Mixes(Diagonal):
        """Looks at its neighbour, but only where there are a batch and a channel axis."""

        def evaluate(self, u: Tensor) -> Tensor:
            return super().evaluate(u) + (0.1 * u.flip(-3) if u.ndim >= 4 else 0)

        def evaluate_adjoint(self, v: Tensor) -> Tensor:
            return self.evaluate(v)

    space = Space((4, 3), torch.float64)
    with pytest.raises(PropertyError, match="samples and channels do not mix"):
        check_operator(Mixes(space, torch.ones(4, 3, dtype=torch.float64)))


def test_a_batch_with_tensors_of_samples_is_a_stack_of_singles() -> None:
    class Shared(Inpaint):
        """Scales every sample by what all masks keep."""

        def evaluate(self, u: Tensor) -> Tensor:
            return super().evaluate(u) * self.mask.mean()

        def evaluate_adjoint(self, v: Tensor) -> Tensor:
            return self.evaluate(v)

        def compute_norm(self) -> Norm:
            return per_sample(self.mask.abs() * self.mask.mean(), 2)

        def _copy(self, space: Space, mask: Tensor) -> Shared:
            twin = Shared.__new__(Shared)
            twin._set(space, mask)
            return twin

    masks = torch.rand(2, 1, 5, 4, dtype=torch.float64)
    at = torch.randn(2, 1, 5, 4, dtype=torch.float64)
    plain = Inpaint(masks[0, 0], torch.float64)
    report = check_operator(plain.with_tensors({"mask": masks}), at=at)
    assert report.measured("a batch with tensors of samples is a stack of singles") == 0
    shared = Shared(masks[0, 0], torch.float64).with_tensors({"mask": masks})
    with pytest.raises(PropertyError, match="a stack of singles"):
        check_operator(shared, at=at)
