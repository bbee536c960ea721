"""The declared alarms on a real CloudWatch: when they fire, when that ends, and who is notified."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from modelstack.monitoring.published import CONCEPT_EVIDENCE, DRIFT_EVIDENCE
from tests.program.recorded import LOCAL, OLD, World, idle, release
from tests.program.recorded import run_program as run
from tests.program.test_alarms import BURN, LATE, counts
from tests.program.watched import Watched, play

VARIANTS = (OLD.variant, release(LOCAL).variant)
PROMISED = {"availability": 0.99, "latency": 0.95, "latency_ms": 250, "probe_minutes": 1}
SLOW, QUICK = 260_000.0, 20_000.0  # microseconds
SILENT, PAGE, TICKET = "probe-silent", "rollback-failing", "functions-failing"
SERVED = "AWS/SageMaker"
SWEEP = 120

Story = Callable[[Watched], Awaitable[None]]


@pytest.fixture(scope="module")
def world() -> World:
    monitoring = {"max_p99_ms": 250, "period_seconds": 10, "drift_minutes": SWEEP // 60}
    return run(state=idle(OLD), retraining={"enabled": True}, monitoring=monitoring, slo=PROMISED)


@pytest.fixture
def tell(world: World, tmp_path: Path) -> Callable[..., None]:
    def run(story: Story, *names: str, composite: bool = False) -> None:
        pages = [world.one(":CompositeAlarm", "slo-page").inputs] if composite else []
        play(tmp_path, [*(world.alarm(name) for name in names), *pages], story)

    return run


def budget(tell: Callable[..., None], story: Story) -> None:
    tell(story, *BURN, "slo-ticket", SILENT, composite=True)


def answer(watched: Watched, variant: str, good: int, bad: int, *, slow: int = 0, errors: bool = True) -> None:
    """Answers as SageMaker counts them; without `errors` nothing is published of 5XX."""
    for position in range(good + bad):
        watched.put("Invocations", 1, variant, SERVED)
        watched.put("ModelLatency", SLOW if position < slow else QUICK, variant, SERVED)
        if errors:
            watched.put("Invocation5XXErrors", float(position < bad), variant, SERVED)


# --- a variant


@pytest.mark.parametrize(
    ("periods", "last"),
    [
        ([(13, 2), (13, 2), (13, 2)], "OK"),  # few of few are chance
        ([(20, 0), (10, 10)], "ALARM"),
        ([(930, 70)], "OK"),
        ([(930, 70), (900, 100)], "ALARM"),  # of many, a share a little over what is tolerated
        ([(0, 0), (30, None)], "OK"),  # no request, and nothing published of 5XX
    ],
)
def test_failures_beyond_chance_fire_in_one_period(
    tell: Callable[..., None], periods: list[tuple[int, int | None]], last: str
) -> None:
    async def story(watched: Watched) -> None:
        states: list[str] = []
        for good, bad in periods:
            answer(watched, OLD.variant, good, bad or 0, errors=bad is not None)
            await watched.local.advance(10)
            states.append(await watched.state(OLD.variant, "5xx", 1))
        assert states == ["OK"] * (len(periods) - 1) + [last]

    tell(story, f"{OLD.variant}-5xx")


def test_slow_requests_beyond_chance_fire_in_two_of_three_periods(tell: Callable[..., None]) -> None:
    async def story(watched: Watched) -> None:
        states: list[str] = []
        for slow in (2, 2, 10, 10):
            answer(watched, OLD.variant, 20, 0, slow=slow)
            await watched.local.advance(10)
            states.append(await watched.state(OLD.variant, "p99", 1))
        assert states == ["OK", "OK", "OK", "ALARM"]

    tell(story, f"{OLD.variant}-p99")


@pytest.mark.parametrize("after", [0.2, None], ids=["the days are as at training again", "the release serves no more"])
def test_drift_fires_once_within_a_period_and_ends_two_sweeps_after_the_last_evidence(
    tell: Callable[..., None], after: float | None
) -> None:
    async def story(watched: Watched) -> None:
        async def later(evidence: float | None, seconds: float) -> str:
            if evidence is not None:
                watched.put(DRIFT_EVIDENCE, evidence, OLD.variant)
            return await watched.state(OLD.variant, "drift", seconds)

        assert await later(None, SWEEP) == "OK"
        assert await later(0.99, SWEEP) == "OK"
        for _ in range(3):
            assert await later(1.0, 20) == "ALARM"
            assert await later(None, SWEEP - 20) == "ALARM"
        assert len(watched.told()) == 1, "while sweeps publish the evidence again"
        assert await later(after, 90) == "ALARM"
        assert await later(None, 90) == "OK", "CloudWatch looks at two periods more"

    tell(story, f"{OLD.variant}-drift")


def test_a_moved_concept_fires_once_and_silence_does_not_end_it(tell: Callable[..., None]) -> None:
    async def story(watched: Watched) -> None:
        async def later(evidence: float) -> str:
            watched.put(CONCEPT_EVIDENCE, evidence, OLD.variant)
            return await watched.state(OLD.variant, "concept", 30)

        assert [await later(evidence) for evidence in (0.4, 0.99, 1.2)] == ["OK", "OK", "ALARM"]
        assert await watched.state(OLD.variant, "concept", 3600) == "ALARM"
        assert len(watched.told()) == 1
        assert await later(0.3) == "OK", "labels that are right again end it"

    tell(story, f"{OLD.variant}-concept")


# --- the error budget and the probe


async def serve(watched: Watched, seconds: int, requests: int, *, failed: int = 0, slow: int = 0) -> None:
    """For so many seconds, each ten of them so many requests, shared out over both versions."""
    for _ in range(seconds // 10):
        for position in range(requests):
            variant, bad = VARIANTS[position % 2], int(position < failed)
            answer(watched, variant, 1 - bad, bad, slow=int(position >= requests - slow))
        await watched.local.advance(10)


async def probe(watched: Watched, minutes: int, *, ok: bool | None = True) -> None:
    """For some minutes, a probe each minute that is answered or not; None: no probe runs."""
    for _ in range(minutes):
        if ok is not None:
            watched.put("ProbeSuccess", float(ok))
        await watched.local.advance(60)


def test_an_outage_pages_once_and_the_page_ends_soon_after_it(tell: Callable[..., None]) -> None:
    async def story(watched: Watched) -> None:
        await serve(watched, 60, 20)
        assert await watched.firing() == set()
        await serve(watched, 60, 20, failed=20)
        assert {"slo-page", "burn-fast", "burn-still"} <= await watched.firing()
        await serve(watched, 90, 20)
        assert len([subject for subject in watched.told() if "slo-page" in subject]) == 1, "several alarms fired"
        assert "burn-slow" in await watched.firing(), "the long window still has the outage in it"
        assert "slo-page" not in await watched.firing()

    budget(tell, story)


@pytest.mark.parametrize(
    ("failed", "slow", "wanted"),
    [
        (0, 100, {"slo-page", "slo-ticket"}),  # every request slow: 20 times what is tolerated
        (8, 0, {"slo-page", "slo-ticket"}),  # 8% fail: 8 times as many, too slow for the fast windows
        (3, 0, {"slo-ticket"}),
        (1, 5, set()),  # just what is tolerated
    ],
)
def test_who_is_notified_depends_on_how_fast_the_budget_burns(
    tell: Callable[..., None], failed: int, slow: int, wanted: set[str]
) -> None:
    async def story(watched: Watched) -> None:
        await serve(watched, 300, 100, failed=failed, slow=slow)
        assert {name for name in await watched.firing() if name.startswith("slo-")} == wanted

    budget(tell, story)


def test_three_failures_of_three_requests_notify_nobody(tell: Callable[..., None]) -> None:
    async def story(watched: Watched) -> None:
        await serve(watched, 30, 1, failed=1)
        assert {"burn-still"} <= await watched.firing(), "their burn rate is 100"
        assert not watched.told()

    budget(tell, story)


@pytest.mark.slow
def test_probes_that_are_answered_notify_nobody(tell: Callable[..., None]) -> None:
    async def story(watched: Watched) -> None:
        await watched.local.advance(600)
        assert await watched.firing() == set(), "the endpoint is new, and no probe has run"
        await probe(watched, 60)
        assert await watched.firing() == set(), "a night without a request"
        await probe(watched, 2, ok=False)
        await probe(watched, 10)
        assert not watched.told(), "two failures are no silence"

    budget(tell, story)


@pytest.mark.parametrize(("ok", "minutes"), [(False, 4), (None, 6)])
def test_silence_pages_whether_probes_fail_or_do_not_run(
    tell: Callable[..., None], ok: bool | None, minutes: int
) -> None:
    async def story(watched: Watched) -> None:
        await probe(watched, 10)
        await probe(watched, minutes, ok=ok)
        assert await watched.firing() == {SILENT, "slo-page"}
        assert len(watched.told()) == 1
        await probe(watched, 2)
        assert await watched.firing() == set()

    budget(tell, story)


def test_an_endpoint_whose_first_probes_never_run_pages_when_it_had_time_to_begin(tell: Callable[..., None]) -> None:
    async def story(watched: Watched) -> None:
        await watched.local.advance(31 * 60)
        assert await watched.firing() == {SILENT, "slo-page"}

    budget(tell, story)


def test_without_a_probe_a_worker_that_does_not_run_opens_a_ticket(tmp_path: Path) -> None:
    world = run(state=idle(OLD), slo={"probe_minutes": None})

    async def story(watched: Watched) -> None:
        async def minutes(count: int, *, runs: bool) -> None:
            for _ in range(count):
                if runs:
                    watched.put_of({"FunctionName": LOCAL.function("advance")}, "AWS/Lambda", "Invocations", 1)
                await watched.local.advance(60)

        await minutes(20, runs=True)
        await minutes(2, runs=False)
        assert await watched.firing() == set()
        await minutes(5, runs=False)
        assert await watched.firing() == {"advance-silent"}
        assert len(watched.told()) == 1
        await minutes(3, runs=True)
        assert await watched.firing() == set()

    play(tmp_path, [world.alarm("advance-silent")], story)


# --- functions


def put(watched: Watched, metric: dict[str, Any], value: float) -> None:
    watched.put_of(metric["dimensions"], metric["namespace"], metric["metricName"], value)


async def later(watched: Watched, seconds: int) -> set[str]:
    """The alarms that fire some seconds later; a function that runs by a schedule succeeds each minute."""
    for _ in range(seconds // 30):
        watched.put_of({"FunctionName": LOCAL.function("advance")}, "AWS/Lambda", "Errors", 0)
        await watched.local.advance(30)
    return await watched.firing()


@pytest.mark.slow
def test_each_count_fires_its_alarm_alone_and_ends(world: World, tell: Callable[..., None]) -> None:
    metrics = {name: counts(world.alarm(name)) for name in (PAGE, TICKET)}
    every = [(name, metric) for name, of in metrics.items() for key, metric in of.items() if key[0] != LATE]

    async def story(watched: Watched) -> None:
        assert len(every) == 9
        for _, metric in every:
            put(watched, metric, 0)
        assert await later(watched, 300) == set(), "nothing failed"
        for sent, (name, metric) in enumerate(every, start=1):
            put(watched, metric, 1)
            assert await later(watched, 90) == {name}, metric
            assert len(watched.told()) == sent
            put(watched, metric, 0)
            assert await later(watched, 1800) == set(), metric

    tell(story, PAGE, TICKET)


def test_drift_that_stays_unmeasured_is_one_alarm(world: World, tell: Callable[..., None]) -> None:
    metric = counts(world.alarm(TICKET))["DriftUnmeasured", LOCAL.endpoint]

    async def story(watched: Watched) -> None:
        for _ in range(10):
            put(watched, metric, 1)
            assert await later(watched, SWEEP) == {TICKET}
        assert len(watched.told()) == 1

    tell(story, TICKET)


def test_files_that_wait_for_minutes_on_end_fire_and_an_old_one_among_others_or_alone_does_not(
    world: World, tell: Callable[..., None]
) -> None:
    metric = counts(world.alarm(TICKET))[LATE, LOCAL.endpoint]

    async def story(watched: Watched) -> None:
        for delay in (3.0, 7200.0, 800.0, 7200.0, 5.0):
            put(watched, metric, delay)
            put(watched, metric, min(delay, 800.0))
            assert await later(watched, 60) == set()
        assert await later(watched, 600) == set()
        for _ in range(2):  # a person sends an old file again
            put(watched, metric, 7200.0)
        assert await later(watched, 600) == set()
        firing: set[str] = set()
        for _ in range(4):
            put(watched, metric, 901.0)
            firing = await later(watched, 60)
        assert firing == {TICKET}
        for _ in range(12):
            put(watched, metric, 20.0)
            firing = await later(watched, 60)
        assert firing == set()

    tell(story, TICKET)
