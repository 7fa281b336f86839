#!/usr/bin/env bash
# Formatting, lint, types and tests, each with its time; all of them run, and one that fails makes
# the whole fail. Other arguments go to pytest.
set -uo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"
cd "$ROOT" || exit 1
source scripts/env.sh || exit 1

lint_only=false
if [ "${1:-}" = --lint-only ]; then
    lint_only=true
    shift
fi

report=()
failed=0
step() {
    local name=$1 start=$SECONDS result=ok
    shift
    say "$name"
    if ! "$@"; then
        result=FAILED
        failed=1
    fi
    report+=("$(printf '%-8s %-6s %4d s' "$name" "$result" $((SECONDS - start)))")
}

step format ruff format --check .
step lint ruff check .
step types mypy
# Tests that need a tool from outside this environment (launch, ros2) skip where it is not there.
if ! $lint_only; then
    if [ $# -gt 0 ]; then
        step tests python -m pytest -m 'not slow' "$@"
    else
        # Fleets need both cores: they are tested one after the other.
        OMP_NUM_THREADS=1 step unit python -m pytest -m 'not slow' -n 2 test/unit
        step nodes python -m pytest -m 'not slow' -n 2 --dist loadfile test/ros
        step fleets python -m pytest -m 'not slow' test --ignore=test/unit --ignore=test/ros
    fi
fi

say 'summary'
printf '%s\n' "${report[@]}"
exit $failed
