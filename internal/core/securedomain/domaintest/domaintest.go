// SPDX-License-Identifier: Apache-2.0

// Package domaintest makes a real domain for tests: soft root, segment files, file anchor, three people, a service, rules with two
// of three and an automatic route. [Harness.Check] proves everything again.
package domaintest

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"strongroom/internal/core/auditlog"
	"strongroom/internal/core/auditlog/anchor/file"
	"strongroom/internal/core/auditlog/disk"
	"strongroom/internal/core/auditlog/segment"
	"strongroom/internal/core/hsm"
	"strongroom/internal/core/hsm/soft"
	"strongroom/internal/core/keystore/files"
	"strongroom/internal/core/securedomain"
	"strongroom/internal/core/snapshots"
	"strongroom/internal/core/timeguard"
	"strongroom/internal/gate/message"
	"strongroom/internal/pure/authority"
	"strongroom/internal/pure/canon"
	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/entry"
	"strongroom/internal/pure/points"
	"strongroom/internal/pure/policy"
	"strongroom/internal/pure/request"
	"strongroom/internal/secret"
)

// Clock is a clock that tests move.
type Clock struct {
	Wall   atomic.Int64
	Since  atomic.Int64
	Unsure atomic.Bool
}

// Now implements timeguard.Clock.
func (c *Clock) Now() timeguard.Reading {
	return timeguard.Reading{Time: c.Wall.Load(), Bound: int64(100 * time.Millisecond), Boot: c.Boot(), Certain: !c.Unsure.Load(), Why: "the test says so"}
}

// Boot implements timeguard.Clock.
func (c *Clock) Boot() int64 { return c.Since.Load() }

// Advance moves both clocks.
func (c *Clock) Advance(d time.Duration) {
	c.Wall.Add(int64(d))
	c.Since.Add(int64(d))
}

// Person is a person or service with its key.
type Person struct {
	ID  custody.PersonID
	Key ed25519.PrivateKey
	Pub request.PublicKey
}

// NewPerson derives a person from a name, the same each time.
func NewPerson(name string) Person {
	h := sha256.Sum256([]byte("strongroom test person " + name))
	key := ed25519.NewKeyFromSeed(h[:])
	const alphabet = "abcdefghijklmnopqrstuvwxyz234567"
	id := make([]byte, 16)
	for i := range id {
		id[i] = alphabet[h[i]&31]
	}
	return Person{ID: custody.PersonID("p_" + string(id)), Key: key, Pub: request.PublicKey{Alg: request.Ed25519, Pub: key.Public().(ed25519.PublicKey)}}
}

// Harness is a domain in a folder.
type Harness struct {
	T       testing.TB
	Dir     string
	Clock   *Clock
	Alice   Person
	Bob     Person
	Carol   Person
	Service Person
	D       *securedomain.Domain
	Genesis entry.Genesis

	Options Options
	keys    int
	closers []func() error
	era     error // why the pin's incarnation can't be told, or nil
}

// Options change a harness.
type Options struct {
	SnapshotEvery uint64
	TakeOver      bool
	ConfirmTime   func(int64, timeguard.Reading) error
	Document      func(*policy.Document) // changes the first document
	Faults        *Faults                // stands between the domain and what it stands on; nil: nothing fails
	Log, Anchor   disk.Dir               // where log and pin lie; nil: in folders below Dir
	Memory        *Memory                // where blobs and snapshots lie; nil: in folders below Dir
	Recovery      bool                   // the domain has a recovery record: see [Harness.NewRecovery]
	Anchored      Anchored               // puts another anchor around the one in the files; nil: none
	Engine        securedomain.Engine    // for keys of applications; nil: there are none
	Points        *points.Set            // control points that are on at first; nil: the usual ones
	Pair          securedomain.PairMaker // makes RSA pairs beforehand; nil: none are
	Pairs         int                    // how many of each size; 0: the usual number
	Token         *Token                 // what lies in the root besides what it seals; nil: the root has no keys of its own
	Root          RootMaker              // opens another root than the soft one; nil: the soft one
	People        []Person               // who is in Document's document, instead of alice, bob, carol and the service
}

// RootMaker opens, or makes, a root of trust in a folder. It gives what closes it, too.
type RootMaker func(a *secret.Arena, dir string, create bool) (hsm.Root, func() error, error)

// Anchored gives the anchor of a domain, and what closes it, from its configuration so far.
type Anchored func(c securedomain.Config, dir disk.Dir) (auditlog.Anchor, func() error, error)

