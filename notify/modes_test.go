package notify_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/notify"
	"github.com/sluice-dev/sluice/test/poll"
	"github.com/sluice-dev/sluice/test/receiver"
)

// known are the Notifiers of the namespace bookinfo.
type known map[string]*v1alpha1.Notifier

// Notifier implements notify.Notifiers.
func (k known) Notifier(_ context.Context, key types.NamespacedName) (*v1alpha1.Notifier, error) {
	if n := k[key.Name]; n != nil {
		return n.DeepCopy(), nil
	}
	return nil, notify.ErrNotFound
}

// hook is a Notifier with a receiver of its own.
func hook(t *testing.T, all known, keys secrets, name string, cfg receiver.Config) *receiver.Receiver {
	t.Helper()
	cfg.Secret = secret
	r, err := receiver.Start(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close() })
	keys["bookinfo/"+name] = map[string][]byte{"key": []byte(secret), "url": []byte(r.URL() + "?token=canary-7Q2W-" + name)}
	all[name] = &v1alpha1.Notifier{ObjectMeta: metav1.ObjectMeta{Namespace: "bookinfo", Name: name, Generation: 1}, Spec: v1alpha1.NotifierSpec{
		Webhook: &v1alpha1.WebhookSink{URLSecretRef: ref(name, "url"), SigningSecretRef: ref(name, "key"), Timeout: v1alpha1.DurationOf(time.Second)}}}
	return r
}

// TestDelivery_eachModeOfFailing sends two notes each to receivers that are well, throttle, fail, are slow, redirect, and
// cannot be trusted: none holds up another, each note that can arrive does, once, and nobody learns a URL.
func TestDelivery_eachModeOfFailing(t *testing.T) {
	t.Parallel()
	all, keys := known{}, secrets{}
	well := hook(t, all, keys, "well", receiver.Config{})
	throttled := hook(t, all, keys, "throttled", receiver.Config{})
	failing := hook(t, all, keys, "failing", receiver.Config{})
	slow := hook(t, all, keys, "slow", receiver.Config{})
	moved := hook(t, all, keys, "moved", receiver.Config{})
	untrusted := hook(t, all, keys, "untrusted", receiver.Config{TLS: true})
	throttled.Script(receiver.Reply{Status: 429, RetryAfter: time.Second})
	failing.Script(receiver.Reply{Status: 503}, receiver.Reply{Status: 500})
	slow.Script(receiver.Reply{Delay: time.Minute}, receiver.Reply{Delay: time.Minute}, receiver.Reply{Delay: time.Minute})
	moved.Script(receiver.Reply{Status: 302, Location: well.URL()}, receiver.Reply{Status: 307, Location: well.URL()})

	o := outlet(keys)
	o.Now = time.Now
	k := notify.NewWorker(notify.WorkerConfig{Notifiers: all, Opener: o, Now: time.Now, Settled: func(types.NamespacedName) {}, Felt: func(types.NamespacedName) {}})
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- k.Start(ctx) }()
	names := []string{"well", "throttled", "failing", "slow", "moved", "untrusted"}
	before := time.Now()
	k.Stored(outbox(names, 5, 6))
	if took := time.Since(before); took > 900*time.Millisecond { // less than any of those who are slow takes
		t.Errorf("offering the outbox took %v", took)
	}
	left := func(name string) error {
		for _, r := range k.Results(uid) {
			if r.Notifier == name && r.Final {
				return nil
			}
		}
		return fmt.Errorf("nothing of %s is final", name)
	}
	if err := poll.Until(5*time.Second, func() error {
		if c := well.Counts(); c.Sent != 2 {
			return fmt.Errorf("well got %+v", c)
		}
		return left("moved")
	}); err != nil {
		t.Fatal(err)
	}
	if n := slow.Counts().Sent; n != 0 {
		t.Errorf("slow has %d notes although it has not answered", n)
	}
	if err := poll.Until(20*time.Second, func() error {
		for name, r := range map[string]*receiver.Receiver{"throttled": throttled, "failing": failing, "slow": slow} {
			if c := r.Counts(); c.Sent != 2 {
				return fmt.Errorf("%s got %+v", name, c)
			}
		}
		return nil
	}); err != nil {
		t.Error(err)
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	for name, r := range map[string]*receiver.Receiver{"well": well, "throttled": throttled, "failing": failing, "slow": slow} {
		var taken []string
		for _, n := range r.Notes() {
			if n.Accepted() && n.Verified() {
				taken = append(taken, n.ID)
			}
		}
		if want := []string{id(5, name), id(6, name)}; !slices.Equal(taken, want) {
			t.Errorf("%s took %v, want %v", name, taken, want)
		}
	}
	if n := len(untrusted.Notes()); n != 0 {
		t.Errorf("%d notes went to a receiver that cannot be trusted", n)
	}
	nothingShown(t, k, names)
	for name, reason := range map[string]string{"untrusted": v1alpha1.ReasonUnreachable, "moved": v1alpha1.ReasonRefused} {
		if h := k.Health(types.NamespacedName{Namespace: "bookinfo", Name: name}); h.Reason != reason || name == "moved" && len(h.Dead) != 2 {
			t.Errorf("health of %s is %+v, want %s", name, h, reason)
		}
	}
}

func nothingShown(t *testing.T, k *notify.Worker, names []string) {
	t.Helper()
	text := fmt.Sprintf("%+v", k.Results(uid))
	for _, name := range names {
		text += fmt.Sprintf("%+v", k.Health(types.NamespacedName{Namespace: "bookinfo", Name: name}))
	}
	if strings.Contains(text, "canary") || strings.Contains(text, "whsec") {
		t.Errorf("what is told holds a secret: %s", text)
	}
}
