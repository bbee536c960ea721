"""What `modelstack status` says of quality: as the labels function tells it, as a person reads it."""

from __future__ import annotations

import json
import re
from dataclasses import asdict, replace
from datetime import datetime
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from botocore.exceptions import ClientError
from rich.console import Group

from modelstack.cli.platform.aws import platform as module
from modelstack.cli.platform.choose import platform_of
from modelstack.cli.platform.facts import QualityView
from modelstack.cli.target import Target
from modelstack.cli.view import render
from modelstack.cli.view.situation import situation
from modelstack.monitoring.bulk import usual
from modelstack.monitoring.drift.record import Reading
from modelstack.monitoring.labels.baseline import Baseline
from modelstack.monitoring.labels.performance import LabelScore, Performance
from modelstack.monitoring.labels.quality import Scored
from modelstack.services.drift_record import DriftRecord
from modelstack.services.measuring import Measuring
from tests.cli.conftest import served_world
from tests.cli.played import look, printed
from tests.services.labelled import DECLARED, World

TARGET = Target(stack="local", endpoint="e", region="us-east-1", outputs={})


def sealed() -> Baseline:
    """Scores of 0.8, right in four of five."""
    found = Performance()
    for place in range(500):
        hit = place % 5 > 0
        losses = {"Accuracy": float(hit), "LogLoss": 0.2231 if hit else 1.6094}
        found.add(LabelScore(losses, Scored(0.8, decided=True), hit))
    losses = np.where(np.arange(500) % 5 > 0, 0.2231, 1.6094)
    return Baseline(found, usual(losses, 5.0))


@pytest.fixture
def world() -> World:
    made = World(settings=Measuring(segments=("carrier",)))
    made.release("a", DECLARED, sealed().as_dict())
    return made


def views(world: World, monkeypatch: pytest.MonkeyPatch) -> tuple[QualityView, ...]:
    monkeypatch.setattr(module, "DynamoDocuments", lambda *_: world.documents)
    monkeypatch.setattr(Target, "client", lambda *_: None)
    return platform_of(TARGET).quality(["v-a", "v-b"])


