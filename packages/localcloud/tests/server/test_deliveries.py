"""Events and messages reach whom they are allowed to reach, at least once, and failures are kept."""

from __future__ import annotations

import json
import time
from contextlib import nullcontext
from datetime import UTC, datetime

import pytest
from botocore.exceptions import ClientError

pytestmark = pytest.mark.e2e

ARN = "arn:aws:{service}:us-east-1:000000000000:{name}"


@pytest.fixture(scope="module")
def functions(cloud, functions_of):
    return functions_of(cloud)


@pytest.fixture
def seen(cloud):
    """Events that the function which writes into a bucket has seen."""

    def read(bucket: str) -> list[dict]:
        s3 = cloud.client("s3")
        entries = s3.list_objects_v2(Bucket=bucket, Prefix="seen/").get("Contents", [])
        return [json.loads(s3.get_object(Bucket=bucket, Key=entry["Key"])["Body"].read()) for entry in entries]

    return read


def witness(cloud, functions, name: str, **settings) -> str:
    """A function that writes every event into a bucket of the same name."""
    cloud.client("s3").create_bucket(Bucket=name)
    arn = functions.create(name, bucket=name, **settings)
    functions.allow(name, Action="s3:PutObject", Resource="*")
    return arn


def test_a_topic_invokes_a_function_only_with_its_permission(cloud, functions, seen, eventually):
    arn = witness(cloud, functions, "sns-witness")
    sns = cloud.client("sns")
    topic = sns.create_topic(Name="sns-witness")["TopicArn"]
    sns.subscribe(TopicArn=topic, Protocol="lambda", Endpoint=arn)
    sns.publish(TopicArn=topic, Message="refused")
    cloud.client("lambda").add_permission(
        FunctionName="sns-witness",
        StatementId="topic",
        Action="lambda:InvokeFunction",
        Principal="sns.amazonaws.com",
        SourceArn=topic,
    )
    sns.publish(TopicArn=topic, Subject="s", Message="delivered")
    assert eventually(lambda: seen("sns-witness"))
    [event] = seen("sns-witness")
    assert event["Records"][0]["Sns"]["Message"] == "delivered"
    assert event["Records"][0]["EventSource"] == "aws:sns"


def test_the_permission_for_one_topic_is_none_for_another(cloud, functions, seen):
    arn = witness(cloud, functions, "sns-other")
    sns = cloud.client("sns")
    topic = sns.create_topic(Name="sns-other")["TopicArn"]
    sns.subscribe(TopicArn=topic, Protocol="lambda", Endpoint=arn)
    cloud.client("lambda").add_permission(
        FunctionName="sns-other",
        StatementId="topic",
        Action="lambda:InvokeFunction",
        Principal="sns.amazonaws.com",
        SourceArn=topic + "-else",
    )
    sns.publish(TopicArn=topic, Message="refused")
    time.sleep(1)
    assert seen("sns-other") == []


def rule(cloud, name: str, target: str, **schedule) -> str:
    events = cloud.client("events")
    arn = events.put_rule(Name=name, **schedule)["RuleArn"]
    events.put_targets(Rule=name, Targets=[{"Id": "1", "Arn": target}])
    return arn


def permit(cloud, name: str, rule_arn: str) -> None:
    cloud.client("lambda").add_permission(
        FunctionName=name,
        StatementId="rule",
        Action="lambda:InvokeFunction",
        Principal="events.amazonaws.com",
        SourceArn=rule_arn,
    )


def test_a_rule_invokes_a_function_only_with_its_permission(cloud, functions, seen, eventually):
    arn = witness(cloud, functions, "rule-witness")
    pattern = json.dumps({"source": ["mine"], "detail": {"state": ["ALARM"]}})
    rule_arn = rule(cloud, "rule-witness", arn, EventPattern=pattern)
    entry = {"Source": "mine", "DetailType": "changed", "Detail": '{"state": "ALARM", "n": 1}'}
    cloud.client("events").put_events(Entries=[entry])
    permit(cloud, "rule-witness", rule_arn)
    cloud.client("events").put_events(
        Entries=[{**entry, "Detail": '{"state": "ALARM", "n": 2}'}, {**entry, "Detail": '{"state": "OK", "n": 3}'}]
    )
    assert eventually(lambda: seen("rule-witness"))
    time.sleep(0.5)
    assert [event["detail"]["n"] for event in seen("rule-witness")] == [2]


