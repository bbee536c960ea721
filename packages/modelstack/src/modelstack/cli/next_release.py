"""The release that the next `pulumi up` begins: `modelstack watch --next`, and `modelstack promote`."""

from __future__ import annotations

import subprocess
from contextlib import suppress
from typing import Any

from modelstack.cli import retrain
from modelstack.cli.errors import OperatorError
from modelstack.cli.page import say
from modelstack.cli.platform.choose import platform_of
from modelstack.cli.target import Target, config_of, if_up, project_root, resolve
from modelstack.cli.view.releases import journal_state
from modelstack.pipeline.contract import RecipeError
from modelstack.pipeline.declared import retrained
from modelstack.pipeline.recipe import recipe
from modelstack.rollout.core.release import release_id


def id_of(target: Target) -> str:
    """The id of the restored release, or else the one that checkout and config give; nothing is trained for it."""
    stack = target.stack
    if not stack:
        raise OperatorError("--next reads the config of a stack, and none is named", "Give --stack, not --endpoint.", 2)
    restored = journal_state(target).restored if target.has_journal else None
    if restored is not None:
        return restored.release
    config = config_of(stack)
    other = config.get("promotion", {}).get("from")
    source = taken_from(stack, other) if other else {}
    image = platform_of(target).next_image(config.get("serving", {}).get("image"), source.get("image_uri"))
    if not image:
        hint = f"Build it, which prints how to set it: make image STACK={stack}"
        raise OperatorError(f"stack {stack}: modelstack:serving.image is not set, so nothing can be released", hint, 2)
    return release_id(source.get("recipe") or _recipe(target, config.get("model", {})), image)


def taken_from(stack: str, name: str) -> dict[str, str]:
    """The champion of stack `name`, from which `stack` takes its releases; OperatorError if there is none."""
    other = f"{stack[: stack.rfind('/') + 1]}{name}"
    found = platform_of(resolve(other)).champion()
    if found is None:
        raise OperatorError(f"stack {other}, which modelstack:promotion.from names, has no champion to take")
    return found.as_dict()


def promote(stack: str, *, sure: bool) -> int:
    """Let a stack take its source's champion; returns 0, or 1 if the update failed. `sure` skips Pulumi's question."""
    source = config_of(stack).get("promotion", {}).get("from")
    if not source:
        why = f"stack {stack} takes its releases from no other: modelstack:promotion.from is not set"
        raise OperatorError(why, "docs/how-to/promote.md tells how it is set.", 2)
    target = if_up(stack)
    restored = journal_state(target).restored if target else None
    if target and restored:
        raise OperatorError(
            f"stack {stack} takes nothing while release {restored.release} is restored there: {restored.reason.text}",
            f"To lift that, type: {target.commands.lift}",
        )
    release = taken_from(stack, source)
    say(f"{source} serves release {release['id']}, {release['package_digest']}; {stack} takes it", err=True)
    asked = ("--yes", "--non-interactive") if sure else ()
    command = ["pulumi", "up", "--stack", stack, *asked]
    return int(subprocess.run(command, cwd=project_root(), check=False).returncode != 0)


def _recipe(target: Target, model: dict[str, Any]) -> str:
    parameters = dict(model.get("parameters") or {})
    candidate, root = retrain.look(target).counts, project_root()
    try:
        if candidate:
            with suppress(RecipeError):  # the config's own window is as new, or the only one
                parameters |= retrained(root, parameters, candidate.through)
        return recipe(root, parameters).digest
    except RecipeError as error:
        raise OperatorError(f"the model has no recipe: {error}") from error
