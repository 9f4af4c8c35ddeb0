// SPDX-License-Identifier: Apache-2.0

// Package policies tells a story under each rule file of examples/policies: people ask, approve, reject and stop things in a real core, time passes,
// and the test says of every act which rule decides on it and how. The files are those that users read; only the public keys are replaced, by keys that
// the test has. It holds the numbers of docs/policies.md too.
package policies

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"strongroom/internal/core/securedomain/domaintest"
	"strongroom/internal/edge/rulefile"
	"strongroom/internal/gate/message"
	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/eth"
	"strongroom/internal/pure/points"
	"strongroom/internal/pure/policy"
	"strongroom/internal/pure/price"
	"strongroom/internal/pure/problem"
	"strongroom/internal/pure/request"
	"strongroom/internal/pure/simulation"
	"strongroom/internal/pure/verdict"
)

const chain = custody.ChainID("eip155:1")

// document reads an example, as it is.
func document(t testing.TB, name string) policy.Document {
	t.Helper()
	b, err := os.ReadFile("../../examples/policies/" + name + ".yaml")
	if err != nil {
		t.Fatal(err)
	}
	d, err := rulefile.Parse(b)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// TestExamplesLoad: each example is good for production and has no rule that does nothing.
func TestExamplesLoad(t *testing.T) {
	t.Parallel()
	files, err := os.ReadDir("../../examples/policies")
	if err != nil || len(files) != 5 {
		t.Fatal(err, len(files))
	}
	for _, f := range files {
		d := document(t, strings.TrimSuffix(f.Name(), ".yaml"))
		if err := d.Check(custody.Production); err != nil {
			t.Fatalf("%s: %v", f.Name(), err)
		}
		r, err := policy.Compile(d)
		if err != nil {
			t.Fatal(err)
		}
		for _, x := range r.Findings() {
			t.Errorf("%s: %s %s: %s", f.Name(), x.Section, x.ID, x.What)
		}
	}
}

// story is a domain under an example.
type story struct {
	*testing.T
	h     *domaintest.Harness
	doc   policy.Document
	who   map[string]domaintest.Person
	where map[string]string // addresses by name
	asked map[string]message.Request
	nonce uint64
}

// calledBy gives the name in the id of an example's person.
func calledBy(id custody.PersonID) string {
	return strings.TrimRight(strings.TrimPrefix(string(id), "p_"), "2")
}

// begin makes a domain under an example. where are addresses besides those of the address book.
func begin(t *testing.T, name string, where map[string]string) *story {
	t.Helper()
	s := &story{T: t, doc: document(t, name), who: map[string]domaintest.Person{}, where: where, asked: map[string]message.Request{}}
	if s.where == nil {
		s.where = map[string]string{}
	}
	o := domaintest.Options{SnapshotEvery: 20, Document: func(d *policy.Document) { *d = s.doc }}
	for i, p := range s.doc.Principals {
		who := domaintest.NewPerson(calledBy(p.ID))
		who.ID = p.ID
		s.who[calledBy(p.ID)] = who
		s.doc.Principals[i].Keys = []request.PublicKey{who.Pub}
		o.People = append(o.People, who)
	}
	for _, src := range s.doc.PriceSources {
		for i, k := range src.Signers {
			src.Signers[i].Pub = feed(k.ID).Public().(ed25519.PublicKey)
		}
	}
	for _, e := range s.doc.AddressBook {
		s.where[e.ID] = e.Address
	}
	for i := range s.doc.ScreeningSources {
		s.doc.ScreeningSources[i].Signers[0].Pub = screener().Public().(ed25519.PublicKey)
	}
	set := points.Evaluation().Or(points.Make(points.ContractCall, points.MessageSign))
	o.Points = &set
	s.h = domaintest.New(t, o)
	return s
}

// opinion is what a source of screening says of an address.
type opinion struct {
	risk   uint32
	status verdict.Status
}

// screener is the key of every source of screening.
func screener() ed25519.PrivateKey {
	return ed25519.NewKeyFromSeed(bytes.Repeat([]byte{9}, ed25519.SeedSize))
}

// screen hands in what every source says before a turn.
func (s *story) screen(x turn) {
	s.Helper()
	if len(x.screened) == 0 {
		return
	}
	s.h.Clock.Advance(2 * time.Second)
	at := s.h.Clock.Wall.Load() / 1e9
	var in message.Verdicts
	for _, src := range s.doc.ScreeningSources {
		for name, o := range x.screened {
			in.Verdicts = append(in.Verdicts, verdict.Sign(verdict.Verdict{V: 1, Authority: s.h.D.Authority(), Source: src.ID, Subject: verdict.OfAddress(chain, s.where[name]), Risk: o.risk,
				Exposure: verdict.NotExposed, Status: o.status, AsOf: at, Expires: at + src.MaxAge}, src.Signers[0].ID, screener()))
		}
	}
	if got, err := s.h.D.Verdicts(context.Background(), in); err != nil || len(got.Refused) > 0 {
		s.Fatalf("%s: %+v, %v", x.name, got, err)
	}
}

// turn is one act of a story, and what comes of it.
type turn struct {
	name  string        // what happens, in words
	after time.Duration // that passes before
	again string        // the turn whose request this goes on with; empty: a new one

	quote    string             // what the feeds say then that an ether is worth, in USD
	node     string             // what serve's node says of a contract call: "gives", "fails" or "dead"; empty: that it gives nothing
	screened map[string]opinion // what sources of screening say before

	by   string
	op   request.Operation
	body any    // or a func(*story) any, where it needs what was before
	want string // outcome and the rule that decides, or the kind of problem where nothing is recorded

	cannot  []string // whose approvals are refused
	approve []string // in this order
	reject  string
	also    []string // rules whose plans must be met besides
	state   string   // in the end: the request's state, and what is missing
	signs   bool     // it is signed, which uses what it takes from limits
	carries bool     // it is executed by hand, because its last approval came too early
}

// tell plays turns, and in the end everything is proved again.
func (s *story) tell(turns ...turn) {
	s.Helper()
	for _, x := range turns {
		s.play(x)
		if s.Failed() {
			s.Fatalf("the story ends at %q", x.name)
		}
	}
	s.h.Check()
	s.h.Reopen()
	s.h.Check()
}

func (s *story) play(x turn) {
	s.Helper()
	s.h.Clock.Advance(x.after)
	if x.quote != "" {
		s.quote(x)
	}
	s.screen(x)
	v, ok := s.ask(x)
	if !ok {
		return
	}
	for _, name := range x.cannot {
		if _, err := s.h.Decide(s.person(name), v, request.Approve); err == nil {
			s.Errorf("%s: %s approved", x.name, name)
		}
	}
	for _, name := range x.approve {
		s.decide(x, v, name, request.Approve)
	}
	if x.reject != "" {
		s.decide(x, v, x.reject, request.Reject)
	}
	if x.signs {
		s.sign(x, v)
	}
	if x.carries {
		if _, err := s.h.D.Execute(context.Background(), v.ID); err != nil {
			s.Errorf("%s: %v", x.name, err)
		}
	}
	now, err := s.h.D.Request(context.Background(), v.ID)
	if err != nil {
		s.Fatal(err)
	}
	if got := stateOf(now); x.state != "" && got != x.state {
		s.Errorf("%s: is %s, want %s (%+v)", x.name, got, x.state, now.Missing)
	}
}

// ask hands in the turn's request, or finds the earlier one. It says whether there is a request then.
func (s *story) ask(x turn) (message.Request, bool) {
	s.Helper()
	if x.again != "" {
		v, ok := s.asked[x.again]
		if !ok {
			s.Fatalf("%s: nobody asked for %q", x.name, x.again)
		}
		return v, true
	}
	body := x.body
	if f, ok := body.(func(*story) any); ok {
		body = f(s)
	}
	by := s.person(x.by)
	r := s.h.Request(by, x.op, body)
	r.NotAfter = s.h.Clock.Wall.Load()/1e9 + s.doc.Floor.RequestTTL - 60
	v, err := s.h.D.Submit(context.Background(), message.Submit{Request: r.Encode(), Evidence: by.Sign(r), Simulation: s.report(x, body)})
	got := string(problem.KindOf(err))
	if err == nil {
		got = string(v.Decision.Outcome) + " " + v.Decision.Rule
	}
	if got != x.want {
		s.Fatalf("%s: got %q, want %q (%v, %+v)", x.name, got, x.want, err, v.Decision.Unmet)
	}
	var also []string
	for _, a := range v.Decision.Also {
		also = append(also, a.Rule)
	}
	if !slices.Equal(also, x.also) {
		s.Errorf("%s: needs the plans of %v besides, want %v", x.name, also, x.also)
	}
	s.asked[x.name] = v
	return v, err == nil
}

// quote has every signer of the document's sources say what an ether is worth.
func (s *story) quote(x turn) {
	s.Helper()
	rate, err := price.OfCoin(x.quote, 18, price.Digits("USD"))
	if err != nil {
		s.Fatal(err)
	}
	s.h.Clock.Advance(2 * time.Second)
	var all []price.Signed
	for _, src := range s.doc.PriceSources {
		for _, k := range src.Signers {
			q := price.Quote{V: 1, Authority: s.h.D.Authority(), Source: src.ID, Asset: chain.Native(), Currency: "USD", Rate: rate, AsOf: s.h.Clock.Wall.Load() / 1e9}
			all = append(all, price.Sign(q, k.ID, feed(k.ID)))
		}
	}
	if got, err := s.h.D.Quotes(context.Background(), message.Quotes{Quotes: all}); err != nil || len(got.Refused) > 0 {
		s.Fatalf("%s: %+v, %v", x.name, got, err)
	}
}

// feed gives the key of a signer of prices.
func feed(id string) ed25519.PrivateKey {
	seed := sha256.Sum256([]byte(id))
	return ed25519.NewKeyFromSeed(seed[:])
}

// report is what serve's node says of a turn's contract call.
func (s *story) report(x turn, body any) []byte {
	s.Helper()
	b, ok := body.(request.ContractCallBody)
	if !ok || x.node == "dead" {
		return nil
	}
	w, err := s.h.D.Wallet(b.Wallet)
	if err != nil {
		s.Fatal(err)
	}
	r := simulation.Report{V: 1, Chain: chain, Address: w.Address, Status: simulation.OK, Block: 1, BlockHash: make([]byte, 32)}
	switch x.node {
	case "gives":
		r.Changes = []simulation.Change{{Asset: simulation.Coin(chain), Out: custody.U64(1)}}
	case "fails":
		r.Status = simulation.Reverted
	}
	return r.Encode()
}

func (s *story) decide(x turn, v message.Request, name string, d request.Decision) {
	s.Helper()
	if _, err := s.h.Decide(s.person(name), v, d); err != nil {
		s.Errorf("%s: %s can't %s: %v", x.name, name, d, err)
	}
}

func (s *story) person(name string) domaintest.Person {
	s.Helper()
	p, ok := s.who[name]
	if !ok {
		s.Fatalf("nobody is called %q", name)
	}
	return p
}

func stateOf(v message.Request) string {
	if v.State == message.StatePending && v.Missing != nil {
		return fmt.Sprintf("%s %s", v.State, v.Missing.Kind)
	}
	return string(v.State)
}

// sign has the next transaction of the wallet signed for a request.
func (s *story) sign(x turn, v message.Request) {
	s.Helper()
	r, err := request.Parse(v.Request)
	if err != nil {
		s.Fatal(err)
	}
	tx := eth.Tx1559{ChainID: 1, Nonce: s.nonce, MaxPriorityFeePerGas: eth.FromUint64(1), MaxFeePerGas: eth.FromUint64(10), GasLimit: 100_000}
	to := ""
	switch b := r.Decoded.(type) {
	case *request.TransferBody:
		to, tx.Value, tx.GasLimit = b.Outputs[0].Address, eth.Uint256(b.Outputs[0].Amount), 21_000
	case *request.ContractCallBody:
		to, tx.Value, tx.Data = b.Contract, eth.Uint256(b.Value), b.Data
	}
	if tx.To, err = eth.ParseAddress(to); err != nil {
		s.Fatal(err)
	}
	raw, err := tx.Encode()
	if err != nil {
		s.Fatal(err)
	}
	if _, err := s.h.D.Sign(context.Background(), v.ID, raw); err != nil {
		s.Fatalf("%s: sign: %v", x.name, err)
	}
	s.nonce++
}

// finney gives so many thousandths of an ether, in wei.
func finney(n int) custody.Uint256 {
	u, err := custody.ParseUint256(fmt.Sprintf("%d000000000000000", n))
	if err != nil {
		panic(err) // a number of the stories
	}
	return u
}

// pay is a transfer of thousandths of an ether to a name or an address.
func pay(wallet custody.WalletID, to string, amount int) func(*story) any {
	return func(s *story) any {
		if a, ok := s.where[to]; ok {
			to = a
		}
		return request.TransferBody{Wallet: wallet, Asset: chain.Native(), Outputs: []request.Output{{Address: to, Amount: finney(amount)}}, FeeCap: custody.U64(21_000 * 100)}
	}
}

// wallet makes one.
func wallet(id custody.WalletID) request.WalletCreateBody {
	return request.WalletCreateBody{Wallet: id, Chain: chain, Scheme: request.SchemeEVM}
}

// since gives the entry since which the domain is in its state.
func (s *story) since() uint64 {
	s.Helper()
	m := s.h.D.Status().Mode
	if m == nil {
		s.Fatal("the domain is in its normal state")
	}
	return m.Since
}
