package process_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/mozilla-iam/eksguard/test/e2e"
)

// What is wrong at the start ends it at once, with all that is wrong, where, and what to do; and nothing is registered.
func TestFaultsAtTheStart(t *testing.T) {
	kubeconfig := cluster.Plane(t).Kubeconfig
	for _, row := range []struct {
		name string
		args []string
		// files are written into a folder first; <dir> stands for it in args and want.
		files map[string]string
		want  string
	}{
		{
			name:  "settings that nobody knows, or of the wrong form",
			args:  []string{"--settings", "<dir>/settings.yaml"},
			files: map[string]string{"settings.yaml": "iam_role: {environment: [prod]}\ncluster: {account: 555555555555}\nenforcement: {iam-rol: warn}\n"},
			want: `eksguard: default bundle with settings "<dir>/settings.yaml":
settings.cluster.account: got number, want string
settings.iam_role.environment: unknown key (did you mean "environments"?)
`,
		},
		{
			name:  "an enforcement action for a policy that there is not",
			args:  []string{"--settings", "<dir>/settings.yaml"},
			files: map[string]string{"settings.yaml": "enforcement: {iam-rol: warn, aws-auth/admin-grants: warn}\n"},
			want: `eksguard: default bundle with settings "<dir>/settings.yaml":
settings.enforcement["aws-auth/admin-grants"]: policy "aws-auth" has no rule "admin-grants" (did you mean "admin-grant"?)
settings.enforcement["iam-rol"]: there is no policy "iam-rol" (did you mean "iam-role"?)
`,
		},
		{
			name:  "an exception without an end",
			args:  []string{"--settings", "<dir>/settings.yaml"},
			files: map[string]string{"settings.yaml": "exceptions: [{policy: iam-role, namespace: a, reason: b, expires: never}]\n"},
			want: `eksguard: default bundle with settings "<dir>/settings.yaml":
settings.exceptions[0].expires: "never" is neither a day (2027-01-31) nor an RFC 3339 time
`,
		},
		{
			name:  "a key twice",
			args:  []string{"--settings", "<dir>/settings.yaml"},
			files: map[string]string{"settings.yaml": "cluster: {}\ncluster: {}\n"},
			want: `eksguard: settings "<dir>/settings.yaml": error converting YAML to JSON: yaml: unmarshal errors:
  line 2: key "cluster" already set in map
`,
		},
		{
			name: "settings that are not there",
			args: []string{"--settings", "<dir>/settings.yaml"},
			want: `eksguard: settings: open <dir>/settings.yaml: no such file or directory
`,
		},
		{
			name: "a bundle that is not there",
			args: []string{"--bundle", "<dir>/bundle"},
			want: `eksguard: bundle: stat <dir>/bundle: no such file or directory
`,
		},
		{
			name:  "a policy that breaks the contract",
			args:  []string{"--bundle", "<dir>"},
			files: map[string]string{"policy.rego": "package eksguard.mine\n\ndeny contains {\"rule\": \"a\", \"message\": \"b\"}\n"},
			want: `eksguard: bundle "<dir>":
<dir>/policy.rego:3: rule "deny": METADATA is missing: want ` + "`# METADATA`" + ` before it, with title and custom: {id: …, severity: …}
policy "mine": METADATA of package eksguard.mine is missing
`,
		},
		{
			name:  "a policy that does not parse",
			args:  []string{"--bundle", "<dir>"},
			files: map[string]string{"policy.rego": "package eksguard.mine\n\ndeny contains\n"},
			want:  `<dir>/policy.rego:4: rego_parse_error: unexpected eof token`,
		},
		{
			name: "a kubeconfig that is not there",
			args: []string{"--kubeconfig", "<dir>/kubeconfig"},
			want: `eksguard: --kubeconfig "<dir>/kubeconfig": stat <dir>/kubeconfig: no such file or directory
`,
		},
		{
			name: "no kubeconfig, and no Pod",
			args: []string{"--kubeconfig", ""},
			want: `eksguard: not in a cluster, and no --kubeconfig: unable to load in-cluster configuration, KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT must be defined
`,
		},
		{
			name: "an address that the API server cannot use",
			args: []string{"--webhook-url", "http://localhost:9443"},
			want: `eksguard: --webhook-url "http://localhost:9443": want https://HOST[:PORT]
`,
		},
		{
			name: "a log level that there is not",
			args: []string{"--log-level", "loud"},
			want: `eksguard: --log-level "loud": want debug, info, warn or error
`,
		},
		{
			name: "a flag that there is not",
			args: []string{"--setings", "a"},
			want: `eksguard: unknown flag: --setings
`,
		},
		{
			name: "an API server that is not there",
			args: []string{"--kubeconfig", "<dir>/kubeconfig"},
			files: map[string]string{"kubeconfig": `
apiVersion: v1
kind: Config
clusters: [{name: a, cluster: {server: "https://127.0.0.1:1"}}]
contexts: [{name: a, context: {cluster: a, user: a}}]
users: [{name: a, user: {}}]
current-context: a
`},
			want: `https://127.0.0.1:1`,
		},
	} {
		t.Run(row.name, func(t *testing.T) {
			dir := t.TempDir()
			for name, content := range row.files {
				if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			ports := e2e.FreePorts(t, 3)
			args := serve(kubeconfig, ports, "--leader-elect=false")
			for _, arg := range row.args {
				args = append(args, strings.ReplaceAll(arg, "<dir>", dir))
			}
			p := e2e.Start(t, args...)
			if code := p.Exit(20 * time.Second); code != 2 {
				t.Errorf("exit status is %d, want 2", code)
			}
			want := strings.ReplaceAll(row.want, "<dir>", dir)
			if got := p.Output(); got != want && (strings.HasPrefix(want, "eksguard: ") || !strings.Contains(got, want)) {
				t.Errorf("it printed:\n%swant:\n%s", got, want)
			}
		})
	}
	if _, err := validating(t); !apierrors.IsNotFound(err) {
		t.Errorf("something is registered: %v", err)
	}
	if _, err := mutating(t); !apierrors.IsNotFound(err) {
		t.Errorf("something is registered: %v", err)
	}
}
