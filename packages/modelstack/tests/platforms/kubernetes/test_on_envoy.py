"""What a real Prometheus tells of a real Envoy, against what the servers behind it saw, request by request."""

from __future__ import annotations

import random
import time
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator

import httpx
import pytest

from modelstack.monitoring.objectives.slo import Objective
from modelstack.platforms.clock import SystemClock
from modelstack.platforms.kubernetes import objective_rules
from modelstack.platforms.kubernetes.alarm_rules import group
from modelstack.platforms.kubernetes.alarm_states import PrometheusAlarms
from modelstack.platforms.kubernetes.counters import PrometheusCounters
from modelstack.platforms.kubernetes.grafana import dashboard
from modelstack.platforms.kubernetes.prometheus import Prometheus
from modelstack.platforms.kubernetes.rule import Watched
from modelstack.rollout.controller.ports import SignalQuery
from modelstack.rollout.core.catalogue import KNOWN
from modelstack.rollout.core.decision import TrialObservations
from modelstack.rollout.core.failing import UNANSWERED
from modelstack.rollout.core.firing_alarms import VariantAlarm
from modelstack.rollout.core.plan import ERRORS, Plan, Step
from modelstack.rollout.core.state import Phase, Pivot, RolloutState
from modelstack.services.alarms import JudgedAlarms
from modelstack.services.declaration.panels import PanelSettings
from modelstack.services.signals import CountedSignals
from tests.platforms.kubernetes.stage import CLUSTERS, SILENT, Stage, stage, until
from tests.platforms.kubernetes.test_grafana import queries
from tests.rollout.worlds import release

pytestmark = [pytest.mark.e2e, pytest.mark.needs("envoy"), pytest.mark.needs("prometheus")]
SCRAPE, WIDTH = 5, 10
P99 = KNOWN["latency_p99"]
WATCHED = Watched(
    "models", "endpoint", {variant: (cluster,) for variant, cluster in CLUSTERS.items()}, every_seconds=SCRAPE,
    period_seconds=20, max_5xx_rate=0.05, max_p99_ms=1000, nats=8.0,
)  # fmt: skip


def counters(prometheus: Prometheus) -> PrometheusCounters:
    return PrometheusCounters(prometheus, "models", "endpoint", lambda variant: (CLUSTERS[variant],))


def signals_of(prometheus: Prometheus) -> CountedSignals:
    return CountedSignals(counters(prometheus))


def judged(prometheus: Prometheus) -> JudgedAlarms:
    return JudgedAlarms(PrometheusAlarms(prometheus, "models", "endpoint"), counters(prometheus), SystemClock())