def test_a_queue_without_a_policy_takes_nothing_from_a_rule(cloud, policy, eventually):
    sqs = cloud.client("sqs")
    for name in ("open", "shut"):
        url = sqs.create_queue(QueueName=f"rule-{name}")["QueueUrl"]
        arn = ARN.format(service="sqs", name=f"rule-{name}")
        rule_arn = rule(cloud, f"queue-{name}", arn, EventPattern='{"source": ["queues"]}')
        if name == "open":
            allowed = policy(
                Principal={"Service": "events.amazonaws.com"},
                Action="sqs:SendMessage",
                Resource=arn,
                Condition={"ArnEquals": {"aws:SourceArn": rule_arn}},
            )
            sqs.set_queue_attributes(QueueUrl=url, Attributes={"Policy": allowed})
    cloud.client("events").put_events(Entries=[{"Source": "queues", "DetailType": "d", "Detail": "{}"}])
    urls = {name: sqs.get_queue_url(QueueName=f"rule-{name}")["QueueUrl"] for name in ("open", "shut")}
    assert eventually(lambda: sqs.receive_message(QueueUrl=urls["open"]).get("Messages"))
    assert "Messages" not in sqs.receive_message(QueueUrl=urls["shut"])


def test_nobody_may_forge_an_event_of_aws(cloud):
    entry = {"Source": "aws.cloudwatch", "DetailType": "CloudWatch Alarm State Change", "Detail": "{}"}
    answer = cloud.client("events").put_events(Entries=[entry])
    assert answer["Entries"][0]["ErrorCode"] == "NotAuthorizedForSourceException"


def test_a_failed_event_is_tried_three_times_and_lands_in_the_dead_letter_queue(cloud, functions, eventually):
    url = cloud.client("sqs").create_queue(QueueName="dead-letters")["QueueUrl"]
    queue = ARN.format(service="sqs", name="dead-letters")
    functions.create("failing", DeadLetterConfig={"TargetArn": queue})
    functions.allow("failing", Action="sqs:SendMessage", Resource=queue)
    cloud.client("lambda").invoke(FunctionName="failing", InvocationType="Event", Payload=b'{"fail": "on purpose"}')

    def receive():
        return cloud.client("sqs").receive_message(QueueUrl=url, MessageAttributeNames=["All"]).get("Messages")

    [message] = eventually(receive)
    assert json.loads(message["Body"]) == {"fail": "on purpose"}
    assert message["MessageAttributes"]["ErrorMessage"]["StringValue"] == "on purpose"

    def tries():
        logged = cloud.client("logs").filter_log_events(logGroupName="/aws/lambda/failing", filterPattern='"event"')
        return len([e for e in logged["events"] if e["message"].startswith("event")])

    assert eventually(lambda: tries() == 3)  # lines reach Logs a little after they were written
    assert tries() == 3


def test_failures_are_metered_for_an_alarm_on_the_function_itself(cloud, eventually):
    def sums(name: str) -> float:
        answer = cloud.client("cloudwatch").get_metric_statistics(
            Namespace="AWS/Lambda",
            MetricName=name,
            Dimensions=[{"Name": "FunctionName", "Value": "failing"}],
            StartTime=time.time() - 600,
            EndTime=time.time() + 60,
            Period=60,
            Statistics=["Sum"],
        )
        return sum(point["Sum"] for point in answer["Datapoints"])

    assert eventually(lambda: sums("Errors") == 3)
    assert sums("Invocations") == 3
    assert sums("AsyncEventsReceived") == 1


def test_a_role_that_may_not_write_the_dead_letter_queue_does_not(cloud, functions, eventually):
    url = cloud.client("sqs").create_queue(QueueName="no-letters")["QueueUrl"]
    functions.create("unlucky", DeadLetterConfig={"TargetArn": ARN.format(service="sqs", name="no-letters")})
    cloud.client("lambda").put_function_event_invoke_config(FunctionName="unlucky", MaximumRetryAttempts=0)
    cloud.client("lambda").invoke(FunctionName="unlucky", InvocationType="Event", Payload=b'{"fail": "x"}')

    def errors():
        return cloud.client("cloudwatch").list_metrics(Namespace="AWS/Lambda", MetricName="DeadLetterErrors")["Metrics"]

    assert eventually(errors)
    assert "Messages" not in cloud.client("sqs").receive_message(QueueUrl=url)


def test_a_destination_gets_a_record_of_the_failure(cloud, functions, eventually):
    url = cloud.client("sqs").create_queue(QueueName="destination")["QueueUrl"]
    queue = ARN.format(service="sqs", name="destination")
    functions.create("destined")
    functions.allow("destined", Action="sqs:SendMessage", Resource=queue)
    cloud.client("lambda").put_function_event_invoke_config(
        FunctionName="destined",
        MaximumRetryAttempts=1,
        DestinationConfig={"OnFailure": {"Destination": queue}},
    )
    cloud.client("lambda").invoke(FunctionName="destined", InvocationType="Event", Payload=b'{"fail": "x"}')
    [message] = eventually(lambda: cloud.client("sqs").receive_message(QueueUrl=url).get("Messages"))
    record = json.loads(message["Body"])
    assert record["requestContext"]["condition"] == "RetriesExhausted"
    assert record["requestContext"]["approximateInvokeCount"] == 2
    assert record["requestPayload"] == {"fail": "x"}
    assert record["responsePayload"]["errorMessage"] == "x"


