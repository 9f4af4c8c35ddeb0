// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	mathrand "math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/status"

	wire "strongroom/api/gen/grep11"
	"strongroom/internal/core/corebench"
	edge "strongroom/internal/edge/grep11"
	"strongroom/internal/gate"
	"strongroom/internal/gate/message"
	"strongroom/internal/pure/canon"
	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/ep11"
	"strongroom/internal/pure/points"
	"strongroom/internal/pure/request"
)

// grep11Callers are how many callers the rows through GREP11 have.
var grep11Callers = []int{1, 8, 64}

// The operations, by the names that rows have.
const (
	opP256      = "P-256"
	opSecp256k1 = "secp256k1"
	opEd25519   = "Ed25519"
	opRSA       = "RSA-4096"
	opGCM256    = "AES-GCM 256 B"
	opGCM4K     = "AES-GCM 4 KiB"
)

var grep11Ops = []string{opP256, opSecp256k1, opEd25519, opRSA, opGCM256, opGCM4K}

// applications is a running gateway before a domain's core, and keys of a caller with a certificate.
type applications struct {
	cmd   *exec.Cmd
	conns []*grpc.ClientConn // taken in turns
	keys  map[string]*wire.KeyBlob
}

// grep11Rounds measures keys of applications over gRPC with mutual TLS, beside SoftHSM in process, the bare operations and an empty call.
func grep11Rounds(ctx context.Context, c config, r *report) (err error) {
	if c.Server == "" {
		return nil
	}
	d, remove, err := madeDomain(ctx, c, 1)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, remove()) }()
	a, err := startApplications(ctx, c.Server, d)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, a.stop()) }()
	soft, err := newSoftHSM()
	if err != nil {
		say("no rows of SoftHSM: %v", err)
	} else {
		defer func() { err = errors.Join(err, soft.close()) }()
	}
	length := c.Length / 2
	cells, err := grep11Bare(length)
	if err != nil {
		return err
	}
	for _, n := range grep11Callers {
		cells = append(cells, cell{emptyGRPC(n), length, load{a.callers(n, a.empty), d.cmd.Process.Pid, a.cmd.Process.Pid, nil}})
		for _, op := range grep11Ops {
			cells = append(cells, cell{grep11Row(op, n), length, load{a.callers(n, a.op(op)), d.cmd.Process.Pid, a.cmd.Process.Pid, nil}})
			if soft != nil {
				list, err := soft.callers(op, n)
				if err != nil {
					return err
				}
				cells = append(cells, cell{softRow(op, n), length, load{callers: list}})
			}
		}
	}
	return r.takeRounds(ctx, "GREP11", max(c.Rounds/2, 1), cells)
}

func grep11Row(op string, callers int) string {
	return fmt.Sprintf("GREP11 %s, %d callers", op, callers)
}
func softRow(op string, callers int) string {
	return fmt.Sprintf("SoftHSM %s, %d callers", op, callers)
}
func emptyGRPC(callers int) string   { return fmt.Sprintf("empty gRPC call, %d callers", callers) }
func grep11BareRow(op string) string { return "bare, for GREP11, " + op }

// startApplications allows keys for applications, starts a gateway of the service and makes keys.
func startApplications(ctx context.Context, binary string, d *domain) (*applications, error) {
	if err := d.allowApplications(ctx); err != nil {
		return nil, err
	}
	cert, who, err := callerCertificate()
	if err != nil {
		return nil, err
	}
	g := request.AppGrantBody{Grant: "bench", Caller: who, Gateway: d.service.id, Functions: request.AppFunctions(), Rate: request.MaxGrantRate, Burst: request.MaxGrantRate,
		NotAfter: time.Now().Unix() + 3600, Mechanisms: []uint64{ep11.CKM_RSA_PKCS_KEY_PAIR_GEN, ep11.CKM_SHA256_RSA_PKCS, ep11.CKM_EC_KEY_PAIR_GEN, ep11.CKM_ECDSA, ep11.CKM_AES_KEY_GEN,
			ep11.CKM_AES_GCM, ep11.CKM_IBM_ED25519_SHA512}}
	if err := d.settle(ctx, "app-grant", request.AppGrant, g); err != nil {
		return nil, err
	}
	a := &applications{keys: map[string]*wire.KeyBlob{}}
	address, err := a.start(ctx, binary, d)
	if err != nil {
		return nil, err
	}
	roots := x509.NewCertPool()
	pem, err := os.ReadFile(filepath.Join(d.dir, "grep11", "ca.pem"))
	if err != nil {
		return a, errors.Join(err, a.stop())
	}
	roots.AppendCertsFromPEM(pem)
	for range 4 {
		conn, err := grpc.NewClient(address, grpc.WithTransportCredentials(credentials.NewTLS(&tls.Config{MinVersion: tls.VersionTLS13, RootCAs: roots,
			Certificates: []tls.Certificate{cert}})))
		if err != nil {
			return a, errors.Join(err, a.stop())
		}
		a.conns = append(a.conns, conn)
	}
	err = a.makeKeys(ctx)
	if err == nil { // nobody may make keys any more: else the core would make RSA pairs beforehand while it is measured
		g.Grant, g.Functions = "bench-use", []request.AppFunction{request.AppEncrypt, request.AppSign}
		err = d.settle(ctx, "app-grant-use", request.AppGrant, g)
	}
	if err != nil {
		return a, errors.Join(err, a.stop())
	}
	return a, nil
}

