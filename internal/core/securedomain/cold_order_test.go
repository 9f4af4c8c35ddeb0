// SPDX-License-Identifier: Apache-2.0

package securedomain_test

import (
	"context"
	"crypto/ed25519"
	"testing"

	"strongroom/internal/core/keystore"
	"strongroom/internal/core/securedomain/domaintest"
	"strongroom/internal/gate/message"
	"strongroom/internal/pure/authority"
	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/problem"
	"strongroom/internal/pure/request"
)

// While the move of a key is not pinned its blob stays, and no bundle goes: a crash then leaves the key where it was. The copy that could not be
// kept moves nothing.
func TestMoveIsPinnedBeforeTheBlobGoes(t *testing.T) {
	t.Parallel()
	faults := &domaintest.Faults{}
	p := newPair(t, domaintest.Options{Faults: faults})
	to := p.far().ID
	v, err := p.Govern(request.WalletMove, request.WalletMoveBody{Wallet: "hot", To: to[:], Temperature: request.Cold}, p.Bob)
	if err != nil {
		t.Fatal(err)
	}
	faults.FailAt(domaintest.BlobPut, 1, domaintest.Before, false)
	if _, err := p.Decide(p.Carol, v, request.Approve); problem.KindOf(err) != problem.Internal {
		t.Fatalf("without a sealed copy: %v", err)
	}
	if w, err := p.D.Wallet("hot"); err != nil || w.Away != nil {
		t.Fatalf("the key moved, and its copy was not kept: %v, %+v", err, w)
	}
	mustPay(t, p.Harness, "hot", 0)
	faults.Disarm()
	if err := p.D.Settle(context.Background()); err != nil { // the result of the payment
		t.Fatal(err)
	}
	reached, release := faults.Hold(domaintest.AnchorPin, domaintest.Before)
	done := make(chan error, 1)
	go func() {
		_, err := p.D.Execute(context.Background(), v.ID)
		done <- err
	}()
	<-reached
	for range 200 { // the worker has been woken: it would have erased
		if here, sealed := p.seats(); here != 1 || sealed != 1 {
			t.Errorf("%d blobs and %d sealed copies are here while the move is not pinned", here, sealed)
			break
		}
	}
	release()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	p.wantSeats(0, 1)
	if w, err := p.D.Wallet("hot"); err != nil || w.Away == nil || w.Away.Way != authority.Leaving.String() {
		t.Errorf("%v, %+v", err, w)
	}
}

// What the operators of an offline domain did not sign is not signed here as soon as the key is back: it is decided once more, by the approvals
// of people who still count, and neither a replacement nor another move gets round that.
func TestUnsignedPermitsComeBack(t *testing.T) {
	t.Parallel()
	p := newPair(t, domaintest.Options{})
	dave := domaintest.NewPerson("dave")
	enrol := request.PersonEnrolBody{Person: dave.ID, Kind: "human", Key: dave.Pub, Groups: []custody.GroupID{"officers"}}
	enrol.Possession = ed25519.Sign(dave.Key, enrol.EnrolMessage(p.D.Authority()))
	govern(t, p.Harness, request.PersonEnrol, enrol)
	p.mustMove(request.Cold)
	p.carry()
	v, payload := p.permits(1000, 10)
	other, err := p.Govern(request.Transfer, transferBody("hot", ether(), domaintest.Whitelisted, 2000), dave, p.Carol)
	if err != nil {
		t.Fatal(err)
	}
	if out, err := p.D.Sign(context.Background(), other.ID, ethPayload(t, 2000, 1, 10)); err != nil || !out.Exported {
		t.Fatalf("%v, %+v", err, out)
	}
	p.mustMove(request.Hot)
	if in := p.carry(); len(in.MovedOut) != 1 || len(in.Signed) > 0 {
		t.Fatalf("%+v", in)
	}
	if out, err := p.D.Sign(context.Background(), v.ID, payload); err != nil || len(out.Bytes) == 0 {
		t.Errorf("allowed as it was: %v", err)
	}
	govern(t, p.Harness, request.PersonRevoke, request.PersonRevokeBody{Person: dave.ID})
	for range 2 {
		if _, err := p.D.Sign(context.Background(), other.ID, nil); problem.KindOf(err) != problem.QuorumNotMet {
			t.Errorf("an approver was revoked: %v", err)
		}
		if _, err := p.D.Sign(context.Background(), other.ID, ethPayload(t, 2000, 1, 20)); problem.KindOf(err) != problem.QuorumNotMet {
			t.Errorf("replaced: %v", err)
		}
		p.Check()
		p.Reopen()
	}
	p.mustMove(request.Cold)
	if _, err := p.D.Sign(context.Background(), other.ID, nil); problem.KindOf(err) != problem.KeyAway {
		t.Errorf("away again: %v", err)
	}
	if got := p.state(other.ID, message.StateSigned); got.Signed != nil && len(got.Signed.Bytes) > 0 {
		t.Errorf("the move has signed it: %+v", got)
	}
	p.Check()
}

// A blob of the seed that no entry names, left by a crash, does not stay when the key leaves.
func TestOrphansLeaveWithTheKey(t *testing.T) {
	t.Parallel()
	p := newPair(t, domaintest.Options{})
	w, err := p.D.Wallet("hot")
	if err != nil {
		t.Fatal(err)
	}
	orphan := []byte("an older blob of the seed")
	p.memory.SetBlob(keystore.Ref{Key: w.Wallet.Key, Hash: keystore.Hash(orphan)}, orphan)
	p.wantSeats(2, 0)
	p.mustMove(request.Cold)
	p.wantSeats(0, 1)
	p.carry()
	p.wantSeats(0, 0)
	p.Check()
}
