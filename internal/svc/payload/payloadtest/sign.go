// SPDX-License-Identifier: Apache-2.0

package payloadtest

import (
	"fmt"
	"testing"

	"github.com/btcsuite/btcd/btcec/v2"
	"github.com/btcsuite/btcd/btcec/v2/ecdsa"
	"github.com/btcsuite/btcd/btcec/v2/schnorr"
	"github.com/btcsuite/btcd/txscript/v2"
	"github.com/ethereum/go-ethereum/crypto"

	"strongroom/internal/pure/btc"
	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/entry"
	"strongroom/internal/pure/eth"
	"strongroom/internal/pure/request"
)

// Permit decides whether a payload may be signed and, if so, records the permit; the error is the decision's.
func (c *Core) Permit(t testing.TB, id custody.RequestID, payload []byte) (*entry.Permit, error) {
	t.Helper()
	p, err := c.State.DecidePermit(id, c.asked[id], payload, c.now(), c.Derive)
	if err != nil {
		return nil, err
	}
	c.apply(t, entry.KindPermit, p)
	return p, nil
}

// Sign gives the signed transaction for a payload, ready to send, or the decision's error.
func (c *Core) Sign(t testing.TB, id custody.RequestID, payload []byte) ([]byte, error) {
	t.Helper()
	p, err := c.Permit(t, id, payload)
	if err != nil {
		return nil, err
	}
	w, _, _ := c.State.Wallet(p.Wallet)
	var signed []byte
	if w.Scheme == request.SchemeEVM {
		signed, err = c.signEthereum(w, p)
	} else {
		signed, err = c.signBitcoin(w, p)
	}
	if err != nil {
		t.Fatalf("sign: %v", err)
	}
	c.apply(t, entry.KindResult, &entry.Result{Request: id, Permit: c.State.Next - 1, Signatures: [][]byte{{1}}, TxID: "test"})
	return signed, nil
}

// private gives the private key at a path.
func (c *Core) private(w entry.Wallet, k entry.KeyPath) (*btcec.PrivateKey, error) {
	account, ok := c.accounts[w.ID]
	if !ok {
		return nil, fmt.Errorf("no keys of wallet %s", w.ID)
	}
	branch, err := account.Derive(k.Branch)
	if err != nil {
		return nil, err
	}
	key, err := branch.Derive(k.Index)
	if err != nil {
		return nil, err
	}
	return key.ECPrivKey()
}

func (c *Core) signEthereum(w entry.Wallet, p *entry.Permit) ([]byte, error) {
	key, err := c.private(w, p.Keys[0])
	if err != nil {
		return nil, err
	}
	tx, err := eth.DecodeUnsigned(p.Payload)
	if err != nil {
		return nil, err
	}
	hash, err := tx.SigningHash()
	if err != nil {
		return nil, err
	}
	sig, err := crypto.Sign(hash[:], key.ToECDSA())
	if err != nil {
		return nil, err
	}
	return tx.EncodeSigned([32]byte(sig[:32]), [32]byte(sig[32:64]), sig[64])
}

func (c *Core) signBitcoin(w entry.Wallet, p *entry.Permit) ([]byte, error) {
	psbt, err := btc.DecodePSBT(p.Payload)
	if err != nil {
		return nil, err
	}
	h, err := btc.NewSighasher(psbt.Tx, psbt.Prevouts())
	if err != nil {
		return nil, err
	}
	for i := range psbt.Inputs {
		key, err := c.private(w, p.Keys[i])
		if err != nil {
			return nil, err
		}
		digest, err := h.Hash(i)
		if err != nil {
			return nil, err
		}
		if w.Scheme == request.SchemeP2TR {
			sig, err := schnorr.Sign(txscript.TweakTaprootPrivKey(*key, nil), digest[:])
			if err != nil {
				return nil, err
			}
			raw := [64]byte(sig.Serialize())
			psbt.Inputs[i].TapKeySig = &raw
			continue
		}
		raw, err := btc.DecodeDER(ecdsa.Sign(key, digest[:]).Serialize())
		if err != nil {
			return nil, err
		}
		psbt.Inputs[i].PartialSig = &btc.PartialSig{Key: psbt.Inputs[i].Derivation.Key, Signature: raw}
	}
	final, err := psbt.Finalize()
	if err != nil {
		return nil, err
	}
	return final.Extract()
}
