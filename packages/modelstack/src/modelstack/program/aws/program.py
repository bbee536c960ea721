"""The resources of a stack on AWS, from the registry to the rollout."""

from __future__ import annotations

import os
from typing import Any

from modelstack.pipeline.project import SOURCES, project_root
from modelstack.platforms.aws.names import Names
from modelstack.program import outputs as exported
from modelstack.program.aws.executions import Executions
from modelstack.program.aws.hosting import Serving
from modelstack.program.aws.lambda_zip import seal
from modelstack.program.aws.managed_mlflow import ToldMlflow, told_mlflow
from modelstack.program.aws.monitors import Monitoring
from modelstack.program.aws.promotion import Promotion
from modelstack.program.aws.registry import Registry
from modelstack.program.aws.retrainer import Retraining
from modelstack.program.aws.rollback import Rollback
from modelstack.program.aws.stack_now import StackNow, ask_for_image, read_stack, tell_quota
from modelstack.program.aws.target import check_target
from modelstack.program.config.settings import Settings
from modelstack.program.mlflow import Mlflow
from modelstack.program.package import Package
from modelstack.program.providers.package import PackageProvider
from modelstack.program.providers.trial import RolloutProvider
from modelstack.program.release_request import ReleaseRequest, asked
from modelstack.program.trial import Rollout

NAMES = (
    "endpoint_name",
    "region",
    "package_group",
    "package_digest",
    "champion",
    "challenger",
    "artifact_bucket",
    "dashboard_url",
    "rollback_function",
    "journal_table",
    "container_repository",
    "alerts_topic",
    "release",
    "metrics",
    "signing_key",
    "signing_key_arn",
    "slo",
    "panels",
    "awaits",
    "promotion_role",
    "audit_key",
)


async def declare(settings: Settings, stack: str) -> None:
    """Declare the stack. Fails when the desired release is refused or rolled back."""
    check_target(stack, os.environ)
    now = await read_stack(settings, stack)
    retain = settings.registry.retains(stack)

    # Refuse before the first resource is declared, so that nothing was changed.
    if not now.image:
        ask_for_image(now)
        registry = Registry("registry", now.names, retain, settings.retention)
        exported.export(of_registry(now.names, registry), NAMES)
        return
    update = await asked(now, settings)
    update.tell(now, settings)
    tell_quota(now, settings.serving)
    registry = Registry("registry", now.names, retain, settings.retention)
    remote = settings.pipeline.remote
    executions = Executions("executions", now.names, registry=registry, settings=settings) if remote else None
    package = Package(
        "package",
        PackageProvider(),
        now,
        settings,
        update.wanted,
        place=registry.place(now.names.region),
        pipeline=executions.begun_with() if executions else None,
        after=registry.bucket_rules,
    )
    told = told_mlflow(settings.mlflow, now.names, registry)
    if told:
        where = {"platform": "aws", "region": now.names.region}
        Mlflow("mlflow", told.server, told.experiment, now, package, place=where)
    if not await update.may_serve(package):
        exported.export(of_registry(now.names, registry) | update.agreement(), NAMES)
        return
    rollout = declare_release(settings, now, update, registry=registry, package=package, told=told)
    await update.end(package, rollout, waits=settings.trial.wait)


def declare_release(
    settings: Settings,
    now: StackNow,
    update: ReleaseRequest,
    *,
    registry: Registry,
    package: Package,
    told: ToldMlflow | None,
) -> Rollout:
    """Declare serving and monitoring of a package, and its rollout."""
    names, plan = now.names, update.plan
    objective = settings.slo.objective(names.stack)
    code = seal(SOURCES, project_root() / ".modelstack" / "run")
    log_days, to = settings.retention.log_days, settings.promotion.to
    promotion = Promotion("promotion", names, accounts=tuple(to), registry=registry) if to else None
    rollback = Rollback(
        "rollback",
        names,
        registry=registry,
        code=code,
        scheduled=settings.scheduled,
        log_days=log_days,
        probe_minutes=settings.slo.probe_minutes,
        told=told,
    )
    site = rollback.site
    monitoring = Monitoring("monitoring", site, plan=plan, settings=settings, objective=objective)
    if settings.retraining.enabled:
        Retraining("retraining", site, settings=settings)
    serving = Serving(
        "serving",
        names,
        plan=plan,
        package=package,
        registry=registry,
        settings=settings.serving,
        log_days=log_days,
        adopted=now.adopted,
    )
    rollout = Rollout(
        "rollout",
        RolloutProvider(),
        now,
        package,
        plan,
        trial_plan=update.trial_plan,
        place={"table": names.journal, "region": names.region, "topic": names.arn("sns", names.alerts)},
        wait=settings.trial.wait,
        after=[rollback, monitoring, serving],
    )
    shown = of_registry(names, registry) | exported.of_champion(package, rollout) | update.agreement()
    shown |= exported.of_objective(objective, settings) | {"promotion_role": promotion.role.arn if promotion else None}
    exported.export(shown | of_watch(names, rollback, os.environ.get("AWS_ENDPOINT_URL")), NAMES)
    return rollout


def of_registry(names: Names, registry: Registry) -> dict[str, Any]:
    """The outputs of a stack before its first release."""
    return {
        "endpoint_name": names.endpoint,
        "region": names.region,
        "package_group": registry.group.model_package_group_name,
        "artifact_bucket": registry.bucket.bucket,
        "container_repository": registry.repository.repository_url,
        "signing_key_arn": registry.signing_key.arn,
    }


def of_watch(names: Names, rollback: Rollback, endpoint: str | None) -> dict[str, Any]:
    """The outputs of monitoring; `endpoint` is the local cloud's URL, None on AWS."""
    return {
        "dashboard_url": dashboard_url(names.region, names.dashboard, endpoint),
        "rollback_function": rollback.rollback.function.name,
        "journal_table": rollback.journal.name,
        "alerts_topic": rollback.alerts.arn,
        "audit_key": rollback.audit_key.arn,
    }


def dashboard_url(region: str, name: str, endpoint: str | None) -> str:
    """The dashboard's URL; in the local cloud, its body's."""
    if endpoint:
        return f"{endpoint.rstrip('/')}/_localcloud/dashboards/{name}"
    return f"https://{region}.console.aws.amazon.com/cloudwatch/home?region={region}#dashboards/dashboard/{name}"
