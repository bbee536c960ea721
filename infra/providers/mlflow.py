"""The provider behind `infra.mlflow`: MLflow is told of each package once. What it was not told waits in the state."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from typing import Any

from pulumi.dynamic import CreateResult, DiffResult, ResourceProvider, UpdateResult

from infra.providers.packaging import SIGNED_BY, origin_of
from infra.providers.progress import Progress

Values = Mapping[str, Any]
ASKED = ("server", "experiment", "model", "package_digest", "archive_uri", "version")
"""The inputs with which MLflow is told something else."""
PACKAGE = ("package_digest", "archive_uri", "version", "release", SIGNED_BY)
"""The inputs that say which package MLflow is told of, and what is kept of one that it does not know yet."""
_SECONDS = 20.0  # for which an update tries to tell MLflow, beside all else that it does; less if one call takes long


class MlflowProvider(ResourceProvider):
    """Tells MLflow of a stack's packages. It never fails, and deletes nothing: what MLflow knows, it keeps."""

    serialize_as_secret_always = False

    def diff(self, _id: str, olds: dict[str, Any], news: dict[str, Any]) -> DiffResult:
        """Another package or place is told of; so is what was missed."""
        other = any(olds.get(name) != news.get(name) for name in ASKED)
        return DiffResult(changes=other or bool(_untold(olds)))

    def create(self, props: dict[str, Any]) -> CreateResult:
        """Tell MLflow of the package."""
        return CreateResult(props["model"], self._told(props, ()))

    def update(self, _id: str, olds: dict[str, Any], news: dict[str, Any]) -> UpdateResult:
        """Tell it of the packages that it missed, and of the present one; what it knows of others stays."""
        return UpdateResult(self._told(news, _untold(olds)))

    def _told(self, props: Values, untold: Iterable[Values]) -> dict[str, Any]:
        waiting = {one["package_digest"]: one for one in (*untold, *_present(props))}
        try:
            missed = tell(props, waiting.values())
        except Exception as error:  # whatever it is, no update waits for a mirror, or fails for it
            missed = [(one, error) for one in waiting.values()]
        if not missed:
            return {**props, "untold": [], "missed": ""}
        (first, why), count = missed[0], len(missed)
        what = first["package_digest"] if count == 1 else f"{count} packages"
        then = "it" if count == 1 else "them, oldest first"
        Progress(props["urn"]).note(f"MLflow does not know of {what} yet, and the next update tells {then}: {why}")
        return {**props, "untold": [one for one, _ in missed], "missed": f"{type(why).__name__}: {why}"}


def _present(props: Values) -> list[Values]:
    """The package that the config asks for; none where it was refused."""
    return [{name: props.get(name) for name in PACKAGE}] if props.get("archive_uri") else []


def _untold(state: Values) -> list[Values]:
    """What MLflow does not know yet, by the state of the last update, oldest first.

    A state from before such packages were kept says only that the last one was missed.
    """
    kept = state.get("untold")
    return kept if kept is not None else _present(state) if state.get("missed") else []


def tell(props: Values, packages: Iterable[Values]) -> list[tuple[Values, Exception]]:
    """Tell MLflow of packages, in their order; returns those that it was not told of, and why.

    One that cannot be told holds up no other. Once MLflow does not answer, it is not asked again.

    Raises:
        Exception: Nothing could be asked.
    """
    from platforms.aws.mlflow import mlflow  # noqa: PLC0415  slow to load, and diff needs none
    from tracking.connection import Silent  # noqa: PLC0415

    missed: list[tuple[Values, Exception]] = []
    down: Silent | None = None
    with mlflow(props["server"], os.environ, _SECONDS) as api:
        for package in packages:
            error = down or _failed(api, props, package)
            if error is not None:
                missed.append((package, error))
            down = error if isinstance(error, Silent) else None
    return missed


def _failed(api: Any, props: Values, package: Values) -> Exception | None:
    """Tell MLflow of one package, believing of it only what the stack has signed; returns what went wrong."""
    from provenance.evidence import CARD  # noqa: PLC0415  see tell
    from tracking.build import Build  # noqa: PLC0415
    from tracking.logged import Shelf, log_build  # noqa: PLC0415

    key, uri, version = package[SIGNED_BY].encode(), package["archive_uri"], package["version"]
    try:
        said = origin_of({**props, "model_package_arn": version}).store.evidence(uri, key)
        facts = said.verify(package["package_digest"], key)
        release, card = package.get("release") or "", said.documents.get(CARD)
        build = Build.of(facts, archive_uri=uri, version=version, release=release, card=card)
        log_build(api, build, Shelf(props["experiment"], props["model"]))
    except Exception as error:  # see MlflowProvider
        return error
    return None
