"""The graphs of an endpoint and where their data are: on AWS in CloudWatch, on Kubernetes in Prometheus."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from cli.console.figure import Span
from cli.platform.facts import Series
from cli.target import Target
from services.declaration.panels import Panel, PanelSettings

_INTERVALS = (60, 300, 900, 3600, 6 * 3600, 86400)
_RETAINED = ((63 * 86400, 3600), (15 * 86400, 300))  # seconds ago -> the shortest period that CloudWatch retains
_POINTS = 720  # of a curve, at most: more cannot be distinguished


class Graphs(Protocol):
    """The graphs of one endpoint."""

    def panels(self, interval: int) -> list[Panel]:
        """The panels of its dashboard, with at least so many seconds between two points."""
        ...

    def comparison(self, variants: Sequence[str], interval: int) -> list[Panel]:
        """The panels by which variants are compared: requests, failures, and latency."""
        ...

    def curves(self, panel: Panel, shown: Span) -> list[Series]:
        """The data of a panel.

        Raises:
            OperatorError: They cannot be read.
        """
        ...


def interval(shown: Span, now: float) -> int:
    """The seconds between two points so that a curve has few enough of them, and that are still retained.

    Source: "Metrics retention" in the Amazon CloudWatch User Guide.
    """
    few = next((each for each in _INTERVALS if (shown.end - shown.start) / each <= _POINTS), _INTERVALS[-1])
    return max(few, next((period for ago, period in _RETAINED if now - shown.start > ago), 0))


def graphs_of(target: Target) -> Graphs:
    """The graphs of an endpoint."""
    if target.on_kubernetes:
        from cli.console.cluster_graphs import PrometheusGraphs  # noqa: PLC0415 - it loads the client of a cluster
        from cli.platform.kubernetes.platform import Kubernetes  # noqa: PLC0415

        return PrometheusGraphs(Kubernetes(target))
    return CloudWatchGraphs(target)


@dataclass(frozen=True)
class CloudWatchGraphs:
    """`Graphs` over the metrics of CloudWatch."""

    target: Target

    def panels(self, interval: int) -> list[Panel]:
        """See `Graphs`."""
        from platforms.aws import panels  # noqa: PLC0415 - loaded on AWS alone

        return panels.panels(self.target.endpoint, PanelSettings.from_outputs(self.target.outputs), interval)

    def comparison(self, variants: Sequence[str], interval: int) -> list[Panel]:
        """See `Graphs`."""
        from platforms.aws import panels  # noqa: PLC0415 - see above

        return panels.comparison(self.target.endpoint, variants, interval)

    def curves(self, panel: Panel, shown: Span) -> list[Series]:
        """See `Graphs`."""
        from cli.platform.aws.measured import curves  # noqa: PLC0415 - see above

        start = shown.end - panel.spec.seconds if panel.spec.kind == "budget" else shown.start
        return curves(self.target, list(_requests(panel)), start, shown.end)


def _requests(panel: Panel) -> Iterator[Mapping[str, Any]]:
    """The queries of a panel as GetMetricData takes them, which fills in dimensions in labels."""
    for number, query in enumerate(panel.queries, 1):
        for name, stat in query.inputs.items():
            yield {"Id": name, "MetricStat": stat, "ReturnData": False}
        label = " ".join(filter(None, (query.label, *(f"${{PROP('Dim.{name}')}}" for name in query.by))))
        yield {"Id": f"q{number}", "Expression": query.text, **({"Label": label} if label else {})}
