// SPDX-License-Identifier: Apache-2.0

package securedomain_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/sha256"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"strongroom/internal/core/ep11/family"
	"strongroom/internal/core/securedomain"
	"strongroom/internal/core/securedomain/domaintest"
	"strongroom/internal/gate/message"
	"strongroom/internal/pure/canon"
	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/entry"
	"strongroom/internal/pure/ep11"
	"strongroom/internal/pure/points"
	"strongroom/internal/pure/policy"
	"strongroom/internal/pure/problem"
	"strongroom/internal/pure/request"
)

// appPoints are the usual control points and those for applications.
func appPoints() *points.Set {
	s := points.Evaluation().Or(points.Make(points.AppKeys, points.AppImport, points.RawSign, points.AppCompat))
	for _, p := range points.Known().Points() {
		if p >= 64 {
			s = s.With(p)
		}
	}
	return &s
}

// appRoutes lets two officers grant, and anybody end a grant.
func appRoutes(d *policy.Document) {
	two := policy.Plan{AnyOf: []policy.Branch{{Steps: []policy.Step{{Group: "officers", Min: 2}}}}}
	d.Routes = append(d.Routes, policy.Route{ID: "apps", Priority: 90, Plan: two, When: policy.Match{Operations: []request.Operation{request.AppGrant, request.AppKeyRevoke}}},
		policy.Route{ID: "stop", Priority: 91, Auto: true, When: policy.Match{Operations: []request.Operation{request.AppRevoke}}})
}

// gateway is a gateway with an open session, and callers.
type gateway struct {
	*service
	number atomic.Uint64
}

func appDomain(t *testing.T, e securedomain.Engine, o domaintest.Options) (*domaintest.Harness, *gateway) {
	t.Helper()
	o.Engine, o.Points, o.Document = e, appPoints(), appRoutes
	h := domaintest.New(t, o)
	return h, openGateway(t, h)
}

func openGateway(t testing.TB, h *domaintest.Harness) *gateway {
	t.Helper()
	g := &gateway{service: &service{h: h}}
	if _, err := g.open(time.Hour); err != nil {
		t.Fatal(err)
	}
	return g
}

// grantBody lets a caller make keys, sign and seal them anew.
func grantBody(h *domaintest.Harness, name string) request.AppGrantBody {
	return request.AppGrantBody{Grant: name, Caller: request.AppCaller("local:" + name), Gateway: h.Service.ID, Functions: []request.AppFunction{request.AppGenerate, request.AppRewrap, request.AppSign},
		Mechanisms: []uint64{ep11.CKM_RSA_PKCS_KEY_PAIR_GEN, ep11.CKM_SHA256_HMAC, ep11.CKM_GENERIC_SECRET_KEY_GEN}, Rate: 1_000_000, Burst: 1_000_000, NotAfter: h.Clock.Wall.Load()/1e9 + 3600}
}

// sealed is the message of a call.
func (g *gateway) sealed(caller string, c ep11.Call) message.AppCall {
	in := message.AppCall{Session: g.id, Number: g.number.Add(1), Caller: request.AppCaller("local:" + caller), Call: c.Encode()}
	m := hmac.New(sha256.New, g.mac)
	m.Write(in.Message())
	in.MAC = m.Sum(nil)
	return in
}

func (g *gateway) do(caller string, c ep11.Call) (ep11.Answer, error) {
	a, err := g.h.D.EP11(context.Background(), g.sealed(caller, c))
	if err != nil {
		return ep11.Answer{}, err
	}
	if a.Failure != nil {
		return ep11.Answer{}, a.Failure
	}
	return ep11.DecodeAnswer(a.Answer)
}

func generateCall() ep11.Call {
	n := int64(32)
	yes := true
	return ep11.Call{Function: ep11.FnGenerateKey, Mechanism: &ep11.Mechanism{Type: ep11.CKM_GENERIC_SECRET_KEY_GEN}, Template: ep11.Template{ep11.CKA_VALUE_LEN: {Int: &n}, ep11.CKA_SIGN: {Bool: &yes}}}
}

