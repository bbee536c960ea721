"""One table of DynamoDB: transactions that are asked again while others change the same items."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

from botocore.exceptions import ClientError

from platforms.aws.clients import Clients
from platforms.aws.names import INDEX
from platforms.s3.errors import code_of

KEPT_SECONDS = 45 * 86_400
"""How long an item is kept."""
_ATTEMPTS = 6
_READ = 100  # items in one BatchGetItem
Item = Mapping[str, Any]


@dataclass(frozen=True)
class Table:
    """A table whose items have the key `id`.

    Attributes:
        clients: Gives clients.
        name: Its name.
        now: Tells the time, epoch seconds.
    """

    clients: Clients
    name: str
    now: Callable[[], float]

    @property
    def dynamodb(self) -> Any:
        """The client."""
        return self.clients("dynamodb")

    def get(self, key: str) -> Item | None:
        """One item, by a consistent read."""
        return self.dynamodb.get_item(TableName=self.name, Key={"id": {"S": key}}, ConsistentRead=True).get("Item")

    def many(self, keys: Sequence[Item]) -> Iterator[Item]:
        """Those of some items, by their keys, that are there, by consistent reads and in any order."""
        for start in range(0, len(keys), _READ):
            wanted = list(keys[start : start + _READ])
            while wanted:
                answer = self.dynamodb.batch_get_item(
                    RequestItems={self.name: {"Keys": wanted, "ConsistentRead": True}}
                )
                yield from answer["Responses"].get(self.name, [])
                wanted = answer.get("UnprocessedKeys", {}).get(self.name, {}).get("Keys", [])

    def transact(self, actions: Sequence[Mapping[str, Any]]) -> list[int] | None:
        """None when all was done; else which conditions did not hold."""
        try:
            _patiently(lambda: self.dynamodb.transact_write_items(TransactItems=actions))
        except ClientError as error:
            if code_of(error) != "TransactionCanceledException":
                raise
            reasons = cast(Any, error).response.get("CancellationReasons", [])
            refused = [n for n, reason in enumerate(reasons) if reason.get("Code") == "ConditionalCheckFailed"]
            if not refused:
                raise
            return refused
        return None

    def change(self, **request: Any) -> Item:
        """UpdateItem, asked again while a transaction changes the same item; the attributes that it answers.

        Raises:
            ClientError: Its condition does not hold, or the table does not take it.
        """
        return _patiently(lambda: self.dynamodb.update_item(TableName=self.name, **request)).get("Attributes", {})

    def older(self, waiting: str, seconds: float) -> Iterator[Item]:
        """Items that have had `waiting` since so many seconds, oldest first."""
        more: dict[str, Any] = {}
        while True:
            answer = self.dynamodb.query(
                TableName=self.name,
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
    def expiry(self) -> dict[str, str]:
        """When an item that is written now leaves."""
        return {"N": str(math.ceil(self.now()) + KEPT_SECONDS)}


def _patiently(call: Callable[[], Any]) -> Any:
    """Call again, some times, while another call changes the same items: DynamoDB refuses rather than waits."""
    for attempt in range(_ATTEMPTS):
        try:
            return call()
        except ClientError as error:
            reasons = cast(Any, error).response.get("CancellationReasons", [])
            codes = {code_of(error), *(reason.get("Code") for reason in reasons)}
            busy = codes & {"TransactionConflict", "TransactionConflictException"}
            if not busy or "ConditionalCheckFailed" in codes or attempt == _ATTEMPTS - 1:
                raise
        time.sleep(0.05 * 2**attempt)
    return None
