package bundle

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

const (
	lastGoodFile   = "last-good.json"
	bundleFileEnd  = ".tar.gz"
	lastGoodLimit  = 1 << 20
	lastGoodFolder = "eksguard"
)

// lastGood keeps the bundles that were activated last, for a start at which their sources do not answer: each as the file
// that it came as, named by its digest, and one record that names them. The record is replaced in one step, so that what
// it names was activated together.
type lastGood struct{ folder string }

// record is what is known of the last good bundles, by name.
type record map[string]recordEntry

type recordEntry struct {
	// Source is where the bundle came from: a copy counts only for the same.
	Source string `json:"source"`
	Digest string `json:"digest,omitempty"`
	ETag   string `json:"etag,omitempty"`
	// Sequence is the highest that was taken.
	Sequence *int64 `json:"sequence,omitempty"`
}

func newLastGood(directory string) (*lastGood, error) {
	folder := filepath.Join(directory, lastGoodFolder)
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return nil, fmt.Errorf("persistence_directory: %w", err)
	}
	return &lastGood{folder: folder}, nil
}

// load gives the record, which is empty where there is none yet.
func (l *lastGood) load() (record, error) {
	path := filepath.Join(l.folder, lastGoodFile)
	text, err := readBounded(path, 0, lastGoodLimit)
	if errors.Is(err, fs.ErrNotExist) {
		return record{}, nil
	}
	if err != nil {
		return nil, &Fault{ReasonPersist, err}
	}
	var r record
	if err := json.Unmarshal(text, &r); err != nil {
		return nil, &Fault{ReasonPersist, fmt.Errorf("%s is damaged: %w", path, err)}
	}
	return r, nil
}

// read gives the file of an entry.
func (l *lastGood) read(e recordEntry, limit int64) ([]byte, error) {
	// A digest names no other folder.
	raw, err := readBounded(filepath.Join(l.folder, filepath.Base(e.Digest)+bundleFileEnd), 0, limit)
	if err != nil {
		return nil, &Fault{ReasonPersist, err}
	}
	if digestOf(raw) != e.Digest {
		return nil, &Fault{ReasonPersist, fmt.Errorf("the copy %s%s is damaged", e.Digest, bundleFileEnd)}
	}
	return raw, nil
}

// save writes files, by digest, and then the record, and removes the files that it does not name.
func (l *lastGood) save(r record, files map[string][]byte) error {
	named := map[string]bool{lastGoodFile: true}
	for _, e := range r {
		if e.Digest == "" {
			continue
		}
		name := e.Digest + bundleFileEnd
		named[name] = true
		if raw := files[e.Digest]; raw != nil {
			if _, err := os.Stat(filepath.Join(l.folder, name)); err == nil {
				continue
			}
			if err := l.write(name, raw); err != nil {
				return err
			}
		}
	}
	text, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	if err := l.write(lastGoodFile, append(text, '\n')); err != nil {
		return err
	}
	entries, err := os.ReadDir(l.folder)
	if err != nil {
		return err
	}
	for _, entry := range entries {
		if name := entry.Name(); !named[name] && (strings.HasSuffix(name, bundleFileEnd) || strings.HasPrefix(name, temporary)) {
			err = errors.Join(err, os.Remove(filepath.Join(l.folder, name)))
		}
	}
	return err
}

const temporary = "new-"

// write replaces a file in one step; only its owner may read it.
func (l *lastGood) write(name string, content []byte) (err error) {
	file, err := os.CreateTemp(l.folder, temporary)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(file.Name()))
		}
	}()
	_, err = file.Write(content)
	if err = errors.Join(err, file.Sync(), file.Close()); err != nil {
		return err
	}
	if err := os.Rename(file.Name(), filepath.Join(l.folder, name)); err != nil {
		return err
	}
	folder, err := os.Open(l.folder)
	if err != nil {
		return err
	}
	return errors.Join(folder.Sync(), folder.Close())
}
