"""The ledger of labels in a DynamoDB table, and the metrics that come out of it.

Items, by their hash key `id`:

    id#<inference id>     a label (`given`), each variant's answer (`answer#<variant>`), or both, and which of the
                          answers were joined with the label (`joined#<variant>`)
    once#<name>           a file that was read to its end
    batch#<id>            losses and counts that are claimed and not yet sent

One item holds an id's label and all its answers, so whoever writes the last half of a pair sees the other in it, and a
label finds the answers of every variant in one read. Each attribute is written once, by a conditional write.

A label without an answer, and a batch, have the attributes `waiting` and `since`, the keys of the sparse index
`waiting`. All items leave by their `expires`.

CloudWatch takes no name by which it would know a value sent twice. So a batch is marked before it is sent, and one that
may have been sent or not (the call was killed in that moment, or the answer was lost) is never sent again: its labels
count as `LabelsLost`. A judge that sees fewer labels errs less than one that sees some twice.
"""

from __future__ import annotations

import json
import math
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any, cast

from botocore.exceptions import ClientError  # pyright: ignore[reportMissingTypeStubs] - AWS ships none

from monitoring.labels import INVALID, LOST, UNKNOWN, UNPARSABLE, Answer, Batch, Entry, Given, Row
from monitoring.quality import ABSOLUTE_ERROR, LOG_LOSS
from rollout.sagemaker import Clients

