package bundle

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strings"

	"github.com/open-policy-agent/opa/v1/keys"
	"github.com/open-policy-agent/opa/v1/logging"
	"github.com/open-policy-agent/opa/v1/plugins"
	opabundle "github.com/open-policy-agent/opa/v1/plugins/bundle"
	"github.com/open-policy-agent/opa/v1/plugins/logs"
	"github.com/open-policy-agent/opa/v1/plugins/rest"
	"github.com/open-policy-agent/opa/v1/plugins/status"
	"github.com/open-policy-agent/opa/v1/storage/inmem"
	yamlv3 "go.yaml.in/yaml/v3"
	"sigs.k8s.io/yaml"

	"github.com/mozilla-iam/eksguard/internal/excerpt"
)

const (
	// Embedded is the resource of the default bundle, which is part of the binary.
	Embedded = "embedded"
	// configLimit bounds a configuration file.
	configLimit = 1 << 20
)

// Config is a configuration file in OPA's format, checked.
type Config struct {
	// Path is the file.
	Path string
	// OPA holds the services, keys and labels, and is where OPA's own plugins are registered. It has not been started.
	OPA *plugins.Manager
	// Sources are the bundles by name, with all defaults filled in. The default bundle has the resource Embedded.
	Sources map[string]*opabundle.Source
	// PersistenceDirectory is where the last good copies are kept; empty where there is none.
	PersistenceDirectory string
	// TestsRequired is true where a bundle counts only if its own tests pass.
	TestsRequired bool
	// AllowOlder is true where a bundle may be older than one that was taken before.
	AllowOlder bool
	// DecisionLog is where decisions are logged to, nil if nowhere.
	DecisionLog *DecisionLog
	// Status is where the status of bundles is reported to, with all defaults filled in; nil if nowhere.
	Status *status.Config
	// Console is where OPA's own plugins write with console: true, a JSON object a line. It is set before OPA is started;
	// where it is nil, nothing is written.
	Console io.Writer
}

// configFile is what may stand in a configuration file, in OPA's own types.
type configFile struct {
	Services             map[string]rest.Config       `json:"services"`
	Labels               map[string]string            `json:"labels"`
	Bundles              map[string]*opabundle.Source `json:"bundles"`
	Keys                 map[string]keys.Config       `json:"keys"`
	PersistenceDirectory string                       `json:"persistence_directory"`
	DecisionLogs         *logs.Config                 `json:"decision_logs"`
	Status               *status.Config               `json:"status"`
	Eksguard             eksguardSection              `json:"eksguard"`
}

// eksguardSection is what OPA's configuration has no word for.
type eksguardSection struct {
	Tests       string `json:"tests"`
	AllowOlder  bool   `json:"allow_older"`
	DecisionLog string `json:"decision_log"`
}

// ReadConfig reads a configuration file, YAML or JSON. ${NAME} in it stands for an environment variable, which must be set.
// Keys that eksguard does not know, or does not support, are errors. All errors name the file, and the key where there is
// one. What OPA's code logs goes to logger.
func ReadConfig(path string, logger logging.Logger) (*Config, error) {
	c, err := readConfig(path, logger)
	if err != nil {
		return nil, fmt.Errorf("configuration %q: %w", path, err)
	}
	return c, nil
}

func readConfig(path string, logger logging.Logger) (*Config, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, errors.Unwrap(err)
	}
	text, err := readBounded(path, info.Size(), configLimit)
	if err != nil {
		return nil, err
	}
	document, err := parseConfig(text)
	if err != nil {
		return nil, err
	}
	if err := checkKeys(document); err != nil {
		return nil, err
	}
	c := &Config{Path: path}
	c.OPA, err = plugins.New(document, "eksguard", inmem.New(), plugins.Logger(logger), plugins.ConsoleLogger(consoleLogger{config: c}))
	if err != nil {
		return nil, err
	}
	var file struct {
		Bundles              map[string]json.RawMessage `json:"bundles"`
		PersistenceDirectory string                     `json:"persistence_directory"`
		DecisionLogs         json.RawMessage            `json:"decision_logs"`
		Status               json.RawMessage            `json:"status"`
		Eksguard             eksguardSection            `json:"eksguard"`
	}
	if err := json.Unmarshal(document, &file); err != nil {
		return nil, errors.New(strings.TrimPrefix(err.Error(), "json: "))
	}
	c.PersistenceDirectory, c.AllowOlder = file.PersistenceDirectory, file.Eksguard.AllowOlder
	switch file.Eksguard.Tests {
	case "required":
		c.TestsRequired = true
	case "", "ignored":
	default:
		return nil, fmt.Errorf("eksguard.tests is %q, want required or ignored", excerpt.Of(file.Eksguard.Tests, maxText))
	}
	if err := c.readSources(file.Bundles); err != nil {
		return nil, err
	}
	if err := c.readDecisionLog(file.DecisionLogs, file.Eksguard.DecisionLog); err != nil {
		return nil, err
	}
	if err := c.readStatus(file.Status); err != nil {
		return nil, err
	}
	return c, nil
}

