// SPDX-License-Identifier: Apache-2.0

package securedomain_test

import (
	"strings"
	"testing"
	"time"

	"strongroom/internal/core/auditlog/disk/disktest"
	"strongroom/internal/core/securedomain/domaintest"
	"strongroom/internal/gate/message"
	"strongroom/internal/pure/problem"
	"strongroom/internal/pure/request"
)

// The log loses a transfer that was signed in the offline domain, and is re-anchored. That domain follows, and says what it had signed; then it
// signs again. Before its result no seed is sealed to it: its import key may be used.
func TestColdAfterLoss(t *testing.T) {
	t.Parallel()
	log := disktest.New()
	p := newPair(t, domaintest.Options{Log: log, Anchor: disktest.New()})
	p.Wallet("other", domaintest.Chain, request.SchemeEVM)
	p.mustMove(request.Cold)
	p.carry()
	p.Close()
	earlier := log.Clone()
	if err := p.Open(); err != nil {
		t.Fatal(err)
	}
	signed, _ := p.permits(10, 10)
	if in := p.carry(); len(in.Signed) != 1 {
		t.Fatalf("%+v", in)
	}
	p.state(signed.ID, message.StateSigned)
	p.Close()
	p.Options.Log = earlier
	if err := p.Apply(p.Draft(p.Bob, p.Carol)); err != nil {
		t.Fatal(err)
	}
	if err := p.Open(); err != nil {
		t.Fatal(err)
	}
	if _, _, err := bundle(p.Harness, "vault", true); problem.KindOf(err) != problem.Reanchoring {
		t.Errorf("a bundle while the time-lock runs: %v", err)
	}
	p.Clock.Advance(73 * time.Hour)
	p.Reopen()
	(&setBack{Harness: p.Harness}).settles()
	far := p.far().ID
	if _, err := p.Govern(request.WalletMove, request.WalletMoveBody{Wallet: "other", To: far[:], Temperature: request.Cold}, p.Bob, p.Carol); problem.KindOf(err) != problem.Conflict || !strings.Contains(err.Error(), "import its next result first") {
		t.Errorf("a move to an offline domain that has not been heard of: %v", err)
	}
	in := p.carry()
	if len(in.Lost) != 1 || in.Lost[0].TxID == "" || in.Lost[0].Account == "" || in.Lost[0].Wallet != "hot" || len(in.Signed) > 0 {
		t.Fatalf("%+v", in)
	}
	if v, err := p.Govern(request.SlotReconcile, request.SlotReconcileBody{Wallet: "hot", Accounts: []request.WalletNonce{{Next: 1}}}, p.Bob, p.Carol); err != nil {
		t.Fatalf("%v, %+v", err, v)
	}
	again, _ := p.permits(20, 10)
	if in := p.carry(); len(in.Signed) != 1 || in.Signed[0] != again.ID || len(in.Lost) > 0 {
		t.Fatalf("%+v", in)
	}
	if _, err := p.Govern(request.WalletMove, request.WalletMoveBody{Wallet: "other", To: far[:], Temperature: request.Cold}, p.Bob, p.Carol); err != nil {
		t.Error(err)
	}
	p.carry()
	p.Reopen()
	p.Check()
}
