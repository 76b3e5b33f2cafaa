package controller

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/gitsync"
)

// bootWait is how long Rollouts may take to find what is stable before the tip follows all the same.
const bootWait = 10 * time.Minute

// boots is since when the Source waits for its Rollouts to adopt the last good commit; nil: it does not. The status is the
// only memory of that: it has to outlive the process, trouble with Git and a suspension.
func (p *pass) boots() *metav1.Time { return p.src.Status.AdoptingSince }

// adoptingStill says what the Source waits for.
func (p *pass) adoptingStill(s *v1alpha1.SourceStatus, c *v1alpha1.Conditions) {
	s.Failures = 0
	c.Moving(v1alpha1.ReasonBootstrapping, "the last good commit is applied: the newest, "+short(p.memory.revision.commit)+", follows once all Rollouts have a stable version")
	keepPruneHeld(s, c)
}

// bootstrap comes before the tip is applied. In a cluster that was built anew it applies the last good commit first, so
// that Rollouts adopt its versions as stable and the tip is judged like any push. It reports whether the tip has to wait.
func (p *pass) bootstrap(ctx context.Context) (bool, error) {
	rev := p.memory.revision
	if since := p.boots(); since != nil {
		return p.adopting(ctx, since.Time)
	}
	if p.src.Status.LastAppliedRevision != "" || rev.build.Reason != "" {
		return false, nil
	}
	fresh, err := p.fresh(ctx)
	if err != nil || !fresh {
		return false, err
	}
	good, err := p.formerly(ctx)
	if errors.Is(err, errNoHistory) {
		p.controller.config.Recorder.Eventf(p.src, nil, corev1.EventTypeWarning, "AdoptedWithoutHistory", "Bootstrap",
			"%s is adopted as it is: %s", short(rev.commit), err)
		return false, nil
	}
	if err != nil || good.commit.ID == rev.commit.ID {
		return false, err
	}
	p.memory.revision, p.memory.echo.booting = good, true
	err = p.apply(ctx, ctx) // the tip waits for this one, whatever it is
	p.memory.revision, p.memory.settled, p.memory.echo.booting = rev, false, false
	p.memory.waits.Store(true)
	return true, err
}

// fresh reports whether the build has Rollouts and none of them serves anything yet.
func (p *pass) fresh(ctx context.Context) (bool, error) {
	any := false
	for _, o := range p.memory.revision.build.Objects {
		if o.ID.Group != v1alpha1.Group || o.ID.Kind != v1alpha1.KindRollout {
			continue
		}
		any = true
		live := &v1alpha1.Rollout{}
		err := p.controller.config.Live.Get(ctx, types.NamespacedName{Namespace: o.ID.Namespace, Name: o.ID.Name}, live)
		if err == nil && live.Status != nil && live.Status.Stable.Name != "" {
			return false, nil
		}
		if err != nil && !apierrors.IsNotFound(err) {
			return false, fmt.Errorf("looking for %s: %w", o.ID.Ref(), err)
		}
	}
	return any, nil
}

// formerly renders the commit that the repository keeps as the last good one. Trouble with the remote is an error: a bad
// tip is not adopted because of it.
func (p *pass) formerly(ctx context.Context) (*revision, error) {
	ref := p.lastGoodRef()
	if ref == "" {
		return nil, fmt.Errorf("%w is kept: spec.writeBack does not ask for it, or the operator has named no cluster", errNoHistory)
	}
	from, err := p.remote(ctx)
	if err != nil {
		return nil, err
	}
	from.Branch, from.Tag, from.Semver, from.TagPrefix, from.Commit, from.Name = "", "", "", "", "", ref
	tree, err := p.controller.config.Fetcher.Fetch(ctx, from, "")
	if gitsync.ReasonOf(err, "") == gitsync.RefNotFound {
		return nil, fmt.Errorf("%w: the repository has no %s", errNoHistory, ref)
	}
	if err != nil {
		return nil, fmt.Errorf("fetching %s: %w", ref, err)
	}
	defer tree.Close()
	options, err := p.options(ctx)
	if err != nil {
		return nil, err
	}
	build, open, err := p.build(ctx, tree, options)
	if err != nil {
		return nil, fmt.Errorf("rendering %s: %w", ref, err)
	}
	if build.Reason != "" {
		return nil, fmt.Errorf("%w can be used: %s does not render any more (%s)", errNoHistory, ref, build.Reason)
	}
	return &revision{commit: tree.Commit(), key: p.key(options), build: build, open: open, listedAt: p.started, values: options.Variables}, nil
}

// adopting reports whether a Rollout of the last good commit has nothing stable yet.
func (p *pass) adopting(ctx context.Context, since time.Time) (bool, error) {
	rollouts, err := p.own(ctx)
	if err != nil {
		return false, err
	}
	at := slices.IndexFunc(rollouts, func(ro v1alpha1.Rollout) bool { return ro.Status == nil || ro.Status.Stable.Name == "" })
	if at < 0 && len(rollouts) > 0 {
		return false, nil
	}
	left := bootWait - p.controller.config.Now().Sub(since)
	if left <= 0 {
		p.controller.config.Recorder.Eventf(p.src, nil, corev1.EventTypeWarning, "AdoptionIncomplete", "Bootstrap",
			"not every Rollout has a stable version %s after the last good commit was applied: the newest follows", bootWait)
		return false, nil
	}
	p.memory.waits.Store(true)
	if again := p.started.Add(min(left, 30*time.Second)); again.Before(p.memory.next) {
		p.memory.next = again
	}
	return true, nil
}
