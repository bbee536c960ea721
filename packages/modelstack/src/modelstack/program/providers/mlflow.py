"""The provider of `modelstack.program.mlflow`. It logs each package once, and stores those that it could not
log in the state.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from typing import Any

from pulumi.dynamic import CreateResult, DiffResult, ResourceProvider, UpdateResult

from modelstack.program.providers.packaging import SIGNED_BY, origin_of
from modelstack.program.providers.progress import Progress

Values = Mapping[str, Any]
ASKED = ("server", "experiment", "model", "package_digest", "archive_uri", "version")
"""Inputs whose change requires logging again."""
PACKAGE = ("package_digest", "archive_uri", "version", "release", SIGNED_BY)
"""Inputs that identify the package, and are stored for one that is not logged yet."""
_SECONDS = 20.0  # the time limit for logging in an update


class MlflowProvider(ResourceProvider):
    """Logs a stack's packages to MLflow. It never fails, and deletes nothing there."""

    serialize_as_secret_always = False

    def diff(self, _id: str, olds: dict[str, Any], news: dict[str, Any]) -> DiffResult:
        """A change is another package or place, or a package that is not logged yet."""
        other = any(olds.get(name) != news.get(name) for name in ASKED)
        return DiffResult(changes=other or bool(_not_logged(olds)))

    def create(self, props: dict[str, Any]) -> CreateResult:
        """Log the package."""
        return CreateResult(props["model"], self._logged(props, ()))

    def update(self, _id: str, olds: dict[str, Any], news: dict[str, Any]) -> UpdateResult:
        """Log the packages that were missed, and the present one."""
        return UpdateResult(self._logged(news, _not_logged(olds)))

    def _logged(self, props: Values, not_logged: Iterable[Values]) -> dict[str, Any]:
        waiting = {one["package_digest"]: one for one in (*not_logged, *_present(props))}
        try:
            missed = tell(props, waiting.values())
        except Exception as error:  # no update fails because of MLflow
            missed = [(one, error) for one in waiting.values()]
        if not missed:
            return {**props, "untold": [], "missed": ""}
        (first, why), count = missed[0], len(missed)
        what = first["package_digest"] if count == 1 else f"{count} packages"
        then = "it" if count == 1 else "them, oldest first"
        Progress(props["urn"]).note(f"MLflow does not know of {what} yet, and the next update tells {then}: {why}")
        return {**props, "untold": [one for one, _ in missed], "missed": f"{type(why).__name__}: {why}"}


def _present(props: Values) -> list[Values]:
    return [{name: props.get(name) for name in PACKAGE}] if props.get("archive_uri") else []


def _not_logged(state: Values) -> list[Values]:
    """A state of an old version only says that the last package was missed."""
    kept = state.get("untold")
    return kept if kept is not None else _present(state) if state.get("missed") else []


def tell(props: Values, packages: Iterable[Values]) -> list[tuple[Values, Exception]]:
    """Log packages in order; returns the failed ones with their errors, and raises if no request could be made.

    A failure delays no other package. Once MLflow does not respond, it is not called again.
    """
    from modelstack.platforms.aws.mlflow import mlflow  # noqa: PLC0415  slow to load, and diff needs none
    from modelstack.records.tracking.connection import Silent  # noqa: PLC0415

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
    """Log one package from its signed facts only; returns the error."""
    from modelstack.records.provenance.evidence import CARD  # noqa: PLC0415  see tell
    from modelstack.records.tracking.build import Build  # noqa: PLC0415
    from modelstack.records.tracking.logged import Shelf, log_build  # noqa: PLC0415

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
