"""What a platform tells of an endpoint, in the same form whichever platform it is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from monitoring.alarms.alarm import Said
from monitoring.labels.reach import Reach
from monitoring.published import CONCEPT_EVIDENCE, ESTIMATED, PAIRS, REALISED, SEGMENT_ERROR
from rollout.core.live import Live
from services.versions import Version

QUANTILES = ("p50", "p90", "p99")
"""The quantiles of the latency that people look at."""
MEASURES = ("Accuracy", "LogLoss", "AUC", "CalibrationError", "AbsoluteError")


@dataclass(frozen=True)
class Endpoint:
    """What serves now.

    Attributes:
        status: In one word; `InService` and `Updating` are those of an endpoint that answers.
        live: Its config, its variants and their weights; those of shadows are relative to all others together.
        images: Variant -> the image that it runs.
    """

    status: str
    live: Live
    images: Mapping[str, str] = field(default_factory=dict[str, str])


@dataclass(frozen=True)
class AlarmView:
    """One alarm with the state and the reason that the platform gives, in its own words, with value and threshold.

    `severity` is `page` or `ticket`, by its description; empty when that does not say.
    """

    name: str
    state: str
    reason: str
    severity: str = ""
    value: float | None = None
    threshold: float | None = None

    @property
    def brief(self) -> str:
        """Value and threshold where they are known, else the platform's own words."""
        return Said(self.reason, self.value, self.threshold).brief


@dataclass(frozen=True)
class AlarmInFull:
    """An alarm, and all that is known of it.

    Attributes:
        alarm: Its state.
        since: When it came into that state; None when nobody tells.
        text: What it means.
        runbook: Where it is written what to do; empty when that is not said.
        composite: Whether it watches other alarms.
        missing: What missing data means for it; empty when that is not said.
        changes: When its state changed, and how, the newest first.
    """

    alarm: AlarmView
    since: datetime | None
    text: str
    runbook: str = ""
    composite: bool = False
    missing: str = ""
    changes: tuple[tuple[datetime, str], ...] = ()


@dataclass(frozen=True)
class PackageView:
    """One version in the registry; `release` is the id that its variant has too."""

    version: int
    release: str
    digest: str
    approval: str
    created: str
    metrics: dict[str, str]


@dataclass(frozen=True)
class Package:
    """A version in the registry, and all that is known of it.

    Attributes:
        view: What people look at first.
        name: How the registry names it, which a release keeps.
        made: When it was registered.
        why: Why it has its approval, in the words of who gave it.
        image: What it is served in.
        archive: Where its bytes lie; empty when that is not said.
        lineage: What it was made of: recipe, digests, and whatever else its making wrote down.
    """

    view: PackageView
    name: str
    made: datetime
    why: str
    image: str
    archive: str
    lineage: Mapping[str, str]


def package_of(version: Version) -> Package:
    """What people and lineage see of a registered version."""
    digests = {
        "manifest_sha256": version.manifest_sha256,
        "package_digest": version.package_digest,
        "recipe": version.recipe,
    }
    known = {name: value for name, value in digests.items() if value}
    view = PackageView(
        version=version.number,
        release=version.release,
        digest=version.package_digest,
        approval=version.approval,
        created=version.created.isoformat(timespec="seconds"),
        metrics=dict(version.metrics),
    )
    return Package(
        view=view,
        name=version.name,
        made=version.created,
        why=version.why,
        image=version.image_uri,
        archive=version.archive_uri,
        lineage=dict(sorted({**known, **version.lineage}.items())),
    )


@dataclass(frozen=True)
class ServedView:
    """What a variant was asked within a time, and how it answered.

    `failed` counts answers of 5XX, `refused` those of 4XX, which the caller is to blame for. `latency_ms` has p50, p90
    and p99 in milliseconds: on AWS of the model's own latency, on Kubernetes of that at the gateway. It is empty when
    none was measured.
    """

    variant: str
    requests: int
    failed: int
    refused: int
    latency_ms: dict[str, float]

    @property
    def availability(self) -> float:
        """The share of requests that did not fail."""
        return 1 - self.failed / self.requests


@dataclass(frozen=True)
class Spent:
    """What has counted against an objective within its window: requests of all versions, failed ones and slow ones."""

    requests: float
    failed: float
    slow: float


@dataclass(frozen=True)
class QualityView:
    """How a variant stood at `at` (UTC, ISO 8601): published values by metric, of all and of each segment.

    `since` is when its concept moved, if it has. `reach` is what the concept alarm can see; None when it is not judged.
    """

    variant: str
    at: str
    values: dict[str, float]
    by_segment: dict[str, dict[str, float]]
    since: str | None
    reach: Reach | None = None

    @classmethod
    def of(cls, variant: str, told: Mapping[str, Any]) -> QualityView:
        """Read what `monitoring.labels.standing.shown` made."""
        since, seen = told["since"], told["reach"]
        return cls(
            variant,
            _moment(told["at"]),
            told["values"],
            told.get("by_segment", {}),
            _moment(since) if since else None,
            Reach.from_dict(seen) if seen else None,
        )

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


@dataclass(frozen=True)
class Series:
    """One curve: its label, and its points, epoch seconds and value, in order of time."""

    label: str
    points: tuple[tuple[float, float], ...]


def _moment(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="seconds")
