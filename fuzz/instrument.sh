#!/bin/sh
# Stands before rustc for the crates of this workspace: adds the coverage that libFuzzer is led by,
# and makes them a little faster, with every check that an unoptimized build has.
#
# Build scripts are left as they are: they have no libFuzzer to tell their coverage to.
case " $* " in
  *" --crate-name build_script_"*) exec "$@" ;;
esac
exec "$@" \
  -Copt-level=1 -Cdebug-assertions=on -Coverflow-checks=on \
  -Cpasses=sancov-module \
  -Cllvm-args=-sanitizer-coverage-level=4 \
  -Cllvm-args=-sanitizer-coverage-trace-compares \
  -Cllvm-args=-sanitizer-coverage-inline-8bit-counters \
  -Cllvm-args=-sanitizer-coverage-pc-table
