package controller

import (
	"context"
	"fmt"
	"time"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	ctrlcontroller "sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
	"sigs.k8s.io/controller-runtime/pkg/source"

	"github.com/sluice-dev/sluice/api/problem"
	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/api/view"
	"github.com/sluice-dev/sluice/egress"
	"github.com/sluice-dev/sluice/notify"
)

// newsBuffer is how many Notifiers can have news before one is looked at; more only waits for the next look.
const newsBuffer = 256

// Config is what Setup needs. All of it is required but what says otherwise.
type Config struct {
	Guard   *egress.Guard
	Now     func() time.Time
	Cluster string                             // names this installation in events; empty: "local"
	System  string                             // namespace of the controller, whose Notifiers may be about all others; empty: none may
	Links   view.LinkTemplates                 // of pages about Rollouts
	Plot    notify.Plotter                     // nil: no plots
	Settled func(rollout types.NamespacedName) // a Rollout's delivery results have news; must not block

	SettledSource func(source types.NamespacedName) // the same of a Source; nil: nobody asks
	Tried         func(notify.Try)                  // each try to send a note; must not block. nil: nobody asks
}

// Setup adds the Worker and the Notifier reconciler to mgr and gives the Worker, the outbox of rollout/controller.
func Setup(mgr ctrl.Manager, cfg Config) (*notify.Worker, error) {
	if cfg.Cluster == "" {
		cfg.Cluster = "local"
	}
	news := make(chan event.GenericEvent, newsBuffer)
	read := &reader{cached: mgr.GetClient(), live: mgr.GetAPIReader()}
	outlet := &notify.Outlet{Guard: cfg.Guard, Secrets: read, Cluster: cfg.Cluster, Now: cfg.Now, Plot: cfg.Plot}
	recorder := mgr.GetEventRecorder("sluice")
	worker := notify.NewWorker(notify.WorkerConfig{
		Sources: read, SettledSource: cfg.SettledSource, Tried: cfg.Tried, Dropped: func(key types.NamespacedName, n notify.Note, why error) {
			at := &v1alpha1.Notifier{TypeMeta: metav1.TypeMeta{APIVersion: v1alpha1.GroupVersion().String(), Kind: v1alpha1.KindNotifier},
				ObjectMeta: metav1.ObjectMeta{Namespace: key.Namespace, Name: key.Name}}
			recorder.Eventf(at, nil, corev1.EventTypeWarning, "NoteDropped", "Send", "note %s: %s", n.ID, problem.Clean(why.Error(), v1alpha1.MaxMessage))
		},
		System: cfg.System, Links: cfg.Links, Notifiers: read, Opener: outlet, Now: cfg.Now, Settled: cfg.Settled,
		Felt: func(key types.NamespacedName) {
			n := &v1alpha1.Notifier{ObjectMeta: metav1.ObjectMeta{Namespace: key.Namespace, Name: key.Name}}
			select {
			case news <- event.GenericEvent{Object: n}:
			default: // the periodic look finds it
			}
		},
	})
	if err := mgr.Add(worker); err != nil {
		return nil, fmt.Errorf("adding the outbox worker: %w", err)
	}
	r := &reconciler{client: mgr.GetClient(), outlet: outlet, worker: worker, now: cfg.Now, system: cfg.System}
	err := ctrl.NewControllerManagedBy(mgr).
		Named("notifier").
		For(&v1alpha1.Notifier{}).
		WatchesRawSource(source.Channel(news, &handler.EnqueueRequestForObject{})).
		WithLogConstructor(lineOf(mgr.GetLogger())).
		WithOptions(ctrlcontroller.Options{SkipNameValidation: ptr.To(true)}). // a process may run one after the other
		Complete(r)
	if err != nil {
		return nil, fmt.Errorf("adding the notifier controller: %w", err)
	}
	return worker, nil
}

// reader reads Notifiers from the cache, and Secrets one by one from the server: none is listed, watched or kept.
type reader struct {
	cached client.Reader
	live   client.Reader
}

// Notifier implements notify.Notifiers.
func (r *reader) Notifier(ctx context.Context, key types.NamespacedName) (*v1alpha1.Notifier, error) {
	n := &v1alpha1.Notifier{}
	if err := r.cached.Get(ctx, key, n); err != nil {
		return nil, missing(err)
	}
	return n, nil
}

// Source implements notify.Sources.
func (r *reader) Source(ctx context.Context, key types.NamespacedName) (*v1alpha1.Source, error) {
	src := &v1alpha1.Source{}
	if err := r.cached.Get(ctx, key, src); err != nil {
		return nil, missing(err)
	}
	return src, nil
}

// Secret implements notify.Secrets.
func (r *reader) Secret(ctx context.Context, key types.NamespacedName) (map[string][]byte, error) {
	s := &corev1.Secret{}
	if err := r.live.Get(ctx, key, s); err != nil {
		return nil, missing(err)
	}
	return s.Data, nil
}

func missing(err error) error {
	if apierrors.IsNotFound(err) {
		return notify.ErrNotFound
	}
	return err
}

// lineOf is the log of passes over one object.
func lineOf(base logr.Logger) func(*reconcile.Request) logr.Logger {
	return func(r *reconcile.Request) logr.Logger {
		if r == nil {
			return base
		}
		return base.WithValues("namespace", r.Namespace, "notifier", r.Name)
	}
}
