//go:build !linux

package child

import "os/exec"

// dieWithParent does nothing where the kernel offers no parent-death signal: a killed test leaves its children.
func dieWithParent(*exec.Cmd) {}
