package notify_test

import (
	"strings"
	"testing"
	"time"

	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/notify"
	"github.com/sluice-dev/sluice/test/receiver"
)

// again is a note whose earlier try, if there was one, nobody remembers.
func (c *chat) again(n notify.Note) notify.Note {
	c.ref, n.Again = "", true
	return n
}

// kinded is the note of a kind with an id of its own.
func kinded(kind v1alpha1.NoteKind, seq string) notify.Note {
	n := of(kind, "step 2/3 (50%)")
	n.ID = strings.Replace(n.ID, ".11.", "."+seq+".", 1)
	return n
}

// busy has enough messages of others that pages have to be turned.
func (c *chat) busy(t *testing.T) {
	t.Helper()
	for i := range 12 {
		n := kinded(v1alpha1.NoteStarted, "1")
		n.ID = strings.Replace(n.ID, "0b7f", "other"+string(rune('a'+i)), 1)
		c.ref = ""
		c.must(t, n)
	}
	c.ref = ""
}

func TestSlackToken_findsWhatAnEarlierProcessSent(t *testing.T) {
	t.Parallel()
	for _, channel := range []string{"#deploys", "C0DEPLOYS"} {
		c := newChat(t)
		c.spec.Channel = channel
		c.At(rolledBack().Report.At)
		c.busy(t)
		before := len(c.Messages())
		c.must(t, kinded(v1alpha1.NoteStarted, "9"))
		thread := c.ref
		c.busy(t)
		c.must(t, c.again(kinded(v1alpha1.NoteStarted, "9"))) // posted and replied, and nobody knows
		if c.ref != thread {
			t.Errorf("%s: a second thread, %q and %q", channel, thread, c.ref)
		}
		c.must(t, c.again(kinded(v1alpha1.NoteStepPassed, "10"))) // the thread is there, the note is not
		replies := 0
		for _, m := range c.Messages()[before:] {
			if m.Thread == strings.Fields(thread)[1] {
				replies++
			}
		}
		if replies != 2 || c.ref != thread {
			t.Errorf("%s: %d replies in the thread, want each note once", channel, replies)
		}
	}
}

func TestSlackToken_addsThePictureThatIsMissing(t *testing.T) {
	t.Parallel()
	c := newChat(t)
	c.At(rolledBack().Report.At)
	c.must(t, kinded(v1alpha1.NoteSuspicious, "10")) // has a picture too, before
	c.Script("files.completeUploadExternal", receiver.SlackAnswer{Code: "internal_error"})
	c.must(t, rolledBack())
	shared := func() (n int) {
		for _, f := range c.Files() {
			if f.Thread != "" {
				n++
			}
		}
		return n
	}
	for i, want := range []int{2, 2} {
		c.must(t, c.again(rolledBack()))
		if got := shared(); got != want {
			t.Errorf("after try %d: %d pictures in the thread, want %d", i+2, got, want)
		}
	}
	if n := len(c.Messages()); n != 3 {
		t.Errorf("%d messages, want the one of the attempt and two replies", n)
	}
}

// A note that nobody can have sent before costs no look; what cannot be looked up is sent all the same, and said.
func TestSlackToken_looksOnlyWhereItHasTo(t *testing.T) {
	t.Parallel()
	c := newChat(t)
	c.must(t, rolledBack())
	c.ref = ""
	c.must(t, rolledBack())
	if got := len(c.Calls("conversations.list")) + len(c.Calls("conversations.history")) + len(c.Calls("conversations.replies")); got != 0 {
		t.Errorf("%d calls to look for what cannot be there", got)
	}
	c = newChat(t) // by another process, which does not know the channel
	c.Script("conversations.list", receiver.SlackAnswer{Code: "missing_scope"}, receiver.SlackAnswer{Code: "missing_scope"})
	got := c.must(t, c.again(rolledBack()))
	const want = "it may be there twice, as what was sent before could not be looked up: Slack's conversations.list says missing_scope"
	if got.Lacks != want || c.ref == "" {
		t.Errorf("without the scope: receipt %+v, want %q", got, want)
	}
	calls := c.Calls("conversations.list")
	if len(calls) != 2 || calls[0].Args["types"] == calls[1].Args["types"] {
		t.Errorf("looked for the channel by %+v, want of all types and of public ones", calls)
	}
	if got := c.must(t, c.again(rolledBack())); got.Lacks != "" || len(c.Calls("conversations.list")) != 2 {
		t.Errorf("the id that Slack answered with is not remembered: receipt %+v", got)
	}
	c.spec.Channel = "#nowhere"
	if _, err := c.tell(t, c.again(rolledBack())); err == nil || !strings.Contains(err.Error(), "channel_not_found") {
		t.Errorf("a channel that is none: %v", err)
	}
}

func TestSlackToken_takesNoOtherMessageForItsOwn(t *testing.T) {
	t.Parallel()
	c := newChat(t)
	c.At(rolledBack().Report.At)
	for _, change := range [][2]string{{".3.", ".4."}, {".team", ".chat"}, {"0b7f", "1b7f"}} {
		n := rolledBack()
		n.ID = strings.Replace(n.ID, change[0], change[1], 1)
		c.ref = ""
		c.must(t, n)
	}
	others := len(c.Messages())
	c.must(t, c.again(rolledBack()))
	if got := c.Messages(); len(got) != others+2 || got[others].Thread != "" || got[others+1].Thread != got[others].TS {
		t.Errorf("%d messages after %d of others: want one with a reply", len(got), others)
	}
	old := newChat(t) // posted long before the note came to be: of an attempt of another life
	old.At(rolledBack().Report.At.Add(-time.Hour))
	old.must(t, rolledBack())
	old.must(t, old.again(rolledBack()))
	if n := len(old.Messages()); n != 4 {
		t.Errorf("%d messages, want four", n)
	}
}

// A note of a Source has no thread; it is known again by its own mark.
func TestSlackToken_knowsANoteOfASourceAgain(t *testing.T) {
	t.Parallel()
	c := newChat(t)
	n := kinded(v1alpha1.NoteSourceFailed, "1")
	n.Report.Attempt = 0
	c.At(n.Report.At)
	for _, one := range []struct {
		note notify.Note
		want int
	}{{n, 1}, {c.again(n), 1}, {n, 2}} {
		if got := c.must(t, one.note); got.Lacks != "" || len(c.Messages()) != one.want {
			t.Errorf("again=%t: receipt %+v, %d messages, want %d", one.note.Again, got, len(c.Messages()), one.want)
		}
	}
	c.Script("conversations.history", receiver.SlackAnswer{Code: "missing_scope"})
	if got := c.must(t, c.again(n)); !strings.Contains(got.Lacks, "twice") || len(c.Messages()) != 3 {
		t.Errorf("without the scope: receipt %+v, %d messages", got, len(c.Messages()))
	}
}
