// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/bufbuild/protocompile"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/dynamicpb"

	wire "strongroom/api/gen/grep11"
	"strongroom/internal/pure/canon"
	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/ep11"
	"strongroom/internal/pure/points"
	"strongroom/internal/pure/request"
)

// writeKeyFile writes a person's key as 'strongroom person new --no-passphrase' does.
func writeKeyFile(t testing.TB, path string, p person) {
	t.Helper()
	type header struct {
		V      uint              `cbor:"1,keyasint"`
		Person custody.PersonID  `cbor:"2,keyasint"`
		Key    request.PublicKey `cbor:"3,keyasint"`
	}
	b := canon.Encode(struct {
		Header header `cbor:"1,keyasint"`
		Key    []byte `cbor:"3,keyasint"`
	}{header{1, p.id, p.public()}, p.key.Seed()})
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
}

// apps is a running gateway before a core: 'strongroom grep11', as it ships.
type apps struct {
	t       testing.TB
	core    *core
	cmd     *exec.Cmd
	dir     string // its data
	log     string
	address string
	roots   *x509.CertPool
	service protoreflect.ServiceDescriptor // read from the .proto

	mu    sync.Mutex // guards what follows
	done  map[string]bool
	shown map[uint64]uint64 // CKF that calls with a mechanism have shown to be true
}

// startApps makes a domain, and starts a core and a gateway of its service.
func startApps(t testing.TB, flags ...string) *apps {
	t.Helper()
	s := newSite(t, t.TempDir())
	s.create()
	c := s.start()
	c.allow(points.Known().Minus(points.Evaluation()))
	return c.startApps(t, flags...)
}

// allow switches control points on.
func (c *core) allow(set points.Set) {
	c.s.t.Helper()
	if err := c.life(request.PointsSet, request.PointsSetBody{Counter: c.status().Life.Counter + 1, Allow: set}); err != nil {
		c.s.t.Fatal(err)
	}
}

func (c *core) startApps(t testing.TB, flags ...string) *apps {
	t.Helper()
	top := t.TempDir()
	a := &apps{t: t, core: c, dir: filepath.Join(top, "grep11"), log: filepath.Join(top, "grep11.log"), roots: x509.NewCertPool(), service: readProto(t), done: map[string]bool{}, shown: map[uint64]uint64{}}
	writeKeyFile(t, filepath.Join(top, "service.key"), c.s.service)
	conf, err := json.Marshal(map[string]string{"door": c.socket, "data": "grep11", "key": "service.key", "listen": "127.0.0.1:0"}) // YAML too
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(top, "grep11.yaml")
	if err := os.WriteFile(file, conf, 0o600); err != nil {
		t.Fatal(err)
	}
	a.start(append([]string{"--config-file", file}, flags...))
	if pem, err := os.ReadFile(filepath.Join(a.dir, "ca.pem")); err == nil && !a.roots.AppendCertsFromPEM(pem) {
		t.Fatal("the gateway's authority can't be read")
	}
	return a
}

func (a *apps) start(flags []string) {
	a.t.Helper()
	path, err := exec.LookPath("strongroom")
	if err != nil {
		a.t.Fatal(err)
	}
	a.cmd = exec.Command(path, append([]string{"grep11", "run"}, flags...)...)
	a.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} // it must not outlive the tests
	log, err := os.Create(a.log)
	if err != nil {
		a.t.Fatal(err)
	}
	defer log.Close()
	a.cmd.Stderr = log
	out, err := a.cmd.StdoutPipe()
	if err != nil {
		a.t.Fatal(err)
	}
	if err := a.cmd.Start(); err != nil {
		a.t.Fatal(err)
	}
	a.t.Cleanup(func() {
		_ = a.cmd.Process.Kill() // it has ended when all went well
		_ = a.cmd.Wait()
	})
	line, err := bufio.NewReader(out).ReadString('\n')
	address, ok := strings.CutPrefix(strings.TrimSpace(line), "ready ")
	if err != nil || !ok {
		said, _ := os.ReadFile(a.log)
		a.t.Fatalf("the gateway did not start: %v: %s", err, said)
	}
	a.address = address
}

