"""The steps `sign` and `register` of `modelstack.pipeline.steps`, with a package registry; both may be repeated.

    release(root, recipe, here=at(registry))    # in a process that has the clients and credentials already

In a container `modelstack.platforms.steps` calls them. `sign` writes the evidence (see
`modelstack.records.provenance.evidence`) and `key.pub`, `register` writes `registered.json` (see
`modelstack.pipeline.pack.Registered`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict
from functools import partial

from modelstack.pipeline.build import REGISTERED
from modelstack.pipeline.outcome import RECORD
from modelstack.pipeline.pack import sealed_in
from modelstack.pipeline.recipe import canonical
from modelstack.pipeline.steps import Given
from modelstack.pipeline.texts import texts
from modelstack.records.provenance.evidence import Attestation
from modelstack.services import package_registry
from modelstack.services.package_registry import PackageRegistry

KEY = "key.pub"


def at(registry: PackageRegistry) -> Mapping[str, Callable[[Given], None]]:
    """The functions of both steps, by name."""
    return {"sign": partial(sign, registry), "register": partial(register, registry)}


def sign(registry: PackageRegistry, given: Given) -> None:
    """Sign the facts of the sealed package, and store the evidence in the registry."""
    said = package_registry.signed(sealed_in(given.folders["seal"]), registry)
    for name, content in {**said.files(), KEY: registry.signer.public_key}.items():
        (given.out / name).write_bytes(content)


def register(registry: PackageRegistry, given: Given) -> None:
    """Upload the sealed package, and register it with its evidence."""
    signed = {one.name: one.read_bytes() for one in given.folders["sign"].iterdir() if one.name not in {KEY, RECORD}}
    sealed, lineage = sealed_in(given.folders["seal"]), texts("lineage", given.texts["lineage"])
    registered = package_registry.register(sealed, Attestation.of(signed), registry, lineage)
    (given.out / REGISTERED).write_text(canonical(asdict(registered)))
