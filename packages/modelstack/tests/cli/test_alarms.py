"""Which alarms are an endpoint's own?"""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from botocore.exceptions import ClientError

from modelstack.cli.errors import OperatorError
from modelstack.cli.platform.aws.alarms import in_full, is_own, telling, view
from modelstack.cli.platform.aws.platform import Aws
from modelstack.cli.target import Target
from modelstack.monitoring.drift.record import Reading
from modelstack.platforms.aws.documents import DynamoDocuments
from modelstack.platforms.aws.metrics import dimensions, place
from modelstack.platforms.aws.names import documents
from modelstack.services.drift_record import DriftRecord
from tests.platforms.aws.mocked import documents_table, mocked_aws
from tests.platforms.aws.test_watch import TOPIC, Stack
from tests.program.recorded import OLD, idle, run_program


def watches(endpoint: str) -> dict[str, Any]:
    return {"Dimensions": [{"Name": "EndpointName", "Value": endpoint}]}


def described(declared: Any) -> dict[str, Any]:
    """A declared alarm as CloudWatch tells it, as far as it matters here."""
    queries = [query["metric"] for query in declared.get("metricQueries", ()) if "metric" in query]
    metrics = [{"Metric": watches(query["dimensions"].get("EndpointName", ""))} for query in queries]
    whole = watches(declared.get("dimensions", {}).get("EndpointName", ""))
    return {
        **whole,
        "Metrics": [{"MetricStat": item} for item in metrics],
        "AlarmActions": declared.get("alarmActions", []),
    }


def test_every_alarm_that_the_program_declares_is_and_none_of_a_stack_whose_name_begins_alike() -> None:
    world = run_program(state=idle(OLD), retraining={"enabled": True})
    declared = [item.inputs for kind in (":MetricAlarm", ":CompositeAlarm") for item in world.all(kind)]
    assert len(declared) == 16
    (topic,) = {action for item in declared for action in item.get("alarmActions", ())}
    own = Target("local", "flight-delay-local", "us-east-1", {"alerts_topic": topic})
    shorter = Target("loc", "flight-delay", "us-east-1", {"alerts_topic": "another"})
    for item in map(described, declared):
        assert (is_own(item, own), is_own(item, shorter)) == (True, False), item


def test_status_leaves_out_what_tells_nobody_and_shows_metric_alarms_first(monkeypatch: pytest.MonkeyPatch) -> None:
    class CloudWatch:
        def get_paginator(self, operation: str) -> CloudWatch:
            return self

        def paginate(self, **_: Any) -> list[dict[str, Any]]:
            names = {"e-burn-fast": "e", "e-v-a-drift": "e", "e-other-v-a-drift": "e-other"}
            metric = [{"AlarmName": name, "StateValue": "OK", **watches(of)} for name, of in names.items()]
            composite = [{"AlarmName": "e-slo-page", "StateValue": "OK", "AlarmRule": "x", "AlarmActions": ["arn"]}]
            composite[0] |= {
                "AlarmDescription": "Severity: page. The budget burns. Runbook: x",
                "StateReason": "e-burn-fast transitioned",
            }
            return [{"MetricAlarms": metric, "CompositeAlarms": composite}]

    monkeypatch.setattr(Target, "client", lambda *_: CloudWatch())
    target = Target("local", "e", "us-east-1", {"alerts_topic": "arn"})
    shown = telling(target)
    assert [alarm.name for alarm in shown] == ["e-v-a-drift", "e-slo-page"]
    monkeypatch.setattr("modelstack.cli.platform.aws.alarms._changes", lambda *_: ())
    parts = {
        item.alarm.name: item.part_of for item in in_full(Target("local", "e", "us-east-1", {"alerts_topic": "arn"}))
    }
    assert parts == {"e-burn-fast": "slo-page", "e-v-a-drift": "", "e-slo-page": ""}
    assert shown[1].brief == "The budget burns", "CloudWatch only names the last alarm in it that changed"


def test_an_alarm_that_fires_is_told_by_the_value_that_made_it_fire() -> None:
    words = "Threshold Crossed: 3 datapoints were received for 5 periods and 2 missing datapoints were treated as "
    item = {
        "AlarmName": "e-functions-failing",
        "StateValue": "ALARM",
        "StateReason": words + "[NonBreaching].",
        "StateReasonData": json.dumps({"recentDatapoints": [0.0, 1.0, 0.0], "threshold": 0.0}),
        "Threshold": 0.0,
        "ComparisonOperator": "GreaterThanThreshold",
    }
    assert view(item).brief == "value 1, threshold 0"
    assert "value" not in view({**item, "StateValue": "OK"}).brief


