package gogit

import (
	"fmt"
	"strings"

	"github.com/Masterminds/semver/v3"

	"github.com/sluice-dev/sluice/api/problem"
	"github.com/sluice-dev/sluice/gitsync"
)

const tags = "refs/tags/"

// versions understands the tags of a remote as versions after a prefix.
type versions struct {
	within *semver.Constraints
	prefix string
}

func readVersions(ref gitsync.Ref) (versions, error) {
	c, err := semver.NewConstraint(ref.Semver)
	if err != nil {
		message := "the range of versions cannot be read: " + clean(err.Error())
		return versions{}, &gitsync.Failure{Reason: gitsync.RefNotFound, Err: fmt.Errorf("%s", message),
			Problem: &problem.Problem{Code: "S212", Severity: problem.Error, Field: "spec.ref.semver", Message: message, Hint: `write it like ">=1.2.0 <2.0.0", "1.x" or "~1.4"`}}
	}
	return versions{within: c, prefix: ref.TagPrefix}, nil
}

// version reads the name of a tag; nil when it is none of the versions with the prefix, in or out of the range.
func (v versions) version(tag string) *semver.Version {
	text, ok := strings.CutPrefix(tag, v.prefix)
	if !ok {
		return nil
	}
	found, err := semver.StrictNewVersion(strings.TrimPrefix(text, "v"))
	if err != nil {
		return nil
	}
	return found
}

// above reports whether tag a stands for more than tag b; of equal precedence the greater name does.
func (v versions) above(a, b string) bool {
	switch v.version(a).Compare(v.version(b)) {
	case 0:
		return a > b
	case 1:
		return true
	}
	return false
}

// highest gives the tag of the highest version within the range, "" if there is none.
func (v versions) highest(l listing) string {
	best := ""
	for full := range l.tips {
		tag, ok := strings.CutPrefix(full, tags)
		if !ok {
			continue
		}
		found := v.version(tag)
		if found == nil || !v.within.Check(found) {
			continue
		}
		if best == "" || v.above(tag, best) {
			best = tag
		}
	}
	return best
}

// follow finds the tag to follow, and holds against what happened to the one that was followed before: it may be
// surpassed, not moved and not taken back.
func (v versions) follow(l listing, ref gitsync.Ref, have string) (string, error) {
	best := v.highest(l)
	if best == "" {
		return "", gitsync.Fail(gitsync.RefNotFound, fmt.Errorf("the remote has no tag of a version within %q", clean(ref.Semver)))
	}
	last, id := ref.Last.Ref, l.tips[tags+best].commit
	if have == "" || last == "" || v.version(last) == nil || ref.Rewrite == gitsync.Follow || ref.Accept == id {
		return best, nil
	}
	if now, there := l.tips[tags+last]; there && now.commit != have {
		return "", rewritten(gitsync.TagMoved, fmt.Sprintf("tag %s moved from %.12s to %.12s", last, have, now.commit), id)
	}
	if v.above(last, best) {
		return "", rewritten(gitsync.HistoryRewritten, fmt.Sprintf("the highest version went back from %s to %s", last, best), id)
	}
	return best, nil
}
