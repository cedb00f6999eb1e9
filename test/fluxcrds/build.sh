#!/usr/bin/env bash
# Makes the CRDs of Flux's API, of the Go types that go.mod beside this file requires, into bin/flux-crds/: most of Flux's
# controllers do not build here, but what they are told can be written nevertheless, and is judged.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
crds=$(cd "$here/../.." && pwd)/bin/flux-crds

cd "$here"
mkdir -p "$(dirname "$crds")"
scratch=$(mktemp -d "$crds.XXXXXX")
trap 'rm -rf "$scratch"' EXIT
paths=()
while read -r package; do
	paths+=("paths=$package")
done < <(go list -f '{{join .Imports "\n"}}' .)
printf 'CRDs of %d packages of Flux …\n' "${#paths[@]}" >&2
go tool controller-gen crd:crdVersions=v1 "${paths[@]}" "output:crd:dir=$scratch"
# What is there already is left alone: by its time, `go test` knows whether it has results of tests with it.
diff -rq "$crds" "$scratch" >/dev/null 2>&1 && exit 0
rm -rf "$crds"
mv "$scratch" "$crds"
