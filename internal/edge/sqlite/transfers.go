// SPDX-License-Identifier: Apache-2.0

package sqlite

import (
	"context"
	"database/sql"
	"errors"

	"strongroom/internal/pure/custody"
	"strongroom/internal/svc/transfer"
	"strongroom/internal/svc/wallet"
)

// Transfers is the part of the cache that the transfer worker keeps: a [transfer.Store].
type Transfers struct{ db *DB }

// Transfers gives the part of the transfer worker.
func (db *DB) Transfers() Transfers { return Transfers{db} }

const transferColumns = "t.request, t.seq, t.wallet, t.chain, t.next, t.bump, t.failures, t.poke, t.note, t.settled"

func scanTransfer(r interface{ Scan(...any) error }) (t transfer.Transfer, err error) {
	var id []byte
	if err = r.Scan(&id, &t.Seq, &t.Wallet, &t.Chain, &t.Next, &t.Bump, &t.Failures, &t.Poke, &t.Note, &t.Settled); err == nil {
		t.Request, err = id32[custody.RequestID](id)
	}
	return t, err
}

// Due gives transfers to look at.
func (s Transfers) Due(ctx context.Context, chains []custody.ChainID, now int64, limit int) ([]transfer.Transfer, error) {
	args := make([]any, 0, len(chains)+2)
	for _, c := range chains {
		args = append(args, string(c))
	}
	return rows(ctx, s.db.read, func(r *sql.Rows) (transfer.Transfer, error) { return scanTransfer(r) },
		"SELECT "+transferColumns+" FROM transfers t WHERE t.settled = 0 AND t.chain IN ("+marks(len(chains))+") AND t.next <= ? ORDER BY t.seq LIMIT ?",
		append(args, now, limit)...)
}

// Transfer gives a transfer.
func (s Transfers) Transfer(ctx context.Context, id custody.RequestID) (transfer.Transfer, bool, error) {
	t, err := scanTransfer(s.db.read.QueryRowContext(ctx, "SELECT "+transferColumns+" FROM transfers t WHERE t.request = ?", id[:]))
	if errors.Is(err, sql.ErrNoRows) {
		return t, false, nil
	}
	return t, err == nil, err
}

const attemptColumns = "a.request, a.number, a.state, a.payload, a.account, a.nonce, a.permit, a.txid, a.signed, a.sent, a.height, a.block, a.confirmations, a.reverted, a.fee, a.note"

func scanAttempt(r *sql.Rows) (a transfer.Attempt, err error) {
	var id []byte
	var nonce int64
	var fee string
	if err = r.Scan(&id, &a.Number, &a.State, &a.Payload, &a.Account, &nonce, &a.Permit, &a.TxID, &a.Signed, &a.Sent, &a.Block.Height, &a.Block.Hash,
		&a.Confirmations, &a.Reverted, &fee, &a.Note); err != nil {
		return a, err
	}
	a.Nonce = uint64(nonce)
	if a.Request, err = id32[custody.RequestID](id); err != nil {
		return a, err
	}
	a.Fee, err = custody.ParseUint256(fee)
	return a, err
}

// Attempts gives a transfer's attempts.
func (s Transfers) Attempts(ctx context.Context, id custody.RequestID) ([]transfer.Attempt, error) {
	return rows(ctx, s.db.read, scanAttempt, "SELECT "+attemptColumns+" FROM attempts a WHERE a.request = ? ORDER BY a.number", id[:])
}

// Live gives the unsettled attempts of a wallet.
func (s Transfers) Live(ctx context.Context, w custody.WalletID) ([]transfer.Attempt, error) {
	return rows(ctx, s.db.read, scanAttempt, "SELECT "+attemptColumns+
		" FROM transfers t JOIN attempts a ON a.request = t.request WHERE t.wallet = ? AND t.settled = 0 ORDER BY t.seq, a.number", string(w))
}

// Save keeps a transfer and attempts.
func (s Transfers) Save(ctx context.Context, t transfer.Transfer, attempts ...transfer.Attempt) error {
	return in(ctx, s.db.write, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `INSERT INTO transfers (request, seq, wallet, chain, next, bump, failures, poke, note, settled)
			VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
			ON CONFLICT (request) DO UPDATE SET seq = excluded.seq, wallet = excluded.wallet, chain = excluded.chain,
				next = CASE WHEN poke > excluded.poke THEN 0 ELSE excluded.next END, bump = excluded.bump, failures = excluded.failures,
				poke = max(poke, excluded.poke), note = excluded.note, settled = excluded.settled`,
			t.Request[:], t.Seq, string(t.Wallet), string(t.Chain), t.Next, t.Bump, t.Failures, t.Poke, t.Note, t.Settled)
		if err != nil {
			return err
		}
		for _, a := range attempts {
			_, err := tx.ExecContext(ctx, `INSERT OR REPLACE INTO attempts
				(request, number, state, payload, account, nonce, permit, txid, signed, sent, height, block, confirmations, reverted, fee, note)
				VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
				a.Request[:], a.Number, string(a.State), bytesOf(a.Payload), a.Account, int64(a.Nonce), a.Permit, string(a.TxID), bytesOf(a.Signed), a.Sent,
				a.Block.Height, string(a.Block.Hash), a.Confirmations, a.Reverted, a.Fee.String(), a.Note)
			if err != nil {
				return err
			}
		}
		return nil
	})
}

// Reservations tells which coins attempts have taken: a [wallet.Attempts].
type Reservations struct{ db *DB }

// Reservations gives what reserves coins.
func (db *DB) Reservations() Reservations { return Reservations{db} }

// Attempts gives the unsettled attempts of a wallet, but those that the core refused.
func (s Reservations) Attempts(ctx context.Context, w custody.WalletID) ([]wallet.Attempt, error) {
	live, err := Transfers(s).Live(ctx, w)
	if err != nil {
		return nil, err
	}
	var out []wallet.Attempt
	for _, a := range live {
		if a.State != transfer.SignFailed {
			out = append(out, wallet.Attempt{Payload: a.Payload, Number: a.Number, Released: a.Sent != 0})
		}
	}
	return out, nil
}
