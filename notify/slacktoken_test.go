package notify_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/api/view"
	"github.com/sluice-dev/sluice/notify"
	"github.com/sluice-dev/sluice/test/receiver"
)

const slackCanary = "xoxb-canary-7Q2W"

// picture is a Plotter that draws the same for each note.
type picture struct{ err error }

// Plot implements notify.Plotter.
func (p picture) Plot(notify.Note) ([]byte, error) { return []byte("\x89PNG"), p.err }

// chat is a Slack workspace and a sink that posts to it.
type chat struct {
	*receiver.Slack
	outlet *notify.Outlet
	spec   v1alpha1.SlackSink
	ref    string // of the newest receipt
}

func newChat(t *testing.T) *chat {
	t.Helper()
	c := &chat{Slack: receiver.StartSlack(slackCanary)}
	t.Cleanup(c.Close)
	c.outlet = outlet(secrets{"bookinfo/chat": {"token": []byte(slackCanary + "\n")}})
	c.outlet.Now, c.outlet.SlackEvery, c.outlet.Plot = time.Now, time.Millisecond, picture{}
	c.spec = v1alpha1.SlackSink{TokenSecretRef: ref("chat", "token"), Channel: "#deploys", APIURL: c.APIURL()}
	return c
}

// tell sends a note with what the last receipt said.
func (c *chat) tell(t *testing.T, n notify.Note) (notify.Receipt, error) {
	t.Helper()
	s, err := c.outlet.Open(t.Context(), &v1alpha1.Notifier{ObjectMeta: metav1.ObjectMeta{Namespace: "bookinfo", Name: "chat"}, Spec: v1alpha1.NotifierSpec{Slack: &c.spec}})
	if err != nil {
		t.Fatal(err)
	}
	n.Ref = c.ref
	got, err := s.Send(t.Context(), n)
	if got.Ref != "" {
		c.ref = got.Ref
	}
	return got, err
}

func (c *chat) must(t *testing.T, n notify.Note) notify.Receipt {
	t.Helper()
	got, err := c.tell(t, n)
	if err != nil {
		t.Fatalf("%s: %v", n.Report.Note, err)
	}
	return got
}

// of is the note of a rollback as one of another kind.
func of(kind v1alpha1.NoteKind, sentence string) notify.Note {
	n := rolledBack()
	n.Report.Note, n.Report.Sentence = kind, sentence
	return n
}

func TestSlackToken_keepsOneMessagePerAttemptAndAThread(t *testing.T) {
	t.Parallel()
	c := newChat(t)
	c.must(t, of(v1alpha1.NoteStarted, "attempt 3 begins"))
	c.must(t, of(v1alpha1.NoteStepPassed, "step 2/3 (50%)"))
	c.must(t, rolledBack())
	got := c.Messages()
	if len(got) != 4 {
		t.Fatalf("%d messages, want one and three replies: %+v", len(got), got)
	}
	parent := got[0]
	if parent.Thread != "" || parent.Edits != 2 || !strings.HasPrefix(parent.Text, "✖ prod-eu reviews v3: rolled back to v2") {
		t.Errorf("the message of the attempt is %+v, want it to say the newest", parent)
	}
	for i, want := range []string{"▶ prod-eu reviews v3: attempt 3 begins", "▶ prod-eu reviews v3: step 2/3 (50%)", "✖ prod-eu reviews v3: rolled back"} {
		m := got[i+1]
		if m.Thread != parent.TS || !strings.HasPrefix(m.Text, want) || m.Broadcast != (i == 2) || m.Edits != 0 {
			t.Errorf("reply %d is %+v, want %q", i+1, m, want)
		}
	}
	if c.ref != "C0DEPLOYS "+parent.TS+" #deploys" || len(c.ref) > notify.MaxRef {
		t.Errorf("the receipt says %q", c.ref)
	}
	for _, call := range c.Calls("") {
		if strings.HasPrefix(call.Method, "chat.") && (call.Args["parse"] != "none" || call.Args["link_names"] != false || call.Args["unfurl_links"] != false) {
			t.Errorf("%s is read as more than text: %+v", call.Method, call.Args)
		}
	}
}

