// SPDX-License-Identifier: Apache-2.0

package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"slices"

	"strongroom/internal/pure/btc"
	"strongroom/internal/pure/custody"
	"strongroom/internal/svc/chain"
	"strongroom/internal/svc/wallet"
)

// Coins is the part of the cache with the coins of Bitcoin wallets: a [wallet.Store].
type Coins struct{ db *DB }

// Coins gives the part with the coins.
func (db *DB) Coins() Coins { return Coins{db} }

// Blocks gives the last scanned blocks of a chain.
func (s Coins) Blocks(ctx context.Context, c custody.ChainID) ([]chain.Block, error) {
	out, err := rows(ctx, s.db.read, func(r *sql.Rows) (b chain.Block, err error) { return b, r.Scan(&b.Height, &b.Hash) },
		"SELECT height, hash FROM blocks WHERE chain = ? ORDER BY height DESC LIMIT ?", string(c), wallet.KeepBlocks)
	slices.Reverse(out)
	return out, err
}

// Apply records a scanned block.
func (s Coins) Apply(ctx context.Context, c custody.ChainID, x wallet.Scanned) error {
	return in(ctx, s.db.write, func(tx *sql.Tx) error {
		if err := s.rewind(ctx, tx, c, x.Block); err != nil {
			return err
		}
		for _, m := range x.Made {
			_, err := tx.ExecContext(ctx, `INSERT OR REPLACE INTO coins
				(chain, txid, output, wallet, value, script, branch, key, height, coinbase, prevtx, spent_at, spent_by)
				VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 0, x'')`,
				string(c), m.OutPoint.TxID[:], m.OutPoint.Index, string(m.Wallet), int64(m.Output.Value), bytesOf(m.Output.Script), m.Key.Branch, m.Key.Index,
				m.Height, m.Coinbase, m.PrevTx)
			if err != nil {
				return err
			}
		}
		if err := spend(ctx, tx, c, x); err != nil {
			return err
		}
		for _, w := range x.Watched {
			if _, err := tx.ExecContext(ctx, "INSERT OR IGNORE INTO watched (wallet) VALUES (?)", string(w)); err != nil {
				return err
			}
		}
		return nil
	})
}

// rewind takes back a block's height and above, and puts the block in its place.
func (s Coins) rewind(ctx context.Context, tx *sql.Tx, c custody.ChainID, b chain.Block) error {
	for _, q := range []struct {
		text string
		args []any
	}{
		{"DELETE FROM coins WHERE chain = ? AND height >= ?", []any{string(c), b.Height}},
		{"UPDATE coins SET spent_at = 0, spent_by = x'' WHERE chain = ? AND spent_at > 0 AND spent_at >= ?", []any{string(c), b.Height}},
		{"DELETE FROM blocks WHERE chain = ? AND height >= ?", []any{string(c), b.Height}},
		// Below a hole nothing is given any more.
		{"DELETE FROM blocks WHERE chain = ?1 AND NOT EXISTS (SELECT 1 FROM blocks WHERE chain = ?1 AND height = ?2 - 1)", []any{string(c), b.Height}},
		{"DELETE FROM blocks WHERE chain = ? AND height + ? <= ?", []any{string(c), wallet.KeepBlocks, b.Height}},
		{"INSERT INTO blocks (chain, height, hash) VALUES (?, ?, ?)", []any{string(c), b.Height, string(b.Hash)}},
	} {
		if _, err := tx.ExecContext(ctx, q.text, q.args...); err != nil {
			return err
		}
	}
	return nil
}

// spend records a block's spends; most are of nobody's coins here.
func spend(ctx context.Context, tx *sql.Tx, c custody.ChainID, x wallet.Scanned) (err error) {
	if len(x.Spent) == 0 {
		return nil
	}
	st, err := tx.PrepareContext(ctx, "UPDATE coins SET spent_at = ?, spent_by = ? WHERE chain = ? AND txid = ? AND output = ?")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, st.Close()) }()
	for _, p := range x.Spent {
		if _, err := st.ExecContext(ctx, x.Block.Height, p.By[:], string(c), p.Coin.TxID[:], p.Coin.Index); err != nil {
			return err
		}
	}
	return nil
}

// Coins gives the unspent coins of a wallet.
func (s Coins) Coins(ctx context.Context, w custody.WalletID) ([]wallet.Coin, error) {
	return rows(ctx, s.db.read, func(r *sql.Rows) (c wallet.Coin, err error) {
		var txid []byte
		var value int64
		c.Wallet = w
		if err = r.Scan(&txid, &c.OutPoint.Index, &value, &c.Output.Script, &c.Key.Branch, &c.Key.Index, &c.Height, &c.Coinbase, &c.PrevTx); err != nil {
			return c, err
		}
		c.Output.Value = btc.Sat(value)
		c.OutPoint.TxID, err = id32[btc.TxID](txid)
		return c, err
	}, `SELECT txid, output, value, script, branch, key, height, coinbase, prevtx FROM coins WHERE wallet = ? AND spent_at = 0
		ORDER BY height, txid, output`, string(w))
}

// Watched says whether a wallet is known.
func (s Coins) Watched(ctx context.Context, w custody.WalletID) (bool, error) {
	var n int
	err := s.db.read.QueryRowContext(ctx, "SELECT count(*) FROM watched WHERE wallet = ?", string(w)).Scan(&n)
	return n > 0, err
}
