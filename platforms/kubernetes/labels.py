"""Labels, joined with captured answers in the cluster: taken in by a post, and worked on by whoever holds the lease.

    take_labels(database, "flights", "monday.jsonl", lines)         # POST /labels/flights
    labels = Labels(database, "flights", member=member, find=find)
    labels.run(state)                                                # what has come since; every few seconds
    labels.sweep(state)                                              # labels that wait too long; every few minutes

Everything may be called twice, at once, and be killed: each pair counts once (`platforms.kubernetes.ledger`).
"""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from monitoring.captured import Malformed
from monitoring.exchanges import traffic
from monitoring.labels.answered import Reader
from monitoring.labels.baseline import Baseline
from monitoring.labels.concept import FALSE_ALARMS, LOSS_RISE, Tolerated
from monitoring.labels.joining import LabelJoin
from monitoring.labels.pairs import Trial
from monitoring.labels.quality import Form
from monitoring.labels.standing import Promised
from monitoring.log import log
from platforms.kubernetes.captures import Captures, key_of, number_of
from platforms.kubernetes.database import Database
from platforms.kubernetes.ledger import PostgresLedger
from platforms.kubernetes.schema import kept, told
from platforms.kubernetes.standings import Standings
from rollout.core.errors import RolloutError
from rollout.core.release import Release
from rollout.core.state import RolloutState

FORM, BASELINE = "answer.json", "baseline.json"
"""Members of a package: the form of its predictions, and how good it was when it was evaluated."""
MOST = 16 * 1024 * 1024
"""Bytes of one post of labels."""
_FILES = 50  # of each variant that one run takes in
_CLAIMS = 400  # pairs of one transaction

Member = Callable[[Release, str], bytes | None]
"""One member of a release's sealed package, proven; None when it has none of that name. It raises RolloutError, and
remembers what it has read: it is asked again at every run."""
Find = Callable[[str], Release | None]
"""The release of a variant that the journal does not tell of any more."""


@dataclass(frozen=True)
class Watched:
    """How labels are held against what was promised.

    Attributes:
        wait: Seconds that a label waits for its answer before it counts as unknown.
        segments: Columns by which errors are told apart.
        late_days: After how many days the labels of a day have come.
        loss_rise: By which share of the sealed loss it may rise.
        false_alarms: How many of a moved concept are tolerated a year and variant.
        every: Seconds a block at least, of a model whose rows have no times.
    """

    wait: float = 3600.0
    segments: tuple[str, ...] = ()
    late_days: float = 1.0
    loss_rise: float = LOSS_RISE
    false_alarms: float = FALSE_ALARMS
    every: float = 3600.0


def take_labels(database: Database, endpoint: str, name: str, lines: bytes) -> bool:
    """Keep a file of labels until it is joined; returns whether its content is new.

    Args:
        database: The database.
        endpoint: The endpoint, of which the caller knows that it is there.
        name: The file's, for people.
        lines: See `monitoring.labels.lines`.

    Raises:
        RolloutError: It is too large.
        Busy, Unreachable: The same file should be sent again.
    """
    if len(lines) > MOST:
        raise RolloutError(f"labels {name}: got {len(lines):,} bytes, at most {MOST:,} are taken at once: split them")
    return bool(
        database.run(
            f"keep labels {name}",
            "INSERT INTO label_files (endpoint, digest, name, lines) SELECT :endpoint, :digest, :name, :lines "
            "WHERE NOT EXISTS (SELECT 1 FROM taken WHERE endpoint = :endpoint AND once = :once) "
            "ON CONFLICT DO NOTHING RETURNING 1",
            endpoint=endpoint,
            digest=(digest := hashlib.sha256(lines).hexdigest()),
            once=f"labels {digest}",
            name=kept(name),
            lines=lines,
        )
    )


