// SPDX-License-Identifier: Apache-2.0

package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"strongroom/internal/gate/message"
	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/entry"
	"strongroom/internal/pure/policy"
	"strongroom/internal/pure/request"
	"strongroom/internal/svc/feed"
)

// Log is the part of the cache that follows the core's log: a [feed.Cache], and what lists requests.
type Log struct{ db *DB }

// Log gives the part that follows the log.
func (db *DB) Log() Log { return Log{db} }

// Cursor says how far the log was folded.
func (l Log) Cursor(ctx context.Context) (feed.Cursor, error) {
	var c feed.Cursor
	var last []byte
	err := l.db.read.QueryRowContext(ctx, "SELECT next, last FROM folded").Scan(&c.Next, &last)
	if err != nil {
		return c, err
	}
	c.Last, err = id32[[32]byte](last)
	return c, err
}

// Folded says how many entries were folded.
func (l Log) Folded(ctx context.Context) (uint64, error) {
	c, err := l.Cursor(ctx)
	return c.Next, err
}

// Reset empties the whole cache: what chains showed belongs to requests of the log that is not this one.
func (l Log) Reset(ctx context.Context) error {
	return in(ctx, l.db.write, func(tx *sql.Tx) error {
		for _, t := range []string{"requests", "transfers", "attempts", "blocks", "coins", "watched"} {
			if _, err := tx.ExecContext(ctx, "DELETE FROM "+t); err != nil {
				return err
			}
		}
		_, err := tx.ExecContext(ctx, "UPDATE folded SET next = 0, last = zeroblob(32)")
		return err
	})
}

// row is what a batch of entries makes of a request.
type row struct {
	id     custody.RequestID
	seq    uint64 // of its entry, if that is in the batch
	fresh  bool   // its entry is in the batch
	state  message.State
	asked  *entry.Request
	poke   bool // the worker should look at its transfer
	moving bool // it is a transfer that was accepted
}

// Fold takes entries. Many that concern one request cost as much as one.
func (l Log) Fold(ctx context.Context, entries []feed.Entry) error {
	if len(entries) == 0 {
		return nil
	}
	touched, order, err := gather(entries)
	if err != nil {
		return err
	}
	last := entries[len(entries)-1]
	return in(ctx, l.db.write, func(tx *sql.Tx) error {
		res, err := tx.ExecContext(ctx, "UPDATE folded SET next = ?, last = ? WHERE next = ?", last.Leaf.Seq+1, last.Hash[:], entries[0].Leaf.Seq)
		if err != nil {
			return err
		}
		if n, err := res.RowsAffected(); err != nil || n != 1 {
			return errors.Join(errors.New("the entries do not follow what was folded before"), err)
		}
		w, err := newFolder(ctx, tx)
		if err != nil {
			return err
		}
		defer w.close()
		for _, id := range order {
			if err := w.put(ctx, touched[id]); err != nil {
				return fmt.Errorf("request %s: %w", id, err)
			}
		}
		return nil
	})
}

// gather folds a batch in memory.
func gather(entries []feed.Entry) (map[custody.RequestID]*row, []custody.RequestID, error) {
	touched := map[custody.RequestID]*row{}
	var order []custody.RequestID
	at := func(id custody.RequestID) *row {
		if touched[id] == nil {
			touched[id] = &row{id: id}
			order = append(order, id)
		}
		return touched[id]
	}
	for _, e := range entries {
		switch b := e.Body.(type) {
		case *entry.Request:
			q, err := request.Parse(b.Request)
			if err != nil {
				return nil, nil, fmt.Errorf("entry %d: %w", e.Leaf.Seq, err)
			}
			r := at(q.Ident)
			r.fresh, r.seq, r.state, r.asked = true, e.Leaf.Seq, message.StatePending, b
			if b.Decision.Outcome != policy.Allowed {
				r.state = message.StateRefused
			} else {
				r.moving = b.Effects.Operation == request.Transfer
			}
		case *entry.Approval:
			r := at(b.Approval.Request)
			r.poke = true
			switch b.Approval.Decision {
			case request.Reject:
				r.state = message.StateRejected
			case request.Cancel:
				r.state = message.StateCancelled
			}
		case *entry.Permit:
			r := at(b.Request)
			r.state, r.poke = message.StateSigned, true
		case *entry.Refusal:
			if b.Final {
				r := at(b.Request)
				r.state, r.poke = message.StateRefused, true
			}
		case *entry.Effect:
			at(b.Request).state = message.StateExecuted
		}
	}
	return touched, order, nil
}

// folder writes rows with prepared statements.
type folder struct{ insert, transfer, state, poke *sql.Stmt }

func newFolder(ctx context.Context, tx *sql.Tx) (f folder, err error) {
	for _, x := range []struct {
		stmt **sql.Stmt
		text string
	}{
		{&f.insert, "INSERT INTO requests (id, seq, state, operation, wallet) VALUES (?, ?, ?, ?, ?) ON CONFLICT (id) DO UPDATE SET seq = excluded.seq, state = excluded.state"},
		{&f.transfer, `INSERT INTO transfers (request, seq, wallet, chain, next, bump, failures, poke, note, settled) VALUES (?, ?, ?, ?, 0, 0, 0, 0, '', 0)
			ON CONFLICT (request) DO NOTHING`},
		{&f.state, "UPDATE requests SET state = ? WHERE id = ?"},
		{&f.poke, "UPDATE transfers SET poke = poke + 1, next = 0 WHERE request = ? AND settled = 0"},
	} {
		if *x.stmt, err = tx.PrepareContext(ctx, x.text); err != nil { //nolint:sqlclosecheck // closed by folder.close
			return f, err
		}
	}
	return f, nil
}

// close gives the statements back; they end with the transaction anyway.
func (f folder) close() {
	for _, s := range []*sql.Stmt{f.insert, f.transfer, f.state, f.poke} {
		_ = s.Close()
	}
}

func (f folder) put(ctx context.Context, r *row) error {
	if r.fresh {
		e := r.asked.Effects
		if _, err := f.insert.ExecContext(ctx, r.id[:], r.seq, string(r.state), string(e.Operation), string(e.Wallet)); err != nil {
			return err
		}
		if r.moving {
			if _, err := f.transfer.ExecContext(ctx, r.id[:], r.seq, string(e.Wallet), string(e.Chain)); err != nil {
				return err
			}
		}
	} else if r.state != "" {
		if _, err := f.state.ExecContext(ctx, string(r.state), r.id[:]); err != nil {
			return err
		}
	}
	if r.poke && !r.fresh {
		_, err := f.poke.ExecContext(ctx, r.id[:])
		return err
	}
	return nil
}

// Find gives requests, oldest first.
func (l Log) Find(ctx context.Context, q feed.Query) ([]feed.Found, error) {
	query, args := "SELECT id, seq FROM requests WHERE seq >= ?", []any{q.From}
	if q.Open {
		q.State = message.StatePending
	}
	for _, c := range []struct{ column, value string }{{"state", string(q.State)}, {"operation", string(q.Operation)}, {"wallet", string(q.Wallet)}} {
		if c.value != "" {
			query += " AND " + c.column + " = ?"
			args = append(args, c.value)
		}
	}
	query += " ORDER BY seq LIMIT ?"
	args = append(args, min(max(q.Limit, 1), 200))
	return rows(ctx, l.db.read, func(r *sql.Rows) (f feed.Found, err error) {
		var id []byte
		if err = r.Scan(&id, &f.Seq); err == nil {
			f.ID, err = id32[custody.RequestID](id)
		}
		return f, err
	}, query, args...)
}
