package bundle_test

import (
	"os"
	"path/filepath"
	"testing"
)

// Folders, files and settings on this machine are followed.
func TestWhatIsOnThisMachineIsFollowed(t *testing.T) {
	folder := t.TempDir()
	writeAll(t, folder, colours)
	settings := write(t, "settings.yaml", "colours: {bad: green}\n")
	w, _ := start(t, setting{path: folder, settings: settings})
	w.awaits("activated --settings")
	if !denies(t, w, "green") || denies(t, w, "red") {
		t.Error("the settings are not those of the file")
	}

	must(t, os.WriteFile(settings, []byte("colours: {bad: blue, worse: green}\n"), 0o600))
	w.awaits("failed --settings settings: ", "settings.colours.worse: unknown key")
	if !denies(t, w, "green") {
		t.Error("bad settings count")
	}
	must(t, os.WriteFile(settings, []byte("colours: {bad: blue}\n"), 0o600))
	w.awaits("activated --settings")
	if !denies(t, w, "blue") {
		t.Error("the new settings do not count")
	}

	rego := filepath.Join(folder, "colours", "colours.rego")
	must(t, os.WriteFile(rego, []byte("package eksguard.colours\n\ndeny contains\n"), 0o600))
	w.awaits("failed --bundle policy: ", rego+":4: rego_parse_error")
	must(t, os.Remove(rego))
	w.awaits("failed --bundle ")
	writeAll(t, folder, version("r2", 2))
	w.awaits("activated --bundle r2")
}

// So is a bundle file, which is verified each time.
func TestABundleFileIsFollowed(t *testing.T) {
	t.Parallel() // it mostly waits
	k := newKey(t)
	path := write(t, "policies.tar.gz", string(sign(t, colours, k)))
	w, _ := start(t, setting{config: config(t, "http://localhost", k, map[string]any{
		"mine": map[string]any{"resource": "file://" + path, "signing": map[string]any{"keyid": "release"}}}, "")})
	w.awaits("activated mine r1")
	replace(t, path, string(pack(t, version("r2", 2))))
	w.awaits("failed mine signature: signature: bundle missing .signatures.json file")
	whole := sign(t, version("r2", 2), k)
	replace(t, path, string(whole[:len(whole)/2]))
	w.awaits("failed mine format: the .tar.gz file is damaged or cut off")
	if got := w.revision(); got != "r1" {
		t.Errorf("revision %q decides", got)
	}
	replace(t, path, string(whole))
	w.awaits("activated mine r2")
}

// A mounted ConfigMap is a folder of links, which all change at once.
func TestAMountedConfigMapIsFollowed(t *testing.T) {
	folder := t.TempDir()
	flat := func(version string, f files) {
		t.Helper()
		writeAll(t, filepath.Join(folder, version), files{".manifest": f[".manifest"], "data.json": f["data.json"],
			"colours.rego": f["colours/colours.rego"]})
		link := filepath.Join(folder, "..data")
		must(t, os.Symlink(version, link+"_new"))
		must(t, os.Rename(link+"_new", link))
	}
	flat("..1", colours)
	for _, name := range []string{".manifest", "data.json", "colours.rego"} {
		must(t, os.Symlink(filepath.Join("..data", name), filepath.Join(folder, name)))
	}
	path := write(t, "config.yaml", `{bundles: {mounted: {resource: "file://`+folder+`"}}}`)
	w, _ := start(t, setting{config: path})
	w.awaits("activated mounted r1")
	flat("..2", version("r2", 2))
	w.awaits("activated mounted r2")
}

func TestWhatIsWrongAtTheStartIsAnError(t *testing.T) {
	folder := t.TempDir()
	broken := t.TempDir()
	writeAll(t, broken, files{"colours.rego": "package eksguard.colours\n"})
	for _, row := range []struct{ name, resource, want string }{
		{"nothing there", "file://" + folder + "/none", `bundle "mine": stat ` + folder + `/none: no such file or directory`},
		{"no policy", "file://" + folder, `bundle "mine":` + "\nno bundle holds a policy: add one to bundles, or the default one as {resource: embedded}"},
		{"a policy that breaks the contract", "file://" + broken, `bundle "mine":` + "\n" +
			"policy \"colours\": METADATA of package eksguard.colours is missing\n" +
			"policy \"colours\": no rule: want `deny contains …`, `warn contains …` or `mutate contains …`"},
	} {
		t.Run(row.name, func(t *testing.T) {
			_, err := load(t, setting{config: write(t, "config.yaml", `{bundles: {mine: {resource: "`+row.resource+`"}}}`)})
			if err == nil || err.Error() != row.want {
				t.Errorf("error is %v\nwant %s", err, row.want)
			}
		})
	}
}

// A folder can be verified, too.
func TestAFolderIsVerified(t *testing.T) {
	mine, other := newKey(t), newKey(t)
	folder := t.TempDir()
	all := files{}
	repack(t, sign(t, colours, mine), func(name string, text []byte) []byte { all[name] = string(text); return text })
	writeAll(t, folder, all)
	bundles := map[string]any{"mine": map[string]any{"resource": "file://" + folder, "signing": map[string]any{"keyid": "release"}}}
	w, _ := start(t, setting{config: config(t, "http://localhost", mine, bundles, "")})
	w.awaits("activated mine r1")
	_, err := load(t, setting{config: config(t, "http://localhost", other, bundles, "")})
	if want := `bundle "mine": signature: failed to verify JWT signature: invalid ECDSA signature`; err == nil || err.Error() != want {
		t.Errorf("error is %v, want %s", err, want)
	}
}
