#!/bin/sh
# RUSTC_WORKSPACE_WRAPPER of the fuzz targets: the counters by which libFuzzer sees where an input leads. They are a
# pass of LLVM that the stable compiler has, too. Crates of others are compiled as ever.
exec "$@" -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
  -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
  -Cllvm-args=-sanitizer-coverage-trace-compares -Copt-level=3
