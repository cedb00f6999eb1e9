package chart_test

import (
	"bufio"
	"encoding/json"
	"maps"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	authorizationv1 "k8s.io/api/authorization/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
)

// grant is one thing that is granted: a verb on a resource, in a namespace or ("") everywhere, of one name or ("") any.
type grant struct{ namespace, group, resource, name, verb string }

// granted is what the installed roles grant.
func granted(t testing.TB) map[grant]bool {
	t.Helper()
	rbac := cluster.Clients(t).RbacV1()
	clusterRole, err := rbac.ClusterRoles().Get(t.Context(), "eksguard", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	role, err := rbac.Roles(namespace).Get(t.Context(), "eksguard", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	all := map[grant]bool{}
	for where, rules := range map[string][]rbacv1.PolicyRule{"": clusterRole.Rules, namespace: role.Rules} {
		for _, rule := range rules {
			names := rule.ResourceNames
			if len(names) == 0 {
				names = []string{""}
			}
			for _, group := range rule.APIGroups {
				for _, resource := range rule.Resources {
					for _, name := range names {
						for _, verb := range rule.Verbs {
							all[grant{where, group, resource, name, verb}] = true
						}
					}
				}
			}
		}
	}
	return all
}

// auditEvent is what is read of an Event of audit.k8s.io/v1.
type auditEvent struct {
	Verb string `json:"verb"`
	User struct {
		Username string `json:"username"`
	} `json:"user"`
	Object struct {
		Resource    string `json:"resource"`
		Subresource string `json:"subresource"`
		Namespace   string `json:"namespace"`
		Name        string `json:"name"`
		Group       string `json:"apiGroup"`
	} `json:"objectRef"`
	Response struct {
		Code int `json:"code"`
	} `json:"responseStatus"`
	Annotations map[string]string `json:"annotations"`
	Received    time.Time         `json:"requestReceivedTimestamp"`
}

// uses are the grants that a request may have rested on.
func (e auditEvent) uses() (found []grant) {
	verbs := []string{e.Verb}
	if e.Verb == "patch" && e.Response.Code == http.StatusCreated {
		verbs = append(verbs, "create") // an apply that creates is asked for both
	}
	for _, verb := range verbs {
		for _, where := range []string{"", e.Object.Namespace} {
			for _, name := range []string{"", e.Object.Name} {
				found = append(found, grant{where, e.Object.Group, e.Object.Resource, name, verb})
			}
		}
	}
	return found
}

// requests are what eksguard has asked of the API server since then, by its audit log.
func requests(t testing.TB, since time.Time) (found []auditEvent) {
	t.Helper()
	log, err := os.Open(cluster.Plane(t).AuditLog)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = log.Close() }() // it was only read
	lines := bufio.NewScanner(log)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var event auditEvent
		if err := json.Unmarshal(lines.Bytes(), &event); err != nil {
			continue // the last line may not be whole yet
		}
		if event.User.Username == self && event.Object.Resource != "" && event.Received.After(since) {
			found = append(found, event)
		}
	}
	if err := lines.Err(); err != nil {
		t.Fatal(err)
	}
	return found
}

const hooks = "admissionregistration.k8s.io"

// everyGrantIsUsed compares what the roles grant with what eksguard has asked for since then, of what the test is about.
func everyGrantIsUsed(t testing.TB, since time.Time, about func(grant) bool) {
	t.Helper()
	unused := granted(t)
	maps.DeleteFunc(unused, func(g grant, _ bool) bool { return !about(g) })
	for _, event := range requests(t, since) {
		asked := grant{event.Object.Namespace, event.Object.Group, event.Object.Resource, event.Object.Name, event.Verb}
		if event.Annotations["authorization.k8s.io/decision"] == "forbid" && about(asked) {
			t.Errorf("eksguard may not %s %+v", event.Verb, event.Object)
		}
		for _, used := range event.uses() {
			delete(unused, used)
		}
	}
	for g := range unused {
		t.Errorf("never used: %s %s.%s %q in %q", g.verb, g.resource, g.group, g.name, g.namespace)
	}
}

