"""The resources of a stack on a cluster, from the package to the rollout."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pulumi

from modelstack.platforms.kubernetes.spec import RolloutSpec
from modelstack.program import outputs as exported
from modelstack.program.config.settings import Settings
from modelstack.program.kubernetes import kept_bucket
from modelstack.program.kubernetes.cluster_now import ClusterNow, read_cluster
from modelstack.program.kubernetes.controller import Controller
from modelstack.program.kubernetes.dashboard import Dashboard
from modelstack.program.kubernetes.definitions import Definitions
from modelstack.program.kubernetes.endpoint import Endpoint
from modelstack.program.kubernetes.promotion import Promotion
from modelstack.program.kubernetes.rules import Rules
from modelstack.program.kubernetes.site import Site
from modelstack.program.kubernetes.workloads import Serving
from modelstack.program.mlflow import Mlflow
from modelstack.program.package import Package
from modelstack.program.providers.kubernetes_package import KubernetesPackageProvider
from modelstack.program.providers.kubernetes_trial import KubernetesRolloutProvider
from modelstack.program.release_request import ReleaseRequest, asked
from modelstack.program.trial import Rollout

Opts = pulumi.ResourceOptions
OUTPUTS = (
    *("platform", "endpoint_name", "context", "namespace", "gateway", "host", "ca_config_map"),
    *("prometheus_url", "registry", "bucket"),
    *("package_digest", "champion", "challenger", "release", "metrics", "signing_key", "audit_key"),
    *("slo", "panels"),
    "awaits",
)


async def declare(settings: Settings, stack: str) -> None:
    """Declare the stack. Fails when the desired release is refused or rolled back."""
    # Refuse before the first resource is declared, so that nothing was changed.
    now = await read_cluster(settings, stack)
    update, there = await asked(now, settings), now.there
    update.tell(now, settings)
    kept_bucket.tell(settings.kubernetes, there.bucket)
    site = Site(now.names, settings.kubernetes, now.cluster, there.bucket)
    before = [Definitions("definitions", site)] if settings.kubernetes.definitions else []
    place = site.place(update.wanted.model_name)
    provider = KubernetesPackageProvider()
    package = Package("package", provider, now, settings, update.wanted, place=place, after=before)
    if settings.mlflow.server:
        experiment = settings.mlflow.experiment_of(now.names.prefix)
        where = {"platform": "kubernetes"} | {name: place[name] for name in ("context", "bucket")}
        Mlflow("mlflow", settings.mlflow.server, experiment, now, package, place=where)
    if not await update.may_serve(package):
        exported.export(_of_place(site) | update.agreement(), OUTPUTS)
        return
    rollout = declare_release(settings, now, update, site=site, package=package, before=before)
    await update.end(package, rollout, waits=settings.trial.wait)


def declare_release(
    settings: Settings,
    now: ClusterNow,
    update: ReleaseRequest,
    *,
    site: Site,
    package: Package,
    before: Sequence[pulumi.Resource],
) -> Rollout:
    """Declare serving and monitoring of a package, and its rollout."""
    names, plan, objective = now.names, update.plan, settings.slo.objective(now.names.stack)
    spec = _spec(settings, now, update)
    after = Opts(depends_on=before)
    endpoint = Endpoint("endpoint", site, spec, listeners=now.there.listeners, opts=after)
    serving = Serving("serving", site, plan=plan, package=package, settings=settings.serving)
    rules = Rules("rules", site, plan=plan, settings=settings, objective=objective)
    Dashboard("dashboard", site, settings=settings, objective=objective)
    if settings.promotion.to:
        Promotion("promotion", site, settings.promotion.to)
    # The other stacks' Rollouts need the controller, also for rollbacks.
    kept = Opts(depends_on=before, retain_on_delete=True) if now.there.beside else after
    controller = (
        [Controller("controller", site, now.controller_image, settings.mlflow, kept)] if now.controller_image else []
    )
    rollout = Rollout(
        "rollout",
        KubernetesRolloutProvider(),
        now,
        package,
        plan,
        trial_plan=update.trial_plan,
        place={"context": settings.kubernetes.context or "", "namespace": names.namespace},
        wait=settings.trial.wait,
        after=[endpoint, serving, rules, *controller],
    )
    told = _of_place(site) | exported.of_champion(package, rollout) | {"audit_key": package.audit_key}
    told |= exported.of_objective(objective, settings)
    exported.export(told | update.agreement(), OUTPUTS)
    return rollout


def _spec(settings: Settings, now: ClusterNow, update: ReleaseRequest) -> RolloutSpec:
    gateway = settings.kubernetes.gateway
    return RolloutSpec(
        stack=now.names.stack,
        model=now.names.model,
        gateway=gateway.name or now.names.prefix,
        host=gateway.host or "",
        ca_config_map=gateway.ca_config_map or "",
        prometheus=settings.kubernetes.prometheus or "",
        period_seconds=settings.monitoring.period_seconds,
        capture_percent=settings.serving.capture_percent,
        sticky_header=now.sticky(update.wanted, settings.trial.sticky_header),
        measuring=settings.measuring(),
    )


def _of_place(site: Site) -> dict[str, Any]:
    """The outputs of a stack before its first release."""
    settings, names = site.settings, site.names
    return {
        "platform": "kubernetes",
        "endpoint_name": names.prefix,
        "context": settings.context,
        "namespace": names.namespace,
        "gateway": settings.gateway.name or names.prefix,
        "host": settings.gateway.host,
        "ca_config_map": settings.gateway.ca_config_map,
        "prometheus_url": settings.prometheus,
        "registry": settings.registry,
        "bucket": settings.bucket.model_dump(exclude={"secret"}) if settings.bucket else None,
    }
