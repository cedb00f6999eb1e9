package fuzz_test

import (
	"math/rand/v2"
	"strings"
	"testing"

	"sigs.k8s.io/aws-iam-authenticator/pkg/arn"
)

// TestCanonicalARNs holds over ARNs that are put together at random that what the library makes of the ARN of an
// IAMIdentityMapping is what the authenticator's controller makes of it. Partitions that only some versions know are not
// among them.
func TestCanonicalARNs(t *testing.T) {
	j := newJudge(t)
	random := rand.New(rand.NewPCG(7, 8))
	of := func(values ...string) string { return values[random.IntN(len(values))] }
	understood := 0
	for range 3000 {
		parts := []string{of("arn", "arn", "arn", "ARN", "x"), of("aws", "aws-cn", "aws-us-gov", "AWS", "gcp", ""),
			of("iam", "iam", "sts", "sts", "STS", "ec2", ""), of("", "", "us-west-2"), of("555555555555", "5", ""),
			of("role", "user", "root", "assumed-role", "federated-user", "group", "Role", "")}
		parts[5] += of("", "/x", "/x/y", "/path/x/y", "/X/Session", "//", "/x:y/z", ":x", "/")
		given := strings.Join(parts[:of6(random)], ":")
		_, want, err := arn.Canonicalize(strings.ToLower(given))
		if err != nil {
			want = ""
		} else {
			understood++
		}
		got, err := j.Canonical(t.Context(), given)
		if err != nil || got != want {
			t.Errorf("%q: got %q (%v), the authenticator says %q", given, got, err, want)
		}
	}
	if understood < 300 {
		t.Errorf("only %d ARNs are ones: they do not exercise the property", understood)
	}
}

// of6 is mostly all six parts of an ARN.
func of6(random *rand.Rand) int {
	if random.IntN(10) > 0 {
		return 6
	}
	return 1 + random.IntN(6)
}