// parseConfig gives the file as JSON, with the environment's variables filled in.
func parseConfig(text []byte) ([]byte, error) {
	if _, err := yaml.YAMLToJSONStrict(text); err != nil {
		return nil, err // as errors of settings are told
	}
	var file yamlv3.Node
	if err := yamlv3.Unmarshal(text, &file); err != nil {
		return nil, err
	}
	if err := expand(&file); err != nil {
		return nil, err
	}
	var document any
	if err := file.Decode(&document); err != nil {
		return nil, err
	}
	return json.Marshal(document)
}

var variable = regexp.MustCompile(`\$\{[^}]*\}`)

// expand fills environment variables into ${NAME}. What is in a variable stays one value, whatever its lines and signs:
// a key in PEM has both.
func expand(node *yamlv3.Node) error {
	var faults []error
	if node.Kind == yamlv3.ScalarNode && variable.MatchString(node.Value) {
		node.Value = variable.ReplaceAllStringFunc(node.Value, func(reference string) string {
			name := reference[2 : len(reference)-1]
			value, found := os.LookupEnv(name)
			if !found {
				faults = append(faults, fmt.Errorf("environment variable %q is not set", excerpt.Of(name, maxText)))
			}
			return value
		})
		if node.Style == 0 {
			node.Tag = "" // without quotes, it may have become a number
		}
	}
	for _, child := range node.Content {
		faults = append(faults, expand(child))
	}
	return errors.Join(faults...)
}

// bundleName is what a bundle may be called: it becomes a metric label and the folder in the names of its modules.
var bundleName = regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9_./-]{0,98}[A-Za-z0-9])?$`)

func (c *Config) readSources(raw map[string]json.RawMessage) error {
	c.Sources = map[string]*opabundle.Source{}
	// OPA's own parser fills in the defaults, and checks services and keys.
	var faults []error
	for _, name := range slices.Sorted(maps.Keys(raw)) {
		source, err := c.readSource(name, raw[name])
		if err != nil {
			faults = append(faults, fmt.Errorf("bundles.%s%w", name, err))
			continue
		}
		c.Sources[name] = source
	}
	return errors.Join(faults...)
}

// readSource reads one bundle's section. Its errors begin with the rest of the path.
func (c *Config) readSource(name string, raw json.RawMessage) (*opabundle.Source, error) {
	if !bundleName.MatchString(name) || strings.Contains(name, "..") {
		return nil, errors.New(": want a name of letters, digits, '-', '_', '.' and '/', at most 100 of them")
	}
	var given opabundle.Source
	if err := json.Unmarshal(raw, &given); err != nil {
		return nil, fmt.Errorf(": %s", strings.TrimPrefix(err.Error(), "json: "))
	}
	local := strings.HasPrefix(given.Resource, "file:")
	embedded := given.Resource == Embedded && given.Service == ""
	if embedded || local {
		for key, is := range map[string]bool{"service": given.Service != "", "persist": given.Persist,
			"signing": embedded && given.Signing != nil} {
			if is {
				return nil, fmt.Errorf(".%s: means nothing for resource %q: remove it", key, excerpt.Of(given.Resource, maxText))
			}
		}
	}
	if embedded {
		return &given, nil
	}
	services := c.OPA.Services()
	switch {
	case local:
		if address, err := url.Parse(given.Resource); err != nil || address.Host != "" || address.Path == "" {
			return nil, fmt.Errorf(".resource is %q, want file:///PATH", excerpt.Of(given.Resource, maxText))
		}
	case given.Service == "" && len(services) != 1:
		return nil, fmt.Errorf(".service: missing: name one of services, which has %d, or set resource to %q or file:///PATH",
			len(services), Embedded)
	}
	if given.Signing != nil && given.Signing.KeyID == "" {
		return nil, errors.New(".signing.keyid: missing: name one of keys, so that the bundle cannot choose its key")
	}
	if given.Persist && c.PersistenceDirectory == "" {
		return nil, errors.New(".persist: there is no persistence_directory to keep the copy in")
	}
	trigger := plugins.DefaultTriggerMode
	parsed, err := opabundle.NewConfigBuilder().WithBytes([]byte(fmt.Sprintf("{%q: %s}", name, raw))).
		WithServices(services).WithKeyConfigs(c.OPA.PublicKeys()).WithTriggerMode(&trigger).Parse()
	if err != nil {
		return nil, fmt.Errorf(": %w", err)
	}
	source := parsed.Bundles[name]
	if given.SizeLimitBytes <= 0 {
		source.SizeLimitBytes = DefaultSizeLimit
	}
	return source, nil
}
