"""The retrain function with its adapters, on moto's DynamoDB, S3, CloudWatch, SNS, SQS and training jobs."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from modelstack.monitoring.drift.record import Reading
from modelstack.monitoring.retraining.decision import Start
from modelstack.monitoring.retraining.record import Phase, RetrainingRecord
from modelstack.monitoring.retraining.rules import JobSettings, Rules, written
from modelstack.platforms.aws.documents import DynamoDocuments
from modelstack.platforms.aws.handlers import retrain
from modelstack.platforms.aws.journal import copied_journal
from modelstack.platforms.aws.training import AwsWorld, DynamoBook, TrainingJobs, report_key
from modelstack.rollout.core.errors import RolloutError
from modelstack.rollout.core.state import Phase as Rollout
from modelstack.rollout.core.state import RolloutState
from modelstack.services.drift_record import DriftRecord
from tests.monitoring.retraining.test_decision import BETTER, CHAMPION, IMAGE
from tests.platforms.aws.inbox import subscribed
from tests.platforms.aws.mocked import clients, documents_table, journal_table, mocked_aws

ENDPOINT = "flight-delay-local"
TABLE = f"{ENDPOINT}-rollouts"
DOCUMENTS = f"{ENDPOINT}-documents"
BUCKET = "artifacts"
ROLE = "arn:aws:iam::123456789012:role/flight-delay-local-training"
JOB = JobSettings(
    ROLE, IMAGE, "ml.m5.large", 600, 0.01, BUCKET, ENDPOINT, "us-east-1", "arn:key", {"auc": {"min": 0.6}}
)
DAY = 1_367_366_400.0  # 2013-05-01


@pytest.fixture(autouse=True)
def cloud(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with mocked_aws(monkeypatch) as make:
        journal_table(make, TABLE)
        documents_table(make, DOCUMENTS)
        make("s3").create_bucket(Bucket=BUCKET)
        make("s3").put_object(Bucket=BUCKET, Key="packages/b/model.tar.gz", Body=b"x")
        topic = make("sns").create_topic(Name="alerts")["TopicArn"]
        for name, value in {
            "ENDPOINT_NAME": ENDPOINT,
            "JOURNAL_TABLE": TABLE,
            "DOCUMENTS_TABLE": DOCUMENTS,
            "ALERTS_TOPIC": topic,
            "MODELSTACK_STACK": "dev",
            "INBOX": subscribed(make, "inbox", topic),
        }.items():
            monkeypatch.setenv(name, value)
        rules(monkeypatch)
        monkeypatch.setattr(retrain, "_clients", lambda: make)
        journal = copied_journal(make, TABLE, ENDPOINT)
        journal.write(RolloutState(ENDPOINT, champion=CHAMPION, phase=Rollout.IDLE))
        state = {"open": {"since": DAY}}
        DriftRecord(DynamoDocuments(make, DOCUMENTS)).write(CHAMPION.variant, Reading(state=state), (), ())
        yield


def rules(monkeypatch: pytest.MonkeyPatch, **changes: Any) -> None:
    monkeypatch.setenv("RETRAINING", written(Rules(**{"ask": False, **changes}), JOB))


def alarm(measure: str, state: str, variant: str = CHAMPION.variant, data: object = None) -> None:
    watch = boto3.client("cloudwatch", region_name="us-east-1")
    name = f"{ENDPOINT}-{variant}-{measure}"
    watch.put_metric_alarm(
        AlarmName=name,
        Namespace="modelstack",
        MetricName="DriftEvidence",
        Period=60,
        EvaluationPeriods=1,
        Threshold=1,
        Statistic="Maximum",
        ComparisonOperator="GreaterThanOrEqualToThreshold",
    )
    watch.set_alarm_state(AlarmName=name, StateValue=state, StateReason="by hand", StateReasonData=json.dumps(data))


def book() -> RetrainingRecord:
    return DynamoBook(clients(), TABLE, ENDPOINT).read()


def told() -> list[dict[str, Any]]:
    """The notifications since the last call."""
    queue, found = boto3.client("sqs", region_name="us-east-1"), []
    while messages := queue.receive_message(QueueUrl=os.environ["INBOX"], MaxNumberOfMessages=10).get("Messages"):
        found += [json.loads(json.loads(one["Body"])["Message"]) for one in messages]
        for one in messages:
            queue.delete_message(QueueUrl=os.environ["INBOX"], ReceiptHandle=one["ReceiptHandle"])
    return found


def sagemaker_says(monkeypatch: pytest.MonkeyPatch, **answers: Callable[..., Any]) -> None:
    """Have SageMaker answer some operations so, and the others as moto does."""
    make = clients()

    class Says:
        def __getattr__(self, name: str) -> Any:
            return answers.get(name) or getattr(make("sagemaker"), name)

    monkeypatch.setattr(retrain, "_clients", lambda: lambda name: Says() if name == "sagemaker" else make(name))


def running(**_: str) -> dict[str, str]:
    return {"TrainingJobStatus": "InProgress"}


def refusal(code: str, message: str = "no") -> Callable[..., None]:
    def refuse(**_: Any) -> None:
        raise ClientError({"Error": {"Code": code, "Message": message}}, "Refused")

    return refuse


def ended(job: str, monkeypatch: pytest.MonkeyPatch, status: str = "Completed", **more: str) -> None:
    """Have SageMaker say that the job has ended; moto's jobs have no program."""

    def describe(TrainingJobName: str) -> dict[str, Any]:
        assert TrainingJobName == job
        return {"TrainingJobStatus": status, **more}

    sagemaker_says(monkeypatch, describe_training_job=describe)


