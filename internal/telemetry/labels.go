package telemetry

import (
	"strings"
	"sync"

	"github.com/mozilla-iam/eksguard/internal/policy"
)

// other is the label value of everything beyond a bound. No namespace can be called so.
const other = "_other"

// firstFew lets the first few names be label values of their own.
type firstFew struct {
	most int

	mu   sync.RWMutex
	seen map[string]bool
}

// name gives the label value for a name: itself, or other for one that came after so many. A cluster-scoped object's, "",
// counts as one.
func (f *firstFew) name(name string) string {
	f.mu.RLock()
	known, full := f.seen[name], len(f.seen) >= f.most
	f.mu.RUnlock()
	switch {
	case known:
		return name
	case full:
		return other
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.seen) >= f.most && !f.seen[name] {
		return other
	}
	if f.seen == nil {
		f.seen = map[string]bool{}
	}
	name = strings.Clone(name)
	f.seen[name] = true
	return name
}

// exceptionLabels are what an exception covers, as the settings say it. Prometheus itself sets namespace, and so the
// object's is called otherwise.
var exceptionLabels = []string{"policy", "rule", "resource_namespace", "resource_name", "user"}

// exceptionValues are the values of exceptionLabels.
func exceptionValues(e *policy.Exception) []string {
	return []string{e.Policy, e.Rule, e.Namespace, e.Name, e.User}
}

func joined(values []string) string { return strings.Join(values, "\x00") }
