// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"bufio"
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/btcsuite/btcd/btcutil/v2/hdkeychain"
	"github.com/btcsuite/btcd/chaincfg/v2"

	"strongroom/client"
	"strongroom/internal/core/domainkeys"
	"strongroom/internal/core/hsm/soft"
	"strongroom/internal/core/keystore"
	"strongroom/internal/core/securedomain/domaintest"
	"strongroom/internal/edge/tlsca"
	"strongroom/internal/gate"
	"strongroom/internal/gate/message"
	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/request"
	"strongroom/internal/secret"
	"strongroom/test/leaks"
)

// Two keys that the core has on its heap too, because crypto/ed25519 needs them there: package domainkeys says so.
const (
	logKey      = "the log key"
	identityKey = "the identity key"
)

// canary is no secret: it passes through serve and core as an idempotency key, and is found where secrets are looked for.
const canary = "canary-2c1f7d0b95ae4e63"

// TestSecretsStayInTheCore runs core and serve as they ship, has wallets sign through REST and through the door, and then knows every secret of
// the domain, because it opens a copy of the data folder with the passphrase. None of them is in serve's memory, in the core's outside its
// locked arena, in a command line or environment, in any file, in what the programs said, nor in what they say as they die.
func TestSecretsStayInTheCore(t *testing.T) {
	t.Setenv("GOTRACEBACK", "crash") // a core that could leave a core dump, would
	s := newSite(t, filepath.Join(t.TempDir(), "domain"))
	if err := os.Mkdir(s.dir, 0o700); err != nil {
		t.Fatal(err)
	}
	s.create()
	c := s.start("--snapshot-every", "8")
	c.wallet(4)
	c.govern("coins", request.WalletCreate, request.WalletCreateBody{Wallet: "coins", Chain: custody.BitcoinRegtest, Scheme: request.SchemeP2TR})
	c.openSession()
	v := startServe(t, s, c)
	v.work(c)

	secrets := s.secrets()
	secrets = append(secrets, leaks.Secret{Name: "a session's MAC key", Content: c.mac})
	for _, p := range s.people() {
		secrets = append(secrets, leaks.Secret{Name: "the key of " + string(p.id), Content: p.key.Seed()})
	}
	find, seen := newFinder(t, secrets), newFinder(t, []leaks.Secret{{Name: "the canary", Content: []byte(canary)}})

	// Serve: all of it.
	scan(t, "serve", v.cmd.Process.Pid, find, seen, nil)
	// The core: all but the arena, for all but the two keys, if we may look at all. Its memory can be opened by root alone.
	if _, _, err := find.Process(c.cmd.Process.Pid, nil); err != nil {
		if !errors.Is(err, fs.ErrPermission) || os.Geteuid() == 0 {
			t.Error(err)
		}
	} else {
		arenas := 0
		inCore := newFinder(t, slices.DeleteFunc(slices.Clone(secrets), func(x leaks.Secret) bool { return x.Name == logKey || x.Name == identityKey }))
		scan(t, "the core", c.cmd.Process.Pid, inCore, seen, func(m leaks.Mapping) bool {
			arena := slices.Contains(m.Flags, "wf") && slices.Contains(m.Flags, "dd")
			if arena {
				arenas++
			}
			return arena
		})
		if arenas == 0 {
			t.Error("the core has no arena: nothing was left out, so this is not the core that is meant")
		}
	}
	if b, err := os.ReadFile(fmt.Sprintf("/proc/%d/limits", c.cmd.Process.Pid)); err != nil || !strings.Contains(strings.Join(strings.Fields(string(b)), " "), "Max core file size 0 0") {
		t.Errorf("the core may leave core dumps: %v: %s", err, b)
	}

	// The end of both, with every goroutine told of and a signal that dumps core.
	if st := c.die(); st.CoreDump() || !st.Signaled() {
		t.Errorf("the core ended with %v, dump %v", st, st.CoreDump())
	}
	v.die()
	if !strings.Contains(c.said.String(), "goroutine ") || !strings.Contains(v.said(), "goroutine ") {
		t.Error("the programs said nothing of their goroutines")
	}
	for who, said := range map[string]string{"the core": c.said.String(), "serve": v.said()} {
		report(t, find.In("what "+who+" said", []byte(said)))
		report(t, v.own.In("what "+who+" said", []byte(said)))
	}
	for _, dir := range []string{s.dir, v.dir} {
		hits, files, err := find.Folder(dir)
		if err != nil || files < 3 {
			t.Errorf("%d files in %s, %v", files, dir, err)
		}
		report(t, hits)
		if hits, _, err = v.own.Folder(dir); err != nil {
			t.Error(err)
		}
		report(t, hits)
	}
}

