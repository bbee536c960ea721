"""What is kept of drift, in DynamoDB."""

from __future__ import annotations

import json
import time
import zlib
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from monitoring.drift.record import Datum, Reading
from platforms.aws.clients import Clients
from platforms.aws.revisions import on_revision
from platforms.aws.table import Table

_UNSENT, _BEGUN = "unsent#", "begun"


@dataclass(frozen=True)
class DynamoRecord:
    """`Record` in the journal's table, in items of their own beside the endpoint's.

    A variant's takes some hundred bytes a feature, compressed, of the 400 kB that an item may have. A file that was
    counted has an item too, which expires.
    """

    clients: Clients
    table: str
    endpoint: str

    def read(self, variant: str) -> Reading:
        """The reading, by a consistent read."""
        answer = self.clients("dynamodb").get_item(TableName=self.table, Key=self._key(variant), ConsistentRead=True)
        if "Item" not in answer:
            return Reading()
        item, body = answer["Item"], _unpacked(answer["Item"]["reading"])
        unsent = {
            int(name.removeprefix(_UNSENT)): tuple(Datum(**datum) for datum in _unpacked(value))
            for name, value in item.items()
            if name.startswith(_UNSENT)
        }
        return Reading(int(item["revision"]["N"]), body["after"], body["state"], unsent)

    def counted(self, keys: Collection[str]) -> set[str]:
        """Those of some files that were counted, by consistent reads."""
        known = {_file(key)["endpoint"]["S"]: key for key in keys}
        return {known[item["endpoint"]["S"]] for item in self._table.many([_file(key) for key in known.values()])}

    def write(
        self, variant: str, reading: Reading, files: Collection[str], unsent: tuple[Datum, ...], begun: int = 0
    ) -> Reading | None:
        """Put the successor of the revision that was read, in one transaction with the files' items."""
        revision, table = reading.revision + 1, self._table
        change, condition = "SET revision = :revision, reading = :reading", on_revision(reading.revision, "endpoint")
        values = {
            **condition.get("ExpressionAttributeValues", {}),
            ":revision": {"N": str(revision)},
            ":reading": _packed({"after": reading.after, "state": reading.state}),
        }
        update = {"TableName": self.table, "Key": self._key(variant), **condition}
        if unsent:
            change += ", #unsent = :unsent"
            values[":unsent"] = _packed([asdict(item) for item in unsent])
            update["ExpressionAttributeNames"] = {"#unsent": f"{_UNSENT}{revision}"}
        marks = [{"Put": {"TableName": self.table, "Item": {**_file(key), "expires": table.expiry}}} for key in files]
        update |= {"UpdateExpression": change, "ExpressionAttributeValues": values}
        ended = {"Put": {"TableName": self.table, "Item": {**self._begun(variant), _BEGUN: {"N": str(begun)}}}}
        if table.transact([{"Update": update}, ended, *marks]) is not None:
            return None
        waiting = {**reading.unsent, **({revision: unsent} if unsent else {})}
        return replace(reading, revision=revision, unsent=waiting)

    def begins(self, variant: str) -> int:
        """Count in an item of its own, which is smaller than the reading's."""
        return self._count(variant, 1)

    def failed(self, variant: str) -> None:
        """Take one off the count: other calls may be at work."""
        self._count(variant, -1)

    def _count(self, variant: str, more: int) -> int:
        changed = self._table.change(
            Key=self._begun(variant),
            UpdateExpression="ADD #begun :more",
            ExpressionAttributeNames={"#begun": _BEGUN},
            ExpressionAttributeValues={":more": {"N": str(more)}},
            ReturnValues="UPDATED_NEW",
        )
        return int(changed[_BEGUN]["N"])

    def sent(self, variant: str, revision: int) -> None:
        """Remove what a revision had to send."""
        remove = {
            "TableName": self.table,
            "Key": self._key(variant),
            "UpdateExpression": "REMOVE #unsent",
            "ExpressionAttributeNames": {"#unsent": f"{_UNSENT}{revision}"},
        }
        self._table.transact([{"Update": remove}])

    @property
    def _table(self) -> Table:
        return Table(self.clients, self.table, time.time)

    def _key(self, variant: str) -> dict[str, Any]:
        return {"endpoint": {"S": f"{self.endpoint}#drift#{variant}"}}

    def _begun(self, variant: str) -> dict[str, Any]:
        return {"endpoint": {"S": f"{self.endpoint}#drift-begun#{variant}"}}


def _file(key: str) -> dict[str, Any]:
    """The item of a file; its key has the names of endpoint and variant in it."""
    return {"endpoint": {"S": f"#counted#{key}"}}


def _packed(value: object) -> dict[str, bytes]:
    return {"B": zlib.compress(json.dumps(value).encode())}


def _unpacked(value: Mapping[str, bytes]) -> Any:
    return json.loads(zlib.decompress(value["B"]))
