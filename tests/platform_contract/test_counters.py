"""What every platform's counters promise: exact counts per variant and window, of requests and of metrics."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import pytest

from monitoring.measurements import Values
from platforms.aws.counters import CloudWatchCounters
from platforms.aws.metrics import FAILED, INVOCATIONS, LATENCY, REFUSED, SAGEMAKER, dimensions, place
from platforms.aws.published import CloudWatchMetrics
from platforms.kubernetes.counters import PrometheusCounters
from platforms.kubernetes.prometheus import Prometheus
from rollout.core.catalogue import KNOWN
from rollout.judge.metrics import Tally
from services.counters import COUNTED, CountedWindow, Counters, CountQuery
from tests.platforms.aws.either import EITHER, clients_of
from tests.platforms.kubernetes import scrapes
from tests.platforms.kubernetes.scrapes import Envoy, Tsdb, every, played
from tests.simulator.answers import Batch
from tests.simulator.platform import MemoryCounters, World

START = int(time.time()) // 60 * 60 - 600  # CloudWatch takes no metrics of long ago
MINUTE, WIDTH = 60, 60
CLUSTERS = {"v-a": ("a",), "v-b": ("b",)}
LOSS, RIGHT = KNOWN["log_loss"], KNOWN["accuracy"]


@dataclass
class Memory:
    world: World = field(default_factory=lambda: World({"solo": {"v-a": 1}}, "solo"))

    @property
    def counters(self) -> Counters:
        return MemoryCounters(self.world)

    def answer(self, variant: str, at: float, code: int, times: int, milliseconds: float = 10.0) -> None:
        batch = Batch(times, times if code >= 400 else 0, milliseconds / 1000, 1)
        vars(batch)["milliseconds"] = [milliseconds * 1000] * times
        self.world.answered._batches[variant].add(START + at, batch)

    def play(self) -> None: ...


@dataclass
class CloudWatch:
    clients: Any
    endpoint: str = field(default_factory=lambda: f"endpoint-{time.time_ns()}")

    @property
    def counters(self) -> Counters:
        return CloudWatchCounters(self.clients, self.endpoint)

    def answer(self, variant: str, at: float, code: int, times: int, milliseconds: float = 10.0) -> None:
        counts = {INVOCATIONS: times, REFUSED: times * (code // 100 == 4), FAILED: times * (code // 100 == 5)}
        of = {"Dimensions": dimensions(place(self.endpoint, variant)), "Timestamp": _moment(at), "StorageResolution": 1}
        data = [{**of, "MetricName": name, "Value": float(count)} for name, count in counts.items()]
        timed = {**of, "MetricName": LATENCY, "Values": [milliseconds * 1000], "Counts": [float(times)]}
        self.clients("cloudwatch").put_metric_data(Namespace=SAGEMAKER, MetricData=[*data, timed])

    def play(self) -> None: ...


@dataclass
class Gateway:
    tsdb: Tsdb = field(default_factory=Tsdb)
    events: dict[float, Any] = field(default_factory=dict[float, Any])

    def __post_init__(self) -> None:
        self.envoy = Envoy(self.tsdb, born=START - 10_000)

    @property
    def counters(self) -> Counters:
        return PrometheusCounters(Prometheus(self.tsdb.client()), "models", "endpoint", CLUSTERS.__getitem__)

    def answer(self, variant: str, at: float, code: int, times: int, milliseconds: float = 10.0) -> None:
        def count() -> None:
            self.envoy.answer(CLUSTERS[variant][0], str(code // 100), times, milliseconds=milliseconds)

        self.events[at + 1e-6 * len(self.events)] = count

    def play(self) -> None:
        shift = START - scrapes.START
        events = {at + shift: event for at, event in self.events.items()}
        played(self.envoy, events, every(5, shift - 58, shift + 400))


Platform = Memory | CloudWatch | Gateway


@pytest.fixture(params=["memory", "moto", "prometheus"])
def platform(request: pytest.FixtureRequest) -> Iterator[Platform]:
    """A platform without a request. The local cloud, like AWS, takes no metrics in the name of SageMaker."""
    if request.param == "memory":
        yield Memory()
    elif request.param == "prometheus":
        yield Gateway()
    else:
        yield CloudWatch(clients_of(request))


def _moment(at: float) -> datetime:
    return datetime.fromtimestamp(START + at, UTC)


def query(minutes: float = 3, **more: Any) -> CountQuery:
    return CountQuery(("v-a", "v-b"), START, START + minutes * MINUTE, WIDTH, **more)


def tallies(windows: list[CountedWindow], variant: str, name: str) -> list[Tally]:
    return [window.of(variant).get(name, Tally()) for window in windows if window.closed]


def test_each_request_is_counted_once_in_its_window_and_for_its_variant(platform: Platform) -> None:
    platform.answer("v-a", 2, 200, 30)
    platform.answer("v-a", 2, 500, 2)
    platform.answer("v-b", 70, 200, 4)
    platform.answer("v-b", 72, 503, 3)
    platform.answer("v-a", 130, 200, 7)
    platform.play()
    windows = list(platform.counters.counts(query()))
    assert [window.start - START for window in windows if window.closed] == [0, 60, 120]
    assert tallies(windows, "v-a", "errors") == [Tally(32, 2), Tally(), Tally(7)]
    assert tallies(windows, "v-b", "errors") == [Tally(), Tally(7, 3), Tally()]
    assert tallies(windows, "v-b", "failed") == [Tally(), Tally(7, 3), Tally()]
    whole = CountQuery(("v-a",), START + 61, START + 239, WIDTH)
    assert [window.start - START for window in platform.counters.counts(whole)] == [120], "between the times"


@pytest.mark.parametrize("platform", ["memory", "prometheus"], indirect=True)
def test_answers_are_slow_from_a_cut_on_at_which_counts_are_exact(platform: Platform) -> None:
    """moto has no statistic for that: on AWS the row `slow-tail` of the fault table needs it."""
    for milliseconds, times in ((40, 5), (90, 4), (400, 3)):
        platform.answer("v-b", 2, 200, times, milliseconds)
    platform.play()
    cut = platform.counters.cut(95_000.0)
    assert cut is not None
    windows = list(platform.counters.counts(query(1, cuts={"v-b": {"latency_p99": cut}})))
    assert tallies(windows, "v-b", "latency_p99") == [Tally(12, 3)]
    assert "latency_p99" not in windows[0].of("v-a")


@pytest.mark.parametrize("platform", ["memory", "moto"], indirect=True)
def test_what_was_answered_by_now_counts_provisionally(platform: Platform) -> None:
    """Of a gateway scrape by scrape, see tests/platforms/kubernetes/test_alarm_states.py."""
    platform.answer("v-b", 2, 500, 3)
    platform.answer("v-b", 62, 500, 4)
    windows = platform.counters.counts(CountQuery(("v-b",), START + 20, START + 125, WIDTH, provisional=True))
    assert [(window.start - START, window.of("v-b")["failed"]) for window in windows] == [
        (0, Tally(3, 3)), (60, Tally(4, 4)),
    ]  # fmt: skip


@pytest.mark.parametrize("platform", EITHER, indirect=True)
def test_metrics_are_counted_by_rollout_and_captured_answers_by_variant(platform: CloudWatch) -> None:
    """Of a cluster: tests/platforms/kubernetes/test_counters.py; in PostgreSQL they are not scraped here."""
    metrics = CloudWatchMetrics(platform.clients("cloudwatch"), platform.endpoint)
    at = START + 70.0
    published = [("LogLoss", [0.5, 1.5]), ("LogLossSquared", [0.25, 2.25]), ("Accuracy", [1, 0]),
                 ("InvalidAnswers", [0, 0, 1])]  # fmt: skip
    metrics.put([], [Values(name, "v-b", rollout, values, at) for rollout in ("r", "s") for name, values in published])
    windows = list(platform.counters.counts(query(metrics=(LOSS, RIGHT), rollout_id="r", captured=True)))
    assert tallies(windows, "v-b", "log_loss") == [Tally(), Tally(2, 2.0, 2.5), Tally()]
    assert tallies(windows, "v-b", "accuracy") == [Tally(), Tally(2, 1.0), Tally()]
    assert tallies(windows, "v-b", COUNTED) == [Tally(), Tally(6), Tally()]
    assert "log_loss" not in windows[1].of("v-a")


def test_without_a_request_there_is_no_quantile(platform: Platform) -> None:
    if isinstance(platform, Gateway):
        platform.tsdb.said["sum by (le)"] = {"resultType": "vector", "result": []}
    assert platform.counters.quantile("v-a", 0.5, START) is None
