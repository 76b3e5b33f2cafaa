package invariant

import (
	"bytes"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestLog_isReadAsItWasWritten(t *testing.T) {
	var text bytes.Buffer
	if err := Write(&text, good()); err != nil {
		t.Fatal(err)
	}
	got, err := Read(bytes.NewReader(text.Bytes()))
	if diff := cmp.Diff(good(), got); err != nil || diff != "" {
		t.Errorf("%v (-written +read)\n%s", err, diff)
	}
	if err := Write(&text, []Event{{Body: 7}}); err == nil {
		t.Error("7 is written as an event")
	}
	for _, wrong := range []string{`{`, `{"at":1,"kind":"seen","body":{}}`, `{"at":1,"kind":"answered","body":{"version":"v2","by":"me"}}`,
		`{"at":1,"kind":"answered","body":{"Version":"v2"}} 7`, `{"at":1,"kind":"answered"}`, strings.Repeat("x", maxLine+1)} {
		if events, err := Read(strings.NewReader(wrong)); err == nil {
			t.Errorf("%.60s is read as %+v", wrong, events)
		}
	}
}

// FuzzRead reads any text as a log: what it takes is written and read again as the same, and the checker judges it.
func FuzzRead(f *testing.F) {
	var text bytes.Buffer
	if err := Write(&text, good()); err != nil {
		f.Fatal(err)
	}
	f.Add(text.Bytes())
	for one := range strings.Lines(text.String()) {
		f.Add([]byte(one))
	}
	f.Fuzz(func(t *testing.T, log []byte) {
		events, err := Read(bytes.NewReader(log))
		if err != nil {
			return
		}
		var again bytes.Buffer
		if err := Write(&again, events); err != nil {
			t.Fatal(err)
		}
		same, err := Read(&again)
		if diff := cmp.Diff(events, same); err != nil || diff != "" {
			t.Fatalf("%v (-once +twice)\n%s", err, diff)
		}
		check(events)
	})
}
