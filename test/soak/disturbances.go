package soak

import "context"

// disturbance is something that happens in the life of a cluster.
type disturbance struct {
	name string
	// takes is what it may take away. Nothing: it is planned, and no write may fail for it.
	takes taken
	// happen makes it happen, and repairs what does not repair itself. It may close the window early, once nothing is taken
	// away any more.
	happen func(ctx context.Context, w *window) error
}

// disturbances are all that can happen, each once. In this order little has to wait until there is a leader again.
func (s *soak) disturbances() []disturbance {
	return []disturbance{
		{"nothing", 0, func(context.Context, *window) error { return nil }},

		{"the leader is drained and started again", 0, s.leaderDrained},
		{"the other replica is drained and started again", 0, s.otherDrained},
		{"the other replica is killed and started again", answers, s.otherKilled},
		{"the leader is killed and started again", answers, s.leaderKilled},
		{"both replicas are killed and started again", answers, s.bothKilled},

		{"a new bundle comes", 0, s.newBundle},
		{"bad bundles come", 0, s.badBundles},
		{"a policy comes and goes", 0, s.policyComesAndGoes},

		{"the certificate is renewed", 0, s.certificateRenewed},
		{"the authority is replaced, and then nears its end", 0, s.authorityReplacedAndEnding},
		{"the certificate's Secret is deleted", answers, s.secretDeleted},

		{"the API server is restarted", apiServer | answers, s.apiServerRestarted},

		{"the validating configuration is deleted", registration, s.validatingDeleted},
		{"the mutating configuration is deleted", registration, s.mutatingDeleted},
		{"a webhook is taken out", registration, s.webhookTakenOut},
		{"the rules of the webhooks are narrowed", registration, s.rulesNarrowed},
		{"the authority in the configuration is spoiled", registration | answers, s.registeredAuthoritySpoiled},
		{"both configurations are deleted and the leader is killed", registration | answers, s.leaderKilledAndDeleted},
	}
}
