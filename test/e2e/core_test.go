// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"bytes"
	"cmp"
	"context"
	"crypto/ecdh"
	"crypto/ed25519"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"strongroom/internal/gate"
	"strongroom/internal/gate/message"
	"strongroom/internal/pure/authority"
	"strongroom/internal/pure/canon"
	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/entry"
	"strongroom/internal/pure/policy"
	"strongroom/internal/pure/request"
)

// bankAddress is in the address book of the domains here.
const bankAddress = "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed"

var testChain = custody.EVMChain(1337)

// person is somebody with a key.
type person struct {
	id  custody.PersonID
	key ed25519.PrivateKey
}

func newPerson(t testing.TB) person {
	t.Helper()
	const alphabet = "abcdefghijklmnopqrstuvwxyz234567"
	b := make([]byte, 16)
	rand.Read(b)
	for i := range b {
		b[i] = alphabet[b[i]&31]
	}
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return person{custody.PersonID("p_" + string(b)), key}
}

func (p person) public() request.PublicKey {
	return request.PublicKey{Alg: request.Ed25519, Pub: p.key.Public().(ed25519.PublicKey)}
}

func (p person) evidence(r request.Request) request.Evidence {
	return request.Evidence{Key: p.public().Ref(), Sig: ed25519.Sign(p.key, canon.Message(canon.TagRequest, r))}
}

// site is a domain in a folder, for which cores are run: strongroom-core as it ships.
type site struct {
	t          testing.TB
	dir        string
	officers   []person
	service    person
	authority  custody.AuthorityID
	domain     custody.DomainID
	credential *syscall.Credential // of the cores; nil: our own
	flags      []string            // of every call of the core
	env        []string            // of every call of the core, besides our own
}

// newSite makes the folder and the people; create makes the domain.
func newSite(t testing.TB, dir string) *site {
	t.Helper()
	s := &site{t: t, dir: dir, service: newPerson(t)}
	for range 3 {
		s.officers = append(s.officers, newPerson(t))
	}
	return s
}

func (s *site) people() []person {
	all := append(slices.Clone(s.officers), s.service)
	slices.SortFunc(all, func(a, b person) int { return cmp.Compare(a.id, b.id) })
	return all
}

// document has an automatic route for the service, two of three for other transfers, and one for wallets and addresses.
func (s *site) document() policy.Document {
	plan := func(n uint32) policy.Plan {
		return policy.Plan{AnyOf: []policy.Branch{{Steps: []policy.Step{{Group: "officers", Min: n}}}}}
	}
	small := custody.U64(1_000_000)
	d := policy.Document{V: 1, Version: 1, AddressBook: []policy.BookEntry{{ID: "bank", Chain: testChain, Address: bankAddress}},
		Floor: policy.Floor{MinDistinctUsers: 1, ForbidSelfApproval: true, RequestTTL: request.MaxLifetime, MaxApprovalAge: request.MaxApprovalAge},
		Guards: []policy.Guard{{ID: "known-destinations", Effect: policy.Deny,
			When: policy.Match{Operations: []request.Operation{request.Transfer}, DestNot: []policy.DestinationKind{policy.Whitelisted}}}},
		Routes: []policy.Route{
			{ID: "small-by-service", Priority: 10, Auto: true, When: policy.Match{Operations: []request.Operation{request.Transfer},
				Initiators: []custody.PersonID{s.service.id}, AmountMax: &small}},
			{ID: "two-of-three", Priority: 20, Plan: plan(2), When: policy.Match{Operations: []request.Operation{request.Transfer}}},
			{ID: "wallets", Priority: 30, Plan: plan(1), When: policy.Match{Operations: []request.Operation{request.AddressCreate, request.WalletCreate}}},
			{ID: "apps", Priority: 40, Plan: plan(1), When: policy.Match{Operations: []request.Operation{request.AppGrant, request.AppKeyRevoke, request.AppRevoke}}},
		}, ChangePlan: plan(2)}
	officers := policy.Group{ID: "officers"}
	for _, p := range s.people() {
		kind := policy.Service
		if p.id != s.service.id {
			kind = policy.Human
			officers.Members = append(officers.Members, p.id)
		}
		d.Principals = append(d.Principals, policy.Principal{ID: p.id, Kind: kind, Keys: []request.PublicKey{p.public()}, Active: true})
	}
	d.Groups = []policy.Group{officers}
	return d
}

