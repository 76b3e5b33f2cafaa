package convert_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"sigs.k8s.io/yaml"

	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/internal/cli/convert"
)

// from converts one file, and checks what holds for all.
func from(t *testing.T, text string) convert.Result {
	t.Helper()
	return converted(t, []convert.File{{Name: "in.yaml", Content: []byte(text)}})
}

// all are the objects of that kind in the output, by namespace/name.
func all[T any](t *testing.T, r convert.Result, kind string) map[string]T {
	t.Helper()
	out := map[string]T{}
	for doc := range strings.SplitSeq(string(r.YAML), "\n---\n") {
		var head struct {
			Kind     string
			Metadata struct{ Name, Namespace string }
		}
		if err := yaml.Unmarshal([]byte(doc), &head); err != nil {
			t.Fatal(err)
		}
		if head.Kind != kind {
			continue
		}
		id := head.Metadata.Namespace + "/" + head.Metadata.Name
		if _, twice := out[id]; twice {
			t.Errorf("%s %s is written twice", kind, id)
		}
		var o T
		if err := yaml.Unmarshal([]byte(doc), &o); err != nil {
			t.Fatal(err)
		}
		out[id] = o
	}
	return out
}

// says gives the words on a field of the first document that has some, with their code.
func says(r convert.Result, path string) string {
	for _, i := range r.Report.Items {
		if i.Path == path {
			return i.Code + ": " + i.Words
		}
	}
	return ""
}

func argoRollout(name, rest string) string {
	return "apiVersion: argoproj.io/v1alpha1\nkind: Rollout\nmetadata: {name: " + name + ", namespace: shop}\nspec:\n  strategy:\n" + rest + "---\n"
}

const rateTemplate = `apiVersion: argoproj.io/v1alpha1
kind: AnalysisTemplate
metadata: {name: rate, namespace: shop}
spec:
  args:
  - name: service-name
  - name: least
    value: "5"
  metrics:
  - name: success
    successCondition: result[0] >= 0.9
    provider:
      prometheus: {query: 'sum(rate(ok{service="{{args.service-name}}",le="{{args.least}}"}[1m]))'}
`

func used(args string) string {
	return "      analysis:\n        templates: [{templateName: rate}]\n" + args
}

func bound(service string) string {
	return "        args: [{name: service-name, value: " + service + "}]\n"
}

