package cli

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/mozilla-iam/eksguard/internal/regofmt"
)

// fmtOptions are the flags of eksguard fmt.
type fmtOptions struct{ check, list, diff bool }

func newFmt() *cobra.Command {
	var o fmtOptions
	cmd := &cobra.Command{
		Use:   "fmt [PATH…]",
		Short: "Format Rego files",
		Long: `Format Rego files in place: those given, and all *.rego below the folders given (default: the current
one). A file is replaced as a whole or not at all, and one that does not parse is left as it is. The names of the
files that were not formatted are printed.

The exit code is 0 if all is well, 1 if --check finds a file that is not formatted, and 2 if a file cannot be read,
parsed or written; the others are formatted nevertheless.`,
		Example: `  eksguard fmt policies/
  eksguard fmt --check --diff policies/`,
		RunE: o.run,
	}
	flags := cmd.Flags()
	flags.BoolVar(&o.check, "check", false, "write nothing, and end with 1 if a file is not formatted")
	flags.BoolVar(&o.list, "list", false, "write nothing, print the names alone")
	flags.BoolVar(&o.diff, "diff", false, "write nothing, print what would change")
	return cmd
}

func (o *fmtOptions) run(cmd *cobra.Command, paths []string) error {
	if len(paths) == 0 {
		paths = []string{"."}
	}
	files, err := regofmt.Find(paths)
	if err != nil {
		return err
	}
	found, unread := false, false
	for _, name := range files {
		file, err := regofmt.Read(name)
		if err == nil && file.Changed() {
			found = true
			err = o.handle(cmd, file)
		}
		if err != nil {
			unread = true
			_, _ = fmt.Fprintf(cmd.ErrOrStderr(), "eksguard: %v\n", broken(err))
		}
	}
	switch {
	case unread:
		return errUnread
	case o.check && found:
		return errFound
	default:
		return nil
	}
}

func (o *fmtOptions) handle(cmd *cobra.Command, file *regofmt.File) error {
	text := file.Name + "\n"
	if o.diff {
		text = file.Diff()
	}
	if !o.check && !o.list && !o.diff {
		if err := file.Write(); err != nil {
			return err
		}
	}
	_, err := fmt.Fprint(cmd.OutOrStdout(), text)
	return err
}
