// SPDX-License-Identifier: Apache-2.0

package securedomain_test

import (
	"context"
	"fmt"
	"testing"

	"strongroom/internal/core/auditlog/disk/disktest"
	"strongroom/internal/core/securedomain/domaintest"
	"strongroom/internal/gate/message"
	"strongroom/internal/pure/authority"
	"strongroom/internal/pure/request"
)

// newColdFactory makes machines with a domain that has an offline one beside it, and the wallet hot.
func newColdFactory(t *testing.T) *factory {
	t.Helper()
	f := &factory{log: disktest.New(), anchor: disktest.New(), memory: domaintest.NewMemory()}
	f.base = domaintest.New(t, domaintest.Options{Document: withCold, Log: f.log, Anchor: f.anchor, Memory: f.memory})
	b, add := newBox(t, f.base, "vault")
	f.box = b
	allowMoves(t, f.base, add)
	f.base.Wallet("hot", domaintest.Chain, request.SchemeEVM)
	f.base.Close()
	return f
}

// tellCold is the way of a key to the offline domain and back, with a transfer that is signed there and one that is signed here after. It can be
// told again after each failure, and is.
func (s *story) tellCold() error {
	w, err := s.h.D.Wallet("hot")
	if err != nil {
		return err
	}
	if was, ok := s.wallets["hot"]; ok && was.Address != w.Address {
		s.h.T.Errorf("the wallet had address %s and has %s", was.Address, w.Address)
	}
	s.wallets["hot"] = w
	far := s.h.D.OfflineDomains().Domains[0]
	if err := s.govern("move-out", request.WalletMove, request.WalletMoveBody{Wallet: "hot", To: far.ID[:], Temperature: request.Cold}, s.h.Bob, s.h.Carol); err != nil {
		return err
	}
	s.oneSeat()
	if err := s.carryWhile(func(a *message.Away) bool { return a != nil && a.Way == "leaving" }); err != nil {
		return err
	}
	if err := s.payCold(); err != nil {
		return err
	}
	id := s.h.D.ID()
	if err := s.govern("move-back", request.WalletMove, request.WalletMoveBody{Wallet: "hot", To: id[:], Temperature: request.Hot}, s.h.Bob, s.h.Carol); err != nil {
		return err
	}
	s.oneSeat()
	if err := s.carryWhile(func(a *message.Away) bool { return a != nil && a.Way == "coming" }); err != nil {
		return err
	}
	s.oneSeat()
	v, err := s.approved("pay-here", request.Transfer, transferBody("hot", ether(), domaintest.Whitelisted, 2000), s.h.Bob, s.h.Carol)
	if err != nil {
		return err
	}
	return s.sign(v, ethPayload(s.h.T, 2000, 1, 10))
}

// payCold is a transfer whose permit is signed by the offline domain.
func (s *story) payCold() error {
	v, err := s.approved("pay-cold", request.Transfer, transferBody("hot", ether(), domaintest.Whitelisted, 1000), s.h.Bob, s.h.Carol)
	if err != nil {
		return err
	}
	out, err := s.h.D.Sign(context.Background(), v.ID, ethPayload(s.h.T, 1000, 0, 10))
	if err != nil {
		return fmt.Errorf("permit: %w", err)
	}
	if len(out.Bytes) == 0 {
		if !out.Exported {
			return fmt.Errorf("neither signed nor exported: %+v", out)
		}
		if _, _, err := carry(s.h, s.box); err != nil {
			return err
		}
		if out, err = s.h.D.Sign(context.Background(), v.ID, nil); err != nil {
			return err
		}
	}
	if len(out.Bytes) == 0 {
		return fmt.Errorf("the offline domain did not sign: %+v", out)
	}
	s.keep(out)
	return nil
}

// carryWhile takes a bundle to the offline domain and its result back, as long as the key of the wallet hot stands so.
func (s *story) carryWhile(so func(*message.Away) bool) error {
	for range 3 {
		w, err := s.h.D.Wallet("hot")
		if err != nil || !so(w.Away) {
			return err
		}
		if _, _, err := carry(s.h, s.box); err != nil {
			return err
		}
	}
	return fmt.Errorf("the key stays where it is")
}

// oneSeat requires that the seed of the wallet hot is in exactly one place that somebody can open: a blob here that the log names, or a sealed copy
// that the log names, or the offline domain.
func (s *story) oneSeat() {
	t := s.h.T
	t.Helper()
	w, err := s.h.D.Wallet("hot")
	if err != nil {
		t.Fatal(err)
	}
	blobs := 0
	for ref := range s.memory.Blobs() {
		if ref.Key == w.Wallet.Key {
			blobs++
		}
	}
	sealed := 0
	for ref := range s.memory.Blobs() {
		if ref.Key == authority.SealedCopies {
			sealed++
		}
	}
	switch {
	case w.Away == nil && blobs == 0:
		t.Error("the key is nowhere")
	case w.Away != nil && w.Away.Way == "leaving" && sealed == 0:
		t.Error("the key left, and no sealed copy is there")
	}
}

// Every call that the way of a key makes here fails, before and after its effect, and the process is killed there, or goes on: the key is never
// nowhere, never in two domains, the addresses stay, and what the offline domain signed is not signed here again.
func TestFaultOnTheWayOfAKey(t *testing.T) {
	t.Parallel()
	f := newColdFactory(t)
	for _, op := range []domaintest.Op{domaintest.StoreAppend, domaintest.AnchorPin, domaintest.BlobPut, domaintest.BlobGet, domaintest.BlobDelete, domaintest.StoreRead} {
		t.Run(string(op), func(t *testing.T) {
			t.Parallel()
			sweep(t, f, op)
		})
	}
}
