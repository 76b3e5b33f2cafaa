package gitsync

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"

	"github.com/sluice-dev/sluice/api/problem"
)

// Live is an object as it stands in the cluster.
type Live struct {
	UID, ResourceVersion string
	Object               Object
	Seen                 any // what the Applier has read, if it has just now: Plan hands it back with the Item
}

// View is what the wing for Git knows of a live Rollout.
type View struct {
	ID        ID
	Object    Object   // the live Rollout
	Stable    string   // subset that serves; empty before adoption
	Canary    string   // subset of the attempt that is not at rest, or empty
	Former    []string // formerly stable subsets that may still be needed
	Attempted string   // digest last acted on
	Rest      bool     // no attempt is open and none is being rolled back
	Unacked   bool     // some connected proxy is not known to run the newest routes
}

// Owner names a Source.
type Owner struct{ Namespace, Name string }

// String gives "namespace/name".
func (w Owner) String() string { return w.Namespace + "/" + w.Name }

// Input is everything that Plan decides from.
type Input struct {
	Owner    Owner
	Commit   Commit
	Domain   string            // suffix of Kubernetes services, such as "cluster.local"
	Want     []Object          // what Git says
	Problems []problem.Problem // what is wrong with it
	Have     Inventory
	Live     map[ID]Live   // of the IDs of Want and Have; an absent ID does not exist
	Applied  map[ID]string // content hash of our last apply where known, see Hash
	Rollouts []View
	Sources  []Owner // all living Sources
}

// Stage orders applying; each stage ends before the next begins.
type Stage int

// The stages. StageFirst holds Rollouts that must hear of a new version before its workloads change.
const (
	StageFirst Stage = iota
	StageDefinitions
	StageIdentity
	StageConfig
	StageWorkloads
	StageRouting
	StageVirtualServices
	StageRollouts
)

// Item is one object to apply, with the labels and annotations of its origin. Unit is an index into Set.Units.
type Item struct {
	Object Object
	Hash   string // of the content without provenance
	Stage  Stage
	Unit   int
	Scaled bool // an autoscaler sets its replicas
	Seen   any  // Live.Seen of it
	Absent bool // it did not exist when it was looked for
}

// Held is a unit that is kept as it was, with the codes of the Problems that hold it.
type Held struct {
	Unit  Unit
	Codes []string
}

// Set is what to do for one commit. Items are sorted by stage, then ID.
type Set struct {
	Owner    Owner
	Full     bool // compare every object with the cluster, also where nothing seems to have changed
	Units    []Unit
	Items    []Item
	Held     []Held
	Waiting  []ID // Rollouts whose other objects wait until the open attempt is at weight 0
	Problems []problem.Problem
	Union    Inventory // to be stored before the first apply
}

// Plan decides what is applied, in which order, and what is held. It is total and does not depend on the order of
// its inputs.
func Plan(in Input) Set {
	in.Want = inOrder(in.Want)
	wanted, gone := kinOf(in.Want, in.Domain), ghosts(in)
	problems := slices.Concat(in.Problems, ownership(in), stableNeeds(in, wanted))
	all := wanted
	if len(gone) > 0 {
		all = kinOf(slices.Concat(in.Want, gone), in.Domain)
	}
	stands := in.standing(all.objects)
	set := Set{Owner: in.Owner, Units: all.units(func(at int) bool { return stands[at].changed }), Problems: problems}
	codes := blame(set.Units, all.objects, in.Live, problems)
	unitOf := make(map[ID]int, len(all.objects))
	for i, u := range set.Units {
		if len(codes[i]) > 0 {
			set.Held = append(set.Held, Held{Unit: u, Codes: codes[i]})
		}
		for _, id := range u.Objects {
			unitOf[id] = i
		}
	}
	digests := in.digests(wanted)
	waits := in.barriers(set.Units, codes, digests)
	scaled := in.scaled()
	goes := make([]Item, 0, len(in.Want))
	at := 0
	for _, o := range in.Want {
		for all.objects[at].ID != o.ID { // ghosts stand between
			at++
		}
		unit, stand := unitOf[o.ID], stands[at]
		if len(codes[unit]) > 0 {
			continue
		}
		item := Item{Object: in.stamp(o, digests[o.ID], stand), Hash: stand.hash, Stage: StageOf(o.ID), Unit: unit, Scaled: scaled[o.ID],
			Seen: stand.seen, Absent: stand.absent}
		if waits[unit] {
			if o.ID.GroupKind() != kindRollout {
				continue
			}
			item.Stage = StageFirst
			set.Waiting = append(set.Waiting, o.ID)
		}
		goes = append(goes, item)
	}
	set.Union = in.union(goes)
	set.Items = byStage(goes)
	problem.Sort(set.Problems)
	return set
}

