package receiver

import (
	"encoding/json"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Slack is a workspace as Slack's Web API shows it, over HTTP on loopback: it checks what it is asked, keeps messages and
// files, and answers as Slack does, or as it is told to.
type Slack struct {
	server *httptest.Server
	token  string

	mu       sync.Mutex // guards what follows
	epoch    int64      // second of the next message
	calls    []SlackCall
	messages []*SlackMessage
	files    []*SlackFile
	members  map[string]string // by e-mail address
	script   map[string][]SlackAnswer
	onCall   func(SlackCall)
}

// SlackCall is one call of a method.
type SlackCall struct {
	Method string
	Args   map[string]any
	At     time.Time
	Said   string // the error code of the answer; empty: ok
}

// SlackMessage is a message as it stands.
type SlackMessage struct {
	Channel, TS, Thread string // Thread is the ts of the message it replies to
	Text, Blocks        string
	Metadata            map[string]any
	Broadcast, Deleted  bool
	Edits               int
}

// SlackFile is an upload.
type SlackFile struct {
	ID, Name, Alt, Channel, Thread string
	Content                        []byte
	after                          string // ts of the newest message when it was shared
}

// SlackAnswer is what a method says instead of ok.
type SlackAnswer struct {
	Code       string        // of an answer with ok: false
	Status     int           // of HTTP; 0: 200
	RetryAfter time.Duration // whole seconds
}

// StartSlack starts a workspace with the channel C0DEPLOYS, also called #deploys, whose bot has that token.
func StartSlack(token string) *Slack {
	s := &Slack{token: token, epoch: 1767225600, members: map[string]string{}, script: map[string][]SlackAnswer{}}
	s.server = httptest.NewServer(s)
	return s
}

// Close stops it.
func (s *Slack) Close() { s.server.Close() }

// APIURL is where the Web API is.
func (s *Slack) APIURL() string { return s.server.URL + "/api" }

// Script queues answers of a method.
func (s *Slack) Script(method string, answers ...SlackAnswer) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.script[method] = append(s.script[method], answers...)
}

// At gives the messages that are posted from now on this time.
func (s *Slack) At(t time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.epoch = t.Unix()
}

// OnCall has f told of each call when it is done and not answered yet.
func (s *Slack) OnCall(f func(SlackCall)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.onCall = f
}

// Member adds one.
func (s *Slack) Member(email, id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.members[email] = id
}

// Delete removes all messages.
func (s *Slack) Delete() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, m := range s.messages {
		m.Deleted = true
	}
}

// Calls gives the calls so far, those of a method if one is named.
func (s *Slack) Calls(method string) []SlackCall {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(s.calls), func(c SlackCall) bool { return method != "" && c.Method != method })
}

// Messages gives the messages as they stand, oldest first.
func (s *Slack) Messages() []SlackMessage {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []SlackMessage
	for _, m := range s.messages {
		out = append(out, *m)
	}
	return out
}

// Files gives the uploads.
func (s *Slack) Files() []SlackFile {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []SlackFile
	for _, f := range s.files {
		out = append(out, *f)
	}
	return out
}

// ServeHTTP implements http.Handler.
func (s *Slack) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	raw, err := io.ReadAll(io.LimitReader(r.Body, maxAsked))
	if err != nil {
		return
	}
	if id, ok := strings.CutPrefix(r.URL.Path, "/upload/"); ok {
		s.content(w, id, raw)
		return
	}
	call := SlackCall{Method: strings.TrimPrefix(r.URL.Path, "/api/"), At: time.Now()}
	call.Args, err = slackArgs(r, raw)
	out, tell, after := s.take(&call, r, err)
	if tell != nil {
		tell(call)
	}
	if after.RetryAfter > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(int(after.RetryAfter/time.Second)))
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(max(after.Status, http.StatusOK))
	_ = json.NewEncoder(w).Encode(out) // a client that went away
}

