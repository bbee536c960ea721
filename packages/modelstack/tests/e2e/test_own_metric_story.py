"""A metric of the team's own: real traffic, the real engine and functions, and a challenger that is worse by it alone.

Each test continues where the one before ended.
"""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result

from bench.bed import Bed, import_path
from modelstack.cli.local.stack import Stack
from modelstack.cli.replay import Report
from modelstack.monitoring.custom import load
from modelstack.rollout.core.state import Phase
from tests.e2e.conftest import (
    PACKAGES,
    QUICK,
    Unpreviewed,
    advance,
    having,
    journal,
    said,
    succeeded,
    typed,
)
from tests.platforms.load import wait_for
from tests.process import ROOT
from tests.small import SMALL

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(1200)]

PATIENCE = 900  # seconds for anything; loose, for the machine may be busy
UNDECIDED = """
from modelstack.monitoring.custom import rate


@rate(better="lower", margin=0.2, alarm=0.9)
def undecided(request, answer):
    return 0.15 < answer["probability"] < 0.85
"""
SHORT: dict[str, Any] = {**QUICK, "watch_minutes": 0}


@pytest.fixture(scope="module")
def checkout(story: Bed) -> Path:
    """A project of a team with one metric of its own."""
    root = story.folder / "checkout"
    for folder in (*PACKAGES, "requirements"):
        shutil.copytree(ROOT / folder, root / folder, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "Pulumi.yaml", root)
    (root / ".venv").symlink_to(ROOT / ".venv")
    (root / "monitoring").mkdir()
    defined(root, UNDECIDED)
    return root


@pytest.fixture(scope="module")
def versions(story: Bed, checkout: Path) -> list[Stack]:
    """A model whose answers are often decided, two whose are never, and another one that is as good as the first."""
    first = having(story.stack.with_parameters(story.folder, **SMALL), SHORT, capture_percent=100)
    stacks = [first.with_parameters(story.folder, max_iter=trees) for trees in (40, 1, 41)]
    environment = {**story.environment, "PYTHONPATH": import_path(checkout)}
    return [Unpreviewed("local", environment, checkout, stack.config) for stack in stacks]


def defined(root: Path, text: str) -> None:
    (root / "monitoring" / "metrics.py").write_text(text)


def status(story: Bed) -> dict[str, Any]:
    """What `modelstack status --all --json` says of the champion's own metrics, after a run of the labels function."""
    target = story.target()
    answer = target.client("lambda").invoke(FunctionName=f"{target.endpoint}-labels", Payload=b"{}")
    assert "FunctionError" not in answer, answer["Payload"].read()
    looked: Result = typed("status", "--all", "--json")
    serving = journal(target).weights
    rows = [one["custom"] for one in json.loads(looked.stdout)["quality"] if one["variant"] in serving]
    return rows[0] if rows else {}


def test_a_metric_is_computed_from_captured_answers_and_shown(
    story: Bed, versions: list[Stack], checkout: Path, traffic_after_first: Report
) -> None:
    target = story.target()
    (variant,) = journal(target).weights
    wait_for(lambda: status(story).get("undecided", {}).get("interval"), PATIENCE, "the metric is known")
    one = status(story)["undecided"]
    assert (one["failed"], 0.2 < one["interval"][0] < 0.7) == (0, True), one
    shown = typed("status", "--all").stdout
    assert f"undecided of {variant}" in " ".join(shown.split())
    (metric,) = load(checkout / "monitoring").each.values()
    assert story.stack.outputs()["panels"]["custom"][0]["published"] == metric.published
    dimensions = [{"Name": "EndpointName", "Value": target.endpoint}, {"Name": "VariantName", "Value": variant}]
    found = target.client("cloudwatch").list_metrics(
        Namespace="modelstack", MetricName=f"{metric.published}Recent", Dimensions=dimensions
    )["Metrics"]
    assert len(found) == 1
    (alarm,) = target.client("cloudwatch").describe_alarms(
        AlarmNames=[f"{target.endpoint}-{variant}-metric-undecided"]
    )["MetricAlarms"]
    assert alarm["StateValue"] != "ALARM", "about half are undecided, and 90% may be"
    assert traffic_after_first.failures == []


