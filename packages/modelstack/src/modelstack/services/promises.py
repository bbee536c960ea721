"""What a release was sealed with, for the monitors: read from its package, which is verified before it is parsed.

promises = Promises(state, remembered(member), find)
promises.promised("v-77c1aa20b3f1")     # the baseline that its labels are compared with
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from functools import lru_cache

from modelstack.monitoring.captured import Malformed
from modelstack.monitoring.drift.reference import Reference
from modelstack.monitoring.labels.baseline import Baseline
from modelstack.monitoring.labels.concept import Tolerated
from modelstack.monitoring.labels.quality import Form
from modelstack.monitoring.labels.standing import Promised
from modelstack.monitoring.log import log
from modelstack.rollout.core.errors import RolloutError
from modelstack.rollout.core.state import RolloutState
from modelstack.services.measuring import Measuring
from modelstack.services.sealed_packages import BASELINE, FORM, REFERENCE, Sealed

_MEMBERS = 64  # that are remembered; each has some hundred kilobytes at most

Member = Callable[[Sealed, str], bytes | None]
"""Reads one verified member of a release's package; None if there is none of that name. Raises RolloutError."""
Find = Callable[[str], Sealed | None]
"""The package of a variant that is no longer in the journal."""


def remembered(member: Member) -> Member:
    """The same with a cache: a package never changes."""
    known: dict[tuple[str, str], bytes | None] = {}

    def read(release: Sealed, name: str) -> bytes | None:
        key = release.manifest_sha256, name
        if key not in known:
            found = member(release, name)
            if len(known) >= _MEMBERS:
                known.pop(next(iter(known), key), None)  # another thread may have been first
            known[key] = found
        return known[key]

    return read


@dataclass(frozen=True)
class Promises:
    """What the releases of one endpoint were sealed with."""

    state: RolloutState
    member: Member
    find: Find = lambda _: None
    settings: Measuring = field(default_factory=Measuring)

    def form(self, variant: str) -> Form | Malformed:
        """The form of a variant's predictions, or why it is not known; raises as `member`."""
        package = self._package(variant)
        if package is None:
            return Malformed("neither the rollout nor the registry knows a release of this variant")
        found = self.member(package, FORM)
        try:
            return _form(found) if found else Malformed("the release has no answer.json")
        except ValueError as error:
            return Malformed(str(error))

    def promised(self, variant: str) -> Promised | None:
        """The sealed baseline of a variant; None for an unknown release, or one whose package is unusable."""
        try:
            package = self._package(variant)
            form, sealed = (self.member(package, name) if package else None for name in (FORM, BASELINE))
            return self._compared(_form(form), _baseline(sealed) if sealed else None) if form else None
        except (RolloutError, ValueError) as error:
            log("baseline not read", endpoint=self.state.endpoint, variant=variant, error=repr(error))
            return None

    def _compared(self, form: Form, sealed: Baseline | None) -> Promised:
        if sealed is None or sealed.usual is None:
            return Promised(form, sealed.performance if sealed else None)
        tolerated = Tolerated.of(
            sealed.usual,
            share=self.settings.max_loss_rise,
            false_alarms=self.settings.concept_false_alarms,
            late_days=self.settings.labels_days,
            every=self.settings.block_seconds,
        )
        return Promised(form, sealed.performance, tolerated)

    def references(self, variants: Collection[str] | None = None) -> tuple[dict[str, Reference], dict[str, Exception]]:
        """The references of the serving variants (or of `variants` only), and why others are unavailable."""
        found: dict[str, Reference] = {}
        failures: dict[str, Exception] = {}
        for release in (self.state.champion, self.state.challenger):
            if release is None or (variants is not None and release.variant not in variants):
                continue
            try:
                found[release.variant] = _reference(self.member(release, REFERENCE))
            except (RolloutError, ValueError) as error:
                log("reference not read", endpoint=self.state.endpoint, variant=release.variant, error=str(error))
                failures[release.variant] = error
        return found, failures

    def _package(self, variant: str) -> Sealed | None:
        return next((one for one in self.state.releases() if one.variant == variant), None) or self.find(variant)


@lru_cache(maxsize=8)
def _form(sealed: bytes) -> Form:
    return Form.from_dict(json.loads(sealed))


@lru_cache(maxsize=8)
def _baseline(sealed: bytes) -> Baseline:
    return Baseline.from_dict(json.loads(sealed))


@lru_cache(maxsize=8)
def _reference(sealed: bytes | None) -> Reference:
    return Reference.from_dict(json.loads(sealed) if sealed else None)
