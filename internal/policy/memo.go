package policy

import (
	"encoding/binary"
	"fmt"

	lru "github.com/hashicorp/golang-lru/v2"
)

const (
	// memoEntries bounds the answers that are kept for a policy, and memoKeyBytes the reviews that are worth it.
	memoEntries  = 4096
	memoKeyBytes = 4 << 10
)

// memo keeps what evaluations found, by everything that they could depend on: the phase, what the policy reads of the
// review, and the versions of the cluster state that it reads. The bundle is not part of it, since a snapshot has its own
// memo. The Pods of a Deployment and what Flux applies again and again are answered from it.
type memo struct{ answers *lru.Cache[string, answer] }

func newMemo() *memo {
	answers, err := lru.New[string, answer](memoEntries)
	if err != nil {
		panic(fmt.Sprintf("policy: memo: %v", err)) // its size is a positive constant
	}
	return &memo{answers}
}

// key gives the key of an evaluation, and false where its answer is not to be kept: what was read past the watch has no
// version.
func (m *memo) key(phase Phase, p *projection, v *view) (string, bool) {
	if v.asked {
		return "", false
	}
	key := make([]byte, 0, 512)
	key = append(key, phase.String()...)
	for _, version := range v.versions {
		key = binary.AppendUvarint(key, version)
	}
	key = p.appendKey(key)
	return string(key), len(key) <= memoKeyBytes
}
