"""What the program declares so that drift is measured as captured files arrive. Nothing here needs an engine."""

from __future__ import annotations

import json

import pytest

from tests.program.recorded import World, statements
from tests.program.recorded import run_program as run

QUEUE = "arn:aws:sqs:us-east-1:000000000000:flight-delay-local-captures"


@pytest.fixture(scope="module")
def world() -> World:
    return run()


def test_captured_files_of_this_endpoint_and_of_no_other_leave_a_message_in_the_queue(world: World) -> None:
    pattern = json.loads(world.one(":EventRule", "captures").inputs["eventPattern"])
    assert pattern == {
        "source": ["aws.s3"],
        "detail-type": ["Object Created"],
        "detail": {
            "bucket": {"name": ["flight-delay-local-artifacts-000000000000"]},
            "object": {"key": [{"prefix": "capture/flight-delay-local/"}]},
        },
    }
    assert world.one(":BucketNotification").inputs["eventbridge"] is True


def test_queues_are_encrypted_and_take_messages_of_the_rule_alone_and_over_tls_alone(world: World) -> None:
    for name in ("captures", "captures-dead-letters"):
        assert world.one(":Queue", name).inputs["sqsManagedSseEnabled"] is True
        (denied,) = (
            item for item in statements(world.one(":Queue", name).inputs["policy"]) if item["Effect"] == "Deny"
        )
        assert denied["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}
        assert denied["Resource"] == [f"arn:aws:sqs:us-east-1:000000000000:{world.one(':Queue', name).inputs['name']}"]
    (allowed,) = (
        item for item in statements(world.one(":Queue", "captures").inputs["policy"]) if item["Effect"] == "Allow"
    )
    assert (allowed["Principal"], allowed["Action"], allowed["Resource"]) == (
        {"Service": "events.amazonaws.com"},
        ["sqs:SendMessage"],
        [QUEUE],
    )
    source = "arn:aws:events:us-east-1:000000000000:rule/flight-delay-local-captures"
    assert allowed["Condition"] == {"ArnEquals": {"aws:SourceArn": source}}


def test_the_queue_calls_the_function_which_gives_back_what_it_could_not_count(world: World) -> None:
    mapping = world.one(":EventSourceMapping").inputs
    assert mapping["functionResponseTypes"] == ["ReportBatchItemFailures"]
    assert mapping["maximumBatchingWindowInSeconds"] > 0, "AWS takes no more than ten messages without a window"
    timeout = world.function("drift")["timeout"]
    hidden = world.one(":Queue", "captures").inputs["visibilityTimeoutSeconds"]
    assert hidden >= 6 * timeout, "as AWS advises: else a file is told of twice while it is being counted"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("period", "minutes", "periods"), [(10, 2, 24), (60, 60, 120), (420, 720, 205), (300, 2, 1), (60, 720, 1440)]
)
def test_drift_is_told_within_a_period_and_lasts_from_sweep_to_sweep(period: int, minutes: int, periods: int) -> None:
    world = run(monitoring={"period_seconds": period, "drift_minutes": minutes})
    found = [alarm.inputs for alarm in world.all(":MetricAlarm") if "-drift" in alarm.name and "v-" in alarm.name]
    assert found
    for alarm in found:
        (read,) = (query["metric"] for query in alarm["metricQueries"] if "metric" in query)
        assert (read["period"], alarm["evaluationPeriods"], alarm["datapointsToAlarm"]) == (period, periods, 1)
        assert alarm["treatMissingData"] == "notBreaching"
        assert read["period"] * alarm["evaluationPeriods"] <= 86_400, "CloudWatch looks back no longer"
