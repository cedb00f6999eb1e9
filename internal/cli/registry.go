package cli

import (
	"fmt"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/mozilla-iam/eksguard/internal/bundle"
	"github.com/mozilla-iam/eksguard/internal/bundlefile"
)

func addRegistryFlags(flags *pflag.FlagSet, o *bundlefile.RegistryOptions) {
	flags.BoolVar(&o.PlainHTTP, "plain-http", false, "reach the registry without TLS: for one on this machine")
	flags.StringVar(&o.DockerConfig, "docker-config", "",
		"`file` with credentials (default: Docker's, ~/.docker/config.json)")
}

func newBundlePush() *cobra.Command {
	var o bundlefile.RegistryOptions
	cmd := &cobra.Command{
		Use:   "push FILE REFERENCE",
		Short: "Push a bundle file to an OCI registry",
		Long: `Push a bundle file to an OCI registry, as OPA's own downloader takes it from there. REFERENCE is
<registry>/<repository>:<tag>. Credentials are Docker's, and those of the credential helpers that its configuration
names, such as docker-credential-ecr-login. The digest of what was pushed is printed.`,
		Example: `  eksguard bundle push bundle.tar.gz registry.example.com/policies:v1.2.0
  eksguard bundle push bundle.tar.gz localhost:5000/policies:dev --plain-http`,
		Args: cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			file, err := bundle.ReadFile(args[0])
			if err != nil {
				return err
			}
			image, err := bundlefile.Push(cmd.Context(), args[1], file, o)
			if err != nil {
				return err
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s@%s\n", args[1], image)
			return err
		},
	}
	addRegistryFlags(cmd.Flags(), &o)
	return cmd
}

func newBundlePull() *cobra.Command {
	var o bundlefile.RegistryOptions
	var output string
	cmd := &cobra.Command{
		Use:   "pull REFERENCE",
		Short: "Pull a bundle file from an OCI registry",
		Long: `Pull a bundle file from an OCI registry. REFERENCE is <registry>/<repository>:<tag> or
<registry>/<repository>@<digest>. What is pulled is whole, but who made it is told by eksguard bundle verify alone.`,
		Example: `  eksguard bundle pull localhost:5000/policies:dev --plain-http --output bundle.tar.gz`,
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			file, image, err := bundlefile.Pull(cmd.Context(), args[0], o)
			if err != nil {
				return err
			}
			if err := bundlefile.WriteFile(output, file); err != nil {
				return err
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s: %s\n", output, image)
			return err
		},
	}
	cmd.Flags().StringVar(&output, "output", "bundle.tar.gz", "`file` to write")
	addRegistryFlags(cmd.Flags(), &o)
	return cmd
}
