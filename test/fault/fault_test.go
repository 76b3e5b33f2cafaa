package fault_test

import (
	"context"
	"errors"
	"strings"
	"syscall"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	typedcorev1 "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/rest"

	"github.com/sluice-dev/sluice/test/fault"
	"github.com/sluice-dev/sluice/test/kube"
)

func TestMain(m *testing.M) { kube.Main(m) }

// bench is a namespace with a proxy before it, and the ConfigMaps of both sides.
type bench struct {
	t      *testing.T
	ns     string
	proxy  *fault.Proxy
	door   *fault.Door
	behind typedcorev1.ConfigMapInterface
	direct typedcorev1.ConfigMapInterface
}

func newBench(t *testing.T) *bench {
	t.Helper()
	cfg := kube.Start(t)
	b := &bench{t: t, ns: kube.Namespace(t, cfg), proxy: fault.Start(t, cfg)}
	b.door = b.proxy.Open(t, "one")
	b.behind, b.direct = b.maps(b.door.Config()), b.maps(cfg)
	return b
}

func (b *bench) maps(cfg *rest.Config) typedcorev1.ConfigMapInterface {
	b.t.Helper()
	c, err := kubernetes.NewForConfig(cfg)
	if err != nil {
		b.t.Fatal(err)
	}
	return c.CoreV1().ConfigMaps(b.ns)
}

func (b *bench) make(name string, within time.Duration) error {
	ctx, cancel := context.WithTimeout(b.t.Context(), within)
	defer cancel()
	_, err := b.behind.Create(ctx, &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: name}}, metav1.CreateOptions{})
	return err
}

func (b *bench) exists(name string) bool {
	b.t.Helper()
	_, err := b.direct.Get(b.t.Context(), name, metav1.GetOptions{})
	if err != nil && !apierrors.IsNotFound(err) {
		b.t.Fatal(err)
	}
	return err == nil
}

var creates = fault.Key{Verb: "create", Resource: "configmaps"}

func TestModes_doWhatTheySay(t *testing.T) {
	for _, tc := range []struct {
		mode   fault.Mode
		err    func(error) bool
		exists bool
	}{
		{fault.Forward, func(err error) bool { return err == nil }, true},
		{fault.Before, func(err error) bool { var s apierrors.APIStatus; return err != nil && !errors.As(err, &s) }, false},
		{fault.Applied, func(err error) bool { var s apierrors.APIStatus; return err != nil && !errors.As(err, &s) }, true},
		{fault.Conflict, apierrors.IsConflict, false},
		{fault.Invalid, apierrors.IsInvalid, false},
		{fault.Broken, apierrors.IsInternalError, false},
		{fault.Full, func(err error) bool { return err != nil && strings.Contains(err.Error(), fault.NoSpace) }, false},
	} {
		t.Run(tc.mode.String(), func(t *testing.T) {
			b := newBench(t)
			rule := b.proxy.Add(fault.Rule{Match: creates, Nth: 2, Mode: tc.mode})
			if err := b.make("first", time.Minute); err != nil || rule.HasFired() {
				t.Fatalf("the first write: %v, fired %v", err, rule.HasFired())
			}
			if err := b.make("second", time.Minute); !tc.err(err) {
				t.Errorf("the second write gives %v", err)
			}
			if !rule.HasFired() || b.exists("second") != tc.exists {
				t.Errorf("fired %v, exists %v, want %v", rule.HasFired(), b.exists("second"), tc.exists)
			}
			writes := b.proxy.Writes()
			if len(writes) != 2 || writes[1].Fault != tc.mode || writes[1].Accepted() != tc.exists || !writes[0].Accepted() ||
				writes[0].Key.String() != "create configmaps "+b.ns+"/" {
				t.Errorf("written down: %+v", writes)
			}
		})
	}
}

func TestLate_comesAfterTheClientWasCutOff(t *testing.T) {
	b := newBench(t)
	b.proxy.Add(fault.Rule{Match: creates, Mode: fault.Late})
	var status apierrors.APIStatus
	if err := b.make("x", time.Minute); err == nil || errors.As(err, &status) {
		t.Errorf("got %v, want no reply", err)
	}
	kube.Eventually(t, 20*time.Second, func() error { _, err := b.direct.Get(t.Context(), "x", metav1.GetOptions{}); return err })
}

func TestHeld_goesWhenItIsLetGo(t *testing.T) {
	b := newBench(t)
	rule := b.proxy.Add(fault.Rule{Match: creates, Nth: 1, Mode: fault.Held})
	done := make(chan error, 1)
	go func() { done <- b.make("x", time.Minute) }()
	<-rule.Fired()
	if b.exists("x") {
		t.Error("it was not held")
	}
	rule.Release()
	if err := <-done; err != nil || !b.exists("x") {
		t.Errorf("released: %v, exists %v", err, b.exists("x"))
	}
}

func TestKill_endsTheProcessAtTheDoor(t *testing.T) {
	b := newBench(t)
	b.proxy.Add(fault.Rule{Match: creates, Nth: 1, Mode: fault.Applied, Kill: true})
	if err := b.make("x", time.Minute); err == nil || !b.exists("x") {
		t.Errorf("got %v, exists %v", err, b.exists("x"))
	}
	if err := b.make("y", time.Minute); err == nil || b.exists("y") {
		t.Errorf("after its end the process wrote: %v", err)
	}
	b.behind = b.maps(b.proxy.Open(t, "two").Config())
	if err := b.make("y", time.Minute); err != nil {
		t.Errorf("the next process: %v", err)
	}
}

func TestSilence_stopsWatchesAndRequests(t *testing.T) {
	b := newBench(t)
	w, err := b.behind.Watch(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer w.Stop()
	b.proxy.Silence()
	if _, err := b.direct.Create(t.Context(), &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "x"}}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	if err := b.make("y", 200*time.Millisecond); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a request in silence gives %v", err)
	}
	for seen := true; seen; { // what was on its way before
		select {
		case e := <-w.ResultChan():
			if o, ok := e.Object.(*corev1.ConfigMap); ok && o.Name == "x" {
				t.Fatal("a watch went on in silence")
			}
		default:
			seen = false
		}
	}
	b.proxy.Resume()
	for e := range w.ResultChan() {
		if o, ok := e.Object.(*corev1.ConfigMap); ok && o.Name == "x" {
			return
		}
	}
	t.Error("the watch ended")
}

func TestShut_refusesUntilItIsOpenAgain(t *testing.T) {
	b := newBench(t)
	w, err := b.behind.Watch(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	b.door.Shut()
	for range w.ResultChan() { // ends
	}
	if err := b.make("x", time.Minute); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("a request at a door that is shut gives %v", err)
	}
	b.door.Reopen(t)
	if err := b.make("x", time.Minute); err != nil || !b.exists("x") {
		t.Errorf("after it was opened again: %v", err)
	}
}
