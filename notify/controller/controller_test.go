package controller_test

import (
	"context"
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"

	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/egress"
	"github.com/sluice-dev/sluice/notify"
	"github.com/sluice-dev/sluice/notify/controller"
	"github.com/sluice-dev/sluice/test/kube"
	"github.com/sluice-dev/sluice/test/receiver"
)

const secret = "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="

func TestMain(m *testing.M) { kube.Main(m) }

// house is a manager at work in one namespace.
type house struct {
	client  client.Client
	ns      string
	worker  *notify.Worker
	settled chan types.NamespacedName
}

func open(t *testing.T) *house {
	t.Helper()
	cfg := kube.Start(t)
	ns := kube.Namespace(t, cfg)
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{v1alpha1.AddToScheme, corev1.AddToScheme, apiextensionsv1.AddToScheme} {
		if err := add(scheme); err != nil {
			t.Fatal(err)
		}
	}
	mgr, err := ctrl.NewManager(cfg, ctrl.Options{
		Scheme: scheme, Logger: logr.Discard(), Metrics: metricsserver.Options{BindAddress: "0"},
		Cache: cache.Options{DefaultNamespaces: map[string]cache.Config{ns: {}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	h := &house{ns: ns, settled: make(chan types.NamespacedName, 64)}
	h.worker, err = controller.Setup(mgr, controller.Config{
		Guard: egress.New(egress.Policy{AllowLoopback: true}), Now: time.Now,
		Settled: func(key types.NamespacedName) { h.settled <- key },
	})
	if err != nil {
		t.Fatal(err)
	}
	if h.client, err = client.New(cfg, client.Options{Scheme: scheme}); err != nil {
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
	return h
}

func (h *house) create(t *testing.T, o client.Object) {
	t.Helper()
	if err := h.client.Create(t.Context(), o); err != nil {
		t.Fatal(err)
	}
}

// eventually waits until the stored Notifier is as ok wants it.
func (h *house) eventually(t *testing.T, ok func(*v1alpha1.Notifier) error) {
	t.Helper()
	kube.Eventually(t, 10*time.Second, func() error {
		n := &v1alpha1.Notifier{}
		if err := h.client.Get(t.Context(), types.NamespacedName{Namespace: h.ns, Name: "team"}, n); err != nil {
			return err
		}
		return ok(n)
	})
}

func ready(n *v1alpha1.Notifier, reason string) error {
	c := v1alpha1.Condition(n.Status.Conditions, v1alpha1.ConditionReady)
	if c == nil || c.Reason != reason || n.Status.ObservedGeneration != n.Generation {
		return fmt.Errorf("status is %+v, want reason %s", n.Status, reason)
	}
	return nil
}

func (h *house) outbox(seqs ...int64) *v1alpha1.Rollout {
	ro := &v1alpha1.Rollout{
		ObjectMeta: metav1.ObjectMeta{Namespace: h.ns, Name: "reviews", UID: "0b7f3c1e-5a52-4f0b-9a44-2f6c1d3e8a90"},
		Status:     &v1alpha1.RolloutStatus{Attempt: 3, Canary: &v1alpha1.VersionStatus{Name: "v3"}},
	}
	for _, seq := range seqs {
		note := v1alpha1.PendingNote{Kind: v1alpha1.NoteRolledBack, Attempt: 3, Seq: seq, At: metav1.NewMicroTime(time.Now()), Text: "rolled back"}
		ro.Status.Notes = notify.Append(ro.Status.Notes, note, []string{"team"})
	}
	return ro
}

func TestNotifier_fromASecretThatIsMissingToDeliveredNotes(t *testing.T) {
	got, err := receiver.Start(t.Context(), receiver.Config{Addr: "127.0.0.1:0", Secret: secret})
	if err != nil {
		t.Fatal(err)
	}
	h := open(t)
	h.create(t, &v1alpha1.Notifier{
		ObjectMeta: metav1.ObjectMeta{Namespace: h.ns, Name: "team"},
		Spec: v1alpha1.NotifierSpec{Webhook: &v1alpha1.WebhookSink{
			URL: got.URL(), Insecure: true, SigningSecretRef: &v1alpha1.SecretKeyRef{Name: "hook", Key: "key"},
		}},
	})
	h.eventually(t, func(n *v1alpha1.Notifier) error { return ready(n, v1alpha1.ReasonSecretNotFound) })
	h.worker.Stored(h.outbox(11, 12))
	h.eventually(t, func(n *v1alpha1.Notifier) error {
		if n.Status.Pending != 2 {
			return fmt.Errorf("%d pending, want 2", n.Status.Pending)
		}
		return nil
	})
	got.Script(receiver.Reply{Status: http.StatusServiceUnavailable})
	h.create(t, &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: h.ns, Name: "hook"}, Data: map[string][]byte{"key": []byte(secret)}})
	h.eventually(t, func(n *v1alpha1.Notifier) error {
		if n.Status.LastSuccessTime == nil || n.Status.Pending != 0 {
			return fmt.Errorf("status is %+v, want all delivered", n.Status)
		}
		return ready(n, v1alpha1.ReasonReady)
	})
	if c := got.Counts(); c.Sent != 2 || c.Verified != 2 || c.Duplicate != 0 {
		t.Errorf("the receiver counts %+v, want 2 sent and verified, none twice", c)
	}
	select {
	case key := <-h.settled:
		if key.Name != "reviews" || key.Namespace != h.ns {
			t.Errorf("news of %v, want reviews", key)
		}
	default:
		t.Error("nobody was told of the results")
	}
	for _, r := range h.worker.Results("0b7f3c1e-5a52-4f0b-9a44-2f6c1d3e8a90") {
		if !r.Final || r.Err != "" {
			t.Errorf("result %+v, want it delivered", r)
		}
	}
}

func TestNotifier_thatIsGoneRestsUntilItIsChanged(t *testing.T) {
	got, err := receiver.Start(t.Context(), receiver.Config{Addr: "127.0.0.1:0", Secret: secret})
	if err != nil {
		t.Fatal(err)
	}
	h := open(t)
	h.create(t, &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: h.ns, Name: "hook"}, Data: map[string][]byte{"key": []byte(secret)}})
	h.create(t, &v1alpha1.Notifier{
		ObjectMeta: metav1.ObjectMeta{Namespace: h.ns, Name: "team"},
		Spec: v1alpha1.NotifierSpec{Webhook: &v1alpha1.WebhookSink{
			URL: got.URL(), Insecure: true, SigningSecretRef: &v1alpha1.SecretKeyRef{Name: "hook", Key: "key"},
		}},
	})
	h.eventually(t, func(n *v1alpha1.Notifier) error { return ready(n, v1alpha1.ReasonReady) })
	got.Script(receiver.Reply{Status: http.StatusGone})
	h.worker.Stored(h.outbox(11))
	h.eventually(t, func(n *v1alpha1.Notifier) error {
		if len(n.Status.DeadLetters) != 1 || n.Status.DeadLetters[0].Rollout != "reviews" {
			return fmt.Errorf("dead letters are %+v, want the note", n.Status.DeadLetters)
		}
		return ready(n, v1alpha1.ReasonGone)
	})
	kube.Eventually(t, 10*time.Second, func() error {
		n := &v1alpha1.Notifier{}
		if err := h.client.Get(t.Context(), types.NamespacedName{Namespace: h.ns, Name: "team"}, n); err != nil {
			return err
		}
		n.Spec.Environment = "prod"
		return h.client.Update(t.Context(), n)
	})
	h.eventually(t, func(n *v1alpha1.Notifier) error { return ready(n, v1alpha1.ReasonReady) })
}
