// SPDX-License-Identifier: Apache-2.0

package logstore

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	wire "strongroom/internal/gate/logstore"
	"strongroom/internal/pure/canon"
)

// maxEpoch is the largest epoch.
const maxEpoch = 1 << 62

// lockEvery is the pause between two looks at a lock that is held.
const lockEvery = 10 * time.Millisecond

// ErrSession says that a session has failed before. What its last write did is not known; open another.
var ErrSession = errors.New("the session with PostgreSQL has failed")

// Session is a connection that writes. Its methods are for one caller at a time. After an error it does nothing any more.
//
// The lock of an epoch belongs to the connection that also writes: when it is free, the server is done with all that its holder sent.
type Session struct {
	store  *Store
	conn   *pgx.Conn
	epoch  uint64      // whose lock it holds, or 0
	warned atomic.Bool // the server said something that puts a commit in doubt
	failed bool
}

// Session opens a connection to write with.
func (s *Store) Session(ctx context.Context) (*Session, error) {
	w := &Session{store: s}
	cfg := s.conn.Copy()
	// A commit whose wait for replicas was cut short is reported as done, with a warning.
	cfg.OnNotice = func(_ *pgconn.PgConn, n *pgconn.Notice) {
		if n.SeverityUnlocalized == "WARNING" {
			w.warned.Store(true)
		}
	}
	var err error
	if w.conn, err = pgx.ConnectConfig(ctx, cfg); err != nil {
		return nil, fmt.Errorf("connect to PostgreSQL to write: %w", err)
	}
	if err := durable(ctx, w.conn); err != nil {
		return nil, errors.Join(err, w.conn.Close(ctx))
	}
	return w, nil
}

// Close gives the lock back and ends the connection.
func (w *Session) Close(ctx context.Context) error {
	if !w.failed && !w.conn.IsClosed() { // the end of the connection frees it too, but a moment later
		_, _ = w.conn.Exec(ctx, "SELECT pg_advisory_unlock_all()")
	}
	w.failed = true
	return w.conn.Close(ctx)
}

// run makes a write. Whatever fails ends the session: it is not known then what the server did.
func (w *Session) run(ctx context.Context, what string, act func() (wire.Result, error)) (wire.Result, error) {
	if w.failed {
		return wire.Result{}, ErrSession
	}
	r, err := act()
	if err == nil && w.warned.Load() {
		err = errors.New("the server gave a warning, so that the commit is in doubt")
	}
	if err != nil {
		w.failed = true
		return wire.Result{}, errors.Join(fmt.Errorf("%s: %w", what, err), w.conn.Close(ctx))
	}
	return r, nil
}

// addBatch appends with compare-and-set of the head: one statement, one transaction, one flush. It inserts nothing if the head is another.
const addBatch = `
WITH moved AS (
    UPDATE strongroom_log.heads SET size = size + cardinality($4::bytea[])
    WHERE id = $1 AND writer = $2 AND size = $3 RETURNING id
)
INSERT INTO strongroom_log.entries (log, seq, leaf, bodies, bytes, crc)
SELECT moved.id, $3::bigint + r.ord - 1, r.leaf, r.bodies, octet_length(r.leaf) + octet_length(r.bodies), r.crc
FROM moved, unnest($4::bytea[], $5::bytea[], $6::bigint[]) WITH ORDINALITY AS r (leaf, bodies, crc, ord)`

// Append adds records as entries first, first+1, … with epoch writer. An outcome other than Done had no effect.
func (w *Session) Append(ctx context.Context, writer, first uint64, recs []wire.Record) (wire.Result, error) {
	return w.run(ctx, "append", func() (wire.Result, error) {
		if r, err := w.attach(ctx, writer); err != nil || r.Outcome != wire.Done {
			return r, err
		}
		if first <= math.MaxInt64 && len(recs) > 0 {
			added, err := w.add(ctx, writer, first, recs)
			if err != nil || added {
				return wire.Result{Outcome: wire.Done}, err
			}
		}
		h, err := head(ctx, w.conn, w.store.id)
		switch {
		case err != nil:
			return wire.Result{}, err
		case h.Writer != writer:
			return w.lost(h), nil
		case h.Size != first || len(recs) > 0:
			return wire.Refused(wire.HeadMoved, "the log has %d entries", h.Size), nil
		}
		return wire.Result{Outcome: wire.Done}, nil
	})
}

// add says whether the head was the expected one.
func (w *Session) add(ctx context.Context, writer, first uint64, recs []wire.Record) (bool, error) {
	leaves, bodies, sums := make([][]byte, len(recs)), make([][]byte, len(recs)), make([]int64, len(recs))
	for i, r := range recs {
		leaves[i] = append([]byte{}, r.Leaf...) // nil would be NULL
		bodies[i] = canon.Encode(r.Bodies)
		sums[i] = int64(checksum(first+uint64(i), leaves[i], bodies[i]))
	}
	tag, err := w.conn.Exec(ctx, addBatch, w.store.id, int64(writer), int64(first), leaves, bodies, sums)
	if err != nil {
		return false, err
	}
	if n := tag.RowsAffected(); n != 0 && n != int64(len(recs)) {
		return false, fmt.Errorf("%d of %d entries were inserted", n, len(recs))
	}
	return tag.RowsAffected() > 0, nil
}

