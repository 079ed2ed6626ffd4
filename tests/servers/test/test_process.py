import http.client
import subprocess
import sys
import time

from conftest import SERVERS, start


def test_ends_when_stdin_closes():
    process, _ = start("--until-stdin-closes")
    process.stdin.close()
    assert process.wait(timeout=10) == 0


def test_ends_when_its_parent_is_killed_though_the_pipe_stays_open():
    # The parent hands its own stdin on, so that the pipe from this test stays open after its death.
    parent = subprocess.Popen(
        [
            sys.executable,
            "-c",
            "import subprocess, sys; subprocess.run("
            "[sys.executable, '-m', 'localaws', '--until-stdin-closes'])",
        ],
        cwd=SERVERS,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert parent.stdout.readline().startswith("localaws ready on ")
    parent.kill()
    started = time.monotonic()
    # The server holds the write end of stdout: end of file means that it is gone.
    assert parent.stdout.read() == ""
    assert time.monotonic() - started < 10


def test_takes_a_free_port_each_time():
    first, one = start("--until-stdin-closes")
    second, two = start("--until-stdin-closes")
    assert one != two
    for process in (first, second):
        process.stdin.close()
        process.wait(timeout=10)


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
