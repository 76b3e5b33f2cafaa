package controller

import (
	"cmp"
	"maps"
	"reflect"
	"slices"
	"sync"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/xds/ir"
	"github.com/sluice-dev/sluice/xds/istio"
	"github.com/sluice-dev/sluice/xds/manifest"
	"github.com/sluice-dev/sluice/xds/registry"
	"github.com/sluice-dev/sluice/xds/registry/kube"
)

// urgency says how soon a change must be compiled.
type urgency int

const (
	unchanged urgency = iota // nothing that is compiled has changed
	gathered                 // with others that follow closely
	atOnce                   // what a stored status renders
	weighed                  // at once, too: a stored weight and nothing else, which no facts depend on
	moved                    // endpoints and nothing else
)

// world is everything that is compiled, as last seen. What it holds is shared with informers and never changed.
type world struct {
	suffix string
	root   string

	mu      sync.Mutex // guards everything below
	objects map[objectKey]istio.Object
	splits  map[types.NamespacedName]seen
	brakes  map[types.NamespacedName]brake
	secrets map[types.NamespacedName]*istio.Secret
	machines
	readings
	input  *istio.Input  // of everything above; nil: to be made
	survey *istio.Survey // of everything above but weights; nil: to be made

	rehearsed map[string]ir.SplitFacts // what the survey was asked already
}

// machines are what endpoints run on, and what runs beside the endpoints of Services.
type machines struct {
	pods    map[types.NamespacedName]map[string]string // labels
	nodes   map[string]map[string]string               // what labels say of their place, by name
	running map[types.NamespacedName]*corev1.Pod
	written written // what files say
	asked   bool    // some object has asked for running pods
}

type objectKey struct {
	kind string
	name types.NamespacedName
}

func keyOf(o istio.Object) objectKey {
	return objectKey{o.Kind, types.NamespacedName{Namespace: o.Namespace, Name: o.Name}}
}

// seen is the newest state of a Rollout.
type seen struct {
	uid     types.UID
	seq     int64
	attempt int64
	open    bool      // the attempt
	split   *ir.Split // as stored; nil: nothing is yet
}

func newWorld(suffix, root string) *world {
	return &world{
		suffix: suffix, root: root,
		objects:  map[objectKey]istio.Object{},
		splits:   map[types.NamespacedName]seen{},
		brakes:   map[types.NamespacedName]brake{},
		secrets:  map[types.NamespacedName]*istio.Secret{},
		machines: machines{pods: map[types.NamespacedName]map[string]string{}, nodes: map[string]map[string]string{}, running: map[types.NamespacedName]*corev1.Pod{}},
		readings: newReadings(),
	}
}

// change runs f, which returns how soon its effect must be compiled.
func (w *world) change(f func() urgency) urgency {
	w.mu.Lock()
	defer w.mu.Unlock()
	u := f()
	if u != unchanged {
		w.input = nil
	}
	if u != unchanged && u != weighed {
		w.survey, w.rehearsed = nil, nil
	}
	return u
}

func (w *world) setObject(o istio.Object) urgency {
	return w.change(func() urgency {
		w.objects[keyOf(o)] = o
		w.asked = w.asked || asksForPods(o)
		return gathered
	})
}

func (w *world) dropObject(kind string, name types.NamespacedName) urgency {
	return w.change(func() urgency {
		delete(w.objects, objectKey{kind, name})
		return gathered
	})
}

func (w *world) setService(name types.NamespacedName, s *corev1.Service) urgency {
	return w.change(func() urgency {
		w.stale[name] = true
		return put(w.services, name, s, s != nil)
	})
}

func (w *world) setSlice(name types.NamespacedName, s *discoveryv1.EndpointSlice) urgency {
	return w.change(func() urgency {
		w.move(w.place(w.slices[name], s)...)
		put(w.slices, name, s, s != nil)
		return moved
	})
}

// setPod keeps the labels of a pod; exists is false when it is gone.
func (w *world) setPod(name types.NamespacedName, labels map[string]string, exists bool) urgency {
	return w.change(func() urgency {
		before, had := w.pods[name]
		if had == exists && maps.Equal(before, labels) {
			return unchanged
		}
		put(w.pods, name, labels, exists)
		w.move(w.usersOf(name)...)
		return moved
	})
}

func (w *world) podLabels(name types.NamespacedName) (map[string]string, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	labels, ok := w.pods[name]
	return maps.Clone(labels), ok
}

