"""Logs a build to MLflow as a run and a version of the stack's registered model. Idempotent.

The version is created last, so its existence proves that the rest is complete.
"""

from __future__ import annotations

from dataclasses import dataclass

from modelstack.records.tracking.api import Api, MlflowVersion, Run
from modelstack.records.tracking.build import OUTLINED, TOLD_BY, Build


@dataclass(frozen=True)
class Shelf:
    """Where a stack's builds are in MLflow: the experiment of its runs, and the registered model of its versions."""

    experiment: str
    model: str


def log_build(api: Api, build: Build, shelf: Shelf) -> MlflowVersion:
    """Write what is missing of a build, or complete an outline, and return its version.

    After an MlflowError, a later call continues.
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
    if known is not None and known.run_id:
        return api.run_of(known.run_id)
    experiment = api.experiment(shelf.experiment)
    found = api.run(experiment, build.package_digest)
    return found or api.create_run(experiment, build.name, build.at, build.tags)
