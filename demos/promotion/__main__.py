"""`make promote`: dev, staging and prod at once, each in an account of its own, and the same bytes in all three.

Dev trains and releases. Staging takes dev's champion by its digest, and tries it. Prod takes it once a person agreed
who is not its author. Everything that is said at the end was observed: outputs and exit codes of `pulumi up`, the
registries, the archives, and what `modelstack` answered.
"""

from __future__ import annotations

import shutil
import sys
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

from rich.console import Console

from demos import ROOT
from demos.promotion.account_session import AccountSession, agrees, open_session
from demos.promotion.demo_output import DemoOutput
from demos.versions import as_good, check_named
from modelstack.cli.error_handling import run
from modelstack.cli.errors import OperatorError
from modelstack.cli.local.cloud import Local
from modelstack.cli.local.up import UpdateFailed

STACKS = ("local-1-dev", "local-2-staging", "local-3-prod")
FOLDER = "promotion"
"""Of the checkout's state: where the documents go."""
_SEEN = "The numbers of staging look well."
_OWN = "I made it myself."
_BACK = "Trying out the way back."
_ON = "The way back was tried out."


def main() -> int:
    """Tell the story; 0 when it went as it should."""
    return run(_tell, stopped="the stacks stay as they are. Run `make promote` again, or `make down`.")


def _tell(console: Console) -> int:
    try:
        return _story(console)
    except UpdateFailed as error:
        return error.exit_code


def _story(console: Console) -> int:
    check_named(ROOT)
    local = Local.here()
    console.print(f"local cloud: {local.start(console)}")
    places = dev, staging, prod = tuple(open_session(local, name) for name in STACKS)
    teller = DemoOutput(console, local)
    _unpinned(teller, *places)
    _first(teller, dev, staging, prod)
    before = prod.stack.outputs()["champion"]
    with TemporaryDirectory(prefix="modelstack-promote-") as scratch:
        _second(teller, dev, staging, prod, Path(scratch))
    digest = _same(teller, *places)
    _back(teller, prod, before)
    _documents(teller, local.places.state / FOLDER, digest, *places)
    held = teller.verdict()
    if held:
        look = f"modelstack --stack {prod.stack.name} status"
        teller.say(f'\nTo look at {prod.name}: eval "$(make -s env ACCOUNT={prod.account})"; {look}')
        teller.say("To end all of it: make down")
    return 0 if held else 1


def _unpinned(teller: DemoOutput, *places: AccountSession) -> None:
    """Lift what an earlier story restored and left so, as it was stopped: such a stack releases nothing else.

    Raises:
        OperatorError: A person restored a release of theirs.
    """
    for place in places:
        if not place.stack.outputs().get("journal_table"):
            continue  # it has not been up yet
        restored = place.status()["restored"]
        if not restored:
            continue
        if _BACK not in restored:
            raise OperatorError(f"{place.stack.name} releases nothing else: it serves {restored}")
        teller.title(f"{place.name} goes on", "An earlier `make promote` was stopped while it tried out the way back.")
        lifted = teller.typed(place, "restore", "--clear", "--yes", "--reason", _ON)
        teller.check(f"what {place.name} takes counts again", lifted.code == 0)


def _first(teller: DemoOutput, dev: AccountSession, staging: AccountSession, prod: AccountSession) -> None:
    """Version 1 on its way through all three; what serves already is taken as it is."""
    teller.title(f"1. {dev.name}, account {dev.account}", "It trains version 1, signs it, and serves it.")
    if teller.idle(dev):
        teller.up(dev)
    teller.title(
        f"2. {staging.name}, account {staging.account}", f"It takes {dev.name}'s champion, and trains nothing."
    )
    if teller.idle(staging):
        teller.up(staging)
    teller.title(f"3. {prod.name}, account {prod.account}", f"It takes {staging.name}'s champion, if a person agrees.")
    if teller.idle(prod):
        _agreed(teller, staging, prod)
        teller.up(prod)