// setSecret takes a Secret; nil: it is gone.
func (w *world) setSecret(name types.NamespacedName, s *corev1.Secret) urgency {
	return w.change(func() urgency {
		before, had := w.secrets[name]
		if s == nil && !had {
			return unchanged
		}
		if s == nil {
			delete(w.secrets, name)
			return gathered
		}
		next := &istio.Secret{Namespace: s.Namespace, Name: s.Name, UID: string(s.UID), Data: s.Data}
		if had && before.Equal(next) {
			return unchanged
		}
		w.secrets[name] = next
		return gathered
	})
}

func put[V any](m map[types.NamespacedName]V, name types.NamespacedName, v V, exists bool) urgency {
	if exists {
		m[name] = v
	} else {
		delete(m, name)
	}
	return gathered
}

// setRollout takes the stored state of a Rollout. One that is older than what was seen of the same object is passed
// over: a cache that starts anew may go back in time, a weight must not.
func (w *world) setRollout(ro *v1alpha1.Rollout) urgency {
	name := types.NamespacedName{Namespace: ro.Namespace, Name: ro.Name}
	next := seen{uid: ro.UID, split: splitOf(ro)}
	if ro.Status != nil {
		next.seq, next.attempt, next.open = ro.Status.Seq, ro.Status.Attempt, ro.Status.Outcome == v1alpha1.OutcomeOpen
	}
	return w.change(func() urgency {
		if before := w.splits[name]; before.uid == next.uid && next.seq < before.seq {
			return unchanged
		}
		return w.restore(name, func() {
			if w.splits[name] = next; w.brakes[name].over(next) {
				delete(w.brakes, name)
			}
		})
	})
}

func (w *world) dropRollout(name types.NamespacedName) urgency {
	return w.change(func() urgency {
		return w.restore(name, func() { delete(w.splits, name) })
	})
}

// restore lets f change what is known of a Rollout, and says how soon the effect must be compiled; the world is locked.
func (w *world) restore(name types.NamespacedName, f func()) urgency {
	before := w.rendered(name)
	f()
	u := compare(before, w.rendered(name))
	if u == weighed {
		w.untold.weighed[name] = true
	}
	return u
}

func compare(before, next *ir.Split) urgency {
	switch {
	case before == nil && next == nil:
		return unchanged
	case before == nil || next == nil:
		return atOnce
	case before.UID != next.UID || before.Host != next.Host || before.Stable != next.Stable || before.Canary != next.Canary ||
		!before.Created.Equal(next.Created) || !slices.Equal(before.Managed, next.Managed) || !slices.Equal(before.Routes, next.Routes) || before.PreviewHost() != next.PreviewHost():
		return atOnce
	case before.Weight != next.Weight || before.Seq != next.Seq || before.Braked != next.Braked || !reflect.DeepEqual(before.Extra, next.Extra):
		return weighed
	default:
		return unchanged
	}
}

// splitOf is what the stored status of a Rollout renders; nil before a version is adopted.
func splitOf(ro *v1alpha1.Rollout) *ir.Split {
	if st := ro.Status; st == nil || st.Stable.Name == "" {
		return nil
	}
	s, renders := manifest.SplitOf(ro)
	if !renders {
		return nil
	}
	return &s
}

// snapshot is everything as the compiler reads it. It is made once per change and must not be changed.
func (w *world) snapshot() istio.Input {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.assembled()
}

func (w *world) surveyed() *istio.Survey {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.survey == nil {
		w.survey = istio.NewSurvey(w.assembled())
	}
	return w.survey
}

// assembled is the input, made once; the world is locked.
func (w *world) assembled() istio.Input {
	if w.input == nil {
		in := w.assemble()
		w.input = &in
	}
	return *w.input
}

func (w *world) assemble() istio.Input {
	in := istio.Input{
		Secrets:      slices.Collect(maps.Values(w.secrets)),
		Objects:      slices.Collect(maps.Values(w.objects)), // the compiler sorts
		DomainSuffix: w.suffix, RootNamespace: w.root,
		Registry: registry.Snapshot{Services: w.registered(), Workloads: kube.Snapshot(kube.Input{
			Pods: slices.Collect(maps.Values(w.running)), NodeLabels: w.nodeLabels(),
		}).Workloads},
	}
	in = w.withWritten(in)
	for name := range w.splits {
		if s := w.rendered(name); s != nil {
			in.Splits = append(in.Splits, *s)
		}
	}
	slices.SortFunc(in.Splits, func(a, b ir.Split) int { return cmp.Compare(a.Key, b.Key) })
	return in
}
