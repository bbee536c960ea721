"""What a person sees first: what is wrong, since when, what was done, and what to do."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace

import pytest

from modelstack.cli.errors import OperatorError
from modelstack.cli.platform.facts import AlarmView, ServedView
from modelstack.cli.view import render
from modelstack.cli.view.budget import BudgetView
from modelstack.cli.view.explain import explain
from modelstack.cli.view.narrate import told
from modelstack.cli.view.situation import situation
from modelstack.cli.view.snapshot import Snapshot, deleted_alarms, moment, with_parts
from modelstack.rollout.controller.commands import PLAIN
from modelstack.rollout.core.plan import Step
from modelstack.rollout.kinds import Kind
from modelstack.rollout.reason import Reason
from modelstack.services.declaration.alarm_names import METRIC, alarm_name, measure_of
from tests.cli.conftest import plan
from tests.cli.played import look, printed
from tests.rollout.worlds import release
from tests.simulator.platform import World

Begin = Callable[..., World]
RUNBOOK = "docs/how-to/runbook.md#what-each-alarm-means"
FIRES = Reason("alarm", "endpoint-v-b-5xx", "0.57 > 0.05", {"value": 0.57, "threshold": 0.05}, Kind.ALARM)


def fires(world: World, name: str, value: float | None = 0.57, severity: str = "ticket") -> AlarmView:
    since = moment(world.clock.time() - 720)
    return AlarmView(f"endpoint-{name}", "ALARM", "its own words", severity, value, 0.05, since, RUNBOOK)


def silent(name: str) -> AlarmView:
    return AlarmView(f"endpoint-{name}", "INSUFFICIENT_DATA", "")


@pytest.fixture
def promoted(begin: Begin) -> World:
    world = begin(plan(Step(50, 20)), 600)
    assert world.state.champion == release("b")
    return world


def start(seen: Snapshot) -> str:
    return f"{seen.at[:14]}00:00+00:00"


def test_a_failing_champion_is_told_with_its_requests_its_age_and_the_way_back(promoted: World) -> None:
    seen = look(promoted, fires(promoted, "v-b-5xx"), fires(promoted, "slo-page", 20, "page"))
    found = situation(seen, [ServedView("v-b", 2170, 1234, 0, {})], start(seen))
    assert found.state == "wrong"
    assert found.what.startswith("57% of the requests fail since 19") and found.what.endswith(": 1,234 of 2,170.")
    assert " UTC (" in found.what and " ago)" in found.what
    assert [fact.partition(" since")[0] for fact in found.facts] == [
        "Alarm slo-page fires", "Alarm v-b-5xx fires", "Champion b",
    ]  # fmt: skip
    assert found.facts[0].endswith("(12 min ago): value 20, threshold 0.05."), "what pages comes first"
    assert found.facts[1].endswith("57% of requests fail, 5% may.")
    assert found.facts[2].endswith("before it: a.")
    assert found.next == ('`modelstack rollback --previous --reason "..."` brings a back, if it began with b',)
    assert found.runbook == RUNBOOK


def test_explain_names_what_to_do_about_a_firing_alarm_and_does_not_call_the_rollback_the_end(begin: Begin) -> None:
    world = begin(seconds=20)
    world.controller().roll_back(FIRES, variant="v-b")
    world.controller().follow(60)
    story = explain(world.state, None, world.clock.time())
    assert "`modelstack clear b` lets the same release be tried again" in story.next
    firing = look(world, fires(world, "slo-page", 20, "page"))
    text = " ".join(printed(told(story, firing, situation(firing)), 100).split())
    assert text.startswith("Alarm slo-page fires since ")
    assert "urgent" not in text and "modelstack clear" not in text
    quiet = look(world)
    text = printed(told(story, quiet, situation(quiet)), 200)
    assert "modelstack clear b" in text and "modelstack explain" not in text, "it does not refer to itself"


def test_the_alarm_that_decided_is_told_with_its_value_then_and_now(begin: Begin) -> None:
    world = begin(seconds=20)
    world.controller().roll_back(replace(FIRES, name="endpoint-slo-page"))
    world.controller().follow(60)

    def done(*alarms: AlarmView) -> str:
        return situation(look(world, *alarms)).facts[-1]

    assert done(fires(world, "slo-page", 3.0)).endswith(
        "alarm slo-page: then value 0.57, threshold 0.05; now value 3, threshold 0.05."
    )
    assert done(AlarmView("endpoint-slo-page", "OK", "")).endswith("; it no longer fires.")
    assert done(silent("slo-page")).endswith("; now it has no data.")
    world.controller().release(release("c"), "pair-ac", plan())
    world.controller().roll_back(replace(FIRES, name="endpoint-v-c-5xx"))
    world.controller().follow(60)
    assert "alarm v-c-5xx: then 57% of requests fail, 5% may; that version serves no more" in done()


def test_after_a_double_rollback_both_verdicts_are_told(promoted: World) -> None:
    world = promoted
    world.controller().release(release("c"), "pair-bc", plan(Step(50, 600)))
    world.controller().follow(30)
    world.controller().roll_back(replace(FIRES, name="endpoint-v-c-5xx"), variant="v-c")
    world.controller().follow(60)
    assert situation(look(world)).facts[-1].startswith("c was rolled back "), "one rollback is one verdict"
    world.controller().roll_back(FIRES, variant="v-b")
    world.controller().follow(60)
    assert world.state.champion == release("a")
    last, before = situation(look(world)).facts[-2:]
    assert last.startswith("b was rolled back ") and "alarm v-b-5xx: then 57% of requests fail" in last
    assert re.fullmatch(
        r"Before that, .+ UTC \(.+ ago\): c rolled back: alarm v-c-5xx: value 0.57, threshold 0.05\.", before
    )
    world.controller().release(release("d"), "pair-ad", plan(Step(50, 600)))
    world.controller().follow(30)
    world.controller().roll_back(replace(FIRES, name="endpoint-v-d-5xx"), variant="v-d")
    world.controller().follow(60)
    assert "Before that" not in " ".join(situation(look(world)).facts)


def test_alarms_of_versions_that_serve_no_more_are_hidden_and_those_of_the_challenger_are_not(begin: Begin) -> None:
    world = begin(plan(Step(50, 600)), 30)
    old = fires(world, "v-c-5xx")
    assert [alarm.name for alarm in look(world, old, fires(world, "v-b-5xx")).firing] == ["endpoint-v-b-5xx"]
    seen = look(world, old)
    assert (seen.alarms, situation(seen).state) == ((), "unknown")


@pytest.mark.parametrize("metric", ["passenger_cost", "p99", "drift", "failing"])
def test_an_alarm_on_a_metric_of_the_project_is_that_of_its_version_and_names_the_metric(
    begin: Begin, metric: str
) -> None:
    world = begin(plan(Step(50, 600)), 30)
    name = alarm_name("endpoint", "v-b", f"{METRIC}{metric}")
    seen = look(world, fires(world, f"v-c-metric-{metric}"), replace(fires(world, "", 3.25), name=name, threshold=1))
    assert [alarm.name for alarm in seen.firing] == [name], "those of versions that serve no more are hidden"
    found = situation(seen)
    assert found.state == "wrong"
    assert found.what.startswith(f"Alarm v-b-metric-{metric} fires since ")
    assert found.what.endswith(f": evidence 3.2 that the mean {metric} is beyond its threshold, 1 is enough.")
    assert (
        found.next[0].startswith(f"`modelstack status --all` shows {metric} of each version") and len(found.next) == 1
    )
    assert "1 fire" in printed(render.Brief(seen, found), 200)
    story = told(explain(world.state, None, world.clock.time()), seen, found)
    assert f"Alarm v-b-metric-{metric} fires" in " ".join(printed(story, 100).split())
    assert f"v-b-metric-{metric}" in printed(render.alarms(seen.alarms, "endpoint"), 200)


def test_an_endpoint_may_be_named_like_a_metric() -> None:
    assert measure_of("x-metric-y-v-b-5xx") == "5xx"
    assert measure_of("x-metric-prometheus") == "prometheus"


def test_what_has_no_data_is_never_well(promoted: World) -> None:
    quiet = AlarmView("endpoint-v-b-5xx", "OK", "")
    assert situation(look(promoted, quiet)).state == "well"
    found = situation(look(promoted, quiet, silent("probe-silent")))
    assert (found.state, found.what) == ("unknown", "No alarm fires, but 1 of 2 have no data: probe-silent.")
    assert situation(replace(look(promoted), alarms=())).state == "unknown"
    down = situation(replace(look(promoted, quiet), status="Failed"))
    assert (down.state, down.what) == ("wrong", "The endpoint does not answer: its status is Failed.")


def test_a_failing_champion_without_one_before_it_and_moved_requests_have_a_next_step(promoted: World) -> None:
    alone = replace(look(promoted, fires(promoted, "v-b-5xx")), previous=None)
    assert situation(alone).next == ("read the log of b's container; `pulumi up` puts a fixed version on trial",)
    pages = fires(promoted, "slo-page", severity="page"), fires(promoted, "probe-silent", severity="page")
    (step,) = situation(replace(look(promoted, *pages), previous=None)).next
    assert step == "`modelstack invoke model/example_request.json` shows whether the endpoint answers"
    moved = situation(look(promoted, fires(promoted, "v-b-drift", 1.697)))
    assert moved.what.endswith("ago): evidence 1.7 that requests differ from training, 0.05 is enough.")
    (step,) = moved.next
    assert step.startswith("`modelstack console` shows what moved; fix the sender")


def test_a_part_that_cannot_be_read_hides_neither_the_rest_nor_that_it_is_not_known(promoted: World) -> None:
    def refused() -> None:
        raise OperatorError("reading how the variants answered: InternalFailure.")

    quiet = look(promoted, AlarmView("endpoint-v-b-5xx", "OK", ""))
    seen = with_parts(quiet, {"served": refused, "retraining": lambda: "off"})
    assert (seen.retraining, seen.champion) == ("off", "b")
    found = situation(seen)
    assert (situation(quiet).state, found.state) == ("well", "unknown")
    assert found.facts[0] == "Part of this is not known: reading how the variants answered: InternalFailure."
    assert "the requests are not known" in printed(render.Brief(seen, found), 200), "and not that there were none"


def test_a_trial_says_when_it_ends_without_a_verdict(begin: Begin) -> None:
    (trial,) = (fact for fact in situation(look(begin(plan(Step(50, 600)), 30))).facts if "On trial" in fact)
    assert re.search(r" Without a verdict it is rolled back in \d+ (s|min|h)\b.*\.$", trial), trial


def test_an_empty_journal_of_an_endpoint_that_serves_is_lost_and_not_new(promoted: World) -> None:
    lost = replace(look(promoted, AlarmView("endpoint-v-b-5xx", "OK", "")), champion=None, previous=None)
    found = situation(lost)
    assert (found.state, found.what) == (
        "wrong", "v-b serves, but the journal is empty: it was lost. Nothing is rolled back or released.",
    )  # fmt: skip
    assert "Nothing was released yet." not in found.facts
    assert found.next[0].endswith("docs/how-to/recover.md#the-journal-does-not-know-what-serves")
    alarmed = replace(lost, alarms=(fires(promoted, "v-b-5xx"),))
    assert situation(alarmed).next == found.next, "nothing else can be done before"
    new = replace(lost, variants=())
    assert "Nothing was released yet." in situation(new).facts and "pulumi up" in situation(new).next[0]


def test_a_deleted_alarm_is_named_with_what_makes_it_again(promoted: World) -> None:
    slow, pages = AlarmView("endpoint-v-b-p99", "OK", ""), AlarmView("endpoint-slo-page", "OK", "")
    seen = look(promoted, slow, pages)
    assert deleted_alarms(seen) == ("endpoint-v-b-5xx",), "not those of v-a, which serves no more"
    assert deleted_alarms(look(promoted, slow)) == (), "one alarm alone may say that none can be read"
    found = situation(replace(seen, deleted=deleted_alarms(seen)))
    assert found.state == "unknown"
    assert found.what == "No alarm fires, but these were deleted and roll nothing back: v-b-5xx."
    assert found.next == ("`pulumi up --refresh` makes again what was deleted",)
    seen = look(promoted, slow, fires(promoted, "slo-page", 20, "page"))
    found = situation(replace(seen, deleted=deleted_alarms(seen)))
    assert found.what.startswith("Alarm slo-page fires")
    assert found.facts[0] == "Deleted alarms, which roll nothing back: v-b-5xx."


def test_a_deleted_function_is_named_with_what_makes_it_again(promoted: World) -> None:
    gone = ("function e-rollback is deleted", "schedule e-drift is disabled")
    seen = replace(look(promoted, fires(promoted, "functions-failing")), stopped=gone)
    found = situation(seen)
    assert found.what.startswith("Alarm functions-failing fires")
    assert found.facts[0] == "Does not run: function e-rollback is deleted; schedule e-drift is disabled."
    assert found.next == ("`pulumi up --refresh` makes again what was deleted",)
    assert situation(replace(seen, stopped=())).next == ("read the log /aws/lambda/endpoint, which says why",)
    found = situation(replace(look(promoted, AlarmView("endpoint-v-b-5xx", "OK", "")), stopped=gone))
    assert (found.state, found.what[:56]) == ("unknown", "No alarm fires, but function e-rollback is deleted; sche")
    assert not [fact for fact in found.facts if "deleted" in fact], "once is enough"


def test_a_failing_challenger_is_told_alone_and_the_champion_gets_its_traffic_back(begin: Begin) -> None:
    world = begin(plan(Step(50, 600)), 30)
    seen = look(world, fires(world, "v-b-5xx"))
    counted = [ServedView("v-a", 9000, 0, 0, {}), ServedView("v-b", 1000, 52, 0, {})]
    found = situation(seen, counted, start(seen))
    assert found.what.startswith("5.2% of the requests to challenger v-b fail since ")
    assert found.what.endswith(": 52 of 1,000.")
    assert found.next[0] == '`modelstack rollback --reason "..."` gives champion a all traffic'
    world.controller().roll_back(FIRES)
    found = situation(look(world, fires(world, "v-b-5xx")))
    assert found.facts[-1].startswith("Under way since ") and ": a gets 100% back: alarm" in found.facts[-1]
    assert found.next == ("`modelstack watch --until-verdict` follows the change of traffic that is under way",)


def test_a_trial_that_waits_for_a_person_says_what_to_type(begin: Begin) -> None:
    world = begin(plan(Step(20, 20, approve=True)), 600)
    assert situation(look(world)).next == ('`modelstack approve --reason "..."` lets it take its next step',)


@pytest.mark.parametrize("width", [80, 200])
def test_status_has_at_most_25_lines_and_no_command_of_it_is_cut(begin: Begin, width: int) -> None:
    world = begin(plan(Step(50, 600)), 30)
    names = [f"v-b-{name}" for name in ("5xx", "p99", "drift", "concept")] + [f"slo-{number}" for number in range(20)]
    seen = look(world, *(fires(world, name) for name in names))
    wordy = dict.fromkeys(("agreement", "restored", "retraining"), "a long sentence " * 20)
    budgets = (BudgetView("availability", 0.999, 30, 100_000, 25, 100, 0.75),) * 9
    seen = replace(seen, budgets=budgets, **wordy)
    found = situation(seen, [ServedView("v-b", 2170, 1234, 0, {})], start(seen))
    lines = printed(render.Brief(seen, found), width).splitlines()
    assert len(lines) <= render.LINES
    assert lines[0].startswith("57% of the requests to challenger v-b fail since ")
    text = " ".join(" ".join(lines).split())
    assert all(step in text for step in found.next)
    assert lines[-1] == f"More: `{PLAIN.modelstack} status --all`"


def test_a_champion_without_an_instance_comes_first_with_what_the_platform_says_of_it(promoted: World) -> None:
    seen = look(promoted, fires(promoted, "v-b-5xx"))
    rows = tuple(replace(row, instances=0) for row in seen.variants)
    found = situation(replace(seen, variants=rows, detail="Deployment solo-b is not there"))
    assert found.state == "wrong"
    assert found.what == "Champion v-b has no ready instance, so its requests fail: Deployment solo-b is not there."
    assert found.next[0] == "`pulumi up --refresh` makes again what was deleted"
    assert situation(seen).next[0] != found.next[0]
