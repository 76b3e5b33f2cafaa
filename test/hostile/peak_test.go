package hostile

import (
	"os/exec"
	"syscall"
)

// peak gives the most memory that a process and those it waited for had, in KiB.
func peak(cmd *exec.Cmd) int {
	usage, ok := cmd.ProcessState.SysUsage().(*syscall.Rusage)
	if !ok {
		return 1 << 30 // unknown is too much
	}
	return int(usage.Maxrss)
}
