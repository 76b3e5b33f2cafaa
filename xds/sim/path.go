package sim

import "strings"

// cleaned is a request's target as Envoy's path normalisation leaves it: dots resolved, backslashes turned, letters that
// need no escape without one, characters that need one with it. The query stays. False: Envoy answers
// 400. It lets pass some paths with a broken escape, which no URL has; they are refused here.
func cleaned(target string) (string, bool) {
	path, query, hasQuery := strings.Cut(target, "?")
	if !strings.HasPrefix(path, "/") || strings.Contains(target, "#") {
		return "", false
	}
	segments := strings.Split(path, "/")[1:]
	for i, s := range segments {
		segments[i] = withoutParameters(s)
	}
	segments = strings.Split(strings.ReplaceAll(strings.Join(segments, "/"), `\`, "/"), "/")
	var kept []string
	for i, s := range segments {
		s, ok := escaped(s)
		if !ok {
			return "", false
		}
		last := i == len(segments)-1
		switch s {
		case "..":
			kept = kept[:max(0, len(kept)-1)]
		case ".":
		default:
			kept = append(kept, s)
			continue
		}
		if last {
			kept = append(kept, "")
		}
	}
	out := "/" + strings.Join(kept, "/")
	if hasQuery {
		out += "?" + query
	}
	return out, true
}

// withoutParameters drops what follows a semicolon after one or two dots, which would hide them.
func withoutParameters(segment string) string {
	if dots, _, ok := strings.Cut(segment, ";"); ok && (dots == "." || dots == "..") {
		return dots
	}
	return segment
}

// escaped gives each character of a segment the form that it has in a URL; false: an escape is broken, or hides a zero.
func escaped(segment string) (string, bool) {
	var b strings.Builder
	for i := 0; i < len(segment); i++ {
		switch c := segment[i]; {
		case c == '%':
			if i+2 >= len(segment) {
				return "", false
			}
			high, low := digit(segment[i+1]), digit(segment[i+2])
			if high < 0 || low < 0 || high+low == 0 {
				return "", false
			}
			if plain := byte(high<<4 | low); unreserved(plain) {
				b.WriteByte(plain)
			} else {
				b.WriteString(segment[i : i+3])
			}
			i += 2
		case c <= ' ' || c >= 0x7f || strings.IndexByte("\"<>^`{|}", c) >= 0:
			const digits = "0123456789ABCDEF"
			b.WriteByte('%')
			b.WriteByte(digits[c>>4])
			b.WriteByte(digits[c&15])
		default:
			b.WriteByte(c)
		}
	}
	return b.String(), true
}

func digit(c byte) int { return strings.IndexByte("0123456789abcdef", c|0x20) }

func unreserved(c byte) bool {
	return 'a' <= c|0x20 && c|0x20 <= 'z' || '0' <= c && c <= '9' || strings.IndexByte("-._~", c) >= 0
}