@dataclass(frozen=True)
class Labels:
    """Joins what has come of one endpoint.

    Attributes:
        database: The database.
        endpoint: The endpoint.
        member: Reads members of packages.
        find: Finds releases of before.
        watched: How labels are held against what was promised.
    """

    database: Database
    endpoint: str
    member: Member
    find: Find = lambda _: None
    watched: Watched = Watched()

    def run(self, state: RolloutState) -> int:
        """Take in the files of labels and of captured answers that have come; returns how many pairs were completed.

        What fails of one variant stops no other.

        Raises:
            RolloutError: At the end: something could not be taken in, and will be tried again.
        """
        join, joined, failures = self._join(state), 0, list[RolloutError]()
        for take in (self._label_files, *(self._answers_of(variant) for variant in self._variants())):
            try:
                joined += sum(take(join, state))
            except RolloutError as error:
                log("labels not taken in", endpoint=self.endpoint, error=str(error))
                failures.append(error)
        Standings(self.database, self.endpoint).sum_up(lambda variant: self._promised(state, variant))
        if failures:
            raise failures[0]
        return joined

    def sweep(self, state: RolloutState) -> int:
        """Join what calls that were killed left, and give up labels that wait too long; returns how many of these."""
        return self._join(state).sweep(self.watched.wait)

    def _join(self, state: RolloutState) -> LabelJoin:
        ledger = PostgresLedger(self.database, self.endpoint)
        return LabelJoin(ledger, ledger, Trial.of(state), claims=_CLAIMS)

    def _label_files(self, join: LabelJoin, state: RolloutState) -> Iterator[int]:
        """Take in the files of labels, oldest first."""
        waiting = self.database.run(
            f"look for labels of {self.endpoint}",
            "SELECT digest FROM label_files WHERE endpoint = :endpoint AND NOT taken ORDER BY received LIMIT :most",
            endpoint=self.endpoint,
            most=_FILES,
        )
        for (digest,) in waiting:
            of = {"endpoint": self.endpoint, "digest": digest}
            found = self.database.run(
                f"read labels {digest[:12]}",
                "SELECT name, lines FROM label_files WHERE endpoint = :endpoint AND digest = :digest AND NOT taken",
                **of,
            )
            for name, lines in found:
                yield join.labels(told(name), digest, io.BytesIO(lines))
                done = "UPDATE label_files SET taken = true WHERE endpoint = :endpoint AND digest = :digest"
                self.database.run(f"note that labels {digest[:12]} are taken in", done, **of)

    def _variants(self) -> Sequence[str]:
        found = self.database.run(
            f"list the variants of {self.endpoint}",
            "SELECT variant FROM variants WHERE endpoint = :endpoint AND joined < last ORDER BY variant",
            endpoint=self.endpoint,
        )
        return [variant for (variant,) in found]

    def _answers_of(self, variant: str) -> Callable[[LabelJoin, RolloutState], Iterator[int]]:
        def take(join: LabelJoin, state: RolloutState) -> Iterator[int]:
            of = {"endpoint": self.endpoint, "variant": variant}
            after = self.database.run(
                f"see how far {variant} is joined",
                "SELECT joined FROM variants WHERE endpoint = :endpoint AND variant = :variant",
                **of,
            )[0][0]
            captures = Captures(self.database, self.endpoint)
            form = self._form(state, variant)
            for key in captures.keys(variant, key_of(variant, after), _FILES):
                yield self._take(captures, key, form, join)
                self.database.run(
                    f"note that {key} is joined",
                    "UPDATE variants SET joined = greatest(joined, :number) "
                    "WHERE endpoint = :endpoint AND variant = :variant",
                    number=number_of(key),
                    **of,
                )

        return take

    def _take(self, captures: Captures, key: str, form: Form | Malformed, join: LabelJoin) -> int:
        try:
            lines, received = captures.file(key)
        except FileNotFoundError:
            return 0
        now = self.database.run("ask the time", "SELECT extract(epoch FROM now())::float8")[0][0]
        variant = key.rpartition("/")[0]
        reader = Reader(variant, form, written=received, now=now, segments=self.watched.segments)
        return join.answers(key, reader, traffic(lines))

    def _form(self, state: RolloutState, variant: str) -> Form | Malformed:
        """The form of a variant's predictions, or why it is not known."""
        release = self._release(state, variant)
        if release is None:
            return Malformed("neither the rollout nor the registry knows a release of this variant")
        found = self.member(release, FORM)
        try:
            return Form.from_dict(json.loads(found)) if found else Malformed("the release has no answer.json")
        except ValueError as error:
            return Malformed(str(error))

    def _promised(self, state: RolloutState, variant: str) -> Promised | None:
        """What a variant's release was sealed with; None for one that nobody knows, or whose package cannot be used."""
        try:
            release = self._release(state, variant)
            form, sealed = (self.member(release, name) if release else None for name in (FORM, BASELINE))
            if form is None:
                return None
            baseline = Baseline.from_dict(json.loads(sealed)) if sealed else None
            return self._held(Form.from_dict(json.loads(form)), baseline)
        except (RolloutError, ValueError) as error:
            log("baseline not read", endpoint=self.endpoint, variant=variant, error=repr(error))
            return None

    def _held(self, form: Form, sealed: Baseline | None) -> Promised:
        if sealed is None or sealed.usual is None:
            return Promised(form, sealed.performance if sealed else None)
        tolerated = Tolerated.of(
            sealed.usual,
            share=self.watched.loss_rise,
            false_alarms=self.watched.false_alarms,
            late_days=self.watched.late_days,
            every=self.watched.every,
        )
        return Promised(form, sealed.performance, tolerated)

    def _release(self, state: RolloutState, variant: str) -> Release | None:
        return next((one for one in state.releases() if one.variant == variant), None) or self.find(variant)
