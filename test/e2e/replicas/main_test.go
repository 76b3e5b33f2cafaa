package replicas

import (
	"context"
	"flag"
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
		flag.Parse()
		if err := flag.Set("test.parallel", "3"); err != nil { // those with a server of their own wait more than they work
			panic(err)
		}
		kube.Main(m)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := cli.Main(ctx, os.Args[1:], cli.Streams{In: os.Stdin, Out: os.Stdout, Err: os.Stderr}, cli.Build{Version: "test", Program: "sluice"})
	stop()
	os.Exit(code)
}
