// Package lines reads what controllers write, as JSON or as key=value, finds what is about one Rollout, and prints it for
// people. `sluice logs` calls it; where lines come from is that one's business.
//
//	if l, ok := lines.Parse(text); ok && (lines.Filter{Namespace: "bookinfo", Rollout: "reviews"}).Takes(l) {
//		fmt.Println(l.Text())
//	}
package lines

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/sluice-dev/sluice/api/problem"
)

// Keys are the keys of a line that are printed first, in this order.
func Keys() []string {
	return []string{"namespace", "rollout", "source", "attempt", "seq", "step", "revision", "proxy", "notifier", "traceID", "reason", "err"}
}

// Line is a line of a controller.
type Line struct {
	At      time.Time
	Level   string
	Message string
	Names   []string // of the values, as they stood there
	Values  map[string]string
}

// Parse reads a line in JSON, or in the form key=value.
func Parse(text string) (Line, bool) {
	l := Line{Values: map[string]string{}}
	if strings.HasPrefix(text, "{") {
		raw := map[string]any{}
		if err := json.Unmarshal([]byte(text), &raw); err != nil {
			return l, false
		}
		for key, value := range raw {
			l.put(key, value)
		}
		slices.Sort(l.Names)
	} else {
		for key, value := range pairs(text) {
			l.put(key, value)
		}
	}
	l.Level, l.Message = l.Values["level"], l.Values["msg"]
	at, err := time.Parse(time.RFC3339Nano, l.Values["time"])
	l.At = at
	l.Names = slices.DeleteFunc(l.Names, func(k string) bool { return k == "level" || k == "msg" || k == "time" })
	return l, err == nil
}

// put keeps a value as text; what names an object, as controller-runtime writes it, becomes its name and namespace.
func (l *Line) put(key string, value any) {
	switch v := value.(type) {
	case map[string]any:
		name, _ := v["name"].(string)
		namespace, _ := v["namespace"].(string)
		if name == "" {
			raw, err := json.Marshal(v)
			if err != nil {
				return
			}
			l.put(key, string(raw))
			return
		}
		l.put(strings.ToLower(key[:1])+key[1:], name)
		if l.Values["namespace"] == "" {
			l.put("namespace", namespace)
		}
		return
	case string:
		l.Values[key] = v
	case float64:
		l.Values[key] = strconv.FormatFloat(v, 'f', -1, 64)
	default:
		l.Values[key] = fmt.Sprint(v)
	}
	if !slices.Contains(l.Names, key) {
		l.Names = append(l.Names, key)
	}
}

// pairs gives the keys and values of a line such as time=... msg="two words" n=1.
func pairs(text string) func(yield func(string, any) bool) {
	return func(yield func(string, any) bool) {
		for text = strings.TrimSpace(text); text != ""; text = strings.TrimLeft(text, " ") {
			key, rest, ok := strings.Cut(text, "=")
			if !ok || strings.ContainsAny(key, " \"") {
				return
			}
			var value string
			if quoted, err := strconv.QuotedPrefix(rest); err == nil {
				value, _ = strconv.Unquote(quoted)
				text = rest[len(quoted):]
			} else {
				value, text, _ = strings.Cut(rest, " ")
			}
			if !yield(key, value) {
				return
			}
		}
	}
}

// Filter says which lines are about a rollout.
type Filter struct {
	Namespace string
	Rollout   string
	Attempt   int64     // 0: any
	From      time.Time // zero: all
}

// Takes reports whether a line is about it.
func (f Filter) Takes(l Line) bool {
	v := l.Values
	about := v["namespace"] == f.Namespace && (v["rollout"] == f.Rollout || v["rollout"] == "" && v["controller"] == "rollout" && v["name"] == f.Rollout)
	about = about || v["rollout"] == f.Namespace+"/"+f.Rollout || v["split"] == f.Namespace+"/"+f.Rollout
	return about && !l.At.Before(f.From) && (f.Attempt == 0 || v["attempt"] == strconv.FormatInt(f.Attempt, 10))
}

// order are the keys of a line: first those that all lines share, then its own.
func (l Line) order() []string {
	var out []string
	for _, key := range Keys() {
		if _, ok := l.Values[key]; ok {
			out = append(out, key)
		}
	}
	for _, key := range l.Names {
		if !slices.Contains(out, key) {
			out = append(out, key)
		}
	}
	return out
}

// Text is a line for people.
func (l Line) Text() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s  %-5s  %s", l.At.UTC().Format("2006-01-02T15:04:05.000Z"), problem.Clean(l.Level, 16), problem.Clean(l.Message, problem.MaxMessage))
	for _, key := range l.order() {
		value := problem.Clean(l.Values[key], 4*problem.MaxMessage)
		if strings.ContainsAny(value, " \"=") || value == "" {
			value = strconv.Quote(value)
		}
		fmt.Fprintf(&b, " %s=%s", problem.Clean(key, problem.MaxMessage), value)
	}
	return b.String()
}

// Document is a line as data.
func (l Line) Document() map[string]any {
	out := map[string]any{"time": l.At.UTC().Format(time.RFC3339Nano), "level": l.Level, "msg": l.Message}
	for key, value := range l.Values {
		if n, err := strconv.ParseInt(value, 10, 64); err == nil && slices.Contains([]string{"attempt", "seq", "step"}, key) {
			out[key] = n
			continue
		}
		if out[key] == nil {
			out[key] = value
		}
	}
	return out
}