// command builds a call of strongroom-core; the passphrase comes through a pipe.
func (s *site) command(args ...string) *exec.Cmd {
	s.t.Helper()
	path, err := exec.LookPath("strongroom-core")
	if err != nil {
		s.t.Fatal(err)
	}
	r, w, err := os.Pipe()
	if err != nil {
		s.t.Fatal(err)
	}
	if _, err := io.WriteString(w, "a passphrase for tests"); err != nil {
		s.t.Fatal(err)
	}
	w.Close()
	flags := append([]string{args[0], "--data", s.dir, "--passphrase-fd", "3", "--weak-passphrase-unsafe", "--no-tiles"}, s.flags...)
	cmd := exec.Command(path, append(flags, args[1:]...)...)
	cmd.Env = append(os.Environ(), s.env...)
	cmd.ExtraFiles = []*os.File{r}
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Credential: s.credential} // it must not outlive the tests
	return cmd
}

// run runs a call to its end and gives what it said on standard error.
func (s *site) run(args ...string) (string, error) {
	cmd := s.command(args...)
	defer cmd.ExtraFiles[0].Close()
	var words bytes.Buffer
	cmd.Stderr = &words
	if err := cmd.Start(); err != nil {
		return "", err
	}
	late := time.AfterFunc(patience, func() { _ = cmd.Process.Kill() }) // it may just have ended
	defer late.Stop()
	err := cmd.Wait()
	return words.String(), err
}

// prepare makes the genesis, signed by everybody.
func (s *site) prepare() (genesis string) {
	s.t.Helper()
	doc := filepath.Join(s.dir, "document.cbor")
	genesis = filepath.Join(s.dir, "genesis.cbor")
	if err := os.WriteFile(doc, s.document().Encode(), 0o644); err != nil {
		s.t.Fatal(err)
	}
	if said, err := s.run("prepare", "--document", doc, "--out", genesis); err != nil {
		s.t.Fatalf("prepare: %v: %s", err, said)
	}
	b, err := os.ReadFile(genesis)
	if err != nil {
		s.t.Fatal(err)
	}
	var g entry.Genesis
	if err := canon.Decode(b, &g); err != nil {
		s.t.Fatal(err)
	}
	for _, p := range s.people() {
		g.Signatures = append(g.Signatures, entry.GenesisSignature{Person: p.id, Key: p.public().Ref(), Sig: ed25519.Sign(p.key, authority.GenesisMessage(g))})
	}
	if err := os.WriteFile(genesis, canon.Encode(g), 0o644); err != nil {
		s.t.Fatal(err)
	}
	return genesis
}

// create makes the domain.
func (s *site) create() {
	s.t.Helper()
	if said, err := s.run("create", "--genesis", s.prepare()); err != nil {
		s.t.Fatalf("create: %v: %s", err, said)
	}
}

// core is a running strongroom-core.
type core struct {
	s      *site
	cmd    *exec.Cmd
	socket string
	ready  chan struct{} // closed when the door is open
	done   chan struct{} // closed when the process has ended; err and said are set then
	err    error
	said   bytes.Buffer
	door   *gate.Client

	session, mac []byte // of the service
}

// launch starts a core; it may never become ready.
func (s *site) launch(name string, flags ...string) *core {
	s.t.Helper()
	c := &core{s: s, socket: filepath.Join(s.dir, "door", name+".sock"), ready: make(chan struct{}), done: make(chan struct{})}
	if err := os.MkdirAll(filepath.Dir(c.socket), 0o700); err != nil {
		s.t.Fatal(err)
	}
	if s.credential != nil {
		if err := os.Chown(filepath.Dir(c.socket), int(s.credential.Uid), int(s.credential.Gid)); err != nil {
			s.t.Fatal(err)
		}
		flags = append(flags, "--allow-uids", fmt.Sprint(os.Geteuid()))
	}
	c.cmd = s.command(append([]string{"run", "--socket", c.socket, "--ready-fd", "4"}, flags...)...)
	r, w, err := os.Pipe()
	if err != nil {
		s.t.Fatal(err)
	}
	c.cmd.ExtraFiles = append(c.cmd.ExtraFiles, w)
	c.cmd.Stderr = &c.said
	if err := c.cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	for _, f := range c.cmd.ExtraFiles {
		f.Close()
	}
	go func() { // ends with the process
		defer r.Close()
		if b, _ := io.ReadAll(r); len(b) > 0 {
			close(c.ready)
		}
		c.err = c.cmd.Wait()
		close(c.done)
	}()
	s.t.Cleanup(c.kill)
	return c
}

// start starts a core and connects to its door.
func (s *site) start(flags ...string) *core {
	s.t.Helper()
	c := s.launch("core", flags...)
	c.connect()
	return c
}

