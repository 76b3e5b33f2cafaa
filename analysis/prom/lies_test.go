package prom_test

import (
	"compress/gzip"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sluice-dev/sluice/analysis"
)

// liar answers with one production of a grammar of odd answers after the other, chosen by the seed. None of them holds a
// failure of the canary, nor the requests that a promotion needs.
type liar struct {
	random *rand.Rand
	at     atomic.Int64 // Unix seconds of the look
	calm   atomic.Bool  // answer truly
}

// truth is what a healthy service looks like: both versions without a failure.
func (l *liar) truth() string { return success(l.samples("", 1), l.stable("", 1)) }

func (l *liar) samples(more string, each int64) string {
	return series(completed, canary, "", more, l.values(each*3, 0))
}

func (l *liar) stable(more string, each int64) string {
	return series(completed, stable, "", more, l.values(each*17, 0))
}

// values are steady counts of the last minutes, ending so many seconds ago.
func (l *liar) values(perSecond, ago int64) string {
	var out []string
	for t := (l.at.Load() - 300) / 5 * 5; t <= l.at.Load()-ago; t += 5 {
		out = append(out, fmt.Sprintf(`[%d,"%d"]`, t, (t-1_600_000_000)*perSecond))
	}
	return strings.Join(out, ",")
}

// dice may be thrown by several requests at once.
type dice struct {
	mu     sync.Mutex // guards source
	source rand.Source
}

// Uint64 implements rand.Source.
func (d *dice) Uint64() uint64 {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.source.Uint64()
}

func pick[T any](r *rand.Rand, of ...T) T { return of[r.IntN(len(of))] }

// body is a text that may be anything but an answer to be used.
func (l *liar) body() string {
	r, good := l.random, l.truth()
	odd := pick(r, "NaN", "+Inf", "-Inf", "-1", "1e999", "", "five", "0x10", "1_0", "١")
	bad := fmt.Sprintf(`[%d,"%s"]`, l.at.Load()-1, odd)
	return pick(r,
		"", "null", "{}", "[]", "<!doctype html><title>Sign in</title>", good[:r.IntN(len(good))], good+"x", "\x00\xff", strings.Repeat("[", 5000),
		success(), success(l.stable("", 1)), success(series(completed, canary, "", "", bad), l.stable("", 1)),
		success(series(completed, canary, "", "", l.values(3, 0)+","+bad), l.stable("", 1)),
		success(series(classes, canary, "5", "", bad), l.samples("", 1), l.stable("", 1)),
		success(series(classes, canary, "5", "", `[1,"1e300"]`), series(completed, canary, "", "", l.values(3, 120)), series(completed, stable, "", "", l.values(17, 120))), // stale
		success(strings.Repeat(l.samples("", 0)+",", 50)+l.stable("", 0)),                                                                                                   // the same series again and again, and none grows
		success(series("up", canary, "", "", l.values(3, 0))), success(series(completed, "other", "", "", l.values(3, 0))),
		success(strings.Replace(l.samples("", 1), `"values"`, `"histograms":[[1,{"count":"1"}]],"values"`, 1), l.stable("", 1)),
		strings.Replace(good, `"data"`, `"warnings":["a store is gone"],"data"`, 1),
		strings.Replace(good, `"matrix"`, pick(r, `"vector"`, `"string"`, `"scalar"`, `"streams"`, `null`, `7`), 1),
		strings.Replace(good, `"success"`, pick(r, `"error"`, `"partial"`, `null`, `true`), 1),
		`{"status":"success","data":{"resultType":"string","result":[1,"x"]}}`,
		`{"status":"error","errorType":"`+pick(r, "bad_data", "timeout", "canceled", "execution", "internal")+`","error":"x"}`,
	)
}

// ServeHTTP implements http.Handler.
func (l *liar) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if l.calm.Load() {
		answer(200, l.truth())(w, r)
		return
	}
	switch l.random.IntN(12) {
	case 0: // 100 MB, compressed
		w.Header().Set("Content-Encoding", "gzip")
		z := gzip.NewWriter(w)
		for blank := make([]byte, 1<<20); ; {
			if _, err := z.Write(blank); err != nil {
				return
			}
		}
	case 1: // without an end
		for blank := make([]byte, 1<<20); ; {
			if _, err := w.Write(blank); err != nil {
				return
			}
		}
	case 2: // stalls in the middle
		_, _ = w.Write([]byte(l.truth()[:40]))
		_ = http.NewResponseController(w).Flush()
		select {
		case <-r.Context().Done():
		case <-time.After(5 * time.Second):
		}
	case 3: // cut off
		w.Header().Set("Content-Length", "100000")
		_, _ = w.Write([]byte(l.truth()))
	case 4: // a status with an answer that would do
		answer(pick(l.random, 301, 302, 307, 400, 401, 403, 404, 405, 413, 422, 429, 500, 502, 503, 504), l.truth())(w, r)
	default:
		answer(pick(l.random, 200, 200, 200, 200, 201, 206, 500), l.body())(w, r)
	}
}

// A Prometheus that lies neither promotes nor rolls back, and its lies leave no trace: what is read truly afterwards counts
// as if nothing had been.
func TestLies_neverPromoteAndNeverRollBack(t *testing.T) {
	for seed := range uint64(12) {
		l := &liar{random: rand.New(&dice{source: rand.NewPCG(seed, 7)})}
		s := newStory(t, l, l)
		for range 25 {
			if r := s.look(t); r.Verdict == analysis.Promote || r.Verdict == analysis.Rollback {
				t.Fatalf("seed %d at %v: %s %s", seed, s.after, r.Verdict, r.Reason)
			}
		}
		l.calm.Store(true)
		for range 70 {
			if r := s.look(t); r.Verdict == analysis.Rollback {
				t.Fatalf("seed %d at %v, truth after lies: %s %s", seed, s.after, r.Verdict, r.Reason)
			}
		}
		if r := s.look(t); r.Verdict == analysis.Blind {
			t.Errorf("seed %d: blind after the lies: %s", seed, r.Reason)
		}
		s.server.Close()
	}
}
