// SPDX-License-Identifier: Apache-2.0

package securedomain_test

import (
	"context"
	"testing"

	"strongroom/internal/core/securedomain/domaintest"
	"strongroom/internal/pure/authority"
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
