package bundle_test

import (
	"log/slog"
	"strings"
	"testing"

	"github.com/mozilla-iam/eksguard/internal/bundle"
)

func TestConfigurationsThatAreWrong(t *testing.T) {
	t.Setenv("SET", "value")
	for _, row := range []struct{ name, text, want string }{
		{"no YAML", "a: b: c", "yaml: mapping values are not allowed in this context"},
		{"a key twice", "labels: {}\nlabels: {}", `yaml: unmarshal errors:
  line 2: key "labels" already set in map`},
		{"a list", "[]", "it is []interface {}, want an object with services, bundles and so on"},
		{"an unknown key", "bundels: {}", `bundels: unknown key (did you mean "bundles"?)`},
		{"unknown keys further down", "services: {s: {url: http://a, credentials: {bearer: {token_pat: a}}}}\n" +
			"bundles: {p: {service: s, resorce: a, polling: {max_delay_second: 3}, signing: {key_id: a}}}\neksguard: {test: required}",
			`bundles.p.polling.max_delay_second: unknown key (did you mean "max_delay_seconds"?)
bundles.p.resorce: unknown key (did you mean "resource"?)
bundles.p.signing.key_id: unknown key (did you mean "keyid"?)
eksguard.test: unknown key (did you mean "tests"?)
services.s.credentials.bearer.token_pat: unknown key (did you mean "token_path"?)`},
		{"services as a list", "services: [{name: s, headres: {}}]", `services.0.headres: unknown key (did you mean "headers"?)`},
		{"what OPA has and eksguard has not", "discovery: {}\nplugins: {}\nserver: {}",
			`discovery: not supported: the configuration is this file alone
plugins: not supported: eksguard loads no plugins
server: not supported: addresses are flags of eksguard serve`},
		{"what would weaken signatures", "keys: {k: {key: a}}\nservices: {s: {url: http://a}}\n" +
			"bundles: {p: {service: s, signing: {keyid: k, exclude_files: [a], allow_unsigned_delta_bundles: true}}}",
			`bundles.p.signing.allow_unsigned_delta_bundles: not supported: delta bundles are refused
bundles.p.signing.exclude_files: not supported: every file is verified`},
		{"a signature, and no key id", "keys: {k: {key: a}}\nservices: {s: {url: http://a}}\nbundles: {p: {service: s, signing: {scope: read}}}",
			`bundles.p.signing.keyid: missing: name one of keys, so that the bundle cannot choose its key`},
		{"a key id, and no such key", "keys: {k: {key: a}}\nservices: {s: {url: http://a}}\nbundles: {p: {service: s, signing: {keyid: l}}}",
			`bundles.p: invalid configuration for bundle "p": key id l not found`},
		{"no service", "bundles: {p: {resource: a.tar.gz}}",
			`bundles.p.service: missing: name one of services, which has 0, or set resource to "embedded" or file:///PATH`},
		{"one of two services", "services: {a: {url: http://a}, b: {url: http://b}}\nbundles: {p: {resource: a.tar.gz}}",
			`bundles.p.service: missing: name one of services, which has 2, or set resource to "embedded" or file:///PATH`},
		{"a service that there is not", "services: {a: {url: http://a}}\nbundles: {p: {service: b}}",
			`bundles.p: invalid configuration for bundle "p": service name "b" not found`},
		{"a copy, and nowhere to keep it", "services: {a: {url: http://a}}\nbundles: {p: {service: a, persist: true}}",
			`bundles.p.persist: there is no persistence_directory to keep the copy in`},
		{"a copy of what is on disk", "bundles: {p: {resource: file:///a, persist: true}}",
			`bundles.p.persist: means nothing for resource "file:///a": remove it`},
		{"a file on another machine", "bundles: {p: {resource: file://host/a}}", `bundles.p.resource is "file://host/a", want file:///PATH`},
		{"a type that is wrong", "bundles: {p: {resource: file:///a, size_limit_bytes: many}}",
			`bundles.p: cannot unmarshal string into Go struct field Source.size_limit_bytes of type int64`},
		{"polling that cannot be", "services: {a: {url: http://a}}\nbundles: {p: {service: a, polling: {min_delay_seconds: 9, max_delay_seconds: 3}}}",
			`bundles.p: invalid configuration for bundle "p": max polling delay must be >= min polling delay`},
		{"a name that would not fit into a path", "bundles: {../p: {resource: embedded}}",
			`bundles.../p: want a name of letters, digits, '-', '_', '.' and '/', at most 100 of them`},
		{"tests that are neither", "eksguard: {tests: sometimes}", `eksguard.tests is "sometimes", want required or ignored`},
		{"a decision log that goes nowhere", "services: {s: {url: http://a}}\ndecision_logs: {}",
			`decision_logs: goes nowhere: set service to one of services, or console to true`},
		{"a decision log at a service that there is not", "services: {s: {url: http://a}}\ndecision_logs: {service: t}",
			`decision_logs: invalid service name "t" in decision_logs`},
		{"unknown keys of a decision log", "decision_logs: {consol: true, reporting: {max_decision_per_second: 3}}",
			`decision_logs.consol: unknown key (did you mean "console"?)
decision_logs.reporting.max_decision_per_second: unknown key (did you mean "max_decisions_per_second"?)`},
		{"keys of a decision log that mean nothing", "decision_logs: {console: true, plugin: a, mask_decision: /a, reporting: {trigger: manual}}",
			`decision_logs.mask_decision: not supported: the rules are mask and drop in package system.log of a bundle
decision_logs.plugin: not supported: eksguard loads no plugins
decision_logs.reporting.trigger: not supported: uploads are periodic`},
		{"a decision log of another type", "decision_logs: {console: maybe}",
			`decision_logs: cannot unmarshal string into Go struct field Config.console of type bool`},
		{"a rate that lets nothing through", "decision_logs: {console: true, reporting: {max_decisions_per_second: 0}}",
			`decision_logs.reporting.max_decisions_per_second is 0, want more than 0`},
		{"decisions that are neither", "decision_logs: {console: true}\neksguard: {decision_log: some}",
			`eksguard.decision_log is "some", want findings or all`},
		{"which decisions, and no log", "eksguard: {decision_log: all}",
			`eksguard.decision_log: means nothing without decision_logs`},
		{"a status that goes nowhere", "services: {s: {url: http://a}}\nstatus: {}",
			`status: goes nowhere: set service to one of services, or console to true`},
		{"a status at a service that there is not", "services: {s: {url: http://a}}\nstatus: {service: t}",
			`status: invalid service name "t" in status`},
		{"a status of another type", "status: {console: maybe}",
			`status: cannot unmarshal string into Go struct field Config.console of type bool`},
		{"keys of a status that mean nothing", "status: {consol: true, plugin: a, prometheus: true, prometheus_config: {}, trigger: manual}",
			`status.consol: unknown key (did you mean "console"?)
status.plugin: not supported: eksguard loads no plugins
status.prometheus: not supported: metrics of bundles are eksguard_bundle_* on --metrics-address, and OPA's have error texts as labels
status.prometheus_config: not supported: metrics of bundles are eksguard_bundle_* on --metrics-address, and OPA's have error texts as labels
status.trigger: not supported: a status is sent whenever it changes`},
		{"a variable that is not set", "labels: {a: \"${SET}\", b: \"${NOT_SET_AT_ALL}\"}", `environment variable "NOT_SET_AT_ALL" is not set`},
	} {
		t.Run(row.name, func(t *testing.T) {
			path := write(t, "config.yaml", row.text)
			_, err := bundle.ReadConfig(path, bundle.OPALogger(slog.New(slog.DiscardHandler)))
			want := `configuration "` + path + `": ` + row.want
			if err == nil || err.Error() != want {
				t.Errorf("error is %v\nwant %s", err, want)
			}
		})
	}
}

