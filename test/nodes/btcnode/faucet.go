// SPDX-License-Identifier: Apache-2.0

package btcnode

import (
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/btcsuite/btcd/address/v2"
	"github.com/btcsuite/btcd/btcec/v2"
	"github.com/btcsuite/btcd/chaincfg/v2"
	"github.com/btcsuite/btcd/chainhash/v2"
	"github.com/btcsuite/btcd/txscript/v2"
	"github.com/btcsuite/btcd/wire/v2"
)

// Of the faucet's transactions.
const (
	feeRate  = 20  // satoshi a virtual byte
	dust     = 546 // satoshi; smaller outputs are not relayed
	maturity = 100 // blocks until a reward can be spent
)

// ErrFaucetEmpty says that the matured rewards do not cover an amount.
var ErrFaucetEmpty = errors.New("the bitcoin faucet holds too little: mine more blocks")

// coin is an output of the faucet key.
type coin struct {
	at    wire.OutPoint
	value int64 // satoshi
}

// faucet is a P2WPKH key made at start and never stored, which earns all
// block rewards.
type faucet struct {
	key     *btcec.PrivateKey
	address address.Address
	script  []byte

	mu    sync.Mutex // held while a payment is made, and guards the fields below
	next  int64      // height of the first reward not yet in coins
	coins []coin     // not spent by us; one that the node does not know is dropped when its turn comes
}

func newFaucet() (*faucet, error) {
	key, err := btcec.NewPrivateKey()
	if err != nil {
		return nil, fmt.Errorf("make the bitcoin faucet key: %w", err)
	}
	addr, err := address.NewAddressWitnessPubKeyHash(
		address.Hash160(key.PubKey().SerializeCompressed()), &chaincfg.RegressionNetParams)
	if err != nil {
		return nil, fmt.Errorf("make the bitcoin faucet address: %w", err)
	}
	script, err := txscript.PayToAddrScript(addr)
	if err != nil {
		return nil, fmt.Errorf("make the bitcoin faucet script: %w", err)
	}
	return &faucet{key: key, address: addr, script: script, next: 1}, nil
}

// Fund hands in a payment of satoshi to an address of regtest (any type) and
// returns its transaction id. The money is there after the next block.
func (n *Node) Fund(ctx context.Context, to string, satoshi int64) (string, error) {
	addr, err := address.DecodeAddress(to, &chaincfg.RegressionNetParams)
	if err != nil {
		return "", fmt.Errorf("fund bitcoin address %q: %w", to, err)
	}
	if !addr.IsForNet(&chaincfg.RegressionNetParams) {
		return "", fmt.Errorf("fund bitcoin address %q: it is not a regtest address", to)
	}
	script, err := txscript.PayToAddrScript(addr)
	if err != nil {
		return "", fmt.Errorf("fund bitcoin address %q: %w", to, err)
	}
	if satoshi < dust {
		return "", fmt.Errorf("fund bitcoin address %q: %d satoshi are less than %d, which no node relays", to, satoshi, dust)
	}
	f := n.faucet
	f.mu.Lock()
	defer f.mu.Unlock()
	inputs, err := n.choose(ctx, satoshi)
	if err != nil {
		return "", fmt.Errorf("fund bitcoin address %q with %d satoshi: %w", to, satoshi, err)
	}
	tx, change, err := f.pay(inputs, wire.NewTxOut(satoshi, script))
	if err != nil {
		return "", fmt.Errorf("sign a faucet transaction: %w", err)
	}
	var raw bytes.Buffer
	if err := tx.Serialize(&raw); err != nil {
		return "", fmt.Errorf("encode a faucet transaction: %w", err)
	}
	var id string
	if err := n.Call(ctx, &id, "sendrawtransaction", hex.EncodeToString(raw.Bytes())); err != nil {
		return "", err
	}
	f.coins = f.coins[len(inputs):]
	if change.value > 0 {
		f.coins = append(f.coins, change)
	}
	return id, nil
}

// fee of a transaction of the faucet's inputs and two outputs, in satoshi.
func fee(inputs int) int64 { return int64(11+68*inputs+2*43) * feeRate }

