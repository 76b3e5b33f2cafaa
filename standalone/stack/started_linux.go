package stack

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"syscall"
)

// startTime gives the ticks after boot at which the process began. A zombie counts as ended.
func startTime(pid int) (string, error) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return "", err
	}
	// The second field is the name in parentheses and may hold anything; the rest starts behind the last one.
	fields := bytes.Fields(stat[bytes.LastIndexByte(stat, ')')+1:])
	const state, start = 0, 19 // fields 3 and 22 of the whole line
	if len(fields) <= start || fields[state][0] == 'Z' || fields[state][0] == 'X' {
		return "", fmt.Errorf("process %d has ended", pid)
	}
	return string(fields[start]), nil
}

func dieWithParent(cmd *exec.Cmd) { cmd.SysProcAttr.Pdeathsig = syscall.SIGKILL }
