package gitsync

import (
	"cmp"
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
	known := kinOf(objects, domain)
	return known.units(func(at int) bool { return changed[known.objects[at].ID] })
}

// units partitions the objects that k was made of; changed is asked for their places.
func (k kin) units(changed func(at int) bool) []Unit {
	const nobody = -1
	leader := map[int32]int32{}           // union-find over the places of Rollouts
	home := make([]int32, len(k.objects)) // the first Rollout that claims an object
	var find func(at int32) int32
	find = func(at int32) int32 {
		if leader[at] != at {
			leader[at] = find(leader[at])
		}
		return leader[at]
	}
	for at, o := range k.objects {
		home[at] = nobody
		if o.ID.GroupKind() == kindRollout {
			leader[int32(at)] = int32(at)
		}
	}
	for at, o := range k.objects {
		if o.ID.GroupKind() != kindRollout {
			continue
		}
		rollout := int32(at)
		for _, member := range append([]int32{rollout}, k.members(o)...) {
			switch {
			case home[member] == nobody:
				home[member] = rollout
			case changed(int(member)):
				leader[find(rollout)] = find(home[member])
			}
		}
	}
	keys := make([]int32, len(k.objects)) // the first object of the unit, or the leader of its Rollouts
	for at := range k.objects {
		if keys[at] = int32(at); home[at] != nobody {
			keys[at] = find(home[at])
		}
	}
	return k.gather(keys)
}

// inOrder gives objects sorted by ID.
func inOrder(objects []Object) []Object {
	byID := func(a, b Object) int { return CompareID(a.ID, b.ID) }
	if slices.IsSortedFunc(objects, byID) {
		return objects
	}
	places := make([]int32, len(objects)) // much smaller than objects are
	for i := range places {
		places[i] = int32(i)
	}
	slices.SortFunc(places, func(a, b int32) int { return cmp.Or(CompareID(objects[a].ID, objects[b].ID), cmp.Compare(a, b)) })
	sorted := make([]Object, len(objects))
	for i, at := range places {
		sorted[i] = objects[at]
	}
	return sorted
}

// gather makes units of the objects with equal keys, in the order of their first objects.
func (k kin) gather(keys []int32) []Unit {
	const none = -1
	of := make([]int32, len(keys)) // unit of a key
	size := make([]int32, len(keys))
	for at, key := range keys {
		of[at] = none
		size[key]++
	}
	room := make([]ID, len(keys)) // for the objects of all units
	var units []Unit
	for at, key := range keys {
		if of[key] == none {
			of[key] = int32(len(units))
			units = append(units, Unit{Objects: room[:0:size[key]]})
			room = room[size[key]:]
		}
		u, id := &units[of[key]], k.objects[at].ID
		u.Objects = append(u.Objects, id)
		if id.GroupKind() == kindRollout {
			u.Rollouts = append(u.Rollouts, id)
		}
	}
	return units
}
