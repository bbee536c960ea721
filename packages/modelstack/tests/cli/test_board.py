"""How a rollout looks while it is watched: in 80 columns, without colour, in ASCII, and as lines."""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from dataclasses import asdict, replace

import pytest
from rich.console import Console

from modelstack.cli.platform.facts import AlarmView, EndpointState
from modelstack.cli.target import Target
from modelstack.cli.view.board import Board, brief, brief_verdict, changes, e_value, news
from modelstack.cli.view.snapshot import Snapshot, VariantView, role, seen_at
from modelstack.cli.view.trial import trial
from modelstack.rollout.core.live import Live, Variant
from modelstack.rollout.core.plan import ReplayGate, Step
from modelstack.rollout.core.state import RolloutState
from modelstack.rollout.kinds import Kind
from modelstack.rollout.reason import Reason
from tests.cli.conftest import METRICS, plan
from tests.cli.played import look, printed
from tests.simulator.platform import World

Begin = Callable[..., World]
NUMBERS = {
    "margin": 0.02, "champion_count": 405, "champion_rate": 0.0025, "challenger_count": 45, "challenger_rate": 0,
    "evidence_worse": 0.9, "evidence_needed_worse": 60, "evidence_not_worse": 2.3, "evidence_needed_not_worse": 20,
}  # fmt: skip
FIRES = AlarmView("endpoint-v-b-5xx", "ALARM", "Threshold Crossed: 1 datapoint [0.5] was greater than the threshold")


def drawn(seen: Snapshot, problem: str = "", *, terminal: bool = False, no_color: bool = False) -> str:
    colours = "standard" if terminal else None
    return printed(Board(seen, problem), 80, force_terminal=terminal, no_color=no_color, color_system=colours)


def test_the_picture_has_weights_step_requests_time_evidence_alarms_and_events(begin: Begin) -> None:
    text = drawn(look(begin(plan(Step(50, 60), metrics=METRICS), 50)))
    for words in (
        "champion", "v-b", "50%", "1 of 1: 50% of the traffic, baked", "in this step; at least 50 are needed", "/10",
        "left of 20 min",
        "without a verdict it is rolled back", "whole trial", "errors", "latency_p99", "accuracy", "/60",
        "/20", "1, none in alarm", "b gets 50%: the endpoint is ready",
    ):  # fmt: skip
        assert words in text, words


@pytest.mark.slow
def test_the_picture_fits_an_80_by_24_terminal(begin: Begin) -> None:
    world = begin(plan(Step(50, 30, shadow=True), Step(20, 20, approve=True), metrics=METRICS, replay=ReplayGate()))
    for _ in range(20):
        world.controller().follow(10)
        lines = drawn(look(world, FIRES), "the network is down").splitlines()
        assert len(lines) <= 24
        assert any("cannot look: the network is down" in line for line in lines), "a look that failed keeps the rest"
        assert all(len(line) <= 80 for line in lines)


def test_a_shadow_step_shows_what_is_copied_and_not_a_share_of_answers(begin: Begin) -> None:
    text = drawn(look(begin(plan(Step(50, 60, shadow=True), Step(20, 20)), 20)))
    assert "gets copies of 50%" in text
    assert "1 of 2: copies of 50%" in text


def test_weights_that_are_on_their_way_are_shown_with_where_they_go(begin: Begin) -> None:
    seen = look(begin(seconds=20))
    moving = [replace(item, asked=50.0) if item.role == "challenger" else item for item in seen.variants]
    assert "10% → 50%" in drawn(replace(seen, variants=tuple(moving)))


def test_evidence_is_a_bar_between_worse_and_not_worse(begin: Begin) -> None:
    seen = look(begin(plan(Step(50, 60)), 30))
    row = seen.trial.evidence[0]
    for worse, fine, bar in ((60, 1, "███████│░░░░░░░"), (1, 20, "░░░░░░░│███████"), (1, 1, "░░░░░░░│░░░░░░░")):
        so = replace(row, worse=replace(row.worse, have=worse, need=60), not_worse=replace(row.not_worse, have=fine))
        assert bar in drawn(replace(seen, trial=replace(seen.trial, evidence=(so,))))


