// SPDX-License-Identifier: Apache-2.0

package ep11

import (
	"slices"

	"strongroom/internal/pure/algorithm"
	"strongroom/internal/pure/points"
)

// ruled names the algorithm of the table of algorithms that a mechanism is with a type of key, and by it the control point that must be on.
// What has no row here has no point of its own: the points for keys of applications, for bringing them in and for raw signatures rule it.
var ruled = []struct {
	mechanisms []uint64
	ckk        uint64
	params     string
	is         algorithm.Mechanism
}{
	{ecdsaMechanisms, CKK_EC, OIDSecp256k1, algorithm.ECDSASecp256k1},
	{ecdsaMechanisms, CKK_EC, OIDP256, algorithm.ECDSAP256},
	{ecdsaMechanisms, CKK_EC, OIDP384, algorithm.ECDSAP384},
	{ecdsaMechanisms, CKK_EC, OIDP521, algorithm.ECDSAP521},
	{[]uint64{CKM_IBM_ED25519_SHA512}, CKK_EC, OIDEd25519, algorithm.EdDSA},
	{[]uint64{CKM_IBM_ECDSA_OTHER}, CKK_EC, OIDBLS12381, algorithm.BLS},
	{[]uint64{CKM_RSA_PKCS, CKM_SHA1_RSA_PKCS, CKM_SHA224_RSA_PKCS, CKM_SHA256_RSA_PKCS, CKM_SHA384_RSA_PKCS, CKM_SHA512_RSA_PKCS, CKM_RSA_X9_31, CKM_SHA1_RSA_X9_31}, CKK_RSA, "", algorithm.RSAPKCS1},
	{[]uint64{CKM_RSA_PKCS_PSS, CKM_SHA1_RSA_PKCS_PSS, CKM_SHA224_RSA_PKCS_PSS, CKM_SHA256_RSA_PKCS_PSS, CKM_SHA384_RSA_PKCS_PSS, CKM_SHA512_RSA_PKCS_PSS}, CKK_RSA, "", algorithm.RSAPSS},
	{[]uint64{CKM_RSA_PKCS_OAEP}, CKK_RSA, "", algorithm.RSAOAEP},
	{[]uint64{CKM_AES_GCM}, CKK_AES, "", algorithm.AESGCM},
	{[]uint64{CKM_AES_KEY_WRAP, CKM_AES_KEY_WRAP_PAD}, CKK_AES, "", algorithm.AESKeyWrap},
	{[]uint64{CKM_SHA256_HMAC}, anyType, "", algorithm.HMACSHA256},
	{[]uint64{CKM_SHA384_HMAC}, anyType, "", algorithm.HMACSHA384},
	{[]uint64{CKM_SHA512_HMAC}, anyType, "", algorithm.HMACSHA512},
	{[]uint64{CKM_IBM_ML_DSA, CKM_ML_DSA}, CKK_IBM_ML_DSA, OIDMLDSA44, algorithm.MLDSA44},
	{[]uint64{CKM_IBM_ML_DSA, CKM_ML_DSA}, CKK_IBM_ML_DSA, OIDMLDSA65, algorithm.MLDSA65},
	{[]uint64{CKM_IBM_ML_DSA, CKM_ML_DSA}, CKK_IBM_ML_DSA, OIDMLDSA87, algorithm.MLDSA87},
	{[]uint64{CKM_IBM_ML_KEM, CKM_ML_KEM}, CKK_IBM_ML_KEM, OIDMLKEM768, algorithm.MLKEM768},
	{[]uint64{CKM_IBM_ML_KEM, CKM_ML_KEM}, CKK_IBM_ML_KEM, OIDMLKEM1024, algorithm.MLKEM1024},
	{[]uint64{CKM_ECDH1_DERIVE, CKM_ECDH1_COFACTOR_DERIVE, CKM_IBM_ECDH1_DERIVE_RAW}, CKK_EC, OIDP256, algorithm.ECDHP256},
	{[]uint64{CKM_IBM_EC_X25519, CKM_IBM_EC_X25519_RAW, CKM_ECDH1_DERIVE, CKM_IBM_ECDH1_DERIVE_RAW}, CKK_EC, OIDX25519, algorithm.X25519},
	{[]uint64{CKM_IBM_BTC_DERIVE}, anyType, "", algorithm.BIP32},
}

// anyType in a row of ruled stands for every type of key.
const anyType = ^uint64(0)

var ecdsaMechanisms = []uint64{CKM_ECDSA, CKM_ECDSA_SHA1, CKM_ECDSA_SHA224, CKM_ECDSA_SHA256, CKM_ECDSA_SHA384, CKM_ECDSA_SHA512,
	CKM_IBM_ECDSA_SHA224, CKM_IBM_ECDSA_SHA256, CKM_IBM_ECDSA_SHA384, CKM_IBM_ECDSA_SHA512}

// PointFor gives the control point of a mechanism with a type of key, and false where it has none of its own. params is as in CKA_EC_PARAMS or
// CKA_IBM_PQC_PARAMS; it doesn't matter for other types.
func PointFor(mechanism, ckk uint64, params []byte) (points.Point, bool) {
	for _, r := range ruled {
		if slices.Contains(r.mechanisms, mechanism) && (r.ckk == anyType || r.ckk == ckk && (r.params == "" || r.params == string(params))) {
			return points.Of(r.is)
		}
	}
	return 0, false
}
