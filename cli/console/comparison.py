"""How do two versions compare? Their evaluation, what they were made of, and how they answered in a time. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cli.console.definition import Widget
from cli.measured import metric
from cli.target import Target
from cli.view.packages import PackageView
from cli.view.served import QUANTILES, ServedView
from platforms.aws import metrics
from platforms.aws.names import variant

_WHOLE = 1000.0  # from here on a difference is told without its fraction
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
class Row:
    """One thing of both versions."""

    name: str
    one: str
    other: str

    @property
    def difference(self) -> str:
        """The other's less the one's of two numbers, or that they differ; empty where they are the same."""
        if self.one == self.other:
            return ""
        try:
            less = _number(self.other) - _number(self.one)
        except ValueError:
            return "differs"
        return f"{less:+,.0f}" if abs(less) >= _WHOLE else f"{less:+.4g}"


def _number(text: str) -> float:
    return float(text.replace(",", ""))


def rows(one: Mapping[str, str], other: Mapping[str, str]) -> list[Row]:
    """All that is known of either, side by side."""
    return [Row(name, one.get(name, "-"), other.get(name, "-")) for name in dict.fromkeys([*one, *other])]


def served(views: Sequence[ServedView], one: str, other: str) -> list[Row]:
    """How two variants answered."""
    by_name = {item.variant: item for item in views}

    def told(name: str, of: str) -> str:
        return _SERVED[name](by_name[of]) if of in by_name else "-"

    return [Row(name, told(name, one), told(name, other)) for name in _SERVED]


def variant_of(item: Mapping[str, Any]) -> str:
    """The variant of a package; empty where it has no release."""
    release = PackageView.of(item).release
    return variant(release) if release else ""


def widgets(target: Target, variants: Sequence[str], period: int) -> list[Widget]:
    """The graphs of a comparison: requests, what failed, and latency."""

    def stat(key: str, name: str, stat: str, of: str, *, shown: bool) -> Mapping[str, Any]:
        read = {"Metric": metric(target, metrics.SAGEMAKER, name, of), "Period": period, "Stat": stat}
        return {"Id": key, "MetricStat": read, "ReturnData": shown, "Label": of}

    requests = [stat(f"r{n}", metrics.INVOCATIONS, "Sum", one, shown=True) for n, one in enumerate(variants)]
    failing: list[Mapping[str, Any]] = []
    latency: list[Mapping[str, Any]] = []
    for n, one in enumerate(variants):
        failing += [
            stat(f"r{n}", metrics.INVOCATIONS, "Sum", one, shown=False),
            stat(f"f{n}", metrics.FAILED, "Sum", one, shown=False),
            stat(f"c{n}", metrics.REFUSED, "Sum", one, shown=False),
            {"Id": f"s{n}", "Expression": f"100 * (FILL(f{n}, 0) + FILL(c{n}, 0)) / r{n}", "Label": one},
        ]
        for quantile in QUANTILES:
            key = f"{quantile}x{n}"
            latency += [
                stat(key, metrics.LATENCY, quantile, one, shown=False),
                {"Id": f"ms{key}", "Expression": f"{key} / 1000", "Label": f"{quantile} {one}"},
            ]
    return [
        Widget("metric", "Requests", queries=tuple(requests), unit="requests", period=period),
        Widget("metric", "Failed or refused", queries=tuple(failing), unit="% of requests", period=period),
        Widget("metric", "Model latency", queries=tuple(latency), unit="ms", period=period),
    ]
