package chart_test

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	loader3 "helm.sh/helm/v3/pkg/chart/loader"
	"helm.sh/helm/v3/pkg/chartutil"
	engine3 "helm.sh/helm/v3/pkg/engine"
	lint3 "helm.sh/helm/v3/pkg/lint"
	"helm.sh/helm/v4/pkg/chart/common"
	"helm.sh/helm/v4/pkg/chart/common/util"
	"helm.sh/helm/v4/pkg/chart/v2/lint"
	"helm.sh/helm/v4/pkg/chart/v2/loader"
	"helm.sh/helm/v4/pkg/engine"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"

	"github.com/mozilla-iam/eksguard/test/e2e"
)

// render is what Helm 4 makes of the chart and these values, by template. Schema and templates may refuse the values.
func render(t testing.TB, values map[string]any, into string) (map[string]string, error) {
	t.Helper()
	chart, err := loader.Load(chartDir)
	if err != nil {
		t.Fatal(err)
	}
	options := common.ReleaseOptions{Name: release, Namespace: into, IsInstall: true}
	all, err := util.ToRenderValues(chart, values, options, nil)
	if err != nil {
		return nil, err
	}
	return engine.Render(chart, all)
}

// render3 is render by Helm 3.
func render3(t testing.TB, values map[string]any, into string) (map[string]string, error) {
	t.Helper()
	chart, err := loader3.Load(chartDir)
	if err != nil {
		t.Fatal(err)
	}
	options := chartutil.ReleaseOptions{Name: release, Namespace: into, IsInstall: true}
	all, err := chartutil.ToRenderValues(chart, values, options, nil)
	if err != nil {
		return nil, err
	}
	return engine3.Render(chart, all)
}

// objects are what the chart makes of values that are in order, sorted by template.
func objects(t testing.TB, values map[string]any, into string) (found []*unstructured.Unstructured) {
	t.Helper()
	templates, err := render(t, values, into)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range slices.Sorted(maps.Keys(templates)) {
		if strings.HasSuffix(name, ".yaml") {
			found = append(found, parseAll(t, templates[name])...)
		}
	}
	return found
}

// parseAll makes objects of a stream of YAML documents.
func parseAll(t testing.TB, text string) (found []*unstructured.Unstructured) {
	t.Helper()
	for _, document := range strings.Split("\n"+text, "\n---") {
		if content := ""; yaml.Unmarshal([]byte(document), &content) == nil && content == "" {
			continue // nothing but white space and comments
		}
		found = append(found, e2e.Parse(t, document))
	}
	return found
}

func valuesFiles(t testing.TB) map[string]map[string]any {
	t.Helper()
	paths, err := filepath.Glob("testdata/values/*.yaml")
	if err != nil || len(paths) == 0 {
		t.Fatalf("no values in testdata/values: %v", err)
	}
	found := map[string]map[string]any{}
	for _, path := range paths {
		found[strings.TrimSuffix(filepath.Base(path), ".yaml")] = readValues(t, path)
	}
	return found
}

func readValues(t testing.TB, path string) map[string]any {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	values := map[string]any{}
	if err := yaml.UnmarshalStrict(text, &values); err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	return values
}

func TestHelm3And4RenderTheSame(t *testing.T) {
	for name, values := range valuesFiles(t) {
		t.Run(name, func(t *testing.T) {
			four, err := render(t, values, namespace)
			if err != nil {
				t.Fatal(err)
			}
			three, err := render3(t, values, namespace)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(three, four); diff != "" {
				t.Errorf("Helm 3 and 4 (-3 +4):\n%s", diff)
			}
		})
	}
}

func TestNothingToLint(t *testing.T) {
	for name, values := range valuesFiles(t) {
		t.Run(name, func(t *testing.T) {
			for _, message := range lint.RunAll(chartDir, values, namespace).Messages {
				if !strings.Contains(message.Err.Error(), "icon is recommended") {
					t.Errorf("Helm 4: %s", message)
				}
			}
			for _, message := range lint3.All(chartDir, values, namespace, true).Messages {
				if !strings.Contains(message.Err.Error(), "icon is recommended") {
					t.Errorf("Helm 3: %s", message)
				}
			}
		})
	}
}

