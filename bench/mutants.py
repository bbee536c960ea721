"""Packages that were tampered with, each in another way: none may pass for the one that was signed.

    for mutant in mutants(original, 500, random.Random(7)):
        ...                                              # mutant.archive, mutant.files, mutant.public_key

Whoever tampers may write everything that lies in a registry, has seen other packages that the same key has signed, and
has a key of their own. They lack the private key, and cannot change which public key is trusted.
"""

from __future__ import annotations

import base64
import json
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random

from modelstack.pipeline import archive
from modelstack.records.provenance.evidence import MODEL, PROVENANCE, sign
from modelstack.records.provenance.facts import Facts, SealedArchive
from modelstack.records.provenance.key_pair import KeyPair

Files = Mapping[str, bytes]


@dataclass(frozen=True)
class Signed:
    """An archive and what lies beside it.

    Attributes:
        archive: Its bytes.
        files: Name -> bytes of the documents and signatures.
        public_key: The key that is trusted, PEM.
        kind: How it was tampered with; empty for the original.
    """

    archive: bytes
    files: Files
    public_key: bytes
    kind: str = ""


@dataclass(frozen=True)
class _World:
    """What a mutation may draw on: the original, what is in its archive, and another package of the same key."""

    original: Signed
    other: Signed
    members: Mapping[str, bytes]
    facts: Facts
    random: Random


def signed(members: Mapping[str, bytes], facts: Facts, key: KeyPair) -> Signed:
    """Seal and sign a package.

    Args:
        members: Name -> bytes of what the archive holds.
        facts: What is said of it; the archive's own digest is put in.
        key: Who signs.
    """
    content = _sealed(members)
    with tempfile.NamedTemporaryFile() as file:
        Path(file.name).write_bytes(content)
        package = SealedArchive(archive.package_digest(Path(file.name)), len(content), facts.package.manifest_sha256)
    return Signed(content, sign(replace(facts, package=package), key).files(), key.public_key)


def mutants(members: Mapping[str, bytes], facts: Facts, count: int, random: Random) -> Iterator[Signed]:
    """So many packages that were tampered with, of every kind in turn."""
    key = KeyPair.new()
    original = signed(members, facts, key)
    kinds = list(KINDS.items())
    for number in range(count):
        kind, tamper = kinds[number % len(kinds)]
        other = signed({**members, "model.bin": random.randbytes(40)}, facts, key)
        mutant = replace(tamper(_World(original, other, members, facts, random)), kind=kind)
        if replace(mutant, kind="") == original:
            raise RuntimeError(f"{kind} changed nothing")
        yield mutant


