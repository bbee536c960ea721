"""How much is left of the error budgets: counted by CloudWatch, over the objective's own window, of all versions."""

from __future__ import annotations

from dataclasses import dataclass

from cli.errors import explained
from cli.measured import totals
from cli.target import Target
from monitoring.objectives.slo import Objective, budgets
from platforms.aws.metrics import FAILED, INVOCATIONS, LATENCY, SAGEMAKER, slower_than

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
    stats = {INVOCATIONS: "Sum", FAILED: "Sum", LATENCY: slower_than(objective.latency_ms)}
    period = 60 * max(1, objective.window_seconds // _PERIODS // 60)
    with explained("reading the error budgets"):
        counts = totals(target, SAGEMAKER, stats, period, objective.window_seconds)
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
