#!/usr/bin/env bash
# Builds what the end-to-end tests with Flux run, at the version that go.mod beside this file requires: kustomize-controller,
# into bin/. The modules with the CRDs of Flux are brought into Go's module cache, so that the tests can do without a
# network.
#
# What is there already and up to date is left alone.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
bin=$(cd "$here/../.." && pwd)/bin
# shellcheck source=test/building.sh
source "$here/../building.sh"

version_of() { go list -m -f '{{.Version}}' "$1"; }

cd "$here"
mkdir -p "$bin"
go mod download github.com/fluxcd/kustomize-controller
go mod download "github.com/fluxcd/helm-controller@$(<helm-controller.version)"
go mod download "github.com/fluxcd/source-controller@$(version_of github.com/fluxcd/source-controller/api)"
say "kustomize-controller $(version_of github.com/fluxcd/kustomize-controller) (about 3 minutes the first time) …"
build_program kustomize-controller tool
