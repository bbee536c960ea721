"""The alarms on the error budget: what is declared, and when they ring on a real CloudWatch."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from random import Random
from typing import Any

import pytest
from scipy.stats import binom

from infra.aws.monitors import ALPHA
from infra.aws.monitors import burn_evidence as evidence
from infra.config.section import Whose
from infra.config.slo_settings import SloSettings
from monitoring.objectives.slo import SLIS, rules
from platforms.aws.evaluations import evaluations
from rollout.core.state import RolloutState
from services.declaration import alarm_thresholds
from tests.infra.recorded import ACCOUNT, IMAGE, LOCAL, OLD, SOURCE, Answers, idle, release
from tests.infra.recorded import run_program as run
from tests.infra.refusals import refusal
from tests.infra.watched import Watched, play

VARIANTS = (OLD.variant, release(LOCAL).variant)
PROMISED = {"availability": 0.99, "latency": 0.95, "latency_ms": 250, "probe_minutes": 1}
SLOW, QUICK = 260_000.0, 20_000.0  # microseconds
SILENT = "probe-silent"
BURN = ["burn-fast", "burn-slow", "burn-still"]
WINDOWS = [*BURN, "slo-ticket"]


# --- config


@pytest.mark.parametrize("stack", ["dev", "prod"])
def test_an_objective_of_less_than_a_week_is_for_local_stacks_only(stack: str) -> None:
    assert refusal(stack, slo={"window_days": 6.5}) == [
        "modelstack:slo.window_days = 6.5: SageMaker's metrics come once a minute, too seldom for the windows of such "
        "an objective; allowed is a number from 7 to 60 on AWS, or null"
    ]
    there = SloSettings.model_validate({"window_days": 0.5}, context=Whose("local"))
    assert there.objective("local").window_seconds == 43_200


def test_without_a_window_the_objective_is_of_a_month_and_on_local_stacks_of_hours() -> None:
    assert SloSettings().objective("prod").window_seconds == 30 * 86400
    assert SloSettings().objective("local").window_seconds == 6 * 3600


@pytest.mark.parametrize("stack", ["local", "prod"])
def test_every_objective_that_is_allowed_can_be_burnt_fast_enough_to_page(stack: str) -> None:
    worst = SloSettings(availability=0.95, latency=0.95).objective(stack)
    assert all(rule.factor * worst.tolerated(sli) < 1 for rule in rules(worst, 60) for sli in SLIS)


# --- what is declared


def test_people_are_told_by_one_alarm_of_each_severity_and_by_no_other() -> None:
    world = run()
    for name in (*BURN, SILENT):
        assert not world.alarm(name).get("alarmActions"), "it would tell people of one fault twice"
    page, ticket = world.one(":CompositeAlarm", "slo-page").inputs, world.alarm("slo-ticket")
    for severity, told in (("page", page), ("ticket", ticket)):
        assert told["alarmActions"]
        assert told["tags"] == {"severity": severity}
    prefix = "flight-delay-local-burn"
    assert page["alarmRule"] == (
        f'((ALARM("{prefix}-fast") OR ALARM("{prefix}-slow")) AND ALARM("{prefix}-still")) OR '
        'ALARM("flight-delay-local-probe-silent")'
    )


@pytest.mark.parametrize("stack", ["local", "dev", "prod"])
def test_an_alarm_keeps_to_what_cloudwatch_takes(stack: str) -> None:
    source = {**SOURCE, "release": release(LOCAL, "2" * 64).as_dict()}
    world = (
        run(stack, state=None, serving={"image": IMAGE}, answers=Answers(source=source)) if stack != "local" else run()
    )
    for name in WINDOWS:
        inputs = world.alarm(name)
        read = [query["metric"] for query in inputs["metricQueries"] if "metric" in query]
        assert len(read) <= 10, "an alarm reads ten metrics at most"
        assert len({metric["period"] for metric in read}) == 1
        assert inputs["treatMissingData"] == "notBreaching"


def test_requests_of_all_versions_are_counted_together() -> None:
    queries = run(state=idle(OLD)).alarm("burn-fast")["metricQueries"]
    seen = {query["metric"]["dimensions"]["VariantName"] for query in queries if "metric" in query}
    assert seen == set(VARIANTS)
    failed = {query["id"]: query["expression"] for query in queries if "expression" in query}["failed"]
    assert failed == " + ".join(f"failed_{variant.replace('-', '_')}" for variant in sorted(VARIANTS))


def test_another_release_adds_queries_and_changes_only_the_sums() -> None:
    def queries(state: RolloutState) -> dict[str, Any]:
        return {item["id"]: item for item in run(state=state).alarm("burn-fast")["metricQueries"]}

    one, two = queries(idle(release(LOCAL))), queries(idle(OLD))
    assert {id_ for id_ in one if one[id_] != two[id_]} == {"requests", "failed", "slow"}
    assert {id_.partition("_")[0] for id_ in two.keys() - one.keys()} == {"requests", "failed", "slow"}
    places = {id_: place for place, id_ in enumerate(two)}
    assert [places[id_] for id_ in one if "_" not in id_] == list(range(6)), "the sums first, where they stay"


def test_probe_may_do_no_more_than_it_needs() -> None:
    world = run()
    allowed = {
        (action, resource)
        for item in world.allows("probe")
        for action in item["Action"]
        for resource in item["Resource"]
        if not action.startswith("logs:")
    }
    here = f"us-east-1:{ACCOUNT}"
    assert allowed == {
        ("dynamodb:GetItem", f"arn:aws:dynamodb:{here}:table/{LOCAL.journal}"),
        ("s3:GetObject", f"arn:aws:s3:::{LOCAL.bucket}/packages/*/manifest.json"),
        ("s3:GetObject", f"arn:aws:s3:::{LOCAL.bucket}/packages/*/example.json"),
        ("kms:Decrypt", f"arn:aws:kms:{here}:key/artifacts"),
        ("sagemaker:InvokeEndpoint", f"arn:aws:sagemaker:{here}:endpoint/{LOCAL.endpoint}"),
        ("cloudwatch:PutMetricData", "*"),
    }


def test_probe_asks_as_often_as_the_config_says_and_not_at_all_when_it_says_null() -> None:
    often = run(slo={"probe_minutes": 5})
    assert often.one(":Schedule", "probe").inputs["scheduleExpression"] == "rate(5 minutes)"
    assert often.alarm(SILENT)["period"] == 300
    never = run(slo={"probe_minutes": None})
    assert not [item for item in never.resources if "probe" in item.name]
    assert SILENT not in never.one(":CompositeAlarm", "slo-page").inputs["alarmRule"]


# --- beyond chance


@pytest.mark.parametrize("stack", ["local", "prod"])
def test_a_service_that_just_keeps_to_its_objective_rings_by_chance_within_the_promise(stack: str) -> None:
    objective = SloSettings().objective(stack)
    pairs = rules(objective, 10 if stack == "local" else 60)
    nats = evidence(objective, pairs)
    for requests in (20, 100, 1_000, 20_000, 1_000_000):
        chance = 0.0
        for rule in pairs:
            for sli in SLIS:
                above = int(alarm_thresholds.least(requests, objective.tolerated(sli), nats))
                each = float(binom.sf(above, requests, objective.tolerated(sli)))
                chance += each * evaluations(objective.window_seconds, rule.seconds)
        assert chance <= ALPHA, requests


# --- on CloudWatch


class Served(Watched):
    """A CloudWatch with the declared alarms, and requests to put into it."""

    async def serve(self, seconds: int, requests: int, *, failed: int = 0, slow: int = 0) -> None:
        """For so many seconds, each ten of them so many requests, shared out over both versions."""
        for _ in range(seconds // 10):
            for position in range(requests):
                variant, latency = VARIANTS[position % 2], SLOW if position >= requests - slow else QUICK
                self.put("Invocations", 1, variant, "AWS/SageMaker")
                self.put("Invocation5XXErrors", float(position < failed), variant, "AWS/SageMaker")
                self.put("ModelLatency", latency, variant, "AWS/SageMaker")
            await self.local.advance(10)

    async def probe(self, minutes: int, *, ok: bool | None = True) -> None:
        """For so many minutes, a probe each minute that is answered or not; None: none runs."""
        for _ in range(minutes):
            if ok is not None:
                self.put("ProbeSuccess", float(ok))
            await self.local.advance(60)


@pytest.fixture
def tell(tmp_path: Path) -> Callable[[Callable[[Served], Awaitable[None]]], None]:
    """Runs a story against a new CloudWatch with the alarms on the objective."""
    world = run(state=idle(OLD), slo=PROMISED)
    alarms = [*(world.alarm(name) for name in (*WINDOWS, SILENT)), world.one(":CompositeAlarm", "slo-page").inputs]
    return lambda story: play(tmp_path, alarms, lambda watched: story(Served(watched.local)))


def test_an_outage_pages_once_and_the_page_ends_soon_after_it(tell: Any) -> None:
    async def story(served: Served) -> None:
        await served.serve(60, 20)
        assert await served.ringing() == set()
        await served.serve(60, 20, failed=20)
        assert {"slo-page", "burn-fast", "burn-still"} <= await served.ringing()
        await served.serve(90, 20)
        assert len([subject for subject in served.told() if "slo-page" in subject]) == 1, "several alarms rang"
        assert "burn-slow" in await served.ringing(), "the long window still has the outage in it"
        assert "slo-page" not in await served.ringing()

    tell(story)


@pytest.mark.parametrize(
    ("failed", "slow", "wanted"),
    [
        (0, 0, set()),
        (0, 100, {"slo-page", "slo-ticket"}),  # every request slow: 20 times what is tolerated
        (8, 0, {"slo-page", "slo-ticket"}),  # 8% fail: 8 times as many, too slow for the fast windows
        (3, 0, {"slo-ticket"}),
        (1, 5, set()),  # just what is tolerated
    ],
)
def test_who_is_told_depends_on_how_fast_the_budget_burns(tell: Any, failed: int, slow: int, wanted: set[str]) -> None:
    async def story(served: Served) -> None:
        await served.serve(300, 100, failed=failed, slow=slow)
        assert {name for name in await served.ringing() if name.startswith("slo-")} == wanted

    tell(story)


def test_three_failures_of_three_requests_tell_nobody(tell: Any) -> None:
    async def story(served: Served) -> None:
        for _ in range(3):
            await served.serve(10, 1, failed=1)
        assert {"burn-still"} <= await served.ringing(), "their burn rate is 100"
        assert not served.told()

    tell(story)


def test_a_night_without_a_request_tells_nobody(tell: Any) -> None:
    async def story(served: Served) -> None:
        await served.serve(60, 20)
        await served.probe(60)
        assert await served.ringing() == set()

    tell(story)


def test_failures_that_come_by_chance_within_the_objective_tell_nobody(tell: Any) -> None:
    draw = Random(5)

    async def story(served: Served) -> None:
        for _ in range(120):
            failed = sum(draw.random() < 0.01 for _ in range(10))
            await served.serve(
                10, 10, failed=failed, slow=min(10 - failed, sum(draw.random() < 0.05 for _ in range(10)))
            )
        assert not served.told()

    tell(story)


def test_probes_that_are_answered_tell_nobody(tell: Any) -> None:
    async def story(served: Served) -> None:
        await served.local.advance(600)
        assert await served.ringing() == set(), "the endpoint is new, and no probe has run"
        await served.probe(60)
        assert await served.ringing() == set()
        await served.probe(2, ok=False)
        await served.probe(10)
        assert not served.told(), "two failures are no silence"

    tell(story)


@pytest.mark.parametrize(("ok", "minutes"), [(False, 4), (None, 6)])
def test_silence_pages_whether_probes_fail_or_do_not_run(tell: Any, ok: bool | None, minutes: int) -> None:
    async def story(served: Served) -> None:
        await served.probe(10)
        await served.probe(minutes, ok=ok)
        assert await served.ringing() == {SILENT, "slo-page"}
        assert len(served.told()) == 1
        await served.probe(2)
        assert await served.ringing() == set()

    tell(story)


def test_an_endpoint_whose_first_probes_never_run_pages_when_it_had_time_to_begin(tell: Any) -> None:
    async def story(served: Served) -> None:
        await served.local.advance(31 * 60)
        assert await served.ringing() == {SILENT, "slo-page"}

    tell(story)
