"""Steps `sign` and `register` of `pipeline.steps`, wherever the stack is.

    release(root, recipe, here=at(place))                # in a process that has clients and credentials: see `at`
    python -m pipeline.run sign --set place=JSON ...      # in a container: the text says where, see `platforms.places`

`sign` gives what is said of the package and the signatures (see `provenance.evidence`), and `key.pub`. `register` gives
`registered.json`, see `pipeline.pack.Registered`. Both may be repeated: what is there already stays as it is.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict
from functools import partial

from pipeline.build import REGISTERED
from pipeline.contract import Refusal
from pipeline.given import Given
from pipeline.outcome import RECORD
from pipeline.pack import sealed_in
from pipeline.recipe import canonical
from platforms import registering
from platforms.places import place_of
from platforms.registering import Place
from platforms.sealed_packages import RegistryError
from provenance.envelope import SignatureError
from provenance.evidence import Evidence

KEY = "key.pub"


def sign(given: Given) -> None:
    """Run the step `sign` at the place that the text names."""
    _in_words(_sign, place_of(given.json("place")), given)


def register(given: Given) -> None:
    """Run the step `register` at the place that the text names."""
    _in_words(_register, place_of(given.json("place")), given)


def at(place: Place) -> Mapping[str, Callable[[Given], None]]:
    """The functions of both steps for a place, by name; what the platform raises they raise."""
    return {"sign": partial(_sign, place), "register": partial(_register, place)}


def _sign(place: Place, given: Given) -> None:
    said = registering.signed(sealed_in(given.folders["seal"]), place)
    for name, content in {**said.files(), KEY: place.signer.public_key}.items():
        (given.out / name).write_bytes(content)


def _register(place: Place, given: Given) -> None:
    beside = {KEY, RECORD}
    said = Evidence.of(
        {one.name: one.read_bytes() for one in given.folders["sign"].iterdir() if one.name not in beside}
    )
    registered = registering.register(sealed_in(given.folders["seal"]), said, place, given.json("lineage"))
    (given.out / REGISTERED).write_text(canonical(asdict(registered)))


def _in_words(function: Callable[[Place, Given], None], place: Place, given: Given) -> None:
    """Say what is wrong with the package or the registry without a traceback: it would be so again."""
    try:
        function(place, given)
    except (RegistryError, SignatureError) as error:
        raise Refusal(str(error)) from None
