"""Some weeks of `make year`: the real engine, a live endpoint, labels that come late, and a retraining of it."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from queue import SimpleQueue

import pytest
import yaml

from bench.bed import Bed
from demos.year import report
from demos.year.__main__ import live_through
from demos.year.facts import Year
from demos.year.plan import Plan
from modelstack.cli.local.stack import Stack
from modelstack.cli.replay import events
from modelstack.cli.target import Target
from modelstack.monitoring.drift.record import newest_day
from modelstack.platforms.aws.documents import DynamoDocuments
from modelstack.platforms.aws.names import documents
from modelstack.services.drift_record import DriftRecord
from tests.e2e.conftest import journal, succeeded, typed
from tests.process import ROOT

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(1200)]

# While something is under way a day takes so long that a training and a trial have theirs on a busy machine too;
# a week may pass there before the first labels are counted.
WEEKS = Plan(
    "2013-03-01", "2013-03-22", day_s=1.0, trial_day_s=40.0, training_day_s=120.0, rate=8, look_s=3.0,
    last_release_days=3,
)  # fmt: skip
THREE_DAYS_OF_JANUARY = {
    "max_iter": 60, "folds": 0, "train_from": "2013-01-01", "train_until": "2013-01-04",
    "evaluate_from": "2013-01-08", "evaluate_until": "2013-01-15",
}  # fmt: skip


def small(stack: Stack, folder: Path) -> Stack:
    """The stack of the year with few trees and short trials, which retrains when a person asks for it."""
    content = yaml.safe_load((ROOT / "stacks/Pulumi.local-year.yaml").read_text())
    content["config"]["modelstack:model"]["parameters"] = THREE_DAYS_OF_JANUARY
    content["config"]["modelstack:retraining"] |= {"on": [], "every_days": None}
    rollout = content["config"]["modelstack:rollout"]
    rollout["strategy"]["steps"] = [{"weight": 50, "bake_seconds": 1}]
    judge = rollout["judge"]
    judge["min_requests"] = 20
    for metric in ("errors", "invalid_answers"):
        judge["metrics"][metric]["margin"] = 0.2  # which the few requests of one window show
    config = folder / "Pulumi.year.yaml"
    config.write_text(yaml.safe_dump(content))
    return replace(stack, config=config)


def wait_until(true: Callable[[], object]) -> None:
    end = time.monotonic() + 600
    while not true():
        assert time.monotonic() < end, "it did not come to this"
        time.sleep(0.5)


def counted(target: Target) -> bool:
    """Whether a day of the replay was counted, so that the stack knows which day it is."""
    (variant,) = journal(target).weights
    found = DriftRecord(DynamoDocuments(target.client, documents(target.endpoint))).read(variant)
    return newest_day(found) is not None


def test_weeks_pass_on_a_live_endpoint_with_a_retraining_that_is_released_and_judged(
    story: Bed, tmp_path: Path
) -> None:
    stack = small(story.stack, story.folder)
    succeeded(stack.up())
    target, lived = story.target(), SimpleQueue[Year | BaseException]()

    def live() -> None:
        try:
            lived.put(live_through(stack, target, WEEKS, print))
        except BaseException as error:
            lived.put(error)

    threading.Thread(target=live, daemon=True).start()
    wait_until(lambda: counted(target) or not lived.empty())
    asked = typed("--stack", "local", "retrain", "start", "--reason", "a rehearsal")
    assert asked.exit_code == 0, asked.output
    year = lived.get(timeout=900)
    assert isinstance(year, Year), year

    flights = list(events(WEEKS.since, WEEKS.until))
    labelled = sum(flight.label is not None for flight in flights)
    assert (year.counts.events, year.counts.failed, year.counts.failures) == (len(flights), 0, ())
    assert (year.counts.labelled, year.counts.joined) == (labelled, labelled)
    assert [day.day for day in year.days] == WEEKS.days
    assert sum(day.events for day in year.days) == labelled

    (retrained,) = year.retrainings
    assert (retrained.outcome, retrained.why.endswith("a rehearsal")) == ("candidate", True), retrained
    (trial,) = year.rollouts
    assert trial.release == retrained.release
    assert retrained.verdict == trial.outcome in {"promoted", "rolled_back"}
    answered = {variant for day in year.served.values() for variant in day}
    assert f"v-{trial.release}" in answered
    assert len(answered) == 2

    page, facts = report.write(year, tmp_path)
    assert trial.release in page.read_text()
    told = json.loads(facts.read_text())
    assert told["counts"]["joined"] == labelled
    assert {(one["policy"], one["against"]) for one in told["gains"]} == {
        ("live", "never"), ("live", "monthly"), ("monthly", "never"),
    }  # fmt: skip