func signCall(key []byte, what string) ep11.Call {
	return ep11.Call{Function: ep11.FnSignSingle, Mechanism: &ep11.Mechanism{Type: ep11.CKM_SHA256_HMAC}, Key: key, Data: []byte(what)}
}

func (g *gateway) key(t testing.TB, caller string) []byte {
	t.Helper()
	a, err := g.do(caller, generateCall())
	if err != nil || len(a.Key) == 0 {
		t.Fatalf("generate: %v", err)
	}
	return a.Key
}

func wantCode(t testing.TB, what string, err error, c ep11.Code) {
	t.Helper()
	if !errors.Is(err, c) {
		t.Errorf("%s: %v, want %v", what, err, c)
	}
}

// uses adds up what the log accounts to the grants, by grant, and checks the records.
func uses(t testing.TB, h *domaintest.Harness) (sums map[uint64]uint64, entries int) {
	t.Helper()
	sums = map[uint64]uint64{}
	if err := h.D.Settle(context.Background()); err != nil {
		t.Fatal(err)
	}
	for from := uint64(0); ; {
		f, err := h.D.Feed(context.Background(), message.Feed{From: from, Limit: 1000})
		if err != nil {
			t.Fatal(err)
		}
		if len(f.Entries) == 0 {
			return sums, entries
		}
		for _, x := range f.Entries {
			l, err := entry.DecodeLeaf(x.Leaf)
			if err != nil {
				t.Fatal(err)
			}
			if l.Kind != entry.KindUses {
				continue
			}
			var u entry.Uses
			if err := canon.Decode(x.Bodies[0].Body, &u); err != nil || len(x.Bodies) != 2 || l.Bodies[1].Class != entry.Confidential {
				t.Fatalf("%d bodies, %v", len(x.Bodies), err)
			}
			if err := u.CheckRecords(x.Bodies[1].Body); err != nil {
				t.Fatal(err)
			}
			for _, c := range u.Counts {
				sums[c.Grant] += c.Count
			}
			entries++
		}
		from += uint64(len(f.Entries))
	}
}

func theGrant(t testing.TB, h *domaintest.Harness, name string) message.AppGrant {
	t.Helper()
	for _, g := range h.D.Apps(message.List{Limit: 1000}).Grants {
		if g.Grant.Grant == name {
			return g
		}
	}
	t.Fatalf("no grant %q", name)
	return message.AppGrant{}
}

// A caller under a grant makes a key and uses it; each use is in the log, with its record, before the answer.
func TestAppUnderAGrant(t *testing.T) {
	t.Parallel()
	h, g := appDomain(t, &fakeEngine{}, domaintest.Options{})
	_, err := g.do("app", generateCall())
	wantCode(t, "without a grant", err, ep11.CKR_IBM_STATIC_POLICY)
	govern(t, h, request.AppGrant, grantBody(h, "app"))
	key := g.key(t, "app")
	first, err := g.do("app", signCall(key, "x"))
	if err != nil {
		t.Fatal(err)
	}
	again, err := g.do("app", signCall(key, "x"))
	if err != nil || !bytes.Equal(first.Data, again.Data) {
		t.Fatalf("%v", err)
	}
	if _, err := g.do("app", ep11.Call{Function: ep11.FnGenerateRandom, Len: 16}); err != nil {
		t.Errorf("random numbers: %v", err)
	}
	at := theGrant(t, h, "app")
	if sums, _ := uses(t, h); sums[at.Seq] != 3 || at.Used != 3 {
		t.Errorf("accounted: %v, %+v", sums, at)
	}
	if st := h.D.Status(); st.Grants != 1 || st.Uses != 3 {
		t.Errorf("%+v", st)
	}
	h.Check()
	h.Reopen()
	g = openGateway(t, h)
	if a, err := g.do("app", signCall(key, "x")); err != nil || !bytes.Equal(a.Data, first.Data) {
		t.Errorf("after a restart: %v", err)
	}
	if used := theGrant(t, h, "app").Used; used != 4 {
		t.Errorf("%d uses after a restart", used)
	}
	h.Check()
}

