package envoy

import (
	"cmp"
	"fmt"
	"slices"

	"google.golang.org/protobuf/encoding/protowire"
)

// fit keeps a table below the size that proxies are given, so that one virtual host that grows beyond all bounds does not
// stop the changes of the others: a rollback of somebody else's, above all. Of what has grown since it was last served, the
// most first, what was served stays; what is new is left out. It gives what is to be served, and what is wrong.
func (t *builtTable) fit(table string, limit int) ([]builtHost, []*ResourceError) {
	size := 0
	for i := range t.hosts {
		size += t.hosts[i].size()
	}
	if size <= limit {
		for i := range t.hosts {
			t.hosts[i].served = t.hosts[i].rendering
		}
		return t.hosts, nil
	}
	var errs []*ResourceError
	out := slices.Clone(t.hosts)
	for _, i := range t.byGrowth() {
		if h := &out[i]; size > limit {
			before := h.size()
			err := invalidHost(table, h.node, fmt.Errorf("it has %d bytes, and the table would have %d, more than %d", before, size, limit))
			err.Code, err.Kept = CodeTooLarge, h.revert()
			errs = append(errs, err)
			size += h.size() - before
		}
	}
	for i := range out {
		t.hosts[i].served = out[i].rendering
	}
	return out, errs
}

// byGrowth are the places of the hosts that are larger than what was last served of them, those that have grown most first.
func (t *builtTable) byGrowth() []int {
	var out []int
	growth := func(i int) int { return t.hosts[i].size() - t.hosts[i].served.size() }
	for i := range t.hosts {
		if growth(i) > 0 {
			out = append(out, i)
		}
	}
	slices.SortStableFunc(out, func(a, b int) int { return cmp.Compare(growth(b), growth(a)) })
	return out
}

// revert goes back to what was last served; false: there is nothing, or its domains may be another's now.
func (h *builtHost) revert() bool {
	was := h.served
	if was.part == nil || !slices.Equal(was.good.Domains, h.good.Domains) {
		h.rendering = rendering{}
		return false
	}
	h.rendering = was
	return true
}

// size is what a virtual host adds to its table.
func (v rendering) size() int {
	if v.part == nil {
		return 0
	}
	return protowire.SizeTag(hostsField) + protowire.SizeBytes(len(v.part.Bytes))
}