def _second(
    teller: DemoOutput, dev: AccountSession, staging: AccountSession, prod: AccountSession, scratch: Path
) -> None:
    """Version 2: a trial in each account, each under requests of its own."""
    teller.title(f"4. {dev.name} releases version 2", "Another parameter. Its trial is under requests.")
    teller.trial(dev, as_good(dev.stack, scratch, dev.has_released))
    teller.title(f"5. {staging.name} takes version 2", "By its digest. It tries it in a rollout of its own.")
    teller.trial(staging)
    teller.title(f"6. {prod.name} takes version 2", "It waits for a person. What serves stays as it is.")
    _agreed(teller, staging, prod)
    teller.trial(prod)


def _agreed(teller: DemoOutput, staging: AccountSession, prod: AccountSession) -> None:
    """Let prod ask for a person: its author may not agree, somebody else may."""
    log = teller.up(prod)
    digest = staging.stack.outputs()["champion"]
    waits = prod.stack.outputs().get("awaits") or {}
    status = prod.version(digest).get("ModelApprovalStatus", "not registered")
    told = "waits for people" in log and bool(waits)
    teller.check(f"`pulumi up` of {prod.name} ended with success, and said that the release waits", told)
    teller.check(f"the package is in {prod.name}'s registry as {status}", status == "PendingManualApproval")
    refused = teller.typed(prod, "approve", "--reason", _OWN)
    teller.check("who ran the update may not agree to it", refused.code != 0 and "may not approve it" in refused.output)
    agreed = teller.typed(prod, "approve", "--reason", _SEEN, keys=agrees(prod))
    teller.check("another user may", agreed.code == 0)


def _same(teller: DemoOutput, dev: AccountSession, staging: AccountSession, prod: AccountSession) -> str:
    """Show what the three stacks serve; returns the digest of dev's champion."""
    teller.title("7. The same bytes in three accounts", "The package that each stack serves, by its digest.")
    digests = {place.name: place.stack.outputs()["champion"] for place in (dev, staging, prod)}
    for place in (dev, staging, prod):
        teller.say(f"  {place.name:<8} account {place.account}  {digests[place.name]}")
    teller.check("the three stacks serve one digest", len(set(digests.values())) == 1)
    for source, place in ((dev, staging), (staging, prod)):
        known = place.version(digests[place.name]).get("CustomerMetadataProperties", {})
        from_there = known.get("promoted_from", "").split(":")[4:5] == [source.account]
        teller.check(f"{place.name} took it from {source.name}'s registry, and trained nothing", from_there)
    refused = replace(prod.stack, environment=dev.stack.environment).preview()
    foreign = refused.code != 0 and f"account {dev.account} is not allowed" in refused.output
    teller.check(f"the keys of {dev.name}'s account are refused on {prod.stack.name}", foreign)
    return digests[dev.name]


def _back(teller: DemoOutput, prod: AccountSession, before: str) -> None:
    """Restore version 1 on prod, and then let what staging serves count again for the next update."""
    teller.title(f"8. {prod.name} goes back to version 1", "Its package, by its digest, with a trial.")
    asked = teller.typed(prod, "restore", "--at", before, "--yes", "--reason", _BACK)
    teller.check(f"what {prod.name} served before can be had, and is what was signed", asked.code == 0)
    teller.trial(prod, version=1)
    teller.check(f"{prod.name} serves version 1 again", prod.status()["champion_package"] == before)
    teller.typed(prod, "restore", "--clear", "--yes", "--reason", _ON)


def _documents(teller: DemoOutput, folder: Path, digest: str, *places: AccountSession) -> None:
    """Verify what each stack has recorded and signed, and put it where a person can look at it."""
    teller.title("9. What can be proved", "The audit record of each stack, and what is said and signed of version 2.")
    shutil.rmtree(folder, ignore_errors=True)
    for place in places:
        teller.audit(place)
        teller.documents(place, digest, folder / place.name)
    archives = {(folder / place.name / "model.tar.gz").read_bytes() for place in places}
    teller.check("the three archives are equal, byte by byte", len(archives) == 1)
    teller.say(f"\n  All documents: {folder}")


if __name__ == "__main__":
    sys.exit(main())
