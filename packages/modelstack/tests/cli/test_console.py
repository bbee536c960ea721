"""The console: what its pages show."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
from markupsafe import escape

from modelstack.cli.console.app import app
from modelstack.cli.console.comparison import ComparisonRow
from modelstack.cli.console.figure import Span
from modelstack.cli.console.pages import _versions
from modelstack.cli.console.time_range import interval
from modelstack.cli.platform.facts import AlarmInFull, AlarmView, QualityView
from modelstack.cli.target import Target
from modelstack.rollout.core.plan import Step
from modelstack.rollout.core.release import release_id
from modelstack.rollout.core.state import RolloutState
from modelstack.services.declaration.panels import CurveSpec, Panel, PanelSpec, Query
from tests.cli.browsed import REQUESTS, Browser, Metrics, pages
from tests.cli.conftest import plan
from tests.records.provenance.conftest import FACTS
from tests.rollout.worlds import wish
from tests.simulator.platform import World

# --- the time between two points


@pytest.mark.parametrize(
    ("hours", "days", "seconds"),
    [(1, 1 / 24, 60), (24, 1, 300), (168, 7, 900), (1, 1, 60), (1, 16, 300), (1, 64, 3600)],
)
def test_a_time_has_few_enough_points_to_be_drawn_and_intervals_that_are_still_retained(
    hours: int, days: float, seconds: int
) -> None:
    assert interval(Span(0, 3600 * hours), 86400 * days) == seconds


# --- the pages


def charts(page: str) -> list[dict[str, Any]]:
    return [json.loads(text) for text in re.findall(r'<script type="application/json">(.*?)</script>', page)]


@pytest.fixture
def browse(begin: Callable[..., World], monkeypatch: pytest.MonkeyPatch) -> Callable[..., Browser]:
    def make(problem: str = "") -> Browser:
        return Browser(app(pages(begin(seconds=90), monkeypatch, problem=problem)))

    return make


def test_the_dashboard_shows_each_panel_with_its_newest_values(browse: Callable[..., Browser]) -> None:
    page = browse().get("/").text
    assert "<h2>Requests</h2>" in page
    assert re.search(r"champion <code>v-a</code></th><th scope=\"col\">challenger <code>v-b</code>", page)
    assert re.search(r'<b data-curve="0">40.39</b>.*<b data-curve="1">41.13</b>', page, re.DOTALL)
    assert 'href="/alarms#endpoint-v-b-5xx">v-b-5xx fires' in page


def test_the_rollout_tells_that_a_release_is_restored(
    begin: Callable[..., World], monkeypatch: pytest.MonkeyPatch
) -> None:
    world = begin(plan(Step(50, 20)), 600)
    world.controller().restore(wish("a"))
    page = Browser(app(pages(world, monkeypatch))).get("/rollout").text
    assert "<h2>Restored</h2>" in page
    assert "release a, in place of what checkout and config ask for: asked for by ada: it sold more" in page


def test_the_rollout_shows_shares_evidence_what_happened_and_what_was_retrained(browse: Callable[..., Browser]) -> None:
    page = browse().get("/rollout").text
    for part in (
        r"On trial: <code>b</code> beside <code>a</code>",
        r'<meter class="not-worse"[^>]*>\d+%</meter> [\d.e+]+ of 20',
        r'<th scope="row">errors</th>',
        r"<dt>Requests in this step</dt><dd>[\d,]+; at least 50 are needed</dd>",
        r"<code>bbbbbbbbbbbb</code>, trained on data to 2013-06-16; type: <code>pulumi up</code>",
        r"log-loss &lt;0.55&gt;",
        r'id="chart-weights"',
        r'id="chart-evidence-errors"',
        r'<li class="now" aria-current="step"><b>\d+%</b> bake 30 s',
        r'data-said="baking, step \d of 2; in alarm: endpoint-v-b-5xx"',
        r'<p id="news"></p>',
    ):
        assert re.search(part, page), part
    assert "<dt>Now</dt><dd>" in page and "Waits for" not in page
    assert page.index(">weights</td>") < page.index(">promoted</td>"), "the newest first"
    assert page.count('role="status"') == 1


def test_alarms_show_state_history_missing_data_and_runbook(browse: Callable[..., Browser]) -> None:
    page = browse().get("/alarms").text
    assert 'id="endpoint-v-b-5xx"' in page
    assert "Alarm updated from OK to ALARM" in page
    assert "Missing data: notBreaching" in page
    assert '<a href="/runbook?section=5xx" rel="noreferrer">docs/how-to/runbook.md#5xx</a>' in page
    assert page.count("docs/how-to/runbook.md#5xx") == 1, "said once"
    assert '<td data-label="Severity">page</td>' in page
    assert "Severity: " not in page


def test_a_deleted_function_is_named_on_each_page_and_looked_for_once_a_minute(
    begin: Callable[..., World], monkeypatch: pytest.MonkeyPatch
) -> None:
    world, looks = begin(seconds=90), list[float]()
    console = pages(world, monkeypatch)

    def stopped(_: Any) -> tuple[str, ...]:
        looks.append(world.clock.time())
        return ("function e-rollback is deleted",)

    monkeypatch.setattr(type(console._platform), "stopped", stopped)
    for path in ("/", "/alarms", "/rollout"):
        assert "Does not run: function e-rollback is deleted." in Browser(app(console)).get(path).text
    assert len(looks) == 1
    world.clock.sleep(61)
    Browser(app(console)).get("/")
    assert len(looks) == 2


def test_a_window_of_the_budgets_alarm_is_a_condition_and_no_alarm_that_fires(
    begin: Callable[..., World], monkeypatch: pytest.MonkeyPatch
) -> None:
    console = pages(begin(seconds=90), monkeypatch)
    burns = AlarmView("endpoint-burn-slow", "ALARM", "6 > 5", "page")
    rows = [
        AlarmInFull(burns, "", part_of="slo-page"),
        AlarmInFull(AlarmView("endpoint-slo-page", "OK", "", "page"), ""),
    ]
    monkeypatch.setattr(type(console._platform), "alarms_in_full", lambda _: rows)
    page = Browser(app(console)).get("/alarms").text
    row = page[page.index('id="endpoint-burn-slow"') : page.index("</details>", page.index('id="endpoint-burn-slow"'))]
    assert '<span class="pill unknown">holds</span>' in row and "a condition of slo-page, notifies nobody" in row
    assert '<td data-label="Severity"></td>' in row
    rows[0] = AlarmInFull(burns, "")
    page = Browser(app(console)).get("/alarms").text
    assert '<span class="pill alarm">alarm</span>' in page and "a condition of" not in page


def test_the_registry_shows_role_approval_and_lineage(browse: Callable[..., Browser]) -> None:
    page = browse().get("/registry").text
    assert re.search(r"challenger.*Rejected</span><br>worse: &lt;b&gt;", page, re.DOTALL)
    for known in ("abc", "sha256:9", "registry/serving@sha256:1", "s3://b/model.tar.gz"):
        assert f"<code>{known}</code>" in page
    assert "auc <b>0.7</b>" in page
    assert f'<td data-label="Release"><code>{release_id("abc", "registry/serving@sha256:1")}</code></td>' in page


def test_a_runbook_section_is_shown_and_an_unknown_one_is_refused(browse: Callable[..., Browser]) -> None:
    page = browse().get("/runbook?section=the-endpoint-is-silent").text
    assert "<h2>The endpoint is silent</h2>" in page and "## " not in page
    refused = browse().get("/runbook?section=../x")
    assert (refused.status_code, "what-each-alarm-means" in refused.text) == (400, True)


def test_the_title_and_the_first_line_of_a_page_say_that_an_alarm_fires(browse: Callable[..., Browser]) -> None:
    for path in ("/", "/rollout", "/alarms"):
        page = browse().get(path).text
        assert re.search(r"<title>ALARM · \w+ · endpoint</title>", page)
        assert re.search(r'class="situation wrong">\n<h2>[^<]*v-b[^<]*</h2>', page), page[:3000]


def test_the_registry_shows_the_verdict_that_made_the_champion_and_no_older_words(
    begin: Callable[..., World], monkeypatch: pytest.MonkeyPatch
) -> None:
    world = begin(seconds=600)
    assert world.state.verdict is not None and world.state.verdict.outcome == "promoted"
    page = Browser(app(pages(world, monkeypatch))).get("/registry").text
    assert f"<br>{escape(world.state.verdict.reason.text)}</td>" in page
    assert "worse: &lt;b&gt;" not in page


def test_what_cannot_be_read_is_said_with_what_to_do(browse: Callable[..., Browser]) -> None:
    console = browse("CloudWatch does not answer")
    shown = console.get("/")
    assert shown.status_code == 200
    assert '<p class="problem">CloudWatch does not answer' in shown.text, "in the place of the graph"
    answer = console.get("/alarms")
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


@pytest.mark.parametrize(
    ("given", "told"),
    [
        *(
            ({"hours": hours}, "Allowed are 0.25, 1, 3, 12, 24, 168.")
            for hours in ("2", "-1", "nan", "1e9", "<script>")
        ),
        ({"from": "yesterday", "to": "2026-03-01T12:00"}, "from is &#39;yesterday&#39;"),
        ({"from": "1970-01-12T12:00"}, "to is &#39;&#39;"),
        ({"from": "1970-01-12T12:00", "to": "1970-01-12T12:00:30"}, "to must be at least 60 s later"),
        ({"from": "1950-01-12T12:00", "to": "1970-01-12T12:00:30"}, "at most 455 days ago"),
        ({"from": "1970-01-12T12:00", "to": "<script>"}, "Expected a time in UTC"),
    ],
)
def test_a_time_that_is_not_allowed_is_refused_by_its_field(
    browse: Callable[..., Browser], given: dict[str, str], told: str
) -> None:
    answer = browse().get("/", params=given)
    assert (answer.status_code, told in answer.text) == (400, True)
    assert "<script>" not in answer.text.replace("<script src", "")


def test_a_time_of_ones_own_is_shown(browse: Callable[..., Browser]) -> None:
    page = browse().get("/", params={"from": "1970-01-12T12:00", "to": "1970-01-12T13:30"}).text
    assert 'name="from" value="1970-01-12T12:00:00"' in page
    assert '"start": 993600.0' in page
    assert '"end": 999000.0' in page
    assert 'aria-current="true"' not in page, "none of the choices on offer"


def test_a_version_has_one_colour_on_all_charts_and_pages_whatever_its_role(
    begin: Callable[..., World], monkeypatch: pytest.MonkeyPatch
) -> None:
    world = begin(plan(Step(50, 20)), 600)
    assert world.state.champion is not None and world.state.champion.variant == "v-b"
    browser = Browser(app(pages(world, monkeypatch)))
    found: dict[str, set[str]] = {"v-a": set(), "v-b": set()}
    texts = [browser.get(path).text for path in ("/", "/rollout")]
    for text in texts:
        for curve in (curve for chart in charts(text) for curve in chart["curves"]):
            for name in found.keys() & set(curve["name"].split()):
                found[name].add(curve["colour"])
        for colour, name in re.findall(
            r'<svg class="dot c-(v\d)"[^>]*><circle r="5"/></svg><code>(v-[ab])</code>', text
        ):
            found[name].add(colour)
    assert "challenger v-b" in texts[1] and "champion v-b" in texts[0], "in its trial, and now"
    assert all(len(colours) == 1 for colours in found.values()) and found["v-a"] != found["v-b"], found


def test_an_idle_panel_says_how_to_send_what_it_shows(
    begin: Callable[..., World], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Metrics, "paginate", lambda self, **_: [])
    accuracy = Panel(PanelSpec("Accuracy", "share", (CurveSpec("RealisedAccuracy"),)), (Query("x"),))
    functions = Panel(PanelSpec("Functions that fail", "times"), (Query("y"),))
    console = pages(begin(seconds=90), monkeypatch, REQUESTS, accuracy, functions)
    page = Browser(app(console)).get("/").text
    idle = r'<h2>([^<]+)</h2>\n<p class="note">no data in this time(?:; to send some:<br><code>([^<]+))?'
    assert re.findall(idle, page) == [
        ("Requests", "modelstack replay --rate 20 --for 60"),
        ("Accuracy", "modelstack replay --rate 20 --for 60 --labels-after 1"),
        ("Functions that fail", ""),
    ]


def test_an_empty_panel_on_drift_says_why_drift_is_not_judged(
    begin: Callable[..., World], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Metrics, "paginate", lambda self, **_: [])
    drift = Panel(PanelSpec("Drift", "", (CurveSpec("DriftEvidence"),)), (Query("x"),))
    console = pages(begin(seconds=90), monkeypatch, REQUESTS, drift)
    row = QualityView("v-a", "2026-03-01T00:00:00+00:00", {}, {}, None, drift="training has fewer than 20 days")
    monkeypatch.setattr(type(console._platform), "quality", lambda *_: (row,))
    page = Browser(app(console)).get("/").text
    assert "no data in this time: v-a is not judged: training has fewer than 20 days</p>" in page
    assert page.count("is not judged") == 1
    monkeypatch.setattr(type(console._platform), "quality", lambda *_: ())
    assert page.count("replay --rate") + 1 == Browser(app(console)).get("/").text.count("replay --rate")


def test_versions_are_compared_by_the_commit_and_parameters_that_were_signed(
    begin: Callable[..., World], monkeypatch: pytest.MonkeyPatch
) -> None:
    console = pages(begin(seconds=90), monkeypatch)
    page = Browser(app(console)).get("/compare").text
    assert "not known: stack local has no output `signing_key`" in page.replace("&#39;", "'")
    made = replace(FACTS, recipe=replace(FACTS.recipe, parameters={"depth": 6}))
    store = SimpleNamespace(evidence=lambda *_: SimpleNamespace(verify=lambda *_: made))
    monkeypatch.setattr(Target, "output", lambda *_: "key")
    monkeypatch.setattr(type(console._platform), "package_store", lambda _: store)
    page = Browser(app(console)).get("/compare").text
    assert f'<th scope="row">commit</th><td data-label="version 3"><code>{made.source.commit}</code>' in page
    assert '<th scope="row">depth</th><td data-label="version 3"><code>6</code>' in page


def test_versions_that_the_journal_does_not_know_differ_in_colour_where_they_are_compared() -> None:
    for number in range(20):
        one, other = (f"v-{2 * number + side:012x}" for side in (0, 1))
        assert len({version.colour for version in _versions(RolloutState("e"), one, other).values()}) == 2


def test_one_version_alone_is_said_to_be_the_only_one(browse: Callable[..., Browser]) -> None:
    assert "Both are version 3, the only one that is registered." in browse().get("/compare").text
    assert "<code>models</code>: 1 version.</p>" in browse().get("/registry").text


def test_two_versions_are_compared(browse: Callable[..., Browser]) -> None:
    page = browse().get("/compare").text
    for title in ("Answers in this time", "Evaluation", "Where from", "Failed or refused", "Model latency"):
        assert title in page
    assert "<code>0.7</code>" in page
    refused = browse().get("/compare", params={"one": "9"})
    assert refused.status_code == 400
    assert "one is &#39;9&#39;" in refused.text
    assert "Allowed are 3." in refused.text


def test_metrics_that_cannot_be_read_are_said_where_the_evidence_would_stand(
    begin: Callable[..., World], monkeypatch: pytest.MonkeyPatch
) -> None:
    world = begin(seconds=90)
    world.metrics_problem = "CloudWatch is <away>"
    page = Browser(app(pages(world, monkeypatch))).get("/rollout").text
    assert "Earlier times cannot be read: CloudWatch is &lt;away&gt;" in page
    assert 'id="chart-weights"' in page, "which the journal tells"


def test_only_a_browser_of_this_machine_is_answered_and_nothing_can_be_changed(browse: Callable[..., Browser]) -> None:
    client = browse()
    assert client.get("/", headers={"host": "evil.example"}).status_code == 400
    assert client.ask("POST", "/rollout").status_code == 405
    assert "default-src 'self'" in client.get("/").headers["content-security-policy"]


@pytest.mark.parametrize(
    ("one", "other", "difference"),
    [
        ("40,123", "143", "-39,980"),
        ("143", "40,123", "+39,980"),
        ("1,234.5", "0.5", "-1,234"),
        ("0.7", "0.75", "+0.05"),
        ("7", "7", ""),
        ("-", "7", "differs"),
    ],
)
def test_a_difference_of_versions_is_a_number_that_a_person_reads(one: str, other: str, difference: str) -> None:
    assert ComparisonRow("requests", one, other).difference == difference
