"""Rows: the platform refuses, is silent, or takes the controller away."""

from __future__ import annotations

import signal
from dataclasses import replace
from typing import Literal

import pytest

from modelstack.rollout.core.lost import LostJournal
from modelstack.rollout.core.plan import Step
from modelstack.rollout.core.state import RolloutState
from tests.conformance.row import (
    AWS_ADAPTER,
    BOTH_ADAPTERS,
    PROMOTED,
    QUICK,
    THEIRS,
    Expected,
    Row,
    reduced,
    rolled_back,
)
from tests.conformance.stage import Act, Call, Effect, FaultStage, Killed

_LEAST_KILLED = 8  # a trial has more effects than that
_LEAST_OF_A_RESTORE = 5
_READ_TIMEOUT = 3.0  # seconds
_HANGS = 4.0  # seconds
_FAULTY = {"status": 500}


def _faulty(*faults: tuple[Call, Effect]) -> Act:
    """Calls fail once more often than a client tries."""

    def act(stage: FaultStage) -> None:
        for call, effect in faults:
            stage.fault(call, effect, stage.one_more)

    return act


def _hanging(*faults: tuple[Call, Effect]) -> Act:
    """Calls hang for longer than a client waits."""

    def act(stage: FaultStage) -> None:
        stage.impatient(_READ_TIMEOUT)
        for call, effect in faults:
            stage.fault(call, effect, 3, seconds=_HANGS)

    return act


def _killed(stage: FaultStage, row: Row) -> RolloutState:
    return _carried_on(stage, row, "release", _LEAST_KILLED)


def _killed_restoring(stage: FaultStage, row: Row) -> RolloutState:
    promoted = stage.trial("challenger", row.plan).verdict
    assert promoted is not None
    assert promoted.outcome == "promoted", promoted
    return _carried_on(stage, row, "restore", _LEAST_OF_A_RESTORE)


def _carried_on(stage: FaultStage, row: Row, does: Literal["release", "restore"], least: int) -> RolloutState:
    ends, kinds = stage.killed(Killed(does, row.plan))
    assert {*ends} <= {0, 1, -signal.SIGKILL}, ends
    killed = ends.count(-signal.SIGKILL)
    assert killed >= least, ends
    assert killed == kinds
    return stage.state()


def _journal_lost(stage: FaultStage, row: Row) -> RolloutState:
    """It is lost before a release, and again in mid-trial."""
    pair = stage.pair("champion", "challenger")
    stage.lose_journal()
    stage.controller().release(stage.releases["challenger"], pair, row.plan)
    assert stage.state().champion == stage.releases["champion"]
    return stage.trial("challenger", row.plan, lambda stage: stage.lose_journal())


def _journal_restored(stage: FaultStage, row: Row) -> RolloutState:
    """A backup from a time when the champion was another one is put back."""
    older = stage.state()
    stage.trial("challenger", row.plan)
    stage.release("next", **_FAULTY)
    pair = stage.pair("challenger", "next")
    stage.lose_journal(older)
    stage.controller().release(stage.releases["next"], pair, row.plan)
    return stage.trial("next", row.plan, lambda stage: stage.lose_journal(older))


def _both_lost(stage: FaultStage, row: Row) -> RolloutState:
    """Neither copy is left, or both are older than what serves: then what serves is released first."""
    stage.lose_journal(copy=True)
    before, pair = stage.live(), stage.pair("champion", "challenger")
    for config in (pair, None):
        with pytest.raises(LostJournal, match=r"serves v-champion .* release exactly what serves"):
            stage.controller().release(stage.releases["challenger"], config, row.plan)
    assert (stage.live(), stage.state().revision) == (before, 0)
    stage.trial("champion", row.plan)
    assert stage.live() == before
    return stage.trial("challenger", row.plan)


