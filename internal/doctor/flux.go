package doctor

import (
	"context"
	"fmt"
	"slices"
	"strings"
)

// fluxControllers are the programs of Flux that write to the cluster: v1's, and the controllers of v2 (fluxcd/flux2:
// install/).
var fluxControllers = []string{"flux", "kustomize-controller", "helm-controller", "source-controller",
	"notification-controller", "image-automation-controller", "image-reflector-controller"}

// lookAtFlux finds Flux's identities, and whether the settings know them.
func lookAtFlux(ctx context.Context, e *examination) (string, error) {
	workloads, err := e.allWorkloads(ctx)
	if err != nil {
		return "", err
	}
	var saw, identities []string
	for i := range workloads {
		w := &workloads[i]
		c := w.container(fluxControllers...)
		if c == nil {
			continue
		}
		_, tag := splitImage(c.Image)
		saw = append(saw, strings.TrimSpace(w.String()+" "+tag))
		identities = append(identities, w.serviceAccount())
		e.lookAtReach(w)
		e.lookAtTenancyFlags(w, flags(c, "no-cross-namespace-refs"))
	}
	if len(saw) == 0 {
		return "not found", nil
	}
	e.lookAtIdleReach(identities)
	return listed(saw), nil
}

// reach are settings.flux.reach: the users of each entry.
func (e *examination) reach() (entries [][]string) {
	for _, entry := range e.settings.list("flux", "reach") {
		object, _ := entry.(map[string]any)
		entries = append(entries, texts(settings(object).list("users")))
	}
	return entries
}

func (e *examination) lookAtReach(w *workload) {
	identity := w.serviceAccount()
	if e.Snapshot.Policy("flux") == nil || coveredBy(slices.Concat(e.reach()...), identity) {
		return
	}
	e.find(Finding{
		Severity: Error,
		What:     fmt.Sprintf("%s writes as %q, which is in no entry of settings.flux.reach", w, identity),
		Why:      "policy flux does not judge what it writes: it reaches whatever RBAC lets it",
		Do:       fmt.Sprintf("add {users: [%q], namespaces: […]} to settings.flux.reach", identity),
	})
}

// lookAtIdleReach finds entries that are about nobody.
func (e *examination) lookAtIdleReach(identities []string) {
	for i, users := range e.reach() {
		if slices.ContainsFunc(identities, func(identity string) bool { return coveredBy(users, identity) }) {
			continue
		}
		// The entry may be about a ServiceAccount that Flux impersonates; these are not told here.
		if !slices.ContainsFunc(users, namesFlux) {
			continue
		}
		e.find(Finding{
			Severity: Warning,
			What:     fmt.Sprintf("settings.flux.reach[%d] names no identity that Flux has here: %s", i, listed(users)),
			Why:      "it limits nobody; a name may be misspelt",
			Do:       "name those that Flux has: " + listed(identities),
		})
	}
}

// namesFlux tells whether a user is meant to be Flux itself.
func namesFlux(user string) bool {
	return slices.Contains(fluxControllers, user[strings.LastIndex(user, ":")+1:])
}

func coveredBy(patterns []string, user string) bool {
	return slices.ContainsFunc(patterns, func(pattern string) bool { return starMatches(pattern, user) })
}

// lookAtTenancyFlags looks for the flags by which Flux itself keeps tenants apart (fluxcd/flux2: docs on multi-tenancy
// lockdown).
func (e *examination) lookAtTenancyFlags(w *workload, flags map[string]string) {
	c := w.container("kustomize-controller", "helm-controller", "notification-controller", "image-reflector-controller",
		"image-automation-controller")
	if c == nil || flags["no-cross-namespace-refs"] == "true" {
		return
	}
	e.find(Finding{
		Severity: Info,
		What:     w.String() + " runs without --no-cross-namespace-refs=true",
		Why:      "then policy flux-tenancy alone keeps tenants from the sources of others",
		Do: "where no tenant needs a source of another namespace: kubectl edit " + w.resource() +
			" and add --no-cross-namespace-refs=true",
	})
}
