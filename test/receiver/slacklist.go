package receiver

import (
	"slices"
	"strconv"
)

// slackPage is how many of a list are on a page, whatever is asked for: callers have to turn pages.
const slackPage = 5

// listed answers the methods that list channels or messages.
func (s *Slack) listed(c SlackCall, out map[string]any) string {
	text := func(name string) string { v, _ := c.Args[name].(string); return v }
	if c.Method == "conversations.list" {
		channels := []any{}
		for i := range slackPage {
			channels = append(channels, map[string]any{"id": "C0OTHER" + strconv.Itoa(i), "name": "other-" + strconv.Itoa(i)})
		}
		out["channels"] = turned(append(channels, map[string]any{"id": "C0DEPLOYS", "name": "deploys"}), text("cursor"), out)
		return ""
	}
	if text("channel") != "C0DEPLOYS" {
		return "channel_not_found" // these methods take no names
	}
	thread := text("ts")
	if c.Method == "conversations.replies" && s.message(thread) == nil {
		return "thread_not_found"
	}
	var found []any
	for _, m := range s.messages {
		in := m.TS == thread || m.Thread == thread
		if c.Method == "conversations.history" {
			in = m.Thread == "" || m.Broadcast
		}
		if !in || m.Deleted || m.TS < text("oldest") {
			continue
		}
		found = append(found, m.shown(text("include_all_metadata") == "true"))
		found = append(found, s.pictures(m)...)
	}
	if c.Method == "conversations.history" {
		slices.Reverse(found)
	}
	out["messages"] = turned(found, text("cursor"), out)
	return ""
}

// shown is a message as lists have it.
func (m *SlackMessage) shown(metadata bool) map[string]any {
	one := map[string]any{"ts": m.TS, "text": m.Text}
	if m.Thread != "" {
		one["thread_ts"] = m.Thread
	}
	if metadata && m.Metadata != nil {
		one["metadata"] = m.Metadata
	}
	return one
}

// pictures are the messages that share files right after m in its thread.
func (s *Slack) pictures(m *SlackMessage) []any {
	var out []any
	for _, f := range s.files {
		if m.Thread != "" && f.Thread == m.Thread && f.after == m.TS {
			out = append(out, map[string]any{"ts": m.TS + "1", "thread_ts": m.Thread, "files": []any{map[string]any{"id": f.ID, "name": f.Name}}})
		}
	}
	return out
}

// turned gives the page that a cursor names, and notes in out which is next.
func turned(all []any, cursor string, out map[string]any) []any {
	from, _ := strconv.Atoi(cursor)
	from = min(max(from, 0), len(all))
	to := min(from+slackPage, len(all))
	if to < len(all) {
		out["response_metadata"] = map[string]any{"next_cursor": strconv.Itoa(to)}
	}
	return append([]any{}, all[from:to]...)
}
