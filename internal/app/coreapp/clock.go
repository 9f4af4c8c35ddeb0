// SPDX-License-Identifier: Apache-2.0

package coreapp

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"sync"
	"time"

	"strongroom/internal/core/auditlog"
	"strongroom/internal/core/timeguard"
	"strongroom/internal/core/timeguard/ntp"
	"strongroom/internal/core/timeguard/nts"
	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/entry"
	"strongroom/internal/pure/strictjson"
	"strongroom/internal/secret"
)

// timeFile is the file that --time-sources names, strict JSON: docs/spec/time.md. Paths in it are absolute, or relative to its folder.
type timeFile struct {
	MaxBound string       `json:"maxBound,omitempty"` // Go's notation of durations: "250ms"
	MaxAge   string       `json:"maxAge,omitempty"`
	Poll     string       `json:"poll,omitempty"`
	Sources  []timeSource `json:"sources"`
}

// timeSource is a server. Serve's configuration has its address under the same name.
type timeSource struct {
	Name string `json:"name"`
	Kind string `json:"kind"` // "ntp" or "nts"

	KeyID   uint32 `json:"keyId,omitempty"`   // ntp
	KeyFile string `json:"keyFile,omitempty"` // ntp: a key file of chrony's format, for nobody else to read

	ServerName  string `json:"serverName,omitempty"`  // nts: the name in its certificate
	CAFile      string `json:"caFile,omitempty"`      // nts: PEM certificates of those who may sign it
	SystemRoots bool   `json:"systemRoots,omitempty"` // nts: the authorities of the system may
}

// transport carries packets and streams to time servers.
type transport interface {
	ntp.Carrier
	nts.Dialer
}

const (
	maxTimeFile = 64 << 10
	maxPEM      = 1 << 20
)

var sourceName = regexp.MustCompile(`^[a-z0-9][a-z0-9.-]{0,31}$`)

// timeWait is how long a start waits for the time. After that the domain opens all the same, and decides nothing until there is one.
const timeWait = 10 * time.Second

// watched is a guard that runs, with the keys of its sources.
type watched struct {
	guard *timeguard.Guard
	keys  []ntp.Key
	stop  context.CancelFunc
	done  sync.WaitGroup
}

// close ends the guard and wipes its keys.
func (w *watched) close() error {
	if w.stop != nil {
		w.stop()
	}
	w.done.Wait()
	for _, k := range w.keys {
		k.Wipe()
	}
	return nil
}

// run starts the guard.
func (w *watched) run(ctx context.Context) {
	ctx, w.stop = context.WithCancel(ctx)
	w.done.Go(func() { w.guard.Run(ctx) })
}

// guardTime replaces the system clock by a guard over the sources that the options name, if they name some.
func (p *parts) guardTime(ctx context.Context, o Options) error {
	if o.TimeSources == "" {
		return nil
	}
	floor, err := lastTime(ctx, p.cfg.Store)
	if err != nil {
		return err
	}
	w, err := openGuard(o.TimeSources, p.cfg.Arena, p.relay, floor, o.Log)
	if err != nil {
		return fmt.Errorf("time sources %s: %w", o.TimeSources, err)
	}
	p.time, p.cfg.Clock = w, w.guard
	p.closers = append(p.closers, w.close)
	return nil
}

// lastTime gives the earliest time at which the last entry can have been written. The store is not trusted: an earlier time is no more than
// no floor, a later one keeps the core from deciding.
func lastTime(ctx context.Context, store auditlog.Store) (int64, error) {
	size, _, err := store.Head(ctx)
	if err != nil || size == 0 {
		return 0, err
	}
	recs, err := store.Read(ctx, size-1, 1)
	if err != nil || len(recs) == 0 {
		return 0, errors.Join(err, errors.New("read the last entry: the store has none"))
	}
	l, err := entry.DecodeLeaf(recs[0].Leaf)
	if err != nil {
		return 0, nil // opening the domain says what is wrong with it
	}
	return max(l.Time-l.Bound, 0), nil
}