// take does what a call asks for, or what the script says, and gives the answer; unread is why its arguments cannot be read.
func (s *Slack) take(call *SlackCall, r *http.Request, unread error) (out map[string]any, tell func(SlackCall), as SlackAnswer) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if queued := s.script[call.Method]; len(queued) > 0 {
		as, s.script[call.Method] = queued[0], queued[1:]
	}
	out = map[string]any{"ok": true}
	switch {
	case as.Code != "" || as.Status != 0:
		call.Said = as.Code
	case r.Header.Get("Authorization") != "Bearer "+s.token:
		call.Said = "invalid_auth"
	case r.Method != http.MethodPost || unread != nil:
		call.Said = "invalid_arguments"
	default:
		call.Said = s.answer(*call, out)
	}
	if call.Said != "" {
		out = map[string]any{"ok": false, "error": call.Said}
	}
	s.calls = append(s.calls, *call)
	return out, s.onCall, as
}

func slackArgs(r *http.Request, raw []byte) (map[string]any, error) {
	kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil {
		return nil, err
	}
	args := map[string]any{}
	if kind == "application/json" {
		return args, json.Unmarshal(raw, &args)
	}
	form, err := url.ParseQuery(string(raw))
	for name := range form {
		args[name] = form.Get(name)
	}
	return args, err
}

// answer does what a call asks for and gives the error code.
func (s *Slack) answer(c SlackCall, out map[string]any) string {
	text := func(name string) string { v, _ := c.Args[name].(string); return v }
	switch c.Method {
	case "chat.postMessage":
		if known := text("channel"); known != "C0DEPLOYS" && known != "#deploys" {
			return "channel_not_found"
		}
		if at := text("thread_ts"); at != "" && s.message(at) == nil {
			return "thread_not_found"
		}
		broadcast, _ := c.Args["reply_broadcast"].(bool)
		m := &SlackMessage{Channel: "C0DEPLOYS", TS: fmt.Sprintf("%d.%06d", s.epoch, len(s.messages)+1), Thread: text("thread_ts"),
			Text: text("text"), Blocks: blocksOf(c), Broadcast: broadcast}
		m.Metadata, _ = c.Args["metadata"].(map[string]any)
		s.messages = append(s.messages, m)
		out["channel"], out["ts"] = m.Channel, m.TS
	case "chat.update":
		m := s.message(text("ts"))
		if m == nil || text("channel") != m.Channel {
			return "message_not_found"
		}
		m.Text, m.Blocks = text("text"), blocksOf(c)
		m.Edits++
		out["channel"], out["ts"] = m.Channel, m.TS
	case "conversations.list", "conversations.history", "conversations.replies":
		return s.listed(c, out)
	case "users.lookupByEmail":
		id := s.members[text("email")]
		if id == "" {
			return "users_not_found"
		}
		out["user"] = map[string]string{"id": id}
	case "files.getUploadURLExternal":
		f := &SlackFile{ID: fmt.Sprintf("F%03d", len(s.files)+1), Name: text("filename"), Alt: text("alt_txt")}
		s.files = append(s.files, f)
		out["upload_url"], out["file_id"] = s.server.URL+"/upload/"+f.ID, f.ID
	case "files.completeUploadExternal":
		return s.share(c)
	default:
		return "unknown_method"
	}
	return ""
}

func (s *Slack) share(c SlackCall) string {
	list, _ := c.Args["files"].([]any)
	for _, each := range list {
		named, _ := each.(map[string]any)
		at := slices.IndexFunc(s.files, func(f *SlackFile) bool { return f.ID == named["id"] })
		if at < 0 || len(s.files[at].Content) == 0 {
			return "file_not_found"
		}
		s.files[at].Channel, _ = c.Args["channel_id"].(string)
		s.files[at].Thread, _ = c.Args["thread_ts"].(string)
		if n := len(s.messages); n > 0 {
			s.files[at].after = s.messages[n-1].TS
		}
	}
	return ""
}

func (s *Slack) content(w http.ResponseWriter, id string, raw []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, f := range s.files {
		if f.ID == id {
			f.Content = raw
			return
		}
	}
	w.WriteHeader(http.StatusNotFound)
}

func (s *Slack) message(ts string) *SlackMessage {
	for _, m := range s.messages {
		if m.TS == ts && !m.Deleted {
			return m
		}
	}
	return nil
}

func blocksOf(c SlackCall) string {
	text, err := json.Marshal(c.Args["blocks"])
	if err != nil {
		return err.Error()
	}
	return string(text)
}
