package replicas

import (
	"context"
	"os"
	"os/signal"
	"syscall"
	"testing"
	"time"

	"github.com/sluice-dev/sluice/internal/cli"
	"github.com/sluice-dev/sluice/test/kube"
)

const (
	asSluice = "SLUICE_TEST_AS_SLUICE" // set: the program is the command line, not the test
	patience = 30 * time.Second
)

func TestMain(m *testing.M) {
	if os.Getenv(asSluice) == "" {
		kube.Main(m)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := cli.Main(ctx, os.Args[1:], cli.Streams{In: os.Stdin, Out: os.Stdout, Err: os.Stderr}, cli.Build{Version: "test", Program: "sluice"})
	stop()
	os.Exit(code)
}
