"""Every alarm says how urgent it is, where the runbook is, and what missing data means."""

from __future__ import annotations

import re

import pytest

from services.declaration.alarms import RUNBOOK
from tests.infra.recorded import OLD, ROOT, Declared, World, idle
from tests.infra.recorded import run_program as run

PAGES = {"slo-page", "probe-silent", "rollback-failing"}


@pytest.fixture(scope="module")
def world() -> World:
    return run(state=idle(OLD), retraining={"enabled": True})


def alarms(world: World) -> list[Declared]:
    return [*world.all(":MetricAlarm"), *world.all(":CompositeAlarm")]


def anchors() -> set[str]:
    """The sections of the runbook, as GitHub names them."""
    heads = re.findall(r"^#+ (.+)$", (ROOT / RUNBOOK).read_text(), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", head).lower().replace(" ", "-") for head in heads}


def test_every_alarm_has_a_severity_and_a_section_of_the_runbook_that_is_there(world: World) -> None:
    assert len(alarms(world)) == 16
    for item in alarms(world):
        said = re.fullmatch(
            rf"Severity: (page|ticket)\. .+[.!] Runbook: {RUNBOOK}#([\w-]+)", item.inputs["alarmDescription"]
        )
        assert said, f"{item.name}: {item.inputs['alarmDescription']}"
        assert item.inputs["tags"] == {"severity": said.group(1)}, item.name
        assert said.group(2) in anchors(), item.name
        assert len(item.inputs["alarmDescription"]) <= 1024, "CloudWatch takes no more"


@pytest.mark.parametrize("enabled", [False, True])
def test_two_variants_have_at_most_sixteen_alarms_which_read_at_most_fifty_metrics(enabled: bool) -> None:
    found = alarms(run(state=idle(OLD), retraining={"enabled": enabled}))
    assert len(found) <= 16
    read = [sum("metric" in query for query in item.inputs.get("metricQueries", [])) or 1 for item in found]
    assert max(read) <= 10, "CloudWatch takes no more"
    assert sum(read) <= 50, "AWS bills each"


def test_what_wakes_somebody_is_little(world: World) -> None:
    waking = {item.name for item in alarms(world) if item.inputs["tags"]["severity"] == "page"}
    assert {name for name in waking if not name.startswith("burn-")} == PAGES


def test_every_alarm_has_its_row_in_the_runbook_with_its_severity(world: World) -> None:
    rows = re.findall(r"^\| (`.+?) \| (page|ticket|as above) \| ", (ROOT / RUNBOOK).read_text(), re.MULTILINE)
    severities = {name: severity for names, severity in rows for name in re.findall(r"`([^`]+)`", names)[:2]}
    for item in alarms(world):
        name = item.inputs.get("name") or item.inputs["alarmName"]
        row = name.removeprefix("flight-delay-local-")
        row = re.sub(r"^v-[0-9a-f]{12}-", "v-<id>-", row)
        if row.startswith("burn-"):
            assert severities["burn-<window>"] == "as above", "which tells of them"
        else:
            assert severities.get(row) == item.inputs["tags"]["severity"], row
