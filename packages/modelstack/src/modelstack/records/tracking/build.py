"""A package build as MLflow run and version, made from the signed facts of the package.

A controller cannot verify signatures, so it writes an `outline` if the update could not reach MLflow.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from modelstack.records.tracking.api import DIGEST, RELEASE, Batch

if TYPE_CHECKING:
    from modelstack.records.provenance.facts import Facts, Metric
    from modelstack.rollout.core.release import Release

CARD, METRICS = "card.md", "metrics.json"
_LONGEST = 4000  # of a value; what is cut lies whole among the artifacts
_LONGEST_NAME, _DIGEST_DIGITS = 500, 32  # of a dataset: MLflow's columns have 500 and 36
TOLD_BY, OUTLINED, WHOLE = "told_by", "controller", "update"
"""The tag of a version with its writer, which says whether it is an outline."""
_NOTE, _COMMIT, _REPOSITORY = "mlflow.note.content", "mlflow.source.git.commit", "mlflow.source.git.repoURL"


@dataclass(frozen=True)
class Build:
    """One sealed package as an MLflow run and version, with `tags` of both; `dataset` is empty if unknown.

    The name is the first 12 digits of the recipe, and `at` when it was sealed, epoch milliseconds.
    """

    name: str
    package_digest: str
    source: str
    at: int
    batch: Batch
    dataset: Mapping[str, str]
    tags: Mapping[str, str]
    artifacts: Mapping[str, bytes]

    @classmethod
    def of(cls, facts: Facts, *, archive_uri: str, version: str, card: bytes | None, release: str = "") -> Build:
        """The build that the facts describe; `version` is its name in the stack's registry, `card` is Markdown."""
        at = round(datetime.fromisoformat(facts.builder.finished).timestamp() * 1000)
        digest, recipe = facts.package.digest, facts.recipe
        metrics = tuple((name, value, at, 0) for one in facts.metrics for name, value in _numbers(one))
        names = _names(digest, recipe.digest, version, release, WHOLE)
        tags = {name: value[:_LONGEST] for name, value in _tags(facts, archive_uri, card) if value}
        told = json.dumps([asdict(one) for one in facts.metrics], indent=1).encode()
        return cls(
            name=facts.id,
            package_digest=digest,
            source=archive_uri,
            at=at,
            batch=Batch(_parameters(recipe.parameters), metrics, tags | names),
            dataset=_dataset(facts),
            tags=names,
            artifacts={METRICS: told, **({CARD: card} if card is not None else {})},
        )


def outline(release: Release, manifest: bytes, at: float) -> Build:
    """What a package's manifest says about a release; `at` is when its rollout began, epoch seconds.

    The caller has checked the manifest's digest.
    """
    told: Mapping[str, Any] = json.loads(manifest)
    return Build(
        name=release.recipe[:12],
        package_digest=release.package_digest,
        source=release.archive_uri,
        at=round(at * 1000),
        batch=Batch(_parameters(told.get("parameters", {})), tags={"archive": release.archive_uri}),
        dataset={},
        tags=_names(release.package_digest, release.recipe, release.version, release.id, OUTLINED),
        artifacts={},
    )


def _names(digest: str, recipe: str, version: str, release: str, told_by: str) -> dict[str, str]:
    """Tags of a run and its version. The writer comes last, so it is set only once all others are."""
    tags = {DIGEST: digest, "recipe": recipe, "registered_as": version, RELEASE: release, TOLD_BY: told_by}
    return {name: value for name, value in tags.items() if value}


def _parameters(values: Mapping[str, Any]) -> dict[str, str]:
    return {name: _text(value)[:_LONGEST] for name, value in sorted(values.items())}


def _numbers(metric: Metric) -> Iterator[tuple[str, float]]:
    yield metric.name, metric.value
    if metric.interval is not None:
        yield f"{metric.name}_low", metric.interval.low
        yield f"{metric.name}_high", metric.interval.high


def _tags(facts: Facts, archive_uri: str, card: bytes | None) -> Iterator[tuple[str, str]]:
    recipe, source, environment = facts.recipe, facts.source, facts.environment
    yield "archive", archive_uri
    yield "code_sha256", recipe.code
    yield "data_sha256", recipe.data
    yield "data_version", facts.data_version
    yield "built_by", facts.builder.invocation or facts.builder.id
    yield "python", environment.python
    yield "changed_since_commit", {True: "yes", False: "no", None: ""}[source.dirty]
    yield from (("mlflow.source.name", "modelstack"), ("mlflow.source.type", "PROJECT"))
    yield _COMMIT, source.commit or ""
    yield _REPOSITORY, source.remote or ""
    levels = sorted({f"{one.interval.level:g}" for one in facts.metrics if one.interval is not None})
    yield "interval_level", ", ".join(levels)
    yield from ((f"trained_on.{name}", str(value)) for name, value in sorted(facts.trained_on.items()))
    yield _NOTE, card.decode() if card is not None else ""


def _dataset(facts: Facts) -> dict[str, str]:
    files = [{"name": one.name, "sha256": one.sha256, "bytes": one.size, "from": one.origin} for one in facts.data]
    return {
        "name": ", ".join(one.name for one in facts.data)[:_LONGEST_NAME] or "training data",
        "digest": facts.recipe.data[:_DIGEST_DIGITS],
        "source_type": "files",
        "source": json.dumps({"sha256": facts.recipe.data, "version": facts.data_version, "files": files}),
    }


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, sort_keys=True)
