// SPDX-License-Identifier: Apache-2.0

package grep11

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"math"
	"net"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"

	wire "strongroom/api/gen/grep11"
	"strongroom/internal/pure/ep11"
)

// Config says where the gateway is and who calls.
type Config struct {
	Address     string          // host:port
	Certificate tls.Certificate // of the caller; grants name its key
	CA          *x509.CertPool  // the gateway's authority; nil: the system's
	// Token gives the bearer token for a call, instead of the certificate; nil: none.
	Token func(ctx context.Context) (string, error)
	// Plaintext is for a gateway on this machine that was started so; then nothing else but Address is used.
	Plaintext bool
}

// Conn is a connection to a gateway, and a [Transport]. It connects when it is first used, and again when that is lost.
type Conn struct {
	c *grpc.ClientConn
	wire.CryptoClient
}

// maxAnswer is the largest answer in bytes.
const maxAnswer = 8 << 20

// Dial makes a connection. It does not connect yet.
func Dial(cfg Config) (*Conn, error) {
	o := []grpc.DialOption{grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(maxAnswer))}
	switch {
	case cfg.Plaintext:
		host, _, err := net.SplitHostPort(cfg.Address)
		if ip := net.ParseIP(host); err != nil || host != "localhost" && (ip == nil || !ip.IsLoopback()) {
			return nil, fmt.Errorf("grep11: %q is not on this machine; plaintext goes no further", cfg.Address)
		}
		o = append(o, grpc.WithTransportCredentials(insecure.NewCredentials()))
	case len(cfg.Certificate.Certificate) == 0 && cfg.Token == nil:
		return nil, errors.New("grep11: a client certificate or a source of tokens is required")
	default:
		c := &tls.Config{MinVersion: tls.VersionTLS13, RootCAs: cfg.CA}
		if len(cfg.Certificate.Certificate) > 0 {
			c.Certificates = []tls.Certificate{cfg.Certificate}
		}
		o = append(o, grpc.WithTransportCredentials(credentials.NewTLS(c)))
		if cfg.Token != nil {
			o = append(o, grpc.WithPerRPCCredentials(bearer(cfg.Token)))
		}
	}
	c, err := grpc.NewClient(cfg.Address, o...)
	if err != nil {
		return nil, fmt.Errorf("grep11: %w", err)
	}
	return &Conn{c: c, CryptoClient: wire.NewCryptoClient(c)}, nil
}

// Close closes the connection.
func (c *Conn) Close() error { return c.c.Close() }

// bearer puts tokens into calls.
type bearer func(ctx context.Context) (string, error)

// GetRequestMetadata gives the header.
func (b bearer) GetRequestMetadata(ctx context.Context, _ ...string) (map[string]string, error) {
	t, err := b(ctx)
	if err != nil {
		return nil, err
	}
	return map[string]string{"authorization": "Bearer " + t}, nil
}

// RequireTransportSecurity says that tokens don't travel in plaintext.
func (bearer) RequireTransportSecurity() bool { return true }

// FailureOf gives what the domain said about a failed call: the one detail of its status. Without one it is CKR_GENERAL_ERROR, which may be tried again.
func FailureOf(err error) *Failure {
	if err == nil {
		return nil
	}
	var f *Failure
	if errors.As(err, &f) {
		return f
	}
	if st, ok := status.FromError(err); ok {
		if d := st.Details(); len(d) == 1 {
			if e, ok := d[0].(*wire.Grep11Error); ok && e.GetCode() != 0 {
				return &Failure{Code: Code(e.GetCode()), Detail: e.GetDetail(), Retry: e.GetRetry()}
			}
		}
	}
	return &Failure{Code: ep11.CKR_GENERAL_ERROR, Detail: err.Error(), Retry: true}
}

// GenerateKeyPair makes a key pair.
func (c transport) GenerateKeyPair(ctx context.Context, m Mechanism, private, public Template) (privateBlob, publicBlob []byte, err error) {
	r, err := c.conn.GenerateKeyPair(ctx, &wire.GenerateKeyPairRequest{Mech: mechanism(m), PrivKeyTemplate: template(private), PubKeyTemplate: template(public)})
	if err != nil {
		return nil, nil, FailureOf(err)
	}
	return r.GetPrivKeyBytes(), r.GetPubKeyBytes(), nil
}

// transport is a [Conn] as [Transport]; the methods of the two have the same names.
type transport struct{ conn *Conn }

// Transport gives the connection as a transport of keys.
func (c *Conn) Transport() Transport { return transport{c} }

// Sign signs.
func (c transport) Sign(ctx context.Context, m Mechanism, key, data []byte) ([]byte, error) {
	r, err := c.conn.SignSingle(ctx, &wire.SignSingleRequest{Mech: mechanism(m), Data: data, PrivKey: blob(key)})
	if err != nil {
		return nil, FailureOf(err)
	}
	return r.GetSignature(), nil
}

// Decrypt decrypts.
func (c transport) Decrypt(ctx context.Context, m Mechanism, key, data []byte) ([]byte, error) {
	r, err := c.conn.DecryptSingle(ctx, &wire.DecryptSingleRequest{Mech: mechanism(m), Ciphered: data, Key: blob(key)})
	if err != nil {
		return nil, FailureOf(err)
	}
	return r.GetPlain(), nil
}

func blob(b []byte) *wire.KeyBlob { return &wire.KeyBlob{KeyBlobs: [][]byte{b}} }

// mechanism writes a mechanism with the parameters that keys of this package have.
func mechanism(m Mechanism) *wire.Mechanism {
	out := &wire.Mechanism{Mechanism: m.Type}
	if p := m.PSS; p != nil {
		out.Parameter = &wire.Mechanism_RSAPSSParameter{RSAPSSParameter: &wire.RSAPSSParm{HashMech: p.Hash, Mgf: wire.RSAPSSParm_Mask(number(p.MGF)), SaltByteCount: p.Salt}}
	}
	if p := m.OAEP; p != nil {
		out.Parameter = &wire.Mechanism_RSAOAEPParameter{RSAOAEPParameter: &wire.RSAOAEPParm{HashMech: p.Hash, Mgf: wire.RSAOAEPParm_Mask(number(p.MGF)),
			EncodingParmType: wire.RSAOAEPParm_ParmType(number(p.Source)), EncodingParm: p.Label}}
	}
	return out
}

func number(n uint64) int32 { return int32(min(n, math.MaxInt32)) }

func template(t Template) map[uint64]*wire.AttributeValue {
	m := make(map[uint64]*wire.AttributeValue, len(t))
	for n, a := range t {
		v := &wire.AttributeValue{}
		switch {
		case a.Bool != nil:
			v.OneAttr = &wire.AttributeValue_AttributeTF{AttributeTF: *a.Bool}
		case a.Int != nil:
			v.OneAttr = &wire.AttributeValue_AttributeI{AttributeI: *a.Int}
		default:
			v.OneAttr = &wire.AttributeValue_AttributeB{AttributeB: a.Bytes}
		}
		m[n] = v
	}
	return m
}
