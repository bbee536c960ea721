"""What a stack on a cluster consists of, from the package to the rollout."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import pulumi

from infra import outputs as exported
from infra import update_result
from infra.agreement import Awaited, awaited
from infra.config.settings import Settings
from infra.kubernetes import kept_bucket, outputs
from infra.kubernetes.cluster_now import ClusterNow, read_cluster
from infra.kubernetes.controller import Controller
from infra.kubernetes.dashboard import Dashboard
from infra.kubernetes.definitions import Definitions
from infra.kubernetes.endpoint import Endpoint
from infra.kubernetes.package import Package
from infra.kubernetes.promotion import Promotion
from infra.kubernetes.rules import Rules
from infra.kubernetes.site import Site
from infra.kubernetes.workloads import Serving
from infra.plan import instances
from infra.plan.releases import ServingPlan, plan_serving
from infra.providers.kubernetes_trial import KubernetesRolloutProvider
from infra.trial import Rollout
from platforms.kubernetes.measuring import Measuring
from platforms.kubernetes.spec import RolloutSpec
from rollout.core.plan import Plan

Opts = pulumi.ResourceOptions


async def declare(settings: Settings, stack: str) -> None:
    """Declare the stack. Fails when the release that the config asks for is refused, or is rolled back meanwhile."""
    # Whatever is refused is refused before the first resource is declared: then nothing was changed.
    now = await read_cluster(settings, stack)
    wanted, trial = now.wanted(settings), settings.trial
    ask = partial(now.agreed, settings.kubernetes.context, wanted)
    waits = await awaited(settings.approval.people, now.state, wanted, ask)
    plan = plan_serving(
        now.state,
        wanted,
        now.names.pair_of,
        resized=now.resized(settings),
        waits=trial.wait,
        asks=trial.asks,
        copied=trial.copied,
        unapproved=waits is not None,
    )
    trial_plan = now.trial_plan(settings, plan)
    update_result.tell_restored(now.state)
    update_result.tell(plan, now.state, trial_plan)
    serving = now.serving(settings)
    instances.tell(plan, now.state, serving.pods, serving.capture_percent)
    kept_bucket.tell(settings.kubernetes, now.bucket)
    site = Site(now.names, settings.kubernetes, now.cluster, now.bucket)
    before = [Definitions("definitions", site)] if settings.kubernetes.definitions else []
    package = Package(
        "package",
        site,
        wanted=wanted,
        image=now.image,
        settings=settings.model,
        retain=settings.registry.retains(stack),
        source=now.source,
        candidate=now.registered,
        opts=Opts(provider=now.provider, depends_on=before),
    )
    if plan.starts or waits:
        await update_result.stop_when_refused(package)  # before the route and what serves change
    if waits:
        waits.tell()
        if now.state.champion is None:  # nothing serves, and nothing may
            exported.export(outputs.of_place(site) | {"awaits": waits.as_dict()}, outputs.NAMES)
            return
    rollout = declare_release(
        settings, now, site, plan, trial_plan=trial_plan, package=package, waits=waits, before=before
    )
    if plan.starts:
        await update_result.stop_unless_promoted(rollout, plan, trial.wait)
    else:
        await update_result.stop_when_refused(package)  # the gates may have changed


def measuring(settings: Settings) -> Measuring:
    """What the controller measures, by the config. Pure."""
    monitoring = settings.monitoring
    return Measuring(
        drift_minutes=monitoring.drift_minutes,
        drift_false_alarms=monitoring.drift_false_alarms,
        labels_minutes=monitoring.labels_minutes,
        labels_days=monitoring.labels_days,
        max_loss_rise=monitoring.max_loss_rise,
        concept_false_alarms=monitoring.concept_false_alarms,
        segments=tuple(monitoring.segments),
        requests_days=settings.retention.requests_days,
        probe_minutes=settings.slo.probe_minutes or 0,
    )


def declare_release(
    settings: Settings,
    now: ClusterNow,
    site: Site,
    plan: ServingPlan,
    *,
    trial_plan: Plan,
    package: Package,
    waits: Awaited | None,
    before: Sequence[pulumi.Resource],
) -> Rollout:
    """Declare what serves a package, what watches over it, and its way to the traffic."""
    names, objective = now.names, settings.slo.objective(now.names.stack)
    gateway = settings.kubernetes.gateway
    spec = RolloutSpec(
        stack=names.stack,
        model=names.model,
        gateway=gateway.name or names.prefix,
        host=gateway.host or "",
        ca_config_map=gateway.ca_config_map or "",
        prometheus=settings.kubernetes.prometheus or "",
        period_seconds=settings.monitoring.period_seconds,
        capture_percent=settings.serving.capture_percent,
        sticky_header=now.sticky(now.wanted(settings), settings.trial.sticky_header),
        measuring=measuring(settings),
    )
    after = Opts(depends_on=before)
    endpoint = Endpoint("endpoint", site, spec, listeners=now.listeners, opts=after)
    serving = Serving("serving", site, plan=plan, package=package, settings=settings.serving)
    rules = Rules("rules", site, plan=plan, settings=settings, objective=objective)
    Dashboard("dashboard", site, settings=settings, objective=objective)
    if settings.promotion.to:
        Promotion("promotion", site, settings.promotion.to)
    # Without it nothing would drive the Rollouts of the others, and no alarm would roll their releases back.
    kept = Opts(depends_on=before, retain_on_delete=True) if now.beside else after
    controller = [Controller("controller", site, now.controller_image, kept)] if now.controller_image else []
    rollout = Rollout(
        "rollout",
        KubernetesRolloutProvider(),
        names.prefix,
        place={"context": settings.kubernetes.context or "", "namespace": names.namespace},
        plan=plan,
        target=plan.kept.as_dict() if plan.kept else package.release(),
        trial_plan=trial_plan,
        wait=settings.trial.wait,
        state=now.state,
        opts=Opts(provider=now.provider, depends_on=[endpoint, serving, rules, *controller]),
    )
    exported.export(
        outputs.of_place(site)
        | exported.of_champion(package, rollout)
        | {"slo": objective.as_dict(), "awaits": waits.as_dict() if waits else None},
        outputs.NAMES,
    )
    return rollout
