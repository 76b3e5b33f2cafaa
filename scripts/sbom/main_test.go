package main

import (
	"runtime/debug"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestBill_listsEveryModuleOfTheProgram(t *testing.T) {
	info := &debug.BuildInfo{GoVersion: "go1.26.8", Main: debug.Module{Path: "example.com/program"}, Deps: []*debug.Module{
		{Path: "example.com/a", Version: "v1.2.3"},
		{Path: "example.com/b", Version: "v0.0.0", Replace: &debug.Module{Path: "example.com/b", Version: "v0.37.0"}},
		{Path: "example.com/ours", Version: "v0.0.0", Replace: &debug.Module{Path: "../"}},
	}}
	got := bill(info, "1.0.0", "abc")
	if p := got.Metadata.Component; p.PackageURL != "pkg:golang/example.com/program@1.0.0" || (*p.Hashes)[0].Value != "abc" {
		t.Errorf("the program is %+v", p)
	}
	var parts []string
	for _, c := range *got.Components {
		parts = append(parts, c.PackageURL)
	}
	want := []string{"pkg:golang/std@1.26.8", "pkg:golang/example.com/a@v1.2.3", "pkg:golang/example.com/b@v0.37.0", "pkg:golang/example.com/ours@1.0.0"}
	if diff := cmp.Diff(want, parts); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(want, *(*got.Dependencies)[0].Dependencies); diff != "" {
		t.Errorf("what it depends on\n%s", diff)
	}
}
