package controller

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"sync/atomic"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/sluice-dev/sluice/api/problem"
	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/gitsync"
)

// Writer changes repositories.
type Writer interface {
	Tips(ctx context.Context, remote gitsync.Remote, refs ...string) (map[string]string, error)
	Edit(base gitsync.Tree, edits []gitsync.Edit) (gitsync.Tree, error)
	Push(ctx context.Context, p gitsync.Push) (string, error)
	Signer(s gitsync.Secret) (func(payload []byte) (string, error), error)
	Token(ctx context.Context, remote gitsync.Remote) (string, error) // of the App that the remote's credentials name
}

// Back is how people and repositories learn what became of commits. Its zero value tells nobody.
type Back struct {
	Outbox  Outbox
	Writer  Writer
	Forges  func(roots []byte) (*http.Client, error) // speaks with the APIs of forges; roots are PEM, or empty for the machine's
	System  string                                   // namespace whose Notifiers may be about all others; empty: none may
	Cluster string                                   // names the cluster in refs; empty: no ref of the default name is pushed
}

// Tell says how people and repositories learn what became of commits. It is called before the controller is set up.
func (c *Controller) Tell(b Back) { c.back = b }

const (
	backTimeout = 30 * time.Second // of one push, and of what it needs
	backAgain   = 5 * time.Minute  // after one that failed
	maxBack     = 10               // entries of status.writeBack
)

// The kinds and results of status.writeBack.
const (
	backLastGood     = "LastGood"
	backPushed       = "Pushed"
	backProposed     = "Proposed"
	backNotSeparable = "NotSeparable"
	backConflict     = "Conflict"
	backRefused      = "Refused"
	backFailed       = "Failed"
)

// echo is what a process knows of what it writes back.
type echo struct {
	pushed  string                     // commit that the last-good ref is known to have
	after   time.Time                  // no try before
	booting bool                       // the last good commit is being applied before the tip
	heeds   atomic.Bool                // a Rollout's status may make the commit good, or bad; true while Rollouts are read
	done    []v1alpha1.WriteBackStatus // what the repository has and the status may not have yet, oldest first
}

// reflect does what follows from what is applied, after a pass or when a Rollout or a note has news. It never delays a
// pass for long: what fails here is tried again with a later look.
func (p *pass) reflect(ctx context.Context, wait time.Duration) (ctrl.Result, error) {
	err := p.echo(ctx)
	if apierrors.IsConflict(err) {
		return ctrl.Result{RequeueAfter: afterConflict}, nil
	}
	return ctrl.Result{RequeueAfter: max(wait, time.Millisecond)}, err
}

// echo writes back what Rollouts made of the commit that is applied: the last good one, and reverts of bad ones.
func (p *pass) echo(ctx context.Context) error {
	if err := p.mail(ctx); err != nil {
		return err
	}
	p.memory.echo.heeds.Store(true)
	if err := p.recordDone(ctx); err != nil {
		return err
	}
	rollouts, err := p.own(ctx)
	if err != nil {
		return err
	}
	if err := p.lastGood(ctx, rollouts); err != nil {
		return err
	}
	s := p.src.Status
	p.memory.echo.heeds.Store(s.Commit != nil && s.LastGood != s.Commit.ID || p.reverts())
	return p.revertAll(ctx, rollouts)
}

// own gives the Rollouts that the Source has brought.
func (p *pass) own(ctx context.Context) ([]v1alpha1.Rollout, error) {
	list := &v1alpha1.RolloutList{}
	of := client.MatchingLabels{v1alpha1.LabelSourceName: p.src.Name, v1alpha1.LabelSourceNamespace: p.src.Namespace}
	if err := p.controller.config.Client.List(ctx, list, of); err != nil {
		return nil, fmt.Errorf("listing the Rollouts of the Source: %w", err)
	}
	return list.Items, nil
}

// rests reports whether a Rollout serves what Git wants, and nothing else.
func rests(ro *v1alpha1.Rollout) bool {
	s := ro.Status
	return s != nil && s.Phase == v1alpha1.PhaseIdle && s.Stable.Name != "" && s.Stable.Digest == ro.Annotations[v1alpha1.AnnotationDigest]
}

// caughtUp reports whether Rollouts, as they are read, are those of the applied commit: what was read may be older.
func (p *pass) caughtUp(rollouts []v1alpha1.Rollout) bool {
	for _, o := range p.memory.revision.build.Objects {
		if o.ID.Group != v1alpha1.Group || o.ID.Kind != v1alpha1.KindRollout {
			continue
		}
		at := slices.IndexFunc(rollouts, func(ro v1alpha1.Rollout) bool { return ro.Namespace == o.ID.Namespace && ro.Name == o.ID.Name })
		if at < 0 {
			return false
		}
		item, known := p.memory.applied[o.ID]
		if known && gitsync.Annotation(item.Object.Content, gitsync.AnnotationDigest) != rollouts[at].Annotations[v1alpha1.AnnotationDigest] {
			return false
		}
	}
	return true
}

