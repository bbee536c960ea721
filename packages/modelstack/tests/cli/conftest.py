"""Worlds with a champion, for the commands that show a rollout."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner, Result

from modelstack.cli.target import Target
from modelstack.rollout.core.plan import Plan, Step
from modelstack.rollout.judge.metrics import Metric
from tests.rollout.worlds import fresh as make_world
from tests.rollout.worlds import release as make_release
from tests.simulator.platform import World

if TYPE_CHECKING:
    from selenium import webdriver

    from modelstack.cli.console.pages import Pages
    from tests.cli.clustered import Cluster

METRICS = (
    Metric("errors", "rate", 0.02),
    Metric("latency_p99", "quantile", 0.5, quantile=0.99, prove=False),
    Metric("accuracy", "rate", 0.05, better="higher", metric="Accuracy", namespace="modelstack"),
)


def plan(*steps: Step, **more: Any) -> Plan:
    """A plan of these steps, or of 10% and 50%."""
    chosen = steps or (Step(10, 30), Step(50, 30))
    return Plan(**{"steps": chosen, "window_seconds": 10, "max_seconds": 1200, **more})


class CloudWatch:
    """Has values by metric, statistic and variant (empty: of the endpoint); answers a page a value, keeps questions."""

    def __init__(self) -> None:
        self.had: dict[tuple[str, str, str], list[float]] = {}
        self.asked: dict[str, Any] = {}

    def describe_endpoint(self, EndpointName: str) -> dict[str, Any]:
        return {"CreationTime": datetime.fromtimestamp(0, UTC)}

    def get_paginator(self, operation: str) -> CloudWatch:
        self.operation = operation
        return self

    def paginate(self, **asked: Any) -> Iterator[dict[str, Any]]:
        self.asked[self.operation] = asked
        if self.operation == "list_metrics":
            for name, _, variant in self.had:
                dimensions = [*asked["Dimensions"], {"Name": "VariantName", "Value": variant}]
                yield {"Metrics": [{"MetricName": name, "Namespace": asked["Namespace"], "Dimensions": dimensions}]}
            return
        for query in asked["MetricDataQueries"]:
            stat = query["MetricStat"]
            names = {item["Name"]: item["Value"] for item in stat["Metric"]["Dimensions"]}
            assert names["EndpointName"] == "flight-delay-prod"
            for value in self.had.get((stat["Metric"]["MetricName"], stat["Stat"], names.get("VariantName", "")), ()):
                yield {"MetricDataResults": [{"Id": query["Id"], "Values": [value]}]}


@pytest.fixture
def cloudwatch(monkeypatch: pytest.MonkeyPatch) -> CloudWatch:
    client = CloudWatch()
    monkeypatch.setattr(Target, "client", lambda *_: client)
    return client


PROD = Target(stack="prod", endpoint="flight-delay-prod", region="us-east-1", outputs={})


def served_world() -> World:
    """Release a has served for two minutes, and labels prove both right nine times in ten."""
    made = make_world(correct={"v-a": 0.9, "v-b": 0.9})
    made.controller().release(make_release("a"), None, plan())
    made.configs["shadow-ab"], made.shadows["shadow-ab"] = {"v-a": 1.0}, ("v-b", 50)
    made.clock.sleep(120)
    return made


def put_on_trial(world: World, trial: Plan, seconds: float = 0) -> World:
    shadow = "shadow-ab" if trial.steps[0].shadow else None
    world.controller().release(make_release("b"), "pair-ab", trial, shadow_config=shadow)
    if seconds:
        world.controller().follow(seconds)
    return world


@pytest.fixture
def world() -> World:
    return served_world()


@pytest.fixture
def begin(world: World) -> Callable[..., World]:
    return lambda trial=None, seconds=0: put_on_trial(world, trial or plan(), seconds)


@pytest.fixture
def aws_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")


@pytest.fixture(scope="session")
def browser() -> Iterator[webdriver.Chrome]:
    """Debian's Chromium without a window, driven by its own driver."""
    from selenium import webdriver

    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which("chromium") or ""
    for flag in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--window-size=1280,1000"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    made = webdriver.Chrome(options=options, service=webdriver.ChromeService(shutil.which("chromedriver")))
    yield made
    made.quit()


@pytest.fixture
def look(browser: webdriver.Chrome) -> Iterator[Callable[[int, str], None]]:
    def make(width: int, scheme: str) -> None:
        size = {"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": width < 500}
        browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
        feature = {"name": "prefers-color-scheme", "value": scheme}
        browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [feature]})

    yield make
    browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})


@pytest.fixture
def watched(begin: Callable[..., World]) -> World:
    return begin(seconds=90)


@pytest.fixture
def served(watched: World, monkeypatch: pytest.MonkeyPatch) -> Pages:
    from tests.cli.browsed import PANELS, pages

    return pages(watched, monkeypatch, *PANELS)


@pytest.fixture
def address(served: Pages) -> Iterator[str]:
    from modelstack.cli.console.serve import ConsoleServer

    with ConsoleServer(served, 0).background() as address:
        yield address


@pytest.fixture
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Cluster]:
    """A cluster in memory with an endpoint, which the kubeconfig leads to."""
    from tests.cli.clustered import Cluster
    from tests.cli.there import endpoint

    with Cluster().serving() as made:
        monkeypatch.setenv("KUBECONFIG", str(made.kubeconfig(tmp_path / "kubeconfig")))
        endpoint(made)
        yield made


@pytest.fixture
def typed(cluster: Cluster) -> Callable[..., Result]:
    """Types a command about that endpoint, which is named outright."""
    from modelstack.cli.main import main
    from tests.cli.there import CONTEXT, NAME, NAMESPACE

    there = ("--endpoint", f"{NAMESPACE}/{NAME}", "--context", CONTEXT)
    return lambda *words: CliRunner().invoke(main, [*there, *words])
