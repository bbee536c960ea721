"""Deliveries from one service to another, each allowed by the target's own policy as on AWS.

ministack asks a queue's or a topic's policy for some deliveries and a function's policy for none.
"""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from itertools import combinations
from types import SimpleNamespace
from typing import Any

from ministack.core import iam_evaluator
from ministack.core.arn import ArnParseError, parse_arn
from ministack.core.iam_evaluator import EvalContext, _gather_role_policies, evaluate_resource_policy
from ministack.core.responses import get_account_id, get_region, request_scope
from ministack.services import eventbridge, iam, kms, lambda_svc, s3, sns, sqs

from localcloud.server.durability import Durability, Touched
from localcloud.server.invocations import Invocations
from localcloud.server.platform import DeliveryRefused
from localcloud.server.statefiles import NotSaved

log = logging.getLogger("localcloud.deliveries")

_KEY_ACTIONS = ("Decrypt", "GenerateDataKey")


def function_allows(function_arn: str, principal: str, source_arn: str) -> bool:
    """Whether the function's resource policy lets a service principal invoke it on behalf of a resource."""
    found = iam_evaluator._resource_policy("lambda", function_arn)
    return found is not None and policy_allows(found[0], "lambda:InvokeFunction", function_arn, principal, source_arn)


def policy_allows(policy: Any, action: str, resource_arn: str, principal: str, source_arn: str) -> bool:
    """Whether a resource's policy lets a service principal do something to it on behalf of another resource."""
    context = _asked(action, resource_arn, source_arn)
    return evaluate_resource_policy(policy, context, service=principal).decision == "Allow"


def role_allows(role_arn: str, action: str, resource_arn: str, principal: str, source_arn: str) -> bool:
    """Whether a service principal may assume a role on behalf of a resource, and the role may do something."""
    name = role_arn.rpartition("/")[2]
    role = iam._roles.get(name)
    if role is None or role["Arn"] != role_arn:
        return False
    trust = role["AssumeRolePolicyDocument"]
    statements = (json.loads(trust) if isinstance(trust, str) else trust)["Statement"]
    anywhere = [{**one, "Resource": "*"} for one in ([statements] if isinstance(statements, dict) else statements)]
    if not policy_allows({"Statement": anywhere}, "sts:AssumeRole", role_arn, principal, source_arn):
        return False
    policies = _gather_role_policies(name, get_account_id())
    acting = f"arn:aws:sts::{get_account_id()}:assumed-role/{name}/{principal}"
    asked = replace(_asked(action, resource_arn, source_arn), principal_arn=acting, principal_type="AssumedRole")
    return iam_evaluator.evaluate(asked, policies).decision == "Allow"


def _asked(action: str, resource_arn: str, source_arn: str) -> EvalContext:
    return EvalContext(
        principal_arn="*",
        principal_type="Service",
        principal_account="",
        action=action,
        resource_arn=resource_arn,
        region=get_region(),
        service_context={"aws:sourcearn": source_arn, "aws:sourceaccount": get_account_id()},
    )


class CloudDeliveries:
    """The platform's `Deliveries` over ministack."""

    def __init__(self, region: str, account: str, durability: Durability, invocations: Invocations) -> None:
        self._region = region
        self._account = account
        self._durability = durability
        self._invocations = invocations

    async def event(
        self, source: str, detail_type: str, detail: Mapping[str, Any], resources: Sequence[str] = ()
    ) -> None:
        """Put an AWS service's own event on the default event bus."""
        entry = {"Source": source, "DetailType": detail_type, "Detail": json.dumps(detail), "Resources": [*resources]}
        with request_scope(self._account, self._region):
            _, _, body = eventbridge._put_events({"Entries": [entry]}, allow_aws_source=True)
        answer = json.loads(body)
        if answer.get("FailedEntryCount") != 0:
            raise DeliveryRefused(f"the event bus refused {source} {detail_type!r}: {answer}")
        await self._settle("eventbridge", "sqs")

    async def publish(self, topic_arn: str, subject: str, message: str, *, principal: str, source_arn: str) -> None:
        """Publish to an SNS topic as a service principal."""
        with request_scope(self._account, self._region):
            topic = sns._topic_by_arn_any_scope(topic_arn)
            if topic is None:
                raise DeliveryRefused(f"Topic does not exist: {topic_arn}")
            if not sns.topic_policy_allows(topic_arn, principal, source_arn, self._account):
                raise DeliveryRefused(f"{principal} is not authorized to perform: SNS:Publish on resource: {topic_arn}")
            self._require_key(topic, principal, source_arn)
            try:
                sns.publish_internal(topic_arn, message, subject)
            except sns.SnsPublishError as error:
                raise DeliveryRefused(str(error)) from error
        await self._settle("sns", "sqs")

    async def invoke(self, function_arn: str, event: Mapping[str, Any], *, principal: str, source_arn: str) -> None:
        """Invoke a function asynchronously as a service principal."""
        with request_scope(self._account, self._region):
            function, _, _ = lambda_svc._get_func_record_for_ref(function_arn)
            if function is None:
                raise DeliveryRefused(f"Function not found: {function_arn}")
            if not function_allows(function_arn, principal, source_arn):
                raise DeliveryRefused(
                    f"{principal} is not authorized to perform: lambda:InvokeFunction on resource: {function_arn}"
                )
        self._invocations.submit(function_arn, event)

    def _require_key(self, topic: Mapping[str, Any], principal: str, source_arn: str) -> None:
        """A topic encrypted by KMS takes messages only of services that its key's policy lets use the key."""
        key = topic.get("attributes", {}).get("KmsMasterKeyId")
        if not key:
            return
        record = kms._resolve_key(key)
        policy = record.get("Policy") if record else None
        arn = record["Arn"] if record else key
        if not all(policy_allows(policy, f"kms:{action}", arn, principal, source_arn) for action in _KEY_ACTIONS):
            raise DeliveryRefused(f"{principal} is not authorized to use the KMS key {arn} of the topic")

    async def _settle(self, *keys: str) -> None:
        try:
            await self._durability.settle(Touched(now=keys))
        except NotSaved as error:
            raise DeliveryRefused(str(error)) from error


