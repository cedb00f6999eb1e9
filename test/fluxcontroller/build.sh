#!/usr/bin/env bash
# Builds what the end-to-end tests with Flux run, at the version that go.mod beside this file requires: kustomize-controller,
# into bin/. The modules with the CRDs of Flux are brought into Go's module cache, so that the tests can do without a
# network.
#
# What is there already and up to date is left alone.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
bin=$(cd "$here/../.." && pwd)/bin
heartbeat=15 # seconds between two signs of life of a build that prints nothing

say() { printf '%s\n' "$*" >&2; }

version_of() { go list -m -f '{{.Version}}' "$1"; }

build() {
	local started=$SECONDS
	go build -o "$1" -ldflags "-s -w" tool &
	building=$!
	while kill -0 "$building" 2>/dev/null; do
		sleep 1
		if (((SECONDS - started) % heartbeat == 0 && SECONDS > started)); then
			say "  … still building, $((SECONDS - started)) s"
		fi
	done
	wait "$building"
	building=
}

cd "$here"
mkdir -p "$bin"
building=
# The build runs in the background, where Ctrl-C does not reach it.
trap '[[ -z $building ]] || kill "$building" 2>/dev/null || true' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

go mod download github.com/fluxcd/kustomize-controller
go mod download "github.com/fluxcd/helm-controller@$(<helm-controller.version)"
go mod download "github.com/fluxcd/source-controller@$(version_of github.com/fluxcd/source-controller/api)"
say "kustomize-controller $(version_of github.com/fluxcd/kustomize-controller) (about 3 minutes the first time) …"
build "$bin/kustomize-controller"
