"""What a stack on AWS consists of, from the registry to the rollout."""

from __future__ import annotations

import os
from functools import partial

import pulumi

from infra import outputs as exported
from infra import update_result
from infra.agreement import Awaited, awaited
from infra.aws import agreed, outputs
from infra.aws.hosting import Serving
from infra.aws.lambda_zip import seal
from infra.aws.monitors import Monitoring
from infra.aws.package import Package
from infra.aws.promotion import Promotion
from infra.aws.registry import Registry
from infra.aws.retrainer import Retraining
from infra.aws.rollback import Rollback
from infra.aws.stack_now import StackNow, ask_for_image, read_stack
from infra.config.checkout import ROOT
from infra.config.settings import Settings
from infra.config.target import check_target
from infra.plan import instances
from infra.plan.releases import ServingPlan, plan_serving
from infra.providers.trial import RolloutProvider
from infra.trial import Rollout
from rollout.core.plan import Plan

Opts = pulumi.ResourceOptions


async def declare(settings: Settings, stack: str) -> None:
    """Declare the stack. Fails when the release that the config asks for is refused, or is rolled back meanwhile."""
    check_target(stack, os.environ)
    stack_now = await read_stack(settings, stack)
    retain = settings.registry.retains(stack)

    # Whatever is refused is refused before the first resource is declared: then nothing was changed.
    if stack_now.image is None:
        ask_for_image(stack_now)
        registry = Registry("registry", stack_now.names, retain, settings.retention)
        exported.export(outputs.of_registry(stack_now.names, registry), outputs.NAMES)
        return
    wanted = stack_now.wanted(settings, stack_now.image)
    ask = partial(agreed.agreed, stack_now, wanted.id)
    waits = await awaited(settings.approval.people, stack_now.state, wanted, ask)
    trial = settings.trial
    plan = plan_serving(
        stack_now.state,
        wanted,
        stack_now.names.pair_of,
        resized=stack_now.resized(settings),
        waits=trial.wait,
        asks=trial.asks,
        copied=trial.copied,
        unapproved=waits is not None,
    )
    trial_plan = stack_now.trial_plan(settings, plan)
    update_result.tell_restored(stack_now.state)
    update_result.tell_retrained(stack_now.candidate, wanted, plan)
    update_result.tell(plan, stack_now.state, trial_plan)
    serving = stack_now.serving(settings)
    instances.tell(plan, stack_now.state, serving.instances, serving.capture_percent)
    registry = Registry("registry", stack_now.names, retain, settings.retention)
    package = Package(
        "package",
        stack_now.names,
        wanted=wanted,
        image=stack_now.image,
        settings=stack_now.model(settings),
        registry=registry,
        retain=retain,
        source=stack_now.source,
        candidate=stack_now.registered,
        opts=Opts(provider=stack_now.provider),
    )
    if plan.starts or waits:
        await update_result.stop_when_refused(package)  # before endpoint, alarms and functions change
    if waits:
        waits.tell()
        if stack_now.state.champion is None:  # nothing serves, and nothing may
            told = outputs.of_registry(stack_now.names, registry) | {"awaits": waits.as_dict()}
            exported.export(told, outputs.NAMES)
            return

    rollout = declare_release(
        settings, stack_now, plan, trial_plan=trial_plan, registry=registry, package=package, waits=waits
    )
    if plan.starts:
        await update_result.stop_unless_promoted(rollout, plan, trial.wait)
    else:
        await update_result.stop_when_refused(package)  # the gates may have changed


def declare_release(
    settings: Settings,
    stack_now: StackNow,
    plan: ServingPlan,
    *,
    trial_plan: Plan,
    registry: Registry,
    package: Package,
    waits: Awaited | None,
) -> Rollout:
    """Declare what serves a package, what watches over it, and its way to the traffic."""
    names = stack_now.names
    objective = settings.slo.objective(names.stack)
    code = seal(ROOT, ROOT / ".modelstack" / "run")

    log_days = settings.retention.log_days
    to = settings.promotion.to
    promotion = Promotion("promotion", names, accounts=tuple(to), registry=registry) if to else None
    rollback = Rollback(
        "rollback", names, registry=registry, code=code, scheduled=settings.scheduled, log_days=log_days
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
        adopted=stack_now.adopted,
    )
    rollout = Rollout(
        "rollout",
        RolloutProvider(),
        names.endpoint,
        place={"table": names.journal, "region": names.region, "topic": names.arn("sns", names.alerts)},
        plan=plan,
        target=plan.kept.as_dict() if plan.kept else package.release(),
        trial_plan=trial_plan,
        wait=settings.trial.wait,
        state=stack_now.state,
        opts=Opts(provider=stack_now.provider, depends_on=[rollback, monitoring, serving]),
    )
    exported.export(
        outputs.of_registry(names, registry)
        | exported.of_champion(package, rollout)
        | {"slo": objective.as_dict(), "awaits": waits.as_dict() if waits else None}
        | {"promotion_role": promotion.role.arn if promotion else None}
        | outputs.of_watch(names, rollback, os.environ.get("AWS_ENDPOINT_URL")),
        outputs.NAMES,
    )
    return rollout
