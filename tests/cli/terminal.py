"""A terminal, and how what was written to it looks in the end."""

import fcntl
import os
import pty
import re
import struct
import subprocess
import termios

ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


def shown(tool, columns: int, *arguments, env=None, status: int = 0, stdout=None) -> str:
    """The output of the command on a terminal of so many columns, escape sequences included."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 50, columns, 0, 0))
    process = subprocess.Popen(
        [tool.path, *map(str, arguments)],
        cwd=tool.folder,
        env={**tool.env, "TERM": "xterm-256color", **(env or {})},
        stdin=subprocess.DEVNULL,
        stdout=theirs if stdout is None else stdout,
        stderr=theirs,
    )
    os.close(theirs)
    out = b""
    try:
        while piece := os.read(ours, 1 << 16):
            out += piece
    except OSError:  # how Linux says that the other end is closed
        pass
    os.close(ours)
    assert process.wait() == status, out.decode()
    return out.decode()


def lines(text: str) -> list[str]:
    """The lines, as they stand in the end where a bar was drawn over them."""
    whole = ESCAPES.sub("", text).replace("\r\n", "\n").split("\n")
    return [line.rsplit("\r", 1)[-1] for line in whole]
