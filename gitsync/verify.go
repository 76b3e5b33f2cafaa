package gitsync

import "time"

// Verify says which signatures a fetch demands, and by which keys. Its zero value demands none.
type Verify struct {
	Head bool              // the commit must be signed
	Tag  bool              // the annotated tag must be signed; the ref is then a tag
	Keys map[string][]byte // the trusted public keys as the files *.asc, *.pub and *.sshpub
	At   time.Time         // when keys must be good; zero: at the time of the fetch
}

// Demanded reports whether anything must be signed.
func (v Verify) Demanded() bool { return v.Head || v.Tag }

// Verdict is what became of the check of a signature. Its zero value means that none was made.
type Verdict string

// The verdicts. All but Signed are refusals.
const (
	Signed    Verdict = "Signed"
	Missing   Verdict = "Missing"   // there is no signature
	Untrusted Verdict = "Untrusted" // by a key that is not among the trusted ones, or is revoked
	Invalid   Verdict = "Invalid"   // the signature, or the object, is not what it claims to be
	Expired   Verdict = "Expired"   // the key or the signature
)