// openGuard reads the file and makes a guard, which does not run yet.
func openGuard(path string, arena *secret.Arena, via transport, floor int64, log *slog.Logger) (*watched, error) {
	b, err := readSmall(path, maxTimeFile)
	if err != nil {
		return nil, err
	}
	var f timeFile
	if err := strictjson.Decode(b, &f); err != nil {
		return nil, err
	}
	cfg := timeguard.GuardConfig{Floor: floor, Log: log}
	for _, d := range []struct {
		name, text string
		to         *time.Duration
	}{{"maxBound", f.MaxBound, &cfg.MaxBound}, {"maxAge", f.MaxAge, &cfg.MaxAge}, {"poll", f.Poll, &cfg.Poll}} {
		if d.text == "" {
			continue
		}
		if *d.to, err = time.ParseDuration(d.text); err != nil || *d.to <= 0 {
			return nil, fmt.Errorf("/%s: %q is no duration like \"250ms\"", d.name, d.text)
		}
	}
	w := &watched{}
	boot := func() int64 { return w.guard.Boot() } // used once the guard runs
	for i, s := range f.Sources {
		source, err := w.source(s, filepath.Dir(path), arena, via, boot)
		if err != nil {
			return nil, errors.Join(fmt.Errorf("/sources/%d: %w", i, err), w.close())
		}
		cfg.Sources = append(cfg.Sources, source)
	}
	if w.guard, err = timeguard.NewGuard(cfg); err != nil {
		return nil, errors.Join(err, w.close())
	}
	return w, nil
}

func (w *watched) source(s timeSource, dir string, arena *secret.Arena, via transport, boot func() int64) (timeguard.Source, error) {
	if !sourceName.MatchString(s.Name) {
		return nil, fmt.Errorf("name %q: use up to 32 small letters, digits, dots and hyphens", s.Name)
	}
	switch {
	case s.Kind == "ntp" && s.KeyID != 0 && s.KeyFile != "" && s.ServerName == "" && s.CAFile == "" && !s.SystemRoots:
		key, err := readKey(arena, beside(dir, s.KeyFile), s.KeyID)
		if err != nil {
			return nil, err
		}
		w.keys = append(w.keys, key)
		return ntp.New(ntp.Config{Name: s.Name, Target: s.Name, Key: key, Carrier: via, Boot: boot})
	case s.Kind == "nts" && s.ServerName != "" && (s.CAFile != "") != s.SystemRoots && s.KeyID == 0 && s.KeyFile == "":
		roots, err := readRoots(beside(dir, s.CAFile), s.SystemRoots)
		if err != nil {
			return nil, err
		}
		return nts.New(nts.Config{Name: s.Name, Target: s.Name, ServerName: s.ServerName, Roots: roots, Carrier: via, Dialer: via, Boot: boot})
	case s.Kind == "ntp":
		return nil, errors.New(`kind "ntp" needs keyId and keyFile, and nothing else`)
	case s.Kind == "nts":
		return nil, errors.New(`kind "nts" needs serverName and either caFile or systemRoots, and nothing else`)
	}
	return nil, fmt.Errorf(`kind %q is neither "ntp" nor "nts"`, s.Kind)
}

func beside(dir, path string) string {
	if filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(dir, path)
}

// readSmall reads a file of at most limit bytes.
func readSmall(path string, limit int64) ([]byte, error) {
	i, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !i.Mode().IsRegular() || i.Size() > limit {
		return nil, fmt.Errorf("%s is no file of at most %d bytes", path, limit)
	}
	return os.ReadFile(path)
}

func readKey(arena *secret.Arena, path string, id uint32) (ntp.Key, error) {
	i, err := os.Stat(path)
	if err != nil {
		return ntp.Key{}, err
	}
	if mode := i.Mode().Perm(); mode&0o077 != 0 {
		return ntp.Key{}, fmt.Errorf("others may use %s (mode %04o); run chmod 0600 on it", path, mode)
	}
	b, err := readSmall(path, maxTimeFile)
	if err != nil {
		return ntp.Key{}, err
	}
	return ntp.ReadKey(arena, b, id)
}

// readRoots gives the authorities of a file, or, where it was asked for, those of the system.
func readRoots(path string, system bool) (*x509.CertPool, error) {
	if system {
		return x509.SystemCertPool()
	}
	b, err := readSmall(path, maxPEM)
	if err != nil {
		return nil, err
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(b) {
		return nil, fmt.Errorf("%s has no certificates in PEM", path)
	}
	return roots, nil
}

// awaitTime waits until the time is certain: for a while, and where the log is taken over, which is an entry and needs the time, as long as
// it takes.
func (p *parts) awaitTime(ctx context.Context, o Options) error {
	if p.time == nil {
		return nil
	}
	p.time.run(ctx)
	if o.TakeOver {
		return p.time.guard.Wait(ctx)
	}
	limited, cancel := context.WithTimeout(ctx, timeWait)
	defer cancel()
	if err := p.time.guard.Wait(limited); err != nil && ctx.Err() == nil {
		o.Log.WarnContext(ctx, "nothing is decided until the time is certain", slog.Any("error", err))
	}
	return ctx.Err()
}

// refuseSystemClock says whether a domain of a profile may run on the machine's own clock.
func refuseSystemClock(profile custody.Profile, w *watched) error {
	if profile == custody.Production && w == nil {
		return errors.New("a production domain needs authenticated time: name its sources with --time-sources")
	}
	return nil
}
