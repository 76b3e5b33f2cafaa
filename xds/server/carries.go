package server

import (
	"cmp"
	"slices"

	"github.com/sluice-dev/sluice/xds/ir"
)

// carries are the splits that a resource carries, sorted by key.
type carries []*ir.SplitUse

// alike reports whether both give canaries the same weights for the same reason, and weight to the same clusters.
func (c carries) alike(other carries) bool {
	return slices.EqualFunc(c, other, func(a, b *ir.SplitUse) bool {
		return a == b || a.Key == b.Key && a.Weight == b.Weight && a.Besides == b.Besides && a.Braked == b.Braked && (a.Gives() == 0 || slices.Equal(a.Clusters, b.Clusters))
	})
}

// braked reports whether a brake has taken the weight from a canary here.
func (c carries) braked() bool {
	return slices.ContainsFunc(c, func(use *ir.SplitUse) bool { return use.Braked })
}

// feeds reports whether a split with a canary gives weight to a cluster, here or elsewhere.
func (c carries) feeds(cluster string) bool {
	return slices.ContainsFunc(c, func(use *ir.SplitUse) bool { return use.Gives() > 0 && slices.Contains(use.Clusters, cluster) })
}

// useOf finds the use of a split; nil: there is none.
func useOf(uses []*ir.SplitUse, split string) *ir.SplitUse {
	at, ok := slices.BinarySearchFunc(uses, split, func(use *ir.SplitUse, key string) int { return cmp.Compare(use.Key, key) })
	if !ok {
		return nil
	}
	return uses[at]
}

// sameBearers reports whether the same resources carry the same splits, at whatever weights.
func sameBearers(a, b []*ir.SplitUse) bool {
	return slices.EqualFunc(a, b, func(a, b *ir.SplitUse) bool {
		return a == b || a.Key == b.Key && slices.Equal(a.Tables, b.Tables) && slices.Equal(a.Listeners, b.Listeners)
	})
}

// bearing tells which splits the resources of a set carry.
type bearing struct {
	uses   []*ir.SplitUse
	steady bool                      // the same resources carry the same splits as in the set before
	moved  []*ir.SplitUse            // if steady: the uses that differ from those before
	all    [kinds]map[string]carries // by name; made when it is needed
}

// maxMoved bounds the uses that are looked at one by one.
const maxMoved = 16

func newBearing(prev *set, uses []*ir.SplitUse) *bearing {
	b := &bearing{uses: uses}
	if prev == nil || !sameBearers(prev.uses, uses) {
		return b
	}
	for i, use := range uses {
		if use != prev.uses[i] && !use.Equal(*prev.uses[i]) {
			b.moved = append(b.moved, use)
		}
	}
	b.steady = len(b.moved) <= maxMoved
	return b
}

// bearers are the names of the resources of a kind that carry a use.
func bearers(k kind, use *ir.SplitUse) []string {
	switch k {
	case routes:
		return use.Tables
	case listeners:
		return use.Listeners
	default:
		return nil
	}
}

// touches reports whether a resource of a kind may carry something else than before.
func (b *bearing) touches(k kind) bool {
	return !b.steady || slices.ContainsFunc(b.moved, func(use *ir.SplitUse) bool { return len(bearers(k, use)) > 0 })
}

// of is what a resource carries; old is what it was before (nil: it was not there).
func (b *bearing) of(k kind, name string, old *item) carries {
	if old == nil || !b.steady {
		return b.afresh(k)[name]
	}
	out := old.carries
	for _, use := range b.moved {
		if !slices.Contains(bearers(k, use), name) {
			continue
		}
		if at := slices.IndexFunc(out, func(o *ir.SplitUse) bool { return o.Key == use.Key }); at >= 0 {
			out = slices.Clone(out)
			out[at] = use
		}
	}
	return out
}

func (b *bearing) afresh(k kind) map[string]carries {
	if b.all[k] == nil {
		b.all[k] = map[string]carries{}
		for _, use := range b.uses {
			for _, name := range bearers(k, use) {
				b.all[k][name] = append(b.all[k][name], use)
			}
		}
	}
	return b.all[k]
}
