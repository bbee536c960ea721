"""What every platform's counters promise: exact counts per variant and window, of requests and of metrics."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, ClassVar
from uuid import uuid4

import boto3
import httpx
import pytest

from modelstack.monitoring.custom import Tally as CustomTally
from modelstack.monitoring.labels.claimed import measured
from modelstack.monitoring.measurements import Datum, Values
from modelstack.platforms.aws.counters import CloudWatchCounters
from modelstack.platforms.aws.metrics import FAILED, INVOCATIONS, LATENCY, REFUSED, SAGEMAKER, dimensions, place
from modelstack.platforms.aws.published import CloudWatchMetrics
from modelstack.platforms.kubernetes.counters import PrometheusCounters
from modelstack.platforms.kubernetes.measured import PostgresMetrics, text
from modelstack.platforms.kubernetes.own import _names
from modelstack.platforms.kubernetes.prometheus import Prometheus
from modelstack.rollout.controller.ports import Quantile
from modelstack.rollout.core.catalogue import KNOWN, OWN, failures
from modelstack.rollout.core.errors import Unreachable
from modelstack.rollout.judge.metrics import Metric, Tally
from modelstack.services.counters import COUNTED, CountedWindow, Counters, CountQuery
from tests.platforms.aws.either import EITHER, clients_of
from tests.platforms.kubernetes import scrapes
from tests.platforms.kubernetes.scrapes import Envoy, Tsdb, every, played
from tests.services.memory import MemoryMetrics
from tests.simulator.answers import Batch
from tests.simulator.platform import MemoryCounters, World

START = int(time.time()) // 60 * 60 - 600  # CloudWatch takes no metrics of long ago
MINUTE, WIDTH = 60, 60
NOBODY = "http://127.0.0.1:9"
CLUSTERS = {"v-a": ("a",), "v-b": ("b",)}
LOSS, RIGHT = KNOWN["log_loss"], KNOWN["accuracy"]
COST = Metric("cost", "mean", 0.5, high=5, namespace=OWN, metric="cost_1a2b3c4d")


@dataclass
class Memory:
    nothing: ClassVar[Tally | None] = Tally()  # in a window without requests
    world: World = field(default_factory=lambda: World({"solo": {"v-a": 1}}, "solo"))

    @property
    def counters(self) -> Counters:
        return MemoryCounters(self.world)

    def answer(self, variant: str, at: float, code: int, times: int, milliseconds: float = 10.0) -> None:
        batch = Batch(times, times if code >= 400 else 0, milliseconds / 1000, 1)
        vars(batch)["milliseconds"] = [milliseconds * 1000] * times
        self.world.answered._batches[variant].add(START + at, batch)

    def play(self) -> None: ...

    def unreachable(self) -> Counters:
        self.world.metrics_problem = "no answer"
        return self.counters


@dataclass
class CloudWatch:
    nothing: ClassVar[Tally | None] = None
    clients: Any
    endpoint: str = field(default_factory=lambda: f"endpoint-{time.time_ns()}")

    @property
    def counters(self) -> Counters:
        return CloudWatchCounters(self.clients, self.endpoint)

    def answer(self, variant: str, at: float, code: int, times: int, milliseconds: float = 10.0) -> None:
        counts = {INVOCATIONS: times, REFUSED: times * (code // 100 == 4), FAILED: times * (code // 100 == 5)}
        moment = datetime.fromtimestamp(START + at, UTC)
        of = {"Dimensions": dimensions(place(self.endpoint, variant)), "Timestamp": moment, "StorageResolution": 1}
        data = [
            {**of, "MetricName": name, "Values": [float(bool(count)) for _ in range(times)], "Counts": [1.0] * times}
            for name, count in counts.items()
        ]
        timed = {**of, "MetricName": LATENCY, "Values": [milliseconds * 1000], "Counts": [float(times)]}
        self.clients("cloudwatch").put_metric_data(Namespace=SAGEMAKER, MetricData=[*data, timed])

    def play(self) -> None: ...

    def unreachable(self) -> Counters:
        return CloudWatchCounters(lambda name: boto3.client(name, "us-east-1", endpoint_url=NOBODY), self.endpoint)


@dataclass
class Gateway:
    nothing: ClassVar[Tally | None] = Tally()
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

    def unreachable(self) -> Counters:
        nobody = Prometheus(httpx.Client(base_url=NOBODY))
        return PrometheusCounters(nobody, "models", "endpoint", CLUSTERS.__getitem__)


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


def query(minutes: float = 3, **more: Any) -> CountQuery:
    return CountQuery(("v-a", "v-b"), START, START + minutes * MINUTE, WIDTH, **more)


def tallies(windows: Sequence[CountedWindow], variant: str, name: str) -> list[Tally | None]:
    """None where a count is unknown, which is not 0."""
    return [window.of(variant).get(name) for window in windows if window.closed]


def test_each_request_is_counted_once_in_its_window_and_for_its_variant(platform: Platform) -> None:
    platform.answer("v-a", 2, 200, 30)
    platform.answer("v-a", 2, 500, 2)
    platform.answer("v-b", 70, 200, 4)
    platform.answer("v-b", 72, 503, 3)
    platform.answer("v-a", 130, 200, 7)
    platform.play()
    windows, nothing = list(platform.counters.counts(query())), platform.nothing
    assert [window.start - START for window in windows if window.closed] == [0, 60, 120]
    assert tallies(windows, "v-a", "errors") == [Tally(32, 2), nothing, Tally(7)]
    assert tallies(windows, "v-b", "errors") == [nothing, Tally(7, 3), nothing]
    assert tallies(windows, "v-b", "failed") == [nothing, Tally(7, 3), nothing]
    whole = CountQuery(("v-a",), START + 61, START + 239, WIDTH)
    assert [window.start - START for window in platform.counters.counts(whole)] == [120], "between the times"


def test_an_answer_between_two_windows_counts_in_one_of_them(platform: Platform) -> None:
    platform.answer("v-a", 60, 200, 1)
    platform.play()
    found = tallies(platform.counters.counts(query()), "v-a", "errors")
    assert sum(one.count for one in found if one) == 1


def test_a_window_that_goes_on_is_not_closed(platform: Platform) -> None:
    for at in (2, 62, 122):
        platform.answer("v-a", at, 200, 1)
    platform.play()
    windows = platform.counters.counts(query(2.5, captured=isinstance(platform, Memory)))
    assert [window.start - START for window in windows if window.closed] == [0, 60]


def test_counts_that_cannot_be_read_are_unreachable(platform: Platform) -> None:
    counters = platform.unreachable()
    for read in (lambda: counters.counts(query()), lambda: counters.quantile("v-a", 0.5, START - 3600, START)):
        with pytest.raises(Unreachable):
            read()


@pytest.mark.parametrize("platform", ["memory", "prometheus"], indirect=True)
def test_answers_are_slow_from_a_cut_on_at_which_counts_are_exact(platform: Platform) -> None:
    """moto has no statistic for that: on AWS the row `slow-tail` of the fault table needs it."""
    for milliseconds, times in ((40, 5), (100, 4), (400, 3)):
        platform.answer("v-b", 2, 200, times, milliseconds)
    platform.play()
    cut = platform.counters.cut(100_000.0)
    assert cut is not None
    windows = list(platform.counters.counts(query(1, cuts={"v-b": {"latency_p99": cut}})))
    assert tallies(windows, "v-b", "latency_p99") == [Tally(12, 3)]
    assert "latency_p99" not in windows[0].of("v-a")


@pytest.mark.parametrize("platform", ["memory", "moto"], indirect=True)
def test_what_was_answered_by_now_counts_provisionally(platform: Platform) -> None:
    """Of a gateway scrape by scrape, see packages/modelstack/tests/platforms/kubernetes/test_alarm_states.py."""
    platform.answer("v-b", 2, 500, 3)
    platform.answer("v-b", 62, 500, 4)
    windows = platform.counters.counts(CountQuery(("v-b",), START + 20, START + 125, WIDTH, provisional=True))
    assert [(window.start - START, window.of("v-b")["failed"]) for window in windows] == [
        (0, Tally(3, 3)), (60, Tally(4, 4)),
    ]  # fmt: skip


@pytest.mark.parametrize("platform", EITHER, indirect=True)
def test_metrics_are_counted_by_rollout_and_captured_answers_by_variant(platform: CloudWatch) -> None:
    """Of a cluster: packages/modelstack/tests/platforms/kubernetes/test_counters.py; in PostgreSQL they are
    not scraped here.
    """
    metrics = CloudWatchMetrics(platform.clients("cloudwatch"), platform.endpoint)
    at = START + 70.0
    published = [("LogLoss", [0.5, 1.5]), ("LogLossSquared", [0.25, 2.25]), ("Accuracy", [0, 0]),
                 ("InvalidAnswers", [0, 0, 1])]  # fmt: skip
    metrics.put([], [Values(name, "v-b", rollout, values, at) for rollout in ("r", "s") for name, values in published])
    windows = list(platform.counters.counts(query(metrics=(LOSS, RIGHT), rollout_id="r", captured=True)))
    assert tallies(windows, "v-b", "log_loss") == [None, Tally(2, 2.0, 2.5), None]
    assert tallies(windows, "v-b", "accuracy") == [None, Tally(2), None]
    assert tallies(windows, "v-b", COUNTED) == [None, Tally(6), None]
    assert "log_loss" not in windows[1].of("v-a")


@pytest.mark.parametrize("kind", [*EITHER, pytest.param("postgresql", marks=pytest.mark.needs("postgresql"))])
def test_a_custom_metric_is_counted_with_its_squares_and_failures(kind: str, request: pytest.FixtureRequest) -> None:
    """What a batch publishes has the names that `Counters` reads, by which the judge compares."""
    tally = CustomTally(4, 6.0, 14.0, failed=2, why="KeyError").as_list()
    body = {"variant": "v-b", "rows": [], "checked": [], "counts": {}, "custom": [["r", COST.metric, *tally]]}
    asked = (COST, failed := failures([COST])[COST.name])
    if kind == "postgresql":
        name = uuid4().hex
        metrics = PostgresMetrics(request.getfixturevalue("store"), name, 60)
        metrics.put(*measured(body, START + 70.0))
        lines = [line.rpartition(" ") for line in text(metrics.database, "models", [name]).splitlines()]
        counts = {one.partition("{")[0]: float(value) for one, _, value in lines if 'rollout="r"' in one}
        found = {metric.name: [counts[one] for one in _names(metric)] for metric in asked}
        assert found == {"cost": [4, 6, 14], failed.name: [2, 2]}
        return
    request.param = kind
    platform = CloudWatch(clients_of(request))
    CloudWatchMetrics(platform.clients("cloudwatch"), platform.endpoint).put(*measured(body, START + 70.0))
    windows = list(platform.counters.counts(query(metrics=asked, rollout_id="r")))
    assert tallies(windows, "v-b", "cost") == [None, Tally(4, 6.0, 14.0), None]
    assert tallies(windows, "v-b", failed.name) == [None, Tally(2, 2.0), None]


def test_without_a_request_there_is_no_quantile(platform: Platform) -> None:
    if isinstance(platform, Gateway):
        platform.tsdb.said["sum by (le)"] = {"resultType": "vector", "result": []}
    assert platform.counters.quantile("v-a", 0.5, START - 3600, START) is None


@pytest.mark.parametrize("platform", ["memory"], indirect=True)
def test_a_quantile_says_of_how_many_requests_it_is(platform: Platform) -> None:
    """Of a histogram: packages/modelstack/tests/platforms/kubernetes/test_counters.py. moto has no quantiles."""
    platform.answer("v-a", -60, 200, 8, 50)
    assert platform.counters.quantile("v-a", 0.5, START - 3600, START) == Quantile(50_000, 8)


@pytest.mark.parametrize("platform", ["memory", "prometheus"], indirect=True)
def test_what_is_captured_is_a_share(platform: Platform) -> None:
    """Of an endpoint of SageMaker: packages/modelstack/tests/platforms/aws/test_counters.py."""
    assert 0 <= platform.counters.captured() <= 1


@pytest.mark.parametrize("kind", ["memory", pytest.param("postgresql", marks=pytest.mark.needs("postgresql"))])
def test_a_batch_that_is_published_twice_counts_once(kind: str, request: pytest.FixtureRequest) -> None:
    """CloudWatch cannot tell: `CloudWatchMetrics` does not say that it is repeatable."""
    metrics, name = MemoryMetrics(repeatable=True), uuid4().hex
    if kind == "postgresql":
        metrics = PostgresMetrics(request.getfixturevalue("store"), name, 60)
    for batch in ("first", "first", "second"):
        metrics.put(
            [Datum("CaptureRows", "v-a", 3, "Count", START)], [Values("Accuracy", "v-a", "", [1, 0], START)], batch
        )
    assert metrics.repeatable
    if isinstance(metrics, MemoryMetrics):
        assert (len(metrics.data), len(metrics.values)) == (2, 2)
    else:
        counts = {
            line.split("{")[0]: line.split()[-1] for line in text(metrics.database, "models", [name]).splitlines()
        }
        assert (counts["modelstack_capture_rows_total"], counts["modelstack_accuracy_count"]) == ("6", "4")
