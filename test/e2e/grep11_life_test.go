// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/dynamicpb"

	wire "strongroom/api/gen/grep11"
	"strongroom/client/grep11"
	"strongroom/internal/gate/message"
	"strongroom/internal/pure/ep11"
	"strongroom/internal/pure/request"
)

// rewrapFlow: a key goes into the next epoch while the working key is replaced, and what it encrypted before still decrypts.
func rewrapFlow(s *suite) {
	k := s.aes()
	m := mech(ep11.CKM_AES_CBC_PAD, iv(16)...)
	c := encrypt(s, m, k.GetKey(), []byte("from before"))
	_, err := s.RewrapKeyBlob(s.ctx(), &wire.RewrapKeyBlobRequest{WrappedKey: k.GetKey()})
	s.wants(ep11.CKR_IBM_WK_NOT_INITIALIZED, "without a next epoch", err)
	core := s.apps.core
	step := func(op request.Operation, body func(at message.Life) any) {
		s.t.Helper()
		if err := core.life(op, body(core.settled())); err != nil {
			s.t.Fatal(err)
		}
		core.settled()
	}
	step(request.EpochLoad, func(at message.Life) any { return request.EpochLoadBody{Counter: at.Counter + 1, Epoch: at.NextEpoch} })
	step(request.EpochCommit, func(at message.Life) any {
		return request.EpochCommitBody{Counter: at.Counter + 1, Epoch: at.Epoch + 1, Pattern: at.Next.Pattern}
	})
	re, err := s.RewrapKeyBlob(s.ctx(), &wire.RewrapKeyBlobRequest{WrappedKey: k.GetKey()})
	s.must("rewrap", err)
	if !bytes.Equal(re.GetRewrappedKeyBytes(), re.GetRewrappedKey().GetKeyBlobs()[0]) || bytes.Equal(re.GetRewrappedKeyBytes(), k.GetKeyBytes()) {
		s.t.Error("the key was not sealed anew")
	}
	_, err = s.DecryptSingle(s.ctx(), &wire.DecryptSingleRequest{Mech: m, Ciphered: c, Key: re.GetRewrappedKey()})
	s.wants(ep11.CKR_IBM_WKID_MISMATCH, "a key of the next epoch", err)
	step(request.EpochActivate, func(at message.Life) any {
		return request.EpochActivateBody{Counter: at.Counter + 1, Epoch: at.Epoch + 1, Pattern: at.Next.Pattern}
	})
	if got := decrypt(s, m, re.GetRewrappedKey(), c); string(got) != "from before" {
		s.t.Errorf("%q", got)
	}
	step(request.EpochFinalize, func(at message.Life) any {
		return request.EpochFinalizeBody{Counter: at.Counter + 1, Epoch: at.Epoch - 1, Pattern: at.Previous.Pattern}
	})
	if got := decrypt(s, m, re.GetRewrappedKey(), c); string(got) != "from before" {
		s.t.Errorf("%q", got)
	}
	_, err = s.DecryptSingle(s.ctx(), &wire.DecryptSingleRequest{Mech: m, Ciphered: c, Key: k.GetKey()})
	s.wants(ep11.CKR_IBM_WKID_MISMATCH, "a key of an epoch that is over", err)
}

