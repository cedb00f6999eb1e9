// Package process_test shows how eksguard behaves as a process: how it registers, serves, fails and ends.
package process_test

import (
	"fmt"
	"os"
	"testing"

	"github.com/mozilla-iam/eksguard/test/e2e"
	"github.com/mozilla-iam/eksguard/test/local"
)

// The controllers collect garbage here, and go on working while eksguard is down.
var cluster *e2e.Cluster

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	folder, err := os.MkdirTemp("", "eksguard-process-")
	if err == nil {
		defer func() { _ = os.RemoveAll(folder) }() // nobody looks for it
		identities, err = newIdentities(folder)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	cluster = e2e.NewCluster(local.Options{ControllerManager: true, AuditPolicy: "testdata/audit-policy.yaml",
		AdmissionConfig: identities.config}, "testdata/setup")
	return cluster.Run(m)
}

const (
	standardSettings = "testdata/settings/standard.yaml"

	admin = "" // the administrator of the control plane
	flux  = "system:serviceaccount:flux-system:kustomize-controller"

	ownRole     = "arn:aws:iam::555555555555:role/eks-webservice-01-prod"
	foreignRole = "arn:aws:iam::555555555555:role/eks-webservice-02-prod"
)
