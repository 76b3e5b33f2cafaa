package gitsync

import "slices"

// Inventory lists what a Source has applied, sorted by ID, each ID once. The zero value is empty.
type Inventory []Entry

// NewInventory sorts entries; of several with one ID the last wins.
func NewInventory(entries ...Entry) Inventory {
	byID := make(map[ID]Entry, len(entries))
	for _, e := range entries {
		byID[e.ID] = e
	}
	out := make(Inventory, 0, len(byID))
	for _, e := range byID {
		out = append(out, e)
	}
	slices.SortFunc(out, func(a, b Entry) int { return CompareID(a.ID, b.ID) })
	return out
}

// Find gives the entry of id.
func (v Inventory) Find(id ID) (Entry, bool) {
	at, ok := slices.BinarySearchFunc(v, id, func(e Entry, id ID) int { return CompareID(e.ID, id) })
	if !ok {
		return Entry{}, false
	}
	return v[at], true
}

// Union adds to v a Pending entry for every ID it lacks. What v knows stays as it is.
func (v Inventory) Union(objects []Object) Inventory {
	var entries []Entry
	for _, o := range objects {
		if _, known := v.Find(o.ID); !known {
			entries = append(entries, Entry{ID: o.ID, Version: o.Version})
		}
	}
	return v.Update(entries...)
}

// Update replaces or adds entries.
func (v Inventory) Update(entries ...Entry) Inventory {
	if len(entries) == 0 {
		return slices.Clone(v)
	}
	return NewInventory(append(slices.Clone(v), entries...)...)
}

// Without leaves out the given IDs.
func (v Inventory) Without(ids ...ID) Inventory {
	gone := make(map[ID]bool, len(ids))
	for _, id := range ids {
		gone[id] = true
	}
	return slices.DeleteFunc(slices.Clone(v), func(e Entry) bool { return gone[e.ID] })
}

// Strings gives the text form of every entry, in order.
func (v Inventory) Strings() []string {
	out := make([]string, len(v))
	for i, e := range v {
		out[i] = e.String()
	}
	return out
}

// ParseInventory reads what Strings wrote.
func ParseInventory(lines []string) (Inventory, error) {
	entries := make([]Entry, 0, len(lines))
	for _, line := range lines {
		e, err := ParseEntry(line)
		if err != nil {
			return nil, err
		}
		entries = append(entries, e)
	}
	return NewInventory(entries...), nil
}
