// SPDX-License-Identifier: Apache-2.0

package grep11

import (
	"crypto"
	"crypto/rsa"
	"errors"
	"fmt"

	"strongroom/internal/pure/ep11"
)

// hash is what the domain calls a hash, and how PKCS #1 v1.5 names it.
type hash struct {
	mechanism uint64
	mask      uint64
	info      string // DigestInfo without the digest (RFC 8017, 9.2, note 1)
}

// hashes are those of RSA's paddings.
var hashes = map[crypto.Hash]hash{
	crypto.SHA1:   {ep11.CKM_SHA_1, ep11.CKG_MGF1_SHA1, "\x30\x21\x30\x09\x06\x05\x2b\x0e\x03\x02\x1a\x05\x00\x04\x14"},
	crypto.SHA224: {ep11.CKM_SHA224, ep11.CKG_MGF1_SHA224, "\x30\x2d\x30\x0d\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02\x04\x05\x00\x04\x1c"},
	crypto.SHA256: {ep11.CKM_SHA256, ep11.CKG_MGF1_SHA256, "\x30\x31\x30\x0d\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02\x01\x05\x00\x04\x20"},
	crypto.SHA384: {ep11.CKM_SHA384, ep11.CKG_MGF1_SHA384, "\x30\x41\x30\x0d\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02\x02\x05\x00\x04\x30"},
	crypto.SHA512: {ep11.CKM_SHA512, ep11.CKG_MGF1_SHA512, "\x30\x51\x30\x0d\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02\x03\x05\x00\x04\x40"},
}

// rsaSignature gives mechanism and data of an RSA signature over a digest.
func rsaSignature(digest []byte, opts crypto.SignerOpts) (Mechanism, []byte, error) {
	h, ok := hashes[opts.HashFunc()]
	if !ok && opts.HashFunc() != 0 {
		return Mechanism{}, nil, fmt.Errorf("grep11: sign: hash %v is not known", opts.HashFunc())
	}
	pss, is := opts.(*rsa.PSSOptions)
	if !is { // without a hash the data is padded as it is
		return Mechanism{Type: ep11.CKM_RSA_PKCS}, append([]byte(h.info), digest...), nil
	}
	if !ok {
		return Mechanism{}, nil, errors.New("grep11: sign: PSS needs a hash")
	}
	salt := pss.SaltLength
	switch {
	case salt == rsa.PSSSaltLengthAuto || salt == rsa.PSSSaltLengthEqualsHash: // TLS 1.3 wants no other (RFC 8446, 4.2.3)
		salt = len(digest)
	case salt < 0:
		return Mechanism{}, nil, fmt.Errorf("grep11: sign: a salt of %d bytes", salt)
	}
	return Mechanism{Type: ep11.CKM_RSA_PKCS_PSS, PSS: &ep11.PSS{Hash: h.mechanism, MGF: h.mask, Salt: uint64(salt)}}, digest, nil
}

// oaep gives the mechanism of RSA-OAEP.
func oaep(o *rsa.OAEPOptions) (Mechanism, error) {
	mgf := o.MGFHash
	if mgf == 0 {
		mgf = o.Hash
	}
	h, ok := hashes[o.Hash]
	m, ok2 := hashes[mgf]
	if !ok || !ok2 {
		return Mechanism{}, fmt.Errorf("grep11: decrypt: OAEP with %v and %v is not known", o.Hash, mgf)
	}
	p := &ep11.OAEP{Hash: h.mechanism, MGF: m.mask, Label: o.Label}
	if len(o.Label) > 0 {
		p.Source = ep11.CKZ_DATA_SPECIFIED
	}
	return Mechanism{Type: ep11.CKM_RSA_PKCS_OAEP, OAEP: p}, nil
}
