"""Batches of losses and counts: claimed, sent to CloudWatch once, and then summed up in how their variant stands.

CloudWatch takes no name by which it would know a value sent twice. So a batch is marked before it is sent, and one that
may have been sent or not (the call was killed in that moment, or the answer was lost) is never sent again: its labels
count as `LabelsLost`. A judge that sees fewer labels errs less than one that sees some twice.

What a variant's labels show lies in one item, `standing#<variant>`. One transaction takes batches out of the table and
puts the item's successor there, on the condition that nobody else has: so each batch is summed up once, those that
CloudWatch may have lost included. The metrics of how a variant stands are no counts but states, and may be sent twice.
"""

from __future__ import annotations

import json
import uuid
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import ClientError

from monitoring.labels.claimed import answered_of, content, rows_of
from monitoring.labels.pairs import Batch
from monitoring.labels.standing import Promised, Standing
from monitoring.labels.told import told
from monitoring.log import log
from monitoring.published import LOST
from platforms.aws.batch_metrics import gauge_data, metric_data
from platforms.aws.metrics import parts, put
from platforms.aws.revisions import on_revision
from platforms.aws.table import Item, Table
from platforms.s3.errors import AWS_DOWN, code_of, status_of

STANDING = "standing#"
_PENDING_SECONDS = 60  # a batch this old was left by a call that was killed
_SENDING_SECONDS = 900  # the longest that a Lambda function runs
_TOGETHER = 50  # batches of one transaction, which DynamoDB allows 100 actions


