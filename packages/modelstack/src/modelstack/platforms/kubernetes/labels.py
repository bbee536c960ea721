"""Labels in the cluster: stored when they are posted, and joined with captured predictions by the leader.

Every function may be called twice, concurrently, or be killed: each pair counts once (`modelstack.services.ledger`).
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from modelstack.monitoring.log import log
from modelstack.platforms.kubernetes.captures import Captures, key_of, number_of, put_aside
from modelstack.platforms.kubernetes.database import Database
from modelstack.platforms.kubernetes.documents import PostgresDocuments
from modelstack.platforms.kubernetes.measured import PostgresMetrics
from modelstack.platforms.kubernetes.schema import kept, told
from modelstack.rollout.core.errors import RolloutError
from modelstack.services.labels import Labels
from modelstack.services.ledger import was_taken
from modelstack.services.promises import Promises

MOST = 16 * 1024 * 1024  # the maximum size of a post, bytes
_FILES = 50  # of each variant that one run takes in
_SHOWN_S = 86_400.0  # how long a level is shown when no label comes any more


def take_labels(database: Database, endpoint: str, name: str, lines: bytes) -> bool:
    """Store a file of labels until it is joined; whether its content is new. The caller has checked the endpoint.

    After Busy or Unreachable, send the file again; another RolloutError means that it is too large.
    """
    if len(lines) > MOST:
        raise RolloutError(f"labels {name}: got {len(lines):,} bytes, at most {MOST:,} are taken at once: split them")
    digest = hashlib.sha256(lines).hexdigest()
    if was_taken(PostgresDocuments(database, endpoint), f"labels {digest}"):
        return False
    return bool(
        database.run(
            f"keep labels {name}",
            "INSERT INTO label_files (endpoint, digest, name, lines) VALUES (:endpoint, :digest, :name, :lines) "
            "ON CONFLICT DO NOTHING RETURNING 1",
            endpoint=endpoint,
            digest=digest,
            name=kept(name),
            lines=lines,
        )
    )


@dataclass(frozen=True)
class RejectedLabels:
    """`Aside` of one endpoint."""

    database: Database
    endpoint: str

    def keep(self, name: str, lines: Sequence[str]) -> None:
        """Store rejected lines."""
        self.database.together(
            f"keep rejected labels of {self.endpoint}", lambda run: put_aside(run, self.endpoint, "labels", name, lines)
        )


def labels_of(database: Database, promises: Promises, now: Callable[[], float]) -> Labels:
    """The labels of one endpoint, in PostgreSQL."""
    endpoint = promises.state.endpoint
    documents, metrics = PostgresDocuments(database, endpoint), PostgresMetrics(database, endpoint, _SHOWN_S)
    return Labels(documents, metrics, RejectedLabels(database, endpoint), promises, now)


def join(database: Database, endpoint: str, labels: Labels) -> int:
    """Process new files of labels and captures; returns the number of completed pairs.

    A failure of one variant does not stop the others; the first one is raised at the end, and the next call retries it.
    """
    labels.finish()
    variants = database.run(
        f"list the variants of {endpoint}",
        "SELECT variant, joined FROM variants WHERE endpoint = :endpoint AND joined < last ORDER BY variant",
        endpoint=endpoint,
    )
    joined, failures = 0, list[RolloutError]()
    for take in (
        _label_files(database, endpoint, labels),
        *(_answers(Captures(database, endpoint), variant, after, labels) for variant, after in variants),
    ):
        try:
            joined += sum(take)
        except RolloutError as error:
            log("labels not taken in", endpoint=endpoint, error=str(error))
            failures.append(error)
    labels.sum_up()
    if failures:
        raise failures[0]
    return joined


def _label_files(database: Database, endpoint: str, labels: Labels) -> Iterator[int]:
    waiting = database.run(
        f"look for labels of {endpoint}",
        "SELECT digest FROM label_files WHERE endpoint = :endpoint AND NOT taken ORDER BY received LIMIT :most",
        endpoint=endpoint,
        most=_FILES,
    )
    for (digest,) in waiting:
        of = {"endpoint": endpoint, "digest": digest}
        found = database.run(
            f"read labels {digest[:12]}",
            "SELECT name, lines FROM label_files WHERE endpoint = :endpoint AND digest = :digest AND NOT taken",
            **of,
        )
        for name, lines in found:
            yield labels.take_labels(told(name), digest, io.BytesIO(lines))
            done = "UPDATE label_files SET taken = true WHERE endpoint = :endpoint AND digest = :digest"
            database.run(f"note that labels {digest[:12]} are taken in", done, **of)


def _answers(captures: Captures, variant: str, after: int, labels: Labels) -> Iterator[int]:
    for key in captures.keys(variant, key_of(variant, after), _FILES):
        try:
            lines, received = captures.file(key)
        except FileNotFoundError:
            pass  # forgotten since it was listed
        else:
            yield labels.take_answers(variant, key, received, lines)
        captures.database.run(
            f"note that {key} is joined",
            "UPDATE variants SET joined = greatest(joined, :number) WHERE endpoint = :endpoint AND variant = :variant",
            endpoint=captures.endpoint,
            variant=variant,
            number=number_of(key),
        )
