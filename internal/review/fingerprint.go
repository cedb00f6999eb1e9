package review

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"
)

// fingerprints tell findings apart from one run to the next, whatever lines they move to: by rule, file, object and
// field. What is the same in all of these is counted.
type fingerprints struct {
	folder string
	seen   map[string]int
}

func (f fingerprints) of(found finding) string {
	file, _ := below(f.folder, found.location.File)
	parts := []string{found.rule, file, found.field}
	if o := found.object; o != nil {
		group, _, _ := strings.Cut(o.APIVersion, "/")
		parts = append(parts, group, o.Kind, o.Namespace, o.Name, string(o.Operation))
	}
	sum := sha256.Sum256([]byte(strings.Join(parts, "\x00")))
	text := hex.EncodeToString(sum[:16])
	f.seen[text]++
	return fmt.Sprintf("%s:%d", text, f.seen[text])
}
