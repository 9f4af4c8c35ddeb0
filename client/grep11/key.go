// SPDX-License-Identifier: Apache-2.0

// Package grep11 uses keys that stay in a Strongroom domain: as crypto.Signer and crypto.Decrypter, and for TLS. A key is a sealed blob that the
// program keeps; only the domain opens it, and only within the grant that the program has (docs/grep11.md).
//
// Calls go over GREP11 ([Dial]), or over another [Transport]. Keys are ECDSA on the NIST curves, Ed25519 and RSA; for other keys and functions use the
// generated client of package strongroom/api/gen/grep11. It refuses digests of another length than their hash, and Ed25519 with a hash before it.
package grep11

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/subtle"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"time"

	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/crypto/cryptobyte/asn1"

	"strongroom/internal/pure/ep11"
)

// What crosses a transport, and how it fails: a [Failure] has the return code (CK_RV) that the domain gave. errors.Is finds a [Code] in it.
type (
	Mechanism = ep11.Mechanism
	Template  = ep11.Template
	Failure   = ep11.Failure
	Code      = ep11.Code
)

// Transport carries the few calls that keys need. Methods are safe for concurrent use; what the domain refuses is a [*Failure].
type Transport interface {
	GenerateKeyPair(ctx context.Context, m Mechanism, private, public Template) (privateBlob, publicBlob []byte, err error)
	Sign(ctx context.Context, m Mechanism, key, data []byte) ([]byte, error)
	Decrypt(ctx context.Context, m Mechanism, key, data []byte) ([]byte, error)
}

// CallTime bounds each call of a key: crypto.Signer and crypto.Decrypter have no context.
const CallTime = 30 * time.Second

// Key is a key pair whose private half stays in the domain. It is a crypto.Signer and, for RSA, a crypto.Decrypter. Its methods are safe for
// concurrent use.
type Key struct {
	t       Transport
	private []byte
	public  []byte
	key     crypto.PublicKey
}

// Kind is what key to make.
type Kind struct {
	curve string // DER of the curve's identifier
	bits  uint64 // of RSA
}

// The kinds.
var (
	P256    = Kind{curve: ep11.OIDP256}
	P384    = Kind{curve: ep11.OIDP384}
	P521    = Kind{curve: ep11.OIDP521}
	Ed25519 = Kind{curve: ep11.OIDEd25519}
	RSA2048 = Kind{bits: 2048}
	RSA3072 = Kind{bits: 3072}
	RSA4096 = Kind{bits: 4096}
)

// Generate makes a key pair that signs, and an RSA key that decrypts if it does not sign. It can't leave the domain. Keep what [Key.Blobs] gives.
func Generate(ctx context.Context, t Transport, k Kind, use Use) (*Key, error) {
	m := Mechanism{Type: ep11.CKM_EC_KEY_PAIR_GEN}
	private := Template{ep11.CKA_SENSITIVE: ep11.Bool(true), ep11.CKA_EXTRACTABLE: ep11.Bool(false)}
	public := Template{}
	switch {
	case k.curve != "" && use == Signing:
		public[ep11.CKA_EC_PARAMS] = ep11.Bytes([]byte(k.curve))
	case k.bits != 0:
		m.Type = ep11.CKM_RSA_PKCS_KEY_PAIR_GEN
		public[ep11.CKA_MODULUS_BITS], public[ep11.CKA_PUBLIC_EXPONENT] = ep11.Int(k.bits), ep11.Int(65537)
	default:
		return nil, errors.New("grep11: no such kind of key, or not for this use")
	}
	switch use {
	case Signing:
		private[ep11.CKA_SIGN], public[ep11.CKA_VERIFY] = ep11.Bool(true), ep11.Bool(true)
	case Decrypting:
		private[ep11.CKA_DECRYPT], public[ep11.CKA_ENCRYPT] = ep11.Bool(true), ep11.Bool(true)
	default:
		return nil, errors.New("grep11: a key is for signing or for decrypting")
	}
	priv, pub, err := t.GenerateKeyPair(ctx, m, private, public)
	if err != nil {
		return nil, fmt.Errorf("make a key: %w", err)
	}
	return Open(t, priv, pub)
}

