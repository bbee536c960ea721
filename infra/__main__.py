"""The program: what a stack of modelstack consists of, from the registry to the rollout."""

from __future__ import annotations

import os

import pulumi
from pulumi.runtime.config import CONFIG

from infra.aws import outputs, place, verdict
from infra.aws.lambda_zip import seal
from infra.aws.monitors import Monitoring
from infra.aws.package import Package
from infra.aws.place import Place
from infra.aws.registry import Registry
from infra.aws.retrainer import Retraining
from infra.aws.rollback import Rollback
from infra.aws.serving import Serving
from infra.aws.trial import Rollout
from infra.config.checkout import ROOT, check_model
from infra.config.settings import Settings
from infra.config.target import check_target
from infra.plan import instances
from infra.plan.releases import ServingPlan, plan_serving

Opts = pulumi.ResourceOptions


async def main() -> None:
    """Declare the stack. Fails when the release that the config asks for is refused, or is rolled back meanwhile."""
    stack = pulumi.get_stack()
    check_model()
    settings = Settings.load(CONFIG.get(), stack)
    check_target(stack, os.environ)
    here = await place.here(settings, stack)
    retain = settings.registry.retains(stack)

    registry = Registry("registry", here.names, retain)
    if here.image is None:
        outputs.export(outputs.of_registry(here.names, registry))
        place.ask_for_image(here)
        return

    wanted = here.wanted(settings, here.image)
    way = settings.trial
    plan = plan_serving(
        here.state,
        wanted,
        here.names.pair_of,
        resized=here.resized(settings),
        waits=way.wait,
        asks=way.asks,
        copied=way.copied,
    )
    looks = settings.monitoring
    verdict.tell_retrained(here.candidate, wanted, plan)
    verdict.tell(plan, here.state, way.plan(looks.period_seconds, max_failed=looks.max_5xx_rate))
    instances.tell(plan, here.state, settings.serving)
    package = Package(
        "package",
        here.names,
        wanted=wanted,
        image=here.image,
        settings=here.model(settings),
        registry=registry,
        retain=retain,
        source=here.source,
        candidate=here.registered,
        opts=Opts(provider=here.provider),
    )
    if plan.starts:
        await verdict.stop_when_refused(package)  # before endpoint, alarms and functions change

    rollout = release(settings, here, plan, registry, package)
    if plan.starts:
        await verdict.stop_unless_promoted(rollout, plan, way.wait)
    else:
        await verdict.stop_when_refused(package)  # the gates may have changed


def release(settings: Settings, here: Place, plan: ServingPlan, registry: Registry, package: Package) -> Rollout:
    """Declare what serves a package, what watches over it, and its way to the traffic."""
    names = here.names
    objective = settings.slo.objective(names.stack)
    code = seal(ROOT, ROOT / ".modelstack" / "run")

    rollback = Rollback("rollback", names, registry=registry, code=code, scheduled=settings.scheduled)
    site = rollback.site
    monitoring = Monitoring("monitoring", site, plan=plan, settings=settings, objective=objective)
    if settings.retraining.enabled:
        Retraining("retraining", site, settings=settings)
    serving = Serving("serving", names, plan=plan, package=package, registry=registry, settings=settings.serving)
    rollout = Rollout(
        "rollout",
        names,
        plan=plan,
        target=plan.kept.as_dict() if plan.kept else package.release(),
        settings=settings.trial,
        instances=settings.serving.instance_count,
        monitoring=settings.monitoring,
        state=here.state,
        opts=Opts(provider=here.provider, depends_on=[rollback, monitoring, serving]),
    )
    outputs.export(
        outputs.of_registry(names, registry)
        | outputs.of_champion(package, rollout)
        | {"slo": objective.as_dict()}
        | outputs.of_watch(names, rollback, os.environ.get("AWS_ENDPOINT_URL"))
    )
    return rollout


if __name__ == "__main__":
    pulumi.run(main)
