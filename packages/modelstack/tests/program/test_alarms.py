"""The alarms on AWS: each keeps to what CloudWatch takes, and has its place in the runbook."""

from __future__ import annotations

import re
from typing import Any

import pytest

from modelstack.rollout.core.state import RolloutState
from modelstack.services.declaration.alarms import RUNBOOK
from tests.program.recorded import IMAGE, LOCAL, OLD, ROOT, SOURCE, Answers, Declared, World, idle, release
from tests.program.recorded import run_program as run

PAGES = {"slo-page", "probe-silent", "rollback-failing"}
BURN = ["burn-fast", "burn-slow", "burn-still"]
QUEUED, LATE = "ApproximateNumberOfMessagesVisible", "LabelsDelay"


@pytest.fixture(scope="module")
def world() -> World:
    return run(state=idle(OLD), retraining={"enabled": True})


def alarms(world: World) -> list[Declared]:
    return [*world.all(":MetricAlarm"), *world.all(":CompositeAlarm")]


def counts(inputs: dict[str, Any]) -> dict[tuple[str, str], dict[str, Any]]:
    """The metrics that an alarm reads, by name and what they are of."""
    read = [query["metric"] for query in inputs["metricQueries"] if "metric" in query]
    return {(metric["metricName"], *metric["dimensions"].values()): metric for metric in read}


@pytest.mark.slow
def test_every_alarm_has_a_severity_and_a_section_of_the_runbook_that_is_there(world: World) -> None:
    heads = re.findall(r"^#+ (.+)$", (ROOT / RUNBOOK).read_text(), re.MULTILINE)
    anchors = {re.sub(r"[^\w -]", "", head).lower().replace(" ", "-") for head in heads}
    assert len(alarms(world)) == 16
    for item in alarms(world):
        said = re.fullmatch(
            rf"Severity: (page|ticket)\. .+[.!] Runbook: {RUNBOOK}#([\w-]+)", item.inputs["alarmDescription"]
        )
        assert said, f"{item.name}: {item.inputs['alarmDescription']}"
        assert item.inputs["tags"] == {"severity": said.group(1)}, item.name
        assert said.group(2) in anchors, item.name
        assert len(item.inputs["alarmDescription"]) <= 1024, "CloudWatch takes no more"


def test_every_alarm_has_its_row_in_the_runbook_with_its_severity_and_few_page(world: World) -> None:
    rows = re.findall(r"^\| (`.+?) \| (page|ticket|as above) \| ", (ROOT / RUNBOOK).read_text(), re.MULTILINE)
    severities = {name: severity for names, severity in rows for name in re.findall(r"`([^`]+)`", names)[:2]}
    assert severities["burn-<window>"] == "as above"
    found: dict[str, str] = {}
    for item in alarms(world):
        name = (item.inputs.get("name") or item.inputs["alarmName"]).removeprefix("flight-delay-local-")
        if not name.startswith("burn-"):
            found[re.sub(r"^v-[0-9a-f]{12}-", "v-<id>-", name)] = item.inputs["tags"]["severity"]
    assert found == {name: severities.get(name) for name in found}
    assert {name for name, severity in found.items() if severity == "page"} == PAGES


@pytest.mark.slow
@pytest.mark.parametrize("enabled", [False, True])
def test_two_variants_have_at_most_sixteen_alarms_which_read_at_most_fifty_metrics(enabled: bool) -> None:
    found = alarms(run(state=idle(OLD), retraining={"enabled": enabled}))
    assert len(found) <= 16
    read = [sum("metric" in query for query in item.inputs.get("metricQueries", [])) or 1 for item in found]
    assert max(read) <= 10, "CloudWatch takes no more"
    assert sum(read) <= 50, "AWS bills each"


@pytest.mark.parametrize("stack", ["dev", "prod"])
def test_an_alarm_on_the_budget_reads_metrics_of_one_period_on_aws_too(stack: str) -> None:
    source = {**SOURCE, "release": release(LOCAL, "2" * 64).as_dict()}
    world = run(stack, state=None, serving={"image": IMAGE}, answers=Answers(source=source))
    for name in (*BURN, "slo-ticket"):
        read = counts(world.alarm(name)).values()
        assert len(read) <= 10
        assert len({metric["period"] for metric in read}) == 1