// TestApplicationsNeedAGrant: a caller without one is refused every call, one without any name too, and a grant that was revoked is over at once.
func TestApplicationsNeedAGrant(t *testing.T) {
	t.Parallel()
	a := startApps(t)
	stranger, who := a.certificate()
	a.every("without a grant", ep11.CKR_IBM_STATIC_POLICY, a.dial([]tls.Certificate{stranger}))
	a.every("without a name", ep11.CKR_IBM_GREP11_NOT_AUTHENTICATED, a.dial(nil))

	s := a.client("mine", nil)
	k := s.aes()
	m := mech(ep11.CKM_AES_CBC_PAD, iv(16)...)
	// Another caller with a grant gets nothing done with the key either.
	b := a.client("yours", nil)
	_, err := b.EncryptSingle(b.ctx(), &wire.EncryptSingleRequest{Mech: m, Plain: iv(3), Key: k.GetKey()})
	b.wants(ep11.CKR_IBM_STATIC_POLICY, "another's key", err)
	// A grant is for its mechanisms, functions and number of uses.
	narrow := a.client("narrow", func(g *request.AppGrantBody) {
		g.Functions, g.Mechanisms, g.MaxUses = []request.AppFunction{request.AppGenerate, request.AppSign}, []uint64{ep11.CKM_EC_KEY_PAIR_GEN, ep11.CKM_ECDSA}, 4
	})
	pair := narrow.ec(ep11.OIDP256)
	sign := func(m int) error {
		_, err := narrow.SignSingle(narrow.ctx(), &wire.SignSingleRequest{Mech: mech(m), Data: iv(32), PrivKey: pair.GetPrivKey()})
		return err
	}
	narrow.wants(ep11.CKR_IBM_STATIC_POLICY, "another mechanism", sign(ep11.CKM_ECDSA_SHA256))
	_, err = narrow.VerifySingle(narrow.ctx(), &wire.VerifySingleRequest{Mech: mech(ep11.CKM_ECDSA), Data: iv(32), Signature: iv(64), PubKey: pair.GetPubKey()})
	narrow.wants(ep11.CKR_IBM_STATIC_POLICY, "another function", err)
	used := 0
	for ; used < 10; used++ {
		if err = sign(ep11.CKM_ECDSA); err != nil {
			break
		}
	}
	narrow.wants(ep11.CKR_IBM_STATIC_POLICY, "too many uses", err)
	if used < 2 || used > 4 {
		t.Errorf("%d signatures with four uses", used)
	}
	a.core.govern("revoke", request.AppRevoke, request.AppRevokeBody{Grant: "mine"})
	_, err = s.EncryptSingle(s.ctx(), &wire.EncryptSingleRequest{Mech: m, Plain: iv(3), Key: k.GetKey()})
	s.wants(ep11.CKR_IBM_STATIC_POLICY, "a grant that was revoked", err)
	// The name that the command line gave is the one that the core sees.
	a.core.govern("late", request.AppGrant, a.grantOf("late", who))
	if _, err := wire.NewCryptoClient(a.dial([]tls.Certificate{stranger})).GetMechanismList(t.Context(), &wire.GetMechanismListRequest{}); err != nil {
		t.Error(err)
	}
}

// every does each of the forty calls, with nothing in it, and wants one return code.
func (a *apps) every(what string, want ep11.Code, c *grpc.ClientConn) {
	a.t.Helper()
	for _, name := range methodNames(a) {
		m := a.service.Methods().ByName(protoreflect.Name(name))
		err := c.Invoke(a.t.Context(), "/grep11.Crypto/"+name, dynamicpb.NewMessage(m.Input()), dynamicpb.NewMessage(m.Output()))
		if got := codeOf(a.t, err); got != want {
			a.t.Errorf("%s, %s: got %v (%v), want %v", what, name, got, err, want)
		}
	}
}

// TestApplicationsAfterZeroize: keys and states that were good are good for nothing, and no call does anything, not after a restart either.
func TestApplicationsAfterZeroize(t *testing.T) {
	t.Parallel()
	a := startApps(t)
	s := a.client("one", nil)
	k := s.aes()
	m := mech(ep11.CKM_AES_CBC_PAD, iv(16)...)
	init, err := s.EncryptInit(s.ctx(), &wire.EncryptInitRequest{Mech: m, Key: k.GetKey()})
	s.must("init", err)
	if err := a.core.life(request.Zeroize, request.ZeroizeBody{Counter: a.core.status().Life.Counter + 1, Phrase: request.ZeroizePhrase(a.core.s.domain)}); err != nil {
		t.Fatal(err)
	}
	for what, f := range map[string]func() error{
		"key": func() error {
			_, err := s.EncryptSingle(s.ctx(), &wire.EncryptSingleRequest{Mech: m, Plain: iv(3), Key: k.GetKey()})
			return err
		},
		"state": func() error {
			_, err := s.Encrypt(s.ctx(), &wire.EncryptRequest{State: init.GetState(), Plain: iv(3)})
			return err
		},
		"new": func() error {
			_, err := s.GenerateKey(s.ctx(), &wire.GenerateKeyRequest{Mech: mech(ep11.CKM_AES_KEY_GEN), Template: attrs(ep11.CKA_VALUE_LEN, 32)})
			return err
		},
	} {
		s.wants(ep11.CKR_IBM_WK_NOT_INITIALIZED, what, f())
	}
	a.every("after zeroize", ep11.CKR_IBM_WK_NOT_INITIALIZED, a.dial([]tls.Certificate{s.cert}))
	a.core.stop()
	again := a.core.s.start()
	a.every("after a restart", ep11.CKR_IBM_WK_NOT_INITIALIZED, a.dial([]tls.Certificate{s.cert}))
	_, err = s.EncryptSingle(s.ctx(), &wire.EncryptSingleRequest{Mech: m, Plain: iv(3), Key: k.GetKey()})
	s.wants(ep11.CKR_IBM_WK_NOT_INITIALIZED, "key", err)
	again.check()
}

