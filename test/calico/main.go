// Command felix runs Felix, which is the part of Calico that enforces NetworkPolicies on a node: the daemon of Calico's own
// module, unchanged. `felix` runs with the FELIX_ variables of its environment until its standard input ends, which it does
// at the latest with the test that started it.
package main

import (
	"io"
	"os"

	"github.com/projectcalico/calico/felix/buildinfo"
	"github.com/projectcalico/calico/felix/daemon"
)

func main() {
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin) // whatever ends it
		os.Exit(0)
	}()
	const noConfig = "" // all of it is in the environment
	daemon.Run(noConfig, buildinfo.GitVersion, buildinfo.GitRevision, buildinfo.BuildDate)
}
