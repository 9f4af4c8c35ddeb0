// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"encoding/hex"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"strongroom/internal/edge/agefile"
	"strongroom/internal/edge/keyfile"
	"strongroom/internal/gate"
	"strongroom/internal/gate/message"
	"strongroom/internal/pure/authority"
	"strongroom/internal/pure/canon"
	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/entry"
	"strongroom/internal/pure/request"
	"strongroom/internal/secret"
)

// ritual is the people of a ceremony with their files, and a domain's site.
type ritual struct {
	t          *testing.T
	site       *site
	hands      string // keys, identities, dice, shares
	work       string // scripts and folders of ceremonies
	people     map[string]request.PublicKey
	recipients map[string]string
	flags      []string // of the root, for the command line
	env        []string // of every command, besides our own
	cardFlags  []string // of cora's key in a token
}

// newRitual makes an administrator, a witness and five custodians.
func newRitual(t *testing.T) *ritual {
	t.Helper()
	r := &ritual{t: t, site: newSite(t, filepath.Join(t.TempDir(), "domain")), hands: t.TempDir(), work: t.TempDir(), people: map[string]request.PublicKey{},
		recipients: map[string]string{}}
	a, err := secret.NewArena(secret.Config{Size: 64 << 10})
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	for i, name := range []string{"ada", "will", "carl", "cleo", "cora", "chen", "cyd"} {
		k, err := keyfile.New(a, keyfile.NewPersonID(), request.Ed25519)
		if err != nil {
			t.Fatal(err)
		}
		if err := k.WritePlainUnsafe(r.hand(name, "key")); err != nil {
			t.Fatal(err)
		}
		r.people[name] = k.Public()
		k.Wipe()
		if i < 2 {
			continue
		}
		if r.recipients[name], err = agefile.New(r.hand(name, "age"), secret.Bytes{}, 0); err != nil {
			t.Fatal(err)
		}
		r.dice(name, uint64(i))
	}
	return r
}

func (r *ritual) hand(name, kind string) string { return filepath.Join(r.hands, name+"."+kind) }

// dice writes sixty rolls.
func (r *ritual) dice(name string, seed uint64) {
	r.t.Helper()
	draw := rand.New(rand.NewPCG(seed, 7))
	b := make([]byte, 60)
	for i := range b {
		b[i] = '1' + byte(draw.IntN(6))
	}
	if err := os.WriteFile(r.hand(name, "dice"), append(b, '\n'), 0o600); err != nil {
		r.t.Fatal(err)
	}
}

// script writes a script: lines besides those about people, and custodians.
func (r *ritual) script(id, purpose string, threshold int, custodians []string, lines ...string) string {
	r.t.Helper()
	var b strings.Builder
	fmt.Fprintf(&b, "version: 1\nid: %s\npurpose: %s\nprofile: evaluation\nunattended: true\nthreshold: %d\nparticipants:\n", id, purpose, threshold)
	for _, p := range append([]string{"administrator ada", "witness will"}, prefixed("custodian ", custodians)...) {
		role, name, _ := strings.Cut(p, " ")
		k := r.people[name]
		fmt.Fprintf(&b, "  - { role: %s, name: %s, key: { alg: %s, pub: %q }", role, name, k.Alg, hex.EncodeToString(k.Pub))
		if role == "custodian" {
			fmt.Fprintf(&b, ", recipient: %s", r.recipients[name])
		}
		b.WriteString(" }\n")
	}
	for _, l := range lines {
		b.WriteString(l + "\n")
	}
	path := filepath.Join(r.work, id+".yaml")
	if err := os.WriteFile(path, []byte(b.String()), 0o600); err != nil {
		r.t.Fatal(err)
	}
	return path
}

func prefixed(p string, list []string) (out []string) {
	for _, s := range list {
		out = append(out, p+s)
	}
	return out
}

// createScript is the script of a new domain.
func (r *ritual) createScript(root string, custodians ...string) string {
	h := r.site.document().Hash()
	if err := os.MkdirAll(r.site.dir, 0o700); err != nil {
		r.t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(r.work, "rules.cbor"), r.site.document().Encode(), 0o600); err != nil {
		r.t.Fatal(err)
	}
	return r.script("first", "create", 2, custodians, fmt.Sprintf("document: %q", hex.EncodeToString(h[:])), "root: "+root, "anchor: file",
		fmt.Sprintf("entropy: { dice: [%s], rolls: 60 }", strings.Join(custodians[:2], ", ")))
}

