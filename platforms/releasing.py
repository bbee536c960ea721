"""What the steps `sign` and `register` of `pipeline.steps` do, at a place.

    release(root, recipe, here=at(place))       # in a process that has the clients and credentials already

In a container it is `platforms.steps` that calls them. `sign` gives what is said of the package and the signatures (see
`provenance.evidence`), and `key.pub`. `register` gives `registered.json`, see `pipeline.pack.Registered`. Both may be
repeated: what is there already stays as it is.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict
from functools import partial

from pipeline.build import REGISTERED
from pipeline.given import Given
from pipeline.outcome import RECORD
from pipeline.pack import sealed_in
from pipeline.recipe import canonical
from pipeline.texts import texts
from platforms import registering
from platforms.registering import Place
from provenance.evidence import Evidence

KEY = "key.pub"


def at(place: Place) -> Mapping[str, Callable[[Given], None]]:
    """The functions of both steps, by name; what the platform raises they raise."""
    return {"sign": partial(sign, place), "register": partial(register, place)}


def sign(place: Place, given: Given) -> None:
    """Sign what is said of the sealed package, and keep it at the place."""
    said = registering.signed(sealed_in(given.folders["seal"]), place)
    for name, content in {**said.files(), KEY: place.signer.public_key}.items():
        (given.out / name).write_bytes(content)


def register(place: Place, given: Given) -> None:
    """Upload the sealed package, and register it with what was signed."""
    signed = {one.name: one.read_bytes() for one in given.folders["sign"].iterdir() if one.name not in {KEY, RECORD}}
    sealed, lineage = sealed_in(given.folders["seal"]), texts("lineage", given.texts["lineage"])
    registered = registering.register(sealed, Evidence.of(signed), place, lineage)
    (given.out / REGISTERED).write_text(canonical(asdict(registered)))
