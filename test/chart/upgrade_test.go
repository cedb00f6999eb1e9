package chart_test

import (
	"errors"
	"fmt"
	"maps"
	"strings"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/mozilla-iam/eksguard/test/e2e"
)

// earlierChart is the chart as it was before it knew where certificates come from other than from eksguard itself, by
// `tar --sort=name -cz`. Whoever has that installed upgrades from it.
const earlierChart = "testdata/earlier-chart.tgz"

// writers ask for what is to be denied and for what is to be allowed, over and over, until they are stopped.
func writers(t *testing.T) (stop func() (answers int)) {
	t.Helper()
	bad, good := badPod(t), pod(t, "arn:aws:iam::555555555555:role/eks-default-prod")
	var running sync.WaitGroup
	answers, done := 0, make(chan struct{})
	running.Go(func() {
		for {
			select {
			case <-done:
				return
			case <-time.After(5 * time.Millisecond):
			}
			denied := cluster.As(t, admin).Create(bad, e2e.DryRun).Err
			allowed := cluster.As(t, admin).Create(good, e2e.DryRun).Err
			if !apierrors.IsForbidden(denied) || allowed != nil {
				t.Errorf("what is to be denied: %v; what is to be allowed: %v", denied, allowed)
			}
			answers += 2
		}
	})
	var once sync.Once
	stop = func() int {
		once.Do(func() {
			close(done)
			running.Wait()
		})
		return answers
	}
	t.Cleanup(func() { stop() })
	return stop
}

// replace starts a replica as the Deployment is now, and ends the one before, as a rolling update does.
func replace(t *testing.T, old *replica) *replica {
	t.Helper()
	// An older API server cannot stream lists, so that lists are asked for too.
	next := start(t, "KUBE_FEATURE_WatchListClient=false")
	old.Terminate()
	if code := old.Exit(time.Minute); code != 0 {
		t.Errorf("exit status %d:\n%s", code, old.Output())
	}
	return next
}

// released makes the namespace of the release, and removes both when the test ends.
func released(t *testing.T, h *helm) {
	t.Helper()
	kubectl := cluster.Kubectl(t)
	kubectl.Run("apply", "-f", "../../../deploy/flux/installer/namespace.yaml").Succeeded()
	t.Cleanup(func() {
		h.Uninstall()
		cluster.Unregister(t)
		kubectl.Run("delete", "namespace", namespace, "--timeout=60s").Succeeded()
	})
}