def test_what_the_function_told_last_is_what_status_shows(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    names = [f"n{number}" for number in range(49)]
    world.deliver(world.captured("v-a", *((name, True, 0.8) for name in names)))
    world.deliver(world.labelled(*((name, number >= 24) for number, name in enumerate(names))))
    world.now += 3600
    world.deliver(world.captured("v-a", ("later", True, 0.8)), world.labelled(("later", False)))
    world.sweep()
    (view,) = views(world, monkeypatch)
    assert (view.variant, view.labels, view.values["RealisedAccuracy"]) == ("v-a", 50, 0.5)
    assert view.values["EstimatedAccuracy"] == pytest.approx(0.8)
    assert "2026" < (view.since or "") < view.at
    assert json.dumps(view.values)
    text = printed(render.quality(view), 120)
    assert "quality of v-a, 50 newest labels" in text
    assert "│ Accuracy" in text
    assert "0.500 (0.366 to 0.634)" in text
    assert "│ 0.500 (0.366 to 0.634) │ 0.800 " in text, "what was estimated of these, beside it"
    assert "concept: not shown to have moved (evidence " in text
    assert "; from 1 on an alarm fires)" in text
    assert view.evidence is not None
    assert "the concept alarm sees a rise of the loss by " in text
    assert json.dumps(asdict(view))
    moved = replace(view, values={**view.values, "ConceptEvidence": 2.5})
    told = f"concept: it has moved since {view.since} (evidence 2.5; from 1 on an alarm fires)"
    assert told in printed(render.quality(moved), 120)


def test_when_labels_came_last_is_shown_although_answers_still_come(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.deliver(world.captured("v-a", ("a", True, 0.8)))
    assert not [view for view in views(world, monkeypatch) if view.labelled], "no label came yet"
    world.deliver(world.labelled(("a", False)))
    came = world.now
    world.now += 7200
    world.deliver(world.captured("v-a", ("b", True, 0.8)))
    world.sweep()
    (view,) = views(world, monkeypatch)
    assert datetime.fromisoformat(view.labelled).timestamp() == int(came)
    assert datetime.fromisoformat(view.at).timestamp() == int(world.now)
    seen = replace(look(served_world()), at=view.at, quality=(view,))
    for text in (printed(render.Brief(seen, situation(seen)), 120), printed(render.snapshot(seen), 120)):
        assert re.search(r"newest labels counted \S+ \S+ UTC \(2 h( \d+ \w+)? ago\)", text), text


@pytest.mark.parametrize(
    "judged",
    [
        ({}, 9, "training has fewer than 20 days of rows, or too few rows without times, so no alarm on it can fire"),
        ({"wind": {}}, 0, "no day of requests is complete"),
        ({"wind": {}}, 9, ""),
    ],
)
def test_drift_that_is_not_judged_says_why_with_or_without_labels(
    world: World,
    monkeypatch: pytest.MonkeyPatch,
    judged: tuple[dict[str, Any], int, str],
) -> None:
    features, blocks, why = judged
    state = {"detector": {"features": features, "blocks": blocks, "evidence": {}}}
    DriftRecord(world.documents).write("v-a", Reading(state=state), (), ())
    found = views(world, monkeypatch)
    assert [row.drift for row in found] == [why] * bool(why)
    seen = replace(look(served_world()), quality=found)
    for text in (printed(render.Brief(seen, situation(seen)), 160), printed(render.snapshot(seen), 160)):
        assert (f"drift of v-a not judged: {why}" in text) is bool(why)
        assert "quality of" not in text, "nothing else is known"
    names = [f"n{number}" for number in range(40)]
    world.deliver(world.captured("v-a", *((name, True, 0.8) for name in names)))
    world.deliver(world.labelled(*((name, True) for name in names)))
    (view,) = views(world, monkeypatch)
    assert (view.drift, view.labels) == (why, 40)


def test_the_error_of_a_segment_is_read_with_its_interval(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    names = [f"n{number}" for number in range(50)]
    world.deliver(world.captured("v-a", *((name, True, 0.8) for name in names)))
    world.deliver(world.labelled(*((name, number >= 20) for number, name in enumerate(names))))
    world.now += 3600
    world.sweep()
    (view,) = views(world, monkeypatch)
    (found,) = view.by_segment.items()
    assert found[0] == "carrier=missing", "the requests lack the field"
    assert found[1]["SegmentErrorLow"] < 0.4 == found[1]["SegmentError"] < found[1]["SegmentErrorHigh"]


def test_segments_are_shown_worst_first_and_a_release_without_a_baseline_says_so() -> None:
    values = {"RealisedAccuracy": 0.5, "RealisedAccuracyLow": 0.4, "RealisedAccuracyHigh": 0.6, "RealisedPairs": 99.0}
    segments = {
        f"carrier={name}": {"SegmentError": 0.1 * place, "SegmentErrorLow": place / 100, "SegmentErrorHigh": 0.9}
        for place, name in enumerate("ABCDEFG")
    }
    segments["carrier=A"]["SegmentError"] = 1.0  # of one label
    text = printed(render.quality(QualityView("v-a", "2026-01-01T00:00:00+00:00", values, segments, None)), 120)
    assert text.index("carrier=G") < text.index("carrier=F")
    assert "│ error of carrier=G │ 0.600 (0.060 to 0.900) │" in text
    assert "carrier=A" not in text
    assert "concept: not judged: no day of labels is complete, or" in text, "labels came"


def test_a_metric_of_the_projects_own_is_shown_with_its_failures() -> None:
    custom = {
        "cost": {"values": 1204, "interval": [0.5, 0.4, 0.6], "failed": 0, "why": ""},
        "unsure": {"values": 3, "interval": None, "failed": 2, "why": "KeyError: 'p' (monitoring/metrics.py:7)"},
    }
    row = QualityView("v-a", "2026-01-01T00:00:00+00:00", {}, {}, None, custom=custom, custom_problem="no definitions")
    assert row.says_anything
    text = printed(Group(*render._unsure(row, row.at)), 200)
    assert "cost of v-a 0.5 (0.4 to 0.6), of the newest 1,204 captured answers\n" in text
    assert "unsure of v-a not enough data, of the newest 3 captured answers; failed for 2: KeyError: 'p' (monit" in text
    assert "metrics of monitoring/ not computed: no definitions" in text


def test_whoever_may_not_read_the_table_sees_the_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(**_: Any) -> None:
        raise ClientError({"Error": {"Code": "AccessDeniedException"}}, "BatchGetItem")

    monkeypatch.setattr(Target, "client", lambda *_: SimpleNamespace(batch_get_item=refuse))
    assert platform_of(TARGET).quality(["v-a"]) == ()
