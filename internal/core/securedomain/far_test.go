// SPDX-License-Identifier: Apache-2.0

package securedomain_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"testing"

	"strongroom/internal/core/auditlog/anchor/file"
	"strongroom/internal/core/auditlog/disk"
	"strongroom/internal/core/auditlog/segment"
	"strongroom/internal/core/hsm/soft"
	"strongroom/internal/core/keystore/files"
	far "strongroom/internal/core/offline"
	"strongroom/internal/core/securedomain/domaintest"
	"strongroom/internal/gate/message"
	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/offline"
	"strongroom/internal/pure/points"
	"strongroom/internal/pure/policy"
	"strongroom/internal/pure/problem"
	"strongroom/internal/pure/request"
	"strongroom/internal/secret"
)

// withCold lets two of three move wallets.
func withCold(d *policy.Document) {
	withWarm(d)
	two := policy.Plan{AnyOf: []policy.Branch{{Steps: []policy.Step{{Group: "officers", Min: 2}}}}}
	d.Routes = append(d.Routes, policy.Route{ID: "move", Priority: 70, Plan: two, When: policy.Match{Operations: []request.Operation{request.WalletMove}}})
}

// operators confirm all that they are shown.
type operators struct{ people []domaintest.Person }

func (o operators) Reanchored(context.Context, far.Reanchoring) error { return nil }

func (o operators) Review(_ context.Context, r far.Review) (all []uint64, _ error) {
	for _, it := range r.Items {
		all = append(all, it.Entry)
	}
	return all, nil
}

func (o operators) Confirm(_ context.Context, c offline.Confirmation) (out []offline.Signature, _ error) {
	for _, p := range o.people {
		out = append(out, offline.Signature{Person: p.ID, Key: p.Pub.Ref(), Sig: ed25519.Sign(p.Key, c.Message())})
	}
	return out, nil
}

// box is an offline domain in a folder. Each use is a process of its own.
type box struct {
	t     testing.TB
	dir   string
	clock *domaintest.Clock
	name  string
}

// run opens the domain, or makes it, and calls f.
func (b *box) run(make *far.Preparation, f func(*far.Domain) error) (err error) {
	b.t.Helper()
	var closers []func() error
	defer func() {
		for i := len(closers) - 1; i >= 0; i-- {
			if e := closers[i](); e != nil {
				b.t.Errorf("close: %v", e)
			}
		}
	}()
	open := func(what string, e error, end func() error) bool {
		if err = e; err == nil {
			closers = append(closers, end)
			return true
		}
		err = fmt.Errorf("%s: %w", what, err)
		return false
	}
	arena, err := secret.NewArena(secret.Config{Size: 2 << 20})
	if !open("arena", err, func() error { return arena.Close() }) {
		return err
	}
	pass, err := secret.Take(arena, []byte("a passphrase for tests"))
	if err != nil {
		return err
	}
	defer pass.Wipe()
	root := soft.Open
	if make != nil {
		root = soft.Create
	}
	r, err := root(soft.Config{Arena: arena, Dir: filepath.Join(b.dir, "root"), Argon: soft.Argon{Time: 1, Memory: 8, Lanes: 1}, WeakUnsafe: true}, pass)
	if !open("root", err, func() error { r.Close(); return nil }) {
		return err
	}
	at := func(name string) disk.Dir {
		if err := os.MkdirAll(filepath.Join(b.dir, name), 0o700); err != nil {
			b.t.Fatal(err)
		}
		d, err := disk.OS(filepath.Join(b.dir, name), disk.Options{})
		if err != nil {
			b.t.Fatal(err)
		}
		return d
	}
	own, err := segment.Open(at("log"), segment.Options{SegmentSize: 1 << 20})
	if !open("log", err, func() error { return own.Close() }) {
		return err
	}
	follow, err := segment.Open(at("authority"), segment.Options{SegmentSize: 1 << 20})
	if !open("authority", err, func() error { return follow.Close() }) {
		return err
	}
	anchor, err := file.Open(at("anchor"))
	if !open("anchor", err, func() error { return anchor.Close() }) {
		return err
	}
	blobs, err := files.Open(filepath.Join(b.dir, "blobs"))
	if err != nil {
		return err
	}
	cfg := far.Config{Arena: arena, Root: r, Store: own, Anchor: anchor, Blobs: blobs, List: blobs.List, Follow: follow, Clock: b.clock, Logger: slog.New(slog.NewTextHandler(io.Discard, nil))}
	var d *far.Domain
	if make != nil {
		d, err = far.Create(context.Background(), cfg, *make)
	} else {
		d, err = far.Open(context.Background(), cfg)
	}
	if err != nil {
		return err
	}
	defer func() { _ = d.Close(context.Background()) }()
	return f(d)
}

