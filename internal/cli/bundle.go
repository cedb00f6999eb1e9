package cli

import (
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	opabundle "github.com/open-policy-agent/opa/v1/bundle"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/mozilla-iam/eksguard/internal/bundle"
	"github.com/mozilla-iam/eksguard/internal/bundlefile"
	"github.com/mozilla-iam/eksguard/internal/policy"
)

func newBundle() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "bundle",
		Short: "Build, sign, verify, inspect, push and pull bundle files",
		Long: `Build, sign, verify, inspect, push and pull bundle files: OPA's bundles, which opa and everything that
speaks its bundle format take as well.`,
	}
	cmd.AddCommand(newBundleBuild(), newBundleSign(), newBundleVerify(), newBundleInspect(), newBundlePush(),
		newBundlePull())
	return cmd
}

func newBundleBuild() *cobra.Command {
	var build bundlefile.BuildOptions
	var with checkOptions
	var output string
	cmd := &cobra.Command{
		Use:   "build [PATH]",
		Short: "Build a bundle file of a folder of policies",
		Long: `Build a bundle file of a folder of policies (default: the current one). It is reproducible: the same
policies give the same bytes. Tests are left out unless --tests is given. Its roots are those of .manifest, or
"eksguard".

What eksguard check finds fault with is not built.

The exit code is 0 if the file was written, 1 if a check found something, and 2 if something else went wrong.`,
		Example: `  eksguard bundle build policies/ --output bundle.tar.gz
  eksguard bundle build policies/ --output bundle.tar.gz --revision v1.2.0`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			options, err := with.options(cmd.InOrStdin())
			if err != nil {
				return err
			}
			path := pathsOf(args)[0]
			b, report, err := checkBundle(cmd, []string{path}, options)
			if err != nil {
				return err
			}
			if len(report.Findings) > 0 {
				if err := printFindings(cmd.ErrOrStderr(), report); err != nil {
					return err
				}
				_, _ = fmt.Fprintf(cmd.ErrOrStderr(), "\neksguard: %s: %s: not built\n",
					path, counted(len(report.Findings), "finding"))
				return errFound
			}
			file, revision, err := bundlefile.Build(b, build)
			if err != nil {
				return fmt.Errorf("build %q: %w", path, err)
			}
			if err := bundlefile.WriteFile(output, file); err != nil {
				return err
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s: revision %s, %d KiB\n", output, revision, (len(file)+1023)>>10)
			return err
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&output, "output", "bundle.tar.gz", "`file` to write")
	flags.StringVar(&build.Revision, "revision", "", "`name` of what is in it (default: a digest of the content)")
	flags.BoolVar(&build.Tests, "tests", false, "keep the tests")
	with.addInputFlags(flags)
	return cmd
}

// keyOptions are the flags that name a key.
type keyOptions struct{ id, algorithm, file, env string }

func (o *keyOptions) addFlags(flags *pflag.FlagSet, side string) {
	flags.StringVar(&o.id, "keyid", "", "`name` of the key, as in the verifier's configuration")
	flags.StringVar(&o.algorithm, "alg", "ES256", "`algorithm`: RS256, ES256, HS256 or another of JSON Web Algorithms")
	flags.StringVar(&o.file, "key", "", "`file` with the "+side+" key as PEM, or the secret for HMAC")
	flags.StringVar(&o.env, "key-env", "", "`name` of the environment variable that holds the key, instead of --key")
}

func (o *keyOptions) load() (bundlefile.Key, error) {
	key := bundlefile.Key{ID: o.id, Algorithm: o.algorithm}
	switch {
	case o.id == "":
		return key, fmt.Errorf("--keyid is missing: want the name by which the verifier knows the key")
	case (o.file == "") == (o.env == ""):
		return key, fmt.Errorf("want one of --key and --key-env")
	case o.env != "":
		if key.Text = os.Getenv(o.env); key.Text == "" {
			return key, fmt.Errorf("--key-env %q: the variable is not set", o.env)
		}
		return key, nil
	}
	var err error
	key.Text, err = bundlefile.KeyFromFile(o.file)
	return key, err
}

func newBundleSign() *cobra.Command {
	var o keyOptions
	var output string
	cmd := &cobra.Command{
		Use:   "sign FILE",
		Short: "Sign a bundle file",
		Long: `Sign a bundle file, in place unless --output is given. The signature is OPA's: a JSON Web Signature
over the digests of all files, .signatures.json in the bundle. A signature that is there is replaced.

The key is read from a file or an environment variable. It is never an argument, which other users of the machine
could see, and never printed.`,
		Example: `  eksguard bundle sign bundle.tar.gz --key private.pem --keyid policies-2027
  eksguard bundle sign bundle.tar.gz --key-env SIGNING_KEY --keyid policies-2027 --alg RS256`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			key, err := o.load()
			if err != nil {
				return err
			}
			file, err := bundle.ReadFile(args[0])
			if err != nil {
				return err
			}
			signed, err := bundlefile.Sign(file, key)
			if err != nil {
				return fmt.Errorf("bundle file %q: %w", args[0], err)
			}
			if output == "" {
				output = args[0]
			}
			if err := bundlefile.WriteFile(output, signed); err != nil {
				return err
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s: signed by key %q (%s)\n", output, key.ID, key.Algorithm)
			return err
		},
	}
	o.addFlags(cmd.Flags(), "private")
	cmd.Flags().StringVar(&output, "output", "", "`file` to write (default: FILE itself)")
	return cmd
}

func newBundleVerify() *cobra.Command {
	var o keyOptions
	cmd := &cobra.Command{
		Use:   "verify FILE",
		Short: "Verify the signature of a bundle file",
		Long: `Verify that a key signed a bundle file, and that all files in it are as they were signed. A bundle without a
signature fails.

The exit code is 0 if the signature holds, 1 if it does not, and 2 if it could not be tried.`,
		Example: `  eksguard bundle verify bundle.tar.gz --key public.pem --keyid policies-2027`,
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			key, err := o.load()
			if err != nil {
				return err
			}
			file, err := bundle.ReadFile(args[0])
			if err != nil {
				return err
			}
			b, err := bundlefile.Verify(file, key)
			if err != nil {
				_, _ = fmt.Fprintf(cmd.ErrOrStderr(), "eksguard: bundle file %q: %v\n", args[0], err)
				return errFound
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s: signed by key %q (%s), revision %s\n",
				args[0], key.ID, key.Algorithm, b.Manifest.Revision)
			return err
		},
	}
	o.addFlags(cmd.Flags(), "public")
	return cmd
}

