package document

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const page = `kind: A
metadata:
  annotations:
    example.com/a: x
spec:
  hosts: [a.example, b.example]
  http:
  - name: first
    headers: {x-tester: {exact: "1"}}
    route:
    - destination: {host: a}
      weight: 15
`

func TestPosition_isThatOfTheFieldOrItsNearestParent(t *testing.T) {
	t.Parallel()
	docs, found := Parse([]byte(page), Limits{})
	if len(docs) != 1 || len(found) > 0 {
		t.Fatalf("%d documents, %v", len(docs), found)
	}
	for field, want := range map[string]string{
		"":                                      "1:1",
		"kind":                                  "1:7",
		"metadata.annotations[example.com/a]":   "4:20",
		`metadata.annotations["example.com/a"]`: "4:20",
		"spec.hosts[1]":                         "6:22",
		"spec.hosts[7]":                         "6:10",
		"spec.http":                             "7:3",
		"spec.http[0]":                          "8:5",
		"spec.http[0].headers[\"x-tester\"].exact": "9:33",
		"spec.http[0].route[0].weight":             "12:15",
		"spec.http[0].route[0].destination.subset": "11:20",
		"spec.http[0].retries.attempts":            "8:5",
		"spec.missing":                             "5:1",
	} {
		line, column := Position(docs[0], field)
		if got := fmt.Sprintf("%d:%d", line, column); got != want {
			t.Errorf("%s stands at %s, want %s", field, got, want)
		}
	}
}

func TestParse_givesWhatCanBeReadAndSaysWhatCannot(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name, in string
		docs     int
		want     []string
	}{
		{"two documents", "a: 1\n---\nb: 2\n", 2, nil},
		{"empty ones", "---\n---\n# nothing\n---\nnull\n", 0, nil},
		{"twice the same key", "a: 1\nb: {c: 1, c: 2, c: 3}\n", 1, []string{"S503 2:11", "S503 2:17"}},
		{"an alias of itself", "a: &a [*a]\n---\nb: 1\n", 1, []string{"S307 1:8"}},
		{"a key that is a list", "[a]: 1\n---\nb: 1\n", 1, []string{"S504 1:1"}},
		{"text behind which nothing can be read", "a: 1\n---\nb: [\n---\nc: 1\n", 1, []string{"S501 3:0"}},
	} {
		docs, found := Parse([]byte(row.in), Limits{})
		var got []string
		for _, p := range found {
			got = append(got, fmt.Sprintf("%s %d:%d", p.Code, p.Line, p.Column))
		}
		if diff := cmp.Diff(row.want, got); diff != "" || len(docs) != row.docs {
			t.Errorf("%s: %d documents, want %d; problems (-want +got):\n%s", row.name, len(docs), row.docs, diff)
		}
	}
}

func TestValue_theLastOfTwoEqualKeysHolds(t *testing.T) {
	t.Parallel()
	docs, _ := Parse([]byte("{a: 1, a: 2}"), Limits{})
	got, found := Value(docs[0])
	if diff := cmp.Diff(map[string]any{"a": int64(2)}, got); diff != "" || found != nil {
		t.Errorf("%v (-want +got):\n%s", found, diff)
	}
}
