package scenario

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/sluice-dev/sluice/rollout"
)

// Script prints the decisions as a script, with what came out of each. title says what they are about.
func (t *Tape) Script(title string) (string, error) {
	if len(t.list) == 0 {
		return "", nil
	}
	var b strings.Builder
	fmt.Fprintf(&b, "# %s\n# To play it: sluice simulate --scenario FILE\n", title)
	var err error
	put := func(command string, value any) {
		var text string
		if text, err = compact(value); err == nil {
			fmt.Fprintf(&b, "%s %s\n", command, text)
		}
	}
	put("spec", t.origin)
	put("state", t.base)
	all, unread := t.all()
	if unread != nil {
		return "", unread
	}
	for i, m := range all {
		if i > 0 {
			b.WriteString("\n")
		}
		fmt.Fprintf(&b, "# %s\n", m.words())
		if m.spec != nil {
			put("spec", m.spec)
		}
		if m.state != nil {
			put("state", m.state)
		}
		if m.clocks != nil {
			put("clocks", m.clocks)
		}
		put("look", m.look)
		b.WriteString("----\n")
		if err != nil {
			return "", fmt.Errorf("printing the decision of %s: %w", m.Now.Format(time.RFC3339), err)
		}
	}
	return Play(b.String())
}

// words says for people what a look saw.
func (l look) words() string {
	o := l.Seen
	out := []string{l.Now.UTC().Format("2006-01-02 15:04:05.000"), fmt.Sprintf("%d/%d proxies", o.Fleet.Acked, o.Fleet.Connected)}
	if o.Fleet.Settled {
		out = append(out, "settled")
	}
	if o.Ready.Known {
		out = append(out, fmt.Sprintf("endpoints %d and %d", o.Ready.Stable, o.Ready.Canary))
	}
	if o.Want.Known {
		out = append(out, "wants "+strings.TrimSpace(o.Want.Name+" "+o.Want.Commit))
	}
	if v := o.Report.Verdict.String(); o.Report.Reason != "" {
		out = append(out, "verdict "+v+" "+string(o.Report.Reason))
	}
	if a := o.Action; a != nil {
		out = append(out, a.Actor+" asks to "+string(a.Verb))
	}
	for _, p := range o.Problems {
		out = append(out, string(p))
	}
	if o.Window.Reason != "" {
		out = append(out, string(o.Window.Reason))
	}
	if o.Brake != nil {
		out = append(out, "braked")
	}
	return strings.ReplaceAll(strings.Join(out, ", "), "\n", " ")
}

// compact is a value as one line of JSON without what is zero.
func compact(value any) (string, error) {
	text, err := json.Marshal(value)
	if err != nil {
		return "", err
	}
	var tree any
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.UseNumber()
	if err := decoder.Decode(&tree); err != nil {
		return "", err
	}
	if tree = pruned(tree); tree == nil {
		tree = map[string]any{}
	}
	var out strings.Builder
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(tree); err != nil {
		return "", err
	}
	return strings.TrimSuffix(out.String(), "\n"), nil
}

// pruned is a tree without what is zero; nil: nothing is left.
func pruned(tree any) any {
	switch v := tree.(type) {
	case map[string]any:
		for k := range v {
			if v[k] = pruned(v[k]); v[k] == nil {
				delete(v, k)
			}
		}
		if len(v) == 0 {
			return nil
		}
	case []any:
		if len(v) == 0 {
			return nil
		}
		for i := range v {
			if inner := pruned(v[i]); inner != nil {
				v[i] = inner
			}
		}
	case bool:
		if !v {
			return nil
		}
	case string:
		if v == "" || v == "0001-01-01T00:00:00Z" {
			return nil
		}
	case json.Number:
		if v == "0" {
			return nil
		}
	}
	return tree
}

// given runs the commands whose argument is JSON: they say what a process elsewhere had stored and seen. It reports whether
// the line is one of them.
func (w *World) given(line string) (bool, error) {
	name, text, _ := strings.Cut(line, " ")
	if !strings.HasPrefix(text, "{") {
		return false, nil
	}
	read := func(into any) error {
		decoder := json.NewDecoder(strings.NewReader(text))
		decoder.DisallowUnknownFields()
		return decoder.Decode(into)
	}
	switch name {
	case "spec":
		spec := rollout.Spec{}
		err := read(&spec)
		w.spec.take(spec)
		return true, err
	case "state":
		st := rollout.State{}
		err := read(&st)
		w.store = append(w.store, st)
		return true, err
	case "clocks":
		clocks := storedClocks{}
		err := read(&clocks)
		w.store = append(w.store, clocks.put(w.State()))
		return true, err
	case "look":
		l := look{}
		if err := read(&l); err != nil {
			return true, err
		}
		return true, w.lookAgain(l)
	}
	return false, nil
}

// lookAgain decides on what was seen elsewhere.
func (w *World) lookAgain(l look) error {
	w.wall = l.Now
	st, spec := w.State(), w.spec.engine()
	next, acts := l.decide(spec, st)
	if l.How == ByStep {
		if err := rollout.Check(spec, st, next, l.Seen, l.Now); err != nil {
			return fmt.Errorf("after seq %d: %w", st.Seq, err)
		}
	}
	if !l.Stored {
		if acts.Transition != nil {
			w.sayf("unstored seq=%d %s", next.Seq, acts.Transition.Reason)
		}
		return nil
	}
	return w.stored(st, kept(next), acts)
}