// What a variable holds is one value: a PEM has lines, and a stranger's text may look like YAML.
func TestVariablesAreValues(t *testing.T) {
	const pem = "-----BEGIN PUBLIC KEY-----\nAAAA\nBBBB\n-----END PUBLIC KEY-----"
	t.Setenv("KEY", pem)
	t.Setenv("SECONDS", "30")
	t.Setenv("TRICK", "blue\", \"extra\": \"x")
	path := write(t, "config.yaml", `
services: {s: {url: "https://bundles.example.com"}}
keys: {release: {algorithm: ES256, key: "${KEY}"}}
labels: {cluster: "${TRICK}"}
bundles:
  policies:
    service: s
    signing: {keyid: release}
    polling:
      min_delay_seconds: ${SECONDS}
      max_delay_seconds: 60
`)
	c, err := bundle.ReadConfig(path, bundle.OPALogger(slog.New(slog.DiscardHandler)))
	must(t, err)
	if got := c.OPA.PublicKeys()["release"].Key; got != pem {
		t.Errorf("key: %q", got)
	}
	if got := c.OPA.Labels()["cluster"]; got != "blue\", \"extra\": \"x" {
		t.Errorf("label: %q", got)
	}
	if got := *c.Sources["policies"].Polling.MinDelaySeconds; got != 30 {
		t.Errorf("polling: %d", got)
	}
}

func TestAConfigurationIsReadAsOPAReadsIt(t *testing.T) {
	t.Setenv("CLUSTER", "blue")
	path := write(t, "config.yaml", `
services:
  - {name: s3, url: "https://bucket.example.com", credentials: {s3_signing: {web_identity_credentials: {aws_region: eu-west-1}}}}
keys: {release: {key: a, algorithm: ES256}}
labels: {cluster: "${CLUSTER}"}
bundles:
  policies: {resource: "clusters/${CLUSTER}/policies.tar.gz", signing: {keyid: release}}
  more: {service: s3, size_limit_bytes: 1000, polling: {min_delay_seconds: 10, max_delay_seconds: 20, long_polling_timeout_seconds: 30}}
`)
	c, err := bundle.ReadConfig(path, bundle.OPALogger(slog.New(slog.DiscardHandler)))
	must(t, err)
	policies, more := c.Sources["policies"], c.Sources["more"]
	if policies.Resource != "clusters/blue/policies.tar.gz" || policies.Service != "s3" ||
		policies.SizeLimitBytes != bundle.DefaultSizeLimit || !policies.Signing.SignatureRequired() {
		t.Errorf("policies is %+v", policies)
	}
	if more.Resource != "bundles/more" || more.SizeLimitBytes != 1000 || more.Signing.SignatureRequired() ||
		*more.Polling.LongPollingTimeoutSeconds != 30 {
		t.Errorf("more is %+v", more)
	}
	if got := c.OPA.Labels()["cluster"]; got != "blue" {
		t.Errorf("label is %q", got)
	}
}

func TestErrorsOfReadingNameTheFile(t *testing.T) {
	_, err := bundle.ReadConfig("missing.yaml", bundle.OPALogger(slog.New(slog.DiscardHandler)))
	if err == nil || !strings.HasPrefix(err.Error(), `configuration "missing.yaml": `) {
		t.Errorf("error is %v", err)
	}
}
