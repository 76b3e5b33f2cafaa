package controller

import (
	"context"
	"fmt"

	"github.com/sluice-dev/sluice/analysis"
	"github.com/sluice-dev/sluice/api/v1alpha1"
)

// servers says which Prometheus each metric is read from.
type servers struct {
	all     *v1alpha1.PrometheusReference            // of those that are not listed; nil: the one named default
	metrics map[string]*v1alpha1.PrometheusReference // of metrics whose template names one
	fields  map[string]string                        // where that stands, for a person
	missing []string                                 // in words
}

// refer notes what the template of a metric names; nil: nothing.
func (s *servers) refer(metric, field string, ref *v1alpha1.PrometheusReference) {
	if ref == nil {
		return
	}
	if s.metrics == nil {
		s.metrics, s.fields = map[string]*v1alpha1.PrometheusReference{}, map[string]string{}
	}
	s.metrics[metric], s.fields[metric] = ref, field+".template: spec.prometheus"
}

// of is the reference of a metric.
func (s servers) of(metric string) *v1alpha1.PrometheusReference {
	if ref, listed := s.metrics[metric]; listed {
		return ref
	}
	return s.all
}

// rest takes from an earlier time what cannot be had now: the attempt goes on with it. What is missing stays said.
func (s *servers) rest(before *servers) {
	if before == nil {
		return
	}
	if len(s.missing) > 0 {
		s.all, s.metrics, s.fields = before.all, before.metrics, before.fields
		return
	}
	for metric, ref := range before.metrics {
		if _, listed := s.metrics[metric]; !listed {
			s.refer(metric, "", ref)
		}
	}
}

// readServers finds out which servers the metrics are read from, and whether they are known.
func (p *pass) readServers() {
	s := &p.templates.servers
	s.all = p.object.Spec.Analysis.Prometheus
	check := func(field string, ref *v1alpha1.PrometheusReference) {
		if _, err := p.controller.config.Servers.Querier(p.key.Namespace, ref); err != nil {
			s.missing = append(s.missing, fmt.Sprintf("%s: %v", field, err))
		}
	}
	check("spec.analysis.prometheus", s.all)
	for _, metric := range p.object.Spec.Analysis.Metrics {
		if field, listed := s.fields[metric.Name]; listed {
			check(field, s.metrics[metric.Name])
		}
	}
}

// questions are queries with those they are put to. What cannot be asked is a failure of its metric, at the look.
func (p *pass) questions(queries []analysis.Query) []question {
	out := make([]question, 0, len(queries))
	for _, q := range queries {
		querier, err := p.controller.config.Servers.Querier(p.key.Namespace, p.templates.servers.of(q.Metric))
		if err != nil {
			querier = unasked{err}
		}
		out = append(out, question{q, querier})
	}
	return out
}

// unasked stands for a server that is not to be had.
type unasked struct{ err error }

// Series implements analysis.Querier.
func (u unasked) Series(context.Context, analysis.Query) ([]analysis.Series, error) {
	return nil, u.err
}

// Base implements analysis.Querier.
func (u unasked) Base(context.Context, analysis.Query) ([]analysis.Bucket, error) { return nil, u.err }

// Measure implements analysis.Querier.
func (u unasked) Measure(context.Context, analysis.Query) (analysis.Measurement, error) {
	return analysis.Measurement{}, u.err
}
