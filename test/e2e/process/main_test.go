// Package process_test shows how eksguard behaves as a process: how it registers, serves, fails and ends.
package process_test

import (
	"os"
	"testing"

	"github.com/mozilla-iam/eksguard/test/e2e"
	"github.com/mozilla-iam/eksguard/test/local"
)

// The controllers collect garbage here, and go on working while eksguard is down.
var cluster = e2e.NewCluster(local.Options{ControllerManager: true, AuditPolicy: "testdata/audit-policy.yaml"}, "testdata/setup")

func TestMain(m *testing.M) { os.Exit(cluster.Run(m)) }

const (
	standardSettings = "testdata/settings/standard.yaml"

	admin = "" // the administrator of the control plane
	flux  = "system:serviceaccount:flux-system:kustomize-controller"

	ownRole     = "arn:aws:iam::555555555555:role/eks-webservice-01-prod"
	foreignRole = "arn:aws:iam::555555555555:role/eks-webservice-02-prod"
)
