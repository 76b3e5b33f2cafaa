package notify_test

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/api/view"
	"github.com/sluice-dev/sluice/notify"
	"github.com/sluice-dev/sluice/test/receiver"
)

func TestTeams_postsACard(t *testing.T) {
	t.Parallel()
	bodies := make(chan []byte, 1)
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b, err := io.ReadAll(r.Body)
		if err != nil || r.Header.Get("Content-Type") != "application/json" {
			b = nil
		}
		bodies <- b
		w.WriteHeader(http.StatusAccepted)
	}))
	t.Cleanup(srv.Close)
	o := outlet(secrets{"bookinfo/teams": {"url": []byte(srv.URL + "/workflows/x?sig=y")}})
	if err := send(t, o, v1alpha1.NotifierSpec{Teams: &v1alpha1.TeamsSink{URLSecretRef: *ref("teams", "url")}}); err != nil {
		t.Fatal(err)
	}
	var got struct {
		Type, Summary string
		Attachments   []struct {
			ContentType string
			Content     struct{ Type, Version string }
		}
	}
	if err := json.Unmarshal(<-bodies, &got); err != nil || got.Type != "message" || len(got.Attachments) != 1 || got.Attachments[0].Content.Type != "AdaptiveCard" ||
		got.Attachments[0].Content.Version != "1.4" || got.Attachments[0].ContentType != "application/vnd.microsoft.card.adaptive" || got.Summary != rolledBack().Line() {
		t.Errorf("got %+v (%v)", got, err)
	}
}

// Text blocks of cards are Markdown; rich ones are not, so that nothing in a text can be a link or a mention.
func TestTeamsMessage_hostileTextStaysTextAndFits(t *testing.T) {
	t.Parallel()
	n := rolledBack()
	n.Report.Sentence = "[ok](https://evil.example) <at>all</at> " + strings.Repeat("<&", 400)
	for i := range 400 {
		n.Report.Links = append(n.Report.Links, view.Link{Name: "page", URL: "https://sluice.example.com/" + strings.Repeat("x", i)})
	}
	raw, err := notify.TeamsMessage(n)
	if err != nil || len(raw) > 28<<10 {
		t.Fatalf("%d bytes, %v", len(raw), err)
	}
	if strings.Contains(string(raw), `"TextBlock"`) || !strings.Contains(string(raw), "[ok](https://evil.example)") {
		t.Errorf("the card is %s", raw)
	}
}

// drawer is a Grafana and a sink that draws there.
type drawer struct {
	*receiver.Forge
	outlet *notify.Outlet
	spec   v1alpha1.GrafanaSink
	ref    string
}

func newDrawer(t *testing.T, answer func(receiver.Asked) receiver.Answer) *drawer {
	t.Helper()
	d := &drawer{Forge: receiver.StartForge(answer)}
	t.Cleanup(d.Close)
	d.outlet = outlet(secrets{"bookinfo/g": {"token": []byte("glsa_canary\n"), "ca": d.CA()}})
	d.spec = v1alpha1.GrafanaSink{URL: d.URL() + "/", TokenSecretRef: *ref("g", "token"), CASecretRef: ref("g", "ca"), DashboardUID: "shop", Tags: []string{"eu", "sluice"}}
	return d
}

func (d *drawer) tell(t *testing.T, n notify.Note) error {
	t.Helper()
	s, err := d.outlet.Open(t.Context(), &v1alpha1.Notifier{ObjectMeta: metav1.ObjectMeta{Namespace: "bookinfo", Name: "g"}, Spec: v1alpha1.NotifierSpec{Grafana: &d.spec}})
	if err != nil {
		t.Fatal(err)
	}
	n.Ref = d.ref
	got, err := s.Send(t.Context(), n)
	if got.Ref != "" {
		d.ref = got.Ref
	}
	return err
}

