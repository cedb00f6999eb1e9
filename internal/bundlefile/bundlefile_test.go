package bundlefile_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/mozilla-iam/eksguard/internal/bundle"
	"github.com/mozilla-iam/eksguard/internal/bundlefile"
	"github.com/mozilla-iam/eksguard/internal/scaffold"
)

func TestTheSamePoliciesGiveTheSameBytes(t *testing.T) {
	first, second := folder(t), filepath.Join(t.TempDir(), "deeper", "down")
	if err := os.CopyFS(second, os.DirFS(first)); err != nil {
		t.Fatal(err)
	}
	err := filepath.Walk(second, func(path string, _ os.FileInfo, err error) error {
		return errors.Join(err, os.Chtimes(path, time.Unix(1e9, 0), time.Unix(1e9, 0)))
	})
	if err != nil {
		t.Fatal(err)
	}
	file := build(t, first, bundlefile.BuildOptions{})
	if !bytes.Equal(file, build(t, second, bundlefile.BuildOptions{})) {
		t.Error("another folder and other times give another file")
	}
	if err := os.WriteFile(filepath.Join(t.TempDir(), "bundle.tar.gz"), file, 0o600); err != nil {
		t.Fatal(err)
	}
	again, err := bundle.Unpack(file, nil)
	if err != nil {
		t.Fatal(err)
	}
	repacked, _, err := bundlefile.Build(again, bundlefile.BuildOptions{Revision: again.Manifest.Revision})
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(file, repacked) {
		t.Error("a file built of a bundle file differs from it")
	}
	rename(t, filepath.Join(second, "namespace_owner", "namespace_owner.rego"), "Owner is named", "Owner is told")
	if bytes.Equal(file, build(t, second, bundlefile.BuildOptions{})) {
		t.Error("other policies give the same file")
	}
}

func TestWhatIsInABundleFile(t *testing.T) {
	plain := []string{"/.manifest", "/data.json", "/namespace_owner/namespace_owner.rego"}
	for _, row := range []struct {
		name     string
		options  bundlefile.BuildOptions
		entries  []string
		revision string
	}{
		{"tests are left out, and the revision is a digest", bundlefile.BuildOptions{}, plain, "sha256:"},
		{"a revision", bundlefile.BuildOptions{Revision: "v1"}, plain, "v1"},
		{"tests, where they are asked for", bundlefile.BuildOptions{Tests: true},
			append(plain, "/namespace_owner/namespace_owner_test.rego"), "sha256:"},
	} {
		t.Run(row.name, func(t *testing.T) {
			dir := folder(t)
			if err := os.Remove(filepath.Join(dir, ".manifest")); err != nil {
				t.Fatal(err)
			}
			file := build(t, dir, row.options)
			if diff := cmp.Diff(row.entries, entries(t, file)); diff != "" {
				t.Errorf("entries: -want +got:\n%s", diff)
			}
			b, err := bundle.Unpack(file, nil)
			if err != nil {
				t.Fatal(err)
			}
			if !strings.HasPrefix(b.Manifest.Revision, row.revision) {
				t.Errorf("revision %q, want %q", b.Manifest.Revision, row.revision)
			}
			if diff := cmp.Diff([]string{"eksguard"}, *b.Manifest.Roots); diff != "" {
				t.Errorf("roots: -want +got:\n%s", diff)
			}
		})
	}
}

