package notify

import (
	"cmp"
	"context"
	"errors"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/slack-go/slack"

	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/egress"
)

const (
	slackBase  = "https://slack.com/api"
	slackEvery = time.Second
)

// slackToken keeps one message per attempt up to date and puts each note into its thread.
type slackToken struct {
	api   *slackAPI
	spec  v1alpha1.SlackSink
	plot  Plotter // nil: none
	paces *paces
	rooms *rooms
	now   func() time.Time
	every time.Duration
}

func (o *opening) slackToken(ctx context.Context, s *v1alpha1.SlackSink) (Sink, error) {
	token, err := o.value(ctx, *s.TokenSecretRef)
	if err != nil {
		return nil, err
	}
	base, options := strings.TrimSuffix(cmp.Or(s.APIURL, slackBase), "/"), egress.Options{Timeout: sendTimeout}
	if err := o.check(base, options); err != nil {
		return nil, err
	}
	out := &slackToken{
		api:  &slackAPI{client: o.Guard.Client(options), base: base, token: strings.TrimSpace(string(token))},
		spec: *s, paces: &o.paces, rooms: &o.rooms, now: o.Now, every: cmp.Or(o.SlackEvery, slackEvery),
	}
	if s.Plot == nil || *s.Plot {
		out.plot = o.Plot
	}
	return out, nil
}

// slackThread is the message of an attempt: where it is, and which channel was meant.
type slackThread struct{ channel, ts, meant string }

// ref is the thread as a Receipt keeps it.
func (t slackThread) ref() string { return t.channel + " " + t.ts + " " + t.meant }

// threadOf reads a reference; ok says that it is of the channel that is meant now.
func threadOf(ref, meant string) (t slackThread, ok bool) {
	parts := strings.SplitN(ref, " ", 3)
	if len(parts) != 3 || parts[2] != meant {
		return slackThread{}, false
	}
	return slackThread{parts[0], parts[1], parts[2]}, true
}

// Send implements Sink. The reply comes last of what can fail: what is before it can be done twice.
func (s *slackToken) Send(ctx context.Context, n Note) (Receipt, error) {
	who, lacks := s.mentions(ctx, n)
	if n.Report.Source != nil || n.Report.Attempt == 0 { // nothing that a thread could be about
		doubt, err := s.alone(ctx, n, who)
		return Receipt{Lacks: lacking(lacks, doubt)}, err
	}
	thread, replied, pictured, doubt := s.found(ctx, n)
	thread, err := s.parent(ctx, thread, n)
	if err != nil {
		return Receipt{}, err
	}
	out := Receipt{Ref: thread.ref(), Lacks: lacking(lacks, doubt)}
	if !replied {
		args := marked(slackArgs(n, thread.channel, who), markOf(slackNote, n.ID))
		args["thread_ts"] = thread.ts
		if broadcast(n.Report.Note) {
			args["reply_broadcast"] = true
		}
		if _, err := s.say(ctx, "chat.postMessage", args); err != nil {
			return out, err
		}
	}
	if pictured {
		return out, nil
	}
	if err := s.picture(ctx, thread, n); err != nil {
		out.Lacks = lacking(out.Lacks, "the plot is missing: "+err.Error())
	}
	return out, nil
}

// parent makes the message of the attempt say what the note says; it is posted where there is none.
func (s *slackToken) parent(ctx context.Context, thread slackThread, n Note) (slackThread, error) {
	if thread.ts != "" {
		args := marked(slackArgs(n, thread.channel, nil), attemptMark(n))
		args["ts"] = thread.ts
		_, err := s.say(ctx, "chat.update", args)
		if !gone(err) {
			return thread, err
		}
	}
	posted, err := s.say(ctx, "chat.postMessage", marked(slackArgs(n, s.spec.Channel, nil), attemptMark(n)))
	s.rooms.put(s.room(), posted.channel)
	return slackThread{posted.channel, posted.ts, s.spec.Channel}, err
}

