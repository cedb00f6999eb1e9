package check

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/mozilla-iam/eksguard/internal/policy"
)

// mostBytes bounds a review that is read: what the API server itself takes of an object, twice.
const mostBytes = 8 << 20

// ReadReviews reads serialized AdmissionReviews (admission.k8s.io/v1, JSON), one a file; of a folder, all below it
// whose name ends in .json.
func ReadReviews(paths []string) (reviews [][]byte, err error) {
	for _, path := range paths {
		err := filepath.WalkDir(path, func(file string, entry fs.DirEntry, err error) error {
			if err != nil || entry.IsDir() || (file != path && !strings.HasSuffix(file, ".json")) {
				return err
			}
			review, err := readReview(file)
			reviews = append(reviews, review)
			return err
		})
		if err != nil {
			return nil, fmt.Errorf("--reviews: %w", err)
		}
	}
	return reviews, nil
}

func readReview(file string) ([]byte, error) {
	info, err := os.Stat(file)
	if err != nil {
		return nil, err
	}
	if info.Size() > mostBytes {
		return nil, fmt.Errorf("%s: it has %d bytes, want at most %d", file, info.Size(), mostBytes)
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	if _, err := policy.ParseRequest(text); err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	return text, nil
}
