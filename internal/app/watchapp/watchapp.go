// SPDX-License-Identifier: Apache-2.0

// Package watchapp follows a domain's log through serve, which it does not believe: it shows an entry only when a checkpoint signed by the log key,
// and where log witnesses are known cosigned by a quorum of them, covers it. Every entry is hashed into a tree that must have the root of each
// checkpoint in turn; so what is shown is in the log, in its place, and every checkpoint continues the one before. Anything else is an [Alarm]:
// a log that is shorter than it was, an entry that does not follow, another root, a signature that does not hold. docs/monitoring.md.
package watchapp

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"time"

	"strongroom/client"
	"strongroom/internal/pure/authority"
	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/entry"
	"strongroom/internal/pure/problem"
	"strongroom/internal/pure/tlog"
)

// Source is where the log comes from; [client.Client] is one.
type Source interface {
	// Entries reads entries in clear from one on, and waits for some if there are none.
	Entries(ctx context.Context, from uint64, limit int, wait time.Duration) (client.EntryList, error)
	Checkpoint(ctx context.Context) ([]byte, error)
	Tile(ctx context.Context, path string) ([]byte, error)
}

// Alarm says that what serve shows of the log does not hold together.
type Alarm struct{ Err error }

// Error says what.
func (a *Alarm) Error() string { return "the log does NOT hold: " + a.Err.Error() }

// Unwrap gives the cause.
func (a *Alarm) Unwrap() error { return a.Err }

func alarm(format string, args ...any) error { return &Alarm{fmt.Errorf(format, args...)} }

// Entry is an entry that was proved to be in the log.
type Entry struct {
	Leaf entry.Leaf
	Hash [32]byte // RFC 6962 leaf hash
	Body any      // as authority.DecodeBody gives it; nil: of a kind that this version does not know
}

// Config is what a watcher needs. Domain, LogKey, Source and Show are required.
type Config struct {
	Source    Source
	Domain    custody.DomainID
	LogKey    []byte         // Ed25519, of the domain's public file
	Witnesses tlog.Witnesses // whose quorum must have cosigned; zero: none is asked for
	Since     Since
	Once      bool              // end where the log ends now
	Show      func(Entry) error // called for each entry, in order; its error ends the watch
	Tell      func(string)      // words about the connection; nil: nobody
	Retry     time.Duration     // between two tries; default 1 s
}

// Since says where to begin. The zero Since is the log's end now.
type Since struct {
	Seq   *uint64
	After time.Time // the first entry that is not before
}

// Watcher follows one log.
type Watcher struct {
	cfg     Config
	tree    tlog.Frontier // of the entries that are proved
	last    [32]byte      // leaf hash of the latest of them or zero
	waiting []Entry       // not proved yet, they follow on tree
	era     uint64        // incarnation of the latest checkpoint
	head    uint64        // largest size of a checkpoint
	told    bool          // that the connection is lost
	idle    int           // rounds that proved nothing though entries wait
	missing int           // tries in a row that found a tile gone: it is replaced as the log grows
}

// batch is how many entries are asked for at once, patience how long one call waits for more.
const (
	batch    = 500
	patience = 20 * time.Second
)

// New makes a watcher.
func New(cfg Config) (*Watcher, error) {
	if cfg.Source == nil || cfg.Show == nil || len(cfg.LogKey) == 0 || cfg.Domain == (custody.DomainID{}) {
		return nil, errors.New("watch: source, domain, log key and show are required")
	}
	if cfg.Tell == nil {
		cfg.Tell = func(string) {}
	}
	if cfg.Retry == 0 {
		cfg.Retry = time.Second
	}
	return &Watcher{cfg: cfg}, nil
}

// Run follows the log until ctx ends, with Once until its end. It goes on after a lost connection where it was; an [Alarm], a refusal that does
// not pass and an error of Show end it.
func (w *Watcher) Run(ctx context.Context) error {
	steps := []func(context.Context) (bool, error){w.begin, w.follow}
	for len(steps) > 0 {
		done, err := steps[0](ctx)
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil && !w.passes(err):
			return err
		case err != nil:
			if !w.told {
				w.cfg.Tell("the connection is lost: " + err.Error())
			}
			w.told = true
			pause(ctx, w.cfg.Retry)
			continue
		case w.told:
			w.told = false
			w.cfg.Tell("the connection is back; nothing was missed")
		}
		if w.missing = 0; done {
			steps = steps[1:]
		}
	}
	return nil
}

