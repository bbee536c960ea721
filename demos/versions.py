"""Versions of a model to rehearse a release with, as the model names them: one that is as good, and a faulty one."""

from __future__ import annotations

import random
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path

from modelstack.cli.errors import OperatorError
from modelstack.cli.local.stack import Stack
from modelstack.pipeline.contract import RecipeError
from modelstack.pipeline.declared import faulty, variant
from modelstack.pipeline.recipe import recipe

_MOST = 1_000_000
_TRIES = 100


def check_named(root: Path) -> None:
    """Refuse a model that does not name both.

    Args:
        root: Its checkout.

    Raises:
        OperatorError: It does not; the message says what is missing.
    """
    with _in_words():
        variant(root, {}, 1)
        faulty(root, {})


def as_good(stack: Stack, folder: Path, known: Callable[[str], bool] = lambda digest: False) -> Stack:
    """The stack with the parameters of another version, about as good.

    Args:
        stack: The one to start from.
        folder: Where the copy of its config file goes.
        known: Whether a recipe, by its digest, will not do.

    Raises:
        OperatorError: The model names no such versions, or all that were tried are known.
    """
    with _in_words():
        for number in random.sample(range(1, _MOST + 1), _TRIES):
            parameters = variant(stack.root, stack.parameters(), number)
            if not known(recipe(stack.root, parameters).digest):
                return stack.with_parameters(folder, **parameters)
    raise OperatorError("every version that was tried is known on this stack", "`make down` forgets them.")


def at_fault(stack: Stack, folder: Path) -> Stack:
    """The stack with the parameters of a version whose requests fail.

    Raises:
        OperatorError: The model names no such version.
    """
    with _in_words():
        return stack.with_parameters(folder, **faulty(stack.root, stack.parameters()))


@contextmanager
def _in_words() -> Generator[None]:
    try:
        yield
    except RecipeError as error:
        raise OperatorError(str(error), "Everything but the rehearsal works without.", 2) from None
