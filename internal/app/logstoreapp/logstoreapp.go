// SPDX-License-Identifier: Apache-2.0

// Package logstoreapp is `strongroom logstore`: a keyless process that keeps a domain's log in PostgreSQL for a core on the same machine,
// which itself opens no network connection. It serves a Unix socket with the frames of the door; docs/spec/log-store-process.md has the methods.
//
// It holds no key and judges nothing. It refuses callers whose user id is not listed and a connection string from the command line or from a
// file that others can read.
package logstoreapp

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"os"
	"strings"
	"time"

	"strongroom/internal/app/together"
	"strongroom/internal/edge/postgres/logstore"
	"strongroom/internal/gate"
)

// DefaultLog is the name of the log in the database where none is given.
const DefaultLog = "domain"

// maxDSN is the longest connection string, in bytes.
const maxDSN = 16 << 10

// Options say what to serve. Now, Logger and DSNFile or DSNFD are required; the connection string may hold a password and is never an argument.
type Options struct {
	Socket  string   // path of the socket; its folder has mode 0700 and is ours
	DSNFile string   // file with the PostgreSQL connection string or URL, readable by nobody else
	DSNFD   int      // file descriptor to read it from, used where DSNFile is empty; 0 is none
	Log     string   // name of the log in the database; empty: DefaultLog
	UIDs    []uint32 // user ids that may connect; empty: our own
	Metrics string   // host:port on loopback of /metrics; empty: none
	Now     func() time.Time
	Logger  *slog.Logger
}

// Run serves a log until ctx ends. ready, if not nil, is called once the socket is open.
func Run(ctx context.Context, o Options, ready func()) error {
	if o.Socket == "" || o.Logger == nil || o.Now == nil {
		return errors.New("log store: name a socket, and give a clock and a logger")
	}
	if o.Log == "" {
		o.Log = DefaultLog
	}
	if len(o.UIDs) == 0 {
		o.UIDs = []uint32{uint32(os.Geteuid())}
	}
	dsn, err := readDSN(o)
	if err != nil {
		return fmt.Errorf("log store: %w", err)
	}
	store, err := logstore.Open(ctx, logstore.Config{DSN: dsn, Log: o.Log})
	if err != nil {
		return err
	}
	defer store.Close()
	return serve(ctx, o, store, ready)
}

func serve(ctx context.Context, o Options, store *logstore.Store, ready func()) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	seen, err := newCounts(o.Now)
	if err != nil {
		return err
	}
	s := newServer(store, o.Logger, seen)
	mux := gate.NewMux()
	s.register(mux)
	srv, err := gate.NewServer(gate.Config{Handle: mux.Dispatch, AllowedUIDs: o.UIDs, Log: o.Logger,
		OnPanic: func(i gate.Incident) { cancel(fmt.Errorf("a handler panicked (incident %s)", string(i))) },
		// A core whose domain is quiet keeps its connection: to cut it could cost an append its answer.
		Limits: gate.Limits{Idle: time.Duration(math.MaxInt64)},
	})
	if err != nil {
		return err
	}
	ln, err := gate.Listen(o.Socket)
	if err != nil {
		return err
	}
	work, err := seen.Beside(ctx, o.Metrics, o.Logger)
	if err != nil {
		return errors.Join(fmt.Errorf("log store: %w", err), ln.Close())
	}
	o.Logger.InfoContext(ctx, "log store is open", slog.String("socket", o.Socket), slog.String("place", store.Place()))
	if ready != nil {
		ready()
	}
	err = together.Run(ctx, append(work, func(ctx context.Context) error { return srv.Serve(ctx, ln) }))
	s.closeAll(context.WithoutCancel(ctx))
	if cause := context.Cause(ctx); cause != nil && !errors.Is(cause, context.Canceled) {
		return errors.Join(cause, err)
	}
	return err
}

// readDSN reads the connection string.
func readDSN(o Options) (string, error) {
	var f *os.File
	var err error
	switch {
	case o.DSNFile != "":
		if f, err = os.Open(o.DSNFile); err != nil {
			return "", fmt.Errorf("connection string: %w", err)
		}
	case o.DSNFD > 0:
		f = os.NewFile(uintptr(o.DSNFD), "connection string")
	default:
		return "", errors.New("the PostgreSQL connection string comes from a file or a file descriptor; name one")
	}
	defer func() { _ = f.Close() }() // it was only read
	info, err := f.Stat()
	if err != nil {
		return "", fmt.Errorf("connection string: %w", err)
	}
	// A group may read: systemd gives a credential to its service by an access list, which shows there.
	if info.Mode().IsRegular() && info.Mode().Perm()&0o037 != 0 {
		return "", fmt.Errorf("connection string: others may use %s (mode %04o); run chmod 0600 on it", f.Name(), info.Mode().Perm())
	}
	b, err := io.ReadAll(io.LimitReader(f, maxDSN+1))
	if err != nil {
		return "", fmt.Errorf("connection string: %w", err)
	}
	dsn := strings.TrimSpace(string(b))
	if dsn == "" || len(b) > maxDSN {
		return "", fmt.Errorf("connection string: %d bytes; write 1 to %d", len(b), maxDSN)
	}
	return dsn, nil
}
