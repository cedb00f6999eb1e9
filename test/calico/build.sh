#!/usr/bin/env bash
# Builds what the test with Calico runs, at the version that go.mod beside this file requires: its Felix, into bin/felix.
#
# What is there already and up to date is left alone.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
bin=$(cd "$here/../.." && pwd)/bin
# shellcheck source=test/building.sh
source "$here/../building.sh"

cd "$here"
mkdir -p "$bin"
say "Calico's Felix $(go list -m -f '{{.Version}}' github.com/projectcalico/calico) (about 2 minutes the first time) …"
# Without cgo it has no BPF mode, for which it takes a library in C.
CGO_ENABLED=0 build_program felix .
