package cli

import "os"

// Coloured reports whether text for f may have colours: it is a terminal, and neither NO_COLOR nor TERM=dumb, as getenv
// knows them, say otherwise.
func Coloured(f *os.File, getenv func(string) string) bool {
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0 && getenv("NO_COLOR") == "" && getenv("TERM") != "dumb"
}
