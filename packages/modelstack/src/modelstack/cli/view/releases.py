"""The names of a release, and which release a person means by one.

The id is 12 hex digits and the variant is `v-<id>`. The recipe and package digests name the model; they are accepted,
whole or from 12 digits on, if only one release has it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from modelstack.cli.errors import OperatorError
from modelstack.cli.platform.choose import platform_of
from modelstack.cli.target import Target
from modelstack.rollout.core.release import ID_DIGITS
from modelstack.rollout.core.state import RolloutState


@dataclass(frozen=True)
class Name:
    """The names of one release; `package` is `sha256:<hex>`."""

    id: str
    recipe: str
    package: str

    def meant_by(self, word: str, least: int = ID_DIGITS) -> bool:
        """Whether `word` names this release; a prefix needs `least` digits."""
        bare = _bare(word)
        if bare == self.id:
            return True
        names = (self.id, self.recipe, self.package.removeprefix("sha256:"))
        return len(bare) >= least and any(name.startswith(bare) for name in names)


def _bare(word: str) -> str:
    return word.lower().removeprefix("v-").removeprefix("sha256:")


def rejected(state: RolloutState) -> list[Name]:
    """The releases that are not tried again."""
    return [Name(item.release, item.recipe, item.package_digest) for item in state.rejected.values()]


def known(state: RolloutState) -> list[Name]:
    """Every release that the journal names."""
    verdicts = [*state.rejected.values(), *([state.verdict] if state.verdict else [])]
    names = [Name(item.id, item.recipe, item.package_digest) for item in state.releases()]
    names += [Name(item.release, item.recipe, item.package_digest) for item in verdicts]
    return list(dict.fromkeys(names))


def find(word: str, names: Iterable[Name], least: int = ID_DIGITS) -> Name | None:
    """The release that `word` names, if any; a prefix needs `least` digits.

    OperatorError lists several that match: by a prefix, or by a model that they serve in different images.
    """
    meant = [name for name in names if name.meant_by(word, least)]
    exact = [name for name in meant if name.id == _bare(word)] or meant
    if len(exact) > 1:
        one_model = len({name.package for name in exact}) == 1
        said = "names the model of several releases, each in another image" if one_model else "begins several releases"
        raise OperatorError(f"{word} {said}: {', '.join(name.id for name in exact)}")
    return exact[0] if exact else None


def journal_state(target: Target) -> RolloutState:
    """The rollout state in the journal; OperatorError when it does not answer."""
    return platform_of(target).state()


def variant_of(target: Target, word: str | None) -> str | None:
    """The variant that its own or its release's name means; None for None. OperatorError lists those there are."""
    names = list(platform_of(target).endpoint().live.variants)
    if word is None or word in names:
        return word
    name = find(word, known(journal_state(target)))
    if name is not None and f"v-{name.id}" in names:
        return f"v-{name.id}"
    raise OperatorError(f"variant {word}: not on endpoint {target.endpoint}; there are: {', '.join(names) or 'none'}")
