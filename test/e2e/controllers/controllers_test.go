// Package controllers_test shows that what kube-controller-manager makes of objects is judged as if a person had made it.
package controllers_test

import (
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/mozilla-iam/eksguard/test/e2e"
	"github.com/mozilla-iam/eksguard/test/local"
)

var cluster = e2e.NewCluster(local.Options{ControllerManager: true}, "testdata/setup")

func TestMain(m *testing.M) { os.Exit(cluster.Run(m)) }

const (
	namespace   = "webservice-01"
	roleKey     = "iam.amazonaws.com/role"
	ownRole     = "arn:aws:iam::555555555555:role/eks-webservice-01-prod"
	foreignRole = "arn:aws:iam::555555555555:role/eks-webservice-02-prod"
)

// A StatefulSet's Pods are made of its ControllerRevisions, which no policy is asked about: one that is replaced changes
// what the controller makes, and that is denied.
func TestAReplacedRevisionBringsNoRole(t *testing.T) {
	cluster.Guard(t, local.EksguardOptions{Settings: "testdata/settings.yaml"})
	clients, ctx := cluster.Clients(t), t.Context()
	cluster.As(t, "").Create(e2e.Manifest(t, "statefulset.yaml")).Admitted()
	pods, revisions := clients.CoreV1().Pods(namespace), clients.AppsV1().ControllerRevisions(namespace)
	e2e.Eventually(t, 30*time.Second, "its Pod is made", func() error {
		_, err := pods.Get(ctx, "web-0", metav1.GetOptions{})
		return err
	})

	list, err := revisions.List(ctx, metav1.ListOptions{})
	if err != nil || len(list.Items) != 1 {
		t.Fatalf("its revisions: %v, %v", list, err)
	}
	forged := list.Items[0].DeepCopy()
	if !strings.Contains(string(forged.Data.Raw), ownRole) {
		t.Fatalf("the revision is of another form: %s", forged.Data.Raw)
	}
	forged.ResourceVersion, forged.UID = "", ""
	forged.Data = runtime.RawExtension{Raw: []byte(strings.ReplaceAll(string(forged.Data.Raw), ownRole, foreignRole))}
	if err := revisions.Delete(ctx, forged.Name, metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	if _, err := revisions.Create(ctx, forged, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	now := int64(0)
	if err := pods.Delete(ctx, "web-0", metav1.DeleteOptions{GracePeriodSeconds: &now}); err != nil {
		t.Fatal(err)
	}

	e2e.Eventually(t, 60*time.Second, "the controller is denied what the revision says", func() error {
		events, err := clients.CoreV1().Events(namespace).List(ctx, metav1.ListOptions{FieldSelector: "reason=FailedCreate"})
		if err != nil {
			return err
		}
		for i := range events.Items {
			if text := events.Items[i].Message; strings.Contains(text, "[iam-role/ownership]") && strings.Contains(text, foreignRole) {
				return nil
			}
		}
		return errors.New("no such event")
	})
	made, err := pods.List(ctx, metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for i := range made.Items {
		if role := made.Items[i].Annotations[roleKey]; role == foreignRole {
			t.Errorf("Pod %q has role %q", made.Items[i].Name, role)
		}
	}
}
