"""A person lets a step pass: `modelstack approve`, and who says that it is waited for."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from click.testing import CliRunner

from modelstack.cli.commands import deciding
from modelstack.cli.main import main
from modelstack.cli.rollback import to_take_back
from modelstack.cli.view import render
from modelstack.rollout.core.plan import Step
from modelstack.rollout.core.state import Phase
from tests.cli.conftest import plan
from tests.cli.played import TARGET, look, of_ada, printed
from tests.simulator.platform import World

Begin = Callable[..., World]
PAUSES = plan(Step(20, 20, approve=True), Step(50, 20))


@pytest.fixture
def shell(world: World, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    class Looks:
        def __init__(self, _: Any, **options: Any) -> None:
            self.state, self.decision = world.state, world.controller().status().decision

        def __call__(self) -> Any:
            return look(world)

    monkeypatch.setattr("modelstack.cli.target_options.resolve", lambda stack: TARGET)
    monkeypatch.setattr(deciding, "take", lambda *_, **__: look(world))
    monkeypatch.setattr("modelstack.cli.rollback.platform_of", lambda _: of_ada(world))
    monkeypatch.setattr("modelstack.cli.view.watching.Looks", Looks)
    return lambda *words: CliRunner().invoke(main, list(words))


def test_approving_lets_the_trial_go_on_and_keeps_who_and_why(begin: Begin, shell: Callable[..., Any]) -> None:
    world = begin(PAUSES, 600)
    done = shell("approve", "--reason", "looks well")
    assert done.exit_code == 0
    assert "step 1 of b is approved: " in done.output
    approved = next(event for event in world.state.history if event.kind == "approved")
    assert approved.text.endswith("arn:aws:iam::000000000000:user/ada: looks well")
    assert world.state.phase is Phase.BAKING


def test_a_trial_that_is_held_gets_more_time_and_keeps_who_gave_it(begin: Begin, shell: Callable[..., Any]) -> None:
    world = begin(plan(max_seconds=100, on_timeout="hold", min_requests=1_000_000), 300)
    done = shell("approve", "--reason", "the shop opens at nine")
    assert done.exit_code == 0
    assert "the trial of b goes on for another 100 s: " in done.output
    assert "the shop opens at nine" in done.output
    assert world.state.phase is Phase.BAKING


def test_a_reason_may_be_left_out(begin: Begin, shell: Callable[..., Any]) -> None:
    world = begin(PAUSES, 600)
    assert shell("approve").exit_code == 0
    assert any("is approved: by " in event.text for event in world.state.history)


def test_where_nothing_waits_for_an_approval_it_says_so(begin: Begin, shell: Callable[..., Any]) -> None:
    begin(seconds=20)
    done = shell("approve")
    assert done.exit_code == 1
    assert "nothing waits for an approval on endpoint endpoint, which is baking" in " ".join(done.stderr.split())


def test_without_a_trial_yes_alone_takes_no_champion_back(begin: Begin, shell: Callable[..., Any]) -> None:
    world = begin(plan(Step(50, 20)), 600)
    assert world.state.champion is not None and world.state.champion.id == "b"
    refused = shell("rollback", "--reason", "odd", "--yes")
    assert refused.exit_code == 1
    assert "Only to take back b and bring back a, the champion before it, add --previous" in told(refused)
    assert world.state.champion.id == "b"

    assert shell("rollback", "--reason", "odd", "--yes", "--previous").exit_code == 0
    assert world.state.champion.id == "a"


def test_after_a_trial_was_taken_back_previous_is_not_offered_when_there_is_no_champion_before(
    begin: Begin, shell: Callable[..., Any]
) -> None:
    world = begin(seconds=20)
    assert shell("rollback", "--reason", "odd", "--yes").exit_code == 0
    for words in (("--yes",), ("--yes", "--previous")):
        refused = shell("rollback", "--reason", "odd", *words)
        assert refused.exit_code == 1
        assert "Champion a serves, and there is none before it to bring back" in told(refused)
        assert "add --previous" not in told(refused)
    assert world.state.champion is not None and world.state.champion.id == "a"


def test_a_previous_champion_that_takes_long_is_not_said_to_serve_yet(begin: Begin, shell: Callable[..., Any]) -> None:
    world = begin(plan(Step(50, 20)), 600)
    world.change_seconds = 1000
    slow = shell("rollback", "--reason", "odd", "--yes", "--previous")
    assert slow.exit_code == 1
    assert "the endpoint was asked for the previous champion, but the rollout of endpoint has not ended" in told(slow)


def test_whoever_is_asked_reads_whom_it_takes_back_and_whom_it_brings_back(begin: Begin) -> None:
    trial = look(begin(seconds=20))
    assert to_take_back(trial, previous=False, sure=False) == "Take back challenger b"
    served = look(begin(plan(Step(50, 20)), 600))
    assert to_take_back(served, previous=False, sure=False) == (
        "Take back champion b, and bring back a, the one before it,"
    )


def test_with_a_trial_previous_is_refused_and_yes_takes_the_challenger_back(
    begin: Begin, shell: Callable[..., Any]
) -> None:
    world = begin(seconds=20)
    refused = shell("rollback", "--reason", "odd", "--yes", "--previous")
    assert (refused.exit_code, world.state.challenger is not None) == (2, True)
    assert shell("rollback", "--reason", "odd", "--yes").exit_code == 0
    assert world.state.verdict is not None
    assert (world.state.verdict.outcome, world.state.verdict.release) == ("rolled_back", "b")


def told(result: Any) -> str:
    return " ".join(result.stderr.split())


def test_status_says_that_an_approval_is_waited_for(begin: Begin, world: World) -> None:
    assert "modelstack approve" not in printed(render.snapshot(look(world)))
    waits = printed(render.snapshot(look(begin(PAUSES, 600))))
    assert 'needs a person\'s approval; type: modelstack approve --reason "..."' in waits


def test_status_shows_the_copies_that_a_shadow_gets(begin: Begin) -> None:
    world = begin(plan(Step(50, 60, shadow=True), Step(20, 20)), 20)
    assert "copies 50%" in printed(render.variants(look(world).variants))


def test_watch_ends_with_the_code_of_what_it_saw(begin: Begin, shell: Callable[..., Any]) -> None:
    begin(PAUSES, 600)
    done = shell("watch", "--until-verdict", "--json")
    assert done.exit_code == 4
    assert json.loads(done.stdout)["trial"]["approval"] is True


def test_off_a_terminal_no_line_is_wrapped(
    begin: Begin, world: World, shell: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)
    world.error_rates["v-b"] = 0.5
    begin(seconds=600)
    assert world.state.verdict is not None and len(world.state.verdict.reason.text) > 100
    told = shell("explain").stdout
    assert world.state.verdict.reason.text in told
    assert [line for line in told.splitlines() if line != line.rstrip()] == [], "nor padded to the longest"


def test_explain_tells_a_person_and_a_program_the_same(begin: Begin, world: World, shell: Callable[..., Any]) -> None:
    world.error_rates["v-b"] = 0.5
    begin(seconds=600)
    read, document = shell("explain"), json.loads(shell("explain", "--json").stdout)
    assert "release b was rolled back at" in read.stdout
    assert document["summary"] in " ".join(read.stdout.split())
    assert (document["outcome"], document["endpoint_status"]) == ("rolled_back", "InService")
    assert [item["name"] for item in document["serving"]] == ["v-a"]
    assert shell("explain", "b").stdout == read.stdout
    assert shell("explain", "nonsense").exit_code == 1