def guard(invocations: Invocations, durability: Durability) -> None:
    """Have SNS and EventBridge ask the target's policy, and hand functions their events durably and with retries."""
    _guard_sns(invocations)
    _guard_events(invocations, durability)
    _guard_notifications()
    lambda_svc.invoke_async_with_retry = lambda function, event: invocations.submit(
        (function.get("config") or function)["FunctionArn"], event
    )


def _guard_sns(invocations: Invocations) -> None:
    def deliver_to_lambda(endpoint: str, envelope: str, topic_arn: str, subscription_arn: str, *_: object) -> None:
        if not function_allows(endpoint, "sns.amazonaws.com", topic_arn):
            log.warning("%s may not be invoked by sns.amazonaws.com for %s: add a permission", endpoint, topic_arn)
            return
        record = {
            "EventSource": "aws:sns",
            "EventVersion": "1.0",
            "EventSubscriptionArn": subscription_arn,
            "Sns": json.loads(envelope),
        }
        invocations.submit(endpoint, {"Records": [record]})

    class Delivery(threading.Thread):
        """A thread, but for deliveries to functions: these must be accepted before the publisher hears of success."""

        def start(self) -> None:
            arguments: Sequence[Any] = getattr(self, "_args", ())
            if arguments and arguments[0] is deliver_to_lambda:
                self.run()
            else:
                super().start()

    sns._deliver_to_lambda = deliver_to_lambda
    sns._threading = SimpleNamespace(Thread=Delivery, Lock=threading.Lock)


def _guard_events(invocations: Invocations, durability: Durability) -> None:
    invoke_target = eventbridge._invoke_target

    def guarded_target(target: dict[str, Any], event: dict[str, Any], rule: dict[str, Any], view: Any = None) -> None:
        arn, source = target.get("Arn", ""), rule.get("Arn", "")
        if source.split(":")[2:3] == ["scheduler"]:
            if not _schedule_allows(target.get("RoleArn", ""), arn, source):
                log.warning("%s may not be called by %s: the schedule's role does not allow it", arn, source)
                return
        elif not _target_allows(arn, source):
            log.warning("%s may not be reached by events.amazonaws.com for %s: add a permission", arn, source)
            return
        invoke_target(target, event, rule, view)
        durability.touch("sqs", "sns")

    def dispatch_to_lambda(arn: str, payload: str) -> None:
        try:
            event = json.loads(payload)
        except ValueError:
            event = payload
        invocations.submit(arn, event)

    eventbridge._invoke_target = guarded_target
    eventbridge._dispatch_to_lambda = dispatch_to_lambda


def _guard_notifications() -> None:
    """S3 takes no rules that overlap, and no function that does not let it call.

    Source: Amazon S3 user guide, "Configuring event notifications using object key name filtering".
    """
    validate = s3._validate_notification_configs

    def validate_configs(configs: list[dict[str, Any]], region: str, bucket: str = "", skip: bool = False) -> Any:
        if refused := validate(configs, region, bucket, skip):
            return refused
        if any(_overlap(one, other) for one, other in combinations(configs, 2)):
            return s3._invalid_notification_config(
                "Configuration is ambiguously defined. Cannot have overlapping suffixes in two rules if the prefixes "
                "are overlapping for the same event type."
            )
        source, functions = f"arn:aws:s3:::{bucket}", [one["arn"] for one in configs if one["type"] == "lambda"]
        if skip or all(function_allows(arn, "s3.amazonaws.com", source) for arn in functions):
            return None
        return s3._invalid_notification_config("Unable to validate the following destination configurations")

    s3._validate_notification_configs = validate_configs


def _overlap(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Whether two rules would both take an object's event."""
    first, second = one["filter_prefix"] or "", other["filter_prefix"] or ""
    if not (first.startswith(second) or second.startswith(first)):
        return False
    first, second = one["filter_suffix"] or "", other["filter_suffix"] or ""
    if not (first.endswith(second) or second.endswith(first)):
        return False
    pairs = [(a, b) for a in one["events"] for b in other["events"]]
    return any(s3._event_matches(a, [b]) or s3._event_matches(b, [a]) for a, b in pairs)


def _schedule_allows(role_arn: str, arn: str, schedule_arn: str) -> bool:
    """A schedule reaches its target with the rights of the role that it names."""
    try:
        action = {"lambda": "lambda:InvokeFunction", "sqs": "sqs:SendMessage", "sns": "sns:Publish"}[
            parse_arn(arn).service
        ]
    except (ArnParseError, KeyError):
        return True  # ministack tells of it
    group = schedule_arn.replace(":schedule/", ":schedule-group/").rpartition("/")[0]  # whose ARN the trust policy gets
    return role_allows(role_arn, action, arn, "scheduler.amazonaws.com", group)


def _target_allows(arn: str, rule_arn: str) -> bool:
    try:
        service = parse_arn(arn).service
    except ArnParseError:
        return True  # ministack tells of it
    checks: dict[str, Callable[[], bool]] = {
        "lambda": lambda: function_allows(arn, "events.amazonaws.com", rule_arn),
        "sqs": lambda: sqs.queue_policy_allows(arn, "events.amazonaws.com", rule_arn, get_account_id()),
        "sns": lambda: sns.topic_policy_allows(arn, "events.amazonaws.com", rule_arn, get_account_id()),
    }
    return checks[service]() if service in checks else True
