package controller

import (
	"fmt"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/types"

	"github.com/sluice-dev/sluice/rollout/scenario"
)

// Tapes that take too much lose their oldest decisions, those of Rollouts at rest first, and still play.
func TestTapes_areBounded(t *testing.T) {
	all := tapes{all: map[types.NamespacedName]*tape{}}
	begin := "proxies 2\nready stable=4 canary=4\nwant v1\nwant v2\nsettle\ntick 5m\nverdict Promote reason=NonInferior\nsettle\ntick 5m\nverdict Promote reason=NonInferior\nsettle\n"
	for i, script := range []string{begin, begin + "verdict Rollback reason=RegressionDetected\nsettle\n"} {
		one, w := &tape{uid: types.UID(fmt.Sprint(i))}, scenario.NewWorld()
		w.Watch(one.Add)
		if _, err := w.Play(script); err != nil {
			t.Fatal(err)
		}
		all.all[types.NamespacedName{Name: fmt.Sprint(i)}], all.size = one, all.size+one.Size()
	}
	open, rests := all.all[types.NamespacedName{Name: "0"}], all.all[types.NamespacedName{Name: "1"}]
	was := open.Size()
	if was == 0 || rests.Size() == 0 || open.Rests() || !rests.Rests() {
		t.Fatalf("%d bytes, rests: %v; %d bytes, rests: %v", was, open.Rests(), rests.Size(), rests.Rests())
	}
	shorten := func(within int) {
		for range 64 { // each takes one piece at most of each tape
			all.shorten(within)
		}
	}
	if shorten(was); all.size != was || open.Size() != was || rests.Size() != 0 {
		t.Errorf("%d bytes in all, %d of the open one, %d of the one at rest; want %d and none of it at rest", all.size, open.Size(), rests.Size(), was)
	}
	if shorten(0); all.size != 0 || open.Size() != 0 {
		t.Errorf("%d bytes in all, %d of the open one", all.size, open.Size())
	}
	for _, one := range []*tape{open, rests} {
		if script, err := one.Script("the newest"); err != nil || !strings.Contains(script, "\nlook {") {
			t.Errorf("%q, %v", script, err)
		}
	}
	all.drop("0")
	all.drop("1")
	if all.size != 0 || len(all.all) != 0 {
		t.Errorf("%d bytes of %d tapes", all.size, len(all.all))
	}
}

// One shortening cuts few tapes however many there are.
func TestTapes_areShortenedAFewAtATime(t *testing.T) {
	all := tapes{all: map[types.NamespacedName]*tape{}}
	size := 0
	for i := range 3 * tapeCuts {
		one, w := &tape{}, scenario.NewWorld()
		w.Watch(one.Add)
		if _, err := w.Play("proxies 2\nready stable=4 canary=4\nwant v1\nwant v2\nsettle\ntick 5m\nverdict Promote reason=NonInferior\nsettle\n"); err != nil {
			t.Fatal(err)
		}
		size = one.Size()
		all.all[types.NamespacedName{Name: fmt.Sprint(i)}], all.size = one, all.size+size
	}
	was := all.size
	all.shorten(0)
	cut := 0
	for _, one := range all.all {
		if one.Size() < size {
			cut++
		}
	}
	if cut != tapeCuts || all.size >= was {
		t.Errorf("%d tapes were shortened by %d bytes, want %d tapes", cut, was-all.size, tapeCuts)
	}
}