func TestSlackToken_putsThePlotIntoTheThread(t *testing.T) {
	t.Parallel()
	c := newChat(t)
	c.must(t, of(v1alpha1.NoteStepPassed, "step 2/3 (50%)"))
	if n := len(c.Files()); n != 0 {
		t.Errorf("%d files for a step that was passed, want none", n)
	}
	if got := c.must(t, rolledBack()); got.Lacks != "" {
		t.Errorf("it lacks %q", got.Lacks)
	}
	files := c.Files()
	if len(files) != 1 || string(files[0].Content) != "\x89PNG" || files[0].Alt != rolledBack().Report.Sentence || files[0].Thread != c.Messages()[0].TS ||
		files[0].Channel != "C0DEPLOYS" || files[0].Name != "evidence.png" {
		t.Errorf("files: %+v", files)
	}
	c.Script("files.getUploadURLExternal", receiver.SlackAnswer{Code: "missing_scope"})
	if got := c.must(t, rolledBack()); got.Lacks != "the plot is missing: Slack's files.getUploadURLExternal says missing_scope" {
		t.Errorf("without the scope it lacks %q", got.Lacks)
	}
	c.outlet.Plot = picture{errors.New("nothing to draw")}
	if got := c.must(t, rolledBack()); got.Lacks != "the plot is missing: nothing to draw" {
		t.Errorf("without evidence it lacks %q", got.Lacks)
	}
	c.spec.Plot = new(bool)
	before := len(c.Calls("files.getUploadURLExternal"))
	if got := c.must(t, rolledBack()); got.Lacks != "" || len(c.Calls("files.getUploadURLExternal")) != before {
		t.Errorf("plot: false: %+v", got)
	}
}

func TestSlackToken_mentionsInErrorsOnly(t *testing.T) {
	t.Parallel()
	c := newChat(t)
	c.Member("a@example.com", "U0AUTHOR")
	c.spec.MentionOnRollback, c.spec.MentionAuthor = []string{"S0ONCALL"}, true
	calm := of(v1alpha1.NoteSuspicious, "harm grows")
	calm.Email = "a@example.com"
	c.must(t, calm)
	bad := rolledBack()
	bad.Email = "a@example.com"
	c.must(t, bad)
	got := c.Messages()
	for i, m := range got {
		named := strings.Contains(m.Blocks, "<!subteam^S0ONCALL> <@U0AUTHOR>") || strings.Contains(m.Blocks, `\u003c!subteam^S0ONCALL\u003e \u003c@U0AUTHOR\u003e`)
		if named != (i == len(got)-1) {
			t.Errorf("message %d names people: %v: %s", i, named, m.Blocks)
		}
	}
	if n := len(c.Calls("users.lookupByEmail")); n != 1 {
		t.Errorf("%d look-ups, want one", n)
	}
	bad.Email = "nobody@example.com"
	if got := c.must(t, bad); got.Lacks != "" {
		t.Errorf("an author that is no member: %q", got.Lacks)
	}
	c.Script("users.lookupByEmail", receiver.SlackAnswer{Code: "missing_scope"})
	if got := c.must(t, bad); got.Lacks != "the author is not mentioned: Slack's users.lookupByEmail says missing_scope" {
		t.Errorf("without the scope it lacks %q", got.Lacks)
	}
	c.Member("evil@example.com", "U1> <!channel")
	bad.Email = "evil@example.com"
	c.must(t, bad)
	if last := c.Messages()[len(c.Messages())-1]; strings.Contains(last.Blocks, "channel") {
		t.Errorf("the answer of a look-up is shown: %s", last.Blocks)
	}
}

func TestSlackToken_readsTheAnswer(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		answer receiver.SlackAnswer
		reason string
		hope   notify.Hope
		after  time.Duration
	}{
		{receiver.SlackAnswer{Code: "ratelimited", Status: 429, RetryAfter: 30 * time.Second}, v1alpha1.ReasonThrottled, notify.Retry, 30 * time.Second},
		{receiver.SlackAnswer{Code: "ratelimited"}, v1alpha1.ReasonThrottled, notify.Retry, 0},
		{receiver.SlackAnswer{Code: "internal_error"}, v1alpha1.ReasonUnreachable, notify.Retry, 0},
		{receiver.SlackAnswer{Code: "x", Status: 503}, v1alpha1.ReasonUnreachable, notify.Retry, 0},
		{receiver.SlackAnswer{Code: "invalid_auth"}, v1alpha1.ReasonUnauthorized, notify.Stands, 0},
		{receiver.SlackAnswer{Code: "token_revoked"}, v1alpha1.ReasonUnauthorized, notify.Stands, 0},
		{receiver.SlackAnswer{Code: "missing_scope"}, v1alpha1.ReasonUnauthorized, notify.Stands, 0},
		{receiver.SlackAnswer{Code: "channel_not_found"}, v1alpha1.ReasonRefused, notify.Stands, 0},
		{receiver.SlackAnswer{Code: "not_in_channel"}, v1alpha1.ReasonRefused, notify.Stands, 0},
		{receiver.SlackAnswer{Code: "is_archived"}, v1alpha1.ReasonRefused, notify.Stands, 0},
		{receiver.SlackAnswer{Code: "invalid_blocks"}, v1alpha1.ReasonRefused, notify.Thrice, 0},
	} {
		c := newChat(t)
		c.Script("chat.postMessage", row.answer)
		_, err := c.tell(t, rolledBack())
		f, failed := errors.AsType[*notify.Failure](err)
		if !failed || f.Reason != row.reason || f.Hope != row.hope || f.After != row.after || strings.Contains(err.Error(), "canary") {
			t.Errorf("%+v: %v %+v, want %s, hope %d, after %v", row.answer, err, f, row.reason, row.hope, row.after)
		}
	}
}