def test_an_alarm_that_fires_is_shown_with_its_numbers_or_else_with_its_words(begin: Begin) -> None:
    world = begin(seconds=20)
    assert "v-b-5xx: Threshold Crossed: 1 datapoint [0.5] was greater than the" in drawn(look(world, FIRES))
    numbers = replace(FIRES, value=0.5, threshold=0.05)
    assert "v-b-5xx: 50% of requests fail, 5% may\n" in drawn(look(world, numbers)).replace(" \n", "\n")


def test_the_name_of_a_metric_is_cut_only_where_there_is_no_room(begin: Begin) -> None:
    seen = look(begin(plan(Step(50, 60)), 30))
    row = replace(seen.trial.evidence[0], metric="invalid_answers_of_the_model", champion_count=9_999)
    so = replace(seen, trial=replace(seen.trial, evidence=(row,)))
    assert "invalid_answers_of_the_model" in printed(Board(so), 120)
    narrow = drawn(so)
    assert all(len(line) <= 80 for line in narrow.splitlines())
    assert any(line.startswith("invalid_answ") and "of 9,999" in line for line in narrow.splitlines())


def test_what_is_waited_for_keeps_its_evidence_however_long_it_is(begin: Begin) -> None:
    seen = look(begin(plan(Step(50, 60)), 30))
    evidence = "evidence for worse 0.9 of 60, for not worse 2.3 of 20"
    reason = Reason("judge", "so_many_words_" * 20, "", NUMBERS, Kind.NOT_YET_KNOWN, {"metric_kind": "rate"})
    long = replace(seen.trial, reason=reason.as_dict(), lacks="requests")
    assert evidence in " ".join(drawn(replace(seen, trial=long)).split())


def test_the_bake_and_what_is_waited_for_go_by_one_clock(begin: Begin) -> None:
    world = begin(plan(Step(50, 60)), 30)
    progress = world.controller().status()
    later = trial(progress.state, progress.decision, world.clock.time() + 5)
    assert later.waits_for == f"the step's bake: {later.baked:.0f} s of 60 s"


def test_without_colour_there_are_no_escapes(begin: Begin) -> None:
    seen = look(begin(seconds=40), FIRES)
    assert "\x1b" not in drawn(seen)
    assert "\x1b[1;31m" in drawn(seen, terminal=True)
    assert "31m" not in drawn(seen, terminal=True, no_color=True)


def test_a_terminal_that_knows_only_ascii_gets_only_ascii(begin: Begin) -> None:
    file = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    Console(width=80, file=file).print(Board(look(begin(seconds=40))))
    file.flush()
    assert isinstance(file.buffer, io.BytesIO)
    assert b"##" in file.buffer.getvalue()


@pytest.mark.slow
def test_off_a_terminal_there_is_a_line_a_change_and_none_without_one(begin: Begin) -> None:
    world = begin(plan(Step(20, 20, approve=True), Step(50, 20)))
    world.error_rates |= dict.fromkeys(("v-a", "v-b"), 0.0)
    before: Snapshot | None = None
    lines: list[str] = []
    for _ in range(200):
        seen = look(world)
        lines += news(before, seen)
        before = seen
        world.clock.sleep(1)
        world.controller().tick()
    steps = [line.split("%")[0] for line in lines if line.startswith("step")]
    assert steps == [
        "step     before the first of 2: no traffic yet", "step     1 of 2: 20", "step     1 of 2: 20",
    ]  # fmt: skip
    assert sum(line.startswith("judge    errors not worse") for line in lines) == 1
    assert lines[-1] == '         type: modelstack approve --reason "..."'
    assert len(lines) < 25
    assert news(before, look(world)) == []


