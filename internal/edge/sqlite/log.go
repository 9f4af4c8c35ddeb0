// SPDX-License-Identifier: Apache-2.0

package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"strongroom/internal/gate/message"
	"strongroom/internal/pure/canon"
	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/entry"
	"strongroom/internal/pure/policy"
	"strongroom/internal/pure/request"
	"strongroom/internal/svc/feed"
	"strongroom/internal/svc/transfer"
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
	g, err := gather(entries)
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
		for _, id := range g.order {
			if err := w.put(ctx, g.touched[id]); err != nil {
				return fmt.Errorf("request %s: %w", id, err)
			}
		}
		if g.arrived {
			_, err = tx.ExecContext(ctx, `UPDATE transfers SET poke = poke + 1, next = 0 WHERE settled = 0
				AND EXISTS (SELECT 1 FROM attempts a WHERE a.request = transfers.request AND a.state = ?)`, string(transfer.Exported))
		}
		return err
	})
}

// gather folds a batch in memory.
func gather(entries []feed.Entry) (*gathered, error) {
	g := &gathered{touched: map[custody.RequestID]*row{}}
	for _, e := range entries {
		if err := g.add(e); err != nil {
			return nil, fmt.Errorf("entry %d: %w", e.Leaf.Seq, err)
		}
	}
	return g, nil
}

type gathered struct {
	touched map[custody.RequestID]*row
	order   []custody.RequestID
	arrived bool // something from an offline domain
}

func (g *gathered) at(id custody.RequestID) *row {
	if g.touched[id] == nil {
		g.touched[id] = &row{id: id}
		g.order = append(g.order, id)
	}
	return g.touched[id]
}

func (g *gathered) add(e feed.Entry) error {
	switch e.Leaf.Kind {
	case entry.KindOffline:
		g.arrived = true // perhaps with what exported attempts wait for
		return nil
	case entry.KindGenesis, entry.KindResult, entry.KindSession, entry.KindSnapshot, entry.KindWriter,
		entry.KindReencipher, entry.KindErased, entry.KindTamper, entry.KindReanchor, entry.KindGap, entry.KindUses, entry.KindQuotes, entry.KindVerdicts: // what a gap ends the core is asked for, as what expired
		return nil // nothing in the cache follows from these: they are not decoded
	default: // unknown kinds are refused by Decode
	}
	body, err := e.Decode()
	if err != nil {
		return err
	}
	switch b := body.(type) {
	case *entry.Request:
		var r request.Request // its form is the core's business; only its id is needed
		if err := canon.Decode(b.Request, &r); err != nil {
			return fmt.Errorf("request: %w", err)
		}
		x := g.at(r.ID())
		allowed := b.Decision.Outcome == policy.Allowed
		x.fresh, x.seq, x.asked, x.moving = true, e.Leaf.Seq, b, allowed && b.Effects.Operation.Pays()
		if x.state = message.StatePending; !allowed {
			x.state = message.StateRefused
		}
	case *entry.Approval:
		x := g.at(b.Approval.Request)
		x.poke = true
		switch b.Approval.Decision {
		case request.Reject:
			x.state = message.StateRejected
		case request.Cancel:
			x.state = message.StateCancelled
		}
	case *entry.Permit:
		x := g.at(b.Request)
		x.state, x.poke = message.StateSigned, true
	case *entry.Refusal:
		if b.Final {
			x := g.at(b.Request)
			x.state, x.poke = message.StateRefused, true
		}
	case *entry.Effect:
		g.at(b.Request).state = message.StateExecuted
	default:
		return fmt.Errorf("a body of type %T is not known here", body)
	}
	return nil
}

// folder writes rows with prepared statements.
type folder struct {
	tx                            *sql.Tx
	insert, transfer, state, poke *sql.Stmt
}

func newFolder(ctx context.Context, tx *sql.Tx) (f folder, err error) {
	f.tx = tx
	for _, x := range []struct {
		stmt **sql.Stmt
		text string
	}{
		// An id that comes again takes the place of one that expired.
		{&f.insert, "INSERT OR REPLACE INTO requests (seq, id, state, operation, wallet) VALUES (?, ?, ?, ?, ?)"},
		// The worker may have been quicker.
		{&f.transfer, `INSERT INTO transfers (seq, request, wallet, chain, next, bump, failures, poke, note, settled) VALUES (?, ?, ?, ?, 0, 0, 0, 0, '', 0)
			ON CONFLICT (request) DO NOTHING`},
		{&f.state, "UPDATE requests SET state = ? WHERE id = ? AND state = 'pending'"},
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
		if _, err := f.insert.ExecContext(ctx, r.seq, r.id[:], string(r.state), string(e.Operation), string(e.Wallet)); err != nil {
			return err
		}
		if r.moving {
			res, err := f.transfer.ExecContext(ctx, r.seq, r.id[:], string(e.Wallet), string(e.Chain))
			if err != nil {
				return err
			}
			if n, err := res.RowsAffected(); err != nil || n == 0 {
				return errors.Join(err, f.again(ctx, r))
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

// again begins the transfer of an id that was there before: the core has forgotten the request that had it then, and so must the worker.
// A row of this very request is the worker's, who was quicker, and stays.
func (f folder) again(ctx context.Context, r *row) error {
	const older = " WHERE request = ?1 AND EXISTS (SELECT 1 FROM transfers t WHERE t.request = ?1 AND t.seq < ?2)"
	if _, err := f.tx.ExecContext(ctx, "DELETE FROM attempts"+older, r.id[:], r.seq); err != nil {
		return err
	}
	e := r.asked.Effects
	_, err := f.tx.ExecContext(ctx, `UPDATE transfers SET seq = ?2, wallet = ?3, chain = ?4, next = 0, bump = 0, failures = 0, poke = poke + 1, note = '', settled = 0`+older,
		r.id[:], r.seq, string(e.Wallet), string(e.Chain))
	return err
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
