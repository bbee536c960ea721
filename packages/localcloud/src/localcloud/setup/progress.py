"""How does a person see that set-up is at work? One line a step; on a terminal it moves."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO

_QUIET_S = 15.0
_REDRAW_S = 0.2


class Step:
    """One step that takes a while."""

    def __init__(self, title: str, stream: TextIO) -> None:
        self._title = title
        self._stream = stream
        self._live = stream.isatty()
        self._began = self._shown = time.monotonic()
        if self._live:
            self._draw("")
        else:
            print(f"  {title} ...", file=stream, flush=True)

    def at(self, detail: str) -> None:
        """Say how far it is; shown as often as is bearable."""
        now = time.monotonic()
        if now - self._shown < (_REDRAW_S if self._live else _QUIET_S):
            return
        self._shown = now
        if self._live:
            self._draw(detail)
        else:
            print(f"    {detail} ({self._took()})", file=self._stream, flush=True)

    def done(self, sign: str) -> None:
        """End the step's line."""
        if self._live:
            self._stream.write(f"\r\x1b[K  {sign} {self._title} ({self._took()})\n")
            self._stream.flush()
        else:
            print(f"  {sign} {self._title} ({self._took()})", file=self._stream, flush=True)

    def _draw(self, detail: str) -> None:
        self._stream.write(f"\r\x1b[K  … {self._title} {self._took()} {detail}")
        self._stream.flush()

    def _took(self) -> str:
        minutes, seconds = divmod(int(time.monotonic() - self._began), 60)
        return f"{minutes}:{seconds:02}"


@contextmanager
def step(title: str, stream: TextIO | None = None) -> Iterator[Step]:
    """Show one step from its start to its end."""
    shown = Step(title, stream or sys.stderr)
    try:
        yield shown
    except BaseException:
        shown.done("✗")
        raise
    shown.done("✓")
