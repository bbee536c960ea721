"""The steps `sign` and `register` in a container: `python -m pipeline.run sign --set place=JSON ...`."""

from __future__ import annotations

from collections.abc import Callable

from pipeline.contract import Refusal
from pipeline.steps import Given
from platforms.package_locations import read, registry_at
from provenance.envelope import SignatureError
from services import publish_steps
from services.package_registry import PackageRegistry
from services.sealed_packages import RegistryError


def sign(given: Given) -> None:
    """Run the step `sign`."""
    _in_words(publish_steps.sign, given)


def register(given: Given) -> None:
    """Run the step `register`."""
    _in_words(publish_steps.register, given)


def _in_words(function: Callable[[PackageRegistry, Given], None], given: Given) -> None:
    """Refuse without a traceback: a retry would fail in the same way."""
    try:
        function(registry_at(read("place", given.texts["place"])), given)
    except (RegistryError, SignatureError) as error:
        raise Refusal(str(error)) from None
