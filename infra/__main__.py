"""The program of this project: what a stack consists of. The library's docs say how to extend it."""

import pulumi

import modelstack as ms


async def main() -> None:
    """Declare the stack on the platform that its config names."""
    stack = await ms.Stack.read()  # Refuses what it can refuse before anything is declared.
    for model in await stack.build():  # Those with a release that serves, or that passed its checks.
        model.retraining()
        model.rollout(after=[model.serving(), model.monitoring()])  # The update fails if it is not promoted.


if __name__ == "__main__":
    pulumi.run(main)
