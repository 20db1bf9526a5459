#!/usr/bin/env bash
# Tries random variations of what peers may send, for as long as is wanted.
#
#   scripts/fuzz.sh [TARGET] [SECONDS]
#
# TARGET is a folder of tests/fuzz/corpus, or `all`, which is the default; SECONDS is how long each
# of them is tried, 60 by default. THRONG_FUZZ_SEED says where to begin; by default it is another
# one every time. An input that fails is kept, and the output says how to try it once more.
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."

target=${1:-all}
export THRONG_FUZZ_SECONDS=${2:-60}
export THRONG_FUZZ_SEED=${THRONG_FUZZ_SEED:-$(od -An -N4 -tu4 /dev/urandom | tr -d ' ')}

filter=()
if [[ $target != all ]]; then
    if [[ ! -d tests/fuzz/corpus/$target ]]; then
        echo "fuzz.sh: no target $target; there are: $(ls tests/fuzz/corpus | xargs), all" >&2
        exit 2
    fi
    filter=(--exact "$target")
fi

echo "fuzz.sh: seed $THRONG_FUZZ_SEED"
exec cargo test --profile quick --test fuzz -- --nocapture "${filter[@]}"
