package chart_test

import (
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/mozilla-iam/eksguard/test/e2e"
)

// badPod asks for a role whose ARN was never filled in.
func badPod(t testing.TB) *unstructured.Unstructured {
	t.Helper()
	return pod(t, "arn:aws:iam::SOMETHING")
}

// otherAccount asks for a role of another AWS account, which the namespace is granted otherwise.
func otherAccount(t testing.TB) *unstructured.Unstructured {
	t.Helper()
	return pod(t, "arn:aws:iam::666666666666:role/eks-default-prod")
}

func pod(t testing.TB, role string) *unstructured.Unstructured {
	t.Helper()
	return e2e.Parse(t, `
apiVersion: v1
kind: Pod
metadata:
  generateName: probe-
  namespace: default
  annotations: {iam.amazonaws.com/role: "`+role+`"}
spec:
  containers: [{name: none, image: none}]
`)
}
