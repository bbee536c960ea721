"""The console of an endpoint on a cluster."""

from __future__ import annotations

import time
from datetime import UTC, datetime

import pytest

from cli.console.app import app
from cli.console.pages import Pages
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


def test_the_console_says_that_lineage_is_of_aws_alone_so_far(console: Browser) -> None:
    answer = console.get("/lineage")
    assert answer.status_code == 400
    assert "stack prod runs on Kubernetes, and this command works on AWS alone so far" in answer.text


def test_a_dashboard_without_prometheus_says_so_in_each_graph(cluster: Cluster, console: Browser) -> None:
    cluster.blind = True
    answer = console.get("/")
    assert (answer.status_code, answer.text.count("answers 503: starting up")) == (200, 5)
    assert "prometheus rings" in answer.text
