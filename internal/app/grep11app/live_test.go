// SPDX-License-Identifier: Apache-2.0

package grep11app_test

import (
	"context"
	"crypto/ed25519"
	"io"
	"log/slog"
	"net"
	"slices"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/dynamicpb"

	wire "strongroom/api/gen/grep11"
	coreep11 "strongroom/internal/core/ep11"
	"strongroom/internal/core/securedomain/domaintest"
	"strongroom/internal/edge/grep11"
	"strongroom/internal/gate"
	"strongroom/internal/gate/gateway"
	"strongroom/internal/gate/message"
	"strongroom/internal/pure/ep11"
	"strongroom/internal/pure/points"
	"strongroom/internal/pure/policy"
	"strongroom/internal/pure/request"
)

// inProcess is the door of a domain in this process.
type inProcess struct{ mux *gate.Mux }

func (d inProcess) Call(ctx context.Context, method string, body []byte) ([]byte, error) {
	return d.mux.Dispatch(ctx, gate.Caller{}, method, body)
}

// live is a gateway before a real domain with the real engine, all in this process, and a client of a caller with a grant of everything.
type live struct {
	h    *domaintest.Harness
	conn *grpc.ClientConn
	wire.CryptoClient
}

func start(t testing.TB) *live {
	t.Helper()
	e, err := coreep11.Complete()
	if err != nil {
		t.Fatal(err)
	}
	all := points.Known()
	h := domaintest.New(t, domaintest.Options{Engine: e, Points: &all, Document: func(d *policy.Document) {
		d.Routes = append(d.Routes, policy.Route{ID: "apps", Priority: 90, Plan: d.ChangePlan, When: policy.Match{Operations: []request.Operation{request.AppGrant}}})
	}})
	mux := gate.NewMux()
	h.D.Serve(mux)
	now := func() time.Time { return time.Unix(0, h.Clock.Wall.Load()) }
	g, err := gateway.New(gateway.Config{Door: inProcess{mux}, Service: h.Service.ID, Key: h.Service.Pub.Ref(), Now: now, Life: time.Hour,
		Sign: func(m []byte) ([]byte, error) { return ed25519.Sign(h.Service.Key, m), nil }})
	if err != nil {
		t.Fatal(err)
	}
	srv, err := grep11.New(grep11.Config{Core: g, Log: slog.New(slog.NewJSONHandler(io.Discard, nil)), Now: now, Local: "test"})
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- srv.Serve(ctx, l) }()
	conn, err := grpc.NewClient(l.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		conn.Close()
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	grant(t, h)
	return &live{h, conn, wire.NewCryptoClient(conn)}
}

// grantLife is how long the caller's grant lasts, in seconds.
const grantLife = 2 * 3600

// grant grants everything to the caller.
func grant(t testing.TB, h *domaintest.Harness) {
	t.Helper()
	b := request.AppGrantBody{Grant: "test", Caller: "local:test", Gateway: h.Service.ID, Functions: request.AppFunctions(), Rate: request.MaxGrantRate, Burst: request.MaxGrantRate,
		NotAfter: h.Clock.Wall.Load()/1e9 + grantLife, Import: true, Compat: true}
	for _, r := range ep11.Rows() {
		b.Mechanisms = append(b.Mechanisms, r.Mechanism)
	}
	slices.Sort(b.Mechanisms)
	v, err := h.Submit(h.Alice, h.Request(h.Alice, request.AppGrant, b), nil)
	for _, p := range []domaintest.Person{h.Bob, h.Carol} {
		if err == nil && v.State == message.StatePending {
			v, err = h.Decide(p, v, request.Approve)
		}
	}
	if err != nil || v.State != message.StateExecuted {
		t.Fatalf("%v, %+v", err, v)
	}
}

// detailed gives the code of a failure, which has exactly one detail.
func detailed(t testing.TB, err error) ep11.Code {
	t.Helper()
	st, _ := status.FromError(err)
	d := st.Details()
	if len(d) != 1 {
		t.Fatalf("%v: %d details", err, len(d))
	}
	e, ok := d[0].(*wire.Grep11Error)
	if !ok {
		t.Fatalf("%v: a detail of another kind", err)
	}
	return ep11.Code(e.GetCode())
}

