#!/bin/sh
# Write the lock files anew from pyproject.toml, for every supported Python and platform. Needs uv and the network.
set -eu
CDPATH='' cd -- "$(dirname -- "$0")/.."
lock() {
    group=$1
    shift
    uv pip compile pyproject.toml --extra "$group" --universal --python-version 3.11 --no-emit-package avow \
        --generate-hashes --no-annotate --no-header --quiet --output-file "requirements-$group.lock" "$@"
}
lock dev "$@"
lock demo --constraint requirements-dev.lock
lock bench --constraint requirements-dev.lock