PLATFORMS: tuple[Row, ...] = (
    Row(
        name="metrics-unreachable",
        happens="CloudWatch answers no query. After `metrics_timeout_minutes` the challenger goes back to its last "
        "proven share, here 0. What is unknown never promotes; the time runs out.",
        see="`reduced`; then `rolled back`, source `timeout`: the metrics are unreachable, with CloudWatch's words.",
        do="Look at the service and at the controller's rights, then `modelstack clear`.",
        plan=replace(QUICK, max_seconds=40, metrics_timeout_seconds=5),
        during=lambda stage: stage.fault("read metrics", "error"),
        shows=reduced,
        adapters=AWS_ADAPTER,
        expects=rolled_back("timeout", "max_seconds", says="the metrics are unreachable"),
    ),
    Row(
        name="metrics-come-back",
        happens="CloudWatch answers no query for longer than `metrics_timeout_minutes`, and then again. The challenger "
        "goes back to its last proven share, here 0. Then its step begins again, with its whole bake.",
        see="`reduced`; then its share again, and `promoted`.",
        do="Nothing.",
        plan=replace(QUICK, metrics_timeout_seconds=5),
        during=lambda stage: stage.fault("read metrics", "error", 30),
        shows=reduced,
        expects=PROMOTED,
    ),
    Row(
        name="throttled-calls",
        happens="The journal, the endpoint, CloudWatch and the registry throttle during a step, for longer than "
        "a client retries. The next scheduled call goes on.",
        see="`throttled` while it waits; then `promoted`.",
        do="Nothing.",
        before=_faulty(("write journal", "throttle"), ("use config", "throttle")),
        during=_faulty(("read metrics", "throttle"), ("set weights", "throttle"), ("set approval", "throttle")),
        adapters=BOTH_ADAPTERS,
        expects=PROMOTED,
    ),
    Row(
        name="timed-out-calls",
        happens="Calls are performed but never answered, or not even performed. The controller looks at what is "
        "live and goes on from there.",
        see="A pause; then `promoted`, once in the registry and perhaps told twice.",
        do="Nothing.",
        before=_faulty(("write journal", "drop_after"), ("use config", "drop_after")),
        during=_faulty(
            ("read journal", "drop_before"), ("set weights", "drop_after"), ("read endpoint", "drop_before"),
            ("set approval", "drop_after"), ("notify", "drop_before"),
        ),
        adapters=BOTH_ADAPTERS,
        expects=replace(PROMOTED, again=True),
    ),
    Row(
        name="hung-calls",
        happens="Calls hang for longer than the client's read time-out, and some are performed meanwhile. The "
        "controller gives up on them, looks at what is live and goes on from there.",
        see="A pause; then `promoted`, once in the registry and perhaps told twice.",
        do="Nothing.",
        before=_hanging(("write journal", "drop_after"), ("use config", "drop_before")),
        during=_hanging(
            ("read metrics", "drop_before"), ("set weights", "drop_after"), ("set approval", "drop_after")
        ),
        expects=replace(PROMOTED, again=True),
    ),
    Row(
        name="controller-killed-promoting",
        happens="The controller's process is killed (SIGKILL) after each of its effects in turn; another one goes on.",
        see="`promoted`, as if nothing had happened. An event may be told twice, and is told at least once.",
        do="Nothing.",
        drive=_killed,
        adapters=BOTH_ADAPTERS,
        expects=replace(PROMOTED, again=True),
    ),
    Row(
        name="controller-killed-rolling-back",
        happens="The same while a bad challenger is rolled back.",
        see="`rolled back`, metric `errors`; the champion has all traffic.",
        do="As for errors.",
        challenger={"status": 500},
        drive=_killed,
        expects=rolled_back("judge", "errors", says="errors worse", again=True, fails=THEIRS),
    ),
    Row(
        name="controller-killed-copying",
        happens="The same while requests are copied to a challenger first, and then some of them are given to it.",
        see="`promoted`, as if nothing had happened.",
        do="Nothing.",
        plan=replace(QUICK, steps=(Step(100, 2, shadow=True), Step(50, 2))),
        drive=_killed,
        expects=replace(PROMOTED, again=True),
    ),
    Row(
        name="controller-killed-restoring",
        happens="The same while a person takes a promotion back.",
        see="`rolled back` by the person; the previous champion serves again.",
        do="Nothing.",
        drive=_killed_restoring,
        expects=rolled_back("person", "ada", says="sells less", again=True),
    ),
    Row(
        name="journal-lost",
        happens="The journal is deleted (DynamoDB's item, or the status of the Rollout by `kubectl apply` of a "
        "backup), and then a faulty version is released. The journal comes back from its second copy, also in "
        "mid-trial, so that the release gets its trial and is no first one.",
        see="The champion and the history as before; then `rolled back`, metric `errors`.",
        do="Nothing.",
        challenger=_FAULTY,
        drive=_journal_lost,
        adapters=BOTH_ADAPTERS - AWS_ADAPTER,
        expects=rolled_back("judge", "errors", says="errors worse", fails=THEIRS),
    ),
    Row(
        name="journal-restored-from-old-backup",
        happens="A backup of the journal is put back that names an earlier champion, and then a faulty version is "
        "released. The second copy has a later revision and counts.",
        see="The champion and the history as before; then `rolled back`, metric `errors`.",
        do="Nothing.",
        drive=_journal_restored,
        expects=Expected(
            "rolled_back", "judge", ("errors",), "challenger",
            {"champion": "Approved", "challenger": "Approved", "next": "Rejected"}, says="errors worse",
            fails=frozenset({"next"}),
        ),
    ),
    Row(
        name="journal-and-copy-lost",
        happens="The journal and its second copy are deleted, and then a faulty version is released. It is refused, "
        "since something else serves. What serves is released and becomes champion again, without any change of "
        "traffic; then the faulty version gets its trial.",
        see="An error that names what serves and points to the guide; then `rolled back`, metric `errors`.",
        do="Restore a newer journal, or release what serves: see [the guide](../how-to/recover.md).",
        challenger=_FAULTY,
        drive=_both_lost,
        expects=rolled_back("judge", "errors", says="errors worse", fails=THEIRS),
    ),
)  # fmt: skip