// seeds are good requests of every call, with keys and states of the domain.
func (l *live) seeds(t testing.TB) map[string]proto.Message {
	t.Helper()
	ctx := context.Background()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	yes := &wire.AttributeValue{OneAttr: &wire.AttributeValue_AttributeTF{AttributeTF: true}}
	n := &wire.AttributeValue{OneAttr: &wire.AttributeValue_AttributeI{AttributeI: 32}}
	template := map[uint64]*wire.AttributeValue{ep11.CKA_VALUE_LEN: n, ep11.CKA_ENCRYPT: yes, ep11.CKA_DECRYPT: yes, ep11.CKA_WRAP: yes, ep11.CKA_UNWRAP: yes, ep11.CKA_EXTRACTABLE: yes}
	gen := &wire.GenerateKeyRequest{Mech: &wire.Mechanism{Mechanism: ep11.CKM_AES_KEY_GEN}, Template: template}
	k, err := l.GenerateKey(ctx, gen)
	must(err)
	pairs := &wire.GenerateKeyPairRequest{Mech: &wire.Mechanism{Mechanism: ep11.CKM_EC_KEY_PAIR_GEN}, PrivKeyTemplate: map[uint64]*wire.AttributeValue{ep11.CKA_SIGN: yes, ep11.CKA_DERIVE: yes},
		PubKeyTemplate: map[uint64]*wire.AttributeValue{ep11.CKA_VERIFY: yes, ep11.CKA_EC_PARAMS: {OneAttr: &wire.AttributeValue_AttributeB{AttributeB: []byte(ep11.OIDP256)}}}}
	p, err := l.GenerateKeyPair(ctx, pairs)
	must(err)
	cbc := &wire.Mechanism{Mechanism: ep11.CKM_AES_CBC_PAD, Parameter: &wire.Mechanism_ParameterB{ParameterB: make([]byte, 16)}}
	ecdsa, sha := &wire.Mechanism{Mechanism: ep11.CKM_ECDSA_SHA256}, &wire.Mechanism{Mechanism: ep11.CKM_SHA256}
	digest, err := l.DigestInit(ctx, &wire.DigestInitRequest{Mech: sha})
	must(err)
	enc, err := l.EncryptInit(ctx, &wire.EncryptInitRequest{Mech: cbc, Key: k.GetKey()})
	must(err)
	dec, err := l.DecryptInit(ctx, &wire.DecryptInitRequest{Mech: cbc, Key: k.GetKey()})
	must(err)
	sign, err := l.SignInit(ctx, &wire.SignInitRequest{Mech: ecdsa, PrivKey: p.GetPrivKey()})
	must(err)
	verify, err := l.VerifyInit(ctx, &wire.VerifyInitRequest{Mech: ecdsa, PubKey: p.GetPubKey()})
	must(err)
	data, sig := []byte("some data"), make([]byte, 64)
	c, err := l.EncryptSingle(ctx, &wire.EncryptSingleRequest{Mech: cbc, Plain: data, Key: k.GetKey()})
	must(err)
	w, err := l.WrapKey(ctx, &wire.WrapKeyRequest{Mech: cbc, Key: k.GetKey(), KeK: k.GetKey()})
	must(err)
	peer := p.GetPubKeyBytes()[26:91]
	list := []proto.Message{&wire.GenerateRandomRequest{Len: 16}, &wire.DigestInitRequest{Mech: sha}, &wire.DigestRequest{State: digest.State, Data: data}, &wire.DigestUpdateRequest{State: digest.State, Data: data},
		&wire.DigestKeyRequest{State: digest.State, Key: k.Key}, &wire.DigestFinalRequest{State: digest.State}, &wire.DigestSingleRequest{Mech: sha, Data: data},
		&wire.EncryptInitRequest{Mech: cbc, Key: k.Key}, &wire.DecryptInitRequest{Mech: cbc, Key: k.Key}, &wire.EncryptUpdateRequest{State: enc.State, Plain: data},
		&wire.DecryptUpdateRequest{State: dec.State, Ciphered: c.Ciphered}, &wire.EncryptRequest{State: enc.State, Plain: data}, &wire.DecryptRequest{State: dec.State, Ciphered: c.Ciphered},
		&wire.EncryptFinalRequest{State: enc.State}, &wire.DecryptFinalRequest{State: dec.State}, &wire.EncryptSingleRequest{Mech: cbc, Plain: data, Key: k.Key},
		&wire.DecryptSingleRequest{Mech: cbc, Ciphered: c.Ciphered, Key: k.Key}, &wire.SignInitRequest{Mech: ecdsa, PrivKey: p.PrivKey}, &wire.VerifyInitRequest{Mech: ecdsa, PubKey: p.PubKey},
		&wire.SignUpdateRequest{State: sign.State, Data: data}, &wire.VerifyUpdateRequest{State: verify.State, Data: data}, &wire.SignFinalRequest{State: sign.State},
		&wire.VerifyFinalRequest{State: verify.State, Signature: sig}, &wire.SignRequest{State: sign.State, Data: data}, &wire.VerifyRequest{State: verify.State, Data: data, Signature: sig},
		&wire.SignSingleRequest{Mech: ecdsa, Data: data, PrivKey: p.PrivKey}, &wire.VerifySingleRequest{Mech: ecdsa, Data: data, Signature: sig, PubKey: p.PubKey},
		&wire.ReencryptSingleRequest{DecMech: cbc, EncMech: cbc, Ciphered: c.Ciphered, DecKey: k.Key, EncKey: k.Key}, gen, pairs, &wire.WrapKeyRequest{Mech: cbc, Key: k.Key, KeK: k.Key},
		&wire.UnwrapKeyRequest{Wrapped: w.Wrapped, Mech: cbc, KeK: k.Key, Template: template}, &wire.DeriveKeyRequest{Mech: &wire.Mechanism{Mechanism: ep11.CKM_ECDH1_DERIVE,
			Parameter: &wire.Mechanism_ParameterB{ParameterB: peer}}, BaseKey: p.PrivKey, Template: template}, &wire.GetMechanismListRequest{}, &wire.GetMechanismInfoRequest{Mech: 1},
		&wire.GetAttributeValueRequest{Object: k.KeyBytes, Attributes: template}, &wire.SetAttributeValueRequest{Object: k.KeyBytes, Attributes: map[uint64]*wire.AttributeValue{ep11.CKA_WRAP: {OneAttr: &wire.AttributeValue_AttributeTF{}}}},
		&wire.LoginRequest{Pin: []byte("0123456789")}, &wire.LogoutRequest{}, &wire.RewrapKeyBlobRequest{WrappedKey: k.Key}}
	out := map[string]proto.Message{}
	for _, m := range list {
		name := string(m.ProtoReflect().Descriptor().Name())
		out[name[:len(name)-len("Request")]] = m
	}
	if len(out) != ep11.Functions {
		t.Fatalf("%d seeds", len(out))
	}
	return out
}