// nothingElseIsGranted asks the API server, as eksguard, for what whoever takes eksguard over would like to do.
func nothingElseIsGranted(t *testing.T) {
	t.Helper()
	clients, err := kubernetes.NewForConfig(token(t))
	if err != nil {
		t.Fatal(err)
	}
	type access = authorizationv1.ResourceAttributes
	const rbac = "rbac.authorization.k8s.io"
	for wish, a := range map[string]access{
		"read every Secret":           {Verb: "list", Resource: "secrets"},
		"read Secrets beside its own": {Verb: "list", Resource: "secrets", Namespace: namespace},
		"read Helm's Secret": {
			Verb: "get", Resource: "secrets", Namespace: namespace, Name: "sh.helm.release.v1.eksguard.v1",
		},
		"read Flux's key": {
			Verb: "get", Resource: "secrets", Namespace: "flux-system", Name: "flux-system",
		},
		"make another Secret": {
			Verb: "create", Resource: "secrets", Namespace: namespace, Name: "other",
		},
		"delete its Secret": {
			Verb: "delete", Resource: "secrets", Namespace: namespace, Name: "eksguard-certificate",
		},
		"run Pods":  {Verb: "create", Resource: "pods", Namespace: namespace},
		"read Pods": {Verb: "list", Resource: "pods"},
		"go into Pods": {
			Verb: "create", Resource: "pods", Subresource: "exec", Namespace: namespace,
		},
		"be another ServiceAccount": {
			Verb: "create", Resource: "serviceaccounts", Subresource: "token", Namespace: "kube-system", Name: "x",
		},
		"be somebody else": {Verb: "impersonate", Resource: "users", Name: "admin"},
		"write aws-auth": {
			Verb: "update", Resource: "configmaps", Namespace: "kube-system", Name: "aws-auth",
		},
		"write its own settings": {
			Verb: "update", Resource: "configmaps", Namespace: namespace, Name: "eksguard-settings",
		},
		"write its own Deployment": {
			Verb: "update", Group: "apps", Resource: "deployments", Namespace: namespace, Name: "eksguard",
		},
		"register another webhook": {
			Verb: "create", Group: hooks, Resource: "mutatingwebhookconfigurations", Name: "other",
		},
		"register without a name": {
			Verb: "create", Group: hooks, Resource: "mutatingwebhookconfigurations",
		},
		"remove webhooks, its own among them": {
			Verb: "delete", Group: hooks, Resource: "validatingwebhookconfigurations", Name: "eksguard",
		},
		"read other webhooks": {
			Verb: "list", Group: hooks, Resource: "validatingwebhookconfigurations",
		},
		"grant itself more": {
			Verb: "update", Group: rbac, Resource: "clusterroles", Name: "eksguard",
		},
		"bind itself to more": {Verb: "create", Group: rbac, Resource: "clusterrolebindings"},
		"write Namespaces":    {Verb: "update", Resource: "namespaces", Name: "default"},
		"take another leader's place": {
			Verb: "update", Group: "coordination.k8s.io", Resource: "leases", Namespace: namespace, Name: "other",
		},
		"elect leaders elsewhere": {
			Verb: "create", Group: "coordination.k8s.io", Resource: "leases", Namespace: "kube-system",
		},
		"read Events":                     {Verb: "list", Resource: "events"},
		"delete Events":                   {Verb: "delete", Resource: "events", Namespace: "default"},
		"list ReplicaSets":                {Verb: "list", Group: "apps", Resource: "replicasets"},
		"read Deployments":                {Verb: "get", Group: "apps", Resource: "deployments", Namespace: "default", Name: "x"},
		"go through nodes":                {Verb: "get", Resource: "nodes", Subresource: "proxy", Name: "node"},
		"do anything with anything there": {Verb: "*", Group: "*", Resource: "*", Namespace: namespace},
	} {
		t.Run("cannot "+strings.ReplaceAll(wish, " ", "-"), func(t *testing.T) {
			review := &authorizationv1.SelfSubjectAccessReview{}
			review.Spec.ResourceAttributes = &a
			answer, err := clients.AuthorizationV1().SelfSubjectAccessReviews().
				Create(t.Context(), review, metav1.CreateOptions{})
			if err != nil || answer.Status.Allowed {
				t.Errorf("%+v is allowed: %v, %v", a, answer.Status.Reason, err)
			}
		})
	}
}
