"""The console of an endpoint on a cluster."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime

import pytest
from markupsafe import escape

from cli.console.app import app
from cli.console.pages import Pages
from cli.console.panels import asked, called, widgets
from monitoring.objectives.slo import Objective
from platforms.kubernetes.grafana import dashboard
from platforms.kubernetes.kinds import CONFIG_MAP
from tests.cli.browsed import Browser
from tests.cli.clustered import Cluster
from tests.cli.conftest import plan
from tests.cli.there import (
    NAME,
    NAMESPACE,
    RULE,
    on_trial,
    target,
)


@pytest.fixture
def console(cluster: Cluster) -> Browser:
    """The console of the endpoint, with b on trial."""
    on_trial(cluster, plan())
    at = time.time() // 60 * 60
    series = [
        {"metric": {"envoy_cluster_name": f"service/{NAMESPACE}/solo-{name}/8080/http"}, "values": [[at, "42"]]}
        for name in "ab"
    ]
    cluster.results["sum by (envoy_cluster_name) (increase("] = series
    now = datetime.now(UTC).isoformat()
    cluster.rules = [{"name": NAME, "interval": 5, "lastEvaluation": now, "rules": [{**RULE, "lastEvaluation": now}]}]
    return Browser(app(Pages(target(cluster))))


@pytest.mark.parametrize(
    ("path", "shown"),
    [
        ("/", ["Latency at the gateway", "v-b", "no data in this time"]),
        ("/rollout", ["On trial: <code>b</code> beside <code>a</code>", "off: nothing new is trained"]),
        ("/alarms", [f'id="{NAME}-v-a-5xx"', "value 0.48, threshold 0.05", "Missing data: None did."]),
        ("/registry", [f"<code>{NAMESPACE}/{NAME}</code>", "Approved", "auc <b>0.7</b>", "r/serving@sha256:2"]),
        ("/compare?one=1&other=3", ["<code>sha256:9</code>", "<code>sha256:b</code>", "differs"]),
    ],
)
def test_the_console_shows_the_same_pages(console: Browser, path: str, shown: list[str]) -> None:
    answer = console.get(path)
    assert answer.status_code == 200, answer.text
    assert [part for part in shown if part not in answer.text] == []


def test_a_dashboard_without_prometheus_says_so_in_each_graph(cluster: Cluster, console: Browser) -> None:
    cluster.blind = True
    answer = console.get("/")
    assert (answer.status_code, answer.text.count("answers 503: starting up")) == (200, 5)
    assert "prometheus rings" in answer.text


def test_the_dashboard_is_the_stacks_own_where_it_declares_one(cluster: Cluster, console: Browser) -> None:
    made = dashboard(NAME, NAMESPACE, Objective(0.999, 0.99, 250, 7 * 86_400, 20), max_p99_ms=80)
    cluster.put(CONFIG_MAP, {"metadata": {"name": f"{NAME}-dashboard"}, "data": {"x.json": json.dumps(made)}})
    at = time.time() // 60 * 60
    cluster.results["sum_over_time(modelstack:requests:rise"] = [
        {"metric": {"variant": "v-b"}, "values": [[at, "42"]]},
    ]
    workload = {"workload": "solo-a"}
    cluster.results["histogram_quantile"] = [{"metric": workload, "values": [[at, "12"]]}]
    answer = console.get("/")
    assert answer.status_code == 200, answer.text
    assert [panel["title"] for panel in made["panels"] if escape(panel["title"]) not in answer.text] == []
    assert "p99" in answer.text
    assert "solo-a" not in answer.text, "the variant stands for its workload"


def test_a_panel_is_drawn_in_the_steps_of_the_page_with_its_line_and_its_name() -> None:
    made = dashboard(NAME, NAMESPACE, Objective(0.999, 0.99, 250, 7 * 86_400, 20), max_p99_ms=80)
    found = {widget.title: widget for widget in widgets(json.dumps(made), 60)}
    slow = found["Latency at the gateway"]
    assert ([limit.value for limit in slow.limits], slow.unit, slow.period) == ([80.0], "ms", 60)
    assert found["Error budget left, % of 7 days"].single
    assert asked("increase(x[$__interval]) + rate(x[$__rate_interval])", 900) == "increase(x[900s]) + rate(x[900s])"
    assert asked("rate(x[$__rate_interval])", 60) == "rate(x[240s])", "a rate needs several scrapes"
    assert called("p99 {{workload}} {{none}}", {"workload": "v-a"}) == "p99 v-a"
