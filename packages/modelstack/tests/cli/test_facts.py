"""Facts are data: with every sentence reworded, no program reads anything else than before.

Stories are played twice, the second time with sentences that say nothing. Whatever a program may read of them must be
the same but for the sentences themselves, and so must every decision, exit code and conclusion.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from modelstack.cli.retrain import Retraining
from modelstack.cli.view import board, explain, trial
from modelstack.cli.view.watching import code_of
from modelstack.monitoring.alarms.alarm import Alarm, Said
from modelstack.monitoring.alarms.alike import Numbers
from modelstack.monitoring.alarms.outage import Outage
from modelstack.monitoring.alarms.response import respond
from modelstack.monitoring.retraining import decision
from modelstack.monitoring.retraining.notice import message
from modelstack.monitoring.retraining.record import Held, Obstacle, RetrainingEvent, RetrainingRecord, Trigger
from modelstack.monitoring.retraining.rules import Rules
from modelstack.rollout import reason
from modelstack.rollout.controller.commands import PLAIN
from modelstack.rollout.controller.notice import notice
from modelstack.rollout.controller.outbox import Outbox
from modelstack.rollout.core.event import Event
from modelstack.rollout.core.failing import Counted
from modelstack.rollout.core.plan import Plan, ReplayGate, Step
from modelstack.rollout.core.state import Replayed
from modelstack.rollout.judge.metrics import Metric
from modelstack.rollout.kinds import Kind
from modelstack.rollout.reason import Reason
from tests.cli.conftest import METRICS, plan, put_on_trial, served_world
from tests.cli.played import look
from tests.rollout.worlds import release as make_release
from tests.simulator.platform import MemoryJournal, MemoryNotify, World

SENTENCES = frozenset({
    "text", "why", "what", "summary", "waits_for", "replayed", "decided_by", "next", "default", "email", "Subject",
})  # fmt: skip
"""The only keys of JSON outputs under which a sentence stands."""


@dataclass
class Told:
    outputs: list[Any] = field(default_factory=list[Any])
    conclusions: list[Any] = field(default_factory=list[Any])

    def look(self, world: World) -> None:
        seen = look(world)
        progress = world.controller().status()
        state, now = progress.state, world.clock.time()
        story = explain.explain(state, progress.decision, now)
        self.outputs += [seen.as_dict(), story.as_dict(), json.loads(state.to_json())]
        self.outputs += [notice(event, "endpoint").document for event in world.sent]
        self.outputs += [notice(event, "endpoint").attributes for event in world.sent]
        action = progress.decision.action if progress.decision else ""
        self.conclusions += [
            (code_of(seen, seen), story.outcome, story.source, story.name, state.phase, action),
            [(alarm.name, alarm.value, alarm.threshold) for alarm in [story.alarm] if alarm],
            [(bound.what, bound.within) for bound in (story.replay.bounds if story.replay else ())],
            len(board.news(None, seen)),
        ]


ADA = Reason("person", "ada", "looks odd", kind=Kind.TAKEN_BACK)
APPROVED = Reason("person", "ada", "fine", kind=Kind.APPROVED)
SKIPPED = Reason("person", "ada", "the archive is lost", kind=Kind.TRIAL_SKIPPED)
ALIKE = Numbers(0.05, Counted(10, 20), Counted(90, 180), champion_fires=True)
WORSE = Numbers(0.05, Counted(20, 20), Counted(0, 180), champion_fires=False)
MINUTES = Metric("minutes", "mean", 0.1, metric="Minutes")
PAUSED, HELD = plan(Step(20, 20, approve=True), Step(50, 20)), {"max_seconds": 100, "on_timeout": "hold"}
SHADOWED = plan(Step(50, 60, shadow=True), Step(20, 20), metrics=METRICS[:2])
REPLAYED = Replayed(100, 0, 30, 1.5, ("late is true, was false",), {"no JSON": 2})
Act = Callable[[World, Told], object]


def fires(numbers: Numbers) -> Act:
    def act(world: World, told: Told) -> None:
        outage = Outage(lambda *_: numbers, Outbox(MemoryJournal(world), MemoryNotify(world), world.clock))
        said, now = Said("1 datapoint [0.5 (x)]", 0.5, 0.05), world.clock.time()
        alarm = Alarm("v-b-5xx", "ALARM", said, now, "endpoint", "v-b", ("shop/Errors",), "errors")
        answer = respond(alarm, "endpoint", world.controller(), outage, patience=10)
        told.outputs.append(answer.as_dict())
        told.conclusions.append((answer.alarm, answer.action))
        world.controller().follow(60)

    return act


def goes_back(world: World, _: Told) -> None:
    world.controller().roll_back(ADA)
    world.controller().follow(60)


def approves(world: World, _: Told) -> None:
    world.controller().approve(APPROVED)
    world.controller().follow(600)


def releases(name: str, pair: str | None) -> Act:
    return lambda world, _: world.controller().release(make_release(name), pair, plan())


STORIES: dict[str, tuple[dict[str, Any], Plan, float, tuple[Act, ...]]] = {
    "judged": ({"correct": {"v-b": 0.1}}, plan(metrics=METRICS), 600, ()),
    "promoted and taken back": ({}, SHADOWED, 900, (goes_back,)),
    "better": ({"error_rates": {"v-a": 0.2}}, plan(promote_when="better"), 600, ()),
    "an alarm of the challenger": ({}, plan(Step(50, 600)), 40, (fires(WORSE),)),
    "an alarm of both": ({}, plan(Step(50, 600)), 40, (fires(ALIKE),)),
    "replayed": ({"replays": {"v-b": REPLAYED}}, plan(replay=ReplayGate()), 60, ()),
    "too few to replay": (
        *({"replays": {"v-b": Replayed(3, 0, 0, None)}}, plan(replay=ReplayGate(), max_seconds=100), 300),
        (),
    ),
    "held": ({}, plan(**HELD, min_requests=1_000_000), 300, (approves,)),
    "paused": ({}, PAUSED, 600, (approves,)),
    "superseded": ({}, plan(), 20, (releases("c", "pair-ac"), releases("a", None))),
    "not started": ({"unstartable": {"v-b"}}, plan(), 60, (lambda world, _: world.controller().clear_rejection("b"),)),
    "broken": ({"broken": {"pair-ab"}}, plan(), 60, (lambda world, _: world.controller().skip_trial("b", SKIPPED),)),
    "out of range": ({}, plan(metrics=(*METRICS[:1], MINUTES)), 60, ()),
    "unreachable": ({}, plan(), 20, (lambda world, _: setattr(world, "metrics_problem", "no answer"),)),
}


def play(name: str) -> Told:
    """Put release b on trial in a world that is so, look twice on its way, and after each act."""
    changes, trial_plan, seconds, acts = STORIES[name]
    world, told = served_world(), Told()
    for field_, more in changes.items():
        getattr(world, field_).update(more)
    put_on_trial(world, trial_plan)
    for part in (0.25, 0.75):
        world.controller().follow(part * seconds)
        told.look(world)
    for act in acts:
        act(world, told)
        told.look(world)
    return told


def retrained() -> Told:
    """A retraining that waits, is agreed to, fails, and one that is declined."""
    told, rules = Told(), Rules()
    drift = Trigger("drift", alarm="e-v-a-drift", variant="v-a", numbers={"evidence": 1.2})
    seen = decision.RetrainingObservation(1e9, "2013-05-01", make_release("a"), firing=(drift,))
    record, _ = decision.decide(RetrainingRecord(), seen, rules, "e")
    record = decision.approve(record, seen, "anna: yes")
    record, _ = decision.decide(record, seen, rules, "e")
    failed = decision.RetrainingObservation(
        1e9, "2013-05-02", make_release("b"), job=decision.JobSeen("failed", "no memory")
    )
    record, _ = decision.decide(record, failed, rules, "e")
    soon, act = decision.decide(record, seen, rules, "e")
    assert soon.held is not None
    assert RetrainingRecord.from_json(soon.to_json()) == soon
    told.conclusions += [act, soon.phase, soon.held.obstacle.kind, [entry.kind for entry in soon.history]]
    told.outputs.append(Retraining(soon, None, None).as_dict())
    for entry in soon.history:
        sent = message(entry, "e", PLAIN)
        told.outputs += [json.loads(json.loads(sent["Message"])["sqs"]), sent["MessageAttributes"]]
    return told


@pytest.fixture
def reworded(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Replace every sentence by a meaningless one."""

    def reword() -> None:
        for made in (Reason, Event, Trigger, Obstacle, Held, RetrainingEvent):
            for name in {"text", "what", "why"} & vars(made).keys():
                monkeypatch.setattr(made, name, property(lambda _: "?"))
        monkeypatch.setattr(Reason, "brief", lambda *_: "?")
        for table in (trial._GOES_ON, explain._DECIDERS):
            for name in table:
                monkeypatch.setitem(table, name, "?")

    return reword


