"""The eight ports that a platform implements. The rest of this package is written once above them.

| port        | what it is                                       | on AWS              | on Kubernetes              |
|-------------|--------------------------------------------------|---------------------|----------------------------|
| `Traffic`   | the variants of an endpoint, and their weights   | SageMaker           | HTTPRoute and Deployments  |
| `Metrics`   | `Counters` reads counts per variant and window,  | CloudWatch          | Prometheus,                |
|             | `modelstack.monitoring.measurements.Metrics` writes         |                     | PostgreSQL
|
| `Alarms`    | which alarms fire                                | CloudWatch          | Prometheus                 |
| `Documents` | small JSON documents with compare-and-set        | DynamoDB            | PostgreSQL                 |
| `Blobs`     | bytes by name, written once                      | S3                  | PostgreSQL, registry or S3 |
| `Versions`  | the versions of a model, and who approved them   | model package group | ModelPackage objects       |
| `Invoke`    | one request to one variant                       | SageMaker runtime   | the gateway                |
| `Identity`  | who the caller is, and a signature in their name | STS and KMS         | a token and a Secret       |

`Traffic` is in `modelstack.rollout.controller.ports`, `Counters` and `Alarms` are in `modelstack.services.counters`,
`Versions` and `Invoke` in modules of their names. `Identity` is no class yet: it is
`modelstack.services.approvals.Approvals.caller` and `modelstack.records.provenance.envelope.Signer`.

Every call raises `modelstack.rollout.core.errors.Unreachable` if the platform does not answer, and `Busy` if it takes
no change now. Every call may be repeated: by several callers, late, or twice.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

MOST = 100
"""Maximum number of documents in one transaction."""
LARGEST = 350_000
"""Maximum bytes of one document."""
TOGETHER = 3_500_000
"""Maximum bytes of all documents of one transaction."""


@dataclass(frozen=True)
class Document:
    """A small JSON document.

    Attributes:
        key: Unique in the store, such as `label#8f3a`.
        body: JSON values, at most `LARGEST` bytes when `modelstack.services.documents.packed`.
        revision: Number of writes so far; 0: it does not exist yet. A write succeeds only on the stored revision.
        queue: The queue of `Documents.scan` that lists it; empty for none.
        since: Its place in the queue, epoch seconds.
    """

    key: str
    body: Mapping[str, Any] = field(default_factory=dict[str, Any])
    revision: int = 0
    queue: str = ""
    since: float = 0.0


class Documents(Protocol):
    """Small JSON documents with compare-and-set; deleted after 45 days without a write, except `documents.LASTING`."""

    def get(self, keys: Iterable[str]) -> Mapping[str, Document]:
        """Read documents consistently; one that does not exist is an empty one of revision 0."""

    def scan(self, queue: str, before: float) -> Iterator[Document]:
        """The documents of a queue with `since` at most `before`, oldest first; they may be late by a second."""

    def transact(self, puts: Sequence[Document], deletes: Sequence[Document] = ()) -> frozenset[str]:
        """Write or delete documents together, each at its revision, or none of them.

        Writes at most `MOST` documents and `TOGETHER` bytes; the stored ones have the next revision. Returns keys at
        which another writer was first, at least one of them; empty if everything was written.
        """


class Blobs(Protocol):
    """Bytes by name; a name never gets other bytes."""

    def put_new(self, name: str, content: bytes) -> None:
        """Write bytes under a name, or raise `modelstack.rollout.core.errors.Conflict` if it has other bytes."""

    def get(self, name: str) -> Iterable[bytes]:
        """Read a blob in chunks of about a megabyte, or raise `FileNotFoundError`."""

    def list(self, prefix: str, after: str = "", most: int = 1000) -> Sequence[str]:
        """Up to `most` names with a prefix that sort after a name, in order."""


def names(blobs: Blobs, prefix: str, after: str = "") -> Iterator[str]:
    """All names with a prefix that sort after a name, in order."""
    while found := blobs.list(prefix, after):
        yield from found
        after = found[-1]
