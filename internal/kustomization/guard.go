package kustomization

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/kustomize/api/konfig"
	"sigs.k8s.io/kustomize/api/types"
	"sigs.k8s.io/kustomize/kyaml/filesys"

	"github.com/mozilla-iam/eksguard/internal/excerpt"
)

// guard is the file system that kustomize reads. kustomize itself cannot be told to stay off the network; but all that
// it would fetch is named in a kustomization or in the configuration of a plugin, which it reads through the guard
// before.
type guard struct {
	filesys.FileSystem
	// root is the folder of the kustomization that is built, a real path.
	root string
	// asked holds, by the real paths of kustomizations, the paths that kustomize asked for: one may be a link to a file of
	// any name, and is read by that.
	asked map[string][]string
	read  []string
	// annotated is true once the kustomization was told to annotate objects with their origin, which its author had not.
	annotated bool
	// refused is the first thing that must not be; kustomize does not pass on every error of a file system.
	refused error
}

// CleanedAbs implements filesys.FileSystem.
func (g *guard) CleanedAbs(path string) (filesys.ConfirmedDir, string, error) {
	folder, file, err := g.FileSystem.CleanedAbs(path)
	if err == nil && file != "" && IsName(filepath.Base(path)) {
		realPath := folder.Join(file)
		g.asked[realPath] = append(g.asked[realPath], path)
	}
	return folder, file, err
}

// ReadFile implements filesys.FileSystem.
func (g *guard) ReadFile(path string) ([]byte, error) {
	text, err := g.FileSystem.ReadFile(path)
	if err != nil {
		return nil, err
	}
	g.read = append(g.read, path)
	kustomizations := g.asked[path]
	if IsName(filepath.Base(path)) {
		kustomizations = append(kustomizations, path)
	}
	for _, kustomization := range kustomizations {
		if err := g.check(kustomization, text); err != nil {
			return nil, g.refuse(kustomization, err)
		}
	}
	if slices.ContainsFunc(kustomizations, func(path string) bool { return filepath.Dir(path) == g.root }) {
		text = g.annotate(text)
	}
	return text, nil
}

func (g *guard) refuse(path string, err error) error {
	if name, relErr := filepath.Rel(g.root, path); relErr == nil {
		path = name
	}
	if g.refused == nil {
		g.refused = fmt.Errorf("%s: %w", path, err)
	}
	return g.refused
}

// annotate has kustomize annotate objects with their origin. It is for the kustomization that is built, which decides
// on that for all it is made of.
func (g *guard) annotate(text []byte) []byte {
	var k types.Kustomization
	if k.Unmarshal(text) != nil || k.CheckEmpty() != nil || slices.Contains(k.BuildMetadata, types.OriginAnnotations) {
		return text
	}
	k.BuildMetadata = append(k.BuildMetadata, types.OriginAnnotations)
	annotated, err := json.Marshal(k)
	if err != nil {
		return text
	}
	g.annotated = true
	return annotated
}

// check finds what must not be in a kustomization.
func (g *guard) check(path string, text []byte) error {
	var k types.Kustomization
	if k.Unmarshal(text) != nil {
		return nil //nolint:nilerr // kustomize tells what is wrong with it, and does nothing else
	}
	k.FixKustomization()
	if len(k.HelmCharts)+len(k.HelmChartInflationGenerator) > 0 {
		return errors.New("helmCharts: a review runs no helm" + renderIt)
	}
	canonical, err := json.Marshal(k)
	if err != nil {
		return fmt.Errorf("encode: %w", err)
	}
	var fields map[string]any
	if err := json.Unmarshal(canonical, &fields); err != nil {
		return fmt.Errorf("decode: %w", err)
	}
	if err := local(fields, ""); err != nil {
		return err
	}
	for _, list := range []struct {
		field   string
		plugins []string
	}{{"generators", k.Generators}, {"transformers", k.Transformers}, {"validators", k.Validators}} {
		for i, plugin := range list.plugins {
			if err := g.checkPlugin(filepath.Dir(path), plugin); err != nil {
				return fmt.Errorf("%s[%d]: %w", list.field, i, err)
			}
		}
	}
	return nil
}

const renderIt = ": review what kustomize build prints (kustomize build . | eksguard review -f -)"

// checkPlugin checks the configuration of a plugin, which stands in the kustomization or in a file.
func (g *guard) checkPlugin(folder, plugin string) error {
	if path := filepath.Join(folder, plugin); g.Exists(path) {
		// A kustomization could make the configuration say what none of its files does.
		if g.IsDir(path) {
			return fmt.Errorf("%q is a folder: a review takes the configuration of a plugin from a file, or where it stands",
				plugin)
		}
		text, err := g.FileSystem.ReadFile(path)
		if err != nil {
			return err
		}
		plugin = string(text)
	}
	decoder := utilyaml.NewYAMLOrJSONDecoder(strings.NewReader(plugin), 4096)
	for {
		var config map[string]any
		err := decoder.Decode(&config)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("%q: want a file or the configuration of a plugin: %w", excerpt.Of(plugin, maxText), err)
		}
		if strings.HasPrefix(fmt.Sprint(config["kind"]), "HelmChart") {
			return errors.New("a review runs no helm" + renderIt)
		}
		if version := config["apiVersion"]; config != nil && version != konfig.BuiltinPluginApiVersion {
			return fmt.Errorf("%v of %v is no built-in plugin, and a review runs no others%s", config["kind"], version, renderIt)
		}
		if err := local(config, ""); err != nil {
			return err
		}
	}
}

// loads are the fields, in small letters, that name something to load. kustomize reads fields in any case.
var loads = []string{
	"resources", "bases", "components", "crds", "configurations", "generators", "transformers", "validators",
	"patchesstrategicmerge", "path", "paths", "files", "env", "envs", "targetfilepath", "valuesfile",
	"additionalvaluesfiles",
}

// local makes sure that no field of the value, which is at the path, names something to fetch.
func local(value any, path string) error {
	switch value := value.(type) {
	case map[string]any:
		for _, key := range slices.Sorted(maps.Keys(value)) {
			if err := local(value[key], strings.TrimPrefix(path+"."+key, ".")); err != nil {
				return err
			}
		}
	case []any:
		for i, item := range value {
			if err := local(item, fmt.Sprintf("%s[%d]", path, i)); err != nil {
				return err
			}
		}
	case string:
		field := path[strings.LastIndex(path, ".")+1:]
		field, _, _ = strings.Cut(field, "[")
		if !slices.Contains(loads, strings.ToLower(field)) {
			return nil
		}
		_, file, _ := strings.Cut(value, "=") // <key>=<file> of a generator
		if remote.MatchString(value) || remote.MatchString(file) {
			return fmt.Errorf("%s: %q is remote, and a review fetches nothing%s", path, excerpt.Of(value, maxText), renderIt)
		}
	}
	return nil
}

// maxText bounds what is quoted of what a stranger wrote.
const maxText = 200

// remote is what kustomize would fetch rather than read (sigs.k8s.io/kustomize/api, internal/git/repospec.go and
// internal/loader/fileloader.go).
var remote = regexp.MustCompile(`(?i)^(git::)*(https?:|ssh://|file://|[a-z][a-z0-9-]*@|github\.com[/:])`)
