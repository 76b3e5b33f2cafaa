package notify

import (
	"context"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/sluice-dev/sluice/api/v1alpha1"
)

// What the metadata of messages is called: of the message of an attempt, and of a note in its thread.
const (
	slackAttempt = "sluice_attempt"
	slackNote    = "sluice_note"
)

// The bounds of looking for a message: pages, messages of one, channels of one, how far clocks may be apart, and the time it
// may take from that of sending.
const (
	slackPages    = 10
	slackPage     = 100
	slackChannels = 200
	slackSkew     = 2 * time.Minute
	slackLook     = 10 * time.Second
)

// slackMark is the metadata of a message, by which another process knows it again.
type slackMark struct {
	Type    string `json:"event_type"`
	Payload struct {
		ID string `json:"id"`
	} `json:"event_payload"`
}

func markOf(kind, id string) slackMark {
	m := slackMark{Type: kind}
	m.Payload.ID = id
	return m
}

// attemptMark is the mark of the message of an attempt: the same for all notes of the attempt to a Notifier.
func attemptMark(n Note) slackMark {
	parts := strings.SplitN(n.ID, ".", 4) // uid, attempt, seq, notifier
	if len(parts) == 4 {
		parts = slices.Delete(parts, 2, 3)
	}
	return markOf(slackAttempt, strings.Join(parts, "."))
}

// slackSeen is a message as Slack lists it, whoever posted it.
type slackSeen struct {
	TS       string `json:"ts"`
	Metadata struct {
		Type    string         `json:"event_type"`
		Payload map[string]any `json:"event_payload"`
	} `json:"metadata"`
	Files []struct {
		Name string `json:"name"`
	} `json:"files"`
}

// is reports whether a message has a mark.
func (m slackSeen) is(mark slackMark) bool {
	return m.Metadata.Type == mark.Type && m.Metadata.Payload["id"] == mark.Payload.ID
}

// slackList is an answer with a page of a list.
type slackList struct {
	Messages []slackSeen `json:"messages"`
	Channels []struct {
		ID   string `json:"id"`
		Name string `json:"name"`
	} `json:"channels"`
	Response struct {
		Next string `json:"next_cursor"`
	} `json:"response_metadata"`
}

// posted finds a message by its mark in the channel: an earlier process, or a try whose answer was lost, has posted it. An
// empty thread: there is none.
func (s *slackToken) posted(ctx context.Context, n Note, mark slackMark) (slackThread, error) {
	channel, err := s.channel(ctx)
	if err != nil {
		return slackThread{}, err
	}
	args := since(n)
	args.Set("channel", channel)
	var ts string
	err = s.pages(ctx, "conversations.history", args, func(page slackList) bool {
		for _, m := range page.Messages {
			if m.is(mark) {
				ts = m.TS
			}
		}
		return ts != ""
	})
	if slackCode(err) == "channel_not_found" {
		s.rooms.put(s.room(), "") // the name may mean another one now
	}
	if err != nil || ts == "" {
		return slackThread{}, err
	}
	return slackThread{channel, ts, s.spec.Channel}, nil
}

// said reports what of a note is in the thread already: the reply, and a picture after it.
func (s *slackToken) said(ctx context.Context, at slackThread, n Note) (reply, picture bool, err error) {
	args := since(n)
	args.Set("channel", at.channel)
	args.Set("ts", at.ts)
	err = s.pages(ctx, "conversations.replies", args, func(page slackList) bool {
		for _, m := range page.Messages {
			reply = reply || m.is(markOf(slackNote, n.ID))
			picture = picture || reply && len(m.Files) > 0 && m.Files[0].Name == plotName
		}
		return false
	})
	return reply, picture, err
}

// since asks for messages from about when the note came to be, with their metadata.
func since(n Note) url.Values {
	return url.Values{"include_all_metadata": {"true"}, "limit": {strconv.Itoa(slackPage)},
		"oldest": {fmt.Sprintf("%d.000000", n.Report.At.Add(-slackSkew).Unix())}}
}

// pages reads page after page until one is enough, or there is no more.
func (s *slackToken) pages(ctx context.Context, method string, args url.Values, enough func(slackList) bool) error {
	for range slackPages {
		var page slackList
		if err := s.api.list(ctx, method, args, &page); err != nil {
			return err
		}
		if enough(page) || page.Response.Next == "" {
			return nil
		}
		args.Set("cursor", page.Response.Next)
	}
	return fmt.Errorf("%s: not found on %d pages", method, slackPages)
}

// found is how a try goes on where an earlier one may have ended: the thread that there is, whether the note is in it, and
// whether its picture is. What cannot be looked up is said, and holds up nothing: at worst something is said twice.
func (s *slackToken) found(ctx context.Context, n Note) (at slackThread, reply, picture bool, lacks string) {
	at, ok := threadOf(n.Ref, s.spec.Channel)
	if !n.Again {
		return at, false, false, ""
	}
	ctx, cancel := context.WithTimeout(ctx, slackLook)
	defer cancel()
	var err error
	if !ok {
		at, err = s.posted(ctx, n, attemptMark(n))
	}
	if err == nil && at.ts != "" {
		reply, picture, err = s.said(ctx, at, n)
	}
	return at, reply, picture, unsure(err)
}

// alone sends a note that no thread could be about, unless an earlier try has.
func (s *slackToken) alone(ctx context.Context, n Note, who []string) (lacks string, err error) {
	mark := markOf(slackNote, n.ID)
	if n.Again {
		look, cancel := context.WithTimeout(ctx, slackLook)
		defer cancel()
		at, err := s.posted(look, n, mark)
		if err == nil && at.ts != "" {
			return "", nil
		}
		lacks = unsure(err)
	}
	_, err = s.say(ctx, "chat.postMessage", marked(slackArgs(n, s.spec.Channel, who), mark))
	return lacks, err
}

// unsure says what follows from what could not be looked up.
func unsure(err error) string {
	if err == nil {
		return ""
	}
	return "it may be there twice, as what was sent before could not be looked up: " + err.Error()
}

// lacking joins what a receiver did not get.
func lacking(words ...string) string {
	return strings.Join(slices.DeleteFunc(words, func(w string) bool { return w == "" }), "; ")
}

// marked gives the arguments of a message with its mark.
func marked(args map[string]any, m slackMark) map[string]any {
	args["metadata"] = m
	return args
}

// broadcast reports whether a note is shown in the channel too.
func broadcast(kind v1alpha1.NoteKind) bool {
	return kind == v1alpha1.NoteRolledBack || kind == v1alpha1.NoteBlocked
}
