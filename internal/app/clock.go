package app

import "time"

// Now is the clock of the program: the one place where it asks what time it is. Everything else takes a function
// like this one, or a time, from outside.
func Now() time.Time { return time.Now() }
