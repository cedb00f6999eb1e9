package cli

import (
	"errors"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"golang.org/x/term"

	"github.com/mozilla-iam/eksguard/internal/manifest"
	"github.com/mozilla-iam/eksguard/internal/review"
)

// errUnread ends a command with exitError; what could not be read has been printed.
var errUnread = errors.New("bad input")

// reviewOptions are the flags of eksguard review.
type reviewOptions struct {
	source
	filenames  []string
	old        []string
	namespaces []string
	author
	output []string
}

func newReview() *cobra.Command {
	var o reviewOptions
	cmd := &cobra.Command{
		Use:   "review FILE|FOLDER|-...",
		Short: "Judge manifests without a cluster",
		Long: `Judge manifests without a cluster: the same engine, policies and settings as in the webhook, asked as the API server
would ask it.

An object is judged as created; where --old has one of the same kind, namespace and name, as updated; and what only --old
has, as deleted. Mutations are applied first. What is not in the manifests is not known: the Namespaces of the cluster,
with their annotations, are given with --namespaces.

A folder is read with all below it: *.yaml, *.yml and *.json, but nothing whose name begins with a dot. Where there is a
kustomization in it, that is built, without plugins, helm and the network, and its output is judged; what other
kustomizations in the folder are made of is judged as a part of those. Of what stdin has from helm template, or from
kustomize build with buildMetadata: [originAnnotations], the files that it was rendered from are told.

The exit code is 0 if nothing is denied, 1 if something is, and 2 if something could not be read; the rest is judged
nevertheless.`,
		Example: `  eksguard review manifests/ --settings settings.yaml
  helm template . | eksguard review -

  # What a change does, by the state of the cluster, as Flux would apply it
  kubectl get namespaces -o yaml > namespaces.yaml
  eksguard review new/ --old old/ --namespaces namespaces.yaml \
    --as system:serviceaccount:flux-system:kustomize-controller

  # In CI: annotate the pull request, and write a file for code scanning
  eksguard review manifests/ -o github -o sarif=eksguard.sarif

  # Only the ids of the rules that deny
  eksguard review manifests/ -o json |
    jq -r '.objects[].violations[] | select(.action == "deny" and .exception == null) | .policy + "/" + .rule'`,
		RunE: func(cmd *cobra.Command, args []string) error {
			o.filenames = append(o.filenames, args...)
			return o.run(cmd)
		},
	}
	o.addFlags(cmd.Flags())
	_ = cmd.RegisterFlagCompletionFunc("output", // it was defined above
		cobra.FixedCompletions(reviewFormats, cobra.ShellCompDirectiveNoFileComp))
	return cmd
}

func (o *reviewOptions) addFlags(flags *pflag.FlagSet) {
	flags.StringArrayVarP(&o.filenames, "filename", "f", nil,
		"`file` or folder of manifests, or - for stdin, as an argument is; repeatable")
	flags.StringArrayVar(&o.old, "old", nil, "`file`, folder or - with what is there before the change; repeatable")
	flags.StringArrayVar(&o.namespaces, "namespaces", nil,
		"`file`, folder or - with the cluster's Namespaces; repeatable")
	o.author.addFlags(flags, "applies")
	flags.StringArrayVarP(&o.output, "output", "o", []string{"text"},
		"`format`: "+strings.Join(reviewFormats, ", ")+"; FORMAT=FILE writes a file; repeatable")
	o.source.addFlags(flags)
}

func (o *reviewOptions) validate() error {
	if len(o.filenames) == 0 {
		return errors.New("no manifests: name files or folders, or - for stdin")
	}
	if err := o.validateAuthor(); err != nil {
		return err
	}
	paths := slices.Concat(o.filenames, o.old, o.namespaces)
	if i := slices.Index(paths, manifest.Stdin); i >= 0 && slices.Contains(paths[i+1:], manifest.Stdin) {
		return errors.New("stdin (-) can be read only once")
	}
	return nil
}

func (o *reviewOptions) run(cmd *cobra.Command) error {
	if err := o.validate(); err != nil {
		return err
	}
	outputs, err := parseOutputs(o.output)
	if err != nil {
		return err
	}
	snapshot, err := o.load(cmd)
	if err != nil {
		return err
	}
	in, unread := o.read(cmd.InOrStdin())
	report, err := review.Review(cmd.Context(), snapshot, in)
	if err != nil {
		return err
	}
	report.AddErrors(unread)
	return finish(cmd, outputs, report, snapshot)
}

func (o *reviewOptions) read(stdin io.Reader) (in review.Input, unread []manifest.Error) {
	read := func(paths []string) []manifest.Document {
		documents, errs := manifest.Read(paths, stdin)
		unread = append(unread, errs...)
		return documents
	}
	in = review.Input{User: o.user(), Objects: read(o.filenames)}
	in.Partial = len(unread) > 0
	in.Old = read(o.old)
	namespaces := read(o.namespaces)
	for _, document := range namespaces {
		if review.IsNamespace(document.Object) {
			in.Namespaces = append(in.Namespaces, document)
		}
	}
	if len(namespaces) > 0 && len(in.Namespaces) == 0 {
		unread = append(unread, manifest.Error{
			File: strings.Join(o.namespaces, ", "), Err: errors.New("there is no Namespace in it")})
	}
	return in, unread
}

// isTerminal tells whether w shows colours, and whoever looks at it wants them (no-color.org).
func isTerminal(w io.Writer) bool {
	file, ok := w.(*os.File)
	return ok && term.IsTerminal(int(file.Fd())) && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"
}