// command is a call of strongroom with the passphrase on descriptor 3.
func (r *ritual) command(args ...string) *exec.Cmd {
	r.t.Helper()
	in, out, err := os.Pipe()
	if err != nil {
		r.t.Fatal(err)
	}
	if _, err := io.WriteString(out, "a passphrase for tests"); err != nil {
		r.t.Fatal(err)
	}
	out.Close()
	r.t.Cleanup(func() { in.Close() })
	path, err := exec.LookPath("strongroom")
	if err != nil {
		r.t.Fatal(err)
	}
	cmd := exec.Command(path, args...)
	cmd.Env = append(os.Environ(), r.env...)
	cmd.ExtraFiles = []*os.File{in}
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} // it must not outlive the tests
	return cmd
}

// run runs a command of strongroom.
func (r *ritual) run(args ...string) (string, error) {
	r.t.Helper()
	b, err := r.command(args...).CombinedOutput()
	return string(b), err
}

// lead gives the arguments of a ceremony.
func (r *ritual) lead(command, script, dir string, more ...string) []string {
	out := []string{"ceremony", command, "--script", script, "--dir", filepath.Join(r.work, dir), "--hands", r.hands, "--data", r.site.dir, "--passphrase-fd", "3",
		"--weak-passphrase-unsafe"}
	return append(append(out, r.flags...), more...)
}

func (r *ritual) must(args ...string) string {
	r.t.Helper()
	said, err := r.run(args...)
	if err != nil {
		r.t.Fatalf("%s: %v: %s", strings.Join(args[:2], " "), err, said)
	}
	return said
}

func (r *ritual) refused(word string, args ...string) {
	r.t.Helper()
	if said, err := r.run(args...); err == nil || !strings.Contains(said, word) {
		r.t.Errorf("%s: got error %v, want %q in: %s", strings.Join(args[:2], " "), err, word, said)
	}
}

// create makes the domain from what a ceremony left.
func (r *ritual) create() {
	r.t.Helper()
	path := filepath.Join(r.site.dir, "genesis.cbor")
	b, err := os.ReadFile(path)
	if err != nil {
		r.t.Fatal(err)
	}
	var g entry.Genesis
	if err := canon.Decode(b, &g); err != nil {
		r.t.Fatal(err)
	}
	for _, p := range r.site.people() {
		g.Signatures = append(g.Signatures, entry.GenesisSignature{Person: p.id, Key: p.public().Ref(), Sig: ed25519.Sign(p.key, authority.GenesisMessage(g))})
	}
	if err := os.WriteFile(path, canon.Encode(g), 0o600); err != nil {
		r.t.Fatal(err)
	}
	if said, err := r.site.run("create", "--genesis", path); err != nil {
		r.t.Fatalf("create: %v: %s", err, said)
	}
}

// genesis is what the ceremony made.
func (r *ritual) genesis() (g entry.Genesis) {
	r.t.Helper()
	b, err := os.ReadFile(filepath.Join(r.work, "first", "genesis.cbor"))
	if err != nil {
		r.t.Fatal(err)
	}
	if err := canon.Decode(b, &g); err != nil {
		r.t.Fatal(err)
	}
	return g
}

// shares gives the custodians the shares of a ceremony.
func (r *ritual) shares(dir string) {
	r.t.Helper()
	list, err := filepath.Glob(filepath.Join(r.work, dir, "shares", "*.share"))
	if err != nil || len(list) == 0 {
		r.t.Fatalf("no shares: %v", err)
	}
	for _, from := range list {
		b, err := os.ReadFile(from)
		if err != nil {
			r.t.Fatal(err)
		}
		_, name, _ := strings.Cut(strings.TrimSuffix(filepath.Base(from), ".share"), "-")
		if err := os.WriteFile(r.hand(name, "share"), b, 0o600); err != nil {
			r.t.Fatal(err)
		}
	}
}

// loadLines are the lines of a script about a domain that exists.
func (r *ritual) loadLines(restore bool, record string) []string {
	r.t.Helper()
	var rec request.Recovery
	b, err := os.ReadFile(record)
	if err != nil {
		r.t.Fatal(err)
	}
	if err := canon.Decode(b, &rec); err != nil {
		r.t.Fatal(err)
	}
	h := rec.Hash()
	out := []string{fmt.Sprintf("domain: %q", r.site.domain.String()), fmt.Sprintf("record: %q", hex.EncodeToString(h[:]))}
	if restore {
		out = append(out, "root: soft", fmt.Sprintf("identity: %q", hex.EncodeToString(r.genesis().Identity)))
	}
	return out
}

// pay makes one transfer, and gives the signed bytes and the request's id.
func (s *site) pay(c *core, source, nonce int) ([]byte, custody.RequestID) {
	s.t.Helper()
	r := s.payment(source, nonce)
	v, err := gate.Call[message.Submit, message.Request](context.Background(), c.door, message.MethodSubmit,
		message.Submit{Request: r.Encode(), Evidence: c.evidence(r), Payload: unsignedPayment(uint64(nonce), 10)})
	if err != nil || v.Signed == nil {
		s.t.Fatalf("payment: %v, %s", err, v.State)
	}
	return v.Signed.Bytes, r.ID()
}