// readProto reads the service from the .proto itself: the client of these tests is made of that, not of what was generated.
func readProto(t testing.TB) protoreflect.ServiceDescriptor {
	t.Helper()
	c := protocompile.Compiler{Resolver: &protocompile.SourceResolver{ImportPaths: []string{"../../api/proto"}}}
	files, err := c.Compile(t.Context(), "grep11/server.proto")
	if err != nil {
		t.Fatal(err)
	}
	return files[0].Services().Get(0)
}

// through makes each call with messages of the .proto, and remembers which calls were done.
func (a *apps) through(ctx context.Context, method string, in, out any, cc *grpc.ClientConn, invoke grpc.UnaryInvoker, o ...grpc.CallOption) error {
	name := method[strings.LastIndexByte(method, '/')+1:]
	m := a.service.Methods().ByName(protoreflect.Name(name))
	if m == nil {
		return fmt.Errorf("the .proto has no %s", name)
	}
	q, r := dynamicpb.NewMessage(m.Input()), dynamicpb.NewMessage(m.Output())
	b, err := proto.Marshal(in.(proto.Message))
	if err != nil {
		return err
	}
	if err := proto.Unmarshal(b, q); err != nil || len(q.GetUnknown()) > 0 {
		return fmt.Errorf("%s is not the .proto's: %v", name, err)
	}
	if err := invoke(ctx, "/grep11.Crypto/"+name, q, r, cc, o...); err != nil {
		return err
	}
	if b, err = proto.Marshal(r); err != nil {
		return err
	}
	a.mu.Lock()
	a.done[name] = true
	a.noted(m.Name(), in)
	a.mu.Unlock()
	return proto.Unmarshal(b, out.(proto.Message))
}

// certificate makes a caller's certificate with the command line, and gives how the caller is called.
func (a *apps) certificate() (tls.Certificate, request.AppCaller) {
	a.t.Helper()
	dir := filepath.Join(a.t.TempDir(), "caller")
	out, err := exec.Command("strongroom", "grep11", "certificate", "--out", dir).Output()
	if err != nil {
		a.t.Fatal(err)
	}
	cert, err := tls.LoadX509KeyPair(filepath.Join(dir, "certificate.pem"), filepath.Join(dir, "key.pem"))
	if err != nil {
		a.t.Fatal(err)
	}
	return cert, request.AppCaller(strings.TrimSpace(string(out)))
}

// dial connects with a certificate, or with what else is given.
func (a *apps) dial(certs []tls.Certificate, more ...grpc.DialOption) *grpc.ClientConn {
	a.t.Helper()
	creds := credentials.NewTLS(&tls.Config{MinVersion: tls.VersionTLS13, RootCAs: a.roots, Certificates: certs})
	c, err := grpc.NewClient(a.address, append([]grpc.DialOption{grpc.WithTransportCredentials(creds), grpc.WithUnaryInterceptor(a.through),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(8 << 20))}, more...)...)
	if err != nil {
		a.t.Fatal(err)
	}
	a.t.Cleanup(func() { c.Close() })
	return c
}

// grantOf is a grant of everything that may be granted.
func (a *apps) grantOf(name string, who request.AppCaller) request.AppGrantBody {
	g := request.AppGrantBody{Grant: name, Caller: who, Gateway: a.core.s.service.id, Functions: request.AppFunctions(), Rate: request.MaxGrantRate,
		Burst: request.MaxGrantRate, NotAfter: time.Now().Unix() + 3600, Import: true}
	for _, r := range ep11.Rows() {
		g.Mechanisms = append(g.Mechanisms, r.Mechanism)
	}
	sortUnique(&g.Mechanisms)
	return g
}

func sortUnique(list *[]uint64) {
	seen := map[uint64]bool{}
	var out []uint64
	for _, m := range *list {
		if !seen[m] {
			seen[m] = true
			out = append(out, m)
		}
	}
	for i := 1; i < len(out); i++ {
		for j := i; j > 0 && out[j-1] > out[j]; j-- {
			out[j-1], out[j] = out[j], out[j-1]
		}
	}
	*list = out
}

// client is a caller of its own with a grant of everything, changed as the test wants.
func (a *apps) client(name string, change func(*request.AppGrantBody)) *suite {
	a.t.Helper()
	cert, who := a.certificate()
	g := a.grantOf(name, who)
	if change != nil {
		change(&g)
	}
	a.core.govern("grant-"+name, request.AppGrant, g)
	return &suite{t: a.t, apps: a, cert: cert, who: who, old: g.Compat, CryptoClient: a.connected(cert)}
}

