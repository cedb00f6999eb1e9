package cli

import (
	"fmt"

	"github.com/spf13/pflag"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
)

// kubeconfig is how a person reaches a cluster: as with kubectl.
type kubeconfig struct{ file, context string }

func (k *kubeconfig) addFlags(flags *pflag.FlagSet) {
	flags.StringVar(&k.file, "kubeconfig", "", "kubeconfig `file` (default: that of kubectl)")
	flags.StringVar(&k.context, "context", "", "`context` of the kubeconfig (default: its current one)")
}

func (k *kubeconfig) load() (*rest.Config, error) {
	rules := clientcmd.NewDefaultClientConfigLoadingRules()
	rules.ExplicitPath = k.file
	config, err := clientcmd.NewNonInteractiveDeferredLoadingClientConfig(
		rules, &clientcmd.ConfigOverrides{CurrentContext: k.context}).ClientConfig()
	if err != nil {
		return nil, fmt.Errorf("kubeconfig: %w", err)
	}
	// What a webhook would warn of is not for the one who looks around.
	config.WarningHandler = rest.NoWarnings{}
	return config, nil
}

// reached is a cluster that a person reaches.
type reached struct {
	config  *rest.Config
	clients kubernetes.Interface
	objects dynamic.Interface
}

func (k *kubeconfig) reach() (*reached, error) {
	config, err := k.load()
	if err != nil {
		return nil, err
	}
	clients, err := kubernetes.NewForConfig(config)
	if err != nil {
		return nil, err
	}
	objects, err := dynamic.NewForConfig(config)
	if err != nil {
		return nil, err
	}
	return &reached{config: config, clients: clients, objects: objects}, nil
}
