"""What ministack 1.5.33 does otherwise than AWS where this cloud needs it, each put right in one place.

`tests/server/test_ministack_contract.py` holds the names used here.
"""

from __future__ import annotations

import contextlib
import copy
import json
import logging
import time
from bisect import bisect_left
from collections.abc import Callable
from functools import lru_cache
from itertools import combinations, takewhile
from typing import Any

from ministack.core import iam_evaluator, lambda_runtime
from ministack.core.responses import get_account_id, get_region
from ministack.services import cloudwatch_logs, dynamodb, lambda_svc, s3, sqs, sts

from localcloud.server.durability import failures
from localcloud.server.platform import Datum

log = logging.getLogger("localcloud.repairs")

SMALL_LOG_STORES = (
    "destinations",
    "resource_policies",
    "log_group_policies",
    "metric_filters",
    "queries",
    "delivery_sources",
    "delivery_destinations",
    "deliveries",
)
"""What Logs keeps beside its groups and records."""

_EVENTS_A_STREAM = 5_000
_STREAMS_A_GROUP = 300
_POLICIES = 256

Sink = Callable[[str, str, str, list[Datum]], None]
"""Takes an account, a region, a namespace and observations, from any thread."""

Meter = Callable[[tuple[str, str, str], str, float, str], None]
"""Takes the account, the region and the name of a function, and a metric, its value and unit."""


def qualify_listed_versions() -> None:
    """ListVersionsByFunction gives the unpublished version's ARN without its qualifier, `$LATEST`."""
    list_versions = lambda_svc._list_versions

    def qualified(name: str, query_params: Any) -> Any:
        status, headers, body = list_versions(name, query_params)
        found = json.loads(body)
        for version in found.get("Versions", []):
            if version["Version"] == "$LATEST" and not version["FunctionArn"].endswith(":$LATEST"):
                version["FunctionArn"] += ":$LATEST"
        return status, headers, json.dumps(found).encode()

    lambda_svc._list_versions = qualified


def report_failed_object_writes() -> None:
    """S3 logs an object that it cannot write to disk and answers 200: note the failure for the answer."""
    write = s3._atomic_write

    def atomic_write(path: str, data: Any, *, text: bool = False) -> None:
        try:
            write(path, data, text=text)
        except OSError as error:
            noted = failures.get()
            if noted is not None:
                noted.append(error)
            raise

    s3._atomic_write = atomic_write


def refuse_overlapping_updates() -> None:
    """DynamoDB refuses an update of two paths of which one is part of the other, or the same."""
    apply = dynamodb._apply_update_expression

    def apply_update(item: Any, expression: str, values: Any, names: Any, *more: Any) -> Any:
        paths: list[tuple[Any, ...]] = []
        clause: list[Any] = []
        for token in [*dynamodb._tokenize(expression), ("IDENT", "SET")]:
            if token[0] == "IDENT" and token[1].upper() in {"SET", "REMOVE", "ADD", "DELETE"}:
                parts = [list(takewhile(_in_path, part)) for part in dynamodb._split_by_comma(clause)]
                paths += [tuple(dynamodb._parse_path_from_tokens(part, names)) for part in parts if part]
                clause = []
            elif token[0] != "EOF":
                clause.append(token)
        for one, other in combinations(paths, 2):
            if one[: len(other)] == other[: len(one)]:
                raise ValueError(
                    "Invalid UpdateExpression: Two document paths overlap with each other; must remove or rewrite one "
                    f"of these paths; path one: {_shown(one)}, path two: {_shown(other)}"
                )
        return apply(item, expression, values, names, *more)

    dynamodb._apply_update_expression = apply_update


def _in_path(token: Any) -> bool:
    return token[0] not in {"EQ", "VALUE_REF"}


def _shown(path: tuple[Any, ...]) -> str:
    return f"[{', '.join(f'[{part}]' if isinstance(part, int) else str(part) for part in path)}]"


