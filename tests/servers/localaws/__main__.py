"""Command line: `python3 -m localaws [--port N] [--until-stdin-closes]`."""

import argparse
import os
import pathlib
import sys
import threading
import time

from cheroot.wsgi import Server

from .app import Application

HOST = "127.0.0.1"
THREADS = 16
IDLE_SECONDS = 600


def main() -> None:
    parser = argparse.ArgumentParser(prog="localaws", description="S3 and KMS on 127.0.0.1")
    parser.add_argument("--port", type=int, default=0, help="0, the default: a free one")
    parser.add_argument(
        "--until-stdin-closes",
        action="store_true",
        help="end when standard input closes, which it does when the parent process dies",
    )
    parser.add_argument(
        "--files", type=pathlib.Path, metavar="DIR", help="hold objects in files of this folder, and no more than that"
    )
    arguments = parser.parse_args()

    # Cheroot, not the server that moto brings: that one answers "Expect: 100-continue" twice, which
    # the SDK v2 clients take for the end of the request.
    server = Server((HOST, arguments.port), Application(arguments.files), numthreads=THREADS)
    server.max_request_body_size = 0  # no limit
    # A connection that the server drops while it is idle fails the client's next request, now and then
    # on every retry too. The suites keep dozens of clients with idle connections.
    server.keep_alive_conn_limit = None
    server.timeout = IDLE_SECONDS
    server.prepare()
    if arguments.until_stdin_closes:
        threading.Thread(target=_end_with_parent, args=(os.getppid(),), daemon=True).start()
    print(f"localaws ready on {HOST}:{server.bind_addr[1]}", flush=True)
    try:
        server.serve()
    except KeyboardInterrupt:
        server.stop()


def _end_with_parent(parent: int) -> None:
    threading.Thread(target=_end_without, args=(parent,), daemon=True).start()
    while sys.stdin.buffer.read(4096):
        pass
    os._exit(0)  # at once: nothing here outlives the process


def _end_without(parent: int) -> None:
    # A pipe that another child of the parent inherited stays open after the parent's death.
    while os.getppid() == parent:
        time.sleep(1)
    os._exit(0)


if __name__ == "__main__":
    main()