// What is wrong with values is told by name, before anything is installed.
func TestValuesThatAreRefused(t *testing.T) {
	for name, row := range map[string]struct{ values, into, want string }{
		"no image": {"{}", namespace, "image.repository is not set: "},
		"an unknown key": {
			"{replica: 3}", namespace,
			"additional properties 'replica' not allowed",
		},
		"an unknown key in a group": {
			"{image: {name: x}}", namespace,
			"at '/image': additional properties 'name' not allowed",
		},
		"a wrong type": {
			"{replicas: two}", namespace,
			"at '/replicas': got string, want integer",
		},
		"no replica": {"{replicas: 0}", namespace, "at '/replicas': minimum: got 0, want 1"},
		"a privileged port": {
			"{webhook: {port: 443}}", namespace,
			"at '/webhook/port': minimum: got 443, want 1,024",
		},
		"a level that does not exist": {
			"{log: {level: trace}}", namespace,
			"at '/log/level': value must be one of 'debug', 'info', 'warn', 'error'",
		},
		"a digest that is none": {
			"{image: {digest: latest}}", namespace,
			"at '/image/digest': 'latest' does not match pattern",
		},
		"a certificate mode": {
			"{certificate: {mode: none}}", namespace,
			"at '/certificate/mode': value must be one of 'self-signed', 'cert-manager', 'files'",
		},
		"a kind of issuer": {
			"{certificate: {issuer: {kind: AWSPCAClusterIssuer}}}", namespace,
			"at '/certificate/issuer/kind': value must be one of 'Issuer', 'ClusterIssuer'",
		},
		"an issuer whom nobody asks": {
			"{image: {repository: x}, certificate: {issuer: {name: company}}}", namespace,
			`certificate.issuer.name "company": certificate.mode is "self-signed", which asks no issuer; ` +
				`set certificate.mode to cert-manager`,
		},
		"an issuer for files": {
			"{image: {repository: x}, certificate: {mode: files, issuer: {name: company}}}", namespace,
			`certificate.issuer.name "company": certificate.mode is "files"`,
		},
		"a ClusterIssuer without a name": {
			"{image: {repository: x}, certificate: {mode: cert-manager, issuer: {kind: ClusterIssuer}}}", namespace,
			"certificate.issuer.kind ClusterIssuer: certificate.issuer.name is not set",
		},
		"two places of authorities": {
			"{image: {repository: x}, clientCA: {configMap: a, secret: b}}", namespace,
			`clientCA.configMap "a" and clientCA.secret "b": set one of them`,
		},
		"names for which nobody vouches": {
			"{image: {repository: x}, clientCA: {names: [kube-apiserver]}}", namespace,
			`clientCA.names ["kube-apiserver"]: nobody vouches for names; set clientCA.configMap or clientCA.secret`,
		},
		"names that are two": {
			"{image: {repository: x}, clientCA: {configMap: a, names: ['a,b']}}", namespace,
			"at '/clientCA/names/0': 'a,b' does not match pattern",
		},
		"the serving certificate's authority for clients": {
			"{image: {repository: x}, certificate: {mode: files, secretName: tls}, clientCA: {secret: tls}}", namespace,
			`clientCA.secret "tls": it holds the serving certificate`,
		},
		"authorities by a path": {
			"{image: {repository: x}, clientCA: {configMap: a, key: ../ca.crt}}", namespace,
			"at '/clientCA/key': '../ca.crt' does not match pattern",
		},
		"a CIDR that is none": {
			"{networkPolicy: {apiServerCIDRs: [vpc]}}", namespace,
			"at '/networkPolicy/apiServerCIDRs/0': 'vpc' does not match pattern",
		},
		"every resource": {
			"{rbac: {needs: [{apiVersion: v1, resource: '*'}]}}", namespace,
			"at '/rbac/needs/0/resource': '*' does not match pattern",
		},
		"a flag that is none": {
			"{extraArgs: [serve]}", namespace,
			"at '/extraArgs/0': 'serve' does not match pattern",
		},
		"a namespace that it must guard": {
			"{image: {repository: x}}", "kube-system",
			`namespace "kube-system": writes to the namespace of eksguard pass while it does not answer`,
		},
		"a namespace that is everybody's": {
			"{image: {repository: x}}", "default",
			`install it into one of its own: --namespace eksguard-system`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			values := map[string]any{}
			if err := yaml.Unmarshal([]byte(row.values), &values); err != nil {
				t.Fatal(err)
			}
			_, err := render(t, values, row.into)
			if err == nil || !strings.Contains(err.Error(), row.want) {
				t.Errorf("Helm 4: got %v, want %q", err, row.want)
			}
			_, err = render3(t, values, row.into)
			if err == nil || !strings.Contains(err.Error(), row.want) {
				t.Errorf("Helm 3: got %v, want %q", err, row.want)
			}
		})
	}
}

// What the notes say depends on the values. Helm shows them once, so that they are the place to warn.
func TestNotes(t *testing.T) {
	const image = "image: {repository: x}\n"
	for name, row := range map[string]struct{ values, want, not string }{
		"cert-manager with its own authority": {
			"certificate: {mode: cert-manager}",
			"by an authority of its own. eksguard gets ready once it is issued:", "tls.key",
		},
		"cert-manager with an issuer": {
			"certificate: {mode: cert-manager, issuer: {name: company}}", "by Issuer company. ", "authority of its own",
		},
		"files": {
			"certificate: {mode: files, secretName: mine}",
			"Secret mine with tls.crt, tls.key and ca.crt, for the name eksguard.eksguard-system.svc.", "cert-manager",
		},
		"client certificates": {"clientCA: {configMap: a}", "on EKS, leave clientCA out.", "egressPorts"},
		"a collector at a port that is closed": {
			"config: {services: {logs: {url: 'https://logs.example.com:8443/x'}}}",
			"networkPolicy.egressPorts does not have what config names: 8443 (https://logs.example.com:8443/x).", "443,",
		},
		"services in a list, without TLS": {
			"config: {services: [{name: a, url: 'http://bundles.svc'}, {name: b, url: 'https://b.example.com'}]}",
			"what config names: 80 (http://bundles.svc).", "b.example.com",
		},
		"a port that is open": {
			"config: {services: {logs: {url: 'https://logs.example.com:8443'}}}\nnetworkPolicy: {egressPorts: [443, 8443]}",
			"To remove it", "egressPorts",
		},
		"no NetworkPolicy": {
			"config: {services: {logs: {url: 'https://logs.example.com:8443'}}}\nnetworkPolicy: {enabled: false}",
			"To remove it", "egressPorts",
		},
		"a URL from the environment": {
			"config: {services: {logs: {url: 'https://${HOST}:8443'}}}", "To remove it", "egressPorts",
		},
	} {
		t.Run(name, func(t *testing.T) {
			templates, err := render(t, values(t, image+row.values), namespace)
			if err != nil {
				t.Fatal(err)
			}
			notes := templates["eksguard/templates/NOTES.txt"]
			if !strings.Contains(notes, row.want) || strings.Contains(notes, row.not) {
				t.Errorf("want %q, and not %q, in:\n%s", row.want, row.not, notes)
			}
		})
	}
}
