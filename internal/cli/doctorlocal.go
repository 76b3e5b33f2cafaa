package cli

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strings"
	"syscall"
)

// leastDisk is what `sluice up` wants to have free.
const leastDisk = 1 << 30

// standalone looks at what `sluice up` needs on this machine. Where there is a cluster to use nothing of it is a must.
func (d *doctor) standalone(ctx context.Context, cluster bool) {
	missing := d.fail
	if cluster {
		missing = d.warn
	}
	for _, program := range []struct{ name, path, next string }{
		{"git", "git", "install git"}, {"envoy", d.envoy, "make envoy, or sluice doctor --pre --envoy PATH"},
	} {
		path, err := exec.LookPath(program.path)
		if err != nil {
			missing(areaStandalone, program.name, err.Error(), program.next)
			continue
		}
		d.ok(areaStandalone, program.name, "%s", path)
	}
	d.ports(ctx)
	home, err := os.UserHomeDir()
	if err != nil {
		home = os.TempDir()
	}
	var disk syscall.Statfs_t
	if err := syscall.Statfs(home, &disk); err != nil {
		d.unknown(areaStandalone, "disk", err)
		return
	}
	free := uint64(disk.Bavail) * uint64(disk.Bsize) //nolint:unconvert // the types differ between systems
	if free < leastDisk {
		missing(areaStandalone, "disk", fmt.Sprintf("%d MiB are free at %s: 1024 are wanted", free>>20, home), "df -h "+home)
		return
	}
	d.ok(areaStandalone, "disk", "%d GiB are free at %s", free>>30, home)
}

// ports looks whether the usual ones are free; a busy one is replaced by `sluice up`.
func (d *doctor) ports(ctx context.Context) {
	var busy []string
	for _, port := range []string{"7788", "6443", "9090", "9292", "8080", "8081", "15010"} {
		var config net.ListenConfig
		l, err := config.Listen(ctx, "tcp", "127.0.0.1:"+port)
		if err != nil {
			busy = append(busy, port)
			continue
		}
		_ = l.Close()
	}
	if len(busy) > 0 {
		d.warn(areaStandalone, "ports", strings.Join(busy, ", ")+" are busy; sluice up takes free ones instead", "")
		return
	}
	d.ok(areaStandalone, "ports", "all that sluice up wants are free")
}
