from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from modelstack.monitoring.alarms.alarm import Alarm, Said
from modelstack.monitoring.alarms.outage import Outage
from modelstack.platforms.kubernetes.answers import NotFound
from modelstack.platforms.kubernetes.program.counts import Counts
from modelstack.platforms.kubernetes.program.working import (
    AGAIN,
    MOVING,
    REST,
    WAKE_SECONDS,
    WATCHED,
    DrivenRollout,
    Working,
    after_failures,
    pause,
)
from modelstack.platforms.kubernetes.spec import RolloutSpec
from modelstack.rollout.controller.loop import Progress
from modelstack.rollout.controller.outbox import Outbox
from modelstack.rollout.controller.recorder import Recorder
from modelstack.rollout.core.errors import RolloutError, Unreachable
from modelstack.rollout.core.event import Event
from modelstack.rollout.core.state import Phase, RolloutState
from modelstack.services.worker import Worker
from tests.rollout.worlds import PLAN, challenged, release, served
from tests.simulator.platform import MemoryJournal, MemoryNotify, World

FIRES = Alarm("endpoint-v-b-5xx", "ALARM", Said("0.5 > 0.05"), None, "endpoint", "v-b", ("failed",), "errors")


SPEC = RolloutSpec("test", "m", "g", "http://p:9090", period_seconds=5)


def fires(world: World, *alarms: Alarm) -> Callable[[RolloutState], tuple[Alarm, ...]]:
    return lambda _: tuple(replace(alarm, at=world.clock.time()) for alarm in alarms)


def working(world: World, **parts: Any) -> Working:
    journal = MemoryJournal(world)
    outage = Outage(lambda *_: None, Outbox(journal, MemoryNotify(world), world.clock))
    controller = parts.get("controller") or world.controller()
    worker = Worker("endpoint", controller, journal, outage, parts.get("recorder"))
    endpoint = DrivenRollout(worker, 5.0, parts.get("firing") or fires(world), parts.get("show", lambda *_: None))
    found = Working(lambda name, spec: endpoint, Counts("models"), now=world.clock.time)
    found.learn({"metadata": {"name": "endpoint"}, "spec": SPEC.as_dict()})
    return found


def test_a_trial_is_carried_to_its_end_look_by_look() -> None:
    world = challenged(seconds=0)
    work, looks = working(world), 0
    while (pause := work.tick("endpoint")) is not None and world.state.phase is not Phase.IDLE:
        world.clock.sleep(pause)
        looks += 1
        assert looks < 500
    assert world.state.champion is not None
    assert (world.state.champion.id, world.serving) == ("b", "solo-b")
    text = work.counts.text()
    assert 'modelstack_rollout_phase{endpoint="endpoint",phase="idle",namespace="models"} 1.0' in text
    assert f'modelstack_controller_ticks_total{{endpoint="endpoint",namespace="models"}} {looks + 1}.0' in text
    assert "failures" not in text


def test_each_look_shows_whether_the_champion_serves_and_a_failure_to_show_it_stops_no_trial() -> None:
    world, shown = challenged(seconds=0), list[tuple[int, Any]]()

    def show(state: RolloutState, live: Any) -> None:
        shown.append((state.revision, live))
        raise Unreachable("the API server does not answer")

    work = working(world, show=show)
    assert work.tick("endpoint") is not None
    assert shown == [(world.state.revision, world.live())]
    assert 'error="Unreachable",work="show"' in work.counts.text()
    assert work.well("endpoint")


def test_a_wake_takes_back_what_fires() -> None:
    world = challenged()
    work = working(world, firing=fires(world, FIRES))
    assert work.answer("endpoint") is None
    assert (world.state.phase, {name: one.desired for name, one in world.live().variants.items()}) == (
        Phase.ROLLING_BACK,
        {"v-a": 100.0, "v-b": 0.0},
    )
    assert (
        'modelstack_controller_alarms_total{action="rolled back",endpoint="endpoint",namespace="models"} 1.0'
        in work.counts.text()
    )
    while world.state.phase is not Phase.IDLE:
        world.clock.sleep(work.tick("endpoint") or 0)
    assert world.state.verdict is not None
    assert world.state.verdict.outcome == "rolled_back"


def test_a_wake_where_nothing_fires_changes_nothing() -> None:
    world = challenged()
    before = world.state
    assert working(world).answer("endpoint") is None
    assert world.state is before


def test_a_wake_that_cannot_be_answered_is_tried_again_for_a_time() -> None:
    world = challenged()

    def unknown(_: RolloutState) -> tuple[Alarm, ...]:
        raise Unreachable("Prometheus does not answer")

    work = working(world, firing=unknown)
    tried = 0
    while (pause := work.answer("endpoint")) is not None:
        assert pause == AGAIN
        world.clock.sleep(pause)
        tried += 1
    assert tried == WAKE_SECONDS / AGAIN
    assert work.answer("endpoint") == AGAIN, "the next wake has its own time"


class Failing:
    def __init__(self, error: Exception) -> None:
        self.error = error

    def tick(self) -> None:
        raise self.error


