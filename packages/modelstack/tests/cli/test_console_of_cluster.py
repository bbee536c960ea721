"""The console of an endpoint on a cluster."""

from __future__ import annotations

import time
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from markupsafe import escape

from modelstack.cli.console.app import app
from modelstack.cli.console.pages import Pages
from modelstack.cli.platform.kubernetes.platform import Kubernetes
from modelstack.monitoring.objectives.slo import Objective
from modelstack.platforms.kubernetes.panels import Panels
from modelstack.services.declaration.panels import PanelSettings
from tests.cli.browsed import Browser
from tests.cli.clustered import Cluster
from tests.cli.conftest import plan
from tests.cli.there import NAME, NAMESPACE, RULE, on_trial, target

pytestmark = pytest.mark.slow

PANELS = 23
"""Of a stack that has not said what it promises."""


@pytest.fixture
def console(cluster: Cluster) -> Browser:
    on_trial(cluster, plan())
    at = time.time() // 60 * 60
    series = [
        {"metric": {"envoy_cluster_name": f"service/{NAMESPACE}/solo-{name}/8080/http"}, "values": [[at, "42"]]}
        for name in "ab"
    ]
    cluster.results["sum by (envoy_cluster_name) (increase("] = series
    cluster.results["sum_over_time(modelstack:requests:rise"] = [{"metric": {"variant": "v-b"}, "values": [[at, "42"]]}]
    now = datetime.now(UTC).isoformat()
    cluster.rules = [{"name": NAME, "interval": 5, "lastEvaluation": now, "rules": [{**RULE, "lastEvaluation": now}]}]
    return Browser(app(Pages(target(cluster))))


@pytest.mark.parametrize(
    ("path", "shown"),
    [
        ("/", ["Latency at the gateway", "v-b", "no data in this time"]),
        ("/rollout", ["On trial: <code>b</code> beside <code>a</code>", "off: nothing new is trained"]),
        ("/alarms", [f'id="{NAME}-v-a-5xx"', "48% of requests fail, 5% may", "Missing data: None did."]),
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
    assert (answer.status_code, answer.text.count("answers 503: starting up")) == (200, PANELS + 1)
    assert "prometheus fires" in answer.text


def test_the_dashboard_shows_the_panels_of_the_stack_and_the_variant_of_a_workload(
    cluster: Cluster, console: Browser
) -> None:
    at = time.time() // 60 * 60
    cluster.results["histogram_quantile"] = [{"metric": {"workload": "solo-a"}, "values": [[at, "12"]]}]
    answer = console.get("/")
    assert answer.status_code == 200, answer.text
    declared = Panels(NAMESPACE, NAME, "60s", "240s").all(PanelSettings())
    assert [panel.spec.title for panel in declared if escape(panel.spec.title) not in answer.text] == []
    assert "p99" in answer.text
    assert "solo-a" not in answer.text, "the variant stands for its workload"


def test_a_stack_that_says_what_it_promises_has_a_budget_and_a_line_in_its_graphs(cluster: Cluster) -> None:
    slo = Objective(0.999, 0.99, 250, 7 * 86_400, 20).as_dict()
    outputs = {**target(cluster).outputs, "slo": slo, "panels": {"max_p99_ms": 80}}
    graphs = Kubernetes(replace(target(cluster), outputs=outputs)).graphs()
    found = {panel.spec.title: panel for panel in graphs.panels(900)}
    assert found["Latency at the gateway"].spec.line == 80
    assert found["Error budget left, % of 7 days"].spec.kind == "budget"
    assert found["Requests"].spec.seconds == 900
    assert "[900s]" in found["Requests"].queries[0].text
