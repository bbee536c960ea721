"""The documents of a package, and the two signatures that cover them and the archive.

The model signature covers the archive's digest. The signed provenance covers that and the digest of every document.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from modelstack.records.provenance import bom, card, signature, statement
from modelstack.records.provenance.envelope import SignatureError, Signer, enclose, opened
from modelstack.records.provenance.facts import Facts, FactsError
from modelstack.records.provenance.statement import StatementError

FACTS, BOM, CARD, SAGEMAKER_CARD = "facts.json", "bom.cdx.json", "card.md", "card.sagemaker.json"
MODEL, PROVENANCE = "model.sig", "provenance.sigstore.json"
SIGNATURES = (MODEL, PROVENANCE)


@dataclass(frozen=True)
class Attestation:
    """The documents (name -> bytes), the model signature bundle and the provenance bundle."""

    documents: Mapping[str, bytes]
    model: bytes
    provenance: bytes

    @classmethod
    def of(cls, files: Mapping[str, bytes]) -> Attestation:
        """Sort files by name; raises SignatureError if a signature is missing."""
        if missing := [name for name in SIGNATURES if name not in files]:
            raise SignatureError(f"the package is not signed: found no {' and no '.join(missing)}")
        documents = {name: content for name, content in files.items() if name not in SIGNATURES}
        return cls(documents, files[MODEL], files[PROVENANCE])

    def files(self) -> dict[str, bytes]:
        """Name -> bytes of every file."""
        return {**self.documents, MODEL: self.model, PROVENANCE: self.provenance}

    def verify(self, package_digest: str, public_key: bytes) -> Facts:
        """Return the facts if everything is about one package (`sha256:<hex>`) and signed with one key (PEM).

        Parses nothing before its signature or signed digest was checked. SignatureError says what differs.
        """
        try:
            signed = signature.signed_digest(opened(self.model, public_key))
            told = opened(self.provenance, public_key)
            about, expected = statement.package_of(told), statement.documents_of(told)
        except StatementError as error:
            raise SignatureError(str(error)) from None
        for what, digest in (("model signature", signed), ("provenance", about)):
            if digest != package_digest:
                raise SignatureError(f"the {what} is of {digest}, the archive is {package_digest}")
        found = {name: hashlib.sha256(content).hexdigest() for name, content in self.documents.items()}
        for name in sorted(found.keys() | expected.keys()):
            if found.get(name) != expected.get(name):
                raise SignatureError(
                    f"{name} has sha256 {found.get(name, 'nothing')}, the signed provenance says "
                    f"{expected.get(name, 'no such file')}"
                )
        return self._facts(package_digest)

    def signed_again(self, public_key: bytes, signer: Signer) -> Attestation:
        """The same documents and statements, signed again; `public_key` (PEM) verifies the present signatures."""
        model, provenance = (enclose(opened(one, public_key), signer) for one in (self.model, self.provenance))
        return Attestation(self.documents, model, provenance)

    def _facts(self, package_digest: str) -> Facts:
        try:
            facts = Facts.from_json(self.documents[FACTS])
        except KeyError:
            raise SignatureError(f"the signed provenance names no {FACTS}") from None
        except FactsError as error:
            raise SignatureError(f"{FACTS}: {error}") from None
        if facts.package.digest != package_digest:
            raise SignatureError(f"{FACTS} is of {facts.package.digest}, the archive is {package_digest}")
        return facts


def documents(facts: Facts) -> dict[str, bytes]:
    """Every document made from the facts, including them: the same facts give the same bytes."""
    return {
        FACTS: facts.to_json(),
        BOM: bom.bom(facts),
        CARD: card.markdown(facts),
        SAGEMAKER_CARD: card.sagemaker(facts),
    }


def sign(facts: Facts, signer: Signer) -> Attestation:
    """Make the documents, and sign them and the archive's digest."""
    made = documents(facts)
    model = enclose(signature.statement(facts.package.digest), signer)
    return Attestation(made, model, enclose(statement.statement(facts, made), signer))


def verify_file(archive: Path, files: Mapping[str, bytes], public_key: bytes) -> Facts:
    """Verify an archive on disk, which is read once and not parsed; raises as `Evidence.verify`."""
    with archive.open("rb") as file:
        digest = "sha256:" + hashlib.file_digest(file, "sha256").hexdigest()
    return Attestation.of(files).verify(digest, public_key)
