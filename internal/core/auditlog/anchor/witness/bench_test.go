// SPDX-License-Identifier: Apache-2.0

package witness_test

import (
	"context"
	"crypto/ed25519"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"strongroom/internal/app/witnessapp"
	"strongroom/internal/core/auditlog"
	"strongroom/internal/core/auditlog/anchor/file"
	"strongroom/internal/core/auditlog/anchor/witness"
	"strongroom/internal/core/auditlog/disk"
	edge "strongroom/internal/edge/relay"
	"strongroom/internal/edge/witnesshttp"
	"strongroom/internal/gate"
	wire "strongroom/internal/gate/relay"
	"strongroom/internal/pure/tlog"
	protocol "strongroom/internal/pure/witness"
	"strongroom/internal/svc/relay"
	svc "strongroom/internal/svc/witness"
)

// running starts a witness on loopback with its state on the disk, and gives its key and URL.
func running(b testing.TB, i int) (tlog.WitnessKey, string) {
	b.Helper()
	private := keyOf(byte(100 + i))
	k, err := tlog.NewWitnessKey(fmt.Sprintf("witness.example/w%d", i), private.Public().(ed25519.PublicKey))
	must(b, err)
	d, err := disk.OS(b.TempDir(), disk.Options{})
	must(b, err)
	state, err := witnessapp.OpenState(d)
	must(b, err)
	log, _ := logKey(b)
	w, err := svc.New(svc.Config{Key: k, Sign: signer(private), Logs: protocol.Logs{origin: {log}}, Store: state, Now: time.Now, Log: quiet})
	must(b, err)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(b, err)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- witnesshttp.Serve(ctx, l, w, nil, quiet) }()
	b.Cleanup(func() { cancel(); <-ended; _ = state.Close() })
	return k, "http://" + l.Addr().String()
}

// carried makes a relay over a real door to real witnesses.
func carried(b testing.TB, n int) (tlog.Witnesses, *wire.Queue) {
	b.Helper()
	var list []tlog.Witness
	urls := map[string]string{}
	for i := range n {
		k, url := running(b, i)
		name := fmt.Sprintf("w%d", i)
		list = append(list, tlog.Witness{Name: name, Key: k})
		urls[name] = url
	}
	set, err := tlog.NewWitnesses(list, 0)
	must(b, err)
	q := wire.New()
	mux := gate.NewMux()
	q.Serve(mux)
	socket := filepath.Join(b.TempDir(), "core.sock")
	must(b, os.Chmod(filepath.Dir(socket), 0o700))
	ln, err := gate.Listen(socket)
	must(b, err)
	srv, err := gate.NewServer(gate.Config{Handle: mux.Dispatch, AllowedUIDs: []uint32{uint32(os.Geteuid())}, Log: quiet, Waits: wire.Waits(), OnPanic: func(gate.Incident) { b.Error("panic") }})
	must(b, err)
	c, err := edge.New(edge.Config{Witnesses: urls})
	must(b, err)
	door := gate.NewRedialer(socket)
	r, err := relay.New(relay.Config{Core: door, Carrier: c, Log: quiet})
	must(b, err)
	ctx, cancel := context.WithCancel(context.Background())
	served, carrying := make(chan error, 1), make(chan error, 1)
	go func() { served <- srv.Serve(ctx, ln) }()
	go func() { carrying <- r.Run(ctx) }()
	b.Cleanup(func() {
		cancel()
		<-carrying
		<-served
		_ = door.Close()
		c.Close()
		_ = q.Close()
	})
	return set, q
}

// BenchmarkPin is what one pin costs: in a file; and with three witnesses besides, over the door, serve's relay and HTTP on loopback, each
// of which flushes its own state.
func BenchmarkPin(b *testing.B) {
	tr := leaves(1 << 17)
	run := func(b *testing.B, wrap func(auditlog.Anchor) auditlog.Anchor) {
		d, err := disk.OS(b.TempDir(), disk.Options{})
		must(b, err)
		local, err := file.Open(d)
		must(b, err)
		a := wrap(local)
		key, sign := logKey(b)
		var f tlog.Frontier
		i := 0
		for b.Loop() {
			f.Append(tr[i])
			i++
			signed, err := tlog.SignCheckpoint(tlog.Checkpoint{Origin: origin, Size: f.Size(), Root: f.Root()}, key, sign)
			must(b, err)
			must(b, a.Pin(context.Background(), auditlog.Pin{Checkpoint: signed, Frontier: f.Marshal()}))
		}
	}
	b.Run("file", func(b *testing.B) { run(b, func(a auditlog.Anchor) auditlog.Anchor { return a }) })
	b.Run("three witnesses", func(b *testing.B) {
		set, q := carried(b, 3)
		run(b, func(local auditlog.Anchor) auditlog.Anchor {
			a, err := witness.Open(witness.Config{Local: local, Witnesses: set, Relay: q, Log: quiet})
			must(b, err)
			a.Bind(tr.binding(b))
			b.Cleanup(func() { _ = a.Close() })
			return a
		})
	})
}

// The whole way: log, anchor, door, serve's relay, HTTP, witnesses with their state on the disk.
func TestOverTheDoorAndHTTP(t *testing.T) {
	t.Parallel()
	set, q := carried(t, 3)
	d, err := disk.OS(t.TempDir(), disk.Options{})
	must(t, err)
	local, err := file.Open(d)
	must(t, err)
	a, err := witness.Open(witness.Config{Local: local, Witnesses: set, Relay: q, Log: quiet})
	must(t, err)
	defer a.Close()
	tr := leaves(300)
	a.Bind(tr.binding(t))
	key, _ := logKey(t)
	for _, n := range []int{0, 1, 5, 5, 299} {
		signed, err := a.PinCosigned(t.Context(), tr.pin(t, n))
		must(t, err)
		if n == 0 {
			continue
		}
		if c, by, err := tlog.OpenWitnessed(signed, set, key); err != nil || c.Size != uint64(n) || len(by) < 2 {
			t.Fatal(c, by, err)
		}
	}
	if _, err := a.Read(t.Context()); err != nil {
		t.Fatal(err)
	}
}
