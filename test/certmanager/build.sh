#!/usr/bin/env bash
# Builds what the end-to-end tests with cert-manager run, at the version that go.mod beside this file requires: the
# controllers of cert-manager that issue and renew certificates, into bin/cert-manager.
#
# What is there already and up to date is left alone.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
bin=$(cd "$here/../.." && pwd)/bin
# shellcheck source=test/building.sh
source "$here/../building.sh"

cd "$here"
mkdir -p "$bin"
say "cert-manager $(go list -m -f '{{.Version}}' github.com/cert-manager/cert-manager) (about 2 minutes the first time) …"
build_program cert-manager .
