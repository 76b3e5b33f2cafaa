package hook

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"
)

// BenchmarkHook is what a request costs before anybody is woken: the proof over the body, the question whether it came
// before, the reading; and the refusal of one without proof, which must not read it.
func BenchmarkHook(b *testing.B) {
	token, at := []byte("a token that both sides know"), time.Unix(1767225600, 0)
	body := []byte(`{"ref":"refs/heads/main","after":"` + strings.Repeat("ab", 20) + `","commits":[` +
		strings.TrimSuffix(strings.Repeat(`{"message":"words of a commit","added":["a/file.yaml"]},`, 200), ",") + `]}`)
	request := func(id, proof string) Request {
		return Request{Provider: Generic, Body: body, Now: at, Header: headers("webhook-id", id, "webhook-timestamp", fmt.Sprint(at.Unix()), "webhook-signature", proof)}
	}
	b.Run("genuine", func(b *testing.B) {
		replays, n := NewReplays(10*time.Minute, 10_000), 0
		for b.Loop() {
			n++
			id := fmt.Sprint("msg_", n)
			r := request(id, Sign(token, id, at, body))
			h, err := Check(r, token)
			if err != nil || len(h.Changes) != 1 || replays.Seen("shop", r) {
				b.Fatalf("%+v, %v; want one change, told for the first time", h, err)
			}
		}
	})
	b.Run("refused", func(b *testing.B) {
		r := request("msg", "v1,AAAA")
		b.ReportAllocs()
		for b.Loop() {
			if _, err := Check(r, token); !errors.Is(err, ErrProof) {
				b.Fatalf("%v, want %v", err, ErrProof)
			}
		}
	})
}
