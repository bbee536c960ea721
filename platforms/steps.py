"""Steps `sign` and `register` in a container: `python -m pipeline.run sign --set place=JSON ...`.

The text `place` says where; see `platforms.places`.
"""

from __future__ import annotations

from collections.abc import Callable

from pipeline.contract import Refusal
from pipeline.given import Given
from platforms import releasing
from platforms.places import place_of, read
from platforms.registering import Place
from platforms.sealed_packages import RegistryError
from provenance.envelope import SignatureError


def sign(given: Given) -> None:
    """Run the step `sign`."""
    _in_words(releasing.sign, given)


def register(given: Given) -> None:
    """Run the step `register`."""
    _in_words(releasing.register, given)


def _in_words(function: Callable[[Place, Given], None], given: Given) -> None:
    """Say what is wrong with the package or the registry without a traceback: it would be so again."""
    try:
        function(place_of(read("place", given.texts["place"])), given)
    except (RegistryError, SignatureError) as error:
        raise Refusal(str(error)) from None
