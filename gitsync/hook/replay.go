package hook

import (
	"crypto/sha256"
	"time"
)

// Replays remembers which authenticated requests were seen lately. It is not safe for concurrent use.
type Replays struct {
	keep  time.Duration
	limit int
	at    map[[sha256.Size]byte]time.Time
	order [][sha256.Size]byte // oldest first
}

// NewReplays remembers up to limit requests for a time.
func NewReplays(keep time.Duration, limit int) *Replays {
	return &Replays{keep: keep, limit: limit, at: map[[sha256.Size]byte]time.Time{}}
}

// Seen reports whether an equal request, by its headers that prove it and its body, was seen; from now on it was.
func (s *Replays) Seen(r Request) bool {
	h := sha256.New()
	for _, name := range []string{"webhook-id", "webhook-timestamp", "X-GitHub-Delivery", "X-Gitea-Delivery", "X-Forgejo-Delivery", "X-Gitlab-Event-UUID"} {
		h.Write([]byte(name + ":" + r.Header(name) + "\n"))
	}
	h.Write(r.Body)
	key := [sha256.Size]byte(h.Sum(nil))
	for len(s.order) > 0 && (len(s.order) >= s.limit || r.Now.Sub(s.at[s.order[0]]) > s.keep) {
		delete(s.at, s.order[0])
		s.order = s.order[1:]
	}
	if _, seen := s.at[key]; seen {
		return true
	}
	s.at[key] = r.Now
	s.order = append(s.order, key)
	return false
}
