package view

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"time"

	"github.com/sluice-dev/sluice/api/v1alpha1"
)

// Story is an attempt from its beginning to its end, as far as it is known. What is not known any more is said in
// Missing, and is null or left out.
type Story struct {
	Outcome   v1alpha1.Outcome        `json:"outcome"`
	Reason    string                  `json:"reason,omitempty"`
	DryRun    bool                    `json:"dryRun,omitempty"`
	StartedAt *time.Time              `json:"startedAt"`
	EndedAt   *time.Time              `json:"endedAt"` // null while it goes on
	Steps     []StoryStep             `json:"steps"`
	Acts      []StoryAct              `json:"acts"`
	Events    []StoryEvent            `json:"events"`
	Queries   []StoryQuery            `json:"queries"`
	Proxies   *v1alpha1.ProxiesStatus `json:"proxies"` // as they are now
	Now       StoryNow                `json:"now"`
	Curves    *StoryCurves            `json:"curves"`
	Missing   []string                `json:"missing"`
}

// StoryStep is a step that the attempt reached.
type StoryStep struct {
	Step    int32      `json:"step"`
	Name    string     `json:"name,omitempty"`
	Weight  int32      `json:"weight"`
	From    *time.Time `json:"from"`  // the weight was asked for
	Acked   *time.Time `json:"acked"` // every connected proxy had it
	To      *time.Time `json:"to"`    // null while it is open
	Result  string     `json:"result,omitempty"`
	Actor   string     `json:"actor,omitempty"` // who passed it by an action
	Metrics []string   `json:"metrics,omitempty"`
}

// StoryAct is what a person asked for, and what became of it.
type StoryAct struct {
	At     *time.Time            `json:"at"`
	Verb   v1alpha1.ActionVerb   `json:"verb"`
	Actor  string                `json:"actor,omitempty"`
	Reason string                `json:"reason,omitempty"`
	Result v1alpha1.ActionResult `json:"result,omitempty"`
	Code   string                `json:"code,omitempty"`
}

// StoryEvent is something that happened.
type StoryEvent struct {
	At     time.Time `json:"at"`
	About  string    `json:"about"` // such as rollout/reviews
	Reason string    `json:"reason"`
	Note   string    `json:"note"`
}

// StoryQuery is what was asked of which server for a metric.
type StoryQuery struct {
	Metric string `json:"metric"`
	Server string `json:"server"`
	Query  string `json:"query"`
}

// StoryNow is what Git wants and what serves at the time of the report.
type StoryNow struct {
	Wants    *Version `json:"wants"`
	Serves   *Version `json:"serves"`
	Agree    bool     `json:"agree"`
	Sentence string   `json:"sentence"`
}

// StoryCurves are the evidence over time, judged anew from samples. Evidence is as ln.
type StoryCurves struct {
	Metric string       `json:"metric"`
	Server string       `json:"server"`
	Alpha  float64      `json:"alpha"`
	Beta   float64      `json:"beta"`
	Margin float64      `json:"margin"`
	Points []StoryPoint `json:"points"`
}

// StoryPoint is one look.
type StoryPoint struct {
	At      time.Time `json:"at"`
	Step    int       `json:"step"`
	Ratio   *float64  `json:"ratio"`
	AtLeast *float64  `json:"atLeast"`
	Harm    float64   `json:"harm"`
	Safe    float64   `json:"safe"`
	Blind   bool      `json:"blind,omitempty"`
}

// Known is what a report is made of besides the Rollout.
type Known struct {
	Events  []StoryEvent // of the Rollout and its Source, oldest first
	Actions []v1alpha1.RolloutAction
}

