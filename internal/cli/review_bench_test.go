package cli_test

import (
	"fmt"
	"io"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/mozilla-iam/eksguard/internal/cli"
	"github.com/mozilla-iam/eksguard/internal/manifest"
)

// BenchmarkReview reviews 5,000 Deployments, of which every tenth is denied, by the default bundle. What counts is the
// ratio to reading them alone, in the same run; reviewing nothing but one of them is left out of it, for loading the
// bundle takes the same time however many there are.
func BenchmarkReview(b *testing.B) {
	const objects = 5000
	b.Chdir(b.TempDir())
	deployment := func(i int) string {
		name := fmt.Sprintf("service-%04d", i)
		role := "eks-" + name + "-prod"
		if i%10 == 0 {
			role = "somebody-else"
		}
		return "---\napiVersion: apps/v1\nkind: Deployment\nmetadata:\n  name: " + name + "\n" +
			"  namespace: " + name + "\nspec:\n  template:\n" +
			"    metadata:\n      annotations:\n        iam.amazonaws.com/role: " +
			"arn:aws:iam::555555555555:role/" + role + "\n    spec:\n" +
			"      containers:\n        - name: app\n          image: nginx\n" +
			strings.Repeat("        - name: sidecar\n          image: envoy\n          args: [--level, info]\n", 5)
	}
	var all strings.Builder
	for i := range objects {
		all.WriteString(deployment(i))
	}
	for name, text := range map[string]string{"all.yaml": all.String(), "one.yaml": deployment(1)} {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			b.Fatal(err)
		}
	}
	review := func(file string, format string) time.Duration {
		begin := time.Now()
		if code := cli.Run([]string{"review", file, "-o", format}, nil, io.Discard, os.Stderr); code == 2 {
			b.Fatal("exit code 2")
		}
		return time.Since(begin)
	}
	for _, format := range []string{"text", "sarif"} {
		b.Run(format, func(b *testing.B) {
			var parsing, reviewing time.Duration
			for b.Loop() {
				begin := time.Now()
				if documents, _ := manifest.Read([]string{"all.yaml"}, nil); len(documents) != objects {
					b.Fatalf("%d documents", len(documents))
				}
				parsing += time.Since(begin)
				reviewing += review("all.yaml", format) - review("one.yaml", format)
			}
			b.ReportMetric(float64(reviewing)/float64(parsing), "×parsing")
			b.ReportMetric(float64(reviewing.Microseconds())/float64(b.N*objects), "µs/object")
		})
	}
}
