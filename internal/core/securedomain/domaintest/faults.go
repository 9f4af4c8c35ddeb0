// SPDX-License-Identifier: Apache-2.0

package domaintest

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"strongroom/internal/core/auditlog"
	"strongroom/internal/core/hsm"
	"strongroom/internal/core/keystore"
	"strongroom/internal/core/securedomain"
	"strongroom/internal/pure/custody"
	"strongroom/internal/secret"
)

// ErrInjected is the error of an injected fault.
var ErrInjected = errors.New("injected fault")

// Op names a call of what a domain stands on.
type Op string

// The calls.
const (
	StoreHead    Op = "store.head"
	StoreRead    Op = "store.read"
	StoreAppend  Op = "store.append"
	StoreCut     Op = "store.truncate"
	StoreTake    Op = "store.take-writer"
	AnchorRead   Op = "anchor.read"
	AnchorPin    Op = "anchor.pin"
	BlobPut      Op = "blobs.put"
	BlobGet      Op = "blobs.get"
	BlobDelete   Op = "blobs.delete"
	RootSeal     Op = "root.seal"
	RootUnseal   Op = "root.unseal"
	RootDestroy  Op = "root.destroy"
	RootStatus   Op = "root.status"
	KeyMake      Op = "token.generate"
	KeySign      Op = "token.sign"
	KeyDestroy   Op = "token.destroy"
	KeyList      Op = "token.list"
	SnapshotList Op = "snapshots.list"
	SnapshotGet  Op = "snapshots.get"
	SnapshotPart Op = "snapshots.chunk"
	SnapshotPut  Op = "snapshots.put"
)

// Ops lists the calls; those that change something come first.
func Ops() []Op {
	return []Op{StoreAppend, StoreCut, StoreTake, AnchorPin, BlobPut, SnapshotPut,
		StoreHead, StoreRead, AnchorRead, BlobGet, SnapshotList, SnapshotGet, SnapshotPart}
}

// LifeOps lists the calls of the life cycle; those that change something come first.
func LifeOps() []Op {
	return []Op{RootSeal, RootDestroy, BlobDelete, BlobPut, StoreAppend, AnchorPin, RootUnseal, RootStatus, BlobGet}
}

// TokenOps lists the calls that matter to wallets of class token while they live; those that change something come first.
func TokenOps() []Op {
	return []Op{KeyMake, RootSeal, RootDestroy, BlobPut, StoreAppend, AnchorPin, KeySign, KeyList, RootUnseal, BlobGet}
}

// Changes says whether a call has an effect, so that it matters whether it fails before or after it.
func (o Op) Changes() bool {
	switch o {
	case StoreAppend, StoreCut, StoreTake, AnchorPin, BlobPut, SnapshotPut, BlobDelete, RootSeal, RootDestroy, KeyMake, KeyDestroy:
		return true
	default:
		return false
	}
}

// Fatal says whether its owner does nothing more after a failure, as the contracts of store and anchor say.
func (o Op) Fatal() bool {
	switch o {
	case StoreAppend, StoreCut, StoreTake, AnchorPin:
		return true
	default:
		return false
	}
}

// When says where a call fails or stops.
type When string

// The places.
const (
	Before When = "before" // the call has no effect
	After  When = "after"  // it has; the answer is lost
)

// Faults lets one call of what a domain stands on fail, before or after its effect, or stop. After a crash every later call fails
// without effect, until [Harness.Crash] has ended the domain: nothing that was not on disk at the fault gets there. Its methods
// are safe for concurrent use.
type Faults struct {
	mu     sync.Mutex // guards the rest
	counts map[Op]int // calls so far
	op     Op         // the call that fails
	n      int        // from 1 on; 0: none
	when   When
	crash  bool
	struck bool
	dead   map[Op]bool // owners that do nothing more, by any of their calls
	down   bool        // nothing does

	held    Op // the call that stops
	heldAt  When
	reached chan struct{} // closed when it stopped
	release chan struct{} // closed when it may go on
}

// FailAt makes the n-th call of a kind from now on fail (1: the next). With crash the process ends there; else it learns of the failure.
func (f *Faults) FailAt(op Op, n int, when When, crash bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.op, f.n, f.when, f.crash, f.struck = op, f.counts[op]+n, when, crash, false
}

// Disarm takes back a fault that did not happen yet.
func (f *Faults) Disarm() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.n = 0
}

// Struck says whether the fault happened.
func (f *Faults) Struck() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.struck
}

// Count gives the calls of a kind so far.
func (f *Faults) Count(op Op) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.counts[op]
}