// moved copies the domain's folder without its root of trust, as a backup on a clean machine is.
func (r *ritual) moved() *site {
	r.t.Helper()
	to := filepath.Join(r.t.TempDir(), "domain")
	if err := os.CopyFS(to, os.DirFS(r.site.dir)); err != nil {
		r.t.Fatal(err)
	}
	for _, name := range []string{"root", "door", "genesis.cbor"} {
		if err := os.RemoveAll(filepath.Join(to, name)); err != nil {
			r.t.Fatal(err)
		}
	}
	err := filepath.WalkDir(to, func(path string, d os.DirEntry, err error) error {
		if err == nil && d.IsDir() {
			err = os.Chmod(path, 0o700)
		} else if err == nil {
			err = os.Chmod(path, 0o600)
		}
		return err
	})
	if err != nil {
		r.t.Fatal(err)
	}
	s := *r.site
	s.dir = to
	return &s
}

// at gives the ritual for another folder of the domain.
func (r *ritual) at(s *site) *ritual {
	other := *r
	other.site = s
	return &other
}

// under gives the ritual for a subtest.
func (r *ritual) under(t *testing.T) *ritual {
	s := *r.site
	s.t = t
	other := r.at(&s)
	other.t = t
	return other
}

// TestCeremonyMakesAndRestoresADomain is the life of a domain in ceremonies: made, used, restored by two sets of custodians, not by fewer, and given
// to other custodians, whose predecessors' shares are then worth nothing to it.
func TestCeremonyMakesAndRestoresADomain(t *testing.T) {
	t.Parallel()
	r := newRitual(t)
	first := r.createScript("soft", "carl", "cleo", "cora")
	plan := r.must("ceremony", "plan", first)
	if !strings.Contains(plan, "| carl | roll a die 60 times") || !strings.Contains(plan, "initials") {
		t.Errorf("the plan: %s", plan)
	}
	r.must(r.lead("run", first, "first", "--rules", filepath.Join(r.work, "rules.cbor"))...)
	r.create()
	r.shares("first")
	c := r.site.start()
	c.wallet(4)
	c.openSession()
	before, paid := r.site.pay(c, 1, 0)
	keys := c.status()
	c.stop()

	record := filepath.Join(r.work, "first", "recovery.cbor")
	copies := []string{"--record", record, "--identity-copy", filepath.Join(r.work, "first", "identity.sealed"), "--working-key-copy", filepath.Join(r.work, "first", "dwk-1.sealed")}
	for i, set := range [][]string{{"carl", "cora"}, {"cleo", "cora"}} {
		s := r.moved()
		script := r.script(fmt.Sprintf("back-%d", i), "restore", 2, set, r.loadLines(true, record)...)
		r.at(s).must(r.at(s).lead("restore", script, fmt.Sprintf("back-%d", i), copies...)...)
		again := s.start()
		again.openSession()
		got, err := gate.Call[message.Sign, message.Signed](context.Background(), again.door, message.MethodSign, message.Sign{ID: paid})
		if err != nil || !bytes.Equal(got.Bytes, before) {
			t.Errorf("restored by %v: another signature of the same request: %v", set, err)
		}
		s.pay(again, 2, 0)
		if st := again.status(); st.Domain != keys.Domain || st.Authority != keys.Authority {
			t.Errorf("restored by %v: domain %s, was %s", set, st.Domain, keys.Domain)
		}
		again.check()
		again.stop()
	}
	drill := r.script("drill", "drill", 2, []string{"cleo", "carl"}, r.loadLines(false, record)...)
	r.must(r.lead("drill", drill, "drill", "--record", record)...)
	r.must("ceremony", "verify", filepath.Join(r.work, "drill", "transcript.cbor"), "--script", drill)

	fewer := r.script("fewer", "drill", 2, []string{"cleo"}, r.loadLines(false, record)...)
	r.refused("the master secret needs 2", r.lead("drill", fewer, "fewer", "--record", record)...)
	lie := r.script("lie", "drill", 1, []string{"cleo"}, r.loadLines(false, record)...)
	r.refused("needs 2 shares", r.lead("drill", lie, "lie", "--record", record)...)
	t.Run("wrong share", func(t *testing.T) { r.under(t).wrongShare(record) })
	t.Run("refresh", func(t *testing.T) { r.under(t).refresh(record) })
}

