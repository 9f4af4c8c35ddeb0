// SPDX-License-Identifier: Apache-2.0

package coreapp

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"strongroom/internal/core/auditlog"
	"strongroom/internal/core/timeguard/timetest"
	edge "strongroom/internal/edge/relay"
	"strongroom/internal/gate"
	"strongroom/internal/gate/relay"
	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/entry"
	svc "strongroom/internal/svc/relay"
)

var quiet = slog.New(slog.DiscardHandler)

// folderOf writes files into a folder and gives the path of its time.json.
func folderOf(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return filepath.Join(dir, "time.json")
}

// TestTimeThroughTheDoor: the core gets its time from real servers by NTP and NTS, over the door and what serve does behind it, without a
// socket of its own; without serve there is none.
func TestTimeThroughTheDoor(t *testing.T) {
	t.Parallel()
	ca := timetest.NewAuthority(t)
	a, b, c := timetest.Start(t, timetest.Options{}), timetest.Start(t, timetest.Options{}), timetest.Start(t, timetest.Options{NTS: ca})
	file := folderOf(t, map[string]string{"keys": timetest.Keys, "ca.pem": string(ca.Certificate), "time.json": `{"maxBound": "500ms", "poll": "1s", "sources": [
		{"name": "a", "kind": "ntp", "keyId": 1, "keyFile": "keys"}, {"name": "b.example", "kind": "ntp", "keyId": 3, "keyFile": "keys"},
		{"name": "c", "kind": "nts", "serverName": "localhost", "caFile": "ca.pem"}]}`})
	q := relay.New()
	defer q.Close()
	w, err := openGuard(file, timetest.Arena(t), q, 0, quiet)
	if err != nil {
		t.Fatal(err)
	}
	defer w.close()
	w.run(t.Context())
	// The door's path is short; t.TempDir's need not be.
	dir, err := os.MkdirTemp("", "time")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	socket := filepath.Join(dir, "core.sock")
	ln, err := gate.Listen(socket)
	if err != nil {
		t.Fatal(err)
	}
	srv, err := serveDoor(t.Context(), newHouse(q, "", func() string { return "" }, nil), ln, []uint32{uint32(os.Geteuid())}, quiet, func(err error) { t.Error(err) })
	if err != nil {
		t.Fatal(err)
	}
	defer srv.close()
	if r := w.guard.Now(); r.Certain {
		t.Error("the time is certain without serve")
	}
	door, err := gate.Dial(t.Context(), socket)
	if err != nil {
		t.Fatal(err)
	}
	defer door.Close()
	carrier, err := edge.New(edge.Config{NTP: map[string]string{"a": a.NTP, "b.example": b.NTP}, NTS: map[string]string{"c": c.KE}})
	if err != nil {
		t.Fatal(err)
	}
	carry, err := svc.New(svc.Config{Core: door, Carrier: carrier, Log: quiet})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	carried := make(chan error, 1)
	go func() { carried <- carry.Run(ctx) }()
	defer func() { cancel(); <-carried }()
	patience, stop := context.WithTimeout(t.Context(), 60*time.Second)
	defer stop()
	for len(w.guard.Now().Sources) < 3 { // two suffice, and then it is certain; wait for all
		if err := w.guard.Wait(patience); err != nil {
			t.Fatalf("%v; %+v", err, w.guard.Sources())
		}
		if patience.Err() != nil {
			t.Fatalf("%+v", w.guard.Sources())
		}
		time.Sleep(5 * time.Millisecond)
	}
	r := w.guard.Now()
	if off := time.Duration(r.Time - timetest.WallAt(r.Boot)); off.Abs() > time.Duration(r.Bound)+20*time.Millisecond || !r.Certain {
		t.Errorf("wrong by %v, bound %v: %s", off, time.Duration(r.Bound), r.Why)
	}
}

