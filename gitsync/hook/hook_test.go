package hook

import (
	"errors"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"
)

const (
	vectorBody = `{"ref":"refs/heads/main","after":"0000000000000000000000000000000000000001"}`
	vectorHex  = "7e92bec9f35dc0f31a1128a287307acdad7d4850e1cab532d14627ba7e906ad8"
	whsec      = "whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIz"
	vectorSign = "v1,sO7qhGwWrAIFZ2ZnN7/p5FHC7lnw98VVvQYZrc2UUHo="
)

func headers(pairs ...string) func(string) string {
	h := http.Header{}
	for i := 0; i < len(pairs); i += 2 {
		h.Set(pairs[i], pairs[i+1])
	}
	return h.Get
}

func TestCheck_vectors(t *testing.T) {
	t.Parallel()
	if len(vectorBody) != 76 {
		t.Fatalf("the body has %d bytes, want 76", len(vectorBody))
	}
	at := time.Unix(1767225600, 0)
	standard := []string{"webhook-id", "msg_1", "webhook-timestamp", "1767225600", "webhook-signature", "v1,AAAA " + vectorSign}
	for _, row := range []struct {
		name     string
		provider Provider
		header   []string
		token    string
		now      time.Time
		err      error
		push     bool
	}{
		{"GitHub", GitHub, []string{"X-Hub-Signature-256", "sha256=" + vectorHex, "X-GitHub-Event", "push"}, "s3cret", at, nil, true},
		{"GitHub ping", GitHub, []string{"X-Hub-Signature-256", "sha256=" + vectorHex, "X-GitHub-Event", "ping"}, "s3cret", at, nil, false},
		{"GitHub, other token", GitHub, []string{"X-Hub-Signature-256", "sha256=" + vectorHex, "X-GitHub-Event", "push"}, "s3cre", at, ErrProof, false},
		{"GitHub, no proof", GitHub, []string{"X-GitHub-Event", "push"}, "s3cret", at, ErrProof, false},
		{"GitHub, proof is not hex", GitHub, []string{"X-Hub-Signature-256", "sha256=zz"}, "s3cret", at, ErrProof, false},
		{"Gitea", Gitea, []string{"X-Gitea-Signature", vectorHex, "X-Gitea-Event", "push"}, "s3cret", at, nil, true},
		{"Forgejo", Gitea, []string{"X-Forgejo-Signature", vectorHex, "X-Forgejo-Event", "push"}, "s3cret", at, nil, true},
		{"GitLab", GitLab, []string{"X-Gitlab-Token", "s3cret", "X-Gitlab-Event", "Tag Push Hook"}, "s3cret", at, nil, true},
		{"GitLab, wrong", GitLab, []string{"X-Gitlab-Token", "s3cres", "X-Gitlab-Event", "Push Hook"}, "s3cret", at, ErrProof, false},
		{"generic", Generic, standard, whsec, at, nil, true},
		{"generic, late", Generic, standard, whsec, at.Add(5*time.Minute + time.Second), ErrProof, false},
		{"generic, early", Generic, standard, whsec, at.Add(-5*time.Minute - time.Second), ErrProof, false},
		{"generic, at the edge", Generic, standard, whsec, at.Add(5 * time.Minute), nil, true},
		{"generic, other id", Generic, append(standard[2:], "webhook-id", "msg_2"), whsec, at, ErrProof, false},
		{"nobody", "", standard, whsec, at, ErrProof, false},
	} {
		hint, err := Check(Request{Provider: row.provider, Header: headers(row.header...), Body: []byte(vectorBody), Now: row.now}, []byte(row.token))
		if !errors.Is(err, row.err) || hint.Push != row.push || (row.push && (hint.Ref != "refs/heads/main" || !strings.HasSuffix(hint.After, "1"))) {
			t.Errorf("%s: %+v, %v; want push=%v, %v", row.name, hint, err, row.push, row.err)
		}
	}
	if got := Sign([]byte(whsec), "msg_1", at, []byte(vectorBody)); got != vectorSign {
		t.Errorf("Sign = %s, want %s", got, vectorSign)
	}
}

func TestCheck_readsOnlyAfterTheProof(t *testing.T) {
	t.Parallel()
	now := time.Unix(1767225600, 0)
	request := func(body string, token string) error {
		h := headers("webhook-id", "1", "webhook-timestamp", strconv.FormatInt(now.Unix(), 10), "webhook-signature", Sign([]byte("a token of 16 bytes"), "1", now, []byte(body)))
		_, err := Check(Request{Provider: Generic, Header: h, Body: []byte(body), Now: now}, []byte(token))
		return err
	}
	if err := request("{", "a token of 16 bytes"); !errors.Is(err, ErrJSON) {
		t.Errorf("broken JSON: %v, want ErrJSON", err)
	}
	if err := request("{", "another token here"); !errors.Is(err, ErrProof) {
		t.Errorf("broken JSON without proof: %v, want ErrProof", err)
	}
	if err := request("", "a token of 16 bytes"); err != nil {
		t.Errorf("empty body: %v, want a hint", err)
	}
}

func TestReplays_forget(t *testing.T) {
	t.Parallel()
	now := time.Unix(1767225600, 0)
	s := NewReplays(10*time.Minute, 2)
	ask := func(id string, at time.Time) bool {
		return s.Seen(Request{Header: headers("webhook-id", id), Body: []byte("x"), Now: at})
	}
	for _, row := range []struct {
		id   string
		at   time.Duration
		want bool
	}{{"a", 0, false}, {"a", time.Minute, true}, {"a", 11 * time.Minute, false}, {"b", 11 * time.Minute, false}, {"c", 11 * time.Minute, false}, {"a", 11 * time.Minute, false}} {
		if got := ask(row.id, now.Add(row.at)); got != row.want {
			t.Errorf("%s after %s: seen %v, want %v", row.id, row.at, got, row.want)
		}
	}
}

func FuzzCheck(f *testing.F) {
	f.Add("Generic", "v1,x", []byte(vectorBody))
	f.Add("GitHub", "sha256=00", []byte("{"))
	f.Fuzz(func(t *testing.T, provider, proof string, body []byte) {
		all := func(string) string { return proof }
		if _, err := Check(Request{Provider: Provider(provider), Header: all, Body: body, Now: time.Unix(0, 0)}, []byte("a token nobody knows")); !errors.Is(err, ErrProof) {
			t.Errorf("provider %q, proof %q: %v, want ErrProof", provider, proof, err)
		}
	})
}