def test_no_alarm_fires_is_not_said_calmly_while_one_has_no_data(begin: Begin) -> None:
    seen = look(begin(seconds=20), AlarmView("endpoint-v-b-5xx", "INSUFFICIENT_DATA", ""))
    shown = io.StringIO()
    Console(file=shown, force_terminal=True, color_system="standard", width=120).print(Board(seen))
    assert re.search("\x1b\\[33m1, none in alarm, 1 of them without data", shown.getvalue()), shown.getvalue()


def test_numbers_that_move_are_no_news_but_another_thing_to_wait_for_is(begin: Begin) -> None:
    seen = look(begin(seconds=20))
    later = replace(seen, trial=replace(seen.trial, waits_for="the step's bake: 21 s of 30 s", requests=99))
    few = "waiting for requests: too little traffic"
    other = replace(seen, trial=replace(seen.trial, waits_for=few, lacks="requests"))
    assert news(seen, later) == []
    assert news(seen, other) == ["waits    waiting for requests: too little traffic"]


@pytest.mark.parametrize(("number", "words"), [(0.001, "0.0"), (9.94, "9.9"), (9.96, "10"), (60, "60"), (1e30, ">999")])
def test_evidence_takes_four_characters(number: float, words: str) -> None:
    assert e_value(number) == words


SEEN = Snapshot(
    at="2026-01-01T00:00:00+00:00",
    stack="local",
    endpoint="e",
    status="InService",
    config="c",
    phase="idle",
    champion="a",
    challenger=None,
    champion_package="sha256:aa",
    challenger_package=None,
    verdict=None,
    variants=(VariantView("v-a", "champion", 100, 100, 1, ""),),
    alarms=(AlarmView("e-5xx", "OK", ""),),
    packages=(),
)


def test_the_first_look_tells_what_stands_and_the_next_nothing_when_nothing_changed() -> None:
    assert changes(None, SEEN) == ["weights  v-a (champion) 100%", "rollout  idle"]
    assert changes(SEEN, replace(SEEN, at="later", config="other")) == []


def test_an_alarm_is_told_when_it_begins_to_fire_by_its_numbers_and_when_it_stops() -> None:
    words = "Threshold Crossed: 1 datapoint was received for 2 periods and 1 missing one was treated as [NonBreaching]"
    firing = replace(SEEN, alarms=(AlarmView("e-5xx", "ALARM", words, "page", 0.48012, 0.05),))
    assert changes(SEEN, firing) == ["alarm    e-5xx fires: 48% of requests fail, 5% may"]
    assert changes(firing, firing) == []
    assert changes(firing, SEEN) == ["alarm    e-5xx is ok again"]


def test_a_line_that_is_too_short_for_a_reason_still_has_the_evidence() -> None:
    reason = Reason("judge", "errors", "", NUMBERS | {"lacking": 100}, Kind.NOT_YET_KNOWN, {"metric_kind": "rate"})
    whole = brief_verdict({"reason": asdict(reason)}, 400)
    assert whole == reason.text
    line = brief_verdict({"reason": asdict(reason)})
    assert len(line) <= 110
    assert line.startswith("not yet known: errors: 0.00% of 45 requests")
    assert line.endswith(" ... evidence for worse 0.9 of 60, for not worse 2.3 of 20")
    assert brief("many words; " + "of one clause " * 20).endswith(" ...")


def test_no_weight_at_all_is_no_share_and_not_an_even_split() -> None:
    def shown(*weights: float) -> list[float]:
        live = Live("ready", "c", {f"v-{place}": Variant(weight, weight, 1) for place, weight in enumerate(weights)})
        target, state = Target("local", "endpoint", "", {}), RolloutState("endpoint")
        return [
            row.weight for row in seen_at(0, target, EndpointState("InService", live), state, None, alarms=()).variants
        ]

    assert shown(0.0, 0.0) == [0.0, 0.0]
    assert shown(9.0, 1.0) == [90.0, 10.0]


def test_a_variant_that_the_journal_does_not_know_has_no_role() -> None:
    assert role("v-x", RolloutState("e")) == "-"
