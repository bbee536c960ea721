"""Where is a prediction with an id told of? In the ledger of labels, in one read; else in the captures, newest first.

The ledger knows each answer by its inference id, some minutes after it was given. What it does not have is looked for
in the files of captures: an event id, the beginning of an id, and an answer that has no predictions in it.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

from botocore.exceptions import ClientError

from monitoring.predictions import Prediction, Search, Searched, Window, blocks, of_entry
from platforms.aws.clients import Clients, calling
from platforms.aws.documents import DynamoDocuments
from platforms.aws.names import CAPTURE
from platforms.aws.transient import gone
from services.ledger import entry_of

_AT_ONCE = 10  # the connections that a client of boto3 keeps
_CHUNK = 1 << 20
_DAY = timedelta(days=1)


@dataclass(frozen=True)
class AwsPredictions:
    """The predictions of one endpoint.

    Attributes:
        clients: Gives clients.
        endpoint: The endpoint.
        bucket: Where captures lie, under `capture/<endpoint>/<variant>/yyyy/mm/dd/hh/`.
        ledger: The table of labels.
        now: Tells the time, epoch seconds.
    """

    clients: Clients
    endpoint: str
    bucket: str
    ledger: str
    now: Callable[[], float] = time.time

    def told(self, word: str, window: Window) -> tuple[Prediction, ...]:
        """What the ledger has of an inference id.

        Raises:
            RolloutError: It may not be read, or does not answer.
        """
        with calling(f"read {self.ledger}"):
            entry = entry_of(DynamoDocuments(self.clients, self.ledger), word)
        return of_entry(entry, window) if entry else ()

    def captured(self, word: str, window: Window) -> Searched:
        """What the captures have of an id, or of the beginning of one.

        It ends an hour before the newest prediction that is called so. That hour is looked through too: it may have
        what a shadow variant, or another one that was asked again, answered.

        Raises:
            RolloutError: The bucket may not be read, or does not answer.
        """
        search, files = Search(word), 0
        with calling(f"read s3://{self.bucket}/{CAPTURE}/"), ThreadPoolExecutor(_AT_ONCE) as pool:
            variants = self._folders(f"{CAPTURE}/{self.endpoint}/")
            days = dict(zip(variants, pool.map(self._days, variants), strict=True))
            left = math.inf
            for keys in self._hours(pool, days, window):
                if left == 0:
                    break
                list(pool.map(partial(self._look, search), keys))
                files += len(keys)
                left = 1 if search.exact and left == math.inf else left - 1
        place = f"{files:,} files of captures under s3://{self.bucket}/{CAPTURE}/{self.endpoint}/"
        oldest = min((day.timestamp() for found in days.values() for day in found), default=None)
        return Searched(tuple(search.exact), tuple(search.begun), (place,), oldest=oldest)

    def _folders(self, folder: str) -> list[str]:
        """The names of the folders in a folder."""
        pages = self._pages(Prefix=folder, Delimiter="/")
        return [one["Prefix"][len(folder) : -1] for page in pages for one in page.get("CommonPrefixes", [])]

    def _days(self, variant: str) -> list[datetime]:
        """The days of which there are captures of a variant."""
        found = [self._prefix(variant)]
        for _ in ("year", "month", "day"):
            found = [f"{folder}{name}/" for folder in found for name in self._folders(folder)]
        hours = (_hour_of(f"{folder[len(self._prefix(variant)) :]}00") for folder in found)
        return [day for day in hours if day]

    def _hours(
        self, pool: ThreadPoolExecutor, days: Mapping[str, Sequence[datetime]], window: Window
    ) -> Iterator[Sequence[tuple[str, str]]]:
        """Variants and keys of each hour that has files, the newest hour first; a day is listed at a time."""
        first, last = _hour(window.since), _hour(window.until)
        for day in sorted({day for found in days.values() for day in found}, reverse=True):
            if not first - _DAY < day <= last:
                continue
            there = [variant for variant, found in days.items() if day in found]
            listed = pool.map(partial(self._keys, since=max(day, first), until=last), there)
            of_hour: dict[datetime, list[tuple[str, str]]] = {}
            for variant, keys in zip(there, listed, strict=True):
                for at, key in keys:
                    of_hour.setdefault(at, []).append((variant, key))
            yield from (of_hour[at] for at in sorted(of_hour, reverse=True))

    def _keys(self, variant: str, *, since: datetime, until: datetime) -> list[tuple[datetime, str]]:
        """The files of a variant on the day of an hour, from that one to another, each with its hour."""
        prefix = self._prefix(variant)
        found: list[tuple[datetime, str]] = []
        for page in self._pages(Prefix=f"{prefix}{since:%Y/%m/%d}/", StartAfter=f"{prefix}{since:%Y/%m/%d/%H}/"):
            for item in page.get("Contents", []):
                at = _hour_of(item["Key"][len(prefix) :])
                if at and at > until:
                    return found
                if at:
                    found.append((at, item["Key"]))
        return found

    def _look(self, search: Search, place: tuple[str, str]) -> None:
        variant, key = place
        try:
            body = self.clients("s3").get_object(Bucket=self.bucket, Key=key)["Body"]
        except ClientError as error:
            if not gone(error):
                raise
            return
        for block in blocks(body.iter_chunks(_CHUNK)):
            search.look(variant, block)

    def _prefix(self, variant: str) -> str:
        return f"{CAPTURE}/{self.endpoint}/{variant}/"

    def _pages(self, **asked: str) -> Iterator[Mapping[str, Any]]:
        return self.clients("s3").get_paginator("list_objects_v2").paginate(Bucket=self.bucket, **asked)


def _hour(at: float) -> datetime:
    """The hour of a time, within those that there are."""
    bounded = min(max(at, 0.0), 253_402_300_799.0 - 86_400)
    return datetime.fromtimestamp(bounded, UTC).replace(minute=0, second=0, microsecond=0)


def _hour_of(rest: str) -> datetime | None:
    """The hour in `yyyy/mm/dd/hh/<file>`; None of another name."""
    try:
        return datetime.strptime(rest[:13], "%Y/%m/%d/%H").replace(tzinfo=UTC)
    except ValueError:
        return None
