// SPDX-License-Identifier: Apache-2.0

package serveapp

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"strongroom/internal/edge/tlsca"
	"strongroom/internal/gate"
	"strongroom/internal/gate/message"
	"strongroom/internal/gate/tally"
	"strongroom/internal/pure/apiv1"
	"strongroom/internal/pure/problem"
	"strongroom/internal/svc/feed"
	"strongroom/internal/svc/monitor"
)

const (
	countsName   = "monitor.json"   // what was counted of the log; it can be made anew
	collectEvery = 15 * time.Second // between two looks at core and nodes
	collectTime  = 10 * time.Second // for one
)

// fileStore keeps the counts of the log in a file of serve's folder.
type fileStore struct{ path string }

// Load reads the file.
func (s fileStore) Load() ([]byte, error) {
	b, err := os.ReadFile(s.path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return b, err
}

// Save replaces the file. What a crash leaves half-written is not read, and made anew.
func (s fileStore) Save(b []byte) error {
	next := s.path + ".new"
	if err := os.WriteFile(next, b, 0o600); err != nil {
		return err
	}
	return os.Rename(next, s.path)
}

// meter collects what serve knows, and shows it as metrics.
type meter struct {
	cfg    Config
	core   gate.Door
	chains func(context.Context) []apiv1.Chain
	ca     *tlsca.Authority
	log    *slog.Logger
	now    func() time.Time
	lines  *tally.Lines[monitor.ServeEvent]
	count  *monitor.Log

	mu      sync.Mutex // guards all below
	refused map[problem.Kind]uint64
	last    monitor.Facts
}

// problem counts a call that was answered with a problem.
func (m *meter) problem(k problem.Kind) {
	m.mu.Lock()
	m.refused[k]++
	m.mu.Unlock()
}

// collect asks core and nodes, and looks at folders and certificates.
func (m *meter) collect(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, collectTime)
	defer cancel()
	f := monitor.Facts{At: m.now(), Log: m.count, Chains: m.chains(ctx), Ends: []monitor.End{{Name: "authority", At: m.ca.End()}}}
	if s, err := gate.Call[message.Empty, message.Status](ctx, m.core, message.MethodStatus, message.Empty{}); err == nil {
		f.Status = &s
	}
	if c, err := gate.Call[message.Empty, message.Meters](ctx, m.core, message.MethodMeters, message.Empty{}); err == nil {
		f.Meters = &c
	}
	for name, path := range map[string]string{"data": m.cfg.Data, "tiles": m.cfg.Tiles} {
		var st syscall.Statfs_t
		if err := syscall.Statfs(path, &st); err != nil || st.Blocks == 0 {
			m.log.WarnContext(ctx, "metrics can't be collected", slog.String("folder", path), slog.Any("error", err))
			continue
		}
		f.Folders = append(f.Folders, monitor.Folder{Name: name, Free: float64(st.Bavail) / float64(st.Blocks)})
	}
	m.mu.Lock()
	m.last = f
	m.mu.Unlock()
}

// run collects until ctx ends.
func (m *meter) run(ctx context.Context) error {
	t := time.NewTicker(collectEvery)
	defer t.Stop()
	for {
		m.collect(ctx)
		select {
		case <-ctx.Done():
			return nil
		case <-t.C:
		}
	}
}

// ServeHTTP writes what was collected last.
func (m *meter) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path != "/metrics" || r.Method != http.MethodGet {
		http.NotFound(w, r)
		return
	}
	m.mu.Lock()
	f := m.last
	f.Refused = maps.Clone(m.refused)
	m.mu.Unlock()
	f.Lines, f.Log = m.lines.Counts(), m.count
	w.Header().Set("Content-Type", monitor.ContentType)
	_ = monitor.Write(w, f) // who asked may be gone
}

// newMeter makes the metrics of serve, or nil if the configuration has no place for them.
func (p *parts) newMeter(cfg Config, o Options, lines *tally.Lines[monitor.ServeEvent]) (*meter, error) {
	if cfg.MetricsListen == "" {
		return nil, nil
	}
	count, err := monitor.OpenLog(fileStore{filepath.Join(cfg.Data, countsName)})
	if err != nil {
		return nil, err
	}
	return &meter{cfg: cfg, core: p.core, chains: p.nodes.Status, ca: p.ca, log: o.Log, now: o.Now, lines: lines, count: count, refused: map[problem.Kind]uint64{}}, nil
}

// works gives what must run for the metrics: the follower of the log, the collector and the listener, which is open when it returns.
func (m *meter) works(ctx context.Context) ([]func(context.Context) error, error) {
	follower, err := feed.New(feed.Config{Core: m.core, Cache: m.count, Log: m.log})
	if err != nil {
		return nil, err
	}
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", m.cfg.MetricsListen)
	if err != nil {
		return nil, fmt.Errorf("serve: metrics: %w", err)
	}
	if a, ok := l.Addr().(*net.TCPAddr); !ok || !a.IP.IsLoopback() {
		return nil, errors.Join(fmt.Errorf("serve: metrics are not authenticated; %s is not on loopback", l.Addr()), l.Close())
	}
	m.log.InfoContext(ctx, "metrics are shown", slog.String("address", l.Addr().String()))
	return []func(context.Context) error{follower.Run, m.run, func(ctx context.Context) error { return m.show(ctx, l) }}, nil
}

// show serves the metrics until ctx ends.
func (m *meter) show(ctx context.Context, l net.Listener) error {
	srv := &http.Server{Handler: m, ReadTimeout: collectTime, WriteTimeout: collectTime, ErrorLog: slog.NewLogLogger(m.log.Handler(), slog.LevelDebug)}
	stop := context.AfterFunc(ctx, func() { _ = srv.Close() })
	defer stop()
	if err := srv.Serve(l); err != nil && !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve: metrics: %w", err)
	}
	return nil
}
