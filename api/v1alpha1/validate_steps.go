package v1alpha1

import (
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"time"

	"github.com/sluice-dev/sluice/api/problem"
	"github.com/sluice-dev/sluice/api/re2"
)

// maxPlan is how many bytes of JSON the steps may take in the status.
const maxPlan = 4096

// parts finds what is wrong with what a step has besides weight, bake and promotion.
func (f *findings) parts(field string, step *Step, metrics []Metric) {
	if step.Weight == 100 && (len(step.Match) > 0 || step.Mirror != nil) {
		f.bound(field, "leave match and mirror to the steps below 100", "at weight 100 everything goes to the canary")
	}
	if len(step.Metrics) > 12 {
		f.bound(field+".metrics", "use 12 at most", "%d metrics", len(step.Metrics))
	}
	known := gates(metrics)
	for i, name := range step.Metrics {
		at := fmt.Sprintf("%s.metrics[%d]", field, i)
		f.text(at, name, 1, 63)
		if slices.Index(step.Metrics, name) < i {
			f.bound(at, "name each metric once", "%q stands twice", name)
		}
		if !slices.Contains(known, name) {
			f.bound(at, fmt.Sprintf("name one of %v", known), "analysis.metrics has no %q", name)
		}
	}
	if step.Pause != nil {
		f.lasts(field+".pause.for", step.Pause.For, time.Second, anyTime)
	}
	if step.Approval != nil {
		f.within(field+".approval.count", step.Approval.Count, 1, 5)
	}
	f.matches(field+".match", step.Match)
	if step.Mirror != nil {
		f.mirror(field+".mirror", step.Mirror)
	}
}

// gates are the names of the metrics that a step's gate can require: those listed, and those that are on by themselves.
func gates(metrics []Metric) []string {
	out := DefaultMetrics()
	for i := range metrics {
		m := &metrics[i]
		out = slices.DeleteFunc(out, func(name string) bool { return name == m.Name })
		if !m.Disabled && !m.DryRun {
			out = append(out, m.Name)
		}
	}
	return out
}

func (f *findings) matches(field string, list []ClientMatch) {
	if list != nil && len(list) == 0 {
		f.bound(field, "leave it out", "it is empty")
	}
	if len(list) > 4 {
		f.bound(field, "use 4 at most", "%d matches", len(list))
	}
	for i := range list {
		at := fmt.Sprintf("%s[%d]", field, i)
		if len(list[i].Headers)+len(list[i].Cookies) == 0 {
			f.bound(at, "name a header or a cookie", "it names nothing")
		}
		f.values(at+".headers", list[i].Headers, 4)
		f.values(at+".cookies", list[i].Cookies, 2)
	}
}

func (f *findings) values(field string, list []ValueMatch, most int) {
	if len(list) > most {
		f.bound(field, fmt.Sprintf("use %d at most", most), "%d entries", len(list))
	}
	for i, v := range list {
		at := fmt.Sprintf("%s[%d]", field, i)
		f.name(at+".name", v.Name, token())
		f.text(at+".name", v.Name, 1, 64)
		given := 0
		for _, value := range []string{v.Exact, v.Prefix, v.Regex} {
			f.text(at, value, 0, 128)
			if value != "" {
				given++
			}
		}
		if given != 1 {
			f.bound(at, "set exactly one of exact, prefix and regex", "%d of them are set", given)
		}
		if _, err := re2.Compile(v.Regex); err != nil {
			f.bound(at+".regex", "write an RE2 expression", "%v", err)
		}
	}
}

func (f *findings) mirror(field string, m *Mirror) {
	f.within(field+".percent", m.Percent, 1, 100)
	for i, method := range m.Methods {
		at := fmt.Sprintf("%s.methods[%d]", field, i)
		one(f, at, method, "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT")
		if slices.Index(m.Methods, method) < i {
			f.bound(at, "name each method once", "%q stands twice", method)
		}
	}
}

// plan bounds what the steps take in the status.
func (f *findings) plan(steps []Step) {
	plan := make([]PlanStep, len(steps))
	for i := range steps {
		s := &steps[i]
		plan[i] = PlanStep{Name: s.called(i + 1), Weight: s.Weight, Bake: Bake{Min: DurationOf(anyTime), Max: DurationOf(anyTime)},
			Promotion: PromotionEvidence, Metrics: s.Metrics, Pause: s.Pause, Match: s.Match, Mirror: s.Mirror, Approvals: 1}
	}
	if text, err := json.Marshal(plan); err != nil || len(text) > maxPlan {
		f.bound("spec.steps", "use fewer or shorter matches", "the plan takes %d bytes, at most %d", len(text), maxPlan)
	}
}

func (f *findings) affinity(a *Affinity) {
	if a == nil {
		return
	}
	if (a.Cookie == nil) == (a.Header == nil) {
		f.bound("spec.affinity", "set exactly one of cookie and header", "clients are told apart by one thing")
	}
	if a.Header != nil {
		f.name("spec.affinity.header.name", a.Header.Name, token())
		f.text("spec.affinity.header.name", a.Header.Name, 1, 64)
	}
	if c := a.Cookie; c != nil {
		if c.Name != "" {
			f.name("spec.affinity.cookie.name", c.Name, token())
			f.text("spec.affinity.cookie.name", c.Name, 1, 72)
		}
		f.lasts("spec.affinity.cookie.maxAge", c.MaxAge, time.Minute, anyTime)
		f.name("spec.affinity.cookie.path", c.Path, regexp.MustCompile(`^/[A-Za-z0-9._~/+@%=,:!$&'()*-]*$`))
		f.text("spec.affinity.cookie.path", c.Path, 1, 256)
		one(f, "spec.affinity.cookie.sameSite", c.SameSite, SameSiteLax, SameSiteStrict, SameSiteNone)
		if c.SameSite == SameSiteNone && !*c.Secure {
			f.bound("spec.affinity.cookie.secure", "set secure, or another sameSite", "browsers take sameSite none from secure cookies only")
		}
	}
}