// Use is what a key is for. One key is for one use.
type Use int

// The uses.
const (
	Signing    Use = 1
	Decrypting Use = 2
)

// Open takes the blobs of a key pair. Whether the domain takes them shows when the key is used.
func Open(t Transport, privateBlob, publicBlob []byte) (*Key, error) {
	if t == nil || len(privateBlob) == 0 {
		return nil, errors.New("grep11: a transport and the blob of a private key are required")
	}
	pub, err := publicKey(publicBlob)
	if err != nil {
		return nil, err
	}
	return &Key{t: t, private: privateBlob, public: publicBlob, key: pub}, nil
}

// publicKey reads the SubjectPublicKeyInfo at the beginning of a public key's blob.
func publicKey(b []byte) (crypto.PublicKey, error) {
	k, rest, err := ep11.ReadSPKI(b)
	if err != nil {
		return nil, fmt.Errorf("grep11: public key: %w", err)
	}
	if k.Type == ep11.CKK_EC && string(k.Params) == ep11.OIDEd25519 {
		if len(k.Key) != ed25519.PublicKeySize {
			return nil, fmt.Errorf("grep11: public key: Ed25519's has %d bytes, not %d", ed25519.PublicKeySize, len(k.Key))
		}
		return ed25519.PublicKey(k.Key), nil
	}
	pub, err := x509.ParsePKIXPublicKey(b[:len(b)-len(rest)])
	if err != nil {
		return nil, fmt.Errorf("grep11: public key: %w; use the generated client for keys of other kinds", err)
	}
	switch pub := pub.(type) {
	case *rsa.PublicKey:
		return pub, nil
	case *ecdsa.PublicKey:
		if pub.Curve != elliptic.P224() {
			return pub, nil
		}
	}
	return nil, errors.New("grep11: public key: it is not RSA, Ed25519 or ECDSA on P-256, P-384 or P-521; use the generated client for others")
}

// Blobs gives the sealed private key and the public key, to be kept and given to [Open]. They are no secrets, but without them the key is lost.
func (k *Key) Blobs() (private, public []byte) { return k.private, k.public }

// Public gives the public key: *ecdsa.PublicKey, ed25519.PublicKey or *rsa.PublicKey.
func (k *Key) Public() crypto.PublicKey { return k.key }

// Sign signs a digest, or for Ed25519 the message itself. The random source is not used: the domain has its own. ECDSA signatures are ASN.1, as
// crypto/ecdsa gives them; a PSS salt is as long as the hash unless the options give a length.
func (k *Key) Sign(_ io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	if opts == nil {
		opts = crypto.Hash(0)
	}
	h := opts.HashFunc()
	if h != 0 && len(digest) != h.Size() {
		return nil, fmt.Errorf("grep11: sign: a digest of %d bytes, %v has %d", len(digest), h, h.Size())
	}
	ctx, cancel := context.WithTimeout(context.Background(), CallTime)
	defer cancel()
	switch pub := k.key.(type) {
	case ed25519.PublicKey:
		if h != 0 {
			return nil, errors.New("grep11: sign: Ed25519 signs messages, not digests; use crypto.Hash(0)")
		}
		return k.t.Sign(ctx, Mechanism{Type: ep11.CKM_IBM_ED25519_SHA512}, k.private, digest)
	case *ecdsa.PublicKey:
		sig, err := k.t.Sign(ctx, Mechanism{Type: ep11.CKM_ECDSA}, k.private, digest)
		if err != nil {
			return nil, err
		}
		return encodeECDSA(sig, pub)
	}
	m, data, err := rsaSignature(digest, opts)
	if err != nil {
		return nil, err
	}
	return k.t.Sign(ctx, m, k.private, data)
}

