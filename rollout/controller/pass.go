package controller

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/sluice-dev/sluice/analysis"
	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/rollout"
	"github.com/sluice-dev/sluice/xds/ir"
)

// codeHostConflict is the Problem of a second Rollout for one host.
const codeHostConflict = "S061"

// pass is one look at one object: all that is seen, and what is made of it.
type pass struct {
	*given
	controller *Controller
	memory     *memory

	state   rollout.State
	facts   ir.SplitFacts
	fleet   ir.Convergence
	want    rollout.Want
	source  *v1alpha1.Source // nil: there is none, or it is not to be had
	blocked []rollout.Reason
	reset   bool // evidence could not be used
	asked   asked
	broken  string // rule that the first decision broke
}

// given is what a pass starts from.
type given struct {
	key         types.NamespacedName
	object      *v1alpha1.Rollout
	now         time.Time     // with the monotonic reading
	mono        time.Duration // since the controller was made
	epoch       int64
	spec        rollout.Spec
	specErr     error
	analysis    analysis.Config
	analysisErr error
	templates   templates
	wantErr     error
	unheard     []string // of spec.notify, in words: those that do not exist
}

// see makes a pass over an object, which it may keep and change.
func (c *Controller) see(ctx context.Context, ro *v1alpha1.Rollout) (*pass, error) {
	now := c.config.Now()
	p := &pass{controller: c, given: &given{object: ro, now: now, mono: now.Sub(c.start), key: client.ObjectKeyFromObject(ro)}}
	p.memory = c.remember(ro)
	var err error
	if p.epoch, err = c.fence.take(ctx); err != nil {
		return p, err
	}
	if p.state, err = stateOf(ro.Status); err != nil {
		return p, err
	}
	if p.state.Since.IsZero() {
		p.state.Since = ro.CreationTimestamp.UTC()
	}
	p.spec, p.specErr = p.memory.understand(ro)
	if err := p.readAnalysis(ctx); err != nil {
		return p, err
	}
	if err := p.readSource(ctx); err != nil {
		return p, err
	}
	p.readNotifiers(ctx)
	p.readWant(ctx)
	p.readTraffic()
	p.memory.note(p.concern())
	p.readActions(ctx)
	return p, nil
}

// invalid is what is wrong with the spec; nil: nothing.
func (p *pass) invalid() error { return errors.Join(p.specErr, p.analysisErr, p.templates.wrong) }

// readWant finds out what Git asks for. What cannot be read is unknown, and changes nothing.
func (p *pass) readWant(ctx context.Context) {
	ro := p.object
	p.want.Deleting = !ro.DeletionTimestamp.IsZero()
	digest := ro.Annotations[v1alpha1.AnnotationDigest]
	if digest == "" && p.controller.config.Digest != nil {
		ctx, cancel := context.WithTimeout(ctx, p.controller.config.Lead.Patience.Read)
		digest, p.wantErr = p.controller.config.Digest(ctx, ro)
		cancel()
	}
	if len(digest) > rollout.MaxDigest && p.wantErr == nil {
		p.wantErr = fmt.Errorf("the annotation %s has %d bytes, at most %d: only the Source writes it", v1alpha1.AnnotationDigest, len(digest), rollout.MaxDigest)
	}
	if digest == "" || p.wantErr != nil || p.invalid() != nil {
		return
	}
	p.want.Known = true
	p.want.Version = rollout.Version{Name: ro.Spec.Subset, Digest: digest, Commit: short(ro.Annotations[v1alpha1.AnnotationCommit], rollout.MaxDigest)}
}

// readSource gets the Source that the object's labels name.
func (p *pass) readSource(ctx context.Context) error {
	key := sourceOf(p.object)
	if key.Name == "" {
		return nil
	}
	source := &v1alpha1.Source{}
	switch err := p.controller.config.Client.Get(ctx, key, source); {
	case apierrors.IsNotFound(err):
	case err != nil:
		return fmt.Errorf("reading Source %s: %w", key, err)
	default:
		p.source = source
	}
	return nil
}

func sourceOf(ro *v1alpha1.Rollout) types.NamespacedName {
	name, namespace := ro.Labels[v1alpha1.LabelSourceName], ro.Labels[v1alpha1.LabelSourceNamespace]
	if namespace == "" {
		namespace = ro.Namespace
	}
	return types.NamespacedName{Namespace: namespace, Name: name}
}

