package server_test

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"

	"github.com/sluice-dev/sluice/standalone/server"
	"github.com/sluice-dev/sluice/test/fault"
)

// TestFault_fullStoreIsWhatTheFaultProxySays fills a real etcd until it takes no more. What the API server answers then is what
// fault.Full answers, by which rollbacks are tested; it can still be read, and objects can be deleted.
func TestFault_fullStoreIsWhatTheFaultProxySays(t *testing.T) {
	const space = 24 << 20
	s, err := server.Start(t.Context(), server.Config{Dir: t.TempDir(), Now: time.Now, Space: space})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Stop(); err != nil {
			t.Error(err)
		}
	})
	client, err := kubernetes.NewForConfig(s.RESTConfig())
	if err != nil {
		t.Fatal(err)
	}
	maps := client.CoreV1().ConfigMaps("default")
	first := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "first"}}
	if _, err := maps.Create(t.Context(), first, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	filling := strings.Repeat("x", 900<<10)
	for i := 0; err == nil && i < 2*space/len(filling); i++ {
		_, err = maps.Create(t.Context(), &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprintf("full-%d", i)},
			Data: map[string]string{"x": filling}}, metav1.CreateOptions{})
	}
	isFull(t, "a new object", err)
	_, err = maps.Patch(t.Context(), "first", types.MergePatchType, []byte(`{"data":{"a":"b"}}`), metav1.PatchOptions{})
	isFull(t, "a small change", err)
	if _, err := maps.Get(t.Context(), "first", metav1.GetOptions{}); err != nil {
		t.Errorf("reading: %v", err)
	}
	if err := maps.Delete(t.Context(), "first", metav1.DeleteOptions{}); err != nil {
		t.Errorf("deleting: %v", err)
	}
}

// isFull checks that a write was refused as fault.Full refuses one.
func isFull(t *testing.T, what string, err error) {
	t.Helper()
	status, ok := errors.AsType[*apierrors.StatusError](err)
	if !ok {
		t.Fatalf("%s: %v, want a refusal", what, err)
	}
	got := status.ErrStatus
	if got.Code != http.StatusInternalServerError || got.Reason != "" || got.Message != fault.NoSpace {
		t.Errorf("%s: %d %q %q, want 500, no reason, and %q", what, got.Code, got.Reason, got.Message, fault.NoSpace)
	}
}
