"""Messages to the person at the terminal, and steps: commands whose output goes to a log.

Steps may run in several threads at once. While any step runs, no more than `HEARTBEAT` seconds pass without a line.
"""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NoReturn

from tools.paths import LOGS, ROOT, relative

HEARTBEAT = 15
"""Seconds without a line after which every running step reports."""
LAST_LINES = 60
"""Lines of the log that a failed step shows."""

Command = Sequence[str | os.PathLike[str]]


class Failure(Exception):
    """Ends the command; its text is for the user and names the remedy."""


_lock = threading.RLock()
_last_line = time.monotonic()


def _print(text: str, file=None) -> None:
    global _last_line
    with _lock:
        print(text, file=file or sys.stdout, flush=True)
        _last_line = time.monotonic()


def say(text: str) -> None:
    """A heading: something begins."""
    _print(f"==> {text}")


def note(text: str) -> None:
    """A detail of what was said last."""
    _print(f"    {text}")


def warn(text: str) -> None:
    _print(f"WARN: {text}", sys.stderr)


def die(text: str) -> NoReturn:
    raise Failure(text)


@dataclass
class _Running:
    title: str
    log: Path
    process: subprocess.Popen
    start: float = field(default_factory=time.monotonic)

    def seconds(self) -> int:
        return round(time.monotonic() - self.start)


_running: list[_Running] = []


def _beat() -> None:
    while True:
        time.sleep(0.5)
        with _lock:
            if _running and time.monotonic() - _last_line >= HEARTBEAT:
                for step in _running:
                    note(f"{step.title}, {step.seconds()} s: {_tail(step.log, 1)[:90]}")


def _tail(log: Path, lines: int) -> str:
    """The last lines of the log that are not empty."""
    with log.open("rb") as file:
        file.seek(0, os.SEEK_END)
        file.seek(max(0, file.tell() - 400 * lines))
        text = file.read().decode(errors="replace").replace("\r", "\n")
    kept = [line for line in text.splitlines() if line.strip()]
    return "\n".join(kept[-lines:])


_heart = threading.Thread(target=_beat, daemon=True)


@dataclass(frozen=True)
class Done:
    """A step that ended."""

    status: int
    """The exit status of its command; negative is the number of a signal."""
    log: Path
    seconds: int
    expected: int = 0
    """The status that is right."""

    @property
    def ok(self) -> bool:
        return self.status == self.expected

    def text(self) -> str:
        return self.log.read_text(errors="replace")


def step(
    name: str,
    title: str,
    command: Command,
    *,
    folder: Path = ROOT,
    environment: Mapping[str, str | None] | None = None,
    timeout: float | None = None,
    expected: int = 0,
) -> Done:
    """Runs the command with its output in build/logs/NAME.log, and shows the end of the log if it fails.

    `environment` is added to the process's own; None removes a variable. The command cannot read the terminal, and ends
    with this process. After `timeout` seconds it is killed and has failed. `expected` is the status of success.
    """
    LOGS.mkdir(parents=True, exist_ok=True)
    log = LOGS / f"{name}.log"
    say(title)
    variables = {**os.environ, **(environment or {})}
    with log.open("wb") as output:
        try:
            process = subprocess.Popen(
                [os.fspath(part) for part in command],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=folder,
                env={key: value for key, value in variables.items() if value is not None},
                start_new_session=True,
            )
        except OSError as error:
            output.write(f"{error}\n".encode())
            note(f"{title}: FAILED: {error}")
            return Done(127, log, 0, expected)
    running = _Running(title, log, process)
    with _lock:
        _running.append(running)
        if not _heart.is_alive():
            _heart.start()
    try:
        cpu = _wait(process, timeout)
    except subprocess.TimeoutExpired:
        _end(process)
        cpu = _wait(process, None)
    except BaseException:  # Ctrl-C, a signal: nothing goes on without us
        _end(process)
        raise
    finally:
        with _lock:
            _running.remove(running)
    status = process.returncode
    done = Done(status, log, running.seconds(), expected)
    if done.ok:
        note(f"{title}: done in {done.seconds} s" + (f", {cpu:.0f} s of CPU" if cpu >= 1 else ""))
    else:
        with _lock:
            note(f"{title}: FAILED (status {status}) after {done.seconds} s; the end of {relative(log)}:")
            for line in _tail(log, LAST_LINES).splitlines():
                note(f"| {line}")
    return done


def _wait(process: subprocess.Popen, timeout: float | None) -> float:
    """Waits for the process, whose `returncode` is set then. The seconds of CPU that it and its children took, of those
    that it waited for: Gradle's daemon is not among them."""
    end = None if timeout is None else time.monotonic() + timeout
    while True:
        pid, status, used = os.wait4(process.pid, 0 if end is None else os.WNOHANG)
        if pid:
            process.returncode = os.waitstatus_to_exitcode(status)
            return used.ru_utime + used.ru_stime
        if time.monotonic() > end:
            raise subprocess.TimeoutExpired(process.args, timeout)
        time.sleep(0.05)


def attached(command: Command, log: Path, environment: Mapping[str, str | None] | None = None) -> bool:
    """Runs a command that talks to the user on standard output itself; its standard error goes to the log."""
    log.parent.mkdir(parents=True, exist_ok=True)
    variables = {**os.environ, **(environment or {})}
    with log.open("wb") as errors:
        done = subprocess.run(
            [os.fspath(part) for part in command],
            stderr=errors,
            cwd=ROOT,
            env={key: value for key, value in variables.items() if value is not None},
        )
    if done.returncode != 0:
        for line in _tail(log, 40).splitlines():
            _print(f"    | {line}", sys.stderr)
    return done.returncode == 0


def _end(process: subprocess.Popen) -> None:
    """Kills the process with all that it started, in whatever session: Gradle's daemon has one of its own."""
    for pid in (process.pid, *_descendants(process.pid)):
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            pass


def _descendants(pid: int) -> list[int]:
    """The processes below this one, from /proc."""
    children: dict[int, list[int]] = {}
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            # The name before the last parenthesis may hold anything; after it come the state and the parent.
            parent = int(status.read_text().rpartition(")")[2].split()[1])
        except OSError:  # it has just ended
            continue
        children.setdefault(parent, []).append(int(status.parent.name))
    found = [pid]
    for one in found:
        found += children.get(one, [])
    return found[1:]


def end_all() -> None:
    """Kills every running step, for the end of this process."""
    with _lock:
        for step_ in _running:
            _end(step_.process)
