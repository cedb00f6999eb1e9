package doctor

import (
	"context"
	"fmt"
	"strings"

	"github.com/mozilla-iam/eksguard/internal/excerpt"
)

// lookAtKube2iam holds kube2iam's flags against the settings that must say the same (jtblin/kube2iam: cmd/main.go has
// the flags and their defaults).
func lookAtKube2iam(ctx context.Context, e *examination) (string, error) {
	workloads, err := e.allWorkloads(ctx)
	if err != nil {
		return "", err
	}
	var saw []string
	for i := range workloads {
		w := &workloads[i]
		if c := w.container("kube2iam"); c != nil {
			_, tag := splitImage(c.Image)
			saw = append(saw, strings.TrimSpace(w.String()+" "+tag))
			e.lookAtKube2iamFlags(w, flags(c, kube2iamSwitches()...))
		}
	}
	if len(saw) == 0 {
		return "not found", nil
	}
	return listed(saw), nil
}

// kube2iamSwitches are its flags without a value.
func kube2iamSwitches() []string {
	return []string{"debug", "insecure", "iptables", "auto-discover-base-arn", "auto-discover-default-role",
		"namespace-restrictions", "use-regional-sts-endpoint", "verbose", "version"}
}

func (e *examination) lookAtKube2iamFlags(w *workload, flags map[string]string) {
	edit := "kubectl edit " + w.resource()
	if on := flags["namespace-restrictions"]; on != "true" && on != "1" {
		e.find(Finding{
			Severity: Warning,
			What:     w.String() + " runs without --namespace-restrictions",
			Why: "it gives a Pod whatever role its annotation names: a Pod that was there before eksguard, or that came while " +
				"eksguard did not deny, keeps a role of another namespace",
			Do: edit + " and add --namespace-restrictions, once each Namespace has the annotation with its roles",
		})
	}
	role := flags["default-role"]
	if flags["auto-discover-default-role"] == "true" {
		role = "the node's own, by --auto-discover-default-role"
	}
	if role != "" {
		e.find(Finding{
			Severity: Warning,
			What:     fmt.Sprintf("%s gives a default role: %q", w, excerpt.Of(role, maxText)),
			Why:      "every Pod without an annotation has that role, and no policy is asked about such Pods",
			Do:       edit + " and remove the flag, or let the role do nothing",
		})
	}
	for _, same := range []struct {
		flag, assumed string
		setting       []string
	}{
		{"iam-role-key", "iam.amazonaws.com/role", []string{"iam_role", "annotation"}},
		{"namespace-key", "iam.amazonaws.com/allowed-roles", []string{"iam_role", "allowed_roles_annotation"}},
		{"namespace-restriction-format", "glob", []string{"iam_role", "allowed_roles_format"}},
	} {
		value, given := flags[same.flag]
		if !given {
			value = same.assumed
		}
		if setting := e.settings.text(same.setting...); setting != value {
			e.find(disagreement(w, same.flag, value, same.setting, setting))
		}
	}
	base, given := flags["base-role-arn"]
	if setting := e.baseARN(); given && setting != "" && withSlash(base) != setting {
		e.find(disagreement(w, "base-role-arn", base, []string{"iam_role", "base_arn"}, setting))
	}
}

func disagreement(w *workload, flag, value string, path []string, setting string) Finding {
	name := "settings." + strings.Join(path, ".")
	return Finding{
		Severity: Error,
		What:     fmt.Sprintf("%s has --%s %q, and %s is %q", w, flag, excerpt.Of(value, maxText), name, excerpt.Of(setting, maxText)),
		Why:      "kube2iam reads something else than what eksguard judges: roles are given that nobody looked at",
		Do:       fmt.Sprintf("set %s: {%s: %q} in the settings", path[0], path[1], excerpt.Of(value, maxText)),
	}
}

// baseARN is what a bare name of a role is put behind; empty where the settings leave it open.
func (e *examination) baseARN() string {
	if base := e.settings.text("iam_role", "base_arn"); base != "" {
		return base
	}
	account := e.settings.text("cluster", "account")
	if account == "" {
		return ""
	}
	return fmt.Sprintf("arn:%s:iam::%s:role/", e.settings.text("cluster", "partition"), account)
}

// withSlash is how kube2iam reads a base ARN (cmd/main.go: it appends the slash that is missing).
func withSlash(base string) string { return strings.TrimSuffix(base, "/") + "/" }