// What the grant does not say is refused: another caller, another gateway, function, mechanism, key, a time that is over, a revoked grant, a
// revoked key.
func TestAppRefusals(t *testing.T) {
	t.Parallel()
	h, g := appDomain(t, &fakeEngine{}, domaintest.Options{})
	govern(t, h, request.AppGrant, grantBody(h, "app"))
	key := g.key(t, "app")
	other := grantBody(h, "other")
	govern(t, h, request.AppGrant, other)
	theirs := g.key(t, "other")
	_, err := g.do("nobody", signCall(key, "x"))
	wantCode(t, "another caller", err, ep11.CKR_IBM_STATIC_POLICY)
	_, err = g.do("app", signCall(theirs, "x"))
	wantCode(t, "another's key", err, ep11.CKR_IBM_STATIC_POLICY)
	c := signCall(key, "x")
	c.Mechanism.Type = ep11.CKM_SHA384_HMAC
	_, err = g.do("app", c)
	wantCode(t, "another mechanism", err, ep11.CKR_IBM_STATIC_POLICY)
	c.Function = ep11.FnVerifySingle
	_, err = g.do("app", c)
	wantCode(t, "another function", err, ep11.CKR_IBM_STATIC_POLICY)
	second := domaintest.NewPerson("second gateway")
	enrol(t, h, second)
	g2 := &gateway{service: &service{h: h, by: second}}
	if _, err := g2.open(time.Hour); err != nil {
		t.Fatal(err)
	}
	_, err = g2.do("app", signCall(key, "x"))
	wantCode(t, "another gateway", err, ep11.CKR_IBM_STATIC_POLICY)
	var b fakeBlob
	if err := canon.Decode(key, &b); err != nil {
		t.Fatal(err)
	}
	id := entry.KeyOf(b.Key)
	govern(t, h, request.AppKeyRevoke, request.AppKeyRevokeBody{Keys: []custody.KeyID{id}})
	_, err = g.do("app", signCall(key, "x"))
	wantCode(t, "a revoked key", err, ep11.CKR_IBM_STATIC_POLICY)
	key = g.key(t, "app")
	if _, err := h.Submit(h.Alice, h.Request(h.Alice, request.AppRevoke, request.AppRevokeBody{Grant: "app"}), nil); err != nil {
		t.Fatal(err)
	}
	_, err = g.do("app", signCall(key, "x"))
	wantCode(t, "a revoked grant", err, ep11.CKR_IBM_STATIC_POLICY)
	if _, err := g.do("other", signCall(theirs, "x")); err != nil {
		t.Errorf("another's grant stands: %v", err)
	}
	h.Clock.Advance(time.Hour)
	g = openGateway(t, h)
	_, err = g.do("other", signCall(theirs, "x"))
	wantCode(t, "past its end", err, ep11.CKR_IBM_STATIC_POLICY)
	h.Check()
}

// enrol makes a second service.
func enrol(t testing.TB, h *domaintest.Harness, p domaintest.Person) {
	t.Helper()
	b := request.PersonEnrolBody{Person: p.ID, Kind: "service", Key: p.Pub}
	b.Possession = ed25519.Sign(p.Key, b.EnrolMessage(h.D.Authority()))
	govern(t, h, request.PersonEnrol, b)
}