// calendar finds what is wrong with windows and freezes.
func (f *findings) calendar(s *RolloutSpec) {
	if len(s.Windows) > 8 || len(s.Freezes) > 8 {
		f.bound("spec.windows", "use 8 at most of each", "%d windows, %d freezes", len(s.Windows), len(s.Freezes))
	}
	for i, w := range s.Windows {
		at := fmt.Sprintf("spec.windows[%d]", i)
		for j, d := range w.Days {
			one(f, fmt.Sprintf("%s.days[%d]", at, j), d, "Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
			if slices.Index(w.Days, d) < j {
				f.bound(at+".days", "name each day once", "%q stands twice", d)
			}
		}
		f.name(at+".from", w.From, clock())
		f.name(at+".to", w.To, clock())
		if w.From == w.To {
			f.bound(at+".to", "leave windows out for no limit", "from and to are the same")
		}
		if _, err := time.LoadLocation(w.TimeZone); err != nil || !regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_+/-]*$`).MatchString(w.TimeZone) || w.TimeZone == "Local" {
			f.bound(at+".timeZone", "name a zone such as Europe/Berlin", "%q is not a time zone", w.TimeZone)
		}
	}
	for i := range s.Freezes {
		at := fmt.Sprintf("spec.freezes[%d]", i)
		if !s.Freezes[i].From.Before(&s.Freezes[i].To) {
			f.bound(at+".to", "let it end after it begins", "from is not before to")
		}
		f.text(at+".reason", s.Freezes[i].Reason, 1, 128)
	}
}

// strategy finds what is wrong with the rest: preview, ways back, Notifiers.
func (f *findings) strategy(s *RolloutSpec) {
	if s.PreviewHost != "" {
		f.name("spec.previewHost", s.PreviewHost, host())
		f.text("spec.previewHost", s.PreviewHost, 1, 253)
	}
	if s.PreviewHost != "" && s.PreviewHost == s.Host {
		f.bound("spec.previewHost", "name another host", "it is the host itself")
	}
	f.within("spec.rollbackWindow.versions", *s.RollbackWindow.Versions, 0, 5)
	f.lasts("spec.rollbackWindow.maxAge", s.RollbackWindow.MaxAge, 0, anyTime)
	if len(s.Notify) > 8 {
		f.bound("spec.notify", "name 8 at most", "%d Notifiers", len(s.Notify))
	}
	seen := map[string]bool{}
	for i, n := range s.Notify {
		at := fmt.Sprintf("spec.notify[%d]", i)
		f.name(at+".name", n.Name, label())
		f.text(at+".name", n.Name, 1, 63)
		if seen[n.Name] {
			f.bound(at+".name", "name each Notifier once", "%q stands twice", n.Name)
		}
		seen[n.Name] = true
		for j, k := range n.Kinds {
			one(f, fmt.Sprintf("%s.kinds[%d]", at, j), k, NoteKinds()...)
			if slices.Index(n.Kinds, k) < j {
				f.bound(at+".kinds", "name each kind once", "%q stands twice", k)
			}
		}
	}
}

// Validate gives what is wrong with the spec, as Rollout.Validate does.
func (a *RolloutAction) Validate() []problem.Problem {
	f := &findings{object: KindRolloutAction + "/" + a.Namespace + "/" + a.Name}
	s := &a.Spec
	f.name("spec.rollout", s.Rollout, label())
	f.text("spec.rollout", s.Rollout, 1, 63)
	one(f, "spec.verb", s.Verb, ActionVerbs()...)
	promotes := slices.Contains([]ActionVerb{ActionPromote, ActionPromoteFull, ActionSkip}, s.Verb)
	switch {
	case (promotes || s.Verb == ActionApprove) && s.IfAttempt == 0 && s.IfRevision == "":
		f.bound("spec.ifAttempt", "set ifAttempt or ifRevision", "%s must say of which attempt", s.Verb)
	case s.Verb == ActionSkip && s.Step == "":
		f.bound("spec.step", "name the step to go to", "skip needs step")
	case s.Step != "" && s.Verb != ActionSkip && s.Verb != ActionApprove:
		f.bound("spec.step", "remove it", "only skip and approve take a step")
	case s.Reason == "" && slices.Contains([]ActionVerb{ActionPromoteFull, ActionSkip, ActionRollback}, s.Verb):
		f.bound("spec.reason", "say why", "%s needs reason", s.Verb)
	case s.OverrideWindow && (s.Reason == "" || !promotes):
		f.bound("spec.overrideWindow", "promote with a reason", "overrideWindow belongs to promote, promoteFull and skip, and needs reason")
	}
	if s.IfRevision != "" {
		f.name("spec.ifRevision", s.IfRevision, regexp.MustCompile(`^[0-9a-f]{8,64}$`))
	}
	if s.IfAttempt < 0 || s.IfSeq < 0 {
		f.bound("spec.ifSeq", "count from 1", "attempt %d, seq %d", s.IfAttempt, s.IfSeq)
	}
	f.text("spec.step", s.Step, 0, 32)
	f.text("spec.reason", s.Reason, 0, 280)
	f.text("spec.actor", s.Actor, 1, 253)
	return f.list
}

func token() *regexp.Regexp { return regexp.MustCompile(`^[A-Za-z0-9_-]+$`) }
func clock() *regexp.Regexp { return regexp.MustCompile(`^([01][0-9]|2[0-3]):[0-5][0-9]$`) }