// New makes a domain and opens it; it is closed when the test ends.
func New(t testing.TB, o Options) *Harness {
	t.Helper()
	h := Prepare(t, o)
	if err := h.Create(); err != nil {
		t.Fatal(err)
	}
	return h
}

// Prepare makes the keys of a domain and its genesis, signed by everybody. The domain does not exist yet.
func Prepare(t testing.TB, o Options) *Harness {
	t.Helper()
	h := &Harness{T: t, Dir: t.TempDir(), Clock: &Clock{}, Alice: NewPerson("alice"), Bob: NewPerson("bob"), Carol: NewPerson("carol"),
		Service: NewPerson("service"), Options: o}
	h.Clock.Wall.Store(time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC).UnixNano())
	h.Clock.Since.Store(int64(time.Hour))
	t.Cleanup(h.Close)
	for _, d := range []string{"log", "anchor"} {
		if err := os.MkdirAll(filepath.Join(h.Dir, d), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	doc := h.Document()
	if o.Document != nil {
		o.Document(&doc)
	}
	cfg, err := h.config(true)
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	p := securedomain.Preparation{Arena: cfg.Arena, Root: cfg.Root, Profile: custody.Evaluation, RootKind: "soft", AnchorKind: "file", Document: doc.Encode(), Blobs: cfg.Blobs, Points: o.Points}
	if o.Recovery {
		p.Recovery = h.NewRecovery(cfg.Arena, 1)
	}
	g, err := securedomain.Prepare(context.Background(), p)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range doc.Principals {
		who := h.person(p.ID)
		g.Signatures = append(g.Signatures, entry.GenesisSignature{Person: p.ID, Key: who.Pub.Ref(), Sig: ed25519.Sign(who.Key, authority.GenesisMessage(g))})
	}
	h.Genesis = g
	return h
}

// Create records the genesis and opens the domain.
func (h *Harness) Create() error { return h.open(securedomain.Create) }

// Open opens the domain from disk.
func (h *Harness) Open() error {
	return h.open(func(ctx context.Context, c securedomain.Config, _ entry.Genesis) (*securedomain.Domain, error) {
		return securedomain.Open(ctx, c)
	})
}

func (h *Harness) open(how func(context.Context, securedomain.Config, entry.Genesis) (*securedomain.Domain, error)) error {
	cfg, err := h.config(false)
	if err = errors.Join(err, h.era); err == nil {
		h.D, err = how(context.Background(), cfg, h.Genesis)
	}
	if err != nil {
		h.Close()
	}
	return err
}

func (h *Harness) person(id custody.PersonID) Person {
	for _, p := range h.People() {
		if p.ID == id {
			return p
		}
	}
	h.T.Fatalf("no person %s", id)
	return Person{}
}

// People lists everybody.
func (h *Harness) People() []Person {
	if h.Options.People != nil {
		return h.Options.People
	}
	return []Person{h.Alice, h.Bob, h.Carol, h.Service}
}

// Chain is the Ethereum chain of the tests.
var Chain = custody.EVMChain(1337)

// Whitelisted is a destination in the address book, Stranger is not.
const (
	Whitelisted = "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed"
	Stranger    = "0xfB6916095ca1df60bB79Ce92cE3Ea74c37c5d359"
)

// Document is the first rule document: two of three for changes and for transfers up to 10^20 to whitelisted destinations, one
// approval to make wallets and addresses, and an automatic route for the service up to 10^15.
func (h *Harness) Document() policy.Document {
	small, large := custody.U64(1_000_000_000_000_000), mustParse("100000000000000000000")
	two := policy.Plan{AnyOf: []policy.Branch{{Steps: []policy.Step{{Group: "officers", Min: 2}}}}}
	one := policy.Plan{AnyOf: []policy.Branch{{Steps: []policy.Step{{Group: "officers", Min: 1}}}}}
	d := policy.Document{V: 1, Version: 1,
		AddressBook: []policy.BookEntry{{ID: "exchange", Chain: Chain, Address: Whitelisted}},
		Floor:       policy.Floor{MinDistinctUsers: 1, ForbidSelfApproval: true, RequestTTL: request.MaxLifetime, MaxApprovalAge: request.MaxApprovalAge},
		Guards: []policy.Guard{{ID: "known-destinations", Effect: policy.Deny, Reason: "destination-not-whitelisted",
			When: policy.Match{Operations: []request.Operation{request.Transfer}, DestNot: []policy.DestinationKind{policy.Whitelisted}}}},
		Routes: []policy.Route{
			{ID: "small-by-service", Priority: 10, Auto: true, When: policy.Match{Operations: []request.Operation{request.Transfer}, Initiators: []custody.PersonID{h.Service.ID}, AmountMax: &small}},
			{ID: "two-of-three", Priority: 20, Plan: two, When: policy.Match{Operations: []request.Operation{request.Transfer}, AmountMax: &large}},
			{ID: "wallets", Priority: 30, Plan: one, When: policy.Match{Operations: []request.Operation{request.WalletCreate}}},
			{ID: "addresses", Priority: 40, Auto: true, When: policy.Match{Operations: []request.Operation{request.AddressCreate}}},
		},
		ChangePlan: two,
	}
	for _, p := range h.People() {
		kind := policy.Human
		if p.ID == h.Service.ID {
			kind = policy.Service
		}
		d.Principals = append(d.Principals, policy.Principal{ID: p.ID, Kind: kind, Keys: []request.PublicKey{p.Pub}, Active: true})
	}
	officers := policy.Group{ID: "officers", Members: []custody.PersonID{h.Alice.ID, h.Bob.ID, h.Carol.ID}}
	sortPeople(d.Principals, officers.Members)
	d.Groups = []policy.Group{officers}
	return d
}

// disk is where log or pin lie.
func (h *Harness) disk(given disk.Dir, name string) (disk.Dir, error) {
	if given != nil {
		return given, nil
	}
	return disk.OS(filepath.Join(h.Dir, name), disk.Options{})
}

// config opens everything that a domain stands on. What it opened is closed by Close, also after an error.
func (h *Harness) config(create bool) (securedomain.Config, error) {
	var c securedomain.Config
	arena, err := secret.NewArena(secret.Config{Size: 4 << 20})
	if err != nil {
		return c, err
	}
	h.closers = append(h.closers, arena.Close)
	openRoot := softRoot
	if h.Options.Root != nil {
		openRoot = h.Options.Root
	}
	root, end, err := openRoot(arena, filepath.Join(h.Dir, "root"), create)
	if err != nil {
		return c, err
	}
	h.closers = append(h.closers, end)
	if h.Options.Token != nil {
		root = rootWithToken{root, h.Options.Token}
	}
	logDir, err := h.disk(h.Options.Log, "log")
	if err != nil {
		return c, err
	}
	store, err := segment.Open(logDir, segment.Options{SegmentSize: 1 << 20})
	if err != nil {
		return c, err
	}
	h.closers = append(h.closers, store.Close)
	anchorDir, err := h.disk(h.Options.Anchor, "anchor")
	if err != nil {
		return c, err
	}
	anchor, err := file.Open(anchorDir)
	if err != nil {
		return c, err
	}
	h.closers = append(h.closers, anchor.Close)
	var era securedomain.Era
	era, _, h.era = securedomain.EraOf(context.Background(), anchor, store)
	c = securedomain.Config{Arena: arena, Root: root, Store: store, Anchor: anchor, Clock: h.Clock, Era: era,
		Logger: slog.New(slog.NewTextHandler(io.Discard, nil)), SnapshotEvery: h.Options.SnapshotEvery, CacheKeys: 1024, TakeOver: h.Options.TakeOver,
		ConfirmTime: h.Options.ConfirmTime, Engine: h.Options.Engine, Pair: h.Options.Pair, Pairs: h.Options.Pairs}
	if m := h.Options.Memory; m != nil {
		c.Blobs, c.Snapshots = memoryBlobs{m}, memorySnapshots{m}
	} else {
		if c.Blobs, err = files.Open(filepath.Join(h.Dir, "blobs")); err != nil {
			return c, err
		}
		if c.Snapshots, err = snapshots.Open(filepath.Join(h.Dir, "snapshots")); err != nil {
			return c, err
		}
	}
	if h.Options.Anchored != nil {
		var end func() error
		if c.Anchor, end, err = h.Options.Anchored(c, anchorDir); err != nil {
			return c, err
		}
		h.closers = append(h.closers, end)
	}
	h.Options.Faults.Wrap(&c)
	return c, nil
}

// softRoot is the usual root.
func softRoot(a *secret.Arena, dir string, create bool) (hsm.Root, func() error, error) {
	pass, err := secret.Take(a, []byte("a passphrase for tests"))
	if err != nil {
		return nil, nil, err
	}
	defer pass.Wipe()
	open := soft.Open
	if create {
		open = soft.Create
	}
	root, err := open(soft.Config{Arena: a, Dir: dir, Argon: soft.Argon{Time: 1, Memory: 8, Lanes: 1}, WeakUnsafe: true}, pass)
	if err != nil {
		return nil, nil, err
	}
	return root, func() error { root.Close(); return nil }, nil
}

// Close closes the domain and what it stands on.
func (h *Harness) Close() {
	h.T.Helper()
	if h.D != nil {
		if err := h.D.Close(); err != nil && h.D.Cause() == nil {
			h.T.Errorf("close domain: %v", err)
		}
		h.D = nil
	}
	for i := len(h.closers) - 1; i >= 0; i-- {
		if err := h.closers[i](); err != nil {
			h.T.Errorf("close: %v", err)
		}
	}
	h.closers = nil
}

// Reopen closes the domain and opens it again from disk.
func (h *Harness) Reopen() {
	h.T.Helper()
	h.Close()
	if err := h.Open(); err != nil {
		h.T.Fatal(err)
	}
}

// Check runs the full re-check and fails the test if it finds anything.
func (h *Harness) Check() {
	h.T.Helper()
	h.D.Check(message.CheckStart{Start: true})
	for range 60_000 {
		c := h.D.Check(message.CheckStart{})
		if !c.Running {
			if !c.Done || c.Fault != "" {
				h.T.Fatalf("re-check: %+v", c)
			}
			return
		}
		time.Sleep(time.Millisecond)
	}
	h.T.Fatal("the re-check does not end")
}

// Request builds a request of a person; each has another idempotency key.
func (h *Harness) Request(by Person, op request.Operation, body any) request.Request {
	h.keys++
	return request.Request{V: 1, Authority: h.D.Authority(), Domain: h.D.ID(), Initiator: by.ID, Key: fmt.Sprintf("test-%d", h.keys), Operation: op,
		Body: canon.Encode(body), NotAfter: h.Clock.Wall.Load()/1e9 + 3600}
}

// Sign gives the evidence of a signed request.
func (p Person) Sign(r request.Request) request.Evidence {
	return request.Evidence{Key: p.Pub.Ref(), Sig: ed25519.Sign(p.Key, canon.Message(canon.TagRequest, r))}
}

// Submit hands in a signed request.
func (h *Harness) Submit(by Person, r request.Request, payload []byte) (message.Request, error) {
	return h.D.Submit(context.Background(), message.Submit{Request: r.Encode(), Evidence: by.Sign(r), Payload: payload})
}

// Decide hands in a person's decision on a request, as the core shows it.
func (h *Harness) Decide(by Person, v message.Request, d request.Decision) (message.Request, error) {
	return h.D.Approve(context.Background(), message.Approve{Approval: h.Approval(by, v, d)})
}

// Approval is a person's signed decision on a request, as the core shows it.
func (h *Harness) Approval(by Person, v message.Request, d request.Decision) request.Approval {
	h.T.Helper()
	r, err := request.Decode(v.Request)
	if err != nil {
		h.T.Fatal(err)
	}
	s := authority.StatementOf(h.D.Authority(), h.D.ID(), v.ID, r.Initiator, v.Effects, v.Bounds, v.Decision).By(by.ID, d)
	return request.Approval{Request: v.ID, Person: by.ID, Decision: d, Key: by.Pub.Ref(), Sig: ed25519.Sign(by.Key, s.Message())}
}

// Wallet makes a wallet: alice asks, bob approves.
func (h *Harness) Wallet(id custody.WalletID, chain custody.ChainID, scheme request.Scheme) message.Wallet {
	h.T.Helper()
	return h.WalletOf(request.WalletCreateBody{Wallet: id, Chain: chain, Scheme: scheme})
}

// WalletOf makes a wallet likewise.
func (h *Harness) WalletOf(b request.WalletCreateBody) message.Wallet {
	h.T.Helper()
	id := b.Wallet
	v, err := h.Submit(h.Alice, h.Request(h.Alice, request.WalletCreate, b), nil)
	if err != nil {
		h.T.Fatal(err)
	}
	if v, err = h.Decide(h.Bob, v, request.Approve); err != nil {
		h.T.Fatal(err)
	}
	if v.State != message.StateExecuted {
		h.T.Fatalf("wallet: %+v", v)
	}
	w, err := h.D.Wallet(id)
	if err != nil {
		h.T.Fatal(err)
	}
	return w
}

// Random gives n random bytes.
func Random(n int) []byte {
	b := make([]byte, n)
	rand.Read(b)
	return b
}
