// SPDX-License-Identifier: Apache-2.0

package domaintest

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"crypto/sha512"
	"errors"
	"fmt"

	"strongroom/internal/core/domainkeys"
	"strongroom/internal/core/keystore"
	"strongroom/internal/core/recovery"
	"strongroom/internal/gate/message"
	"strongroom/internal/pure/authority"
	"strongroom/internal/pure/canon"
	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/problem"
	"strongroom/internal/pure/request"
	"strongroom/internal/pure/ristretto"
	"strongroom/internal/pure/share"
	"strongroom/internal/secret"
)

// custodians is how many custodians a harness has.
const custodians = 3

// Custodian is the key of a custodian of the n-th set, by share from 1.
func Custodian(set, share int) Person {
	return NewPerson(fmt.Sprintf("custodian %d of set %d", share, set))
}

// NewRecovery gives the recovery record of the n-th set of custodians. The commitments are made up: the domain doesn't look into them.
func (h *Harness) NewRecovery(a *secret.Arena, set int) *request.Recovery {
	h.T.Helper()
	k := h.RecoveryKey(a, set)
	defer k.Wipe()
	r := &request.Recovery{Public: k.Public(), Threshold: 2, Shares: custodians, Commitments: h.commitments(set),
		Transcript: bytes.Repeat([]byte{0xee}, 32)}
	for i := range custodians {
		r.Custodians = append(r.Custodians, Custodian(set, i+1).Pub)
	}
	return r
}

// commitments are two that a sharing could have.
func (h *Harness) commitments(set int) []byte {
	uniform := sha512.Sum512([]byte{byte(set)})
	a, b := ristretto.FromUniform(&uniform).Encode(), share.Generator().Encode()
	return append(a[:], b[:]...)
}

// RecoveryKey is the recovery key of the n-th set of custodians.
func (h *Harness) RecoveryKey(a *secret.Arena, set int) *recovery.Key {
	h.T.Helper()
	master, err := secret.Take(a, bytes.Repeat([]byte{byte(set)}, recovery.MasterSize))
	if err != nil {
		h.T.Fatal(err)
	}
	defer master.Wipe()
	k, err := recovery.Derive(a, master)
	if err != nil {
		h.T.Fatal(err)
	}
	return k
}

// Receipts are those of all custodians of a set, from one ceremony.
func (h *Harness) Receipts(r *request.Recovery, set int) (out []request.ShareReceipt) {
	h.T.Helper()
	c, err := share.Parse(share.Scheme{Threshold: uint8(r.Threshold), Shares: uint8(r.Shares)}, r.Commitments)
	if err != nil {
		h.T.Fatal(err)
	}
	for i := range r.Custodians {
		x := share.NewReceipt(share.NewMeta([32]byte{7}, c, uint8(i+1), fmt.Sprintf("custodian %d", i+1), sha256.Sum256(r.Public)), c, [32]byte{})
		out = append(out, request.ShareReceipt{Receipt: canon.Encode(x), Sig: ed25519.Sign(Custodian(set, i+1).Key, x.Message())})
	}
	return out
}

// Life tells where the domain stands.
func (h *Harness) Life() message.Life { return h.D.Status().Life }

// Govern has alice ask for something, and others approve it.
func (h *Harness) Govern(op request.Operation, body any, by ...Person) (message.Request, error) {
	v, err := h.Submit(h.Alice, h.Request(h.Alice, op, body), nil)
	for _, p := range by {
		if err == nil {
			v, err = h.Decide(p, v, request.Approve)
		}
	}
	return v, err
}

