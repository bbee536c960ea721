"""The panels of a dashboard: what they show, and that every platform queries them."""

from __future__ import annotations

import json

import pytest

from modelstack.cli.view.kept_aside import FOLDERS
from modelstack.monitoring.objectives.slo import Objective
from modelstack.platforms.aws import panels as aws
from modelstack.platforms.aws.metrics import slower_than
from modelstack.platforms.kubernetes import panels as kubernetes
from modelstack.program.config.monitoring_settings import MonitoringSettings
from modelstack.services.declaration.panels import Panel, PanelSettings, model_input, quality, service

OBJECTIVE = Objective(0.999, 0.99, 250, 7 * 86_400, 20)
SETTINGS = PanelSettings(80, 30, 2, segments=True, objective=OBJECTIVE, max_5xx_rate=0.07)
SHARED = [*service(SETTINGS), *model_input(SETTINGS), *quality(SETTINGS)]
ON_AWS = aws.panels("e", SETTINGS)
ON_KUBERNETES = kubernetes.Panels("models", "e", "60s", "240s").all(SETTINGS)


def test_the_panels_show_traffic_drift_quality_and_whatever_is_rejected() -> None:
    shown = {curve.metric for spec in SHARED for curve in spec.curves}
    assert shown >= {"requests", "failed", "latency", "DriftEvidence", "DriftDistance", "NewCodes", "Events"}
    assert shown >= {name for names in FOLDERS.values() for name in names}
    for measure in ("RealisedAccuracy", "RealisedLogLoss", "RealisedAUC", "RealisedAbsoluteError"):
        assert shown >= {f"{measure}{end}" for end in ("", "Low", "High")}, measure


def test_each_panel_has_one_axis_with_a_unit_and_curves_with_different_labels() -> None:
    for spec in SHARED:
        assert spec.unit, spec.title
        labels = [curve.label for curve in spec.curves]
        assert len(labels) == len(set(labels)), spec.title


def test_alarms_have_a_line_where_they_fire() -> None:
    lines = {spec.title: spec.line for spec in SHARED if spec.line is not None}
    assert sorted(lines.values()) == [1, 1, 7, 80]
    assert (lines["Model latency"], lines["Errors"]) == (80, 7)


def test_errors_are_rates_in_the_unit_of_their_alarms_line() -> None:
    (errors,) = (spec for spec in SHARED if spec.title == "Errors")
    assert (errors.unit, {curve.stat for curve in errors.curves}) == ("% of requests", {"rate"})
    (failed, refused), (failing, refusing) = (
        [query.text for panel in made if panel.spec.title == "Errors" for query in panel.queries]
        for made in (ON_AWS, ON_KUBERNETES)
    )
    assert failed.startswith("100 * SEARCH(") and "Invocation5XXErrors" in failed and "'Average', 60)" in failed
    assert refused == failed.replace("5XX", "4XX")
    for rate in (failing, refusing):
        part, whole = rate.split(" / ")
        assert part.startswith("100 * sum by ("), rate
        assert part.removeprefix("100 * ").partition("(")[2].partition(")")[0] in whole, "both by variant"


def test_errors_by_segment_are_shown_where_the_config_names_segments() -> None:
    assert len(quality(SETTINGS)) == len(quality(PanelSettings())) + 1


@pytest.mark.parametrize("made", [ON_AWS, ON_KUBERNETES], ids=["AWS", "Kubernetes"])
def test_every_platform_has_all_panels_in_the_same_order_and_the_budget(made: list[Panel]) -> None:
    here = [panel.spec.title for panel in made]
    there = [spec.title.replace("Model latency", here[3]) for spec in SHARED]
    assert [title for title in here if title in there] == there
    assert "Error budget left, % of 7 days" in here
    assert "How late captures and labels are counted" in here
    assert all(panel.queries for panel in made)


def test_a_live_stack_says_what_its_panels_depend_on() -> None:
    settings = MonitoringSettings(max_p99_ms=80, drift_minutes=2, segments=["carrier"]).panels(OBJECTIVE)
    outputs = json.loads(json.dumps({"panels": settings.to_output(), "slo": OBJECTIVE.as_dict()}))
    assert PanelSettings.from_outputs(outputs) == settings
    assert PanelSettings.from_outputs({}) == PanelSettings(), "an endpoint that is named without its stack"


def test_cloudwatch_searches_for_variants_in_one_period_and_counts_the_budget_in_its_window() -> None:
    found = {panel.spec.title: panel.queries for panel in ON_AWS}
    (requests,), (segments,) = found["Requests"], found["Error by segment, by the newest labels"]
    schema, named = "{AWS/SageMaker,EndpointName,VariantName}", 'MetricName="Invocations" EndpointName="e"'
    searched = f"SEARCH('{schema} {named}', 'Sum', 60)"
    assert requests.text == searched
    assert found["Share of traffic"][0].text == f"100 * {searched} / SUM({searched})"
    assert "{modelstack,EndpointName,VariantName,Segment}" in segments.text
    available, quick = found["Error budget left, % of 7 days"]
    assert "Invocation5XXErrors" in available.text and available.text.endswith("/ 0.001)")
    assert "'TC(250000:)', 604800)" in quick.text
    assert slower_than(250.5) == "TC(250500:)"


def test_cloudwatch_is_queried_in_longer_intervals_for_a_longer_time_but_for_the_budget() -> None:
    coarse = aws.panels("e", SETTINGS, 900)
    assert {panel.spec.seconds for panel in coarse} == {900, 604_800}
    assert "'Sum', 900)" in coarse[0].queries[0].text


def test_versions_are_compared_by_requests_failures_and_latency_of_each() -> None:
    requests, failures, latency = aws.comparison("e", ["v-a", "v-b"], 60)
    assert [query.label for query in requests.queries] == ["v-a", "v-b"]
    assert failures.queries[1].text == "100 * (FILL(f1, 0) + FILL(c1, 0)) / r1"
    assert failures.queries[1].inputs.keys() == {"f1", "c1", "r1"}
    assert [query.label for query in latency.queries][::2] == ["p50 v-a", "p90 v-a", "p99 v-a"]
    assert latency.queries[3].text == "p90_1 / 1000"
    (named,) = latency.queries[3].inputs.values()
    assert named["Metric"]["Dimensions"][1] == {"Name": "VariantName", "Value": "v-b"}
    assert not [query for panel in (requests, failures, latency) for query in panel.queries if "SEARCH" in query.text]