// maxMissing is how often in a row a tile may be gone. Then serve has none.
const maxMissing = 10

// passes says whether an error is of the way to serve, or of a serve or core that is not ready.
func (w *Watcher) passes(err error) bool {
	var a *Alarm
	var own *showError
	switch {
	case errors.As(err, &a), errors.As(err, &own):
		return false
	case client.KindOf(err) == "":
		return true // no answer of serve's
	case client.KindOf(err) == problem.NotFound:
		w.missing++
		return w.missing < maxMissing
	default:
		return client.Retryable(err)
	}
}

// showError is an error that no other try mends.
type showError struct{ error }

func (e *showError) Unwrap() error { return e.error }

func pause(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
}

// begin finds the first entry to show, and the tree before it.
func (w *Watcher) begin(ctx context.Context) (bool, error) {
	c, err := w.checkpoint(ctx)
	if err != nil {
		return false, err
	}
	first := c.Size
	switch {
	case w.cfg.Since.Seq != nil:
		if first = *w.cfg.Since.Seq; first > c.Size {
			return false, &showError{fmt.Errorf("entry %d is not there yet: the log has %d", first, c.Size)}
		}
	case !w.cfg.Since.After.IsZero():
		if first, err = w.find(ctx, c.Size); err != nil {
			return false, err
		}
	}
	if w.tree, err = edge(ctx, w.cfg.Source, first, c.Size); err != nil {
		return false, err
	}
	if w.last = [32]byte{}; first > 0 {
		l, err := w.cfg.Source.Entries(ctx, first-1, 1, 0)
		if err != nil {
			return false, err
		}
		if len(l.Entries) == 0 {
			return false, alarm("entry %d is not there, though a checkpoint covers it", first-1)
		}
		w.last = entry.Hash(l.Entries[0].Leaf)
	}
	return true, nil
}

// find gives the first of the log's entries that is not before a time: times never run back.
func (w *Watcher) find(ctx context.Context, size uint64) (uint64, error) {
	low, high := uint64(0), size
	for low < high {
		mid := low + (high-low)/2
		l, err := w.cfg.Source.Entries(ctx, mid, 1, 0)
		if err != nil {
			return 0, err
		}
		if len(l.Entries) == 0 {
			return 0, alarm("entry %d is not there, though a checkpoint covers it", mid)
		}
		leaf, err := entry.DecodeLeaf(l.Entries[0].Leaf)
		if err != nil {
			return 0, &Alarm{err}
		}
		if time.Unix(0, leaf.Time).Before(w.cfg.Since.After) {
			low = mid + 1
		} else {
			high = mid
		}
	}
	return low, nil
}

// follow takes what came and shows what a checkpoint covers.
func (w *Watcher) follow(ctx context.Context) (bool, error) {
	next := w.tree.Size() + uint64(len(w.waiting))
	l, err := w.cfg.Source.Entries(ctx, next, batch, 0)
	if err == nil && l.Pinned < next {
		err = alarm("it has %d entries, and had %d before", l.Pinned, next)
	}
	if err == nil && len(l.Entries)+len(w.waiting) == 0 && !w.cfg.Once {
		l, err = w.cfg.Source.Entries(ctx, next, batch, patience) // which a log that is shorter would refuse
	}
	if err != nil {
		return false, err
	}
	for _, raw := range l.Entries {
		e, err := w.read(raw)
		if err != nil {
			return false, err
		}
		w.waiting = append(w.waiting, e)
	}
	c, err := w.checkpoint(ctx)
	if err != nil {
		return false, err
	}
	if err := w.prove(c); err != nil {
		return false, err
	}
	w.await(ctx, len(l.Entries))
	return w.cfg.Once && len(w.waiting) == 0 && w.tree.Size() >= l.Pinned, nil
}

// await pauses while entries wait for a checkpoint: that of the tiles is a moment behind.
func (w *Watcher) await(ctx context.Context, came int) {
	if len(w.waiting) == 0 || came > 0 {
		w.idle = 0
		return
	}
	if w.idle++; w.idle == maxIdle {
		w.cfg.Tell(fmt.Sprintf("%d entries wait for a signed checkpoint that covers them; they are shown when it is there", len(w.waiting)))
	}
	pause(ctx, w.cfg.Retry/4)
}

// maxIdle is after how many rounds it is told that entries wait.
const maxIdle = 40