// inspection is what eksguard bundle inspect tells.
type inspection struct {
	Revision   string                 `json:"revision"`
	Roots      []string               `json:"roots"`
	Metadata   map[string]any         `json:"metadata,omitempty"`
	Signatures []bundlefile.Signature `json:"signatures"`
	Files      []string               `json:"files"`
	Policies   []inspectedPolicy      `json:"policies"`
}

type inspectedPolicy struct {
	Name  string   `json:"name"`
	Title string   `json:"title"`
	Rules []string `json:"rules"`
}

func newBundleInspect() *cobra.Command {
	var output string
	cmd := &cobra.Command{
		Use:   "inspect PATH",
		Short: "Tell what is in a bundle file or folder",
		Long: `Tell what is in a bundle file or folder: revision, roots, policies and rules, and what its signatures say of
themselves. Nothing is verified: see eksguard bundle verify.`,
		Example: "  eksguard bundle inspect bundle.tar.gz\n  eksguard bundle inspect bundle.tar.gz -o json | jq .revision",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if output != "text" && output != "json" {
				return fmt.Errorf("--output %q: want text or json", output)
			}
			b, err := bundle.Load(args[0])
			if err != nil {
				return broken(err)
			}
			snapshot, err := policy.NewSnapshot(cmd.Context(), b, nil)
			if err != nil {
				return broken(err)
			}
			signatures, err := signaturesOf(args[0])
			if err != nil {
				return err
			}
			told := inspect(b, snapshot, signatures)
			if output == "text" {
				return told.write(cmd.OutOrStdout())
			}
			return printJSON(cmd.OutOrStdout(), told)
		},
	}
	cmd.Flags().StringVarP(&output, "output", "o", "text", "`format`: text or json")
	return cmd
}

// signaturesOf reads the signatures of a bundle file; a folder has none.
func signaturesOf(path string) ([]bundlefile.Signature, error) {
	if info, err := os.Stat(path); err != nil || info.IsDir() {
		return []bundlefile.Signature{}, err
	}
	file, err := bundle.ReadFile(path)
	if err != nil {
		return nil, err
	}
	return bundlefile.Signatures(file)
}

func inspect(b *opabundle.Bundle, snapshot *policy.Snapshot, signatures []bundlefile.Signature) *inspection {
	told := &inspection{
		Revision: snapshot.Revision(), Metadata: b.Manifest.Metadata, Signatures: signatures, Roots: []string{},
	}
	if b.Manifest.Roots != nil {
		told.Roots = *b.Manifest.Roots
	}
	for i := range b.Modules {
		told.Files = append(told.Files, b.Modules[i].RelativePath)
	}
	slices.Sort(told.Files)
	for _, p := range snapshot.Policies() {
		in := inspectedPolicy{Name: p.Name, Title: p.Title}
		for _, r := range p.Rules {
			in.Rules = append(in.Rules, r.ID)
		}
		told.Policies = append(told.Policies, in)
	}
	return told
}

func (i *inspection) write(w io.Writer) error {
	var text strings.Builder
	fmt.Fprintf(&text, "revision    %s\nroots       %s\n", i.Revision, strings.Join(i.Roots, ", "))
	for _, s := range i.Signatures {
		fmt.Fprintf(&text, "signature   key %q, %s, over %d files (not verified)\n", s.KeyID, s.Algorithm, s.Files)
	}
	if len(i.Signatures) == 0 {
		text.WriteString("signature   none\n")
	}
	fmt.Fprintf(&text, "modules     %d\n", len(i.Files))
	for _, p := range i.Policies {
		fmt.Fprintf(&text, "\n%s: %s\n", p.Name, p.Title)
		for _, rule := range p.Rules {
			fmt.Fprintf(&text, "  %s\n", rule)
		}
	}
	_, err := io.WriteString(w, text.String())
	return err
}
