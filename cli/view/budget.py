"""How much is left of the error budgets: counted over the objective's own window, of all versions."""

from __future__ import annotations

from dataclasses import dataclass

from cli.platform.choose import platform_of
from cli.target import Target
from monitoring.objectives.slo import Objective, budgets


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
    """Both budgets; none where nobody tells the counts, or the objective: an endpoint that was named has none.

    Raises:
        OperatorError: The metrics cannot be read.
    """
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
