"""The program of this project: what a stack consists of. The library's docs say how to extend it."""

from __future__ import annotations

import pulumi

import modelstack as ms


async def main() -> None:
    """Declare the stack on the platform that its config names."""
    stack = await ms.Stack.read()  # Refuses what it can refuse before anything is declared.
    stack.registry()
    models = await stack.build()  # Those with a release that serves, or that passed its checks.
    if models:
        stack.controller()
    for model in models:
        serving, monitoring = model.serving(), model.monitoring()
        model.retraining()
        model.rollout(after=[serving, monitoring])
    await stack.finish()  # Fails the update if a release was not promoted.


if __name__ == "__main__":
    pulumi.run(main)
