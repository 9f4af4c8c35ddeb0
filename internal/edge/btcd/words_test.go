// SPDX-License-Identifier: Apache-2.0

package btcd

import (
	"bytes"
	"encoding/hex"
	"testing"

	"github.com/btcsuite/btcd/chaincfg/v2"
	"github.com/btcsuite/btcd/chainhash/v2"
	"github.com/btcsuite/btcd/wire/v2"

	"strongroom/internal/svc/chain"
)

// TestReason has what nodes really say, whole.
func TestReason(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		text string
		code int
		want chain.Reason
	}{
		{"TX rejected: already have transaction in mempool 4a5e", -26, alreadyKnown},
		{"TX rejected: transaction already exists in blockchain", -27, alreadyKnown},
		{"Transaction already in block chain", -27, alreadyKnown},
		{"Transaction outputs already in utxo set", -27, alreadyKnown},
		{"txn-already-in-mempool", -26, alreadyKnown},
		{"TX rejected: 4a5e: replacement transaction has an insufficient fee rate: needs more than 3000, has 3000", -26, chain.Underpriced},
		{"TX rejected: 4a5e: replacement transaction has an insufficient absolute fee: needs 500, has 400", -26, chain.Underpriced},
		{"insufficient fee, rejecting replacement 4a5e; new feerate 0.00001 <= old feerate 0.00001", -26, chain.Underpriced},
		{"TX rejected: output already spent in mempool: output=4a5e:0, tx=4b", -26, chain.InputsSpent},
		{"TX rejected: orphan transaction 4a references outputs of unknown or fully-spent transaction 4b", -25, chain.InputsSpent},
		{"bad-txns-inputs-missingorspent", -25, chain.InputsSpent},
		{"txn-mempool-conflict", -26, chain.InputsSpent},
		{"TX rejected: transaction 4a has 10 fees which is under the required amount of 141", -26, chain.FeeTooLow},
		{"min relay fee not met, 10 < 141", -26, chain.FeeTooLow},
		{"mempool full", -26, chain.PoolFull},
		{"Block number out of range", -8, chain.NotFound},
		{"No information available about transaction 4a", -5, chain.NotFound},
		{"No such mempool or blockchain transaction. Use gettransaction for wallet transactions.", -5, chain.NotFound},
		{"No such mempool transaction. Use -txindex or provide a block hash to enable blockchain transaction queries.", -5, chain.Unsupported},
		{"The transaction index must be enabled to query the blockchain (specify --txindex)", -5, chain.Unsupported},
		{"Method not found", -32601, chain.Unsupported},
		{"Command unimplemented", -1, chain.Unsupported},
		{"nope", -32601, chain.Unsupported},
		{"nope", -28, chain.Unavailable},
		{"nope", -27, alreadyKnown},
		{"nope", -5, chain.NotFound},
		{"Loading block index…", -28, chain.Unavailable},
		{"TX rejected: failed to validate input 4a:0", -26, chain.Invalid},
	} {
		if got := reason(c.code, c.text); got != c.want {
			t.Errorf("%q (%d): got %s, want %s", c.text, c.code, got, c.want)
		}
	}
}

func encode(t testing.TB, b *wire.MsgBlock) []byte {
	t.Helper()
	var buf bytes.Buffer
	if err := b.Serialize(&buf); err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}

// mine makes a block of regtest from transactions.
func mine(txs ...*wire.MsgTx) *wire.MsgBlock {
	b := &wire.MsgBlock{Header: wire.BlockHeader{Version: 4, Bits: chaincfg.RegressionNetParams.PowLimitBits}, Transactions: txs}
	ids := make([]chainhash.Hash, len(txs))
	for i, tx := range txs {
		ids[i] = tx.TxHash()
	}
	b.Header.MerkleRoot, _ = merkleRoot(ids)
	for !hasWork(b.Header.BlockHash(), b.Header.Bits) {
		b.Header.Nonce++
	}
	return b
}

