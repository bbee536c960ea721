"""Why what was built does not serve: a person or a verdict put another package in its place. Pure."""

from __future__ import annotations

from modelstack.rollout.controller.commands import Commands
from modelstack.rollout.core.state import RolloutState

AGAIN = "then type: make pipeline"


def why(state: RolloutState, package: str, commands: Commands) -> str:
    """A sentence for a person, and what to do.

    Args:
        state: The journal of the stack.
        package: What was built, `sha256:<hex>`; empty if nothing was.
        commands: How the stack's commands are written.
    """
    restored = state.restored
    if restored is not None and restored.package_digest != package:
        return (
            f"Release {restored.release} is restored, in place of what checkout and config ask for: "
            f"{restored.reason.text}. To let these count again: {commands.lift}; {AGAIN}"
        )
    refused = next((one for one in state.rejected.values() if one.package_digest == package), None)
    if refused is not None:
        return (
            f"Release {refused.release} was {refused.outcome.replace('_', ' ')} and is not tried again: "
            f"{refused.reason.text}. To try it again: {commands.modelstack} clear {refused.release}; {AGAIN}"
        )
    return f"To see what serves: {commands.modelstack} status"
