package controller

import (
	"testing"

	"github.com/sluice-dev/sluice/api/v1alpha1"
)

// TestHave_onlyAnotherURLOrRefIsConsent asks a process that knows nothing but the Source.
func TestHave_onlyAnotherURLOrRefIsConsent(t *testing.T) {
	t.Parallel()
	source := func(spec v1alpha1.SourceSpec) *v1alpha1.Source { return &v1alpha1.Source{Spec: spec} }
	was := v1alpha1.SourceSpec{URL: "https://git.example.com/shop/deploy.git", Ref: v1alpha1.SourceRef{Branch: "main"}, Path: "app"}
	for _, row := range []struct {
		name   string
		change func(s *v1alpha1.SourceSpec)
		new    string // wanted commit to descend from, where the status says what was followed
		old    string // and where an older controller wrote it
	}{
		{"nothing", func(*v1alpha1.SourceSpec) {}, "c", "c"},
		{"path and limits", func(s *v1alpha1.SourceSpec) {
			s.Path, s.PruneLimitPercent, s.OnRewrite = "other", 7, v1alpha1.RewriteFollow
		}, "c", "c"},
		{"another form of the URL", func(s *v1alpha1.SourceSpec) { s.URL = "https://GIT.example.com:443/shop/deploy/" }, "c", "c"},
		{"another branch", func(s *v1alpha1.SourceSpec) { s.Ref.Branch = "next" }, "", ""},
		{"a tag", func(s *v1alpha1.SourceSpec) { s.Ref = v1alpha1.SourceRef{Tag: "v1"} }, "", ""},
		{"a tag of the branch's name", func(s *v1alpha1.SourceSpec) { s.Ref = v1alpha1.SourceRef{Tag: "main"} }, "", "c"},
		{"versions", func(s *v1alpha1.SourceSpec) { s.Ref = v1alpha1.SourceRef{Semver: "1.x"} }, "", "c"},
		{"another repository", func(s *v1alpha1.SourceSpec) { s.URL = "https://git.example.com/shop/other" }, "", "c"},
	} {
		now := was
		row.change(&now)
		src := source(now)
		src.Status.LastAppliedRevision = "main@sha1:c"
		src.Status.Commit = &v1alpha1.CommitStatus{ID: "c", Followed: followed(source(was))}
		if got := (&pass{src: src}).have(); got != row.new {
			t.Errorf("%s: %q, want %q", row.name, got, row.new)
		}
		src.Status.Commit.Followed = ""
		if got := (&pass{src: src}).have(); got != row.old {
			t.Errorf("%s, of an older status: %q, want %q", row.name, got, row.old)
		}
	}
	if got := (&pass{src: source(was)}).have(); got != "" {
		t.Errorf("nothing applied: %q, want nothing to descend from", got)
	}
}
