"""The adapters, on botocore's service model (SageMaker, stubbed answers) and on moto (DynamoDB, CloudWatch, SNS)."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import boto3
import pytest
from botocore.exceptions import ConnectionClosedError
from botocore.stub import Stubber
from moto import mock_aws

from modelstack.platforms.aws.clients import clients
from modelstack.platforms.aws.endpoint import SageMakerRegistry, SnsNotify, controller
from modelstack.platforms.aws.journal import DynamoJournal
from modelstack.platforms.aws.traffic import SageMakerTraffic
from modelstack.rollout.core.errors import Busy, RolloutError, Unreachable
from modelstack.rollout.core.event import Event
from modelstack.rollout.core.live import Live, Variant
from modelstack.rollout.core.state import Phase, RolloutState
from modelstack.rollout.reason import Reason
from modelstack.services.guardrails import guardrail
from tests.platforms.aws.inbox import subscribed
from tests.platforms.aws.mocked import journal_table, lead_to_mocks
from tests.rollout.worlds import PLAN, release, served

ARN = "arn:aws:sagemaker:us-east-1:000000000000:endpoint/endpoint"
PACKAGE = "arn:aws:sagemaker:us-east-1:000000000000:model-package/group/1"
NOW = datetime(2026, 1, 5, 12, 0, tzinfo=UTC)


@pytest.fixture(autouse=True)
def credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    lead_to_mocks(monkeypatch)


@pytest.fixture
def stub() -> Iterator[Stubber]:
    client = boto3.client("sagemaker", region_name="us-east-1")
    with Stubber(client) as stubber:
        yield stubber
        stubber.assert_no_pending_responses()


@pytest.fixture
def traffic(stub: Stubber) -> SageMakerTraffic:
    return SageMakerTraffic(lambda _: stub.client, "endpoint")


def described(status: str, **more: Any) -> dict[str, Any]:
    variants = [
        {"VariantName": "v-a", "CurrentWeight": 90.0, "DesiredWeight": 50.0, "CurrentInstanceCount": 2},
        {"VariantName": "v-b", "CurrentWeight": 10.0, "DesiredWeight": 50.0, "CurrentInstanceCount": 1},
    ]
    return {
        "EndpointName": "endpoint", "EndpointArn": ARN, "EndpointConfigName": "pair", "EndpointStatus": status,
        "ProductionVariants": variants, "CreationTime": NOW, "LastModifiedTime": NOW, **more,
    }  # fmt: skip


def test_what_is_live_is_read_back_with_weights_as_shares(traffic: SageMakerTraffic, stub: Stubber) -> None:
    stub.add_response("describe_endpoint", described("Updating"), {"EndpointName": "endpoint"})
    live = traffic.read()
    variants = {"v-a": Variant(90, 50, 2), "v-b": Variant(10, 50, 1)}
    assert live == Live("changing", "pair", variants, "Updating", modified=NOW.timestamp())
    assert (live.shares(), live.shares(desired=True)) == ({"v-a": 90, "v-b": 10}, {"v-a": 50, "v-b": 50})


STATUSES = {
    "InService": "ready", "Creating": "changing", "Updating": "changing", "SystemUpdating": "changing",
    "RollingBack": "changing", "Deleting": "changing", "Failed": "failed", "OutOfService": "failed",
    "UpdateRollbackFailed": "failed",
}  # fmt: skip


def test_every_status_of_the_service_model_is_known(traffic: SageMakerTraffic, stub: Stubber) -> None:
    assert set(stub.client.meta.service_model.shape_for("EndpointStatus").enum) == set(STATUSES)
    for status, kind in STATUSES.items():
        stub.add_response("describe_endpoint", described(status, FailureReason="no capacity"))
        live = traffic.read()
        assert (live.status, live.detail) == (kind, f"{status}: no capacity")


@pytest.mark.parametrize(("kind", "waits"), [("all_at_once", 1), ("canary", 2), ("linear", 2), ("rolling", 2)])
def test_a_guard_is_sent_as_a_deployment_config_that_waits_after_every_part(
    traffic: SageMakerTraffic, stub: Stubber, kind: str, waits: int
) -> None:
    size = {"Type": "CAPACITY_PERCENT", "Value": 50}
    routing: dict[str, Any] = {
        "all_at_once": {"Type": "ALL_AT_ONCE", "WaitIntervalInSeconds": 60},
        "canary": {"Type": "CANARY", "CanarySize": size, "WaitIntervalInSeconds": 60},
        "linear": {"Type": "LINEAR", "LinearStepSize": size, "WaitIntervalInSeconds": 60},
    }
    blue_green = {"TrafficRoutingConfiguration": routing.get(kind), "TerminationWaitInSeconds": 60}
    rolling = {"MaximumBatchSize": size, "WaitIntervalInSeconds": 60}
    name, policy = ("RollingUpdatePolicy", rolling) if kind == "rolling" else ("BlueGreenUpdatePolicy", blue_green)
    sent = {
        name: {**policy, "MaximumExecutionTimeoutInSeconds": 1800 + waits * 60},
        "AutoRollbackConfiguration": {"Alarms": [{"AlarmName": "v-a-5xx"}]},
    }
    expected = {"EndpointName": "endpoint", "EndpointConfigName": "large", "DeploymentConfig": sent}
    stub.add_response("update_endpoint", {"EndpointArn": ARN}, expected)
    traffic.use_config("large", guardrail(kind, 50, 60, ["v-a-5xx"]))


def test_an_update_that_sagemaker_rolls_back_without_a_reason_fails_the_trial(
    traffic: SageMakerTraffic, stub: Stubber
) -> None:
    """As reported in terraform-provider-aws 48997: the endpoint is InService with its old config."""
    world = served()
    solo = [{"VariantName": "v-a", "CurrentWeight": 1.0, "DesiredWeight": 1.0, "CurrentInstanceCount": 1}]

    def describe(status: str, after: int) -> None:
        told = described(status, EndpointConfigName="solo-a", ProductionVariants=solo)
        stub.add_response("describe_endpoint", {**told, "LastModifiedTime": NOW + timedelta(seconds=after)})

    describe("InService", 0)
    stub.add_response("update_endpoint", {"EndpointArn": ARN})
    describe("InService", 0)  # reads are eventually consistent
    world.controller(traffic=traffic).release(release("b"), "pair-ab", PLAN)
    assert (world.state.phase, world.state.moves) == (Phase.PREPARING, 1)
    world.clock.sleep(20)
    describe("Updating", 10)
    world.controller(traffic=traffic).tick()
    assert world.state.phase is Phase.PREPARING
    world.clock.sleep(20)
    for _ in range(3):
        describe("InService", 30)
    state = world.controller(traffic=traffic).tick().state
    assert (state.phase, state.verdict.outcome, state.rejected, state.champion) == (
        Phase.IDLE, "failed", {}, release("a"),
    )  # fmt: skip
    assert "serves solo-a again without a reason" in state.verdict.reason.text


def test_a_refusal_while_the_endpoint_is_updating_is_busy_not_a_mistake(
    traffic: SageMakerTraffic, stub: Stubber
) -> None:
    for call, method in (
        ("update_endpoint_weights_and_capacities", lambda: traffic.set_weights({"v-a": 100, "v-b": 0})),
        ("update_endpoint", lambda: traffic.use_config("solo")),
    ):
        stub.add_client_error(call, "ValidationException", "Cannot update in-progress endpoint", 400)
        stub.add_response("describe_endpoint", described("Updating"))
        with pytest.raises(Busy, match="the endpoint is changing"):
            method()


def test_a_refusal_by_an_update_that_has_just_ended_is_no_mistake(traffic: SageMakerTraffic, stub: Stubber) -> None:
    call = "update_endpoint_weights_and_capacities"
    stub.add_client_error(call, "ValidationException", "Cannot update in-progress endpoint", 400)
    stub.add_response("describe_endpoint", described("InService"))
    stub.add_response(call, {"EndpointArn": ARN})
    traffic.set_weights({"v-a": 100, "v-b": 0})
    stub.assert_no_pending_responses()


def test_a_refusal_of_an_endpoint_in_service_is_a_mistake_and_says_which(
    traffic: SageMakerTraffic, stub: Stubber
) -> None:
    for _ in range(2):
        message = "Could not find endpoint configuration solo"
        stub.add_client_error("update_endpoint", "ValidationException", message, 400)
        stub.add_response("describe_endpoint", described("InService"))
    with pytest.raises(RolloutError, match=r"move endpoint endpoint to config solo: .*Could not find") as raised:
        traffic.use_config("solo")
    assert not isinstance(raised.value, Busy)


@pytest.mark.parametrize(
    ("code", "status", "error"),
    [("ThrottlingException", 400, Busy), ("InternalFailure", 500, Unreachable), ("AccessDenied", 403, RolloutError)],
)
def test_throttling_is_busy_and_a_server_error_is_unreachable(
    traffic: SageMakerTraffic, stub: Stubber, code: str, status: int, error: type[RolloutError]
) -> None:
    stub.add_client_error("describe_endpoint", code, "no", status)
    with pytest.raises(error) as raised:
        traffic.read()
    assert type(raised.value) is error


def test_an_endpoint_that_nothing_listens_for_is_unreachable() -> None:
    session = boto3.Session("test", "test", region_name="us-east-1")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
        with pytest.raises(Unreachable, match="describe endpoint endpoint"):
            SageMakerTraffic(clients("us-east-1", session), "endpoint").read()


def test_an_approval_carries_its_reason_in_one_line_within_the_services_limit(stub: Stubber) -> None:
    registry = SageMakerRegistry(lambda _: stub.client)
    sent = {"ModelPackageArn": PACKAGE, "ModelApprovalStatus": "Rejected", "ApprovalDescription": "no: " + "x" * 1020}
    stub.add_response("update_model_package", {"ModelPackageArn": PACKAGE}, sent)
    registry.set_approval(PACKAGE, "Rejected", "no:\n\t" + "x" * 2000)


@pytest.fixture
def aws() -> Iterator[Callable[[str], Any]]:
    with mock_aws():
        yield clients("us-east-1")


@pytest.fixture
def journal(aws: Callable[[str], Any]) -> DynamoJournal:
    journal_table(aws)
    return DynamoJournal(aws, "rollouts", "endpoint")


def test_a_journal_without_item_or_table_is_an_empty_state(aws: Callable[[str], Any], journal: DynamoJournal) -> None:
    assert journal.read() == RolloutState("endpoint")
    assert DynamoJournal(aws, "no-such-table", "endpoint").read() == RolloutState("endpoint")
    with pytest.raises(RolloutError, match="write journal no-such-table"):
        DynamoJournal(aws, "no-such-table", "endpoint").put(RolloutState("endpoint"))


@pytest.mark.parametrize("code", ["ProvisionedThroughputExceededException", "ThrottlingException"])
def test_a_throttled_journal_is_busy_so_that_whoever_reads_it_tries_again(code: str) -> None:
    client = boto3.client("dynamodb", region_name="us-east-1")
    with Stubber(client) as stubber:
        stubber.add_client_error("get_item", code, "slow down", 400)
        with pytest.raises(Busy, match="read journal rollouts: throttled"):
            DynamoJournal(lambda _: client, "rollouts", "endpoint").read()


@pytest.fixture
def inbox(aws: Callable[[str], Any]) -> Callable[[str], Callable[[], list[dict[str, Any]]]]:
    """Subscribes a queue to the topic `alerts` with a filter policy; gives what it holds."""
    topic = aws("sns").create_topic(Name="alerts")["TopicArn"]

    def made(policy: str) -> Callable[[], list[dict[str, Any]]]:
        queue = subscribed(aws, "inbox", topic, FilterPolicy=policy)
        return lambda: [
            json.loads(item["Body"])
            for item in aws("sqs").receive_message(QueueUrl=queue, MaxNumberOfMessages=10).get("Messages", [])
        ]

    return made


WORSE = Reason("judge", "errors", "50% > 2% \u2260")
BEGINS = Event(0.0, "000002-b", "weights", "b", numbers={"percent": 10}, weights={"v-a": 90, "v-b": 10})
ENDS = Event(0.0, "000002-b", "rolled_back", "b", reason=WORSE, weights={"v-a": 100, "v-b": 0})


@pytest.mark.slow
def test_an_event_is_published_as_json_to_a_queue_that_may_filter_by_its_attributes(
    aws: Callable[[str], Any], inbox: Callable[[str], Callable[[], list[dict[str, Any]]]]
) -> None:
    received = inbox('{"outcome": ["rolled_back", "failed"], "endpoint": ["endpoint"]}')
    notify = SnsNotify(aws, "arn:aws:sns:us-east-1:123456789012:alerts", "endpoint")
    notify.send(BEGINS)
    notify.send(replace(ENDS, at=1.0))
    (message,) = received()
    document = json.loads(message["Message"])
    assert (message["Subject"], document["why"]) == ("endpoint: b rolled back", "50% > 2% \u2260")
    assert (document["outcome"], document["weights"]) == ("rolled_back", {"v-a": 100, "v-b": 0})
    assert message["MessageAttributes"]["rollout_id"] == {"Type": "String", "Value": "000002-b"}


def test_what_was_published_is_counted_by_kind_for_the_dashboard(
    aws: Callable[[str], Any], inbox: Callable[[str], Callable[[], list[dict[str, Any]]]]
) -> None:
    inbox("{}")
    at = datetime.now(UTC).timestamp()
    notify = SnsNotify(aws, "arn:aws:sns:us-east-1:123456789012:alerts", "endpoint")
    notify.send(replace(ENDS, at=at))
    found = aws("cloudwatch").get_metric_statistics(
        Namespace="modelstack",
        MetricName="Events",
        Dimensions=[{"Name": "EndpointName", "Value": "endpoint"}, {"Name": "Event", "Value": "rolled_back"}],
        StartTime=datetime.now(UTC) - timedelta(hours=1),
        EndTime=datetime.now(UTC) + timedelta(hours=1),
        Period=60,
        Statistics=["Sum"],
    )
    assert [point["Sum"] for point in found["Datapoints"]] == [1.0]


def test_that_an_event_cannot_be_counted_takes_it_from_nobody(
    aws: Callable[[str], Any], inbox: Callable[[str], Callable[[], list[dict[str, Any]]]]
) -> None:
    received = inbox("{}")

    class Deaf:
        def put_metric_data(self, **_: Any) -> None:
            raise ConnectionClosedError(endpoint_url="https://monitoring")

    def some(service: str) -> Any:
        return Deaf() if service == "cloudwatch" else aws(service)

    SnsNotify(some, "arn:aws:sns:us-east-1:123456789012:alerts", "endpoint").send(
        Event(0.0, "000002-b", "promoted", "b")
    )
    assert len(received()) == 1


def test_a_controller_of_an_endpoint_that_was_never_released_says_there_is_nothing(journal: DynamoJournal) -> None:
    with pytest.raises(RolloutError, match="nothing to roll back to on endpoint endpoint"):
        controller("endpoint", "rollouts", "us-east-1").roll_back(Reason("person", "ada", "why not"))


def test_a_failure_is_told_in_one_line_that_ends_with_what_the_container_said_last(
    traffic: SageMakerTraffic, stub: Stubber
) -> None:
    failure = "Variant v-b did not pass. Last output:\nTraceback:\n  File ...\ncannot serve: RuntimeError: boom\n"
    stub.add_response("describe_endpoint", described("InService", FailureReason=failure))
    assert traffic.read().detail == (
        "InService: Variant v-b did not pass. Last output: cannot serve: RuntimeError: boom"
    )
