#!/usr/bin/env bash
# Builds the real control plane that the end-to-end tests, the benchmarks and the demo run against: etcd, kube-apiserver,
# kubectl and kube-controller-manager, at the versions that go.mod beside this file requires, into bin/.
#
# What is already there at the right version is left alone. With KUBEBUILDER_ASSETS set (setup-envtest's variable), the
# binaries in that folder are linked instead of built; kube-controller-manager is never among them.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
bin=$(cd "$here/../.." && pwd)/bin
# shellcheck source=test/building.sh
source "$here/../building.sh"

# name, package, module that gives the version, how long a build takes with an empty cache on two cores
binaries=(
	"kube-apiserver k8s.io/kubernetes/cmd/kube-apiserver k8s.io/kubernetes 4_minutes"
	"etcd go.etcd.io/etcd/server/v3 go.etcd.io/etcd/server/v3 1_minute"
	"kubectl k8s.io/kubernetes/cmd/kubectl k8s.io/kubernetes 1_minute"
	"kube-controller-manager k8s.io/kubernetes/cmd/kube-controller-manager k8s.io/kubernetes 2_minutes"
)

version_of() { (cd "$here" && go list -m -f '{{.Version}}' "$1"); }

# The Go linker stamps every binary with its package and its module's version: a stamp that cannot be lost or belong to
# another file.
stamp_of() { go version -m "$1" 2>/dev/null | awk '$1 == "path" { path = $2 } $1 == "mod" { print path, $3 }'; }

is_current() {
	local file=$1 package=$2 version=$3
	[[ -x $file && ! -L $file ]] || return 1
	[[ $file -nt $here/go.mod && $file -nt $here/go.sum ]] || return 1
	[[ $(stamp_of "$file") == "$package $version" ]]
}

# link puts a binary of KUBEBUILDER_ASSETS in place; it fails if there is none.
link() {
	local name=$1 assets=${KUBEBUILDER_ASSETS:-}
	[[ -n $assets && $name != kube-controller-manager && -x $assets/$name ]] || return 1
	assets=$(cd "$assets" && pwd)
	# Without this, assets that are bin/ itself would become links to themselves.
	[[ $assets -ef $bin ]] && return 1
	ln -s "$assets/$name" "$scratch/$name" && mv -f "$scratch/$name" "$bin/$name" || return 1
	say "$name: linked to $assets/$name (KUBEBUILDER_ASSETS)"
}

build() {
	local name=$1 package=$2 version=$3 count=$4 duration=$5 started=$SECONDS
	say "building $name $version ($count; about $duration the first time) …"
	if ! run_build "$name" go -C "$here" build -o "$scratch/$name" \
		-ldflags "-s -w -X k8s.io/component-base/version.gitVersion=$kubernetes" "$package"; then
		say "$name: the build failed"
		return 1
	fi
	mv -f "$scratch/$name" "$bin/$name"
	say "  $name $version built in $((SECONDS - started)) s"
}

clean_up() {
	end_build
	rm -rf "$scratch"
}

mkdir -p "$bin"
# Inside bin/, so that mv is a rename: whoever looks sees the old binary or the new one, never half of one.
scratch=$(mktemp -d "$bin/.controlplane.XXXXXX")
trap clean_up EXIT

kubernetes=$(version_of k8s.io/kubernetes)
number=0
for entry in "${binaries[@]}"; do
	read -r name package module duration <<<"$entry"
	number=$((number + 1))
	link "$name" && continue
	version=$(version_of "$module")
	if is_current "$bin/$name" "$package" "$version"; then
		say "$name $version is up to date"
		continue
	fi
	build "$name" "$package" "$version" "$number/${#binaries[@]}" "${duration/_/ }"
done
