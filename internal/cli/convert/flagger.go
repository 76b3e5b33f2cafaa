package convert

import (
	"cmp"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

// flagger converts a Canary of Flagger.
func (c *conversion) flagger(f field) {
	c.used[f.doc] = true
	spec := f.get("spec")
	p := &plan{from: f, name: f.at("metadata", "name").text(), namespace: f.at("metadata", "namespace").text()}
	c.heading(f, "a Rollout of sluice.dev/v1alpha1; attempts are judged besides, against the old version")
	p.host = cmp.Or(spec.at("service", "name").text(), spec.at("targetRef", "name").text(), p.name)
	target := c.flaggerPods(p, spec.get("targetRef"))
	analysis := spec.get("analysis")
	if !analysis.ok() {
		analysis = spec.get("canaryAnalysis")
	}
	for _, one := range spec.fields() {
		switch one.key.Value {
		case "targetRef", "service", "analysis", "canaryAnalysis":
		case "progressDeadlineSeconds":
			if d, ok := duration(one.text()); ok && d >= 10*time.Second && d <= 24*time.Hour {
				p.extra = append(p.extra, extra{"progressDeadline", d, one})
				one.keep("spec.progressDeadline")
			}
		case "suspend":
			p.paused = one.text() == "true"
			one.keep("spec.paused")
		case "skipAnalysis":
			one.change("steps that only count time, where it is true")
		case "provider":
			if one.text() == "istio" || one.text() == "" {
				one.change("Sluice reads Istio's objects and programs the proxies itself")
			} else {
				one.drop("Sluice reads Istio's objects, not those of %s", one.text())
			}
		case "autoscalerRef":
			one.drop("Sluice scales no Pods: let an autoscaler name each Deployment")
		case "metricsServer":
			one.drop("name the server by --prometheus of the controller, or in spec.analysis.prometheus")
		case "revertOnDeletion":
			one.drop("Deployments stay as they are: there is nothing to revert")
		default:
			one.drop(unmeant)
		}
	}
	p.skip = spec.get("skipAnalysis").text() == "true"
	c.flaggerSteps(p, analysis)
	c.flaggerMetrics(p, analysis, target)
	for _, s := range p.steps {
		s.judged = len(p.metrics) > 0
	}
	p.finish()
	c.service(p, spec.get("service"), target)
	c.out = append([]*yaml.Node{p.node()}, c.out...)
}

// flaggerPods makes two Deployments of the one that is named; it gives its name.
func (c *conversion) flaggerPods(p *plan, ref field) string {
	name := ref.get("name").text()
	p.subset = "v1"
	d := c.find("apps/", "Deployment", p.namespace, name)
	if d == nil {
		ref.todo("%s %s is not among the files: make it two, one for each version, whose Pods have the label version: %s and %s", cmp.Or(ref.get("kind").text(), "Deployment"), name, p.subset, following(p.subset))
		return name
	}
	ref.change("two Deployments, one for each version")
	c.used[d] = true
	var fields []string
	for _, f := range d.root.at("spec").fields() {
		fields = append(fields, f.key.Value)
	}
	c.workload(p, name, d.root.get("spec"), fields)
	d.root.change("two Deployments, one for each version")
	return name
}

// flaggerSteps makes steps of weights, iterations, matches and copies.
func (c *conversion) flaggerSteps(p *plan, f field) {
	every, ok := duration(f.get("interval").text())
	if !ok {
		every = time.Minute
	}
	f.get("interval").change("bake.min of each step: at least that long, and until the metrics say enough")
	weights := c.flaggerWeights(f)
	c.flaggerMirror(p, f, every)
	matches := c.flaggerMatches(f)
	if text := f.get("iterations").text(); text != "" && len(weights) == 0 {
		n, _ := strconv.Atoi(text)
		p.steps = append(p.steps, &step{match: matches, bake: every * time.Duration(max(n, 1)), from: []field{f.get("iterations")}})
		f.get("iterations").change("bake.min of the first step: so many intervals")
	} else {
		f.get("iterations").drop("weights say how it goes on")
	}
	for _, w := range weights {
		p.steps = append(p.steps, &step{weight: w, bake: every, match: matches})
	}
	c.hooks(p, f.get("webhooks"))
	for _, one := range f.fields() {
		switch one.key.Value {
		case "threshold":
			one.change("failureLimit of each condition: one fewer, since Flagger goes back at that many")
		case "sessionAffinity":
			c.affinity(p, one)
		case "alerts":
			one.drop("messages are sent by a Notifier: make one, and name it in spec.notify")
		case "stepWeightPromotion":
			one.drop("after the last step all traffic is on the new version already")
		case "primaryReadyThreshold", "canaryReadyThreshold":
			one.drop("spec.capacity says how many Pods must be ready for a weight")
		case "canaryScaler", "primaryScalerQueries", "primaryScalerReplicas":
			one.drop("Sluice scales no Pods")
		}
	}
}

// flaggerWeights are the weights below 100, and 100 where it is reached.
func (c *conversion) flaggerWeights(f field) []int {
	var out []int
	if listed := f.get("stepWeights"); listed.ok() {
		for _, one := range listed.items() {
			w, err := strconv.Atoi(one.text())
			if err != nil || w < 1 || w > 100 || len(out) > 0 && w <= out[len(out)-1] {
				one.drop("weights rise, and are 1 to 100")
				continue
			}
			out = append(out, w)
			one.keep("spec.steps[%d].weight", len(out)-1)
		}
		for _, other := range []string{"stepWeight", "maxWeight"} {
			f.get(other).drop("stepWeights says it")
		}
		return out
	}
	each, _ := strconv.Atoi(f.get("stepWeight").text())
	most, err := strconv.Atoi(f.get("maxWeight").text())
	if err != nil {
		most = 100
	}
	if each < 1 {
		return nil
	}
	for w := each; w <= min(most, 100); w += each {
		out = append(out, w)
	}
	for _, other := range []string{"stepWeight", "maxWeight"} {
		f.get(other).change("written out as spec.steps: %d of them", len(out))
	}
	return out
}

// flaggerMirror is a first step that copies.
func (c *conversion) flaggerMirror(p *plan, f field, every time.Duration) {
	if f.get("mirror").text() != "true" {
		f.get("mirror").change("nothing is copied")
		f.get("mirrorWeight").drop("nothing is copied")
		return
	}
	percent, err := strconv.Atoi(f.get("mirrorWeight").text())
	if err != nil || percent < 1 || percent > 100 {
		percent = 100
	}
	mirror := mapping()
	put(mirror, "percent", percent)
	p.steps = append(p.steps, &step{bake: every, mirror: flow(mirror), from: []field{f.get("mirror")}})
	f.get("mirror").change("a first step of weight 0 with copies, of GET and HEAD only: copies of others would change things twice")
	f.get("mirrorWeight").keep("spec.steps[0].mirror.percent")
}

// flaggerMatches are conditions on who asks.
func (c *conversion) flaggerMatches(f field) []*yaml.Node {
	var out []*yaml.Node
	for _, m := range f.get("match").items() {
		var headers []*yaml.Node
		for _, h := range m.get("headers").fields() {
			if match := valueMatch(h.key.Value, h); match != nil && len(headers) < 4 {
				headers = append(headers, match)
				h.keep("spec.steps[].match[].headers")
			} else {
				h.drop("it is neither exact, nor prefix, nor regex")
			}
		}
		if len(headers) == 0 || len(out) == 4 {
			m.todo("a step matches headers and cookies, four times at most: say this one by a route of the VirtualService")
			continue
		}
		match := mapping()
		put(match, "headers", flow(list(headers...)))
		out = append(out, match)
		for _, other := range m.fields() {
			if other.key.Value != "headers" {
				other.drop("a step matches headers and cookies only")
			}
		}
	}
	return out
}

// hooks makes approvals of those that ask whether to go on.
func (c *conversion) hooks(p *plan, f field) {
	for _, h := range f.items() {
		kind := h.get("type").text()
		if len(p.steps) == 0 {
			h.drop("there is no step that it could stand at")
			continue
		}
		switch kind {
		case "confirm-rollout":
			if p.steps[0].weight > 0 {
				p.steps = append([]*step{{promotion: "timeOnly"}}, p.steps...)
			}
			p.steps[0].approval = true
			h.change("an approval before the first weight")
		case "confirm-promotion":
			p.steps[len(p.steps)-1].approval = true
			h.change("an approval at the last step below 100")
		case "confirm-traffic-increase":
			for _, s := range p.steps {
				s.approval = true
			}
			h.change("an approval at each step")
		default:
			h.drop("Sluice calls nobody on the way: write a condition over what the hook looks at, or approve by hand")
		}
	}
}

// affinity keeps clients on their version.
func (c *conversion) affinity(p *plan, f field) {
	cookie, out := mapping(), mapping()
	if name := f.get("cookieName").text(); name != "" {
		put(cookie, "name", name, f.get("cookieName"))
		f.get("cookieName").keep("spec.affinity.cookie.name")
	}
	if seconds, ok := duration(f.get("maxAge").text()); ok && seconds > 0 {
		put(cookie, "maxAge", min(max(seconds, time.Minute), 720*time.Hour))
		f.get("maxAge").keep("spec.affinity.cookie.maxAge")
	}
	put(out, "cookie", cookie)
	p.extra = append(p.extra, extra{"affinity", out, f})
	f.change("spec.affinity: clients of the new version stay on it while the weight rises, and go back with a rollback")
}

// strings of a list.
func texts(f field) []string {
	var out []string
	for _, i := range f.items() {
		out = append(out, strings.TrimSpace(i.text()))
	}
	return out
}
