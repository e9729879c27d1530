#!/usr/bin/env bash
# The persons who meet Bulla: developer, operator, auditor; every text that they see; the packages. Uses the debug build of the
# program (or $BULLA) and pytest from the virtual environment of tests/sdk.
#
#   tests/people/run.sh [PYTEST ARGUMENTS]
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
root=$(realpath ../..)
target=${CARGO_TARGET_DIR:-$root/target}
export BULLA=${BULLA:-$target/debug/bulla}
[[ -x $BULLA ]] || { echo "tests/people: no program $BULLA; cargo build first" >&2; exit 1; }
python=$target/sdk/venv/bin/python
# Once more what failed, as tests/sdk does; the summary names it.
again=(--reruns=1)
[[ -x $python ]] || python=python3 again=()
exec "$python" -m pytest -q -rsR -p no:cacheprovider "${again[@]}" "$@" .
