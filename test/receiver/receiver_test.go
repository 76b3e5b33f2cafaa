package receiver_test

import (
	"bytes"
	"net/http"
	"strconv"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/sluice-dev/sluice/test/receiver"
)

// The vector of the notification format, which senders have to meet to the byte.
const (
	secret    = "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="
	noteID    = "0b7f3c1e-5a52-4f0b-9a44-2f6c1d3e8a90.3.11.team"
	stamp     = 1767225600
	body      = `{"specversion":"1.0","type":"dev.sluice.rollout.rolledback.v1"}`
	signature = "v1,tv9OqFrSwF097Ay7ob26YJOD779fZ0ZNJLjse7kKNcw="
)

func headers(id string, at int64, sig string) http.Header {
	h := http.Header{}
	h.Set("webhook-id", id)
	h.Set("webhook-timestamp", strconv.FormatInt(at, 10))
	h.Set("webhook-signature", sig)
	return h
}

func TestSign_vector(t *testing.T) {
	t.Parallel()
	got, err := receiver.Sign(secret, noteID, time.Unix(stamp, 0), []byte(body))
	if err != nil || got != signature {
		t.Errorf("got %q, %v, want %q", got, err, signature)
	}
}

func TestVerify(t *testing.T) {
	t.Parallel()
	now := time.Unix(stamp, 0)
	for name, tc := range map[string]struct {
		secret string
		header http.Header
		body   string
		now    time.Time
		ok     bool
	}{
		"good":                   {secret, headers(noteID, stamp, signature), body, now, true},
		"second of two fits":     {secret, headers(noteID, stamp, "v1,AAAA "+signature), body, now, true},
		"five minutes old":       {secret, headers(noteID, stamp, signature), body, now.Add(5 * time.Minute), true},
		"older than that":        {secret, headers(noteID, stamp, signature), body, now.Add(5*time.Minute + time.Second), false},
		"from the future":        {secret, headers(noteID, stamp, signature), body, now.Add(-5*time.Minute - time.Second), false},
		"other body":             {secret, headers(noteID, stamp, signature), body + " ", now, false},
		"other id":               {secret, headers(noteID+"x", stamp, signature), body, now, false},
		"other time":             {secret, headers(noteID, stamp+1, signature), body, now, false},
		"no id":                  {secret, headers("", stamp, signature), body, now, false},
		"time in words":          {secret, http.Header{"Webhook-Id": {noteID}, "Webhook-Timestamp": {"now"}, "Webhook-Signature": {signature}}, body, now, false},
		"no signature":           {secret, headers(noteID, stamp, ""), body, now, false},
		"version unknown":        {secret, headers(noteID, stamp, "v2"+signature[2:]), body, now, false},
		"other secret":           {"whsec_AAEC", headers(noteID, stamp, signature), body, now, false},
		"secret without prefix":  {"AAEC", headers(noteID, stamp, signature), body, now, false},
		"secret that is no text": {"whsec_%", headers(noteID, stamp, signature), body, now, false},
	} {
		if err := receiver.Verify(tc.secret, tc.header, []byte(tc.body), tc.now); (err == nil) != tc.ok {
			t.Errorf("%s: got %v, want accepted %t", name, err, tc.ok)
		}
	}
}

func post(t *testing.T, r *receiver.Receiver, id, text, key string) *http.Response {
	t.Helper()
	now := time.Now()
	sig, err := receiver.Sign(key, id, now, []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, r.URL(), bytes.NewReader([]byte(text)))
	if err != nil {
		t.Fatal(err)
	}
	req.Header = headers(id, now.Unix(), sig)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	return resp
}

func TestReceiver_keepsNotesAndTellsDuplicates(t *testing.T) {
	t.Parallel()
	r, err := receiver.Start(t.Context(), receiver.Config{Secret: secret})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	started := `{"specversion":"1.0","type":"dev.sluice.rollout.started.v1"}`
	r.Script(receiver.Reply{Status: 503, RetryAfter: 2 * time.Second})
	if resp := post(t, r, "u.1.2.team", started, secret); resp.StatusCode != 503 || resp.Header.Get("Retry-After") != "2" {
		t.Errorf("scripted answer: got %s, Retry-After %q, want 503 and 2", resp.Status, resp.Header.Get("Retry-After"))
	}
	for _, step := range []struct {
		id, text, key string
		want          int
	}{
		{"u.1.2.team", started, secret, 200},
		{"u.1.9.team", body, secret, 200},
		{"u.1.9.team", body, secret, 200},
		{"u.1.10.team", body, "whsec_AAEC", 401},
		{"u.1.11.team", "{}", secret, 400},
	} {
		if resp := post(t, r, step.id, step.text, step.key); resp.StatusCode != step.want {
			t.Errorf("note %s: got %s, want %d", step.id, resp.Status, step.want)
		}
	}
	want := []receiver.Note{
		{ID: "u.1.2.team", Kind: "started", Status: 503},
		{ID: "u.1.2.team", Kind: "started", Status: 200},
		{ID: "u.1.9.team", Kind: "rolledback", Status: 200},
		{ID: "u.1.9.team", Kind: "rolledback", Status: 200, Duplicate: true},
		{ID: "u.1.10.team", Kind: "rolledback", Status: 401, Problem: "no signature of note u.1.10.team fits the secret"},
		{ID: "u.1.11.team", Status: 400, Problem: `the body is not a CloudEvent 1.0 with a type: specversion "", type ""`},
	}
	if diff := cmp.Diff(want, r.Notes(), cmpopts.IgnoreFields(receiver.Note{}, "At", "Body")); diff != "" {
		t.Errorf("notes (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(receiver.Counts{Sent: 2, Verified: 2, Duplicate: 1, Refused: 2}, r.Counts()); diff != "" {
		t.Errorf("counts (-want +got):\n%s", diff)
	}
}
