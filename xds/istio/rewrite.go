package istio

import (
	"fmt"
	"regexp"

	"github.com/sluice-dev/sluice/xds/ir"
)

// rewrite reads what the upstream sees in place of what the client sent.
func (t *translator) rewrite(r rule) ir.Rewrite {
	in := r.spec.GetRewrite()
	for _, one := range []struct{ field, text string }{{"uri", in.GetUri()}, {"authority", in.GetAuthority()}} {
		if !printable(one.text) {
			t.found.fail(r.from, "S002", r.field+".rewrite."+one.field, fmt.Sprintf("it holds a control character, or is longer than %d bytes", maxMatchValue),
				"correct it; until then nothing is rewritten")
			return ir.Rewrite{}
		}
	}
	return ir.Rewrite{Prefix: in.GetUri(), Authority: in.GetAuthority(), Regex: t.regexRewrite(r)}
}

// regexRewrite reads a rewrite by a regular expression. A bad one leaves the path as it is.
func (t *translator) regexRewrite(r rule) ir.RegexRewrite {
	const until = "the path stays as it is"
	in := r.spec.GetRewrite().GetUriRegexRewrite()
	at := r.field + ".rewrite.uriRegexRewrite"
	switch {
	case in == nil:
		return ir.RegexRewrite{}
	case r.spec.GetRewrite().GetUri() != "":
		t.found.fail(r.from, "S026", at, "uriRegexRewrite stands beside uri", "keep one of them; until then uri holds")
		return ir.RegexRewrite{}
	case in.GetMatch() == "":
		t.found.fail(r.from, "S002", at+".match", "the match is empty", "give a regular expression; until then "+until)
		return ir.RegexRewrite{}
	case !t.compiles(r.from, at+".match", in.GetMatch(), until):
		return ir.RegexRewrite{}
	}
	if fault := substitution(in.GetRewrite(), regexp.MustCompile(in.GetMatch()).NumSubexp()); fault != "" {
		t.found.fail(r.from, "S002", at+".rewrite", fmt.Sprintf("%q %s", in.GetRewrite(), fault), "correct it; until then "+until)
		return ir.RegexRewrite{}
	}
	return ir.RegexRewrite{Pattern: in.GetMatch(), Substitution: in.GetRewrite()}
}

// substitution says what is wrong with the text that takes the place of a match with so many groups; empty: nothing.
func substitution(text string, groups int) string {
	if len(text) > maxMatchValue {
		return fmt.Sprintf("is longer than %d bytes", maxMatchValue)
	}
	for i := 0; i < len(text); i++ {
		if text[i] == 0 || text[i] == '\n' || text[i] == '\r' {
			return "holds a control character"
		}
		if text[i] != '\\' {
			continue
		}
		i++
		switch {
		case i == len(text):
			return "ends in a single backslash"
		case text[i] == '\\':
		case text[i] < '0' || text[i] > '9':
			return "has a backslash before something else than a digit or another backslash"
		case int(text[i]-'0') > groups:
			return fmt.Sprintf("names group %c of %d", text[i], groups)
		}
	}
	return ""
}
