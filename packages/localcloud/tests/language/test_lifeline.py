"""A process that ends is not interrupted any more, and says nothing."""

from __future__ import annotations

import subprocess
import sys

STOPS = """
import os, signal
from concurrent.futures import ThreadPoolExecutor
import grpc
from localcloud.language import host

class Server:
    def add_registered_method_handlers(self, *_): pass
    add_generic_rpc_handlers = add_registered_method_handlers
    def add_insecure_port(self, _): return 1
    def start(self): pass
    def stop(self, _):
        os.kill(os.getpid(), signal.SIGINT)
        for _ in range(1000): pass
        print("stopped", flush=True)
        return self
    def wait(self, _): print("waited", flush=True)

grpc.server = lambda *_, **__: Server()
host.MainThread.work = lambda _: os.kill(os.getpid(), signal.SIGINT)
host.lifeline.listen()
host.serve("127.0.0.1:1")
"""
FAILS = """
import threading
from localcloud.language import lifeline

def fail(): raise ValueError("taken down")

def first():
    thread = threading.Thread(target=fail)
    thread.start()
    thread.join()

lifeline.leave(3, first)
"""
ASLEEP = """
import signal, threading, time
from localcloud.language import lifeline

lost, kill = iter([True]), signal.pthread_kill
signal.pthread_kill = lambda *to: next(lost, False) or kill(*to)

def interrupt():
    time.sleep(0.5)  # the main thread has come to rest
    kill(threading.get_ident(), signal.SIGINT)

lifeline.listen()
threading.Thread(target=interrupt, daemon=True).start()
try:
    threading.Event().wait()
except KeyboardInterrupt:
    lifeline.leave(4)
"""
FINALIZES = """
import os, signal, time
from localcloud.language import lifeline

class Finalized:
    def __del__(self):
        os.kill(os.getpid(), signal.SIGINT)
        for _ in range(1000): pass

lifeline.listen()
try:
    Finalized()
    time.sleep(1000)
except KeyboardInterrupt:
    lifeline.leave(5)
"""


def ended(code: str) -> tuple[int, str, str]:
    """How a process of `code` ends: exit code, output, errors."""
    done = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True, timeout=120)
    return done.returncode, done.stdout, done.stderr


def test_a_second_interrupt_does_not_meet_the_server_in_the_middle_of_its_stop() -> None:
    code, output, errors = ended(STOPS)
    assert (code, output.split(), errors) == (0, ["1", "stopped", "waited"], "")


def test_what_threads_fail_with_while_their_process_ends_is_no_news() -> None:
    assert ended(FAILS) == (3, "", "")


def test_a_main_thread_that_slept_through_a_wake_up_is_woken_again() -> None:
    assert ended(ASLEEP) == (4, "", "")


def test_an_interrupt_that_meets_a_finalizer_is_not_lost() -> None:
    assert ended(FINALIZES) == (5, "", "")