// AttemptReport tells an attempt; 0 is the newest. The error says which attempts are known.
func AttemptReport(ro *v1alpha1.Rollout, attempt int64, k Known) (EvidenceReport, error) {
	st := ro.Status
	if st == nil || len(st.History) == 0 && !st.Phase.Open() {
		return EvidenceReport{}, fmt.Errorf("rollout %s has made no attempt yet", ro.Name)
	}
	if attempt == 0 {
		attempt = st.Attempt
	}
	r := EvidenceReport{
		APIVersion: APIVersion, Kind: KindEvidenceReport, Rollout: object(ro), Attempt: attempt, Seq: st.Seq,
		Version: version(ro, attempted(st, attempt)), Stable: against(ro, attempt),
		Story: &Story{Proxies: st.Proxies, Now: now(ro), Steps: []StoryStep{}, Acts: []StoryAct{}, Events: []StoryEvent{}, Queries: []StoryQuery{}, Missing: []string{}},
	}
	if !begin(&r, ro) {
		return EvidenceReport{}, fmt.Errorf("attempt %d of rollout %s is not known any more, or not yet: known are %s", attempt, ro.Name, attempts(st))
	}
	if r.Version != nil && r.Version.Commit != "" && ro.Labels[v1alpha1.LabelSourceName] != "" {
		r.Git = &Git{Commit: r.Version.Commit, Context: "sluice/" + ro.Namespace + "/" + ro.Name, State: stateOf(r.Note)}
	}
	s := r.Story
	if st.Analysis != nil && attempt == st.Attempt {
		r.Metrics = st.Analysis.Metrics
	} else {
		s.miss("numbers: the status keeps those of the newest attempt, until Git asks for something else")
	}
	s.Events = s.during(k.Events)
	s.steps(ro, attempt)
	s.acts(k.Actions, ro.Name, attempt)
	r.ZeroAt = s.zero(ro, attempt)
	if n := len(s.Steps); n > 0 {
		last := s.Steps[n-1]
		r.Place = Place{Step: last.Step, Steps: max(st.Steps, int32(len(ro.Spec.Steps)), last.Step), Weight: last.Weight}
	}
	if i := entry(st, attempt); i >= 0 && s.EndedAt != nil {
		r.Sentence = told(st.History[i], r.Stable, r.Place)
	}
	return r, nil
}

// zero is when every proxy had sent back the traffic of a failed attempt: by the status while it is the newest, and by events.
func (s *Story) zero(ro *v1alpha1.Rollout, attempt int64) *time.Time {
	if s.EndedAt == nil || s.Outcome != v1alpha1.OutcomeRolledBack && s.Outcome != v1alpha1.OutcomeAborted {
		return nil
	}
	if attempt == ro.Status.Attempt {
		if at := zeroAt(ro.Status); at != nil {
			return at
		}
	}
	for _, e := range s.Events {
		if e.Reason == v1alpha1.ReasonRolledBack && e.About == "rollout/"+ro.Name && !e.At.Before(*s.EndedAt) {
			return &e.At
		}
	}
	return nil
}

func (s *Story) miss(what string) { s.Missing = append(s.Missing, what) }

// begin fills in how the attempt began and ended; false: it is not known.
func begin(r *EvidenceReport, ro *v1alpha1.Rollout) bool {
	st, s := ro.Status, r.Story
	if r.Attempt == st.Attempt && st.Phase.Open() {
		view := Status(ro)
		r.Note, r.Sentence, r.At = v1alpha1.NoteStarted, view.Message, st.Since.UTC()
		s.Outcome, s.Reason, s.DryRun = v1alpha1.OutcomeOpen, st.Reason, st.Observe
		if st.Progress != nil && st.Progress.StartedAt != nil {
			s.StartedAt = instant(st.Progress.StartedAt.Time)
		}
		return true
	}
	i := entry(st, r.Attempt)
	if i < 0 {
		return false
	}
	h := st.History[i]
	s.Outcome, s.Reason, s.DryRun = h.Outcome, h.Reason, h.DryRun
	s.StartedAt, s.EndedAt = instant(h.StartedAt.Time), instant(h.EndedAt.Time)
	r.At, r.Note = h.EndedAt.UTC(), noteOf(h.Outcome)
	return true
}

// entry is where the history tells of an attempt; below 0: nowhere.
func entry(st *v1alpha1.RolloutStatus, attempt int64) int {
	return slices.IndexFunc(st.History, func(h v1alpha1.HistoryEntry) bool { return h.Attempt == attempt })
}

// noteOf is the note that goes with an outcome.
func noteOf(o v1alpha1.Outcome) v1alpha1.NoteKind {
	switch o {
	case v1alpha1.OutcomeCompleted:
		return v1alpha1.NoteCompleted
	case v1alpha1.OutcomeRolledBack:
		return v1alpha1.NoteRolledBack
	case v1alpha1.OutcomeOpen:
		return v1alpha1.NoteStarted
	case v1alpha1.OutcomeSuperseded, v1alpha1.OutcomeReverted, v1alpha1.OutcomeRestarted:
		return v1alpha1.NoteSuperseded
	case v1alpha1.OutcomeAborted, v1alpha1.OutcomeDeleted:
		return v1alpha1.NoteAborted
	}
	return v1alpha1.NoteAborted
}

