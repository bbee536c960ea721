"""The quality of each variant, as the labels function has last published it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from cli.target import Target
from monitoring.labels.reach import Reach
from monitoring.published import CONCEPT_EVIDENCE, ESTIMATED, PAIRS, REALISED, SEGMENT_ERROR
from platforms.aws.batches import STANDING

MEASURES = ("Accuracy", "LogLoss", "AUC", "CalibrationError", "AbsoluteError")


@dataclass(frozen=True)
class QualityView:
    """How a variant stood at `at` (UTC, ISO 8601): values by metric as in CloudWatch, of all and of each segment.

    `since` is when its concept moved, if it has. `reach` is what the concept alarm can see; None when it is not judged.
    """

    variant: str
    at: str
    values: dict[str, float]
    by_segment: dict[str, dict[str, float]]
    since: str | None
    reach: Reach | None = None

    @property
    def labels(self) -> int:
        """How many of the newest labels the values are of."""
        return round(self.values.get(PAIRS, 0))

    @property
    def evidence(self) -> float | None:
        """That its concept has moved: 1 and more is an alarm; None when it is not judged."""
        return self.values.get(CONCEPT_EVIDENCE)

    @property
    def worst_segments(self) -> list[str]:
        """The segments, first that whose error is surely the greatest: of few labels it may be great by chance."""
        return sorted(self.by_segment, key=lambda name: (-self.by_segment[name][f"{SEGMENT_ERROR}Low"], name))

    @property
    def measures(self) -> list[str]:
        """What is known of it, by labels or by an estimate."""
        return [name for name in MEASURES if {f"{REALISED}{name}", f"{ESTIMATED}{name}"} & self.values.keys()]


def read(target: Target, variants: Sequence[str]) -> tuple[QualityView, ...]:
    """How the variants stand; none of which no label and no answer came, or where the table cannot be read: whoever may
    not read it must see the rest all the same.
    """
    found: list[QualityView] = []
    for variant in variants:
        key = {"id": {"S": f"{STANDING}{variant}"}}
        try:
            answer = target.client("dynamodb").get_item(TableName=f"{target.endpoint}-labels", Key=key)
        except (ClientError, BotoCoreError):
            return ()
        if "told" in answer.get("Item", {}):
            found.append(_view(variant, json.loads(answer["Item"]["told"]["S"])))
    return tuple(item for item in found if item.values)


def _view(variant: str, told: dict[str, Any]) -> QualityView:
    since, seen = told["since"], told["reach"]
    return QualityView(
        variant,
        _moment(told["at"]),
        told["values"],
        told.get("by_segment", {}),
        _moment(since) if since else None,
        Reach.from_dict(seen) if seen else None,
    )


def _moment(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="seconds")
