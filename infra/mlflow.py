"""That MLflow is told of the package which the config asks for, and of those it missed: a step beside all others."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pulumi
from pulumi.dynamic import Resource

from infra.package import Package
from infra.providers.mlflow import MlflowProvider

TYPE = "pulumi-python:dynamic/modelstack:Mlflow"


class Mlflow(Resource, module="modelstack", name="Mlflow"):
    """What MLflow knows of the stack's packages.

    Creates:
        In MLflow: a run of the build, and a version of the registered model, whose source is the sealed archive.
        Nothing depends on it. The packages that it could not tell of are in `untold`, oldest first, and why is in
        `missed`. The next update tells them, whatever package it is of.
    """

    untold: pulumi.Output[list[dict[str, str]]]
    missed: pulumi.Output[str]

    def __init__(
        self,
        name: str,
        server: pulumi.Input[str],
        *,
        experiment: str,
        model: str,
        package: Package,
        release: str,
        place: Mapping[str, Any],
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        """Declare it.

        Args:
            name: The logical name.
            server: Where MLflow is.
            experiment: The experiment of the runs.
            model: The registered model: what every name of the stack begins with.
            package: The package.
            release: What the release is called that it is of.
            place: Where the stack's registry is: `region`, or `context` and `bucket`.
            opts: Options of the resource.
        """
        props: dict[str, object] = {
            "server": server,
            "experiment": experiment,
            "model": model,
            "package_digest": package.package_digest,
            "archive_uri": package.archive_uri,
            "signed_by": package.signed_by,
            "version": package.registered_as,
            "release": release,
            **place,
            "urn": f"urn:pulumi:{pulumi.get_stack()}::{pulumi.get_project()}::{TYPE}::{name}",
            **dict.fromkeys(("untold", "missed")),
        }
        super().__init__(MlflowProvider(), name, props, opts)
