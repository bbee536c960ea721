"""Rows: what both versions need is down, so that both fail."""

from __future__ import annotations

from dataclasses import replace

from modelstack.monitoring.alarms.outage import LEFT
from modelstack.rollout.core.state import RolloutState
from tests.conformance.row import AWS_ADAPTER, KUBERNETES_ADAPTER, PROMOTED, QUICK, UNPROVEN, Loses, Row, rolled_back
from tests.conformance.stage import FaultStage

EITHER = frozenset({"champion", "challenger"})
ALARMS = (("champion", "5xx"), ("challenger", "5xx"))
TOLERANT = replace(QUICK, max_failed=0.05)


def _left_to_the_judge(stage: FaultStage) -> None:
    """The challenger's alarm fires, people are told, and nothing is rolled back, however often it is delivered."""
    message, trial = stage.fired("challenger"), stage.state().rollout_id
    state = stage.wait(lambda: _left(stage.state()), "who is subscribed leaves it to the judge")
    assert state.on_trial, f"it is taken back: {state.decided or state.verdict}"
    stage.wait(lambda: stage.told(LEFT, trial) or not stage.deliver(message), "people are told that both fail")
    assert [answer["action"] for answer in stage.deliver(message, times=2)] == ["left to the judge"] * 2
    assert len(stage.told(LEFT, trial)) == 1
    assert stage.state().on_trial


def _left(state: RolloutState) -> RolloutState | None:
    """The state, if it was noted that the judge decides, or if the trial is over."""
    noted = any((event.kind, event.rollout_id) == (LEFT, state.rollout_id) for event in state.history)
    return state if noted or not state.on_trial else None


OUTAGES: tuple[Row, ...] = (
    Row(
        name="both-bad",
        happens="Something that both versions need is down, so every request fails and both alarms go off. No "
        "alarm rolls back. Nor is the challenger promoted for failing no more often than the champion: "
        "it takes no step while both fail, and the time runs out.",
        see="`left_to_judge` with the numbers of both versions; then `rolled back`, source `timeout`.",
        do="Fix what both versions need, then `modelstack clear`. With `on_timeout: hold` the trial waits "
        "for you instead.",
        champion={"status": 500},
        challenger={"status": 500},
        plan=replace(TOLERANT, max_seconds=60),
        alarms=ALARMS,
        during=_left_to_the_judge,
        adapters=KUBERNETES_ADAPTER,
        expects=rolled_back("timeout", "max_seconds", says="the champion failed", fails=EITHER),
    ),
    Row(
        name="partly-mended",
        happens="The champion fails on every request. The challenger fixes a part of that, and fails half of "
        "the time. Both alarms go off. Neither rolls the better version back.",
        see="`left_to_judge` with the numbers of both versions; then `promoted`.",
        do="Release the rest of the fix.",
        champion={"status": 500},
        challenger={"status": 500, "share": 0.5},
        plan=replace(TOLERANT, watch_seconds=0),
        alarms=ALARMS,
        during=_left_to_the_judge,
        adapters=AWS_ADAPTER,
        expects=replace(PROMOTED, fails=EITHER),
    ),
    Row(
        name="instances-silent",
        happens="Half of the requests to the challenger get no answer of its instances: these were deleted, hang, or "
        "their node is gone. Nobody can say what the model would have answered. So these requests count for neither "
        "version, the challenger takes no step, and the time runs out. The release is not rejected.",
        see="`failed`, source `timeout`: how many requests the instances left unanswered; on Kubernetes the alarm "
        "`gateway-errors`.",
        do="Look why the pods are missing or hang; then release again.",
        plan=replace(QUICK, max_seconds=60),
        during=lambda stage: stage.become("challenger", unanswered=0.5),
        loses=Loses("those that no instance answered", 600),
        expects=replace(UNPROVEN, says="unanswered"),
        not_on={
            "aws": "its local cloud has no instance that neither answers nor ends",
            "kubernetes": "the rows `pods-deleted` and `pods-hang` do it there",
        },
    ),
)
