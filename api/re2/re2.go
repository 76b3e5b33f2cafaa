// Package re2 compiles regular expressions as proxies will, by the library RE2. Go's expressions are nearly the same, but for
// names of classes that Go alone knows, and for how large one may become. A proxy that is sent one that it does not take
// refuses the whole table.
package re2

import (
	"errors"
	"fmt"
	"regexp"
	"regexp/syntax"
	"strings"
	"unicode"
	"unicode/utf8"
)

// MaxProgram is how many instructions a compiled expression may have. The bootstrap tells proxies the same bound, as Istio's
// does; Envoy's own is 100.
const MaxProgram = 32768

// ErrTooLarge is that an expression is correct, and larger than a proxy takes.
var ErrTooLarge = fmt.Errorf("it becomes a program of more than %d instructions: repeat less, or shorter parts", MaxProgram)

var errNoClass = errors.New(`classes are the general categories, such as \p{L} and \p{Lu}, and the scripts, such as \p{Greek}`)

// Compile parses an expression that both RE2 and Go take.
func Compile(pattern string) (*regexp.Regexp, error) {
	re, err := regexp.Compile(pattern)
	if err != nil {
		return nil, err
	}
	if err := classes(pattern); err != nil {
		return nil, err
	}
	size, err := Size(pattern)
	if err == nil && size > MaxProgram {
		err = ErrTooLarge
	}
	if err != nil {
		return nil, err
	}
	return re, nil
}

// Size is about the number of instructions of a compiled expression, and seldom less than it. Envoy compiles bytes, not
// characters.
func Size(pattern string) (int, error) {
	bytes := make([]rune, len(pattern))
	for i := range len(pattern) {
		bytes[i] = rune(pattern[i])
	}
	tree, err := syntax.Parse(string(bytes), syntax.Perl)
	if err != nil {
		return 0, err
	}
	return 4 + size(tree), nil
}

// size is that of a part. What is far too large is not counted to its end.
func size(re *syntax.Regexp) int {
	out := 1
	switch re.Op {
	case syntax.OpLiteral:
		out = len(re.Rune)
	case syntax.OpCharClass:
		for i := 0; i < len(re.Rune) && re.Rune[i] <= unicode.MaxLatin1; i += 2 {
			out++
		}
	default:
		for _, sub := range re.Sub {
			out = min(out+size(sub), 2*MaxProgram)
		}
		if re.Op == syntax.OpCapture || re.Op == syntax.OpAlternate {
			out += len(re.Sub)
		}
	}
	if re.Op == syntax.OpRepeat {
		out *= max(re.Max, re.Min+1)
	}
	return min(out, 2*MaxProgram)
}

// classes looks at the names of classes in an expression that Go takes.
func classes(pattern string) error {
	for i := 0; i < len(pattern)-1; i++ {
		if pattern[i] != '\\' {
			continue
		}
		i++
		switch pattern[i] {
		case 'Q': // up to \E everything is itself
			_, rest, _ := strings.Cut(pattern[i:], `\E`)
			i = len(pattern) - len(rest) - 1
		case 'p', 'P':
			if name := className(pattern[i+1:]); !known(name) {
				return fmt.Errorf("there is no class %q: %w", name, errNoClass)
			}
		}
	}
	return nil
}

// className is the name after \p.
func className(text string) string {
	if in, ok := strings.CutPrefix(text, "{"); ok {
		name, _, _ := strings.Cut(in, "}")
		return strings.TrimPrefix(name, "^")
	}
	_, n := utf8.DecodeRuneInString(text)
	return text[:n]
}

// known reports that RE2 has a class of a name. Go takes other spellings and aliases, too, and two categories of its own.
func known(name string) bool {
	switch name {
	case "Any":
		return true
	case "LC", "Cn":
		return false
	}
	return unicode.Categories[name] != nil || unicode.Scripts[name] != nil
}
