package controller

import (
	"slices"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"
)

// maxRuns is how many commits of a Source are remembered with their times.
const maxRuns = 8

// Span is a time that something took. The zero value: it did not happen, or nobody saw it.
type Span struct {
	From time.Time
	To   time.Time
}

// Run is how a commit came in, as this process saw it. What another process did it does not know.
type Run struct {
	Commit string
	Heard  time.Time // of the push, or when a look found the commit
	Fetch  Span
	Render Span
	Apply  Span // from the first begin to the newest end: a commit may be applied in several goes
}

// runs are the newest runs of all Sources.
type runs struct {
	mu  sync.Mutex                     // guards all
	all map[types.NamespacedName][]Run // newest last
}

// account is what a Controller knows of its own work.
type account struct {
	meters meters
	runs   runs
}

// Run gives the run of a commit of a Source, and whether it is known.
func (c *Controller) Run(source types.NamespacedName, commit string) (Run, bool) {
	r := &c.runs
	r.mu.Lock()
	defer r.mu.Unlock()
	i := slices.IndexFunc(r.all[source], func(one Run) bool { return one.Commit == commit })
	if i < 0 || commit == "" {
		return Run{}, false
	}
	return r.all[source][i], true
}

// note changes the run of a commit, which is made if it is new.
func (r *runs) note(source types.NamespacedName, commit string, change func(*Run)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.all == nil {
		r.all = map[types.NamespacedName][]Run{}
	}
	list := r.all[source]
	i := slices.IndexFunc(list, func(one Run) bool { return one.Commit == commit })
	if i < 0 {
		list = append(list, Run{Commit: commit})
		list = list[max(0, len(list)-maxRuns):]
		i = len(list) - 1
		r.all[source] = list
	}
	change(&list[i])
}

func (r *runs) forget(source types.NamespacedName) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.all, source)
}

// found notes that this pass's look has shown a commit.
func (p *pass) found(commit string) {
	p.noteRun(commit, func(r *Run) {
		if !r.Heard.IsZero() {
			return // a look that found nothing new
		}
		r.Heard, r.Fetch = p.started, Span{p.started, p.controller.config.Now()}
		if pushed := p.memory.pushed; !pushed.IsZero() && pushed.Before(p.started) {
			r.Heard = pushed
		}
	})
}

func (p *pass) noteRun(commit string, change func(*Run)) {
	p.controller.runs.note(types.NamespacedName{Namespace: p.src.Namespace, Name: p.src.Name}, commit, change)
}
