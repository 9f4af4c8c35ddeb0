// SPDX-License-Identifier: Apache-2.0

package backupapp

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"

	"strongroom/internal/core/durable/durabletest"
	"strongroom/internal/core/securedomain/domaintest"
	"strongroom/internal/gate"
	"strongroom/internal/gate/message"
	"strongroom/internal/pure/backup"
	"strongroom/internal/pure/canon"
	"strongroom/internal/pure/problem"
	"strongroom/internal/pure/request"
)

// door is a domain's door without a socket. change, if not nil, changes what it answers; calls are counted, and from the stopAt-th on it is gone.
type door struct {
	h      *domaintest.Harness
	change func(method string, reply []byte) []byte
	calls  int
	stopAt int
}

var errGone = errors.New("the core is gone")

func (d *door) Call(ctx context.Context, method string, body []byte) ([]byte, error) {
	if d.calls++; d.stopAt > 0 && d.calls >= d.stopAt {
		return nil, errGone
	}
	m := gate.NewMux()
	d.h.D.Serve(m)
	out, err := m.Dispatch(ctx, gate.Caller{}, method, body)
	if err == nil && d.change != nil {
		out = d.change(method, out)
	}
	return out, err
}

// site is a domain and an empty disk for its backup.
func site(t *testing.T) (*domaintest.Harness, *durabletest.Disk) {
	t.Helper()
	h := domaintest.New(t, domaintest.Options{Recovery: true, Memory: domaintest.NewMemory()})
	h.Wallet("first", domaintest.Chain, request.SchemeEVM)
	return h, durabletest.New()
}

func mustWrite(t *testing.T, f *Folder, h *domaintest.Harness) *backup.Manifest {
	t.Helper()
	w, err := f.Write(t.Context(), &door{h: h})
	if err != nil {
		t.Fatal(err)
	}
	return w.Manifest
}

func mustMake(t *testing.T, d *durabletest.Disk) *Folder {
	t.Helper()
	f, err := Make(d, "/backup")
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// grow adds something to the log.
func grow(t *testing.T, h *domaintest.Harness) {
	t.Helper()
	if _, err := h.Submit(h.Service, h.Request(h.Service, request.AddressCreate, request.AddressCreateBody{Wallet: "first", Count: 1}), nil); err != nil {
		t.Fatal(err)
	}
}

// whole checks the newest manifest of a folder, if there is one.
func whole(t *testing.T, f *Folder, h *domaintest.Harness) *backup.Manifest {
	t.Helper()
	m, err := f.Manifest("")
	if err != nil {
		t.Fatal(err)
	}
	if m == nil {
		return nil
	}
	if c, err := f.Check(t.Context(), &door{h: h}, m); err != nil || c.Entries != m.End() {
		t.Fatalf("%+v, %v", c, err)
	}
	return m
}

// A backup that stops at any operation on its disk, before it or after it, with any loss that the disk allows, leaves the backup of before or the
// new one, whole; and the next one goes on.
func TestInterruptedAtEveryFileStep(t *testing.T) {
	t.Parallel()
	h, _ := site(t)
	for _, loss := range durabletest.Losses() {
		for _, after := range []bool{false, true} {
			for _, first := range []bool{true, false} {
				for n := 1; ; n++ {
					disk := durabletest.New()
					before := uint64(0)
					if !first {
						before = mustWrite(t, mustMake(t, disk), h).End()
						grow(t, h)
					}
					disk.StopAt(n, after)
					f, err := Make(disk, "/backup")
					if err == nil {
						_, err = f.Write(t.Context(), &door{h: h})
					}
					disk.Restart(loss)
					f = mustMake(t, disk)
					if m := whole(t, f, h); m == nil && before > 0 || m != nil && m.End() < before {
						t.Fatalf("stop %d, after %v, loss %v: the backup of before is lost", n, after, loss)
					} else if err == nil && (m == nil || m.End() != h.D.Status().Size) {
						t.Fatalf("stop %d, after %v, loss %v: what was acknowledged is lost", n, after, loss)
					}
					mustWrite(t, f, h)
					if m := whole(t, f, h); m.End() != h.D.Status().Size {
						t.Fatalf("the next backup ends at %d of %d", m.End(), h.D.Status().Size)
					}
					if err == nil {
						break
					}
				}
			}
		}
	}
}

// A core that goes away at any call leaves the folder as it was, but for packs that the next backup removes.
func TestCoreGoneAtEveryCall(t *testing.T) {
	t.Parallel()
	h, disk := site(t)
	f := mustMake(t, disk)
	mustWrite(t, f, h)
	h.Wallet("second", domaintest.Chain, request.SchemeEVM)
	for n := 1; ; n++ {
		_, err := f.Write(t.Context(), &door{h: h, stopAt: n})
		whole(t, f, h)
		if err == nil {
			break
		}
		if !errors.Is(err, errGone) {
			t.Fatal(err)
		}
	}
	names, err := disk.List("/backup")
	if err != nil || len(names) != 4 {
		t.Errorf("the folder has %v, want two packs and two manifests", names)
	}
}

// What a core gives is compared with what it signs.
func TestLyingCore(t *testing.T) {
	t.Parallel()
	h, _ := site(t)
	part := func(f func(*message.BackupPart)) func(string, []byte) []byte {
		return func(method string, b []byte) []byte {
			var p message.BackupPart
			if method != message.MethodBackupNext || canon.Decode(b, &p) != nil || p.Size == 0 {
				return b
			}
			f(&p)
			return canon.Encode(p)
		}
	}
	for name, change := range map[string]func(string, []byte) []byte{
		"another byte":    part(func(p *message.BackupPart) { p.Bytes[50] ^= 1 }),
		"another range":   part(func(p *message.BackupPart) { p.End-- }),
		"too much":        part(func(p *message.BackupPart) { p.Bytes = append(p.Bytes, 0) }),
		"nothing":         part(func(p *message.BackupPart) { p.Bytes = nil }),
		"too large":       part(func(p *message.BackupPart) { p.Size = backup.MaxPack + 1 }),
		"a path as range": part(func(p *message.BackupPart) { p.First = 1 << 63 }),
		"another manifest": func(method string, b []byte) []byte {
			if method == message.MethodBackupClose {
				b[len(b)-1] ^= 1
			}
			return b
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := mustMake(t, durabletest.New())
			if _, err := f.Write(t.Context(), &door{h: h, change: change}); err == nil {
				t.Fatal("written")
			}
			if m, err := f.Manifest(""); m != nil || err != nil {
				t.Errorf("there is a manifest: %v, %v", m, err)
			}
		})
	}
}

