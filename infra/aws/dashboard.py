"""The dashboard's body: traffic split, latency, errors, drift and error budget of whatever variants there are."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from infra.aws.own_alarms import LATE_MINUTES
from infra.config.monitoring_settings import MonitoringSettings
from infra.plan import beyond_chance
from monitoring import panels, published
from monitoring.objectives.slo import SLIS, Objective
from monitoring.panels import UNUSUAL, Panel
from platforms.aws import metrics
from platforms.aws.names import Names
from rollout.core.catalogue import EVENTS, INVALID, OWN

WIDTH, HEIGHT = 12, 6
Widget = dict[str, Any]


def dashboard(names: Names, settings: MonitoringSettings, objective: Objective, scheduled: Sequence[str]) -> str:
    """The body as canonical JSON. Variants are searched for, so a new release does not change it.

    Args:
        names: The stack's names.
        settings: When an alarm rings.
        objective: What users are promised.
        scheduled: The handlers of the functions besides that of the rollback.
    """
    often, drift = _Board(names, max(settings.period_seconds, 60)), _Board(names, 60 * settings.drift_minutes)
    text = f"# {names.endpoint}\nChampion and challenger, by variant. Alarms: `{names.prefix}-v-*`."
    widgets = [
        {"type": "text", "properties": {"markdown": text}},
        *_service(often, settings),
        *_input(drift),
        _budget(names, objective),
        *_labels(often, settings),
        often.graph(panels.INVALID, {"": often.search(INVALID, "Sum")}),
        *_own(often, ("rollback", *scheduled)),
    ]
    placed = [{**widget, **_place(index)} for index, widget in enumerate(widgets)]
    return json.dumps({"widgets": placed}, sort_keys=True, ensure_ascii=False)


@dataclass(frozen=True)
class _Board:
    """What the graphs of a stack have in common: its names, and the period of their metrics in seconds."""

    names: Names
    period: int

    def search(self, metric: str, stat: str, *, by: str = metrics.VARIANT, namespace: str = OWN) -> str:
        """A search for a metric of each variant, or of what else tells its curves apart."""
        schema, endpoint = ",".join(filter(None, (namespace, metrics.ENDPOINT, by))), self.names.endpoint
        asked = f'{{{schema}}} MetricName="{metric}" {metrics.ENDPOINT}="{endpoint}"'
        return f"SEARCH('{asked}', '{stat}', {self.period})"

    def served(self, metric: str, stat: str) -> str:
        """A search for a metric that SageMaker publishes of each variant."""
        return self.search(metric, stat, namespace=metrics.SAGEMAKER)

    def graph(self, panel: Panel, expressions: Mapping[str, str], *, line: float | None = None) -> Widget:
        """Curves by label; each search adds what tells its curves apart, and an empty label leaves it at that."""
        shown = [
            {"expression": text, "id": f"e{index}", **({"label": label} if label else {})}
            for index, (label, text) in enumerate(expressions.items(), start=1)
        ]
        return self.lines(panel, [[item] for item in shown], line=line)

    def lines(self, panel: Panel, curves: list[list[Any]], *, line: float | None = None) -> Widget:
        """Curves of metrics, each as a dashboard's body has it; one axis has one unit."""
        properties: dict[str, Any] = {
            "title": panel.title,
            "region": self.names.region,
            "view": "timeSeries",
            "metrics": curves,
            "yAxis": {"left": {"min": 0, "label": panel.unit, "showUnits": False}},
        }
        if line is not None:
            properties["annotations"] = {"horizontal": [{"label": "alarm", "value": line}]}
        return {"type": "metric", "properties": properties}


def _service(board: _Board, settings: MonitoringSettings) -> list[Widget]:
    """Who answers, how fast, and what became of releases."""
    requests = board.served(metrics.INVOCATIONS, "Sum")
    errors = {"5XX": board.served(metrics.FAILED, "Sum"), "4XX": board.served(metrics.REFUSED, "Sum")}
    return [
        board.graph(panels.REQUESTS, {"": requests}),
        board.graph(panels.SHARES, {"": f"100 * {requests} / SUM({requests})"}),
        board.graph(panels.HAPPENED, {"": board.search(EVENTS, "Sum", by=metrics.EVENT)}),
        board.graph(
            panels.LATENCY,
            {stat: f"{board.served(metrics.LATENCY, stat)} / 1000" for stat in ("p50", "p90", "p99")},
            line=settings.max_p99_ms,
        ),
        board.graph(panels.ERRORS, errors),
    ]