// Hold stops the next call of a kind, and those after it, before or after the effect: as a slow disk does, or SIGSTOP. It gives a
// channel that is closed once a call has stopped, and a function that lets all go on.
func (f *Faults) Hold(op Op, when When) (reached <-chan struct{}, release func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.held, f.heldAt, f.reached, f.release = op, when, make(chan struct{}), make(chan struct{})
	return f.reached, sync.OnceFunc(func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.held = ""
		close(f.release)
	})
}

// Crash ends the process as kill -9 does: from now on no call has an effect.
func (f *Faults) Crash() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.down = true
}

// Restart is a new process on the same disk.
func (f *Faults) Restart() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.down, f.dead = false, nil
}

// pause stops a call that is held.
func (f *Faults) pause(op Op, when When) {
	f.mu.Lock()
	if f.held != op || f.heldAt != when {
		f.mu.Unlock()
		return
	}
	release := f.release
	select {
	case <-f.reached:
	default:
		close(f.reached)
	}
	f.mu.Unlock()
	<-release
}

// begin counts a call and says whether it fails before its effect, or after it.
func (f *Faults) begin(op Op) (before, after error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.down || f.dead[owner(op)] {
		return fmt.Errorf("%s: the process has ended: %w", op, ErrInjected), nil
	}
	if f.counts == nil {
		f.counts = map[Op]int{}
	}
	f.counts[op]++
	if op != f.op || f.counts[op] != f.n {
		return nil, nil
	}
	f.struck = true
	err := fmt.Errorf("%s number %d, %s its effect: %w", op, f.n, f.when, ErrInjected)
	if f.when == Before {
		f.end(op)
		return err, nil
	}
	return nil, err
}

// end is what a failure leaves behind. The caller holds mu.
func (f *Faults) end(op Op) {
	f.down = f.down || f.crash
	if op.Fatal() {
		if f.dead == nil {
			f.dead = map[Op]bool{}
		}
		f.dead[owner(op)] = true
	}
}

// owner names what a call belongs to.
func owner(op Op) Op {
	switch op {
	case StoreHead, StoreRead, StoreAppend, StoreCut, StoreTake:
		return "store"
	case AnchorPin:
		return "anchor" // one that failed to pin can still be read
	default:
		return op
	}
}

// do runs a call with its fault.
func (f *Faults) do(op Op, call func() error) error {
	f.pause(op, Before)
	before, after := f.begin(op)
	if before != nil {
		return before
	}
	err := call()
	if after != nil {
		f.mu.Lock()
		f.end(op)
		f.mu.Unlock()
		return errors.Join(after, err)
	}
	f.pause(op, After)
	return err
}

// Wrap puts f between a domain and what it stands on.
func (f *Faults) Wrap(c *securedomain.Config) {
	if f == nil {
		return
	}
	c.Store, c.Anchor, c.Blobs, c.Snapshots = store{c.Store, f}, anchor{c.Anchor, f}, blobs{c.Blobs, f}, snaps{c.Snapshots, f}
	if keys, ok := c.Root.(hsm.TokenKeys); ok {
		c.Root = tokenRoot{root{c.Root, f}, keys}
		return
	}
	c.Root = root{c.Root, f}
}

// Crash ends the domain as kill -9 does, and what it stands on. Only what was durable is left.
func (h *Harness) Crash() {
	h.T.Helper()
	h.Options.Faults.Crash()
	if h.D != nil {
		_ = h.D.Close() // it can't flush any more, and says so
		h.D = nil
	}
	h.Close()
	h.Options.Faults.Restart()
}

type store struct {
	auditlog.Store
	f *Faults
}

func (s store) Head(ctx context.Context) (size, writer uint64, err error) {
	err = s.f.do(StoreHead, func() (err error) { size, writer, err = s.Store.Head(ctx); return err })
	return size, writer, err
}

func (s store) Append(ctx context.Context, writer, first uint64, recs []auditlog.Record) error {
	return s.f.do(StoreAppend, func() error { return s.Store.Append(ctx, writer, first, recs) })
}

func (s store) Read(ctx context.Context, from uint64, most int) (recs []auditlog.Record, err error) {
	err = s.f.do(StoreRead, func() (err error) { recs, err = s.Store.Read(ctx, from, most); return err })
	if err != nil {
		return nil, err
	}
	return recs, nil
}

func (s store) Truncate(ctx context.Context, writer, size uint64) error {
	return s.f.do(StoreCut, func() error { return s.Store.Truncate(ctx, writer, size) })
}

