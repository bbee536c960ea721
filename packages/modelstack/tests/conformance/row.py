"""A row of the table of faults, and the one driver that plays all rows."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import Future
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from modelstack.rollout.core.live import Approval, Live
from modelstack.rollout.core.plan import Plan, Step
from modelstack.rollout.core.state import Phase, RolloutState
from modelstack.rollout.core.verdict import Outcome
from modelstack.rollout.judge.metrics import Metric
from modelstack.rollout.reason import Source
from tests.conformance.stage import Act, FaultStage, Message, Platform, Stage, nothing
from tests.platforms.load import Asked

Role = Literal["champion", "challenger", "next"]
Drive = Callable[[Any, "Row"], RolloutState]
Beside = Callable[[Any], AbstractContextManager[None]]
Place = Literal["shared", "skewed", "apart", "far"]
"""A namespace of a cluster with controllers and a gateway. A row whose Envoy answers by itself is alone behind it."""
AFTER = 20  # answers after the end
SECONDS = 1200  # to the end of any row

AWS_ADAPTER: frozenset[Platform] = frozenset({"aws"})
KUBERNETES_ADAPTER: frozenset[Platform] = frozenset({"kubernetes"})
BOTH_ADAPTERS = AWS_ADAPTER | KUBERNETES_ADAPTER

QUICK = Plan(
    steps=(Step(50, 2),),
    metrics=(Metric("errors", "rate", 0.25),),
    min_requests=20,
    window_seconds=5,
    settle_seconds=2,
    max_seconds=120,
)  # half of the traffic, judged every five seconds


@dataclass(frozen=True)
class Expected:
    """How a row must end.

    Attributes:
        names: The metric, alarm, variant or person in the verdict, one of these; the end of an alarm's name.
        says: Part of the verdict's text.
        again: Whether the verdict may be sent more than once.
        fails: Whose own failures (5XX, no answer) are not lost requests.
        silent: Who must never have answered a request of the load.
        ignored: Whether the function must have ignored each event that was delivered to it directly.
        or_by: Another source that may find the fault first, and the name in the verdict then.
    """

    outcome: Outcome
    source: Source
    names: tuple[str, ...]
    serves: Role
    packages: Mapping[Role, Approval]
    says: str = ""
    again: bool = False
    fails: frozenset[Role] = frozenset()
    silent: frozenset[Role] = frozenset()
    ignored: bool = False
    or_by: tuple[Source, str] | None = None

    def by(self, source: Source) -> Expected:
        """What is expected when this one reached the verdict."""
        if self.or_by is None or source != self.or_by[0]:
            return self
        return replace(self, source=source, names=self.or_by[1:], says="")


BOTH: Mapping[Role, Approval] = {"champion": "Approved", "challenger": "Approved"}
REJECTED: Mapping[Role, Approval] = {"champion": "Approved", "challenger": "Rejected"}
UNJUDGED: Mapping[Role, Approval] = {"champion": "Approved", "challenger": "PendingManualApproval"}
THEIRS: frozenset[Role] = frozenset({"challenger"})
PROMOTED = Expected("promoted", "judge", ("errors",), "challenger", BOTH)
UNPROVEN = Expected("failed", "timeout", ("max_seconds",), "champion", UNJUDGED)


def rolled_back(source: Source, *names: str, **more: Any) -> Expected:
    """The challenger is rolled back and rejected; `more` are further fields of what is expected."""
    return Expected("rolled_back", source, names, "champion", REJECTED, **more)


def reduced(stage: Any) -> None:
    """People were told that the challenger went back to its last proven share, as metrics were missing."""
    told = stage.told("reduced", stage.state().rollout_id)
    assert any("no counted requests of both versions" in message.content["why"] for message in told), told


@dataclass(frozen=True)
class Loses:
    """The requests that the failing part itself loses, and at most how many."""

    why: str
    most: int


@dataclass(frozen=True)
class Row:
    """A rollout that is played, with a fault.

    Attributes:
        happens: The fault, and what the product does about it; `see` and `do` are for a person.
        champion: Its behaviour; see `served_model.py`.
        challenger: None releases none.
        alarms: Role and measure; with any, the rollback function is subscribed.
        asks: The variant that the load requests by name; None leaves it to the weights.
        before: Runs when the champion serves under load, before the challenger is released.
        beside: Runs from then to the verdict.
        during: Runs once in mid-trial, in the phase `at`.
        after: Runs after the verdict; the end is what holds after it.
        adapters: The platforms whose adapter the fault touches; `make test` plays it on these and in memory.
        not_on: Platform -> why the fault is impossible there.
        either: Another correct end.
        loses: Requests that may be lost, from the fault's begin to the end of the trial.
        shows: Checks what a person sees after the end.
        place: Where in a cluster, of a row that only a cluster has.
        alone: Whether it disturbs every other row of the cluster.
    """

    name: str
    happens: str
    expects: Expected
    see: str = ""
    do: str = ""
    champion: Mapping[str, Any] = field(default_factory=dict[str, Any])
    challenger: Mapping[str, Any] | None = field(default_factory=dict[str, Any])
    plan: Plan = QUICK
    alarms: tuple[tuple[Role, str], ...] = ()
    callers: int = 2
    asks: Role | None = None
    captures: bool = False
    before: Act = nothing
    beside: Beside = lambda stage: nullcontext()
    during: Act = nothing
    at: Phase = Phase.BAKING
    after: Act = nothing
    drive: Drive = lambda stage, row: stage.trial("challenger", row.plan, row.during, row.at)
    adapters: frozenset[Platform] = frozenset()
    not_on: Mapping[Platform, str] = field(default_factory=dict[Platform, str])
    either: Expected | None = None
    loses: Loses | None = None
    shows: Act = nothing
    place: Place | None = None
    pods: int = 1
    alone: bool = False


@dataclass(frozen=True)
class Played:
    """How a row ended.

    Attributes:
        over: When it ended, epoch seconds.
        ran: The function's answers to events delivered directly.
        lost: Requests that the failing part may lose.
        unseen: What a person does not see although the row says so.
    """

    state: RolloutState
    live: Live
    configs: Mapping[str, str]
    packages: Mapping[str, str]
    told: list[Message]
    asked: list[Asked]
    over: float
    ran: list[dict[str, Any]]
    lost: list[Asked] = field(default_factory=list[Asked])
    unseen: str = ""


Plays = dict[str, Future[Played]]  # by name of the row; they are played meanwhile


def prepare(row: Row, stage: Stage) -> None:
    stage.captures, stage.pods = row.captures, row.pods
    stage.release("champion", **row.champion)
    if row.challenger is not None and row.place is None:
        stage.release("challenger", **row.challenger)
    if row.alarms and isinstance(stage, FaultStage):
        stage.rolls_back_on_alarm()
    stage.serve("champion")


def play(row: Row, stage: Stage) -> Played:
    """Play a row whose champion serves, under load from before its start to after its end."""
    with stage.load(target=f"v-{row.asks}" if row.asks else None, workers=row.callers) as load:
        try:
            stage.trial("champion", row.plan)
            if isinstance(stage, FaultStage):
                for role, measure in row.alarms:
                    stage.declare_alarm(role, measure)
            began = stage.now()
            row.before(stage)
            if row.challenger is not None:
                with row.beside(stage):
                    row.drive(stage, row)
            row.after(stage)
            state, over = stage.settled(), stage.now()
            stage.wait(lambda: sum(one.at > over for one in load.asked) >= AFTER, "answers after the end")
            live = stage.live()
        finally:
            if isinstance(stage, FaultStage):
                stage.end_faults()
    assert state.verdict is not None
    kind, rollout_id = state.verdict.outcome, state.verdict.rollout_id
    stage.wait(lambda: stage.told(kind, rollout_id), f"the notification {kind} of {rollout_id}")
    configs = {role: release.config_name for role, release in stage.releases.items()}
    told, unseen = stage.told(kind, rollout_id), _unseen(row, stage)
    lost, asked = _lost(row, stage.who_failed(load.asked), began, over)
    packages = stage.packages()
    stage.close()
    return Played(state, live, configs, packages, told, asked, over, stage.ran, lost, unseen)


def _unseen(row: Row, stage: Stage) -> str:
    try:
        row.shows(stage)
    except AssertionError as error:
        return str(error)
    return ""


def _lost(row: Row, asked: list[Asked], began: float, over: float) -> tuple[list[Asked], list[Asked]]:
    """The requests that the failing part may have lost, and all others."""
    if row.loses is None:
        return [], asked
    theirs = {f"v-{role}" for role in row.expects.fails}
    lost = [one for one in asked if one.status != 200 and one.variant not in theirs and began <= one.at <= over]
    return lost, [one for one in asked if one not in lost]


def wrong(row: Row, seen: Played) -> list[str]:
    """Where a row did not end as it must, a sentence each."""
    found = min((differences(one, seen) for one in (row.expects, row.either) if one), key=len)
    if row.loses is not None and len(seen.lost) > row.loses.most:
        found.append(f"{len(seen.lost)} requests lost, expected at most {row.loses.most}: {seen.lost[0]}")
    return [*found, f"a person does not see what the row says: {seen.unseen}"] if seen.unseen else found


def differences(expected: Expected, seen: Played) -> list[str]:
    """Where an end is not the expected one, a sentence each."""
    return [*_of_verdict(expected, seen), *_of_traffic(expected, seen), *_of_events(expected, seen)]


def _of_verdict(expected: Expected, seen: Played) -> list[str]:
    verdict, found = seen.state.verdict, list[str]()
    if verdict is None:
        return ["there is no verdict"]
    expected = expected.by(verdict.reason.source)
    got = verdict.outcome, verdict.reason.source
    if got != (expected.outcome, expected.source):
        found.append(f"verdict {got}, expected {(expected.outcome, expected.source)}: {verdict.reason.text}")
    if not verdict.reason.name.endswith(expected.names):
        found.append(f"the verdict names {verdict.reason.name!r}, expected {' or '.join(expected.names)}")
    if expected.says not in verdict.reason.text:
        found.append(f"the verdict says {verdict.reason.text!r}, expected {expected.says!r} in it")
    if seen.packages != expected.packages:
        found.append(f"packages {seen.packages}, expected {dict(expected.packages)}")
    return found


def _of_traffic(expected: Expected, seen: Played) -> list[str]:
    found, serves = list[str](), f"v-{expected.serves}"
    config = seen.configs[expected.serves]
    if (seen.live.status, seen.live.config) != ("ready", config):
        found.append(f"the endpoint is {seen.live.detail} with {seen.live.config}, expected {config}")
    if seen.live.shares() != {serves: 100.0}:
        found.append(f"final weights {seen.live.shares()}, expected all to {serves}")
    theirs = {f"v-{role}" for role in expected.fails}
    lost = [one for one in seen.asked if one.status != 200 and one.variant not in theirs]
    if lost:
        found.append(f"{len(lost)} of {len(seen.asked)} requests lost, the first: {lost[0]}")
    late = [one for one in seen.asked if one.at > seen.over]
    if not late or {one.variant for one in late} != {serves}:
        found.append(f"after the end {len(late)} answers of { ({one.variant for one in late}) }, expected {serves}")
    for role in expected.silent:
        spoke = [one for one in seen.asked if one.variant == f"v-{role}"]
        if spoke:
            found.append(f"{role} answered {len(spoke)} requests, expected none: {spoke[0]}")
    return found


def _of_events(expected: Expected, seen: Played) -> list[str]:
    found = list[str]()
    if len(seen.told) > 1 and not expected.again:
        found.append(f"told {len(seen.told)} times of the verdict, expected once")
    reason = seen.state.verdict.reason.text if seen.state.verdict else ""
    if not any(reason in message.content["why"] for message in seen.told):
        found.append(f"no notification says {reason!r}: {[message.text for message in seen.told]}")
    if expected.ignored and (not seen.ran or {answer["action"] for answer in seen.ran} != {"ignored"}):
        found.append(f"the function answered {seen.ran}, expected it to ignore every event")
    return found