// callerCertificate makes a caller's key and certificate.
func callerCertificate() (tls.Certificate, request.AppCaller, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, "", err
	}
	t := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Minute), NotAfter: time.Now().Add(24 * time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, t, t, &key.PublicKey, key)
	if err != nil {
		return tls.Certificate{}, "", err
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		return tls.Certificate{}, "", err
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}, request.AppCaller(edge.CertificateCaller(leaf)), nil
}

// allowApplications switches the control points on that the keys need.
func (d *domain) allowApplications(ctx context.Context) error {
	st, err := gate.Call[message.Empty, message.Status](ctx, d.door, message.MethodStatus, message.Empty{})
	if err != nil {
		return err
	}
	return d.settle(ctx, "app-points", request.PointsSet, request.PointsSetBody{Counter: st.Life.Counter + 1, Allow: points.Known().Minus(points.Evaluation())})
}

// settle asks for something as one officer and approves it as the two others, as far as it needs them.
func (d *domain) settle(ctx context.Context, key string, op request.Operation, body any) error {
	v, err := d.ask(ctx, d.officers[0], d.request(d.officers[0], key, op, body), nil)
	for _, p := range d.officers[1:] {
		if err == nil && v.State == message.StatePending {
			v, err = d.approve(ctx, p, v)
		}
	}
	if err == nil && v.State != message.StateExecuted {
		err = fmt.Errorf("%s: %s", op, v.State)
	}
	return err
}

