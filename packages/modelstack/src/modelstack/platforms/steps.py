"""The steps `sign` and `register` in a container: `python -m modelstack.pipeline.run sign --set place=JSON ...`."""

from __future__ import annotations

from collections.abc import Callable

from modelstack.pipeline.contract import Refusal
from modelstack.pipeline.steps import Given
from modelstack.platforms.package_locations import read, registry_at
from modelstack.records.provenance.envelope import SignatureError
from modelstack.services import publish_steps
from modelstack.services.package_registry import PackageRegistry
from modelstack.services.sealed_packages import RegistryError


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