// read checks that an entry follows the one before and has the bodies that its leaf names.
func (w *Watcher) read(raw client.Entry) (Entry, error) {
	seq, prev := w.tree.Size()+uint64(len(w.waiting)), w.last
	if n := len(w.waiting); n > 0 {
		prev = w.waiting[n-1].Hash
	}
	l, err := entry.DecodeLeaf(raw.Leaf)
	if err != nil {
		return Entry{}, alarm("entry %d: %w", seq, err)
	}
	if l.Seq != seq || l.Prev != prev {
		return Entry{}, alarm("entry %d does not follow the one before", seq)
	}
	if len(raw.Bodies) != len(l.Bodies) || len(l.Bodies) == 0 {
		return Entry{}, alarm("entry %d has %d bodies, its leaf names %d", seq, len(raw.Bodies), len(l.Bodies))
	}
	b := raw.Bodies[0]
	if len(b.Salt) != entry.SaltSize || entry.CheckBody(l.Bodies[0], [entry.SaltSize]byte(b.Salt), b.Body) != nil {
		return Entry{}, alarm("the body of entry %d is not the one that its leaf names", seq)
	}
	e := Entry{Leaf: l, Hash: entry.Hash(raw.Leaf)}
	if e.Body, err = authority.DecodeBody(l.Kind, l.KindVersion, b.Body); err != nil {
		e.Body = nil // of a newer version: it is shown as that
	}
	return e, nil
}

// prove appends what a checkpoint covers to the tree, compares the root, and shows it.
func (w *Watcher) prove(c tlog.Checkpoint) error {
	size := w.tree.Size()
	if c.Size < size {
		return alarm("a checkpoint has %d entries, and %d were there before", c.Size, size)
	}
	if c.Size > size+uint64(len(w.waiting)) {
		return nil // more has come since; the next round has it
	}
	tree, n := w.tree, int(c.Size-size)
	for _, e := range w.waiting[:n] {
		tree.Append(e.Hash)
	}
	if tree.Root() != c.Root {
		return alarm("the entries do not lead to the signed checkpoint of %d entries: entries are false, or the log has been split", c.Size)
	}
	for i, e := range w.waiting[:n] {
		if err := w.cfg.Show(e); err != nil {
			w.waiting = w.waiting[i:]
			return &showError{err}
		}
		w.tree.Append(e.Hash)
		w.last = e.Hash
	}
	w.waiting = w.waiting[n:]
	return nil
}

// checkpoint reads the latest checkpoint and checks who signed it.
func (w *Watcher) checkpoint(ctx context.Context) (tlog.Checkpoint, error) {
	signed, err := w.cfg.Source.Checkpoint(ctx)
	if err != nil {
		return tlog.Checkpoint{}, err
	}
	c, era, err := w.open(signed)
	if err != nil {
		return c, &Alarm{err}
	}
	if era < w.era || c.Size < w.head {
		return c, alarm("the checkpoint went back to %d entries of incarnation %d, from %d of %d", c.Size, era, w.head, w.era)
	}
	if w.era > 0 && era > w.era {
		w.cfg.Tell(fmt.Sprintf("the log was re-anchored: it is incarnation %d from now on", era))
	}
	w.era, w.head = era, c.Size
	return c, nil
}

func (w *Watcher) open(signed []byte) (c tlog.Checkpoint, era uint64, err error) {
	c, era, _, err = Open(signed, w.cfg.Domain, w.cfg.LogKey, w.cfg.Witnesses)
	return c, era, err
}

// Open checks who signed a checkpoint: the log key of the domain and, where there are witnesses, a quorum of them and nobody else. It gives the incarnation of
// the log that the checkpoint is of, and who cosigned.
func Open(signed []byte, d custody.DomainID, logKey ed25519.PublicKey, set tlog.Witnesses) (c tlog.Checkpoint, era uint64, by []tlog.Cosigned, err error) {
	text, _, _ := bytes.Cut(signed, []byte("\n\n"))
	unverified, _, err := tlog.ParseExtended(string(text) + "\n")
	if err != nil {
		return c, 0, nil, err
	}
	of, era, err := entry.ParseOrigin(unverified.Origin)
	if err != nil {
		return c, 0, nil, err
	}
	if of != d {
		return c, 0, nil, fmt.Errorf("the checkpoint is of the domain %s", of)
	}
	key, err := tlog.NewKey(unverified.Origin, logKey)
	if err != nil {
		return c, 0, nil, err
	}
	if set.Len() > 0 {
		c, by, err = tlog.OpenWitnessed(signed, set, key)
		return c, era, by, err
	}
	c, err = tlog.OpenCheckpoint(signed, key)
	return c, era, nil, err
}
