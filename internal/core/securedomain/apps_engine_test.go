// SPDX-License-Identifier: Apache-2.0

package securedomain_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"sync"
	"testing"

	coreep11 "strongroom/internal/core/ep11"
	"strongroom/internal/core/ep11/family/rsakey"
	"strongroom/internal/core/securedomain/domaintest"
	"strongroom/internal/gate/message"
	"strongroom/internal/pure/authority"
	"strongroom/internal/pure/canon"
	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/entry"
	"strongroom/internal/pure/ep11"
	"strongroom/internal/pure/request"
)

// realDomain is a domain with the real engine, and a grant for most of what it can.
func realDomain(t *testing.T, o domaintest.Options, more ...func(*request.AppGrantBody)) (*domaintest.Harness, *gateway) {
	t.Helper()
	e, err := coreep11.New()
	if err != nil {
		t.Fatal(err)
	}
	h, g := appDomain(t, e, o)
	govern(t, h, request.AppGrant, wideGrant(h, "app", more...))
	return h, g
}

func wideGrant(h *domaintest.Harness, name string, more ...func(*request.AppGrantBody)) request.AppGrantBody {
	b := grantBody(h, name)
	b.Functions = request.AppFunctions()
	b.Mechanisms = []uint64{ep11.CKM_RSA_PKCS_KEY_PAIR_GEN, ep11.CKM_SHA256_HMAC, ep11.CKM_GENERIC_SECRET_KEY_GEN, ep11.CKM_EC_KEY_PAIR_GEN, ep11.CKM_ECDSA, ep11.CKM_AES_KEY_GEN, ep11.CKM_AES_CBC_PAD}
	slices.Sort(b.Mechanisms)
	for _, f := range more {
		f(&b)
	}
	return b
}

func flag(yes bool) ep11.Attribute   { return ep11.Attribute{Bool: &yes} }
func octets(b string) ep11.Attribute { return ep11.Attribute{Bytes: []byte(b)} }

// pairCall makes a pair on P-256.
func pairCall() ep11.Call {
	return ep11.Call{Function: ep11.FnGenerateKeyPair, Mechanism: &ep11.Mechanism{Type: ep11.CKM_EC_KEY_PAIR_GEN}, Template: ep11.Template{ep11.CKA_SIGN: flag(true)},
		Template2: ep11.Template{ep11.CKA_EC_PARAMS: octets(ep11.OIDP256), ep11.CKA_VERIFY: flag(true)}}
}

func ecdsaCall(key []byte) ep11.Call {
	return ep11.Call{Function: ep11.FnSignSingle, Mechanism: &ep11.Mechanism{Type: ep11.CKM_ECDSA}, Key: key, Data: bytes.Repeat([]byte{7}, 32)}
}

func (g *gateway) must(t testing.TB, c ep11.Call) ep11.Answer {
	t.Helper()
	a, err := g.do("app", c)
	if err != nil {
		t.Fatalf("%s: %v", c.Function, err)
	}
	return a
}

// A blob works until the epoch that it was made in is finalized, and one that was sealed anew for the committed next epoch works after that; with a
// restart after each step.
func TestAppRotation(t *testing.T) {
	t.Parallel()
	h, g := realDomain(t, domaintest.Options{Recovery: true})
	pair := g.must(t, pairCall())
	mac := g.must(t, generateCall())
	want := g.must(t, signCall(mac.Key, "x")).Data
	rewrap := func(key []byte) ([]byte, error) {
		a, err := g.do("app", ep11.Call{Function: ep11.FnRewrapKeyBlob, Key: key})
		return a.Key, err
	}
	works := func(when string, keys ...[]byte) {
		t.Helper()
		h.Reopen()
		g = openGateway(t, h)
		for i, k := range keys {
			if a, err := g.do("app", signCall(k, "x")); err != nil || !bytes.Equal(a.Data, want) {
				t.Errorf("%s, key %d: %v", when, i, err)
			}
		}
		if _, err := g.do("app", ecdsaCall(pair.Key)); err != nil && len(keys) > 0 && bytes.Equal(keys[0], mac.Key) {
			t.Errorf("%s: %v", when, err)
		}
	}
	if _, err := rewrap(mac.Key); err == nil {
		t.Error("sealed anew although there is no next epoch")
	}
	mustStep(t, h, request.EpochLoad)
	if _, err := rewrap(mac.Key); err == nil {
		t.Error("sealed anew although the next epoch is not committed")
	}
	works("loaded", mac.Key)
	mustStep(t, h, request.EpochCommit)
	works("committed", mac.Key)
	next, err := rewrap(mac.Key)
	if err != nil {
		t.Fatal(err)
	}
	nextPair, err := rewrap(pair.Key)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := h.Settled(); err != nil {
		t.Fatal(err)
	}
	mustStep(t, h, request.EpochActivate)
	works("activated", mac.Key, next)
	mustStep(t, h, request.EpochFinalize)
	works("finalized", next)
	g.must(t, ecdsaCall(nextPair))
	_, err = g.do("app", signCall(mac.Key, "x"))
	wantCode(t, "a blob of the epoch before", err, ep11.CKR_IBM_WKID_MISMATCH)
	h.Check()
}