func TestTimeFileRefuses(t *testing.T) {
	t.Parallel()
	const (
		key = `{"name": "a", "kind": "ntp", "keyId": 1, "keyFile": "keys"}, {"name": "b", "kind": "ntp", "keyId": 1, "keyFile": "keys"}`
		ca  = `{"name": "c", "kind": "nts", "serverName": "localhost", "caFile": "ca.pem"}`
	)
	pem := string(timetest.NewAuthority(t).Certificate)
	for _, tc := range []struct{ text, want string }{
		{`{"sources": [` + key + `, ` + ca + `]}`, ""},
		{`{"maxBound": "250ms", "maxAge": "10m", "poll": "32s", "sources": [` + key + `, {"name": "c", "kind": "nts", "serverName": "x", "systemRoots": true}]}`, ""},
		{``, "empty"},
		{`{"sources": [` + key + `]}`, "3 to 32 sources, not 2"},
		{`{"sources": [` + key + `, ` + key + `]}`, `called "a"`},
		{`{"sources": [` + key + `, ` + ca + `], "more": 1}`, "/more"},
		{`{"sources": [` + key + `, {"name": "c", "kind": "nts", "serverName": "x", "caFile": "ca.pem", "keyId": 1}]}`, "/sources/2: kind \"nts\" needs"},
		{`{"sources": [` + key + `, {"name": "c", "kind": "nts", "serverName": "x", "caFile": "ca.pem", "systemRoots": true}]}`, "needs serverName"},
		{`{"sources": [` + key + `, {"name": "c", "kind": "nts", "serverName": "x"}]}`, "needs serverName"},
		{`{"sources": [` + key + `, {"name": "c", "kind": "ntp"}]}`, "needs keyId"},
		{`{"sources": [` + key + `, {"name": "c", "kind": "ntp", "keyId": 9, "keyFile": "keys"}]}`, "no key 9"},
		{`{"sources": [` + key + `, {"name": "c", "kind": "ntp", "keyId": 1, "keyFile": "none"}]}`, "no such file"},
		{`{"sources": [` + key + `, {"name": "c", "kind": "ntp", "keyId": 1, "keyFile": "open"}]}`, "others may use"},
		{`{"sources": [` + key + `, {"name": "c", "kind": "nts", "serverName": "x", "caFile": "keys"}]}`, "no certificates"},
		{`{"sources": [` + key + `, {"name": "c", "kind": "roughtime"}]}`, "neither"},
		{`{"sources": [{"name": "a@b", "kind": "ntp", "keyId": 1, "keyFile": "keys"}]}`, "small letters"},
		{`{"maxBound": "1", "sources": [` + key + `, ` + ca + `]}`, "/maxBound"},
		{`{"maxBound": "-1s", "sources": [` + key + `, ` + ca + `]}`, "/maxBound"},
		{`{"maxBound": "2h", "sources": [` + key + `, ` + ca + `]}`, "largest bound"},
	} {
		file := folderOf(t, map[string]string{"keys": timetest.Keys, "open": timetest.Keys, "ca.pem": pem, "time.json": tc.text})
		if err := os.Chmod(filepath.Join(filepath.Dir(file), "open"), 0o640); err != nil {
			t.Fatal(err)
		}
		arena := timetest.Arena(t)
		w, err := openGuard(file, arena, relay.New(), 0, quiet)
		if (err == nil) != (tc.want == "") || err != nil && !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: got %v, want %q", tc.text, err, tc.want)
		}
		if err == nil {
			err = w.close()
		}
		if n := arena.Usage().Live; n != 0 || tc.want == "" && err != nil {
			t.Errorf("%s: %d keys are left, %v", tc.text, n, err)
		}
	}
	if _, err := openGuard("/nowhere/time.json", timetest.Arena(t), relay.New(), 0, quiet); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no file: got %v", err)
	}
}

// oneEntry is a store whose last entry is given.
type oneEntry struct {
	auditlog.Store
	leaf []byte
	size uint64
}

func (s oneEntry) Head(context.Context) (uint64, uint64, error) { return s.size, 1, nil }

func (s oneEntry) Read(_ context.Context, from uint64, _ int) ([]auditlog.Record, error) {
	if s.leaf == nil || from != s.size-1 {
		return nil, nil
	}
	return []auditlog.Record{{Leaf: s.leaf}}, nil
}

func TestLastTime(t *testing.T) {
	t.Parallel()
	l := entry.Leaf{V: 1, Kind: entry.KindGenesis, KindVersion: 1, Engine: entry.Engine1, Writer: 1, Time: 1.8e18, Bound: 7, Bodies: []entry.BodyRef{{Class: entry.Public}}}
	for _, tc := range []struct {
		store oneEntry
		want  int64
		fails bool
	}{
		{oneEntry{size: 0}, 0, false},
		{oneEntry{size: 9, leaf: l.Encode()}, 1.8e18 - 7, false},
		{oneEntry{size: 9, leaf: []byte("x")}, 0, false},
		{oneEntry{size: 9}, 0, true},
	} {
		if got, err := lastTime(t.Context(), tc.store); got != tc.want || (err != nil) != tc.fails {
			t.Errorf("%d entries: got %d, %v", tc.store.size, got, err)
		}
	}
}

func TestRefuseSystemClock(t *testing.T) {
	t.Parallel()
	if err := refuseSystemClock(custody.Production, nil); err == nil {
		t.Error("production runs on the system clock")
	}
	if err := errors.Join(refuseSystemClock(custody.Production, &watched{}), refuseSystemClock(custody.Evaluation, nil)); err != nil {
		t.Error(err)
	}
}
