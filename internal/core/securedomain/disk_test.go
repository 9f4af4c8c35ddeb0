// SPDX-License-Identifier: Apache-2.0

package securedomain_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"strongroom/internal/core/auditlog"
	"strongroom/internal/core/securedomain/domaintest"
	"strongroom/internal/gate/message"
	"strongroom/internal/pure/authority"
	"strongroom/internal/pure/btc"
	"strongroom/internal/pure/canon"
	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/entry"
	"strongroom/internal/pure/policy"
	"strongroom/internal/pure/problem"
	"strongroom/internal/pure/request"
	"strongroom/internal/pure/tlog"
)

// lyingStore is a store that gives other records than it was given, once the domain is open.
type lyingStore struct {
	auditlog.Store
	lies map[uint64]auditlog.Record
}

func (l lyingStore) Read(ctx context.Context, from uint64, most int) ([]auditlog.Record, error) {
	recs, err := l.Store.Read(ctx, from, most)
	for i := range recs {
		if lie, ok := l.lies[from+uint64(i)]; ok {
			recs[i] = lie
		}
	}
	return recs, err
}

// public is a record with a body in clear, as anybody can write it.
func public(l entry.Leaf, body any) auditlog.Record {
	enc := canon.Encode(body)
	salt := [entry.SaltSize]byte{1}
	l.Bodies = []entry.BodyRef{entry.Ref(entry.Public, salt, enc)}
	return auditlog.Record{Leaf: l.Encode(), Bodies: [][]byte{append(salt[:], enc...)}}
}

// Whoever holds the disk of a running core puts another permit, or another request, in the place of a recorded one. Nothing is signed by
// it; the core stops and names the entry.
func TestAlteredEntriesAreNotSigned(t *testing.T) {
	t.Parallel()
	for name, lie := range map[string]func(x scanned) any{
		"permit": func(x scanned) any {
			if b, ok := x.body.(*entry.Permit); ok {
				p := *b
				p.Payload = payload(t, domaintest.Stranger, 1_000_000, 0, 10)
				p.PayloadHash = canon.HashBytes(canon.TagPayload, p.Payload)
				return &p
			}
			return nil
		},
		"request": func(x scanned) any {
			if b, ok := x.body.(*entry.Request); ok && b.Effects.Operation == request.Transfer {
				r := *b
				r.Effects.Outputs = []request.Output{{Address: domaintest.Stranger, Amount: custody.U64(1_000_000)}}
				return &r
			}
			return nil
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := hotDomain(t, domaintest.Options{})
			v := approvals(t, h, submitted(t, h, h.Alice, pay(h, h.Alice, domaintest.Whitelisted, 1000)), h.Bob, h.Carol)
			if _, err := h.D.Sign(context.Background(), v.ID, payload(t, domaintest.Whitelisted, 1000, 0, 10)); err != nil {
				t.Fatal(err)
			}
			lastEntry(t, h)
			lies := map[uint64]auditlog.Record{}
			for _, x := range scan(t, h) {
				if b := lie(x); b != nil {
					lies[x.leaf.Seq] = public(x.leaf, b)
				}
			}
			if len(lies) != 1 {
				t.Fatalf("%d entries to lie about", len(lies))
			}
			h.D.WrapStore(func(s auditlog.Store) auditlog.Store { return lyingStore{s, lies} })
			p := []byte(nil)
			if name == "request" {
				p = payload(t, domaintest.Stranger, 1_000_000, 0, 20)
			}
			out, err := h.D.Sign(context.Background(), v.ID, p)
			if problem.KindOf(err) != problem.Stopped || len(out.Bytes) > 0 {
				t.Fatalf("signed %x by an altered entry: %v", out.Bytes, err)
			}
			var corrupt *auditlog.CorruptError
			if err := h.D.Cause(); !errors.As(err, &corrupt) || lies[corrupt.Seq].Leaf == nil {
				t.Errorf("the cause names no entry: %v", err)
			}
		})
	}
}

// forge writes a snapshot of a state in which mallory alone makes the rules, as of an entry.
func forge(t *testing.T, h *domaintest.Harness, all []scanned, at uint64) {
	t.Helper()
	s := authority.New()
	var tree tlog.Frontier
	for _, x := range all[:at] {
		if err := s.Apply(x.leaf, x.hash, x.body); err != nil {
			t.Fatal(err)
		}
		tree.Append(x.hash)
	}
	img := s.Image()
	doc := s.Doc
	doc.Routes = append([]policy.Route(nil), doc.Routes...)
	doc.Routes[1].Auto, doc.Routes[1].Plan = true, policy.Plan{}
	doc.Guards = nil
	img.Document = doc.Encode()
	data := canon.Encode(struct {
		V        uint            `cbor:"1,keyasint"`
		Seq      uint64          `cbor:"2,keyasint"`
		Frontier []byte          `cbor:"3,keyasint"`
		Image    authority.Image `cbor:"4,keyasint"`
	}{1, at, tree.Marshal(), img})
	sealed, err := h.D.SealSnapshot(at, data)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(h.Dir, "snapshots", fmt.Sprintf("snap-%d", at)), sealed, 0o600); err != nil {
		t.Fatal(err)
	}
}

