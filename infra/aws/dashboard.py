"""The dashboard's body: traffic split, latency, errors, drift and error budget of whatever variants there are."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from typing import Any

from infra.aws.own_alarms import LATE_MINUTES
from infra.config.settings import MonitoringSettings
from infra.plan import beyond_chance
from monitoring.labels.pairs import DELAY, INVALID, UNUSABLE
from monitoring.labels.standing import EVIDENCE, SEGMENT_ERROR
from monitoring.objectives.slo import SLIS, Objective
from platforms.aws.metrics import slower_than
from platforms.aws.names import Names
from rollout.core.catalogue import EVENTS

WIDTH, HEIGHT = 12, 6
UNUSUAL = ("OutOfRange", "NewCodes", "SchemaViolations")


def dashboard(names: Names, settings: MonitoringSettings, objective: Objective, scheduled: Sequence[str]) -> str:
    """The body as canonical JSON. Variants are searched for, so a new release does not change it.

    Args:
        names: The stack's names.
        settings: When an alarm rings.
        objective: What users are promised.
        scheduled: The handlers of the functions besides that of the rollback.
    """
    widgets = [
        _text(f"# {names.endpoint}\nChampion and challenger, by variant. Alarms: `{names.prefix}-v-*`."),
        *_service(names, settings),
        *_input(names, settings),
        _budget(names, objective),
        *_labels(names, settings),
        *_contract(names, settings),
        *_own(names, ("rollback", *scheduled)),
    ]
    placed = [{**widget, **_place(index)} for index, widget in enumerate(widgets)]
    return json.dumps({"widgets": placed}, sort_keys=True, ensure_ascii=False)


def _service(names: Names, settings: MonitoringSettings) -> list[dict[str, Any]]:
    """Who answers, how fast, and what became of releases."""
    period = _period(settings)
    return [
        _graph("Requests", names, {"": _search(names, "AWS/SageMaker", "Invocations", "Sum", period)}),
        _graph("Share of traffic, %", names, _shares(names, period)),
        _graph(
            "What happened to releases",
            names,
            {"": _search(names, "modelstack", EVENTS, "Sum", period, by="Event")},
        ),
        _graph(
            "Model latency, µs",
            names,
            {stat: _search(names, "AWS/SageMaker", "ModelLatency", stat, period) for stat in ("p50", "p90", "p99")},
            line=settings.max_p99_ms * 1000,
        ),
        _graph(
            "Errors",
            names,
            {
                kind: _search(names, "AWS/SageMaker", f"Invocation{kind}Errors", "Sum", period)
                for kind in ("5XX", "4XX")
            },
        ),
    ]


def _input(names: Names, settings: MonitoringSettings) -> list[dict[str, Any]]:
    """How requests differ from training's."""
    period = _drift_period(settings)
    return [
        _graph(
            "Drift: evidence that requests differ from training",
            names,
            {"": _search(names, "modelstack", "DriftEvidence", "Maximum", period)},
            line=1,
        ),
        _graph(
            "Drift: distance from training, by feature",
            names,
            {"": _search(names, "modelstack", "DriftDistance", "Maximum", period, by="VariantName,Feature")},
        ),
        _graph(
            "Rows unlike training's, by what is unlike",
            names,
            {metric: _search(names, "modelstack", metric, "Sum", period) for metric in (*UNUSUAL, "CaptureUnreadable")},
        ),
    ]


def _labels(names: Names, settings: MonitoringSettings) -> list[dict[str, Any]]:
    """How right the answers were, and what was made of the labels that came."""
    period = _period(settings)
    errors = _search(names, "modelstack", SEGMENT_ERROR, "Average", period, by="VariantName,Segment")
    segments = _graph("Error by segment, by the newest labels", names, {"": errors})

    def interval(title: str, *metrics: str) -> dict[str, Any]:
        curves = {key: text for metric in metrics for key, text in _interval(names, metric, period).items()}
        return _graph(f"{title}, with its interval", names, curves)

    return [
        interval("Accuracy by the newest labels", "RealisedAccuracy"),
        interval("Log-loss or absolute error by the newest labels", "RealisedLogLoss", "RealisedAbsoluteError"),
        interval("AUC by the newest labels", "RealisedAUC"),
        interval("Calibration error", "RealisedCalibrationError"),
        *([segments] if settings.segments else []),
        interval("Accuracy, estimated before labels come", "EstimatedAccuracy"),
        _graph(
            "Evidence that the concept has moved",
            names,
            {"": _search(names, "modelstack", EVIDENCE, "Maximum", period)},
            line=1,
        ),
        _graph(
            "Labels and answers that could not be used, by what is wrong",
            names,
            {name: _search(names, "modelstack", name, "Sum", period, by="") for name in UNUSABLE},
        ),
    ]