// stand is how a wanted object compares with the live one.
type stand struct {
	hash    string
	changed bool // Git's content is not yet what we applied
	absent  bool
	live    map[string]any
	seen    any
}

// standing gives the stand of each object.
func (in Input) standing(objects []Object) []stand {
	out := make([]stand, len(objects))
	var text []byte
	for i, o := range objects {
		live, exists := in.Live[o.ID]
		out[i].live, out[i].seen, out[i].absent = live.Object.Content, live.Seen, !exists
		out[i].hash, text = hash(o, text[:0])
		last := in.Applied[o.ID]
		switch {
		case !exists:
			out[i].changed = true
		case last != "":
			out[i].changed = last != out[i].hash
		default:
			out[i].changed = !Contains(live.Object.Content, o.Content)
		}
	}
	return out
}

// byStage sorts items, which are sorted by ID, by their stage.
func byStage(items []Item) []Item {
	out := make([]Item, 0, len(items))
	for stage := StageFirst; stage <= StageRollouts; stage++ {
		for _, it := range items {
			if it.Stage == stage {
				out = append(out, it)
			}
		}
	}
	return out
}

// scaled gives the wanted workloads whose replicas an autoscaler of Git or of the cluster sets.
func (in Input) scaled() map[ID]bool {
	var scalers []Object
	for _, o := range in.Want {
		if o.ID.Kind == "HorizontalPodAutoscaler" {
			scalers = append(scalers, o)
		}
	}
	for id, live := range in.Live {
		if id.Kind == "HorizontalPodAutoscaler" {
			scalers = append(scalers, live.Object)
		}
	}
	known, out := kinOf(scalers, in.Domain), map[ID]bool{}
	for _, o := range in.Want {
		n := known.namespaces[o.ID.Namespace]
		if n != nil && podTemplate(o) != nil && len(n.scalers[target{o.ID.Kind, o.ID.Name}]) > 0 {
			out[o.ID] = true
		}
	}
	return out
}

// Hash gives the content hash of an object by which unchanged ones are known.
func Hash(o Object) string {
	sum, _ := hash(o, nil)
	return sum
}

// hash is Hash, written into a buffer that is given back.
func hash(o Object, into []byte) (sum string, buffer []byte) {
	b, err := appendCanonical(into, []any{[]any{o.ID.String(), []any{o.Version, o.Path, o.Content}}})
	if err != nil {
		return "", into // cannot be compared: always treated as changed
	}
	raw := sha256.Sum256(b)
	return hex.EncodeToString(raw[:]), b
}

// ghosts gives the live objects of the inventory that Git lacks only because their file could not be read: they
// hold the units they belong to.
func ghosts(in Input) []Object {
	wanted := make(map[ID]bool, len(in.Want))
	for _, o := range in.Want {
		wanted[o.ID] = true
	}
	broken := map[string]bool{}
	for _, p := range in.Problems {
		if p.Severity == problem.Error && p.Object == "" && p.Path != "" {
			broken[p.Path] = true
		}
	}
	var out []Object
	for _, e := range in.Have {
		live, ok := in.Live[e.ID]
		if ok && !wanted[e.ID] && broken[Annotation(live.Object.Content, AnnotationPath)] {
			out = append(out, live.Object)
		}
	}
	return out
}

