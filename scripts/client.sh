#!/usr/bin/env bash
# Says what a program has that the client's must not have: `make client` fails by it (docs/cli.md).
#
#   scripts/client.sh PROGRAM
set -euo pipefail
program=${1:?program}
most=8000000
status=0
no() { printf 'client: %s %s\n' "$program" "$*" >&2; status=1; }

size=$(stat -c %s "$program")
((size <= most)) || no "has $size bytes, more than $most"
# The C library in its parts, and what unwinds panics.
more=$(ldd "$program" | awk '{ print $1 }' | grep -Ev '^(linux-vdso|libc|libm|libgcc_s)\.so|/ld-linux' || true)
[[ -z $more ]] || no "links ${more//$'\n'/ }"
# What is loaded by name is linked by nobody. This is the first that a PKCS#11 module is asked for.
! grep -qa C_GetFunctionList "$program" || no 'loads PKCS#11 modules'

((status)) || printf 'client: %s, %d bytes\n' "$program" "$size"
exit "$status"