def _flip(content: bytes, random: Random) -> bytes:
    place = random.randrange(len(content) * 8)
    changed = bytearray(content)
    changed[place // 8] ^= 1 << place % 8
    return bytes(changed)


def _flipped_archive(world: _World) -> Signed:
    return replace(world.original, archive=_flip(world.original.archive, world.random))


def _flipped(*names: str) -> Callable[[_World], Signed]:
    """A bit of one of the files beside the archive; of any document without names."""

    def tamper(world: _World) -> Signed:
        files = world.original.files
        name = world.random.choice(names or sorted(files.keys() - {MODEL, PROVENANCE}))
        return replace(world.original, files={**files, name: _flip(files[name], world.random)})

    return tamper


def _swapped_members(world: _World) -> Signed:
    first, second = world.random.sample(sorted(world.members), 2)
    swapped = {**world.members, first: world.members[second], second: world.members[first]}
    return replace(world.original, archive=_sealed(swapped))


def _swapped_documents(world: _World) -> Signed:
    files = world.original.files
    first, second = world.random.sample(sorted(files), 2)
    return replace(world.original, files={**files, first: files[second], second: files[first]})


def _other_key(world: _World) -> Signed:
    forged = signed({**world.members, "model.bin": world.random.randbytes(40)}, world.facts, KeyPair.new())
    return replace(forged, public_key=world.original.public_key)


def _own_key_under_the_trusted_name(world: _World) -> Signed:
    """A forged package whose bundles say that the trusted key has signed them."""
    forged = _other_key(world)
    hint = json.loads(world.original.files[MODEL])["verificationMaterial"]
    bundles = {name: json.loads(forged.files[name]) for name in (MODEL, PROVENANCE)}
    renamed = {name: _json({**bundle, "verificationMaterial": hint}) for name, bundle in bundles.items()}
    return replace(forged, files={**forged.files, **renamed})


def _replayed(world: _World) -> Signed:
    """Signatures of another package by the same key: both, or one of them."""
    names = world.random.choice([(MODEL, PROVENANCE), (MODEL,), (PROVENANCE,)])
    return replace(world.original, files={**world.original.files, **{name: world.other.files[name] for name in names}})


def _replayed_whole(world: _World) -> Signed:
    """All that goes with another package, beside this archive."""
    return replace(world.original, files=world.other.files)


def _replayed_signature(world: _World) -> Signed:
    """The signature of one statement, under another statement of the same key."""
    name = world.random.choice([MODEL, PROVENANCE])
    bundle, other = json.loads(world.original.files[name]), json.loads(world.other.files[name])
    bundle["dsseEnvelope"]["signatures"] = other["dsseEnvelope"]["signatures"]
    return replace(world.original, files={**world.original.files, name: _json(bundle)})


def _rewritten(world: _World) -> Signed:
    """A statement about another archive, under the signature of the original one."""
    changed = _sealed({**world.members, "model.bin": world.random.randbytes(40)})
    forged = signed({**world.members, "model.bin": changed[:40]}, world.facts, KeyPair.new())
    files = dict(world.original.files)
    for name in (MODEL, PROVENANCE):
        bundle = json.loads(files[name])
        bundle["dsseEnvelope"]["payload"] = json.loads(forged.files[name])["dsseEnvelope"]["payload"]
        files[name] = _json(bundle)
    return replace(world.original, archive=forged.archive, files=files)


def _truncated(world: _World) -> Signed:
    content = world.original.archive
    return replace(world.original, archive=content[: world.random.randrange(len(content))])


def _longer(world: _World) -> Signed:
    return replace(
        world.original, archive=world.original.archive + world.random.randbytes(world.random.randint(1, 600))
    )


def _added_member(world: _World) -> Signed:
    added = {f"added-{world.random.randrange(1000)}.py": world.random.randbytes(20)}
    return replace(world.original, archive=_sealed({**world.members, **added}))


def _added_document(world: _World) -> Signed:
    name = f"added-{world.random.randrange(1000)}.json"
    return replace(world.original, files={**world.original.files, name: b"{}"})


def _left_out(world: _World) -> Signed:
    name = world.random.choice(sorted(world.original.files))
    return replace(world.original, files={one: it for one, it in world.original.files.items() if one != name})


def _unsigned(world: _World) -> Signed:
    """A bundle without its signature, or with an empty one."""
    name = world.random.choice([MODEL, PROVENANCE])
    bundle = json.loads(world.original.files[name])
    empty = {"keyid": "", "sig": base64.b64encode(world.random.randbytes(world.random.choice([0, 8, 71]))).decode()}
    bundle["dsseEnvelope"]["signatures"] = world.random.choice([[], [empty]])
    return replace(world.original, files={**world.original.files, name: _json(bundle)})


KINDS: Mapping[str, Callable[[_World], Signed]] = {
    "a bit of the archive": _flipped_archive,
    "a bit of a signature": _flipped(MODEL, PROVENANCE),
    "a bit of a document": _flipped(),
    "swapped members": _swapped_members,
    "swapped documents": _swapped_documents,
    "another key": _other_key,
    "another key under the trusted name": _own_key_under_the_trusted_name,
    "signatures of another package": _replayed,
    "all of another package": _replayed_whole,
    "the signature of another statement": _replayed_signature,
    "another statement under the signature": _rewritten,
    "a truncated archive": _truncated,
    "a longer archive": _longer,
    "an added member": _added_member,
    "an added document": _added_document,
    "a file left out": _left_out,
    "no signature": _unsigned,
}


def _sealed(members: Mapping[str, bytes]) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        archive.seal(members, Path(folder) / "model.tar.gz")
        return (Path(folder) / "model.tar.gz").read_bytes()


def _json(bundle: object) -> bytes:
    """As `modelstack.records.provenance.envelope` writes it, so that nothing but the content can give a
    forgery away.
    """
    return json.dumps(bundle, sort_keys=True, separators=(",", ":")).encode()