// split is the object's, by its state; before anything is stable, what would be.
func (p *pass) split() ir.Split {
	out := ir.Split{
		Key: p.key.String(), UID: string(p.object.UID), Host: p.object.Spec.Host, Routes: p.object.Spec.Routes,
		Stable: p.state.Stable.Name, Canary: p.state.Canary.Name, Weight: p.state.Traffic.Weight, Seq: p.state.Traffic.Seq, Managed: p.state.Managed,
	}
	if out.Stable == "" {
		out.Stable = or(p.spec.InitialStable, p.object.Spec.Subset)
	}
	if host := p.object.Spec.PreviewHost; host != "" {
		out.Preview = &ir.Preview{Host: host, Canary: true}
	}
	return out
}

// readTraffic asks the mesh and the fleet about the split.
func (p *pass) readTraffic() {
	split := p.split()
	p.facts = p.controller.config.Mesh.Facts(split)
	p.fleet = p.controller.config.Fleet.Convergence(split.Key, split.UID, split.Seq)
	if p.facts.Known && (!p.facts.SubsetDefined || len(p.facts.BlockingCodes) > 0) || p.starts() && p.templates.unusable() {
		p.blocked = append(p.blocked, rollout.RefsNotResolved)
	}
	if p.applying() {
		p.blocked = append(p.blocked, rollout.SourceApplying)
	}
}

// applying reports that the Source has not finished with the unit, or holds it back. While it applies, or waits for Rollouts,
// those wait that it names; where it names none, all do.
func (p *pass) applying() bool {
	if p.source == nil {
		return false
	}
	reason := ""
	if ready := v1alpha1.Condition(p.source.Status.Conditions, v1alpha1.ConditionReady); ready != nil {
		reason = ready.Reason
	}
	named := slices.ContainsFunc(p.source.Status.Held, func(u v1alpha1.HeldUnit) bool { return len(u.Codes) == 0 })
	busy := reason == v1alpha1.ReasonApplying || reason == v1alpha1.ReasonWaitingForRollout
	return busy && !named || p.unit() != nil
}

// held is the unit of this Rollout that the Source does not apply because of its Problems; nil: there is none.
func (p *pass) held() *v1alpha1.HeldUnit {
	if unit := p.unit(); unit != nil && len(unit.Codes) > 0 {
		return unit
	}
	return nil
}

// unit is the unit of this Rollout that the Source does not apply, or not yet; nil: there is none.
func (p *pass) unit() *v1alpha1.HeldUnit {
	if p.source == nil {
		return nil
	}
	names := []string{p.object.Name, p.key.String()}
	for i, unit := range p.source.Status.Held {
		if slices.ContainsFunc(unit.Rollouts, func(r string) bool { return slices.Contains(names, strings.TrimPrefix(r, "Rollout/")) }) {
			return &p.source.Status.Held[i]
		}
	}
	return nil
}

// observe stamps what was seen with the state it was seen under.
func (p *pass) observe(report analysis.Report) rollout.Observation {
	obs := rollout.Observation{
		Seq:    p.state.Seq,
		Want:   p.want,
		Clocks: p.memory.watch.Clocks(p.state, p.mono),
		Fleet: rollout.Fleet{
			Rendered: p.fleet.Rendered, Connected: p.fleet.Connected, Acked: p.fleet.Acked, Nacked: p.fleet.Nacked,
			Settled: p.fleet.Done() && p.returned() && !p.now.Before(p.fleet.SettledAt), SettledAt: p.fleet.SettledAt,
		},
		Ready:    rollout.Ready{Known: p.facts.Known, Stable: p.facts.StableReady, Canary: p.facts.CanaryReady},
		Report:   report,
		Problems: p.blocked,
		Action:   p.asked.offered,
		Written:  p.asked.written,
		Window:   windowOf(&p.object.Spec, p.controller.freezes.of(p.key.Namespace), p.now),
	}
	if f := p.fleet.First; f != nil {
		obs.Fleet.First = fmt.Sprintf("S093: proxy %s rejected %s: %s", f.Node, f.Resource, f.Message)
	}
	return obs
}

// wallClock is the time as it is stored.
func (p *pass) wallClock() time.Time { return p.now.UTC().Truncate(time.Microsecond) }

// eventType is Warning for what somebody should look at.
func eventType(warning bool) string {
	if warning {
		return corev1.EventTypeWarning
	}
	return corev1.EventTypeNormal
}
