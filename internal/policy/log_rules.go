package policy

import (
	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/bundle"
)

// logRules is the package of a bundle's rules for the decision log, by OPA's own name: no decision rests on it.
const logRules = "data.system.log"

func isLogRules(m *ast.Module) bool { return m.Package.Path.String() == logRules }

// LogModules are the Rego files of the bundle by path, all but tests, where package system.log is among them, and nil
// otherwise. They must not be changed.
func (s *Snapshot) LogModules() map[string]string { return s.logModules }

func logModules(b *bundle.Bundle) map[string]string {
	modules, found := map[string]string{}, false
	for _, file := range b.Modules {
		if IsTest(&file) {
			continue
		}
		modules[file.Path] = string(file.Raw)
		found = found || isLogRules(file.Parsed)
	}
	if !found {
		return nil
	}
	return modules
}
