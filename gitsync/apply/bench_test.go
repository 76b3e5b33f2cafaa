package apply

import (
	"errors"
	"fmt"
	"net/http"
	"sync/atomic"
	"testing"

	"github.com/sluice-dev/sluice/gitsync"
	"github.com/sluice-dev/sluice/gitsync/watch"
	"github.com/sluice-dev/sluice/test/kube"
	"github.com/sluice-dev/sluice/test/poll"
)

type through func(*http.Request) (*http.Response, error)

func (f through) RoundTrip(req *http.Request) (*http.Response, error) { return f(req) }

// BenchmarkApply applies a hundred objects, all changed, with so many requests at a time, and then as they are: that costs no
// request, as the watch says that nobody has touched them.
func BenchmarkApply(b *testing.B) {
	const n = 100
	for _, par := range []int{1, 4, 8, 16} {
		b.Run(fmt.Sprintf("n=%d/par=%d", n, par), func(b *testing.B) {
			w := newWorld(b)
			config := kube.Start(b)
			var requests atomic.Int64
			config.Wrap(func(next http.RoundTripper) http.RoundTripper {
				return through(func(req *http.Request) (*http.Response, error) {
					requests.Add(1)
					return next.RoundTrip(req)
				})
			})
			seen := followed(b, w)
			applier, err := New(config, w.admin.RESTMapper(), seen).As(w.ns, "applier")
			if err != nil {
				b.Fatal(err)
			}
			made, ok := applier.(*Applier)
			if !ok {
				b.Fatalf("an applier of type %T", applier)
			}
			made.parallel = par
			w.applier = applier
			objects := func(value string) (out []gitsync.Object) {
				for i := range n {
					out = append(out, w.configMap(fmt.Sprint("c", i), map[string]any{"k": value}))
				}
				return out
			}
			w.apply(objects("first")...)
			seen.Follow(b.Context(), gitsync.Owner{Namespace: w.ns, Name: "shop"}, w.have)
			i := 0
			for b.Loop() {
				i++
				if _, out := w.apply(objects(fmt.Sprint("v", i))...); len(out.Changed) != n {
					b.Fatalf("%d changed, want %d", len(out.Changed), n)
				}
			}
			last := objects(fmt.Sprint("v", i))
			err = poll.Until(10*requestTimeout, func() error { // once the watch has caught up
				before := requests.Load()
				w.apply(last...)
				if sent := requests.Load() - before; sent > 0 {
					return fmt.Errorf("%d requests for objects as they are", sent)
				}
				return nil
			})
			if err != nil {
				b.Fatal(errors.Join(errors.New("unchanged objects cost requests"), err))
			}
		})
	}
}

// followed watches what Sources have applied.
func followed(b *testing.B, w *world) *watch.Watch {
	b.Helper()
	seen, err := watch.New(kube.Start(b), w.admin.RESTMapper())
	if err != nil {
		b.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- seen.Start(b.Context()) }()
	b.Cleanup(func() {
		if err := <-ended; err != nil {
			b.Error(err)
		}
	})
	return seen
}
