"""Rows: alarms and people, once, twice, late, and at once."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import pytest

from modelstack.rollout.core.errors import RolloutError
from modelstack.rollout.core.plan import Step
from modelstack.rollout.core.state import Phase, RolloutState
from modelstack.rollout.core.transitions import Rejected
from modelstack.rollout.judge.metrics import Metric
from tests.conformance.of_models import SOLD
from tests.conformance.row import BOTH_ADAPTERS, PROMOTED, QUICK, REJECTED, THEIRS, Expected, Row, rolled_back
from tests.conformance.stage import FaultStage

ALARMED = replace(QUICK, steps=(Step(50, 90),), metrics=(Metric("errors", "rate", 0.9),), max_seconds=150)
"""A judge that tolerates much, and long bakes: only an alarm ends the trial."""
FAILING = {"status": 500, "share": 0.5}


def _once_more(stage: FaultStage) -> None:
    stage.ran.clear()
    stage.deliver(stage.fired("challenger"))
    _one_rollback(stage.state())


def _one_rollback(state: RolloutState) -> None:
    kinds = [event.kind for event in state.history]
    assert (kinds.count("rolling_back"), kinds.count("rolled_back")) == (1, 1), kinds


def _superseded(stage: FaultStage) -> None:
    """Another release takes the trial over; then the alarm of the first one fires."""
    stage.release("next")
    superseded = stage.state().rollout_id
    champion = stage.pair("champion", "next")
    stage.controller().release(stage.releases["next"], champion, QUICK)
    stage.wait(lambda: stage.told("superseded", superseded), f"the end of {superseded} is told")
    stage.deliver(stage.fire("challenger"))


def _scaled(stage: FaultStage) -> None:
    with stage.scaling("challenger"):
        stage.fire("challenger")


def _fires_and_nobody_answers(stage: FaultStage) -> None:
    stage.fault("write journal", "drop_after", 5)
    stage.fault("set weights", "throttle", 10)
    stage.fire("challenger")


def _nothing_to_go_back_to(stage: FaultStage) -> None:
    stage.deliver(stage.fired("champion"))
    with pytest.raises(RolloutError, match="there is no previous champion to bring back"):
        stage.controller().roll_back(stage.person("5XX"))


def _held(stage: FaultStage) -> None:
    state = stage.state()
    assert stage.live().shares() == {"v-champion": 50.0, "v-challenger": 50.0}
    stage.wait(lambda: stage.told("held", state.rollout_id), "that the trial is held is told")
    stage.controller().roll_back(stage.person("nobody knows whether it sells"))


def _aborted(stage: FaultStage) -> None:
    stage.controller().roll_back(stage.person("the price list was wrong"))
    stage.fire("challenger")


def _tried_again(stage: FaultStage) -> None:
    aborted = stage.state().verdict
    assert aborted is not None
    assert (aborted.outcome, aborted.reason.source) == ("rolled_back", "person"), aborted
    assert stage.approval("challenger") == "Rejected"
    with pytest.raises(Rejected):
        stage.controller().release(stage.releases["challenger"], stage.pair("champion", "challenger"), QUICK)
    stage.controller().clear_rejection("challenger")
    late = stage.fired("challenger")

    def comes_late(stage: FaultStage) -> None:
        stage.deliver(late)

    stage.trial("challenger", QUICK, during=comes_late)


def _fires_after_all(stage: FaultStage) -> None:
    promoted = stage.state().verdict
    assert promoted is not None
    assert promoted.outcome == "promoted", promoted
    stage.fire("challenger")
    stage.deliver(stage.fired("challenger"))


def _fires_during_the_next_trial(stage: FaultStage, row: Row) -> RolloutState:
    """The challenger is promoted and turns bad while another is on trial, which a person then takes back."""
    stage.trial("challenger", QUICK)
    stage.release("next")

    def turn(stage: FaultStage) -> None:
        stage.become("challenger", **FAILING)
        stage.deliver(stage.fired("challenger"))
        stage.controller().roll_back(stage.person("not this week"))

    stage.trial("next", row.plan, during=turn)
    assert stage.approval("next") == "Rejected"
    return stage.wait(lambda: _back(stage), "the champion before comes back")


def _back(stage: FaultStage) -> RolloutState | None:
    state = stage.controller().tick().state
    return state if state.champion == stage.releases["champion"] else None


EVENTS: tuple[Row, ...] = (
    Row(
        name="duplicate-alarm",
        happens="One alarm is delivered five times: by its topic, three times at once beside it, and once more after "
        "the end. The journal lets one of them act.",
        see="One `rolled back` with the alarm's name, told once.",
        do="Nothing.",
        challenger=FAILING,
        plan=ALARMED,
        alarms=(("challenger", "5xx"),),
        during=lambda stage: stage.deliver(stage.fired("challenger"), times=3),
        after=_once_more,
        adapters=BOTH_ADAPTERS,
        expects=rolled_back("alarm", "v-challenger-5xx", fails=THEIRS, ignored=True),
    ),
    Row(
        name="two-alarms",
        happens="Two alarms on the challenger, errors and latency, go off in the same moment.",
        see="One `rolled back`, named by the one that came first; both alarms' own messages.",
        do="Look at both.",
        plan=ALARMED,
        alarms=(("challenger", "5xx"), ("challenger", "p99")),
        during=lambda stage: stage.at_once(*(partial(stage.fire, "challenger", name) for name in ("5xx", "p99"))),
        after=lambda stage: _one_rollback(stage.state()),
        expects=rolled_back("alarm", "v-challenger-5xx", "v-challenger-p99"),
    ),
    Row(
        name="superseded-event",
        happens="A newer release supersedes the trial, and then the alarm of the older one goes off.",
        see="The event is ignored, with the variant that is on trial now; the newer release is judged from its start.",
        do="Nothing.",
        plan=ALARMED,
        alarms=(("challenger", "5xx"),),
        during=_superseded,
        expects=Expected(
            "promoted", "judge", ("errors",), "next",
            {"champion": "Approved", "challenger": "PendingManualApproval", "next": "Approved"}, ignored=True,
        ),
    ),
    Row(
        name="updating",
        happens="The alarm goes off while the endpoint is `Updating` (it is being scaled) and refuses every "
        "change. The rollback is decided at once, and takes effect when the endpoint accepts it.",
        see="`rolled back` by the alarm; until then `the endpoint has not taken the rollback yet`.",
        do="Nothing. If the rollback never takes effect, the event is in the dead-letter queue.",
        challenger={**FAILING, "start": "slow", "seconds": 5},
        plan=ALARMED,
        alarms=(("challenger", "5xx"),),
        during=_scaled,
        adapters=BOTH_ADAPTERS,
        expects=rolled_back("alarm", "v-challenger-5xx", fails=THEIRS),
    ),
    Row(
        name="alarm-while-throttled",
        happens="The alarm goes off while the endpoint's API throttles and the journal's answers get lost. The "
        "next call, a retry of the function or a scheduled one, goes on with the rollback.",
        see="`rolled back` by the alarm.",
        do="Nothing. If the rollback never takes effect, the event is in the dead-letter queue.",
        challenger=FAILING,
        plan=ALARMED,
        alarms=(("challenger", "5xx"),),
        during=_fires_and_nobody_answers,
        expects=rolled_back("alarm", "v-challenger-5xx", fails=THEIRS),
    ),
    Row(
        name="no-previous-version",
        happens="The first release of all is bad and its alarm goes off. There is nothing to go back to, and nothing "
        "is taken away.",
        see="The alarm is ignored, with that reason; `modelstack rollback` refuses with the same words.",
        do="Release a better model: it gets its trial beside this one.",
        champion=FAILING,
        challenger=None,
        alarms=(("champion", "5xx"),),
        after=_nothing_to_go_back_to,
        expects=Expected(
            "promoted", "release", ("first",), "champion", {"champion": "Approved"},
            fails=frozenset({"champion"}), ignored=True,
        ),
    ),
    Row(
        name="breach-while-paused",
        happens="The trial waits for a person's approval, the challenger turns bad, and its alarm goes off.",
        see="`rolled back` by the alarm; the approval is no longer asked for.",
        do="Nothing; an approval that comes now is refused.",
        plan=replace(ALARMED, steps=(Step(50, 2, approve=True), Step(90, 60))),
        alarms=(("challenger", "5xx"),),
        during=lambda stage: stage.become("challenger", **FAILING),
        at=Phase.PAUSED,
        expects=rolled_back("alarm", "v-challenger-5xx", fails=THEIRS),
    ),
    Row(
        name="worse-while-paused",
        happens="The trial waits for a person's approval, and the challenger turns bad without an alarm. The "
        "judge goes on looking.",
        see="`rolled back`, metric `errors`.",
        do="Nothing.",
        plan=replace(QUICK, steps=(Step(50, 2, approve=True), Step(90, 60))),
        during=lambda stage: stage.become("challenger", status=500),
        at=Phase.PAUSED,
        expects=rolled_back("judge", "errors", says="errors worse", fails=THEIRS),
    ),
    Row(
        name="held-after-time-out",
        happens="A metric that must be proven never has data, the time runs out, and `on_timeout: hold` asks for a "
        "person. The trial keeps its share until one decides.",
        see="`held`, with what was not known; then `rolled back` by the person.",
        do="`modelstack approve` gives it as much time again, `modelstack rollback` takes it back; by itself it goes "
        "no further.",
        plan=replace(QUICK, metrics=(*QUICK.metrics, SOLD), max_seconds=30, on_timeout="hold"),
        during=_held,
        at=Phase.HELD,
        expects=rolled_back("person", "ada", says="nobody knows"),
    ),
    Row(
        name="retry-after-abort",
        happens="A person aborts the trial. The release is refused until its rejection is cleared, then tried again; "
        "an event of the first trial comes late.",
        see="`rolled back` by the person, then `cleared`, then `promoted`; the late event is ignored as older.",
        do="`modelstack clear`, then release again.",
        plan=ALARMED,
        alarms=(("challenger", "5xx"),),
        during=_aborted,
        after=_tried_again,
        expects=replace(PROMOTED, ignored=True),
    ),
    Row(
        name="breach-after-promotion",
        happens="The challenger is promoted, and then its alarm goes off within the watch time.",
        see="`rolled back` by the alarm; the previous champion serves again.",
        do="Look at the alarm; the release is rejected until it changes or is cleared.",
        alarms=(("challenger", "5xx"),),
        after=_fires_after_all,
        expects=rolled_back("alarm", "v-challenger-5xx"),
    ),
    Row(
        name="breach-during-next-trial",
        happens="A promoted version turns bad within its watch time, while the next release is on trial: its alarm is "
        "ignored then, so that rolling forward stays possible. The next release is taken back, and the alarm still "
        "fires.",
        see="The event is ignored; after the end of the trial `rolled back` by the alarm, and the champion before "
        "serves again.",
        do="Look at the alarm; both releases are rejected until they change or are cleared.",
        plan=ALARMED,
        alarms=(("challenger", "5xx"),),
        drive=_fires_during_the_next_trial,
        expects=Expected(
            "rolled_back", "alarm", ("v-challenger-5xx",), "champion", {**REJECTED, "next": "Rejected"}, fails=THEIRS,
            ignored=True, again=True,  # the rollout has two verdicts
        ),
    ),
)  # fmt: skip