// A forged snapshot, were it sealed as the core's are, is not used wherever it claims to be: at the head, where no entry follows it, nor before an entry that is no snapshot.
func TestForgedSnapshot(t *testing.T) {
	t.Parallel()
	h := hotDomain(t, domaintest.Options{})
	for i := range 3 {
		submitted(t, h, h.Alice, pay(h, h.Alice, domaintest.Whitelisted, uint64(i+1)))
	}
	all := scan(t, h)
	want := h.D.Policy().Hash
	for at := uint64(1); at <= uint64(len(all)); at++ {
		forge(t, h, all, at)
		h.Close()
		if err := h.Open(); err != nil {
			t.Fatalf("with a forged snapshot at %d: %v", at, err)
		}
		if h.D.Policy().Hash != want {
			t.Fatalf("the forged rules of a snapshot at %d hold", at)
		}
		h.Check()
	}
}

// A start takes the newest snapshot, reads no entry before it, and is not misled by a damaged one.
func TestSnapshotStart(t *testing.T) {
	t.Parallel()
	faults := &domaintest.Faults{}
	h := domaintest.New(t, domaintest.Options{SnapshotEvery: 5, Faults: faults})
	h.Wallet("hot", domaintest.Chain, request.SchemeEVM)
	var ids []custody.RequestID
	for i := range 12 {
		r := pay(h, h.Service, domaintest.Whitelisted, uint64(i+1))
		v, err := h.D.Submit(context.Background(), message.Submit{Request: r.Encode(), Evidence: h.Service.Sign(r), Payload: payload(t, domaintest.Whitelisted, uint64(i+1), uint64(i), 10)})
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, v.ID)
		h.Check()
		before := faults.Count(domaintest.SnapshotGet)
		h.Reopen()
		if i > 3 && faults.Count(domaintest.SnapshotGet) != before+1 {
			t.Fatalf("start %d read %d snapshots, not one", i, faults.Count(domaintest.SnapshotGet)-before)
		}
	}
	h.Close()
	list, err := filepath.Glob(filepath.Join(h.Dir, "snapshots", "*"))
	if err != nil || len(list) == 0 {
		t.Fatalf("%v, %v", list, err)
	}
	good := map[string][]byte{}
	for _, f := range list {
		if good[f], err = os.ReadFile(f); err != nil {
			t.Fatal(err)
		}
	}
	for name, damage := range map[string]func(b []byte) []byte{
		"flipped": func(b []byte) []byte { b[len(b)/2] ^= 1; return b },
		"cut off": func(b []byte) []byte { return b[:len(b)/2] },
		"empty":   func([]byte) []byte { return nil },
	} {
		for f, b := range good {
			if err := os.WriteFile(f, damage(bytes.Clone(b)), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if err := h.Open(); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		for _, id := range ids {
			if v, err := h.D.Request(context.Background(), id); err != nil || v.State != message.StateSigned {
				t.Errorf("%s: %v, %+v", name, err, v)
			}
		}
		h.Check()
		h.Close()
	}
}

// A wallet whose blob is gone or altered signs nothing, and the re-check names its key.
func TestLostAndAlteredBlobs(t *testing.T) {
	t.Parallel()
	for name, damage := range map[string]func(string) error{
		"deleted": os.Remove,
		"flipped": func(f string) error {
			b, err := os.ReadFile(f)
			if err != nil {
				return err
			}
			b[len(b)-3] ^= 1
			if err := os.Chmod(f, 0o600); err != nil {
				return err
			}
			return os.WriteFile(f, b, 0o600)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := hotDomain(t, domaintest.Options{})
			w, err := h.D.Wallet("hot")
			if err != nil {
				t.Fatal(err)
			}
			v := approvals(t, h, submitted(t, h, h.Alice, pay(h, h.Alice, domaintest.Whitelisted, 1000)), h.Bob, h.Carol)
			list, err := filepath.Glob(filepath.Join(h.Dir, "blobs", "*", "*.blob"))
			if err != nil || len(list) != 1 {
				t.Fatalf("%d blobs, %v", len(list), err)
			}
			if err := damage(list[0]); err != nil {
				t.Fatal(err)
			}
			h.D.ForgetKeys()
			out, err := h.D.Sign(context.Background(), v.ID, payload(t, domaintest.Whitelisted, 1000, 0, 10))
			if err == nil || len(out.Bytes) > 0 {
				t.Errorf("signed %x: %v", out.Bytes, err)
			}
			h.D.Check(message.CheckStart{Start: true})
			for range 60_000 {
				c := h.D.Check(message.CheckStart{})
				if !c.Running {
					if c.Done || !strings.Contains(c.Fault, string(w.Wallet.Key)) {
						t.Errorf("the re-check says %+v", c)
					}
					return
				}
				time.Sleep(time.Millisecond)
			}
			t.Error("the re-check does not end")
		})
	}
}

