// SPDX-License-Identifier: Apache-2.0

package secondopinion

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"

	"github.com/btcsuite/btcd/address/v2"
	"github.com/btcsuite/btcd/chaincfg/v2"
	"github.com/btcsuite/btcd/chainhash/v2"
	"github.com/btcsuite/btcd/psbt/v2"
	"github.com/btcsuite/btcd/txscript/v2"
	"github.com/btcsuite/btcd/wire/v2"

	"strongroom/internal/pure/btc"
	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/entry"
	"strongroom/internal/pure/request"
)

// netOf gives btcsuite's parameters of a chain.
func netOf(c custody.ChainID) (*chaincfg.Params, error) {
	switch c {
	case custody.BitcoinMainnet:
		return &chaincfg.MainNetParams, nil
	case custody.BitcoinTestnet:
		return &chaincfg.TestNet3Params, nil
	case custody.BitcoinSignet:
		return &chaincfg.SigNetParams, nil
	case custody.BitcoinRegtest:
		return &chaincfg.RegressionNetParams, nil
	default:
		return nil, fmt.Errorf("chain %s is not Bitcoin", c)
	}
}

// bitcoinAddress reads an address with btcsuite and compares the script that it stands for.
func bitcoinAddress(c custody.ChainID, s string) error {
	net, err := netOf(c)
	if err != nil {
		return err
	}
	a, err := address.DecodeAddress(s, net)
	if err != nil {
		return refused("address "+s, err)
	}
	if !a.IsForNet(net) {
		return refused("address "+s, errors.New("it is not for "+net.Name))
	}
	script, err := txscript.PayToAddrScript(a)
	if err != nil {
		return refused("address "+s, err)
	}
	n, err := request.BitcoinNetwork(c)
	if err != nil {
		return err
	}
	own, err := btc.ParseAddress(n, s)
	if err != nil {
		return err
	}
	return first(
		same("address "+s+", script", own.String(), hex.EncodeToString(script)),
		same("address "+s+", spelling", s, a.EncodeAddress()),
	)
}

// bitcoinPayload decodes a PSBT twice, compares, and tells the wallet's own outputs from the others by deriving them.
func bitcoinPayload(w entry.Wallet, payload []byte) (Effects, *psbt.Packet, error) {
	own, err := btc.DecodePSBT(payload)
	if err != nil {
		return Effects{}, nil, err
	}
	p, err := psbt.NewFromRawBytes(bytes.NewReader(payload), false)
	if err != nil {
		return Effects{}, nil, refused("payload", err)
	}
	if err := sameTx(own, p); err != nil {
		return Effects{}, nil, err
	}
	ownFee, err := own.Tx.Fee(own.Prevouts())
	if err != nil {
		return Effects{}, nil, err
	}
	fee, err := p.GetTxFee()
	if err != nil {
		return Effects{}, nil, refused("fee", err)
	}
	e := Effects{
		Chain: w.Chain, Asset: w.Chain.Native(), Fee: custody.U64(uint64(ownFee)), TxID: p.UnsignedTx.TxHash().String(),
	}
	if err := first(same("fee", uint64(ownFee), int64(fee)), sameHashes(own, p)); err != nil {
		return Effects{}, nil, err
	}
	a, err := accountOf(w)
	if err != nil {
		return Effects{}, nil, err
	}
	for i, in := range p.Inputs {
		e.Inputs = append(e.Inputs, p.UnsignedTx.TxIn[i].PreviousOutPoint.String())
		if _, mine, err := a.owns(in.WitnessUtxo.PkScript, in.Bip32Derivation, in.TaprootBip32Derivation); err != nil {
			return Effects{}, nil, err
		} else if !mine {
			return Effects{}, nil, &Alarm{About: fmt.Sprintf("input %d", i), First: "an address of wallet " + string(w.ID), Second: hex.EncodeToString(in.WitnessUtxo.PkScript)}
		}
	}
	for i, o := range p.UnsignedTx.TxOut {
		to, err := addressOf(o.PkScript, a.net)
		if err != nil {
			return Effects{}, nil, refused(fmt.Sprintf("output %d", i), err)
		}
		branch, mine, err := a.owns(o.PkScript, p.Outputs[i].Bip32Derivation, p.Outputs[i].TaprootBip32Derivation)
		if err != nil {
			return Effects{}, nil, err
		}
		out := request.Output{Address: to, Amount: custody.U64(uint64(o.Value))}
		if mine && branch == 1 {
			e.Change = append(e.Change, out)
		} else {
			e.Outputs = append(e.Outputs, out)
		}
	}
	return e, p, nil
}

// addressOf gives the one address of a script.
func addressOf(script []byte, net *chaincfg.Params) (string, error) {
	_, found, _, err := txscript.ExtractPkScriptAddrs(script, net)
	if err != nil {
		return "", err
	}
	if len(found) != 1 {
		return "", fmt.Errorf("script %x has %d addresses", script, len(found))
	}
	return found[0].EncodeAddress(), nil
}

