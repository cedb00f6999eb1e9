package certs

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"time"
)

const (
	// filesInterval is how often the folder is read. The kubelet brings changes of a Secret within about a minute, by
	// exchanging a symbolic link, of which watches of files do not tell reliably.
	filesInterval = 2 * time.Second
	// maxFileBytes is the most that a Secret can hold.
	maxFileBytes = 1 << 20
)

// Files serves the certificate in tls.crt with the key in tls.key, both in a folder, for which the authorities in ca.crt
// vouch. It follows their changes. Files that do not fit together change nothing, and are told once.
type Files struct {
	Serving     *Serving
	Authorities Authorities
	// Dir is the folder, such as a Secret is mounted at.
	Dir string
	// DNSName is the name that the API server dials.
	DNSName string
	// Propagation is how long a new authority is announced before a certificate of it is served. Default: one minute.
	Propagation time.Duration
	Logger      *slog.Logger

	follower follower
	trouble  trouble
}

// Start follows the folder until ctx ends. It implements manager.Runnable.
func (f *Files) Start(ctx context.Context) error {
	f.follower = newFollower(f.Serving, f.Authorities, f.DNSName, f.Propagation, f.Logger)
	ticker := time.NewTicker(filesInterval)
	defer ticker.Stop()
	for {
		f.trouble.tell(f.Logger, "the certificate in the folder is not taken; what is served stays", f.adopt(ctx))
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
	}
}

// NeedLeaderElection implements manager.LeaderElectionRunnable: every replica serves.
func (*Files) NeedLeaderElection() bool { return false }

func (f *Files) adopt(ctx context.Context) error {
	m, err := f.read()
	if err != nil {
		return fmt.Errorf("--certificate-dir %q: %w", f.Dir, err)
	}
	if _, err := f.follower.adopt(ctx, m); err != nil {
		return fmt.Errorf("--certificate-dir %q: %w", f.Dir, err)
	}
	return nil
}

func (f *Files) read() (m material, err error) {
	for _, file := range []struct {
		name string
		into *[]byte
	}{{certKey, &m.certificate}, {keyKey, &m.key}, {caCertKey, &m.authorities}} {
		if *file.into, err = readFile(filepath.Join(f.Dir, file.name)); err != nil {
			return material{}, err
		}
	}
	return m, nil
}

func readFile(path string) (text []byte, err error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	if text, err = io.ReadAll(io.LimitReader(file, maxFileBytes+1)); err != nil {
		return nil, err
	}
	if len(text) > maxFileBytes {
		return nil, fmt.Errorf("%q is larger than %d bytes", path, maxFileBytes)
	}
	return text, nil
}
