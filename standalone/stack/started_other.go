//go:build !linux

package stack

import (
	"fmt"
	"os/exec"
	"strconv"
	"strings"
)

// startTime gives the time at which the process began, as ps prints it.
func startTime(pid int) (string, error) {
	out, err := exec.Command("ps", "-o", "lstart=", "-p", strconv.Itoa(pid)).Output()
	if err != nil || strings.TrimSpace(string(out)) == "" {
		return "", fmt.Errorf("process %d has ended", pid)
	}
	return strings.TrimSpace(string(out)), nil
}

// dieWithParent does nothing where the kernel offers no parent-death signal.
func dieWithParent(*exec.Cmd) {}
