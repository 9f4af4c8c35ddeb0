// SPDX-License-Identifier: Apache-2.0

package btcd

import (
	"bytes"
	"context"
	"encoding/hex"
	"math/big"

	"github.com/btcsuite/btcd/chainhash/v2"
	"github.com/btcsuite/btcd/wire/v2"

	"strongroom/internal/pure/btc"
	"strongroom/internal/svc/chain"
)

// Head gives the newest block.
func (c *Client) Head(ctx context.Context) (chain.Head, error) {
	const act = "head"
	var hash string
	if err := c.call(ctx, act, &hash, "getbestblockhash"); err != nil {
		return chain.Head{}, err
	}
	var h struct {
		Hash   string `json:"hash"`
		Height uint64 `json:"height"`
		Time   int64  `json:"time"`
	}
	if err := c.call(ctx, act, &h, "getblockheader", hash, true); err != nil {
		return chain.Head{}, err
	}
	if _, err := btc.ParseTxID(h.Hash); err != nil || h.Hash != hash {
		return chain.Head{}, c.refuse(chain.Contradiction, act, "it gives another header than the one asked for")
	}
	return chain.Head{Block: chain.Block{Height: h.Height, Hash: chain.BlockHash(h.Hash)}, Time: h.Time}, nil
}

// BlockHash gives the hash of the block at a height of the best chain, or a [chain.NotFound] refusal above the head.
func (c *Client) BlockHash(ctx context.Context, height uint64) (chain.BlockHash, error) {
	var hash string
	if err := c.call(ctx, "block by height", &hash, "getblockhash", height); err != nil {
		return "", err
	}
	if _, err := btc.ParseTxID(hash); err != nil {
		return "", c.refuse(chain.Contradiction, "block by height", "its hash is malformed")
	}
	return chain.BlockHash(hash), nil
}

// Canonical says whether b is in the node's best chain.
func (c *Client) Canonical(ctx context.Context, b chain.Block) (bool, error) {
	hash, err := c.BlockHash(ctx, b.Height)
	if chain.ReasonOf(err) == chain.NotFound {
		return false, nil
	}
	return err == nil && hash == b.Hash, err
}

// Block gives the block at a height of the best chain, or a [chain.NotFound] refusal above the head. What it gives has the
// transactions that its hash commits to, whatever the node says.
func (c *Client) Block(ctx context.Context, height uint64) (chain.BitcoinBlock, error) {
	const act = "block"
	hash, err := c.BlockHash(ctx, height)
	if err != nil {
		return chain.BitcoinBlock{}, err
	}
	var encoded string
	if err := c.call(ctx, act, &encoded, "getblock", string(hash), 0); err != nil {
		return chain.BitcoinBlock{}, err
	}
	b, err := decodeBlock(encoded, hash)
	if err != nil {
		return chain.BitcoinBlock{}, c.refuse(chain.Contradiction, act, "block %s: %v", hash, err)
	}
	b.Height = height
	return b, nil
}

// blockError is why a block is not what it should be.
type blockError string

// Error is the reason.
func (e blockError) Error() string { return string(e) }

// decodeBlock decodes a block in hex and checks that it is the one with the given hash.
func decodeBlock(encoded string, hash chain.BlockHash) (chain.BitcoinBlock, error) {
	raw, err := hex.DecodeString(encoded)
	if err != nil {
		return chain.BitcoinBlock{}, blockError("it is not hex")
	}
	var b wire.MsgBlock
	r := bytes.NewReader(raw)
	if err := b.Deserialize(r); err != nil {
		return chain.BitcoinBlock{}, blockError("it can't be decoded: " + chain.Printable(err.Error(), 200))
	}
	id := b.Header.BlockHash()
	switch {
	case r.Len() > 0:
		return chain.BitcoinBlock{}, blockError("bytes follow its end")
	case id.String() != string(hash):
		return chain.BitcoinBlock{}, blockError("it hashes to " + id.String())
	case !hasWork(id, b.Header.Bits):
		return chain.BitcoinBlock{}, blockError("its hash does not meet its own target")
	case len(b.Transactions) == 0:
		return chain.BitcoinBlock{}, blockError("it has no transactions")
	}
	out := chain.BitcoinBlock{
		Block: chain.Block{Hash: hash}, Prev: chain.BlockHash(b.Header.PrevBlock.String()),
		Time: b.Header.Timestamp.Unix(), Txs: make([]chain.BitcoinTx, len(b.Transactions)),
	}
	ids := make([]chainhash.Hash, len(b.Transactions))
	for i, tx := range b.Transactions {
		if out.Txs[i], err = decodeTx(tx); err != nil {
			return chain.BitcoinBlock{}, err
		}
		ids[i] = chainhash.Hash(out.Txs[i].ID)
		out.Txs[i].Coinbase = i == 0
	}
	root, ok := merkleRoot(ids)
	if !ok || root != b.Header.MerkleRoot {
		return chain.BitcoinBlock{}, blockError("its transactions are not those that its header commits to")
	}
	return out, nil
}

// decodeTx takes over what concerns a wallet.
func decodeTx(tx *wire.MsgTx) (chain.BitcoinTx, error) {
	var b bytes.Buffer
	if err := tx.SerializeNoWitness(&b); err != nil {
		return chain.BitcoinTx{}, blockError("a transaction can't be encoded again")
	}
	out := chain.BitcoinTx{ID: btc.TxID(chainhash.DoubleHashH(b.Bytes())), Stripped: b.Bytes()}
	for _, in := range tx.TxIn {
		out.Inputs = append(out.Inputs, btc.OutPoint{TxID: btc.TxID(in.PreviousOutPoint.Hash), Index: in.PreviousOutPoint.Index})
	}
	for _, o := range tx.TxOut {
		v := btc.Sat(o.Value)
		if o.Value < 0 || v.Check() != nil {
			return chain.BitcoinTx{}, blockError("a transaction pays an impossible amount")
		}
		out.Outputs = append(out.Outputs, btc.TxOut{Value: v, Script: btc.Script(o.PkScript)})
	}
	return out, nil
}

// merkleRoot gives the Merkle root of transaction ids as Bitcoin has it. It refuses two equal neighbours on a level, with
// which one root stands for two lists (CVE-2012-2459).
func merkleRoot(ids []chainhash.Hash) (chainhash.Hash, bool) {
	level := append([]chainhash.Hash(nil), ids...)
	for len(level) > 1 {
		var next []chainhash.Hash
		for i := 0; i < len(level); i += 2 {
			left, right := level[i], level[i]
			if i+1 < len(level) {
				if right = level[i+1]; left == right {
					return chainhash.Hash{}, false
				}
			}
			next = append(next, chainhash.DoubleHashH(append(left[:], right[:]...)))
		}
		level = next
	}
	return level[0], true
}

// hasWork tells whether a hash is at most the target that a header's compact bits stand for. Whether that is the target that
// the chain asks for is the node's to know.
func hasWork(hash chainhash.Hash, bits uint32) bool {
	mantissa, exponent := int64(bits&0x7fffff), uint(bits>>24)
	if bits&0x800000 != 0 || mantissa == 0 || exponent > 34 {
		return false
	}
	target := big.NewInt(mantissa)
	if exponent >= 3 {
		target.Lsh(target, 8*(exponent-3))
	} else {
		target.Rsh(target, 8*(3-exponent))
	}
	for i, j := 0, len(hash)-1; i < j; i, j = i+1, j-1 {
		hash[i], hash[j] = hash[j], hash[i]
	}
	return new(big.Int).SetBytes(hash[:]).Cmp(target) <= 0
}
