"""DynamoDB's tables as they are saved: an item that did not change is not written as JSON again.

Every write of DynamoDB is answered only after its state is on disk. To copy and to encode whole tables for each one
takes the longer, the more they hold: a second at seven thousand items. ministack puts a new object in the place of an
item that changes, so the text of one that is the same object is the same.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping
from typing import Any

from ministack.core import persistence
from ministack.services import dynamodb

BESIDE_TABLES = (
    "tags",
    "ttl_settings",
    "pitr_settings",
    "kinesis_destinations",
    "contributor_insights",
    "backups",
    "resource_policies",
    "exports",
    "imports",
)
"""What DynamoDB keeps beside its tables."""

Bucket = Mapping[Any, Any]
Texts = dict[Any, tuple[Bucket, str]]


class Items:
    """The items of a table at one moment: partition key -> sort key -> item.

    Args:
        buckets: The items by their keys; not changed any more.
        texts: What the moment before left: each partition with its text. Changed by `text`.
    """

    def __init__(self, buckets: Mapping[Any, Bucket], texts: Texts) -> None:
        self._buckets, self._texts = buckets, texts

    def text(self) -> str:
        """The items as JSON. For one thread at a time."""
        known = dict(self._texts)
        self._texts.clear()
        for key, bucket in self._buckets.items():
            before = known.get(key)
            kept = before if before is not None and _same(before[0], bucket) else (bucket, _written(key, bucket))
            self._texts[key] = kept
        return "{" + ", ".join(text for _, text in self._texts.values()) + "}"


def save_items_once() -> None:
    """Have DynamoDB give its tables with the items as `Items`, and all else as ministack does."""
    texts: dict[tuple[str, str, str], Texts] = {}

    def get_state() -> dict[str, Any]:
        tables, there = type(dynamodb._tables)(), dict(dynamodb._tables.all_items())
        for gone in texts.keys() - there.keys():
            del texts[gone]
        for name, table in there.items():
            kept = {key: value for key, value in table.items() if key not in {"items", dynamodb._INDEX_MEMBERS}}
            buckets = {key: dict(bucket) for key, bucket in list(table["items"].items())}
            items = Items(buckets, texts.setdefault(name, {}))
            tables.set_scoped(*name, {**copy.deepcopy(kept), "items": items})
        return {"tables": tables, **{name: copy.deepcopy(getattr(dynamodb, f"_{name}")) for name in BESIDE_TABLES}}

    dynamodb.get_state = get_state


def _same(one: Bucket, other: Bucket) -> bool:
    return one.keys() == other.keys() and all(one[key] is item for key, item in other.items())


def _written(key: Any, bucket: Bucket) -> str:
    return json.dumps({key: bucket}, default=persistence._json_default)[1:-1]
