"""The comparison of two versions: evaluation, lineage, and answers in a time range. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from modelstack.cli.platform.facts import QUANTILES, PackageVersion, ServedView
from modelstack.rollout.core.release import variant

_WHOLE = 1000.0  # from here on a difference is shown without its fraction
_Told = Callable[[ServedView], str]
_SERVED: Mapping[str, _Told] = {
    "requests": lambda item: f"{item.requests:,}",
    "failed (5XX), %": lambda item: f"{100 * item.failed / item.requests:.3g}",
    "refused (4XX), %": lambda item: f"{100 * item.refused / item.requests:.3g}",
    **{
        f"latency {name}, ms": (
            lambda item, name=name: f"{item.latency_ms[name]:,.1f}" if name in item.latency_ms else "-"
        )
        for name in QUANTILES
    },
}


@dataclass(frozen=True)
class ComparisonRow:
    """One field of both versions."""

    name: str
    one: str
    other: str

    @property
    def difference(self) -> str:
        """The other number minus the one, or `differs`; empty when they are equal."""
        if self.one == self.other:
            return ""
        try:
            less = _number(self.other) - _number(self.one)
        except ValueError:
            return "differs"
        return f"{less:+,.0f}" if abs(less) >= _WHOLE else f"{less:+.4g}"


def _number(text: str) -> float:
    return float(text.replace(",", ""))


def rows(one: Mapping[str, str], other: Mapping[str, str]) -> list[ComparisonRow]:
    """The fields of either, side by side."""
    return [ComparisonRow(name, one.get(name, "-"), other.get(name, "-")) for name in dict.fromkeys([*one, *other])]


def served(views: Sequence[ServedView], one: str, other: str) -> list[ComparisonRow]:
    """The answers of two variants."""
    by_name = {item.variant: item for item in views}

    def told(name: str, of: str) -> str:
        return _SERVED[name](by_name[of]) if of in by_name else "-"

    return [ComparisonRow(name, told(name, one), told(name, other)) for name in _SERVED]


def variant_of(item: PackageVersion) -> str:
    """The variant of a package; empty without a release."""
    return variant(item.view.release) if item.view.release else ""
