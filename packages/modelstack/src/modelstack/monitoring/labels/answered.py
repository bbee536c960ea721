"""Readers of captured answers: their time, scores, and the parts to compare with a label."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from modelstack.monitoring import captured
from modelstack.monitoring.captured import Malformed, Recorded, Row, Rows
from modelstack.monitoring.labels.lines import LONGEST, LONGEST_ROWS, is_id
from modelstack.monitoring.labels.pairs import CapturedAnswer
from modelstack.monitoring.labels.performance import segment_of
from modelstack.monitoring.labels.quality import Form, Scored

FAST, SLOW = 300.0, 3600.0
"""Seconds that an instance's clock may be ahead of ours, and behind its file, which is written later."""


@dataclass(frozen=True)
class Reader:
    """Reads the answers of one variant.

    Attributes:
        form: The form of the release's predictions, or why it is unknown.
        written: When the file was written, epoch seconds; `now` likewise.
        segments: Columns of an instance by which predictions are grouped.
        with_rows: Whether custom metrics need the rows once the label has come.
    """

    variant: str
    form: Form | Malformed
    written: float = -math.inf
    now: float = math.inf
    segments: Sequence[str] = ()
    with_rows: bool = False

    def skew(self, item: Recorded) -> str | None:
        """Why the time of an answer cannot be true; None when it can."""
        at = _time(item)
        if at is None:
            return f"eventMetadata.inferenceTime: got {json.dumps(item.at[:40])}, expected a time"
        if at > self.now + FAST:
            return f"the answer's time is more than {FAST:.0f} s ahead of ours: an instance's clock is wrong"
        if at < self.written - SLOW:
            return f"the answer's time is more than {SLOW:.0f} s before its file's: an instance's clock is wrong"
        return None

    def time(self, item: Recorded) -> float:
        """Epoch seconds of an answer; 0, which is in no trial, when its time cannot be true."""
        return 0.0 if self.skew(item) else _time(item) or 0.0

    def answer(self, item: Recorded | Malformed) -> tuple[str, CapturedAnswer] | Malformed | None:
        """An answer by its inference id, or why it cannot be read; None without a usable id."""
        if isinstance(item, Malformed):
            return item
        if item.inference_id is None or not is_id(item.inference_id):
            return None
        rows = captured.predictions(item)
        if isinstance(rows, Malformed):
            return rows
        if isinstance(self.form, Malformed):
            return self.form
        return self._kept(item, item.inference_id, rows, self.form)

    def _kept(
        self, item: Recorded, inference_id: str, rows: Rows, form: Form
    ) -> tuple[str, CapturedAnswer] | Malformed:
        if not rows:
            return Malformed("the answer has no predictions")
        said, segments = [form.said(row) for row in rows], self._segments(item, len(rows))
        if len(json.dumps([said, segments])) > LONGEST:
            return Malformed(f"the answer has too many predictions for a label: more than {LONGEST:,} characters")
        at, about = self.time(item), self._about(item)
        return inference_id, CapturedAnswer(
            *(item.event_id, self.variant, at, form.as_dict(), said, segments, about, self._rows(item, rows))
        )

    def _rows(self, item: Recorded, answers: Rows) -> list[tuple[Row, Row]] | None:
        """Instances with their predictions; None if no metric needs them, empty if they are unknown or too large."""
        requests = captured.instances(item) if self.with_rows else None
        if requests is None or isinstance(requests, Malformed) or len(requests) != len(answers):
            return None if requests is None else []
        found = list(zip(requests, answers, strict=True))
        return found if len(json.dumps(found)) <= LONGEST_ROWS else []

    def _about(self, item: Recorded) -> float | None:
        at, told = captured.when(item, self.now)
        return at if told else None

    def scores(self, item: Recorded) -> Iterator[Scored]:
        """The score of each prediction that has one."""
        rows = captured.predictions(item)
        if isinstance(self.form, Malformed) or isinstance(rows, Malformed):
            return
        for row in rows:
            scored = self.form.scored(self.form.said(row))
            if scored is not None:
                yield scored

    def _segments(self, item: Recorded, predictions: int) -> list[dict[str, str]]:
        if not self.segments:
            return []
        rows = captured.instances(item)
        if isinstance(rows, Malformed) or len(rows) != predictions:
            return [segment_of({}, self.segments)] * predictions
        return [segment_of(row, self.segments) for row in rows]


def _time(item: Recorded) -> float | None:
    try:
        return datetime.fromisoformat(item.at).timestamp()
    except (ValueError, OverflowError):
        return None
