package cli

import (
	"os"

	corev1 "k8s.io/api/core/v1"
	corev1client "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/rest"

	"github.com/mozilla-iam/eksguard/internal/events"
)

// newRecorder makes what writes Kubernetes Events.
func (s *server) newRecorder(config *rest.Config) (*events.Recorder, error) {
	clients, err := corev1client.NewForConfigAndClient(config, s.manager.GetHTTPClient())
	if err != nil {
		return nil, err
	}
	instance := os.Getenv("POD_NAME")
	if instance == "" {
		if instance, err = os.Hostname(); err != nil {
			return nil, err
		}
	}
	return events.NewRecorder(events.Options{
		Client: clients, Owners: events.NewOwners(s.manager.GetAPIReader()), Observer: s.metrics,
		Instance: instance, Logger: s.logger,
	}), nil
}

// self is what Kubernetes Events about bundles are about: the Pod, where POD_NAME tells its name, or the Namespace.
func (s *server) self() corev1.ObjectReference {
	self := corev1.ObjectReference{APIVersion: "v1", Kind: "Namespace", Namespace: s.options.namespace, Name: s.options.namespace}
	if name := os.Getenv("POD_NAME"); name != "" {
		self.Kind, self.Name = "Pod", name
	}
	return self
}
