"""`Graphs` of an endpoint on AWS, from CloudWatch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from modelstack.cli.platform.aws.measured import curves
from modelstack.cli.platform.facts import Series
from modelstack.cli.platform.port import Graphs
from modelstack.cli.target import Target
from modelstack.platforms.aws import panels
from modelstack.services.declaration.panels import Panel, PanelSettings


@dataclass(frozen=True)
class CloudWatchGraphs(Graphs):
    """`Graphs` over CloudWatch."""

    target: Target

    def panels(self, interval: int) -> list[Panel]:
        return panels.panels(self.target.endpoint, PanelSettings.from_outputs(self.target.outputs), interval)

    def comparison(self, variants: Sequence[str], interval: int) -> list[Panel]:
        return panels.comparison(self.target.endpoint, variants, interval)

    def curves(self, panel: Panel, start: float, end: float) -> list[Series]:
        start = end - panel.spec.seconds if panel.spec.kind == "budget" else start
        return curves(self.target, list(_requests(panel)), start, end)


def _requests(panel: Panel) -> Iterator[Mapping[str, Any]]:
    """A panel's queries for GetMetricData, which fills dimensions into labels."""
    for number, query in enumerate(panel.queries, 1):
        for name, stat in query.inputs.items():
            yield {"Id": name, "MetricStat": stat, "ReturnData": False}
        label = " ".join(filter(None, (query.label, *(f"${{PROP('Dim.{name}')}}" for name in query.by))))
        yield {"Id": f"q{number}", "Expression": query.text, **({"Label": label} if label else {})}
