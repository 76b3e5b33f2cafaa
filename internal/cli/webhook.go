package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/sluice-dev/sluice/api/problem"
	"github.com/sluice-dev/sluice/internal/app"
	"github.com/sluice-dev/sluice/notify"
)

const (
	maxDelivery = 1 << 20 // bytes of a body
	maxOld      = 5 * time.Minute
)

// webhookOptions are the flags of `sluice webhook`.
type webhookOptions struct {
	secretFile string
	id         string
	timestamp  int64
	signature  string
	maxAge     time.Duration
	port       int
	count      int
}

func newWebhook(s Streams) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "webhook",
		Short: "Receive deliveries, and check their signatures",
		Long: "Print the notes that arrive at a port of this machine, or check the signature of one delivery, as a receiver of a\n" +
			"webhook Notifier does.",
		Example: "  sluice webhook listen --port 9393 --secret-file whsec.txt\n" +
			"  sluice webhook verify --secret-file whsec.txt --id ID --timestamp 1767225600 --signature v1,... < body.json",
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			return &Exit{Code: ExitUsage, Err: errors.New("say which: listen or verify"), Next: "sluice webhook --help"}
		},
	}
	cmd.AddCommand(newWebhookListen(s), newWebhookVerify(s))
	return cmd
}

func newWebhookVerify(s Streams) *cobra.Command {
	o := &webhookOptions{}
	cmd := &cobra.Command{
		Use:   "verify",
		Short: "Check the signature of a delivery whose body is on standard input",
		Long: "Check one delivery as the Standard Webhooks say: the body comes from standard input, the rest is what its headers said.\n" +
			"The file has one secret a line, as the Notifier's Secret; while they are exchanged any of them may have signed.\n\n" +
			"Exit code: 0 the signature is good, 1 it is not, or the delivery is too old, 2 wrong usage.",
		Example: "  sluice webhook verify --secret-file whsec.txt --id \"$WEBHOOK_ID\" --timestamp \"$WEBHOOK_TIMESTAMP\" \\\n" +
			"    --signature \"$WEBHOOK_SIGNATURE\" < body.json\n" +
			"  sluice webhook verify --secret-file whsec.txt --id a.3.11.team --timestamp 1767225600 --signature v1,... --max-age 0 < body.json",
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error { return o.verify(s) },
	}
	f := cmd.Flags()
	f.StringVar(&o.secretFile, "secret-file", "", "file of the signing secrets, one whsec_... a line")
	f.StringVar(&o.id, "id", "", "what the header webhook-id said")
	f.Int64Var(&o.timestamp, "timestamp", 0, "what the header webhook-timestamp said")
	f.StringVar(&o.signature, "signature", "", "what the header webhook-signature said")
	f.DurationVar(&o.maxAge, "max-age", maxOld, "how far its time may be from now; 0: however far")
	return cmd
}

// secrets reads the file of secrets. Its content is never shown.
func (o *webhookOptions) secrets() ([][]byte, error) {
	if o.secretFile == "" {
		return nil, &Exit{Code: ExitUsage, Err: errors.New("--secret-file is needed: a signature is checked by it"), Next: "sluice webhook verify --help"}
	}
	text, err := os.ReadFile(o.secretFile)
	if err != nil {
		return nil, &Exit{Code: ExitUsage, Err: fmt.Errorf("reading the secrets: %w", err)}
	}
	secrets, err := notify.ParseSecrets(text)
	if err != nil {
		return nil, &Exit{Code: ExitUsage, Err: fmt.Errorf("--secret-file %s: %w", o.secretFile, err)}
	}
	return secrets, nil
}

func (o *webhookOptions) verify(s Streams) error {
	secrets, err := o.secrets()
	if err != nil {
		return err
	}
	body, err := io.ReadAll(io.LimitReader(s.In, maxDelivery+1))
	if err != nil || len(body) > maxDelivery {
		return &Exit{Code: ExitUsage, Err: errors.Join(fmt.Errorf("the body cannot be read, or has more than %d bytes", maxDelivery), err)}
	}
	if err := o.check(secrets, body, app.Now()); err != nil {
		return &Exit{Code: ExitNo, Err: err}
	}
	_, err = fmt.Fprintf(s.Out, "good: %s was signed by one of %d secrets\n", problem.Clean(o.id, maxWords), len(secrets))
	return err
}

// check holds a delivery against secrets and time.
func (o *webhookOptions) check(secrets [][]byte, body []byte, now time.Time) error {
	if err := notify.Verify(secrets, o.id, o.timestamp, o.signature, body); err != nil {
		return err
	}
	if age := now.Sub(time.Unix(o.timestamp, 0)).Abs(); o.maxAge > 0 && age > o.maxAge {
		return fmt.Errorf("the signature is good, but it is of a time %v away: at most %v is taken", age.Round(time.Second), o.maxAge)
	}
	return nil
}

