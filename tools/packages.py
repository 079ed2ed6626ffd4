"""Packages of the system: installed by apt if this process may, else the user reads what to install."""

import os
import shutil
import threading

from tools.console import die, step, warn

_apt = threading.Lock()


def _can_install() -> bool:
    return shutil.which("apt-get") is not None and os.geteuid() == 0


def _install(packages: tuple[str, ...], purpose: str) -> bool:
    names = " ".join(packages)
    script = f"apt-get install -y --no-install-recommends {names}"
    with _apt:
        return step(
            "apt",
            f"installing {names} by apt ({purpose})",
            ["sh", "-c", f"{script} || {{ apt-get update && {script}; }}"],
            environment={"DEBIAN_FRONTEND": "noninteractive"},
        ).ok


def need(purpose: str, *packages: str) -> None:
    """Installs the packages. Raises `Failure` with the remedy if this process cannot."""
    names = " ".join(packages)
    if shutil.which("apt-get") is None:
        die(f"{purpose}: please install what Debian calls {names}")
    if not _can_install():
        die(f"{purpose}: please run: sudo apt-get install {names}")
    if not _install(packages, purpose):
        die(f"{purpose}: apt-get install {names} failed")


def want(command: str, package: str, purpose: str) -> None:
    """Installs a package whose command some tests use; without the command these tests are skipped, with a warning."""
    path = os.environ.get("PATH", "") + ":/usr/sbin:/sbin"
    if shutil.which(command, path=path) or (_can_install() and _install((package,), purpose)):
        return
    warn(f"no {command} (apt-get install {package}), so one test is skipped: {purpose}")