// A template that two Rollouts use asks for each of them with its own values.
func TestRun_eachUseOfATemplateHasItsOwnArgs(t *testing.T) {
	r := from(t, argoRollout("a", "    canary:\n"+used(bound("a")))+argoRollout("b", "    canary:\n"+used(bound("b")))+rateTemplate)
	rollouts := all[v1alpha1.Rollout](t, r, "Rollout")
	for _, name := range []string{"a", "b"} {
		got := rollouts["shop/"+name].Spec.Analysis.Metrics
		want := []v1alpha1.Metric{{Name: "success", Template: "rate-success", Args: []v1alpha1.Argument{{Name: "service_name", Value: name}}}}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
	got := all[v1alpha1.MetricTemplate](t, r, "MetricTemplate")["shop/rate-success"].Spec.Args
	want := []v1alpha1.Argument{{Name: "service_name", Value: "unset"}, {Name: "least", Value: "5"}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("the template's own (-want +got):\n%s", diff)
	}
}

// However often a Rollout uses a template, each use has a name; one that asks the same again is the same metric.
func TestRun_metricsOfATemplateHaveDifferentNames(t *testing.T) {
	steps := "    canary:\n      steps:\n"
	for i, service := range []string{"a", "b", "c", "d", "b"} {
		steps += fmt.Sprintf("      - setWeight: %d\n      - analysis:\n          templates: [{templateName: rate}]\n          args: [{name: service-name, value: %s}]\n", 10*i+10, service)
	}
	got := map[string]string{}
	for _, m := range all[v1alpha1.Rollout](t, from(t, argoRollout("a", steps)+rateTemplate), "Rollout")["shop/a"].Spec.Analysis.Metrics {
		got[m.Name] = fmt.Sprintf("%s from %d", m.Args[0].Value, m.FromStep)
	}
	want := map[string]string{"success": "a from 0", "rate-success": "b from 2", "rate-success-2": "c from 3", "rate-success-3": "d from 4"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// A use without a value decides nothing, and says so, though another use has one.
func TestRun_aUseWithoutAValueIsToDo(t *testing.T) {
	r := from(t, argoRollout("a", "    canary:\n"+used(bound("a")))+argoRollout("b", "    canary:\n"+used(""))+
		argoRollout("c", "    canary:\n"+used("        args: [{name: service-name, value: c}, {name: least, valueFrom: {fieldRef: {fieldPath: metadata.name}}}, {name: other, value: x}]\n"))+rateTemplate)
	rollouts := all[v1alpha1.Rollout](t, r, "Rollout")
	for name, want := range map[string]bool{"a": false, "b": true, "c": true} {
		if got := rollouts["shop/"+name].Spec.Analysis.Metrics[0].DryRun; got != want {
			t.Errorf("%s: dryRun %t, want %t", name, got, want)
		}
	}
	if todo := strings.Count(string(r.YAML), "# S903 TODO: give arg service_name its value"); todo != 1 {
		t.Errorf("the value is asked for %d times in\n%s", todo, r.YAML)
	}
	lines := map[int]bool{}
	for _, i := range r.Report.Items {
		lines[i.Line] = lines[i.Line] || i.Code == "S903" && strings.Contains(i.Path, "templates[0]")
	}
	if lines[8] || !lines[18] || !lines[27] {
		t.Errorf("want S903 at the templates of b and c, and not at that of a: %+v", r.Report.Items)
	}
	if got := says(r, "spec.strategy.canary.analysis.args[2]"); !strings.HasPrefix(got, "S901") {
		t.Errorf("an arg that no query asks for: %q", got)
	}
}

// A use that reads the hash of Pods asks another question, so it has a template of its own.
func TestRun_anotherQueryIsAnotherTemplate(t *testing.T) {
	hash := "        args: [{name: service-name, valueFrom: {podTemplateHashValue: Latest}}]\n"
	r := from(t, argoRollout("a", "    canary:\n"+used(bound("a")))+argoRollout("b", "    canary:\n"+used(hash))+rateTemplate)
	templates := all[v1alpha1.MetricTemplate](t, r, "MetricTemplate")
	for name, want := range map[string]string{"shop/rate-success": "{{service_name}}", "shop/rate-success-2": "{{subset}}"} {
		if got := templates[name].Spec.Condition; got == nil || !strings.Contains(got.Query, want) {
			t.Errorf("%s asks %+v; want %s in it", name, got, want)
		}
	}
	if got := all[v1alpha1.Rollout](t, r, "Rollout")["shop/b"].Spec.Analysis.Metrics[0].Template; got != "rate-success-2" {
		t.Errorf("b names template %s", got)
	}
}

// A metric never takes the place of a built-in one, and what a template shows only is nothing to others.
func TestRun_namesOfBuiltInMetricsAreTaken(t *testing.T) {
	other := strings.NewReplacer("rate,", "other,", "success\n", "errors\n", "  metrics:", "  dryRun: [{metricName: success}]\n  metrics:").Replace(rateTemplate)
	analysis := "    canary:\n      analysis:\n        templates: [{templateName: other}, {templateName: rate}]\n" + bound("a")
	for _, m := range all[v1alpha1.Rollout](t, from(t, argoRollout("a", analysis)+rateTemplate+"---\n"+other), "Rollout")["shop/a"].Spec.Analysis.Metrics {
		if m.Name != "other-errors" && m.Name != "success" || m.DryRun {
			t.Errorf("%+v", m)
		}
	}
	if got := all[v1alpha1.MetricTemplate](t, from(t, other), "MetricTemplate"); len(got) != 1 { // nobody names it
		t.Errorf("%d templates", len(got))
	}
}

const sharedRoutes = `apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: shared, namespace: shop}
spec:
  hosts: [a, b]
  http:
  - name: to-a
    route: [{destination: {host: a}}, {destination: {host: a-canary}}]
  - name: to-b
    route: [{destination: {host: b}}, {destination: {host: b-canary}}]
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: shared, namespace: other}
spec:
  hosts: [c]
  http:
  - route: [{destination: {host: c}}]
`

type virtualService struct {
	Spec struct {
		HTTP []struct {
			Route []struct{ Destination struct{ Host string } }
		}
	}
}

func routed(name, routes string) string {
	return argoRollout(name, "    canary:\n      trafficRouting: {istio: {virtualService: {name: shared"+routes+"}}}\n")
}

// Rollouts that name one VirtualService change one object; that of another namespace is another.
func TestRun_rolloutsChangeOneVirtualServiceTogether(t *testing.T) {
	r := from(t, routed("a", ", routes: [to-a]")+routed("b", ", routes: [to-b]")+routed("d", "")+strings.ReplaceAll(routed("e", ""), "shop", "nowhere")+sharedRoutes)
	got := map[string][]string{}
	for id, vs := range all[virtualService](t, r, "VirtualService") {
		for _, rule := range vs.Spec.HTTP {
			for _, to := range rule.Route {
				got[id] = append(got[id], to.Destination.Host)
			}
		}
	}
	if diff := cmp.Diff(map[string][]string{"shop/shared": {"a", "b"}, "other/shared": {"c"}}, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	todo := 0
	for _, i := range r.Report.Items {
		if i.Code == "S903" && strings.Contains(i.Path, "virtualService") {
			todo++
		}
	}
	if todo != 2 { // d takes what is a's and b's, and nowhere has none
		t.Errorf("%d of two to do: %+v", todo, r.Report.Items)
	}
}

// Rollouts that name one DestinationRule give it the subsets of both.
func TestRun_rolloutsShareADestinationRule(t *testing.T) {
	named := func(name, version string) string {
		return strings.Replace(argoRollout(name, "    canary:\n      trafficRouting: {istio: {destinationRule: {name: rule}}}\n"), "spec:\n",
			"spec:\n  template: {metadata: {labels: {version: "+version+"}}}\n", 1)
	}
	rule := "apiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata: {name: rule, namespace: shop}\nspec:\n  host: h\n  subsets: [{name: stable}]\n"
	for _, written := range []string{rule, ""} {
		r := from(t, named("a", "v1")+named("b", "x1")+written)
		var got []string
		for _, s := range all[struct {
			Spec struct{ Subsets []struct{ Name string } }
		}](t, r, "DestinationRule")["shop/rule"].Spec.Subsets {
			got = append(got, s.Name)
		}
		if diff := cmp.Diff([]string{"v1", "v2", "x1", "x2"}, got); diff != "" {
			t.Errorf("rule in the files: %t (-want +got):\n%s", written != "", diff)
		}
	}
}

// What is of the same name in another namespace is not meant.
func TestRun_objectsAreFoundInTheirNamespace(t *testing.T) {
	elsewhere := strings.Replace(rateTemplate, "namespace: shop", "namespace: other", 1)
	r := from(t, argoRollout("a", "    canary:\n"+used(bound("a")))+strings.Replace(elsewhere, "[1m]", "[9m]", 1)+"---\n"+rateTemplate)
	got := all[v1alpha1.MetricTemplate](t, r, "MetricTemplate")
	if len(got) != 2 || !strings.Contains(got["shop/rate-success"].Spec.Condition.Query, "[1m]") || !strings.Contains(got["other/rate-success"].Spec.Condition.Query, "[9m]") {
		t.Errorf("%s", r.YAML)
	}
	r = from(t, argoRollout("a", "    canary:\n"+used(bound("a")))+elsewhere)
	if got := says(r, "spec.strategy.canary.analysis.templates[0]"); !strings.HasPrefix(got, "S901") {
		t.Errorf("of another namespace: %q", got)
	}
}

// Routes are named in all VirtualServices of a Rollout, one of which may be meant with its namespace behind a dot.
func TestRun_routesOfSeveralVirtualServices(t *testing.T) {
	more := "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {name: gate, namespace: edge}\nspec:\n  hosts: [g]\n  http:\n  - name: outside\n    route: [{destination: {host: x}}]\n"
	r := from(t, argoRollout("a", "    canary:\n      trafficRouting: {istio: {virtualServices: [{name: shared, routes: [to-a]}, {name: gate.edge, routes: [outside]}]}}\n")+sharedRoutes+"---\n"+more)
	if diff := cmp.Diff([]string{"to-a", "outside"}, all[v1alpha1.Rollout](t, r, "Rollout")["shop/a"].Spec.Routes); diff != "" {
		t.Errorf("routes (-want +got):\n%s", diff)
	}
	if got := all[virtualService](t, r, "VirtualService")["edge/gate"].Spec.HTTP[0].Route[0].Destination.Host; got != "a" {
		t.Errorf("the gate sends to %s", got)
	}
}