@pytest.mark.parametrize(
    ("data", "said"),
    [
        ({"recentDatapoints": [0.05, 1.0326], "threshold": 1.0}, "evidence 1.033, 1 is enough"),
        (None, "by hand"),
    ],
)
def test_the_evidence_is_told_and_not_how_cloudwatch_counts_points(data: object, said: str) -> None:
    alarm("drift", "ALARM", data=data)
    retrain.handler({}, None)
    (entry,) = book().history
    assert entry.text.endswith(f"{ENDPOINT}-{CHAMPION.variant}-drift fired: {said}")


def test_an_alarm_of_the_champion_begins_a_job_that_knows_all_it_needs() -> None:
    alarm("drift", "ALARM")
    answer = retrain.handler({"detail-type": "CloudWatch Alarm State Change"}, None)
    assert answer["phase"] == "training"
    job = boto3.client("sagemaker", region_name="us-east-1").describe_training_job(TrainingJobName=book().job)
    assert job["AlgorithmSpecification"]["TrainingImage"] == IMAGE
    assert job["RoleArn"] == ROLE
    assert job["InputDataConfig"][0]["DataSource"]["S3DataSource"]["S3Uri"] == CHAMPION.archive_uri
    assert job["StoppingCondition"]["MaxRuntimeInSeconds"] == 600
    told_to_it = job["HyperParameters"]
    assert told_to_it["through"] == "2013-05-01", "the day of the requests, not of the clock"
    assert json.loads(told_to_it["champion"]) == CHAMPION.as_dict()
    assert json.loads(told_to_it["gates"]) == {"auc": {"min": 0.6}}
    assert told_to_it["report"] == report_key(book().job)
    assert all(len(value) <= 2500 for value in told_to_it.values())
    message = told()[0]
    assert message["event"]["kind"] == "started"
    assert "by hand" in message["event"]["text"]


@pytest.mark.parametrize(("state", "variant"), [("OK", CHAMPION.variant), ("ALARM", "v-bbbbbbbbbbbb")])
def test_an_alarm_that_has_ended_or_is_of_another_version_begins_nothing(state: str, variant: str) -> None:
    alarm("drift", state, variant)
    assert retrain.handler({}, None) == {"phase": "idle", "held": "", "latest": ""}
    assert not boto3.client("sagemaker", region_name="us-east-1").list_training_jobs()["TrainingJobSummaries"]


def test_before_any_captured_request_the_day_is_today() -> None:
    boto3.client("dynamodb", region_name="us-east-1").delete_item(
        TableName=DOCUMENTS, Key={"id": {"S": f"drift#{CHAMPION.variant}"}}
    )
    before = time.strftime("%Y-%m-%d", time.gmtime())
    retrain.handler({"do": "start", "reason": "anna: first"}, None)
    assert before <= book().through <= time.strftime("%Y-%m-%d", time.gmtime())


def test_its_report_makes_a_candidate_and_everybody_is_told_what_to_type(monkeypatch: pytest.MonkeyPatch) -> None:
    alarm("concept", "ALARM")
    retrain.handler({}, None)
    told()
    job = book().job
    boto3.client("s3", region_name="us-east-1").put_object(
        Bucket=BUCKET, Key=report_key(job), Body=json.dumps(BETTER).encode()
    )
    ended(job, monkeypatch)
    assert retrain.handler({"detail-type": "SageMaker Training Job State Change"}, None)["phase"] == "idle"
    assert book().accepted[0].recipe == BETTER["recipe"]
    [message] = told()
    assert message["event"]["kind"] == "candidate"
    assert message["next"] == ["`pulumi up --stack dev` puts it on trial beside the champion"]