@dataclass(frozen=True)
class Batches:
    """The batches in the table of the ledger.

    Attributes:
        table: Where they lie.
        endpoint: The endpoint whose metrics these are.
        cloudwatch: A client that sends once: a repeated PutMetricData counts twice.
    """

    table: Table
    endpoint: str
    cloudwatch: Any

    def item(self, body: Mapping[str, Any]) -> Item:
        """A new batch as an item."""
        return {
            "id": {"S": f"batch#{uuid.uuid4().hex}"},
            "state": {"S": "pending"},
            "waiting": {"S": "batch"},
            "since": {"N": str(self.table.now())},
            "expires": self.table.expiry,
            "content": {"S": json.dumps(body)},
        }

    def finish(self) -> None:
        """Send the batches of calls that were killed before they sent them; give up those killed while they sent."""
        for item in self.table.older("batch", _PENDING_SECONDS):
            name, state = item["id"]["S"], item["state"]["S"]
            if state == "pending":
                self.send(name)
            elif float(item["since"]["N"]) <= self.table.now() - _SENDING_SECONDS:
                self._give_up(name, json.loads(item["content"]["S"]))

    def send(self, name: str) -> None:
        """Send a batch, unless another call does. Its time is that of sending, so that closed windows never change."""
        written = self._mark(name, "pending", "sending")
        if written is None:
            return
        body = json.loads(written)
        sent = 0
        try:
            for part in parts(metric_data(body, self.endpoint, self.table.now())):
                put(self.cloudwatch, part)
                sent += 1
        except ClientError as error:
            if 0 < status_of(error) < AWS_DOWN and not sent:  # certainly not taken
                self._mark(name, "sending", "pending")
            raise
        self.table.transact([self._sent(name, body)])

    def _sent(self, name: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """What becomes of a batch that is not to be sent any more: it is still to be summed up, or it goes."""
        same = {
            "TableName": self.table.name,
            "Key": {"id": {"S": name}},
            "ConditionExpression": "#state = :sending",
            "ExpressionAttributeNames": {"#state": "state"},
        }
        values = {":sending": {"S": "sending"}}
        if not body["rows"] and not body["answered"]:
            return {"Delete": {**same, "ExpressionAttributeValues": values}}
        values |= {":sent": {"S": "sent"}, ":now": {"N": str(self.table.now())}}
        change = "SET #state = :sent, waiting = :sent, since = :now"
        return {"Update": {**same, "UpdateExpression": change, "ExpressionAttributeValues": values}}

    def _mark(self, name: str, before: str, after: str) -> str | None:
        try:
            changed = self.table.change(
                Key={"id": {"S": name}},
                UpdateExpression="SET #state = :after, since = :now",
                ConditionExpression="#state = :before",
                ExpressionAttributeNames={"#state": "state"},
                ExpressionAttributeValues={
                    ":before": {"S": before},
                    ":after": {"S": after},
                    ":now": {"N": str(self.table.now())},
                },
                ReturnValues="ALL_NEW",
            )
        except ClientError as error:
            if code_of(error) == "ConditionalCheckFailedException":
                return None
            raise
        return changed["content"]["S"]

    def _give_up(self, name: str, body: Mapping[str, Any]) -> None:
        lost = self.item(content(Batch(), {}, Counter({LOST: max(1, len(body["rows"]))})))
        put = {"Put": {"TableName": self.table.name, "Item": lost}}
        if self.table.transact([self._sent(name, body), put]) is None:
            self.send(lost["id"]["S"])

    def sum_up(self, promised: Callable[[str], Promised | None]) -> None:
        """Sum up what was sent in how each variant stands, and tell that.

        Args:
            promised: What a variant's release was sealed with; None when the release is not known any more.
        """
        by_variant: dict[str, list[tuple[str, dict[str, Any]]]] = {}
        for item in self.table.older("sent", 0):
            body = json.loads(item["content"]["S"])
            by_variant.setdefault(body["variant"], []).append((item["id"]["S"], body))
        for variant, batches in by_variant.items():
            known = promised(variant)
            standing = None
            groups = list(_groups(batches))
            for group in groups:
                standing = self._take(variant, group, known, last=group is groups[-1])
                if standing is None:
                    break  # another call sums up this variant
            if standing is not None and known is not None:
                self._tell(variant, standing, known)

    def _take(
        self, variant: str, batches: Sequence[tuple[str, dict[str, Any]]], promised: Promised | None, *, last: bool
    ) -> Standing | None:
        """Sum up batches in one transaction; None when another call was first. With the last ones days are judged."""
        key = f"{STANDING}{variant}"
        kept = self.table.get(key)
        standing = read(kept) or Standing.new()
        rows = [row for _, body in batches for row in rows_of(body)]
        standing.take(rows, [answered_of(body) for _, body in batches], promised)
        if last:
            standing.judge(promised)
        revision = int(kept["revision"]["N"]) if kept else 0
        item = {
            "id": {"S": key},
            "revision": {"N": str(revision + 1)},
            "standing": {"S": json.dumps(standing.as_dict())},
            "told": {"S": json.dumps(told(standing, promised, self.table.now()))},
            "expires": self.table.expiry,
        }
        put = {"Put": {"TableName": self.table.name, "Item": item, **on_revision(revision, "id")}}
        taken = [self._taking(name) for name, _ in batches]
        try:
            return standing if self.table.transact([put, *taken]) is None else None
        except ClientError as error:
            if code_of(error) == "TransactionCanceledException":
                return None
            raise

    def _taking(self, name: str) -> dict[str, Any]:
        key = {"TableName": self.table.name, "Key": {"id": {"S": name}}}
        return {"Delete": {**key, "ConditionExpression": "attribute_exists(id)"}}

    def _tell(self, variant: str, standing: Standing, promised: Promised) -> None:
        put(self.cloudwatch, gauge_data(standing.gauges(promised), self.endpoint, variant, self.table.now()))


def read(item: Item | None) -> Standing | None:
    """How a variant stands; None when nothing is kept, or in a form that is not known: it then begins anew."""
    if item is None:
        return None
    try:
        return Standing.from_dict(json.loads(item["standing"]["S"]))
    except (KeyError, ValueError) as error:
        log("standing not read", id=item["id"]["S"], error=repr(error))
        return None


def _groups(batches: Sequence[tuple[str, dict[str, Any]]]) -> Iterator[Sequence[tuple[str, dict[str, Any]]]]:
    return (batches[start : start + _TOGETHER] for start in range(0, len(batches), _TOGETHER))
