package controller

import (
	"context"
	"errors"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// held are the Secrets that a server holds, by version.
type held struct {
	SecretReader
	version string // of the one Secret; empty: there is none
	err     error
}

func (h *held) List(_ context.Context, list client.ObjectList, _ ...client.ListOption) error {
	page, ok := list.(*metav1.PartialObjectMetadataList)
	if !ok {
		return errors.New("asked for more than metadata")
	}
	page.ResourceVersion = "100"
	if h.version != "" {
		page.Items = []metav1.PartialObjectMetadata{{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "front", ResourceVersion: h.version}}}
	}
	return h.err
}

func TestBarrier_waitsForSecretsInUse(t *testing.T) {
	name := types.NamespacedName{Namespace: "shop", Name: "front"}
	synced := true
	w := &secretWatch{synced: func() bool { return synced }}
	server := &held{version: "7"}
	c := &Controller{demand: demand{secrets: &secrets{reader: server, watched: map[types.NamespacedName]*secretWatch{name: w}}}}
	passes := func(step string, want bool) {
		t.Helper()
		lists, err := c.list(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, l := range lists {
			if got, err := l.seen.shows(l); got != want || err != nil {
				t.Errorf("%s: passes %t, %v, want %t", step, got, err, want)
			}
		}
		if len(lists) == 0 && !want {
			t.Errorf("%s: the Secret is not asked for", step)
		}
	}
	see := func(version string) {
		w.seen.put(&corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "front", ResourceVersion: version}})
	}
	passes("not seen", false)
	see("6")
	passes("an older one seen", false)
	see("7")
	passes("seen", true)
	server.version = ""
	passes("it is gone", false)
	server.version, server.err = "9", apierrors.NewForbidden(schema.GroupResource{Resource: "secrets"}, "front", nil)
	passes("it may not be read any more", true)
	server.err, synced = nil, false
	passes("nothing was ever known of it", true)
	server.err, synced = errors.New("connection refused"), true
	if _, err := c.list(t.Context()); err == nil {
		t.Error("silence of the server is taken for a proof")
	}
}
