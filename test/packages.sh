#!/usr/bin/env bash
# Installs the Debian packages that tests need: what Calico's Felix tells the kernel by, and what runs a program for another
# processor. What is there already is left alone.
set -euo pipefail

packages=()
for command in iptables ipset conntrack qemu-aarch64-static:qemu-user-static; do
	# Not everybody has all of them in the PATH.
	PATH=$PATH:/usr/sbin:/sbin command -v "${command%:*}" >/dev/null || packages+=("${command#*:}")
done
((${#packages[@]} > 0)) || exit 0
printf 'Debian packages %s …\n' "${packages[*]}" >&2
root=()
((EUID == 0)) || root=(sudo)
"${root[@]}" apt-get update -qq
"${root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -qq --yes --no-install-recommends "${packages[@]}" >/dev/null