// A grant for named keys is for those, whoever owns them, and for no new ones.
func TestAppNamedKeys(t *testing.T) {
	t.Parallel()
	h, g := appDomain(t, &fakeEngine{}, domaintest.Options{})
	govern(t, h, request.AppGrant, grantBody(h, "owner"))
	one, two := g.key(t, "owner"), g.key(t, "owner")
	var b fakeBlob
	if err := canon.Decode(one, &b); err != nil {
		t.Fatal(err)
	}
	named := grantBody(h, "user")
	named.Keys = []custody.KeyID{entry.KeyOf(b.Key)}
	govern(t, h, request.AppGrant, named)
	if _, err := g.do("user", signCall(one, "x")); err != nil {
		t.Errorf("the named key: %v", err)
	}
	_, err := g.do("user", signCall(two, "x"))
	wantCode(t, "another key", err, ep11.CKR_IBM_STATIC_POLICY)
	_, err = g.do("user", generateCall())
	wantCode(t, "a new key", err, ep11.CKR_IBM_STATIC_POLICY)
	h.Check()
}

// Control points that are off refuse, whatever the grant says, and import and compatibility need grant and point.
func TestAppControlPoints(t *testing.T) {
	t.Parallel()
	e := &fakeEngine{}
	h, g := appDomain(t, e, domaintest.Options{})
	b := grantBody(h, "app")
	govern(t, h, request.AppGrant, b)
	key := g.key(t, "app")
	if env := e.env.Load(); env.Compat || env.Points.Has(points.AppImport) || !env.Points.Has(points.AppKeys) {
		t.Errorf("a grant without import and compat: %v, %s", env.Compat, env.Points)
	}
	b.Import, b.Compat = true, true
	govern(t, h, request.AppGrant, b)
	g.key(t, "app")
	if env := e.env.Load(); !env.Compat || !env.Points.Has(points.AppImport) {
		t.Errorf("a grant with both: %v, %s", env.Compat, env.Points)
	}
	off := func(p ...points.Point) {
		govern(t, h, request.PointsSet, request.PointsSetBody{Counter: h.D.Status().Life.Counter + 1, Deny: points.Make(p...)})
	}
	off(points.AppCompat, points.AppImport)
	g.key(t, "app")
	if env := e.env.Load(); env.Compat || env.Points.Has(points.AppImport) {
		t.Error("what is switched off is on for the engine")
	}
	off(points.RawSign)
	_, err := g.do("app", signCall(key, "x"))
	wantCode(t, "raw-sign is off", err, ep11.CKR_IBM_STATIC_POLICY)
	off(points.AppKeys)
	_, err = g.do("app", generateCall())
	wantCode(t, "app-keys is off", err, ep11.CKR_IBM_STATIC_POLICY)
	h.Check()
}

// Each call has a number of its own and the MAC of an open session; a call that was seen is not done again.
func TestAppCallsAreOfASession(t *testing.T) {
	t.Parallel()
	e := &fakeEngine{}
	h, g := appDomain(t, e, domaintest.Options{})
	govern(t, h, request.AppGrant, grantBody(h, "app"))
	good := g.sealed("app", generateCall())
	ask := func(change func(*message.AppCall)) error {
		in := good
		change(&in)
		_, err := h.D.EP11(context.Background(), in)
		return err
	}
	wantKind(t, "another MAC", ask(func(c *message.AppCall) { c.MAC = bytes.Repeat([]byte{1}, 32) }), problem.Unauthenticated)
	wantKind(t, "a short MAC", ask(func(c *message.AppCall) { c.MAC = c.MAC[:31] }), problem.Malformed)
	wantKind(t, "another caller", ask(func(c *message.AppCall) { c.Caller = "local:other" }), problem.Unauthenticated)
	wantKind(t, "no caller", ask(func(c *message.AppCall) { c.Caller = "other" }), problem.Malformed)
	wantKind(t, "another call", ask(func(c *message.AppCall) { c.Call = signCall(nil, "x").Encode() }), problem.Unauthenticated)
	wantKind(t, "another number", ask(func(c *message.AppCall) { c.Number++ }), problem.Unauthenticated)
	wantKind(t, "another session", ask(func(c *message.AppCall) { c.Session = bytes.Repeat([]byte{1}, 16) }), problem.Unauthenticated)
	if n := e.done.Load(); n != 0 {
		t.Fatalf("%d calls were done", n)
	}
	if err := ask(func(*message.AppCall) {}); err != nil {
		t.Fatal(err)
	}
	wantKind(t, "the same again", ask(func(*message.AppCall) {}), problem.AlreadyDone)
	if n := e.done.Load(); n != 1 {
		t.Errorf("%d calls were done", n)
	}
	a, err := h.D.EP11(context.Background(), g.raw("app", []byte{0xff}))
	if err != nil || a.Failure == nil || a.Failure.Code != ep11.CKR_ARGUMENTS_BAD {
		t.Errorf("a call that is none: %v, %+v", err, a)
	}
	h.Clock.Advance(time.Hour)
	_, err = g.do("app", generateCall())
	wantKind(t, "past its end", err, problem.Unauthenticated)
	h.Reopen()
	_, err = g.do("app", generateCall())
	wantKind(t, "after a restart", err, problem.Unauthenticated)
}

