"""One item with many writers: a write succeeds only if no later revision is stored (compare and set).

    place = Revisions(clients, "flight-delay-prod-rollouts", "flight-delay-prod", "the journal")
    item = place.read()
    place.write({"state": {"S": text}}, int(item["revision"]["N"]) + 1 if item else 1)

Source: Amazon DynamoDB Developer Guide, "Optimistic locking with version number".
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from modelstack.platforms.aws.clients import Clients, calling
from modelstack.platforms.s3.errors import code_of
from modelstack.rollout.core.errors import Conflict, RolloutError, Unreachable

Item = Mapping[str, Mapping[str, str]]


@dataclass(frozen=True)
class Revisions:
    """An item in a DynamoDB table with the hash key `endpoint`; `what` is its name in errors."""

    clients: Clients
    table: str
    key: str
    what: str

    def read(self) -> Item | None:
        """The item, by a consistent read; None without an item or a table."""
        try:
            with calling(f"read {self.what} {self.table}"):
                answer = self.clients("dynamodb").get_item(
                    TableName=self.table, Key={"endpoint": {"S": self.key}}, ConsistentRead=True
                )
        except RolloutError as error:
            if code_of(error.__cause__) == "ResourceNotFoundException":
                return None
            raise
        return answer.get("Item")

    def write(self, content: Item, revision: int) -> None:
        """Write a revision if none or an earlier one is stored; else `Conflict`.

        After `Unreachable` the write may or may not have succeeded.
        """
        number = {"N": str(revision)}
        try:
            with calling(f"write {self.what} {self.table}"):
                self.clients("dynamodb").put_item(
                    TableName=self.table,
                    Item={"endpoint": {"S": self.key}, "revision": number, **content},
                    ConditionExpression="attribute_not_exists(endpoint) OR revision < :new",
                    ExpressionAttributeValues={":new": number},
                )
        except RolloutError as error:
            code = code_of(error.__cause__)
            if code == "ConditionalCheckFailedException":
                raise Conflict(f"{self.what} {self.table} moved on from revision {revision - 1}") from error
            if code == "ProvisionedThroughputExceededException":
                raise Unreachable(str(error)) from error
            raise