func newWebhookListen(s Streams) *cobra.Command {
	o := &webhookOptions{}
	cmd := &cobra.Command{
		Use:   "listen",
		Short: "Print the notes that arrive at a port of this machine",
		Long: "Take deliveries at a port of this machine and print each: a line about it, then its body. With --secret-file signatures\n" +
			"are checked, and what is not signed is answered 401. It goes on until it is interrupted, or --count have arrived.\n\n" +
			"Exit code: 0 --count deliveries have arrived, 1 one of them was not signed, 2 wrong usage, 130 interrupted.",
		Example: "  sluice webhook listen --port 9393\n" +
			"  sluice webhook listen --secret-file whsec.txt --count 1",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return o.listen(cmd.Context(), s) },
	}
	f := cmd.Flags()
	f.StringVar(&o.secretFile, "secret-file", "", "file of the signing secrets, one whsec_... a line; without it no signature is checked")
	f.IntVar(&o.port, "port", 0, "port on loopback (default: a free one, which is printed)")
	f.IntVar(&o.count, "count", 0, "end after so many deliveries (default: never)")
	return cmd
}

// listen serves until the context ends or enough has arrived.
func (o *webhookOptions) listen(ctx context.Context, s Streams) error {
	o.maxAge = maxOld
	var secrets [][]byte
	if o.secretFile != "" {
		var err error
		if secrets, err = o.secrets(); err != nil {
			return err
		}
	}
	var config net.ListenConfig
	l, err := config.Listen(ctx, "tcp", "127.0.0.1:"+strconv.Itoa(o.port))
	if err != nil {
		return &Exit{Code: ExitUsage, Err: fmt.Errorf("listening: %w", err), Next: "sluice webhook listen"}
	}
	fmt.Fprintf(s.Err, "listening at http://%s/\n", l.Addr())
	arrived := make(chan delivery)
	server := &http.Server{ReadHeaderTimeout: checkWithin, ReadTimeout: 2 * checkWithin, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		select {
		case arrived <- o.take(w, r, secrets):
		case <-ctx.Done():
		}
	})}
	served := make(chan error, 1)
	go func() { served <- server.Serve(l) }()
	bad, err := o.wait(ctx, s, arrived, served)
	_ = server.Close()
	if err == nil && bad > 0 {
		return &Exit{Code: ExitNo, Err: fmt.Errorf("%d of %d deliveries were not signed by the secrets", bad, o.count)}
	}
	return err
}

// wait counts deliveries.
func (o *webhookOptions) wait(ctx context.Context, s Streams, arrived <-chan delivery, served <-chan error) (bad int, err error) {
	for n := 0; o.count <= 0 || n < o.count; n++ {
		select {
		case <-ctx.Done():
			return bad, &Exit{Code: ExitInterrupted}
		case err := <-served:
			return bad, fmt.Errorf("listening: %w", err)
		case one := <-arrived:
			if _, err := io.WriteString(s.Out, one.text); err != nil {
				return bad, err
			}
			if !one.good {
				bad++
			}
		}
	}
	return bad, nil
}

// delivery is what arrived, in words.
type delivery struct {
	text string
	good bool // its signature is, or none is asked for
}

// take answers a delivery.
func (o *webhookOptions) take(w http.ResponseWriter, r *http.Request, secrets [][]byte) delivery {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxDelivery))
	if err != nil {
		http.Error(w, "the body is too large, or broken", http.StatusRequestEntityTooLarge)
		return delivery{text: "refused: " + problem.Clean(err.Error(), maxWords) + "\n"}
	}
	seen, said := *o, "not checked"
	seen.id, seen.signature = r.Header.Get("Webhook-Id"), r.Header.Get("Webhook-Signature")
	if len(secrets) > 0 {
		seen.timestamp, err = strconv.ParseInt(r.Header.Get("Webhook-Timestamp"), 10, 64)
		if err == nil {
			err = seen.check(secrets, body, app.Now())
		}
		said = "good"
	}
	if err != nil {
		said = "bad: " + err.Error()
		http.Error(w, "the signature is not good", http.StatusUnauthorized)
	}
	text := fmt.Sprintf("%s  id %s  signature %s\n%s\n", app.Now().UTC().Format(time.RFC3339), problem.Clean(seen.id, maxWords),
		problem.Clean(said, maxWords), problem.Clean(string(body), maxDelivery))
	return delivery{text: text, good: err == nil}
}