// raw is the message of bytes that stand for a call.
func (g *gateway) raw(caller string, call []byte) message.AppCall {
	in := message.AppCall{Session: g.id, Number: g.number.Add(1), Caller: request.AppCaller("local:" + caller), Call: call}
	m := hmac.New(sha256.New, g.mac)
	m.Write(in.Message())
	in.MAC = m.Sum(nil)
	return in
}

// A grant's rate is by the time since boot: a burst, then one call for each part of a second.
func TestAppRate(t *testing.T) {
	t.Parallel()
	h, g := appDomain(t, &fakeEngine{}, domaintest.Options{})
	b := grantBody(h, "app")
	b.Rate, b.Burst = 4, 3
	govern(t, h, request.AppGrant, b)
	govern(t, h, request.AppGrant, grantBody(h, "other"))
	try := func(want int, when string) {
		t.Helper()
		n := 0
		for range want + 2 {
			if _, err := g.do("app", generateCall()); err == nil {
				n++
			} else if f := ep11.FailureOf(err); f.Code != ep11.CKR_IBM_TRANSPORT_LIMIT || !f.Retry {
				t.Fatalf("%s: %v", when, err)
			}
		}
		if n != want {
			t.Errorf("%s: %d calls, want %d", when, n, want)
		}
	}
	try(3, "at first")
	h.Clock.Since.Add(int64(250 * time.Millisecond))
	try(1, "a quarter of a second later")
	h.Clock.Since.Add(int64(249 * time.Millisecond))
	try(0, "a little less than a quarter later")
	h.Clock.Wall.Add(int64(time.Minute)) // the wall clock is not asked
	try(0, "when the clock is set")
	if _, err := g.do("other", generateCall()); err != nil {
		t.Errorf("another's calls: %v", err)
	}
	h.Clock.Since.Add(int64(time.Hour))
	h.D.TendOnce()
	try(3, "an hour later")
}

