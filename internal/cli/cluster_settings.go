package cli

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/mozilla-iam/eksguard/internal/bundle"
	"github.com/mozilla-iam/eksguard/internal/doctor"
	"github.com/mozilla-iam/eksguard/internal/policy"
)

// How the Helm chart mounts the settings: a volume of eksguard's Deployment, of a ConfigMap with this key.
const (
	settingsVolume = "settings"
	settingsKey    = "settings.yaml"
)

// loadFor is load for a cluster: without --settings, they are those that eksguard's Deployment mounts, if it does.
func (s *source) loadFor(cmd *cobra.Command, clients kubernetes.Interface, namespace string) (*policy.Snapshot, error) {
	if s.settings != "" {
		return s.load(cmd)
	}
	name, settings, err := clusterSettings(cmd.Context(), clients, namespace)
	if err != nil {
		return nil, fmt.Errorf("settings of the cluster (--settings gives others): %w", err)
	}
	snapshot, err := s.snapshot(cmd, settings)
	if err != nil && name != "" {
		return nil, fmt.Errorf("settings of ConfigMap %s/%s: %w", namespace, name, err)
	}
	return snapshot, err
}

// clusterSettings are those that eksguard's Deployment mounts, with the name of their ConfigMap; nil where it has none.
func clusterSettings(ctx context.Context, clients kubernetes.Interface, namespace string) (
	name string, settings map[string]any, err error) {
	deployments, err := clients.AppsV1().Deployments(namespace).List(ctx, metav1.ListOptions{LabelSelector: doctor.Selector})
	if err != nil {
		return "", nil, fmt.Errorf("list Deployments in namespace %q: %w", namespace, err)
	}
	for i := range deployments.Items {
		for _, volume := range deployments.Items[i].Spec.Template.Spec.Volumes {
			if volume.Name == settingsVolume && volume.ConfigMap != nil {
				name = volume.ConfigMap.Name
			}
		}
	}
	if name == "" {
		return "", nil, nil
	}
	configMap, err := clients.CoreV1().ConfigMaps(namespace).Get(ctx, name, metav1.GetOptions{})
	if err != nil {
		return "", nil, fmt.Errorf("read ConfigMap %s/%s: %w", namespace, name, err)
	}
	settings, err = bundle.ParseSettings([]byte(configMap.Data[settingsKey]))
	if err != nil {
		return "", nil, fmt.Errorf("ConfigMap %s/%s: %s: %w", namespace, name, settingsKey, err)
	}
	return name, settings, nil
}
