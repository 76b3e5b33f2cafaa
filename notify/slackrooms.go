package notify

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"sync"
)

// rooms remembers the ids of channels that are known by name: Slack allows few calls that look one up. The zero value is empty.
type rooms struct {
	mu  sync.Mutex
	ids map[[sha256.Size]byte]string // guarded by mu; by API, token and name
}

const maxRooms = 1024

// room is what the id of a channel is kept under.
func (s *slackToken) room() [sha256.Size]byte {
	return sha256.Sum256([]byte(s.api.base + "\x00" + s.api.token + "\x00" + s.spec.Channel))
}

func (r *rooms) get(of [sha256.Size]byte) string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.ids[of]
}

// put keeps an id; an empty one is forgotten.
func (r *rooms) put(of [sha256.Size]byte, id string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if id == "" {
		delete(r.ids, of)
		return
	}
	if r.ids == nil || len(r.ids) >= maxRooms {
		r.ids = map[[sha256.Size]byte]string{}
	}
	r.ids[of] = id
}

// channel is the id of the channel that is meant.
func (s *slackToken) channel(ctx context.Context) (string, error) {
	name, named := strings.CutPrefix(s.spec.Channel, "#")
	if !named {
		return s.spec.Channel, nil
	}
	room := s.room()
	if id := s.rooms.get(room); id != "" {
		return id, nil
	}
	id, err := s.lookUp(ctx, name, "public_channel,private_channel")
	if slackCode(err) == "missing_scope" {
		id, err = s.lookUp(ctx, name, "public_channel")
	}
	if err == nil && id == "" {
		err = fmt.Errorf("the app sees no channel #%s: invite it, or give the channel's id", name)
	}
	if err == nil {
		s.rooms.put(room, id)
	}
	return id, err
}

// lookUp goes through the channels of some types that the app sees; empty: none has that name.
func (s *slackToken) lookUp(ctx context.Context, name, types string) (id string, err error) {
	args := url.Values{"types": {types}, "exclude_archived": {"true"}, "limit": {fmt.Sprint(slackChannels)}}
	err = s.pages(ctx, "conversations.list", args, func(page slackList) bool {
		for _, c := range page.Channels {
			if c.Name == name {
				id = c.ID
			}
		}
		return id != ""
	})
	return id, err
}

// slackCode is the code of an error that Slack answered with; empty: it did not.
func slackCode(err error) string {
	if e, ok := errors.AsType[*slackError](err); ok {
		return e.code
	}
	return ""
}