func newFinder(t *testing.T, secrets []leaks.Secret) *leaks.Finder {
	t.Helper()
	f, err := leaks.NewFinder(secrets)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func report(t *testing.T, hits []leaks.Hit) {
	t.Helper()
	for _, h := range hits {
		t.Errorf("found %v", h)
	}
}

// scan looks through a process, and requires that it sees the canary there.
func scan(t *testing.T, who string, pid int, find, seen *leaks.Finder, skip func(leaks.Mapping) bool) {
	t.Helper()
	hits, read, err := find.Process(pid, skip)
	if err != nil || read < 10<<20 {
		t.Errorf("%s: %d bytes read, %v", who, read, err)
	}
	report(t, hits)
	if hits, _, err = seen.Process(pid, skip); err != nil || len(hits) == 0 {
		t.Errorf("%s: the canary is not found (%v), so the search shows nothing", who, err)
	}
}

// secrets opens a copy of the data folder and gives all that it protects.
func (s *site) secrets() (out []leaks.Secret) {
	s.t.Helper()
	add := func(name string, b []byte) { out = append(out, leaks.Secret{Name: name, Content: bytes.Clone(b)}) }
	must := func(err error) {
		s.t.Helper()
		if err != nil {
			s.t.Fatal(err)
		}
	}
	dir := s.t.TempDir()
	for _, d := range []string{"root", "blobs"} {
		domaintest.CopyFolder(s.t, filepath.Join(s.dir, d), filepath.Join(dir, d))
	}
	must(os.Chmod(filepath.Join(dir, "root"), 0o700))
	arena, err := secret.NewArena(secret.Config{Size: 1 << 20})
	must(err)
	const passphrase = "a passphrase for tests"
	add("the passphrase", []byte(passphrase))
	pass, err := secret.Take(arena, []byte(passphrase))
	must(err)
	root, err := soft.Open(soft.Config{Arena: arena, Dir: filepath.Join(dir, "root"), Argon: soft.Argon{Time: 1, Memory: 8 << 10, Lanes: 1}, WeakUnsafe: true}, pass)
	must(err)
	_, identity, err := root.Unseal(context.Background(), domainkeys.IdentityLabel)
	must(err)
	must(identity.Use(func(b []byte) error {
		for i, name := range []string{logKey, identityKey, "the read root", "the salt root", "the aux root"} {
			add(name, b[32*i:32*i+32])
		}
		return nil
	}))
	ids, err := domainkeys.LoadIdentity(context.Background(), arena, root)
	must(err)
	dwk, err := domainkeys.LoadDWK(context.Background(), root, ids.IdentityKey(), 1)
	must(err)
	must(dwk.Key().Use(func(b []byte) error { add("the domain working key", b); return nil }))
	blobs, err := filepath.Glob(filepath.Join(dir, "blobs", "*", "*.blob"))
	must(err)
	if len(blobs) != 2 {
		s.t.Fatalf("%d blobs, want two wallets' seeds", len(blobs))
	}
	for _, name := range blobs {
		blob, err := os.ReadFile(name)
		must(err)
		h, err := keystore.ReadHeader(blob)
		must(err)
		seed, _, err := keystore.Open(arena, blob, keystore.Hash(blob), keystore.Want{Authority: h.Authority, Domain: h.Domain, Epoch: h.Epoch,
			Pattern: dwk.Pattern, Key: h.Key, Purpose: h.Purpose}, dwk.Key())
		must(err)
		must(seed.Use(func(b []byte) error {
			add("a seed", b)
			for _, account := range [][]uint32{{44, 60, 0}, {86, 1, 0}} {
				s.derived(b, account, add)
			}
			return nil
		}))
	}
	return out
}

// derived adds the private keys on the way from a seed to an account's first addresses.
func (s *site) derived(seed []byte, account []uint32, add func(string, []byte)) {
	s.t.Helper()
	k, err := hdkeychain.NewMaster(seed, &chaincfg.MainNetParams)
	at := "m"
	note := func() {
		s.t.Helper()
		if err != nil {
			s.t.Fatal(err)
		}
		sk, err := k.ECPrivKey()
		if err != nil {
			s.t.Fatal(err)
		}
		add("the private key "+at, sk.Serialize())
	}
	note()
	for _, i := range account {
		k, err = k.Derive(i + hdkeychain.HardenedKeyStart)
		at += fmt.Sprintf("/%d'", i)
		note()
	}
	branch, err := k.Derive(0)
	if err != nil {
		s.t.Fatal(err)
	}
	k, at = branch, at+"/0"
	note()
	top := at
	for i := range uint32(4) {
		k, err = branch.Derive(i)
		at = fmt.Sprintf("%s/%d", top, i)
		note()
	}
}

// server is a running serve before a core.
type server struct {
	t       *testing.T
	cmd     *exec.Cmd
	dir     string // its data
	log     string
	http    *http.Client
	url     string
	own     *leaks.Finder // the password of its node, which only its memory may have
	session *client.Session
}

// startServe starts serve with a node that can't be reached, whose password is a secret too, and opens a session of the service.
func startServe(t *testing.T, s *site, c *core) *server {
	t.Helper()
	top := t.TempDir()
	v := &server{t: t, dir: filepath.Join(top, "serve"), log: filepath.Join(top, "serve.log")}
	raw := make([]byte, 24)
	rand.Read(raw)
	password := hex.EncodeToString(raw)
	v.own = newFinder(t, []leaks.Secret{{Name: "the node's password", Content: []byte(password)}})
	conf, err := json.Marshal(map[string]any{"door": c.socket, "data": "serve", "tiles": "tiles", "listen": "127.0.0.1:0", "chains": []map[string]any{
		{"chain": custody.BitcoinRegtest, "rpc": "http://127.0.0.1:1", "user": "u", "passwordFile": "password", "confirmations": 1, "poll": "100ms"}}})
	if err != nil {
		t.Fatal(err)
	}
	ca, err := tlsca.Open(tlsca.Config{Dir: v.dir, Names: tlsca.DefaultNames(), Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	for name, b := range map[string][]byte{"serve.json": conf, "password": []byte(password + "\n")} {
		if err := os.WriteFile(filepath.Join(top, name), b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Mkdir(filepath.Join(top, "tiles"), 0o700); err != nil {
		t.Fatal(err)
	}
	v.start(filepath.Join(top, "serve.json"))
	v.connect(s, ca)
	return v
}

func (v *server) start(file string) {
	v.t.Helper()
	path, err := exec.LookPath("strongroom")
	if err != nil {
		v.t.Fatal(err)
	}
	v.cmd = exec.Command(path, "serve", "--config-file", file)
	v.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} // it must not outlive the tests
	log, err := os.Create(v.log)
	if err != nil {
		v.t.Fatal(err)
	}
	defer log.Close()
	v.cmd.Stderr = log
	out, err := v.cmd.StdoutPipe()
	if err != nil {
		v.t.Fatal(err)
	}
	if err := v.cmd.Start(); err != nil {
		v.t.Fatal(err)
	}
	v.t.Cleanup(func() { _ = v.cmd.Process.Kill() }) // it has ended when all went well
	line, err := bufio.NewReader(out).ReadString('\n')
	url, ok := strings.CutPrefix(strings.TrimSpace(line), "ready ")
	if err != nil || !ok {
		v.t.Fatalf("serve did not start: %v: %s", err, v.said())
	}
	v.url = url
}

// connect gives the service a certificate and a session.
func (v *server) connect(s *site, ca *tlsca.Authority) {
	v.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		v.t.Fatal(err)
	}
	csr, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, key)
	if err != nil {
		v.t.Fatal(err)
	}
	cert, _, err := ca.Issue(csr, s.service.id)
	if err != nil {
		v.t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(ca.Certificate())
	tr := &http.Transport{TLSClientConfig: &tls.Config{MinVersion: tls.VersionTLS13, RootCAs: roots,
		Certificates: []tls.Certificate{{Certificate: [][]byte{cert}, PrivateKey: key}}}}
	v.http = &http.Client{Transport: tr}
	rest, err := client.New(client.Config{BaseURL: v.url, Authority: s.authority, Transport: tr, Now: time.Now})
	if err != nil {
		v.t.Fatal(err)
	}
	signer, err := client.NewSigner(s.service.id, s.service.key)
	if err != nil {
		v.t.Fatal(err)
	}
	if v.session, err = rest.OpenSession(context.Background(), signer, time.Hour); err != nil {
		v.t.Fatal(err)
	}
}

// work has keys used, through REST and through the door, and calls that fail in many ways.
func (v *server) work(c *core) {
	v.t.Helper()
	ctx := context.Background()
	for n := range 6 {
		r := c.s.payment(n%2, n)
		if n == 0 {
			r.Key = canary
		}
		got, err := v.session.Submit(ctx, r, unsignedPayment(uint64(n/2), 10))
		if err != nil || got.Signed == nil {
			v.t.Fatalf("payment through REST: %v, %s", err, got.State)
		}
	}
	for n := range 4 {
		r := c.s.payment(2+n%2, n)
		got, err := gate.Call[message.Submit, message.Request](ctx, c.door, message.MethodSubmit,
			message.Submit{Request: r.Encode(), Evidence: c.evidence(r), Payload: unsignedPayment(uint64(n/2), 10)})
		if err != nil || got.Signed == nil {
			v.t.Fatalf("payment through the door: %v", err)
		}
	}
	bad := c.s.payment(0, 99)
	if got, err := v.session.Submit(ctx, bad, []byte("no payload")); err == nil && got.Signed != nil {
		v.t.Error("nonsense was signed")
	}
	for path, body := range map[string]string{"/v1/requests": `{"request":"AAAA"`, "/v1/sessions": `{"opening":"////"}`, "/v1/nothing": "{}", "/v1/status": "x"} {
		resp, err := v.http.Post(v.url+path, "application/json", strings.NewReader(body))
		if err != nil {
			v.t.Fatal(err)
		}
		if resp.Body.Close(); resp.StatusCode < 400 {
			v.t.Errorf("%s: %s", path, resp.Status)
		}
	}
	if said, err := c.s.run("run", "--socket", filepath.Join(c.s.dir, "door", "second.sock")); err == nil {
		v.t.Errorf("two cores on one log: %s", said)
	}
	if st := c.status(); st.KeysUnlocked == 0 {
		v.t.Error("no key is unsealed: there is nothing to be found")
	}
}

// said is what serve said so far.
func (v *server) said() string {
	b, err := os.ReadFile(v.log)
	if err != nil {
		v.t.Fatal(err)
	}
	return string(b)
}

// die ends serve as a fault of the program does.
func (v *server) die() {
	v.t.Helper()
	if err := v.cmd.Process.Signal(syscall.SIGABRT); err != nil {
		v.t.Error(err)
	}
	_ = v.cmd.Wait() // the signal's status
}

// die ends the core as a fault of the program does, and tells how that went.
func (c *core) die() syscall.WaitStatus {
	c.s.t.Helper()
	if err := c.cmd.Process.Signal(syscall.SIGABRT); err != nil {
		c.s.t.Error(err)
	}
	select {
	case <-c.done:
	case <-time.After(patience):
		c.s.t.Fatal("the core does not end")
	}
	st, _ := c.cmd.ProcessState.Sys().(syscall.WaitStatus)
	return st
}