def _contract(names: Names, settings: MonitoringSettings) -> list[dict[str, Any]]:
    return [
        _graph(
            "Answers that break the contract, and values that are missing",
            names,
            {
                INVALID: _search(names, "modelstack", INVALID, "Sum", _period(settings)),
                "MissingValues": _search(names, "modelstack", "MissingValues", "Sum", _drift_period(settings)),
            },
        ),
    ]


def _own(names: Names, handlers: Sequence[str]) -> list[dict[str, Any]]:
    """What does not do its work: the metrics of `own_alarms`."""
    queues = (names.dead_letters, names.captures_dead_letters, names.labels_dead_letters)
    depth, endpoint = "ApproximateNumberOfMessagesVisible", ["EndpointName", names.endpoint]
    return [
        _lines(
            "Functions that fail, and events that none could handle",
            names,
            [
                *(["AWS/Lambda", "Errors", "FunctionName", names.function(one), {"stat": "Sum"}] for one in handlers),
                *(["AWS/SQS", depth, "QueueName", queue, {"stat": "Maximum"}] for queue in queues),
                ["modelstack", "DriftUnmeasured", *endpoint, {"stat": "Sum"}],
            ],
        ),
        _lines(
            "How late captures and labels are counted, seconds",
            names,
            [["modelstack", DELAY, *endpoint, {"stat": stat}] for stat in ("Minimum", "Maximum")],
            line=60 * LATE_MINUTES,
        ),
    ]


def _period(settings: MonitoringSettings) -> int:
    return max(settings.period_seconds, 60)


def _drift_period(settings: MonitoringSettings) -> int:
    return 60 * settings.drift_minutes


def _place(index: int) -> dict[str, int]:
    if index == 0:
        return {"x": 0, "y": 0, "width": 2 * WIDTH, "height": 2}
    row, column = divmod(index - 1, 2)
    return {"x": column * WIDTH, "y": 2 + row * HEIGHT, "width": WIDTH, "height": HEIGHT}


def _text(markdown: str) -> dict[str, Any]:
    return {"type": "text", "properties": {"markdown": markdown}}


def _search(names: Names, namespace: str, metric: str, stat: str, period: int, *, by: str = "VariantName") -> str:
    schema = f"{{{','.join(filter(None, (namespace, 'EndpointName', by)))}}}"
    return f"SEARCH('{schema} MetricName=\"{metric}\" EndpointName=\"{names.endpoint}\"', '{stat}', {period})"


def _interval(names: Names, metric: str, period: int) -> dict[str, str]:
    """The searches for a metric and for the ends of its interval, by their names."""
    metrics = metric, f"{metric}Low", f"{metric}High"
    return {name: _search(names, "modelstack", name, "Average", period) for name in metrics}


def _shares(names: Names, period: int) -> dict[str, str]:
    found = _search(names, "AWS/SageMaker", "Invocations", "Sum", period)
    return {"": f"100 * {found} / SUM({found})"}


def _budget(names: Names, objective: Objective) -> dict[str, Any]:
    """What is left of the error budgets, in percent, over the objective's window."""
    window = 60 * math.ceil(objective.window_seconds / 60)
    requests = f"SUM({_search(names, 'AWS/SageMaker', 'Invocations', 'Sum', window)})"
    counts = {
        "availability": _search(names, "AWS/SageMaker", "Invocation5XXErrors", "Sum", window),
        "latency": _search(names, "AWS/SageMaker", "ModelLatency", slower_than(objective.latency_ms), window),
    }
    left = {
        sli: f"100 * (1 - SUM({counts[sli]}) / {requests} / {beyond_chance.plain(objective.tolerated(sli))})"
        for sli in SLIS
    }
    properties: dict[str, Any] = {
        "title": f"Error budget left, % of {objective.window_seconds / 86400:g} days",
        "region": names.region,
        "view": "singleValue",
        "period": window,
        "start": f"-PT{window // 60}M",
        "end": "P0D",
        "metrics": [[{"expression": text, "id": sli, "label": sli}] for sli, text in left.items()],
    }
    return {"type": "metric", "properties": properties}


def _graph(title: str, names: Names, expressions: dict[str, str], *, line: float | None = None) -> dict[str, Any]:
    """Curves by label; each search adds what tells its curves apart, and an empty label leaves it at that."""
    shown = [
        {"expression": text, "label": label} if label else {"expression": text} for label, text in expressions.items()
    ]
    return _lines(title, names, [[{**item, "id": f"e{index}"}] for index, item in enumerate(shown, start=1)], line=line)


def _lines(title: str, names: Names, metrics: list[list[Any]], *, line: float | None = None) -> dict[str, Any]:
    """Curves of metrics, each as a dashboard's body has it."""
    properties: dict[str, Any] = {
        "title": title,
        "region": names.region,
        "view": "timeSeries",
        "metrics": metrics,
        "yAxis": {"left": {"min": 0}},
    }
    if line is not None:
        properties["annotations"] = {"horizontal": [{"label": "alarm", "value": line}]}
    return {"type": "metric", "properties": properties}