// encodeECDSA makes ASN.1 (RFC 3279 section 2.2.3) of r and s, each as long as the order.
func encodeECDSA(sig []byte, pub *ecdsa.PublicKey) ([]byte, error) {
	n := (pub.Curve.Params().N.BitLen() + 7) / 8
	if len(sig) != 2*n {
		return nil, fmt.Errorf("grep11: sign: the signature has %d bytes, not %d", len(sig), 2*n)
	}
	var b cryptobyte.Builder
	b.AddASN1(asn1.SEQUENCE, func(b *cryptobyte.Builder) {
		for _, x := range [][]byte{sig[:n], sig[n:]} {
			for len(x) > 1 && x[0] == 0 {
				x = x[1:]
			}
			b.AddASN1(asn1.INTEGER, func(b *cryptobyte.Builder) {
				if x[0]&0x80 != 0 {
					b.AddUint8(0)
				}
				b.AddBytes(x)
			})
		}
	})
	return b.Bytes()
}

// TLSCertificate makes what crypto/tls takes of the key and a chain for it (DER, the key's own certificate first).
func (k *Key) TLSCertificate(chain ...[]byte) (tls.Certificate, error) {
	if len(chain) == 0 {
		return tls.Certificate{}, errors.New("grep11: a certificate of the key is required")
	}
	leaf, err := x509.ParseCertificate(chain[0])
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("grep11: certificate: %w", err)
	}
	pub, ok := leaf.PublicKey.(interface{ Equal(crypto.PublicKey) bool })
	if !ok || !pub.Equal(k.key) {
		return tls.Certificate{}, errors.New("grep11: the certificate is not of this key")
	}
	return tls.Certificate{Certificate: chain, PrivateKey: k, Leaf: leaf}, nil
}

// TLSConfig makes a configuration of TLS 1.3 whose key stays in the domain: one call a handshake. Set what else it needs, such as RootCAs or ClientCAs.
func (k *Key) TLSConfig(chain ...[]byte) (*tls.Config, error) {
	c, err := k.TLSCertificate(chain...)
	if err != nil {
		return nil, err
	}
	return &tls.Config{MinVersion: tls.VersionTLS13, Certificates: []tls.Certificate{c}}, nil
}

// Decrypt decrypts with RSA: OAEP with *rsa.OAEPOptions, else PKCS #1 v1.5. With a session key's length ([rsa.PKCS1v15DecryptOptions]) whatever the
// domain refuses gives a random key, so that callers need not tell a bad padding from a bad key.
func (k *Key) Decrypt(_ io.Reader, message []byte, opts crypto.DecrypterOpts) ([]byte, error) {
	if _, ok := k.key.(*rsa.PublicKey); !ok {
		return nil, errors.New("grep11: decrypt: this is no RSA key")
	}
	ctx, cancel := context.WithTimeout(context.Background(), CallTime)
	defer cancel()
	switch o := opts.(type) {
	case *rsa.OAEPOptions:
		m, err := oaep(o)
		if err != nil {
			return nil, err
		}
		return k.t.Decrypt(ctx, m, k.private, message)
	case nil:
		return k.t.Decrypt(ctx, Mechanism{Type: ep11.CKM_RSA_PKCS}, k.private, message)
	case *rsa.PKCS1v15DecryptOptions: //nolint:staticcheck // CKM_RSA_PKCS is what callers have; it is for those who must
		plain, err := k.t.Decrypt(ctx, Mechanism{Type: ep11.CKM_RSA_PKCS}, k.private, message)
		if o.SessionKeyLen == 0 {
			return plain, err
		}
		return sessionKey(plain, err, o.SessionKeyLen)
	}
	return nil, fmt.Errorf("grep11: decrypt: options of type %T are not known", opts)
}

// sessionKey gives a key of n bytes whatever came, unless nobody answered.
func sessionKey(plain []byte, err error, n int) ([]byte, error) {
	var refused *Failure
	if err != nil && (!errors.As(err, &refused) || refused.Retry) {
		return nil, err
	}
	out := make([]byte, n)
	rand.Read(out)
	same := subtle.ConstantTimeEq(int32(len(plain)), int32(n))
	if len(plain) != n {
		plain = make([]byte, n)
	}
	subtle.ConstantTimeCopy(same, out, plain)
	return out, nil
}
