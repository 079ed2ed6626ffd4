import http.client
import subprocess
import sys
import time

from localaws.client import FOLDER, READY, LocalAws


def test_ends_when_stdin_closes():
    assert LocalAws().close() == 0


def test_ends_when_its_parent_is_killed_though_the_pipe_stays_open():
    # The parent hands its own stdin on, so that the pipe from this test stays open after its death.
    parent = subprocess.Popen(
        [
            sys.executable,
            "-c",
            "import subprocess, sys; subprocess.run("
            "[sys.executable, '-m', 'localaws', '--until-stdin-closes'])",
        ],
        cwd=FOLDER,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert parent.stdout.readline().startswith(READY)
    parent.kill()
    started = time.monotonic()
    # The server holds the write end of stdout: end of file means that it is gone.
    assert parent.stdout.read() == ""
    assert time.monotonic() - started < 10


def test_takes_a_free_port_each_time():
    first, second = LocalAws(), LocalAws()
    assert first.endpoint != second.endpoint
    for started in (first, second):
        started.close()


def test_health(stack):
    assert stack.control("GET", "health") == {"status": "ok"}


def test_many_idle_connections_stay_open(stack):
    address = stack.endpoint.removeprefix("http://")
    connections = [http.client.HTTPConnection(address) for _ in range(40)]
    for _ in range(2):
        for connection in connections:
            connection.request("GET", "/__control/health")
            assert connection.getresponse().read() == b'{"status": "ok"}'
            assert connection.sock is not None, "the server closed the connection"
    for connection in connections:
        connection.close()
