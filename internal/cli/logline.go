package cli

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/sluice-dev/sluice/api/problem"
)

// logKeys are the keys of a line that are printed first, in this order.
func logKeys() []string {
	return []string{"namespace", "rollout", "source", "attempt", "seq", "step", "revision", "proxy", "notifier", "traceID", "reason", "err"}
}

// logLine is a line of a controller.
type logLine struct {
	at      time.Time
	level   string
	message string
	keys    []string // as they stood there
	values  map[string]string
}

// parseLog reads a line in JSON, or in the form key=value.
func parseLog(text string) (logLine, bool) {
	l := logLine{values: map[string]string{}}
	if strings.HasPrefix(text, "{") {
		raw := map[string]any{}
		if err := json.Unmarshal([]byte(text), &raw); err != nil {
			return l, false
		}
		for key, value := range raw {
			l.put(key, value)
		}
		slices.Sort(l.keys)
	} else {
		for key, value := range pairs(text) {
			l.put(key, value)
		}
	}
	l.level, l.message = l.values["level"], l.values["msg"]
	at, err := time.Parse(time.RFC3339Nano, l.values["time"])
	l.at = at
	l.keys = slices.DeleteFunc(l.keys, func(k string) bool { return k == "level" || k == "msg" || k == "time" })
	return l, err == nil
}

// put keeps a value as text; what names an object, as controller-runtime writes it, becomes its name and namespace.
func (l *logLine) put(key string, value any) {
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
		if l.values["namespace"] == "" {
			l.put("namespace", namespace)
		}
		return
	case string:
		l.values[key] = v
	case float64:
		l.values[key] = strconv.FormatFloat(v, 'f', -1, 64)
	default:
		l.values[key] = fmt.Sprint(v)
	}
	if !slices.Contains(l.keys, key) {
		l.keys = append(l.keys, key)
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
			value := rest
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

// logFilter says which lines are about a rollout.
type logFilter struct {
	namespace string
	rollout   string
	attempt   int64
	from      time.Time
}

func (f logFilter) takes(l logLine) bool {
	v := l.values
	about := v["namespace"] == f.namespace && (v["rollout"] == f.rollout || v["rollout"] == "" && v["controller"] == "rollout" && v["name"] == f.rollout)
	about = about || v["rollout"] == f.namespace+"/"+f.rollout || v["split"] == f.namespace+"/"+f.rollout
	return about && !l.at.Before(f.from) && (f.attempt == 0 || v["attempt"] == strconv.FormatInt(f.attempt, 10))
}

// order are the keys of a line: first those that all lines share, then its own.
func (l logLine) order() []string {
	var out []string
	for _, key := range logKeys() {
		if _, ok := l.values[key]; ok {
			out = append(out, key)
		}
	}
	for _, key := range l.keys {
		if !slices.Contains(out, key) {
			out = append(out, key)
		}
	}
	return out
}

// text is a line for people.
func (l logLine) text() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s  %-5s  %s", l.at.UTC().Format("2006-01-02T15:04:05.000Z"), problem.Clean(l.level, 16), problem.Clean(l.message, problem.MaxMessage))
	for _, key := range l.order() {
		value := problem.Clean(l.values[key], 4*problem.MaxMessage)
		if strings.ContainsAny(value, " \"=") || value == "" {
			value = strconv.Quote(value)
		}
		fmt.Fprintf(&b, " %s=%s", problem.Clean(key, maxWords), value)
	}
	return b.String()
}

// document is a line as data.
func (l logLine) document() map[string]any {
	out := map[string]any{"time": l.at.UTC().Format(time.RFC3339Nano), "level": l.level, "msg": l.message}
	for key, value := range l.values {
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
