package controller

import (
	"slices"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/gitsync"
)

// count adds what a run has changed.
func (p *pass) count(changed, pruned int) {
	p.memory.tally = p.memory.tally.Add(p.memory.revision.commit.ID, p.started, changed, pruned)
}

// enter puts the commit at hand into the history: when it has changed something, and when a person has accepted it, which counts
// once, so that it has to be known.
func (p *pass) enter(s *v1alpha1.SourceStatus) {
	t, commit, now := p.memory.tally, p.memory.revision.commit, p.controller.config.Now()
	if t.Empty() && accepted(p.src) != commit.ID {
		return
	}
	s.History = slices.Insert(s.History, 0, v1alpha1.SourceHistory{Revision: commit.Revision(), Time: metav1.NewTime(now),
		Changed: int32(t.Changed), Pruned: int32(t.Pruned), Milliseconds: t.Took(now)})
	s.History = s.History[:min(len(s.History), maxHistory)]
}

// told says that the status tells of all that the commit has changed, and lets people know.
func (p *pass) told(objects int) {
	t := p.memory.tally
	p.memory.tally = gitsync.Tally{}
	if !t.Empty() {
		p.controller.config.Recorder.Eventf(p.src, nil, corev1.EventTypeNormal, v1alpha1.ReasonApplied, "Apply", "%s: %s",
			short(p.memory.revision.commit), t.Sentence(objects, p.controller.config.Now()))
	}
}
