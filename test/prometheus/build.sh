#!/usr/bin/env bash
# Builds Prometheus and promtool, which test the alerts and the dashboard, at the version that go.mod beside this file
# requires, into bin/. Prometheus finds its targets in its configuration alone, and has no user interface.
#
# What is there already and up to date is left alone.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
bin=$(cd "$here/../.." && pwd)/bin
heartbeat=15 # seconds between two signs of life of a build that prints nothing

say() { printf '%s\n' "$*" >&2; }

is_current() { [[ -x $bin/$1 && $bin/$1 -nt $here/go.mod && $bin/$1 -nt $here/go.sum ]]; }

if is_current prometheus && is_current promtool; then
	exit 0
fi

cd "$here"
mkdir -p "$bin"
building=
# The build runs in the background, where Ctrl-C does not reach it.
trap '[[ -z $building ]] || kill "$building" 2>/dev/null || true' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

say "prometheus and promtool $(go list -m -f '{{.Version}}' github.com/prometheus/prometheus) (about 5 minutes the first time) …"
go build -tags remove_all_sd -o "$bin/" -ldflags "-s -w" tool &
building=$!
started=$SECONDS
while kill -0 "$building" 2>/dev/null; do
	sleep 1
	if (((SECONDS - started) % heartbeat == 0 && SECONDS > started)); then
		say "  … still building, $((SECONDS - started)) s"
	fi
done
wait "$building"
building=
# Go leaves binaries alone that would be the same.
touch "$bin/prometheus" "$bin/promtool"