def handled_by(cloud, bucket: str) -> list[str]:
    """The process that handled each event which the function that writes into a bucket has seen."""
    s3 = cloud.client("s3")
    entries = s3.list_objects_v2(Bucket=bucket, Prefix="seen/").get("Contents", [])
    return [s3.head_object(Bucket=bucket, Key=entry["Key"])["Metadata"]["process"] for entry in entries]


def post(cloud, name: str, events: list[dict]) -> None:
    for event in events:
        cloud.client("lambda").invoke(FunctionName=name, InvocationType="Event", Payload=json.dumps(event))


def test_a_burst_of_events_waits_for_four_processes_and_holds_no_other_function_up(cloud, functions, seen, eventually):
    for name in ("burst", "calm"):
        witness(cloud, functions, name)
        functions.allow(name, Action=["s3:PutObject", "s3:ListBucket"], Resource="*")
    post(cloud, "burst", [{"n": n, "until": "open"} for n in range(10)])
    post(cloud, "calm", [{"n": 0}])
    assert eventually(lambda: seen("calm")) == [{"n": 0}]
    assert seen("burst") == []
    cloud.client("s3").put_object(Bucket="burst", Key="open")
    eventually(lambda: len(seen("burst")) == 10, seconds=60)
    assert sorted(event["n"] for event in seen("burst")) == list(range(10))
    assert len(set(handled_by(cloud, "burst"))) <= 4


def test_reserved_concurrency_says_how_many_events_run_at_a_time(cloud, functions, seen, eventually):
    witness(cloud, functions, "reserved")
    cloud.client("lambda").put_function_concurrency(FunctionName="reserved", ReservedConcurrentExecutions=1)
    post(cloud, "reserved", [{"n": n, "sleep": 0.2} for n in range(4)])
    eventually(lambda: len(seen("reserved")) == 4, seconds=60)
    assert sorted(event["n"] for event in seen("reserved")) == [0, 1, 2, 3]
    assert len(set(handled_by(cloud, "reserved"))) == 1
    throttled = [{"Name": "FunctionName", "Value": "reserved"}]
    assert cloud.client("cloudwatch").list_metrics(MetricName="Throttles", Dimensions=throttled)["Metrics"] == []


def test_a_schedule_calls_a_function_only_with_the_rights_of_its_role(cloud, functions, policy, seen, eventually):
    arn = witness(cloud, functions, "on-time")
    others = {"Condition": {"StringEquals": {"aws:SourceAccount": "111111111111"}}}
    roles = {
        "trusted": ("scheduler.amazonaws.com", arn, {}),
        "without-rights": ("scheduler.amazonaws.com", f"{arn}-else", {}),
        "of-another-service": ("events.amazonaws.com", arn, {}),
        "of-another-account": ("scheduler.amazonaws.com", arn, others),
    }
    iam, scheduler = cloud.client("iam"), cloud.client("scheduler")
    for name, (service, resource, condition) in roles.items():
        trust = policy(Principal={"Service": service}, Action="sts:AssumeRole", **condition)
        role = iam.create_role(RoleName=name, AssumeRolePolicyDocument=trust)["Role"]["Arn"]
        allowed = policy(Action="lambda:InvokeFunction", Resource=resource)
        iam.put_role_policy(RoleName=name, PolicyName="call", PolicyDocument=allowed)
        with pytest.raises(ClientError, match="to assume the role") if "another" in name else nullcontext():
            scheduler.create_schedule(
                Name=name,
                ScheduleExpression=f"at({datetime.now(UTC):%Y-%m-%dT%H:%M:%S})",
                FlexibleTimeWindow={"Mode": "OFF"},
                Target={"Arn": arn, "RoleArn": role, "Input": json.dumps({"by": name})},
            )
    assert eventually(lambda: seen("on-time"), seconds=30)
    time.sleep(0.5)
    assert seen("on-time") == [{"by": "trusted"}]


def test_a_rule_that_is_due_when_the_cloud_comes_back_fires(new_cloud, functions_of, eventually):
    cloud = new_cloud()
    cloud.start()
    functions = functions_of(cloud)
    arn = witness(cloud, functions, "scheduled")
    permit(cloud, "scheduled", rule(cloud, "scheduled", arn, ScheduleExpression="rate(1 minute)"))
    cloud.stop()
    file = cloud.state / "ministack" / "eventbridge.json"
    state = json.loads(file.read_text())
    for entry in state["payload"]["rules"]["data"].values():
        entry["CreationTime"] -= 60
    file.write_text(json.dumps(state))
    cloud.start()
    found = eventually(lambda: cloud.client("s3").list_objects_v2(Bucket="scheduled").get("Contents"), seconds=20)
    event = json.loads(cloud.client("s3").get_object(Bucket="scheduled", Key=found[0]["Key"])["Body"].read())
    assert (event["source"], event["detail-type"]) == ("aws.events", "Scheduled Event")
    cloud.stop()