def differences(one: Any, other: Any, at: str = "") -> Iterator[tuple[str, Any, Any]]:
    if isinstance(one, dict) and isinstance(other, dict) and one.keys() == other.keys():
        for name in one:
            yield from differences(one[name], other[name], f"{at}.{name}")
    elif isinstance(one, list | tuple) and isinstance(other, list | tuple) and len(one) == len(other):
        for number, (left_one, right) in enumerate(zip(one, other, strict=True)):
            yield from differences(left_one, right, f"{at}.{number}")
    elif one != other:
        yield at, one, other


def assert_same_but_for_sentences(before: Told, after: Told) -> None:
    assert after.conclusions == before.conclusions
    found = list(differences(before.outputs, after.outputs))
    assert found, "the sentences were not reworded"
    for at, one, other in found:
        keys = [part for part in at.split(".") if part and not part.isdigit()]
        assert keys[-1] in SENTENCES, (at, one, other)
        assert isinstance(one, str) and isinstance(other, str), (at, one, other)


@pytest.mark.slow
@pytest.mark.parametrize("name", STORIES)
def test_rewording_every_sentence_changes_nothing_that_a_program_reads_of_a_rollout(
    name: str, reworded: Callable[[], None]
) -> None:
    before = play(name)
    reworded()
    assert_same_but_for_sentences(before, play(name))


def test_rewording_every_sentence_changes_nothing_that_a_program_reads_of_a_retraining(
    reworded: Callable[[], None],
) -> None:
    before = retrained()
    reworded()
    assert_same_but_for_sentences(before, retrained())


def test_every_kind_of_reason_has_a_sentence() -> None:
    assert set(reason._SENTENCES) == set(Kind)