func TestFolderRefusals(t *testing.T) {
	t.Parallel()
	h, disk := site(t)
	f := mustMake(t, disk)
	m := mustWrite(t, f, h)
	other, _ := site(t)
	if _, err := f.Write(t.Context(), &door{h: other}); problem.KindOf(err) != problem.Malformed {
		t.Errorf("a folder of another domain: got error %v", err)
	}
	disk.Flip("/backup/"+m.Packs[0].Name(), 4000)
	if _, err := f.Check(t.Context(), &door{h: h}, m); err == nil || !strings.Contains(err.Error(), "altered") {
		t.Errorf("an altered pack: got error %v", err)
	}
	if err := disk.Remove("/backup/" + m.Packs[0].Name()); err != nil {
		t.Fatal(err)
	}
	h.Wallet("second", domaintest.Chain, request.SchemeEVM)
	if _, err := f.Write(t.Context(), &door{h: h}); err == nil || !strings.Contains(err.Error(), "is missing") {
		t.Errorf("a missing pack: got error %v", err)
	}
	if _, err := f.Check(t.Context(), &door{h: h}, m); err == nil {
		t.Error("a check without a pack")
	}
	disk.Flip("/backup/"+m.Name(), 4000)
	if _, err := f.Manifest(""); !errors.Is(err, backup.ErrManifest) {
		t.Errorf("an altered manifest: got error %v", err)
	}
	if _, err := f.Write(t.Context(), &door{h: h}); !errors.Is(err, backup.ErrManifest) {
		t.Errorf("a backup after an altered manifest: got error %v", err)
	}
}

// Manifests of the last days stay; what else lies in the folder is left alone.
func TestKeptManifests(t *testing.T) {
	t.Parallel()
	h, disk := site(t)
	f := mustMake(t, disk)
	if err := disk.WriteNew("/backup/notes.txt", []byte("mine")); err != nil {
		t.Fatal(err)
	}
	for range KeptManifests + 3 {
		grow(t, h)
		mustWrite(t, f, h)
	}
	names, err := f.Manifests()
	if err != nil || len(names) != KeptManifests {
		t.Errorf("%d manifests, %v", len(names), err)
	}
	whole(t, f, h)
	oldest, err := f.Manifest(names[0])
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.Check(t.Context(), &door{h: h}, oldest); err != nil {
		t.Errorf("the oldest that is kept: %v", err)
	}
	if b, err := disk.Read("/backup/notes.txt", 10); err != nil || !bytes.Equal(b, []byte("mine")) {
		t.Errorf("%q, %v", b, err)
	}
}
