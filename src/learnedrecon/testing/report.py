"""Reports of checks, property by property."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch

from learnedrecon.errors import PropertyError, describe

TOLERANCES = {torch.float64: 1e-10, torch.float32: 1e-5}


def tolerance_of(dtype: torch.dtype, given: float | None = None) -> float:
    """The relative tolerance for numbers of a precision, unless one is given.

    Args:
        dtype: Dtype of the numbers.
        given: Tolerance that takes precedence, or None.
    """
    return TOLERANCES[dtype.to_real()] if given is None else given


class Finding(NamedTuple):
    """One line of a report.

    Attributes:
        name: Name of the property.
        measured: Measured deviation; None where the property was not checked.
        tolerance: Largest accepted deviation; None where the property was not checked, or only
            observed.
        note: Reason why it was not checked, or empty.
    """

    name: str
    measured: float | None
    tolerance: float | None
    note: str = ""


@dataclass(frozen=True)
class Report:
    """All checked properties with their numbers, and the reasons for those that do not apply.

    Attributes:
        subject: Name of the checked object.
        findings: Findings in the order of the checks.
    """

    subject: str
    findings: tuple[Finding, ...]

    @property
    def skipped(self) -> tuple[Finding, ...]:
        """The properties that were not checked."""
        return tuple(finding for finding in self.findings if finding.measured is None)

    def measured(self, name: str) -> float:
        """The measured deviation of the property ``name``.

        Raises:
            KeyError: There is none of that name, or it was not checked.
        """
        for finding in self.findings:
            if finding.name == name and finding.measured is not None:
                return finding.measured
        raise KeyError(name)

    def __str__(self) -> str:
        """A table: property, measured, tolerance."""
        width = max((len(finding.name) for finding in self.findings), default=0)
        lines = [self.subject]
        for name, measured, tolerance, note in self.findings:
            numbers = f"not checked: {note}"
            if measured is not None:
                limit = "observed" if tolerance is None else f"at most {tolerance:.0e}"
                numbers = f"{measured:9.2e}  ({limit})"
            lines.append(f"  {name:<{width}}  {numbers}")
        return "\n".join(lines)


class Checklist:
    """A list of findings that raises at the first property that does not hold.

    Args:
        subject: Name of the checked object, for messages.
        tolerance: Tolerance of every property without its own.
    """

    def __init__(self, subject: str, tolerance: float) -> None:
        self.subject = subject
        self.tolerance = tolerance
        self._findings: list[Finding] = []

    def require(self, name: str, measured: float, fix: str, within: float | None = None) -> None:
        """Records a deviation; one that is too large, or NaN, is an error.

        Raises:
            PropertyError: ``measured`` is not at most ``within``.
        """
        limit = self.tolerance if within is None else within
        if not measured <= limit:
            raise PropertyError(
                describe(
                    expected=f"{self.subject} to have the property '{name}' within {limit:.3g}",
                    found=f"a deviation of {measured:.3g}",
                    fix=fix,
                )
            )
        self._findings.append(Finding(name, measured, limit))

    def require_true(self, name: str, holds: object, fix: str) -> None:
        """Records a property without a number, as a deviation of 0 or 1."""
        self.require(name, float(not holds), fix, within=0.0)

    def observe(self, name: str, measured: float) -> None:
        """Records a number without a tolerance."""
        self._findings.append(Finding(name, measured, None))

    def skip(self, name: str, reason: str) -> None:
        """Records that a property does not apply."""
        self._findings.append(Finding(name, None, None, reason))

    def report(self) -> Report:
        """The report of all findings so far."""
        return Report(self.subject, tuple(self._findings))
