"""A row of the table of faults that only a cluster has, and its driver."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from typing import Literal

from rollout.core.plan import Plan
from rollout.core.state import Phase
from tests.conformance.cluster_stage import PATIENCE, Pods, SiteStage
from tests.conformance.row import AFTER, QUICK, Expected, Played, differences
from tests.platforms.load import Asked, wait_for

LONG = replace(QUICK, max_seconds=900)
"""A trial's time is never over because a machine is busy."""
Act = Callable[[SiteStage], None]
Place = Literal["shared", "skewed", "apart", "far"]
"""A namespace with controllers and a gateway. What an Envoy answers itself is of no variant: whoever makes it do so is
alone behind it."""


def nothing(stage: SiteStage) -> None:
    """Leave everything as it is."""


@dataclass(frozen=True)
class Loses:
    """The requests that the failing part itself loses.

    Attributes:
        why: Which they are, as the page says it.
        most: How many they may be.
    """

    why: str
    most: int


@dataclass(frozen=True)
class ClusterRow:
    """A rollout that is played in a cluster, with what goes wrong in it.

    Attributes:
        name: Of the row.
        happens: What goes wrong, and what the product makes of it.
        expects: How it must end.
        either: Another end that is as right, by who sees the fault first; None for none.
        see: What a person sees.
        do: What a person does.
        loses: Which requests may be lost, from the fault's begin to the end of the trial; None for none.
        champion: The champion's pods.
        challenger: The challenger's.
        pods: How many each has.
        plan: How the challenger earns its traffic.
        before: Done when the champion serves under load, before the challenger is released.
        beside: Goes on from then to the verdict.
        during: Done once in mid-trial.
        at: In which phase of it.
        shows: Checks what a person sees, when all is over.
        place: Whose controllers carry it on, behind which gateway; in `skewed` their clock is off.
        alone: Whether it disturbs every other row, too.
    """

    name: str
    happens: str
    expects: Expected
    see: str
    do: str
    either: Expected | None = None
    loses: Loses | None = None
    champion: Pods = field(default_factory=Pods)
    challenger: Pods = field(default_factory=Pods)
    pods: int = 1
    plan: Plan = LONG
    before: Act = nothing
    beside: Callable[[SiteStage], AbstractContextManager[None]] = lambda stage: nullcontext()
    during: Act = nothing
    at: Phase = Phase.BAKING
    shows: Act = nothing
    place: Place = "shared"
    alone: bool = False


def prepare(row: ClusterRow, stage: SiteStage) -> None:
    """Bring the row's champion to serve."""
    stage.pods = row.pods
    stage.declare()
    stage.release("champion", row.champion)
    stage.comes_up("champion")
    stage.begin("champion", row.plan)
    stage.settled()


def play(row: ClusterRow, stage: SiteStage) -> list[str]:
    """Play a row whose champion serves, under load from before its start to after its end; where it ends otherwise."""
    with stage.load() as load:
        wait_for(lambda: sum(one.status == 200 for one in load.asked) >= AFTER, PATIENCE, "answers before the start")
        began = time.time()
        row.before(stage)
        new = "challenger" not in stage.releases
        stage.release("challenger", row.challenger)
        if new and not row.expects.silent:
            stage.comes_up("challenger")  # before its time begins, however busy the machine is
        with row.beside(stage):
            trial = stage.begin("challenger", row.plan, beside="champion").rollout_id
            if row.during is not nothing:
                stage.reached(row.at)
                row.during(stage)
            stage.settled()
        state = stage.settled()
        wait_for(stage.followed, PATIENCE, "the gateway follows")
        over = time.time()
        wait_for(lambda: sum(one.at > over for one in load.asked) >= AFTER, PATIENCE, "answers after the end")
        live = wait_for(lambda: seen if (seen := stage.live()).status == "ready" else None, PATIENCE, "it is ready")
    assert state.verdict is not None
    assert state.verdict.rollout_id == trial, state.verdict
    told = stage.told(state.verdict.outcome, began)
    lost, rest = _lost(row, load.asked, began, over)
    seen = Played(state, live, "", stage.packages(), told, rest, over, [])
    ends = [(one, stage.releases[one.serves].config_name) for one in (row.expects, row.either) if one]
    found = min((differences(one, replace(seen, config=config)) for one, config in ends), key=len)
    if row.loses is not None and len(lost) > row.loses.most:
        found.append(f"{len(lost)} of {len(load.asked)} requests lost, expected at most {row.loses.most}: {lost[0]}")
    try:
        row.shows(stage)
    except AssertionError as error:
        found.append(f"a person does not see what the row says: {error}")
    print(f"{row.name}: {state.verdict.outcome} by {state.verdict.reason.source} after {over - began:.0f} s, "
          f"{len(lost)} of {len(load.asked)} lost; {state.verdict.reason.text}")  # fmt: skip
    return found


def _lost(row: ClusterRow, asked: list[Asked], began: float, over: float) -> tuple[list[Asked], list[Asked]]:
    """The requests that the failing part may have lost, and all others."""
    theirs = {f"v-{role}" for role in row.expects.fails}
    lost = [one for one in asked if one.status != 200 and one.variant not in theirs and began <= one.at <= over]
    if row.loses is None:
        return lost, asked
    return lost, [one for one in asked if one not in lost]
