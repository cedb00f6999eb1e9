package doctor

import (
	"context"
	"fmt"
	"slices"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
)

// workload is a Deployment or a DaemonSet.
type workload struct {
	kind, namespace, name string
	labels                map[string]string
	spec                  corev1.PodSpec
}

func (w *workload) String() string { return fmt.Sprintf("%s %s/%s", w.kind, w.namespace, w.name) }

// resource is what kubectl calls it.
func (w *workload) resource() string {
	return fmt.Sprintf("-n %s %s/%s", w.namespace, strings.ToLower(w.kind), w.name)
}

// serviceAccount is the name that it has to the API server.
func (w *workload) serviceAccount() string {
	name := w.spec.ServiceAccountName
	if name == "" {
		name = "default"
	}
	return "system:serviceaccount:" + w.namespace + ":" + name
}

// container finds the container whose image has a repository that ends in one of the names.
func (w *workload) container(names ...string) *corev1.Container {
	for i := range w.spec.Containers {
		repository, _ := splitImage(w.spec.Containers[i].Image)
		if slices.Contains(names, repository[strings.LastIndex(repository, "/")+1:]) {
			return &w.spec.Containers[i]
		}
	}
	return nil
}

// splitImage gives the repository of an image, with its registry, and its tag.
func splitImage(image string) (repository, tag string) {
	image, _, _ = strings.Cut(image, "@")
	if colon := strings.LastIndex(image, ":"); colon > strings.LastIndex(image, "/") {
		return image[:colon], image[colon+1:]
	}
	return image, ""
}

// flags are those of a container's command line, as spf13/pflag reads them: the last of a name counts. A switch has no
// word after it for a value, and is "true" where it stands alone.
func flags(c *corev1.Container, switches ...string) map[string]string {
	found := map[string]string{}
	words := slices.Concat(c.Command, c.Args)
	for i, word := range words {
		name, value, hasValue := strings.Cut(strings.TrimLeft(word, "-"), "=")
		if !strings.HasPrefix(word, "-") || name == "" {
			continue
		}
		if !hasValue {
			value = "true"
			if i+1 < len(words) && !slices.Contains(switches, name) {
				value = words[i+1]
			}
		}
		found[name] = value
	}
	return found
}

// allWorkloads lists the Deployments and DaemonSets of the cluster, once.
func (e *examination) allWorkloads(ctx context.Context) ([]workload, error) {
	if e.workloads != nil {
		return e.workloads, nil
	}
	found := []workload{}
	err := pages(func(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) {
		return e.Clients.AppsV1().Deployments(metav1.NamespaceAll).List(ctx, o)
	}).EachListItem(ctx, metav1.ListOptions{}, func(o runtime.Object) error {
		d := o.(*appsv1.Deployment)
		found = append(found, workload{"Deployment", d.Namespace, d.Name, d.Labels, d.Spec.Template.Spec})
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("list Deployments: %w", err)
	}
	err = pages(func(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) {
		return e.Clients.AppsV1().DaemonSets(metav1.NamespaceAll).List(ctx, o)
	}).EachListItem(ctx, metav1.ListOptions{}, func(o runtime.Object) error {
		d := o.(*appsv1.DaemonSet)
		found = append(found, workload{"DaemonSet", d.Namespace, d.Name, d.Labels, d.Spec.Template.Spec})
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("list DaemonSets: %w", err)
	}
	e.workloads = found
	return found, nil
}
