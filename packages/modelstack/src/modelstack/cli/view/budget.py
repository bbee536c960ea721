"""The remaining error budgets: all versions, over the objective's window."""

from __future__ import annotations

from dataclasses import dataclass

from modelstack.cli.platform.choose import platform_of
from modelstack.cli.target import Target
from modelstack.monitoring.objectives.slo import Objective, budgets


@dataclass(frozen=True)
class BudgetView:
    """One error budget, counted in requests; `left` is a share of it, negative when the objective was missed."""

    sli: str
    objective: float
    days: float
    requests: float
    bad: float
    tolerated: float
    left: float


def read(target: Target) -> tuple[BudgetView, ...]:
    """Both budgets; none without counts or an objective, as for an endpoint that was named without its stack."""
    told = target.outputs.get("slo")
    if not told:
        return ()
    objective = Objective.from_dict(told)
    spent = platform_of(target).spent(objective)
    if spent is None:
        return ()
    promised = {"availability": objective.availability, "latency": objective.latency}
    return tuple(
        BudgetView(
            sli=sli,
            objective=promised[sli],
            days=objective.window_seconds / 86400,
            requests=spent.requests,
            bad=item.bad,
            tolerated=item.tolerated,
            left=item.left,
        )
        for sli, item in budgets(objective, spent.requests, spent.failed, spent.slow).items()
    )
