"""A shell in which `emrkeys` is the tool under test, and `aws` the AWS CLI as far as aws_cli.py has it."""

import pathlib
import subprocess
import sys

from support import TIMEOUT, Tool

AWS_CLI = pathlib.Path(__file__).resolve().parent / "aws_cli.py"


class Shell:
    """Runs commands in the folder of a tool, with its environment."""

    def __init__(self, tool: Tool):
        self.folder, self.env = tool.folder, tool.env
        path = tool.folder / "bin"
        path.mkdir()
        (path / "emrkeys").symlink_to(tool.path)
        aws = path / "aws"
        aws.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{AWS_CLI}" "$@"\n')
        aws.chmod(0o755)
        self.env["PATH"] = f"{path}:{self.env['PATH']}"

    def run(self, commands: str, input: str | None = None) -> subprocess.CompletedProcess:
        """Ends at the first command that fails. No terminal: commands that want a password read it from `input`."""
        stdin = {"stdin": subprocess.DEVNULL} if input is None else {"input": input}
        return subprocess.run(
            ["bash", "-euo", "pipefail", "-c", commands],
            capture_output=True,
            text=True,
            cwd=self.folder,
            env=self.env,
            timeout=TIMEOUT,
            start_new_session=True,
            **stdin,
        )

    def ok(self, commands: str, input: str | None = None, status: int = 0) -> str:
        """Has to end with this status; gives what it printed."""
        done = self.run(commands, input)
        assert done.returncode == status, f"{commands}\n{done.returncode}: {done.stdout}{done.stderr}"
        return done.stdout
