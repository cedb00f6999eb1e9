package cli

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/mozilla-iam/eksguard/internal/scaffold"
)

func newNew() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "new",
		Short: "Begin something new",
	}
	cmd.AddCommand(newNewPolicy())
	return cmd
}

func newNewPolicy() *cobra.Command {
	var dir string
	cmd := &cobra.Command{
		Use:   "policy NAME",
		Short: "Begin a policy",
		Long: `Begin a policy: one that works, to be changed into what is wanted. It has a deny and a warn rule,
examples, tests that cover all of it, and settings, and passes check, test and fmt as it is. NAME is the last part
of its package, such as image_tags.

Nothing is written over; where something is in the way, nothing is written at all.`,
		Example: `  eksguard new policy namespace_owner --dir policies`,
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			written, err := scaffold.New(dir, args[0])
			if err != nil {
				return err
			}
			for _, name := range written {
				if _, err := fmt.Fprintln(cmd.OutOrStdout(), name); err != nil {
					return err
				}
			}
			return nil
		},
	}
	cmd.Flags().StringVar(&dir, "dir", "policies", "`folder` of the bundle; made if it is not there")
	return cmd
}