// newBox makes an offline domain that follows a harness's, and gives the body that adds it.
func newBox(t testing.TB, h *domaintest.Harness, name string) (*box, request.OfflineAddBody) {
	t.Helper()
	b := &box{t: t, dir: t.TempDir(), clock: h.Clock, name: name}
	add := request.OfflineAddBody{Name: name}
	err := b.run(&far.Preparation{Authority: h.D.Authority(), Profile: custody.Evaluation, Name: name, RootKind: "soft", AnchorKind: "file"}, func(d *far.Domain) error {
		g, err := d.Genesis(context.Background())
		add.Leaf, add.Salt, add.Body = g.Leaf, g.Salt, g.Body
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return b, add
}

// clone copies a box.
func (b *box) clone(t testing.TB, clock *domaintest.Clock) *box {
	t.Helper()
	c := &box{t: t, dir: t.TempDir(), clock: clock, name: b.name}
	domaintest.CopyFolder(t, b.dir, c.dir)
	return c
}

// work gives a bundle in and takes the result.
func (b *box) work(bundle []byte, by ...domaintest.Person) (result []byte, r far.Report, err error) {
	b.t.Helper()
	err = b.run(nil, func(d *far.Domain) error {
		var out bytes.Buffer
		r, err = d.Work(context.Background(), bytes.NewReader(bundle), &out, operators{by})
		result = out.Bytes()
		return err
	})
	return result, r, err
}

// allowMoves switches on what moves take, and adds a box.
func allowMoves(t testing.TB, h *domaintest.Harness, add request.OfflineAddBody) {
	t.Helper()
	on := request.PointsSetBody{Counter: h.Life().Counter + 1, Allow: points.Make(points.MoveIn, points.MoveOut)}
	if !h.Life().Allowed.HasAll(on.Allow) {
		if _, err := h.Govern(request.PointsSet, on, h.Bob, h.Carol); err != nil {
			t.Fatal(err)
		}
	}
	add.Counter = h.Life().Counter + 1
	if v, err := h.Govern(request.OfflineAdd, add, h.Bob, h.Carol); err != nil || v.State != message.StateExecuted {
		t.Fatalf("%v, %+v", err, v)
	}
}

// bundle reads a bundle to an offline domain, in parts.
func bundle(h *domaintest.Harness, name string, full bool) ([]byte, message.OfflineBundle, error) {
	b, err := h.D.OfflineExport(context.Background(), message.OfflineExport{Domain: name, Full: full})
	if err != nil {
		return nil, b, err
	}
	var out []byte
	for {
		p, err := h.D.OfflineNext(context.Background(), message.OfflineNext{Run: b.Run, Offset: uint64(len(out))})
		if err != nil || len(p.Bytes) == 0 {
			return out, b, err
		}
		out = append(out, p.Bytes...)
	}
}

// handIn hands a result in, in pieces.
func handIn(h *domaintest.Harness, result []byte) (out message.OfflineImported, err error) {
	run := domaintest.Random(16)
	for off := 0; off < len(result) && err == nil; off += 1000 {
		end := min(off+1000, len(result))
		out, err = h.D.OfflineImport(context.Background(), message.OfflineImport{Run: run, Offset: uint64(off), Bytes: result[off:end], Last: end == len(result)})
	}
	return out, err
}

// carry takes what is new to a box and its result back.
func carry(h *domaintest.Harness, b *box) (message.OfflineImported, far.Report, error) {
	out, _, err := bundle(h, b.name, false)
	if err != nil {
		return message.OfflineImported{}, far.Report{}, fmt.Errorf("export: %w", err)
	}
	result, r, err := b.work(out, h.Alice, h.Bob)
	if err != nil {
		return message.OfflineImported{}, r, fmt.Errorf("offline: %w", err)
	}
	in, err := handIn(h, result)
	if problem.KindOf(err) == problem.AlreadyDone { // it was recorded, and the answer was lost
		err = nil
	}
	if err != nil {
		err = fmt.Errorf("import: %w", err)
	}
	return in, r, err
}