func TestSlackToken_beginsAnewWhereTheMessageIsGone(t *testing.T) {
	t.Parallel()
	c := newChat(t)
	c.must(t, of(v1alpha1.NoteStarted, "attempt 3 begins"))
	first := c.ref
	c.Delete()
	c.must(t, rolledBack())
	got := c.Messages()
	if c.ref == first || len(got) != 4 || got[2].Thread != "" || got[3].Thread != got[2].TS {
		t.Errorf("after the messages were deleted: %q then %q, %+v", first, c.ref, got)
	}
	c.spec.Channel = "C0DEPLOYS"
	c.must(t, rolledBack())
	if n := len(c.Messages()); n != 6 {
		t.Errorf("%d messages after the channel changed, want a new one with a reply", n)
	}
}

// A try that got half the way says so: the next one does not post the message of the attempt again.
func TestSlackToken_goesOnWhereItFailed(t *testing.T) {
	t.Parallel()
	c := newChat(t)
	c.Script("chat.postMessage", receiver.SlackAnswer{}, receiver.SlackAnswer{Code: "ratelimited"})
	if _, err := c.tell(t, of(v1alpha1.NoteStarted, "attempt 3 begins")); err == nil || c.ref == "" {
		t.Fatalf("got %v with receipt %q, want a failure with a receipt", err, c.ref)
	}
	c.must(t, of(v1alpha1.NoteStarted, "attempt 3 begins"))
	if got := c.Messages(); len(got) != 2 || got[1].Thread != got[0].TS {
		t.Errorf("messages: %+v, want one with one reply", got)
	}
}

func TestSlackToken_oneMessageAWhileToAChannel(t *testing.T) {
	t.Parallel()
	c := newChat(t)
	c.outlet.SlackEvery, c.outlet.Plot = time.Second, nil
	c.must(t, of(v1alpha1.NoteStarted, "attempt 3 begins"))
	c.must(t, rolledBack())
	calls := c.Calls("")
	for i := 1; i < len(calls); i++ {
		if gap := calls[i].At.Sub(calls[i-1].At); gap < 100*time.Millisecond {
			t.Errorf("%s came %v after %s", calls[i].Method, gap, calls[i-1].Method)
		}
	}
	if len(calls) != 4 {
		t.Errorf("%d calls, want 4", len(calls))
	}
}

func TestSlackToken_aSourceHasNoThread(t *testing.T) {
	t.Parallel()
	c := newChat(t)
	n := notify.Note{ID: "x", Report: view.EvidenceReport{Source: &view.Object{Namespace: "bookinfo", Name: "shop"}, Note: v1alpha1.NoteSourceFailed, Sentence: "BuildFailed: no"}}
	for range 2 {
		if got := c.must(t, n); got.Ref != "" {
			t.Errorf("receipt %+v", got)
		}
	}
	if got := c.Messages(); len(got) != 2 || got[0].Thread+got[1].Thread != "" || got[0].Text != "✖ shop: BuildFailed: no" {
		t.Errorf("messages: %+v", got)
	}
}

func TestSlackToken_linksAreButtons(t *testing.T) {
	t.Parallel()
	c := newChat(t)
	n := rolledBack()
	n.Report.Links = []view.Link{{Name: "page", URL: "https://sluice.example.com/r/reviews?a=1&b=2"}}
	c.must(t, n)
	for _, want := range []string{`"type":"button"`, `"url":"https://sluice.example.com/r/reviews?a=1\u0026b=2"`, `"text":"Open in Sluice"`} {
		if got := c.Messages()[0].Blocks; !strings.Contains(got, want) {
			t.Errorf("the blocks have no %s: %s", want, got)
		}
	}
}