// connected gives a client with a certificate.
func (a *apps) connected(cert tls.Certificate) wire.CryptoClient {
	a.t.Helper()
	return wire.NewCryptoClient(a.dial([]tls.Certificate{cert}))
}

// suite is a client with short words for what the tests do often.
type suite struct {
	wire.CryptoClient
	t    testing.TB
	apps *apps
	cert tls.Certificate
	who  request.AppCaller
	old  bool // under the compatibility profile, as clients of the hardware are
}

// on gives the client to a subtest.
func (s *suite) on(t testing.TB) *suite { c := *s; c.t = t; return &c }

func (s *suite) ctx() context.Context { return s.t.Context() }

// returned gives the return code of a call, as clients find it: in the one detail.
func returned(err error) (ep11.Code, error) {
	if err == nil {
		return ep11.CKR_OK, nil
	}
	st, ok := status.FromError(err)
	if !ok {
		return 0, fmt.Errorf("got %v, want a status", err)
	}
	list := st.Proto().GetDetails()
	if len(list) != 1 || list[0].GetTypeUrl() != "type.googleapis.com/grep11.Grep11Error" {
		return 0, fmt.Errorf("%v: %d details, want one Grep11Error", err, len(list))
	}
	var d wire.Grep11Error
	if err := proto.Unmarshal(list[0].GetValue(), &d); err != nil {
		return 0, err
	}
	c := ep11.Code(d.GetCode())
	if !strings.HasPrefix(st.Message(), c.Error()) {
		return 0, fmt.Errorf("message %q does not begin with %v", st.Message(), c)
	}
	return c, nil
}

// codeOf gives the return code of a failed call.
func codeOf(t testing.TB, err error) ep11.Code {
	t.Helper()
	c, bad := returned(err)
	if bad != nil || c == ep11.CKR_OK {
		t.Fatalf("want a return code: %v", bad)
	}
	return c
}

// wants requires a return code.
func (s *suite) wants(want ep11.Code, what string, err error) {
	s.t.Helper()
	if got := codeOf(s.t, err); got != want {
		s.t.Errorf("%s: got %v (%v), want %v", what, got, err, want)
	}
}

func (s *suite) must(what string, err error) {
	s.t.Helper()
	if err != nil {
		s.t.Fatalf("%s: %v", what, err)
	}
}

// attrs builds a template as the vendor's client does: bool, integer and bytes go into an arm each.
func attrs(kv ...any) map[uint64]*wire.AttributeValue {
	m := map[uint64]*wire.AttributeValue{}
	for i := 0; i < len(kv); i += 2 {
		v := &wire.AttributeValue{}
		switch x := kv[i+1].(type) {
		case bool:
			v.OneAttr = &wire.AttributeValue_AttributeTF{AttributeTF: x}
		case int:
			v.OneAttr = &wire.AttributeValue_AttributeI{AttributeI: int64(x)}
		case string:
			v.OneAttr = &wire.AttributeValue_AttributeB{AttributeB: []byte(x)}
		case []byte:
			v.OneAttr = &wire.AttributeValue_AttributeB{AttributeB: x}
		}
		m[uint64(kv[i].(int))] = v
	}
	return m
}

// mech is a mechanism, with bytes for a parameter or none.
func mech(m int, parameter ...byte) *wire.Mechanism {
	out := &wire.Mechanism{Mechanism: uint64(m)}
	if len(parameter) > 0 {
		out.Parameter = &wire.Mechanism_ParameterB{ParameterB: parameter}
	}
	return out
}

// blob is a key as clients of the second version pass it.
func blob(b ...[]byte) *wire.KeyBlob {
	var all []byte
	for _, x := range b {
		all = append(all, x...)
	}
	return &wire.KeyBlob{KeyBlobs: [][]byte{all}}
}

// key makes a secret key.
func (s *suite) key(m int, kv ...any) *wire.GenerateKeyResponse {
	s.t.Helper()
	r, err := s.GenerateKey(s.ctx(), &wire.GenerateKeyRequest{Mech: mech(m), Template: attrs(kv...)})
	s.must("generate a key", err)
	return r
}

