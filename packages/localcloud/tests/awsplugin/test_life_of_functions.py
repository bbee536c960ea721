"""Roles, functions, schedules and logs, each from its creation to its end."""

from __future__ import annotations

import json
from typing import Any

import pytest

from localcloud.awsplugin.wire import Archive, Asset

pytestmark = pytest.mark.e2e

CODE = Archive(assets={"index.py": Asset(text="def handler(event, context):\n    return 1\n")}, hash="a" * 64)
OTHER_CODE = Archive(assets={"index.py": Asset(text="def handler(event, context):\n    return 2\n")}, hash="b" * 64)
TAGS = {"team": "models", "stage": "test"}


def policy(action: str, resource: str = "*", **more: Any) -> str:
    return json.dumps(
        {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": action, "Resource": resource, **more}]}
    )


def trust(service: str) -> str:
    statement = {"Effect": "Allow", "Principal": {"Service": service}, "Action": "sts:AssumeRole"}
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


CASES: list[dict[str, Any]] = [
    {
        "token": "aws:iam/role:Role",
        "inputs": lambda w: {
            "name": w.name("role"),
            "assumeRolePolicy": trust("lambda.amazonaws.com"),
            "description": "rolls back",
            "maxSessionDuration": 7200,
            "forceDetachPolicies": True,
            "tags": TAGS,
        },
        "ident": lambda s: s["name"],
        "drift": lambda w, s: w.client("iam").update_assume_role_policy(
            RoleName=s["name"], PolicyDocument=trust("ec2.amazonaws.com")
        ),
        "drifted": {"assumeRolePolicy"},
        "change": lambda w: {"description": None, "maxSessionDuration": None, "tags": None},
        "replace": lambda w: {"path": "/models/"},
        "first": True,
        "unread": {"forceDetachPolicies"},
    },
    {
        "token": "aws:iam/rolePolicy:RolePolicy",
        "inputs": lambda w: {"role": w.role()["name"], "name": "allow", "policy": policy("s3:GetObject")},
        "ident": lambda s: f"{s['role']}:{s['name']}",
        "drift": lambda w, s: w.client("iam").put_role_policy(
            RoleName=s["role"], PolicyName=s["name"], PolicyDocument=policy("*")
        ),
        "drifted": {"policy"},
        "change": lambda w: {"policy": policy("s3:PutObject")},
        "replace": lambda w: {"name": "other"},
    },
    {
        "token": "aws:iam/rolePolicyAttachment:RolePolicyAttachment",
        "inputs": lambda w: {
            "role": w.role()["name"],
            "policyArn": "arn:aws:iam::aws:policy/service-role/AWSLambdaBasicExecutionRole",
        },
        "ident": lambda s: f"{s['role']}/{s['policyArn']}",
        "replace": lambda w: {"policyArn": "arn:aws:iam::aws:policy/ReadOnlyAccess"},
    },
    {
        "token": "aws:lambda/function:Function",
        "inputs": lambda w: {
            "name": w.name("function"),
            "role": w.role()["arn"],
            "code": CODE,
            "runtime": "python3.11",
            "handler": "index.handler",
            "description": "rolls back",
            "timeout": 60,
            "memorySize": 256,
            "environment": {"variables": {"ENDPOINT_NAME": "orders"}},
            "reservedConcurrentExecutions": 1,
            "deadLetterConfig": {"targetArn": w.queue()["arn"]},
            "tracingConfig": {"mode": "Active"},
            "loggingConfig": {"logFormat": "JSON"},
            "tags": TAGS,
        },
        "ident": lambda s: s["name"],
        "drift": lambda w, s: w.client("lambda").update_function_configuration(
            FunctionName=s["name"], Timeout=9, Environment={"Variables": {"ENDPOINT_NAME": "other"}}
        ),
        "drifted": {"timeout", "environment.variables.ENDPOINT_NAME"},
        "change": lambda w: {
            "code": OTHER_CODE,
            "timeout": None,
            "memorySize": None,
            "environment": None,
            "description": None,
            "reservedConcurrentExecutions": None,
            "deadLetterConfig": None,
            "tracingConfig": None,
            "tags": None,
        },
        "replace": lambda w: {"name": w.name("other")},
        "unread": {"code"},
    },
    {
        "token": "aws:lambda/permission:Permission",
        "inputs": lambda w: {
            "function": w.function()["name"],
            "statementId": "alarms",
            "action": "lambda:InvokeFunction",
            "principal": "lambda.alarms.cloudwatch.amazonaws.com",
            "sourceAccount": "000000000000",
            "sourceArn": "arn:aws:cloudwatch:us-east-1:000000000000:alarm:errors",
        },
        "ident": lambda s: s["statementId"],
        "imported": lambda s: f"{s['function']}/{s['statementId']}",
        "replace": lambda w: {"sourceArn": "arn:aws:cloudwatch:us-east-1:000000000000:alarm:latency"},
        "first": True,
    },
    {
        "token": "aws:lambda/eventSourceMapping:EventSourceMapping",
        "inputs": lambda w: {
            "eventSourceArn": w.queue()["arn"],
            "functionName": w.reader()["name"],
            "batchSize": 100,
            "maximumBatchingWindowInSeconds": 5,
            "functionResponseTypes": ["ReportBatchItemFailures"],
            "scalingConfig": {"maximumConcurrency": 2},
            "tags": TAGS,
        },
        "ident": lambda s: s["uuid"],
        "drift": lambda w, s: w.client("lambda").update_event_source_mapping(
            UUID=s["uuid"], BatchSize=7, Enabled=False
        ),
        "drifted": {"batchSize", "enabled"},
        "change": lambda w: {
            "batchSize": None,
            "maximumBatchingWindowInSeconds": None,
            "functionResponseTypes": None,
            "enabled": False,
            "tags": None,
        },
        "replace": lambda w: {"eventSourceArn": "arn:aws:sqs:us-east-1:000000000000:other"},
    },
    {
        "token": "aws:cloudwatch/eventRule:EventRule",
        "inputs": lambda w: {
            "name": w.name("rule"),
            "description": "alarms",
            "eventPattern": json.dumps({"source": ["aws.cloudwatch"], "detail": {"state": {"value": ["ALARM"]}}}),
            "tags": TAGS,
        },
        "ident": lambda s: s["name"],
        "drift": lambda w, s: w.client("events").disable_rule(Name=s["name"]),
        "drifted": {"state"},
        "change": lambda w: {
            "eventPattern": None,
            "scheduleExpression": "rate(1 minute)",
            "state": "DISABLED",
            "description": None,
            "tags": None,
        },
        "replace": lambda w: {"name": w.name("other")},
    },
    {
        "token": "aws:cloudwatch/eventTarget:EventTarget",
        "inputs": lambda w: {
            "rule": w.rule(),
            "targetId": "rollback",
            "arn": w.function()["arn"],
            "input": json.dumps({"tick": True}),
            "retryPolicy": {"maximumRetryAttempts": 2, "maximumEventAgeInSeconds": 120},
            "deadLetterConfig": {"arn": w.queue()["arn"]},
        },
        "ident": lambda s: f"{s['rule']}-{s['targetId']}",
        "imported": lambda s: f"{s['rule']}/{s['targetId']}",
        "drift": lambda w, s: w.client("events").put_targets(
            Rule=s["rule"], Targets=[{"Id": s["targetId"], "Arn": s["arn"], "Input": '{"tick": false}'}]
        ),
        "drifted": {"input", "retryPolicy", "deadLetterConfig"},
        "change": lambda w: {"input": None, "retryPolicy": None},
        "replace": lambda w: {"targetId": "other"},
    },
    {
        "token": "aws:scheduler/schedule:Schedule",
        "inputs": lambda w: {
            "name": w.name("schedule"),
            "description": "a tick",
            "scheduleExpression": "rate(1 day)",
            "flexibleTimeWindow": {"mode": "OFF"},
            "target": {
                "arn": w.function()["arn"],
                "roleArn": w.role()["arn"],
                "input": json.dumps({"tick": True}),
                "retryPolicy": {"maximumRetryAttempts": 2, "maximumEventAgeInSeconds": 120},
                "deadLetterConfig": {"arn": w.queue()["arn"]},
            },
        },
        "ident": lambda s: f"default/{s['name']}",
        "drift": lambda w, s: w.client("scheduler").update_schedule(
            Name=s["name"],
            Description=s["description"],
            ScheduleExpression="rate(2 days)",
            FlexibleTimeWindow={"Mode": "OFF"},
            Target=w.client("scheduler").get_schedule(Name=s["name"])["Target"],
        ),
        "drifted": {"scheduleExpression"},
        "change": lambda w: {
            "scheduleExpression": "cron(0 12 * * ? *)",
            "scheduleExpressionTimezone": "Europe/Berlin",
            "state": "DISABLED",
            "description": None,
        },
        "replace": lambda w: {"name": w.name("other")},
    },
    {
        "token": "aws:cloudwatch/logGroup:LogGroup",
        "inputs": lambda w: {"name": f"/aws/lambda/{w.name('fn')}", "retentionInDays": 14, "tags": TAGS},
        "ident": lambda s: s["name"],
        "drift": lambda w, s: w.client("logs").put_retention_policy(logGroupName=s["name"], retentionInDays=1),
        "drifted": {"retentionInDays"},
        "change": lambda w: {"retentionInDays": None, "tags": None},
        "replace": lambda w: {"name": f"/aws/lambda/{w.name('other')}"},
    },
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["token"].rpartition(":")[2])
def test_a_resource_is_made_kept_changed_imported_and_removed(
    world: Any, live_through: Any, case: dict[str, Any]
) -> None:
    live_through(world, **case)
