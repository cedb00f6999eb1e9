#!/usr/bin/env bash
# Builds Prometheus and promtool, which test the alerts and the dashboard, at the version that go.mod beside this file
# requires, into bin/. Prometheus finds its targets in its configuration alone, and has no user interface.
#
# What is there already and up to date is left alone.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
bin=$(cd "$here/../.." && pwd)/bin
# shellcheck source=test/building.sh
source "$here/../building.sh"

is_current() { [[ -x $bin/$1 && $bin/$1 -nt $here/go.mod && $bin/$1 -nt $here/go.sum ]]; }

if is_current prometheus && is_current promtool; then
	exit 0
fi

cd "$here"
mkdir -p "$bin"
say "prometheus and promtool $(go list -m -f '{{.Version}}' github.com/prometheus/prometheus) (about 5 minutes the first time) …"
run_build prometheus go build -tags remove_all_sd -o "$bin/" -ldflags "-s -w" tool
# Go leaves binaries alone that would be the same.
touch "$bin/prometheus" "$bin/promtool"