// connect waits for the door and opens a session of the service.
func (c *core) connect() {
	c.s.t.Helper()
	select {
	case <-c.ready:
	case <-c.done:
		c.s.t.Fatalf("the core ended: %v: %s", c.err, c.said.String())
	case <-time.After(patience):
		c.s.t.Fatal("the core does not become ready")
	}
	var err error
	if c.door, err = gate.Dial(context.Background(), c.socket); err != nil {
		c.s.t.Fatal(err)
	}
	st := c.status()
	c.s.authority, c.s.domain = st.Authority, st.Domain
}

func (c *core) status() message.Status {
	c.s.t.Helper()
	st, err := gate.Call[message.Empty, message.Status](context.Background(), c.door, message.MethodStatus, message.Empty{})
	if err != nil {
		c.s.t.Fatal(err)
	}
	return st
}

// kill is kill -9.
func (c *core) kill() {
	_ = c.cmd.Process.Kill() // may be gone already
	<-c.done
	if c.door != nil {
		c.door.Close()
	}
}

// stop ends a core in order.
func (c *core) stop() {
	c.s.t.Helper()
	if err := c.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		c.s.t.Error(err)
	}
	select {
	case <-c.done:
	case <-time.After(patience):
		c.s.t.Error("the core does not end")
	}
	if c.kill(); c.err != nil {
		c.s.t.Errorf("the core ended with %v: %s", c.err, c.said.String())
	}
}

// mustFail waits for the end of a core that can't go on, and for its word about it.
func (c *core) mustFail(words ...string) {
	c.s.t.Helper()
	select {
	case <-c.done:
	case <-time.After(patience):
		c.s.t.Fatal("the core goes on")
	}
	said := c.said.String()
	if c.err == nil || !strings.Contains(said, "strongroom-core: error:") {
		c.s.t.Errorf("the core ended with %v and said %q", c.err, said)
	}
	for _, w := range words {
		if !strings.Contains(said, w) {
			c.s.t.Errorf("the core did not say %q but %q", w, said)
		}
	}
}

// openSession opens a session of the service.
func (c *core) openSession() {
	c.s.t.Helper()
	err := func() error {
		own, err := ecdh.X25519().GenerateKey(rand.Reader)
		if err != nil {
			return err
		}
		raw := canon.Encode(request.SessionOpening{V: 1, Authority: c.s.authority, Domain: c.s.domain, Service: c.s.service.id,
			Ephemeral: own.PublicKey().Bytes(), NotAfter: time.Now().Unix() + 3600})
		g, err := gate.Call[message.OpenSession, request.SessionGrant](context.Background(), c.door, message.MethodSession,
			message.OpenSession{Opening: raw, Key: c.s.service.public().Ref(), Sig: ed25519.Sign(c.s.service.key, canon.TagBytes(canon.TagSession, raw))})
		if err != nil {
			return err
		}
		peer, err := ecdh.X25519().NewPublicKey(g.Ephemeral)
		if err != nil {
			return err
		}
		shared, err := own.ECDH(peer)
		if err != nil {
			return err
		}
		salt := canon.HashBytes(canon.TagSession, raw)
		c.session = g.Session
		c.mac, err = hkdf.Key(sha256.New, shared, salt[:], string(canon.TagBytes(canon.TagSessionKey, g.Session)), 32)
		return err
	}()
	if err != nil {
		c.s.t.Fatalf("open session: %v", err)
	}
}

// evidence gives the session's MAC of a request.
func (c *core) evidence(r request.Request) request.Evidence {
	m := hmac.New(sha256.New, c.mac)
	m.Write(canon.Message(canon.TagRequest, r))
	return request.Evidence{Session: c.session, MAC: m.Sum(nil)}
}

// ask builds a request that lives for an hour.
func (s *site) ask(by person, key string, op request.Operation, body any) request.Request {
	return request.Request{V: 1, Authority: s.authority, Domain: s.domain, Initiator: by.id, Key: key, Operation: op, Body: canon.Encode(body),
		NotAfter: time.Now().Unix() + 3600}
}