func (s store) TakeWriter(ctx context.Context, from, to uint64) error {
	return s.f.do(StoreTake, func() error { return s.Store.TakeWriter(ctx, from, to) })
}

type anchor struct {
	auditlog.Anchor
	f *Faults
}

func (a anchor) Read(ctx context.Context) (p auditlog.Pin, err error) {
	err = a.f.do(AnchorRead, func() (err error) { p, err = a.Anchor.Read(ctx); return err })
	return p, err
}

func (a anchor) Pin(ctx context.Context, p auditlog.Pin) error {
	return a.f.do(AnchorPin, func() error { return a.Anchor.Pin(ctx, p) })
}

type blobs struct {
	keystore.Blobs
	f *Faults
}

func (b blobs) Put(ctx context.Context, ref keystore.Ref, blob []byte) error {
	return b.f.do(BlobPut, func() error { return b.Blobs.Put(ctx, ref, blob) })
}

func (b blobs) Get(ctx context.Context, ref keystore.Ref) (blob []byte, err error) {
	err = b.f.do(BlobGet, func() (err error) { blob, err = b.Blobs.Get(ctx, ref); return err })
	return blob, err
}

func (b blobs) Delete(ctx context.Context, ref keystore.Ref) error {
	return b.f.do(BlobDelete, func() error { return b.Blobs.Delete(ctx, ref) })
}

type root struct {
	hsm.Root
	f *Faults
}

func (r root) Seal(ctx context.Context, label string, header []byte, plain secret.Bytes) error {
	return r.f.do(RootSeal, func() error { return r.Root.Seal(ctx, label, header, plain) })
}

func (r root) Unseal(ctx context.Context, label string) (header []byte, plain secret.Bytes, err error) {
	err = r.f.do(RootUnseal, func() (err error) { header, plain, err = r.Root.Unseal(ctx, label); return err })
	return header, plain, err
}

func (r root) Destroy(ctx context.Context, label string) error {
	return r.f.do(RootDestroy, func() error { return r.Root.Destroy(ctx, label) })
}

func (r root) Status(ctx context.Context) (st hsm.Status, err error) {
	err = r.f.do(RootStatus, func() (err error) { st, err = r.Root.Status(ctx); return err })
	return st, err
}

// tokenRoot is a root that has keys of its own.
type tokenRoot struct {
	root
	keys hsm.TokenKeys
}

func (r tokenRoot) GenerateTokenKey(ctx context.Context, id custody.KeyID, a hsm.Algorithm) (public []byte, err error) {
	err = r.f.do(KeyMake, func() (err error) { public, err = r.keys.GenerateTokenKey(ctx, id, a); return err })
	return public, err
}

func (r tokenRoot) TokenKey(ctx context.Context, id custody.KeyID) (hsm.Algorithm, []byte, error) {
	return r.keys.TokenKey(ctx, id)
}

func (r tokenRoot) SignWithTokenKey(ctx context.Context, id custody.KeyID, a hsm.Algorithm, public, input []byte) (sig []byte, err error) {
	err = r.f.do(KeySign, func() (err error) { sig, err = r.keys.SignWithTokenKey(ctx, id, a, public, input); return err })
	return sig, err
}

func (r tokenRoot) DestroyTokenKey(ctx context.Context, id custody.KeyID) error {
	return r.f.do(KeyDestroy, func() error { return r.keys.DestroyTokenKey(ctx, id) })
}

func (r tokenRoot) TokenKeyIDs(ctx context.Context) (ids []custody.KeyID, err error) {
	err = r.f.do(KeyList, func() (err error) { ids, err = r.keys.TokenKeyIDs(ctx); return err })
	return ids, err
}

type snaps struct {
	securedomain.Snapshots
	f *Faults
}

func (s snaps) List(ctx context.Context) (list []uint64, err error) {
	err = s.f.do(SnapshotList, func() (err error) { list, err = s.Snapshots.List(ctx); return err })
	return list, err
}

func (s snaps) Get(ctx context.Context, seq uint64) (data []byte, err error) {
	err = s.f.do(SnapshotGet, func() (err error) { data, err = s.Snapshots.Get(ctx, seq); return err })
	return data, err
}

func (s snaps) Chunk(ctx context.Context, hash [32]byte) (data []byte, err error) {
	err = s.f.do(SnapshotPart, func() (err error) { data, err = s.Snapshots.Chunk(ctx, hash); return err })
	return data, err
}

func (s snaps) Put(ctx context.Context, seq uint64, data []byte, chunks map[[32]byte][]byte) error {
	return s.f.do(SnapshotPut, func() error { return s.Snapshots.Put(ctx, seq, data, chunks) })
}
