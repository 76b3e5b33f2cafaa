package notify_test

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/notify"
)

// TestOutbox_survivesCrashes walks at random through transitions, writes that are lost, stale reads, receivers that fail
// and workers that die at any instant. In the end each note has arrived, first deliveries in order, and a note arrives
// again only across a crash.
func TestOutbox_survivesCrashes(t *testing.T) {
	for seed := range uint64(30) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { crashes(t, rand.New(rand.NewPCG(seed, 7))) })
		})
	}
}

func crashes(t *testing.T, rnd *rand.Rand) {
	names := []string{"chat", "team"}
	w := newWorld(names...)
	fate, tried := rnd.Uint64(), sync.Map{}
	w.answer = func(_ string, n notify.Note) error {
		count, _ := tried.LoadOrStore(n.ID, new(atomic.Int64))
		h := fnv.New64a()
		fmt.Fprint(h, fate, n.ID, count.(*atomic.Int64).Add(1))
		if h.Sum64()%4 == 0 {
			return errors.New("reset by peer")
		}
		return nil
	}
	stored := outbox(names)
	k, stop := start(t, w)
	seq, died := int64(0), 0
	for range 60 {
		older := stored.DeepCopy()
		switch rnd.IntN(6) {
		case 0, 1:
			seq++
			note := v1alpha1.PendingNote{Kind: v1alpha1.NoteRolledBack, Attempt: 3, Seq: seq, At: metav1.NewMicroTime(time.Now())}
			stored.Status.Notes = notify.Append(stored.Status.Notes, note, names)
			k.Stored(stored.DeepCopy())
		case 2:
			next := stored.DeepCopy()
			next.Status.Notes = notify.Settle(next.Status.Notes, k.Results(uid))
			if rnd.IntN(3) > 0 { // else the write was refused
				stored = next
				k.Stored(stored.DeepCopy())
			}
		case 3:
			k.Stored(older)
		case 4:
			if rnd.IntN(3) == 0 {
				stop()
				died++
				k, stop = start(t, w)
				k.Stored(stored.DeepCopy())
			}
		case 5:
			<-time.NewTimer(time.Duration(rnd.IntN(3000)) * time.Millisecond).C
		}
	}
	k.Stored(stored.DeepCopy())
	<-time.NewTimer(time.Hour).C
	stored.Status.Notes = notify.Settle(stored.Status.Notes, k.Results(uid))
	stop()
	if n := len(stored.Status.Notes); n > 0 {
		t.Errorf("%d entries stay in the outbox", n)
	}
	for _, name := range names {
		var first []string
		again := 0
		for _, id := range w.taken() {
			if !strings.HasSuffix(id, "."+name) {
				continue
			}
			if slices.Contains(first, id) {
				again++
			} else {
				first = append(first, id)
			}
		}
		for i := range seq {
			if int(i) >= len(first) || first[i] != id(i+1, name) {
				t.Fatalf("%s got %v, want every seq to %d in order", name, first, seq)
			}
		}
		if again > 0 && died == 0 {
			t.Errorf("%s got %d notes again although nothing died", name, again)
		}
	}
}

func start(t *testing.T, w *world) (*notify.Worker, func()) {
	t.Helper()
	k := w.worker()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- k.Start(ctx) }()
	return k, func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}
}
