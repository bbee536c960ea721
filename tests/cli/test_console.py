"""The console: what a dashboard's body asks for, what is drawn of it, and what its pages show."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest

from cli.console import chart
from cli.console.app import app
from cli.console.definition import Line, widgets
from cli.measured import Series
from tests.cli.browsed import NOON, REQUESTS, Browser, body, metric, pages
from tests.simulator.platform import World

HOUR = chart.Span(NOON - 3600, NOON)


# --- the definition


def test_widgets_come_in_the_order_in_which_they_are_read() -> None:
    text = {"type": "text", "properties": {"markdown": "# hello"}}
    found = widgets(body({**text, "x": 12, "y": 2}, {**text, "x": 0, "y": 9}, {**text, "x": 0, "y": 2, "width": 24}))
    assert [(item.kind, item.width) for item in found] == [("text", 24), ("text", 6), ("text", 6)]


def test_a_metric_takes_stat_and_period_from_itself_then_the_widget_then_the_default() -> None:
    entries = [["AWS/SageMaker", "Invocations", "EndpointName", "e", {"stat": "Sum", "period": 10}], ["own", "Rows"]]
    (given,) = widgets(body(metric(metrics=entries, stat="Maximum")))
    assert [query["MetricStat"]["Stat"] for query in given.queries] == ["Sum", "Maximum"]
    assert [query["MetricStat"]["Period"] for query in given.queries] == [10, 300]
    assert given.queries[0]["MetricStat"]["Metric"]["Dimensions"] == [{"Name": "EndpointName", "Value": "e"}]
    assert given.period == 300


def test_dots_repeat_what_stands_above() -> None:
    above = ["AWS/SageMaker", "Invocations", "EndpointName", "e", "VariantName", "v-a"]
    (given,) = widgets(body(metric(metrics=[above, [".", "ModelLatency", "...", "v-b"], ["...", "v-c"]])))
    found = [query["MetricStat"]["Metric"] for query in given.queries]
    assert [item["MetricName"] for item in found] == ["Invocations", "ModelLatency", "ModelLatency"]
    assert [[pair["Value"] for pair in item["Dimensions"]] for item in found] == [
        ["e", name] for name in ("v-a", "v-b", "v-c")
    ]


def test_expressions_keep_id_label_and_whether_they_are_shown() -> None:
    entries = [
        [{"expression": "SEARCH('x', 'Sum', 60)", "id": "e1", "visible": False}],
        [{"expression": "e1 * 2", "label": "twice"}],
    ]
    (given,) = widgets(body(metric(metrics=entries)))
    assert given.queries == (
        {"Id": "e1", "ReturnData": False, "Expression": "SEARCH('x', 'Sum', 60)"},
        {"Id": "q2", "ReturnData": True, "Label": "twice", "Expression": "e1 * 2"},
    )
    assert given.period == 60


@pytest.mark.parametrize(
    ("start", "seconds"), [("-PT3H", 10800), ("-P7D", 604800), ("-P1DT2H30M", 95400), ("2026-03-01T00:00:00Z", None)]
)
def test_a_widget_may_have_a_time_of_its_own(start: str, seconds: float | None) -> None:
    (given,) = widgets(body(metric(metrics=[], start=start)))
    assert given.seconds == seconds


def test_lines_alarms_and_other_kinds_are_told() -> None:
    drawn = metric(annotations={"horizontal": [{"label": "alarm", "value": 5}]}, view="singleValue", metrics=[])
    alarm = {"type": "alarm", "y": 1, "properties": {"alarms": ["arn:aws:cloudwatch:us-east-1:1:alarm:e-v-5xx"]}}
    found = widgets(body(drawn, alarm, {"type": "log", "y": 2, "properties": {}}))
    assert (found[0].lines, found[0].single) == ((Line("alarm", 5.0),), True)
    assert found[1].alarms == ("e-v-5xx",)
    assert found[2].kind == "log"


# --- the picture


def paths(picture: str) -> list[list[tuple[float, float]]]:
    drawn = re.findall(r'class="curve"[^>]* d="M([^"]*)"', picture)
    return [[(float(x), float(y)) for x, y in (point.split() for point in path.split("L"))] for path in drawn]


def test_a_curve_goes_from_left_to_right_and_up_where_values_grow() -> None:
    rising = Series("requests", tuple((HOUR.start + 60 * at, float(at)) for at in range(60)))
    (path,) = paths(chart.graph("t", [rising], HOUR, 60))
    assert path == sorted(path)
    assert [y for _, y in path] == sorted((y for _, y in path), reverse=True)


def test_a_curve_breaks_where_data_is_missing() -> None:
    times = [0, 60, 120, 600, 660]
    assert [
        len(path)
        for path in paths(chart.graph("t", [Series("s", tuple((HOUR.start + at, 1.0) for at in times))], HOUR, 60))
    ] == [3, 2]


def test_what_is_drawn_stays_within_the_picture_whatever_the_values() -> None:
    for values in ([0.0, 0.0], [-5.0, 3.0], [1e12], [1e-9, 2e-9], [7.0] * 3, []):
        points = tuple((HOUR.start + 600 * at, value) for at, value in enumerate(values))
        picture = chart.graph("t", [Series("s", points)], HOUR, 600, lines=[Line("alarm", 4.0)])
        for path in paths(picture):
            assert all(0 <= x <= 600 and 0 <= y <= 200 for x, y in path)


def test_a_point_from_before_the_time_that_is_shown_is_left_out() -> None:
    curve = Series("s", ((HOUR.start - 30, 9000.0), (HOUR.start + 30, 1.0), (HOUR.start + 90, 1.0)))
    picture = chart.graph("t", [curve], HOUR, 60)
    assert [len(path) for path in paths(picture)] == [2]
    assert "10k" not in picture


def test_a_graph_says_what_it_shows_and_escapes_what_it_is_given() -> None:
    picture = chart.graph("<b>", [Series('"><script>', ((NOON, 1.5),))], HOUR, 60, marks=[chart.Mark(NOON - 5, "<i>")])
    assert 'aria-label="&lt;b&gt;: &#34;&gt;&lt;script&gt; is 1.5"' in picture
    assert "<script>" not in picture
    assert "<i>" not in picture
    assert "&lt;i&gt;" in picture


def test_marks_outside_of_the_time_are_left_out() -> None:
    assert "long ago" not in chart.graph("t", [], HOUR, 60, marks=[chart.Mark(NOON - 7200, "long ago")])


@pytest.mark.parametrize(
    ("number", "text"), [(0, "0"), (1500, "1.5k"), (2_000_000, "2M"), (0.025, "0.025"), (-4200, "-4.2k")]
)
def test_numbers_are_short(number: float, text: str) -> None:
    assert chart.short(number) == text


# --- the pages


@pytest.fixture
def browse(begin: Callable[..., World], monkeypatch: pytest.MonkeyPatch) -> Callable[..., Browser]:
    """Makes a client of the console of an endpoint with b on trial."""

    def make(problem: str = "", *items: dict[str, Any]) -> Browser:
        return Browser(app(pages(begin(seconds=90), monkeypatch, *items, problem=problem)))

    return make


def test_the_dashboard_shows_each_widget_with_its_newest_values(browse: Callable[..., Browser]) -> None:
    text = {"type": "text", "y": 9, "properties": {"markdown": "# Alarms\n`v-*` <script>"}}
    page = browse("", REQUESTS, text).get("/").text
    assert "<h2>Requests</h2>" in page
    assert "v-a Invocations <b>42</b>" in page
    assert "v-b Invocations" not in page, "it has no point"
    assert "<h1>Alarms</h1>" in page
    assert "<code>v-*</code> &lt;script&gt;" in page
    assert 'href="/alarms#endpoint-v-b-5xx">v-b-5xx rings' in page


def test_the_rollout_shows_shares_evidence_against_its_bounds_and_what_happened(
    browse: Callable[..., Browser],
) -> None:
    page = browse().get("/rollout").text
    assert re.search(r"On trial: <code>b</code> beside <code>a</code>", page)
    assert re.search(r'<meter class="not-worse"[^>]*>\d+%</meter> [\d.e+]+ of 20', page)
    assert re.search(r'<th scope="row">errors</th>', page)
    assert re.search(r"<dt>Requests in this step</dt><dd>[\d,]+; at least 50 are needed</dd>", page)
    assert "<dt>Now</dt><dd>" in page and "Waits for" not in page
    assert page.index("<td>weights</td>") < page.index("<td>promoted</td>"), "the newest first"


def test_the_rollout_shows_what_was_retrained_what_waits_and_what_to_type(browse: Callable[..., Browser]) -> None:
    page = browse().get("/rollout").text
    assert "<code>bbbbbbbbbbbb</code>, trained on data to 2013-06-16; type: <code>pulumi up</code>" in page
    assert "log-loss &lt;0.55&gt;" in page


def test_alarms_show_state_history_missing_data_and_runbook(browse: Callable[..., Browser]) -> None:
    page = browse().get("/alarms").text
    assert 'id="endpoint-v-b-5xx"' in page
    assert "Alarm updated from OK to ALARM" in page
    assert "Missing data: notBreaching" in page
    assert "<code>docs/how-to/runbook.md#5xx</code>" in page
    assert page.count("docs/how-to/runbook.md#5xx") == 1, "said once"
    assert "<td>page</td>" in page
    assert "Severity: " not in page


def test_the_registry_shows_role_approval_and_lineage(browse: Callable[..., Browser]) -> None:
    page = browse().get("/registry").text
    assert re.search(r"challenger.*Rejected</span><br>worse: &lt;b&gt;", page, re.DOTALL)
    for known in ("abc", "sha256:9", "registry/serving@sha256:1", "s3://b/model.tar.gz"):
        assert f"<code>{known}</code>" in page
    assert "auc <b>0.7</b>" in page


def test_what_cannot_be_read_is_said_with_what_to_do(browse: Callable[..., Browser]) -> None:
    answer = browse("CloudWatch does not answer").get("/")
    assert answer.status_code == 503
    assert "CloudWatch does not answer" in answer.text
    assert "Type something." in answer.text


def test_a_page_that_there_is_not_says_so_with_a_way_to_one_that_there_is(browse: Callable[..., Browser]) -> None:
    for path in ("/nope", "/static/nope.css", "/rollout/%3Cscript%3E"):
        answer = browse().get(path)
        assert answer.status_code == 404
        assert "There is no such page" in answer.text
        assert '<a href="/">' in answer.text
        assert "<script>" not in answer.text
        assert "default-src 'self'" in answer.headers["content-security-policy"]


@pytest.mark.parametrize("hours", ["2", "-1", "nan", "1e9", "<script>"])
def test_hours_that_are_not_on_offer_are_refused(browse: Callable[..., Browser], hours: str) -> None:
    answer = browse().get("/", params={"hours": hours})
    assert answer.status_code == 503
    assert "Allowed are 0.25, 1, 3, 12, 24, 168." in answer.text
    assert "<script>" not in answer.text.replace("<script src", "")


def test_a_kind_of_widget_that_is_not_drawn_says_so(browse: Callable[..., Browser]) -> None:
    page = browse("", {"type": "log", "properties": {"title": "Errors in logs"}}).get("/").text
    assert "a log widget is not drawn here" in page


def test_only_a_browser_of_this_machine_is_answered_and_nothing_can_be_changed(
    browse: Callable[..., Browser],
) -> None:
    client = browse()
    assert client.get("/", headers={"host": "evil.example"}).status_code == 400
    assert client.ask("POST", "/rollout").status_code == 405
    assert "default-src 'self'" in client.get("/").headers["content-security-policy"]
