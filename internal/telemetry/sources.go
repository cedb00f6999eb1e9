package telemetry

import "time"

// Sources are asked for figures at every scrape; all are required.
type Sources struct {
	// Ready returns nil while reviews are answered rightly.
	Ready func() error
	// CertificateNotAfter is when the serving certificate expires; zero while there is none.
	CertificateNotAfter func() time.Time
	// ClusterState tells of each resource that policies read, each once.
	ClusterState func() []ClusterState
}

// ClusterState is what is known of a resource that policies read.
type ClusterState struct {
	// Resource is its API version and name: v1/namespaces.
	Resource string
	Synced   bool
	// Changed is when anything was last heard of it; zero if it never was.
	Changed time.Time
}

// sources makes the metrics that are asked for at every scrape.
func (d *definer) sources(s Sources) {
	d.asked("ready", "Whether reviews are answered rightly: 1, or 0 while /readyz says why not.", nil,
		func(tell func(float64, ...string)) { tell(truth(s.Ready() == nil)) })
	d.asked("certificate_expiry_timestamp_seconds",
		"When the serving certificate expires, in seconds since the epoch; 0 while there is none.", nil,
		func(tell func(float64, ...string)) { tell(timestamp(s.CertificateNotAfter())) })
	resource := []string{"resource"}
	d.asked("cluster_state_synced", "Whether all that there is of a resource that policies read is known.", resource,
		func(tell func(float64, ...string)) {
			for _, state := range s.ClusterState() {
				tell(truth(state.Synced), state.Resource)
			}
		})
	d.asked("cluster_state_last_change_timestamp_seconds",
		"When a change of a resource that policies read was last heard of, in seconds since the epoch; 0 if never.", resource,
		func(tell func(float64, ...string)) {
			for _, state := range s.ClusterState() {
				tell(timestamp(state.Changed), state.Resource)
			}
		})
}

func truth(is bool) float64 {
	if is {
		return 1
	}
	return 0
}

func timestamp(at time.Time) float64 {
	if at.IsZero() {
		return 0
	}
	return float64(at.Unix())
}
