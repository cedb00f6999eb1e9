package bundle

import (
	"errors"
	"fmt"

	opabundle "github.com/open-policy-agent/opa/v1/plugins/bundle"
)

// Status is what is known of one bundle, in OPA's format (open-policy-agent/opa: v1/plugins/bundle/status.go) and some
// words more.
type Status struct {
	opabundle.Status
	// ETag is the active bundle's.
	ETag string `json:"etag,omitempty"`
	// Sequence is the active bundle's; absent where it has none.
	Sequence *int64 `json:"sequence,omitempty"`
	// Reason is the last failure's, empty when the last attempt went well.
	Reason Reason `json:"reason,omitempty"`
}

func (s *Status) setFault(fault *Fault) {
	if fault == nil {
		s.Reason = ""
		s.SetError(nil)
		return
	}
	s.Reason = fault.Reason
	s.SetError(fault)
}

// Status tells of every bundle, by name.
func (l *Loader) Status() map[string]Status {
	l.statusMu.Lock()
	defer l.statusMu.Unlock()
	all := make(map[string]Status, len(l.sources))
	for _, s := range l.sources {
		all[s.name] = s.status
	}
	return all
}

// Missing is an error that names every bundle that never was active, and why.
func (l *Loader) Missing() error {
	l.statusMu.Lock()
	defer l.statusMu.Unlock()
	var missing []error
	for _, s := range l.sources {
		if !s.status.LastSuccessfulActivation.IsZero() {
			continue
		}
		if s.status.Message != "" {
			missing = append(missing, fmt.Errorf("%s: %w: %s", s.title, errNotYet, s.status.Message))
		} else {
			missing = append(missing, fmt.Errorf("%s: %w", s.title, errNotYet))
		}
	}
	return errors.Join(missing...)
}
