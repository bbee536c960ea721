"""Publishes the monitors' metrics in CloudWatch."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from modelstack.monitoring import measurements
from modelstack.monitoring.measurements import Values
from modelstack.platforms.aws.clients import calling
from modelstack.platforms.aws.metrics import FEATURE, ROLLOUT, SEGMENT, Datum, datum, parts, place, put
from modelstack.platforms.s3.errors import AWS_DOWN, status_of
from modelstack.rollout.core.errors import Unreachable

_VALUES = 150  # of one datum


@dataclass(frozen=True)
class CloudWatchMetrics(measurements.Metrics):
    """`Metrics` in the namespace `modelstack`. CloudWatch cannot detect a duplicate, so its client must send once."""

    cloudwatch: Any
    endpoint: str

    def put(self, data: Sequence[measurements.Datum], values: Sequence[Values] = (), once: str = "") -> None:
        """See `Metrics`; in as many requests as needed."""
        found: list[Datum] = []
        for one in data:
            of = place(self.endpoint, one.variant, **{FEATURE: one.feature or "", SEGMENT: one.segment or ""})
            found.append(datum(one.name, of, [one.value], one.unit, one.at))
        found += [part for one in values for part in self._values(one)]
        doing = f"publish metrics of {self.endpoint}"
        for number, part in enumerate(parts(found)):
            with calling(doing):
                try:
                    put(self.cloudwatch, part)
                except (ClientError, BotoCoreError) as error:
                    if number or not 0 < status_of(error) < AWS_DOWN:
                        raise Unreachable(f"{doing}: {error}") from error
                    raise

    def _values(self, one: Values) -> Iterator[Datum]:
        """Values by their variant, and those of a trial by the rollout too."""
        for rollout in ("", one.rollout) if one.rollout else ("",):
            for start in range(0, len(one.values), _VALUES):
                chosen = slice(start, start + _VALUES)
                counts = None if one.counts is None else [float(count) for count in one.counts[chosen]]
                of = place(self.endpoint, one.variant, **{ROLLOUT: rollout})
                yield datum(one.name, of, one.values[chosen], "None", one.at, counts=counts)
