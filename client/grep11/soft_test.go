// SPDX-License-Identifier: Apache-2.0

package grep11_test

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"fmt"
	"hash"
	"sync"

	"strongroom/client/grep11"
	"strongroom/internal/pure/ep11"
)

// soft is a transport to keys of the standard library, which stand for the domain's.
type soft struct {
	mu   sync.Mutex
	keys map[string]crypto.Signer
	err  error // instead of every answer
}

func newSoft() *soft { return &soft{keys: map[string]crypto.Signer{}} }

func (s *soft) add(k crypto.Signer) (private, public []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	name := fmt.Sprintf("blob %d", len(s.keys))
	s.keys[name] = k
	pub := ep11.PublicKey{Type: ep11.CKK_EC}
	switch p := k.Public().(type) {
	case ed25519.PublicKey:
		pub.Params, pub.Key = []byte(ep11.OIDEd25519), p
	case *ecdsa.PublicKey:
		pub.Params = []byte(map[string]string{"P-224": ep11.OIDP224, "P-256": ep11.OIDP256, "P-384": ep11.OIDP384, "P-521": ep11.OIDP521}[p.Curve.Params().Name])
		pub.Key, _ = p.Bytes()
	case *rsa.PublicKey:
		return []byte(name), append(rsaSPKI(p), "authenticated tail"...)
	}
	return []byte(name), append(pub.SPKI(), "authenticated tail"...)
}

func (s *soft) GenerateKeyPair(_ context.Context, m grep11.Mechanism, private, public grep11.Template) ([]byte, []byte, error) {
	if s.err != nil {
		return nil, nil, s.err
	}
	if !private.Flag(ep11.CKA_SENSITIVE, false) || private.Flag(ep11.CKA_EXTRACTABLE, true) || private.Flag(ep11.CKA_SIGN, false) == private.Flag(ep11.CKA_DECRYPT, false) {
		return nil, nil, ep11.CKR_TEMPLATE_INCONSISTENT
	}
	var k crypto.Signer
	var err error
	switch curve := string(public.Curve()); {
	case m.Type == ep11.CKM_RSA_PKCS_KEY_PAIR_GEN:
		n, _ := public.Number(ep11.CKA_MODULUS_BITS)
		k, err = rsa.GenerateKey(rand.Reader, int(n))
	case curve == ep11.OIDEd25519:
		_, k, err = ed25519.GenerateKey(rand.Reader)
	default:
		k, err = ecdsa.GenerateKey(map[string]elliptic.Curve{ep11.OIDP256: elliptic.P256(), ep11.OIDP384: elliptic.P384(), ep11.OIDP521: elliptic.P521()}[curve], rand.Reader)
	}
	if err != nil {
		return nil, nil, err
	}
	a, b := s.add(k)
	return a, b, nil
}

func (s *soft) find(blob []byte) (crypto.Signer, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	k, ok := s.keys[string(blob)]
	if s.err != nil {
		return nil, s.err
	}
	if !ok {
		return nil, &ep11.Failure{Code: ep11.CKR_IBM_BLOB_ERROR}
	}
	return k, nil
}

func digestOf(ckm uint64) (crypto.Hash, func() hash.Hash) {
	switch ckm {
	case ep11.CKM_SHA_1:
		return crypto.SHA1, sha1.New
	case ep11.CKM_SHA256:
		return crypto.SHA256, sha256.New
	case ep11.CKM_SHA512:
		return crypto.SHA512, sha512.New
	}
	return 0, nil
}

func (s *soft) Sign(_ context.Context, m grep11.Mechanism, key, data []byte) ([]byte, error) {
	k, err := s.find(key)
	if err != nil {
		return nil, err
	}
	switch k := k.(type) {
	case *ecdsa.PrivateKey:
		r, t, err := ecdsa.Sign(rand.Reader, k, data)
		if err != nil {
			return nil, err
		}
		n := (k.Params().N.BitLen() + 7) / 8
		out := make([]byte, 2*n)
		r.FillBytes(out[:n])
		t.FillBytes(out[n:])
		return out, nil
	case ed25519.PrivateKey:
		return ed25519.Sign(k, data), nil
	case *rsa.PrivateKey:
		if m.Type == ep11.CKM_RSA_PKCS_PSS {
			h, _ := digestOf(m.PSS.Hash)
			return rsa.SignPSS(rand.Reader, k, h, data, &rsa.PSSOptions{SaltLength: int(m.PSS.Salt)})
		}
		return rsa.SignPKCS1v15(nil, k, 0, data)
	}
	return nil, ep11.CKR_KEY_TYPE_INCONSISTENT
}

func (s *soft) Decrypt(_ context.Context, m grep11.Mechanism, key, data []byte) ([]byte, error) {
	k, err := s.find(key)
	if err != nil {
		return nil, err
	}
	var plain []byte
	if m.OAEP != nil {
		h, f := digestOf(m.OAEP.Hash)
		if h == 0 {
			return nil, ep11.CKR_MECHANISM_PARAM_INVALID
		}
		plain, err = rsa.DecryptOAEP(f(), nil, k.(*rsa.PrivateKey), data, m.OAEP.Label)
	} else {
		plain, err = rsa.DecryptPKCS1v15(nil, k.(*rsa.PrivateKey), data) //nolint:staticcheck // CKM_RSA_PKCS is what callers have; it is for those who must
	}
	if err != nil {
		return nil, &ep11.Failure{Code: ep11.CKR_ENCRYPTED_DATA_INVALID}
	}
	return plain, nil
}