def _input(board: _Board) -> list[Widget]:
    """How requests differ from training's."""
    feature, unusual = f"{metrics.VARIANT},{metrics.FEATURE}", (*UNUSUAL, published.CAPTURE_UNREADABLE)
    return [
        board.graph(
            panels.DRIFT,
            {"": board.search(published.DRIFT_EVIDENCE, "Maximum")},
            line=1,
        ),
        board.graph(
            panels.DISTANCE,
            {"": board.search(published.DRIFT_DISTANCE, "Maximum", by=feature)},
        ),
        board.graph(panels.ROWS, {metric: board.search(metric, "Sum") for metric in unusual}),
        board.graph(panels.MISSING, {"": board.search(published.MISSING, "Sum")}),
    ]


def _labels(board: _Board, settings: MonitoringSettings) -> list[Widget]:
    """How right the answers were, and what was made of the labels that came."""
    errors = board.search(published.SEGMENT_ERROR, "Average", by=f"{metrics.VARIANT},{metrics.SEGMENT}")
    segments = board.graph(panels.SEGMENTS, {"": errors})

    def interval(panel: Panel, measure: str, kind: str = published.REALISED) -> Widget:
        """A measure and the ends of its interval, by their names."""
        found = [f"{kind}{measure}{end}" for end in ("", "Low", "High")]
        shown = Panel(panels.with_interval(panel), panel.unit)
        return board.graph(shown, {name: board.search(name, "Average") for name in found})

    return [
        *(interval(panel, measure) for measure, panel in panels.MEASURES.items()),
        *([segments] if settings.segments else []),
        interval(panels.ESTIMATED, "Accuracy", published.ESTIMATED),
        board.graph(
            panels.CONCEPT,
            {"": board.search(published.CONCEPT_EVIDENCE, "Maximum")},
            line=1,
        ),
        board.graph(
            panels.UNUSABLE,
            {name: board.search(name, "Sum", by="") for name in published.UNUSABLE},
        ),
    ]


def _own(board: _Board, handlers: Sequence[str]) -> list[Widget]:
    """What does not do its work: the metrics of `own_alarms`."""
    names = board.names
    queues = (names.dead_letters, names.captures_dead_letters, names.labels_dead_letters)
    endpoint, failed = [metrics.ENDPOINT, names.endpoint], [metrics.LAMBDA, metrics.ERRORS, metrics.FUNCTION]
    return [
        board.lines(
            Panel("Functions that fail, and releases whose drift cannot be measured", "times"),
            [
                *([*failed, names.function(one), {"stat": "Sum", "label": one}] for one in handlers),
                [OWN, published.DRIFT_UNMEASURED, *endpoint, {"stat": "Sum"}],
            ],
        ),
        board.lines(
            Panel("Events that none could handle", "messages"),
            [
                [metrics.SQS, metrics.DEPTH, metrics.QUEUE, queue, {"stat": "Maximum", "label": queue}]
                for queue in queues
            ],
        ),
        board.lines(
            panels.LATE,
            [
                [OWN, published.DELAY, *endpoint, {"stat": stat, "label": label}]
                for label, stat in (("least", "Minimum"), ("most", "Maximum"))
            ],
            line=60 * LATE_MINUTES,
        ),
    ]


def _budget(names: Names, objective: Objective) -> Widget:
    """What is left of the error budgets, in percent, over the objective's window."""
    window = 60 * math.ceil(objective.window_seconds / 60)
    board = _Board(names, window)
    requests = f"SUM({board.served(metrics.INVOCATIONS, 'Sum')})"
    counts = {
        "availability": board.served(metrics.FAILED, "Sum"),
        "latency": board.served(metrics.LATENCY, metrics.slower_than(objective.latency_ms)),
    }
    left = {
        sli: f"100 * (1 - SUM({counts[sli]}) / {requests} / {beyond_chance.plain(objective.tolerated(sli))})"
        for sli in SLIS
    }
    properties: dict[str, Any] = {
        "title": panels.budget(objective.window_seconds),
        "region": names.region,
        "view": "singleValue",
        "period": window,
        "start": f"-PT{window // 60}M",
        "end": "P0D",
        "metrics": [[{"expression": text, "id": sli, "label": sli}] for sli, text in left.items()],
    }
    return {"type": "metric", "properties": properties}


def _place(index: int) -> dict[str, int]:
    if index == 0:
        return {"x": 0, "y": 0, "width": 2 * WIDTH, "height": 2}
    row, column = divmod(index - 1, 2)
    return {"x": column * WIDTH, "y": 2 + row * HEIGHT, "width": WIDTH, "height": HEIGHT}
