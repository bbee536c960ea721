"""The program: what a stack of modelstack consists of, from the registry to the rollout."""

from __future__ import annotations

import os
from pathlib import Path

import pulumi
from pulumi.runtime.config import CONFIG

from infra import outputs, place
from infra.config import Settings, check_target, is_local
from infra.journal import Journal
from infra.lambda_zip import seal
from infra.monitoring import Monitoring
from infra.package import Package
from infra.registry import Registry
from infra.releases import ServingPlan, plan_serving
from infra.rollback import Rollback
from infra.rollout import Rollout
from infra.serving import Serving, wanted_release
from pipeline.recipe import RecipeError, recipe

ROOT = Path(__file__).resolve().parents[1]
Opts = pulumi.ResourceOptions


async def main() -> None:
    """Declare the stack. Fails when the release that the config asks for is refused, or is rolled back meanwhile."""
    stack = pulumi.get_stack()
    settings = Settings.load(pulumi.Config("modelstack"), stack, CONFIG.get())
    check_target(stack, os.environ)
    names, state = await place.here(settings.model.name, stack)
    source = await place.champion_of(settings.promotion.source) if settings.promotion.source else None
    image = place.image_for(settings.serving.image, names, source)
    retain = not is_local(stack) if settings.registry.retain is None else settings.registry.retain

    registry = Registry("registry", names, retain)
    here = {
        "endpoint_name": names.endpoint,
        "region": names.region,
        "package_group": registry.group.model_package_group_name,
        "artifact_bucket": registry.bucket.bucket,
        "container_repository": registry.repository.repository_url,
    }
    if image is None:
        outputs.export(here)
        place.ask_for_image(names, state)
        return

    wanted = wanted_release(names, source["recipe"] if source else recipe_here(settings), image, settings.serving)
    plan = plan_serving(state, wanted, names.pair_of, waits=settings.rollout.wait)
    if plan.verdict is not None:
        pulumi.warn(rejection(plan))
    elif state.verdict is not None and state.verdict.outcome != "promoted":
        ended = state.verdict
        pulumi.info(f"last verdict: release {ended.release} {ended.outcome.replace('_', ' ')}: {ended.reason.text}")

    package = Package(
        "package",
        names,
        wanted=wanted,
        image=image,
        settings=settings.model,
        registry=registry,
        retain=retain,
        source=source,
    )
    await registry.registered()  # so that the package's provider starts while the rest is declared
    if plan.starts:
        await stop_when_refused(package)  # before anything else changes

    code = seal(ROOT, ROOT / ".modelstack" / "run")
    journal = Journal("journal", names)
    rollback = Rollback("rollback", names, code)
    monitoring = Monitoring(
        "monitoring",
        names,
        plan=plan,
        settings=settings.monitoring,
        registry=registry,
        alerts=rollback.alerts.arn,
        code=code,
    )
    serving = Serving("serving", names, plan=plan, package=package, registry=registry, settings=settings.serving)
    rollout = Rollout(
        "rollout",
        names,
        plan=plan,
        target=package.release(wanted),
        settings=settings.rollout,
        monitoring=settings.monitoring,
        state=state,
        opts=Opts(depends_on=[journal, rollback, monitoring, serving]),
    )
    outputs.export(
        {
            **here,
            "package_digest": package.package_digest,
            "champion": rollout.champion,
            "challenger": rollout.challenger,
            "release": rollout.release,
            "metrics": package.metrics,
            "dashboard_url": outputs.dashboard_url(names.region, names.dashboard, os.environ.get("AWS_ENDPOINT_URL")),
            "rollback_function": rollback.rollback.function.name,
            "journal_table": journal.table.name,
            "alerts_topic": rollback.alerts.arn,
        }
    )
    if plan.starts:
        await stop_unless_promoted(rollout, settings.rollout.wait)
    else:
        await stop_when_refused(package)  # the gates may have changed


def recipe_here(settings: Settings) -> str:
    """The recipe digest of this checkout's model with the config's parameters."""
    try:
        return recipe(ROOT, settings.model.parameters).digest
    except RecipeError as error:
        raise pulumi.RunError(f"modelstack:model.parameters, or model/: {error}; nothing was changed") from None


def rejection(plan: ServingPlan) -> str:
    """Why the release that the config asks for is not put on trial."""
    verdict = plan.verdict
    if verdict is None:
        return ""
    return (
        f"release {verdict.release} was {verdict.outcome.replace('_', ' ')} and is not tried again: "
        f"{verdict.reason.text}. The champion keeps all traffic. Change the recipe, or clear the rejection"
    )


async def stop_when_refused(package: Package) -> None:
    """Wait for the package.

    Raises:
        pulumi.RunError: The package was refused; the message has the reason and the numbers.
    """
    refused = await package.refused.future()
    if refused:
        raise pulumi.RunError(refused)


async def stop_unless_promoted(rollout: Rollout, waits: bool) -> None:
    """Wait for the rollout of a release that this update began.

    Raises:
        pulumi.RunError: The release is not champion; the message names the alarm or metric, and the numbers.
    """
    outcome = await rollout.outcome.future()
    if outcome is None or outcome == "promoted" or (outcome == "running" and not waits):
        return
    why = await rollout.why.future()
    raise pulumi.RunError(f"the release was not promoted: {outcome.replace('_', ' ')}: {why}")


if __name__ == "__main__":
    pulumi.run(main)
