// SPDX-License-Identifier: Apache-2.0

package algorithm

// The mechanisms. Wire format: never changed.
const (
	BIP32          Mechanism = "bip32"
	ECDSASecp256k1 Mechanism = "ecdsa-secp256k1"
	BIP340         Mechanism = "bip340"
	ECDSAP256      Mechanism = "ecdsa-p256"
	ECDSAP384      Mechanism = "ecdsa-p384"
	ECDSAP521      Mechanism = "ecdsa-p521"
	EdDSA          Mechanism = "ed25519"
	BLS            Mechanism = "bls12-381"
	RSAPKCS1       Mechanism = "rsa-pkcs1"
	RSAPSS         Mechanism = "rsa-pss"
	RSAOAEP        Mechanism = "rsa-oaep"
	AESGCM         Mechanism = "aes-gcm"
	AESKeyWrap     Mechanism = "aes-kwp"
	HMACSHA256     Mechanism = "hmac-sha256"
	HMACSHA384     Mechanism = "hmac-sha384"
	HMACSHA512     Mechanism = "hmac-sha512"
	MLDSA44        Mechanism = "ml-dsa-44"
	MLDSA65        Mechanism = "ml-dsa-65"
	MLDSA87        Mechanism = "ml-dsa-87"
	MLKEM768       Mechanism = "ml-kem-768"
	MLKEM1024      Mechanism = "ml-kem-1024"
	ECDHP256       Mechanism = "ecdh-p256"
	X25519         Mechanism = "x25519"
)

// The kinds of keys. Wire format: never changed.
const (
	KindHDSeed     Kind = "hd-seed"
	KindSecp256k1  Kind = "secp256k1"
	KindP256       Kind = "p256"
	KindP384       Kind = "p384"
	KindP521       Kind = "p521"
	KindEd25519    Kind = "ed25519"
	KindX25519     Kind = "x25519"
	KindBLS        Kind = "bls12-381"
	KindRSA2048    Kind = "rsa-2048"
	KindRSA3072    Kind = "rsa-3072"
	KindRSA4096    Kind = "rsa-4096"
	KindAES256     Kind = "aes-256"
	KindGeneric    Kind = "generic-secret"
	KindMLDSA44    Kind = "ml-dsa-44"
	KindMLDSA65    Kind = "ml-dsa-65"
	KindMLDSA87    Kind = "ml-dsa-87"
	KindMLKEM768   Kind = "ml-kem-768"
	KindMLKEM1024  Kind = "ml-kem-1024"
	KindFROSTShare Kind = "frost-share"
)

// classCore and classMPC are classes of keys as keystore names them.
const (
	classCore = "core"
	classMPC  = "mpc"
)

// materials are the kinds of keys that this version knows.
var materials = []Material{
	{KindHDSeed, 16, 64, 0, "BIP-32 seed", classCore},
	{KindSecp256k1, 32, 32, 33, "scalar, big-endian; SEC 1 compressed point", ""},
	{KindP256, 32, 32, 65, "scalar, big-endian; SEC 1 uncompressed point", ""},
	{KindP384, 48, 48, 97, "scalar, big-endian; SEC 1 uncompressed point", ""},
	{KindP521, 66, 66, 133, "scalar, big-endian; SEC 1 uncompressed point", ""},
	{KindEd25519, 32, 32, 32, "RFC 8032 seed; encoded point", ""},
	{KindX25519, 32, 32, 32, "RFC 7748 scalar; u-coordinate", ""},
	{KindBLS, 32, 32, 48, "scalar, big-endian; compressed point of G1", ""},
	{KindRSA2048, 512, 512, 256, "p, q of 128 bytes and d of 256, big-endian; modulus, exponent 65537", ""},
	{KindRSA3072, 768, 768, 384, "p, q of 192 bytes and d of 384, big-endian; modulus, exponent 65537", ""},
	{KindRSA4096, 1024, 1024, 512, "p, q of 256 bytes and d of 512, big-endian; modulus, exponent 65537", ""},
	{KindAES256, 32, 32, 0, "key", ""},
	{KindGeneric, 32, 64, 0, "key", ""},
	{KindMLDSA44, 32, 32, 1312, "FIPS 204 seed; encoded public key", ""},
	{KindMLDSA65, 32, 32, 1952, "FIPS 204 seed; encoded public key", ""},
	{KindMLDSA87, 32, 32, 2592, "FIPS 204 seed; encoded public key", ""},
	{KindMLKEM768, 64, 64, 1184, "FIPS 203 seed d and z; encoded encapsulation key", ""},
	{KindMLKEM1024, 64, 64, 1568, "FIPS 203 seed d and z; encoded encapsulation key", ""},
	{KindFROSTShare, 32, 32, 33, "RFC 9591 share: scalar, big-endian; the group's compressed point", classMPC},
}

