"""The section `modelstack:mlflow`: where builds and rollouts are logged."""

from __future__ import annotations

import re
from typing import Annotated, Literal, Self

from pydantic import Field, ValidationInfo, model_validator

from modelstack.program.config.problems import Allowed, Problem, Wrong
from modelstack.program.config.section import Section, stack_of
from modelstack.program.config.target import is_local

_SERVER = (
    r"^(https?://[A-Za-z0-9.-]+(:\d{1,5})?(/[A-Za-z0-9._/-]*)?"
    r"|arn:aws[a-z-]*:sagemaker:[a-z0-9-]+:\d{12}:(mlflow-tracking-server|mlflow-app)/[A-Za-z0-9_-]+)$"
)

_SECRET_OF_CLUSTER = re.compile(r"[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?")


class MlflowSettings(Section):
    """Which MLflow shows the stack's builds and rollouts. It only receives events, and decides nothing."""

    server: (
        Annotated[
            str,
            Allowed("http(s)://HOST[:PORT][/PATH], or the ARN of an mlflow-tracking-server or mlflow-app of SageMaker"),
            Field(pattern=_SERVER),
        ]
        | None
    ) = Field(default=None, description="Where MLflow answers. Null: nobody is told, unless the stack makes one.")
    managed: Literal["app", "tracking_server"] | None = Field(
        default=None,
        description="On AWS: the stack makes an MLflow of its own, which SageMaker runs, in place of `server`.",
    )
    experiment: Annotated[str, Allowed("a text of 1 to 250 characters")] | None = Field(
        default=None,
        min_length=1,
        max_length=250,
        description="The experiment of the stack's runs. Null: named as the endpoint, `MODEL-STACK`, which is what the "
        "registered model is always named.",
    )
    secret: (
        Annotated[str, Allowed("the name of a secret"), Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_./-]{0,252}$")] | None
    ) = Field(
        default=None,
        description="With which the rollout controller signs in to `server`: a secret of Secrets Manager, as JSON, "
        "or on Kubernetes a Secret of the namespace, with `token`, or `username` and `password`. `pulumi up` takes "
        "MLFLOW_TRACKING_TOKEN, or _USERNAME and _PASSWORD, from its environment. Null: without.",
    )

    @property
    def asked(self) -> bool:
        """Whether events go to an MLflow."""
        return self.server is not None or self.managed is not None

    def experiment_of(self, endpoint: str) -> str:
        """The experiment of a stack's runs."""
        return self.experiment or endpoint

    @model_validator(mode="after")
    def _together(self, info: ValidationInfo) -> Self:
        wrong: list[Problem] = []
        if self.managed is not None and self.server is not None:
            wrong.append(Problem(".managed", "server is given too; allowed is one of both", self.managed))
        if self.secret is not None and (self.server is None or self.server.startswith("arn:")):
            why = "a managed MLflow is asked with AWS's credentials" if self.asked else "server is null"
            wrong.append(Problem(".secret", f"{why}; allowed is null", self.secret))
        if is_local(stack_of(info)):
            why, url = "the local cloud runs no MLflow; allowed is", "the URL that `make mlflow` prints"
            if self.managed is not None:
                wrong.append(Problem(".managed", f"{why} null, and for server {url}", self.managed))
            if self.server is not None and self.server.startswith("arn:"):
                wrong.append(Problem(".server", f"{why} {url}", self.server))
        if wrong:
            raise Wrong(wrong)
        return self

    def of_cluster(self) -> list[Problem]:
        """Problems of settings that only a stack on AWS may have."""
        why = "a cluster has no credentials of AWS to ask it with; allowed is the URL of a server"
        wrong = [Problem("mlflow.managed", why, self.managed)] if self.managed is not None else []
        if self.server is not None and self.server.startswith("arn:"):
            wrong.append(Problem("mlflow.server", why, self.server))
        if self.secret is not None and not _SECRET_OF_CLUSTER.fullmatch(self.secret):
            wrong.append(Problem("mlflow.secret", "allowed is the name of a Secret of the namespace", self.secret))
        return wrong