NAMESPACE, INDEX = "modelstack", "waiting"
KEPT_SECONDS = 45 * 86_400
"""How long an answer or a label waits for its other half."""
_PENDING_SECONDS = 60  # a batch this old was left by a call that was killed
_SENDING_SECONDS = 900  # the longest that a Lambda function runs
_VALUES, _DATA, _AWS_DOWN, _ATTEMPTS = 150, 500, 500, 6
_READ, _BYTES = 100, 1_000_000
_SQUARED = (LOG_LOSS, ABSOLUTE_ERROR)
_ANSWER, _JOINED = "answer#", "joined#"
Item = Mapping[str, Any]
Place = tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class DynamoLedger:
    """`labels.Ledger` in a table.

    Attributes:
        clients: Gives clients.
        table: The table.
        endpoint: The endpoint whose metrics these are.
        now: Tells the time, epoch seconds.
        cloudwatch: A client that sends once: a repeated PutMetricData counts twice.
    """

    clients: Clients
    table: str
    endpoint: str
    now: Callable[[], float]
    cloudwatch: Any

    def answers(self, variant: str, given: Sequence[tuple[str, Answer]]) -> Sequence[tuple[Entry, bool]]:
        """Keep each answer of a variant by its inference id, unless it has one."""
        return self._keep(f"{_ANSWER}{variant}", [(key, json.dumps(asdict(answer))) for key, answer in given])

    def labels(self, given: Sequence[tuple[str, Given]]) -> Sequence[tuple[Entry, bool]]:
        """Keep each label by its inference id, unless there is one."""
        return self._keep("given", [(key, json.dumps(asdict(label))) for key, label in given])

    def _keep(self, half: str, given: Sequence[tuple[str, str]]) -> list[tuple[Entry, bool]]:
        """Keep the first of each id in transactions of many, then read what is known."""
        first: dict[str, int] = {}
        for position, (key, _) in enumerate(given):
            first.setdefault(key, position)
        kept: set[str] = set()
        for group in _groups([given[position] for position in first.values()]):
            wanted = dict(group)
            while wanted:
                refused = self._transact([self._keeping(half, key, value) for key, value in wanted.items()])
                if refused is None:
                    kept.update(wanted)
                    break
                there = set(refused)
                wanted = {key: value for n, (key, value) in enumerate(wanted.items()) if n not in there}
        known = self._read(list(first))
        return [
            (known.get(key, Entry(key)), key in kept and first[key] == position)
            for position, (key, _) in enumerate(given)
        ]

    def _keeping(self, half: str, inference_id: str, value: str) -> dict[str, Any]:
        change, values = "SET #half = :half, expires = :expires", {":half": {"S": value}, ":expires": self._expiry}
        if half == "given":
            change += ", waiting = :waiting, since = :since"
            values |= {":waiting": {"S": "label"}, ":since": {"N": str(self.now())}}
        else:
            change += ", answered = :answered"
            values |= {":answered": {"N": str(self.now())}}
        return {
            "Update": {
                "TableName": self.table,
                "Key": {"id": {"S": f"id#{inference_id}"}},
                "UpdateExpression": change,
                "ConditionExpression": "attribute_not_exists(#half)",
                "ExpressionAttributeNames": {"#half": half},
                "ExpressionAttributeValues": values,
            }
        }

    def _read(self, ids: Sequence[str]) -> dict[str, Entry]:
        found: dict[str, Entry] = {}
        for start in range(0, len(ids), _READ):
            keys = [{"id": {"S": f"id#{key}"}} for key in ids[start : start + _READ]]
            while keys:
                answer = self.clients("dynamodb").batch_get_item(
                    RequestItems={self.table: {"Keys": keys, "ConsistentRead": True}}
                )
                found |= {entry.id: entry for entry in map(_entry, answer["Responses"].get(self.table, []))}
                keys = answer.get("UnprocessedKeys", {}).get(self.table, {}).get("Keys", [])
        return found

    def seen(self, once: str) -> bool:
        """Whether a batch with this name was taken."""
        key = {"id": {"S": f"once#{once}"}}
        return "Item" in self.clients("dynamodb").get_item(TableName=self.table, Key=key, ConsistentRead=True)

    def commit(self, batch: Batch) -> None:
        """Claim in one transaction with the batch, then send it. Whatever somebody else claimed is left out."""
        rows, unknown = dict(batch.rows), set(batch.unknown)
        while claims := self._claims(batch, rows, unknown):
            name, counts = f"batch#{uuid.uuid4().hex}", Counter(batch.counts)
            counts[UNKNOWN] += len(unknown)
            counts[UNPARSABLE] += sum(row is None for row in rows.values())
            content = _content(batch, [row for row in rows.values() if row is not None], counts)
            actions = [action for _, action in claims]
            if any(content.values()):
                actions.append({"Put": {"TableName": self.table, "Item": self._batch(name, content)}})
            refused = self._transact(actions)
            if refused is None:
                if any(content.values()):
                    self._send(name)
                return
            if batch.once and 0 in refused:
                return
            for position in refused:
                inference_id = claims[position][0]
                rows.pop(inference_id, None)
                unknown.discard(inference_id)

    def _claims(
        self, batch: Batch, rows: Mapping[str, Row | None], unknown: Iterable[str]
    ) -> list[tuple[str, dict[str, Any]]]:
        claims: list[tuple[str, dict[str, Any]]] = []
        if batch.once:
            item = {"id": {"S": f"once#{batch.once}"}, "expires": self._expiry}
            put = {"TableName": self.table, "Item": item, "ConditionExpression": "attribute_not_exists(id)"}
            claims.append(("", {"Put": put}))
        claims += [(key, self._claim(key, f"{_JOINED}{batch.variant}")) for key in rows]
        nothing = "attribute_exists(waiting) AND attribute_not_exists(answered)"
        claims += [(key, self._claim(key, "given_up", nothing)) for key in unknown]
        return claims

    def _claim(self, inference_id: str, mark: str, condition: str = "attribute_not_exists(#mark)") -> dict[str, Any]:
        return {
            "Update": {
                "TableName": self.table,
                "Key": {"id": {"S": f"id#{inference_id}"}},
                "UpdateExpression": "SET #mark = :now REMOVE waiting, since",
                "ConditionExpression": condition,
                "ExpressionAttributeNames": {"#mark": mark},
                "ExpressionAttributeValues": {":now": {"N": str(self.now())}},
            }
        }

    def _transact(self, actions: Sequence[Mapping[str, Any]]) -> list[int] | None:
        """None when all was done; else which conditions did not hold."""
        try:
            _patiently(lambda: self.clients("dynamodb").transact_write_items(TransactItems=actions))
        except ClientError as error:
            if _code(error) != "TransactionCanceledException":
                raise
            reasons = cast(Any, error).response.get("CancellationReasons", [])
            refused = [n for n, reason in enumerate(reasons) if reason.get("Code") == "ConditionalCheckFailed"]
            if not refused:
                raise
            return refused
        return None

    def _batch(self, name: str, content: Mapping[str, Any]) -> Item:
        return {
            "id": {"S": name},
            "state": {"S": "pending"},
            "waiting": {"S": "batch"},
            "since": {"N": str(self.now())},
            "expires": self._expiry,
            "content": {"S": json.dumps(content)},
        }

    def waiting(self, seconds: float) -> Iterator[Entry]:
        """Labels that have waited longer for their answer, oldest first."""
        return (_entry(item) for item in self._older("label", seconds))

    def finish(self) -> None:
        """Send the batches of calls that were killed before they sent them; give up those killed while they sent."""
        for item in self._older("batch", _PENDING_SECONDS):
            name, state = item["id"]["S"], item["state"]["S"]
            if state == "pending":
                self._send(name)
            elif float(item["since"]["N"]) <= self.now() - _SENDING_SECONDS:
                self._give_up(name, json.loads(item["content"]["S"]))

    def _send(self, name: str) -> None:
        """Send a batch, unless another call does. Its time is that of sending, so that closed windows never change."""
        content = self._mark(name, "pending", "sending")
        if content is None:
            return
        data = metric_data(json.loads(content), self.endpoint, self.now())
        sent = 0
        try:
            for start in range(0, len(data), _DATA):
                self.cloudwatch.put_metric_data(Namespace=NAMESPACE, MetricData=data[start : start + _DATA])
                sent += 1
        except ClientError as error:
            status = cast(Any, error).response.get("ResponseMetadata", {}).get("HTTPStatusCode", _AWS_DOWN)
            if status < _AWS_DOWN and not sent:  # certainly not taken
                self._mark(name, "sending", "pending")
            raise
        self.clients("dynamodb").delete_item(TableName=self.table, Key={"id": {"S": name}})

    def _mark(self, name: str, before: str, after: str) -> str | None:
        try:
            answer = self.clients("dynamodb").update_item(
                TableName=self.table,
                Key={"id": {"S": name}},
                UpdateExpression="SET #state = :after, since = :now",
                ConditionExpression="#state = :before",
                ExpressionAttributeNames={"#state": "state"},
                ExpressionAttributeValues={
                    ":before": {"S": before},
                    ":after": {"S": after},
                    ":now": {"N": str(self.now())},
                },
                ReturnValues="ALL_NEW",
            )
        except ClientError as error:
            if _code(error) == "ConditionalCheckFailedException":
                return None
            raise
        return answer["Attributes"]["content"]["S"]

    def _give_up(self, name: str, content: Mapping[str, Any]) -> None:
        lost = _content(Batch(), [], Counter({LOST: max(1, len(content["rows"]))}))
        replaced = self._batch(f"batch#{uuid.uuid4().hex}", lost)
        delete = {
            "TableName": self.table,
            "Key": {"id": {"S": name}},
            "ConditionExpression": "#state = :sending",
            "ExpressionAttributeNames": {"#state": "state"},
            "ExpressionAttributeValues": {":sending": {"S": "sending"}},
        }
        if self._transact([{"Delete": delete}, {"Put": {"TableName": self.table, "Item": replaced}}]) is None:
            self._send(replaced["id"]["S"])

    def _older(self, waiting: str, seconds: float) -> Iterator[Item]:
        more: dict[str, Any] = {}
        while True:
            answer = self.clients("dynamodb").query(
                TableName=self.table,
                IndexName=INDEX,
                KeyConditionExpression="waiting = :waiting AND since <= :since",
                ExpressionAttributeValues={
                    ":waiting": {"S": waiting},
                    ":since": {"N": str(self.now() - seconds)},
                },
                **more,
            )
            yield from answer["Items"]
            if "LastEvaluatedKey" not in answer:
                return
            more = {"ExclusiveStartKey": answer["LastEvaluatedKey"]}

    @property
    def _expiry(self) -> dict[str, str]:
        return {"N": str(math.ceil(self.now()) + KEPT_SECONDS)}


