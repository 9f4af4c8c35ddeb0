// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"crypto/ed25519"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"strongroom/internal/gate"
	"strongroom/internal/gate/message"
	"strongroom/internal/pure/authority"
	"strongroom/internal/pure/canon"
	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/problem"
	"strongroom/internal/pure/request"
)

// life has an officer ask for an operation on the life cycle, and the two others approve it.
func (c *core) life(op request.Operation, body any) error {
	ctx := context.Background()
	by := c.s.officers[0]
	r := c.s.ask(by, fmt.Sprintf("life-%d", time.Now().UnixNano()), op, body)
	v, err := gate.Call[message.Submit, message.Request](ctx, c.door, message.MethodSubmit, message.Submit{Request: r.Encode(), Evidence: by.evidence(r)})
	for _, by := range c.s.officers[1:] {
		if err != nil || v.State != message.StatePending {
			break
		}
		m := authority.StatementOf(c.s.authority, c.s.domain, v.ID, r.Initiator, v.Effects, v.Bounds, v.Decision).By(by.id, request.Approve).Message()
		v, err = gate.Call[message.Approve, message.Request](ctx, c.door, message.MethodApprove, message.Approve{Approval: request.Approval{Request: v.ID,
			Person: by.id, Decision: request.Approve, Key: by.public().Ref(), Sig: ed25519.Sign(by.key, m)}})
	}
	if err == nil && v.State != message.StateExecuted {
		err = fmt.Errorf("%s is %s: %+v", op, v.State, v.Missing)
	}
	return err
}

// settled waits until nothing of the life cycle is under way.
func (c *core) settled() message.Life {
	c.s.t.Helper()
	for end := time.Now().Add(2 * patience); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		l := c.status().Life
		if l.Fault != "" {
			c.s.t.Fatalf("the work stands still: %s", l.Fault)
		}
		if l.Doomed == 0 && (l.Next == nil || l.Next.Lacking == 0) {
			return l
		}
	}
	c.s.t.Fatal("the work does not end")
	return message.Life{}
}

// While the working key is replaced under load, no call of any caller fails: two rotations with 64 callers, many keys, and the cache emptied at
// each step. Then the domain is zeroized under the same load: nothing is signed after the answer.
func TestRotationUnderLoad(t *testing.T) {
	t.Parallel()
	s := newSite(t, t.TempDir())
	s.create()
	c := s.start()
	c.wallet(callers)
	for i := range 40 {
		c.govern(fmt.Sprintf("wallet-%d", i), request.WalletCreate, request.WalletCreateBody{Wallet: custody.WalletID(fmt.Sprintf("more-%d", i)), Chain: testChain, Scheme: request.SchemeEVM})
	}
	c.openSession()
	l := s.load(c)
	moved := func(what string) { // every step is passed under load, not between two loads
		t.Helper()
		for was, end := l.got.Load(), time.Now().Add(patience); l.got.Load() < was+3*callers; time.Sleep(time.Millisecond) {
			if time.Now().After(end) {
				t.Fatalf("after %s nothing is signed any more", what)
			}
		}
	}
	for epoch := uint64(2); epoch < 4; epoch++ {
		for _, op := range []request.Operation{request.EpochLoad, request.EpochCommit, request.EpochActivate, request.EpochFinalize} {
			at := c.settled()
			var body any
			switch n := at.Counter + 1; op {
			case request.EpochLoad:
				body = request.EpochLoadBody{Counter: n, Epoch: at.NextEpoch}
			case request.EpochCommit:
				body = request.EpochCommitBody{Counter: n, Epoch: epoch, Pattern: at.Next.Pattern}
			case request.EpochActivate:
				body = request.EpochActivateBody{Counter: n, Epoch: epoch, Pattern: at.Next.Pattern}
			default:
				body = request.EpochFinalizeBody{Counter: n, Epoch: epoch - 1, Pattern: at.Previous.Pattern}
			}
			if err := c.life(op, body); err != nil {
				t.Fatal(err)
			}
			moved(string(op))
		}
	}
	if lost := l.lost.Load(); lost != 0 {
		t.Errorf("%d of %d calls failed while the working key was replaced", lost, l.got.Load()+lost)
	}
	l.settle(c)
	c.wantSealed("dwk-3", "identity")

	if err := c.life(request.Zeroize, request.ZeroizeBody{Counter: c.settled().Counter + 1, Phrase: request.ZeroizePhrase(s.domain)}); err != nil {
		t.Fatal(err)
	}
	c.zeroized()
	c.stop()
	c = s.start()
	c.zeroized()
	c.check()
	c.stop()
}

// wantSealed waits until the root has exactly these secrets.
func (c *core) wantSealed(want ...string) {
	c.s.t.Helper()
	c.settled()
	var got []string
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		files, err := filepath.Glob(filepath.Join(c.s.dir, "root", "*.sealed"))
		if err != nil {
			c.s.t.Fatal(err)
		}
		got = nil
		for _, f := range files {
			got = append(got, strings.TrimSuffix(filepath.Base(f), ".sealed"))
		}
		if slices.Sort(got); slices.Equal(got, want) {
			return
		}
	}
	c.s.t.Errorf("the root has %v, want %v", got, want)
}

// zeroized requires that a core has no keys any more, says so under its signature, and signs nothing.
func (c *core) zeroized() {
	t := c.s.t
	t.Helper()
	c.wantSealed("identity")
	nonce := []byte("0123456789abcdef")
	v, err := gate.Call[message.StatusAsk, message.SignedStatus](context.Background(), c.door, message.MethodStatusSigned, message.StatusAsk{Nonce: nonce})
	if err != nil || !ed25519.Verify(c.status().Identity, v.Message(), v.Sig) {
		t.Fatalf("the status is not signed: %v", err)
	}
	var st message.StatusStatement
	if err := canon.Decode(v.Statement, &st); err != nil || st.Status.Life.Phase != "zeroized" {
		t.Errorf("%v, %+v", err, st.Status.Life)
	}
	r := c.s.ask(c.s.officers[0], fmt.Sprintf("after-%d", time.Now().UnixNano()), request.Transfer, request.TransferBody{Wallet: "hot", Asset: testChain.Native(),
		Outputs: []request.Output{{Address: bankAddress, Amount: custody.U64(1)}}, FeeCap: custody.U64(21000 * 1000)})
	_, err = gate.Call[message.Submit, message.Request](context.Background(), c.door, message.MethodSubmit, message.Submit{Request: r.Encode(), Evidence: c.s.officers[0].evidence(r)})
	if problem.KindOf(err) != problem.Zeroized {
		t.Errorf("a transfer after zeroize: %v", err)
	}
}

// The tamper file makes a running core destroy its keys, and one that does not run at its next start.
func TestTamperFile(t *testing.T) {
	t.Parallel()
	s := newSite(t, t.TempDir())
	s.create()
	c := s.start()
	c.wallet(1)
	file := filepath.Join(s.dir, "tamper") // as strongroom hsm tamper makes it
	if err := os.WriteFile(file, []byte("the case was opened\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for end := time.Now().Add(patience); c.status().Life.Phase != "zeroized"; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("the core does not see the tamper file")
		}
	}
	c.zeroized()
	c.stop()

	s = newSite(t, t.TempDir())
	s.create()
	if err := os.WriteFile(filepath.Join(s.dir, "tamper"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	c = s.start()
	if l := c.status().Life; l.Phase != "zeroized" || l.Since != 1 {
		t.Errorf("%+v", l)
	}
	c.wantSealed("identity")
	c.stop()
}
