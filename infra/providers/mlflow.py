"""The provider behind `infra.mlflow`: MLflow is told of a package once, and whether it could be told is the outcome."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from pulumi.dynamic import CreateResult, DiffResult, ResourceProvider, UpdateResult

from infra.providers.packaging import SIGNED_BY, origin_of
from infra.providers.progress import Progress

Values = Mapping[str, Any]
ASKED = ("server", "experiment", "model", "package_digest", "archive_uri", "version")
"""The inputs with which MLflow is told something else."""


class MlflowProvider(ResourceProvider):
    """Tells MLflow of a stack's package. It never fails, and deletes nothing: what MLflow knows, it keeps."""

    serialize_as_secret_always = False

    def diff(self, _id: str, olds: dict[str, Any], news: dict[str, Any]) -> DiffResult:
        """Another package or place is told of; so is what was missed."""
        other = any(olds.get(name) != news.get(name) for name in ASKED)
        return DiffResult(changes=other or bool(olds.get("missed")))

    def create(self, props: dict[str, Any]) -> CreateResult:
        """Tell MLflow of the package."""
        return CreateResult(props["model"], self._told(props))

    def update(self, _id: str, _olds: dict[str, Any], news: dict[str, Any]) -> UpdateResult:
        """Tell it of the present package; what it knows of others stays."""
        return UpdateResult(self._told(news))

    def _told(self, props: Values) -> dict[str, Any]:
        missed = ""
        if props.get("archive_uri"):  # a package that was refused is nowhere
            try:
                tell(props)
            except Exception as error:  # whatever it is, no update waits for a mirror, or fails for it
                missed = f"{type(error).__name__}: {error}"
                Progress(props["urn"]).note(
                    f"MLflow does not know of {props['package_digest']} yet, and the next update tells it: {error}"
                )
        return {**props, "missed": missed}


def tell(props: Values) -> None:
    """Tell MLflow of the package that the inputs name, believing of it only what the stack has signed.

    Raises:
        Exception: It could not be told.
    """
    from platforms.aws.mlflow import mlflow  # noqa: PLC0415  slow to load, and diff needs none
    from platforms.mirroring import BUILD_SECONDS  # noqa: PLC0415
    from provenance.evidence import CARD  # noqa: PLC0415
    from tracking.build import Build  # noqa: PLC0415
    from tracking.logged import Shelf, log_build  # noqa: PLC0415

    place = {**props, "model_package_arn": props["version"]}
    key, uri = props[SIGNED_BY].encode(), props["archive_uri"]
    said = origin_of(place).store.said(uri, key)
    facts = said.verify(props["package_digest"], key)
    build = Build.of(facts, archive_uri=uri, version=props["version"], card=said.documents.get(CARD))
    with mlflow(props["server"], os.environ, BUILD_SECONDS) as api:
        log_build(api, build, Shelf(props["experiment"], props["model"]))
