"""How much is left of the error budgets: counted by CloudWatch, over the objective's own window, of all versions."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from cli.errors import explained
from cli.target import Target
from monitoring.objectives.slo import Objective, budgets
from platforms.aws.metrics import FAILED, INVOCATIONS, LATENCY, SAGEMAKER, dimensions, place, slower_than

_PERIODS = 60  # that the window is read in


@dataclass(frozen=True)
class BudgetView:
    """One error budget: `left` is a share of it, negative when the objective was missed; the counts are of requests."""

    sli: str
    objective: float
    days: float
    requests: float
    bad: float
    tolerated: float
    left: float


def read(target: Target) -> tuple[BudgetView, ...]:
    """Both budgets; none of an endpoint that was named without its stack, whose objective nobody tells.

    Raises:
        OperatorError: CloudWatch cannot be read.
    """
    told = target.outputs.get("slo")
    if not told:
        return ()
    objective = Objective.from_dict(told)
    with explained("reading the error budgets"):
        counts = _counts(target, objective)
    promised = {"availability": objective.availability, "latency": objective.latency}
    return tuple(
        BudgetView(
            sli=sli,
            objective=promised[sli],
            days=objective.window_seconds / 86400,
            requests=counts[INVOCATIONS],
            bad=item.bad,
            tolerated=item.tolerated,
            left=item.left,
        )
        for sli, item in budgets(objective, counts[INVOCATIONS], counts[FAILED], counts[LATENCY]).items()
    )


def _counts(target: Target, objective: Objective) -> dict[str, float]:
    """The sums of the objective's window by metric."""
    stats = {INVOCATIONS: "Sum", FAILED: "Sum", LATENCY: slower_than(objective.latency_ms)}
    client = target.client("cloudwatch")
    mine = dimensions(place(target.endpoint))
    pages = client.get_paginator("list_metrics").paginate(Namespace=SAGEMAKER, Dimensions=mine)
    found = [item for page in pages for item in page["Metrics"] if item["MetricName"] in stats]
    period = 60 * max(1, objective.window_seconds // _PERIODS // 60)
    queries = [_query(number, item, stats[item["MetricName"]], period) for number, item in enumerate(found)]
    counts = dict.fromkeys(stats, 0.0)
    if queries:
        now = datetime.now(UTC)
        asked = client.get_paginator("get_metric_data").paginate(
            MetricDataQueries=queries, StartTime=now - timedelta(seconds=objective.window_seconds), EndTime=now
        )
        for page in asked:
            for result in page["MetricDataResults"]:
                name = found[int(result["Id"].removeprefix("m"))]["MetricName"]
                counts[name] += sum(result["Values"])
    return counts


def _query(number: int, metric: dict[str, Any], stat: str, period: int) -> dict[str, Any]:
    return {"Id": f"m{number}", "MetricStat": {"Metric": metric, "Period": period, "Stat": stat}}
