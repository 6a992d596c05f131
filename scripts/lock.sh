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

# Whether there are ready-made packages of all of it wherever ./demo and ./test are to run; nothing is installed. The
# oldest macOS is that of the Node.js that pyright brings.
export MACOSX_DEPLOYMENT_TARGET=13.5
for platform in x86_64-manylinux_2_28 aarch64-manylinux_2_28 x86_64-apple-darwin aarch64-apple-darwin; do
    for python in 3.11 3.12 3.13 3.14; do
        for group in demo dev; do
            uv pip install --dry-run --quiet --only-binary :all: --require-hashes --target .avow/none \
                --python-platform "$platform" --python-version "$python" -r "requirements-$group.lock"
        done
    done
done