// From an earlier chart to the present one, from one source of certificates to the next, and no write goes unanswered: with
// no more than the chart grants at each time.
func TestUpgrades(t *testing.T) {
	cluster.CertManagerCRDs(t)
	cluster.CertManager(t)
	h := newHelm(t, admin)
	released(t, h)
	h.chart = earlierChart
	const common = `
image: {repository: registry.example.com/eksguard}
settings: {cluster: {account: "555555555555"}}
extraArgs: [--certificate-propagation=3s, --log-level=warn]
`
	h.Install(values(t, common))
	replica := start(t)
	denied(t)
	stop := writers(t)
	h.chart = chartDir
	life := t // what is started in a part of it outlives that part
	certificates := func(g grant) bool { return g.resource == "secrets" || g.group == "cert-manager.io" }
	for _, row := range []struct {
		name, values string
		// granted are the grants about certificates then.
		granted map[grant]bool
	}{
		{"to the present chart", "", grants("", "secrets", "eksguard-certificate", "list watch create update patch")},
		{"to cert-manager", "certificate: {mode: cert-manager, secretName: eksguard-tls}", join(
			grants("", "secrets", "eksguard-tls", "list watch"),
			grants("cert-manager.io", "certificates", "eksguard-tls", "get create patch"),
			grants("cert-manager.io", "certificates", "eksguard-tls-ca", "create patch"),
			grants("cert-manager.io", "issuers", "eksguard-tls-ca", "create patch"),
			grants("cert-manager.io", "issuers", "eksguard-tls-selfsigned", "create patch"),
		)},
		{"to an issuer that is there", `
certificate: {mode: cert-manager, secretName: eksguard-by-issuer, issuer: {name: eksguard-tls-ca}}`, join(
			grants("", "secrets", "eksguard-by-issuer", "list watch"),
			grants("cert-manager.io", "certificates", "eksguard-by-issuer", "get create patch"),
		)},
		{"to files", "certificate: {mode: files, secretName: eksguard-by-issuer}", nil},
	} {
		t.Run(row.name, func(t *testing.T) {
			begin := time.Now()
			h.Upgrade(values(t, common+row.values))
			replica = replace(life, replica)
			shown := granted(t)
			maps.DeleteFunc(shown, func(g grant, _ bool) bool { return !certificates(g) })
			if !maps.Equal(shown, row.granted) {
				t.Errorf("granted are %v, want %v", shown, row.granted)
			}
			if row.granted != nil && row.name != "to the present chart" { // whose Secret is there already
				// The replica before was not granted this Secret, and is not granted its own any more.
				names := map[string]bool{}
				for g := range row.granted {
					names[g.name] = true
				}
				everyGrantIsUsed(t, begin, func(g grant) bool { return certificates(g) && names[g.name] })
			}
		})
	}
	if answers := stop(); answers == 0 {
		t.Error("nothing was asked in the meantime")
	} else {
		t.Logf("%d answers", answers)
	}
	replica.Terminate()
	if code := replica.Exit(time.Minute); code != 0 {
		t.Errorf("exit status %d", code)
	}
}

// grants are verbs on one object of the release's namespace.
func grants(group, resource, name, verbs string) map[grant]bool {
	all := map[grant]bool{}
	for verb := range strings.FieldsSeq(verbs) {
		all[grant{namespace, group, resource, name, verb}] = true
	}
	return all
}

func join(all ...map[grant]bool) map[grant]bool {
	joined := map[grant]bool{}
	for _, some := range all {
		maps.Copy(joined, some)
	}
	return joined
}

// In mode files a Pod waits for its Secret, and then takes what fits together.
func TestFilesOfOthers(t *testing.T) {
	h := newHelm(t, admin)
	released(t, h)
	h.Install(values(t, `
image: {repository: registry.example.com/eksguard}
certificate: {mode: files, secretName: mine}
clientCA: {secret: authorities, key: ca.crt, names: [kube-apiserver]}
`))
	secrets := cluster.Clients(t).CoreV1().Secrets(namespace)
	for _, secret := range []*corev1.Secret{
		{ObjectMeta: metav1.ObjectMeta{Name: "mine"}, Data: map[string][]byte{"tls.crt": []byte("x"), "tls.key": []byte("y")}},
		{ObjectMeta: metav1.ObjectMeta{Name: "authorities"}, Data: map[string][]byte{"ca.crt": []byte("none")}},
	} {
		if _, err := secrets.Create(t.Context(), secret, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	replica := launch(t)
	if code := replica.Exit(time.Minute); code == 0 {
		t.Error("it runs with authorities of clients that are none")
	}
	if want := "there is no certificate in it: want PEM"; !strings.Contains(replica.Output(), want) {
		t.Errorf("want %q:\n%s", want, replica.Output())
	}
	h.Upgrade(values(t, `
image: {repository: registry.example.com/eksguard}
certificate: {mode: files, secretName: mine}
`))
	replica = launch(t)
	e2e.Eventually(t, time.Minute, "it tells what is missing", func() error {
		if !strings.Contains(replica.Output(), "ca.crt: no such file or directory") {
			return errors.New(replica.Output())
		}
		return nil
	})
	if err := e2e.Ready(replica.healthURL); err == nil || !strings.Contains(fmt.Sprint(err), "serving failed") {
		t.Errorf("ready: %v", err)
	}
}