var rsaKinds = []Kind{KindRSA2048, KindRSA3072, KindRSA4096}

// rows are the algorithms that this version knows. A seed's keys are used with the algorithms of the keys derived from it.
var rows = []Row{
	{BIP32, "CKM_IBM_BTC_DERIVE", Derive, []Kind{KindHDSeed}, nil, 4, 0, 128, false, "BIP-32"},
	{ECDSASecp256k1, "CKM_ECDSA", Sign, []Kind{KindSecp256k1}, []Kind{KindHDSeed}, 64, 64, 128, false, "FIPS 186-5, SEC 2; RFC 6979 nonces with 32 random bytes more; low s"},
	{BIP340, "CKM_IBM_ECDSA_OTHER", Sign, []Kind{KindSecp256k1}, []Kind{KindHDSeed, KindFROSTShare}, 65, 64, 128, false, "BIP-340"},
	{ECDSAP256, "CKM_ECDSA", Sign, []Kind{KindP256}, nil, 66, 64, 128, false, "FIPS 186-5; hedged nonces"},
	{ECDSAP384, "CKM_ECDSA", Sign, []Kind{KindP384}, nil, 67, 96, 192, false, "FIPS 186-5; hedged nonces"},
	{ECDSAP521, "CKM_ECDSA", Sign, []Kind{KindP521}, nil, 68, 132, 256, false, "FIPS 186-5; hedged nonces"},
	{EdDSA, "CKM_EDDSA", Sign, []Kind{KindEd25519}, []Kind{KindFROSTShare}, 69, 64, 128, false, "RFC 8032"},
	{BLS, "CKM_IBM_ECDSA_OTHER", Sign, []Kind{KindBLS}, nil, 70, 96, 120, false, "draft-irtf-cfrg-bls-signature-05, BLS_SIG_BLS12381G2_XMD:SHA-256_SSWU_RO_POP_"},
	{RSAPKCS1, "CKM_SHA256_RSA_PKCS", Sign, rsaKinds, nil, 71, 0, 112, false, "RFC 8017 section 8.2, SHA-256"},
	{RSAPSS, "CKM_SHA256_RSA_PKCS_PSS", Sign, rsaKinds, nil, 72, 0, 112, false, "RFC 8017 section 8.1, SHA-256, salt of 32 bytes"},
	{RSAOAEP, "CKM_RSA_PKCS_OAEP", Decrypt, rsaKinds, nil, 73, 0, 112, false, "RFC 8017 section 7.1, SHA-256 and MGF1 with SHA-256, no label"},
	{AESGCM, "CKM_AES_GCM", Encrypt, []Kind{KindAES256}, nil, 74, 28, 256, true, "SP 800-38D, random nonce of 12 bytes in front"},
	{AESKeyWrap, "CKM_AES_KEY_WRAP_KWP", Wrap, []Kind{KindAES256}, nil, 75, 15, 256, true, "RFC 5649, SP 800-38F"},
	{HMACSHA256, "CKM_SHA256_HMAC", MAC, []Kind{KindGeneric}, nil, 76, 32, 256, true, "FIPS 198-1"},
	{HMACSHA384, "CKM_SHA384_HMAC", MAC, []Kind{KindGeneric}, nil, 77, 48, 256, true, "FIPS 198-1"},
	{HMACSHA512, "CKM_SHA512_HMAC", MAC, []Kind{KindGeneric}, nil, 78, 64, 256, true, "FIPS 198-1"},
	{MLDSA44, "CKM_ML_DSA", Sign, []Kind{KindMLDSA44}, nil, 79, 2420, 128, true, "FIPS 204, hedged"},
	{MLDSA65, "CKM_ML_DSA", Sign, []Kind{KindMLDSA65}, nil, 80, 3309, 192, true, "FIPS 204, hedged"},
	{MLDSA87, "CKM_ML_DSA", Sign, []Kind{KindMLDSA87}, nil, 81, 4627, 256, true, "FIPS 204, hedged"},
	{MLKEM768, "CKM_ML_KEM", KEM, []Kind{KindMLKEM768}, nil, 82, 32, 192, true, "FIPS 203"},
	{MLKEM1024, "CKM_ML_KEM", KEM, []Kind{KindMLKEM1024}, nil, 83, 32, 256, true, "FIPS 203"},
	{ECDHP256, "CKM_ECDH1_DERIVE", Agree, []Kind{KindP256}, nil, 84, 32, 128, false, "SP 800-56A rev. 3 section 5.7.1.2; x-coordinate"},
	{X25519, "CKM_ECDH1_DERIVE", Agree, []Kind{KindX25519}, nil, 85, 32, 128, false, "RFC 7748"},
}

// All is the table of this version.
func All() Table { return Table{rows: rows, kinds: materials} }
