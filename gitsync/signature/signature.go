package signature

import (
	"fmt"
	"strings"
	"time"

	"github.com/sluice-dev/sluice/gitsync"
)

// How signatures begin and end.
const (
	beginPGP    = "-----BEGIN PGP SIGNATURE-----"
	beginOldPGP = "-----BEGIN PGP MESSAGE-----"
	endPGP      = "-----END PGP SIGNATURE-----"
	beginSSH    = "-----BEGIN SSH SIGNATURE-----"
	endSSH      = "-----END SSH SIGNATURE-----"
	beginX509   = "-----BEGIN SIGNED MESSAGE-----"
)

// maxSignature bounds what is decoded: the largest honest signature has a few kilobytes.
const maxSignature = 64 << 10

// Refusal is why a signature does not count.
type Refusal struct {
	Verdict gitsync.Verdict // never Signed
	Message string          // one sentence; of the object it repeats nothing but ids and names of headers
}

// Error implements error.
func (r *Refusal) Error() string { return r.Message }

func refuse(v gitsync.Verdict, format string, args ...any) *Refusal {
	return &Refusal{Verdict: v, Message: fmt.Sprintf(format, args...)}
}

// Commit checks the signature of a raw commit with the given id and gives the fingerprint of the key that made it.
// Errors are *Refusal.
func (k Keys) Commit(id string, raw []byte, now time.Time) (string, error) {
	if err := checkID("commit", id, raw); err != nil {
		return "", err
	}
	s, err := takeApart("commit", raw, []string{"tree", "parent", "author", "committer"})
	if err != nil {
		return "", err
	}
	return k.check("commit "+id[:12], s, now)
}

// Tag checks the signature of a raw annotated tag with the given id, and that the tag has this name and points at this
// commit: a good signature of another tag proves nothing. It gives the fingerprint of the key. Errors are *Refusal.
func (k Keys) Tag(id, name, commit string, raw []byte, now time.Time) (string, error) {
	if err := checkID("tag", id, raw); err != nil {
		return "", err
	}
	s, err := takeApart("tag", raw, []string{"object", "type", "tag", "tagger"})
	if err != nil {
		return "", err
	}
	if s.signature != "" {
		return "", refuse(gitsync.Invalid, "the tag has a signature among its headers, where only a commit has one")
	}
	switch {
	case s.get("type") != "commit" || s.get("object") != commit:
		return "", refuse(gitsync.Invalid, "the tag does not point at commit %.12s itself", commit)
	case s.get("tag") != name:
		return "", refuse(gitsync.Invalid, "the tag was made under another name than %.100q", name)
	}
	return k.check("tag "+id[:12], s.trailing(), now)
}

// check judges a signature by its kind.
func (k Keys) check(what string, s signed, now time.Time) (string, error) {
	text := strings.TrimRight(s.signature, "\n ")
	switch {
	case text == "":
		return "", refuse(gitsync.Missing, "%s is not signed", what)
	case len(text) > maxSignature:
		return "", refuse(gitsync.Invalid, "the signature of %s is larger than any can be", what)
	case armoured(text, beginSSH, endSSH):
		return k.checkSSH(what, s.payload, text, now)
	case armoured(text, beginPGP, endPGP):
		return k.checkPGP(what, s.payload, text, now)
	case strings.HasPrefix(text, beginX509):
		return "", refuse(gitsync.Untrusted, "%s is signed with X.509, which is not supported", what)
	}
	return "", refuse(gitsync.Invalid, "the signature of %s is of no known form", what)
}

// armoured reports whether a text is exactly one block.
func armoured(text, begin, end string) bool {
	return strings.HasPrefix(text, begin+"\n") && strings.HasSuffix(text, "\n"+end) && strings.Count(text, "-----BEGIN ") == 1 && strings.Count(text, "-----END ") == 1
}
