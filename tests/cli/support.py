"""For all tests of the operator's tool: the tool itself, and waiting for an event."""

import json
import os
import pathlib
import subprocess
import time

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
TIMEOUT = 900
"""Seconds after which a test gives up waiting: far beyond what a busy machine takes."""


class Tool:
    """`emrkeys`, with the servers for AWS, in a folder of the test's own."""

    def __init__(self, path: pathlib.Path, endpoint: str, folder: pathlib.Path):
        self.path = path
        self.folder = folder
        self.env = {
            **os.environ,
            "AWS_ENDPOINT_URL": endpoint,
            "HOME": str(folder),
            "XDG_STATE_HOME": str(folder / "state"),
            # The servers speak HTTP. Half of the time of a small command would go into the authorities of this machine.
            "SSL_CERT_FILE": str(HERE / "authority.pem"),
            "SSL_CERT_DIR": str(folder / "no-authorities"),
        }

    def run(self, *arguments, input=None, env=None) -> subprocess.CompletedProcess:
        """Ends with whatever status; `input` is text or bytes, and decides what the outputs are. `env` is added."""
        is_bytes = isinstance(input, bytes)
        stdin = {"stdin": subprocess.DEVNULL} if input is None else {"input": input}
        return subprocess.run(
            [self.path, *map(str, arguments)],
            capture_output=True,
            text=not is_bytes,
            cwd=self.folder,
            env={**self.env, **(env or {})},
            timeout=TIMEOUT,
            **stdin,
        )

    def ok(self, *arguments, **more) -> str:
        """Has to succeed; gives what it printed."""
        done = self.run(*arguments, **more)
        assert done.returncode == 0, f"{arguments}: {done.stdout}{done.stderr}"
        return done.stdout

    def json(self, *arguments, status: int = 0, **more):
        """The document that it prints with `--output json`, whatever its exit status `status`."""
        done = self.run(*arguments, "--output", "json", **more)
        assert done.returncode == status, f"{arguments}: {done.returncode}: {done.stdout}{done.stderr}"
        return json.loads(done.stdout)

    def fails(self, status: int, *arguments, **more) -> str:
        """Has to fail with this exit status, and to say why; gives what it says."""
        done = self.run(*arguments, **more)
        assert done.returncode == status, f"{arguments}: {done.returncode}: {done.stdout}{done.stderr}"
        assert "panicked" not in done.stderr, done.stderr
        return done.stderr


def wait_for(condition, seconds: float = TIMEOUT) -> None:
    """Until `condition` holds."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.05)


def properties(entries: dict) -> list[str]:
    """`-D` for each property."""
    return [argument for name, value in entries.items() for argument in ("-D", f"{name}={value}")]


CLOCK = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <time.h>

static time_t looks;

/* Clocks other than that of the date go on as they do. */
int clock_gettime(clockid_t clock, struct timespec *time) {
  static int (*real)(clockid_t, struct timespec *);
  if (!real) real = dlsym(RTLD_NEXT, "clock_gettime");
  int result = real(clock, time);
  if (clock == CLOCK_REALTIME) time->tv_sec += SHIFT;
  return result;
}
"""


def shifted_clock(folder: pathlib.Path, shift: str) -> dict[str, str]:
    """The environment in which the date is off by so many seconds, a term of C in which `looks` counts the looks."""
    source, library = folder / "clock.c", folder / "clock.so"
    source.write_text(CLOCK)
    subprocess.run(["cc", "-shared", "-fPIC", f"-DSHIFT={shift}", "-o", library, source, "-ldl"], check=True)
    return {"LD_PRELOAD": str(library)}
