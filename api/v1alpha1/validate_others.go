package v1alpha1

import (
	"path"
	"slices"
	"strings"
	"time"

	"github.com/sluice-dev/sluice/api/problem"
)

// Validate gives what is wrong with the spec, as Rollout.Validate does.
func (s *Source) Validate() []problem.Problem {
	f := &findings{object: KindSource + "/" + s.Namespace + "/" + s.Name}
	spec := s.Spec.DeepCopy()
	spec.Default()
	f.text("metadata.name", s.Name, 0, 63)
	f.repository(spec.URL)
	f.ref(spec.Ref)
	if path.IsAbs(spec.Path) || slices.Contains(strings.Split(spec.Path, "/"), "..") || len(spec.Path) > 512 {
		f.bound("spec.path", "name a directory of the repository", "%q is not relative and without ..", spec.Path)
	}
	f.lasts("spec.interval", spec.Interval, 10*time.Second, 24*time.Hour)
	f.lasts("spec.timeout", spec.Timeout, 5*time.Second, 10*time.Minute)
	f.within("spec.pruneLimitPercent", spec.PruneLimitPercent, 1, 100)
	if spec.PruneLimitPercent == 100 && *spec.Prune {
		f.add(CodePruneUnbound, problem.Warning, "spec.pruneLimitPercent", "everything may be pruned at once", "set a lower limit")
	}
	if spec.Webhook != nil {
		one(f, "spec.webhook.provider", spec.Webhook.Provider, WebhookGeneric)
		f.text("spec.webhook.secretRef.name", spec.Webhook.SecretRef.Name, 1, 253)
	}
	if spec.SecretRef != nil {
		f.text("spec.secretRef.name", spec.SecretRef.Name, 1, 253)
	}
	if spec.ProxySecretRef != nil {
		f.text("spec.proxySecretRef.name", spec.ProxySecretRef.Name, 1, 253)
	}
	f.text("spec.serviceAccountName", spec.ServiceAccountName, 0, 63)
	return f.list
}

// Validate gives what is wrong with the form of the spec, as Rollout.Validate does. Whether the selectors are PromQL is
// found where they are parsed.
func (m *MetricTemplate) Validate() []problem.Problem {
	f := &findings{object: KindMetricTemplate + "/" + m.Namespace + "/" + m.Name}
	set := 0
	if r := m.Spec.Ratio; r != nil {
		set++
		if (r.Bad == "") == (r.Good == "") {
			f.bound("spec.ratio", "set exactly one of bad and good", "bad is %q and good is %q", r.Bad, r.Good)
		}
		f.text("spec.ratio.bad", r.Bad, 0, 1024)
		f.text("spec.ratio.good", r.Good, 0, 1024)
		f.text("spec.ratio.total", r.Total, 1, 1024)
	}
	if h := m.Spec.Histogram; h != nil {
		set++
		f.text("spec.histogram.buckets", h.Buckets, 1, 1024)
		one(f, "spec.histogram.unit", h.Unit, "", UnitSeconds, UnitMilliseconds)
	}
	if c := m.Spec.Condition; c != nil {
		set++
		f.condition(c)
	}
	if set != 1 {
		f.bound("spec", "set exactly one of ratio, histogram and condition", "%d of ratio, histogram and condition are set", set)
	}
	f.args("spec.args", m.Spec.Args)
	if p := m.Spec.Prometheus; m.Spec.Shared && p != nil && p.URL != "" {
		f.bound("spec.prometheus.url", "name one of --prometheus-config", "a shared template is read from servers that the controller knows by name")
	}
	f.prometheus("spec.prometheus", m.Spec.Prometheus)
	return f.list
}

func (f *findings) condition(c *ConditionTemplate) {
	const field = "spec.condition"
	f.text(field+".query", c.Query, 1, 1024)
	f.text(field+".pass", c.Pass, 0, 1024)
	f.text(field+".fail", c.Fail, 0, 1024)
	if c.Pass == "" && c.Fail == "" {
		f.bound(field, "give pass, fail or both, such as pass: 'value < 100.0'", "a condition without pass and fail decides nothing")
	}
	f.lasts(field+".interval", c.Interval, 5*time.Second, time.Hour)
	f.lasts(field+".initialDelay", c.InitialDelay, 0, time.Hour)
	f.within(field+".count", c.Count, 0, 1000)
	f.within(field+".failureLimit", c.FailureLimit, -1, 1000)
	f.within(field+".inconclusiveLimit", c.InconclusiveLimit, 0, 1000)
	if c.ConsecutiveErrorLimit != nil {
		f.within(field+".consecutiveErrorLimit", *c.ConsecutiveErrorLimit, 0, 1000)
	}
	f.within(field+".consecutiveSuccessLimit", c.ConsecutiveSuccessLimit, 0, 1000)
	if c.Count > 0 && c.ConsecutiveSuccessLimit > c.Count {
		f.bound(field+".consecutiveSuccessLimit", "make it at most count", "%d passes in a row can never come in %d measurements", c.ConsecutiveSuccessLimit, c.Count)
	}
	one(f, field+".onFail", c.OnFail, "", FailRollback, FailHold)
}
