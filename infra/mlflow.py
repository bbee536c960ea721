"""That MLflow is told of the package which the config asks for, and of those it missed: a step beside all others."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import pulumi
from pulumi.dynamic import Resource

from infra.providers.mlflow import MlflowProvider

TYPE = "pulumi-python:dynamic/modelstack:Mlflow"


class Told(Protocol):
    """The package that is told of."""

    @property
    def package_digest(self) -> pulumi.Output[str]:
        """`sha256:<hex>` of its archive."""
        ...

    @property
    def archive_uri(self) -> pulumi.Output[str]:
        """Where that lies."""
        ...

    @property
    def signed_by(self) -> pulumi.Output[str]:
        """The public key to verify it with."""
        ...


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
        package: Told,
        version: pulumi.Output[str],
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
            version: Its name in the stack's registry.
            release: What the release is called that it is of.
            place: Where that is: `region`, or `context` and `bucket`.
            opts: Options of the resource.
        """
        props: dict[str, object] = {
            "server": server,
            "experiment": experiment,
            "model": model,
            "package_digest": package.package_digest,
            "archive_uri": package.archive_uri,
            "signed_by": package.signed_by,
            "version": version,
            "release": release,
            **place,
            "urn": f"urn:pulumi:{pulumi.get_stack()}::{pulumi.get_project()}::{TYPE}::{name}",
            **dict.fromkeys(("untold", "missed")),
        }
        super().__init__(MlflowProvider(), name, props, opts)
