package problem

import "strings"

const (
	hidden    = "(secret)"
	minHidden = 4 // fewer characters guard nothing and stand in every text

	// window is how many bytes of a secret may not stand in a text. What repeats a secret may have been cut and escaped,
	// so parts count as much as the whole.
	window = 8
)

// Hide gives text with a word in place of each part of a secret. Lines of a secret count each for itself.
func Hide(text string, secrets ...string) string { return newConcealer(secrets).hide(text) }

// Conceal gives an error whose text hides the secrets. What it wraps stays as it is, for errors.Is; only the text of the
// outermost error is for people.
func Conceal(err error, secrets ...string) error {
	if err == nil {
		return nil
	}
	text := Hide(err.Error(), secrets...)
	if text == err.Error() {
		return err
	}
	return &concealed{text, err}
}

// concealed is an error whose text shows less than what it wraps.
type concealed struct {
	text  string
	cause error
}

// Error implements error.
func (c *concealed) Error() string { return c.text }

// Unwrap gives the cause, whose text is not for people.
func (c *concealed) Unwrap() error { return c.cause }

// concealer finds parts of secrets in texts.
type concealer struct {
	parts map[string]bool
	sizes [window + 1]bool // that parts have
}

func newConcealer(secrets []string) *concealer {
	v := &concealer{parts: map[string]bool{}}
	for _, secret := range secrets {
		for line := range strings.Lines(secret) {
			line = strings.TrimSpace(line)
			size := min(window, len(line))
			if size < minHidden || strings.HasPrefix(line, "-----") {
				continue
			}
			v.sizes[size] = true
			for at := range len(line) - size + 1 {
				v.parts[line[at:at+size]] = true
			}
		}
	}
	return v
}

// hide gives the text with a word in place of each stretch that stands in a secret too.
func (v *concealer) hide(text string) string {
	var out strings.Builder
	shown, until := 0, 0 // bytes of the text that are written, and that are to be left out
	for at := range len(text) {
		for size, used := range v.sizes {
			if !used || at+size > len(text) || !v.parts[text[at:at+size]] {
				continue
			}
			if at > until || until == 0 {
				out.WriteString(text[shown:at])
				out.WriteString(hidden)
			}
			until = max(until, at+size)
			shown = until
		}
	}
	out.WriteString(text[shown:])
	return out.String()
}
