package bundlefile_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/registry"
	opabundle "github.com/open-policy-agent/opa/v1/bundle"
	"github.com/open-policy-agent/opa/v1/download"
	"github.com/open-policy-agent/opa/v1/keys"
	"github.com/open-policy-agent/opa/v1/plugins/rest"

	"github.com/mozilla-iam/eksguard/internal/bundlefile"
)

func TestPushAndPull(t *testing.T) {
	private, public := ecKeys(t)
	file, err := bundlefile.Sign(build(t, folder(t), bundlefile.BuildOptions{Revision: "v1"}),
		bundlefile.Key{ID: "k", Algorithm: "ES256", Text: private})
	if err != nil {
		t.Fatal(err)
	}
	host := startRegistry(t, "")
	o := bundlefile.RegistryOptions{PlainHTTP: true, DockerConfig: filepath.Join(t.TempDir(), "config.json")}
	reference := host + "/team/policies:v1"
	image, err := bundlefile.Push(t.Context(), reference, file, o)
	if err != nil {
		t.Fatal(err)
	}
	again, err := bundlefile.Push(t.Context(), host+"/team/policies:again", file, o)
	if err != nil || again != image {
		t.Errorf("pushed again it is %s, want %s (%v)", again, image, err)
	}
	for _, from := range []string{reference, host + "/team/policies@" + image.String()} {
		pulled, digest, err := bundlefile.Pull(t.Context(), from, o)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(pulled, file) || digest != image {
			t.Errorf("%s: pulled %d bytes of %s, want %d of %s", from, len(pulled), digest, len(file), image)
		}
	}
	t.Run("OPA's own downloader takes it, and verifies it", func(t *testing.T) {
		if revision := downloadByOPA(t, host, reference, public); revision != "v1" {
			t.Errorf("revision %q, want v1", revision)
		}
	})
	for name, row := range map[string]struct{ reference, want string }{
		"a tag that is not there": {host + "/team/policies:v2", "not found"},
		"no tag":                  {host + "/team/policies", "want <registry>/<repository>:<tag> or …@<digest>"},
		"no reference":            {"policies", "invalid reference"},
	} {
		t.Run(name, func(t *testing.T) {
			_, _, err := bundlefile.Pull(t.Context(), row.reference, o)
			if err == nil || !strings.Contains(err.Error(), row.want) {
				t.Errorf("error %v, want one with %q", err, row.want)
			}
		})
	}
	t.Run("what is no bundle is not pushed", func(t *testing.T) {
		_, err := bundlefile.Push(t.Context(), reference, []byte("no bundle"), o)
		if err == nil || !strings.Contains(err.Error(), "it is no bundle file") {
			t.Errorf("error %v", err)
		}
	})
}

func TestCredentialsAreThoseOfDocker(t *testing.T) {
	file := build(t, folder(t), bundlefile.BuildOptions{})
	host := startRegistry(t, "Basic "+base64.StdEncoding.EncodeToString([]byte("jane:secret")))
	config := filepath.Join(t.TempDir(), "config.json")
	o := bundlefile.RegistryOptions{PlainHTTP: true, DockerConfig: config}
	if _, err := bundlefile.Push(t.Context(), host+"/policies:v1", file, o); err == nil || !strings.Contains(err.Error(), "credential not found") {
		t.Errorf("without credentials: error %v", err)
	}
	text := fmt.Sprintf(`{"auths": {%q: {"auth": %q}}}`, host, base64.StdEncoding.EncodeToString([]byte("jane:secret")))
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := bundlefile.Push(t.Context(), host+"/policies:v1", file, o); err != nil {
		t.Error(err)
	}
}

// startRegistry starts a registry on this machine, and gives its host and port. With an authorization it wants that
// one.
func startRegistry(t *testing.T, authorization string) string {
	t.Helper()
	handler := registry.New(registry.Logger(log.New(io.Discard, "", 0)))
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if authorization != "" && r.Header.Get("Authorization") != authorization {
			w.Header().Set("WWW-Authenticate", `Basic realm="test"`)
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		handler.ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	return strings.TrimPrefix(server.URL, "http://")
}

// downloadByOPA gives the revision of what OPA's OCI downloader gets.
func downloadByOPA(t *testing.T, host, reference, public string) string {
	t.Helper()
	service, err := json.Marshal(map[string]any{"name": "registry", "url": "http://" + host, "type": "oci"})
	if err != nil {
		t.Fatal(err)
	}
	client, err := rest.New(service, map[string]*keys.Config{})
	if err != nil {
		t.Fatal(err)
	}
	var got download.Update
	var config download.Config
	if err := config.ValidateAndInjectDefaults(); err != nil {
		t.Fatal(err)
	}
	known := map[string]*keys.Config{"k": {Key: public, Algorithm: "ES256"}}
	d := download.NewOCI(config, client, reference, t.TempDir()).
		WithBundleVerificationConfig(opabundle.NewVerificationConfig(known, "k", "", nil)).
		WithCallback(func(_ context.Context, u download.Update) error { got = u; return nil })
	if err := d.Trigger(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got.Error != nil || got.Bundle == nil {
		t.Fatalf("update: %+v", got)
	}
	return got.Bundle.Manifest.Revision
}
