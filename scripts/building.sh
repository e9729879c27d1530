#!/usr/bin/env bash
# Says how long a build of a profile will take, before cargo is silent for that long.
set -euo pipefail
profile=${1:?profile}
target=${CARGO_TARGET_DIR:-target}
# CPU minutes of a first build, measured on a 2-core AMD EPYC (docs/performance.md), of which one is for one core alone: the types of the
# last crate.
alone=1 shared=6
cores=$(nproc)
if [[ -x $target/$profile/bulla ]]; then
  echo "$profile: building what has changed"
else
  echo "$profile: building for the first time: about $((alone + (shared + cores - 1) / cores)) minutes on $cores cores"
fi
