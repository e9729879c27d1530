#!/usr/bin/env bash
# Says how long a build of a profile will take, before cargo is silent for that long.
set -euo pipefail
profile=${1:?profile}
target=${CARGO_TARGET_DIR:-target}
# CPU seconds of a first build (docs/performance.md): what one core does while the others have nothing to do, which is most of the last crate,
# and what all do. On the 2-core AMD EPYC of the measurement: 3 min 1 s.
alone=50 shared=260
cores=$(nproc)
if [[ -x $target/$profile/bulla ]]; then
  echo "$profile: building what has changed"
else
  echo "$profile: building for the first time: about $(((alone + shared / cores + 30) / 60)) minutes on $cores cores"
fi
