package soak

import (
	"bytes"
	"context"
	"embed"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/google/go-cmp/cmp"
	admissionv1 "k8s.io/api/admissionregistration/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/restmapper"

	"sigs.k8s.io/yaml"

	"github.com/mozilla-iam/eksguard/internal/bundle"
	"github.com/mozilla-iam/eksguard/test/local"
)

//go:embed manifests/*.yaml settings.yaml
var files embed.FS

const (
	ownNamespace  = "eksguard-system"
	configuration = "eksguard"
	certificate   = "eksguard-certificate"
)

// cluster is what a run is made in.
type cluster struct {
	folder   string
	plane    *local.ControlPlane
	mapper   meta.RESTMapper
	balancer *local.Balancer
	// wanted are the webhook configurations as they are when nobody has touched them, but for their authorities.
	wanted webhooks
}

// webhooks are those of both configurations.
type webhooks struct {
	validating []admissionv1.ValidatingWebhook
	mutating   []admissionv1.MutatingWebhook
}

func (s *soak) start(ctx context.Context) (err error) {
	if s.folder, err = os.MkdirTemp("", "eksguard-soak-"); err != nil {
		return err
	}
	if s.plane, err = local.StartControlPlane(ctx, local.Options{}); err != nil {
		return err
	}
	if err := s.fill(ctx); err != nil {
		return err
	}
	kinds, err := restmapper.GetAPIGroupResources(s.plane.Client().Discovery())
	if err != nil {
		return err
	}
	s.mapper = restmapper.NewDiscoveryRESTMapper(kinds)
	if s.balancer, err = local.StartBalancer(); err != nil {
		return err
	}
	if err := s.writeSettings(); err != nil {
		return err
	}
	if s.bundles, err = startBundleServer(); err != nil {
		return err
	}
	if err := s.bundles.publish(good); err != nil {
		return err
	}
	for i := range s.replicas {
		s.replicas[i] = s.newReplica(string(rune('A' + i)))
		if err := s.replicas[i].start(ctx); err != nil {
			return err
		}
	}
	if err := eventually(ctx, "eksguard has registered", func() (err error) {
		s.wanted, err = s.registration(ctx)
		return err
	}); err != nil {
		return err
	}
	return s.plane.AwaitRegistration(ctx)
}

// fill makes what the manifests say.
func (s *soak) fill(ctx context.Context) error {
	// The API server makes these a moment after it is ready.
	for _, name := range []string{metav1.NamespaceDefault, metav1.NamespaceSystem, ownNamespace} {
		if err := s.plane.CreateNamespace(ctx, name); err != nil {
			return err
		}
	}
	kubectl := s.plane.Kubectl()
	for _, name := range []string{"cluster.yaml", "crds.yaml", "uses.yaml"} {
		text, err := files.ReadFile("manifests/" + name)
		if err != nil {
			return err
		}
		if _, err := kubectl.Succeed(ctx, string(text), "apply", "-f", "-"); err != nil {
			return err
		}
		if name == "crds.yaml" {
			if _, err := kubectl.Succeed(ctx, string(text), "wait", "--for=condition=Established", "--timeout=30s", "-f", "-"); err != nil {
				return err
			}
		}
	}
	return nil
}

// settingsFile is the file with the settings of the replicas.
func (s *soak) settingsFile() string { return filepath.Join(s.folder, "settings.yaml") }

func (s *soak) writeSettings() error {
	text, err := files.ReadFile("settings.yaml")
	if err != nil {
		return err
	}
	if s.options.Settings != "" {
		settings, err := bundle.ParseSettings(text)
		if err != nil {
			return err
		}
		over, err := bundle.LoadSettings(s.options.Settings)
		if err != nil {
			return err
		}
		for key, value := range over {
			settings[key] = value
		}
		if text, err = yaml.Marshal(settings); err != nil {
			return err
		}
	}
	return os.WriteFile(s.settingsFile(), text, 0o600)
}

// registration reads the webhook configurations. It is an error if one is not there.
func (s *soak) registration(ctx context.Context) (r webhooks, err error) {
	hooks := s.plane.Client().AdmissionregistrationV1()
	mutating, err := hooks.MutatingWebhookConfigurations().Get(ctx, configuration, metav1.GetOptions{})
	if err != nil {
		return r, err
	}
	validating, err := hooks.ValidatingWebhookConfigurations().Get(ctx, configuration, metav1.GetOptions{})
	if err != nil {
		return r, err
	}
	return webhooks{validating: validating.Webhooks, mutating: mutating.Webhooks}, nil
}

// registered returns what is not as it should be with the registration.
func (s *soak) registered(ctx context.Context) error {
	got, err := s.registration(ctx)
	if err != nil {
		return err
	}
	secret, err := s.plane.Client().CoreV1().Secrets(ownNamespace).Get(ctx, certificate, metav1.GetOptions{})
	if err != nil {
		return err
	}
	for _, trusted := range got.authorities() {
		if authority := secret.Data["ca.crt"]; len(authority) == 0 || !bytes.Contains(trusted, authority) {
			return errors.New("a webhook does not trust the authority of the moment")
		}
	}
	got, want := got.withoutAuthorities(), s.wanted.withoutAuthorities()
	if !equality.Semantic.DeepEqual(got.validating, want.validating) || !equality.Semantic.DeepEqual(got.mutating, want.mutating) {
		return fmt.Errorf("the webhook configurations are not what they were (-want +got):\n%s", cmp.Diff(
			[]any{want.validating, want.mutating}, []any{got.validating, got.mutating}))
	}
	return nil
}

func (w webhooks) authorities() (all [][]byte) {
	for i := range w.validating {
		all = append(all, w.validating[i].ClientConfig.CABundle)
	}
	for i := range w.mutating {
		all = append(all, w.mutating[i].ClientConfig.CABundle)
	}
	return all
}

func (w webhooks) withoutAuthorities() (others webhooks) {
	for _, webhook := range w.validating {
		webhook.ClientConfig.CABundle = nil
		others.validating = append(others.validating, webhook)
	}
	for _, webhook := range w.mutating {
		webhook.ClientConfig.CABundle = nil
		others.mutating = append(others.mutating, webhook)
	}
	return others
}

// settle waits until what was started for the load is at rest, and measures what the replicas take then.
func (s *soak) settle(ctx context.Context) {
	for _, r := range s.replicas {
		if r.guard == nil {
			continue
		}
		if err := r.atRest(ctx); err != nil {
			s.report.violation("replica %s: %v", r.name, err)
		}
		r.measureEnd("idle")
		r.ended(r.guard.Stop())
		r.guard = nil
	}
}

// stop ends everything that is left. What a replica has printed is judged once it has ended.
func (s *soak) stop() (err error) {
	for _, r := range s.replicas {
		if r != nil && r.guard != nil {
			err = errors.Join(err, r.guard.Stop())
		}
	}
	if s.bundles != nil {
		s.bundles.stop()
	}
	if s.balancer != nil {
		s.balancer.Stop()
	}
	if s.plane != nil {
		err = errors.Join(err, s.plane.Stop())
	}
	return errors.Join(err, os.RemoveAll(s.folder))
}
