// SPDX-License-Identifier: Apache-2.0

package securedomain_test

import (
	"strings"
	"testing"

	"strongroom/internal/core/securedomain/domaintest"
	"strongroom/internal/pure/problem"
	"strongroom/internal/pure/request"
)

// An online domain that went on from a backup gives the same numbers to other bundles and other entries: a result for what it was before is not
// taken, whether or not it remembers its bundle.
func TestResultOfAnotherHistory(t *testing.T) {
	t.Parallel()
	p := newPair(t, domaintest.Options{})
	p.mustMove(request.Cold)
	p.carry()
	p.wantSeats(0, 0)
	f := domaintest.Folder{}
	mustBackUp(t, p.Harness, f)
	p.permits(5, 10)
	out, b, err := bundle(p.Harness, "vault", false)
	if err != nil {
		t.Fatal(err)
	}
	result, _, err := p.box.work(out, p.Alice, p.Bob)
	if err != nil {
		t.Fatal(err)
	}
	r := p.NewMachine(false)
	if _, err := r.RestoreBackup(f, f.Newest()); err != nil {
		t.Fatal(err)
	}
	p.Close()
	r.Reopen()
	p.Harness = r
	for i := range uint64(3) {
		p.asks(100 + i)
	}
	if _, again, err := bundle(r, "vault", false); err != nil || again.Number != b.Number {
		t.Fatalf("%v: bundle %d, want %d again", err, again.Number, b.Number)
	}
	size := r.D.Status().Size
	if _, err := handIn(r, result); problem.KindOf(err) != problem.Conflict || !strings.Contains(err.Error(), "another bundle") {
		t.Errorf("while the bundle is remembered: %v", err)
	}
	if r.D.Status().Size != size {
		t.Error("what was refused left entries")
	}
	r.Reopen()
	size = r.D.Status().Size
	if _, err := handIn(r, result); problem.KindOf(err) != problem.Conflict || !strings.Contains(err.Error(), "another history") {
		t.Errorf("after a start: %v", err)
	}
	if r.D.Status().Size != size {
		t.Error("what was refused left entries")
	}
	r.Check()
}

// Before a log goes on without its end, whoever prepares that is told which offline domains may know the end, and what becomes of them.
func TestReanchorNamesOfflineDomains(t *testing.T) {
	t.Parallel()
	p := newPair(t, domaintest.Options{})
	followers := func() []string {
		t.Helper()
		p.Close()
		r, err := p.Remain()
		if err != nil {
			t.Fatal(err)
		}
		defer p.Close()
		defer r.Close()
		return r.Followers()
	}
	if said := followers(); len(said) != 1 || !strings.Contains(said[0], `"vault" has no wallets`) {
		t.Errorf("no wallet is away: %q", said)
	}
	p.Reopen()
	p.mustMove(request.Cold)
	if said := followers(); len(said) != 1 || !strings.Contains(said[0], `"vault" has wallets (hot)`) || !strings.Contains(said[0], "agree to the re-anchoring") {
		t.Errorf("%q", said)
	}
}