// choose returns the first coins that cover an amount and its fee. Rewards
// join the coins when no re-org within [MaxReorg] can take them away.
func (n *Node) choose(ctx context.Context, amount int64) ([]coin, error) {
	f := n.faucet
	height, _, err := n.Height(ctx)
	if err != nil {
		return nil, err
	}
	var sum int64
	for i := 0; ; {
		for i == len(f.coins) {
			if f.next > height-maturity-MaxReorg {
				return nil, ErrFaucetEmpty
			}
			if err := n.collect(ctx, f.next); err != nil {
				return nil, err
			}
			f.next++
		}
		// Change is gone when a re-org took away what it came from.
		var known json.RawMessage
		at := f.coins[i].at
		if err := n.Call(ctx, &known, "gettxout", at.Hash.String(), at.Index, true); err != nil || string(known) == "null" {
			if refusal := (*RPCError)(nil); err != nil && !errors.As(err, &refusal) {
				return nil, err
			}
			f.coins = slices.Delete(f.coins, i, i+1)
			continue
		}
		sum += f.coins[i].value
		if i++; sum >= amount+fee(i) {
			return f.coins[:i], nil
		}
	}
}

// collect adds the reward of the block at a height, if it went to the faucet.
func (n *Node) collect(ctx context.Context, height int64) error {
	var hash string
	if err := n.Call(ctx, &hash, "getblockhash", height); err != nil {
		return err
	}
	var encoded string
	if err := n.Call(ctx, &encoded, "getblock", hash, 0); err != nil {
		return err
	}
	var block wire.MsgBlock
	if err := block.Deserialize(hex.NewDecoder(strings.NewReader(encoded))); err != nil {
		return fmt.Errorf("decode bitcoin block %d: %w", height, err)
	}
	reward := block.Transactions[0]
	for i, o := range reward.TxOut {
		if bytes.Equal(o.PkScript, n.faucet.script) && o.Value > 0 {
			at := wire.OutPoint{Hash: reward.TxHash(), Index: uint32(i)}
			n.faucet.coins = append(n.faucet.coins, coin{at: at, value: o.Value})
		}
	}
	return nil
}

// pay makes and signs a transaction that spends inputs into one output and
// keeps the rest as change, which is the zero coin when it would be dust.
func (f *faucet) pay(inputs []coin, out *wire.TxOut) (*wire.MsgTx, coin, error) {
	tx := wire.NewMsgTx(2)
	spent := make(map[wire.OutPoint]*wire.TxOut, len(inputs))
	rest := -out.Value - fee(len(inputs))
	for _, c := range inputs {
		tx.AddTxIn(&wire.TxIn{PreviousOutPoint: c.at, Sequence: wire.MaxTxInSequenceNum})
		spent[c.at] = wire.NewTxOut(c.value, f.script)
		rest += c.value
	}
	tx.AddTxOut(out)
	if rest >= dust {
		tx.AddTxOut(wire.NewTxOut(rest, f.script))
	}
	hashes := txscript.NewTxSigHashes(tx, txscript.NewMultiPrevOutFetcher(spent))
	for i, c := range inputs {
		witness, err := txscript.WitnessSignature(tx, hashes, i, c.value, f.script, txscript.SigHashAll, f.key, true)
		if err != nil {
			return nil, coin{}, err
		}
		tx.TxIn[i].Witness = witness
	}
	if rest < dust {
		return tx, coin{}, nil
	}
	return tx, coin{at: wire.OutPoint{Hash: tx.TxHash(), Index: 1}, value: rest}, nil
}

// Confirmations returns how many blocks deep a transaction is: 0 while it
// waits in the pool. A transaction the node does not know is a [*RPCError].
func (n *Node) Confirmations(ctx context.Context, id string) (int64, error) {
	if _, err := chainhash.NewHashFromStr(id); err != nil {
		return 0, fmt.Errorf("decode transaction id %q: %w", id, err)
	}
	var tx struct {
		Confirmations int64 `json:"confirmations"`
	}
	if err := n.Call(ctx, &tx, "getrawtransaction", id, 1); err != nil {
		return 0, err
	}
	return tx.Confirmations, nil
}
