package gitsync

import "testing"

// Only Rollouts say who wrote a commit by address: messages are about them. It stays with its commit.
func TestPlan_addressOfTheAuthorOnRollouts(t *testing.T) {
	t.Parallel()
	set := Plan(Input{Owner: bookinfo, Commit: Commit{ID: "c0", Author: "Ana", Email: "ana@example.com"}, Domain: "cluster.local", Want: shop()})
	found := 0
	for _, it := range set.Items {
		want := ""
		if it.Object.ID.GroupKind() == kindRollout {
			want = "ana@example.com"
			found++
		}
		if got := Annotation(it.Object.Content, AnnotationEmail); got != want {
			t.Errorf("%s has the address %q, want %q", it.Object.ID.Ref(), got, want)
		}
	}
	if found == 0 {
		t.Error("no Rollout was planned")
	}
}
