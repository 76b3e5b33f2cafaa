package controller

import (
	"context"
	"errors"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/gitsync"
)

// fetch gets the tree of the ref, which must descend from the commit that is applied.
func (p *pass) fetch(ctx context.Context) (gitsync.Tree, error) {
	ref, err := p.remote(ctx)
	if err != nil {
		p.memory.settled = false // the status will tell of it: what it told before has to be found again
		return nil, err
	}
	tree, err := p.controller.config.Fetcher.Fetch(ctx, ref, p.have())
	if err != nil {
		p.memory.settled = false
		p.disprove(err)
		p.keep(ctx, ref, err)
		return nil, err
	}
	p.memory.history.verdict = signed(ref, tree.Commit())
	p.tellUnproven(tree.Commit())
	return tree, nil
}

// have gives the commit that a new one is measured against: the applied one, unless that was taken by another URL or ref
// than the spec names now. Such a change is the consent to another history; no other change of the spec is. The status
// holds by what it was taken, so a restart in between changes nothing.
func (p *pass) have() string {
	applied := p.src.Status.Commit
	switch {
	case applied == nil,
		applied.Followed != "" && applied.Followed != followed(p.src),
		applied.Followed == "" && otherRef(p.src): // written by an older controller: its ref alone is known
		return ""
	}
	return applied.ID
}

// otherRef reports whether the status is of another ref than the one that the spec names.
func otherRef(src *v1alpha1.Source) bool {
	is, want := nameOf(src.Status.LastAppliedRevision), src.Spec.Ref
	return is != "" && ((want.Branch != "" && want.Branch != is) || (want.Tag != "" && want.Tag != is))
}

// disprove takes away what the last listing proved: nothing is pruned until the remote says again what it has. A commit that
// the remote has taken back, or that may not be followed, is not gone on with.
func (p *pass) disprove(cause error) {
	m := p.memory
	if m.revision == nil {
		return
	}
	m.revision.listedAt = time.Time{}
	switch gitsync.ReasonOf(cause, "") {
	case gitsync.HistoryRewritten, gitsync.TagMoved, gitsync.RefNotFound, gitsync.SignatureRefused:
		m.preemption.left = nil
		if applied := p.src.Status.Commit; applied == nil || applied.ID != m.revision.commit.ID {
			m.revision, m.again = nil, time.Time{}
			m.waits.Store(false)
		}
	default:
	}
}

// keep makes the applied commit known again where the ref no longer leads to it: a process that has started since then
// gets it by its id, so that its objects are still kept as they should be. A server that refuses that ends it.
func (p *pass) keep(ctx context.Context, ref gitsync.Ref, cause error) {
	m, applied := p.memory, p.src.Status.Commit
	reason := gitsync.ReasonOf(cause, "")
	if reason == gitsync.SignatureRefused {
		if failure, ok := errors.AsType[*gitsync.Failure](cause); ok {
			m.history.verdict = verdict{failure.Verdict, failure.Error()}
		}
	}
	if reason != gitsync.HistoryRewritten && reason != gitsync.TagMoved && reason != gitsync.SignatureRefused {
		return
	}
	if m.revision != nil || applied == nil || (ref.Verify.Demanded() && applied.Signer == "") {
		return
	}
	ref.Branch, ref.Tag, ref.Semver, ref.TagPrefix, ref.Name, ref.Commit = "", "", "", "", "", applied.ID
	ref.Verify.Tag = false // the tag is not there any more; that it was signed is why this commit was applied
	tree, err := p.controller.config.Fetcher.Fetch(ctx, ref, "")
	if err != nil {
		return
	}
	defer tree.Close()
	options, err := p.options(ctx)
	if err != nil {
		return
	}
	if _, err := p.render(ctx, tree, options); err != nil {
		return
	}
	m.revision.commit.Ref, m.revision.listedAt = nameOf(p.src.Status.LastAppliedRevision), time.Time{} // not at the ref: it proves nothing
}

// tellUnproven tells once per commit that its descent rests on dates alone.
func (p *pass) tellUnproven(c gitsync.Commit) {
	m := &p.memory.history
	if !c.Unproven || m.unproven == c.ID {
		return
	}
	m.unproven = c.ID
	p.controller.config.Recorder.Eventf(p.src, nil, corev1.EventTypeWarning, v1alpha1.ReasonDescentUnproven, "Fetch",
		"the server cannot show whether %.12s descends from the commit before; it is not older, so it is taken", c.ID)
}

// history is what a process knows of the commits that it has seen, besides the one that it has rendered.
type history struct {
	unproven string  // commit whose descent rests on dates, when that was told
	verdict  verdict // of the newest commit's signatures
}

// verdict is what became of the check of signatures. Its zero value means that none was made.
type verdict struct {
	is   gitsync.Verdict
	text string
}

func signed(ref gitsync.Ref, c gitsync.Commit) verdict {
	if !ref.Verify.Demanded() {
		return verdict{}
	}
	return verdict{gitsync.Signed, fmt.Sprintf("%.12s is signed by %s", c.ID, c.Signer)}
}

// sayVerified sets the condition Verified: the newest verdict, or what was said before where this pass has none.
func (p *pass) sayVerified(before []metav1.Condition, c *v1alpha1.Conditions) {
	v := p.memory.history.verdict
	if p.src.Spec.Verify == nil {
		return
	}
	if v.is != "" {
		status := metav1.ConditionFalse
		if v.is == gitsync.Signed {
			status = metav1.ConditionTrue
		}
		c.Set(v1alpha1.ConditionVerified, status, string(v.is), v.text)
		return
	}
	if was := v1alpha1.Condition(before, v1alpha1.ConditionVerified); was != nil {
		c.Set(was.Type, was.Status, was.Reason, was.Message)
	}
}