// start runs the gateway's program and waits until it listens.
func (a *applications) start(ctx context.Context, binary string, d *domain) (string, error) {
	key := filepath.Join(d.dir, "service.key")
	if err := os.WriteFile(key, serviceKey(d.service), 0o600); err != nil {
		return "", err
	}
	file := filepath.Join(d.dir, "grep11.json") // YAML too
	conf, err := json.Marshal(map[string]string{"door": d.socket, "data": "grep11", "key": key, "listen": "127.0.0.1:0"})
	if err != nil {
		return "", err
	}
	if err := os.WriteFile(file, conf, 0o600); err != nil {
		return "", err
	}
	log, err := os.Create(filepath.Join(d.dir, "grep11.log"))
	if err != nil {
		return "", err
	}
	defer log.Close()
	a.cmd = exec.CommandContext(context.WithoutCancel(ctx), binary, "grep11", "run", "--config-file", file)
	a.cmd.Stderr = log
	a.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM}
	out, err := a.cmd.StdoutPipe()
	if err != nil {
		return "", err
	}
	if err := a.cmd.Start(); err != nil {
		return "", fmt.Errorf("start the gateway: %w", err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	address, ok := strings.CutPrefix(strings.TrimSpace(line), "ready ")
	if err != nil || !ok {
		_ = a.cmd.Process.Kill() // it may have ended
		_ = a.cmd.Wait()         // likewise
		said, _ := os.ReadFile(log.Name())
		return "", fmt.Errorf("the gateway did not start: %s", said)
	}
	return address, nil
}

// serviceKey is a key file without a passphrase, as package keyfile writes it.
func serviceKey(p person) []byte {
	type header struct {
		V      uint              `cbor:"1,keyasint"`
		Person custody.PersonID  `cbor:"2,keyasint"`
		Key    request.PublicKey `cbor:"3,keyasint"`
	}
	return canon.Encode(struct {
		Header header `cbor:"1,keyasint"`
		Key    []byte `cbor:"3,keyasint"`
	}{header{1, p.id, p.pub}, p.key.Seed()})
}

func (a *applications) stop() error {
	for _, c := range a.conns {
		_ = c.Close() // nothing is under way
	}
	return errors.Join(a.cmd.Process.Signal(os.Interrupt), a.cmd.Wait())
}

// makeKeys makes a key for each operation.
func (a *applications) makeKeys(ctx context.Context) error {
	c := wire.NewCryptoClient(a.conns[0])
	yes := &wire.AttributeValue{OneAttr: &wire.AttributeValue_AttributeTF{AttributeTF: true}}
	text := func(s string) *wire.AttributeValue {
		return &wire.AttributeValue{OneAttr: &wire.AttributeValue_AttributeB{AttributeB: []byte(s)}}
	}
	number := func(n int64) *wire.AttributeValue {
		return &wire.AttributeValue{OneAttr: &wire.AttributeValue_AttributeI{AttributeI: n}}
	}
	for op, public := range map[string]map[uint64]*wire.AttributeValue{
		opP256: {ep11.CKA_EC_PARAMS: text(ep11.OIDP256)}, opSecp256k1: {ep11.CKA_EC_PARAMS: text(ep11.OIDSecp256k1)}, opEd25519: {ep11.CKA_EC_PARAMS: text(ep11.OIDEd25519)},
		opRSA: {ep11.CKA_MODULUS_BITS: number(4096), ep11.CKA_PUBLIC_EXPONENT: number(65537)},
	} {
		m := uint64(ep11.CKM_EC_KEY_PAIR_GEN)
		if op == opRSA {
			m = ep11.CKM_RSA_PKCS_KEY_PAIR_GEN
		}
		public[ep11.CKA_VERIFY] = yes
		k, err := c.GenerateKeyPair(ctx, &wire.GenerateKeyPairRequest{Mech: &wire.Mechanism{Mechanism: m}, PrivKeyTemplate: map[uint64]*wire.AttributeValue{ep11.CKA_SIGN: yes}, PubKeyTemplate: public})
		if err != nil {
			return fmt.Errorf("key of %s: %w", op, err)
		}
		a.keys[op] = k.GetPrivKey()
	}
	k, err := c.GenerateKey(ctx, &wire.GenerateKeyRequest{Mech: &wire.Mechanism{Mechanism: ep11.CKM_AES_KEY_GEN},
		Template: map[uint64]*wire.AttributeValue{ep11.CKA_VALUE_LEN: number(32), ep11.CKA_ENCRYPT: yes, ep11.CKA_DECRYPT: yes}})
	if err != nil {
		return fmt.Errorf("key of AES: %w", err)
	}
	a.keys[opGCM256], a.keys[opGCM4K] = k.GetKey(), k.GetKey()
	return nil
}

// callers makes callers that share the connections.
func (a *applications) callers(n int, do func(context.Context, wire.CryptoClient, *grpc.ClientConn) error) []caller {
	i := 0
	return callersOf(n, func(*mathrand.Rand) caller {
		conn := a.conns[i%len(a.conns)]
		i++
		c := wire.NewCryptoClient(conn)
		return func(ctx context.Context, _ int) error { return do(ctx, c, conn) }
	})
}

// empty is a call that the gateway's gRPC server refuses because there is no such method: what transport and TLS cost.
func (a *applications) empty(ctx context.Context, _ wire.CryptoClient, conn *grpc.ClientConn) error {
	err := conn.Invoke(ctx, "/grep11.Crypto/Nothing", &wire.LogoutRequest{}, &wire.LogoutResponse{})
	if status.Code(err) != codes.Unimplemented {
		return fmt.Errorf("an empty call: %w", err)
	}
	return nil
}

// dataOf is what an operation works on: a digest, or a message.
func dataOf(op string) []byte {
	switch op {
	case opGCM256:
		return make([]byte, 256)
	case opGCM4K:
		return make([]byte, 4096)
	}
	h := sha256.Sum256([]byte("strongroom benchmark"))
	return h[:]
}

// op is one operation with a key of the domain.
func (a *applications) op(op string) func(context.Context, wire.CryptoClient, *grpc.ClientConn) error {
	data, key := dataOf(op), a.keys[op]
	if op == opGCM256 || op == opGCM4K {
		return func(ctx context.Context, c wire.CryptoClient, _ *grpc.ClientConn) error {
			_, err := c.EncryptSingle(ctx, &wire.EncryptSingleRequest{Mech: &wire.Mechanism{Mechanism: ep11.CKM_AES_GCM}, Plain: data, Key: key})
			return err
		}
	}
	m := map[string]uint64{opP256: ep11.CKM_ECDSA, opSecp256k1: ep11.CKM_ECDSA, opEd25519: ep11.CKM_IBM_ED25519_SHA512, opRSA: ep11.CKM_SHA256_RSA_PKCS}[op]
	return func(ctx context.Context, c wire.CryptoClient, _ *grpc.ClientConn) error {
		_, err := c.SignSingle(ctx, &wire.SignSingleRequest{Mech: &wire.Mechanism{Mechanism: m}, Data: data, PrivKey: key})
		return err
	}
}

// grep11Bare are the bare operations on all processors: signatures are verified, as the core does.
func grep11Bare(length time.Duration) ([]cell, error) {
	var out []cell
	for op, name := range map[string]string{opP256: "p256 sign+verify", opSecp256k1: "secp256k1 sign+verify", opEd25519: "ed25519 sign+verify"} {
		var list []caller
		for range runtime.NumCPU() {
			f, err := corebench.New(name)
			if err != nil {
				return nil, err
			}
			list = append(list, func(context.Context, int) error { return f() })
		}
		out = append(out, cell{grep11BareRow(op), length, load{callers: list}})
	}
	key, err := rsa.GenerateKey(rand.Reader, 4096)
	if err != nil {
		return nil, err
	}
	digest := dataOf(opRSA)
	out = append(out, cell{grep11BareRow(opRSA), length, load{callers: callersOf(runtime.NumCPU(), func(*mathrand.Rand) caller {
		return func(context.Context, int) error {
			sig, err := rsa.SignPKCS1v15(nil, key, 5, digest) // crypto.SHA256
			if err == nil {
				err = rsa.VerifyPKCS1v15(&key.PublicKey, 5, digest, sig)
			}
			return err
		}
	})}})
	for _, op := range []string{opGCM256, opGCM4K} {
		block, err := aes.NewCipher(make([]byte, 32))
		if err != nil {
			return nil, err
		}
		aead, err := cipher.NewGCMWithRandomNonce(block)
		if err != nil {
			return nil, err
		}
		plain := dataOf(op)
		out = append(out, cell{grep11BareRow(op), length, load{callers: callersOf(runtime.NumCPU(), func(*mathrand.Rand) caller {
			return func(context.Context, int) error { aead.Seal(nil, nil, plain, nil); return nil }
		})}})
	}
	return out, nil
}

// grep11Ratios adds the ratios of keys of applications. The aims are those of signatures with 64 callers.
func (l *ratioList) grep11Ratios() {
	least := map[string]float64{opSecp256k1: 8, opEd25519: 2, opP256: 0.7}
	for _, op := range grep11Ops {
		for _, n := range grep11Callers {
			var want *aim
			if x, ok := least[op]; ok && n == 64 {
				want = faster(x)
			}
			l.add("rate", grep11Row(op, n), rate, softRow(op, n), rate, want)
		}
		l.add("rate", grep11Row(op, 64), rate, grep11BareRow(op), rate, nil)
		l.sum("CPU of core, gateway and client", grep11Row(op, 64), grep11BareRow(op), emptyGRPC(64), &aim{Bound: 1.5})
	}
}

// sum adds a ratio of CPU over that of two rows together.
func (l *ratioList) sum(name, a, b, c string, want *aim) {
	var v []float64
	for i, s := range l.r.Samples[a] {
		if i < len(l.r.Samples[b]) && i < len(l.r.Samples[c]) {
			if under := allCPU(l.r.Samples[b][i]) + allCPU(l.r.Samples[c][i]); under > 0 {
				v = append(v, allCPU(s)/under)
			}
		}
	}
	if len(v) == 0 {
		return
	}
	x := spreadOf(v)
	if want != nil {
		want.Met = x.Mid <= want.Bound
	}
	l.list = append(l.list, ratio{name + ", " + a + " / (" + b + " + " + c + ")", x, want})
}

// mainframe is what the vendor's documents say of a whole machine: encrypted transactions a second.
const mainframe = 350_000

// grep11Headline puts our encryptions a second and core beside it.
func (r *report) grep11Headline() string {
	x := r.column(grep11Row(opGCM256, 64), rate).Mid
	if x == 0 {
		return ""
	}
	return "GREP11 " + opGCM256 + ", 64 callers: " + strconv.Itoa(int(x)/max(r.Cores, 1)) + " a second and core, client, gateway and core on one machine; the headline for a whole mainframe is " +
		strconv.Itoa(mainframe) + " encrypted transactions a second"
}
