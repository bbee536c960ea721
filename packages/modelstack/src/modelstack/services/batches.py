"""Batches of losses and counts: claimed, published once, then merged into the quality state of their variant.

    claimed --send--> (sending) --> sent --sum_up--> part of `quality#<variant>`

Some metric stores cannot detect a duplicate (`Metrics.repeatable`); there a batch is marked before it is sent. If the
call is then killed or the answer is lost, the batch is never sent again and its labels count as `LabelsLost`: a judge
that sees fewer labels errs less than one that sees some twice.

One transaction deletes batches and writes the next `quality#<variant>`, so each batch is merged once, even a lost one.
"""

from __future__ import annotations

import time
import uuid
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from modelstack.forms import check
from modelstack.monitoring.custom import CustomMetrics
from modelstack.monitoring.drift.shift import unjudged
from modelstack.monitoring.labels.claimed import answered_of, content, custom_of, measured, rows_of
from modelstack.monitoring.labels.pairs import Batch
from modelstack.monitoring.labels.standing import Promised, Standing, shown
from modelstack.monitoring.log import log
from modelstack.monitoring.measurements import Datum, Metrics
from modelstack.monitoring.published import LOST
from modelstack.rollout.core.errors import Busy, RolloutError, Unreachable
from modelstack.services.drift_record import reading_key
from modelstack.services.ports import Document, Documents

_CLAIMED, _SENDING, _SENT = "batch", "batch-sending", "batch-sent"
UNFINISHED = (_CLAIMED, _SENT)
"""The queues of batches that `finish` and `sum_up` still process."""
_PENDING_SECONDS = 60  # a batch this old was left by a call that was killed
_SENDING_SECONDS = 900  # the longest that a call takes
_TOGETHER = 50  # batches that one transaction sums up


@dataclass(frozen=True)
class Batches:
    """The batches of one endpoint."""

    documents: Documents
    metrics: Metrics
    now: Callable[[], float] = time.time
    custom: CustomMetrics = field(default_factory=CustomMetrics)

    def document(self, body: Mapping[str, Any]) -> Document:
        """A new batch, to be written in one transaction with its claims."""
        return Document(f"batch#{uuid.uuid4().hex}", body, queue=_CLAIMED, since=self.now())

    def finish(self) -> None:
        """Send the batches of calls that were killed before sending; give up those killed while sending."""
        patience = 0 if self.metrics.repeatable else _PENDING_SECONDS
        for batch in self.documents.scan(_CLAIMED, self.now() - patience):
            self.send(batch)
        for batch in self.documents.scan(_SENDING, self.now() - _SENDING_SECONDS):
            self._give_up(batch)

    def send(self, batch: Document) -> None:
        """Send a stored batch, unless another call does. Its time is that of sending: closed windows never change."""
        marked = batch if self.metrics.repeatable else self._moved(batch, _SENDING)
        if marked is None:
            return
        try:
            self.metrics.put(*measured(batch.body, self.now()), once=batch.key)
        except Unreachable:
            raise
        except RolloutError:  # nothing was published
            if not self.metrics.repeatable:
                self._moved(marked, _CLAIMED)
            raise
        self._sent(marked)

    def _moved(self, batch: Document, queue: str) -> Document | None:
        after = replace(batch, queue=queue, since=self.now())
        return None if self.documents.transact([after]) else replace(after, revision=after.revision + 1)

    def _sent(self, batch: Document, *more: Document) -> bool:
        """Release a batch for `sum_up`, or delete one without rows; False if another call was first."""
        if batch.body["rows"] or batch.body["answered"] or batch.body.get("custom"):
            return not self.documents.transact([replace(batch, queue=_SENT, since=self.now()), *more])
        return not self.documents.transact(more, [batch])

    def _give_up(self, batch: Document) -> None:
        lost = self.document(content(Batch(), {}, Counter({LOST: max(1, len(batch.body["rows"]))})))
        if self._sent(batch, lost):
            self.send(replace(lost, revision=1))

    def sum_up(self, promised: Callable[[str], Promised | None]) -> None:
        """Merge sent batches into the quality state of each variant, and publish it.

        `promised` gives what a variant's release was sealed with; None if the release is unknown.
        """
        groups, left = dict[str, list[Document]](), set[str]()  # `left`: another call sums up these variants
        for batch in self.documents.scan(_SENT, self.now()):  # group by group: all of a backlog is too much to hold
            variant = batch.body["variant"]
            group = groups.setdefault(variant, [])
            if len(group) == _TOGETHER:
                if self._take(variant, group, promised(variant), last=False) is None:
                    left.add(variant)
                group.clear()
            if variant not in left:
                group.append(batch)
        for variant, group in groups.items():
            known = promised(variant)
            state = self._take(variant, group, known, last=True) if group else None
            if state is not None:
                gauges = [*(state.gauges(known) if known else ()), *state.custom.gauges(self.custom)]
                levels = [
                    Datum(one.name, variant, one.value, "None", self.now(), segment=one.segment) for one in gauges
                ]
                self.metrics.put(levels)

    def _take(
        self, variant: str, batches: Sequence[Document], promised: Promised | None, *, last: bool
    ) -> Standing | None:
        """Merge batches in one transaction; None if another call was first. The last ones also judge the days."""
        stored = _read(self.documents, variant)
        state = _state(stored)
        state.take(
            [row for batch in batches for row in rows_of(batch.body)],
            [answered_of(batch.body) for batch in batches],
            promised,
        )
        state.custom.take((tally for batch in batches for tally in custom_of(batch.body).items()), self.custom)
        if last:
            state.judge(promised)
        before = stored.body.get("shown", {}).get("labelled_at")
        labelled = max((batch.since for batch in batches if batch.body["rows"]), default=before)
        figures = shown(state, promised, self.now()) | {"labelled_at": labelled}
        figures |= state.custom.shown(self.custom)
        body = {"state": state.as_dict(), "shown": figures}
        try:
            return None if self.documents.transact([replace(stored, body=body)], batches) else state
        except Busy:
            return None


def quality(documents: Documents, variant: str) -> dict[str, Any] | None:
    """The figures of a variant for people, see `modelstack.monitoring.labels.standing.shown`; None if there are none.

    `labelled_at` is when its newest labels were counted, None without any; `drift` why drift is not judged.
    """
    key, drift = f"quality#{variant}", reading_key(variant)
    found = documents.get([key, drift])
    for form, name in (("quality state", key), ("drift record", drift)):
        check(form, found[name].body.get("version", 1), RolloutError)
    why, figures = unjudged(found[drift].body.get("state")), found[key].body.get("shown")
    if figures is None and not why:
        return None
    nothing = {"at": time.time(), "since": None, "values": {}, "reach": None}
    return {"labelled_at": None, **(figures or nothing), "drift": why}


def _read(documents: Documents, variant: str) -> Document:
    key = f"quality#{variant}"
    return documents.get([key])[key]


def _state(document: Document) -> Standing:
    """A stored quality state; a new one if it is missing or of an unknown form."""
    if not document.revision:
        return Standing.new()
    check("quality state", document.body.get("version", 1), RolloutError)
    try:
        return Standing.from_dict(document.body.get("state"))
    except ValueError as error:
        log("quality state not read", key=document.key, error=repr(error))
        return Standing.new()
