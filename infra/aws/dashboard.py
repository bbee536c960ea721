"""The dashboard's body: traffic split, latency, errors, drift and error budget of whatever variants there are."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from typing import Any

from infra.aws.own_alarms import LATE_MINUTES
from infra.config.settings import MonitoringSettings
from infra.plan import beyond_chance
from monitoring import published
from monitoring.objectives.slo import SLIS, Objective
from platforms.aws import metrics
from platforms.aws.names import Names
from rollout.core.catalogue import EVENTS, OWN

WIDTH, HEIGHT = 12, 6
UNUSUAL = (published.OUT_OF_RANGE, published.NEW_CODES, published.SCHEMA)


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
        _graph("Requests", names, {"": _served(names, metrics.INVOCATIONS, "Sum", period)}),
        _graph("Share of traffic, %", names, _shares(names, period)),
        _graph("What happened to releases", names, {"": _search(names, EVENTS, "Sum", period, by=metrics.EVENT)}),
        _graph(
            "Model latency, µs",
            names,
            {stat: _served(names, metrics.LATENCY, stat, period) for stat in ("p50", "p90", "p99")},
            line=settings.max_p99_ms * 1000,
        ),
        _graph(
            "Errors",
            names,
            {
                kind: _served(names, metric, "Sum", period)
                for kind, metric in (("5XX", metrics.FAILED), ("4XX", metrics.REFUSED))
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
            {"": _search(names, published.DRIFT_EVIDENCE, "Maximum", period)},
            line=1,
        ),
        _graph(
            "Drift: distance from training, by feature",
            names,
            {
                "": _search(
                    names, published.DRIFT_DISTANCE, "Maximum", period, by=f"{metrics.VARIANT},{metrics.FEATURE}"
                )
            },
        ),
        _graph(
            "Rows unlike training's, by what is unlike",
            names,
            {metric: _search(names, metric, "Sum", period) for metric in (*UNUSUAL, published.CAPTURE_UNREADABLE)},
        ),
    ]


def _labels(names: Names, settings: MonitoringSettings) -> list[dict[str, Any]]:
    """How right the answers were, and what was made of the labels that came."""
    period = _period(settings)
    errors = _search(names, published.SEGMENT_ERROR, "Average", period, by=f"{metrics.VARIANT},{metrics.SEGMENT}")
    segments = _graph("Error by segment, by the newest labels", names, {"": errors})

    def interval(title: str, *measures: str, kind: str = published.REALISED) -> dict[str, Any]:
        curves = {key: text for one in measures for key, text in _interval(names, f"{kind}{one}", period).items()}
        return _graph(f"{title}, with its interval", names, curves)

    return [
        interval("Accuracy by the newest labels", "Accuracy"),
        interval("Log-loss or absolute error by the newest labels", "LogLoss", "AbsoluteError"),
        interval("AUC by the newest labels", "AUC"),
        interval("Calibration error", "CalibrationError"),
        *([segments] if settings.segments else []),
        interval("Accuracy, estimated before labels come", "Accuracy", kind=published.ESTIMATED),
        _graph(
            "Evidence that the concept has moved",
            names,
            {"": _search(names, published.CONCEPT_EVIDENCE, "Maximum", period)},
            line=1,
        ),
        _graph(
            "Labels and answers that could not be used, by what is wrong",
            names,
            {name: _search(names, name, "Sum", period, by="") for name in published.UNUSABLE},
        ),
    ]


def _contract(names: Names, settings: MonitoringSettings) -> list[dict[str, Any]]:
    return [
        _graph(
            "Answers that break the contract, and values that are missing",
            names,
            {
                published.INVALID: _search(names, published.INVALID, "Sum", _period(settings)),
                published.MISSING: _search(names, published.MISSING, "Sum", _drift_period(settings)),
            },
        ),
    ]


def _own(names: Names, handlers: Sequence[str]) -> list[dict[str, Any]]:
    """What does not do its work: the metrics of `own_alarms`."""
    queues = (names.dead_letters, names.captures_dead_letters, names.labels_dead_letters)
    endpoint, failed = [metrics.ENDPOINT, names.endpoint], [metrics.LAMBDA, metrics.ERRORS, metrics.FUNCTION]
    return [
        _lines(
            "Functions that fail, and events that none could handle",
            names,
            [
                *([*failed, names.function(one), {"stat": "Sum"}] for one in handlers),
                *([metrics.SQS, metrics.DEPTH, metrics.QUEUE, queue, {"stat": "Maximum"}] for queue in queues),
                [OWN, published.DRIFT_UNMEASURED, *endpoint, {"stat": "Sum"}],
            ],
        ),
        _lines(
            "How late captures and labels are counted, seconds",
            names,
            [[OWN, published.DELAY, *endpoint, {"stat": stat}] for stat in ("Minimum", "Maximum")],
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


def _served(names: Names, metric: str, stat: str, period: int) -> str:
    """A search for a metric that SageMaker publishes of each variant."""
    return _search(names, metric, stat, period, namespace=metrics.SAGEMAKER)


def _search(
    names: Names, metric: str, stat: str, period: int, *, by: str = metrics.VARIANT, namespace: str = OWN
) -> str:
    schema = f"{{{','.join(filter(None, (namespace, metrics.ENDPOINT, by)))}}}"
    return f"SEARCH('{schema} MetricName=\"{metric}\" {metrics.ENDPOINT}=\"{names.endpoint}\"', '{stat}', {period})"


def _interval(names: Names, metric: str, period: int) -> dict[str, str]:
    """The searches for a metric and for the ends of its interval, by their names."""
    return {f"{metric}{end}": _search(names, f"{metric}{end}", "Average", period) for end in ("", "Low", "High")}


def _shares(names: Names, period: int) -> dict[str, str]:
    found = _served(names, metrics.INVOCATIONS, "Sum", period)
    return {"": f"100 * {found} / SUM({found})"}


def _budget(names: Names, objective: Objective) -> dict[str, Any]:
    """What is left of the error budgets, in percent, over the objective's window."""
    window = 60 * math.ceil(objective.window_seconds / 60)
    requests = f"SUM({_served(names, metrics.INVOCATIONS, 'Sum', window)})"
    counts = {
        "availability": _served(names, metrics.FAILED, "Sum", window),
        "latency": _served(names, metrics.LATENCY, metrics.slower_than(objective.latency_ms), window),
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
