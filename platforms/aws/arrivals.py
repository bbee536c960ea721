"""The captured files in a batch of queue messages, each EventBridge's event of a created object.

Source: Amazon EventBridge user guide, "Amazon S3 events"; AWS Lambda developer guide, "Implementing partial batch
responses".
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from monitoring.log import log


@dataclass(frozen=True)
class Arrivals:
    """Messages, each with its id, the variant and the file's key, and the ids of unreadable ones."""

    messages: Sequence[tuple[str, str, str]]
    unreadable: Sequence[str]

    @classmethod
    def read(cls, event: Mapping[str, Any], endpoint: str) -> Arrivals:
        """Read an event of the queue; files that are no captures of the endpoint are left out."""
        messages: list[tuple[str, str, str]] = []
        unreadable: list[str] = []
        for record in event["Records"]:
            try:
                key = str(json.loads(record["body"])["detail"]["object"]["key"])
            except (ValueError, KeyError, TypeError) as error:
                log("message not read", id=record["messageId"], error=repr(error))
                unreadable.append(record["messageId"])
                continue
            folder, owner, variant, *rest = [*key.split("/", 3), "", "", ""][:4]
            if (folder, owner) == ("capture", endpoint) and any(rest):
                messages.append((record["messageId"], variant, key))
        return cls(messages, unreadable)

    @property
    def files(self) -> dict[str, set[str]]:
        """Variant -> its files."""
        found: dict[str, set[str]] = {}
        for _, variant, key in self.messages:
            found.setdefault(variant, set()).add(key)
        return found

    def unsettled(self, variants: Collection[str] = (), keys: Collection[str] = ()) -> dict[str, Any]:
        """The response that returns to the queue unreadable messages, and those of some variants or files."""
        again = [one for one, variant, key in self.messages if variant in variants or key in keys]
        return {"batchItemFailures": [{"itemIdentifier": one} for one in (*self.unreadable, *again)]}
