package hook

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"net/http"
	"slices"
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
		{"GitHub, no prefix", GitHub, []string{"X-Hub-Signature-256", vectorHex, "X-GitHub-Event", "push"}, "s3cret", at, ErrProof, false},
		{"Bitbucket, Data Center", Bitbucket, []string{"X-Hub-Signature", "sha256=" + vectorHex, "X-Event-Key", "repo:refs_changed"}, "s3cret", at, nil, true},
		{"Bitbucket, Cloud", Bitbucket, []string{"X-Hub-Signature", "sha256=" + vectorHex, "X-Event-Key", "repo:push"}, "s3cret", at, nil, true},
		{"Bitbucket, ping", Bitbucket, []string{"X-Hub-Signature", "sha256=" + vectorHex, "X-Event-Key", "diagnostics:ping"}, "s3cret", at, nil, false},
		{"Bitbucket, other header", Bitbucket, []string{"X-Hub-Signature-256", "sha256=" + vectorHex, "X-Event-Key", "repo:push"}, "s3cret", at, ErrProof, false},
		{"Gitea, other event", Gitea, []string{"X-Gitea-Signature", vectorHex, "X-Gitea-Event", "issues"}, "s3cret", at, nil, false},
		{"GitLab, other event", GitLab, []string{"X-Gitlab-Token", "s3cret", "X-Gitlab-Event", "Note Hook"}, "s3cret", at, nil, false},
		{"nobody", "", standard, whsec, at, ErrProof, false},
	} {
		hint, err := Check(Request{Provider: row.provider, Header: headers(row.header...), Body: []byte(vectorBody), Now: row.now}, []byte(row.token))
		if !errors.Is(err, row.err) || hint.Push != row.push || (row.push && row.provider != Bitbucket && (len(hint.Changes) != 1 || hint.Changes[0].Ref != "refs/heads/main" || !strings.HasSuffix(hint.Changes[0].After, "1"))) {
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
		return s.Seen("place", Request{Provider: Generic, Header: headers("webhook-id", id), Body: []byte("x"), Now: at})
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

func TestReplays_countOnlyWhatIsProven(t *testing.T) {
	t.Parallel()
	now := time.Unix(1767225600, 0)
	for _, row := range []struct {
		provider     Provider
		name         string
		placeTwo     string
		seen         bool
		first, again string
	}{
		{GitHub, "X-GitHub-Delivery", "place", true, "1", "2"},
		{Gitea, "X-Gitea-Delivery", "place", true, "1", "2"},
		{Bitbucket, "X-Request-Id", "place", true, "1", "2"},
		{GitLab, "X-Gitlab-Event-UUID", "place", false, "1", "2"},
		{GitLab, "X-Gitlab-Event-UUID", "place", true, "1", "1"},
		{Generic, "webhook-timestamp", "place", false, "1", "2"},
		{GitHub, "X-GitHub-Delivery", "another", false, "1", "1"},
	} {
		s := NewReplays(10*time.Minute, 10)
		s.Seen("place", Request{Provider: row.provider, Header: headers(row.name, row.first), Body: []byte("x"), Now: now})
		if got := s.Seen(row.placeTwo, Request{Provider: row.provider, Header: headers(row.name, row.again), Body: []byte("x"), Now: now}); got != row.seen {
			t.Errorf("%s, %s %s then %s, %s: seen %v, want %v", row.provider, row.name, row.first, row.again, row.placeTwo, got, row.seen)
		}
	}
}

func TestCheck_bitbucketBodies(t *testing.T) {
	t.Parallel()
	token := []byte("a token of 16 bytes")
	for _, row := range []struct {
		event, body string
		want        []Change
		err         error
	}{
		{"repo:push", `{"push":{"changes":[{"new":{"type":"branch","name":"main","target":{"hash":"aa"}}},{"new":{"type":"tag","name":"v1","target":{"hash":"bb"}}}]}}`,
			[]Change{{"refs/heads/main", "aa"}, {"refs/tags/v1", "bb"}}, nil},
		{"repo:push", `{"push":{"changes":[{"new":null,"old":{"type":"branch","name":"gone"}}]}}`, []Change{{"refs/heads/gone", ""}}, nil},
		{"repo:push", `{"push":{"changes":[{"new":null}]}}`, nil, nil},
		{"repo:refs_changed", `{"changes":[{"refId":"refs/heads/main","toHash":"aa","type":"UPDATE"}]}`, []Change{{"refs/heads/main", "aa"}}, nil},
		{"repo:refs_changed", `{"changes":[` + strings.Repeat(`{"refId":"refs/heads/main"},`, maxChanges) + `{"refId":"x"}]}`, nil, nil},
		{"repo:push", `[]`, nil, ErrJSON},
	} {
		mac := hmac.New(sha256.New, token)
		mac.Write([]byte(row.body))
		h := headers("X-Hub-Signature", "sha256="+hex.EncodeToString(mac.Sum(nil)), "X-Event-Key", row.event)
		hint, err := Check(Request{Provider: Bitbucket, Header: h, Body: []byte(row.body), Now: time.Unix(0, 0)}, token)
		if !errors.Is(err, row.err) || !slices.Equal(hint.Changes, row.want) {
			t.Errorf("%s %s: %+v, %v; want %+v, %v", row.event, row.body, hint.Changes, err, row.want, row.err)
		}
	}
}

// FuzzBodies reads genuine bodies of any content: no panic, and never more changes than can be told apart.
func FuzzBodies(f *testing.F) {
	f.Add("Bitbucket", "repo:push", []byte(`{"push":{"changes":[{"new":{"type":"branch","name":"main"}}]}}`))
	f.Add("GitHub", "push", []byte(vectorBody))
	f.Fuzz(func(t *testing.T, provider, event string, body []byte) {
		token := []byte("a token of 16 bytes")
		mac := hmac.New(sha256.New, token)
		mac.Write(body)
		proof := hex.EncodeToString(mac.Sum(nil))
		h := func(name string) string {
			switch name {
			case "X-Hub-Signature", "X-Hub-Signature-256":
				return "sha256=" + proof
			case "X-Gitea-Signature":
				return proof
			case "X-Gitlab-Token":
				return string(token)
			}
			return event
		}
		hint, err := Check(Request{Provider: Provider(provider), Header: h, Body: body, Now: time.Unix(0, 0)}, token)
		if len(hint.Changes) > maxChanges || (err != nil && (hint.Push || len(hint.Changes) > 0)) {
			t.Errorf("%+v, %v", hint, err)
		}
	})
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