func payment(n byte, value int64) *wire.MsgTx {
	tx := wire.NewMsgTx(2)
	tx.AddTxIn(&wire.TxIn{PreviousOutPoint: wire.OutPoint{Hash: chainhash.Hash{n}}, Sequence: 1})
	tx.AddTxOut(wire.NewTxOut(value, []byte{0x51}))
	return tx
}

func TestDecodeBlock(t *testing.T) {
	t.Parallel()
	for _, net := range []*chaincfg.Params{&chaincfg.MainNetParams, &chaincfg.TestNet3Params, &chaincfg.SigNetParams, &chaincfg.RegressionNetParams} {
		got, err := decodeBlock(hex.EncodeToString(encode(t, net.GenesisBlock)), chain.BlockHash(net.GenesisHash.String()))
		if err != nil || len(got.Txs) != 1 || !got.Txs[0].Coinbase || got.Time != net.GenesisBlock.Header.Timestamp.Unix() {
			t.Errorf("%s: got %+v, %v", net.Name, got, err)
		}
	}
	good := mine(payment(1, 5), payment(2, 6), payment(3, 7))
	if _, err := decodeBlock(hex.EncodeToString(encode(t, good)), chain.BlockHash(good.BlockHash().String())); err != nil {
		t.Fatal(err)
	}
	twice := *good // the same root by repeating the last transaction, CVE-2012-2459
	twice.Transactions = append(append([]*wire.MsgTx(nil), good.Transactions...), good.Transactions[2])
	swapped := *good
	swapped.Transactions = []*wire.MsgTx{good.Transactions[1], good.Transactions[0], good.Transactions[2]}
	noWork := *good
	noWork.Header.Bits = 0x1d00ffff
	bare := mine(payment(1, 5))
	bare.Transactions = nil
	minus, much := mine(payment(1, -1)), mine(payment(1, 21e14+1))
	for name, c := range map[string]struct {
		block *wire.MsgBlock
		want  string
		more  string
	}{
		"repeated": {&twice, "its transactions are not those that its header commits to", ""},
		"swapped":  {&swapped, "its transactions are not those that its header commits to", ""},
		"no work":  {&noWork, "its hash does not meet its own target", ""},
		"empty":    {bare, "it has no transactions", ""},
		"negative": {minus, "a transaction pays an impossible amount", ""},
		"too much": {much, "a transaction pays an impossible amount", ""},
		"trailing": {good, "bytes follow its end", "00"},
		"not hex":  {good, "it is not hex", "x"},
	} {
		_, err := decodeBlock(hex.EncodeToString(encode(t, c.block))+c.more, chain.BlockHash(c.block.BlockHash().String()))
		if err == nil || err.Error() != c.want {
			t.Errorf("%s: got %v, want %q", name, err, c.want)
		}
	}
	if _, err := decodeBlock(hex.EncodeToString(encode(t, good)), chain.BlockHash(bare.BlockHash().String())); err == nil {
		t.Error("another block than the one asked for was taken")
	}
}

// FuzzDecodeBlock: what is taken hashes to what was asked for, and its transactions encode to their ids.
func FuzzDecodeBlock(f *testing.F) {
	f.Add(encode(f, mine(payment(1, 5), payment(2, 6))))
	f.Add(encode(f, chaincfg.MainNetParams.GenesisBlock))
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) < 80 {
			return
		}
		hash := chainhash.DoubleHashH(b[:80])
		got, err := decodeBlock(hex.EncodeToString(b), chain.BlockHash(hash.String()))
		if err != nil {
			return
		}
		if string(got.Hash) != hash.String() || len(got.Txs) == 0 || !got.Txs[0].Coinbase {
			t.Fatalf("got %+v", got)
		}
		for _, tx := range got.Txs {
			if chainhash.DoubleHashH(tx.Stripped) != chainhash.Hash(tx.ID) {
				t.Fatal("id is not that of the stripped bytes")
			}
			for _, o := range tx.Outputs {
				if o.Value.Check() != nil {
					t.Fatalf("amount %d", o.Value)
				}
			}
		}
	})
}