// govern asks for something as one officer and approves it as another.
func (c *core) govern(key string, op request.Operation, body any) {
	c.s.t.Helper()
	ctx := context.Background()
	r := c.s.ask(c.s.officers[0], key, op, body)
	v, err := gate.Call[message.Submit, message.Request](ctx, c.door, message.MethodSubmit, message.Submit{Request: r.Encode(), Evidence: c.s.officers[0].evidence(r)})
	if err != nil {
		c.s.t.Fatalf("%s: %v", key, err)
	}
	by := c.s.officers[1]
	m := authority.StatementOf(c.s.authority, c.s.domain, v.ID, r.Initiator, v.Effects, v.Bounds, v.Decision).By(by.id, request.Approve).Message()
	v, err = gate.Call[message.Approve, message.Request](ctx, c.door, message.MethodApprove, message.Approve{Approval: request.Approval{Request: v.ID,
		Person: by.id, Decision: request.Approve, Key: by.public().Ref(), Sig: ed25519.Sign(by.key, m)}})
	if err != nil || v.State != message.StateExecuted {
		c.s.t.Fatalf("%s: %v, %s", key, err, v.State)
	}
}

// wallet makes the wallet hot with some addresses.
func (c *core) wallet(addresses uint32) {
	c.s.t.Helper()
	c.govern("wallet", request.WalletCreate, request.WalletCreateBody{Wallet: "hot", Chain: testChain, Scheme: request.SchemeEVM})
	if addresses > 1 {
		c.govern("addresses", request.AddressCreate, request.AddressCreateBody{Wallet: "hot", Count: addresses - 1})
	}
}

// check runs the full re-check and requires that it finds nothing.
func (c *core) check() {
	c.s.t.Helper()
	in := message.CheckStart{Start: true}
	for end := time.Now().Add(2 * patience); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		k, err := gate.Call[message.CheckStart, message.Check](context.Background(), c.door, message.MethodCheck, in)
		if err != nil {
			c.s.t.Fatal(err)
		}
		if in.Start = false; !k.Running {
			if !k.Done || k.Fault != "" {
				c.s.t.Fatalf("the re-check: %+v", k)
			}
			return
		}
	}
	c.s.t.Fatal("the re-check does not end")
}

// permits reads the whole log and gives its permits by entry. A slot has one request, and each of its attempts another number and more fee.
func (c *core) permits() map[uint64]*entry.Permit {
	c.s.t.Helper()
	permits, owner, last := map[uint64]*entry.Permit{}, map[string]custody.RequestID{}, map[custody.RequestID]*entry.Permit{}
	for from := uint64(0); ; {
		f, err := gate.Call[message.Feed, message.Entries](context.Background(), c.door, message.MethodFeed, message.Feed{From: from, Limit: 500})
		if err != nil {
			c.s.t.Fatal(err)
		}
		if len(f.Entries) == 0 {
			return permits
		}
		for _, e := range f.Entries {
			l, err := entry.DecodeLeaf(e.Leaf)
			if err != nil || l.Seq != from {
				c.s.t.Fatalf("entry %d: %v, calls itself %d", from, err, l.Seq)
			}
			from++
			body, err := authority.DecodeBody(l.Kind, l.KindVersion, e.Bodies[0].Body)
			if err != nil {
				c.s.t.Fatal(err)
			}
			p, ok := body.(*entry.Permit)
			if !ok {
				continue
			}
			slot := fmt.Sprint(p.Slot.Account, p.Slot.Nonce)
			was, again := last[p.Request]
			switch by, taken := owner[slot]; {
			case taken && by != p.Request:
				c.s.t.Errorf("entry %d: slot %s is another request's", l.Seq, slot)
			case again && (p.Attempt != was.Attempt+1 || !bytes.Equal(canon.Encode(p.Slot), canon.Encode(was.Slot)) || p.Fee.Cmp(was.Fee) <= 0):
				c.s.t.Errorf("entry %d: a second payload for slot %s", l.Seq, slot)
			}
			permits[l.Seq], owner[slot], last[p.Request] = p, p.Request, p
		}
	}
}

// released keeps what callers were given, by permit. It is safe for concurrent use.
type released struct {
	mu    sync.Mutex // guards bytes
	bytes map[uint64][]byte
	ids   map[uint64]custody.RequestID
}

func newReleased() *released {
	return &released{bytes: map[uint64][]byte{}, ids: map[uint64]custody.RequestID{}}
}

// keep notes an answer; two for one permit are the same.
func (r *released) keep(id custody.RequestID, s *message.Signed) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if s == nil || len(s.Bytes) == 0 {
		return errors.New("no signed bytes")
	}
	if was, ok := r.bytes[s.Permit]; ok && !bytes.Equal(was, s.Bytes) {
		return fmt.Errorf("permit %d was signed to %x, then to %x", s.Permit, was, s.Bytes)
	}
	r.bytes[s.Permit], r.ids[s.Permit] = s.Bytes, id
	return nil
}