// FuzzLive gives a gateway before a real domain any bytes as any request, from good ones on. It answers with a message or with exactly one detail, never
// with an accident, and the domain lives on.
func FuzzLive(f *testing.F) {
	l := start(f)
	methods := wire.File_grep11_server_proto.Services().Get(0).Methods()
	seeds := l.seeds(f)
	for i := range methods.Len() {
		b, err := proto.Marshal(seeds[string(methods.Get(i).Name())])
		if err != nil {
			f.Fatal(err)
		}
		f.Add(byte(i), b)
		f.Add(byte(i), b[:len(b)/2])
		f.Add(byte(i), append(slices.Clone(b), b...))
	}
	f.Fuzz(func(t *testing.T, n byte, b []byte) {
		m := methods.Get(int(n) % methods.Len())
		in, out := dynamicpb.NewMessage(m.Input()), dynamicpb.NewMessage(m.Output())
		if proto.Unmarshal(b, in) != nil || asksForMuch(in) {
			return
		}
		if err := l.conn.Invoke(t.Context(), "/grep11.Crypto/"+string(m.Name()), in, out); err != nil {
			if code := detailed(t, err); code == ep11.CKR_GENERAL_ERROR || code == ep11.CKR_IBM_ERROR_STATE {
				t.Fatalf("%s: %v", m.Name(), err)
			}
		}
		if failed := l.h.D.Status().Failed; failed != "" {
			t.Fatalf("%s: the domain failed: %s", m.Name(), failed)
		}
	})
}

// asksForMuch leaves out what takes seconds: RSA pairs.
func asksForMuch(in protoreflect.ProtoMessage) bool {
	b, err := proto.Marshal(in)
	var q wire.GenerateKeyPairRequest
	return err == nil && in.ProtoReflect().Descriptor().Name() == "GenerateKeyPairRequest" && proto.Unmarshal(b, &q) == nil && len(q.GetPubKeyTemplate()[ep11.CKA_EC_PARAMS].GetAttributeB()) == 0
}

// TestTimeEnds: a state is good for an hour, however often it is used, and a grant until its end; then both are refused with their codes.
func TestTimeEnds(t *testing.T) {
	t.Parallel()
	l := start(t)
	seeds := l.seeds(t)
	ask := func() error {
		_, err := l.Encrypt(t.Context(), seeds["Encrypt"].(*wire.EncryptRequest))
		return err
	}
	refused := func(what string, want ep11.Code, err error) {
		t.Helper()
		if err == nil || detailed(t, err) != want {
			t.Errorf("%s: %v", what, err)
		}
	}
	single := func() error {
		_, err := l.EncryptSingle(t.Context(), seeds["EncryptSingle"].(*wire.EncryptSingleRequest))
		return err
	}
	for range 3 {
		if err := ask(); err != nil {
			t.Fatal(err)
		}
	}
	l.h.Clock.Advance(time.Hour - 2*time.Second)
	if err := ask(); err != nil {
		t.Errorf("a state of nearly an hour: %v", err)
	}
	l.h.Clock.Advance(2 * time.Second)
	refused("a state of an hour", ep11.CKR_SAVED_STATE_INVALID, ask())
	if err := single(); err != nil {
		t.Error(err)
	}
	l.h.Clock.Advance((grantLife - 3600) * time.Second)
	refused("a grant that has ended", ep11.CKR_IBM_STATIC_POLICY, single())
	refused("a state under it", ep11.CKR_IBM_STATIC_POLICY, ask())
	if failed := l.h.D.Status().Failed; failed != "" {
		t.Error(failed)
	}
}
