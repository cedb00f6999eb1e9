package cli

import (
	"fmt"
	"runtime/debug"

	"github.com/spf13/cobra"
)

// version is set by the linker for a release.
var version = "dev"

const opaModule = "github.com/open-policy-agent/opa"

func newVersion() *cobra.Command {
	return &cobra.Command{
		Use:     "version",
		Short:   "Print the versions of eksguard, Go and OPA",
		Example: `  eksguard version`,
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			_, err := fmt.Fprintf(cmd.OutOrStdout(), "eksguard %s\n%s\n", version, dependencies())
			return err
		},
	}
}

func dependencies() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return ""
	}
	text := info.GoVersion
	if version := opaVersion(); version != "" {
		text += "\nopa " + version
	}
	return text
}
