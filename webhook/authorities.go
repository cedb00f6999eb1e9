package webhook

import (
	"bytes"
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

// announcedAuthorities is the annotation of a webhook configuration that holds authorities (PEM) which a process has announced
// that does not serve yet. They count for announcedFor: by then it serves, and registers, or never will.
const (
	announcedAuthorities = Domain + "/announced-authorities"
	announcedFor         = time.Hour
)

// Authorities is what the API server was told to trust for eksguard's webhooks.
type Authorities struct {
	// Client reads past any cache.
	Client client.Client
}

// Registered returns each caBundle (PEM) that a webhook of eksguard is registered with, once, and none if there is no such
// webhook; and when the last authority was added to one of them, zero if none was since they are registered.
func (a Authorities) Registered(ctx context.Context) (bundles [][]byte, since time.Time, err error) {
	seen := map[string]bool{}
	for _, live := range []client.Object{
		&admissionregistrationv1.MutatingWebhookConfiguration{}, &admissionregistrationv1.ValidatingWebhookConfiguration{},
	} {
		err := a.Client.Get(ctx, client.ObjectKey{Name: ConfigurationName}, live)
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

// stamp writes into want when the last authority was added: now, if want trusts one that a webhook in live does not, and
// else what live has. It remembers that, in case live is deleted.
func (r *Registrar) stamp(kind string, want, live client.Object) {
	if r.added == nil {
		r.added = map[string]time.Time{}
	}
	if at := addedAt(live); at.After(r.added[kind]) {
		r.added[kind] = at
	}
	if addresses := addressesOf(want); len(addresses) > 0 && !announces(live, addresses[0].CABundle) {
		r.added[kind] = time.Now()
	}
	if at := r.added[kind]; !at.IsZero() {
		annotate(want, authoritiesSince, at.UTC().Format(time.RFC3339Nano))
	}
}

func now() string { return time.Now().UTC().Format(time.RFC3339Nano) }

func annotate(o client.Object, key, value string) {
	annotations := maps.Clone(o.GetAnnotations())
	if annotations == nil {
		annotations = map[string]string{}
	}
	annotations[key] = value
	o.SetAnnotations(annotations)
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

// Announce adds authorities (PEM) to what is registered, if they are not there, and changes nothing else. It is for a process
// that serves nothing yet because the API server does not trust what it would serve. The process that registers may be
// another, which knows of other authorities, such as one that gets its certificate from elsewhere: it keeps what it finds
// announced.
func (a Authorities) Announce(ctx context.Context, bundle []byte) error {
	for kind, live := range configurations() {
		err := a.Client.Get(ctx, client.ObjectKey{Name: ConfigurationName}, live)
		if client.IgnoreNotFound(err) != nil {
			return fmt.Errorf("read %s: %w", kind, err)
		}
		if announces(live, bundle) {
			continue
		}
		for _, address := range addressesOf(live) {
			address.CABundle = union(address.CABundle, bundle)
		}
		annotate(live, announcedAuthorities, string(bundle))
		annotate(live, authoritiesSince, now())
		if err := a.Client.Update(ctx, live, client.FieldOwner(fieldManager)); err != nil {
			return fmt.Errorf("announce authorities in %s: %w", kind, err)
		}
	}
	return nil
}

// keepAnnounced adds to want what another process has announced in live and this one does not know of.
func keepAnnounced(want, live client.Object) {
	bundle := []byte(live.GetAnnotations()[announcedAuthorities])
	if len(bundle) == 0 || announces(want, bundle) || time.Since(addedAt(live)).Abs() > announcedFor {
		return
	}
	for _, address := range addressesOf(want) {
		address.CABundle = union(address.CABundle, bundle)
	}
	annotate(want, announcedAuthorities, string(bundle))
}

// union is PEM text with what is in part and not in whole after whole.
func union(whole, part []byte) []byte {
	joined := bytes.Clone(whole)
	for block, rest := pem.Decode(part); block != nil; block, rest = pem.Decode(rest) {
		if text := pem.EncodeToMemory(block); !contains(joined, text) {
			joined = append(joined, text...)
		}
	}
	return joined
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
