"""The resource that logs packages to MLflow. Nothing depends on it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pulumi
from pulumi.dynamic import Resource

from modelstack.program.live_state import LiveState
from modelstack.program.options import Opts, urn_of
from modelstack.program.package import Package
from modelstack.program.providers.mlflow import MlflowProvider

TYPE = "pulumi-python:dynamic/modelstack:Mlflow"


class Mlflow(Resource, module="modelstack", name="Mlflow"):
    """The stack's packages in MLflow; `place` is where they are read: `platform`, and what its `origin` needs.

    Creates:
        In MLflow: a run of the build, and a version of the registered model, whose source is the sealed archive.

    `untold` holds the packages that could not be logged, oldest first, and `missed` says why. The next update retries.
    """

    untold: pulumi.Output[list[dict[str, str]]]
    missed: pulumi.Output[str]

    def __init__(
        self,
        name: str,
        server: pulumi.Input[str],
        experiment: str,
        now: LiveState,
        package: Package,
        *,
        place: Mapping[str, Any],
        opts: Opts = None,
    ) -> None:
        props: dict[str, object] = {
            "server": server,
            "experiment": experiment,
            "model": now.names.prefix,
            "package_digest": package.package_digest,
            "archive_uri": package.archive_uri,
            "signed_by": package.signed_by,
            "version": package.registered_as,
            "release": package.wanted.id,
            **place,
            "urn": urn_of(name, TYPE, opts),
            **dict.fromkeys(("untold", "missed")),
        }
        own = pulumi.ResourceOptions(provider=now.provider)
        super().__init__(MlflowProvider(), name, props, pulumi.ResourceOptions.merge(own, opts))
