package convert

import (
	"cmp"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

// argo converts a Rollout of Argo Rollouts.
func (c *conversion) argo(f field) {
	c.used[f.doc] = true
	p := &plan{from: f, name: f.at("metadata", "name").text(), namespace: f.at("metadata", "namespace").text()}
	c.heading(f, "a Rollout of sluice.dev/v1alpha1; errors, latency and attempts are judged besides, against the old version")
	spec := f.get("spec")
	canary, blueGreen := spec.at("strategy", "canary"), spec.at("strategy", "blueGreen")
	p.host = cmp.Or(canary.get("stableService").text(), blueGreen.get("activeService").text(), p.name)
	if rule := c.find("networking.istio.io/", "DestinationRule", p.namespace, canary.at("trafficRouting", "istio", "destinationRule", "name").text()); rule != nil {
		p.host = cmp.Or(rule.root.at("spec", "host").text(), p.host)
	}
	c.argoPods(p, spec)
	c.argoSpec(p, spec)
	if blueGreen.ok() {
		c.blueGreen(p, blueGreen)
	} else {
		c.canary(p, canary)
	}
	p.finish()
	c.out = append([]*yaml.Node{p.node()}, c.out...)
}

// heading decides on what all objects have.
func (c *conversion) heading(f field, words string) {
	f.get("apiVersion").change("sluice.dev/v1alpha1")
	f.get("kind").change("%s", words)
	meta := f.get("metadata")
	for _, one := range meta.fields() {
		switch one.key.Value {
		case "name", "namespace":
			one.keep("metadata.%s", one.key.Value)
		case "annotations":
			for _, a := range one.fields() {
				if strings.HasPrefix(a.key.Value, "notifications.argoproj.io/") {
					a.drop("messages are sent by a Notifier: name it in spec.notify")
				} else {
					a.drop("annotations of other tools mean nothing to Sluice")
				}
			}
		default:
			one.drop("metadata of the object is not carried over")
		}
	}
	f.get("status").drop("a status is written by its controller")
}

// argoPods makes Deployments of the template, or goes on with the workload that is named.
func (c *conversion) argoPods(p *plan, spec field) {
	if ref := spec.get("workloadRef"); ref.ok() {
		name := ref.get("name").text()
		p.subset = "v1"
		if d := c.find("apps/", "Deployment", p.namespace, name); d != nil {
			p.subset = cmp.Or(d.root.at("spec", "template", "metadata", "labels", "version").text(), p.subset)
		}
		ref.todo("Deployment %s stays: give its Pods the label version: %s, and release the next version by a Deployment of its own", name, p.subset)
		spec.get("replicas").drop("the Deployment says how many")
		return
	}
	if !spec.get("template").ok() {
		p.subset = "v1"
		p.from.doc.note(p.from, "what runs Pods is not written: give them the label version: v1")
		return
	}
	c.workload(p, p.name, spec, []string{"replicas", "revisionHistoryLimit", "minReadySeconds", "selector", "template"})
}

// argoSpec carries the fields over that are not of the strategy.
func (c *conversion) argoSpec(p *plan, spec field) {
	for _, f := range spec.fields() {
		switch f.key.Value {
		case "paused":
			p.paused = f.text() == "true"
			f.keep("spec.paused")
		case "progressDeadlineSeconds":
			if d, ok := duration(f.text()); ok && d >= 10*time.Second && d <= 24*time.Hour {
				p.extra = append(p.extra, extra{"progressDeadline", d, f})
				f.keep("spec.progressDeadline")
			}
		case "progressDeadlineAbort":
			policy := "pause"
			if f.text() == "true" {
				policy = "rollback"
			}
			p.extra = append(p.extra, extra{"onDeadline", policy, f})
			f.keep("spec.onDeadline")
		case "rollbackWindow":
			n, _ := strconv.Atoi(f.get("revisions").text())
			window := mapping()
			put(window, "versions", min(max(n, 0), 5))
			p.extra = append(p.extra, extra{"rollbackWindow", flow(window), f})
			f.change("spec.rollbackWindow: a version that was stable a short while ago comes back by one step, of the last %d, and at most 1h", min(max(n, 0), 5))
		case "revisionHistoryLimit", "minReadySeconds", "selector", "template", "replicas", "workloadRef", "strategy":
		case "restartAt":
			f.drop("Sluice restarts no Pods")
		case "analysis":
			f.drop("Sluice keeps no objects of runs: spec.historyLimit says how many attempts the status remembers")
		default:
			f.drop(unmeant)
		}
	}
}

// blueGreen is a step without traffic, that can be looked at, and one with all of it.
func (c *conversion) blueGreen(p *plan, f field) {
	first, second := &step{}, &step{weight: 100}
	p.steps = []*step{first, second}
	for _, one := range f.fields() {
		switch one.key.Value {
		case "activeService":
			one.keep("spec.host")
		case "previewService":
			p.preview = one.text()
			one.change("spec.previewHost: it shows the new version while a step is open, else the old one")
		case "autoPromotionEnabled":
			first.approval = one.text() == "false"
			one.change("approval at the end of the first step")
		case "autoPromotionSeconds":
			if d, ok := duration(one.text()); ok && d > 0 {
				first.pause = d
				one.change("spec.steps[0].pause")
			}
		case "scaleDownDelaySeconds":
			c.warmDown(p, one)
		case "prePromotionAnalysis":
			c.argoAnalysis(p, one, 1)
			first.gates = append(first.gates, one)
		case "postPromotionAnalysis":
			c.argoAnalysis(p, one, 2)
		case "previewReplicaCount", "maxUnavailable", "scaleDownDelayRevisionLimit", "abortScaleDownDelaySeconds":
			one.drop("Sluice scales no Pods")
		default:
			one.drop(unmeant)
		}
	}
	f.doc.note(p.from, "blue and green become a step without traffic and one with all of it, which is judged too")
	c.subsets(p, "", field{})
}

// warmDown is how long the old version is kept.
func (c *conversion) warmDown(p *plan, f field) {
	if d, ok := duration(f.text()); ok {
		p.extra = append(p.extra, extra{"warmDown", min(d, 168*time.Hour), f})
		f.change("spec.warmDown: how long Sluice keeps the old version's configuration; Pods are nobody's to scale down but yours")
	}
}

// canary converts that strategy.
func (c *conversion) canary(p *plan, f field) {
	rule := ""
	numbers := c.argoSteps(p, f.get("steps"))
	for _, one := range f.fields() {
		switch one.key.Value {
		case "steps":
		case "stableService":
			one.keep("spec.host")
		case "canaryService":
			one.drop("versions are subsets of one host: the Service of the canary can go")
		case "analysis":
			from := 1
			if start, err := strconv.Atoi(one.get("startingStep").text()); err == nil && start >= 0 && start < len(numbers) {
				from = max(1, numbers[start])
				one.get("startingStep").change("fromStep: %d", from)
			}
			c.argoAnalysis(p, one, from)
		case "trafficRouting":
			rule = c.routing(p, one)
		case "scaleDownDelaySeconds":
			c.warmDown(p, one)
		case "maxSurge", "maxUnavailable", "minPodsPerReplicaSet", "dynamicStableScale", "abortScaleDownDelaySeconds", "scaleDownDelayRevisionLimit", "antiAffinity":
			one.drop("Sluice makes and scales no Pods")
		case "pingPong":
			one.drop("versions are subsets of one host, by their names")
		default:
			one.drop(unmeant)
		}
	}
	c.subsets(p, rule, field{})
}

// routing goes on with Istio's objects; it gives the name of the DestinationRule.
func (c *conversion) routing(p *plan, f field) (rule string) {
	for _, one := range f.fields() {
		switch one.key.Value {
		case "istio":
			rule = one.at("destinationRule", "name").text()
			one.at("destinationRule", "name").keep("the DestinationRule stays, with other subsets")
			for _, name := range []string{"canarySubsetName", "stableSubsetName"} {
				one.at("destinationRule", name).change("subsets are named after versions: %s now", p.subset)
			}
			all := one.get("virtualServices").items()
			if single := one.get("virtualService"); single.ok() {
				all = append(all, single)
			}
			for _, vs := range all {
				var only []string
				for _, r := range vs.get("routes").items() {
					only = append(only, r.text())
				}
				p.own(vs.get("routes"))
				c.routes(p, vs, only)
			}
		case "managedRoutes":
			one.drop("Sluice makes the routes of its steps itself")
		default:
			one.drop("Sluice reads Istio's objects; give the host a VirtualService")
		}
	}
	return rule
}
