package gitsync

import (
	"maps"
	"slices"
)

// Unit is a set of objects that are applied together or not at all. Rollouts is empty for a unit of one object
// that belongs to no Rollout.
type Unit struct {
	Rollouts []ID
	Objects  []ID
}

// Units partitions objects. The objects of a Rollout form a unit; two units join when an object of both is
// changed. An unchanged object of several Rollouts stands with the first of them. Every other object is a unit of
// its own. Rollouts, objects and units are sorted.
func Units(objects []Object, changed map[ID]bool, domain string) []Unit {
	return units(objects, changed, kinOf(objects, domain))
}

// units partitions the objects that known was made of.
func units(objects []Object, changed map[ID]bool, known kin) []Unit {
	sorted := inOrder(objects)
	leader := map[ID]ID{} // union-find over Rollouts
	home := map[ID]ID{}   // object -> the first Rollout that claims it
	var find func(ID) ID
	find = func(id ID) ID {
		if leader[id] != id {
			leader[id] = find(leader[id])
		}
		return leader[id]
	}
	for _, o := range sorted {
		if o.ID.GroupKind() == kindRollout {
			leader[o.ID] = o.ID
		}
	}
	for _, id := range slices.SortedFunc(maps.Keys(leader), CompareID) {
		at, _ := slices.BinarySearchFunc(sorted, id, func(o Object, id ID) int { return CompareID(o.ID, id) })
		for _, o := range known.family(sorted[at]) {
			first, claimed := home[o.ID]
			switch {
			case !claimed:
				home[o.ID] = id
			case changed[o.ID]:
				leader[find(id)] = find(first)
			}
		}
	}
	return gather(sorted, home, find)
}

// inOrder gives objects sorted by ID.
func inOrder(objects []Object) []Object {
	byID := func(a, b Object) int { return CompareID(a.ID, b.ID) }
	if slices.IsSortedFunc(objects, byID) {
		return objects
	}
	sorted := slices.Clone(objects)
	slices.SortStableFunc(sorted, byID)
	return sorted
}

func gather(sorted []Object, home map[ID]ID, find func(ID) ID) []Unit {
	byLeader := map[ID]*Unit{}
	var units []*Unit
	for _, o := range sorted {
		key := o.ID
		if first, ok := home[o.ID]; ok {
			key = find(first)
		}
		u := byLeader[key]
		if u == nil {
			u = &Unit{}
			byLeader[key] = u
			units = append(units, u)
		}
		u.Objects = append(u.Objects, o.ID)
		if o.ID.GroupKind() == kindRollout {
			u.Rollouts = append(u.Rollouts, o.ID)
		}
	}
	out := make([]Unit, len(units))
	for i, u := range units {
		out[i] = *u
	}
	return out
}
