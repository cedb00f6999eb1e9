package openapi

import (
	"reflect"

	corev1 "k8s.io/api/core/v1"
)

// addConnections adds what is sent to the resources of the core API that are connected to. The options come as query
// parameters, so that no OpenAPI document has their kinds.
func (s *Schemas) addConnections() {
	for name, options := range map[string]reflect.Type{
		"nodes/proxy":      reflect.TypeFor[corev1.NodeProxyOptions](),
		"pods/attach":      reflect.TypeFor[corev1.PodAttachOptions](),
		"pods/exec":        reflect.TypeFor[corev1.PodExecOptions](),
		"pods/portforward": reflect.TypeFor[corev1.PodPortForwardOptions](),
		"pods/proxy":       reflect.TypeFor[corev1.PodProxyOptions](),
		"services/proxy":   reflect.TypeFor[corev1.ServiceProxyOptions](),
	} {
		definition := "io.k8s.api.core.v1." + options.Name()
		s.Definitions[definition] = typeSchema(options)
		s.Resources = append(s.Resources, Resource{Version: "v1", Name: name, Definition: definition})
	}
	s.sort()
}
