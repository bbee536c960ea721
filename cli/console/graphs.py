"""What is drawn of an endpoint, and where the data are: on AWS in CloudWatch, on Kubernetes in Prometheus."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from cli.console import definition, drawn
from cli.console.definition import Widget
from cli.console.figure import Span
from cli.errors import explained
from cli.platform.facts import QUANTILES, Series
from cli.target import Target
from platforms.aws import metrics

_PERIOD = 60  # seconds, of the graphs of a comparison


class Graphs(Protocol):
    """The graphs of one endpoint."""

    def widgets(self) -> list[Widget]:
        """Those of its dashboard.

        Raises:
            OperatorError: It cannot be read.
        """
        ...

    def comparing(self, variants: Sequence[str]) -> list[Widget]:
        """Those by which variants are compared: requests, what failed, and latency."""
        ...

    def coarser(self, widget: Widget, seconds: float, ago: float) -> Widget:
        """A widget as it is drawn over so many seconds that begin so many seconds ago: with not too many points."""
        ...

    def curves(self, widget: Widget, shown: Span) -> list[Series]:
        """The data of a widget.

        Raises:
            OperatorError: They cannot be read.
        """
        ...


def graphs_of(target: Target) -> Graphs:
    """The graphs of an endpoint."""
    if target.on_kubernetes:
        from cli.console.cluster_graphs import PrometheusGraphs  # noqa: PLC0415 - it loads what asks a cluster
        from cli.platform.kubernetes.platform import Kubernetes  # noqa: PLC0415

        return PrometheusGraphs(Kubernetes(target))
    return CloudWatchGraphs(target)


@dataclass(frozen=True)
class CloudWatchGraphs:
    """`Graphs` over the stack's own dashboard."""

    target: Target

    def widgets(self) -> list[Widget]:
        """See `Graphs`."""
        name = str(self.target.outputs.get("dashboard_url") or self.target.endpoint).rpartition("/")[2]
        with explained(f"reading dashboard {name}"):
            body = self.target.client("cloudwatch").get_dashboard(DashboardName=name)["DashboardBody"]
        return definition.widgets(body)

    def comparing(self, variants: Sequence[str]) -> list[Widget]:
        """See `Graphs`."""
        return _comparing(self.target, variants, _PERIOD)

    def coarser(self, widget: Widget, seconds: float, ago: float) -> Widget:
        """See `Graphs`."""
        return definition.coarser(widget, seconds, ago)

    def curves(self, widget: Widget, shown: Span) -> list[Series]:
        """See `Graphs`."""
        from cli.platform.aws.measured import curves  # noqa: PLC0415 - what is of AWS alone is loaded when it is needed

        return curves(self.target, drawn.telling(widget).queries, shown.start, shown.end)


def _comparing(target: Target, variants: Sequence[str], period: int) -> list[Widget]:
    from cli.platform.aws.measured import metric  # noqa: PLC0415 - see above

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