@pytest.fixture(scope="module")
def it(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    promised = Objective(0.999, 0.99, 1000, 21_600, 20)
    rules = [group(WATCHED), objective_rules.group(WATCHED, promised, every=10, nats=12.0)]
    with stage(tmp_path_factory.mktemp("stage"), SCRAPE, rules) as made:
        yield made


@pytest.fixture
def prometheus(it: Stage) -> Iterator[Prometheus]:
    with httpx.Client(base_url=it.url, timeout=10) as client:
        yield Prometheus(client)


def trial() -> RolloutState:
    plan = Plan(steps=(Step(10, 30),), window_seconds=WIDTH, metrics=(ERRORS,))
    return RolloutState(
        "endpoint", rollout_id="r-1", phase=Phase.BAKING, champion=release("a"), challenger=release("b"), plan=plan,
        started_at=time.time() - 30, step_starts=(time.time() - 20,),
    )  # fmt: skip


def test_the_first_failures_of_a_challenger_fire_and_wake_the_controller(
    it: Stage, prometheus: Prometheus, record_property: pytest.RecordProperty
) -> None:
    state, alarms = trial(), judged(prometheus)
    it.ask(40)
    it.scraped(it.ask(10, variant="v-b"))
    until(lambda: not fires(alarms, state, none=True))
    began = time.time()
    it.ask(20, 500, "v-b")

    found = until(lambda: fires(alarms, state))

    fired = time.time() - began
    assert [(alarm.variant, alarm.reason.name) for alarm in found] == [("v-b", "endpoint-v-b-5xx")]
    assert found[0].reason.numbers == {"value": pytest.approx(2 / 3, abs=0.35), "threshold": 0.05}
    assert began - 1 < found[0].since < began + fired + 1
    until(lambda: any(item["labels"]["variant"] == "v-b" for post in it.woken.posts for item in post["alerts"]))
    record_property("first_bad_answer_to_firing_s", round(fired, 1))
    record_property("first_bad_answer_to_webhook_s", round(it.woken.came[0] - began, 1))
    assert fired < 3 * SCRAPE + 5
    (alarm,) = alarms.all_firing(state)
    numbers = alarms.numbers(alarm, "v-a")
    assert numbers is not None
    assert not numbers.champion_fires


def fires(alarms: JudgedAlarms, state: RolloutState, *, none: bool = False) -> tuple[VariantAlarm, ...]:
    """What fires; with `none`, one that says so while nobody can say."""
    try:
        return alarms.firing(state)
    except Exception as error:
        assert none, error
        return (VariantAlarm("nobody", None, 0.0),)  # type: ignore[arg-type]


def test_each_window_holds_what_the_servers_answered_in_it(it: Stage, prometheus: Prometheus) -> None:
    chance, began = random.Random(7), time.time()
    before = {variant: len(server.answers) for variant, server in it.servers.items()}

    def traffic(seconds: float, of: tuple[int, ...] = (200,) * 8 + (404, 500)) -> float:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            it.ask(1, chance.choice(of))
        return time.time()

    it.weights(90, 10)
    traffic(18)  # three windows at least, however they lie
    it.weights(100, 0)
    traffic(4, (200,))
    it.ask(25, 503, "v-b")  # weight 0, asked by name
    it.ask(12, SILENT, "v-b", of=503)  # answered by the gateway, so not by the version
    it.scraped(traffic(1))
    it.stop_envoy()
    it.start_envoy()
    it.ask(15, 502, "v-b")
    it.scraped(traffic(4) + WIDTH + SCRAPE)
    signals = signals_of(prometheus)

    def read() -> TrialObservations:
        pivots = {P99.name: Pivot(5_000.0, began)}
        return signals.read(SignalQuery("v-a", "v-b", "r-1", began, time.time() - 2, WIDTH, (P99,), pivots))

    seen = until(lambda: found if (found := read()).windows else None)
    scrapes = [at for item in prometheus.samples("up{}", began - 60, time.time()) for at, up in item.points if up]
    assert len(seen.windows) >= 3
    # A restart that a scrape has missed hides the windows on both of its sides: they hold nothing, and no 0.
    known = [window for window in seen.windows if "errors" in window.champion and "errors" in window.challenger]
    assert known
    totals = Counter[str]()
    for window in known:
        inside = window.start, window.start + WIDTH
        for variant, tallies in (("v-a", window.champion), ("v-b", window.challenger)):
            answers = it.servers[variant].answers[before[variant] :]
            counted, failed = tallies["errors"], tallies["failed"]
            assert _within(answers, scrapes, inside, 200, counted.count), (window.start - began, variant, counted)
            assert _within(answers, scrapes, inside, 400, counted.total)
            assert _within(answers, scrapes, inside, 500, failed.total)
            totals[variant] += counted.count
            totals[f"{variant} failed"] += round(failed.total)
    if known == list(seen.windows):
        assert sum(window.challenger[UNANSWERED].total for window in known) == 12
    whole = seen.windows[0].start, seen.windows[-1].start + WIDTH
    for variant in CLUSTERS if known == list(seen.windows) else ():
        answers = it.servers[variant].answers[before[variant] :]
        assert _within(answers, scrapes, whole, 200, totals[variant]), "whatever the window, each is counted once"
        assert _within(answers, scrapes, whole, 500, totals[f"{variant} failed"])
    timed = [window.champion[P99.name] for window in seen.windows if P99.name in window.champion]
    assert sum(tally.count for tally in timed) > 0, "a window that a scrape missed holds none"


def _within(
    answers: list[tuple[float, int]], scrapes: list[float], span: tuple[float, float], least: int, counted: float
) -> bool:
    """Whether so many answers of a status, or one above it, were first scraped in a span.

    A scrape takes its time, so of a request that came as it was made it is not known whether it was in time.
    """
    soon = 0.5
    inside = [
        [span[0] <= _scraped(scrapes, at + late) // WIDTH * WIDTH < span[1] for late in (-soon, 0.0, soon)]
        for at, status in answers
        if status >= least
    ]
    return sum(map(all, inside)) <= counted <= sum(map(any, inside))


def _scraped(scrapes: list[float], at: float) -> float:
    place = bisect_left(scrapes, at)
    return scrapes[place] if place < len(scrapes) else float("inf")


def test_what_the_gateway_answers_itself_is_unknown_and_so_is_a_gateway_or_prometheus_that_is_gone(
    it: Stage, prometheus: Prometheus
) -> None:
    signals = signals_of(prometheus)

    def read(end: float) -> TrialObservations:
        return signals.read(SignalQuery("v-a", "v-b", "r-1", time.time() - 40, end, WIDTH))

    it.weights(100, 0, broken=True)
    broke = time.time()
    it.ask(3, 200, of=503)
    it.weights(100, 0)
    it.ask(3)

    seen = until(lambda: found if "itself" in (found := read(time.time() - 1)).problem else None)

    assert "3 in the last 20 s" in seen.problem
    assert time.time() - broke < 2 * WIDTH + SCRAPE + 5
    behind = read(time.time() + 3600)
    assert behind.windows is None
    assert "behind" in behind.problem
    with httpx.Client(base_url="http://127.0.0.1:9", timeout=1) as nobody:
        gone = signals_of(Prometheus(nobody)).read(SignalQuery("v-a", "v-b", "r", 0, 60, 10))
    assert "does not answer" in gone.problem
    assert signals.quantile("v-a", 0.5, time.time() - 3600, time.time()) is not None


def test_the_dashboard_shows_what_was_asked_and_prometheus_takes_all_of_it(it: Stage, prometheus: Prometheus) -> None:
    it.ask(20)
    it.ask(4, 500)
    settings = PanelSettings(1000, objective=Objective(0.999, 0.99, 1000, 21_600, 20))
    made = dashboard("endpoint", "models", settings)
    asked = queries(made)

    def shown() -> set[str]:
        return {name for name, query in asked.items() if prometheus.values(query, time.time())}

    counted = {
        "Requests: {{variant}}",
        "Share of traffic: {{variant}}",
        "Errors: 5XX {{variant}}",
        "Latency at the gateway: p99 {{workload}}",
        "Error budget left, % of 0.25 days: availability",
        "Error budget left, % of 0.25 days: latency",
        "How fast the error budget burns: {{sli}} {{__name__}}",
    }
    until(lambda: counted <= shown())
    shares = prometheus.values(asked["Share of traffic: {{variant}}"], time.time())
    assert sum(share for _, share in shares) == pytest.approx(100)
