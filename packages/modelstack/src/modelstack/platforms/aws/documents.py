"""Documents in a table of DynamoDB, an item each.

| attribute        | what it is                                                              |
|------------------|-------------------------------------------------------------------------|
| `id`             | the key of the document, the hash key                                   |
| `revision`       | number of writes                                                        |
| `body`           | JSON: text, or bytes compressed by zlib if it has over 1 kB             |
| `queue`, `since` | the keys of the index `queue`; missing of a document in no queue        |
| `expires`        | when DynamoDB deletes the item                                          |

Source: Amazon DynamoDB Developer Guide, "Optimistic locking with version number" and "Amazon DynamoDB transactions".
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

from botocore.exceptions import ClientError

from modelstack.platforms.aws.clients import Clients, calling
from modelstack.platforms.aws.names import INDEX
from modelstack.platforms.s3.errors import code_of
from modelstack.rollout.core.errors import Busy
from modelstack.services.documents import KEPT_SECONDS, LASTING, packed, text, unpacked
from modelstack.services.ports import MOST, Document

_ATTEMPTS = 6
_SMALL = 1024  # bytes, which DynamoDB charges as one write
Item = Mapping[str, Any]


@dataclass(frozen=True)
class DynamoDocuments:
    """`Documents` in a table."""

    clients: Clients
    table: str
    now: Callable[[], float] = time.time

    def get(self, keys: Iterable[str]) -> Mapping[str, Document]:
        found = {key: Document(key) for key in keys}
        wanted = [{"id": {"S": key}} for key in found]
        with calling(f"read {self.table}"):
            for start in range(0, len(wanted), MOST):
                found |= {one.key: one for one in map(_document, self._items(wanted[start : start + MOST]))}
        return found

    def _items(self, keys: Sequence[Item]) -> Iterator[Item]:
        while keys:
            answer = self._dynamodb.batch_get_item(RequestItems={self.table: {"Keys": keys, "ConsistentRead": True}})
            yield from answer["Responses"].get(self.table, [])
            keys = answer.get("UnprocessedKeys", {}).get(self.table, {}).get("Keys", [])

    def scan(self, queue: str, before: float) -> Iterator[Document]:
        more: dict[str, Any] = {}
        while True:
            with calling(f"read the queue {queue} of {self.table}"):
                answer = self._dynamodb.query(
                    TableName=self.table,
                    IndexName=INDEX,
                    KeyConditionExpression="queue = :queue AND since <= :before",
                    ExpressionAttributeValues={":queue": {"S": queue}, ":before": {"N": repr(before)}},
                    **more,
                )
            yield from map(_document, answer["Items"])
            if "LastEvaluatedKey" not in answer:
                return
            more = {"ExclusiveStartKey": answer["LastEvaluatedKey"]}

    def transact(self, puts: Sequence[Document], deletes: Sequence[Document] = ()) -> frozenset[str]:
        actions = [{"Put": {"Item": self._item(one), **self._on_revision(one)}} for one in puts]
        actions += [{"Delete": {"Key": {"id": {"S": one.key}}, **self._on_revision(one)}} for one in deletes]
        keys = [one.key for one in (*puts, *deletes)]
        with calling(f"write {self.table}"):
            for attempt in range(_ATTEMPTS):
                try:
                    if actions:
                        self._dynamodb.transact_write_items(TransactItems=actions)
                except ClientError as error:
                    reasons: Sequence[Item] = cast(Any, error).response.get("CancellationReasons", [])
                    codes = [reason.get("Code") for reason in reasons]
                    if "ConditionalCheckFailed" in codes:
                        pairs = zip(keys, codes, strict=True)
                        return frozenset(key for key, code in pairs if code == "ConditionalCheckFailed")
                    # DynamoDB refuses while another transaction changes the same items, rather than wait for it.
                    if not {"TransactionConflict", "TransactionConflictException"} & {code_of(error), *codes}:
                        raise
                else:
                    return frozenset()
                time.sleep(0.05 * 2**attempt)
        raise Busy(f"write {self.table}: other transactions change the same documents")

    def _item(self, document: Document) -> Item:
        body = text(document.body)
        more: Item = {INDEX: {"S": document.queue}, "since": {"N": repr(document.since)}} if document.queue else {}
        if not document.key.startswith(LASTING):
            more = {**more, "expires": {"N": str(math.ceil(self.now()) + KEPT_SECONDS)}}
        return {
            "id": {"S": document.key},
            "revision": {"N": str(document.revision + 1)},
            "body": {"S": body} if len(body) <= _SMALL else {"B": packed(document.body)},
            **more,
        }

    def _on_revision(self, document: Document) -> dict[str, Any]:
        if not document.revision:
            return {"TableName": self.table, "ConditionExpression": "attribute_not_exists(id)"}
        seen = {":seen": {"N": str(document.revision)}}
        return {"TableName": self.table, "ConditionExpression": "revision = :seen", "ExpressionAttributeValues": seen}

    @property
    def _dynamodb(self) -> Any:
        return self.clients("dynamodb")


def _document(item: Item) -> Document:
    body = item["body"]
    return Document(
        item["id"]["S"],
        json.loads(body["S"]) if "S" in body else unpacked(body["B"]),
        int(item["revision"]["N"]),
        item.get(INDEX, {}).get("S", ""),
        float(item.get("since", {}).get("N", 0)),
    )
