package notify_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/notify"
	"github.com/sluice-dev/sluice/test/child"
	"github.com/sluice-dev/sluice/test/receiver"
)

// leaderEnv names the directory of a leader: this binary, started as a child, is one.
const leaderEnv = "SLUICE_TEST_LEADER"

// events is how many transitions a leader makes.
const events = 10

func TestMain(m *testing.M) {
	if dir := os.Getenv(leaderEnv); dir != "" {
		if err := lead(context.Background(), dir); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// leader is what a leader finds in its directory.
type leader struct{ Hook, Slack string }

// lead makes transitions, stores each with its notes in a file, and delivers the notes by a Worker, as the controller does
// with the API server. It returns when everything is delivered.
func lead(ctx context.Context, dir string) error {
	var l leader
	ro := outbox(nil)
	if err := errors.Join(read(dir, "leader", &l), read(dir, "rollout", ro)); err != nil {
		return err
	}
	all := known{
		"chat": {ObjectMeta: metav1.ObjectMeta{Namespace: "bookinfo", Name: "chat"}, Spec: v1alpha1.NotifierSpec{
			Slack: &v1alpha1.SlackSink{TokenSecretRef: ref("s", "token"), Channel: "#deploys", APIURL: l.Slack}}},
		"team": {ObjectMeta: metav1.ObjectMeta{Namespace: "bookinfo", Name: "team"}, Spec: v1alpha1.NotifierSpec{
			Webhook: &v1alpha1.WebhookSink{URL: l.Hook, SigningSecretRef: ref("s", "key")}}},
	}
	o := outlet(secrets{"bookinfo/s": {"token": []byte(slackCanary), "key": []byte(secret)}})
	o.Now, o.SlackEvery = time.Now, time.Millisecond
	news := make(chan struct{}, 1)
	k := notify.NewWorker(notify.WorkerConfig{Notifiers: all, Opener: o, Now: time.Now, Felt: func(types.NamespacedName) {},
		Settled: func(types.NamespacedName) {
			select {
			case news <- struct{}{}:
			default:
			}
		}})
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	ended := make(chan error, 1)
	go func() { ended <- k.Start(ctx) }()
	k.Stored(ro.DeepCopy())
	beat := time.NewTicker(20 * time.Millisecond)
	defer beat.Stop()
	for ro.Status.Seq < events || len(ro.Status.Notes) > 0 {
		select {
		case <-beat.C:
			if ro.Status.Seq == events {
				continue
			}
			ro.Status.Seq++
			note := v1alpha1.PendingNote{Kind: v1alpha1.NoteStepPassed, Attempt: 3, Seq: ro.Status.Seq, At: metav1.NewMicroTime(time.Now()), Text: "passed"}
			ro.Status.Notes = notify.Append(ro.Status.Notes, note, []string{"chat", "team"})
		case <-news:
			results := k.Results(uid)
			ro.Status.Notes, ro.Status.Receipts = notify.Settle(ro.Status.Notes, results), notify.Keep(ro.Status.Receipts, results)
		}
		if err := write(dir, "rollout", ro); err != nil {
			return err
		}
		k.Stored(ro.DeepCopy())
	}
	cancel()
	return <-ended
}

func read(dir, name string, into any) error {
	text, err := os.ReadFile(filepath.Join(dir, name))
	if err != nil {
		return err
	}
	return json.Unmarshal(text, into)
}

func write(dir, name string, v any) error {
	text, err := json.Marshal(v)
	if err != nil {
		return err
	}
	next := filepath.Join(dir, name+".next")
	return errors.Join(os.WriteFile(next, text, 0o600), os.Rename(next, filepath.Join(dir, name)))
}

// killer ends the leader while a receiver has taken a note, or the message of an attempt, and has not said so.
type killer struct {
	dir  string
	mu   sync.Mutex
	now  *child.Process
	left []string // notes at which it still has to end
	done int
}

func (k *killer) at(note string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if i := slices.Index(k.left, note); i >= 0 && k.now != nil {
		k.left = slices.Delete(k.left, i, i+1)
		k.done++
		_ = k.now.Kill() // it may have ended
	}
}

// TestDelivery_survivesKill ends a leader with SIGKILL between a delivery and its record, again and again: no event is
// lost, each has one id, only notes that were under way come twice to the webhook, and Slack has one thread with each note once.
func TestDelivery_survivesKill(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	k := &killer{dir: dir, left: []string{"team 2", "team 5", "team 9", "chat begins", "chat 4", "chat 8"}}
	kills := len(k.left)
	hook, err := receiver.Start(t.Context(), receiver.Config{Secret: secret, OnNote: func(n receiver.Note) {
		k.at("team " + strings.Split(n.ID, ".")[2])
	}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { hook.Close() })
	slack := receiver.StartSlack(slackCanary)
	t.Cleanup(slack.Close)
	replies := 0
	slack.At(time.Now())
	slack.OnCall(func(c receiver.SlackCall) {
		switch {
		case c.Method != "chat.postMessage":
		case c.Args["thread_ts"] == nil:
			k.at("chat begins")
		default:
			replies++ // one call at a time
			k.at(fmt.Sprintf("chat %d", replies))
		}
	})
	if err := errors.Join(write(dir, "leader", leader{Hook: hook.URL(), Slack: slack.APIURL()}), write(dir, "rollout", outbox(nil))); err != nil {
		t.Fatal(err)
	}
	for life := 0; ; life++ {
		if life > kills {
			t.Fatalf("the leader was started %d times and has not delivered everything", life)
		}
		if run(t, dir, k) == nil {
			break
		}
	}
	if k.done != kills {
		t.Errorf("the leader was killed %d times, want %d", k.done, kills)
	}
	var first []string
	for _, n := range hook.Notes() {
		if n.Accepted() && !n.Duplicate {
			first = append(first, n.ID)
		}
	}
	for i := range events {
		if i >= len(first) || first[i] != id(int64(i+1), "team") {
			t.Fatalf("the webhook took %v, want each of %d in order", first, events)
		}
	}
	if c := hook.Counts(); len(first) != events || c.Duplicate > 3*kills {
		t.Errorf("the webhook counts %+v after %d kills, want %d, and again only what was under way", c, kills, events)
	}
	thread(t, slack.Messages())
}

// run starts a leader and gives nil when it has delivered everything, an error when it was killed.
func run(t *testing.T, dir string, k *killer) error {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	log, err := os.Create(filepath.Join(dir, "log"))
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	cmd := exec.Command(self)
	cmd.Env, cmd.Stdout, cmd.Stderr = append(os.Environ(), leaderEnv+"="+dir), log, log
	k.mu.Lock()
	p, err := child.Start(cmd)
	k.now = p
	k.mu.Unlock()
	if err != nil {
		t.Fatal(err)
	}
	select {
	case <-p.Done():
	case <-time.After(4 * time.Minute):
		err := p.Kill()
		t.Fatalf("the leader does not end (%v): %s", err, child.Tail(log.Name(), 4096))
	}
	if ended := p.Ended(); !strings.Contains(ended.Error(), "exit status 0") {
		if strings.Contains(ended.Error(), "exit status") {
			t.Fatalf("%v: %s", ended, child.Tail(log.Name(), 4096))
		}
		return ended
	}
	return nil
}

// thread holds that all messages are of one thread, and that none came twice.
func thread(t *testing.T, messages []receiver.SlackMessage) {
	t.Helper()
	if len(messages) == 0 {
		t.Fatal("Slack has no message")
	}
	replies := 0
	for i, m := range messages {
		switch {
		case i == 0 && m.Thread != "" || i > 0 && m.Thread == "":
			t.Errorf("message %d of %d is %+v, want one message that all others reply to", i, len(messages), m)
		case i > 0 && m.Thread != messages[0].TS:
			t.Errorf("message %d replies to %s, not to %s", i, m.Thread, messages[0].TS)
		case i > 0:
			replies++
		}
	}
	if replies != events {
		t.Errorf("%d replies, want %d", replies, events)
	}
}