// Truncate drops the entries from size on, with epoch writer.
func (w *Session) Truncate(ctx context.Context, writer, size uint64) (wire.Result, error) {
	return w.run(ctx, "truncate", func() (wire.Result, error) {
		if r, err := w.attach(ctx, writer); err != nil || r.Outcome != wire.Done {
			return r, err
		}
		return w.change(ctx, func(tx pgx.Tx, h wire.Head) (wire.Result, error) {
			switch {
			case h.Writer != writer:
				return w.lost(h), nil
			case h.Size < size:
				return wire.Refused(wire.HeadMoved, "the log has %d entries", h.Size), nil
			}
			if _, err := tx.Exec(ctx, "DELETE FROM strongroom_log.entries WHERE log = $1 AND seq >= $2", w.store.id, int64(size)); err != nil {
				return wire.Result{}, err
			}
			_, err := tx.Exec(ctx, "UPDATE strongroom_log.heads SET size = $2 WHERE id = $1", w.store.id, int64(size))
			return wire.Result{Outcome: wire.Done}, err
		})
	})
}

// TakeWriter makes to the epoch if from is.
func (w *Session) TakeWriter(ctx context.Context, from, to uint64) (wire.Result, error) {
	return w.run(ctx, "take over", func() (wire.Result, error) {
		if to <= from || to > maxEpoch {
			return wire.Refused(wire.LostWriter, "epochs only grow, to 2^62 at most"), nil
		}
		return w.change(ctx, func(tx pgx.Tx, h wire.Head) (wire.Result, error) {
			if h.Writer != from {
				return w.lost(h), nil
			}
			if r, err := w.lock(ctx, to); err != nil || r.Outcome != wire.Done {
				return r, err
			}
			_, err := tx.Exec(ctx, "UPDATE strongroom_log.heads SET writer = $2 WHERE id = $1", w.store.id, int64(to))
			return wire.Result{Outcome: wire.Done}, err
		})
	})
}

// change runs act in a transaction that holds the head. A refusal rolls back.
func (w *Session) change(ctx context.Context, act func(tx pgx.Tx, h wire.Head) (wire.Result, error)) (wire.Result, error) {
	tx, err := w.conn.Begin(ctx)
	if err != nil {
		return wire.Result{}, err
	}
	var size, writer int64
	var r wire.Result
	err = tx.QueryRow(ctx, "SELECT size, writer FROM strongroom_log.heads WHERE id = $1 FOR UPDATE", w.store.id).Scan(&size, &writer)
	if err == nil {
		r, err = act(tx, wire.Head{Size: uint64(size), Writer: uint64(writer)})
	}
	if err != nil || r.Outcome != wire.Done {
		return r, errors.Join(err, tx.Rollback(ctx))
	}
	return r, tx.Commit(ctx)
}

func (w *Session) lost(h wire.Head) wire.Result {
	return wire.Refused(wire.LostWriter, "the current epoch is %d", h.Writer)
}

// attach makes this the session that writes with an epoch, if that is the current one and no other session does.
func (w *Session) attach(ctx context.Context, epoch uint64) (wire.Result, error) {
	if epoch == 0 || epoch > maxEpoch {
		return wire.Refused(wire.LostWriter, "epoch %d can't write", epoch), nil
	}
	if w.epoch == epoch {
		return wire.Result{Outcome: wire.Done}, nil
	}
	h, err := head(ctx, w.conn, w.store.id)
	if err != nil {
		return wire.Result{}, err
	}
	if h.Writer != epoch {
		return w.lost(h), nil
	}
	return w.lock(ctx, epoch)
}

// lock takes the lock of an epoch in exchange for the one that the session holds.
func (w *Session) lock(ctx context.Context, epoch uint64) (wire.Result, error) {
	key := w.lockKey(epoch)
	patience := time.NewTimer(w.store.cfg.Patience)
	defer patience.Stop()
	for {
		var got bool
		if err := w.conn.QueryRow(ctx, "SELECT pg_try_advisory_lock($1)", key).Scan(&got); err != nil {
			return wire.Result{}, err
		}
		if got {
			break
		}
		select {
		case <-time.After(lockEvery):
		case <-patience.C:
			return wire.Refused(wire.LostWriter, "another process writes with epoch %d: stop it, or take over with the next epoch", epoch), nil
		case <-ctx.Done():
			return wire.Result{}, ctx.Err()
		}
	}
	if w.epoch != 0 {
		if _, err := w.conn.Exec(ctx, "SELECT pg_advisory_unlock($1)", w.lockKey(w.epoch)); err != nil {
			return wire.Result{}, err
		}
	}
	w.epoch = epoch
	return wire.Result{Outcome: wire.Done}, nil
}

// lockKey is the number of the advisory lock of an epoch: 64 bits of a hash, because the server has one space for all.
func (w *Session) lockKey(epoch uint64) int64 {
	h := sha256.Sum256(fmt.Appendf(nil, "strongroom log %d epoch %d", w.store.id, epoch))
	return int64(binary.BigEndian.Uint64(h[:]))
}