func TestSignatures(t *testing.T) {
	file := build(t, folder(t), bundlefile.BuildOptions{Revision: "v1"})
	ecPrivate, ecPublic := ecKeys(t)
	rsaPrivate, rsaPublic := rsaKeys(t)
	_, otherPublic := ecKeys(t)
	secret := strings.Repeat("s", 32)
	key := func(id, algorithm, text string) bundlefile.Key {
		return bundlefile.Key{ID: id, Algorithm: algorithm, Text: text}
	}
	for _, row := range []struct {
		name          string
		sign, verify  bundlefile.Key
		wantSignature string
		wantErr       string
	}{
		{name: "an EC key", sign: key("k", "ES256", ecPrivate), verify: key("k", "ES256", ecPublic)},
		{name: "an RSA key", sign: key("k", "RS256", rsaPrivate), verify: key("k", "RS256", rsaPublic)},
		{name: "a secret", sign: key("k", "HS256", secret), verify: key("k", "HS256", secret)},
		{name: "another key", sign: key("k", "ES256", ecPrivate), verify: key("k", "ES256", otherPublic), wantErr: "verify"},
		{name: "another secret", sign: key("k", "HS256", secret), verify: key("k", "HS256", secret+"x"), wantErr: "verify"},
		{name: "another algorithm", sign: key("k", "ES256", ecPrivate), verify: key("k", "RS256", rsaPublic), wantErr: "failed to verify"},
		{name: "a secret that is the public key", sign: key("k", "HS256", ecPublic), verify: key("k", "ES256", ecPublic),
			wantErr: "failed to verify"},
	} {
		t.Run(row.name, func(t *testing.T) {
			signed, err := bundlefile.Sign(file, row.sign)
			if err != nil {
				t.Fatal(err)
			}
			b, err := bundlefile.Verify(signed, row.verify)
			if row.wantErr != "" {
				if err == nil || !strings.Contains(err.Error(), row.wantErr) {
					t.Fatalf("error %v, want one with %q", err, row.wantErr)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if b.Manifest.Revision != "v1" {
				t.Errorf("revision %q", b.Manifest.Revision)
			}
			told, err := bundlefile.Signatures(signed)
			if err != nil {
				t.Fatal(err)
			}
			want := []bundlefile.Signature{{KeyID: "k", Algorithm: row.sign.Algorithm, Files: 3}}
			if diff := cmp.Diff(want, told); diff != "" {
				t.Errorf("signatures: -want +got:\n%s", diff)
			}
		})
	}
}

func TestWhatIsNotAsItWasSignedFails(t *testing.T) {
	private, public := ecKeys(t)
	file := build(t, folder(t), bundlefile.BuildOptions{Revision: "v1"})
	signed, err := bundlefile.Sign(file, bundlefile.Key{ID: "k", Algorithm: "ES256", Text: private})
	if err != nil {
		t.Fatal(err)
	}
	for name, changed := range map[string][]byte{
		"no signature":          file,
		"a changed policy":      change(t, signed, "/namespace_owner/namespace_owner.rego", "deny contains", "warn contains"),
		"a changed setting":     change(t, signed, "/data.json", `"team"`, `"taem"`),
		"a changed revision":    change(t, signed, "/.manifest", "v1", "v2"),
		"a signature cut short": change(t, signed, "/.signatures.json", `"]`, `x"]`),
		"a missing file":        change(t, signed, "/namespace_owner/namespace_owner.rego", "", ""),
		"a truncated file":      signed[:len(signed)/2],
		"nothing":               nil,
	} {
		t.Run(name, func(t *testing.T) {
			_, err := bundlefile.Verify(changed, bundlefile.Key{ID: "k", Algorithm: "ES256", Text: public})
			if err == nil {
				t.Error("it was verified")
			}
		})
	}
}

func TestKeysThatAreNone(t *testing.T) {
	file := build(t, folder(t), bundlefile.BuildOptions{})
	const secret = "not-to-be-told"
	for _, row := range []struct {
		name string
		key  bundlefile.Key
		want string
	}{
		{"no id", bundlefile.Key{Algorithm: "ES256", Text: secret},
			"sign: key id is missing: want the name by which the verifier knows the key"},
		{"no algorithm", bundlefile.Key{ID: "k", Algorithm: "none", Text: secret},
			`sign: algorithm "none": want one of RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384, ES512, HS256, HS384, HS512`},
		{"a short secret", bundlefile.Key{ID: "k", Algorithm: "HS256", Text: secret},
			`sign: key "k" has 14 bytes, want at least 32 for HS256`},
		{"no PEM", bundlefile.Key{ID: "k", Algorithm: "ES256", Text: secret},
			`sign: key "k" cannot be used: want a private EC key as PEM for ES256`},
		{"no PEM, and too long for the name of a file", bundlefile.Key{ID: "k", Algorithm: "RS256", Text: strings.Repeat(secret, 1000)},
			`sign: key "k" cannot be used: want a private RSA key as PEM for RS256`},
	} {
		t.Run(row.name, func(t *testing.T) {
			_, err := bundlefile.Sign(file, row.key)
			if err == nil || err.Error() != row.want {
				t.Errorf("error %v, want %s", err, row.want)
			}
		})
	}
}

// TestOPATakesTheBundle asks the opa program.
func TestOPATakesTheBundle(t *testing.T) {
	opa, err := filepath.Abs("../../bin/opa")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(opa); err != nil {
		t.Fatalf("%v: make %s builds it", err, opa)
	}
	private, public := ecKeys(t)
	signed, err := bundlefile.Sign(build(t, folder(t), bundlefile.BuildOptions{Revision: "v1"}),
		bundlefile.Key{ID: "k", Algorithm: "ES256", Text: private})
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := errors.Join(bundlefile.WriteFile(filepath.Join(dir, "bundle.tar.gz"), signed),
		os.WriteFile(filepath.Join(dir, "public.pem"), []byte(public), 0o600)); err != nil {
		t.Fatal(err)
	}
	for _, row := range []struct{ args, want string }{
		{"inspect bundle.tar.gz -f json", `"revision": "v1"`},
		{"eval -b bundle.tar.gz --format raw data.eksguard.settings.namespace_owner.label", "team"},
		{"build -b bundle.tar.gz --verification-key public.pem --verification-key-id k --signing-alg ES256 -o out.tar.gz", ""},
	} {
		cmd := exec.CommandContext(t.Context(), opa, strings.Fields(row.args)...)
		cmd.Dir = dir
		out, err := cmd.CombinedOutput()
		if err != nil || !strings.Contains(string(out), row.want) {
			t.Errorf("opa %s: %v\n%s", row.args, err, out)
		}
	}
}

// folder is a bundle folder with one policy.
func folder(t *testing.T) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "policies")
	if _, err := scaffold.New(dir, "namespace_owner"); err != nil {
		t.Fatal(err)
	}
	return dir
}

