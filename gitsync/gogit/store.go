package gogit

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/semaphore"

	"github.com/sluice-dev/sluice/gitsync"
)

// Dial opens a connection, or refuses the address.
type Dial func(ctx context.Context, network, address string) (net.Conn, error)

// Vet refuses a host that must not be reached, by the addresses that it has.
type Vet func(ctx context.Context, host string) error

// Limits bound what a remote may send. Zero fields mean their defaults.
type Limits struct {
	ListBytes     int64 // of a listing; 16 MiB
	PackBytes     int64 // of a pack as sent; 256 MiB
	Objects       int64 // in a pack; 1,000,000
	ObjectBytes   int64 // of one object, inflated; 64 MiB
	InflatedBytes int64 // of all objects of a pack, inflated; 2 GiB
	DeltaDepth    int   // of chains within a pack; 512
	TreeEntries   int   // of one directory; 100,000
	PathDepth     int   // of a path that is looked at; 32
	PathBytes     int   // of such a path; 1,024

	RepositoryBytes int64 // that one repository may take on disk before it is fetched anew, and then in all; 1 GiB
	CacheBytes      int64 // of all repositories; beyond it the one idle for longest is dropped; 8 GiB
}

func (l Limits) withDefaults() Limits {
	set := func(v *int64, d int64) {
		if *v == 0 {
			*v = d
		}
	}
	setInt := func(v *int, d int) {
		if *v == 0 {
			*v = d
		}
	}
	set(&l.ListBytes, 16<<20)
	set(&l.PackBytes, 256<<20)
	set(&l.Objects, 1_000_000)
	set(&l.ObjectBytes, 64<<20)
	set(&l.InflatedBytes, 2<<30)
	setInt(&l.DeltaDepth, 512)
	setInt(&l.TreeEntries, 100_000)
	setInt(&l.PathDepth, 32)
	setInt(&l.PathBytes, 1024)
	set(&l.RepositoryBytes, 1<<30)
	set(&l.CacheBytes, 8<<30)
	return l
}

// Config says where repositories are kept and how servers are reached.
type Config struct {
	Dir      string // of the caches; its content from earlier runs is deleted
	Dial     Dial   // nil: the plain network
	Vet      Vet    // the targets that a proxy is to dial; nil: any
	Now      func() time.Time
	Insecure []string // hosts that may be asked over plain http besides loopback
	Limits   Limits
}

const (
	concurrentFetches = 8       // of packs: twice what one namespace has at work
	recycleAfter      = 256     // fetches of one generation that could not be made compact, or packs in it
	recycleSlack      = 8 << 20 // bytes a generation may grow beyond twice its first fetch
	stallAfter        = 15 * time.Second
	listTimeout       = 10 * time.Second
	defaultTimeout    = 60 * time.Second
	capabilityReuse   = 256 // listings before a server is asked again whether it speaks protocol version 2
)

// Repositories is a gitsync.Fetcher over shared bare repositories, one per remote. It is safe for concurrent use.
type Repositories struct {
	cfg   Config
	slots *semaphore.Weighted

	meters meters

	generations atomic.Int64 // made so far: no directory is used twice

	mu      sync.Mutex
	handles map[string]*handle // by key; guarded by mu
}

// New makes the cache directory, empty.
func New(cfg Config) (*Repositories, error) {
	if cfg.Dir == "" {
		return nil, errors.New("git cache: no directory given")
	}
	if cfg.Now == nil {
		return nil, errors.New("git cache: no clock given")
	}
	if cfg.Vet == nil {
		cfg.Vet = func(context.Context, string) error { return nil }
	}
	if cfg.Dial == nil {
		cfg.Dial = (&net.Dialer{Timeout: listTimeout}).DialContext
	}
	cfg.Limits = cfg.Limits.withDefaults()
	cfg.Dir = filepath.Join(cfg.Dir, "git")
	if err := os.RemoveAll(cfg.Dir); err != nil {
		return nil, fmt.Errorf("emptying the git cache: %w", err)
	}
	if err := os.MkdirAll(cfg.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("making the git cache: %w", err)
	}
	return &Repositories{cfg: cfg, slots: semaphore.NewWeighted(concurrentFetches), meters: newMeters(), handles: map[string]*handle{}}, nil
}

// Fetch implements gitsync.Fetcher.
func (r *Repositories) Fetch(ctx context.Context, ref gitsync.Ref, have string) (gitsync.Tree, error) {
	if p := gitsync.CheckRemote(ref.Remote, r.cfg.Insecure); p != nil {
		return nil, &gitsync.Failure{Reason: gitsync.AddressRefused, Err: errors.New(p.Message), Problem: p}
	}
	if ref.Verify.At.IsZero() {
		ref.Verify.At = r.cfg.Now()
	}
	timeout := ref.Timeout
	if timeout == 0 {
		timeout = defaultTimeout
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	return r.fetch(ctx, ref, have)
}

// open gives the handle of a remote; those with credentials are shared only within their scope.
func (r *Repositories) open(remote gitsync.Remote) (*handle, error) {
	text := gitsync.SharedURL(remote.URL)
	if remote.Secret != (gitsync.Secret{}) || remote.Proxy != (gitsync.Proxy{}) {
		text = fmt.Sprintf("%q", append(credentials(remote), text, remote.Scope))
	}
	sum := sha256.Sum256([]byte(text))
	key := hex.EncodeToString(sum[:16])
	r.mu.Lock()
	defer r.mu.Unlock()
	if h := r.handles[key]; h != nil {
		return h, nil
	}
	t, err := r.transport(remote)
	if err != nil {
		return nil, err
	}
	h := &handle{remote: t, limits: r.cfg.Limits, slots: r.slots, busy: semaphore.NewWeighted(1), dir: filepath.Join(r.cfg.Dir, key), number: &r.generations, meters: r.meters, used: r.cfg.Now()}
	r.handles[key] = h
	return h, nil
}

// credentials gives every secret part of a remote.
func credentials(remote gitsync.Remote) []string {
	s, p := remote.Secret, remote.Proxy
	return []string{s.Username, s.Password, s.BearerToken, s.App.ID, s.App.Key, s.App.Installation, s.App.BaseURL, s.CA, s.Certificate, s.Key,
		s.Identity, s.KnownHosts, p.Address, p.Username, p.Password, p.CA}
}

// transport speaks the protocol of the URL's scheme, through the remote's proxy.
func (r *Repositories) transport(remote gitsync.Remote) (transport, error) {
	dial, err := proxied(remote.Proxy, r.cfg)
	if err != nil {
		return nil, err
	}
	if strings.HasPrefix(strings.ToLower(remote.URL), "ssh://") {
		return newShell(remote, dial, r.cfg)
	}
	return newClient(remote, dial, r.cfg)
}

// Close drops idle connections. Trees that are still open stay readable.
func (r *Repositories) Close() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, h := range r.handles {
		h.remote.hangUp()
	}
}
