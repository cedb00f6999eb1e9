package doctor

import (
	"context"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// IAMIdentityMapping as kubernetes-sigs/aws-iam-authenticator defines it, deploy/iamidentitymapping.yaml.
const (
	identityMappingGroup    = "iamauthenticator.k8s.aws"
	identityMappingResource = "iamidentitymappings"
)

// definitions are CustomResourceDefinitions; their own types are not needed for their names.
var definitions = schema.GroupVersionResource{
	Group: "apiextensions.k8s.io", Version: "v1", Resource: "customresourcedefinitions"}

// lookAtAWSAuth finds out by what people and nodes get into the cluster, and whether eksguard sees changes of that.
func lookAtAWSAuth(ctx context.Context, e *examination) (string, error) {
	saw := "ConfigMap kube-system/aws-auth"
	_, err := e.Clients.CoreV1().ConfigMaps(metav1.NamespaceSystem).Get(ctx, "aws-auth", metav1.GetOptions{})
	switch {
	case apierrors.IsNotFound(err):
		saw = "no ConfigMap kube-system/aws-auth"
		e.find(Finding{
			Severity: Info,
			What:     "there is no ConfigMap kube-system/aws-auth: the cluster maps by EKS access entries alone, or nobody yet",
			Why:      "access entries are made in the AWS API, where no admission webhook is asked",
			Do: "aws eks describe-cluster --name … --query cluster.accessConfig.authenticationMode; in mode API guard " +
				"eks:CreateAccessEntry and eks:AssociateAccessPolicy by IAM",
		})
	case err != nil:
		return "", fmt.Errorf("read ConfigMap kube-system/aws-auth: %w", err)
	}
	_, err = e.Dynamic.Resource(definitions).
		Get(ctx, identityMappingResource+"."+identityMappingGroup, metav1.GetOptions{})
	switch {
	case apierrors.IsNotFound(err):
		return saw, nil
	case err != nil:
		return "", fmt.Errorf("read CustomResourceDefinition %s: %w", identityMappingResource, err)
	}
	if !e.guards(identityMappingGroup, identityMappingResource) {
		e.find(Finding{
			Severity: Warning,
			What:     "the cluster has CustomResourceDefinition IAMIdentityMapping, and no policy is asked about it",
			Why:      "an authenticator in CRD mode makes administrators by it",
			Do:       "let nobody but administrators write it: kubectl auth can-i create iamidentitymappings --as …",
		})
	}
	return saw + ", IAMIdentityMapping", nil
}
