package server

import (
	"os"
	"testing"
	"time"

	"google.golang.org/grpc/codes"

	"github.com/sluice-dev/sluice/test/authority"
)

// put puts the content of files.
func (h *Held) put(t *testing.T, f authority.Files) {
	t.Helper()
	var content [3][]byte
	for i, path := range []string{f.Cert, f.Key, f.CA} {
		var err error
		if content[i], err = os.ReadFile(path); err != nil {
			t.Fatal(err)
		}
	}
	h.Put(content[0], content[1], content[2])
}

func TestHeld_nobodyGetsInBeforeSomeArePut(t *testing.T) {
	held := &Held{}
	h := startHeld(t, held)
	mine := h.ca.Issue(t, t.TempDir(), shopGateway)
	if got := turnedAway(t, h.addr, h.with(mine)); got != codes.Unavailable || held.Any() || h.certificateEnds() != 0 {
		t.Errorf("before there are certificates: %v, any %t, ends %v", got, held.Any(), h.certificateEnds())
	}
	held.put(t, h.files)
	p := h.as("g1", mine)
	runScript(t, h.harness, p, routes, []step{say(ask{kind: secrets, sub: []string{"s1"}}, "sds s1=k1"), say(ask{kind: secrets, nonce: "last"})})
	first := h.certificateEnds()
	if first < float64(time.Now().Unix()) || !held.Any() {
		t.Errorf("the certificate ends at %v", first)
	}

	held.Put([]byte("half"), nil, nil)
	half := h.as("g2", mine)
	runScript(t, h.harness, half, routes, []step{say(ask{kind: secrets, sub: []string{"s1"}}, "sds s1=k1")})

	other := authority.New(t)
	held.put(t, other.IssueFor(t, 2*time.Hour, t.TempDir(), "127.0.0.1"))
	if h.certificateEnds() <= first {
		t.Error("the metric stays at the first certificate")
	}
	if got := turnedAway(t, h.addr, h.with(mine)); got != codes.Unavailable {
		t.Errorf("a certificate of the former authority: got %v, want Unavailable", got)
	}
	runScript(t, h.harness, p, routes, []step{give(guarded("k2"), "sds s1=k2")})
}

func TestHeld_certificateIsThatOfTheServer(t *testing.T) {
	held := &Held{}
	if got, err := held.Certificate(); err == nil {
		t.Errorf("before there is one: %v", got)
	}
	held.put(t, authority.New(t).IssueFor(t, time.Hour, t.TempDir(), "127.0.0.1"))
	if got, err := held.Certificate(); err != nil || got.Leaf.VerifyHostname("127.0.0.1") != nil {
		t.Errorf("%v, %v; want that of 127.0.0.1", got, err)
	}
	held.Put([]byte("half"), nil, nil)
	if got, err := held.Certificate(); err == nil {
		t.Errorf("half of one: %v", got)
	}
}
