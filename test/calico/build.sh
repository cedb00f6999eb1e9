#!/usr/bin/env bash
# Brings what the test with Calico runs: its Felix, at the version that go.mod beside this file requires, into bin/felix, and
# the commands that it tells the kernel by, as Debian packages.
#
# What is there already and up to date is left alone.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
bin=$(cd "$here/../.." && pwd)/bin
# shellcheck source=test/building.sh
source "$here/../building.sh"

missing=()
for command in iptables ipset conntrack; do
	# Not everybody has them in the PATH.
	PATH=$PATH:/usr/sbin:/sbin command -v "$command" >/dev/null || missing+=("$command")
done
if ((${#missing[@]} > 0)); then
	say "Debian packages ${missing[*]} …"
	root=()
	((EUID == 0)) || root=(sudo)
	"${root[@]}" apt-get update -qq
	"${root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -qq --yes --no-install-recommends "${missing[@]}" >/dev/null
fi

cd "$here"
mkdir -p "$bin"
say "Calico's Felix $(go list -m -f '{{.Version}}' github.com/projectcalico/calico) (about 2 minutes the first time) …"
# Without cgo it has no BPF mode, for which it takes a library in C.
CGO_ENABLED=0 run_build Felix go build -o "$bin/felix" -ldflags "-s -w" .
