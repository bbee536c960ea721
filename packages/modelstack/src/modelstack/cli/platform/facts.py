"""Platform-independent views of an endpoint."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from modelstack.monitoring.alarms.alarm import Said
from modelstack.monitoring.labels.reach import Reach
from modelstack.monitoring.published import CONCEPT_EVIDENCE, ESTIMATED, PAIRS, REALISED, SEGMENT_ERROR
from modelstack.rollout.core.live import Live
from modelstack.services.declaration.alarm_names import CONCEPT, DRIFT, FAILS, METRIC, ROLLBACK, SLOW, measure_of
from modelstack.services.versions import Version

QUANTILES = ("p50", "p90", "p99")  # latency quantiles for people
_FEATURES = 5  # of an alarm that are shown
_WORDS = {
    FAILS: "{:.3g}% of requests fail, {:.3g}% may",
    SLOW: "{:.3g}% of requests are too slow, {:.3g}% may",
    DRIFT: "evidence {:.2g} that requests differ from training, {:.2g} is enough",
    CONCEPT: "evidence {:.2g} that the loss rose, {:.2g} is enough",
}
MEASURES = ("Accuracy", "LogLoss", "AUC", "CalibrationError", "AbsoluteError")


@dataclass(frozen=True)
class EndpointState:
    """The serving endpoint; `images` is by variant, and shadow weights are relative to all others together.

    `InService` and `Updating` are the status of an endpoint that answers.
    """

    status: str
    live: Live
    images: Mapping[str, str] = field(default_factory=dict[str, str])


@dataclass(frozen=True)
class AlarmView:
    """An alarm's state and reason in the platform's words; `severity` is `page`, `ticket`, or empty if unknown.

    `since` is when its state began (UTC, ISO 8601), and `runbook` its section of the runbook; empty if unknown.
    `features` are those that moved, the most first, if it is the alarm on drift and fires.
    """

    name: str
    state: str
    reason: str
    severity: str = ""
    value: float | None = None
    threshold: float | None = None
    since: str = ""
    runbook: str = ""
    features: tuple[str, ...] = ()

    @property
    def brief(self) -> str:
        """Value and threshold where known, else the platform's words; and the features that moved."""
        words = self.reason if self.value is None else measured(self.name, self.value, self.threshold)
        more = f" and {len(self.features) - _FEATURES} more" if len(self.features) > _FEATURES else ""
        return words + (f"; moved: {', '.join(self.features[:_FEATURES])}{more}" if self.features else "")


def measured(name: str, value: float, threshold: float | None) -> str:
    """The value and threshold of an alarm: shares of requests, evidence of a change, or the bare numbers."""
    measure = measure_of(name)
    if measure.startswith(METRIC) and threshold is not None:
        own = measure.removeprefix(METRIC)
        return f"evidence {value:.2g} that the mean {own} is beyond its threshold, {threshold:.2g} is enough"
    if measure not in _WORDS or threshold is None:
        return Said("", value, threshold).brief
    scale = 100 if measure in ROLLBACK else 1
    return _WORDS[measure].format(scale * value, scale * threshold)


@dataclass(frozen=True)
class AlarmInFull:
    """An alarm in detail; `composite` says that it watches other alarms.

    Attributes:
        part_of: The alarm that it is one condition of, so that it notifies nobody by itself; empty if it does.
        missing: Its missing-data policy; empty if unknown.
        changes: State changes, newest first.
    """

    alarm: AlarmView
    text: str
    composite: bool = False
    missing: str = ""
    changes: tuple[tuple[datetime, str], ...] = ()
    part_of: str = ""


@dataclass(frozen=True)
class PackageView:
    """One registered version; `release` is the id that its variant has too."""

    version: int
    release: str
    digest: str
    approval: str
    created: str
    metrics: dict[str, str]


@dataclass(frozen=True)
class PackageVersion:
    """A registered version in detail.

    Attributes:
        name: Its name in the registry, which a release keeps.
        archive: URI; empty if unknown.
        lineage: Recipe, digests, and other records of its build.
    """

    view: PackageView
    name: str
    made: datetime
    why: str
    image: str
    archive: str
    lineage: Mapping[str, str]


def package_of(version: Version) -> PackageVersion:
    """The view of a registered version."""
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
    return PackageVersion(
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
    """A variant's traffic within a time: `failed` counts 5XX, also those that no instance gave; `refused` counts 4XX.

    `unanswered` are the failed ones that no instance answered, where the platform can tell.
    `latency_ms` has p50, p90 and p99: the model's own on AWS, at the gateway on Kubernetes. Empty if not measured.
    """

    variant: str
    requests: int
    failed: int
    refused: int
    latency_ms: dict[str, float]
    unanswered: int = 0

    @property
    def availability(self) -> float:
        """The share of requests that did not fail."""
        return 1 - self.failed / self.requests


@dataclass(frozen=True)
class Spent:
    """Requests of all versions within an objective's window: all, failed and slow ones."""

    requests: float
    failed: float
    slow: float


@dataclass(frozen=True)
class QualityView:
    """A variant's published quality at a time (ISO 8601, UTC); `since` is its concept shift, None without one.

    `reach` is the power of the concept alarm, None when it is not judged. `labelled` is when the newest labels were
    counted (ISO 8601, UTC), empty if unknown. `drift` is why drift is not judged, empty if it is. `custom` are the
    project's own metrics by the newest captured answers, `custom_problem` is why they are not computed.
    """

    variant: str
    at: str
    values: dict[str, float]
    by_segment: dict[str, dict[str, float]]
    since: str | None
    reach: Reach | None = None
    labelled: str = ""
    drift: str = ""
    custom: Mapping[str, Mapping[str, Any]] = field(default_factory=dict[str, Mapping[str, Any]])
    custom_problem: str = ""

    @classmethod
    def of(cls, variant: str, told: Mapping[str, Any]) -> QualityView:
        """Read what `modelstack.monitoring.labels.standing.shown` made."""
        since, seen, labelled = told["since"], told["reach"], told.get("labelled_at")
        return cls(
            variant,
            _moment(told["at"]),
            told["values"],
            told.get("by_segment", {}),
            _moment(since) if since else None,
            Reach.from_dict(seen) if seen else None,
            _moment(labelled) if labelled else "",
            told.get("drift", ""),
            told.get("custom", {}),
            told.get("custom_problem", ""),
        )

    @property
    def says_anything(self) -> bool:
        """Whether there is anything to show."""
        return bool(self.values or self.drift or self.labelled or self.custom or self.custom_problem)

    @property
    def labels(self) -> int:
        """Number of labels behind the values."""
        return round(self.values.get(PAIRS, 0))

    @property
    def evidence(self) -> float | None:
        """Evidence of a concept shift: an alarm from 1; None when it is not judged."""
        return self.values.get(CONCEPT_EVIDENCE)

    @property
    def worst_segments(self) -> list[str]:
        """Segments by the lower bound of their error, since small segments vary by chance."""
        return sorted(self.by_segment, key=lambda name: (-self.by_segment[name][f"{SEGMENT_ERROR}Low"], name))

    @property
    def measures(self) -> list[str]:
        """Measures that are known, by labels or by an estimate."""
        return [name for name in MEASURES if {f"{REALISED}{name}", f"{ESTIMATED}{name}"} & self.values.keys()]


@dataclass(frozen=True)
class Series:
    """One curve: label, and points (epoch seconds, value) in order of time."""

    label: str
    points: tuple[tuple[float, float], ...]


def _moment(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="seconds")