// acked is a note of a kind, a while after every proxy had the weight.
func acked(kind v1alpha1.NoteKind, since time.Duration) notify.Note {
	n := of(kind, "harm grows")
	at := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	n.Report.AckedAt, n.Report.At = &at, at.Add(since)
	return n
}

func TestGrafana_drawsEachStepFromAckToVerdict(t *testing.T) {
	t.Parallel()
	ids := 40
	d := newDrawer(t, func(a receiver.Asked) receiver.Answer {
		if a.Method == http.MethodPost {
			ids++
		}
		return receiver.Answer{Status: 200, Body: `{"id":` + string(rune('0'+ids/10)) + string(rune('0'+ids%10)) + `}`}
	})
	started := of(v1alpha1.NoteApprovalNeeded, "waits") // before any proxy had a weight
	for _, n := range []notify.Note{acked(v1alpha1.NoteSuspicious, 30*time.Second), acked(v1alpha1.NoteRolledBack, time.Minute)} {
		if err := d.tell(t, n); err != nil {
			t.Fatal(err)
		}
	}
	asked := d.Asked()
	var did []string
	for _, a := range asked {
		did = append(did, a.Method+" "+a.Path)
		if a.Header.Get("Authorization") != "Bearer glsa_canary" || a.Body["dashboardUID"] != "shop" {
			t.Errorf("asked %+v", a)
		}
	}
	if want := []string{"POST /api/annotations", "PATCH /api/annotations/41", "POST /api/annotations"}; !slices.Equal(did, want) {
		t.Fatalf("asked %q, want %q", did, want)
	}
	const begin = float64(1767225600000)
	for i, row := range []struct{ from, to any }{{begin, begin + 30000}, {begin, begin + 60000}, {begin + 60000, nil}} {
		if asked[i].Body["time"] != row.from || asked[i].Body["timeEnd"] != row.to {
			t.Errorf("request %d is of %v to %v, want %v to %v", i, asked[i].Body["time"], asked[i].Body["timeEnd"], row.from, row.to)
		}
	}
	tags, err := json.Marshal(asked[0].Body["tags"])
	if want := `["sluice","bookinfo","reviews","c07aa19f00","eu"]`; err != nil || string(tags) != want {
		t.Errorf("tags %s, want %s", tags, want)
	}
	if err := d.tell(t, started); err != nil || d.Asked()[3].Body["timeEnd"] != nil {
		t.Errorf("a note of no step: %v, %+v", err, d.Asked()[3])
	}
}

func TestGrafana_drawsAnewWhatWasDeleted(t *testing.T) {
	t.Parallel()
	d := newDrawer(t, func(a receiver.Asked) receiver.Answer {
		if a.Method == http.MethodPatch {
			return receiver.Answer{Status: 404, Body: `{"message":"not found"}`}
		}
		return receiver.Answer{Status: 200, Body: `{"id":9}`}
	})
	for range 2 {
		if err := d.tell(t, acked(v1alpha1.NoteStepPassed, time.Minute)); err != nil {
			t.Fatal(err)
		}
	}
	if n := len(d.Asked()); n != 3 || d.ref != "9 1767225600000" {
		t.Errorf("%d requests, receipt %q", n, d.ref)
	}
}

func TestGrafana_readsTheAnswer(t *testing.T) {
	t.Parallel()
	for status, reason := range map[int]string{401: v1alpha1.ReasonUnauthorized, 500: v1alpha1.ReasonUnreachable, 429: v1alpha1.ReasonThrottled, 400: v1alpha1.ReasonRefused} {
		d := newDrawer(t, func(a receiver.Asked) receiver.Answer {
			return receiver.Answer{Status: status, Body: "you sent " + a.Header.Get("Authorization")}
		})
		err := d.tell(t, acked(v1alpha1.NoteStepPassed, time.Minute))
		if f, ok := errors.AsType[*notify.Failure](err); !ok || f.Reason != reason || strings.Contains(err.Error(), "canary") {
			t.Errorf("%d: %v, want %s", status, err, reason)
		}
	}
}
