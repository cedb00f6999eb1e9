package bundle

import (
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strings"
)

// local reads a source on this machine. It is looked at again and again; the default bundle, whose path is empty, never
// changes.
type local struct {
	path string
	load func() (*content, error)
	// seen is what the path looked like when it was loaded last.
	seen string
}

// look tells what the path looks like now: another text for other names, sizes or times.
func (l *local) look() string {
	if l.path == "" {
		return ""
	}
	path, err := filepath.EvalSymlinks(l.path)
	if err != nil {
		return err.Error()
	}
	var look strings.Builder
	err = filepath.WalkDir(path, func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() && strings.HasPrefix(entry.Name(), ".") && name != path {
			return filepath.SkipDir
		}
		info, err := os.Stat(name)
		if err != nil {
			return err
		}
		fmt.Fprintln(&look, name, info.Size(), info.ModTime().UnixNano())
		return nil
	})
	if err != nil {
		return err.Error()
	}
	return digestOf([]byte(look.String()))
}

// read loads the content of the moment.
func (l *local) read() (*content, error) {
	// Before it is read: what changes meanwhile is seen the next time.
	l.seen = l.look()
	c, err := l.load()
	if err != nil {
		return nil, faultOf(err, ReasonFormat)
	}
	if c.digest == "" {
		c.digest = "seen " + l.seen
	}
	return c, nil
}

// embeddedContent is the default bundle, with the roots of what it holds.
func embeddedContent() (*content, error) {
	b, err := Load("")
	if err != nil {
		return nil, err
	}
	if err := narrow(b); err != nil {
		return nil, err
	}
	return &content{bundle: b}, nil
}

// filePath is the path of a file: resource.
func filePath(resource string) string {
	address, err := url.Parse(resource)
	if err != nil {
		return "" // checked when the configuration was read
	}
	return address.Path
}
