// SPDX-License-Identifier: Apache-2.0

// Package signer makes what a wallet's seed is for: its public account key, and the signatures of a permit. Who may have them, and when, its
// callers decide (securedomain for a domain that is online, offline for one that is not); they hand it the key of an address, once, inside a
// function.
//
// It refuses to give a signature that does not verify: the curve backend checks each before it returns it. Scalars lie in an arena all the
// time.
package signer

import (
	"fmt"

	"strongroom/internal/core/internal/curve"
	"strongroom/internal/core/internal/hd"
	"strongroom/internal/pure/authority"
	"strongroom/internal/pure/btc"
	"strongroom/internal/pure/entry"
	"strongroom/internal/pure/eth"
	"strongroom/internal/pure/problem"
	"strongroom/internal/pure/request"
	"strongroom/internal/pure/secp"
	"strongroom/internal/secret"
)

// WithKey calls f with the secret scalar of a wallet's address, whose public side is pub.
type WithKey func(w entry.Wallet, p entry.KeyPath, pub authority.Derived, f func(sk []byte) error) error

// WithToken has the token sign a digest with the key of a wallet of class token: r || s, the lower s. Its nonces are its own, so each call gives
// another signature.
type WithToken func(w entry.Wallet, digest [32]byte) ([]byte, error)

// Signer signs permits. Its methods are safe for concurrent use if its functions are.
type Signer struct {
	Curve  *curve.Backend
	Derive authority.Deriver
	Key    WithKey
	Token  WithToken // nil: wallets of class token are refused
}

// Permit makes the signatures of a permit, in the order of its keys. aux is auxiliary randomness that follows from an entry of the log, so that
// signing the permit again gives the same bytes, but for wallets of class token.
func (s Signer) Permit(w entry.Wallet, p *entry.Permit, aux [32]byte) ([][]byte, error) {
	if w.Scheme == request.SchemeEVM && eth.IsMessage(p.Payload) {
		sig, err := s.ethereum(w, p.Keys[0], eth.Keccak256(p.Payload), aux)
		return [][]byte{sig}, err
	}
	if w.Scheme == request.SchemeEVM {
		tx, err := eth.DecodeUnsigned(p.Payload)
		if err != nil {
			return nil, problem.Wrap(problem.Internal, err, "decode the payload")
		}
		digest, err := tx.SigningHash()
		if err != nil {
			return nil, problem.Wrap(problem.Internal, err, "signing hash")
		}
		sig, err := s.ethereum(w, p.Keys[0], digest, aux)
		return [][]byte{sig}, err
	}
	psbt, err := btc.DecodePSBT(p.Payload)
	if err != nil {
		return nil, problem.Wrap(problem.Internal, err, "decode the payload")
	}
	h, err := btc.NewSighasher(psbt.Tx, psbt.Prevouts())
	if err != nil {
		return nil, problem.Wrap(problem.Internal, err, "signature hash")
	}
	sigs := make([][]byte, len(p.Keys))
	for i, k := range p.Keys {
		digest, err := h.Hash(i)
		if err != nil {
			return nil, problem.Wrap(problem.Internal, err, "signature hash of input %d", i)
		}
		if sigs[i], err = s.bitcoin(w, k, digest, aux); err != nil {
			return nil, err
		}
	}
	return sigs, nil
}

func (s Signer) ethereum(w entry.Wallet, k entry.KeyPath, digest, aux [32]byte) (out []byte, err error) {
	pub, err := s.Derive(w, k)
	if err != nil {
		return nil, problem.Wrap(problem.Internal, err, "derive the public key")
	}
	if w.Class == request.ClassToken {
		out, err = s.token(w, pub.Public, digest)
		return out, failure(err)
	}
	err = s.Key(w, k, pub, func(sk []byte) error {
		sig, recid, err := s.Curve.SignECDSA(sk, pub.Public.Compressed(), digest, aux)
		out = append(append(make([]byte, 0, 65), sig[:]...), recid)
		return err
	})
	if err == nil && out[64] > 1 {
		err = fmt.Errorf("recovery id %d has no y parity", out[64]) // r overflowed: probability 2^-127
	}
	return out, failure(err)
}

// token has the token sign, and verifies: what it gives is a signature of the digest by the wallet's key, with the y parity that leads back to it.
func (s Signer) token(w entry.Wallet, pub secp.PublicKey, digest [32]byte) ([]byte, error) {
	if s.Token == nil {
		return nil, problem.New(problem.Unsupported, "the key of wallet %q is in a token, and there is none here", w.ID)
	}
	sig, err := s.Token(w, digest)
	if err != nil {
		return nil, err
	}
	if len(sig) != secp.SignatureSize {
		return nil, fmt.Errorf("the token gave a signature of %d bytes", len(sig))
	}
	id, err := secp.RecoverID(pub, digest, [secp.SignatureSize]byte(sig))
	if err != nil {
		return nil, fmt.Errorf("the token's signature does not verify: %w", err)
	}
	if id > 1 {
		return nil, fmt.Errorf("recovery id %d has no y parity", id) // r overflowed: probability 2^-127
	}
	return append(sig[:secp.SignatureSize:secp.SignatureSize], id), nil
}

func (s Signer) bitcoin(w entry.Wallet, k entry.KeyPath, digest, aux [32]byte) (out []byte, err error) {
	pub, err := s.Derive(w, k)
	if err != nil {
		return nil, problem.Wrap(problem.Internal, err, "derive the public key")
	}
	err = s.Key(w, k, pub, func(sk []byte) error {
		if w.Scheme == request.SchemeP2TR {
			sig, err := s.Curve.SignTaproot(sk, pub.Public.Compressed(), nil, digest, aux)
			out = sig[:]
			return err
		}
		sig, _, err := s.Curve.SignECDSA(sk, pub.Public.Compressed(), digest, aux)
		if err != nil {
			return err
		}
		der, err := btc.EncodeDER(sig)
		out = append(der, btc.SighashAll)
		return err
	})
	return out, failure(err)
}

func failure(err error) error {
	if err == nil || problem.KindOf(err) != problem.Internal { // the key was refused, not the signature
		return err
	}
	return problem.Wrap(problem.Internal, err, "signing failed; nothing was released")
}

// FillAccount derives a wallet's public account key from its seed, which stays with the caller: the fields of w that follow from it.
func FillAccount(h *hd.Deriver, w *entry.Wallet, seed secret.Bytes) error {
	path, err := authority.AccountPath(*w)
	if err != nil {
		return err
	}
	master, err := h.Master(seed)
	if err != nil {
		return err
	}
	defer master.Wipe()
	node, err := master.Derive(path)
	if err != nil {
		return err
	}
	defer node.Wipe()
	x, err := node.Neuter()
	if err != nil {
		return err
	}
	pub := x.PublicKey.Compressed()
	w.Master, w.Parent, w.ChainCode, w.Public = master.PublicKey().Fingerprint(), x.ParentFingerprint, x.ChainCode, pub[:]
	if x.Depth != 3 || x.ChildNumber != w.Account|secp.HardenedBit {
		return fmt.Errorf("account key of wallet %s has depth %d and number %d", w.ID, x.Depth, x.ChildNumber)
	}
	return nil
}
