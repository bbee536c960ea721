"""The quality of each variant, as it was last published."""

from __future__ import annotations

from collections.abc import Sequence

from cli.platform.choose import platform_of
from cli.platform.facts import QualityView
from cli.target import Target


def read(target: Target, variants: Sequence[str]) -> tuple[QualityView, ...]:
    """How the variants stand; none of which no label and no answer came."""
    return platform_of(target).quality(variants)
