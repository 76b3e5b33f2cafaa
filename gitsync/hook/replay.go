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

// Seen reports whether an equal genuine request for a place was seen; from now on it was. Only what the proof covers
// counts: whoever repeats a signed body may change all other headers. GitLab's proof is the token, which covers them all.
func (s *Replays) Seen(place string, r Request) bool {
	h := sha256.New()
	h.Write([]byte(place + "\n" + string(r.Provider) + "\n"))
	switch r.Provider {
	case Generic:
		h.Write([]byte(r.Header("webhook-id") + "\n" + r.Header("webhook-timestamp") + "\n"))
	case GitLab:
		h.Write([]byte(r.Header("X-Gitlab-Event-UUID") + "\n"))
	case GitHub, Gitea, Bitbucket: // the body alone is signed
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
