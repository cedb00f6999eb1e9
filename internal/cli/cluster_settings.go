package cli

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/mozilla-iam/eksguard/internal/bundle"
	"github.com/mozilla-iam/eksguard/internal/policy"
)

// The ConfigMap in which the Helm chart keeps the settings.
const (
	settingsConfigMap = "eksguard-settings"
	settingsKey       = "settings.yaml"
)

// loadFor is load for a cluster: without --settings, they are those that the Helm chart keeps in namespace, if it does.
func (s *source) loadFor(cmd *cobra.Command, clients kubernetes.Interface, namespace string) (*policy.Snapshot, error) {
	if s.settings != "" {
		return s.load(cmd)
	}
	settings, err := clusterSettings(cmd.Context(), clients, namespace)
	if err != nil {
		return nil, err
	}
	b, err := bundle.Load(s.bundle)
	if err != nil {
		return nil, err
	}
	snapshot, err := policy.NewSnapshot(cmd.Context(), b, settings)
	if err != nil && settings != nil {
		return nil, fmt.Errorf("settings of ConfigMap %s/%s: %w", namespace, settingsConfigMap, s.blame(err))
	}
	if err != nil {
		return nil, s.blame(err)
	}
	return snapshot, nil
}

// clusterSettings are those in the ConfigMap of the Helm chart, nil where there is none.
func clusterSettings(ctx context.Context, clients kubernetes.Interface, namespace string) (map[string]any, error) {
	name := fmt.Sprintf("ConfigMap %s/%s", namespace, settingsConfigMap)
	configMap, err := clients.CoreV1().ConfigMaps(namespace).Get(ctx, settingsConfigMap, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("settings: read %s, or give --settings: %w", name, err)
	}
	settings, err := bundle.ParseSettings([]byte(configMap.Data[settingsKey]))
	if err != nil {
		return nil, fmt.Errorf("settings: %s: %s: %w", name, settingsKey, err)
	}
	return settings, nil
}
