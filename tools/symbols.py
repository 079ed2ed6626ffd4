"""Checks of the native library as it ships: which glibc it needs, and which names it shows."""

import re
import subprocess
from collections.abc import Iterable
from pathlib import Path

GLIBC_MAX = (2, 17)
"""The glibc of the oldest supported cluster image, with room to spare."""

_OWN_LIBRARIES = re.compile(r"(libc|libm|libdl|libpthread|librt|ld-linux-(x86-64|aarch64))\.so\.\d+")
"""The parts of glibc."""
_EXPORTS = re.compile(r"Java_org_emrkeys_|JNI_On(Load|Unload)$|crc_fast_")
"""The functions that the JVM calls. crc_fast_ is the C API of a crate below aws-sdk-s3, which cannot be switched off
from here; the JVM loads with RTLD_LOCAL, so nobody sees it."""


def _readelf(*arguments: str | Path) -> list[str]:
    return subprocess.run(["readelf", *arguments], capture_output=True, text=True, check=True).stdout.splitlines()


def problems(library: Path) -> list[str]:
    """Everything that would keep the library from loading on a cluster, or that it should not export."""
    return [
        *glibc_problems(_readelf("-VW", library)),
        *needed_problems(_readelf("-dW", library)),
        *export_problems(_readelf("--dyn-syms", "-W", library)),
    ]


def glibc_problems(versions: Iterable[str]) -> list[str]:
    """From the output of `readelf -V`."""
    found = {tuple(map(int, match.split("."))) for line in versions for match in re.findall(r"GLIBC_([\d.]+)", line)}
    if not found:
        return ["no glibc symbol versions found"]
    newest = max(found)
    if newest <= GLIBC_MAX:
        return []
    have, allowed = (".".join(map(str, version)) for version in (newest, GLIBC_MAX))
    return [f"needs GLIBC_{have}, at most GLIBC_{allowed} is allowed"]


def needed_problems(dynamic: Iterable[str]) -> list[str]:
    """From the output of `readelf -d`."""
    needed = (match[1] for line in dynamic if (match := re.search(r"\(NEEDED\).*\[(.*)\]", line)))
    return [f"needs the library {name}" for name in needed if not _OWN_LIBRARIES.fullmatch(name)]


def export_problems(symbols: Iterable[str]) -> list[str]:
    """From the output of `readelf --dyn-syms`: number, value, size, type, binding, visibility, section, name."""
    found = []
    for line in symbols:
        fields = line.split()
        if len(fields) < 8 or fields[4] not in ("GLOBAL", "WEAK") or fields[6] == "UND" or fields[3] == "NOTYPE":
            continue
        if not _EXPORTS.match(fields[7]):
            found.append(f"exports {fields[7]}")
    return found