@pytest.mark.parametrize(
    ("error", "pauses"),
    [
        (Unreachable("no answer"), [5.0, 10.0, 15.0]),
        (RolloutError("a damaged journal"), [60.0] * 3),
        (NotFound("modelpackages flights-1a2b: there is none"), [60.0] * 3),
    ],
)
def test_what_fails_is_counted_and_tried_again_later(error: Exception, pauses: list[float]) -> None:
    work = working(served(), controller=Failing(error))
    assert [work.tick("endpoint") for _ in pauses] == pauses
    assert not work.well("endpoint")
    kind = type(error).__name__
    counted = f'modelstack_tick_failures_total{{endpoint="endpoint",error="{kind}",work="tick",namespace="models"}} 3.0'
    assert counted in work.counts.text()


def test_a_wake_that_lacks_an_object_is_counted_and_tried_again() -> None:
    def gone(_: RolloutState) -> tuple[Alarm, ...]:
        raise NotFound("httproutes endpoint: there is none")

    work = working(challenged(), firing=gone)
    assert work.answer("endpoint") == AGAIN
    counted = 'modelstack_tick_failures_total{endpoint="endpoint",error="NotFound",work="wake",namespace="models"} 1.0'
    assert counted in work.counts.text()


def test_a_record_that_cannot_be_put_away_holds_nothing_up() -> None:
    world = challenged()

    class Down:
        def put(self, record: object) -> None:
            raise Unreachable("the store does not answer")

    class Waiting(MemoryJournal):
        def read(self) -> RolloutState:
            state = super().read()
            return replace(state, audit=replace(state.audit, waiting=(world.records[-1],)))

    journal = Waiting(world)
    work = working(world, controller=world.controller(journal=journal), recorder=Recorder(journal, Down()))
    assert work.tick("endpoint") in {5.0, MOVING}
    assert 'error="Unreachable",work="record"' in work.counts.text()


def test_a_rollout_that_is_there_no_more_is_let_go_and_its_series_end() -> None:
    world = served()
    work = working(world)
    assert work.tick("endpoint") == REST
    work.forget("endpoint")
    assert work.tick("endpoint") is None
    assert work.answer("endpoint") is None
    assert 'endpoint="endpoint"' not in work.counts.text()


def test_an_endpoint_is_made_again_when_its_spec_changes_and_not_when_its_journal_does() -> None:
    made: list[RolloutSpec] = []
    world, slower = served(), replace(SPEC, period_seconds=9)
    inner = working(world)
    work = Working(
        lambda name, spec: made.append(spec) or inner.make(name, spec), Counts("models"), now=world.clock.time
    )
    for spec, revision in ((SPEC, 1), (SPEC, 2), (slower, 2)):
        work.learn({"metadata": {"name": "endpoint"}, "spec": spec.as_dict(), "status": {"revision": revision}})
        work.tick("endpoint")
    assert made == [SPEC, slower]


NOW = 1_000_000.0
SERVED = RolloutState("endpoint", phase=Phase.IDLE, champion=release("a"), plan=PLAN)
TRIAL = replace(SERVED, phase=Phase.BAKING, challenger=release("b"), step=0, step_starts=(NOW,))


def seen(state: RolloutState, *, in_time: bool = True) -> Progress:
    return Progress(state, None, "", in_time=in_time)


def test_at_rest_next_to_nothing_is_asked() -> None:
    assert pause(seen(SERVED), NOW, 5.0) == REST
    assert pause(seen(RolloutState("endpoint")), NOW, 5.0) == REST


def test_a_trial_is_looked_at_as_often_as_its_rollout_says() -> None:
    assert pause(seen(TRIAL), NOW, 5.0) == 5.0
    for phase in (Phase.PAUSED, Phase.HELD):
        assert pause(seen(replace(TRIAL, phase=phase)), NOW, 5.0) == 5.0, "an alarm or the judge still takes it back"


@pytest.mark.parametrize("phase", [Phase.PREPARING, Phase.PROMOTING, Phase.ROLLING_BACK, Phase.RESTORING, Phase.MOVING])
def test_an_endpoint_that_changes_is_not_left_alone_for_a_period(phase: Phase) -> None:
    assert pause(seen(replace(TRIAL, phase=phase)), NOW, 60.0) == MOVING


def test_a_step_that_the_endpoint_has_not_taken_yet_is_looked_at_soon() -> None:
    assert pause(seen(replace(TRIAL, step_starts=())), NOW, 60.0) == MOVING
    assert pause(seen(TRIAL, in_time=False), NOW, 60.0) == 1.0


def test_a_new_champion_is_watched() -> None:
    promoted = replace(SERVED, previous=release("z"), promoted_at=NOW - 10)
    assert pause(seen(promoted), NOW, 5.0) == WATCHED
    assert pause(seen(promoted), NOW + 30 * 86_400, 5.0) == REST


def test_news_that_could_not_be_sent_are_sent_soon_but_hold_no_trial_up() -> None:
    unsent = (Event(NOW, "1-a", "promoted", "a"),)
    assert pause(seen(replace(SERVED, outbox=unsent)), NOW, 5.0) == 11.0
    assert pause(seen(replace(TRIAL, outbox=unsent)), NOW, 5.0) == 5.0


def test_what_could_not_be_recorded_is_tried_again_and_nobody_waits_without_a_store() -> None:
    assert pause(seen(SERVED), NOW, 5.0, unrecorded=True) == WATCHED
    assert pause(seen(TRIAL), NOW, 5.0, unrecorded=True) == 5.0


def test_the_pauses_after_failures_grow_and_have_an_end() -> None:
    assert [after_failures(count, 2.0) for count in (1, 2, 3, 4, 1000)] == [2.0, 4.0, 8.0, 15.0, 15.0]
