// SPDX-License-Identifier: Apache-2.0

package btcd

import (
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"

	"github.com/btcsuite/btcd/wire/v2"

	"strongroom/internal/pure/btc"
	"strongroom/internal/svc/chain"
)

// Send hands in a signed transaction and gives its id. Handing in the same bytes again, while they wait or after they were
// mined, succeeds; after they were mined only if the node has a transaction index or an output of theirs is unspent. The
// refusals that callers branch on are [chain.InputsSpent], [chain.Underpriced], [chain.FeeTooLow], [chain.WrongChain],
// [chain.PoolFull] and [chain.Unavailable]; after the last it is unknown whether the node took the bytes, and the answer is
// to send them again.
func (c *Client) Send(ctx context.Context, signed []byte) (chain.TxID, error) {
	const act = "send"
	var tx wire.MsgTx
	r := bytes.NewReader(signed)
	if err := tx.Deserialize(r); err != nil || r.Len() > 0 {
		return "", c.refuse(chain.Invalid, act, "the bytes are not one transaction")
	}
	want := btc.TxID(tx.TxHash())
	var got string
	err := c.call(ctx, act, &got, "sendrawtransaction", hex.EncodeToString(signed))
	if err == nil {
		if got != want.String() {
			return "", c.refuse(chain.Contradiction, act, "it names the transaction %s, which is %s", chain.Printable(got, 64), want)
		}
		return chain.TxID(got), nil
	}
	switch chain.ReasonOf(err) {
	case alreadyKnown:
		return chain.TxID(want.String()), nil
	case chain.InputsSpent, chain.Underpriced, chain.Invalid:
		// Mined bytes spend inputs that are spent. What counts is whether these bytes took effect.
		if c.has(ctx, want, len(tx.TxOut)) {
			return chain.TxID(want.String()), nil
		}
	}
	return "", err
}

// has asks whether the node has a transaction, by its index or, without one, by an unspent output.
func (c *Client) has(ctx context.Context, id btc.TxID, outputs int) bool {
	tx, err := c.Transaction(ctx, chain.TxID(id.String()))
	if err == nil {
		return tx.State != chain.TxUnknown
	}
	if chain.ReasonOf(err) != chain.Unsupported {
		return false
	}
	for i := range outputs {
		if there, err := c.Unspent(ctx, btc.OutPoint{TxID: id, Index: uint32(i)}); err == nil && there {
			return true
		}
	}
	return false
}

// Transaction says where a transaction stands. For one that is mined the node needs a transaction index (btcd --txindex);
// without it the answer is a [chain.Unsupported] refusal.
func (c *Client) Transaction(ctx context.Context, id chain.TxID) (chain.Tx, error) {
	const act = "transaction"
	if _, err := btc.ParseTxID(string(id)); err != nil {
		return chain.Tx{}, c.refuse(chain.Invalid, act, "%v", err)
	}
	var found struct {
		TxID          string `json:"txid"`
		BlockHash     string `json:"blockhash"`
		Confirmations int64  `json:"confirmations"`
	}
	err := c.call(ctx, act, &found, "getrawtransaction", string(id), 1)
	if chain.ReasonOf(err) == chain.NotFound {
		return chain.Tx{State: chain.TxUnknown}, nil
	}
	if err != nil {
		return chain.Tx{}, err
	}
	if found.TxID != string(id) {
		return chain.Tx{}, c.refuse(chain.Contradiction, act, "it gives another transaction than the one asked for")
	}
	if found.BlockHash == "" || found.Confirmations <= 0 {
		return chain.Tx{State: chain.TxPending}, nil
	}
	var header struct {
		Height        uint64 `json:"height"`
		Confirmations int64  `json:"confirmations"`
	}
	if err := c.call(ctx, act, &header, "getblockheader", found.BlockHash, true); err != nil {
		return chain.Tx{}, err
	}
	block := chain.Block{Height: header.Height, Hash: chain.BlockHash(found.BlockHash)}
	canonical, err := c.Canonical(ctx, block)
	switch {
	case err != nil:
		return chain.Tx{}, err
	case !canonical || header.Confirmations <= 0: // the chain turned between the calls
		return chain.Tx{State: chain.TxPending}, nil
	}
	return chain.Tx{State: chain.TxMined, Block: block, Confirmations: uint64(header.Confirmations)}, nil
}