// sameTx compares what two decoders read of a PSBT.
func sameTx(own btc.PSBT, p *psbt.Packet) error {
	tx := p.UnsignedTx
	if err := first(
		same("transaction id", own.Tx.TxID(), tx.TxHash().String()),
		same("version", own.Tx.Version, tx.Version),
		same("lock time", own.Tx.LockTime, tx.LockTime),
		same("inputs, number", len(own.Tx.Inputs), len(tx.TxIn)),
		same("inputs, described", len(own.Inputs), len(p.Inputs)),
		same("outputs, number", len(own.Tx.Outputs), len(tx.TxOut)),
		same("outputs, described", len(own.Outputs), len(p.Outputs)),
	); err != nil {
		return err
	}
	for i, in := range tx.TxIn {
		about := fmt.Sprintf("input %d", i)
		utxo := p.Inputs[i].WitnessUtxo
		if utxo == nil {
			return refused(about, errors.New("it has no witness utxo"))
		}
		if err := first(
			same(about, own.Tx.Inputs[i].OutPoint, in.PreviousOutPoint.String()),
			same(about+", sequence", own.Tx.Inputs[i].Sequence, in.Sequence),
			same(about+", amount", uint64(own.Inputs[i].WitnessUTXO.Value), utxo.Value),
			same(about+", script", own.Inputs[i].WitnessUTXO.Script, hex.EncodeToString(utxo.PkScript)),
			samePrevious(about, own.Inputs[i].NonWitnessUTXO, p.Inputs[i].NonWitnessUtxo, in.PreviousOutPoint, utxo),
		); err != nil {
			return err
		}
	}
	for i, o := range tx.TxOut {
		about := fmt.Sprintf("output %d", i)
		if err := first(
			same(about+", amount", uint64(own.Tx.Outputs[i].Value), o.Value),
			same(about+", script", own.Tx.Outputs[i].Script, hex.EncodeToString(o.PkScript)),
		); err != nil {
			return err
		}
	}
	return nil
}

// samePrevious checks that the previous transaction, where it is given, makes the output that is said to be in it.
func samePrevious(about string, own []byte, previous *wire.MsgTx, spent wire.OutPoint, utxo *wire.TxOut) error {
	if err := same(about+", previous transaction given", own != nil, previous != nil); err != nil || previous == nil {
		return err
	}
	if err := same(about+", previous transaction", spent.Hash.String(), previous.TxHash().String()); err != nil {
		return err
	}
	if uint64(spent.Index) >= uint64(len(previous.TxOut)) {
		return refused(about, errors.New("the previous transaction has no such output"))
	}
	made := previous.TxOut[spent.Index]
	return first(
		same(about+", previous amount", made.Value, utxo.Value),
		same(about+", previous script", hex.EncodeToString(made.PkScript), hex.EncodeToString(utxo.PkScript)),
	)
}

// sameHashes compares the signature hashes of all inputs.
func sameHashes(own btc.PSBT, p *psbt.Packet) error {
	h, err := btc.NewSighasher(own.Tx, own.Prevouts())
	if err != nil {
		return err
	}
	fetch := fetcher(p)
	hashes := txscript.NewTxSigHashes(p.UnsignedTx, fetch)
	for i, in := range p.Inputs {
		ownHash, err := h.Hash(i)
		if err != nil {
			return err
		}
		var theirs []byte
		if txscript.IsPayToTaproot(in.WitnessUtxo.PkScript) {
			theirs, err = txscript.CalcTaprootSignatureHash(hashes, txscript.SigHashDefault, p.UnsignedTx, i, fetch)
		} else {
			theirs, err = txscript.CalcWitnessSigHash(in.WitnessUtxo.PkScript, hashes, txscript.SigHashAll, p.UnsignedTx, i, in.WitnessUtxo.Value)
		}
		if err != nil {
			return refused(fmt.Sprintf("input %d, signature hash", i), err)
		}
		if err := same(fmt.Sprintf("input %d, signature hash", i), hex.EncodeToString(ownHash[:]), hex.EncodeToString(theirs)); err != nil {
			return err
		}
	}
	return nil
}

func fetcher(p *psbt.Packet) *txscript.MultiPrevOutFetcher {
	spent := map[wire.OutPoint]*wire.TxOut{}
	for i, in := range p.Inputs {
		spent[p.UnsignedTx.TxIn[i].PreviousOutPoint] = in.WitnessUtxo
	}
	return txscript.NewMultiPrevOutFetcher(spent)
}

// bitcoinSigned runs the scripts of a signed transaction as a node does, checks that it is the payload with witnesses added,
// and gives its id.
func bitcoinSigned(p *psbt.Packet, signed []byte) (string, error) {
	own, _, err := btc.DecodeSigned(signed)
	if err != nil {
		return "", err
	}
	var tx wire.MsgTx
	r := bytes.NewReader(signed)
	if err := tx.Deserialize(r); err != nil || r.Len() > 0 {
		return "", refused("signed transaction", errors.Join(err, fmt.Errorf("%d bytes follow", r.Len())))
	}
	id := tx.TxHash().String()
	if err := first(
		same("signed transaction, id", p.UnsignedTx.TxHash().String(), id),
		same("signed transaction, id", chainhash.Hash(own.TxID()).String(), id),
	); err != nil {
		return "", err
	}
	fetch := fetcher(p)
	hashes := txscript.NewTxSigHashes(&tx, fetch)
	for i, in := range p.Inputs {
		vm, err := txscript.NewEngine(in.WitnessUtxo.PkScript, &tx, i, txscript.StandardVerifyFlags, nil, hashes, in.WitnessUtxo.Value, fetch)
		if err == nil {
			err = vm.Execute()
		}
		if err != nil {
			return "", refused(fmt.Sprintf("signed transaction, input %d", i), err)
		}
	}
	return id, nil
}