func build(t *testing.T, dir string, o bundlefile.BuildOptions) []byte {
	t.Helper()
	b, err := bundle.Load(dir)
	if err != nil {
		t.Fatal(err)
	}
	file, _, err := bundlefile.Build(b, o)
	if err != nil {
		t.Fatal(err)
	}
	return file
}

func rename(t *testing.T, path, old, replacement string) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err == nil {
		err = os.WriteFile(path, bytes.ReplaceAll(text, []byte(old), []byte(replacement)), 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func entries(t *testing.T, file []byte) (names []string) {
	t.Helper()
	unpack(t, file, func(header *tar.Header, _ []byte) { names = append(names, header.Name) })
	return names
}

func unpack(t *testing.T, file []byte, visit func(*tar.Header, []byte)) {
	t.Helper()
	zipped, err := gzip.NewReader(bytes.NewReader(file))
	if err != nil {
		t.Fatal(err)
	}
	archive := tar.NewReader(zipped)
	for {
		header, err := archive.Next()
		if errors.Is(err, io.EOF) {
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(archive)
		if err != nil {
			t.Fatal(err)
		}
		visit(header, text)
	}
}

// change replaces text in one file of a bundle file; no old text leaves the file out.
func change(t *testing.T, file []byte, name, old, replacement string) []byte {
	t.Helper()
	var out bytes.Buffer
	zipped := gzip.NewWriter(&out)
	archive := tar.NewWriter(zipped)
	changed := false
	unpack(t, file, func(header *tar.Header, text []byte) {
		if header.Name == name {
			changed = old == "" || bytes.Contains(text, []byte(old))
			if old == "" {
				return
			}
			text = bytes.Replace(text, []byte(old), []byte(replacement), 1)
			header.Size = int64(len(text))
		}
		if err := archive.WriteHeader(header); err != nil {
			t.Fatal(err)
		}
		if _, err := archive.Write(text); err != nil {
			t.Fatal(err)
		}
	})
	if err := errors.Join(archive.Close(), zipped.Close()); err != nil {
		t.Fatal(err)
	}
	if !changed {
		t.Fatalf("%s has no %q", name, old)
	}
	return out.Bytes()
}

func ecKeys(t *testing.T) (private, public string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return encode(t, key, &key.PublicKey)
}

func rsaKeys(t *testing.T) (private, public string) {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	return encode(t, key, &key.PublicKey)
}

func encode(t *testing.T, private, public any) (privatePEM, publicPEM string) {
	t.Helper()
	privateText, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	publicText, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: privateText})),
		string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: publicText}))
}
