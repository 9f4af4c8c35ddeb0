// SPDX-License-Identifier: Apache-2.0

package ep11

import "slices"

// Parts says in how many parts a mechanism works.
type Parts uint8

// The parts.
const (
	Many       Parts = 0 // Init, Update, Final, or in one part
	OnePart    Parts = 1 // Init with the function itself, or Single; no Update
	SingleOnly Parts = 2 // the Single functions alone
)

// Row is what is known of a mechanism. What of its flags is offered follows from the code that the engine has.
type Row struct {
	Mechanism uint64
	Name      string
	Flags     uint64 // CKF: all that the mechanism can be for
	Min, Max  uint64 // of keys: bits for RSA, DSA, DH and curves, bytes for symmetric keys
	Parts     Parts
	Digest    uint64 // CKM of the digest that is made of the data first; 0: none
}

// What mechanisms are for, as flags.
const (
	forCrypt  = CKF_ENCRYPT | CKF_DECRYPT
	forSign   = CKF_SIGN | CKF_VERIFY
	forWrap   = CKF_WRAP | CKF_UNWRAP
	forCurves = CKF_EC_F_P | CKF_EC_NAMEDCURVE | CKF_EC_UNCOMPRESS
)

// Sizes of keys that several rows share, in the unit of [Row]. RSA's lower bound is the one that clients of the service expect to read;
// keys are made from MinRSA on.
const (
	rsaMin, rsaMax     = 512, 4096
	curveMin, curveMax = 224, 521
	secretMin          = MinSecret
	secretMax          = MaxSecret
)

// Sizes of keys.
const (
	MinRSA    = 2048 // bits of RSA keys that sign, decrypt or unwrap
	MaxRSA    = 4096
	MinSecret = 10  // bytes of a generic secret
	MaxSecret = 256 // bytes
)

