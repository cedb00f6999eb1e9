package webhook

import (
	"context"
	"encoding/pem"
	"fmt"
	"maps"
	"strings"
	"time"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// authoritiesSince is the annotation of a webhook configuration that tells when the last authority was added to what its
// webhooks trust, as RFC 3339. Without it, none was added since there is the configuration: whoever knows of the
// configuration at all knows of its authorities.
const authoritiesSince = Domain + "/authorities-since"

const (
	validatingKind = "ValidatingWebhookConfiguration"
	mutatingKind   = "MutatingWebhookConfiguration"
)

// Authorities tells what the API server was told to trust for eksguard's webhooks.
type Authorities struct {
	// Reader reads past any cache.
	Reader client.Reader
}

// Registered returns each caBundle (PEM) that a webhook of eksguard is registered with, once, and none if there is no such
// webhook; and when the last authority was added to one of them, zero if none was since they are registered.
func (a Authorities) Registered(ctx context.Context) (bundles [][]byte, since time.Time, err error) {
	seen := map[string]bool{}
	for _, live := range []client.Object{
		&admissionregistrationv1.MutatingWebhookConfiguration{}, &admissionregistrationv1.ValidatingWebhookConfiguration{},
	} {
		err := a.Reader.Get(ctx, client.ObjectKey{Name: ConfigurationName}, live)
		if client.IgnoreNotFound(err) != nil {
			return nil, time.Time{}, fmt.Errorf("read %T: %w", live, err)
		}
		for _, address := range addressesOf(live) {
			if !seen[string(address.CABundle)] {
				seen[string(address.CABundle)] = true
				bundles = append(bundles, address.CABundle)
			}
		}
		if added := addedAt(live); added.After(since) {
			since = added
		}
	}
	return bundles, since, nil
}

// configurations are empty objects of both kinds.
func configurations() map[string]client.Object {
	return map[string]client.Object{
		mutatingKind:   &admissionregistrationv1.MutatingWebhookConfiguration{},
		validatingKind: &admissionregistrationv1.ValidatingWebhookConfiguration{},
	}
}

// addressesOf are the addresses of eksguard's webhooks in a configuration.
func addressesOf(o client.Object) (addresses []*admissionregistrationv1.WebhookClientConfig) {
	switch c := o.(type) {
	case *admissionregistrationv1.ValidatingWebhookConfiguration:
		for i, hook := range c.Webhooks {
			if strings.HasSuffix(hook.Name, "."+Domain) {
				addresses = append(addresses, &c.Webhooks[i].ClientConfig)
			}
		}
	case *admissionregistrationv1.MutatingWebhookConfiguration:
		for i, hook := range c.Webhooks {
			if strings.HasSuffix(hook.Name, "."+Domain) {
				addresses = append(addresses, &c.Webhooks[i].ClientConfig)
			}
		}
	}
	return addresses
}

// addedAt is when the last authority was added to a configuration, zero if none was.
func addedAt(o client.Object) time.Time {
	at, err := time.Parse(time.RFC3339Nano, o.GetAnnotations()[authoritiesSince])
	if err != nil {
		return time.Time{} // it is missing, or somebody else's
	}
	return at
}

// stamp writes into want when the last authority was added: now, if there is one in bundle that a webhook in live does not
// trust, and else what live has. It remembers that, in case live is deleted.
func (r *Registrar) stamp(kind string, want, live client.Object, bundle []byte) {
	if r.added == nil {
		r.added = map[string]time.Time{}
	}
	if at := addedAt(live); at.After(r.added[kind]) {
		r.added[kind] = at
	}
	if !announces(live, bundle) {
		r.added[kind] = time.Now()
	}
	if at := r.added[kind]; !at.IsZero() {
		annotations := maps.Clone(want.GetAnnotations())
		if annotations == nil {
			annotations = map[string]string{}
		}
		annotations[authoritiesSince] = at.UTC().Format(time.RFC3339Nano)
		want.SetAnnotations(annotations)
	}
}

// announces tells whether all webhooks of eksguard in a configuration trust all authorities in bundle.
func announces(o client.Object, bundle []byte) bool {
	for _, address := range addressesOf(o) {
		if !contains(address.CABundle, bundle) {
			return false
		}
	}
	return true
}

// announce adds the authorities of the moment to what is registered, and changes nothing else. It is for a process that does
// not serve yet because the API server does not trust what it would serve, and which may be the one that registers.
func (r *Registrar) announce(ctx context.Context) error {
	bundle := r.CABundle()
	if len(bundle) == 0 {
		return nil
	}
	for kind, live := range configurations() {
		err := r.Reader.Get(ctx, client.ObjectKey{Name: ConfigurationName}, live)
		if client.IgnoreNotFound(err) != nil {
			return fmt.Errorf("read %s: %w", kind, err)
		}
		if announces(live, bundle) {
			continue
		}
		r.stamp(kind, live, live, bundle)
		for _, address := range addressesOf(live) {
			address.CABundle = bundle
		}
		if err := r.Client.Update(ctx, live, client.FieldOwner(fieldManager)); err != nil {
			return fmt.Errorf("announce authorities in %s: %w", kind, err)
		}
		r.Logger.Info("announced an authority whose certificate is not served yet", "kind", kind)
	}
	return nil
}

// contains tells whether all certificates of the PEM text part are in whole.
func contains(whole, part []byte) bool {
	has := map[string]bool{}
	for block, rest := pem.Decode(whole); block != nil; block, rest = pem.Decode(rest) {
		has[string(block.Bytes)] = true
	}
	for block, rest := pem.Decode(part); block != nil; block, rest = pem.Decode(rest) {
		if !has[string(block.Bytes)] {
			return false
		}
	}
	return true
}
