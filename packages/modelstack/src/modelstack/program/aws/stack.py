"""The resources of a stack on AWS, from the registry to the rollout."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

import pulumi
import pulumi_aws as aws

from modelstack.monitoring.custom import FOLDER, files
from modelstack.pipeline.project import SOURCES, project_root
from modelstack.program.aws.controller import Controller
from modelstack.program.aws.executions import Executions
from modelstack.program.aws.hosting import Serving
from modelstack.program.aws.lambda_zip import seal
from modelstack.program.aws.managed_mlflow import ToldMlflow, told_mlflow
from modelstack.program.aws.monitors import Monitoring
from modelstack.program.aws.promotion import Promotion
from modelstack.program.aws.registry import Registry
from modelstack.program.aws.retrainer import Retraining
from modelstack.program.aws.stack_now import StackNow, ask_for_image, read_stack, tell_quota
from modelstack.program.aws.target import check_target
from modelstack.program.config.settings import Settings
from modelstack.program.mlflow import Mlflow
from modelstack.program.options import Opts, expect, once
from modelstack.program.package import Package
from modelstack.program.providers.package import PackageProvider
from modelstack.program.providers.trial import RolloutProvider
from modelstack.program.release_request import ReleaseRequest, asked
from modelstack.program.stack import Model, Stack


class AwsStack(Stack["AwsModel"]):
    """A stack on AWS.

    Attributes:
        names: The names and ARNs of its resources, known before any of them is declared.
    """

    OUTPUTS = (
        *("endpoint_name", "region", "package_group", "package_digest", "champion", "challenger", "artifact_bucket"),
        *("dashboard_url", "rollback_function", "journal_table", "container_repository", "alerts_topic", "release"),
        *("metrics", "signing_key", "signing_key_arn", "slo", "panels", "awaits", "promotion_role", "audit_key"),
    )

    def __init__(self, settings: Settings, now: StackNow, update: ReleaseRequest | None) -> None:
        super().__init__(now.names.stack, settings)
        self.aws, self.names = self, now.names
        self._models = (AwsModel(self, now, update),) if update else ()

    @once
    def registry(
        self,
        *,
        bucket: aws.s3.Bucket | None = None,
        rules: Sequence[pulumi.Resource] | None = None,
        key: aws.kms.Key | None = None,
        opts: Opts = None,
    ) -> Registry:
        """The bucket of packages, their group, the repository of images, and the keys.

        Outputs are `bucket`, `key`, `signing_key`, `repository` and `group`, each a resource.

        Args:
            bucket: A bucket of the program's own, of the name in `modelstack:registry.bucket`.
            rules: The program's own rules of the bucket (versioning, access, expiry, encryption by `key`), which must
                exist before anything is stored in it. Without them the stack declares its own.
            key: A symmetric key of the program's own, which encrypts what is in the bucket.
            opts: Options of the component.

        Raises:
            pulumi.RunError: An argument is of another type, or the bucket has another name than the config says.
        """
        expect("registry(bucket=...)", bucket, aws.s3.Bucket, None)
        expect("registry(key=...)", key, aws.kms.Key, None)
        if bucket is not None:
            bucket.bucket.apply(self._check_bucket)
        elif self.settings.registry.bucket is not None:
            self._check_bucket(None)
        retain, retention = self.settings.registry.retains(self.name), self.settings.retention
        return Registry("registry", self.names, retain, retention, bucket=bucket, rules=rules, key=key, opts=opts)

    def _check_bucket(self, name: str | None) -> None:
        if name != self.settings.registry.bucket:
            given, named = name or "no bucket", self.settings.registry.bucket or "null"
            raise pulumi.RunError(f"registry(bucket=...): got {given}, and modelstack:registry.bucket is {named}")

    @once
    def mlflow(self, *, opts: Opts = None) -> ToldMlflow | None:
        """The MLflow of `modelstack:mlflow`, which SageMaker may run for the stack; None without one."""
        return told_mlflow(self.settings.mlflow, self.names, self.registry(), opts)

    @once
    def promotion(self, *, opts: Opts = None) -> Promotion | None:
        """The access of the accounts in `modelstack:promotion.to`; None without any."""
        to = tuple(self.settings.promotion.to)
        return Promotion("promotion", self.names, accounts=to, registry=self.registry(), opts=opts) if to else None

    @once
    def controller(self, *, opts: Opts = None) -> Controller:
        """The functions that move traffic, the topic of alerts, and the journal.

        Outputs are `alerts` (the SNS topic of alarms and verdicts), `journal`, `audit_key` and `rollback`.
        """
        return Controller(
            "rollback",
            self.names,
            registry=self.registry(),
            code=seal(SOURCES, project_root() / ".modelstack" / "run", files(project_root() / FOLDER)),
            scheduled=self.settings.scheduled,
            log_days=self.settings.retention.log_days,
            probe_minutes=self.settings.slo.probe_minutes,
            told=self.mlflow(),
            opts=opts,
        )

    def outputs(self) -> Mapping[str, Any]:
        registry = self.registry()
        return {
            "endpoint_name": self.names.endpoint,
            "region": self.names.region,
            "package_group": registry.group.model_package_group_name,
            "artifact_bucket": registry.bucket.bucket,
            "container_repository": registry.repository.repository_url,
            "signing_key_arn": registry.signing_key.arn,
        }


class AwsModel(Model):
    """A model on AWS: an endpoint of SageMaker, its alarms in CloudWatch, its functions in Lambda."""

    def __init__(self, stack: AwsStack, now: StackNow, update: ReleaseRequest) -> None:
        super().__init__(stack, now, update)
        self.aws, self._shared, self._now, self.names = self, stack, now, now.names
        self._dashboard = False

    @property
    def stack(self) -> AwsStack:
        return self._shared

    @once
    def package(self, *, opts: Opts = None) -> Package:
        registry, settings = self.stack.registry(), self.settings
        executions = None
        if settings.pipeline.remote:
            executions = Executions("executions", self.names, registry=registry, settings=settings, opts=opts)
        package = Package(
            "package",
            PackageProvider(),
            self.now,
            settings,
            self.update.wanted,
            place=registry.place(self.names.region),
            pipeline=executions.begun_with() if executions else None,
            after=registry.bucket_rules,
            opts=opts,
        )
        if told := self.stack.mlflow():
            where = {"platform": "aws", "region": self.names.region}
            Mlflow("mlflow", told.server, told.experiment, self.now, package, place=where, opts=opts)
        return package

    @once
    def serving(self, *, opts: Opts = None) -> Serving:
        """The endpoint, and a model and configs for each release of the plan.

        Outputs are `endpoint`, `role` (of the containers), and `models` and `configs` by their names in AWS.
        """
        return Serving(
            "serving",
            self.names,
            plan=self.plan,
            package=self.package(),
            registry=self.stack.registry(),
            settings=self.settings.serving,
            log_days=self.settings.retention.log_days,
            adopted=self._now.adopted,
            opts=opts,
        )

    @once
    def monitoring(self, *, dashboard: bool = True, opts: Opts = None) -> Monitoring:
        self._dashboard = dashboard
        site, settings, objective = self.stack.controller().site, self.settings, self.objective
        return Monitoring(
            "monitoring",
            site,
            plan=self.plan,
            settings=settings,
            objective=objective,
            dashboard=dashboard,
            opts=opts,
        )

    @once
    def retraining(self, *, opts: Opts = None) -> Retraining | None:
        if not self.settings.retraining.enabled:
            return None
        return Retraining("retraining", self.stack.controller().site, settings=self.settings, opts=opts)

    @property
    def driver(self) -> RolloutProvider:
        return RolloutProvider()

    @property
    def place(self) -> Mapping[str, str]:
        names = self.names
        return {"table": names.journal, "region": names.region, "topic": names.arn("sns", names.alerts)}

    def outputs(self, package: Package) -> Mapping[str, Any]:
        names, controller, promotion = self.names, self.stack.controller(), self.stack.promotion()
        url = dashboard_url(names.region, names.dashboard, os.environ.get("AWS_ENDPOINT_URL"))
        return {
            "dashboard_url": url if self._dashboard else None,
            "rollback_function": controller.rollback.function.name,
            "journal_table": controller.journal.name,
            "alerts_topic": controller.alerts.arn,
            "audit_key": controller.audit_key.arn,
            "promotion_role": promotion.role.arn if promotion else None,
        }


async def read(settings: Settings, stack: str) -> AwsStack:
    """Read what is live, and plan; see `Stack.read`. A stack without an image for its model is a registry only."""
    check_target(stack, os.environ)
    now = await read_stack(settings, stack)
    if not now.image:
        ask_for_image(now)
        return AwsStack(settings, now, None)
    update = await asked(now, settings)
    update.tell(now, settings)
    tell_quota(now, settings.serving)
    return AwsStack(settings, now, update)


def dashboard_url(region: str, name: str, endpoint: str | None) -> str:
    """The dashboard's URL; in the local cloud, with its URL as `endpoint`, that of the dashboard's body."""
    if endpoint:
        return f"{endpoint.rstrip('/')}/_localcloud/dashboards/{name}"
    return f"https://{region}.console.aws.amazon.com/cloudwatch/home?region={region}#dashboards/dashboard/{name}"