// told is an ended attempt in a sentence: what, where, by which numbers, what now.
func told(h v1alpha1.HistoryEntry, stable *Version, place Place) string {
	serves, before := "", ""
	if stable != nil {
		serves, before = "; "+stable.Name+" serves 100%", " to "+stable.Name
	}
	why := h.Reason
	if h.Text != "" {
		why = h.Text
	}
	where := fmt.Sprintf("step %d", h.Step)
	if place.Step == h.Step && h.Step > 0 {
		where = fmt.Sprintf("step %d/%d (%d%%)", place.Step, place.Steps, place.Weight)
	}
	switch h.Outcome {
	case v1alpha1.OutcomeCompleted:
		return fmt.Sprintf("%s is stable: %s", h.Name, why)
	case v1alpha1.OutcomeRolledBack:
		return fmt.Sprintf("rolled back%s at %s: %s%s", before, where, why, serves)
	default:
		return fmt.Sprintf("%s, %s at %s: %s%s", h.Name, h.Outcome, where, why, serves)
	}
}

// against is the version that an attempt was compared with.
func against(ro *v1alpha1.Rollout, attempt int64) *Version {
	st := ro.Status
	if attempt == st.Attempt && st.Phase != v1alpha1.PhaseIdle {
		return version(ro, st.Stable)
	}
	for _, h := range st.History {
		if h.Attempt < attempt && h.Outcome == v1alpha1.OutcomeCompleted {
			return version(ro, v1alpha1.VersionStatus{Name: h.Name, Digest: h.Digest, Commit: h.Commit})
		}
	}
	if st.Previous != nil && attempt == st.Attempt {
		return version(ro, st.Previous.VersionStatus)
	}
	return nil
}

// attempts are those that are known, in words.
func attempts(st *v1alpha1.RolloutStatus) string {
	words := ""
	if st.Phase.Open() {
		words = strconv.FormatInt(st.Attempt, 10)
	}
	for _, h := range st.History {
		if words != "" {
			words += ", "
		}
		words += strconv.FormatInt(h.Attempt, 10)
	}
	return words
}

// now is what Git wants and what serves.
func now(ro *v1alpha1.Rollout) StoryNow {
	st := ro.Status
	out := StoryNow{Serves: version(ro, st.Stable), Wants: version(ro, v1alpha1.VersionStatus{Name: ro.Spec.Subset, Commit: ro.Annotations[v1alpha1.AnnotationCommit]})}
	switch {
	case st.Phase == v1alpha1.PhaseRolledBack:
		out.Sentence = fmt.Sprintf("Git asks for %s, which was rejected; %s serves. Revert it in Git, push another content, or: sluice retry %s -n %s", ro.Spec.Subset, st.Stable.Name, ro.Name, ro.Namespace)
	case !st.Phase.AtRest():
		out.Sentence = fmt.Sprintf("Git asks for %s, and it is on the way; %s serves the rest", ro.Spec.Subset, st.Stable.Name)
	case st.Stable.Name == ro.Spec.Subset:
		out.Agree, out.Sentence = true, fmt.Sprintf("Git asks for %s, and it serves", ro.Spec.Subset)
	default:
		out.Sentence = fmt.Sprintf("Git asks for %s, and %s serves", ro.Spec.Subset, st.Stable.Name)
	}
	return out
}

// during are the events of the attempt: from just before its start, as events carry whole seconds, to just after its end.
func (s *Story) during(events []StoryEvent) []StoryEvent {
	out := []StoryEvent{}
	for _, e := range events {
		if s.StartedAt != nil && e.At.Before(s.StartedAt.Add(-time.Second)) || s.EndedAt != nil && e.At.After(s.EndedAt.Add(time.Minute)) {
			continue
		}
		e.At = e.At.UTC()
		out = append(out, e)
	}
	return out
}

// acts are what people asked for in the attempt.
func (s *Story) acts(actions []v1alpha1.RolloutAction, rollout string, attempt int64) {
	for _, a := range actions {
		if a.Spec.Rollout != rollout || a.Status.Attempt != attempt && (a.Status.Attempt != 0 || a.Spec.IfAttempt != attempt) {
			continue
		}
		act := StoryAct{At: instant(a.CreationTimestamp.Time), Verb: a.Spec.Verb, Actor: a.Spec.Actor, Reason: a.Spec.Reason, Result: a.Status.Result, Code: a.Status.Code}
		if a.Status.At != nil {
			act.At = instant(a.Status.At.Time)
		}
		s.Acts = append(s.Acts, act)
	}
	slices.SortStableFunc(s.Acts, func(a, b StoryAct) int {
		if a.At == nil || b.At == nil {
			return 0
		}
		return a.At.Compare(*b.At)
	})
}

// placed is how sentences begin that are about a step: step 2/3 (50%).
func placed() *regexp.Regexp { return regexp.MustCompile(`^step (\d+)/\d+ \((\d+)%`) }
