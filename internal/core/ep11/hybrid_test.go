// SPDX-License-Identifier: Apache-2.0

package ep11

import (
	"testing"

	"strongroom/internal/pure/ep11"
)

// TestHybridKeepsTheSecret: a derivation with another secret gives nothing of that secret away. Hybrid null, which holds it as it is, needs the
// profile and then has all of both; what is made with a secret that stays, stays, whatever the function.
func TestHybridKeepsTheSecret(t *testing.T) {
	t.Parallel()
	b := newComplete(t)
	stays := b.generic(32, flags(ep11.CKA_DERIVE, ep11.CKA_IBM_USE_AS_DATA))
	leaves := b.generic(32, flags(ep11.CKA_IBM_USE_AS_DATA, ep11.CKA_EXTRACTABLE))
	_, pk := b.keyPair(ep11.CKM_IBM_ML_KEM_KEY_PAIR_GEN, flags(ep11.CKA_DERIVE), and(flags(ep11.CKA_DERIVE), number(ep11.CKA_IBM_PARAMETER_SET, 2)))
	export := flags(ep11.CKA_EXTRACTABLE)
	const null, sha = ep11.CKD_HYBRID_NULL, ep11.CKD_HYBRID_SHA256_KDF
	for _, tt := range []struct {
		name   string
		compat bool
		kdf    uint64
		blob   []byte
		length uint64
		t      ep11.Template
		want   ep11.Code
	}{
		{"null", false, null, stays, 64, nil, ep11.CKR_MECHANISM_PARAM_INVALID},
		{"null, of what may leave", false, null, leaves, 64, nil, ep11.CKR_MECHANISM_PARAM_INVALID},
		{"null, profile", true, null, stays, 64, nil, ep11.CKR_OK},
		{"null, profile, the secret alone", true, null, stays, 32, nil, ep11.CKR_KEY_SIZE_RANGE},
		{"null, profile, a byte less", true, null, stays, 63, nil, ep11.CKR_KEY_SIZE_RANGE},
		{"null, profile, leaving", true, null, stays, 64, export, ep11.CKR_TEMPLATE_INCONSISTENT},
		{"null, profile, leaving with what may leave", true, null, leaves, 64, export, ep11.CKR_OK},
		{"function", false, sha, stays, 32, nil, ep11.CKR_OK},
		{"function, leaving", false, sha, stays, 32, export, ep11.CKR_TEMPLATE_INCONSISTENT},
		{"function, profile, leaving", true, sha, stays, 32, export, ep11.CKR_TEMPLATE_INCONSISTENT},
		{"function, leaving with what may leave", false, sha, leaves, 32, export, ep11.CKR_OK},
		{"function, bound", false, sha, stays, 32, flags(ep11.CKA_IBM_ATTRBOUND), ep11.CKR_TEMPLATE_INCONSISTENT},
		{"a secret that is no data", true, sha, b.generic(32, flags(ep11.CKA_DERIVE)), 32, nil, ep11.CKR_KEY_FUNCTION_NOT_PERMITTED},
	} {
		b.env.Compat = tt.compat
		kem := &ep11.Mechanism{Type: ep11.CKM_IBM_ML_KEM, Kyber: &ep11.Kyber{Mode: ep11.CK_KEM_ENCAPSULATE, KDF: tt.kdf, Blob: tt.blob}}
		_, err := b.do(ep11.Call{Function: ep11.FnDeriveKey, Mechanism: kem, Key: pk, Template: and(tt.t, number(ep11.CKA_VALUE_LEN, tt.length))})
		if codeOf(err) != tt.want {
			t.Errorf("%s: got %v, want %v", tt.name, err, tt.want)
		}
	}
}