// Two executions of one request at a time make one wallet, whose address is the same before and after a restart, and no blob is left over.
func TestOneWalletFromTwoExecutions(t *testing.T) {
	t.Parallel()
	h := domaintest.New(t, domaintest.Options{Document: func(d *policy.Document) { d.Routes[2].Plan.AnyOf[0].Steps[0].Min = 2 }})
	for i := range 8 {
		id := custody.WalletID(fmt.Sprintf("w-%d", i))
		v := approvals(t, h, submitted(t, h, h.Alice, h.Request(h.Alice, request.WalletCreate, request.WalletCreateBody{Wallet: id, Chain: domaintest.Chain, Scheme: request.SchemeEVM})), h.Bob)
		last := approvalBy(h, h.Carol, v, request.Approve)
		done := make(chan error, 4)
		for range 3 {
			go func() {
				for {
					_, err := h.D.Execute(context.Background(), v.ID)
					if problem.KindOf(err) != problem.QuorumNotMet {
						done <- err
						return
					}
				}
			}()
		}
		_, err := h.D.Approve(context.Background(), message.Approve{Approval: last})
		if err != nil {
			t.Fatal(err)
		}
		for range 3 {
			if err := <-done; err != nil && problem.KindOf(err) != problem.Conflict {
				t.Error(err)
			}
		}
	}
	var before []string
	list, err := h.D.Wallets(message.List{Limit: 100})
	if err != nil {
		t.Fatal(err)
	}
	for _, w := range list.Wallets {
		before = append(before, w.Address)
	}
	h.Check()
	h.Reopen()
	if list, err = h.D.Wallets(message.List{Limit: 100}); err != nil || len(list.Wallets) != 8 {
		t.Fatalf("%d wallets, %v", len(list.Wallets), err)
	}
	for i, w := range list.Wallets {
		if w.Address != before[i] {
			t.Errorf("wallet %s had address %s, and has %s", w.Wallet.ID, before[i], w.Address)
		}
	}
	if n, err := filepath.Glob(filepath.Join(h.Dir, "blobs", "*", "*.blob")); err != nil || len(n) != 8 {
		t.Errorf("%d blobs for 8 wallets, %v", len(n), err)
	}
}

// largePSBT pays 30,000 to the bank and comes as close to the largest PSBT as its own size allows.
func largePSBT(t *testing.T, w entry.Wallet) []byte {
	t.Helper()
	const each = 390_000
	d := &draft{t: t, w: w, tx: btc.UnsignedTx{Version: 2}}
	coin := func(n byte, filler int) {
		p := btc.UnsignedTx{Version: 2, Outputs: []btc.TxOut{{Value: 5_000, Script: d.script(entry.KeyPath{})}},
			Inputs: []btc.TxIn{{OutPoint: btc.OutPoint{TxID: btc.TxID(sha256.Sum256([]byte{n}))}}}}
		for ; filler > 0; filler -= 9_000 {
			p.Outputs = append(p.Outputs, btc.TxOut{Script: make(btc.Script, min(filler, 9_000))})
		}
		d.tx.Inputs = append(d.tx.Inputs, btc.TxIn{OutPoint: btc.OutPoint{TxID: p.TxID()}, Sequence: 0xfffffffd})
		d.prev, d.from = append(d.prev, p), append(d.from, entry.KeyPath{})
	}
	for n := range byte(21) {
		coin(n, each)
	}
	d.pays(30_000, address(t, bank), noPath)
	d.pays(21*5_000+5_000-30_000-4_000, d.script(entry.KeyPath{Branch: 1}), entry.KeyPath{Branch: 1})
	size := func(filler int) []byte {
		d.tx.Inputs, d.prev, d.from = d.tx.Inputs[:21], d.prev[:21], d.from[:21]
		coin(99, filler)
		b, err := d.encode()
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	return size(btc.MaxPSBTBytes - len(size(9_000)) + 9_000 - 300)
}

// An entry that could not be read again is not written: the core would not start any more.
func TestTooLargeAPayload(t *testing.T) {
	t.Parallel()
	h := domaintest.New(t, domaintest.Options{Document: withBank})
	w := h.Wallet("cold", custody.BitcoinRegtest, request.SchemeP2WPKH).Wallet
	v := approvals(t, h, submitted(t, h, h.Alice, h.Request(h.Alice, request.Transfer, request.TransferBody{Wallet: "cold", Asset: custody.BitcoinRegtest.Native(),
		Outputs: []request.Output{{Address: bank, Amount: custody.U64(30_000)}}, FeeCap: custody.U64(5_000)})), h.Bob, h.Carol)
	p := largePSBT(t, w)
	if len(p) <= entry.MaxBody-800 {
		t.Fatalf("the payload has %d bytes only", len(p))
	}
	_, err := h.D.Sign(context.Background(), v.ID, p)
	wantKind(t, "a payload that fills a body", err, problem.TooLarge)
	h.Reopen()
	h.Check()
}
