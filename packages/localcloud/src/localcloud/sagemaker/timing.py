"""How long is waited for what?"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Timing:
    """Durations in seconds of the machine's own time: processes do not run faster when the platform's clock does.

    Attributes:
        startup: To the first good `/ping` when the variant names no ContainerStartupHealthCheckTimeoutInSeconds
            (SageMaker documents 8 minutes).
        startup_attempts: Times that a process may end before its first good `/ping` until the deployment fails.
            SageMaker restarts the container until the timeout; here a model that cannot start fails within seconds.
        ping: Between health checks of a healthy instance (SageMaker: 5).
        ping_timeout: To the answer of one (SageMaker: 2).
        ping_failures: Bad checks in a row after which the process is replaced.
        backoff: Before the first restart of a crashed process; doubled each time, up to `most_backoff`.
        most_backoff: The longest pause between restarts, which also is how long an instance must stay healthy for
            the pause to start over.
        invocation: To the whole answer of `/invocations` (SageMaker: 60).
        stop: Between SIGTERM and SIGKILL (SageMaker: 30).
        shutdown: The same when the server itself stops.
        capture: Between uploads of captured data.
        logs: Between uploads of container output.
        alarms: Between looks at the alarms that guard a deployment; divided by the time scale, but at least 0.1.
        retry_save: Before a background change is saved again after the disk refused it.
    """

    startup: float = 480.0
    startup_attempts: int = 3
    ping: float = 5.0
    ping_timeout: float = 2.0
    ping_failures: int = 3
    backoff: float = 0.5
    most_backoff: float = 30.0
    invocation: float = 60.0
    stop: float = 30.0
    shutdown: float = 5.0
    capture: float = 3.0
    logs: float = 1.0
    alarms: float = 1.0
    retry_save: float = 2.0