// Counts are exact under many callers at once, and never pass what a grant allows, however many try.
func TestAppCountsAreExact(t *testing.T) {
	t.Parallel()
	h, g := appDomain(t, &fakeEngine{}, domaintest.Options{})
	const callers, each = 64, 20
	limited := grantBody(h, "limited")
	limited.MaxUses = callers*each/2 + 1
	govern(t, h, request.AppGrant, limited)
	govern(t, h, request.AppGrant, grantBody(h, "free"))
	keys := map[string][]byte{"limited": g.key(t, "limited"), "free": g.key(t, "free")}
	var ok, refused atomic.Uint64
	var wg sync.WaitGroup
	for range callers {
		wg.Go(func() {
			for i := range each {
				if _, err := g.do("limited", signCall(keys["limited"], fmt.Sprint(i))); err == nil {
					ok.Add(1)
				} else if errors.Is(err, ep11.CKR_IBM_STATIC_POLICY) {
					refused.Add(1)
				} else {
					t.Error(err)
				}
				if _, err := g.do("free", signCall(keys["free"], fmt.Sprint(i))); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	sums, entries := uses(t, h)
	a, b := theGrant(t, h, "limited"), theGrant(t, h, "free")
	if ok.Load() != limited.MaxUses-1 || refused.Load() != callers*each-ok.Load() || sums[a.Seq] != limited.MaxUses || a.Used != limited.MaxUses {
		t.Errorf("%d answers, %d refusals, the log says %d, the state %d of %d", ok.Load(), refused.Load(), sums[a.Seq], a.Used, limited.MaxUses)
	}
	if sums[b.Seq] != callers*each+1 || b.Used != callers*each+1 {
		t.Errorf("%d, %d", sums[b.Seq], b.Used)
	}
	if entries > int(sums[a.Seq]+sums[b.Seq])/2 {
		t.Errorf("%d uses took %d entries: they are not gathered", sums[a.Seq]+sums[b.Seq], entries)
	}
	h.Check()
	h.Reopen()
	h.Check()
}

// A call that fails after it has used a key is accounted all the same, because a failure can tell of a key too.
func TestAppFailuresCount(t *testing.T) {
	t.Parallel()
	e := &fakeEngine{}
	h, g := appDomain(t, e, domaintest.Options{})
	govern(t, h, request.AppGrant, grantBody(h, "app"))
	key := g.key(t, "app")
	var wrong error = ep11.CKR_ENCRYPTED_DATA_INVALID
	e.fail.Store(&wrong)
	_, err := g.do("app", signCall(key, "x"))
	wantCode(t, "a failing call", err, ep11.CKR_ENCRYPTED_DATA_INVALID)
	if used := theGrant(t, h, "app").Used; used != 2 {
		t.Errorf("%d uses", used)
	}
	fault := fmt.Errorf("sign: %w", family.ErrFault)
	e.fail.Store(&fault)
	_, err = g.do("app", signCall(key, "x"))
	if f := ep11.FailureOf(err); f.Code != ep11.CKR_GENERAL_ERROR || f.Detail != "" {
		t.Errorf("a fault: %v", err)
	}
	if h.D.Cause() == nil {
		t.Error("a result that did not check does not stop the core")
	}
	<-h.D.Failed()
	_, err = g.do("app", signCall(key, "x"))
	wantCode(t, "after a fault", err, ep11.CKR_IBM_ERROR_STATE)
}

// After zeroize every call is answered that there is no working key, also one that was under way; restored, the blobs work again under a new
// grant.
func TestAppZeroize(t *testing.T) {
	t.Parallel()
	e := &fakeEngine{}
	h, g := appDomain(t, e, domaintest.Options{})
	govern(t, h, request.AppGrant, grantBody(h, "app"))
	key := g.key(t, "app")
	var once sync.Once
	e.enter = func(ep11.Call) {
		once.Do(func() {
			if _, err := h.Submit(h.Alice, h.Request(h.Alice, request.Zeroize, request.ZeroizeBody{Counter: h.D.Status().Life.Counter + 1, Phrase: request.ZeroizePhrase(h.D.ID())}), nil); err != nil {
				t.Error(err)
			}
		})
	}
	_, err := g.do("app", signCall(key, "x"))
	wantCode(t, "while it was under way", err, ep11.CKR_IBM_WK_NOT_INITIALIZED)
	for _, c := range []ep11.Call{generateCall(), signCall(key, "x"), {Function: ep11.FnGenerateRandom, Len: 1}} {
		_, err = g.do("app", c)
		wantCode(t, c.Function.String(), err, ep11.CKR_IBM_WK_NOT_INITIALIZED)
	}
	if st := h.D.Status(); st.Grants != 0 {
		t.Errorf("%d grants", st.Grants)
	}
	h.Check()
	h.Reopen()
	_, err = g.do("app", signCall(key, "x"))
	wantCode(t, "after a restart", err, ep11.CKR_IBM_WK_NOT_INITIALIZED)
}

// While the clock is not certain nothing is used.
func TestAppUncertainTime(t *testing.T) {
	t.Parallel()
	e := &fakeEngine{}
	h, g := appDomain(t, e, domaintest.Options{})
	govern(t, h, request.AppGrant, grantBody(h, "app"))
	key := g.key(t, "app")
	h.Clock.Unsure.Store(true)
	_, err := g.do("app", signCall(key, "x"))
	wantCode(t, "uncertain", err, ep11.CKR_DEVICE_ERROR)
	h.Clock.Unsure.Store(false)
	e.enter = func(ep11.Call) { h.Clock.Unsure.Store(true) }
	_, err = g.do("app", signCall(key, "x"))
	wantCode(t, "uncertain when it is to be accounted", err, ep11.CKR_DEVICE_ERROR)
	h.Clock.Unsure.Store(false)
	if used := theGrant(t, h, "app").Used; used != 1 {
		t.Errorf("%d uses", used)
	}
}

// Keys that are wiped while a call is under way, for a reason that does not concern it, are there again when it begins anew.
func TestAppKeysAreWipedAndComeBack(t *testing.T) {
	t.Parallel()
	e := &fakeEngine{}
	h, g := appDomain(t, e, domaintest.Options{})
	govern(t, h, request.AppGrant, grantBody(h, "app"))
	key := g.key(t, "app")
	want, err := g.do("app", signCall(key, "x"))
	if err != nil {
		t.Fatal(err)
	}
	parent := e.env.Load().Current.Parent
	newRules(t, h, func(d *policy.Document) { d.Routes[0].FeeCap = nil; d.Guards = nil })
	if parent.Len() != 0 {
		t.Error("the parent key outlives a change of the rules")
	}
	n := 0
	e.enter = func(ep11.Call) {
		if n++; n == 1 {
			h.D.Forget()
		}
	}
	if a, err := g.do("app", signCall(key, "x")); err != nil || !bytes.Equal(a.Data, want.Data) || n != 2 {
		t.Errorf("%v, after %d tries", err, n)
	}
	n = -100
	e.enter = func(ep11.Call) { h.D.Forget() }
	_, err = g.do("app", signCall(key, "x"))
	if f := ep11.FailureOf(err); err == nil || f.Code != ep11.CKR_GENERAL_ERROR || !f.Retry {
		t.Errorf("wiped each time: %v", err)
	}
}

// Logins are in the log before the answer; they are the caller's, and survive a restart.
func TestAppLogins(t *testing.T) {
	t.Parallel()
	e := &fakeEngine{}
	h, g := appDomain(t, e, domaintest.Options{})
	govern(t, h, request.AppGrant, grantBody(h, "app"))
	govern(t, h, request.AppGrant, grantBody(h, "other"))
	login := func(caller, pin string) error {
		_, err := g.do(caller, ep11.Call{Function: ep11.FnLogin, Pin: []byte(pin)})
		return err
	}
	var wg sync.WaitGroup
	for i := range 10 {
		wg.Go(func() {
			if err := login("app", fmt.Sprint(i/2)); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if n := theGrant(t, h, "app").Logins; n != 5 {
		t.Errorf("%d logins", n)
	}
	h.Reopen()
	g = openGateway(t, h)
	if n := theGrant(t, h, "app").Logins; n != 5 {
		t.Errorf("%d logins after a restart", n)
	}
	for i := range 100 {
		if err := login("app", fmt.Sprint("more ", i)); err != nil {
			wantCode(t, "too many", err, ep11.CKR_SESSION_COUNT)
			break
		}
	}
	if n := theGrant(t, h, "app").Logins; n != 64 {
		t.Errorf("%d logins", n)
	}
	for range 2 {
		if _, err := g.do("app", ep11.Call{Function: ep11.FnLogout}); err != nil {
			t.Error(err)
		}
	}
	if err := login("other", "x"); err != nil || theGrant(t, h, "app").Logins != 0 || theGrant(t, h, "other").Logins != 1 {
		t.Errorf("%v, %+v", err, h.D.Apps(message.List{Limit: 10}))
	}
	h.Check()
}