def test_people_are_notified_by_one_alarm_of_each_severity_and_by_no_other(world: World) -> None:
    for name in (*BURN, "probe-silent"):
        assert not world.alarm(name).get("alarmActions"), "it would notify people of one fault twice"
    page = world.one(":CompositeAlarm", "slo-page").inputs
    assert page["alarmActions"] and world.alarm("slo-ticket")["alarmActions"]
    prefix = "flight-delay-local-burn"
    assert page["alarmRule"] == (
        f'((ALARM("{prefix}-fast") OR ALARM("{prefix}-slow")) AND ALARM("{prefix}-still")) OR '
        'ALARM("flight-delay-local-probe-silent")'
    )


def test_another_release_adds_queries_and_changes_only_the_sums() -> None:
    def queries(state: RolloutState) -> dict[str, Any]:
        return {item["id"]: item for item in run(state=state).alarm("burn-fast")["metricQueries"]}

    one, two = queries(idle(release(LOCAL))), queries(idle(OLD))
    assert {id_ for id_ in one if one[id_] != two[id_]} == {"requests", "failed", "slow"}
    assert {id_.partition("_")[0] for id_ in two.keys() - one.keys()} == {"requests", "failed", "slow"}
    places = {id_: place for place, id_ in enumerate(two)}
    assert [places[id_] for id_ in one if "_" not in id_] == list(range(6)), "the sums first, where they stay"
    variants = sorted((OLD.variant, release(LOCAL).variant))
    assert two["failed"]["expression"] == " + ".join(f"failed_{name.replace('-', '_')}" for name in variants)


def test_every_function_and_every_queue_has_one_alarm_that_notifies_people(world: World) -> None:
    page, ticket = world.alarm("rollback-failing"), world.alarm("functions-failing")
    functions = {("Errors", LOCAL.function(name)) for name in ("advance", "drift", "labels", "retrain")}
    queues = {(QUEUED, f"{LOCAL.prefix}-{name}-dlq") for name in ("captures", "labels")}
    others = {("DriftUnmeasured", LOCAL.endpoint), (LATE, LOCAL.endpoint)}
    assert counts(ticket).keys() == functions | queues | others
    assert counts(page).keys() == {("Errors", LOCAL.function("rollback")), (QUEUED, LOCAL.dead_letters)}
    for inputs in (page, ticket):
        assert inputs["alarmActions"]
        most = {query["id"]: query["expression"] for query in inputs["metricQueries"] if "expression" in query}["most"]
        read = {query["id"] for query in inputs["metricQueries"] if "metric" in query} - {"delay", "files"}
        assert all(name in most for name in read), "one that is read and not compared never fires"
    assert ("Errors", LOCAL.function("retrain")) not in counts(run(state=idle(OLD)).alarm("functions-failing"))


@pytest.mark.slow
def test_probe_runs_as_often_as_the_config_says_and_not_at_all_when_it_says_null() -> None:
    often = run(slo={"probe_minutes": 5})
    assert often.function("advance")["environment"]["variables"]["PROBE_MINUTES"] == "5"
    assert often.alarm("probe-silent")["period"] == 300
    assert not [item for item in often.resources if item.name == "advance-silent"]
    never = run(slo={"probe_minutes": None})
    assert never.function("advance")["environment"]["variables"]["PROBE_MINUTES"] == "0"
    assert not [item for item in never.resources if "probe" in item.name]
    worker = never.alarm("advance-silent")
    assert (worker["treatMissingData"], worker["dimensions"]) == (
        "breaching",
        {"FunctionName": LOCAL.function("advance")},
    )
    assert worker["alarmActions"], "without a probe, nothing else notices that the worker is gone"
    page = never.one(":CompositeAlarm", "slo-page").inputs
    assert "probe-silent" not in page["alarmRule"]
    assert "silent" not in page["alarmDescription"]
