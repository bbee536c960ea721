"""Runs the controller until a signal; see `modelstack.platforms.kubernetes.program.settings` for its environment."""

from __future__ import annotations

import os
import signal
import sys
import threading
from functools import partial

from modelstack.monitoring.log import log
from modelstack.platforms.kubernetes import packages
from modelstack.platforms.kubernetes.access_token import Tokens
from modelstack.platforms.kubernetes.api import Api
from modelstack.platforms.kubernetes.audit_records import uid
from modelstack.platforms.kubernetes.database import Database
from modelstack.platforms.kubernetes.notify import Webhook
from modelstack.platforms.kubernetes.program.assembly import Assembly
from modelstack.platforms.kubernetes.program.counts import CALLS, Counts
from modelstack.platforms.kubernetes.program.known import Known
from modelstack.platforms.kubernetes.program.listening import Listening, NotListening
from modelstack.platforms.kubernetes.program.process import Process
from modelstack.platforms.kubernetes.program.settings import ControllerSettings, WrongSettings
from modelstack.platforms.kubernetes.program.store import Store
from modelstack.platforms.kubernetes.program.web import app
from modelstack.platforms.kubernetes.program.working import Working
from modelstack.platforms.kubernetes.rounds import Rounds
from modelstack.rollout.core.errors import RolloutError
from modelstack.services.promises import remembered

_LAST_SECONDS = 8.0  # for what is under way at the end
_WRONG = 2  # the exit code of settings that cannot work


def main() -> int:
    """Run; returns the exit code."""
    told = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: told.set())
    try:
        settings = ControllerSettings.of(os.environ)
        counts = Counts(settings.namespace)
        api = Api.of(
            namespace=settings.namespace,
            counted=lambda verb, resource, status: counts.add(CALLS, verb=verb, resource=resource, code=str(status)),
        )
        database = Database.of(settings.database) if settings.database else None
    except (WrongSettings, RolloutError) as error:
        log("cannot start", error=str(error))
        return _WRONG
    webhook = Webhook(settings.webhook) if settings.webhook else None
    assembly = Assembly(api, settings.by, counts, database, webhook)
    working = Working(assembly.endpoint, counts, api.clock.time)
    process = Process(api, settings.pod, working, counts)
    store = Store(database, api.namespace, lambda: process.names, partial(uid, api)) if database else None
    try:
        listening = Listening.at(settings.host, settings.port, app(counts, process, Tokens(api).admits, store))
    except NotListening as error:
        log("cannot start", error=str(error))
        return _WRONG
    process.start()
    _begin(assembly, working.known, process, store, settings.mlflow)
    log("started", namespace=settings.namespace, pod=settings.pod, port=listening.port, database=database is not None)
    told.wait()
    log("stopping")
    ended = process.stop(_LAST_SECONDS)
    listening.stop(1.0)
    log("stopped", ended=ended)
    return 0


def _begin(assembly: Assembly, known: Known, process: Process, store: Store | None, mlflow: str) -> None:
    """Start the background work, each in its own thread."""
    rounds = Rounds(lambda: process.names, lambda: process.leads, process.stopping)
    member = remembered(packages.member)
    works = [partial(assembly.probes(member, known).follow, rounds)]
    if assembly.database is not None:
        works.append(partial(assembly.monitors(assembly.database, member, known).follow, rounds))
    if mlflow:
        works.append(partial(assembly.mirroring(mlflow, known).follow, rounds))
    if store is not None:
        works.append(partial(store.prepare, process.stopping))
    for run in works:
        threading.Thread(target=run, daemon=True).start()


if __name__ == "__main__":
    code = main()
    sys.stdout.flush()
    os._exit(code)  # whatever a thread still waits for: what it began, another process goes on with
