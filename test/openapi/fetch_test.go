package main

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"io"
	"os"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/mozilla-iam/eksguard/test/local"
	"github.com/mozilla-iam/eksguard/test/local/localtest"
)

// What internal/openapi has of Kubernetes' kinds is what the API server says of them.
func TestTheSchemasAreThoseOfTheAPIServer(t *testing.T) {
	file, err := os.ReadFile("../../internal/openapi/kubernetes.json.gz")
	if err != nil {
		t.Fatal(err)
	}
	const most = 300 << 10
	if len(file) > most {
		t.Errorf("the schemas have %d bytes, want at most %d: they are part of the binary", len(file), most)
	}
	zipped, err := gzip.NewReader(bytes.NewReader(file))
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(zipped)
	if err != nil {
		t.Fatal(err)
	}
	schemas, err := fetch(t.Context(), localtest.ControlPlane(t, local.Options{}).Kubeconfig)
	if err != nil {
		t.Fatal(err)
	}
	fresh, err := json.Marshal(schemas)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(decode(t, fresh), decode(t, text)); diff != "" {
		t.Errorf("make schemas mends this: -API server +file:\n%s", diff)
	}
}

func decode(t *testing.T, text []byte) (value any) {
	t.Helper()
	if err := json.Unmarshal(text, &value); err != nil {
		t.Fatal(err)
	}
	return value
}