// TestTenThousandOperations: so many at a time, from one caller, are all done, and accounted.
func TestTenThousandOperations(t *testing.T) {
	t.Parallel()
	const many = 10_000
	a := startApps(t)
	s := a.client("one", nil)
	k := s.ec(ep11.OIDEd25519)
	var conns []wire.CryptoClient
	for range 6 {
		conns = append(conns, wire.NewCryptoClient(a.dial([]tls.Certificate{s.cert})))
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	var wg sync.WaitGroup
	for i := range many {
		wg.Go(func() {
			r, err := conns[i%len(conns)].SignSingle(ctx, &wire.SignSingleRequest{Mech: mech(ep11.CKM_IBM_ED25519_SHA512), Data: fmt.Append(nil, i), PrivKey: k.GetPrivKey()})
			if err != nil || len(r.GetSignature()) != 64 {
				t.Errorf("%d: %v", i, err)
			}
		})
	}
	wg.Wait()
	a.core.check()
}

// TestApplicationsByToken goes from an API key, made on the command line, to calls.
func TestApplicationsByToken(t *testing.T) {
	t.Parallel()
	a := startApps(t, "--token-listen", "127.0.0.1:0")
	out := filepath.Join(t.TempDir(), "api-key")
	if b, err := exec.Command("strongroom", "grep11", "api-key", "new", "billing", "--data", a.dir, "--out", out).CombinedOutput(); err != nil || !strings.Contains(string(b), "token:billing") {
		t.Fatalf("%v: %s", err, b)
	}
	a.core.govern("billing", request.AppGrant, a.grantOf("billing", "token:billing"))
	hc := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: a.roots}}}
	token := grep11.Tokens(hc, "https://"+a.tokenAddress(), func() ([]byte, error) { return os.ReadFile(out) }, time.Now)
	conn, err := grep11.Dial(grep11.Config{Address: a.address, CA: a.roots, Token: token})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	key, err := grep11.Generate(t.Context(), conn.Transport(), grep11.P256, grep11.Signing)
	if err != nil {
		t.Fatal(err)
	}
	checkTLS(t, key)
}

// tokenAddress is where the token endpoint listens, as the gateway's log says.
func (a *apps) tokenAddress() string {
	a.t.Helper()
	b, err := os.ReadFile(a.log)
	if err != nil {
		a.t.Fatal(err)
	}
	var line struct {
		Token string `json:"token_address"`
	}
	first, _, _ := bytes.Cut(b, []byte("\n"))
	if err := json.Unmarshal(first, &line); err != nil || line.Token == "" {
		a.t.Fatalf("%s: %v", first, err)
	}
	return line.Token
}

// checkTLS has a key serve TLS 1.3, with a certificate that it signed itself, and answer a call.
func checkTLS(t *testing.T, key *grep11.Key) {
	t.Helper()
	c := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Minute), NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}}
	der, err := x509.CreateCertificate(rand.Reader, c, c, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	srv := httptest.NewUnstartedServer(http.NotFoundHandler())
	if srv.TLS, err = key.TLSConfig(der); err != nil {
		t.Fatal(err)
	}
	srv.StartTLS()
	defer srv.Close()
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(leaf)
	resp, err := (&http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}}}).Get(srv.URL)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.TLS.Version != tls.VersionTLS13 || resp.StatusCode != http.StatusNotFound {
		t.Errorf("TLS %x, status %d", resp.TLS.Version, resp.StatusCode)
	}
}