// rows are in the order in which mechanisms are listed: CKM_RSA_PKCS first, because clients read the first entry.
var rows = []Row{
	{CKM_RSA_PKCS, "CKM_RSA_PKCS", forCrypt | forSign | forWrap, rsaMin, rsaMax, OnePart, 0},
	{CKM_RSA_PKCS_KEY_PAIR_GEN, "CKM_RSA_PKCS_KEY_PAIR_GEN", CKF_GENERATE_KEY_PAIR, rsaMin, rsaMax, Many, 0},
	{CKM_SHA1_RSA_PKCS, "CKM_SHA1_RSA_PKCS", forSign, rsaMin, rsaMax, Many, CKM_SHA_1},
	{CKM_RSA_PKCS_OAEP, "CKM_RSA_PKCS_OAEP", forCrypt | forWrap, rsaMin, rsaMax, OnePart, 0},
	{CKM_RSA_X9_31_KEY_PAIR_GEN, "CKM_RSA_X9_31_KEY_PAIR_GEN", CKF_GENERATE_KEY_PAIR, rsaMin, rsaMax, Many, 0},
	{CKM_RSA_X9_31, "CKM_RSA_X9_31", forSign, rsaMin, rsaMax, OnePart, 0},
	{CKM_SHA1_RSA_X9_31, "CKM_SHA1_RSA_X9_31", forSign, rsaMin, rsaMax, Many, CKM_SHA_1},
	{CKM_RSA_PKCS_PSS, "CKM_RSA_PKCS_PSS", forSign, rsaMin, rsaMax, OnePart, 0},
	{CKM_SHA1_RSA_PKCS_PSS, "CKM_SHA1_RSA_PKCS_PSS", forSign, rsaMin, rsaMax, Many, CKM_SHA_1},
	{CKM_ML_KEM_KEY_PAIR_GEN, "CKM_ML_KEM_KEY_PAIR_GEN", CKF_GENERATE_KEY_PAIR, 256, 256, Many, 0},
	{CKM_ML_KEM, "CKM_ML_KEM", CKF_DERIVE, 256, 256, Many, 0},
	{CKM_ML_DSA_KEY_PAIR_GEN, "CKM_ML_DSA_KEY_PAIR_GEN", CKF_GENERATE_KEY_PAIR, 256, 256, Many, 0},
	{CKM_ML_DSA, "CKM_ML_DSA", forSign, 256, 256, OnePart, 0},
	{CKM_DSA_KEY_PAIR_GEN, "CKM_DSA_KEY_PAIR_GEN", CKF_GENERATE_KEY_PAIR, 2048, 3072, Many, 0},
	{CKM_DSA, "CKM_DSA", forSign, 2048, 3072, OnePart, 0},
	{CKM_DSA_SHA1, "CKM_DSA_SHA1", forSign, 2048, 3072, Many, CKM_SHA_1},
	{CKM_DSA_SHA224, "CKM_DSA_SHA224", forSign, 2048, 3072, Many, CKM_SHA224},
	{CKM_DSA_SHA256, "CKM_DSA_SHA256", forSign, 2048, 3072, Many, CKM_SHA256},
	{CKM_DH_PKCS_KEY_PAIR_GEN, "CKM_DH_PKCS_KEY_PAIR_GEN", CKF_GENERATE_KEY_PAIR, 2048, 4096, Many, 0},
	{CKM_DH_PKCS_DERIVE, "CKM_DH_PKCS_DERIVE", CKF_DERIVE, 2048, 4096, Many, 0},
	{CKM_SHA256_RSA_PKCS, "CKM_SHA256_RSA_PKCS", forSign, rsaMin, rsaMax, Many, CKM_SHA256},
	{CKM_SHA384_RSA_PKCS, "CKM_SHA384_RSA_PKCS", forSign, rsaMin, rsaMax, Many, CKM_SHA384},
	{CKM_SHA512_RSA_PKCS, "CKM_SHA512_RSA_PKCS", forSign, rsaMin, rsaMax, Many, CKM_SHA512},
	{CKM_SHA256_RSA_PKCS_PSS, "CKM_SHA256_RSA_PKCS_PSS", forSign, rsaMin, rsaMax, Many, CKM_SHA256},
	{CKM_SHA384_RSA_PKCS_PSS, "CKM_SHA384_RSA_PKCS_PSS", forSign, rsaMin, rsaMax, Many, CKM_SHA384},
	{CKM_SHA512_RSA_PKCS_PSS, "CKM_SHA512_RSA_PKCS_PSS", forSign, rsaMin, rsaMax, Many, CKM_SHA512},
	{CKM_SHA224_RSA_PKCS, "CKM_SHA224_RSA_PKCS", forSign, rsaMin, rsaMax, Many, CKM_SHA224},
	{CKM_SHA224_RSA_PKCS_PSS, "CKM_SHA224_RSA_PKCS_PSS", forSign, rsaMin, rsaMax, Many, CKM_SHA224},
	{CKM_SHA512_224, "CKM_SHA512_224", CKF_DIGEST, 0, 0, Many, 0},
	{CKM_SHA512_224_HMAC, "CKM_SHA512_224_HMAC", forSign, secretMin, secretMax, Many, 0},
	{CKM_SHA512_256, "CKM_SHA512_256", CKF_DIGEST, 0, 0, Many, 0},
	{CKM_SHA512_256_HMAC, "CKM_SHA512_256_HMAC", forSign, secretMin, secretMax, Many, 0},
	{CKM_DES2_KEY_GEN, "CKM_DES2_KEY_GEN", CKF_GENERATE, 16, 16, Many, 0},
	{CKM_DES3_KEY_GEN, "CKM_DES3_KEY_GEN", CKF_GENERATE, 24, 24, Many, 0},
	{CKM_DES3_ECB, "CKM_DES3_ECB", forCrypt | forWrap, 16, 24, Many, 0},
	{CKM_DES3_CBC, "CKM_DES3_CBC", forCrypt | forWrap, 16, 24, Many, 0},
	{CKM_DES3_CBC_PAD, "CKM_DES3_CBC_PAD", forCrypt | forWrap, 16, 24, Many, 0},
	{CKM_DES3_CMAC, "CKM_DES3_CMAC", forSign, 16, 24, Many, 0},
	{CKM_SHA_1, "CKM_SHA_1", CKF_DIGEST, 0, 0, Many, 0},
	{CKM_SHA_1_HMAC, "CKM_SHA_1_HMAC", forSign, secretMin, secretMax, Many, 0},
	{CKM_SHA256, "CKM_SHA256", CKF_DIGEST, 0, 0, Many, 0},
	{CKM_SHA256_HMAC, "CKM_SHA256_HMAC", forSign, secretMin, secretMax, Many, 0},
	{CKM_SHA224, "CKM_SHA224", CKF_DIGEST, 0, 0, Many, 0},
	{CKM_SHA224_HMAC, "CKM_SHA224_HMAC", forSign, secretMin, secretMax, Many, 0},
	{CKM_SHA384, "CKM_SHA384", CKF_DIGEST, 0, 0, Many, 0},
	{CKM_SHA384_HMAC, "CKM_SHA384_HMAC", forSign, secretMin, secretMax, Many, 0},
	{CKM_SHA512, "CKM_SHA512", CKF_DIGEST, 0, 0, Many, 0},
	{CKM_SHA512_HMAC, "CKM_SHA512_HMAC", forSign, secretMin, secretMax, Many, 0},
	{CKM_GENERIC_SECRET_KEY_GEN, "CKM_GENERIC_SECRET_KEY_GEN", CKF_GENERATE, secretMin, secretMax, Many, 0},
	{CKM_SHA1_KEY_DERIVATION, "CKM_SHA1_KEY_DERIVATION", CKF_DERIVE, secretMin, secretMax, Many, 0},
	{CKM_SHA256_KEY_DERIVATION, "CKM_SHA256_KEY_DERIVATION", CKF_DERIVE, secretMin, secretMax, Many, 0},
	{CKM_SHA384_KEY_DERIVATION, "CKM_SHA384_KEY_DERIVATION", CKF_DERIVE, secretMin, secretMax, Many, 0},
	{CKM_SHA512_KEY_DERIVATION, "CKM_SHA512_KEY_DERIVATION", CKF_DERIVE, secretMin, secretMax, Many, 0},
	{CKM_SHA224_KEY_DERIVATION, "CKM_SHA224_KEY_DERIVATION", CKF_DERIVE, secretMin, secretMax, Many, 0},
	{CKM_EC_KEY_PAIR_GEN, "CKM_EC_KEY_PAIR_GEN", CKF_GENERATE_KEY_PAIR | forCurves, curveMin, curveMax, Many, 0},
	{CKM_ECDSA, "CKM_ECDSA", forSign | forCurves, curveMin, curveMax, OnePart, 0},
	{CKM_ECDSA_SHA1, "CKM_ECDSA_SHA1", forSign | forCurves, curveMin, curveMax, Many, CKM_SHA_1},
	{CKM_ECDSA_SHA224, "CKM_ECDSA_SHA224", forSign | forCurves, curveMin, curveMax, Many, CKM_SHA224},
	{CKM_ECDSA_SHA256, "CKM_ECDSA_SHA256", forSign | forCurves, curveMin, curveMax, Many, CKM_SHA256},
	{CKM_ECDSA_SHA384, "CKM_ECDSA_SHA384", forSign | forCurves, curveMin, curveMax, Many, CKM_SHA384},
	{CKM_ECDSA_SHA512, "CKM_ECDSA_SHA512", forSign | forCurves, curveMin, curveMax, Many, CKM_SHA512},
	{CKM_ECDH1_DERIVE, "CKM_ECDH1_DERIVE", CKF_DERIVE | forCurves, curveMin, curveMax, Many, 0},
	{CKM_ECDH1_COFACTOR_DERIVE, "CKM_ECDH1_COFACTOR_DERIVE", CKF_DERIVE | forCurves, curveMin, curveMax, Many, 0},
	{CKM_AES_KEY_GEN, "CKM_AES_KEY_GEN", CKF_GENERATE, 16, 32, Many, 0},
	{CKM_AES_ECB, "CKM_AES_ECB", forCrypt | forWrap, 16, 32, Many, 0},
	{CKM_AES_CBC, "CKM_AES_CBC", forCrypt | forWrap, 16, 32, Many, 0},
	{CKM_AES_CBC_PAD, "CKM_AES_CBC_PAD", forCrypt | forWrap, 16, 32, Many, 0},
	{CKM_AES_CTR, "CKM_AES_CTR", forCrypt, 16, 32, Many, 0},
	{CKM_AES_GCM, "CKM_AES_GCM", forCrypt, 16, 32, OnePart, 0},
	{CKM_AES_CMAC, "CKM_AES_CMAC", forSign, 16, 32, Many, 0},
	{CKM_DES3_ECB_ENCRYPT_DATA, "CKM_DES3_ECB_ENCRYPT_DATA", CKF_DERIVE, 16, 24, Many, 0},
	{CKM_DSA_PARAMETER_GEN, "CKM_DSA_PARAMETER_GEN", CKF_GENERATE, 2048, 3072, Many, 0},
	{CKM_DH_PKCS_PARAMETER_GEN, "CKM_DH_PKCS_PARAMETER_GEN", CKF_GENERATE, 2048, 4096, Many, 0},
	{CKM_AES_KEY_WRAP, "CKM_AES_KEY_WRAP", forCrypt | forWrap, 16, 32, OnePart, 0},
	{CKM_AES_KEY_WRAP_PAD, "CKM_AES_KEY_WRAP_PAD", forCrypt | forWrap, 16, 32, OnePart, 0},
	{CKM_IBM_SHA3_224, "CKM_IBM_SHA3_224", CKF_DIGEST, 0, 0, Many, 0},
	{CKM_IBM_SHA3_256, "CKM_IBM_SHA3_256", CKF_DIGEST, 0, 0, Many, 0},
	{CKM_IBM_SHA3_384, "CKM_IBM_SHA3_384", CKF_DIGEST, 0, 0, Many, 0},
	{CKM_IBM_SHA3_512, "CKM_IBM_SHA3_512", CKF_DIGEST, 0, 0, Many, 0},
	{CKM_IBM_CMAC, "CKM_IBM_CMAC", forSign, 16, 32, Many, 0},
	{CKM_IBM_ECDSA_SHA224, "CKM_IBM_ECDSA_SHA224", forSign | forCurves, curveMin, curveMax, Many, CKM_SHA224},
	{CKM_IBM_ECDSA_SHA256, "CKM_IBM_ECDSA_SHA256", forSign | forCurves, curveMin, curveMax, Many, CKM_SHA256},
	{CKM_IBM_ECDSA_SHA384, "CKM_IBM_ECDSA_SHA384", forSign | forCurves, curveMin, curveMax, Many, CKM_SHA384},
	{CKM_IBM_ECDSA_SHA512, "CKM_IBM_ECDSA_SHA512", forSign | forCurves, curveMin, curveMax, Many, CKM_SHA512},
	{CKM_IBM_SHA512_256, "CKM_IBM_SHA512_256", CKF_DIGEST, 0, 0, Many, 0},
	{CKM_IBM_SHA512_224, "CKM_IBM_SHA512_224", CKF_DIGEST, 0, 0, Many, 0},
	{CKM_IBM_SHA512_256_HMAC, "CKM_IBM_SHA512_256_HMAC", forSign, secretMin, secretMax, Many, 0},
	{CKM_IBM_SHA512_224_HMAC, "CKM_IBM_SHA512_224_HMAC", forSign, secretMin, secretMax, Many, 0},
	{CKM_IBM_EC_X25519, "CKM_IBM_EC_X25519", CKF_DERIVE | CKF_EC_NAMEDCURVE, 256, 256, Many, 0},
	{CKM_IBM_ED25519_SHA512, "CKM_IBM_ED25519_SHA512", forSign | CKF_EC_NAMEDCURVE, 256, 256, OnePart, 0},
	{CKM_IBM_EC_X448, "CKM_IBM_EC_X448", CKF_DERIVE | CKF_EC_NAMEDCURVE, 448, 448, Many, 0},
	{CKM_IBM_ED448_SHA3, "CKM_IBM_ED448_SHA3", forSign | CKF_EC_NAMEDCURVE, 448, 448, OnePart, 0},
	{CKM_IBM_DILITHIUM, "CKM_IBM_DILITHIUM", forSign | CKF_GENERATE_KEY_PAIR, 256, 256, OnePart, 0},
	{CKM_IBM_KYBER, "CKM_IBM_KYBER", CKF_GENERATE_KEY_PAIR | CKF_DERIVE, 256, 256, Many, 0},
	{CKM_IBM_SHA3_224_HMAC, "CKM_IBM_SHA3_224_HMAC", forSign, secretMin, secretMax, Many, 0},
	{CKM_IBM_SHA3_256_HMAC, "CKM_IBM_SHA3_256_HMAC", forSign, secretMin, secretMax, Many, 0},
	{CKM_IBM_SHA3_384_HMAC, "CKM_IBM_SHA3_384_HMAC", forSign, secretMin, secretMax, Many, 0},
	{CKM_IBM_SHA3_512_HMAC, "CKM_IBM_SHA3_512_HMAC", forSign, secretMin, secretMax, Many, 0},
	{CKM_IBM_EC_X25519_RAW, "CKM_IBM_EC_X25519_RAW", CKF_DERIVE | CKF_EC_NAMEDCURVE, 256, 256, Many, 0},
	{CKM_IBM_EC_X448_RAW, "CKM_IBM_EC_X448_RAW", CKF_DERIVE | CKF_EC_NAMEDCURVE, 448, 448, Many, 0},
	{CKM_IBM_ECDSA_OTHER, "CKM_IBM_ECDSA_OTHER", forSign | forCurves, 256, 381, SingleOnly, 0},
	{CKM_IBM_EC_AGGREGATE, "CKM_IBM_EC_AGGREGATE", CKF_SIGN | CKF_DERIVE | forCurves, 381, 381, SingleOnly, 0},
	{CKM_IBM_ML_DSA_KEY_PAIR_GEN, "CKM_IBM_ML_DSA_KEY_PAIR_GEN", CKF_GENERATE_KEY_PAIR, 256, 256, Many, 0},
	{CKM_IBM_ML_DSA, "CKM_IBM_ML_DSA", forSign, 256, 256, OnePart, 0},
	{CKM_IBM_ML_KEM_KEY_PAIR_GEN, "CKM_IBM_ML_KEM_KEY_PAIR_GEN", CKF_GENERATE_KEY_PAIR, 256, 256, Many, 0},
	{CKM_IBM_ML_KEM, "CKM_IBM_ML_KEM", CKF_DERIVE, 256, 256, Many, 0},
	{CKM_IBM_ATTRIBUTEBOUND_WRAP, "CKM_IBM_ATTRIBUTEBOUND_WRAP", forWrap, rsaMin, rsaMax, Many, 0},
	{CKM_IBM_TRANSPORTKEY, "CKM_IBM_TRANSPORTKEY", CKF_UNWRAP, 0, 0, Many, 0},
	{CKM_IBM_DH_PKCS_DERIVE_RAW, "CKM_IBM_DH_PKCS_DERIVE_RAW", CKF_DERIVE, 2048, 4096, Many, 0},
	{CKM_IBM_ECDH1_DERIVE_RAW, "CKM_IBM_ECDH1_DERIVE_RAW", CKF_DERIVE | forCurves, curveMin, curveMax, Many, 0},
	{CKM_IBM_BTC_DERIVE, "CKM_IBM_BTC_DERIVE", CKF_DERIVE | forCurves, 256, 256, Many, 0},
}

// Rows lists all mechanisms that are known, in their order.
func Rows() []Row { return slices.Clone(rows) }

// Find gives the row of a mechanism.
func Find(mechanism uint64) (Row, bool) {
	i, ok := byNumber[mechanism]
	if !ok {
		return Row{}, false
	}
	return rows[i], true
}

// byNumber finds rows.
var byNumber = indexed(func(r Row) uint64 { return r.Mechanism })

// byName finds rows.
var byName = indexed(func(r Row) string { return r.Name })

func indexed[K comparable](key func(Row) K) map[K]int {
	index := make(map[K]int, len(rows))
	for i, r := range rows {
		index[key(r)] = i
	}
	return index
}

// MechanismName gives the name of a mechanism, or its number.
func MechanismName(mechanism uint64) string {
	if r, ok := Find(mechanism); ok {
		return r.Name
	}
	return numbered("CKM", mechanism)
}

// MechanismNamed reads a name, such as "CKM_ECDSA".
func MechanismNamed(name string) (uint64, bool) {
	i, ok := byName[name]
	if !ok {
		return 0, false
	}
	return rows[i].Mechanism, true
}