// wrongShare: a custodian who brings another's share is named.
func (r *ritual) wrongShare(record string) {
	r.t.Helper()
	kept, err := os.ReadFile(r.hand("carl", "share"))
	if err != nil {
		r.t.Fatal(err)
	}
	other, err := os.ReadFile(r.hand("cleo", "share"))
	if err != nil {
		r.t.Fatal(err)
	}
	drill := r.script("wrong", "drill", 2, []string{"cora", "carl"}, r.loadLines(false, record)...)
	for what, b := range map[string][]byte{"share 2, of cleo": other, "share 1, of carl": flipped(kept)} {
		if err := os.WriteFile(r.hand("carl", "share"), b, 0o600); err != nil {
			r.t.Fatal(err)
		}
		r.refused(what, r.lead("drill", drill, "wrong", "--record", record, "--resume")...)
	}
	if err := os.WriteFile(r.hand("carl", "share"), kept, 0o600); err != nil {
		r.t.Fatal(err)
	}
	r.must(r.lead("drill", drill, "wrong", "--record", record, "--resume")...)
}

// flipped changes a bit near the end, in the box.
func flipped(b []byte) []byte {
	out := bytes.Clone(b)
	out[len(out)-5] ^= 1
	return out
}

// governAll asks for an operation of the life cycle and has the others approve it.
func (c *core) governAll(key string, op request.Operation, body any) {
	c.s.t.Helper()
	ctx := context.Background()
	r := c.s.ask(c.s.officers[0], key, op, body)
	v, err := gate.Call[message.Submit, message.Request](ctx, c.door, message.MethodSubmit, message.Submit{Request: r.Encode(), Evidence: c.s.officers[0].evidence(r)})
	for _, by := range c.s.officers[1:] {
		if err != nil {
			break
		}
		m := authority.StatementOf(c.s.authority, c.s.domain, v.ID, r.Initiator, v.Effects, v.Bounds, v.Decision).By(by.id, request.Approve).Message()
		v, err = gate.Call[message.Approve, message.Request](ctx, c.door, message.MethodApprove, message.Approve{Approval: request.Approval{Request: v.ID,
			Person: by.id, Decision: request.Approve, Key: by.public().Ref(), Sig: ed25519.Sign(by.key, m)}})
	}
	if err != nil || v.State != message.StateExecuted {
		c.s.t.Fatalf("%s: %v, %s", key, err, v.State)
	}
}

// refresh: carl leaves, chen and cyd join. The new shares count for the domain, the old ones don't.
func (r *ritual) refresh(record string) {
	t := r.t
	t.Helper()
	old, err := os.ReadFile(r.hand("cleo", "share"))
	if err != nil {
		t.Fatal(err)
	}
	lines := append(r.loadLines(false, record), "leaving: [carl]", "joining: [chen, cyd]")
	script := r.script("refresh", "refresh", 3, []string{"carl", "cleo", "cora", "chen", "cyd"}, lines...)
	r.must(r.lead("run", script, "refresh", "--record", record)...)
	out := filepath.Join(r.work, "refresh")
	var rec request.Recovery
	var receipts []request.ShareReceipt
	for path, v := range map[string]any{"recovery.cbor": &rec, "receipts.cbor": &receipts} {
		b, err := os.ReadFile(filepath.Join(out, path))
		if err == nil {
			err = canon.Decode(b, v)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	c := r.site.start()
	life := c.status().Life
	c.governAll("load", request.EpochLoad, request.EpochLoadBody{Counter: life.Counter + 1, Epoch: life.NextEpoch, Recovery: &rec})
	next := c.status().Life.Next
	c.governAll("commit", request.EpochCommit, request.EpochCommitBody{Counter: life.Counter + 2, Epoch: next.Epoch, Pattern: next.Pattern, Receipts: receipts})
	for end := time.Now().Add(patience); c.status().Life.Next.Lacking > 0; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("enciphering does not end")
		}
	}
	c.governAll("activate", request.EpochActivate, request.EpochActivateBody{Counter: life.Counter + 3, Epoch: next.Epoch, Pattern: next.Pattern})
	if h := rec.Hash(); c.status().Life.Recovery.Hash != h {
		t.Error("the domain names another recovery record")
	}
	c.stop()
	r.shares("refresh")
	newRecord := filepath.Join(out, "recovery.cbor")
	drill := r.script("drill-new", "drill", 3, []string{"cleo", "chen", "cyd"}, r.loadLines(false, newRecord)...)
	if err := os.WriteFile(r.hand("cleo", "share"), old, 0o600); err != nil {
		t.Fatal(err)
	}
	r.refused("share 2, of cleo: ceremony: the share is of another ceremony, or was voided", r.lead("drill", drill, "drill-new", "--record", newRecord)...)
	r.shares("refresh")
	r.must(r.lead("drill", drill, "drill-new", "--record", newRecord, "--resume")...)
	r.refused("custodians changed since", r.lead("drill", r.script("drill-old", "drill", 2, []string{"cleo", "cora"}, r.loadLines(false, record)...), "drill-old", "--record", newRecord)...)
}
