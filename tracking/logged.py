"""Makes a build known to MLflow: a run, and a version of the stack's registered model. Once, however often it is asked.

The version is made last. So where it is, all before it is there; and where it is not, the next call makes again what
may be there already, which changes nothing. An outline is made whole by who knows more, in the same run and version.
"""

from __future__ import annotations

from dataclasses import dataclass

from tracking.api import Api, MlflowVersion, Run
from tracking.build import OUTLINED, TOLD_BY, Build


@dataclass(frozen=True)
class Shelf:
    """Where a stack has its builds in MLflow.

    Attributes:
        experiment: The experiment of its runs.
        model: The registered model of its versions.
    """

    experiment: str
    model: str


def log_build(api: Api, build: Build, shelf: Shelf) -> MlflowVersion:
    """Write what MLflow lacks of a build; returns its version.

    Raises:
        MlflowError: MLflow does not answer, or refuses. The next call goes on.
    """
    made = api.model(shelf.model)
    known = None if made else api.versions_of(shelf.model, [build.package_digest]).get(build.package_digest)
    if known is not None and (known.tags.get(TOLD_BY) != OUTLINED or build.tags[TOLD_BY] == OUTLINED):
        return known
    run = _run(api, build, shelf, known)
    api.log(run.id, build.batch)
    if build.dataset:
        api.log_dataset(run.id, build.dataset, "training")
    for name, content in build.artifacts.items():
        api.keep(run, name, content)
    if known is None:
        api.finish(run.id, build.at)  # an outlined one ended when it was begun
        told = f"Package {build.package_digest}, recipe {build.name}."
        return api.create_version(shelf.model, build.source, run.id, build.tags, told)
    for key, value in build.tags.items():
        api.tag_version(shelf.model, known.number, key, value)
    return known


def _run(api: Api, build: Build, shelf: Shelf, known: MlflowVersion | None) -> Run:
    """The run of a build, wherever it is; a new one when there is none."""
    if known is not None and known.run_id:
        return api.run_of(known.run_id)
    experiment = api.experiment(shelf.experiment)
    found = api.run(experiment, build.package_digest)
    return found or api.create_run(experiment, build.name, build.at, build.tags)