def count_loopback_as_secure() -> None:
    """A policy that demands TLS (`aws:SecureTransport`) refuses plain HTTP; on loopback nothing leaves the machine.

    So that such a policy can stand here as it does on AWS, every request counts as one over TLS. So does what a service
    delivers by itself, such as an alarm to a topic, which is no request at all.
    """
    resolve = iam_evaluator._resolve_condition_key

    def resolve_condition_key(key: str, asked: Any) -> Any:
        return "true" if key.lower() == "aws:securetransport" else resolve(key, asked)

    iam_evaluator._resolve_condition_key = resolve_condition_key


def parse_policies_once() -> None:
    """IAM parses every policy of a caller anew for each request, which takes longer than all else of the check.

    A document's text says all of it, so what was parsed of a text is kept for the next request with the same text.
    """
    parse = iam_evaluator.parse_policy_document
    parsed = lru_cache(_POLICIES)(parse)

    def parse_policy_document(doc: str | dict[str, Any]) -> list[Any]:
        return list(parsed(doc)) if isinstance(doc, str) else parse(doc)

    iam_evaluator.parse_policy_document = parse_policy_document


def compact_redrive_policies() -> None:
    """SQS answers a redrive policy without the spaces that it was set with, else providers plan to set it again."""

    def compacting(act: Callable[[Any, str], Any]) -> Callable[[Any, str], Any]:
        def compacted(data: Any, url: str) -> Any:
            attributes = dict(data.get("Attributes") or {})
            for name in attributes.keys() & {"RedrivePolicy", "RedriveAllowPolicy"}:
                with contextlib.suppress(TypeError, ValueError):  # which ministack refuses
                    attributes[name] = json.dumps(json.loads(attributes[name]), separators=(",", ":"))
            return act({**data, "Attributes": attributes}, url)

        return compacted

    for action in ("CreateQueue", "SetQueueAttributes"):
        sqs._HANDLERS[action] = compacting(sqs._HANDLERS[action])


def keep_sessions() -> None:
    """STS forgets temporary credentials at a restart, though they are good until they expire."""

    def get_state() -> dict[str, Any]:
        return {"sessions": copy.deepcopy(sts._sessions)}

    def load_persisted_state(data: dict[str, Any]) -> None:
        sts._sessions.update(data.get("sessions", {}))

    sts.get_state = get_state
    sts.load_persisted_state = load_persisted_state


def keep_code_until_saved() -> None:
    """Lambda deletes a function's former code before the state that no longer names it is on disk.

    Former code is deleted at the next start instead. A function that was being made ready when the process died
    is ready when it is back: nothing of a local function takes time.
    """
    prune, load = lambda_svc._prune_orphan_code_blobs, lambda_svc.load_persisted_state

    def load_persisted_state(data: dict[str, Any]) -> None:
        load(data)
        for function in lambda_svc._functions._data.values():
            for config in (function.get("config", {}), *(v.get("config", {}) for v in function["versions"].values())):
                config.update(State="Active", LastUpdateStatus="Successful")
        lambda_svc._prune_orphan_code_blobs = prune
        lambda_svc.get_state()
        lambda_svc._prune_orphan_code_blobs = lambda referenced: None

    lambda_svc._prune_orphan_code_blobs = lambda referenced: None
    lambda_svc.load_persisted_state = load_persisted_state


def copy_logs_lightly() -> None:
    """Logs copies every event for every save; events never change, so that copying the lists of them is enough."""

    def get_state() -> dict[str, Any]:
        state = {name: copy.deepcopy(getattr(cloudwatch_logs, f"_{name}")) for name in SMALL_LOG_STORES}
        state["log_records"] = _same(cloudwatch_logs._log_records, lambda record: record)
        state["log_groups"] = _same(cloudwatch_logs._log_groups, _copy_of_group)
        return state

    cloudwatch_logs.get_state = get_state


def _same(store: Any, copied: Callable[[Any], Any]) -> Any:
    result = type(store)()
    result._data.update({key: copied(value) for key, value in list(store._data.items())})
    return result


