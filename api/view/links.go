package view

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// LinkTemplates are the addresses of pages about a Rollout, each with placeholders such as {name}; empty: there is none.
type LinkTemplates struct {
	Page    string // of Sluice itself
	Grafana string
	Kiali   string
	Trace   string // of the attempt
}

// Link is a page about what a document tells.
type Link struct {
	Name string `json:"name"` // page, grafana, kiali or trace
	URL  string `json:"url"`
}

// LinkTarget is what links are made for.
type LinkTarget struct {
	Object
	Attempt int64
	Commit  string
	From    time.Time // of the time that is of interest; zero: an hour before To
	To      time.Time
}

var placeholder = regexp.MustCompile(`\{[^{}]*\}`)

// Check says what is wrong with a template: it has to be an address of http or https without user, with placeholders that
// there are, none in the host.
func (t LinkTemplates) Check() error {
	for _, l := range t.named() {
		if l.URL == "" {
			continue
		}
		u, err := url.Parse(placeholder.ReplaceAllString(l.URL, "x"))
		if err != nil || u.Host == "" || u.User != nil || u.Scheme != "https" && u.Scheme != "http" {
			return fmt.Errorf("links.%s: write http(s)://host/path", l.Name)
		}
		if host, _, _ := strings.Cut(strings.SplitN(l.URL, "//", 2)[1], "/"); strings.Contains(host, "{") {
			return fmt.Errorf("links.%s: the host can have no placeholder", l.Name)
		}
		known := LinkTarget{}.values()
		for _, p := range placeholder.FindAllString(l.URL, -1) {
			if _, ok := known[p]; !ok {
				return fmt.Errorf("links.%s: there is no placeholder %s: use {namespace}, {name}, {uid}, {attempt}, {commit}, {from}, {to} or {trace}", l.Name, p)
			}
		}
	}
	return nil
}

// For gives the links of a target, in a fixed order. One of a trace needs an attempt and a uid, one with a commit a commit.
func (t LinkTemplates) For(target LinkTarget) []Link {
	values := target.values()
	var out []Link
	for _, l := range t.named() {
		whole := l.URL != ""
		link := placeholder.ReplaceAllStringFunc(l.URL, func(p string) string {
			v := values[p]
			whole = whole && v != ""
			return url.QueryEscape(v)
		})
		if whole {
			out = append(out, Link{Name: l.Name, URL: link})
		}
	}
	return out
}

func (t LinkTemplates) named() []Link {
	return []Link{{"page", t.Page}, {"grafana", t.Grafana}, {"kiali", t.Kiali}, {"trace", t.Trace}}
}

// values are what the placeholders stand for; empty: not known.
func (t LinkTarget) values() map[string]string {
	v := map[string]string{"{namespace}": t.Namespace, "{name}": t.Name, "{uid}": string(t.UID), "{commit}": t.Commit,
		"{attempt}": "", "{trace}": "", "{from}": "", "{to}": ""}
	if t.Attempt > 0 {
		v["{attempt}"] = strconv.FormatInt(t.Attempt, 10)
		v["{trace}"] = TraceID(string(t.UID), t.Attempt)
	}
	if !t.To.IsZero() {
		from := t.From
		if from.IsZero() {
			from = t.To.Add(-time.Hour)
		}
		v["{from}"], v["{to}"] = strconv.FormatInt(from.UnixMilli(), 10), strconv.FormatInt(t.To.UnixMilli(), 10)
	}
	return v
}

// TraceID is the id of the trace of an attempt: the same in every process, and stored nowhere. Without a uid there is none.
func TraceID(uid string, attempt int64) string {
	if uid == "" {
		return ""
	}
	h := sha256.Sum256([]byte(uid + "/" + strconv.FormatInt(attempt, 10)))
	return hex.EncodeToString(h[:16])
}