def test_a_firing_alarm_on_functions_names_each_that_failed_and_each_queue(monkeypatch: pytest.MonkeyPatch) -> None:
    endpoint = "flight-delay-dev"
    functions, queue = ("advance", "drift"), f"{endpoint}-captures-dlq"
    with mocked_aws(monkeypatch) as make:
        watch, minute = make("cloudwatch"), datetime.now(UTC).replace(second=0, microsecond=0)
        of = {name: ("AWS/Lambda", "Errors", {"FunctionName": f"{endpoint}-{name}"}, "Sum") for name in functions}
        of["captured_files"] = ("AWS/SQS", "ApproximateNumberOfMessagesVisible", {"QueueName": queue}, "Maximum")
        of["unmeasured"] = ("modelstack", "DriftUnmeasured", {"EndpointName": endpoint}, "Sum")

        def send(name: str, value: float, minutes: int = 1) -> None:
            space, metric, where, _ = of[name]
            item = {"MetricName": metric, "Dimensions": dimensions(where), "Value": value}
            watch.put_metric_data(
                Namespace=space, MetricData=[{**item, "Timestamp": minute - timedelta(minutes=minutes)}]
            )

        queries: list[Any] = [
            {
                "Id": name,
                "ReturnData": False,
                "MetricStat": {
                    "Metric": {"Namespace": space, "MetricName": metric, "Dimensions": dimensions(where)},
                    "Period": 60,
                    "Stat": stat,
                },
            }
            for name, (space, metric, where, stat) in of.items()
        ]
        watch.put_metric_alarm(
            AlarmName=f"{endpoint}-functions-failing", ComparisonOperator="GreaterThanThreshold", EvaluationPeriods=40,
            Threshold=0, Metrics=[*queries, {"Id": "most", "Expression": "MAX([advance, drift])", "ReturnData": True}],
        )  # fmt: skip
        data = json.dumps({"recentDatapoints": [2.0], "threshold": 0.0})
        watch.set_alarm_state(
            AlarmName=f"{endpoint}-functions-failing", StateValue="ALARM", StateReason="x", StateReasonData=data
        )
        monkeypatch.setattr(Target, "client", lambda _, name, *more: make(name))
        monkeypatch.setattr(Target, "created", minute - timedelta(days=1))
        target = Target("dev", endpoint, "us-east-1", {"alerts_topic": "arn"})
        (quiet,) = telling(target)
        assert quiet.brief == "value 2, threshold 0", "nothing is known of which"
        for name, value in (("advance", 1), ("drift", 0), ("captured_files", 3)):
            send(name, value)
        send("advance", 1, minutes=20)
        send("drift", 1, minutes=50)
        (fails,) = telling(target)
        assert fails.brief == "advance failed 2 times, 3 in captures-dlq"
        send("unmeasured", 1)
        assert telling(target)[0].brief.endswith(", drift cannot be measured")


def test_a_firing_alarm_on_drift_names_the_features_that_moved(monkeypatch: pytest.MonkeyPatch) -> None:
    endpoint = "flight-delay-dev"
    with mocked_aws(monkeypatch) as make:
        documents_table(make, documents(endpoint))
        state = {"detector": {"evidence": {"wind": 1.2, "RELP": 19.5, "distance": 0.07}}}
        DriftRecord(DynamoDocuments(make, documents(endpoint))).write("v-a", Reading(state=state), (), ())
        watch = make("cloudwatch")
        for variant in ("v-a", "v-unread"):
            watch.put_metric_alarm(
                AlarmName=f"{endpoint}-{variant}-drift", Namespace="modelstack", MetricName="DriftEvidence", Period=60,
                EvaluationPeriods=1, Threshold=1, ComparisonOperator="GreaterThanOrEqualToThreshold",
                Dimensions=dimensions(place(endpoint, variant)), Statistic="Maximum",
            )  # fmt: skip
            data = json.dumps({"recentDatapoints": [20.77], "threshold": 1.0})
            watch.set_alarm_state(
                AlarmName=f"{endpoint}-{variant}-drift", StateValue="ALARM", StateReason="x", StateReasonData=data
            )
        monkeypatch.setattr(Target, "client", lambda _, name, *more: make(name))
        target = Target("dev", endpoint, "us-east-1", {"alerts_topic": "arn"})
        words = "evidence 21 that requests differ from training, 1 is enough"
        briefs = [alarm.brief for alarm in telling(target)]
        assert briefs == [f"{words}; moved: RELP, wind", words]
        monkeypatch.setattr("modelstack.cli.platform.aws.alarms._changes", lambda *_: ())  # moto has no history
        assert [item.alarm.brief for item in in_full(target)] == briefs


@pytest.mark.parametrize("code", ["AccessDeniedException", "InternalFailure"])
def test_deleted_functions_are_named_to_whoever_may_look(monkeypatch: pytest.MonkeyPatch, code: str) -> None:
    target = Target("dev", "endpoint", "us-east-1", {"alerts_topic": TOPIC})
    stack = Stack("advance", "drift", "labels")
    monkeypatch.setattr(Target, "client", lambda _, name, *more: stack(name))
    assert Aws(target).stopped() == ()
    stack.functions.remove("endpoint-rollback")
    assert Aws(target).stopped() == ("function endpoint-rollback is deleted",)

    def refuse(**_: Any) -> None:
        raise ClientError({"Error": {"Code": code}}, "GetFunctionConfiguration")

    monkeypatch.setattr(stack, "get_function_configuration", refuse)
    if code == "AccessDeniedException":
        assert Aws(target).stopped() == (), "whoever may not look sees the rest"
    else:
        with pytest.raises(OperatorError, match="InternalFailure"):
            Aws(target).stopped()