def _groups(items: Sequence[tuple[str, str]]) -> Iterator[list[tuple[str, str]]]:
    """Items in groups that a transaction takes: of 100 actions and 4 MB."""
    group, size = list[tuple[str, str]](), 0
    for item in items:
        if group and (len(group) == _READ or size + len(item[1]) > _BYTES):
            yield group
            group, size = [], 0
        group.append(item)
        size += len(item[1])
    if group:
        yield group


def _content(batch: Batch, rows: Sequence[Row], counts: Counter[str]) -> dict[str, Any]:
    checked = [
        {"variant": batch.variant, "trial": trial, "invalid": invalid, "answers": answers}
        for (trial, invalid), answers in batch.checked.items()
    ]
    return {"rows": [asdict(row) for row in rows], "checked": checked, "counts": +counts}


def metric_data(content: Mapping[str, Any], endpoint: str, at: float) -> list[dict[str, Any]]:
    """A batch as PutMetricData takes it: what is of a variant, what is of a trial once more by its id, and counts."""
    losses: dict[tuple[str, Place], list[float]] = {}
    for row in content["rows"]:
        for place in _places(endpoint, row):
            for name, values in row["losses"].items():
                losses.setdefault((name, place), []).extend(values)
                if name in _SQUARED:
                    losses.setdefault((f"{name}Squared", place), []).extend(loss * loss for loss in values)
    data = [
        _datum(name, place, at, values[start : start + _VALUES], "None")
        for (name, place), values in losses.items()
        for start in range(0, len(values), _VALUES)
    ]
    for item in content["checked"]:
        counts = [float(item["answers"])]
        data += [
            {**_datum(INVALID, place, at, [float(item["invalid"])], "None"), "Counts": counts}
            for place in _places(endpoint, item)
        ]
    whole = (("EndpointName", endpoint),)
    return data + [_datum(name, whole, at, [float(count)], "Count") for name, count in content["counts"].items()]


