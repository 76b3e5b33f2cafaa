// Package hook decides whether a webhook request is genuine and what it says. A genuine request is only a hint that
// there may be something new; nothing in it is ever taken for data.
//
// It is pure: it gets the headers, the body, the shared token and the time, and reads no clock and no network. The
// receiver of gitsync/controller bounds the body before it calls, for example:
//
//	hint, err := hook.Check(hook.Request{Provider: hook.Generic, Header: r.Header.Get, Body: body, Now: now}, token)
package hook

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"strconv"
	"strings"
	"time"
)

// Provider is the way in which a sender proves itself.
type Provider string

// The providers. Gitea stands for Forgejo too.
const (
	Generic   Provider = "Generic" // Standard Webhooks
	GitHub    Provider = "GitHub"
	GitLab    Provider = "GitLab"
	Gitea     Provider = "Gitea"
	Bitbucket Provider = "Bitbucket" // Cloud and Data Center
)

// MinToken is the least length of a shared token in bytes.
const MinToken = 16

// tolerance is how far a generic request's time may be from ours.
const tolerance = 5 * time.Minute

// Request is what came in.
type Request struct {
	Provider Provider
	Header   func(name string) string
	Body     []byte
	Now      time.Time
}

// Hint is what a genuine request says. Push is false for pings and other events. Without Changes any ref may be meant.
type Hint struct {
	Push    bool
	Changes []Change
}

// Change is one ref that was pushed. Ref is its full name and After what it points at now; both may be empty or wrong.
type Change struct{ Ref, After string }

// The refusals.
var (
	ErrProof = errors.New("the request does not prove to come from the sender")
	ErrJSON  = errors.New("the body is not JSON of the expected form")
)

// Check authenticates a request with the shared token, and only then reads it.
func Check(r Request, token []byte) (Hint, error) {
	if !genuine(r, token) {
		return Hint{}, ErrProof
	}
	if !pushes(r) {
		return Hint{}, nil
	}
	if len(r.Body) == 0 && r.Provider == Generic {
		return Hint{Push: true}, nil
	}
	changes, err := read(r)
	if err != nil {
		return Hint{}, err
	}
	return Hint{Push: true, Changes: changes}, nil
}

// Sign gives the webhook-signature of a generic request: id and time are the webhook-id and webhook-timestamp.
func Sign(token []byte, id string, at time.Time, body []byte) string {
	return "v1," + base64.StdEncoding.EncodeToString(generic(token, id, strconv.FormatInt(at.Unix(), 10), body))
}

func generic(token []byte, id, timestamp string, body []byte) []byte {
	key := token
	if encoded, ok := strings.CutPrefix(string(token), "whsec_"); ok {
		if decoded, err := base64.StdEncoding.DecodeString(encoded); err == nil {
			key = decoded
		}
	}
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte(id + "." + timestamp + "."))
	mac.Write(body)
	return mac.Sum(nil)
}

func genuine(r Request, token []byte) bool {
	switch r.Provider {
	case GitHub:
		return prefixed(r.Header("X-Hub-Signature-256"), token, r.Body)
	case Bitbucket:
		return prefixed(r.Header("X-Hub-Signature"), token, r.Body)
	case Gitea:
		return signed(r.Header("X-Gitea-Signature"), token, r.Body) || signed(r.Header("X-Forgejo-Signature"), token, r.Body)
	case GitLab:
		return equal([]byte(r.Header("X-Gitlab-Token")), token)
	case Generic:
		return standard(r, token)
	}
	return false
}

// prefixed compares "sha256=" and a hexadecimal HMAC of the body.
func prefixed(given string, token, body []byte) bool {
	proof, ok := strings.CutPrefix(given, "sha256=")
	return signed(proof, token, body) && ok
}

// signed compares a hexadecimal HMAC of the body.
func signed(given string, token, body []byte) bool {
	proof, err := hex.DecodeString(given)
	mac := hmac.New(sha256.New, token)
	mac.Write(body)
	return equal(proof, mac.Sum(nil)) && err == nil
}

// standard checks id, time and one of the signatures of Standard Webhooks.
func standard(r Request, token []byte) bool {
	id, timestamp := r.Header("webhook-id"), r.Header("webhook-timestamp")
	seconds, err := strconv.ParseInt(timestamp, 10, 64)
	want := generic(token, id, timestamp, r.Body)
	found := false
	for given := range strings.FieldsSeq(r.Header("webhook-signature")) {
		proof, bad := base64.StdEncoding.DecodeString(strings.TrimPrefix(given, "v1,"))
		if equal(proof, want) && bad == nil && strings.HasPrefix(given, "v1,") {
			found = true
		}
	}
	return found && err == nil && id != "" && r.Now.Sub(time.Unix(seconds, 0)).Abs() <= tolerance
}

// equal compares without telling by its time where, or in which length, the two differ.
func equal(a, b []byte) bool {
	x, y := sha256.Sum256(a), sha256.Sum256(b)
	return subtle.ConstantTimeCompare(x[:], y[:]) == 1
}

// pushes reports whether the event is about new commits.
func pushes(r Request) bool {
	switch r.Provider {
	case GitHub:
		return r.Header("X-GitHub-Event") == "push"
	case Gitea:
		return r.Header("X-Gitea-Event") == "push" || r.Header("X-Forgejo-Event") == "push"
	case GitLab:
		event := r.Header("X-Gitlab-Event")
		return event == "Push Hook" || event == "Tag Push Hook"
	case Bitbucket:
		event := r.Header("X-Event-Key")
		return event == "repo:push" || event == "repo:refs_changed"
	case Generic:
		return true
	}
	return false
}
