package main

import (
	"context"
	"fmt"
	"strings"

	"k8s.io/client-go/discovery"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/mozilla-iam/eksguard/internal/openapi"
)

// fetch reads the OpenAPI documents of all group versions from the API server.
func fetch(ctx context.Context, kubeconfig string) (*openapi.Schemas, error) {
	config, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		return nil, err
	}
	client, err := discovery.NewDiscoveryClientForConfig(config)
	if err != nil {
		return nil, err
	}
	paths, err := client.OpenAPIV3().Paths()
	if err != nil {
		return nil, fmt.Errorf("list the OpenAPI documents: %w", err)
	}
	documents := map[string][]byte{}
	for path, groupVersion := range paths {
		if !strings.HasPrefix(path, "api") {
			continue // /version, /.well-known and the like have no kinds
		}
		if documents[path], err = groupVersion.Schema("application/json"); err != nil {
			return nil, fmt.Errorf("OpenAPI document %q: %w", path, err)
		}
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
	}
	return openapi.Compact(documents)
}
