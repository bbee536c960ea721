"""Makes a build known to MLflow: a run, and a version of the stack's registered model. Once, however often it is asked.

The version is made last. So where it is, all before it is there; and where it is not, the next call makes again what
may be there already, which changes nothing.
"""

from __future__ import annotations

from dataclasses import dataclass

from tracking.api import Api, Version
from tracking.build import Build


@dataclass(frozen=True)
class Shelf:
    """Where a stack has its builds in MLflow.

    Attributes:
        experiment: The experiment of its runs.
        model: The registered model of its versions.
    """

    experiment: str
    model: str


def log_build(api: Api, build: Build, shelf: Shelf) -> Version:
    """Write what MLflow lacks of a build; returns its version.

    Raises:
        MlflowError: MLflow does not answer, or refuses. The next call goes on.
    """
    if not api.model(shelf.model):
        known = api.versions_of(shelf.model, [build.package_digest])
        if known:
            return known[build.package_digest]
    experiment = api.experiment(shelf.experiment)
    run = api.run(experiment, build.package_digest)
    if run is None:
        run = api.create_run(experiment, build.name, build.at, build.tags)
    api.log(run.id, build.batch)
    api.log_dataset(run.id, build.dataset, "training")
    for name, content in build.artifacts.items():
        api.keep(run, name, content)
    api.finish(run.id, build.at)
    told = f"Package {build.package_digest}, recipe {build.name}."
    return api.create_version(shelf.model, build.source, run.id, build.tags, told)