// aes makes an AES key of 32 bytes that encrypts and decrypts.
func (s *suite) aes(kv ...any) *wire.GenerateKeyResponse {
	s.t.Helper()
	return s.key(ep11.CKM_AES_KEY_GEN, append([]any{ep11.CKA_VALUE_LEN, 32, ep11.CKA_ENCRYPT, true, ep11.CKA_DECRYPT, true}, kv...)...)
}

// pair makes a key pair.
func (s *suite) pair(m int, private, public map[uint64]*wire.AttributeValue) *wire.GenerateKeyPairResponse {
	s.t.Helper()
	r, err := s.GenerateKeyPair(s.ctx(), &wire.GenerateKeyPairRequest{Mech: mech(m), PrivKeyTemplate: private, PubKeyTemplate: public})
	s.must("generate a key pair", err)
	if string(r.GetPrivKeyBytes()) != string(r.GetPrivKey().GetKeyBlobs()[0]) || string(r.GetPubKeyBytes()) != string(r.GetPubKey().GetKeyBlobs()[0]) {
		s.t.Error("the two forms of a key differ")
	}
	if r.GetPrivKeyBytes()[0] == 0x30 || r.GetPubKeyBytes()[0] != 0x30 {
		s.t.Error("the first byte does not tell a sealed key from a public one")
	}
	return r
}

// ec makes a pair of a curve that signs.
func (s *suite) ec(curve string) *wire.GenerateKeyPairResponse {
	s.t.Helper()
	return s.pair(ep11.CKM_EC_KEY_PAIR_GEN, attrs(ep11.CKA_SIGN, true), attrs(ep11.CKA_EC_PARAMS, curve, ep11.CKA_VERIFY, true))
}

func (s *suite) rsa(bits int, private, public []any) *wire.GenerateKeyPairResponse {
	s.t.Helper()
	return s.pair(ep11.CKM_RSA_PKCS_KEY_PAIR_GEN, attrs(private...),
		attrs(append([]any{ep11.CKA_MODULUS_BITS, bits, ep11.CKA_PUBLIC_EXPONENT, 65537}, public...)...))
}

// sign signs and has the signature verified, and a wrong one refused.
func (s *suite) sign(m *wire.Mechanism, k *wire.GenerateKeyPairResponse, data []byte) []byte {
	s.t.Helper()
	r, err := s.SignSingle(s.ctx(), &wire.SignSingleRequest{Mech: m, Data: data, PrivKey: k.GetPrivKey()})
	s.must("sign", err)
	sig := r.GetSignature()
	_, err = s.VerifySingle(s.ctx(), &wire.VerifySingleRequest{Mech: m, Data: data, Signature: sig, PubKey: k.GetPubKey()})
	s.must("verify", err)
	s.wrong(m, k, data, sig)
	return sig
}

// wrong: altered data, altered signatures, r or s out of range and garbage of the right length are all the same refusal.
func (s *suite) wrong(m *wire.Mechanism, k *wire.GenerateKeyPairResponse, data, sig []byte) {
	s.t.Helper()
	verify := func(what string, data, sig []byte) {
		s.t.Helper()
		_, err := s.VerifySingle(s.ctx(), &wire.VerifySingleRequest{Mech: m, Data: data, Signature: sig, PubKey: k.GetPubKey()})
		s.wants(ep11.CKR_SIGNATURE_INVALID, what, err)
	}
	other := append([]byte{}, data...)
	other[0] ^= 1
	verify("altered data", other, sig)
	for _, at := range []int{0, len(sig) / 2, len(sig) - 1} {
		bad := append([]byte{}, sig...)
		bad[at] ^= 1
		verify("an altered signature", data, bad)
	}
	verify("zeros", data, make([]byte, len(sig)))
	verify("ones", data, []byte(strings.Repeat("\xff", len(sig))))
}

func encrypt(s *suite, m *wire.Mechanism, key *wire.KeyBlob, plain []byte) []byte {
	s.t.Helper()
	r, err := s.EncryptSingle(s.ctx(), &wire.EncryptSingleRequest{Mech: m, Plain: plain, Key: key})
	s.must("encrypt", err)
	return r.GetCiphered()
}

func decrypt(s *suite, m *wire.Mechanism, key *wire.KeyBlob, ciphered []byte) []byte {
	s.t.Helper()
	r, err := s.DecryptSingle(s.ctx(), &wire.DecryptSingleRequest{Mech: m, Ciphered: ciphered, Key: key})
	s.must("decrypt", err)
	return r.GetPlain()
}