// Step does the next step of a rotation, whatever it is, as alice with the approvals of bob and carol: load, commit, activate, finalize. It
// waits until activation and load are possible. It gives the operation.
func (h *Harness) Step() (request.Operation, error) {
	l, err := h.Settled()
	if err != nil {
		return "", err
	}
	op, body := request.EpochLoad, any(request.EpochLoadBody{Counter: l.Counter + 1, Epoch: l.NextEpoch})
	switch n, p := l.Next, l.Previous; {
	case p != nil:
		op, body = request.EpochFinalize, request.EpochFinalizeBody{Counter: l.Counter + 1, Epoch: p.Epoch, Pattern: p.Pattern}
	case n != nil && n.Committed:
		op, body = request.EpochActivate, request.EpochActivateBody{Counter: l.Counter + 1, Epoch: n.Epoch, Pattern: n.Pattern}
	case n != nil:
		op, body = request.EpochCommit, request.EpochCommitBody{Counter: l.Counter + 1, Epoch: n.Epoch, Pattern: n.Pattern}
	}
	_, err = h.Govern(op, body, h.Bob, h.Carol)
	return op, err
}

// Settled waits until no key lacks a blob and nothing is doomed, and tells where the domain stands. It gives up when the work stands still.
func (h *Harness) Settled() (message.Life, error) {
	for {
		s := h.D.Status()
		l := s.Life
		switch {
		case h.D.Cause() != nil:
			return l, problem.Wrap(problem.Stopped, h.D.Cause(), "the domain has failed")
		case l.Fault != "":
			return l, problem.New(problem.Internal, "the work stands still: %s", l.Fault)
		case l.Doomed == 0 && (l.Next == nil || l.Next.Lacking == 0):
			return l, nil
		}
		if _, err := h.D.Feed(context.Background(), message.Feed{From: s.Size, Limit: 1, Wait: 200}); err != nil && problem.KindOf(err) != problem.Malformed {
			return l, err
		}
	}
}

// Zeroize has somebody zeroize the domain.
func (h *Harness) Zeroize(by Person) (message.Request, error) {
	return h.Submit(by, h.Request(by, request.Zeroize, request.ZeroizeBody{Counter: h.Life().Counter + 1, Phrase: request.ZeroizePhrase(h.D.ID())}), nil)
}

// PutBack opens the sealed copies of the current epoch with the secret of a set of custodians, and hands the working key back. copies is what
// a backup has: the blobs under the key id of sealed copies.
func (h *Harness) PutBack(set int, copies map[keystore.Ref][]byte) error {
	h.T.Helper()
	a, err := secret.NewArena(secret.Config{Size: 1 << 20})
	if err != nil {
		return err
	}
	defer func() { _ = a.Close() }()
	k := h.RecoveryKey(a, set)
	defer k.Wipe()
	var all [][]byte
	var dwk *domainkeys.DWK
	at, why := h.Life(), keystore.ErrNotFound
	for ref, b := range copies {
		if ref.Key != authority.SealedCopies {
			continue
		}
		d, err := domainkeys.RecoverDWK(a, k, [32]byte(h.Genesis.Identity), at.Epoch, b)
		if err == nil && bytes.Equal(d.Pattern[:], at.Pattern) {
			dwk, all = d, append(all, b)
			continue
		}
		i, other := domainkeys.RecoverIdentity(a, k, [32]byte(h.Genesis.Identity), b)
		if other == nil {
			i.Wipe()
			all = append(all, b)
			continue
		}
		why = errors.Join(why, err, other)
	}
	if dwk == nil {
		return fmt.Errorf("none of %d copies is the working key of epoch %d: %w", len(all), at.Epoch, why)
	}
	defer dwk.Wipe()
	return h.D.PutBack(context.Background(), dwk, all...)
}

// Restore has the domain take the working key that was put back.
func (h *Harness) Restore() (message.Request, error) {
	l := h.Life()
	return h.Govern(request.Restore, request.RestoreBody{Counter: l.Counter + 1, Epoch: l.Epoch, Pattern: custody.HexBytes(l.Pattern)}, h.Bob, h.Carol)
}

// NewRecoveryOf is [Harness.NewRecovery] in an arena of its own.
func (h *Harness) NewRecoveryOf(set int) *request.Recovery {
	h.T.Helper()
	a, err := secret.NewArena(secret.Config{Size: 1 << 20})
	if err != nil {
		h.T.Fatal(err)
	}
	defer func() { _ = a.Close() }()
	return h.NewRecovery(a, set)
}
