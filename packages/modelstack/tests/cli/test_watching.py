"""`modelstack watch`: a picture on a terminal, lines elsewhere, JSON on request, and an exit code by the verdict."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import count
from typing import Any

import pytest
from rich.console import Console

from modelstack.cli.errors import OperatorError
from modelstack.cli.view.awaited import Awaited
from modelstack.cli.view.render import snapshot
from modelstack.cli.view.snapshot import Snapshot
from modelstack.cli.view.watching import (
    NEEDS_A_PERSON,
    NOT_TRIED,
    ON_TRIAL,
    PROMOTED,
    TAKEN_BACK,
    Looks,
    Remembered,
    code_of,
    watch,
)
from modelstack.rollout.controller.ports import SignalQuery
from modelstack.rollout.core.decision import TrialObservations
from modelstack.rollout.core.plan import Plan, Step
from modelstack.services.signals import CountedSignals
from tests.cli.conftest import plan
from tests.cli.played import look, printed
from tests.rollout.worlds import release
from tests.simulator.platform import MemoryCounters, World

Begin = Callable[..., World]
TARGET: Any = type("Target", (), {"endpoint": "endpoint"})()
PACKAGES: Any = ("listed",)


@pytest.fixture
def off_terminal() -> Console:
    return Console(file=io.StringIO(), width=80)


def watched(world: World, console: Console, looks: Callable[[], Snapshot] | None = None, **options: Any) -> int:
    """Watch a world that advances two seconds a look."""

    def sleep(_: float) -> None:
        world.clock.sleep(2)
        world.controller().tick()

    chosen: dict[str, Any] = {"every": 1, "seconds": 0, "until_verdict": True, "as_json": False, **options}
    return watch(looks or (lambda: look(world)), console=console, sleep=sleep, **chosen)


def text(console: Console) -> str:
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


@pytest.mark.slow
@pytest.mark.parametrize(("share", "ends"), [(0.01, (0, "promoted")), (0.5, (1, "rolled back: errors worse"))])
def test_a_promotion_ends_it_with_0_and_a_rollback_with_1_after_a_line_for_each_change(
    begin: Begin, world: World, off_terminal: Console, share: float, ends: tuple[int, str]
) -> None:
    world.error_rates["v-b"] = share
    assert watched(begin(), off_terminal) == ends[0]
    lines = text(off_terminal).splitlines()
    assert any("v-b (challenger) 10%" in line for line in lines)
    assert any(f"verdict  {ends[1]}" in line for line in lines[-3:])
    assert len(lines) < 40
    assert "\x1b" not in text(off_terminal)


def test_a_move_to_other_instances_that_fails_ends_it_with_1_and_the_last_verdict_stays(
    begin: Begin, world: World, off_terminal: Console
) -> None:
    begin(seconds=600)
    assert world.state.champion == release("b")
    world.configs["solo-b-large"], world.broken = {"v-b": 1.0}, {"solo-b-large"}
    world.controller().release(replace(release("b"), config_name="solo-b-large"), None, plan())
    assert watched(world, off_terminal) == TAKEN_BACK == 1
    assert "moved    failed: the champion, b, does not come up on its other instances" in text(off_terminal)
    status = printed(snapshot(look(world)), 400)
    assert [part for part in ("last verdict promoted b at", "champion moved failed b at") if part not in status] == []


def test_a_withdrawn_release_ends_it_with_3(begin: Begin, off_terminal: Console) -> None:
    world = begin(seconds=20)
    world.controller().release(release("a"), None, plan())
    assert watched(world, off_terminal) == NOT_TRIED == 6


def test_nothing_on_trial_is_0_whatever_the_verdict_before(begin: Begin, world: World, off_terminal: Console) -> None:
    world.error_rates["v-b"] = 0.5
    begin(seconds=600)
    assert watched(world, off_terminal, seconds=1e-9, until_verdict=False) == PROMOTED
    with pytest.raises(OperatorError, match="nothing is on trial on endpoint: the last verdict is b rolled back") as no:
        watched(world, off_terminal)  # a verdict from before is no answer, green or red
    assert (no.value.exit_code, "watch --next" in str(no.value.hint)) == (2, True)


def test_nothing_on_trial_does_not_end_it_where_no_verdict_is_waited_for(world: World, off_terminal: Console) -> None:
    looks = count(1)

    def once() -> Snapshot:
        if next(looks) == 4:
            raise KeyboardInterrupt
        return look(world)

    with pytest.raises(KeyboardInterrupt):
        watched(world, off_terminal, once, until_verdict=False)
    assert "idle" in text(off_terminal)


def of(world: World, word: str) -> dict[str, Any]:
    awaited = Awaited(word, world.clock.time())
    return {"named": lambda: awaited.stands(world.state), "until_verdict": False}


def starting(world: World, off_terminal: Console, word: str, after: int, **options: Any) -> int:
    looks = count(1)

    def once() -> Snapshot:
        if next(looks) == after:
            world.controller().release(release("b"), "pair-ab", plan())
        return look(world)

    return watched(world, off_terminal, once, **of(world, word), **options)


@pytest.mark.parametrize("word", ["b", "v-b"])
@pytest.mark.parametrize(("share", "code"), [(0.0, PROMOTED), (0.5, TAKEN_BACK)])
def test_a_release_that_was_named_is_waited_for_beside_an_update_that_starts(
    world: World, off_terminal: Console, word: str, share: float, code: int
) -> None:
    assert world.state.verdict is not None and world.state.verdict.outcome == "promoted", "the old verdict is green"
    world.error_rates["v-b"] = share
    assert starting(world, off_terminal, word, after=5) == code


def test_a_verdict_on_a_release_from_before_counts_only_where_it_is_still_true(
    world: World, begin: Begin, off_terminal: Console
) -> None:
    begin(seconds=600)
    assert world.state.champion == release("b")
    assert watched(world, off_terminal, **of(world, "b")) == PROMOTED, "it serves"
    assert watched(world, off_terminal, **of(world, world.state.rollout_id)) == PROMOTED
    with pytest.raises(OperatorError, match="has not begun within") as late:
        watched(world, off_terminal, **of(world, "a"), seconds=1e-9)  # promoted once, and not meant now
    assert late.value.exit_code == 5
    with pytest.raises(OperatorError, match="has not begun"):
        watched(world, off_terminal, **of(world, "000099-c"), seconds=1e-9)


def test_a_verdict_from_before_says_in_words_that_nothing_was_waited_for(
    world: World, off_terminal: Console, capsys: pytest.CaptureFixture[str]
) -> None:
    def said() -> str:
        return capsys.readouterr().err

    assert (watched(world, off_terminal, **of(world, "a")), said()) == (
        PROMOTED,
        "what was named was promoted already: this command has waited for no verdict\n",
    )
    world.error_rates["v-b"] = 0.5
    assert (starting(world, off_terminal, "b", after=3), said()) == (TAKEN_BACK, ""), "it was waited for"
    assert (watched(world, off_terminal, **of(world, "b")), "rolled back already" in said()) == (TAKEN_BACK, True)


def test_a_release_that_was_withdrawn_once_is_waited_for_anew(
    world: World, begin: Begin, off_terminal: Console
) -> None:
    began = world.clock.time()
    begin(seconds=20).controller().release(release("a"), None, plan())
    world.controller().follow(60)
    assert Awaited("b", began).stands(world.state) == "withdrawn"
    world.clock.sleep(60)
    assert Awaited("b", world.clock.time()).stands(world.state) is None, "an update may be about to release it again"
    assert starting(world, off_terminal, "b", after=3) == PROMOTED


@pytest.mark.parametrize(
    "trial",
    [plan(Step(20, 20, approve=True)), plan(max_seconds=100, on_timeout="hold", min_requests=1_000_000)],
    ids=["approval", "held"],
)
def test_a_trial_ends_it_with_5_when_the_time_is_over_and_with_4_when_it_waits_for_a_person(
    begin: Begin, trial: Plan, off_terminal: Console
) -> None:
    world = begin(trial, 10)
    for named in ({}, of(world, "b")):
        assert watched(world, off_terminal, **{"until_verdict": False, **named}, seconds=1e-9) == ON_TRIAL == 5
    for named in ({}, of(world, "b")):
        assert watched(world, off_terminal, **named) == NEEDS_A_PERSON == 4


def test_where_nothing_was_ever_released_it_ends_with_0(world: World) -> None:
    seen = replace(look(world), phase="none", verdict=None)
    assert code_of(seen, seen) == PROMOTED


def test_a_superseded_trial_is_followed_to_the_end_of_the_next(begin: Begin, off_terminal: Console) -> None:
    world = begin(seconds=20)
    first = look(world)
    world.controller().release(release("c"), "pair-ac", plan())
    assert code_of(first, look(world)) == ON_TRIAL
    assert watched(world, off_terminal) == PROMOTED
    assert world.state.champion == release("c")


@pytest.mark.slow
def test_json_is_an_object_a_look_and_nothing_else(
    begin: Begin, off_terminal: Console, capsys: pytest.CaptureFixture[str]
) -> None:
    assert watched(begin(), off_terminal, as_json=True) == PROMOTED
    looks = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert len(looks) > 20
    assert {"variants", "trial", "events", "alarms", "verdict"} <= looks[0].keys()
    baking = next(item for item in looks if item["trial"] and item["trial"]["requests"])
    assert baking["trial"]["evidence"][0]["worse"]["need"] == 20
    assert baking["variants"][0]["asked"] == 90
    assert (looks[-1]["trial"], looks[-1]["verdict"]["outcome"]) == (None, "promoted")
    assert text(off_terminal) == ""


@pytest.mark.slow
def test_on_a_terminal_the_last_picture_stays(begin: Begin) -> None:
    console = Console(file=io.StringIO(), width=80, height=24, force_terminal=True)
    assert watched(begin(seconds=40), console, every=0.5) == PROMOTED
    assert text(console).rstrip().count("\n") > 10
    assert "promoted" in text(console)[-2500:]


def failing(world: World, answers: Iterator[bool]) -> Callable[[], Snapshot]:
    def once() -> Snapshot:
        if next(answers):
            return look(world)
        raise OperatorError("the local cloud does not answer")

    return once


@pytest.mark.slow
def test_a_look_that_fails_is_told_once_and_tried_again(begin: Begin, off_terminal: Console) -> None:
    world = begin(seconds=10)
    answers = iter([True, False, False, False, *[True] * 500])
    assert watched(world, off_terminal, failing(world, answers)) == PROMOTED
    assert text(off_terminal).count("cannot look: the local cloud does not answer") == 1


def test_a_first_look_that_fails_is_an_error(world: World, off_terminal: Console) -> None:
    with pytest.raises(OperatorError):
        watched(world, off_terminal, failing(world, iter([False])))
    assert text(off_terminal) == ""


class Counted:
    def __init__(self, world: World) -> None:
        self.asked = 0
        self._signals = CountedSignals(MemoryCounters(world))

    def read(self, ask: SignalQuery) -> TrialObservations:
        self.asked += 1
        return self._signals.read(ask)

    def quantile(self, variant: str, quantile: float, start: float, end: float) -> None:
        return None


def test_metrics_are_read_again_when_another_window_has_closed_and_after_a_while_if_they_could_not_be_read(
    world: World,
) -> None:
    counted, now = Counted(world), [0.0]
    signals = Remembered(counted, lambda: now[0])
    last = SignalQuery("v-a", "v-b", "r", 100, 199.5, 10)
    for second in range(100, 200):
        now[0] += 1
        signals.read(replace(last, end=second + 0.5))
    assert counted.asked == 10
    assert signals.read(last) == CountedSignals(MemoryCounters(world)).read(last)
    signals.read(replace(last, rollout_id="another"))
    assert counted.asked == 11
    world.metrics_problem = "throttled"
    for _ in range(10):
        now[0] += 1
        signals.read(replace(last, end=200))
    assert counted.asked == 13


def test_packages_are_read_again_only_when_the_rollout_moved_on_and_never_where_none_are_shown(
    world: World, begin: Begin, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[Any] = []

    def take(target: Any, *, state: Any, decision: Any, packages: Any) -> Any:
        given.append(packages)
        return replace(look(world), packages=PACKAGES if packages is None else packages)

    monkeypatch.setattr("modelstack.cli.view.watching.take", take)
    looks = Looks(TARGET, world.controller())
    looks()
    looks()
    begin(seconds=20)
    looks()
    Looks(TARGET, world.controller(), with_packages=False)()
    assert given == [None, PACKAGES, None, ()]
    assert looks.state.challenger is not None
    assert looks.decision is not None
