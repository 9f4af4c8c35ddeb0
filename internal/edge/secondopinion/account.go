// SPDX-License-Identifier: Apache-2.0

package secondopinion

import (
	"bytes"
	"fmt"

	"github.com/btcsuite/btcd/address/v2"
	"github.com/btcsuite/btcd/btcutil/v2/hdkeychain"
	"github.com/btcsuite/btcd/chaincfg/v2"
	"github.com/btcsuite/btcd/psbt/v2"
	"github.com/btcsuite/btcd/txscript/v2"
	"github.com/ethereum/go-ethereum/crypto"

	"strongroom/internal/pure/authority"
	"strongroom/internal/pure/entry"
	"strongroom/internal/pure/request"
)

// account derives a wallet's addresses with btcsuite's BIP-32.
type account struct {
	wallet entry.Wallet
	key    *hdkeychain.ExtendedKey // nil of a wallet of class token
	net    *chaincfg.Params        // Bitcoin only
}

func accountOf(w entry.Wallet) (account, error) {
	a := account{wallet: w, net: &chaincfg.MainNetParams}
	if w.Scheme != request.SchemeEVM {
		var err error
		if a.net, err = netOf(w.Chain); err != nil {
			return a, err
		}
	}
	if w.Class == request.ClassToken {
		return a, nil // nothing is derived from its key
	}
	const hardened = 1 << 31
	a.key = hdkeychain.NewExtendedKey(a.net.HDPublicKeyID[:], w.Public, w.ChainCode[:], w.Parent[:], 3, w.Account|hardened, false)
	return a, nil
}

// at gives the address at a path and compares it with the own derivation.
func (a account) at(path entry.KeyPath) (string, []byte, error) {
	own, err := authority.Derive(a.wallet, path)
	if err != nil {
		return "", nil, err
	}
	about := fmt.Sprintf("address %d/%d of wallet %s", path.Branch, path.Index, a.wallet.ID)
	if a.wallet.Class == request.ClassToken { // the own derivation has refused any other than its one address
		pub, err := crypto.DecompressPubkey(a.wallet.Public)
		if err != nil {
			return "", nil, refused(about, err)
		}
		text := crypto.PubkeyToAddress(*pub).Hex()
		return text, nil, same(about, own.Address, text)
	}
	key, err := a.key.Derive(path.Branch)
	if err == nil {
		key, err = key.Derive(path.Index)
	}
	if err != nil {
		return "", nil, refused(about, err)
	}
	pub, err := key.ECPubKey()
	if err != nil {
		return "", nil, refused(about, err)
	}
	if a.wallet.Scheme == request.SchemeEVM {
		text := crypto.PubkeyToAddress(*pub.ToECDSA()).Hex()
		return text, nil, same(about, own.Address, text)
	}
	var found address.Address
	if a.wallet.Scheme == request.SchemeP2TR {
		found, err = address.NewAddressTaproot(txscript.ComputeTaprootKeyNoScript(pub).SerializeCompressed()[1:], a.net)
	} else {
		found, err = address.NewAddressWitnessPubKeyHash(address.Hash160(pub.SerializeCompressed()), a.net)
	}
	if err != nil {
		return "", nil, refused(about, err)
	}
	script, err := txscript.PayToAddrScript(found)
	if err != nil {
		return "", nil, refused(about, err)
	}
	return found.EncodeAddress(), script, same(about, own.Address, found.EncodeAddress())
}

// owns tells whether a script pays the wallet, by the path that a PSBT claims and the address that is derived at it.
func (a account) owns(script []byte, plain []*psbt.Bip32Derivation, tap []*psbt.TaprootBip32Derivation) (branch uint32, mine bool, err error) {
	var path []uint32
	switch {
	case len(plain) == 1 && len(tap) == 0:
		path = plain[0].Bip32Path
	case len(tap) == 1 && len(plain) == 0:
		path = tap[0].Bip32Path
	default:
		return 0, false, nil
	}
	if len(path) < 2 || path[len(path)-2] > 1 {
		return 0, false, nil
	}
	key := entry.KeyPath{Branch: path[len(path)-2], Index: path[len(path)-1]}
	_, derived, err := a.at(key)
	if err != nil {
		return 0, false, err
	}
	return key.Branch, bytes.Equal(derived, script), nil
}