def _places(endpoint: str, item: Mapping[str, Any]) -> list[Place]:
    """Where a variant's values are published: by the variant, and by the trial that they belong to."""
    variant = (("EndpointName", endpoint), ("VariantName", str(item["variant"])))
    return [variant, (*variant, ("RolloutId", str(item["trial"])))] if item["trial"] else [variant]


def _datum(
    name: str, place: Iterable[tuple[str, str]], at: float, values: Sequence[float], unit: str
) -> dict[str, Any]:
    return {
        "MetricName": name,
        "Dimensions": [{"Name": key, "Value": value} for key, value in place],
        "Timestamp": datetime.fromtimestamp(at, UTC),
        "Values": list(values),
        "Unit": unit,
    }


def _entry(item: Item) -> Entry:
    given = item.get("given")
    return Entry(
        id=item["id"]["S"].removeprefix("id#"),
        answers={name: Answer(**json.loads(value["S"])) for name, value in _of_variants(item, _ANSWER)},
        given=Given(**json.loads(given["S"])) if given else None,
        joined=frozenset(name for name, _ in _of_variants(item, _JOINED)),
    )


def _of_variants(item: Item, prefix: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    return ((name.removeprefix(prefix), value) for name, value in item.items() if name.startswith(prefix))


def _patiently(call: Callable[[], Any]) -> Any:
    """Call again, some times, while another call changes the same items: DynamoDB refuses rather than waits."""
    for attempt in range(_ATTEMPTS):
        try:
            return call()
        except ClientError as error:
            reasons = cast(Any, error).response.get("CancellationReasons", [])
            codes = {_code(error), *(reason.get("Code") for reason in reasons)}
            busy = codes & {"TransactionConflict", "TransactionConflictException"}
            if not busy or "ConditionalCheckFailed" in codes or attempt == _ATTEMPTS - 1:
                raise
        time.sleep(0.05 * 2**attempt)
    return None


def _code(error: ClientError) -> str:
    return str(cast(Any, error).response.get("Error", {}).get("Code", ""))
