package app

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/uuid"
	coordinationv1client "k8s.io/client-go/kubernetes/typed/coordination/v1"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/leaderelection/resourcelock"
)

// leadership is the lease of the leader. A leader that cannot renew it because the API server does not answer keeps
// running: were it to end, nobody would judge the canaries that are under way, and nobody else can take the lease either
// as long as it lasts. It is then not confirmed, may store nothing and only brake. When the server answers again it either
// still has the lease, or ends at once.
type leadership struct {
	resourcelock.Interface
	now    func() time.Time
	limit  time.Duration // without a renewal for longer it is not confirmed
	answer time.Duration // how long one answer is waited for

	mu       sync.Mutex // guards the rest
	leads    bool
	renewed  time.Time
	record   *resourcelock.LeaderElectionRecord
	raw      []byte
	replaced func() // called once when another process has the lease; nil: nobody wants to know
}

// newLeadership makes the lease that this process is to have.
func newLeadership(cfg *rest.Config, c Config) (*leadership, error) {
	client, err := coordinationv1client.NewForConfig(cfg)
	if err != nil {
		return nil, fmt.Errorf("making the client of the lease: %w", err)
	}
	return &leadership{
		Interface: &resourcelock.LeaseLock{
			LeaseMeta:  metav1.ObjectMeta{Namespace: c.Namespace, Name: leaseName},
			Client:     client,
			LockConfig: resourcelock.ResourceLockConfig{Identity: c.Replica + "_" + string(uuid.NewUUID())},
		},
		now: Now, limit: c.Leader.Lease * 2 / 3, answer: c.Leader.Lease * 2 / 15,
	}, nil
}

// confirmed reports that the lease was renewed in time.
func (l *leadership) confirmed() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.leads && l.now().Sub(l.renewed) <= l.limit
}

// deciding reports whether this process decides: it has the lease, or needs none and runs.
func (l *leadership) deciding(c Config, elected <-chan struct{}) func() bool {
	return func() bool {
		select {
		case <-elected:
		default:
			return false
		}
		l.mu.Lock()
		defer l.mu.Unlock()
		return l.leads || !c.Leader.Election
	}
}

// whenReplaced says whom to tell that another process leads.
func (l *leadership) whenReplaced(f func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.replaced = f
}

// Get implements resourcelock.Interface.
func (l *leadership) Get(ctx context.Context) (*resourcelock.LeaderElectionRecord, []byte, error) {
	ctx, cancel := context.WithTimeout(ctx, l.answer)
	defer cancel()
	record, raw, err := l.Interface.Get(ctx)
	if tell := l.got(&record, &raw, &err); tell != nil {
		tell()
	}
	return record, raw, err
}

// got notes what was read, or puts what was known in its place while the server is silent. tell is to be called if another
// process has the lease.
func (l *leadership) got(record **resourcelock.LeaderElectionRecord, raw *[]byte, err *error) (tell func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if *err != nil {
		if l.leads && silent(*err) {
			*record, *raw, *err = l.record, l.raw, nil
		}
		return nil
	}
	if l.leads && (*record).HolderIdentity != l.Identity() {
		l.leads, tell = false, l.replaced
	}
	l.record, l.raw = *record, *raw
	return tell
}

// Create implements resourcelock.Interface.
func (l *leadership) Create(ctx context.Context, record resourcelock.LeaderElectionRecord) error {
	return l.put(record, l.Interface.Create(ctx, record))
}

// Update implements resourcelock.Interface.
func (l *leadership) Update(ctx context.Context, record resourcelock.LeaderElectionRecord) error {
	if record.HolderIdentity == "" && l.another() {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, l.answer)
	defer cancel()
	return l.put(record, l.Interface.Update(ctx, record))
}

// another reports that, as last read, another process has the lease. A process that was stopped for long may not have seen
// that before it ends: what it then releases would be the other's.
func (l *leadership) another() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.record != nil && l.record.HolderIdentity != l.Identity()
}

// put notes what became of a write of the record.
func (l *leadership) put(record resourcelock.LeaderElectionRecord, err error) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err != nil {
		if l.leads && silent(err) {
			return nil
		}
		return err
	}
	l.leads, l.renewed, l.record = record.HolderIdentity == l.Identity(), l.now(), &record
	return nil
}

// silent reports that the server said nothing to a request.
func silent(err error) bool {
	var status apierrors.APIStatus
	if !errors.As(err, &status) {
		return true
	}
	return apierrors.IsTimeout(err) || apierrors.IsServerTimeout(err) || apierrors.IsServiceUnavailable(err) || apierrors.IsInternalError(err)
}