@pytest.mark.parametrize(
    ("status", "more", "why"),
    [
        ("Failed", {"FailureReason": "AlgorithmError: no rows"}, "AlgorithmError: no rows"),
        ("Stopped", {}, "it was stopped"),
        ("Stopped", {"SecondaryStatus": "MaxRuntimeExceeded"}, "it ran longer than max_minutes"),
        ("Completed", {}, "it ended without a report"),
    ],
)
def test_a_job_without_an_outcome_is_told_with_its_reason(
    status: str, more: dict[str, str], why: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    alarm("drift", "ALARM")
    retrain.handler({}, None)
    ended(book().job, monkeypatch, status, **more)
    answer = retrain.handler({}, None)
    assert answer["phase"] == "idle"
    assert why in answer["latest"]
    assert not book().accepted


@pytest.mark.parametrize("code", ["", "ValidationException", "ResourceNotFound"])
def test_a_person_stops_the_job_and_one_that_has_ended_meanwhile_is_no_error(
    code: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    alarm("drift", "ALARM")
    retrain.handler({}, None)
    asked: list[str] = []

    def stop(TrainingJobName: str) -> None:
        asked.append(TrainingJobName)
        if code:
            refusal(code)()

    sagemaker_says(monkeypatch, describe_training_job=running, stop_training_job=stop)
    answer = retrain.handler({"do": "stop", "reason": "anna: bad labels"}, None)
    assert answer["latest"] == f"{book().job} is stopped, the champion stays: anna: bad labels"
    assert (asked, answer["phase"]) == ([book().job], "training"), "until it has ended"
    assert told()[-1]["event"]["kind"] == "stopped"


def test_a_job_that_may_not_be_stopped_is_an_error_and_the_next_call_tries_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    alarm("drift", "ALARM")
    retrain.handler({}, None)
    refused = refusal("AccessDeniedException")
    sagemaker_says(monkeypatch, describe_training_job=running, stop_training_job=refused)
    with pytest.raises(RolloutError, match="stop training job"):
        retrain.handler({"do": "stop", "reason": "anna: bad labels"}, None)
    assert book().stopping == "anna: bad labels"
    with pytest.raises(RolloutError, match="stop training job"):
        retrain.handler({}, None)


def test_a_job_of_that_name_is_the_same_job() -> None:
    make = clients()
    world = AwsWorld(
        make, copied_journal(make, TABLE, ENDPOINT), ENDPOINT, TrainingJobs(make, JOB), lambda _: "2013-05-01"
    )
    start = Start("flight-delay-local-20130501-1", CHAMPION, "2013-05-01")
    world.create(start)
    world.create(start)
    assert len(make("sagemaker").list_training_jobs()["TrainingJobSummaries"]) == 1


def test_what_sagemaker_refuses_is_an_error_and_the_next_call_tries_again(monkeypatch: pytest.MonkeyPatch) -> None:
    alarm("drift", "ALARM")
    make = clients()
    sagemaker_says(monkeypatch, create_training_job=refusal("ResourceLimitExceeded", "no instances"))
    with pytest.raises(RolloutError, match="no instances"):
        retrain.handler({}, None)
    monkeypatch.setattr(retrain, "_clients", lambda: make)
    retrain.handler({}, None)
    assert make("sagemaker").list_training_jobs()["TrainingJobSummaries"][0]["TrainingJobName"] == book().job


def test_a_person_is_answered_and_refused_in_words(monkeypatch: pytest.MonkeyPatch) -> None:
    rules(monkeypatch, ask=True)
    alarm("drift", "ALARM")
    retrain.handler({}, None)
    assert book().phase is Phase.ASKING
    assert told()[0]["next"][0] == '`modelstack --stack dev retrain approve --reason "..."` lets it begin'
    assert retrain.handler({"do": "forget", "reason": "anna: no"}, None)["refused"].startswith("no retrained version")
    assert "expected one of start, approve, decline, stop, forget" in retrain.handler({"do": "x"}, None)["refused"]
    assert retrain.handler({"do": "decline"}, None)["refused"].startswith("reason: it is empty")
    answer = retrain.handler({"do": "decline", "reason": "anna: a storm"}, None)
    assert answer["latest"] == "retraining declined: anna: a storm"
    assert retrain.handler({"do": "approve", "reason": "anna: yes"}, None)["refused"] == "nothing waits for a person"


def test_the_record_needs_no_table_to_be_read_and_a_stranger_writes_first() -> None:
    make = clients()
    assert DynamoBook(make, "none", ENDPOINT).read() == RetrainingRecord()
    mine, other = DynamoBook(make, TABLE, ENDPOINT), DynamoBook(make, TABLE, ENDPOINT)
    first, same = mine.read(), other.read()
    assert mine.write(first) is not None
    assert other.write(same) is None


def test_what_happens_in_a_retraining_is_recorded_once_though_it_is_told_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_LAMBDA_FUNCTION_NAME", "flight-delay-local-retrain")
    with monkeypatch.context() as only_now, pytest.raises(RolloutError, match="publish to"):
        only_now.setenv("ALERTS_TOPIC", "arn:aws:sns:us-east-1:123456789012:gone")
        retrain.handler({"do": "start", "reason": "ada: a new season"}, None)
    retrain.handler({}, None)
    journal = copied_journal(retrain._clients(), TABLE, ENDPOINT).read()
    waiting = journal.audit.waiting
    assert [one.what["event"] for one in waiting] == ["started", "failed"]  # moto's job ends at once, without a report
    assert {(one.kind, one.who) for one in waiting} == {("retraining", "function flight-delay-local-retrain")}
    assert waiting[0].what["trigger"]["said"] == "ada: a new season"
    assert journal.champion == CHAMPION
