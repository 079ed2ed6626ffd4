#!/bin/sh
# RUSTC_WORKSPACE_WRAPPER of the library with AddressSanitizer. The flag needs an unstable compiler, or one that takes
# itself for one; only these crates are compiled so, and nothing of them ships.
RUSTC_BOOTSTRAP=1 exec "$@" -Zsanitizer=address -Cunsafe-allow-abi-mismatch=sanitizer