// lastGood notes the applied commit as good once all Rollouts rest on its content, and tells the repository.
func (p *pass) lastGood(ctx context.Context, rollouts []v1alpha1.Rollout) error {
	m, s := p.memory, &p.src.Status
	good := s.Commit != nil && m.revision != nil && m.settled && m.revision.commit.ID == s.Commit.ID && m.revision.build.Reason == "" &&
		p.boots() == nil && p.caughtUp(rollouts) && !slices.ContainsFunc(rollouts, func(ro v1alpha1.Rollout) bool { return !rests(&ro) })
	if good && s.LastGood != s.Commit.ID {
		id := s.Commit.ID
		if err := p.write(ctx, func(s *v1alpha1.SourceStatus, c *v1alpha1.Conditions) { keep(s, c); s.LastGood = id }); err != nil {
			return err
		}
	}
	return p.publish(ctx)
}

// lastGoodRef is where the repository keeps the last good commit; empty: nowhere.
func (p *pass) lastGoodRef() string {
	w, cluster := p.src.Spec.WriteBack, p.controller.back.Cluster
	switch {
	case w == nil || p.controller.back.Writer == nil || w.LastGood != nil && !*w.LastGood:
		return ""
	case w.LastGoodRef != "":
		return w.LastGoodRef
	case cluster == "":
		return ""
	}
	return "refs/sluice/" + cluster + "/" + p.src.Namespace + "/" + p.src.Name + "/last-good"
}

// publish moves the ref to the last good commit, unless it is there.
func (p *pass) publish(ctx context.Context) error {
	ref, good, e := p.lastGoodRef(), p.src.Status.LastGood, &p.memory.echo
	if ref == "" || good == "" || e.pushed == good || p.started.Before(e.after) {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, backTimeout)
	defer cancel()
	remote, err := p.writable(ctx)
	var tips map[string]string
	if err == nil {
		tips, err = p.controller.back.Writer.Tips(ctx, remote, ref)
	}
	if err == nil && tips[ref] != good {
		_, err = p.controller.back.Writer.Push(ctx, gitsync.Push{Remote: remote, Ref: ref, Old: tips[ref], New: good, Timeout: backTimeout})
	}
	entry := v1alpha1.WriteBackStatus{Kind: backLastGood, Ref: ref, Commit: good, Result: backPushed}
	if err == nil {
		e.pushed = good
	} else {
		e.after = p.started.Add(backAgain)
		entry.Result, entry.Message = backFailed, err.Error()
	}
	return p.record(ctx, entry)
}

// record notes what was done in the status. Where that cannot be written now, a later pass does it: what was pushed is there
// and nothing in the cluster says so again.
func (p *pass) record(ctx context.Context, e v1alpha1.WriteBackStatus) error {
	e.Message, e.Time = problem.Clean(e.Message, problem.MaxMessage), metav1.NewTime(p.controller.config.Now())
	p.memory.echo.done = append(p.memory.echo.done, e)
	return p.recordDone(ctx)
}

// recordDone writes what is not in the status yet.
func (p *pass) recordDone(ctx context.Context) error {
	for m := &p.memory.echo; len(m.done) > 0; m.done = m.done[1:] {
		err := p.post(ctx, m.done[0])
		if apierrors.IsInvalid(err) {
			m.done = m.done[1:] // nor will it be stored later
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// post puts an entry in front of status.writeBack, in place of one about the same, and says a failure that is new.
func (p *pass) post(ctx context.Context, e v1alpha1.WriteBackStatus) error {
	same := func(o v1alpha1.WriteBackStatus) bool {
		return (o.Kind == backLastGood) == (e.Kind == backLastGood) && o.Rollout == e.Rollout && o.Digest == e.Digest
	}
	at := slices.IndexFunc(p.src.Status.WriteBack, same)
	known := at >= 0 && p.src.Status.WriteBack[at].Result == e.Result && p.src.Status.WriteBack[at].Commit == e.Commit && p.src.Status.WriteBack[at].Message == e.Message
	if known {
		return nil
	}
	err := p.write(ctx, func(s *v1alpha1.SourceStatus, c *v1alpha1.Conditions) {
		keep(s, c)
		s.WriteBack = slices.Insert(slices.DeleteFunc(slices.Clone(s.WriteBack), same), 0, e)
		s.WriteBack = s.WriteBack[:min(len(s.WriteBack), maxBack)]
	})
	if err != nil {
		return err
	}
	kind, text := corev1.EventTypeNormal, fmt.Sprintf("%s %s: %s at %.7s", e.Kind, e.Result, e.Ref, e.Commit)
	if e.Message != "" {
		kind, text = corev1.EventTypeWarning, fmt.Sprintf("%s %s: %s", e.Kind, e.Result, e.Message)
	}
	p.controller.config.Recorder.Eventf(p.src, nil, kind, "WriteBack", "Push", "%s", text)
	return nil
}

// writable gives the remote with the credential that may push.
func (p *pass) writable(ctx context.Context) (gitsync.Remote, error) {
	ref, err := p.remote(ctx)
	if err != nil {
		return gitsync.Remote{}, err
	}
	name := p.src.Spec.WriteBack.SecretRef.Name
	data, err := p.controller.secret(ctx, p.src.Namespace, name)
	if err != nil {
		return gitsync.Remote{}, err
	}
	if ref.Remote.Secret, err = gitsync.ReadSecret(p.src.Spec.URL, data); err != nil {
		return gitsync.Remote{}, fmt.Errorf("reading Secret %s: %w", name, err)
	}
	ref.Remote.Scope += " write " + p.src.Namespace + "/" + name
	return ref.Remote, nil
}

var errNoHistory = errors.New("no last good commit")
