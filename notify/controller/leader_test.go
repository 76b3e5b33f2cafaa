package controller_test

import (
	"context"
	"testing"
	"time"

	"github.com/go-logr/logr"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"

	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/egress"
	"github.com/sluice-dev/sluice/notify/controller"
	"github.com/sluice-dev/sluice/test/kube"
	"github.com/sluice-dev/sluice/test/receiver"
)

// follower is a process whose lease another one holds: its manager runs, and leads nothing.
func follower(t *testing.T) *house {
	t.Helper()
	cfg := kube.Start(t)
	h := &house{ns: kube.Namespace(t, cfg), settled: make(chan types.NamespacedName, 64)}
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{v1alpha1.AddToScheme, corev1.AddToScheme, coordinationv1.AddToScheme, apiextensionsv1.AddToScheme} {
		if err := add(scheme); err != nil {
			t.Fatal(err)
		}
	}
	var err error
	if h.client, err = client.New(cfg, client.Options{Scheme: scheme}); err != nil {
		t.Fatal(err)
	}
	h.create(t, &coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{Namespace: h.ns, Name: "sluice"}, Spec: coordinationv1.LeaseSpec{
		HolderIdentity: ptr.To("another"), LeaseDurationSeconds: ptr.To[int32](3600), RenewTime: ptr.To(metav1.NewMicroTime(time.Now()))}})
	mgr, err := ctrl.NewManager(cfg, ctrl.Options{
		Scheme: scheme, Logger: logr.Discard(), Metrics: metricsserver.Options{BindAddress: "0"},
		Cache:          cache.Options{DefaultNamespaces: map[string]cache.Config{h.ns: {}}},
		LeaderElection: true, LeaderElectionID: "sluice", LeaderElectionNamespace: h.ns,
	})
	if err != nil {
		t.Fatal(err)
	}
	h.worker, err = controller.Setup(mgr, controller.Config{
		Guard: egress.New(egress.Policy{AllowLoopback: true}), Now: time.Now,
		Settled: func(key types.NamespacedName) { h.settled <- key },
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- mgr.Start(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	if !mgr.GetCache().WaitForCacheSync(t.Context()) {
		t.Fatal("the caches did not fill")
	}
	return h
}

// TestWorker_sendsNothingWhileAnotherLeads: each replica knows the outboxes, one sends what they hold.
func TestWorker_sendsNothingWhileAnotherLeads(t *testing.T) {
	t.Parallel()
	got, err := receiver.Start(t.Context(), receiver.Config{Addr: "127.0.0.1:0", Secret: secret})
	if err != nil {
		t.Fatal(err)
	}
	h := follower(t)
	h.create(t, &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: h.ns, Name: "hook"}, Data: map[string][]byte{"key": []byte(secret)}})
	h.create(t, &v1alpha1.Notifier{ObjectMeta: metav1.ObjectMeta{Namespace: h.ns, Name: "team"}, Spec: v1alpha1.NotifierSpec{
		Webhook: &v1alpha1.WebhookSink{URL: got.URL(), Insecure: true, SigningSecretRef: &v1alpha1.SecretKeyRef{Name: "hook", Key: "key"}}}})
	ro := h.outbox(11)
	h.worker.Stored(ro)
	select {
	case key := <-h.settled:
		t.Errorf("there is news of %v: a note was tried", key)
	case <-time.After(time.Second): // where nobody else leads it takes milliseconds
	}
	if n := got.Counts().Sent; n != 0 {
		t.Errorf("%d notes were sent", n)
	}
	if results := h.worker.Results(ro.UID); len(results) != 0 {
		t.Errorf("results %+v", results)
	}
}