@pytest.fixture
def traffic_after_first(versions: list[Stack], request: pytest.FixtureRequest) -> Report:
    """Traffic on the first release."""
    succeeded(versions[0].up())
    return request.getfixturevalue("traffic")


def test_a_challenger_that_is_worse_by_the_teams_metric_alone_is_rolled_back_and_the_metric_is_named(
    story: Bed, versions: list[Stack], traffic: Report
) -> None:
    before = story.stack.outputs()["champion"]
    done = versions[1].up()
    assert done.code != 0, done.output[-2000:]
    assert "rolled back: undecided worse by more than 20.00%" in done.error, done.error[-2000:]
    state = journal(story.target())
    assert state.verdict is not None
    assert (state.verdict.outcome, state.verdict.reason.name) == ("rolled_back", "undecided")
    assert story.stack.outputs()["champion"] == before
    explained = json.loads(typed("explain", "--json").stdout)
    answers = {one["metric"]: one["answer"] for one in explained["evidence"]}
    assert (answers["undecided"], answers["errors"] == "worse") == ("worse", False)
    assert "undecided worse by more than" in " ".join(typed("status").stdout.split())
    assert traffic.failures == []


def test_a_function_that_fails_on_the_example_is_refused_before_anything_changes(
    story: Bed, versions: list[Stack], checkout: Path
) -> None:
    before = journal(story.target())
    defined(checkout, UNDECIDED.replace('answer["probability"]', 'answer["chance"]'))
    done = versions[2].up()
    assert done.code != 0
    assert "nothing was changed: monitoring/ fails:" in done.output
    assert "KeyError: 'chance' (monitoring/metrics.py:7): undecided of the example answer" in done.output
    defined(checkout, f"import numpy\n{UNDECIDED}")
    assert "monitoring/metrics.py:1: imports numpy; allowed are the standard library" in versions[2].up().output
    after = journal(story.target())
    assert replace(after, revision=before.revision, audit=before.audit) == before, "records are written all the while"


def test_a_function_that_fails_on_live_answers_promotes_nobody_and_status_names_it(
    story: Bed, versions: list[Stack], checkout: Path, traffic: Report
) -> None:
    defined(checkout, UNDECIDED.replace("return", 'assert request["carrier"] != "UA"\n    return'))
    example = checkout / "model" / "example_request.json"
    assert '"B6"' in example.read_text(), "so the preview cannot know"
    trial = having(versions[2], {**SHORT, "wait": False}, capture_percent=100)
    succeeded(trial.up())
    target = story.target()

    def failed() -> bool:
        advance(target)
        looked = typed("status", "--all", "--json")
        trial = json.loads(looked.stdout).get("trial") or {}
        return "not known: undecided: its function failed for" in str(trial.get("waits_for"))

    wait_for(failed, PATIENCE, "the trial says that it cannot be judged")
    assert journal(target).phase is Phase.BAKING
    status(story)
    named = status_text()
    assert "AssertionError" in named
    assert "(monitoring/metrics.py:7)" in named
    ended = typed("rollback", "--yes", "--reason", "the metric is wrong")
    assert ended.exit_code == 0, ended.output
    assert traffic.failures == []


def status_text() -> str:
    """`modelstack status --all` as one line."""
    return " ".join(typed("status", "--all").stdout.split())


def test_without_a_metric_of_its_own_the_stack_has_no_trace_of_it(
    story: Bed, versions: list[Stack], checkout: Path
) -> None:
    (checkout / "monitoring" / "metrics.py").unlink()
    succeeded(versions[0].up())
    target = story.target()
    assert "custom" not in story.stack.outputs()["panels"]
    alarms = target.client("cloudwatch").describe_alarms(AlarmNamePrefix=target.endpoint)["MetricAlarms"]
    assert not [one["AlarmName"] for one in alarms if "metric-" in one["AlarmName"]]
    environment = target.client("lambda").get_function_configuration(FunctionName=f"{target.endpoint}-labels")
    assert "custom" not in json.loads(environment["Environment"]["Variables"]["MONITORING"])
    assert "custom" not in said(versions[0].preview("--json"))