// blame gives, per unit, the sorted codes of the errors that concern one of its objects.
func blame(units []Unit, members []Object, live map[ID]Live, problems []problem.Problem) [][]string {
	out := make([][]string, len(units))
	if !problem.HasError(problems) {
		return out
	}
	byRef, byPath := map[string][]ID{}, map[string][]ID{}
	for _, o := range members {
		byRef[o.ID.Ref()] = append(byRef[o.ID.Ref()], o.ID)
		path := o.Path
		if path == "" {
			path = Annotation(live[o.ID].Object.Content, AnnotationPath)
		}
		byPath[path] = append(byPath[path], o.ID)
	}
	guilty := map[ID]map[string]bool{}
	for _, p := range problems {
		if p.Severity != problem.Error {
			continue
		}
		ids := byRef[p.Object]
		if p.Object == "" && p.Path != "" {
			ids = byPath[p.Path]
		}
		for _, id := range ids {
			if guilty[id] == nil {
				guilty[id] = map[string]bool{}
			}
			guilty[id][p.Code] = true
		}
	}
	for i, u := range units {
		codes := map[string]bool{}
		for _, id := range u.Objects {
			maps.Copy(codes, guilty[id])
		}
		out[i] = slices.Sorted(maps.Keys(codes))
	}
	return out
}

// digests gives the content digest of each wanted Rollout.
func (in Input) digests(wanted kin) map[ID]string {
	out := map[ID]string{}
	for _, o := range in.Want {
		if o.ID.GroupKind() != kindRollout {
			continue
		}
		if sum, err := digest(o, wanted.family(o)); err == nil {
			out[o.ID] = sum
		}
	}
	return out
}

// barriers tells which units must wait: one of their Rollouts has an attempt that is not at rest and gets another digest.
func (in Input) barriers(units []Unit, codes [][]string, digests map[ID]string) []bool {
	views := map[ID]View{}
	for _, v := range in.Rollouts {
		views[v.ID] = v
	}
	out := make([]bool, len(units))
	for i, u := range units {
		for _, id := range u.Rollouts {
			v, ok := views[id]
			out[i] = out[i] || (ok && len(codes[i]) == 0 && !v.Rest && v.Attempted != digests[id])
		}
	}
	return out
}

// union gives the inventory with an entry for each item; an object that exists without our labels is Adopted
// before it is touched, so that a crash never turns it into one we made. Items are sorted by ID.
func (in Input) union(items []Item) Inventory {
	out := make(Inventory, 0, len(in.Have)+len(items))
	have := in.Have
	for _, it := range items {
		id := it.Object.ID
		if len(out) > 0 && out[len(out)-1].ID == id {
			continue
		}
		for len(have) > 0 && CompareID(have[0].ID, id) < 0 {
			out, have = append(out, have[0]), have[1:]
		}
		e, known := Entry{ID: id, Version: it.Object.Version}, false
		if len(have) > 0 && have[0].ID == id {
			e, have, known = have[0], have[1:], true
		}
		live, exists := in.Live[id]
		if stranger := !known || e.UID != live.UID && !in.Owner.ours(live); exists && stranger {
			e = Entry{ID: id, Version: it.Object.Version, UID: live.UID, Origin: Adopted}
		}
		out = append(out, e)
	}
	return append(out, have...)
}

// ours reports whether live carries the labels of w.
func (w Owner) ours(live Live) bool {
	return Label(live.Object.Content, LabelSourceName) == w.Name && Label(live.Object.Content, LabelSourceNamespace) == w.Namespace
}

// StageOf gives the stage in which objects of this kind are applied.
func StageOf(id ID) Stage {
	switch id.GroupKind() {
	case "CustomResourceDefinition.apiextensions.k8s.io", "Namespace":
		return StageDefinitions
	case "StorageClass.storage.k8s.io", "IngressClass.networking.k8s.io", "PriorityClass.scheduling.k8s.io", "ServiceAccount",
		"ResourceQuota", "LimitRange":
		return StageIdentity
	case "ConfigMap", "Secret", kindMetricTemplate, "Notifier.sluice.dev":
		return StageConfig
	case kindServiceEntry, kindDestinationRule, "Gateway.networking.istio.io", "Sidecar.networking.istio.io":
		return StageRouting
	case kindVirtualService:
		return StageVirtualServices
	case kindRollout, "Source.sluice.dev":
		return StageRollouts
	}
	if id.Group == "rbac.authorization.k8s.io" {
		return StageIdentity
	}
	return StageWorkloads
}

// String names a unit for people, such as "Rollout/bookinfo/reviews and 4 more".
func (u Unit) String() string {
	name := ""
	switch {
	case len(u.Rollouts) > 0:
		name = u.Rollouts[0].Ref()
	case len(u.Objects) > 0:
		name = u.Objects[0].Ref()
	}
	if more := len(u.Objects) - 1; more > 0 {
		return fmt.Sprintf("%s and %d more", name, more)
	}
	return name
}
