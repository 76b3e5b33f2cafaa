package watch

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/sluice-dev/sluice/gitsync"
)

// slow is a cache whose server says nothing about a new kind until it is let go.
type slow struct {
	cache.Cache
	asked chan struct{}
	let   chan struct{}
}

var errSlow = errors.New("the server did not answer")

func (s slow) GetInformer(context.Context, client.Object, ...cache.InformerGetOption) (cache.Informer, error) {
	close(s.asked)
	<-s.let
	return nil, errSlow
}

// A server that is slow to tell about a kind does not hold up who asks for what is known, or what others follow.
func TestFollow_asksTheServerWithoutHoldingUpOthers(t *testing.T) {
	t.Parallel()
	s := slow{asked: make(chan struct{}), let: make(chan struct{})}
	w := &Watch{cache: s, wanted: map[gitsync.Owner][]schema.GroupVersionKind{}, followers: map[schema.GroupVersionKind]cache.Informer{}}
	id := gitsync.ID{Kind: "ConfigMap", Namespace: "shop", Name: "a"}
	var following sync.WaitGroup
	following.Go(func() {
		w.Follow(t.Context(), gitsync.Owner{Namespace: "shop", Name: "shop"}, gitsync.Inventory{{ID: id, Version: "v1"}})
	})
	defer following.Wait()
	defer close(s.let)
	<-s.asked
	answered := make(chan bool)
	go func() {
		_, known := w.Stamp(t.Context(), id, "v1")
		answered <- known || len(w.Owned(t.Context(), gitsync.Owner{})) > 0
	}()
	select {
	case known := <-answered:
		if known {
			t.Error("a stamp or an object is known of a kind that is not followed")
		}
	case <-time.After(time.Minute):
		t.Fatal("who asks for a stamp waits for the server")
	}
}