// RawTransaction gives the bytes of a transaction. The node needs a transaction index for one that is mined.
func (c *Client) RawTransaction(ctx context.Context, id btc.TxID) ([]byte, error) {
	const act = "raw transaction"
	var encoded string
	if err := c.call(ctx, act, &encoded, "getrawtransaction", id.String(), 0); err != nil {
		return nil, err
	}
	raw, err := hex.DecodeString(encoded)
	if err != nil {
		return nil, c.refuse(chain.Contradiction, act, "it is not hex")
	}
	var tx wire.MsgTx
	if err := tx.Deserialize(bytes.NewReader(raw)); err != nil || btc.TxID(tx.TxHash()) != id {
		return nil, c.refuse(chain.Contradiction, act, "it gives another transaction than %s", id)
	}
	return raw, nil
}

// Unspent says whether an output exists, in a block or in the pool, and no block spends it. Whether the pool does is for
// [Client.PoolSpender] to say: nodes differ in whether this call looks.
func (c *Client) Unspent(ctx context.Context, o btc.OutPoint) (bool, error) {
	var out json.RawMessage
	if err := c.call(ctx, "output", &out, "gettxout", o.TxID.String(), o.Index, true); err != nil {
		return false, err
	}
	return len(out) > 0 && string(out) != "null", nil
}

// PoolSpender gives the transaction in the node's pool that spends an output, or "" if there is none. One that is not ours is
// an alarm: somebody else has the key.
func (c *Client) PoolSpender(ctx context.Context, o btc.OutPoint) (chain.TxID, error) {
	const act = "pool spender"
	var found []struct {
		TxID     string  `json:"txid"`
		Vout     uint32  `json:"vout"`
		Spending *string `json:"spendingtxid"`
	}
	ask := []map[string]any{{"txid": o.TxID.String(), "vout": o.Index}}
	if err := c.call(ctx, act, &found, "gettxspendingprevout", ask); err != nil {
		return "", err
	}
	if len(found) != 1 || found[0].TxID != o.TxID.String() || found[0].Vout != o.Index {
		return "", c.refuse(chain.Contradiction, act, "it answers about another output than the one asked for")
	}
	if found[0].Spending == nil || *found[0].Spending == "" {
		return "", nil
	}
	if _, err := btc.ParseTxID(*found[0].Spending); err != nil {
		return "", c.refuse(chain.Contradiction, act, "its transaction id is malformed")
	}
	return chain.TxID(*found[0].Spending), nil
}

// Status gives what an operator wants to know.
func (c *Client) Status(ctx context.Context) (chain.NodeStatus, error) {
	s := chain.NodeStatus{Chain: c.cfg.Chain, Node: c.host}
	if err := c.Check(ctx); err != nil {
		return s, err
	}
	var err error
	if s.Head, err = c.Head(ctx); err != nil {
		return s, err
	}
	var info struct {
		Blocks  uint64 `json:"blocks"`
		Headers uint64 `json:"headers"`
	}
	if err := c.call(ctx, "chain info", &info, "getblockchaininfo"); err != nil {
		return s, err
	}
	if info.Headers > info.Blocks {
		s.Behind = info.Headers - info.Blocks
	}
	// Version and peers are extras: btcd and bitcoind tell the version in different calls.
	var net struct {
		Subversion string `json:"subversion"`
	}
	var versions map[string]struct {
		VersionString string `json:"versionstring"`
	}
	switch {
	case c.call(ctx, "version", &net, "getnetworkinfo") == nil:
		s.Version = chain.Printable(net.Subversion, 100)
	case c.call(ctx, "version", &versions, "version") == nil:
		s.Version = chain.Printable("btcd "+versions["btcd"].VersionString, 100)
	}
	var peers uint64
	if c.call(ctx, "peers", &peers, "getconnectioncount") == nil {
		s.Peers = peers
	}
	return s, nil
}