def _copy_of_group(group: dict[str, Any]) -> dict[str, Any]:
    streams = {name: {**stream, "events": list(stream["events"])} for name, stream in list(group["streams"].items())}
    return {**group, "streams": streams}


def trim_logs(now: float) -> bool:
    """Drop log events that are past their group's retention, and the oldest beyond what one machine should keep.

    Lambda's logs get a stream for every invocation: of these the newest 300 a group stay. Of a stream the newest 5,000
    events stay. Returns whether something was dropped.
    """
    dropped = False
    for group in list(cloudwatch_logs._log_groups._data.values()):
        streams = group["streams"]
        retention = group.get("retentionInDays")
        oldest = (now - retention * 86_400) * 1000 if retention else 0
        for stream in list(streams.values()):
            events = stream["events"]
            expired = bisect_left(events, oldest, key=lambda event: event["timestamp"])
            surplus = max(expired, len(events) - _EVENTS_A_STREAM)
            if surplus > 0:
                del events[:surplus]
                dropped = True
        for name in sorted(streams, key=lambda name: streams[name]["creationTime"])[:-_STREAMS_A_GROUP]:
            del streams[name]
            dropped = True
    records = cloudwatch_logs._log_records._data
    for key in list(records)[:-_EVENTS_A_STREAM]:
        del records[key]
    return dropped


def meter_functions(sink: Sink) -> Meter:
    """Send `AWS/Lambda` metrics to `sink`, not to ministack's own CloudWatch, which keeps every value for ever.

    Returns:
        Meters one value of a function.
    """

    def meter(whose: tuple[str, str, str], metric: str, value: float, unit: str) -> None:
        account, region, function = whose
        sink(account, region, "AWS/Lambda", [Datum(metric, {"FunctionName": function}, value, unit, time.time())])

    def emit_lambda_metrics(function_name: str, duration_ms: float, error: bool, throttle: bool) -> None:
        whose = get_account_id(), get_region(), function_name
        if throttle:
            meter(whose, "Throttles", 1, "Count")
        elif duration_ms > 0:  # else an event was accepted, and is metered when it runs
            meter(whose, "Invocations", 1, "Count")
            meter(whose, "Errors", 1 if error else 0, "Count")
            meter(whose, "Duration", duration_ms, "Milliseconds")

    lambda_svc._emit_lambda_metrics = emit_lambda_metrics
    return meter


def end_idle_workers(idle_seconds: float) -> int:
    """End function processes that were idle that long; ministack keeps one a function for ever (45 MB each)."""
    now = time.time()
    idle = []
    with lambda_runtime._lock:
        for key, workers in list(lambda_runtime._workers.items()):
            kept = [worker for worker in workers if worker.in_use or now - worker.last_used < idle_seconds]
            idle += [worker for worker in workers if worker not in kept]
            if kept:
                lambda_runtime._workers[key] = kept
            else:
                del lambda_runtime._workers[key]
    lambda_runtime.kill_workers(idle)
    return len(idle)


def meter_queues(sink: Sink) -> None:
    """Send the depth of every queue as `AWS/SQS` does each minute."""
    now = time.time()
    for (account, region, _), queue in list(sqs._queues._data.items()):
        messages = list(queue.get("messages", ()))
        visible = [message for message in messages if message.get("visible_at", 0) <= now]
        oldest = min((message.get("sent_at", now) for message in messages), default=now)
        dimensions = {"QueueName": queue["name"]}
        sink(
            account,
            region,
            "AWS/SQS",
            [
                Datum("ApproximateNumberOfMessagesVisible", dimensions, len(visible), "Count", now),
                Datum("ApproximateNumberOfMessagesNotVisible", dimensions, len(messages) - len(visible), "Count", now),
                Datum("ApproximateAgeOfOldestMessage", dimensions, now - oldest, "Seconds", now),
            ],
        )