// No blob of a wallet is taken for one of an application, nor the other way round: not under the parent key, not under the working key, whatever the
// tag; and at the calls every function refuses.
func TestAppBlobsAndWalletBlobs(t *testing.T) {
	t.Parallel()
	memory := domaintest.NewMemory()
	h, g := realDomain(t, domaintest.Options{Memory: memory})
	h.Wallet("hot", domaintest.Chain, request.SchemeEVM)
	app := g.must(t, generateCall()).Key
	wallets := 0
	for ref, seed := range memory.Blobs() {
		wallets++
		for _, blob := range [][]byte{seed, append(make([]byte, 32), seed...)} {
			for f := ep11.FnDigestKey; f <= ep11.FnRewrapKeyBlob; f++ {
				for _, m := range []uint64{ep11.CKM_SHA256_HMAC, ep11.CKM_ECDSA, ep11.CKM_AES_CBC_PAD, ep11.CKM_GENERIC_SECRET_KEY_GEN} {
					c := ep11.Call{Function: f, Mechanism: &ep11.Mechanism{Type: m, Parameter: make([]byte, 16)}, Mechanism2: &ep11.Mechanism{Type: m, Parameter: make([]byte, 16)}, Key: blob, Key2: blob, Key3: blob, Data: []byte("x")}
					if a, err := g.do("app", c); err == nil && (len(a.Data) > 0 || len(a.Attributes) > 0 || len(a.State) > 0) && f != ep11.FnDigestSingle && f != ep11.FnGenerateRandom {
						t.Errorf("%s with a wallet's blob gave an answer", f)
					}
				}
			}
		}
		parent, working, err := h.D.AppKeys()
		if err != nil {
			t.Fatal(err)
		}
		for _, tag := range []canon.Tag{canon.TagBlob, canon.TagAppBlob} {
			if h.D.Opens(tag, parent, seed) || tag == canon.TagAppBlob && h.D.Opens(tag, working, seed) || !h.D.Opens(canon.TagBlob, working, seed) {
				t.Errorf("the blob of key %s opens with tag %s where it should not, or nowhere", ref.Key, tag)
			}
			if h.D.Opens(tag, working, app[32:]) || tag == canon.TagBlob && h.D.Opens(tag, parent, app[32:]) || !h.D.Opens(canon.TagAppBlob, parent, app[32:]) {
				t.Errorf("the application's blob opens with tag %s where it should not, or nowhere", tag)
			}
		}
		memory.SetBlob(ref, app)
		h.D.ForgetKeys()
		if _, err := paid(h, "hot", 0); err == nil {
			t.Error("a wallet signs with an application's blob")
		}
		memory.SetBlob(ref, seed)
	}
	if wallets != 1 {
		t.Errorf("%d blobs of wallets", wallets)
	}
}

// The laws with the real engine: counts, zeroize, a login that keys are bound to.
func TestAppWithTheEngine(t *testing.T) {
	t.Parallel()
	h, g := realDomain(t, domaintest.Options{Pair: rsakey.Make, Pairs: 1}, func(b *request.AppGrantBody) { b.MaxUses = 400 })
	pair := g.must(t, pairCall())
	var wg sync.WaitGroup
	for range 64 {
		wg.Go(func() {
			a, err := g.do("app", ecdsaCall(pair.Key))
			if err != nil {
				t.Error(err)
				return
			}
			v := ecdsaCall(pair.Key2)
			v.Function, v.Signature = ep11.FnVerifySingle, a.Data
			if _, err := g.do("app", v); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	at := theGrant(t, h, "app")
	if sums, _ := uses(t, h); at.Used < 65 || sums[at.Seq] != at.Used {
		t.Errorf("%d uses, the log says %d", at.Used, sums[at.Seq])
	}
	in := g.must(t, ep11.Call{Function: ep11.FnLogin, Pin: []byte("a pin of the caller")})
	bound := generateCall()
	bound.Template[ep11.CKA_IBM_LOGIN_SESSION] = octets(string(in.Data))
	key := g.must(t, bound).Key
	g.must(t, signCall(key, "x"))
	g.must(t, ep11.Call{Function: ep11.FnLogout})
	_, err := g.do("app", signCall(key, "x"))
	wantCode(t, "after the logout", err, ep11.CKR_SESSION_CLOSED)
	g.must(t, ep11.Call{Function: ep11.FnLogin, Pin: []byte("a pin of the caller")})
	g.must(t, signCall(key, "x"))
	h.Check()
	if _, err := h.Zeroize(h.Alice); err != nil {
		t.Fatal(err)
	}
	_, err = g.do("app", signCall(key, "x"))
	wantCode(t, "zeroized", err, ep11.CKR_IBM_WK_NOT_INITIALIZED)
}

// A key that is wiped while the engine works with it is there again when the call begins anew, whatever the engine makes of it.
func TestAppEngineKeysComeBack(t *testing.T) {
	t.Parallel()
	h, g := realDomain(t, domaintest.Options{})
	key := g.must(t, generateCall()).Key
	stop := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
				h.D.Forget()
			}
		}
	})
	failed := 0
	for i := range 200 {
		if _, err := g.do("app", signCall(key, fmt.Sprint(i))); err != nil {
			failed++
			if f := ep11.FailureOf(err); !f.Retry {
				t.Fatal(err)
			}
		}
	}
	close(stop)
	wg.Wait()
	if failed == 200 {
		t.Error("nothing works while keys are wiped")
	}
	h.Check()
}

