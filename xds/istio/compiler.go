package istio

import (
	"reflect"
	"slices"

	"github.com/sluice-dev/sluice/api/problem"
	"github.com/sluice-dev/sluice/xds/ir"
	"github.com/sluice-dev/sluice/xds/registry"
)

// Compiler makes configurations for many classes out of an input that changes little by little. What it gives is what
// Translate would give for the same input; what stayed the same is shared with what it gave before, down to the node.
//
// A weight or the endpoints of a service cost as much as the units that read them. Any other change costs a plan of each
// class, and the units concerned. A Compiler is not safe for concurrent use.
type Compiler struct {
	settings  Input // without objects, services and splits
	objects   map[objectKey]Object
	services  map[serviceKey]registry.Service
	workloads map[workloadKey]registry.Workload
	splits    map[string]ir.Split // by key
	secrets   map[secretKey]*Secret
	index     *index // of all of the above; nil: it has to be made
	last      *index // the newest that was made
	classes   map[ir.ProxyClass]*planner
}

type objectKey struct{ kind, namespace, name string }

type serviceKey struct{ host, namespace string }

type secretKey struct{ namespace, name string }

// NewCompiler makes a Compiler without any object. An empty suffix is "cluster.local", an empty root "istio-system".
func NewCompiler(suffix, root string) *Compiler {
	return &Compiler{
		settings: Input{DomainSuffix: suffix, RootNamespace: root}, objects: map[objectKey]Object{}, services: map[serviceKey]registry.Service{}, workloads: map[workloadKey]registry.Workload{},
		splits: map[string]ir.Split{}, secrets: map[secretKey]*Secret{}, classes: map[ir.ProxyClass]*planner{},
	}
}

// SetObject takes an object as it is now. It must not be changed afterwards.
func (c *Compiler) SetObject(o Object) {
	c.objects[objectKey{o.Kind, o.Namespace, o.Name}] = o
	c.index = nil
}

// DropObject takes an object away.
func (c *Compiler) DropObject(kind, namespace, name string) {
	k := objectKey{kind, namespace, name}
	if _, had := c.objects[k]; had {
		delete(c.objects, k)
		c.index = nil
	}
}

// SetService takes a service, with all of its endpoints, as it is now. It must not be changed afterwards. There is one of
// a host in a namespace.
func (c *Compiler) SetService(s registry.Service) {
	k := serviceKey{s.Host, s.Namespace}
	before, had := c.services[k]
	c.services[k] = s
	if !had || !sameShape(before, s) {
		c.index = nil
		return
	}
	if c.index != nil && !sameEndpoints(before.Endpoints, s.Endpoints) {
		c.index.moveEndpoints(s)
	}
}

// DropService takes a service away.
func (c *Compiler) DropService(host, namespace string) {
	k := serviceKey{host, namespace}
	if _, had := c.services[k]; had {
		delete(c.services, k)
		c.index = nil
	}
}

// SetSplit takes a split as it is now.
func (c *Compiler) SetSplit(s ir.Split) {
	before, had := c.splits[s.Key]
	c.splits[s.Key] = s
	if had && reflect.DeepEqual(before, s) {
		return
	}
	same := had && before.PreviewHost() == s.PreviewHost()
	before.Weight, before.Seq, before.Braked, before.Extra = s.Weight, s.Seq, s.Braked, s.Extra
	switch {
	case !same || !reflect.DeepEqual(before, s):
		c.index = nil
	case c.index != nil:
		c.index.moveSplit(s)
	}
}

// DropSplit takes the split of a Rollout away.
func (c *Compiler) DropSplit(key string) {
	if _, had := c.splits[key]; had {
		delete(c.splits, key)
		c.index = nil
	}
}

// SetSecret takes a Secret as it is now. It must not be changed afterwards.
func (c *Compiler) SetSecret(s *Secret) {
	k := secretKey{s.Namespace, s.Name}
	if before := c.secrets[k]; before == nil || !before.Equal(s) {
		c.secrets[k], c.index = s, nil
	}
}

// DropSecret takes a Secret away.
func (c *Compiler) DropSecret(namespace, name string) {
	k := secretKey{namespace, name}
	if _, had := c.secrets[k]; had {
		delete(c.secrets, k)
		c.index = nil
	}
}

// Replace takes a whole input in the place of everything there was. Of two things of one name the first counts.
func (c *Compiler) Replace(in Input) {
	c.settings.DomainSuffix, c.settings.RootNamespace, c.settings.TrustSecrets = in.DomainSuffix, in.RootNamespace, in.TrustSecrets
	clear(c.objects)
	for _, o := range in.Objects {
		k := objectKey{o.Kind, o.Namespace, o.Name}
		if first, twice := c.objects[k]; twice { // it still says what is wrong with it
			first.Problems = slices.Concat(first.Problems, o.Problems)
			o = first
		}
		c.objects[k] = o
	}
	clear(c.services)
	for _, s := range in.Registry.Services {
		putFirst(c.services, serviceKey{s.Host, s.Namespace}, s)
	}
	clear(c.workloads)
	for _, w := range in.Registry.Workloads {
		putFirst(c.workloads, workloadKey{w.Namespace, w.Name}, w)
	}
	clear(c.splits)
	for _, s := range in.Splits {
		putFirst(c.splits, s.Key, s)
	}
	clear(c.secrets)
	for _, s := range in.Secrets {
		putFirst(c.secrets, secretKey{s.Namespace, s.Name}, s)
	}
	c.index = nil
}

func putFirst[K comparable, V any](m map[K]V, k K, v V) {
	if _, taken := m[k]; !taken {
		m[k] = v
	}
}

// Forget drops what is kept for a class.
func (c *Compiler) Forget(class ir.ProxyClass) { delete(c.classes, class) }

// Input is everything as Translate takes it.
func (c *Compiler) Input() Input {
	in := c.settings
	in.Objects = make([]Object, 0, len(c.objects))
	for _, o := range c.objects {
		in.Objects = append(in.Objects, o)
	}
	in.Registry.Services = make([]registry.Service, 0, len(c.services))
	for _, s := range c.services {
		in.Registry.Services = append(in.Registry.Services, s)
	}
	for _, w := range c.workloads {
		in.Registry.Workloads = append(in.Registry.Workloads, w)
	}
	for _, s := range c.secrets {
		in.Secrets = append(in.Secrets, s)
	}
	for _, s := range c.splits {
		in.Splits = append(in.Splits, s)
	}
	return in
}

// Compile gives what the proxies of a class are to have, as Translate does. The same pointer as before means that
// nothing has changed; no part of it may be changed.
func (c *Compiler) Compile(class ir.ProxyClass) (*ir.Config, []problem.Problem) {
	if c.index == nil || len(c.index.moved) > maxMoved {
		c.index = newIndex(c.Input(), c.last)
		c.last = c.index
	}
	p := c.classes[class]
	if p == nil {
		p = newPlanner(class)
		c.classes[class] = p
	}
	p.follow(c.index)
	return p.cfg, p.all
}
