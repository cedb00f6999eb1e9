package cli

import (
	"encoding/json"
	"net/http"
	"runtime/debug"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/healthz"
	"sigs.k8s.io/controller-runtime/pkg/manager"

	"github.com/mozilla-iam/eksguard/internal/bundle"
)

// healthServer serves /healthz, /readyz and /status; the manager's own would have no place for the last.
func (s *server) healthServer() *manager.Server {
	mux := http.NewServeMux()
	for path, check := range map[string]map[string]healthz.Checker{
		"/healthz": {"ping": healthz.Ping},
		"/readyz":  {"serving": func(*http.Request) error { return s.ready() }},
	} {
		handler := http.StripPrefix(path, &healthz.Handler{Checks: check})
		mux.Handle(path, handler)
		mux.Handle(path+"/", handler)
	}
	mux.HandleFunc("GET /status", s.serveStatus)
	timeout := 10 * time.Second
	return &manager.Server{
		Name:            "health",
		ShutdownTimeout: &timeout,
		Server: &http.Server{
			Addr: s.options.healthAddress, Handler: mux, ReadHeaderTimeout: timeout, WriteTimeout: timeout, MaxHeaderBytes: 1 << 16,
		},
	}
}

// status is what /status tells. Replicas are compared by it.
type status struct {
	Version string `json:"version"`
	OPA     string `json:"opa_version"`
	Ready   bool   `json:"ready"`
	// Reason says why it is not ready.
	Reason string `json:"reason,omitempty"`
	// Revision is the snapshot's that decides; absent while there is none.
	Revision string   `json:"revision,omitempty"`
	Policies []string `json:"policies"`
	// Confirmed tells whether every source has been heard since the start.
	Confirmed bool                     `json:"confirmed"`
	Bundles   map[string]bundle.Status `json:"bundles"`
	// ClusterState tells of each kind that policies read whether it is known.
	ClusterState        map[string]bool `json:"cluster_state"`
	CertificateNotAfter *time.Time      `json:"certificate_not_after,omitempty"`
}

func (s *server) status() status {
	now := status{
		Version: version, OPA: opaVersion(), Confirmed: s.bundles.Confirmed(), Bundles: s.bundles.Status(),
		Policies: []string{}, ClusterState: map[string]bool{},
	}
	err := s.ready()
	if now.Ready = err == nil; err != nil {
		now.Reason = err.Error()
	}
	if notAfter := s.serving.NotAfter(); !notAfter.IsZero() {
		now.CertificateNotAfter = &notAfter
	}
	if snapshot := s.engine.Snapshot(); snapshot != nil {
		now.Revision = snapshot.Revision()
		for _, p := range snapshot.Policies() {
			now.Policies = append(now.Policies, p.Name)
		}
		for _, need := range snapshot.Needs() {
			now.ClusterState[need.Key()] = s.state.Synced(need)
		}
	}
	return now
}

func (s *server) serveStatus(w http.ResponseWriter, _ *http.Request) {
	text, err := json.MarshalIndent(s.status(), "", "  ")
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(append(text, '\n')) // a caller that went away is not told
}

func opaVersion() string {
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, module := range info.Deps {
			if module.Path == opaModule {
				return module.Version
			}
		}
	}
	return ""
}