// A log with grants, their ends, uses, logins and revoked keys folds, audits and has the records that it accounts; with STRONGROOM_FREEZE it is
// kept for ever, once.
func TestAppsInOneLog(t *testing.T) {
	t.Parallel()
	h, g := realDomain(t, domaintest.Options{SnapshotEvery: 10, Recovery: true, Memory: domaintest.NewMemory()}, func(b *request.AppGrantBody) { b.MaxUses = 9 })
	key := g.must(t, generateCall()).Key
	g.must(t, ep11.Call{Function: ep11.FnLogin, Pin: []byte("a pin of the caller")})
	for i := 0; ; i++ {
		if _, err := g.do("app", signCall(key, fmt.Sprint(i))); err != nil {
			if !errors.Is(err, ep11.CKR_IBM_STATIC_POLICY) || i != 8 {
				t.Fatalf("after %d: %v", i, err)
			}
			break
		}
	}
	govern(t, h, request.AppGrant, wideGrant(h, "app"))
	g.must(t, signCall(key, "x"))
	g.must(t, ep11.Call{Function: ep11.FnGetAttribute, Key: key, Template: ep11.Template{ep11.CKA_SIGN: {}}})
	g.must(t, ep11.Call{Function: ep11.FnLogout})
	named := wideGrant(h, "other", func(b *request.AppGrantBody) {
		b.Keys, b.Import, b.Compat = []custody.KeyID{"00112233445566778899aabbccddeeff"}, true, true
	})
	govern(t, h, request.AppGrant, named)
	govern(t, h, request.AppKeyRevoke, request.AppKeyRevokeBody{Keys: []custody.KeyID{"00112233445566778899aabbccddeeff", "ffeeddccbbaa99887766554433221100"}})
	if v := submitted(t, h, h.Alice, h.Request(h.Alice, request.AppRevoke, request.AppRevokeBody{Grant: "other"})); v.State != message.StateExecuted {
		t.Fatalf("%+v", v)
	}
	for _, op := range []request.Operation{request.EpochLoad, request.EpochCommit, request.EpochActivate, request.EpochFinalize} {
		mustStep(t, h, op)
		if _, err := h.Settled(); err != nil {
			t.Fatal(err)
		}
	}
	if n := h.D.Status().RevokedKeys; n != 0 {
		t.Errorf("%d revoked keys outlive their epoch", n)
	}
	if _, err := h.Zeroize(h.Alice); err != nil {
		t.Fatal(err)
	}
	h.Check()
	log := frozenLog{}
	s := authority.New()
	kinds := map[entry.Kind]int{}
	for _, x := range scan(t, h) {
		if err := s.Apply(x.leaf, x.hash, x.body); err != nil {
			t.Fatal(err)
		}
		log.Roots = append(log.Roots, s.StateRoot())
		kinds[x.leaf.Kind]++
	}
	f, err := h.D.Feed(context.Background(), message.Feed{Limit: uint64(len(log.Roots))}) // a snapshot may have come since
	if err != nil || len(f.Entries) != len(log.Roots) || kinds[entry.KindUses] < 10 {
		t.Fatalf("%d entries, %v, %v", len(f.Entries), kinds, err)
	}
	log.Entries = f.Entries
	if os.Getenv("STRONGROOM_FREEZE") != "" {
		freeze(t, "../../pure/authority/testdata/frozen/log-2.cbor", canon.Encode(log))
	}
}