// say calls a method that shows a message, in its turn.
func (s *slackToken) say(ctx context.Context, method string, args map[string]any) (slackThread, error) {
	if err := s.paces.wait(ctx, s.spec.Channel, s.now, s.every); err != nil {
		return slackThread{}, err
	}
	var said struct {
		Channel string `json:"channel"`
		TS      string `json:"ts"`
	}
	err := s.api.call(ctx, method, args, &said)
	if err == nil && (said.Channel == "" || said.TS == "") {
		err = &Failure{Reason: v1alpha1.ReasonUnreachable, Err: errors.New("Slack does not say where the message is")} //nolint:staticcheck // a name
	}
	return slackThread{channel: said.Channel, ts: said.TS}, err
}

// picture adds the plot of a note that ends an attempt or warns of its end.
func (s *slackToken) picture(ctx context.Context, at slackThread, n Note) error {
	switch n.Report.Note {
	case v1alpha1.NoteRolledBack, v1alpha1.NoteCompleted, v1alpha1.NoteSuspicious:
	default:
		return nil
	}
	if s.plot == nil {
		return nil
	}
	png, err := s.plot.Plot(n)
	if err != nil || len(png) == 0 {
		return err
	}
	if err := s.paces.wait(ctx, s.spec.Channel, s.now, s.every); err != nil {
		return err
	}
	return s.api.upload(ctx, at, png, n.Report.Sentence)
}

// mentions are the members and groups to name in a note: in those of severity Error only.
func (s *slackToken) mentions(ctx context.Context, n Note) (who []string, lacks string) {
	if SeverityOf(n.Report.Note) != v1alpha1.SeverityError {
		return nil, ""
	}
	who = append(who, s.spec.MentionOnRollback...)
	if !s.spec.MentionAuthor || n.Email == "" {
		return who, ""
	}
	var found struct {
		User struct {
			ID string `json:"id"`
		} `json:"user"`
	}
	if err := s.api.form(ctx, "users.lookupByEmail", url.Values{"email": {n.Email}}, &found); err != nil {
		if e, ok := errors.AsType[*slackError](err); ok && e.code == "users_not_found" {
			return who, ""
		}
		return who, "the author is not mentioned: " + err.Error()
	}
	if id := found.User.ID; memberID(id) {
		who = append(who, id)
	}
	return who, ""
}

// memberID reports whether an answer is the id of a member and nothing else.
func memberID(id string) bool {
	return len(id) > 2 && len(id) <= 21 && (id[0] == 'U' || id[0] == 'W') && strings.Trim(id, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789") == ""
}

// slackArgs are the arguments of chat.postMessage and chat.update for a note.
func slackArgs(n Note, channel string, mention []string) map[string]any {
	m := SlackMessage(n, mention)
	return map[string]any{
		"channel": channel, "text": m.Text, "blocks": m.Blocks, "parse": "none", "link_names": false,
		"unfurl_links": false, "unfurl_media": false,
	}
}

// buttons are the links of a note. People act on the page, as themselves.
func buttons(n Note) slack.Block {
	var out []slack.BlockElement
	for _, l := range n.Report.Links {
		b := slack.NewButtonBlockElement("open-"+l.Name, l.Name, plain(title(l.Name)))
		b.URL = l.URL
		out = append(out, b)
	}
	if len(out) == 0 {
		return nil
	}
	return slack.NewActionBlock("links", out...)
}

// paces lets one message a while go to each channel.
type paces struct {
	mu   sync.Mutex
	next map[string]time.Time // guarded by mu
}

const maxPaces = 1024

// wait returns at the turn of the caller, or when ctx ends.
func (p *paces) wait(ctx context.Context, channel string, now func() time.Time, every time.Duration) error {
	for {
		d := p.turn(channel, now(), every)
		if d <= 0 {
			return ctx.Err()
		}
		timer := time.NewTimer(d)
		select {
		case <-ctx.Done():
			timer.Stop()
			return ctx.Err()
		case <-timer.C:
		}
	}
}

// turn takes the turn, if it has come, or says how far it is.
func (p *paces) turn(channel string, now time.Time, every time.Duration) time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	if at := p.next[channel]; at.After(now) {
		return at.Sub(now)
	}
	if p.next == nil || len(p.next) > maxPaces {
		kept := map[string]time.Time{}
		for c, at := range p.next {
			if at.After(now) {
				kept[c] = at
			}
		}
		p.next = kept
	}
	p.next[channel] = now.Add(every)
	return 0
}
